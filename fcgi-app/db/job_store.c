/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_store.c - new jobs, all or none; see job.h
 *
 * One statement stores a batch, or a slice of a large one. A transaction is opened round it only
 * where there is more to do: slices, blobs, unique keys, an Idempotency-Key.
 */
#include "db/job_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 5 /* for the holder of a unique key that ends whenever it is looked for */

/*
 * Ids ascend in the batch's order, so what comes back tells which are new: rows (true, id) for
 * those that were given an id, which is asked for ($14) only where a unique key may be taken,
 * (false, id) for those stored. The row without a kind has the time, in µs. Turns are given per
 * lane and priority. Keys are inserted in one order, that of their bytes, so that batches do not
 * deadlock.
 */
static const struct db_statement store_statement = {
    .name = "job_store",
    .sql =
        "WITH given AS MATERIALIZED ("
        "    SELECT nextval('gangsaw.job_id') AS id, u.*, "
        "           CASE WHEN u.run_at_us > 0 "
        "                THEN greatest(now(), to_timestamp(u.run_at_us / 1000000.0)) "
        "                ELSE now() + u.delay_us * interval '1 microsecond' END AS ready_at "
        "    FROM unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[], "
        "                $7::bigint[], $8::integer[], $9::bigint[], $10::text[], $11::text[], "
        "                $12::text[], $13::text[], $15::text[]) "
        "        AS u (task, lane, params, priority, run_at_us, delay_us, max_attempts, "
        "timeout_us, "
        "              unique_key, tags, blobs, request_id, traceparent)), "
        "ranked AS ("
        "    SELECT g.*, g.ready_at > now() AS is_later, "
        "           row_number() OVER (PARTITION BY g.lane, g.priority, g.ready_at > now() "
        "                              ORDER BY g.id) - 1 AS turn "
        "    FROM given g), "
        "placed AS ("
        "    SELECT r.*, CASE WHEN r.is_later THEN 0 ELSE "
        "               max(CASE WHEN r.turn = 0 AND NOT r.is_later "
        "                        THEN gangsaw.next_vtime(r.lane, r.priority, $1::text) END) "
        "                   OVER (PARTITION BY r.lane, r.priority, r.is_later) + r.turn END AS "
        "vtime "
        "    FROM ranked r), "
        "stored AS ("
        "    INSERT INTO gangsaw.job (id, tenant, task, lane, params, priority, vtime, state, "
        "                             ready_at, max_attempts, timeout_seconds, unique_key, tags, "
        "                             blobs, request_id, traceparent, is_awaited) "
        "    SELECT p.id, $1::text, p.task, p.lane, p.params::json, p.priority, p.vtime, "
        "           CASE WHEN p.is_later THEN 'scheduled' ELSE 'queued' END::gangsaw.job_state, "
        "           p.ready_at, p.max_attempts, nullif(p.timeout_us, -1) / 1000000.0, "
        "p.unique_key, "
        "           p.tags::text[], p.blobs::bigint[], p.request_id, p.traceparent, $16::boolean "
        "    FROM placed p "
        "    ORDER BY p.unique_key COLLATE \"C\", p.task COLLATE \"C\", p.id "
        "    ON CONFLICT (tenant, task, unique_key) WHERE unique_key IS NOT NULL DO NOTHING "
        "    RETURNING id, state, blobs, tags), "
        "linked AS ("
        "    INSERT INTO gangsaw.job_blob (blob, job) "
        "    SELECT DISTINCT b.blob, s.id FROM stored s CROSS JOIN LATERAL unnest(s.blobs) AS b "
        "(blob)), "
        "tagged AS ("
        "    INSERT INTO gangsaw.job_tag (tenant, tag, job) "
        "    SELECT DISTINCT $1::text, t.tag, s.id FROM stored s CROSS JOIN LATERAL unnest(s.tags) "
        "AS t "
        "(tag)), "
        "woken AS MATERIALIZED ("
        "    SELECT gangsaw.wake() FROM stored s WHERE s.state = 'queued' LIMIT 1) "
        "SELECT true, g.id FROM given g WHERE $14::boolean "
        "UNION ALL SELECT false, s.id FROM stored s "
        "UNION ALL SELECT NULL, (extract(epoch FROM now()) * 1000000)::bigint "
        "          FROM (SELECT FROM woken) w RIGHT JOIN (SELECT) always ON true",
};

