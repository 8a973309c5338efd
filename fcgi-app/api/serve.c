/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.c - one request from its stream to its log line
 */
#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "api/api.h"
#include "api/handlers.h"
#include "api/openapi.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/strbuf.h"

#define TRANSFER_BYTES_PER_SECOND (4 << 20) /* the slowest that a transfer may be */
#define SHORT_BODY 16384                    /* leaves in one write */
#define STATUS_CLIENT_LEFT 499 /* nginx's number; nobody is there to see it but the log */

/* The catalogue is constant: its answer is printed once. */
static void print_catalog(struct api *api)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *tasks = cJSON_AddArrayToObject(root, "tasks");
    const struct task_desc *task;
    for (int i = 0; (task = catalog_at(api->catalog, i)) != NULL; i++)
        (void)cJSON_AddItemReferenceToArray(tasks, (cJSON *)(uintptr_t)task->source);
    api->catalog_text = json_print(api->arena, root, &api->catalog_size);
    cJSON_Delete(root);
}

int api_open(const struct config *cfg, struct gang *gang, struct api *ret_api, struct error *reterr)
{
    struct api api = {.config = cfg, .gang = gang, .watch.fd = -1};
    if (catalog_open(cfg, &api.catalog, reterr) != 0)
        return -1;
    api.arena = arena_new();
    print_catalog(&api);
    api.openapi_text = openapi_print(api.arena, api.catalog, &api.openapi_size);
    *ret_api = api;
    return 0;
}

void api_close(struct api *api)
{
    if (!api)
        return;
    authorize_close(api);
    catalog_close(api->catalog);
    arena_free(api->arena);
    *api = (struct api){.watch.fd = -1};
}

/* ---- the database */

int api_use_long(struct api *api, struct error *reterr)
{
    const struct api_gate *gate = &api->gate;
    if (!gate->enter || gate->enter(gate->context, API_USE_LONG, true))
        return 0;
    return error_set(reterr, ERR_OVERLOADED,
                     "As many uploads, downloads and large requests are under way as the limit "
                     "allows: %d at a time, by api.workers = %d.",
                     gate->long_limit, api->config->api_workers);
}

int api_use_database(struct api *api, const struct http_request *req, struct error *reterr)
{
    const struct api_gate *gate = &api->gate;
    if (!api->db)
        return error_set(reterr, ERR_UNAVAILABLE,
                         "This server keeps no jobs and no files: its configuration names no "
                         "database (database.url).");
    if (req->content_length > API_LONG_BYTES)
        return api_use_long(api, reterr);
    if (!gate->enter || gate->enter(gate->context, API_USE_SHORT, true))
        return 0;
    return error_set(reterr, ERR_OVERLOADED,
                     "The database is busy with as many requests as api.workers = %d allows.",
                     api->config->api_workers);
}

int64_t api_transfer_deadline(const struct api *api, int64_t size)
{
    double seconds =
        api->config->database_budget_seconds + (double)size / TRANSFER_BYTES_PER_SECOND;
    return clock_us() + (int64_t)(seconds * 1e6);
}

int api_transfer_check(int64_t deadline_us, struct error *reterr)
{
    if (clock_us() < deadline_us)
        return 0;
    (void)error_set(reterr, ERR_UNAVAILABLE, "The database is too slow at the moment.");
    return error_cause(reterr, "a transfer was not done by its deadline");
}

/* ---- a request */

static void log_request(const struct api *api, const struct http_request *req,
                        const struct http_response *res, const struct route_match *match,
                        const struct error *error, int status)
{
    const struct api_trace *t = &api->trace;
    const struct caller *caller = &api->caller;
    bool has_failed = error->code != ERR_NONE;
    log_write(error_is_ours(error) ? LOG_ERROR : LOG_INFO, "request",
              LOG_STR("request_id", req->request_id),
              LOG_STR("traceparent", req->traceparent[0] ? req->traceparent : NULL),
              LOG_STR("method", req->method_name), LOG_STR("path", req->path),
              LOG_STR("route", match->route ? match->route->pattern : NULL),
              LOG_INT("status", status), LOG_STR("task", t->task), LOG_STR("job", t->job),
              LOG_STR("key", caller->key ? caller->key->id : NULL),
              LOG_STR("tenant", caller->key ? caller->tenant : NULL),
              LOG_NUM("ms", (double)(clock_us() - req->arrived_us) / 1e3),
              LOG_NUM("queue_ms", (double)t->queue_us / 1e3),
              LOG_NUM("run_ms", (double)t->run_us / 1e3), LOG_INT("bytes_in", req->body_read),
              LOG_INT("bytes_out", (int64_t)res->body_size),
              LOG_STR("problem", has_failed ? error_name(error->code) : NULL),
              LOG_STR("detail", has_failed ? error->detail : NULL),
              LOG_STR("cause", has_failed && error->cause[0] ? error->cause : NULL));
}

