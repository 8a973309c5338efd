/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_limit.c - how many jobs a tenant may have in the queue; see job.h
 *
 * Nothing keeps a count: a row that every enqueue changes would have all of a tenant's requests
 * wait for each other, and for an application's open transaction. So entries of an index are
 * counted, up to the limit and no further.
 */
#include "db/job_internal.h"

static const struct db_statement count_statement = {
    .name = "job_queue_count",
    .sql = "SELECT (SELECT count(*) FROM ("
           "            SELECT FROM gangsaw.job q "
           "            WHERE q.tenant = $1::text AND q.state = 'queued' LIMIT $2::bigint) u) "
           "     + (SELECT count(*) FROM ("
           "            SELECT FROM gangsaw.job s "
           "            WHERE s.tenant = $1::text AND s.state = 'scheduled' LIMIT $2::bigint) v)",
};

/* Each key once: a later job of the batch gets the one that an earlier one has made. */
static const struct db_statement unique_statement = {
    .name = "job_unique_new",
    .sql = "SELECT count(*) "
           "FROM (SELECT DISTINCT u.task, u.unique_key "
           "      FROM unnest($2::text[], $3::text[]) AS u (task, unique_key)) g "
           "WHERE (SELECT h.id FROM gangsaw.job h "
           "       WHERE h.tenant = $1::text AND h.task = g.task AND h.unique_key = g.unique_key "
           "       LIMIT 1) IS NULL",
};

int job_check_queue(struct db *db, struct arena *a, const char *tenant, int64_t limit, int adding,
                    struct error *reterr)
{
    const struct db_rows *rows;
    if (limit == 0 || adding == 0)
        return 0;
    struct db_value values[] = {db_text(tenant), db_int(a, limit)};
    if (db_query(db, a, &count_statement, values, 2, &rows, reterr) != 0)
        return -1;
    int64_t count = db_get_int(rows, 0, 0);
    if (count + adding <= limit)
        return 0;
    const char *plural = limit == 1 ? "" : "s";
    if (adding > limit)
        return error_set(reterr, ERR_RATE_LIMITED,
                         "The limit of this key is %lld job%s in the queue; the request alone "
                         "would add %d.",
                         (long long)limit, plural, adding);
    if (count >= limit) /* there may be more: no more of them are counted */
        return error_set(reterr, ERR_RATE_LIMITED,
                         "The limit of this key is %lld job%s in the queue, and its tenant has as "
                         "many there.",
                         (long long)limit, plural);
    return error_set(reterr, ERR_RATE_LIMITED,
                     "The limit of this key is %lld jobs in the queue; its tenant has %lld there, "
                     "and the request would add %d.",
                     (long long)limit, (long long)count, adding);
}

/* Those whose unique key a live job holds are that job. */
static int count_new(struct db *db, struct arena *a, const struct job_batch *batch, int *ret_count,
                     struct error *reterr)
{
    size_t size = (size_t)batch->count * sizeof(char *);
    const char **task = arena_alloc(a, size), **unique_key = arena_alloc(a, size);
    const struct db_rows *rows;
    int n = 0;
    for (int i = 0; i < batch->count; i++) {
        const struct job_new *job = &batch->jobs[i];
        if (!job->unique_key)
            continue;
        task[n] = job->task;
        unique_key[n++] = job->unique_key;
    }
    *ret_count = batch->count - n;
    if (n == 0)
        return 0;
    struct db_value values[] = {db_text(batch->tenant), db_texts(a, task, n),
                                db_texts(a, unique_key, n)};
    if (db_query(db, a, &unique_statement, values, 3, &rows, reterr) != 0)
        return -1;
    *ret_count += (int)db_get_int(rows, 0, 0);
    return 0;
}

int job_check_batch(struct db *db, struct arena *a, const struct job_batch *batch,
                    struct error *reterr)
{
    int adding;
    if (batch->queued_limit == 0)
        return 0;
    if (count_new(db, a, batch, &adding, reterr) != 0)
        return -1;
    return job_check_queue(db, a, batch->tenant, batch->queued_limit, adding, reterr);
}
