/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_complete.c - the ends of attempts, and their progress; see job.h
 *
 * Each statement probes the jobs of its batch by id, lease and runner, and locks them: a job that
 * was cancelled, rescued or claimed again meanwhile does not come back, and stays as it is.
 */
#include "db/job_internal.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"

/*
 * The busiest statement: it looks each job up once, where all others lock it first and then change
 * it. Jobs are found by `id = ANY`, alone: joined to what is told of them, whatever way, they were
 * all walked for each batch once the statistics had seen the table empty. `n` is the place of a job
 * in the batch, whose ids ascend, and the values are taken from there. Texts are found by counting,
 * so an array without any is none.
 */
static const struct db_statement complete_statement = {
    .name = "job_complete",
    .sql = "WITH removed AS ( "
           "    DELETE FROM gangsaw.job j "
           "    WHERE j.id = ANY ($3::bigint[]) AND j.runner = $1::bigint "
           "      AND j.lease = ($4::bigint[])[width_bucket(j.id, $3::bigint[])] "
           "    RETURNING j.*, width_bucket(j.id, $3::bigint[]) AS n), "
           "ended AS MATERIALIZED ( "
           "    SELECT r.id, r.lease, r.created_at, r.ready_at, "
           "        CASE WHEN ($6::bigint[])[r.n] < 0 THEN r.started_at "
           "             ELSE greatest(r.started_at, "
           "                           now() - (($8::bigint[])[r.n] + ($6::bigint[])[r.n]) "
           "                                   * interval '1 microsecond') "
           "        END AS started_at, "
           "        greatest(r.started_at, now() - ($8::bigint[])[r.n] * interval '1 microsecond') "
           "            AS finished_at, "
           "        ($5::gangsaw.job_state[])[r.n] AS state, r.timeout_seconds, "
           "        nullif(($6::bigint[])[r.n], -1)::double precision / 1000 AS run_ms, "
           "        nullif(($7::bigint[])[r.n], -1)::double precision / 1000 AS cpu_ms, "
           "        r.attempt, r.crashes + ($13::bigint[])[r.n] AS crashes, r.max_attempts, "
           "        r.priority, r.lane, r.task, r.tenant, r.params, r.unique_key, r.tags, r.blobs, "
           "        r.request_id, r.attempts, r.traceparent, ($9::json[])[r.n] AS error, "
           "        ($10::json[])[r.n] AS result, ($11::json[])[r.n] AS outputs, "
           "        (($12::text[])[r.n])::bigint[] AS output_blobs, "
           "        r.is_watched OR r.is_awaited AS is_watched "
           "    FROM removed r), " JOB_KEEP_ENDED ", "
           "changed AS (SELECT e.id, e.is_watched FROM ended e) "
           "SELECT e.id, " JOB_TELL_ENDED " FROM ended e",
};

/* By id; of one job's ends that of the newest lease, which alone can be the right one. */
static int compare_ends(const void *one, const void *two)
{
    const struct job_end *a = *(const struct job_end *const *)one;
    const struct job_end *b = *(const struct job_end *const *)two;
    if (a->id != b->id)
        return (a->id > b->id) - (a->id < b->id);
    if (a->lease != b->lease)
        return (a->lease < b->lease) - (a->lease > b->lease);
    return (a > b) - (a < b); /* the first one that was given */
}

/* In ascending order, each job once. */
static const struct job_end **order_ends(struct arena *a, const struct job_end *ends, int *count)
{
    const struct job_end **order = arena_alloc(a, (size_t)*count * sizeof(*order));
    int kept = 0;
    for (int i = 0; i < *count; i++)
        order[i] = &ends[i];
    qsort(order, (size_t)*count, sizeof(const struct job_end *), compare_ends);
    for (int i = 0; i < *count; i++) {
        if (i == 0 || order[i]->id != order[i - 1]->id)
            order[kept++] = order[i];
    }
    *count = kept;
    return order;
}