static const struct db_statement holders_statement = {
    .name = "job_unique_holders",
    .sql = "SELECT g.n, j.id "
           "FROM unnest($2::bigint[], $3::text[], $4::text[]) AS g (n, task, unique_key) "
           "    CROSS JOIN LATERAL ("
           "        SELECT h.id FROM gangsaw.job h "
           "        WHERE h.tenant = $1::text AND h.task = g.task AND h.unique_key = g.unique_key "
           "        LIMIT 1) j",
};

/* The lock keeps blobs from being pruned before the job holds them. */
static const struct db_statement blobs_statement = {
    .name = "job_check_blobs",
    .sql = "SELECT b.id FROM gangsaw.blob b "
           "WHERE b.id = ANY ($1::bigint[]) AND b.tenant = $2::text "
           "  AND (b.expires_at > now() "
           "       OR EXISTS (SELECT FROM gangsaw.job_blob l WHERE l.blob = b.id)) "
           "ORDER BY b.id FOR KEY SHARE",
};

/* ON CONFLICT would wait for a request with the same key; this one says at once that there is one.
 */
static const struct db_statement lock_statement = {
    .name = "job_idempotency_lock",
    .sql = "SELECT pg_try_advisory_xact_lock(hashtextextended("
           "    concat_ws(E'\\n', 'gangsaw idempotency', $1::text, $2::text, $3::text), 0))",
};

static const struct db_statement find_statement = {
    .name = "job_idempotency_find",
    .sql = "SELECT i.request_sha256 = $4::bytea, u.id "
           "FROM gangsaw.idempotency i "
           "    CROSS JOIN LATERAL unnest(i.jobs) WITH ORDINALITY AS u (id, n) "
           "WHERE i.tenant = $1::text AND i.route = $2::text AND i.key = $3::text "
           "  AND i.created_at > now() - interval '24 hours' "
           "ORDER BY u.n",
};

/* Only one that is too old gives way. */
static const struct db_statement record_statement = {
    .name = "job_idempotency_record",
    .sql = "INSERT INTO gangsaw.idempotency AS i (tenant, route, key, request_sha256, jobs) "
           "VALUES ($1::text, $2::text, $3::text, $4::bytea, $5::bigint[]) "
           "ON CONFLICT (tenant, route, key) DO UPDATE "
           "SET request_sha256 = excluded.request_sha256, jobs = excluded.jobs, created_at = now() "
           "WHERE i.created_at <= now() - interval '24 hours' "
           "RETURNING 1",
};

/* A batch that is being stored: which of its jobs have no id yet. */
struct batch {
    struct db *db;
    const struct job_batch *asked;
    const char *tenant;
    struct arena *arena;
    const struct job_new *jobs;
    int count;
    int *waiting; /* indexes into jobs; in the order in which their keys are inserted */
    int waiting_count;
    struct job_stored *stored;
};

static const char *array_text(struct db_value value)
{
    return value.bytes;
}

static const char *tags_text(struct arena *a, const struct job_new *job)
{
    return job->tag_count > 0 ? array_text(db_texts(a, job->tags, job->tag_count)) : NULL;
}

static const char *blobs_text(struct arena *a, const struct job_new *job)
{
    return job->blob_count > 0 ? array_text(db_ints(a, job->blobs, job->blob_count)) : NULL;
}

/* Some of the jobs of a batch that are waiting: what one statement stores. */
struct slice {
    const struct job_new *jobs;
    int *waiting;
    int count;
};

static bool has_unique(const struct slice *s)
{
    for (int i = 0; i < s->count; i++) {
        if (s->jobs[s->waiting[i]].unique_key)
            return true;
    }
    return false;
}

int64_t job_seconds_us(double seconds)
{
    return seconds > 0 && seconds < 1e9 ? llround(seconds * 1e6) : 0;
}

