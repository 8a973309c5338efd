/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch.c - POST /v1/jobs: many jobs at once, stored as a whole or not at all
 *
 * Everything is checked before anything is stored, and all mistakes are said at once, as far as the
 * list of errors goes: who sends ten thousand wrong jobs reads about the first hundred mistakes.
 */
#include <stdlib.h>
#include <string.h>

#include "api/arguments.h"
#include "api/handlers.h"
#include "api/job_options.h"
#include "api/job_view.h"
#include "api/submit.h"

struct batch {
    struct api *api;
    struct http_request *req;
    struct arena *arena;
    struct field_errors *errors;
    struct job_new *jobs;
    struct binding *bindings;
    const struct task_desc **tasks;
    struct job_options *options;
    int count;
};

static int read_root(struct batch *b, const struct payload *text, cJSON **ret_jobs,
                     struct error *reterr)
{
    cJSON *root;
    *ret_jobs = NULL;
    if (json_parse(b->arena, (const char *)text->bytes, text->size, &root, reterr) != 0)
        return -1;
    cJSON *jobs = json_member(root, "jobs");
    if (!cJSON_IsObject(root))
        field_errors_add(b->errors, "", "must be a JSON object like {\"jobs\": [...]}");
    else if (!jobs)
        field_errors_add(b->errors, "/jobs", "is required");
    else if (!cJSON_IsArray(jobs) || !jobs->child)
        field_errors_add(b->errors, "/jobs", "must be an array of at least one job");
    for (const cJSON *m = cJSON_IsObject(root) ? root->child : NULL; m; m = m->next) {
        if (m != jobs)
            field_errors_add(b->errors, json_pointer_join(b->arena, "", m->string),
                             "is not known here; known: jobs");
    }
    if (b->errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.",
                         b->errors->count);
    b->count = cJSON_GetArraySize(jobs);
    if (b->count > JOB_BATCH_MAX)
        return error_set(reterr, ERR_TOO_LARGE, "The request has %d jobs; the limit is %d.",
                         b->count, JOB_BATCH_MAX);
    *ret_jobs = jobs;
    return 0;
}

static int read_body(struct batch *b, struct payload *text, struct error *reterr)
{
    if (strcmp(b->req->media_type, "application/json") != 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE, "Jobs are sent as application/json.");
    if (http_body_check_encoding(b->req, reterr) != 0)
        return -1;
    return http_body_read(b->req, (size_t)b->api->config->http_max_json_bytes,
                          "http.max_json_bytes", text, reterr);
}

/* The task and the parameters of item `i`; NULL: what is wrong was said. */
static const struct task_desc *read_members(struct batch *b, const cJSON *item, const char *pointer,
                                            cJSON **ret_params)
{
    const struct task_desc *task = NULL;
    const char *at_task = json_pointer_join(b->arena, pointer, "task");
    const cJSON *name = json_member(item, "task");
    *ret_params = json_member(item, "params");
    if (!name)
        field_errors_add(b->errors, at_task, "is required");
    else if (!cJSON_IsString(name))
        field_errors_add(b->errors, at_task, "must be a string");
    else if (!(task = catalog_find(b->api->catalog, name->valuestring)))
        field_errors_add(b->errors, at_task, "is no task of this server; GET /v1/tasks lists them");
    for (const cJSON *m = item->child; m; m = m->next) {
        if (m != name && m != *ret_params && !job_options_has(m->string))
            field_errors_add(b->errors, json_pointer_join(b->arena, pointer, m->string),
                             "is not known here; known: task, params, priority, run_at, "
                             "delay_seconds, max_attempts, timeout_seconds, unique_key, tags");
    }
    return task;
}

