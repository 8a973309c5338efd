/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_watch.c - jobs that a hub waits for; see job.h
 */
#include "db/job_internal.h"

/* A mark that a crash of the server takes back is set again when the hub has reconnected. */
static const struct db_statement watch_statement = {
    .name = "job_watch",
    .sql = "SELECT " JOB_COLUMNS_SHORT ", set_config('synchronous_commit', 'off', true) "
           "FROM gangsaw.watch($1::bigint[]) a",
};

/* The sequence gives its numbers out one by one (CACHE 1), and no transaction takes one back. */
static const struct db_statement last_id_statement = {
    .name = "job_last_id",
    .sql = "SELECT s.last_value FROM gangsaw.job_id s",
};

void job_watch_send(struct db *db, const int64_t *ids, int count, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &watch_statement, (struct db_value[]){db_ints(a, ids, count)}, 1, done, context);
    arena_free(a);
}

void job_last_id_send(struct db *db, db_done *done, void *context)
{
    db_send(db, &last_id_statement, NULL, 0, done, context);
}

int64_t job_last_id_read(const struct db_rows *rows)
{
    return db_get_int(rows, 0, 0);
}
