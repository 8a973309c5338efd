/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_claim.c - jobs on their way to a runner; see job.h
 *
 * set_config(…, true) holds until the end of the transaction, which is the statement: its commit is
 * asynchronous. A claim that a crash of the server takes back is no harm, since completions name
 * the runner.
 */
#include "db/job_internal.h"

#include <stdlib.h>

/*
 * The lock on the runner's row keeps a rescue from fencing it in the middle. Lanes are walked in
 * their order until there are enough jobs. `few` ends before their params come to more than 16 MiB,
 * though never before the first: what is claimed has to be held in memory.
 */
static const char job_claim_sql[] =
    "WITH alive AS MATERIALIZED ("
    "    SELECT set_config('synchronous_commit', 'off', true) "
    "    FROM gangsaw.runner r WHERE r.id = $1::bigint AND NOT r.is_fenced FOR SHARE), "
    "ready AS MATERIALIZED ("
    "    SELECT q.id, q.size "
    "    FROM unnest($2::text[]) AS l (lane) "
    "        CROSS JOIN LATERAL ("
    "            SELECT j.id, CASE WHEN pg_column_compression(j.params) IS NULL "
    "                              THEN pg_column_size(j.params) "
    "                              ELSE octet_length(j.params::text) END AS size "
    "            FROM gangsaw.job j "
    "            WHERE j.state = 'queued' AND j.lane = l.lane "
    "            ORDER BY j.lane, j.priority DESC, j.vtime, j.id "
    "            LIMIT $3::integer FOR UPDATE SKIP LOCKED) q "
    "    WHERE EXISTS (SELECT FROM alive) "
    "    LIMIT $3::integer), "
    "few AS MATERIALIZED ("
    "    SELECT s.id "
    "    FROM (SELECT r.id, sum(r.size) OVER (ROWS UNBOUNDED PRECEDING) - r.size AS before "
    "          FROM ready r) s "
    "    WHERE s.before < 16777216), "
    "taken AS ("
    "    UPDATE gangsaw.job j "
    "    SET state = 'running', runner = $1::bigint, lease = j.lease + 1, "
    "        attempt = j.attempt + 1, started_at = now(), fraction = NULL, what = NULL "
    "    WHERE j.id = ANY (ARRAY(SELECT f.id FROM few f)) "
    "    RETURNING j.id, j.lease, j.attempt, j.crashes, j.max_attempts, j.timeout_seconds, j.task, "
    "              j.params, j.tenant, j.request_id, j.is_watched, j.lane, j.priority, j.vtime, "
    "              j.ready_at, j.traceparent, j.blobs) "
    "SELECT t.id, t.lease, t.attempt, t.crashes, t.max_attempts, t.timeout_seconds, t.task, "
    "       t.params, t.tenant, t.request_id, t.is_watched, "
    "       (extract(epoch FROM now() - t.ready_at) * 1000000)::bigint, t.traceparent, "
    "       t.blobs IS NOT NULL, "
    "       (SELECT count(pg_notify('gangsaw_changed', "
    "                               array_to_string(w.ids[p.n : p.n + 379], ','))) "
    "        FROM (SELECT array_agg(x.id) AS ids FROM taken x WHERE x.is_watched) w "
    "            CROSS JOIN LATERAL generate_series(1, cardinality(w.ids), 380) AS p (n)) "
    "FROM taken t "
    "ORDER BY array_position($2::text[], t.lane), t.priority DESC, t.vtime, t.id";

static const struct db_statement claim_statement = {.name = "job_claim", .sql = job_claim_sql};

void job_claim_send(struct db *db, int64_t runner, const char *const *lanes, int lane_count,
                    int limit, db_done *done, void *context)
{
    struct arena *a = arena_new();
    struct db_value values[] = {
        db_int(a, runner),
        db_texts(a, lanes, lane_count),
        db_int(a, limit),
    };
    db_send(db, &claim_statement, values, 3, done, context);
    arena_free(a);
}

