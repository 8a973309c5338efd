/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * submit.c - see submit.h
 */
#include "api/submit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "api/job_options.h"
#include "api/job_view.h"
#include "api/negotiate.h"

#define KEY_HEADER "Idempotency-Key"
#define KEY_MAX 255

int jobs_find(struct api *api, const struct http_request *req, const char *id, int64_t *ret_key,
              struct error *reterr)
{
    const struct db_secret *secret;
    if (api_use_database(api, req, reterr) != 0 || db_read_secret(api->db, &secret, reterr) != 0)
        return -1;
    if (!db_id_parse(secret, DB_ID_JOB, api->caller.tenant, id, ret_key))
        return error_set(reterr, ERR_NOT_FOUND, "There is no job of this id.");
    api->trace.job = id;
    return 0;
}

void submit_redirect(struct http_response *res, const char *fmt, ...)
{
    char target[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(target, sizeof(target), fmt, ap);
    va_end(ap);
    http_response_field(res, "X-Accel-Redirect", target);
    http_response_json(res, 200, NULL);
}

void submit_wait(const struct api *api, struct http_response *res, const char *job, bool is_awaited,
                 int seconds, const char *then)
{
    submit_redirect(res, "/internal/wait?job=%s&tenant=%s&awaited=%d&seconds=%d&then=%s", job,
                    api->caller.tenant, is_awaited, seconds, then);
}

/* ---- requests that may be repeated */

static int read_key(struct submission *s, struct error *reterr)
{
    const char *key = http_header(s->req, KEY_HEADER);
    size_t size = key ? strlen(key) : 0;
    bool is_visible = true;
    for (size_t i = 0; i < size; i++)
        is_visible = is_visible && key[i] > 0x20 && key[i] < 0x7f;
    if (key && (size < 1 || size > KEY_MAX || !is_visible))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         KEY_HEADER " must have 1 to %d visible ASCII characters, without spaces.",
                         KEY_MAX);
    s->idempotency.key = key;
    return 0;
}

int submit_begin(struct submission *s, struct api *api, struct http_request *req,
                 struct error *reterr)
{
    *s = (struct submission){.api = api, .req = req};
    if (api_use_database(api, req, reterr) != 0 || read_key(s, reterr) != 0)
        return -1;
    s->idempotency.route = arena_printf(req->arena, "%s %s", req->method_name, req->path);
    return 0;
}

/* Each part behind its length, so that no two requests run together to the same bytes. */
static bool hash_part(EVP_MD_CTX *ctx, const void *bytes, size_t size)
{
    uint64_t length = size;
    return EVP_DigestUpdate(ctx, &length, sizeof(length)) == 1 &&
           EVP_DigestUpdate(ctx, size > 0 ? bytes : "", size) == 1;
}

/* None is another thing than an empty one. */
static bool hash_text(EVP_MD_CTX *ctx, const char *text)
{
    return hash_part(ctx, text ? "+" : "-", 1) && hash_part(ctx, text, text ? strlen(text) : 0);
}

static bool hash_content(EVP_MD_CTX *ctx, const struct submit_content *content)
{
    const unsigned char *body = content->body;
    if (!content->parts)
        return hash_part(ctx, body, content->size);
    bool is_good = true;
    for (int i = 0; is_good && i < content->part_count; i++) {
        const struct multipart_part *part = &content->parts[i];
        is_good = hash_text(ctx, part->name) && hash_text(ctx, part->media_type) &&
                  hash_text(ctx, part->file_name) &&
                  hash_part(ctx, body + part->offset, part->size);
    }
    return is_good;
}

static bool hash_all(EVP_MD_CTX *ctx, const struct submission *s,
                     const struct submit_content *content)
{
    const struct http_request *req = s->req;
    char timeout[JSON_NUMBER_SIZE];
    json_format_number(content->timeout_seconds, timeout);
    return hash_text(ctx, s->idempotency.route) && hash_text(ctx, req->query) &&
           hash_text(ctx, content->parts ? req->media_type : req->content_type) &&
           hash_text(ctx, http_header(req, JOB_OPTIONS_HEADER)) && hash_text(ctx, timeout) &&
           hash_text(ctx, content->format) && hash_content(ctx, content);
}

