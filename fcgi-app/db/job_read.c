/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_read.c - one job, many by id, and lists; see job.h
 */
#include <string.h>

#include "db/job_internal.h"

static const struct db_statement get_statement = {
    .name = "job_get",
    .sql = "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a WHERE a.id = $1",
};

static const struct db_statement get_result_statement = {
    .name = "job_get_result",
    .sql = "SELECT " JOB_COLUMNS_RESULT " FROM gangsaw.any_job a WHERE a.id = $1",
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
 * plan. All walk an index from its end until there are enough: by tag alone it is that of job_tag,
 * with each job looked up; elsewhere the tag only filters, since few jobs are in the other states,
 * or have the task.
 */
#define LIST_SQL(where)                                                                  \
    "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a WHERE a.id < $1::bigint " where \
    "ORDER BY a.id DESC LIMIT $2::integer"
#define LIST_BY_TAG_SQL(where)                                                    \
    "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.job_tag t CROSS JOIN LATERAL ("    \
    "    SELECT * FROM gangsaw.any_job a WHERE a.id = t.job " where "LIMIT 1) a " \
    "WHERE t.tag = $3::text AND t.job < $1::bigint "                              \
    "ORDER BY t.tag DESC, t.job DESC LIMIT $2::integer"
#define TASK "AND a.task = $3::text "
#define TAG "AND a.tags @> ARRAY[$3::text] "
#define TASK_AND_TAG "AND a.task = $3::text AND a.tags @> ARRAY[$4::text] "

struct list_statements {
    struct db_statement all, by_task, by_tag, by_both;
};

#define LISTS(suffix, where, by_tag_sql)                                                  \
    {                                                                                     \
        .all = {.name = "job_list" suffix, .sql = LIST_SQL(where)},                       \
        .by_task = {.name = "job_list_task" suffix, .sql = LIST_SQL(where TASK)},         \
        .by_tag = {.name = "job_list_tag" suffix, .sql = by_tag_sql},                     \
        .by_both = {.name = "job_list_both" suffix, .sql = LIST_SQL(where TASK_AND_TAG)}, \
    }
#define OF_STATE(state) "AND a.state = '" state "' "
#define MOST(state) LISTS("_" state, OF_STATE(state), LIST_BY_TAG_SQL(OF_STATE(state)))
#define FEW(state) LISTS("_" state, OF_STATE(state), LIST_SQL(OF_STATE(state) TAG))

static const struct list_statements lists_of_any = LISTS("", "", LIST_BY_TAG_SQL(""));
static const struct list_statements lists_by_state[JOB_STATE_COUNT] = {
    [JOB_QUEUED] = FEW("queued"),   [JOB_SCHEDULED] = FEW("scheduled"),
    [JOB_RUNNING] = FEW("running"), [JOB_SUCCEEDED] = MOST("succeeded"),
    [JOB_FAILED] = FEW("failed"),   [JOB_CANCELED] = FEW("canceled"),
};

static const struct db_statement *list_statement(const struct job_filter *filter)
{
    const struct list_statements *lists =
        filter->state < 0 ? &lists_of_any : &lists_by_state[filter->state];
    if (filter->task)
        return filter->tag ? &lists->by_both : &lists->by_task;
    return filter->tag ? &lists->by_tag : &lists->all;
}

int job_list(struct db *db, struct arena *a, const struct job_filter *filter,
             struct job_row **ret_rows, int *ret_count, struct error *reterr)
{
    struct db_value values[4] = {
        db_int(a, filter->before > 0 ? filter->before : INT64_MAX),
        db_int(a, filter->limit),
    };
    const struct db_rows *rows;
    int count = 2;

    if (filter->task)
        values[count++] = db_text(filter->task);
    if (filter->tag)
        values[count++] = db_text(filter->tag);
    if (db_query(db, a, list_statement(filter), values, count, &rows, reterr) != 0)
        return -1;
    *ret_count = job_rows_read(rows, a, ret_rows);
    return 0;
}
