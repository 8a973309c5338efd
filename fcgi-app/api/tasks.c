/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tasks.c - the catalogue, and a task computed now
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/binding.h"
#include "api/handlers.h"
#include "api/negotiate.h"

#define TIMEOUT_HEADER "Gangsaw-Timeout"

HANDLER(tasks_list)
{
    const struct api *api = context;
    (void)req;
    (void)match;
    (void)errors;
    (void)reterr;
    http_response_body(res, 200, "application/json", api->catalog_text, api->catalog_size);
    return 0;
}

static int find_task(const struct api *api, const char *name, const struct task_desc **ret_task,
                     struct error *reterr)
{
    *ret_task = catalog_find(api->catalog, name);
    if (!*ret_task)
        return error_set(reterr, ERR_NOT_FOUND,
                         "This server has no task of that name; GET /v1/tasks lists what it has.");
    return 0;
}

HANDLER(tasks_show)
{
    const struct task_desc *task;
    (void)req;
    (void)errors;
    if (find_task(context, match->params[0], &task, reterr) != 0)
        return -1;
    http_response_json(res, 200, task->source);
    return 0;
}

/* Gangsaw-Timeout: seconds, a number above 0; it can only shorten the task's own limit. */
static int read_timeout(const struct http_request *req, struct compute_request *run,
                        struct error *reterr)
{
    const char *text = http_header(req, TIMEOUT_HEADER);
    if (!text)
        return 0;
    char *end;
    double seconds = strtod(text, &end);
    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end || !(seconds > 0))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         TIMEOUT_HEADER " must be a number of seconds above 0, like 2.5.");
    if (seconds < run->seconds) {
        run->seconds = seconds;
        run->seconds_limit = TIMEOUT_HEADER;
    }
    return 0;
}

static int check_servable(const struct api *api, const struct task_desc *task,
                          struct http_response *res, struct error *reterr)
{
    if (task->job_only)
        return error_set(reterr, ERR_UNAVAILABLE,
                         "Task %s runs as a job only, and this server keeps no jobs.", task->name);
    if (api->gang)
        return 0;
    http_response_header(res, "Retry-After", "1");
    return error_set(reterr, ERR_UNAVAILABLE, "The compute pool takes no requests at the moment.");
}

static int compute(struct api *api, const struct compute_request *run, struct http_response *res,
                   struct compute_outcome *ret_outcome, struct error *reterr)
{
    int result = compute_run(api->gang, res->arena, run, ret_outcome, reterr);
    api->trace.queue_us = ret_outcome->queue_us;
    api->trace.run_us = ret_outcome->run_us;
    api->trace.cpu_us = ret_outcome->cpu_us;
    if (ret_outcome->retry_after_s > 0)
        http_response_header(res, "Retry-After", "%d", ret_outcome->retry_after_s);
    return result;
}

HANDLER(tasks_run)
{
    struct api *api = context;
    const struct config *cfg = api->config;
    const struct task_desc *task;
    struct binding binding;
    struct accept *accept;
    bool as_json;
    if (find_task(api, match->params[0], &task, reterr) != 0)
        return -1;
    api->trace.task = task->name;
    struct compute_request run = {.task = task,
                                  .seconds = task->seconds,
                                  .seconds_limit = "seconds",
                                  .request_id = req->request_id,
                                  .arrived_us = req->arrived_us,
                                  .queue_seconds = cfg->compute_queue_seconds,
                                  .grace_seconds = cfg->executor_grace_seconds,
                                  .warm_bytes = (size_t)cfg->executor_idle_mb << 20,
                                  .peer_fd = req->stream->peer_fd,
                                  .watch = api->watch};
    if (check_servable(api, task, res, reterr) != 0 || read_timeout(req, &run, reterr) != 0 ||
        accept_parse(req->arena, http_header(req, "Accept"), &accept, reterr) != 0 ||
        binding_read(req, cfg, task, &binding, errors, reterr) != 0 ||
        negotiate(accept, task, &binding, req->arena, &as_json, reterr) != 0)
        return -1;
    run.body = binding.body;
    run.inputs = binding.inputs;
    run.input_count = binding.input_count;
    run.params = json_print(req->arena, binding.params, &run.params_size);

    struct compute_outcome outcome;
    if (compute(api, &run, res, &outcome, reterr) != 0)
        return -1;
    return answer_build(res, task, &outcome, as_json, (size_t)cfg->http_max_base64_bytes, reterr);
}
