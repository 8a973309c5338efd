/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_change.c - cancel and retry; see job.h
 *
 * Both look at both tables under one snapshot. A job that moves from one to the other in that
 * moment is seen in neither: then a second look finds it. A tenant is compared in a form that no
 * index has, so that jobs are found by their ids (job_read.c says why).
 */
#include "db/job_internal.h"

#define LOOKS_MAX 3

static const struct db_statement cancel_statement = {
    .name = "job_cancel",
    .sql =
        "WITH held AS MATERIALIZED ( "
        "    SELECT j.* FROM gangsaw.job j "
        "    WHERE j.id = $1::bigint AND j.tenant = $3::text FOR UPDATE), "
        "ended AS MATERIALIZED ( "
        "    SELECT h.id, h.lease + 1 AS lease, h.created_at, h.ready_at, h.started_at, "
        "           now() AS finished_at, 'canceled'::gangsaw.job_state AS state, "
        "           h.timeout_seconds, NULL::real AS run_ms, NULL::real AS cpu_ms, h.attempt, "
        "           h.crashes, h.max_attempts, h.priority, h.lane, h.task, h.tenant, h.params, "
        "           h.unique_key, h.tags, h.blobs, h.request_id, h.traceparent, "
        "           h.attempts, NULL::json AS error, "
        "           NULL::json AS result, NULL::json AS outputs, NULL::bigint[] AS output_blobs, "
        "           h.is_watched OR h.is_awaited AS is_watched "
        "    FROM held h), " JOB_STORE_ENDED ", "
        "changed AS (SELECT e.id, e.is_watched FROM ended e), "
        "stopped AS MATERIALIZED ( "
        "    SELECT pg_notify('gangsaw_cancel', concat_ws(':', h.runner, h.id, h.lease)) "
        "    FROM held h WHERE h.runner IS NOT NULL) "
        "SELECT e.id, " JOB_TELL_ENDED ", (SELECT count(*) FROM stopped) FROM ended e "
        "UNION ALL "
        "SELECT d.id, NULL, NULL FROM gangsaw.job_done d "
        "WHERE d.id = $1::bigint AND d.tenant || '' = $3::text",
};

/* It was never found where it was looked for: it went to and fro meanwhile, or it is pruned. */
static int missed(struct db *db, struct arena *a, const char *tenant, int64_t id,
                  struct error *reterr)
{
    struct job_row row;
    if (job_get(db, a, tenant, id, false, &row, reterr) != 0)
        return -1;
    return error_set(reterr, ERR_CONFLICT,
                     "Other requests are changing this job at the moment; try again.");
}

int job_cancel(struct db *db, struct arena *a, const char *tenant, int64_t id,
               double retention_days, struct error *reterr)
{
    struct db_value values[] = {db_int(a, id), db_real(a, retention_days), db_text(tenant)};
    for (int look = 0; look < LOOKS_MAX; look++) {
        const struct db_rows *rows;
        if (db_query(db, a, &cancel_statement, values, 3, &rows, reterr) != 0)
            return -1;
        if (db_count(rows) > 0)
            return 0;
    }
    return missed(db, a, tenant, id, reterr);
}

/*
 * One row: is it live; an input that is gone (its public id), and nothing is done then; the id of a
 * job put back; was there one to put back. Inputs are locked, so that they are not pruned before
 * the job holds them. Where another live job has the unique key nothing is stored, so nothing
 * removed.
 */
