/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_view.c - see job_view.h
 *
 * Printed as it goes: of a batch of ten thousand jobs, a tree of each would take longer than to
 * store them.
 */
#include "api/job_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/timestamp.h"
#include "http/problem.h"

#define JOBS_PATH "/v1/jobs/"
#define PATH_SIZE (sizeof(JOBS_PATH) + DB_ID_SIZE)
#define NUMBERS_SIZE 128

struct view {
    struct strbuf *out;
    struct arena *arena; /* for what the database keeps as JSON */
    const struct job_row *row;
    const char *path; /* of the job, as it stands within a JSON string */
};

/* `label` is the member's name as it is printed: ",\"what\":". Here and below. */
static void add_text(const struct view *v, const char *label, const char *text)
{
    strbuf_addstr(v->out, label);
    if (text)
        strbuf_add_json(v->out, text, strlen(text));
    else
        strbuf_addstr(v->out, "null");
}

/* 0 is no time. */
static void add_time(const struct view *v, const char *label, int64_t us)
{
    char text[TIMESTAMP_SIZE];
    if (us != 0)
        timestamp_format(us, text);
    add_text(v, label, us != 0 ? text : NULL);
}

/* NaN is null. */
static void add_number(const struct view *v, const char *label, double number)
{
    char text[JSON_NUMBER_SIZE];
    strbuf_addstr(v->out, label);
    if (isnan(number)) {
        strbuf_addstr(v->out, "null");
        return;
    }
    json_format_number(number, text);
    strbuf_addstr(v->out, text);
}

/* In milliseconds; to the microsecond, as the times are. */
static void add_ms(const struct view *v, const char *label, double ms)
{
    add_number(v, label, isnan(ms) ? ms : round(fmax(ms, 0) * 1000) / 1000);
}

void job_view_read_errors(const cJSON *stored, struct field_errors *errors)
{
    const cJSON *list = json_member(stored, "errors");
    for (const cJSON *e = cJSON_IsArray(list) ? list->child : NULL; e; e = e->next) {
        const char *pointer = cJSON_GetStringValue(json_member(e, "pointer"));
        const char *detail = cJSON_GetStringValue(json_member(e, "detail"));
        if (pointer && detail)
            field_errors_add(errors, pointer, "%s", detail);
    }
}

static void add_field_errors(const struct view *v, const cJSON *stored)
{
    struct field_errors errors = {.arena = v->arena};
    job_view_read_errors(stored, &errors);
    for (const struct field_error *e = errors.first; e; e = e->next) {
        add_text(v,
                 e == errors.first ? ",\"errors\":[{\"pointer\":" : ",{\"pointer\":", e->pointer);
        add_text(v, ",\"detail\":", e->detail);
        strbuf_addch(v->out, '}');
    }
    if (errors.first)
        strbuf_addch(v->out, ']');
}

/* The database keeps code, detail and mistakes in parameters; clients get what a synchronous answer
 * would have said. */
static void add_problem(const struct view *v, const cJSON *stored)
{
    const char *name = cJSON_GetStringValue(json_member(stored, "code"));
    const char *detail = cJSON_GetStringValue(json_member(stored, "detail"));
    strbuf_addstr(v->out, ",\"error\":");
    if (!name) {
        strbuf_addstr(v->out, "null");
        return;
    }
    const struct problem *problem = problem_find(error_code_parse(name));
    strbuf_addf(v->out, "{\"type\":\"/problems/%s\"", error_name(problem->code));
    add_text(v, ",\"title\":", problem->title);
    strbuf_addf(v->out, ",\"status\":%d", problem->status);
    add_text(v, ",\"detail\":", detail ? detail : problem->description);
    if (v->row->request_id)
        add_text(v, ",\"request_id\":", v->row->request_id);
    add_field_errors(v, stored);
    strbuf_addch(v->out, '}');
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
        strbuf_addstr(v->out, ",\"progress\":null");
        return;
    }
    /* Stored as a real, whose double would show digits that nobody gave. */
    add_number(v, ",\"progress\":{\"fraction\":", round(row->fraction * 1e6) / 1e6);
    add_text(v, ",\"what\":", row->what);
    strbuf_addch(v->out, '}');
}

static void add_times(const struct view *v)
{
    const struct job_row *row = v->row;
    double wait_ms = NAN;
    if (row->started_us != 0)
        wait_ms = (double)(row->started_us - row->ready_us) / 1000;
    add_time(v, ",\"created_at\":", row->created_us);
    if (row->state == JOB_SCHEDULED)
        add_time(v, ",\"run_at\":", row->ready_us);
    add_time(v, ",\"started_at\":", row->started_us);
    add_time(v, ",\"finished_at\":", row->finished_us);
    add_ms(v, ",\"wait_ms\":", wait_ms);
    add_ms(v, ",\"run_ms\":", row->run_ms);
}

static void add_attempt(const struct view *v, bool is_first, double number, int64_t started_us,
                        int64_t finished_us, const cJSON *error)
{
    add_number(v, is_first ? "{\"attempt\":" : ",{\"attempt\":", number);
    add_time(v, ",\"started_at\":", started_us);
    add_time(v, ",\"finished_at\":", finished_us);
    add_problem(v, error);
    strbuf_addch(v->out, '}');
}

/* A time as the database writes it within JSON. */
static int64_t stored_time(const cJSON *stored)
{
    int64_t us;
    const char *text = cJSON_GetStringValue(stored);
    return text && timestamp_parse(text, &us) ? us : 0;
}

