/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_result.c - what a job gave, answered as if it had been computed on the spot
 */
#include <string.h>

#include "api/answer.h"
#include "api/api.h"
#include "api/arguments.h"
#include "api/download.h"
#include "api/handlers.h"
#include "api/job_view.h"
#include "api/negotiate.h"
#include "api/submit.h"
#include "base/strbuf.h"
#include "db/blob.h"
#include "http/prefer.h"

#define SHOWN_NAMES_BYTES 200

/* A retry computes a job anew under the same address, so a copy has to be asked about. */
#define CACHE_CONTROL "private, no-cache"

static int read_job(struct api *api, const struct http_request *req, const char *id,
                    bool with_result, struct job_row *ret_row, struct error *reterr)
{
    int64_t key;
    if (jobs_find(api, req, id, &key, reterr) != 0 ||
        job_get(api->db, req->arena, api->caller.tenant, key, with_result, ret_row, reterr) != 0)
        return -1;
    api->trace.task = ret_row->task;
    return 0;
}

/* The problem that the run ended with, with every mistake that was found in its parameters. */
static int fail_as_stored(struct arena *a, const struct job_row *row, struct field_errors *errors,
                          struct error *reterr)
{
    cJSON *stored = NULL;
    if (row->error && json_parse(a, row->error, strlen(row->error), &stored, reterr) != 0)
        stored = NULL;
    const char *code = cJSON_GetStringValue(json_member(stored, "code"));
    const char *detail = cJSON_GetStringValue(json_member(stored, "detail"));
    job_view_read_errors(stored, errors);
    return error_set(reterr, error_code_parse(code), "%s", detail ? detail : "The job failed.");
}

/* -1 with what there is instead of a result. */
static int check_succeeded(struct arena *a, const struct job_row *row, struct field_errors *errors,
                           struct error *reterr)
{
    if (row->state == JOB_SUCCEEDED)
        return 0;
    if (row->state == JOB_FAILED)
        return fail_as_stored(a, row, errors, reterr);
    if (row->state == JOB_CANCELED)
        return error_set(reterr, ERR_CONFLICT, "The job was canceled, so it has no result.");
    return error_set(reterr, ERR_CONFLICT, "The job is %s; it has no result yet.",
                     job_state_name(row->state));
}

/* Outputs as they are read for a zip. */
struct reading {
    struct db *db;
    const struct job_output *outputs;
    struct arena *piece; /* what was read last */
    int64_t deadline_us;
};

static int read_output(void *context, int entry, int64_t offset, const unsigned char **ret_bytes,
                       size_t *ret_size, struct error *reterr)
{
    struct reading *r = context;
    const struct job_output *o = &r->outputs[entry];
    const struct blob_info blob = {.key = o->blob, .size = o->size};
    return download_piece(r->db, r->piece, &blob, r->deadline_us, offset, ret_bytes, ret_size,
                          reterr);
}

static void release_arena(void *object)
{
    arena_free(object);
}

static int64_t total_size(const struct job_row *row)
{
    int64_t total = 0;
    for (int i = 0; i < row->output_count; i++)
        total += row->outputs[i].size;
    return total;
}

static int answer_zip(struct api *api, const struct http_request *req, const struct job_row *row,
                      const struct answer *answer, struct http_response *res, struct error *reterr)
{
    bool is_read = req->method != HTTP_HEAD;
    int64_t total = total_size(row);
    if (is_read && total > API_LONG_BYTES && api_use_long(api, reterr) != 0)
        return -1;
    struct reading *r = arena_alloc(res->arena, sizeof(*r));
    *r = (struct reading){.db = api->db,
                          .outputs = row->outputs,
                          .deadline_us = api_transfer_deadline(api, 2 * total)}; /* twice read */
    r->piece = arena_own(res->arena, arena_new(), release_arena);
    return answer_as_zip(res, answer, &(struct archive_reader){read_output, r}, is_read, reterr);
}