static const struct db_statement retry_statement = {
    .name = "job_retry",
    .sql =
        "WITH found AS MATERIALIZED ( "
        "    SELECT d.* FROM gangsaw.job_done d "
        "    WHERE d.id = $1::bigint AND d.tenant || '' = $2::text FOR UPDATE), "
        "inputs AS MATERIALIZED ( "
        "    SELECT b.id FROM gangsaw.blob b "
        "    WHERE b.id = ANY (ARRAY(SELECT unnest(f.blobs) FROM found f)) "
        "      AND (b.expires_at > now() "
        "           OR EXISTS (SELECT FROM gangsaw.job_blob l WHERE l.blob = b.id)) "
        "    ORDER BY b.id FOR KEY SHARE), "
        "missing AS MATERIALIZED ( "
        "    SELECT u.id FROM found f CROSS JOIN LATERAL unnest(f.blobs) AS u (id) "
        "    WHERE u.id NOT IN (SELECT i.id FROM inputs i) LIMIT 1), "
        "again AS MATERIALIZED ( "
        "    SELECT f.*, "
        "           coalesce((SELECT t.lane FROM gangsaw.task t WHERE t.name = f.task), f.lane) "
        "               AS new_lane, "
        "           coalesce(f.attempts, '[]') "
        "               || CASE WHEN f.error IS NULL THEN '[]' "
        "                       ELSE jsonb_build_array(gangsaw.attempt_entry( "
        "                           f.attempt, f.started_at, f.finished_at, f.error::jsonb)) "
        "                  END AS history "
        "    FROM found f WHERE NOT EXISTS (SELECT FROM missing)), "
        "stored AS ( "
        "    INSERT INTO gangsaw.job (id, vtime, lease, created_at, state, timeout_seconds, "
        "                             priority, max_attempts, lane, task, tenant, params, "
        "                             unique_key, tags, blobs, request_id, traceparent, "
        "                             attempts) "
        "    SELECT g.id, gangsaw.next_vtime(g.new_lane, g.priority, g.tenant), g.lease + 1, "
        "           g.created_at, 'queued', g.timeout_seconds, g.priority, g.max_attempts, "
        "           g.new_lane, g.task, g.tenant, g.params, g.unique_key, g.tags, g.blobs, "
        "           g.request_id, g.traceparent, "
        "           (SELECT jsonb_agg(h.entry ORDER BY h.n) "
        "            FROM jsonb_array_elements(g.history) WITH ORDINALITY AS h (entry, n) "
        "            WHERE h.n > jsonb_array_length(g.history) - 100) "
        "    FROM again g "
        "    ON CONFLICT (tenant, task, unique_key) WHERE unique_key IS NOT NULL DO NOTHING "
        "    RETURNING id), "
        "removed AS ( "
        "    DELETE FROM gangsaw.job_done d "
        "    WHERE d.id = $1::bigint AND EXISTS (SELECT FROM stored)), "
        "linked AS ( "
        "    INSERT INTO gangsaw.job_blob (blob, job) SELECT i.id, s.id FROM inputs i, stored s), "
        "woken AS MATERIALIZED (SELECT gangsaw.wake() FROM stored) "
        "SELECT EXISTS (SELECT FROM gangsaw.job j WHERE j.id = $1::bigint AND j.tenant = "
        "$2::text), "
        "       (SELECT gangsaw.public_id('blob', m.id, $2::text) FROM missing m), "
        "       (SELECT s.id FROM stored s), EXISTS (SELECT FROM again), "
        "       (SELECT count(*) FROM woken)",
};

int job_retry(struct db *db, struct arena *a, const char *tenant, int64_t id, struct error *reterr)
{
    struct db_value values[] = {db_int(a, id), db_text(tenant)};
    for (int look = 0; look < LOOKS_MAX; look++) {
        const struct db_rows *rows;
        if (db_query(db, a, &retry_statement, values, 2, &rows, reterr) != 0)
            return -1;
        if (!db_is_null(rows, 0, 1))
            return error_set(reterr, ERR_GONE, "Its input, blob %s, has expired.",
                             db_get_text(rows, 0, 1));
        if (db_get_bool(rows, 0, 0) || !db_is_null(rows, 0, 2))
            return 0;
        if (db_get_bool(rows, 0, 3))
            return error_set(reterr, ERR_CONFLICT,
                             "Another live job has the unique key of this one.");
    }
    return missed(db, a, tenant, id, reterr);
}