/* Turned away for who asks, how much, or when; not for what is asked. */
static bool is_rejection(enum err_code code)
{
    switch (code) {
    case ERR_UNAUTHORIZED:
    case ERR_FORBIDDEN:
    case ERR_RATE_LIMITED:
    case ERR_TOO_LARGE:
    case ERR_URI_TOO_LONG:
    case ERR_HEADERS_TOO_LARGE:
    case ERR_REQUEST_TIMEOUT:
    case ERR_OVERLOADED:
    case ERR_UNAVAILABLE:
        return true;
    default:
        return false;
    }
}

/* Nothing that a client chose: routes, methods and statuses are few. */
static void count_request(const struct http_request *req, const struct route_match *match,
                          const struct error *error, int status)
{
    static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                          "PATCH", "DELETE", "OPTIONS"};
    const char *method = "OTHER";
    char text[DECIMAL_SIZE];
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (req->method == 1U << i)
            method = methods[i];
    }
    *decimal_integer(text, status) = '\0';
    metrics_observe(METRIC_HTTP_DURATION, (double)(clock_us() - req->arrived_us) / 1e6,
                    match->route ? match->route->pattern : "unknown", method, text);
    /* Who asks whether the server is ready is answered, also where it is not. */
    bool is_answer = match->route && strcmp(match->route->pattern, "/readyz") == 0;
    if (is_rejection(error->code) && !is_answer)
        metrics_add(METRIC_REJECTED, 1, error_name(error->code));
}

/* Whoever finds a part away, or the queue full, may come back soon. */
static void advise_retry(struct http_response *res, const struct error *error)
{
    for (const struct http_header_field *f = res->first; f; f = f->next) {
        if (strcmp(f->name, "Retry-After") == 0)
            return;
    }
    if (error->code == ERR_UNAVAILABLE || error->code == ERR_OVERLOADED ||
        error->code == ERR_RATE_LIMITED)
        http_response_field(res, "Retry-After", "1");
}

static void add_timing(struct http_response *res, const struct api_trace *t)
{
    struct strbuf text = STRBUF_INIT;
    strbuf_addstr(&text, "queue;dur=");
    strbuf_add_thousandths(&text, t->queue_us);
    strbuf_addstr(&text, ", run;dur=");
    strbuf_add_thousandths(&text, t->run_us);
    http_response_field(res, "Server-Timing", text.text);
    strbuf_release(&text);
}

/* A body that ends early is no mistake of a client that is gone. */
static bool has_left(const struct http_stream *stream)
{
    struct pollfd peer = {.fd = stream->peer_fd, .events = POLLRDHUP};
    return stream->peer_fd >= 0 && poll(&peer, 1, 0) > 0;
}

int api_serve(struct api *api, struct http_stream *stream, struct arena *a)
{
    struct http_limits limits = {api->config->http_max_params,
                                 (size_t)api->config->http_max_params_bytes};
    struct http_request *req;
    struct http_response res;
    struct route_match match = {0};
    struct error error = {0};
    api->trace = (struct api_trace){0};
    api->caller = (struct caller){.tenant = ""};
    http_response_init(&res, a);
    int result = http_request_read(stream, &limits, a, &req, &error);
    api->trace.queue_us = clock_us() - req->arrived_us; /* until now; a run adds its own wait */
    if (result != 0)
        http_response_problem(&res, req, &error, NULL);
    else
        route_dispatch(api_routes, authorize, api, req, &res, &match, &error);
    advise_retry(&res, &error);
    add_timing(&res, &api->trace);
    bool is_sent = false;
    if (error.code != ERR_NONE && has_left(stream))
        error.code = ERR_STOPPED;
    if (error.code != ERR_STOPPED) {
        http_body_discard(req);
        if (res.source || res.body_size > SHORT_BODY)
            log_release(); /* sending may take long: the run's line does not wait for it */
        is_sent = http_response_send(&res, req) == 0;
        if (!is_sent && res.failure.code != ERR_NONE)
            error = res.failure; /* of the body's source: the answer was cut off */
    }
    if (api->gate.leave)
        api->gate.leave(api->gate.context);
    int status = error.code == ERR_STOPPED || !is_sent ? STATUS_CLIENT_LEFT : res.status;
    log_hold();
    log_request(api, req, &res, &match, &error, status);
    count_request(req, &match, &error, status);
    bool is_parsed = strcmp(req->media_type, "application/json") == 0 ||
                     strcmp(req->media_type, "multipart/form-data") == 0;
    api->trace.parsed_bytes = is_parsed ? req->body_read : 0;
    return is_sent ? 0 : -1;
}
