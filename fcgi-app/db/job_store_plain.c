/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_store_plain.c - new jobs as most batches have them; see job_internal.h
 *
 * Most jobs are to be queued and nothing else, and those of a batch differ in their parameters
 * alone. The statement for all that a job may have sorts them three times, and asks for each
 * whether its unique key is taken: this one costs the server two thirds of it.
 */
#include "db/job_internal.h"

#include <string.h>

#define KINDS_MAX 16 /* of one statement, which looks a kind up by counting */

/* $2 to $4 are of each job: parameters, kind and turn; the others of each kind. Ids ascend in the
 * order of the jobs. The array of turns' beginnings is made once, before the first job is there. */
static const struct db_statement alike_statement = {
    .name = "job_store_alike",
    .sql = "WITH stored AS ("
           "    INSERT INTO gangsaw.job (tenant, task, lane, params, priority, vtime, "
           "                             max_attempts, timeout_seconds, request_id, traceparent, "
           "                             is_awaited) "
           "    SELECT $1::text, ($5::text[])[u.kind], ($6::text[])[u.kind], u.params, "
           "           ($7::integer[])[u.kind], "
           "           (ARRAY(SELECT gangsaw.next_vtime(k.lane, k.priority, $1::text) "
           "                  FROM unnest($6::text[], $7::integer[]) AS k (lane, priority))) "
           "               [u.kind] + u.turn, "
           "           ($8::integer[])[u.kind], nullif(($9::bigint[])[u.kind], -1) / 1000000.0, "
           "           ($10::text[])[u.kind], ($11::text[])[u.kind], $12::boolean "
           "    FROM unnest($2::json[], $3::integer[], $4::bigint[]) AS u (params, kind, turn) "
           "    RETURNING id), "
           "woken AS MATERIALIZED (SELECT gangsaw.wake() FROM stored LIMIT 1) "
           "SELECT false, s.id FROM stored s "
           "UNION ALL SELECT NULL, (extract(epoch FROM now()) * 1000000)::bigint FROM woken",
};

static int64_t timeout_us(const struct job_new *job)
{
    int64_t us = job_seconds_us(job->timeout_seconds);
    return us > 0 ? us : -1;
}

/* Jobs that differ in their parameters alone, and which turns of their queue are given out. */
struct kinds {
    int count;
    const struct job_new *first[KINDS_MAX];
    int queue[KINDS_MAX]; /* the first kind that has the same lane and priority */
    int64_t turns[KINDS_MAX];
};

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_queue(const struct job_new *a, const struct job_new *b)
{
    return a->priority == b->priority && is_same_text(a->lane, b->lane);
}

static bool is_same_kind(const struct job_new *a, const struct job_new *b)
{
    return is_same_queue(a, b) && a->max_attempts == b->max_attempts &&
           timeout_us(a) == timeout_us(b) && is_same_text(a->task, b->task) &&
           is_same_text(a->request_id, b->request_id) &&
           is_same_text(a->traceparent, b->traceparent);
}

/* -1: one kind too many. */
static int find_kind(struct kinds *kinds, const struct job_new *job)
{
    int kind = 0, queue = 0;
    while (kind < kinds->count && !is_same_kind(kinds->first[kind], job))
        kind++;
    if (kind < kinds->count)
        return kind;
    if (kind == KINDS_MAX)
        return -1;
    kinds->first[kind] = job;
    while (!is_same_queue(kinds->first[queue], job))
        queue++;
    kinds->queue[kind] = queue;
    kinds->count++;
    return kind;
}

static int store_alike(struct db *db, struct arena *a, const struct job_batch *batch,
                       const struct kinds *kinds, const struct db_value of_each[3],
                       const struct db_rows **ret_rows, struct error *reterr)
{
    const char *task[KINDS_MAX], *lane[KINDS_MAX], *request_id[KINDS_MAX], *traceparent[KINDS_MAX];
    int64_t priority[KINDS_MAX], max_attempts[KINDS_MAX], timeout[KINDS_MAX];
    int n = kinds->count;
    for (int i = 0; i < n; i++) {
        const struct job_new *job = kinds->first[i];
        task[i] = job->task;
        lane[i] = job->lane;
        priority[i] = job->priority;
        max_attempts[i] = job->max_attempts;
        timeout[i] = timeout_us(job);
        request_id[i] = job->request_id;
        traceparent[i] = job->traceparent;
    }
    struct db_value values[] = {
        db_text(batch->tenant),
        of_each[0],
        of_each[1],
        of_each[2],
        db_texts(a, task, n),
        db_texts(a, lane, n),
        db_ints(a, priority, n),
        db_ints(a, max_attempts, n),
        db_ints(a, timeout, n),
        db_texts(a, request_id, n),
        db_texts(a, traceparent, n),
        db_bool(batch->is_awaited),
    };
    return db_query(db, a, &alike_statement, values, 12, ret_rows, reterr);
}

int job_store_plain(struct db *db, struct arena *a, const struct job_batch *batch, const int *order,
                    int count, const struct db_rows **ret_rows, struct error *reterr)
{
    struct kinds kinds = {0};
    const char **params = arena_alloc(a, (size_t)count * sizeof(*params));
    int64_t *kind = arena_alloc(a, (size_t)count * sizeof(*kind));
    int64_t *turn = arena_alloc(a, (size_t)count * sizeof(*turn));

    *ret_rows = NULL;
    for (int i = 0; i < count; i++) {
        const struct job_new *job = &batch->jobs[order[i]];
        int found = job_is_plain(job) ? find_kind(&kinds, job) : -1;
        if (found < 0)
            return 0;
        params[i] = job->params;
        kind[i] = found + 1;
        turn[i] = kinds.turns[kinds.queue[found]]++;
    }
    return store_alike(db, a, batch, &kinds,
                       (struct db_value[]){db_texts(a, params, count), db_ints(a, kind, count),
                                           db_ints(a, turn, count)},
                       ret_rows, reterr);
}
