/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jobs.c - stored jobs: shown, listed, cancelled, put back into the queue
 *
 * Nobody waits here: a client that wants to is passed to the hub.
 */
#include <stdlib.h>
#include <string.h>

#include "api/arguments.h"
#include "api/handlers.h"
#include "api/job_view.h"
#include "api/submit.h"
#include "base/strbuf.h"

#define LIST_DEFAULT 50
#define LIST_MAX 1000

static int answer_job(struct api *api, struct http_request *req, const struct job_row *row,
                      struct http_response *res, struct error *reterr)
{
    const struct db_secret *secret;
    if (db_read_secret(api->db, &secret, reterr) != 0)
        return -1;
    api->trace.task = row->task;
    http_response_header(res, "Cache-Control", "no-store");
    http_response_json(res, 200, job_view(req->arena, secret, row));
    return 0;
}

HANDLER(jobs_show)
{
    static const char *const names[] = {"wait", NULL};
    struct api *api = context;
    const char *wait;
    struct job_row row;
    int64_t key;
    if (jobs_find(api, req, match->params[0], &key, reterr) != 0 ||
        arguments_read(req, names, &wait, errors, reterr) != 0)
        return -1;
    int wait_s = argument_number(wait, 0, SUBMIT_WAIT_MAX, 0, "/wait", errors);
    if (errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "wait is not valid.");
    if (job_get(api->db, req->arena, api->caller.tenant, key, false, &row, reterr) != 0)
        return -1;
    if (wait_s > 0 && api->has_hub && !job_state_is_final(row.state)) {
        const char *id = match->params[0];
        submit_wait(api, res, id, false, wait_s, arena_printf(req->arena, "/internal/jobs/%s", id));
        return 0;
    }
    return answer_job(api, req, &row, res, reterr);
}

HANDLER(jobs_events)
{
    struct api *api = context;
    struct job_row row;
    int64_t key;
    if (jobs_find(api, req, match->params[0], &key, reterr) != 0 ||
        arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        job_get(api->db, req->arena, api->caller.tenant, key, false, &row, reterr) != 0)
        return -1;
    if (!api->has_hub)
        return error_set(reterr, ERR_UNAVAILABLE, "Events are served behind nginx only.");
    submit_redirect(res, "/internal/events?job=%s&tenant=%s&key=%s", match->params[0],
                    api->caller.tenant, api->caller.key ? api->caller.key->id : "");
    return 0;
}

/* The job as it is now, after it was changed. */
static int answer_changed(struct api *api, struct http_request *req, int64_t key,
                          struct http_response *res, struct error *reterr)
{
    struct job_row row;
    if (job_get(api->db, req->arena, api->caller.tenant, key, false, &row, reterr) != 0)
        return -1;
    return answer_job(api, req, &row, res, reterr);
}

HANDLER(jobs_cancel)
{
    struct api *api = context;
    int64_t key;
    if (jobs_find(api, req, match->params[0], &key, reterr) != 0 ||
        arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        job_cancel(api->db, req->arena, api->caller.tenant, key, api->config->jobs_retention_days,
                   reterr) != 0)
        return -1;
    return answer_changed(api, req, key, res, reterr);
}

/* A live job stays as it is, so it is not one more in the queue. */
static int check_queue(const struct api *api, const struct http_request *req, int64_t key,
                       struct error *reterr)
{
    const struct caller *caller = &api->caller;
    int64_t limit = caller->key ? caller->key->limits.queued_jobs : 0;
    struct job_row row;
    if (limit == 0)
        return 0;
    if (job_get(api->db, req->arena, caller->tenant, key, false, &row, reterr) != 0)
        return -1;
    return job_state_is_final(row.state)
               ? job_check_queue(api->db, req->arena, caller->tenant, limit, 1, reterr)
               : 0;
}

