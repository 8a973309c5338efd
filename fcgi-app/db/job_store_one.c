/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_store_one.c - one new job, as most requests have it; see job_internal.h
 *
 * A server takes longer to set the statement for batches up than to store a job by it, and whoever
 * stores a single one waits for that.
 */
#include "db/job_internal.h"

/* Rows as those of the statement for batches: (false, id) and the time, in µs. */
static const struct db_statement store_one_statement = {
    .name = "job_store_one",
    .sql = "WITH stored AS ("
           "    INSERT INTO gangsaw.job (tenant, task, lane, params, priority, vtime, "
           "                             max_attempts, timeout_seconds, request_id, traceparent) "
           "    VALUES ($1::text, $2::text, $3::text, $4::json, $5::integer, "
           "            gangsaw.next_vtime($3::text, $5::integer, $1::text), $6::integer, "
           "            nullif($7::bigint, -1) / 1000000.0, $8::text, $9::text) "
           "    RETURNING id), "
           "woken AS MATERIALIZED (SELECT gangsaw.wake() FROM stored) "
           "SELECT false, s.id FROM stored s "
           "UNION ALL SELECT NULL, (extract(epoch FROM now()) * 1000000)::bigint FROM woken",
};

bool job_is_plain(const struct job_new *job)
{
    return !job->unique_key && job->tag_count == 0 && job->blob_count == 0 && job->run_at_us <= 0 &&
           !(job->delay_seconds > 0);
}

int job_store_one(struct db *db, struct arena *a, const char *tenant, const struct job_new *job,
                  const struct db_rows **ret_rows, struct error *reterr)
{
    int64_t timeout_us = job_seconds_us(job->timeout_seconds);
    struct db_value values[] = {
        db_text(tenant),
        db_text(job->task),
        db_text(job->lane),
        db_text(job->params),
        db_int(a, job->priority),
        db_int(a, job->max_attempts),
        db_int(a, timeout_us > 0 ? timeout_us : -1),
        db_text(job->request_id),
        db_text(job->traceparent),
    };
    return db_query(db, a, &store_one_statement, values, 9, ret_rows, reterr);
}