/* The values of store_statement. */
#define STORE_VALUES 16
static void fill_values(struct arena *a, const struct job_batch *batch, const struct slice *s,
                        struct db_value ret_values[STORE_VALUES])
{
    int n = s->count;
    size_t numbers = (size_t)n * sizeof(int64_t), texts = (size_t)n * sizeof(char *);
    int64_t *priority = arena_alloc(a, numbers), *run_at = arena_alloc(a, numbers);
    int64_t *delay = arena_alloc(a, numbers), *max_attempts = arena_alloc(a, numbers);
    int64_t *timeout = arena_alloc(a, numbers);
    const char **task = arena_alloc(a, texts), **lane = arena_alloc(a, texts);
    const char **params = arena_alloc(a, texts), **unique_key = arena_alloc(a, texts);
    const char **tags = arena_alloc(a, texts), **blobs = arena_alloc(a, texts);
    const char **request_id = arena_alloc(a, texts), **traceparent = arena_alloc(a, texts);

    for (int i = 0; i < n; i++) {
        const struct job_new *job = &s->jobs[s->waiting[i]];
        int64_t timeout_us = job_seconds_us(job->timeout_seconds);
        task[i] = job->task;
        lane[i] = job->lane;
        params[i] = job->params;
        priority[i] = job->priority;
        run_at[i] = job->run_at_us;
        delay[i] = job_seconds_us(job->delay_seconds);
        max_attempts[i] = job->max_attempts;
        timeout[i] = timeout_us > 0 ? timeout_us : -1;
        unique_key[i] = job->unique_key;
        tags[i] = tags_text(a, job);
        blobs[i] = blobs_text(a, job);
        request_id[i] = job->request_id;
        traceparent[i] = job->traceparent;
    }
    struct db_value values[STORE_VALUES] = {
        db_text(batch->tenant),     db_texts(a, task, n),        db_texts(a, lane, n),
        db_texts(a, params, n),     db_ints(a, priority, n),     db_ints(a, run_at, n),
        db_ints(a, delay, n),       db_ints(a, max_attempts, n), db_ints(a, timeout, n),
        db_texts(a, unique_key, n), db_texts(a, tags, n),        db_texts(a, blobs, n),
        db_texts(a, request_id, n), db_bool(has_unique(s)),      db_texts(a, traceparent, n),
        db_bool(batch->is_awaited),
    };
    memcpy(ret_values, values, sizeof(values));
}

int job_compare_ids(const void *one, const void *two)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)two;
    return (a > b) - (a < b);
}

/* As the statement has it. */
static struct job_stored as_stored(const struct job_new *job, int64_t id, int64_t now_us)
{
    int64_t ready_us =
        job->run_at_us > 0 ? job->run_at_us : now_us + job_seconds_us(job->delay_seconds);
    return (struct job_stored){.id = id,
                               .is_new = true,
                               .created_us = now_us,
                               .ready_us = ready_us > now_us ? ready_us : now_us};
}

/* Ids that were given, in order, and those that were stored; jobs without one go on waiting: they
 * are left in the slice. */
static int take_stored(struct batch *b, struct slice *s, const struct db_rows *rows,
                       struct error *reterr)
{
    int count = db_count(rows), given_count = 0, stored_count = 0, left = 0;
    int64_t *given = arena_alloc(b->arena, (size_t)count * sizeof(*given)), now_us = 0;
    int64_t *stored = arena_alloc(b->arena, (size_t)count * sizeof(*stored));

    for (int i = 0; i < count; i++) {
        if (db_is_null(rows, i, 0))
            now_us = db_get_int(rows, i, 1);
        else if (db_get_bool(rows, i, 0))
            given[given_count++] = db_get_int(rows, i, 1);
        else
            stored[stored_count++] = db_get_int(rows, i, 1);
    }
    qsort(given, (size_t)given_count, sizeof(*given), job_compare_ids);
    qsort(stored, (size_t)stored_count, sizeof(*stored), job_compare_ids);
    if (stored_count == s->count) {
        given = stored;
        given_count = stored_count;
    }
    if (given_count != s->count)
        return error_internal(reterr, "job_store: %d ids for %d jobs", given_count, s->count);
    for (int i = 0, k = 0; i < given_count; i++) {
        int job = s->waiting[i];
        if (k < stored_count && stored[k] == given[i]) {
            b->stored[job] = as_stored(&b->jobs[job], given[i], now_us);
            k++;
        } else {
            s->waiting[left++] = job;
        }
    }
    s->count = left;
    return 0;
}