static int load_outputs(struct api *api, struct arena *a, const struct job_row *row,
                        struct answer_output *outputs, struct error *reterr)
{
    if (total_size(row) > API_LONG_BYTES && api_use_long(api, reterr) != 0)
        return -1;
    for (int i = 0; i < row->output_count; i++) {
        struct blob_info blob = {.key = row->outputs[i].blob, .size = row->outputs[i].size};
        if (download_load(a, api, &blob, &outputs[i].bytes, reterr) != 0)
            return -1;
    }
    return 0;
}

/* Without the bytes. */
static struct answer describe(struct arena *a, const struct job_row *row,
                              const struct task_desc *task)
{
    struct answer_output *outputs = arena_alloc(a, (size_t)row->output_count * sizeof(*outputs));
    for (int i = 0; i < row->output_count; i++) {
        const struct job_output *o = &row->outputs[i];
        outputs[i] =
            (struct answer_output){o->name, o->media_type, o->sha256, NULL, (size_t)o->size, -1};
    }
    return (struct answer){.task = row->task,
                           .result = row->result,
                           .has_outputs = task ? task->output_count > 0 : row->output_count > 0,
                           .outputs = outputs,
                           .output_count = row->output_count};
}

static int answer_json(struct api *api, const struct job_row *row, struct answer *answer,
                       struct http_response *res, struct error *reterr)
{
    if (answer_check_base64(answer, (size_t)api->config->http_max_base64_bytes,
                            "Each output has an address of its own, in the job's links.",
                            reterr) != 0 ||
        load_outputs(api, res->arena, row, answer->outputs, reterr) != 0)
        return -1;
    answer_as_json(res, answer);
    return 0;
}

/* How the bytes are answered: by the request's conditions and ranges, or always all of them. */
typedef int answer_blob(struct http_request *req, struct api *api, const struct blob_info *blob,
                        const char *file_name, struct http_response *res, struct error *reterr);

static int answer_output(struct api *api, struct http_request *req, const struct job_output *output,
                         answer_blob *answer, struct http_response *res, struct error *reterr)
{
    struct blob_info *blob = arena_alloc(req->arena, sizeof(*blob));
    if (blob_get(api->db, req->arena, api->caller.tenant, output->blob, blob, reterr) != 0)
        return -1;
    const char *file_name = download_file_name(req->arena, output->name, blob->media_type);
    blob->media_type = download_output_type(req->arena, blob->media_type);
    return answer(req, api, blob, file_name, res, reterr);
}

static int answer_succeeded(struct api *api, struct http_request *req, const struct job_row *row,
                            answer_blob *answer_bytes, struct http_response *res,
                            struct error *reterr)
{
    const struct task_desc *task = catalog_find(api->catalog, row->task);
    const struct job_output *first = row->output_count > 0 ? &row->outputs[0] : NULL;
    struct answer answer = describe(req->arena, row, task);
    struct accept *accept;
    enum answer_form form;
    if (accept_parse(req->arena, http_header(req, "Accept"), &accept, reterr) != 0 ||
        negotiate_form(accept, task, row->output_count, first ? first->media_type : NULL, &form,
                       reterr) != 0)
        return -1;
    if (form == ANSWER_JSON)
        return answer_json(api, row, &answer, res, reterr);
    if (form == ANSWER_ZIP)
        return answer_zip(api, req, row, &answer, res, reterr);
    if (row->result)
        answer_add_result(res, row->result);
    return answer_output(api, req, first, answer_bytes, res, reterr);
}

HANDLER(jobs_result)
{
    struct api *api = context;
    struct job_row row;
    if (arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        read_job(api, req, match->params[0], true, &row, reterr) != 0 ||
        check_succeeded(req->arena, &row, errors, reterr) != 0)
        return -1;
    http_response_header(res, "Cache-Control", CACHE_CONTROL);
    http_response_header(res, "Vary", "Accept");
    return answer_succeeded(api, req, &row, download_blob, res, reterr);
}

