/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_internal.h - what the statements on job and job_done share
 *
 * How they are written, so that a plan made while the tables were empty serves a million rows:
 * - rows of a batch come as arrays, unnested; a job is probed by its id in a LATERAL with FOR
 * UPDATE, which the planner cannot turn round;
 * - what is changed is found by `id = ANY (ARRAY(…))`, not by a join alone, which may become a scan
 * of the whole table, and never by ctid: a row that somebody else has just changed has moved;
 * - rows are locked in the order of their ids.
 */
#ifndef DB_JOB_INTERNAL_H
#define DB_JOB_INTERNAL_H

#include "db/job.h"

/* Columns of gangsaw.any_job (as `a`) that job_rows_read() reads. */
#define JOB_COLUMNS(params, result)                                                              \
    "a.id, a.lease, a.state, a.task, a.lane, a.tenant, " params ", a.unique_key, a.request_id, " \
    "to_json(a.tags), a.priority, a.attempt, a.crashes, a.max_attempts, a.timeout_seconds, "     \
    "a.fraction, a.what, (extract(epoch FROM a.created_at) * 1000000)::bigint, "                 \
    "(extract(epoch FROM a.ready_at) * 1000000)::bigint, "                                       \
    "(extract(epoch FROM a.started_at) * 1000000)::bigint, "                                     \
    "(extract(epoch FROM a.finished_at) * 1000000)::bigint, a.run_ms, a.cpu_ms, a.attempts, "    \
    "a.error, " result ", a.outputs, a.traceparent"
#define JOB_COLUMNS_SHORT JOB_COLUMNS("NULL", "NULL")
#define JOB_COLUMNS_RESULT JOB_COLUMNS("NULL", "a.result")

#define JOB_DONE_COLUMNS                                                                         \
    "id, lease, created_at, ready_at, started_at, finished_at, state, timeout_seconds, run_ms, " \
    "cpu_ms, attempt, crashes, max_attempts, priority, lane, task, tenant, params, unique_key, " \
    "tags, blobs, request_id, attempts, error, result, outputs, traceparent"

/*
 * The end of jobs, in CTEs that follow `ended`: rows that have the columns above, `is_watched`, and
 * `output_blobs` (bigint[]). Blobs of inputs and outputs live as long as the job can be seen. $2 is
 * retention_days.
 */
#define JOB_STORE_ENDED                                                             \
    "removed AS ("                                                                  \
    "    DELETE FROM gangsaw.job j WHERE j.id = ANY (ARRAY(SELECT e.id FROM ended " \
    "e))), " JOB_KEEP_ENDED

/* The same where `ended` has removed them itself. */
#define JOB_KEEP_ENDED                                                                   \
    "stored AS ("                                                                        \
    "    INSERT INTO gangsaw.job_done (" JOB_DONE_COLUMNS ") "                           \
    "    SELECT " JOB_DONE_COLUMNS " FROM ended), "                                      \
    "unlinked AS ("                                                                      \
    "    DELETE FROM gangsaw.job_blob l "                                                \
    "    WHERE l.job = ANY (ARRAY(SELECT e.id FROM ended e WHERE e.blobs IS NOT NULL)) " \
    "    RETURNING l.blob), "                                                            \
    "kept AS ("                                                                          \
    "    UPDATE gangsaw.blob b "                                                         \
    "    SET expires_at = gangsaw.kept_until(now(), $2::double precision) "              \
    "    WHERE b.id = ANY (ARRAY("                                                       \
    "            SELECT u.blob FROM unlinked u "                                         \
    "            UNION ALL SELECT unnest(e.output_blobs) FROM ended e)) "                \
    "      AND b.expires_at < gangsaw.kept_until(now(), $2::double precision)) "

/*
 * Jobs of `held` (id, lane, priority, vtime, …) on their way back into the queue: the same columns
 * and `new_vtime`, which is the head of their queue, or where they were. Looked up once for each
 * queue.
 */
#define JOB_PLACED                                                                                \
    "placed AS MATERIALIZED ("                                                                    \
    "    SELECT r.*, least(r.vtime, "                                                             \
    "               max(CASE WHEN r.n = 1 THEN gangsaw.head_vtime(r.lane, r.priority) END) "      \
    "                   OVER (PARTITION BY r.lane, r.priority)) AS new_vtime "                    \
    "    FROM (SELECT h.*, row_number() OVER (PARTITION BY h.lane, h.priority ORDER BY h.id) AS " \
    "n "                                                                                          \
    "          FROM held h) r)"

/*
 * What is set of a job `j` that goes back into the queue, or to be scheduled, where `placed` (as h)
 * has it: the lease that was given out is worth nothing from then on.
 */
#define JOB_PUT_BACK                                                                        \
    "runner = NULL, lease = j.lease + 1, started_at = NULL, fraction = NULL, what = NULL, " \
    "lane = h.lane, vtime = h.new_vtime"

/*
 * Expressions that are evaluated once, when a first row is returned: they tell those who watch one
 * of the jobs of the CTE `changed` (id, is_watched), JOB_TELL_ENDED that these have ended. A
 * payload ends at 8,000 bytes, an id at 19 digits. Not a function: one in SQL is planned anew by
 * every statement that calls it, which took longer than the rest of the statement.
 */
#define JOB_TELL JOB_TELL_AS("")
#define JOB_TELL_ENDED JOB_TELL_AS(JOB_MARK_ENDED)
#define JOB_TELL_AS(mark)                                                               \
    "(SELECT count(pg_notify('" JOB_CHANNEL_CHANGED "', "                               \
    "            array_to_string(w.ids[p.n : p.n + 379], '" mark ",') || '" mark "')) " \
    " FROM (SELECT array_agg(c.id) AS ids FROM changed c WHERE c.is_watched) w "        \
    "     CROSS JOIN LATERAL generate_series(1, cardinality(w.ids), 380) AS p (n))"

/* job_check_queue() for what a batch would add: a job whose unique key a live one holds adds none.
 */
int job_check_batch(struct db *db, struct arena *a, const struct job_batch *batch,
                    struct error *reterr);

/* Is there nothing to it but to be queued? */
bool job_is_plain(const struct job_new *job);

/* Store one such job, as the statement for batches would. */
int job_store_one(struct db *db, struct arena *a, const struct job_batch *batch,
                  const struct job_new *job, struct job_stored *ret_stored, struct error *reterr);

/*
 * Store jobs of a batch that are plain, and of few kinds: jobs[order[0]] and so on, `count` of
 * them. *ret_rows has what the statement for batches would give; NULL where that one is needed, and
 * nothing is done then.
 */
int job_store_plain(struct db *db, struct arena *a, const struct job_batch *batch, const int *order,
                    int count, const struct db_rows **ret_rows, struct error *reterr);

/* 0 for what is not positive, or too large. */
int64_t job_seconds_us(double seconds);

/* Microseconds of milliseconds; -1 for NaN and for what is out of range. */
int64_t job_us(double ms);

#endif