/* Who holds the unique keys of the jobs that are waiting. One may just have ended. */
static int find_holders(struct batch *b, struct error *reterr)
{
    struct arena *a = b->arena;
    int n = b->waiting_count, left = 0;
    int64_t *index = arena_alloc(a, (size_t)n * sizeof(*index));
    const char **task = arena_alloc(a, (size_t)n * sizeof(*task));
    const char **unique_key = arena_alloc(a, (size_t)n * sizeof(*unique_key));
    const struct db_rows *rows;

    for (int i = 0; i < n; i++) {
        index[i] = b->waiting[i];
        task[i] = b->jobs[b->waiting[i]].task;
        unique_key[i] = b->jobs[b->waiting[i]].unique_key;
    }
    struct db_value values[] = {db_text(b->tenant), db_ints(a, index, n), db_texts(a, task, n),
                                db_texts(a, unique_key, n)};
    if (db_query(b->db, a, &holders_statement, values, 4, &rows, reterr) != 0)
        return -1;
    for (int i = 0; i < db_count(rows); i++) {
        int64_t job = db_get_int(rows, i, 0);
        if (job >= 0 && job < b->count)
            b->stored[job] = (struct job_stored){.id = db_get_int(rows, i, 1)};
    }
    for (int i = 0; i < n; i++) {
        if (b->stored[b->waiting[i]].id == 0)
            b->waiting[left++] = b->waiting[i];
    }
    b->waiting_count = left;
    return 0;
}

static int store_slice(struct batch *b, struct slice *s, struct error *reterr)
{
    struct db_value values[STORE_VALUES];
    const struct db_rows *rows;
    const struct job_new *first = &s->jobs[s->waiting[0]];
    if (s->count == 1 && job_is_plain(first)) {
        s->count = 0;
        return job_store_one(b->db, b->arena, b->asked, first, &b->stored[s->waiting[0]], reterr);
    }
    if (job_store_plain(b->db, b->arena, b->asked, s->waiting, s->count, &rows, reterr) != 0)
        return -1;
    if (rows)
        return take_stored(b, s, rows, reterr);
    fill_values(b->arena, b->asked, s, values);
    if (db_query(b->db, b->arena, &store_statement, values, STORE_VALUES, &rows, reterr) != 0)
        return -1;
    return take_stored(b, s, rows, reterr);
}

/* Those that wait, slice by slice: each statement has a budget of its own. Whose unique key is
 * taken goes on waiting. */
static int store_waiting(struct batch *b, struct error *reterr)
{
    int count = b->waiting_count, left = 0;
    for (int from = 0; from < count; from += JOB_STORE_SLICE) {
        int size = count - from < JOB_STORE_SLICE ? count - from : JOB_STORE_SLICE;
        struct slice s = {b->jobs, b->waiting + from, size};
        if (store_slice(b, &s, reterr) != 0)
            return -1;
        memmove(b->waiting + left, s.waiting, (size_t)s.count * sizeof(*s.waiting));
        left += s.count;
    }
    b->waiting_count = left;
    return 0;
}

/* Where a holder has just ended, its job goes on waiting. */
static int store_jobs(struct batch *b, struct error *reterr)
{
    if (store_waiting(b, reterr) != 0)
        return -1;
    return b->waiting_count > 0 ? find_holders(b, reterr) : 0;
}

struct job_row job_new_row(const char *tenant, const struct job_new *job,
                           const struct job_stored *stored, struct arena *a)
{
    const char **tags = NULL;
    if (job->tag_count > 0) {
        tags = arena_alloc(a, ((size_t)job->tag_count + 1) * sizeof(*tags));
        memcpy(tags, job->tags, (size_t)job->tag_count * sizeof(*tags));
    }
    return (struct job_row){
        .id = stored->id,
        .state = stored->ready_us > stored->created_us ? JOB_SCHEDULED : JOB_QUEUED,
        .task = job->task,
        .lane = job->lane,
        .tenant = tenant,
        .params = job->params,
        .unique_key = job->unique_key,
        .request_id = job->request_id,
        .traceparent = job->traceparent,
        .tags = tags,
        .priority = job->priority,
        .max_attempts = job->max_attempts,
        .timeout_seconds = job->timeout_seconds > 0 ? job->timeout_seconds : NAN,
        .fraction = NAN,
        .created_us = stored->created_us,
        .ready_us = stored->ready_us,
        .run_ms = NAN,
        .cpu_ms = NAN,
    };
}

