/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_row.c - a row of job or job_done as a struct; see job.h
 */
#include "db/job_internal.h"

#include <math.h>
#include <string.h>

#include "base/json.h"

static const char *const state_names[JOB_STATE_COUNT] = {
    [JOB_QUEUED] = "queued",       [JOB_SCHEDULED] = "scheduled", [JOB_RUNNING] = "running",
    [JOB_SUCCEEDED] = "succeeded", [JOB_FAILED] = "failed",       [JOB_CANCELED] = "canceled",
};

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

int job_state_parse(const char *name)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++) {
        if (strcmp(state_names[i], name) == 0)
            return i;
    }
    return -1;
}

bool job_state_is_final(enum job_state state)
{
    return state >= JOB_SUCCEEDED;
}

int64_t job_us(double ms)
{
    return ms >= 0 && ms < 1e15 ? llround(ms * 1000) : -1;
}

static const char *read_text(const struct db_rows *rows, int row, int column, struct arena *a)
{
    const char *text = db_get_text(rows, row, column);
    return text ? arena_strdup(a, text) : NULL;
}

/* What the database holds was checked when it came; what is not as it should be reads as nothing.
 */
static const cJSON *read_array(const struct db_rows *rows, int row, int column, struct arena *a)
{
    const char *text = db_get_text(rows, row, column);
    cJSON *array;
    if (!text || json_parse(a, text, strlen(text), &array, NULL) != 0)
        return NULL;
    return cJSON_IsArray(array) ? array : NULL;
}

static const char **read_tags(const struct db_rows *rows, int row, int column, struct arena *a)
{
    const cJSON *array = read_array(rows, row, column, a), *item;
    if (!array)
        return NULL;
    const char **tags = arena_alloc(a, ((size_t)cJSON_GetArraySize(array) + 1) * sizeof(*tags));
    int count = 0;
    cJSON_ArrayForEach(item, array)
    {
        if (cJSON_IsString(item))
            tags[count++] = item->valuestring;
    }
    return tags;
}

static int64_t read_whole(const cJSON *object, const char *name)
{
    const cJSON *value = json_member(object, name);
    return json_is_integer(value) ? (int64_t)value->valuedouble : 0;
}

static const char *read_member(const cJSON *object, const char *name)
{
    const cJSON *value = json_member(object, name);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void read_outputs(const struct db_rows *rows, int row, int column, struct arena *a,
                         struct job_row *job)
{
    const cJSON *array = read_array(rows, row, column, a), *item;
    if (!array)
        return;
    job->outputs = arena_alloc(a, (size_t)cJSON_GetArraySize(array) * sizeof(*job->outputs));
    cJSON_ArrayForEach(item, array)
    {
        job->outputs[job->output_count++] = (struct job_output){
            .name = read_member(item, "name"),
            .media_type = read_member(item, "media_type"),
            .sha256 = read_member(item, "sha256"),
            .size = read_whole(item, "size"),
            .blob = read_whole(item, "blob"),
        };
    }
}

static void read_row(const struct db_rows *rows, int row, struct arena *a, struct job_row *job)
{
    int state = job_state_parse(db_get_text(rows, row, 2));
    *job = (struct job_row){
        .id = db_get_int(rows, row, 0),
        .lease = db_get_int(rows, row, 1),
        .state = state < 0 ? JOB_FAILED : (enum job_state)state,
        .task = read_text(rows, row, 3, a),
        .lane = read_text(rows, row, 4, a),
        .tenant = read_text(rows, row, 5, a),
        .params = read_text(rows, row, 6, a),
        .unique_key = read_text(rows, row, 7, a),
        .request_id = read_text(rows, row, 8, a),
        .tags = read_tags(rows, row, 9, a),
        .priority = (int)db_get_int(rows, row, 10),
        .attempt = (int)db_get_int(rows, row, 11),
        .crashes = (int)db_get_int(rows, row, 12),
        .max_attempts = (int)db_get_int(rows, row, 13),
        .timeout_seconds = db_get_real(rows, row, 14),
        .fraction = db_get_real(rows, row, 15),
        .what = read_text(rows, row, 16, a),
        .created_us = db_get_int(rows, row, 17),
        .ready_us = db_get_int(rows, row, 18),
        .started_us = db_get_int(rows, row, 19),
        .finished_us = db_get_int(rows, row, 20),
        .run_ms = db_get_real(rows, row, 21),
        .cpu_ms = db_get_real(rows, row, 22),
        .attempts = read_text(rows, row, 23, a),
        .error = read_text(rows, row, 24, a),
        .result = read_text(rows, row, 25, a),
        .traceparent = read_text(rows, row, 27, a),
    };
    read_outputs(rows, row, 26, a, job);
}

int job_rows_read(const struct db_rows *rows, struct arena *a, struct job_row **ret_rows)
{
    int count = db_count(rows);
    *ret_rows = arena_alloc(a, (size_t)count * sizeof(**ret_rows));
    for (int i = 0; i < count; i++)
        read_row(rows, i, a, &(*ret_rows)[i]);
    return count;
}