static int hash_request(struct submission *s, const struct submit_content *content,
                        struct error *reterr)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
                   hash_all(ctx, s, content) && EVP_DigestFinal_ex(ctx, s->sha256, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    if (!is_good)
        return error_internal(reterr, "submit: SHA-256");
    s->idempotency.request_sha256 = s->sha256;
    return 0;
}

int submit_find(struct submission *s, const struct submit_content *content, int count,
                struct error *reterr)
{
    int found = 0;
    if (!s->idempotency.key)
        return 0;
    if (hash_request(s, content, reterr) != 0 ||
        job_find_stored(s->api->db, s->req->arena, s->api->caller.tenant, &s->idempotency,
                        &s->stored, &found, reterr) != 0)
        return -1;
    s->is_replayed = found > 0;
    if (found > 0 && found != count)
        return error_internal(reterr, "submit: a request for %d jobs had stored %d", count, found);
    return 0;
}

void submit_wake(const struct api *api)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path, sizeof(address.sun_path), "%s/runner.wake",
                        api->config->server_run_dir);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A runner that is away or has enough to do finds the jobs by itself. */
    if (fd >= 0 && size > 0 && (size_t)size < sizeof(address.sun_path))
        (void)sendto(fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address,
                     sizeof(address));
    if (fd >= 0)
        (void)close(fd);
}

int submit_store(struct submission *s, const struct job_new *jobs, int count, struct error *reterr)
{
    struct arena *a = s->req->arena;
    const struct caller *caller = &s->api->caller;
    const struct job_batch batch = {.tenant = caller->tenant,
                                    .jobs = jobs,
                                    .count = count,
                                    .idempotency = s->idempotency.key ? &s->idempotency : NULL,
                                    .is_awaited = s->is_awaited,
                                    .queued_limit =
                                        caller->key ? caller->key->limits.queued_jobs : 0};
    s->jobs = jobs;
    s->stored = arena_alloc(a, (size_t)count * sizeof(*s->stored));
    if (job_store(s->api->db, a, &batch, s->stored, &s->is_replayed, reterr) != 0) {
        if (reterr->code == ERR_NOT_FOUND)
            (void)error_set(reterr, ERR_INVALID_PARAMS,
                            "A file that the request names has just expired.");
        return -1;
    }
    if (!s->is_replayed)
        submit_wake(s->api);
    return 0;
}

/* Those that were there before, by their ids, from the database. */
static int read_older(struct submission *s, int count, struct job_row **ret_rows, int *ret_count,
                      struct error *reterr)
{
    struct arena *a = s->req->arena;
    int64_t *ids = arena_alloc(a, (size_t)count * sizeof(*ids));
    int older = 0;
    *ret_count = 0;
    for (int i = 0; i < count; i++) {
        if (!s->stored[i].is_new)
            ids[older++] = s->stored[i].id;
    }
    if (older == 0)
        return 0;
    if (job_get_many(s->api->db, a, s->api->caller.tenant, ids, older, ret_rows, ret_count,
                     reterr) != 0)
        return -1;
    if (*ret_count > 0)
        qsort(*ret_rows, (size_t)*ret_count, sizeof(**ret_rows), job_compare_ids);
    return 0;
}

int submit_rows(struct submission *s, int count, struct job_row **ret_rows, struct error *reterr)
{
    struct arena *a = s->req->arena;
    struct job_row *older = NULL, *rows = arena_alloc(a, (size_t)count * sizeof(*rows));
    int older_count;
    if (read_older(s, count, &older, &older_count, reterr) != 0)
        return -1;
    for (int i = 0; i < count; i++) {
        const struct job_row wanted = {.id = s->stored[i].id};
        if (s->stored[i].is_new) {
            rows[i] = job_new_row(s->api->caller.tenant, &s->jobs[i], &s->stored[i], a);
            continue;
        }
        const struct job_row *row = older_count > 0 ? bsearch(&wanted, older, (size_t)older_count,
                                                              sizeof(*older), job_compare_ids)
                                                    : NULL;
        if (!row)
            return error_set(reterr, ERR_GONE,
                             "Jobs of this request have been removed: their time to be kept is "
                             "over.");
        rows[i] = *row;
    }
    *ret_rows = rows;
    return 0;
}