static int check_blobs(const struct batch *b, struct error *reterr)
{
    int count = 0, wanted = 0;
    const struct db_rows *rows;
    for (int i = 0; i < b->count; i++)
        count += b->jobs[i].blob_count;
    int64_t *keys = arena_alloc(b->arena, (size_t)count * sizeof(*keys));
    for (int i = 0, k = 0; i < b->count; i++) {
        for (int n = 0; n < b->jobs[i].blob_count; n++)
            keys[k++] = b->jobs[i].blobs[n];
    }
    qsort(keys, (size_t)count, sizeof(*keys), job_compare_ids);
    for (int i = 0; i < count; i++) {
        if (i == 0 || keys[i] != keys[i - 1])
            keys[wanted++] = keys[i];
    }
    if (wanted == 0)
        return 0;
    if (db_query(b->db, b->arena, &blobs_statement,
                 (struct db_value[]){db_ints(b->arena, keys, wanted), db_text(b->tenant)}, 2, &rows,
                 reterr) != 0)
        return -1;
    if (db_count(rows) != wanted)
        return error_set(reterr, ERR_NOT_FOUND, "A blob that the job refers to has just expired.");
    return 0;
}

static int key_conflict(struct error *reterr)
{
    return error_set(reterr, ERR_CONFLICT,
                     "A request with this Idempotency-Key is under way; try again.");
}

#define KEY_VALUES(tenant, i) \
    db_text(tenant), db_text((i)->route), db_text((i)->key), db_bytes((i)->request_sha256, 32)

int job_find_stored(struct db *db, struct arena *a, const char *tenant,
                    const struct job_idempotency *idempotency, struct job_stored **ret_stored,
                    int *ret_count, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &find_statement, (struct db_value[]){KEY_VALUES(tenant, idempotency)}, 4,
                 &rows, reterr) != 0)
        return -1;
    int count = db_count(rows);
    if (count > 0 && !db_get_bool(rows, 0, 0))
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The Idempotency-Key was used with another request.");
    *ret_stored = arena_alloc(a, (size_t)count * sizeof(**ret_stored));
    for (int i = 0; i < count; i++)
        (*ret_stored)[i] = (struct job_stored){.id = db_get_int(rows, i, 1)};
    *ret_count = count;
    return 0;
}

/* Lock the key and see what it was used for. Two statements: what its last user committed before it
 * let go of the lock is seen only by a snapshot that is taken afterwards. */
static int begin_key(struct batch *b, const struct job_idempotency *i, bool *ret_replayed,
                     struct error *reterr)
{
    const struct db_rows *rows;
    struct job_stored *found;
    int count;
    if (db_query(b->db, b->arena, &lock_statement, (struct db_value[]){KEY_VALUES(b->tenant, i)}, 3,
                 &rows, reterr) != 0)
        return -1;
    if (!db_get_bool(rows, 0, 0))
        return key_conflict(reterr);
    if (job_find_stored(b->db, b->arena, b->tenant, i, &found, &count, reterr) != 0)
        return -1;
    *ret_replayed = count > 0;
    if (count == 0)
        return 0;
    if (count != b->count)
        return error_internal(reterr, "the same request stored %d jobs, not %d", count, b->count);
    memcpy(b->stored, found, (size_t)count * sizeof(*found));
    return 0;
}

static int record_key(const struct batch *b, const struct job_idempotency *i, struct error *reterr)
{
    const struct db_rows *rows;
    int64_t *ids = arena_alloc(b->arena, (size_t)b->count * sizeof(*ids));
    for (int n = 0; n < b->count; n++)
        ids[n] = b->stored[n].id;
    struct db_value values[] = {KEY_VALUES(b->tenant, i), db_ints(b->arena, ids, b->count)};
    if (db_query(b->db, b->arena, &record_statement, values, 5, &rows, reterr) != 0)
        return -1;
    return db_count(rows) == 1 ? 0 : key_conflict(reterr);
}

