/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tasks.c - the catalogue, and a task computed now; what shall run later goes to submit.c
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/binding.h"
#include "api/handlers.h"
#include "api/job_options.h"
#include "api/negotiate.h"
#include "api/submit.h"
#include "base/log.h"
#include "exec/run_report.h"
#include "http/prefer.h"

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

/* Gangsaw-Timeout: seconds, a number above 0; it can only shorten the task's own limit.
 * *ret_seconds is 0 when it does not. */
static int read_timeout(const struct http_request *req, const struct task_desc *task,
                        double *ret_seconds, struct error *reterr)
{
    const char *text = http_header(req, TIMEOUT_HEADER);
    *ret_seconds = 0;
    if (!text)
        return 0;
    char *end;
    double seconds = strtod(text, &end);
    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end || !(seconds > 0))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         TIMEOUT_HEADER " must be a number of seconds above 0, like 2.5.");
    if (seconds < task->seconds)
        *ret_seconds = seconds;
    return 0;
}

/* What has to become a job is stored by pool api. */
static int run_later(struct api *api, struct http_request *req, const struct task_desc *task,
                     const struct prefer *prefer, struct http_response *res,
                     struct field_errors *errors, struct error *reterr)
{
    double seconds;
    if (api_use_database(api, req, reterr) != 0)
        return -1;
    if (api->pass_on) {
        submit_redirect(res, "%s", api->pass_on);
        return 0;
    }
    if (read_timeout(req, task, &seconds, reterr) != 0)
        return -1;
    if (seconds > 0 && seconds < JOB_OPTIONS_SECONDS_MIN)
        seconds = JOB_OPTIONS_SECONDS_MIN;
    return submit_task(api, req, task, prefer, seconds, res, errors, reterr);
}

static int check_servable(const struct api *api, struct http_response *res, struct error *reterr)
{
    if (api->gang)
        return 0;
    http_response_header(res, "Retry-After", "1");
    return error_set(reterr, ERR_UNAVAILABLE, "The compute pool takes no requests at the moment.");
}

/* Blobs are looked up at once, so that what is wrong with them is said before anything waits; their
 * bytes are read last. */
static int resolve(struct api *api, const struct http_request *req, struct binding *binding,
                   struct field_errors *errors, struct error *reterr)
{
    if (binding->blob_count == 0)
        return 0;
    if (api_use_database(api, req, reterr) != 0)
        return -1;
    return binding_resolve(api->db, req->arena, api->caller.tenant, &binding, 1, errors, reterr);
}

static int compute(struct api *api, const struct http_request *req,
                   const struct compute_request *run, struct http_response *res,
                   struct compute_outcome *ret_outcome, struct error *reterr)
{
    if (authorize_run(api, res, reterr) != 0)
        return -1;
    int result = compute_run(api->gang, res->arena, run, ret_outcome, reterr);
    authorize_run_end(api);
    api->trace.queue_us = ret_outcome->queue_us;
    api->trace.run_us = ret_outcome->run_us;
    log_hold(); /* until the request's own line, api_serve() */
    run_report(api->config,
               &(struct run_report){.task = run->task->name,
                                    .request_id = req->request_id,
                                    .traceparent = req->traceparent[0] ? req->traceparent : NULL,
                                    .tenant = api->caller.tenant,
                                    .wait_us = ret_outcome->queue_us,
                                    .run_us = ret_outcome->run_us,
                                    .cpu_us = ret_outcome->cpu_us,
                                    .peak_bytes = ret_outcome->peak_bytes,
                                    .was_started = ret_outcome->was_started,
                                    .error = result != 0 ? reterr : NULL});
    if (ret_outcome->retry_after_s > 0)
        http_response_header(res, "Retry-After", "%d", ret_outcome->retry_after_s);
    return result;
}

static int run_now(struct api *api, struct http_request *req, const struct task_desc *task,
                   struct http_response *res, struct field_errors *errors, struct error *reterr)
{
    const struct config *cfg = api->config;
    struct binding binding;
    struct accept *accept;
    double seconds;
    if (check_servable(api, res, reterr) != 0 || read_timeout(req, task, &seconds, reterr) != 0 ||
        accept_parse(req->arena, http_header(req, "Accept"), &accept, reterr) != 0 ||
        binding_read(req, cfg, task, &binding, errors, reterr) != 0 ||
        resolve(api, req, &binding, errors, reterr) != 0 ||
        negotiate(accept, task, &binding, req->arena, reterr) != 0 ||
        binding_load(api->db, req->arena, &binding, reterr) != 0)
        return -1;
    struct compute_request run = {.task = task,
                                  .body = binding.body,
                                  .inputs = binding.inputs,
                                  .input_count = binding.input_count,
                                  .seconds = seconds > 0 ? seconds : task->seconds,
                                  .seconds_limit = seconds > 0 ? TIMEOUT_HEADER : "seconds",
                                  .request_id = req->request_id,
                                  .arrived_us = req->arrived_us,
                                  .queue_seconds = cfg->compute_queue_seconds,
                                  .grace_seconds = cfg->executor_grace_seconds,
                                  .warm_bytes = (size_t)cfg->executor_idle_mb << 20,
                                  .peer_fd = req->stream->peer_fd,
                                  .watch = api->watch};
    run.params = json_print(req->arena, binding.params, &run.params_size);

    struct compute_outcome outcome;
    if (compute(api, req, &run, res, &outcome, reterr) != 0)
        return -1;
    return answer_build(res, task, &outcome, accept, (size_t)cfg->http_max_base64_bytes, reterr);
}

HANDLER(tasks_run)
{
    struct api *api = context;
    const struct task_desc *task;
    if (find_task(api, match->params[0], &task, reterr) != 0)
        return -1;
    api->trace.task = task->name;
    const struct prefer prefer = prefer_parse(http_header(req, "Prefer"));
    bool is_job = prefer.respond_async || task->job_only;
    if (authorize_scope(api, is_job ? SCOPE_JOBS_WRITE : SCOPE_RUN, res, reterr) != 0)
        return -1;
    if (is_job)
        return run_later(api, req, task, &prefer, res, errors, reterr);
    return run_now(api, req, task, res, errors, reterr);
}
