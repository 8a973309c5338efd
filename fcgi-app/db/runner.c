/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.c - see runner.h
 */
#include "db/runner.h"

#include "db/job_internal.h"

static const struct db_statement register_statement = {
    .name = "runner_register",
    .sql = "WITH registered AS ("
           "    INSERT INTO gangsaw.runner (host, pid, version, lanes, expires_at) "
           "    VALUES ($1::text, $2::integer, $3::text, $4::text[], "
           "            now() + $5::double precision * interval '1 second') "
           "    RETURNING id) "
           "SELECT r.id, gangsaw.register_tasks($6::text[], $7::text[]) FROM registered r",
};

/* Names and lanes, as two arrays. */
static void task_values(struct arena *a, const struct runner_registration *r,
                        struct db_value ret_values[2])
{
    const char **names = arena_alloc(a, (size_t)r->task_count * sizeof(*names));
    const char **lanes = arena_alloc(a, (size_t)r->task_count * sizeof(*lanes));
    for (int i = 0; i < r->task_count; i++) {
        names[i] = r->tasks[i].name;
        lanes[i] = r->tasks[i].lane;
    }
    ret_values[0] = db_texts(a, names, r->task_count);
    ret_values[1] = db_texts(a, lanes, r->task_count);
}

void runner_register_send(struct db *db, const struct runner_registration *r, db_done *done,
                          void *context)
{
    struct arena *a = arena_new();
    struct db_value values[7] = {
        db_text(r->host),
        db_int(a, r->pid),
        db_text(r->version),
        db_texts(a, r->lanes, r->lane_count),
        db_real(a, r->lease_seconds),
    };
    task_values(a, r, values + 5);
    db_send(db, &register_statement, values, 7, done, context);
    arena_free(a);
}

int64_t runner_register_read(const struct db_rows *rows)
{
    return db_get_int(rows, 0, 0);
}

static const struct db_statement renew_statement = {
    .name = "runner_renew",
    .sql = "WITH renewed AS ("
           "    UPDATE gangsaw.runner r SET lanes = $2::text[] "
           "    WHERE r.id = $1::bigint AND NOT r.is_fenced RETURNING r.id) "
           "SELECT gangsaw.register_tasks($3::text[], $4::text[]) FROM renewed",
};

void runner_renew_send(struct db *db, int64_t runner, const struct runner_registration *r,
                       db_done *done, void *context)
{
    struct arena *a = arena_new();
    struct db_value values[4] = {db_int(a, runner), db_texts(a, r->lanes, r->lane_count)};
    task_values(a, r, values + 2);
    db_send(db, &renew_statement, values, 4, done, context);
    arena_free(a);
}

/* The (id, lease) that a runner holds, as two arrays. */
static void held_values(struct arena *a, const struct runner_held *held, int count,
                        struct db_value ret_values[2])
{
    int64_t *id = arena_alloc(a, (size_t)count * sizeof(*id));
    int64_t *lease = arena_alloc(a, (size_t)count * sizeof(*lease));
    for (int i = 0; i < count; i++) {
        id[i] = held[i].id;
        lease[i] = held[i].lease;
    }
    ret_values[0] = db_ints(a, id, count);
    ret_values[1] = db_ints(a, lease, count);
}

/* One row says whether it is alive, and each further one names a job and a lease that are gone. */
static const struct db_statement beat_statement = {
    .name = "runner_beat",
    .sql = "WITH beat AS ("
           "    UPDATE gangsaw.runner r "
           "    SET heartbeat_at = now(), "
           "        expires_at = now() + $2::double precision * interval '1 second' "
           "    WHERE r.id = $1::bigint AND NOT r.is_fenced "
           "    RETURNING set_config('synchronous_commit', 'off', true)) "
           "SELECT NULL::bigint, NULL::bigint, EXISTS (SELECT FROM beat) "
           "UNION ALL "
           "SELECT g.id, g.lease, NULL "
           "FROM unnest($3::bigint[], $4::bigint[]) AS g (id, lease) "
           "    LEFT JOIN LATERAL ("
           "        SELECT true AS is_held FROM gangsaw.job h "
           "        WHERE h.id = g.id AND h.lease = g.lease AND h.runner = $1::bigint LIMIT 1) j "
           "    ON true "
           "WHERE j.is_held IS NULL",
};

void runner_beat_send(struct db *db, int64_t runner, double lease_seconds,
                      const struct runner_held *held, int held_count, db_done *done, void *context)
{
    struct arena *a = arena_new();
    struct db_value values[4] = {db_int(a, runner), db_real(a, lease_seconds)};
    held_values(a, held, held_count, values + 2);
    db_send(db, &beat_statement, values, 4, done, context);
    arena_free(a);
}