static int refuse_name(const struct job_row *row, struct error *reterr)
{
    struct strbuf names = STRBUF_INIT;
    for (int i = 0; i < row->output_count; i++) {
        if (names.size > SHOWN_NAMES_BYTES) {
            strbuf_addstr(&names, ", ...");
            break;
        }
        strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", row->outputs[i].name);
    }
    (void)error_set(reterr, ERR_NOT_FOUND, "The job has no output of that name; it has %s.",
                    names.size > 0 ? names.text : "none");
    strbuf_release(&names);
    return -1;
}

HANDLER(jobs_output)
{
    struct api *api = context;
    struct job_row row;
    if (arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        read_job(api, req, match->params[0], false, &row, reterr) != 0 ||
        check_succeeded(req->arena, &row, errors, reterr) != 0)
        return -1;
    for (int i = 0; i < row.output_count; i++) {
        if (strcmp(row.outputs[i].name, match->params[1]) != 0)
            continue;
        http_response_header(res, "Cache-Control", CACHE_CONTROL);
        return answer_output(api, req, &row.outputs[i], download_blob, res, reterr);
    }
    return refuse_name(&row, reterr);
}

/* What a client that waited sees in Server-Timing is the job's run, not this request. */
static void trace_run(struct api_trace *trace, const struct job_row *row)
{
    if (row->run_ms > 0) /* not a number when it never ran */
        trace->run_us = (int64_t)(row->run_ms * 1e3);
    if (row->started_us > row->ready_us)
        trace->queue_us = row->started_us - row->ready_us;
}

static void answer_accepted(const struct http_request *req, const char *id, const cJSON *job,
                            struct http_response *res)
{
    http_response_header(res, "Operation-Location", "/v1/jobs/%s", id);
    http_response_header(res, "Cache-Control", "no-store");
    if (prefer_parse(http_header(req, "Prefer")).respond_async)
        http_response_header(res, "Preference-Applied", "respond-async");
    http_response_json(res, 202, job);
}

/* The job is committed, and by this answer alone does the client learn of it: to send the request
 * again, as it might after a 503, would store a second one. */
static int answer_unread(struct http_request *req, const char *id, struct http_response *res,
                         const struct error *why, struct error *reterr)
{
    if (why->code != ERR_UNAVAILABLE && why->code != ERR_OVERLOADED) {
        *reterr = *why;
        return -1;
    }
    answer_accepted(req, id, job_view_address(res->arena, id), res);
    return 0;
}

/* Behind a wait: as a rule it is the end of the job that ended it. */
static int read_ended(struct api *api, const struct http_request *req, const char *id,
                      struct job_row *ret_row, struct error *reterr)
{
    int64_t key;
    if (jobs_find(api, req, id, &key, reterr) != 0 ||
        job_get_ended(api->db, req->arena, api->caller.tenant, key, ret_row, reterr) != 0)
        return -1;
    api->trace.task = ret_row->task;
    return 0;
}

HANDLER(runs_show)
{
    struct api *api = context;
    const char *id = match->params[0];
    const struct db_secret *secret;
    struct job_row row;
    struct error why;
    http_response_header(res, "Location", "/v1/jobs/%s", id); /* whatever else happens */
    if (read_ended(api, req, id, &row, &why) != 0 || db_read_secret(api->db, &secret, &why) != 0)
        return answer_unread(req, id, res, &why, reterr);
    if (!job_state_is_final(row.state)) {
        answer_accepted(req, id, job_view(res->arena, secret, &row), res);
        return 0;
    }
    trace_run(&api->trace, &row);
    if (check_succeeded(req->arena, &row, errors, reterr) != 0)
        return -1;
    return answer_succeeded(api, req, &row, download_blob_whole, res, reterr);
}

HANDLER(runs_show_again)
{
    http_response_header(res, "Idempotent-Replayed", "true");
    return runs_show(context, req, match, res, errors, reterr);
}
