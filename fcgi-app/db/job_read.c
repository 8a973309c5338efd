/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_read.c - one job, many by id, and lists; see job.h
 */
#include <string.h>

#include "db/job_internal.h"

/* One of another tenant is sorted out where it is read: asked for tenant and id together, a plan
 * that was made while the tables were empty may choose an index that has both, and walk all
 * between. */
static const struct db_statement get_statement = {
    .name = "job_get",
    .sql = "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a WHERE a.id = $1",
};

static const struct db_statement get_result_statement = {
    .name = "job_get_result",
    .sql = "SELECT " JOB_COLUMNS_RESULT " FROM gangsaw.any_job a WHERE a.id = $1",
};

/* One that has just ended lies in the newest partition, or around midnight in one of two: the
 * others are not looked at. */
static const struct db_statement get_ended_statement = {
    .name = "job_get_ended",
    .sql = "SELECT " JOB_COLUMNS_RESULT " "
           "FROM (SELECT d.*, NULL::real AS fraction, NULL::text AS what "
           "      FROM gangsaw.job_done d) a "
           "WHERE a.id = $1 AND a.finished_at BETWEEN now() - interval '10 minutes' AND now()",
};

static const struct db_statement states_statement = {
    .name = "job_states",
    .sql = "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.any_job a WHERE a.id = ANY ($1::bigint[])",
};

int job_get(struct db *db, struct arena *a, const char *tenant, int64_t id, bool with_result,
            struct job_row *ret_row, struct error *reterr)
{
    const struct db_rows *rows;
    struct job_row *found;
    if (db_query(db, a, with_result ? &get_result_statement : &get_statement,
                 (struct db_value[]){db_int(a, id)}, 1, &rows, reterr) != 0)
        return -1;
    if (job_rows_read(rows, a, &found) == 0 || strcmp(found[0].tenant, tenant) != 0)
        return error_set(reterr, ERR_GONE, "The job is no longer kept.");
    *ret_row = found[0];
    return 0;
}

int job_get_ended(struct db *db, struct arena *a, const char *tenant, int64_t id,
                  struct job_row *ret_row, struct error *reterr)
{
    const struct db_rows *rows;
    struct job_row *found;
    if (db_query(db, a, &get_ended_statement, (struct db_value[]){db_int(a, id)}, 1, &rows,
                 reterr) != 0)
        return -1;
    if (job_rows_read(rows, a, &found) == 0 || strcmp(found[0].tenant, tenant) != 0)
        return job_get(db, a, tenant, id, true, ret_row, reterr);
    *ret_row = found[0];
    return 0;
}

int job_get_many(struct db *db, struct arena *a, const char *tenant, const int64_t *ids, int count,
                 struct job_row **ret_rows, int *ret_count, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &states_statement, (struct db_value[]){db_ints(a, ids, count)}, 1, &rows,
                 reterr) != 0)
        return -1;
    int found = job_rows_read(rows, a, ret_rows), kept = 0;
    for (int i = 0; i < found; i++) {
        if (strcmp((*ret_rows)[i].tenant, tenant) == 0)
            (*ret_rows)[kept++] = (*ret_rows)[i];
    }
    *ret_count = kept;
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
 * plan. All walk an index, of the tenant's jobs alone, from its end until there are enough: by tag
 * alone it is that of job_tag, with each job looked up; elsewhere the tag only filters, since few
 * jobs are in the other states, or have the task. An order by tenant and id, of which neither is
 * given, is only had from an index that begins with the tenant.
 */
#define LIST_SQL(view, where)                                                         \
    "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw." view " a "                           \
    "WHERE (a.tenant, a.id) < ($3::text, $1::bigint) AND a.tenant >= $3::text " where \
    "ORDER BY a.tenant DESC, a.id DESC LIMIT $2::integer"
#define LIST_BY_TAG_SQL(where)                                                        \
    "SELECT " JOB_COLUMNS_SHORT " FROM gangsaw.job_tag t CROSS JOIN LATERAL ("        \
    "    SELECT * FROM gangsaw.any_job a WHERE a.id = t.job " where "    LIMIT 1) a " \
    "WHERE t.tenant = $3::text AND t.tag = $4::text AND t.job < $1::bigint "          \
    "ORDER BY t.tenant DESC, t.tag DESC, t.job DESC LIMIT $2::integer"
#define TASK "AND a.task = $4::text "
#define TAG "AND a.tags @> ARRAY[$4::text] "
#define TASK_AND_TAG "AND a.task = $4::text AND a.tags @> ARRAY[$5::text] "

struct list_statements {
    struct db_statement all, by_task, by_tag, by_both;
};

#define LISTS(suffix, view, where, by_tag_sql)                                                  \
    {                                                                                           \
        .all = {.name = "job_list" suffix, .sql = LIST_SQL(view, where)},                       \
        .by_task = {.name = "job_list_task" suffix, .sql = LIST_SQL(view, where TASK)},         \
        .by_tag = {.name = "job_list_tag" suffix, .sql = by_tag_sql},                           \
        .by_both = {.name = "job_list_both" suffix, .sql = LIST_SQL(view, where TASK_AND_TAG)}, \
    }
#define OF_STATE(state) "AND a.state = '" state "' "
#define MOST(state) LISTS("_" state, "any_job", OF_STATE(state), LIST_BY_TAG_SQL(OF_STATE(state)))
#define FEW(state) \
    LISTS("_" state, "any_job", OF_STATE(state), LIST_SQL("any_job", OF_STATE(state) TAG))

static const struct list_statements lists_of_any =
    LISTS("", "any_job_by_state", "", LIST_BY_TAG_SQL(""));
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
    struct db_value values[5] = {
        db_int(a, filter->before > 0 ? filter->before : INT64_MAX),
        db_int(a, filter->limit),
        db_text(filter->tenant),
    };
    const struct db_rows *rows;
    int count = 3;

    if (filter->task)
        values[count++] = db_text(filter->task);
    if (filter->tag)
        values[count++] = db_text(filter->tag);
    if (db_query(db, a, list_statement(filter), values, count, &rows, reterr) != 0)
        return -1;
    *ret_count = job_rows_read(rows, a, ret_rows);
    return 0;
}