/* Mistakes are added to the errors; -1 is for what fails the request at once. */
static int read_item(struct batch *b, cJSON *item, int i, struct error *reterr)
{
    const char *pointer = arena_printf(b->arena, "/jobs/%d", i);
    cJSON *params;
    if (!cJSON_IsObject(item)) {
        field_errors_add(b->errors, pointer, "must be an object");
        return 0;
    }
    job_options_read_item(b->arena, b->api->config, item, pointer, &b->options[i], b->errors);
    b->tasks[i] = read_members(b, item, pointer, &params);
    if (!b->tasks[i])
        return 0;
    if (binding_read_json(b->arena, b->api->config, b->tasks[i],
                          params ? params : json_object(b->arena),
                          json_pointer_join(b->arena, pointer, "params"), &b->bindings[i],
                          b->errors, reterr) != 0 &&
        reterr->code != ERR_INVALID_PARAMS) {
        const struct error e = *reterr;
        return error_set(reterr, e.code, "%s: %.280s", pointer, e.detail);
    }
    payload_release(b->bindings[i].body); /* base64 that was good; it is stored as it came */
    return 0;
}

static int read_items(struct batch *b, cJSON *jobs, struct error *reterr)
{
    int i = 0;
    b->bindings = arena_alloc(b->arena, (size_t)b->count * sizeof(*b->bindings));
    b->tasks = arena_alloc(b->arena, (size_t)b->count * sizeof(*b->tasks));
    b->options = arena_alloc(b->arena, (size_t)b->count * sizeof(*b->options));
    for (cJSON *item = jobs->child; item && b->errors->count < FIELD_ERRORS_MAX;
         item = item->next) {
        if (read_item(b, item, i++, reterr) != 0) {
            *b->errors = (struct field_errors){.arena = b->errors->arena};
            return -1;
        }
    }
    if (b->errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.",
                         b->errors->count);
    return 0;
}

static int resolve(struct batch *b, struct error *reterr)
{
    struct binding **all = arena_alloc(b->arena, (size_t)b->count * sizeof(*all));
    for (int i = 0; i < b->count; i++)
        all[i] = &b->bindings[i];
    return binding_resolve(b->api->db, b->arena, b->api->caller.tenant, all, b->count, b->errors,
                           reterr);
}

static void make_jobs(struct batch *b)
{
    b->jobs = arena_alloc(b->arena, (size_t)b->count * sizeof(*b->jobs));
    for (int i = 0; i < b->count; i++) {
        b->jobs[i] = submit_job(b->arena, b->req, b->tasks[i], &b->bindings[i]);
        job_options_apply(&b->options[i], &b->jobs[i]);
    }
}

static int answer(struct batch *b, struct submission *s, struct http_response *res,
                  struct error *reterr)
{
    const struct db_secret *secret;
    struct job_row *rows = NULL;
    struct strbuf out = STRBUF_INIT;
    if (db_read_secret(b->api->db, &secret, reterr) != 0 ||
        submit_rows(s, b->count, &rows, reterr) != 0)
        return -1;
    strbuf_addstr(&out, "{\"jobs\":");
    job_views_add(&out, secret, rows, b->count);
    strbuf_addch(&out, '}');
    http_response_header(res, "Cache-Control", "no-store");
    if (s->is_replayed)
        http_response_header(res, "Idempotent-Replayed", "true");
    http_response_body(res, 202, "application/json", arena_own(b->arena, out.text, free), out.size);
    return 0;
}

/* Was it answered before? A batch that is stored in slices takes long, however small its text. */
static int find(struct batch *b, struct submission *s, const struct payload *text,
                struct error *reterr)
{
    const struct submit_content content = {.body = text->bytes, .size = text->size};
    if (b->count > JOB_STORE_SLICE && api_use_long(b->api, reterr) != 0)
        return -1;
    return submit_find(s, &content, b->count, reterr);
}

HANDLER(jobs_create)
{
    struct batch b = {.api = context, .req = req, .arena = req->arena, .errors = errors};
    struct payload *text = payload_new(req->arena);
    struct submission s;
    cJSON *jobs;
    (void)match;
    if (submit_begin(&s, b.api, req, reterr) != 0 ||
        arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        read_body(&b, text, reterr) != 0 || read_root(&b, text, &jobs, reterr) != 0 ||
        find(&b, &s, text, reterr) != 0)
        return -1;
    if (!s.is_replayed) {
        if (read_items(&b, jobs, reterr) != 0 || resolve(&b, reterr) != 0)
            return -1;
        make_jobs(&b);
        if (submit_store(&s, b.jobs, b.count, reterr) != 0)
            return -1;
    }
    return answer(&b, &s, res, reterr);
}