static void add_attempts(const struct view *v, const cJSON *last_error)
{
    const struct job_row *row = v->row;
    const cJSON *stored = parse(v, row->attempts);
    bool is_first = true;
    strbuf_addstr(v->out, ",\"attempts\":[");
    for (const cJSON *a = cJSON_IsArray(stored) ? stored->child : NULL; a; a = a->next) {
        const cJSON *number = json_member(a, "attempt");
        add_attempt(v, is_first, cJSON_IsNumber(number) ? number->valuedouble : 0,
                    stored_time(json_member(a, "started_at")),
                    stored_time(json_member(a, "finished_at")), json_member(a, "error"));
        is_first = false;
    }
    if (job_state_is_final(row->state) && row->started_us != 0) /* the one that ended the job */
        add_attempt(v, is_first, row->attempt, row->started_us, row->finished_us, last_error);
    strbuf_addch(v->out, ']');
}

static void add_tags(const struct view *v)
{
    strbuf_addstr(v->out, ",\"tags\":[");
    for (const char **tag = v->row->tags; tag && *tag; tag++)
        add_text(v, tag == v->row->tags ? "" : ",", *tag);
    strbuf_addch(v->out, ']');
}

static void add_link(const struct view *v, const char *label, const char *name)
{
    strbuf_addstr(v->out, label);
    strbuf_addstr(v->out, v->path);
    strbuf_addstr(v->out, name);
    strbuf_addch(v->out, '"');
}

static void add_output_links(const struct view *v)
{
    const struct job_row *row = v->row;
    for (int i = 0; i < row->output_count; i++) {
        const char *name = row->outputs[i].name;
        add_text(v, i > 0 ? "," : ",\"outputs\":{", name);
        add_text(v, ":", arena_printf(v->arena, "%s/outputs/%s", v->path, name));
    }
    if (row->output_count > 0)
        strbuf_addch(v->out, '}');
}

/* Those that every job has. */
static void add_plain_links(const struct view *v)
{
    add_link(v, ",\"links\":{\"self\":\"", "");
    add_link(v, ",\"result\":\"", "/result");
    add_link(v, ",\"events\":\"", "/events");
}

static void add_links(const struct view *v)
{
    add_plain_links(v);
    if (job_state_is_final(v->row->state))
        add_link(v, ",\"retry\":\"", "/retry");
    else
        add_link(v, ",\"cancel\":\"", "/cancel");
    add_output_links(v);
    strbuf_addch(v->out, '}');
}

static void add_view(struct strbuf *out, struct arena *a, const struct db_secret *secret,
                     const struct job_row *row)
{
    char id[DB_ID_SIZE], path[PATH_SIZE], numbers[NUMBERS_SIZE];
    const struct view v = {.out = out, .arena = a, .row = row, .path = path};
    db_id_format(secret, DB_ID_JOB, row->tenant, row->id, id);
    (void)snprintf(path, sizeof(path), JOBS_PATH "%s", id);
    const cJSON *error = parse(&v, row->error);
    add_text(&v, "{\"id\":", id);
    add_text(&v, ",\"task\":", row->task);
    add_text(&v, ",\"state\":", job_state_name(row->state));
    (void)snprintf(numbers, sizeof(numbers), ",\"attempt\":%d,\"max_attempts\":%d,\"priority\":%d",
                   row->attempt, row->max_attempts, row->priority);
    strbuf_addstr(out, numbers);
    add_progress(&v);
    add_times(&v);
    add_problem(&v, error);
    add_attempts(&v, error);
    add_tags(&v);
    add_text(&v, ",\"traceparent\":", row->traceparent);
    add_links(&v);
    strbuf_addch(out, '}');
}

/* What was printed as a value. */
static cJSON *raw_value(struct arena *a, struct strbuf *out)
{
    cJSON *value = arena_alloc(a, sizeof(*value));
    *value = (cJSON){.type = cJSON_Raw, .valuestring = arena_strndup(a, out->text, out->size)};
    strbuf_release(out);
    return value;
}

cJSON *job_view(struct arena *a, const struct db_secret *secret, const struct job_row *row)
{
    struct strbuf out = STRBUF_INIT;
    add_view(&out, a, secret, row);
    return raw_value(a, &out);
}

cJSON *job_view_address(struct arena *a, const char *id)
{
    struct strbuf out = STRBUF_INIT, path = STRBUF_INIT;
    struct view v = {.out = &out, .arena = a};
    strbuf_add_json(&path, id, strlen(id)); /* nobody has looked at it yet */
    v.path = arena_printf(a, JOBS_PATH "%.*s", (int)path.size - 2, path.text + 1);
    strbuf_release(&path);
    add_text(&v, "{\"id\":", id);
    add_plain_links(&v);
    strbuf_addstr(&out, "}}");
    return raw_value(a, &out);
}

void job_views_add(struct strbuf *out, const struct db_secret *secret, const struct job_row *rows,
                   int count)
{
    struct arena *scratch = arena_new();
    strbuf_addch(out, '[');
    for (int i = 0; i < count; i++) {
        if (i > 0)
            strbuf_addch(out, ',');
        add_view(out, scratch, secret, &rows[i]);
        arena_reset(scratch);
    }
    strbuf_addch(out, ']');
    arena_free(scratch);
}
