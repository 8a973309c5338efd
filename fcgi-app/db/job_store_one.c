/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_store_one.c - one new job, as most requests have it; see job_internal.h
 *
 * A server takes longer to set the statement for batches up than to store a job by it, and whoever
 * stores a single one waits for that. For the same reason what gangsaw.next_vtime() and
 * gangsaw.wake() do stands here itself: DB_WORK_OPTIONS have the plan that the former asks for.
 */
#include "db/job_internal.h"

/* One row: its id, and the time in µs. */
static const struct db_statement store_one_statement = {
    .name = "job_store_one",
    .sql =
        "INSERT INTO gangsaw.job (tenant, task, lane, params, priority, vtime, max_attempts, "
        "                         timeout_seconds, request_id, traceparent, is_awaited) "
        "VALUES ($1::text, $2::text, $3::text, $4::json, $5::integer, "
        "        greatest( "
        "            (SELECT q.vtime FROM gangsaw.job q "
        "             WHERE q.state = 'queued' AND q.lane = $3::text AND q.priority = $5::integer "
        "             ORDER BY q.lane, q.priority DESC, q.vtime, q.id LIMIT 1), "
        "            (SELECT q.vtime + 1 FROM gangsaw.job q "
        "             WHERE q.state = 'queued' AND q.lane = $3::text AND q.tenant = $1::text "
        "               AND q.priority = $5::integer "
        "             ORDER BY q.tenant DESC, q.lane DESC, q.priority DESC, q.vtime DESC LIMIT 1), "
        "            0), "
        "        $6::integer, nullif($7::bigint, -1) / 1000000.0, $8::text, $9::text, "
        "        $10::boolean) "
        "RETURNING id, (extract(epoch FROM now()) * 1000000)::bigint, "
        "          (SELECT pg_notify('" JOB_CHANNEL_NEW "', '') "
        "           WHERE EXISTS (SELECT FROM gangsaw.runner r "
        "                         WHERE r.is_idle AND NOT r.is_fenced))",
};

bool job_is_plain(const struct job_new *job)
{
    return !job->unique_key && job->tag_count == 0 && job->blob_count == 0 && job->run_at_us <= 0 &&
           !(job->delay_seconds > 0);
}

int job_store_one(struct db *db, struct arena *a, const struct job_batch *batch,
                  const struct job_new *job, struct job_stored *ret_stored, struct error *reterr)
{
    int64_t timeout_us = job_seconds_us(job->timeout_seconds);
    const struct db_rows *rows;
    struct db_value values[] = {
        db_text(batch->tenant),
        db_text(job->task),
        db_text(job->lane),
        db_text(job->params),
        db_int(a, job->priority),
        db_int(a, job->max_attempts),
        db_int(a, timeout_us > 0 ? timeout_us : -1),
        db_text(job->request_id),
        db_text(job->traceparent),
        db_bool(batch->is_awaited),
    };
    if (db_query(db, a, &store_one_statement, values, 10, &rows, reterr) != 0)
        return -1;
    int64_t now_us = db_get_int(rows, 0, 1);
    *ret_stored = (struct job_stored){
        .id = db_get_int(rows, 0, 0), .is_new = true, .created_us = now_us, .ready_us = now_us};
    return 0;
}