/* Unlike db_texts() NULL where all are. */
static struct db_value some_texts(struct arena *a, const char *const *values, int count)
{
    for (int i = 0; i < count; i++) {
        if (values[i])
            return db_texts(a, values, count);
    }
    return DB_NULL;
}

/* One end of a job without blobs: what the statement above does for it, without what takes a server
 * longer to set up than to do. */
static const struct db_statement complete_one_statement = {
    .name = "job_complete_one",
    .sql = "WITH ended AS ( "
           "    DELETE FROM gangsaw.job j "
           "    WHERE j.id = $2::bigint AND j.lease = $3::bigint AND j.runner = $1::bigint "
           "    RETURNING j.id, j.lease, j.created_at, j.ready_at, "
           "        CASE WHEN $5::bigint < 0 THEN j.started_at "
           "             ELSE greatest(j.started_at, now() - ($7::bigint + $5::bigint) "
           "                                                 * interval '1 microsecond') "
           "        END AS started_at, "
           "        greatest(j.started_at, now() - $7::bigint * interval '1 microsecond') "
           "            AS finished_at, "
           "        $4::gangsaw.job_state AS state, j.timeout_seconds, "
           "        nullif($5::bigint, -1)::double precision / 1000 AS run_ms, "
           "        nullif($6::bigint, -1)::double precision / 1000 AS cpu_ms, "
           "        j.attempt, j.crashes + $11::integer AS crashes, j.max_attempts, j.priority, "
           "        j.lane, j.task, j.tenant, j.params, j.unique_key, j.tags, j.blobs, "
           "        j.request_id, j.attempts, j.traceparent, $8::json AS error, "
           "        $9::json AS result, $10::json AS outputs, "
           "        j.is_watched OR j.is_awaited AS is_watched), "
           "stored AS ( "
           "    INSERT INTO gangsaw.job_done (" JOB_DONE_COLUMNS ") "
           "    SELECT " JOB_DONE_COLUMNS " FROM ended) "
           "SELECT e.id, CASE WHEN e.is_watched THEN "
           "    pg_notify('" JOB_CHANNEL_CHANGED "', e.id || '" JOB_MARK_ENDED "') END "
           "FROM ended e",
};

static int64_t age_us(const struct job_end *e, int64_t now_us)
{
    return e->ended_us > 0 && e->ended_us < now_us ? now_us - e->ended_us : 0;
}

static void complete_one(struct db *db, int64_t runner, const struct job_end *e, db_done *done,
                         void *context)
{
    struct arena *a = arena_new();
    struct db_value values[] = {
        db_int(a, runner),
        db_int(a, e->id),
        db_int(a, e->lease),
        db_text(job_state_name(e->state)),
        db_int(a, job_us(e->run_ms)),
        db_int(a, job_us(e->cpu_ms)),
        db_int(a, age_us(e, clock_us())),
        db_text(e->error),
        db_text(e->result),
        db_text(e->outputs),
        db_int(a, e->crashed),
    };
    db_send(db, &complete_one_statement, values, 11, done, context);
    arena_free(a);
}

static const char *ints_text(struct arena *a, const int64_t *values, int count)
{
    return count > 0 ? db_ints(a, values, count).bytes : NULL;
}

