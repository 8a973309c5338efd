/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_prune.c - what is past its time goes; see job.h and gangsaw.prune()
 */
#include "db/job.h"

static const struct db_statement prune_statement = {
    .name = "job_prune",
    .sql = "SELECT p.partitions, p.blobs, p.keys, p.is_done "
           "FROM gangsaw.prune($1::double precision) p",
};

void job_prune_send(struct db *db, double retention_days, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &prune_statement, (struct db_value[]){db_real(a, retention_days)}, 1, done,
            context);
    arena_free(a);
}

/* Pages at its end are kept for the jobs to come: giving them back locks everybody out. */
static const struct db_statement tidy_statement = {
    .name = "job_tidy",
    .sql = "VACUUM (SKIP_LOCKED, INDEX_CLEANUP on, TRUNCATE off, PARALLEL 0) gangsaw.job",
};

void job_tidy_send(struct db *db, db_done *done, void *context)
{
    db_send(db, &tidy_statement, NULL, 0, done, context);
}

struct job_prune job_prune_read(const struct db_rows *rows)
{
    return (struct job_prune){
        .partitions = db_get_int(rows, 0, 0),
        .blobs = db_get_int(rows, 0, 1),
        .keys = db_get_int(rows, 0, 2),
        .is_done = db_get_bool(rows, 0, 3),
    };
}