/* ---- one task's request */

/* Each blob once, however often the job takes it. */
static void collect_blobs(struct arena *a, const struct binding *binding, struct job_new *job)
{
    int64_t *keys = arena_alloc(a, (size_t)binding->blob_count * sizeof(*keys));
    int kept = 0;
    for (int i = 0; i < binding->blob_count; i++)
        keys[i] = binding->blobs[i].key;
    qsort(keys, (size_t)binding->blob_count, sizeof(*keys), job_compare_ids);
    for (int i = 0; i < binding->blob_count; i++) {
        if (kept == 0 || keys[i] != keys[kept - 1])
            keys[kept++] = keys[i];
    }
    job->blobs = keys;
    job->blob_count = kept;
}

struct job_new submit_job(struct arena *a, const struct http_request *req,
                          const struct task_desc *task, const struct binding *binding)
{
    struct job_new job = {
        .task = task->name,
        .lane = arena_printf(a, "%s/%s", task_class_name(task->class), task->module),
        .params = binding_print(a, binding),
        .request_id = req->request_id,
        .traceparent = req->traceparent[0] ? req->traceparent : NULL,
    };
    if (binding->blob_count > 0)
        collect_blobs(a, binding, &job);
    return job;
}

static int write_bytes(struct blob_writer *w, const unsigned char *bytes, size_t size,
                       int64_t deadline_us, struct error *reterr)
{
    size_t part;
    for (; size > 0; size -= part, bytes += part) {
        part = size < BLOB_CHUNK_SIZE ? size : BLOB_CHUNK_SIZE;
        if (api_transfer_check(deadline_us, reterr) != 0 || blob_write(w, bytes, part, reterr) != 0)
            return -1;
    }
    return 0;
}

static int write_blob(const struct api *api, struct arena *a, const struct binding *binding, int i,
                      int64_t deadline_us, struct blob_info *ret_info, struct error *reterr)
{
    const struct order_input *input = &binding->inputs[i];
    const char *media_type = *input->media_type ? input->media_type : MEDIA_TYPE_UNKNOWN;
    struct blob_writer *w;
    if (blob_write_begin(api->db, a, api->caller.tenant, media_type, input->file_name, &w,
                         reterr) != 0)
        return -1;
    if (write_bytes(w, binding->body->bytes + input->offset, input->size, deadline_us, reterr) !=
        0) {
        blob_write_abort(w);
        return -1;
    }
    return blob_write_end(w, ret_info, reterr);
}

/* Inputs that did not come as JSON are kept as files, and the job names them. */
static int write_inputs(const struct api *api, struct arena *a, const struct task_desc *task,
                        struct binding *binding, struct error *reterr)
{
    const struct db_secret *secret;
    if (binding->json || binding->input_count == 0)
        return 0;
    if (db_read_secret(api->db, &secret, reterr) != 0)
        return -1;
    int64_t deadline_us = api_transfer_deadline(api, (int64_t)binding->body->size);
    binding->blobs = arena_alloc(a, (size_t)binding->input_count * sizeof(*binding->blobs));
    for (int i = 0; i < binding->input_count; i++) {
        char id[DB_ID_SIZE];
        struct blob_info info;
        if (write_blob(api, a, binding, i, deadline_us, &info, reterr) != 0)
            return -1;
        db_id_format(secret, DB_ID_BLOB, api->caller.tenant, info.key, id);
        binding_name_blob(a, task, binding, i, id);
        binding->blobs[binding->blob_count++] = (struct binding_blob){.input = i, .key = info.key};
    }
    return 0;
}