struct runner_beat runner_beat_read(const struct db_rows *rows, struct arena *a)
{
    int count = db_count(rows);
    struct runner_beat beat = {
        .is_fenced = true,
        .gone = arena_alloc(a, (size_t)count * sizeof(*beat.gone)),
    };
    for (int i = 0; i < count; i++) {
        if (db_is_null(rows, i, 0))
            beat.is_fenced = !db_get_bool(rows, i, 2);
        else
            beat.gone[beat.gone_count++] =
                (struct runner_held){.id = db_get_int(rows, i, 0), .lease = db_get_int(rows, i, 1)};
    }
    return beat;
}

static const struct db_statement mark_statement = {
    .name = "runner_mark",
    .sql = "UPDATE gangsaw.runner r SET is_idle = $2::boolean, is_draining = $3::boolean "
           "WHERE r.id = $1::bigint AND NOT r.is_fenced "
           "RETURNING set_config('synchronous_commit', 'off', true)",
};

void runner_mark_send(struct db *db, int64_t runner, bool is_idle, bool is_draining, db_done *done,
                      void *context)
{
    struct arena *a = arena_new();
    struct db_value values[] = {db_int(a, runner), db_bool(is_idle), db_bool(is_draining)};
    db_send(db, &mark_statement, values, 3, done, context);
    arena_free(a);
}

/* While a job names it, it is left to the next rescue. */
static const struct db_statement leave_statement = {
    .name = "runner_leave",
    .sql = "WITH busy AS MATERIALIZED ("
           "    SELECT 1 FROM gangsaw.job j WHERE j.state = 'running' AND j.runner = $1::bigint "
           "    LIMIT 1), "
           "fenced AS ("
           "    UPDATE gangsaw.runner r SET is_fenced = true, is_idle = false, expires_at = now() "
           "    WHERE r.id = $1::bigint AND EXISTS (SELECT FROM busy)) "
           "DELETE FROM gangsaw.runner r "
           "WHERE r.id = $1::bigint AND NOT EXISTS (SELECT FROM busy)",
};

void runner_leave_send(struct db *db, int64_t runner, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &leave_statement, (struct db_value[]){db_int(a, runner)}, 1, done, context);
    arena_free(a);
}

/* Back to the queue as if it had not been claimed. */
static const struct db_statement recover_statement = {
    .name = "runner_recover",
    .sql = "WITH held AS MATERIALIZED ( "
           "    SELECT j.id, j.priority, j.vtime, "
           "           coalesce((SELECT t.lane FROM gangsaw.task t WHERE t.name = j.task), j.lane) "
           "               AS lane "
           "    FROM gangsaw.job j "
           "    WHERE j.state = 'running' AND j.runner = $1::bigint "
           "      AND NOT EXISTS ( "
           "          SELECT FROM unnest($2::bigint[], $3::bigint[]) AS g (id, lease) "
           "          WHERE g.id = j.id AND g.lease = j.lease) "
           "    ORDER BY j.id FOR UPDATE), " JOB_PLACED ", "
           "changed AS ( "
           "    UPDATE gangsaw.job j "
           "    SET state = 'queued', attempt = j.attempt - 1, " JOB_PUT_BACK " "
           "    FROM placed h "
           "    WHERE j.id = h.id AND j.id = ANY (ARRAY(SELECT x.id FROM held x)) "
           "    RETURNING j.id, j.is_watched), "
           "told AS MATERIALIZED ( "
           "    SELECT gangsaw.wake(), " JOB_TELL " FROM changed LIMIT 1) "
           "SELECT (SELECT count(*) FROM changed), (SELECT count(*) FROM told)",
};

void runner_recover_send(struct db *db, int64_t runner, const struct runner_held *held,
                         int held_count, db_done *done, void *context)
{
    struct arena *a = arena_new();
    struct db_value values[3] = {db_int(a, runner)};
    held_values(a, held, held_count, values + 1);
    db_send(db, &recover_statement, values, 3, done, context);
    arena_free(a);
}

int64_t runner_recover_read(const struct db_rows *rows)
{
    return db_get_int(rows, 0, 0);
}

/*
 * Claims hold a lock on their runner's row, so none of a runner that is locked here is under way.
 * One that committed after this snapshot is not seen, and found the next time, since the row stays
 * for a lease after it was fenced. After a restart of the server every lease may have run out for
 * want of a server: nobody is fenced then. Jobs are looked up first, and then locked in the order
 * of their ids, over all runners: so does whoever else locks several.
 */