HANDLER(jobs_retry)
{
    struct api *api = context;
    int64_t key;
    if (jobs_find(api, req, match->params[0], &key, reterr) != 0 ||
        arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        check_queue(api, req, key, reterr) != 0 ||
        job_retry(api->db, req->arena, api->caller.tenant, key, reterr) != 0)
        return -1;
    submit_wake(api);
    return answer_changed(api, req, key, res, reterr);
}

/* ---- the list */

enum list_argument { LIST_STATE, LIST_TASK, LIST_TAG, LIST_LIMIT, LIST_CURSOR, LIST_ARGUMENTS };

static const char *const list_names[LIST_ARGUMENTS + 1] = {"state", "task",   "tag",
                                                           "limit", "cursor", NULL};

static const char *list_states(struct arena *a)
{
    const char *list = job_state_name(0);
    for (int i = 1; i < JOB_STATE_COUNT; i++)
        list = arena_printf(a, "%s, %s", list, job_state_name((enum job_state)i));
    return list;
}

static int read_filter(const struct http_request *req, const struct db_secret *secret,
                       const char *tenant, const char *const *values, struct job_filter *ret_filter,
                       struct field_errors *errors, struct error *reterr)
{
    struct job_filter f = {
        .tenant = tenant, .state = -1, .task = values[LIST_TASK], .tag = values[LIST_TAG]};
    if (values[LIST_STATE] && (f.state = job_state_parse(values[LIST_STATE])) < 0)
        field_errors_add(errors, "/state", "must be one of %s", list_states(req->arena));
    f.limit = argument_number(values[LIST_LIMIT], 1, LIST_MAX, LIST_DEFAULT, "/limit", errors);
    if (errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.", errors->count);
    if (values[LIST_CURSOR] &&
        !db_id_parse(secret, DB_ID_CURSOR, tenant, values[LIST_CURSOR], &f.before))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The cursor is none that this server gave: take next_cursor as it is.");
    *ret_filter = f;
    return 0;
}

static void add_encoded(struct strbuf *out, const char *text)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (const char *c = text; *c; c++) {
        if (strchr(plain, *c))
            strbuf_addch(out, *c);
        else
            strbuf_addf(out, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

/* The same question, from where this answer ends. */
static void add_next_link(struct http_response *res, const char *const *values, const char *cursor)
{
    struct strbuf query = STRBUF_INIT;
    for (int i = 0; i < LIST_CURSOR; i++) {
        if (!values[i])
            continue;
        strbuf_addf(&query, "%s=", list_names[i]);
        add_encoded(&query, values[i]);
        strbuf_addch(&query, '&');
    }
    http_response_header(res, "Link", "</v1/jobs?%scursor=%s>; rel=\"next\"", query.text, cursor);
    strbuf_release(&query);
}

HANDLER(jobs_list)
{
    struct api *api = context;
    const char *tenant = api->caller.tenant;
    const struct db_secret *secret;
    const char *values[LIST_ARGUMENTS];
    struct job_filter filter;
    struct job_row *rows;
    int count;
    (void)match;
    if (api_use_database(api, req, reterr) != 0 ||
        arguments_read(req, list_names, values, errors, reterr) != 0 ||
        db_read_secret(api->db, &secret, reterr) != 0 ||
        read_filter(req, secret, tenant, values, &filter, errors, reterr) != 0)
        return -1;
    int limit = filter.limit++; /* one more tells whether there are more */
    if (job_list(api->db, req->arena, &filter, &rows, &count, reterr) != 0)
        return -1;
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"jobs\":");
    job_views_add(&out, secret, rows, count < limit ? count : limit);
    if (count > limit) {
        char cursor[DB_ID_SIZE];
        db_id_format(secret, DB_ID_CURSOR, tenant, rows[limit - 1].id, cursor);
        strbuf_addf(&out, ",\"next_cursor\":\"%s\"}", cursor);
        add_next_link(res, values, cursor);
    } else {
        strbuf_addstr(&out, ",\"next_cursor\":null}");
    }
    http_response_header(res, "Cache-Control", "no-store");
    http_response_body(res, 200, "application/json", arena_own(req->arena, out.text, free),
                       out.size);
    return 0;
}
