/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_read.c - one job, many by id, and lists; see job.h
 */
#include <string.h>

#include "db/job_internal.h"

static const struct db_statement get_statement = {
    .name = "job_get",
    .sql = "SELECT " JOB_COLUMNS_PARAMS " FROM gangsaw.any_job a WHERE a.id = $1",
};

static const struct db_statement get_result_statement = {
    .name = "job_get_result",
    .sql = "SELECT " JOB_COLUMNS_ALL " FROM gangsaw.any_job a WHERE a.id = $1",
};

static const struct db_statement states_statement = {
    .name = "job_states",
    .sql = "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a WHERE a.id = ANY ($1::bigint[])",
};

int job_get(struct db *db, struct arena *a, int64_t id, bool with_result, struct job_row *ret_row,
            struct error *reterr)
{
    const struct db_rows *rows;
    struct job_row *found;
    if (db_query(db, a, with_result ? &get_result_statement : &get_statement,
                 (struct db_value[]){db_int(a, id)}, 1, &rows, reterr) != 0)
        return -1;
    if (job_rows_read(rows, a, &found) == 0)
        return error_set(reterr, ERR_GONE, "The job is no longer kept.");
    *ret_row = found[0];
    return 0;
}

int job_get_many(struct db *db, struct arena *a, const int64_t *ids, int count,
                 struct job_row **ret_rows, int *ret_count, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &states_statement, (struct db_value[]){db_ints(a, ids, count)}, 1, &rows,
                 reterr) != 0)
        return -1;
    *ret_count = job_rows_read(rows, a, ret_rows);
    return 0;
}

void job_states_send(struct db *db, const int64_t *ids, int count, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &states_statement, (struct db_value[]){db_ints(a, ids, count)}, 1, done, context);
    arena_free(a);
}

/*
 * A state is part of the text, so that it proves which of the two tables, and which of the partial
 * indexes, it is about; and each set of filters is a statement of its own, so that it has its own
 * plan.
 */
#define LIST(suffix, where)                                                             \
    {                                                                                   \
        .name = "job_list" suffix,                                                      \
        .sql = "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a "                   \
               "WHERE a.id < $1::bigint " where "ORDER BY a.id DESC LIMIT $2::integer", \
    }
#define TASK "AND a.task = $3::text "
#define TAG(n) "AND a.tags @> ARRAY[$" #n "::text] "
/* By whether there is a task, and whether there is a tag. */
#define LISTS(suffix, where)                                 \
    {                                                        \
        {                                                    \
            LIST(suffix, where),                             \
            LIST(suffix "_tag", where TAG(3)),               \
        },                                                   \
            {                                                \
                LIST(suffix "_task", where TASK),            \
                LIST(suffix "_task_tag", where TASK TAG(4)), \
            },                                               \
    }
#define STATE_LISTS(state) LISTS("_" state, "AND a.state = '" state "' ")

static const struct db_statement list_any[2][2] = LISTS("", "");
static const struct db_statement list_by_state[JOB_STATE_COUNT][2][2] = {
    [JOB_QUEUED] = STATE_LISTS("queued"),   [JOB_SCHEDULED] = STATE_LISTS("scheduled"),
    [JOB_RUNNING] = STATE_LISTS("running"), [JOB_SUCCEEDED] = STATE_LISTS("succeeded"),
    [JOB_FAILED] = STATE_LISTS("failed"),   [JOB_CANCELED] = STATE_LISTS("canceled"),
};

int job_list(struct db *db, struct arena *a, const struct job_filter *filter,
             struct job_row **ret_rows, int *ret_count, struct error *reterr)
{
    int with_task = filter->task != NULL, with_tag = filter->tag != NULL, count = 2;
    const struct db_statement *s = filter->state < 0
                                       ? &list_any[with_task][with_tag]
                                       : &list_by_state[filter->state][with_task][with_tag];
    struct db_value values[4] = {
        db_int(a, filter->before > 0 ? filter->before : INT64_MAX),
        db_int(a, filter->limit),
    };
    const struct db_rows *rows;

    if (with_task)
        values[count++] = db_text(filter->task);
    if (with_tag)
        values[count++] = db_text(filter->tag);
    if (db_query(db, a, s, values, count, &rows, reterr) != 0)
        return -1;
    *ret_count = job_rows_read(rows, a, ret_rows);
    return 0;
}