static const struct db_statement rescue_statement = {
    .name = "runner_rescue",
    .sql =
        "WITH lost AS MATERIALIZED ( "
        "    SELECT r.id, r.host, r.is_fenced, r.expires_at FROM gangsaw.runner r "
        "    WHERE (r.is_fenced OR r.expires_at < now()) "
        "      AND pg_postmaster_start_time() < now() - $1::double precision * interval '1 second' "
        "    ORDER BY r.id FOR UPDATE SKIP LOCKED), "
        "found AS MATERIALIZED ( "
        "    SELECT f.id, r.id AS runner, r.host "
        "    FROM lost r CROSS JOIN LATERAL ( "
        "        SELECT h.id FROM gangsaw.job h "
        "        WHERE h.state = 'running' AND h.runner = r.id) f), "
        "held AS MATERIALIZED ( "
        "    SELECT j.*, j.attempt - j.crashes >= j.max_attempts AS is_over, "
        "           json_build_object('code', 'unavailable', 'detail', "
        "               format('Its host, %s, was lost while it ran.', f.host)) AS why "
        "    FROM (SELECT u.* FROM found u ORDER BY u.id) f CROSS JOIN LATERAL ( "
        "        SELECT h.id, h.lease, h.created_at, h.ready_at, h.started_at, h.timeout_seconds, "
        "               h.attempt, h.crashes, h.max_attempts, h.priority, h.vtime, h.runner, "
        "               h.task, h.tenant, h.params, h.unique_key, h.tags, h.blobs, "
        "               h.request_id, h.traceparent, h.attempts, h.is_watched, "
        "               h.is_awaited, "
        "               coalesce((SELECT t.lane FROM gangsaw.task t WHERE t.name = h.task), "
        "                        h.lane) AS lane "
        "        FROM gangsaw.job h "
        "        WHERE h.id = f.id AND h.state = 'running' AND h.runner = f.runner "
        "        FOR UPDATE) j), " JOB_PLACED ", "
        "returned AS ( "
        "    UPDATE gangsaw.job j "
        "    SET state = 'queued', " JOB_PUT_BACK ", "
        "        attempts = coalesce(j.attempts, '[]') || gangsaw.attempt_entry( "
        "            j.attempt, j.started_at, now(), h.why::jsonb) "
        "    FROM placed h "
        "    WHERE j.id = h.id AND NOT h.is_over AND j.id = ANY (ARRAY(SELECT x.id FROM held x)) "
        "    RETURNING j.id, j.is_watched), "
        "ended AS MATERIALIZED ( "
        "    SELECT h.id, h.lease + 1 AS lease, h.created_at, h.ready_at, h.started_at, "
        "           now() AS finished_at, 'failed'::gangsaw.job_state AS state, "
        "           h.timeout_seconds, NULL::real AS run_ms, NULL::real AS cpu_ms, h.attempt, "
        "           h.crashes, h.max_attempts, h.priority, h.lane, h.task, h.tenant, h.params, "
        "           h.unique_key, h.tags, h.blobs, h.request_id, h.traceparent, "
        "           h.attempts, h.why AS error, "
        "           NULL::json AS result, NULL::json AS outputs, NULL::bigint[] AS output_blobs, "
        "           h.is_watched OR h.is_awaited AS is_watched "
        "    FROM held h WHERE h.is_over), " JOB_STORE_ENDED ", "
        "fenced AS ( "
        "    UPDATE gangsaw.runner r SET is_fenced = true, is_idle = false "
        "    WHERE r.id = ANY (ARRAY(SELECT x.id FROM lost x WHERE NOT x.is_fenced)) "
        "    RETURNING r.id), "
        "buried AS ( "
        "    DELETE FROM gangsaw.runner r "
        "    WHERE r.id = ANY (ARRAY( "
        "        SELECT x.id FROM lost x "
        "        WHERE x.is_fenced "
        "          AND x.expires_at < now() - $1::double precision * interval '1 second' "
        "          AND x.id NOT IN (SELECT h.runner FROM held h)))), "
        "changed AS ( "
        "    SELECT x.id, x.is_watched FROM returned x "
        "    UNION ALL SELECT e.id, e.is_watched FROM ended e), "
        "told AS MATERIALIZED ( "
        "    SELECT CASE WHEN EXISTS (SELECT FROM returned) THEN gangsaw.wake() END, "
        "           " JOB_TELL ") "
        "SELECT (SELECT count(*) FROM fenced), (SELECT count(*) FROM returned), "
        "       (SELECT count(*) FROM ended), (SELECT count(*) FROM told)",
};

void runner_rescue_send(struct db *db, double lease_seconds, double retention_days, db_done *done,
                        void *context)
{
    struct arena *a = arena_new();
    struct db_value values[] = {db_real(a, lease_seconds), db_real(a, retention_days)};
    db_send(db, &rescue_statement, values, 2, done, context);
    arena_free(a);
}

struct runner_rescue runner_rescue_read(const struct db_rows *rows)
{
    return (struct runner_rescue){
        .fenced = db_get_int(rows, 0, 0),
        .returned = db_get_int(rows, 0, 1),
        .failed = db_get_int(rows, 0, 2),
    };
}

static const struct db_statement alive_statement = {
    .name = "runner_any_alive",
    .sql = "SELECT EXISTS (SELECT FROM gangsaw.runner r "
           "               WHERE r.expires_at > now() AND NOT r.is_fenced AND NOT r.is_draining)",
};

int runner_any_alive(struct db *db, bool *ret_alive, struct error *reterr)
{
    struct arena *a = arena_new();
    const struct db_rows *rows;
    int result = db_query(db, a, &alive_statement, NULL, 0, &rows, reterr);
    if (result == 0)
        *ret_alive = db_get_bool(rows, 0, 0);
    arena_free(a);
    return result;
}