void job_complete_send(struct db *db, int64_t runner, const struct job_end *ends, int count,
                       double retention_days, db_done *done, void *context)
{
    if (count == 1 && ends->is_plain && ends->blob_count == 0) {
        complete_one(db, runner, ends, done, context);
        return;
    }
    struct arena *a = arena_new();
    const struct job_end **order = order_ends(a, ends, &count);
    size_t numbers = (size_t)count * sizeof(int64_t), texts = (size_t)count * sizeof(char *);
    int64_t *id = arena_alloc(a, numbers), *lease = arena_alloc(a, numbers);
    int64_t *run_us = arena_alloc(a, numbers), *cpu_us = arena_alloc(a, numbers);
    int64_t *age = arena_alloc(a, numbers), now_us = clock_us();
    int64_t *crashes = arena_alloc(a, numbers);
    const char **state = arena_alloc(a, texts), **error = arena_alloc(a, texts);
    const char **result = arena_alloc(a, texts), **outputs = arena_alloc(a, texts);
    const char **blobs = arena_alloc(a, texts);

    for (int i = 0; i < count; i++) {
        const struct job_end *e = order[i];
        id[i] = e->id;
        lease[i] = e->lease;
        run_us[i] = job_us(e->run_ms);
        cpu_us[i] = job_us(e->cpu_ms);
        age[i] = age_us(e, now_us);
        crashes[i] = e->crashed;
        state[i] = job_state_name(e->state);
        error[i] = e->error;
        result[i] = e->result;
        outputs[i] = e->outputs;
        blobs[i] = ints_text(a, e->blobs, e->blob_count);
    }
    struct db_value values[] = {
        db_int(a, runner),
        db_real(a, retention_days),
        db_ints(a, id, count),
        db_ints(a, lease, count),
        db_texts(a, state, count),
        db_ints(a, run_us, count),
        db_ints(a, cpu_us, count),
        db_ints(a, age, count),
        some_texts(a, error, count),
        some_texts(a, result, count),
        some_texts(a, outputs, count),
        some_texts(a, blobs, count),
        db_ints(a, crashes, count),
    };
    db_send(db, &complete_statement, values, 13, done, context);
    arena_free(a);
}

int job_complete_read(const struct db_rows *rows, struct arena *a, int64_t **ret_ids)
{
    int count = db_count(rows);
    *ret_ids = arena_alloc(a, (size_t)count * sizeof(**ret_ids));
    for (int i = 0; i < count; i++)
        (*ret_ids)[i] = db_get_int(rows, i, 0);
    return count;
}

/* kind: 0 retry, 1 crash, 2 untried, as enum job_return_kind. */
static const struct db_statement return_statement = {
    .name = "job_return",
    .sql =
        "WITH held AS MATERIALIZED ( "
        "    SELECT j.*, g.kind, g.delay_us, g.run_us, g.error::jsonb AS error, "
        "           set_config('synchronous_commit', 'off', true) "
        "    FROM (SELECT DISTINCT ON (u.id) u.* "
        "          FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], "
        "                      $6::bigint[], $7::text[]) "
        "               AS u (id, lease, kind, delay_us, run_us, error) "
        "          ORDER BY u.id) g "
        "        CROSS JOIN LATERAL ( "
        "            SELECT h.id, h.priority, h.vtime, "
        "                   coalesce((SELECT t.lane FROM gangsaw.task t WHERE t.name = h.task), "
        "                            h.lane) AS lane "
        "            FROM gangsaw.job h "
        "            WHERE h.id = g.id AND h.lease = g.lease AND h.runner = $1::bigint "
        "            FOR UPDATE) j), " JOB_PLACED ", "
        "changed AS ( "
        "    UPDATE gangsaw.job j "
        "    SET state = CASE h.kind WHEN 0 THEN 'scheduled' ELSE 'queued' END::gangsaw.job_state, "
        "        " JOB_PUT_BACK ", "
        "        ready_at = CASE h.kind WHEN 0 THEN now() + h.delay_us * interval '1 microsecond' "
        "                               ELSE j.ready_at END, "
        "        attempt = j.attempt - CASE h.kind WHEN 2 THEN 1 ELSE 0 END, "
        "        crashes = j.crashes + CASE h.kind WHEN 1 THEN 1 ELSE 0 END, "
        "        attempts = CASE WHEN h.error IS NULL THEN j.attempts "
        "                        ELSE coalesce(j.attempts, '[]') || gangsaw.attempt_entry( "
        "                            j.attempt, "
        "                            greatest(j.started_at, "
        "                                     now() - h.run_us * interval '1 microsecond'), "
        "                            now(), h.error) END "
        "    FROM placed h "
        "    WHERE j.id = h.id AND j.id = ANY (ARRAY(SELECT x.id FROM held x)) "
        "    RETURNING j.id, j.is_watched) "
        "SELECT c.id, " JOB_TELL ", (SELECT gangsaw.wake()) FROM changed c",
};