static const char *copy_text(const struct db_rows *rows, int row, int column, struct arena *a)
{
    const char *text = db_get_text(rows, row, column);
    return text ? arena_strdup(a, text) : NULL;
}

int job_claim_read(const struct db_rows *rows, struct arena *a, struct job_claimed **ret_jobs)
{
    int count = db_count(rows);
    struct job_claimed *jobs = arena_alloc(a, (size_t)count * sizeof(*jobs));
    for (int i = 0; i < count; i++) {
        jobs[i] = (struct job_claimed){
            .id = db_get_int(rows, i, 0),
            .lease = db_get_int(rows, i, 1),
            .attempt = (int)db_get_int(rows, i, 2),
            .crashes = (int)db_get_int(rows, i, 3),
            .max_attempts = (int)db_get_int(rows, i, 4),
            .timeout_seconds = db_get_real(rows, i, 5),
            .task = copy_text(rows, i, 6, a),
            .params = copy_text(rows, i, 7, a),
            .tenant = copy_text(rows, i, 8, a),
            .request_id = copy_text(rows, i, 9, a),
            .is_watched = db_get_bool(rows, i, 10),
            .wait_us = db_get_int(rows, i, 11),
            .traceparent = copy_text(rows, i, 12, a),
            .has_blobs = db_get_bool(rows, i, 13),
        };
    }
    *ret_jobs = jobs;
    return count;
}

/* Turns are given per lane, priority and tenant; the lane may have become known meanwhile. */
static const struct db_statement promote_statement = {
    .name = "job_promote",
    .sql = "WITH due AS MATERIALIZED ( "
           "    SELECT j.id, j.priority, j.tenant, j.ready_at, "
           "           coalesce((SELECT t.lane FROM gangsaw.task t WHERE t.name = j.task), j.lane) "
           "               AS lane, "
           "           set_config('synchronous_commit', 'off', true) "
           "    FROM gangsaw.job j "
           "    WHERE j.state = 'scheduled' AND j.ready_at <= now() "
           "    ORDER BY j.ready_at LIMIT $1::integer FOR UPDATE SKIP LOCKED), "
           "ranked AS ( "
           "    SELECT d.*, row_number() OVER (PARTITION BY d.lane, d.priority, d.tenant "
           "                                   ORDER BY d.ready_at, d.id) - 1 AS turn "
           "    FROM due d), "
           "placed AS MATERIALIZED ( "
           "    SELECT r.id, r.lane, "
           "           max(CASE WHEN r.turn = 0 "
           "                    THEN gangsaw.next_vtime(r.lane, r.priority, r.tenant) END) "
           "               OVER (PARTITION BY r.lane, r.priority, r.tenant) + r.turn AS vtime "
           "    FROM ranked r), "
           "changed AS ( "
           "    UPDATE gangsaw.job j SET state = 'queued', lane = p.lane, vtime = p.vtime "
           "    FROM placed p "
           "    WHERE j.id = p.id AND j.id = ANY (ARRAY(SELECT d.id FROM due d)) "
           "    RETURNING j.id, j.is_watched), "
           "told AS MATERIALIZED ( "
           "    SELECT gangsaw.wake(), " JOB_TELL " FROM changed LIMIT 1) "
           "SELECT (SELECT count(*) FROM changed), "
           "       (SELECT greatest(0, ceil(extract(epoch FROM j.ready_at - now()) * 1000)) "
           "        FROM gangsaw.job j WHERE j.state = 'scheduled' AND j.ready_at > now() "
           "        ORDER BY j.ready_at LIMIT 1), "
           "       (SELECT count(*) FROM told)",
};

void job_promote_send(struct db *db, int limit, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &promote_statement, (struct db_value[]){db_int(a, limit)}, 1, done, context);
    arena_free(a);
}

void job_promote_read(const struct db_rows *rows, int *ret_count, int64_t *ret_next_ms)
{
    *ret_count = (int)db_get_int(rows, 0, 0);
    *ret_next_ms = db_is_null(rows, 0, 1) ? -1 : db_get_int(rows, 0, 1);
}
