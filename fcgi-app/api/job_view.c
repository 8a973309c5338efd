/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_view.c - see job_view.h
 */
#include "api/job_view.h"

#include <math.h>
#include <string.h>

#include "api/timestamp.h"
#include "http/problem.h"

#define JOBS_PATH "/v1/jobs/"

struct view {
    struct arena *arena;
    const struct job_row *row;
    const char *path; /* of the job */
    cJSON *root;
};

static void add_text(cJSON *object, const char *name, const char *text)
{
    if (text)
        (void)cJSON_AddStringToObject(object, name, text);
    else
        (void)cJSON_AddNullToObject(object, name);
}

/* 0 is no time. */
static void add_time(cJSON *object, const char *name, int64_t us)
{
    char text[TIMESTAMP_SIZE];
    if (us != 0)
        timestamp_format(us, text);
    add_text(object, name, us != 0 ? text : NULL);
}

/* In milliseconds; to the microsecond, as the times are. */
static void add_ms(cJSON *object, const char *name, double ms)
{
    if (isnan(ms))
        (void)cJSON_AddNullToObject(object, name);
    else
        (void)cJSON_AddNumberToObject(object, name, round(fmax(ms, 0) * 1000) / 1000);
}

/* The database keeps code and detail; clients get what a synchronous answer would have said. */
static cJSON *problem_of(const struct view *v, const cJSON *stored)
{
    const char *name = cJSON_GetStringValue(json_member(stored, "code"));
    const char *detail = cJSON_GetStringValue(json_member(stored, "detail"));
    if (!name)
        return cJSON_CreateNull();
    const struct problem *problem = problem_find(error_code_parse(name));
    cJSON *object = cJSON_CreateObject();
    const char *type = arena_printf(v->arena, "/problems/%s", error_name(problem->code));
    (void)cJSON_AddStringToObject(object, "type", type);
    (void)cJSON_AddStringToObject(object, "title", problem->title);
    (void)cJSON_AddNumberToObject(object, "status", problem->status);
    (void)cJSON_AddStringToObject(object, "detail", detail ? detail : problem->description);
    if (v->row->request_id)
        (void)cJSON_AddStringToObject(object, "request_id", v->row->request_id);
    return object;
}

/* What the database gave is JSON; should it not be, it is left out. */
static const cJSON *parse(const struct view *v, const char *text)
{
    cJSON *value;
    struct error ignored;
    if (!text || json_parse(v->arena, text, strlen(text), &value, &ignored) != 0)
        return NULL;
    return value;
}

static void add_progress(const struct view *v)
{
    const struct job_row *row = v->row;
    if (isnan(row->fraction) && !row->what) {
        (void)cJSON_AddNullToObject(v->root, "progress");
        return;
    }
    cJSON *progress = cJSON_AddObjectToObject(v->root, "progress");
    if (isnan(row->fraction))
        (void)cJSON_AddNullToObject(progress, "fraction");
    else /* stored as a real, whose double would show digits that nobody gave */
        (void)cJSON_AddNumberToObject(progress, "fraction", round(row->fraction * 1e6) / 1e6);
    add_text(progress, "what", row->what);
}

static void add_times(const struct view *v)
{
    const struct job_row *row = v->row;
    double wait_ms = NAN;
    if (row->started_us != 0)
        wait_ms = (double)(row->started_us - row->ready_us) / 1000;
    add_time(v->root, "created_at", row->created_us);
    if (row->state == JOB_SCHEDULED)
        add_time(v->root, "run_at", row->ready_us);
    add_time(v->root, "started_at", row->started_us);
    add_time(v->root, "finished_at", row->finished_us);
    add_ms(v->root, "wait_ms", wait_ms);
    add_ms(v->root, "run_ms", row->run_ms);
}

/* A time as the database writes it within JSON, in our notation. */
static void add_stored_time(cJSON *object, const char *name, const cJSON *stored)
{
    int64_t us;
    const char *text = cJSON_GetStringValue(stored);
    add_time(object, name, text && timestamp_parse(text, &us) ? us : 0);
}