void job_return_send(struct db *db, int64_t runner, const struct job_return *returns, int count,
                     db_done *done, void *context)
{
    struct arena *a = arena_new();
    size_t numbers = (size_t)count * sizeof(int64_t);
    int64_t *id = arena_alloc(a, numbers), *lease = arena_alloc(a, numbers);
    int64_t *kind = arena_alloc(a, numbers), *delay_us = arena_alloc(a, numbers);
    int64_t *run_us = arena_alloc(a, numbers);
    const char **error = arena_alloc(a, (size_t)count * sizeof(*error));

    for (int i = 0; i < count; i++) {
        const struct job_return *r = &returns[i];
        int64_t us = job_us(r->delay_seconds * 1000), run = job_us(r->run_ms);
        id[i] = r->id;
        lease[i] = r->lease;
        kind[i] = r->kind;
        delay_us[i] = us > 0 ? us : 0;
        run_us[i] = run > 0 ? run : 0;
        error[i] = r->error;
    }
    struct db_value values[] = {
        db_int(a, runner),         db_ints(a, id, count),       db_ints(a, lease, count),
        db_ints(a, kind, count),   db_ints(a, delay_us, count), db_ints(a, run_us, count),
        db_texts(a, error, count),
    };
    db_send(db, &return_statement, values, 7, done, context);
    arena_free(a);
}

static const struct db_statement progress_statement = {
    .name = "job_progress",
    .sql = "WITH held AS MATERIALIZED ( "
           "    SELECT j.id, g.millionths, g.what, set_config('synchronous_commit', 'off', true) "
           "    FROM (SELECT DISTINCT ON (u.id) u.* "
           "          FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[]) "
           "               AS u (id, lease, millionths, what) "
           "          ORDER BY u.id) g "
           "        CROSS JOIN LATERAL ( "
           "            SELECT h.id FROM gangsaw.job h "
           "            WHERE h.id = g.id AND h.lease = g.lease AND h.runner = $1::bigint "
           "            FOR NO KEY UPDATE) j), "
           "changed AS ( "
           "    UPDATE gangsaw.job j "
           "    SET fraction = nullif(h.millionths, -1) / 1000000.0, what = h.what "
           "    FROM held h "
           "    WHERE j.id = h.id AND j.id = ANY (ARRAY(SELECT x.id FROM held x)) "
           "    RETURNING j.id, j.is_watched) "
           "SELECT c.id, " JOB_TELL " FROM changed c",
};

static int64_t millionths(double fraction)
{
    if (isnan(fraction))
        return -1;
    return llround(fmin(fmax(fraction, 0), 1) * 1000000);
}

void job_progress_send(struct db *db, int64_t runner, const struct job_progress *progress,
                       int count, db_done *done, void *context)
{
    struct arena *a = arena_new();
    size_t numbers = (size_t)count * sizeof(int64_t);
    int64_t *id = arena_alloc(a, numbers), *lease = arena_alloc(a, numbers);
    int64_t *fraction = arena_alloc(a, numbers);
    const char **what = arena_alloc(a, (size_t)count * sizeof(*what));

    for (int i = 0; i < count; i++) {
        id[i] = progress[i].id;
        lease[i] = progress[i].lease;
        fraction[i] = millionths(progress[i].fraction);
        what[i] = progress[i].what;
    }
    struct db_value values[] = {
        db_int(a, runner),           db_ints(a, id, count),    db_ints(a, lease, count),
        db_ints(a, fraction, count), db_texts(a, what, count),
    };
    db_send(db, &progress_statement, values, 5, done, context);
    arena_free(a);
}