static int answer_stored(struct submission *s, const struct prefer *prefer,
                         struct http_response *res, struct error *reterr)
{
    struct api *api = s->api;
    struct arena *a = s->req->arena;
    const struct db_secret *secret;
    struct job_row *rows;
    char id[DB_ID_SIZE];
    int wait_s = prefer->wait_seconds > SUBMIT_WAIT_MAX ? SUBMIT_WAIT_MAX : prefer->wait_seconds;
    if (db_read_secret(api->db, &secret, reterr) != 0)
        return -1;
    db_id_format(secret, DB_ID_JOB, api->caller.tenant, s->stored[0].id, id);
    api->trace.job = arena_strdup(a, id);
    if (wait_s > 0 && api->has_hub) {
        submit_wait(api, res, id, s->is_awaited && s->stored[0].is_new, wait_s,
                    arena_printf(a, "/internal/runs/%s%s", id, s->is_replayed ? "/replayed" : ""));
        return 0;
    }
    if (submit_rows(s, 1, &rows, reterr) != 0)
        return -1;
    http_response_header(res, "Location", "/v1/jobs/%s", id);
    http_response_header(res, "Operation-Location", "/v1/jobs/%s", id);
    http_response_header(res, "Cache-Control", "no-store");
    if (prefer->respond_async)
        http_response_header(res, "Preference-Applied", "respond-async");
    if (s->is_replayed)
        http_response_header(res, "Idempotent-Replayed", "true");
    http_response_json(res, 202, job_view(a, secret, &rows[0]));
    return 0;
}

/* A request that is new: its blobs, its form, and its row. */
static int store_task(struct submission *s, const struct task_desc *task, struct binding *binding,
                      const struct accept *accept, const struct job_options *options,
                      struct field_errors *errors, struct error *reterr)
{
    struct arena *a = s->req->arena;
    if (binding_resolve(s->api->db, a, s->api->caller.tenant, &binding, 1, errors, reterr) != 0 ||
        negotiate(accept, task, binding, a, reterr) != 0 ||
        write_inputs(s->api, a, task, binding, reterr) != 0)
        return -1;
    struct job_new *job = arena_alloc(a, sizeof(*job));
    *job = submit_job(a, s->req, task, binding);
    job_options_apply(options, job);
    return submit_store(s, job, 1, reterr);
}

/* The format that the request asks for by itself: a file that it names may be gone by the time that
 * it is repeated. */
static int settle_format(const struct task_desc *task, struct binding *binding,
                         const struct accept *accept, struct arena *a, const char **ret_format,
                         struct error *reterr)
{
    if (negotiate(accept, task, binding, a, reterr) != 0)
        return -1;
    const char *format = cJSON_GetStringValue(json_member(binding->params, "format"));
    *ret_format = format ? arena_strdup(a, format) : NULL; /* it may be settled anew */
    return 0;
}

static int find_task_request(struct submission *s, const struct task_desc *task,
                             struct binding *binding, const struct accept *accept,
                             double timeout_seconds, struct error *reterr)
{
    struct submit_content content = {.body = binding->received,
                                     .size = binding->received_size,
                                     .parts = binding->parts,
                                     .part_count = binding->part_count,
                                     .timeout_seconds = timeout_seconds};
    if (settle_format(task, binding, accept, s->req->arena, &content.format, reterr) != 0)
        return -1;
    return submit_find(s, &content, 1, reterr);
}

int submit_task(struct api *api, struct http_request *req, const struct task_desc *task,
                const struct prefer *prefer, double timeout_seconds, struct http_response *res,
                struct field_errors *errors, struct error *reterr)
{
    struct submission s;
    struct job_options options;
    struct accept *accept;
    struct binding binding;
    if (submit_begin(&s, api, req, reterr) != 0 ||
        job_options_read_field(req->arena, api->config, http_header(req, JOB_OPTIONS_HEADER),
                               &options, reterr) != 0 ||
        accept_parse(req->arena, http_header(req, "Accept"), &accept, reterr) != 0 ||
        binding_read(req, api->config, task, &binding, errors, reterr) != 0)
        return -1;
    if (options.timeout_seconds == 0)
        options.timeout_seconds = timeout_seconds;
    if (find_task_request(&s, task, &binding, accept, options.timeout_seconds, reterr) != 0)
        return -1;
    s.is_awaited = prefer->wait_seconds > 0 && api->has_hub;
    if (!s.is_replayed && store_task(&s, task, &binding, accept, &options, errors, reterr) != 0)
        return -1;
    return answer_stored(&s, prefer, res, reterr);
}