static int store_in_transaction(struct batch *b, const struct job_idempotency *idempotency,
                                bool *ret_replayed, struct error *reterr)
{
    if (idempotency && begin_key(b, idempotency, ret_replayed, reterr) != 0)
        return -1;
    if (*ret_replayed)
        return 0;
    if (job_check_batch(b->db, b->arena, b->asked, reterr) != 0 || check_blobs(b, reterr) != 0 ||
        store_jobs(b, reterr) != 0)
        return -1;
    return idempotency && b->waiting_count == 0 ? record_key(b, idempotency, reterr) : 0;
}

/* Can one statement do all of it? */
static bool is_simple(const struct batch *b)
{
    if (b->count > JOB_STORE_SLICE)
        return false;
    for (int i = 0; i < b->count; i++) {
        if (b->jobs[i].unique_key || b->jobs[i].blob_count > 0)
            return false;
    }
    return true;
}

static int compare_texts(const char *one, const char *two)
{
    if (!one || !two)
        return (one == NULL) - (two == NULL); /* as SQL sorts NULL */
    return strcmp(one, two);
}

/* In the order of store_statement. */
static int compare_jobs(const void *one, const void *two, void *jobs)
{
    int a = *(const int *)one, b = *(const int *)two;
    const struct job_new *x = (const struct job_new *)jobs + a;
    const struct job_new *y = (const struct job_new *)jobs + b;
    int order = compare_texts(x->unique_key, y->unique_key);
    if (order == 0 && x->unique_key)
        order = strcmp(x->task, y->task);
    return order != 0 ? order : (a > b) - (a < b);
}

/* Slices take their keys in one order too; ids then ascend in that one. */
static void order_keys(struct batch *b)
{
    const struct slice all = {b->jobs, b->waiting, b->waiting_count};
    if (b->count > JOB_STORE_SLICE && has_unique(&all))
        qsort_r(b->waiting, (size_t)b->waiting_count, sizeof(*b->waiting), compare_jobs,
                (void *)(uintptr_t)b->jobs);
}

/* From the beginning. Storing those that wait in the same transaction would take their keys out of
 * order, with the others' still held: batches would deadlock. */
static int store_once(struct batch *b, const struct job_idempotency *idempotency,
                      bool *ret_replayed, struct error *reterr)
{
    b->waiting_count = b->count;
    for (int i = 0; i < b->count; i++) {
        b->waiting[i] = i;
        b->stored[i] = (struct job_stored){0};
    }
    order_keys(b);
    if (!idempotency && is_simple(b)) {
        int result = job_check_batch(b->db, b->arena, b->asked, reterr);
        return result == 0 ? store_jobs(b, reterr) : result;
    }
    if (db_begin(b->db, reterr) != 0)
        return -1;
    int result = store_in_transaction(b, idempotency, ret_replayed, reterr);
    if (result == 0 && (b->waiting_count == 0 || *ret_replayed))
        return db_commit(b->db, reterr);
    db_rollback(b->db);
    return result;
}

int job_store(struct db *db, struct arena *a, const struct job_batch *batch,
              struct job_stored *ret_stored, bool *ret_replayed, struct error *reterr)
{
    int count = batch->count;
    struct batch b = {
        .db = db,
        .asked = batch,
        .tenant = batch->tenant,
        .arena = a,
        .jobs = batch->jobs,
        .count = count,
        .waiting = arena_alloc(a, (size_t)count * sizeof(int)),
        .stored = arena_alloc(a, (size_t)count * sizeof(*ret_stored)),
    };
    const struct job_idempotency *idempotency = batch->idempotency;
    bool is_replayed = false;

    if (idempotency && !idempotency->key)
        idempotency = NULL;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (store_once(&b, idempotency, &is_replayed, reterr) != 0)
            return -1;
        if (b.waiting_count == 0 || is_replayed)
            break;
    }
    if (b.waiting_count > 0 && !is_replayed)
        return error_set(reterr, ERR_CONFLICT,
                         "Jobs with the same unique key come and go too fast; try again.");
    memcpy(ret_stored, b.stored, (size_t)count * sizeof(*ret_stored));
    *ret_replayed = is_replayed;
    return 0;
}