static void add_attempts(const struct view *v, const cJSON *last_error)
{
    const struct job_row *row = v->row;
    cJSON *attempts = cJSON_AddArrayToObject(v->root, "attempts");
    const cJSON *stored = parse(v, row->attempts);
    for (const cJSON *a = cJSON_IsArray(stored) ? stored->child : NULL; a; a = a->next) {
        const cJSON *number = json_member(a, "attempt");
        cJSON *shown = cJSON_CreateObject();
        (void)cJSON_AddNumberToObject(shown, "attempt",
                                      cJSON_IsNumber(number) ? number->valuedouble : 0);
        add_stored_time(shown, "started_at", json_member(a, "started_at"));
        add_stored_time(shown, "finished_at", json_member(a, "finished_at"));
        (void)cJSON_AddItemToObject(shown, "error", problem_of(v, json_member(a, "error")));
        (void)cJSON_AddItemToArray(attempts, shown);
    }
    if (!job_state_is_final(row->state) || row->started_us == 0)
        return;
    cJSON *last = cJSON_CreateObject(); /* the one that ended the job */
    (void)cJSON_AddNumberToObject(last, "attempt", row->attempt);
    add_time(last, "started_at", row->started_us);
    add_time(last, "finished_at", row->finished_us);
    (void)cJSON_AddItemToObject(last, "error", problem_of(v, last_error));
    (void)cJSON_AddItemToArray(attempts, last);
}

static void add_tags(const struct view *v)
{
    cJSON *tags = cJSON_AddArrayToObject(v->root, "tags");
    for (const char **tag = v->row->tags; tag && *tag; tag++)
        (void)cJSON_AddItemToArray(tags, cJSON_CreateString(*tag));
}

static void add_link(const struct view *v, cJSON *links, const char *name)
{
    (void)cJSON_AddStringToObject(links, name, arena_printf(v->arena, "%s/%s", v->path, name));
}

static void add_links(const struct view *v)
{
    const struct job_row *row = v->row;
    cJSON *links = cJSON_AddObjectToObject(v->root, "links");
    (void)cJSON_AddStringToObject(links, "self", v->path);
    add_link(v, links, "result");
    add_link(v, links, "events");
    add_link(v, links, job_state_is_final(row->state) ? "retry" : "cancel");
    if (row->output_count == 0)
        return;
    cJSON *outputs = cJSON_AddObjectToObject(links, "outputs");
    for (int i = 0; i < row->output_count; i++) {
        const char *name = row->outputs[i].name;
        (void)cJSON_AddStringToObject(outputs, name,
                                      arena_printf(v->arena, "%s/outputs/%s", v->path, name));
    }
}

cJSON *job_view(struct arena *a, const struct db_secret *secret, const struct job_row *row)
{
    char id[DB_ID_SIZE];
    db_id_format(secret, DB_ID_JOB, row->id, id);
    const struct view v = {a, row, arena_printf(a, JOBS_PATH "%s", id), json_object(a)};
    const cJSON *error = parse(&v, row->error);
    (void)cJSON_AddStringToObject(v.root, "id", id);
    (void)cJSON_AddStringToObject(v.root, "task", row->task);
    (void)cJSON_AddStringToObject(v.root, "state", job_state_name(row->state));
    (void)cJSON_AddNumberToObject(v.root, "attempt", row->attempt);
    (void)cJSON_AddNumberToObject(v.root, "max_attempts", row->max_attempts);
    (void)cJSON_AddNumberToObject(v.root, "priority", row->priority);
    add_progress(&v);
    add_times(&v);
    (void)cJSON_AddItemToObject(v.root, "error", problem_of(&v, error));
    add_attempts(&v, error);
    add_tags(&v);
    add_links(&v);
    return v.root;
}

void job_views_add(struct strbuf *out, const struct db_secret *secret, const struct job_row *rows,
                   int count)
{
    struct arena *scratch = arena_new();
    strbuf_addch(out, '[');
    for (int i = 0; i < count; i++) {
        size_t size;
        const char *text = json_print(scratch, job_view(scratch, secret, &rows[i]), &size);
        if (i > 0)
            strbuf_addch(out, ',');
        strbuf_add(out, text, size);
        arena_reset(scratch);
    }
    strbuf_addch(out, ']');
    arena_free(scratch);
}
