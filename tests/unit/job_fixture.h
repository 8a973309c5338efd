/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_fixture.h - a database with the schema, a worker's and a runner's session, and the operations
 * of db/job.h and db/runner.h as functions that wait
 */
#ifndef TESTS_JOB_FIXTURE_H
#define TESTS_JOB_FIXTURE_H

#include "db_fixture.h"

#include <limits.h>

#include "db/blob.h"
#include "db/job.h"
#include "db/migrate.h"
#include "db/runner.h"

#define DAYS 7.0
#define LEASE_SECONDS 15.0

struct jobs {
    struct context *context;
    struct arena *arena;
    struct db *api, *queue, *listener;
    bool is_connected;
    char *heard; /* "channel=payload\n" … */
};

/* What an asynchronous operation of the queue gave. */
struct answer {
    struct jobs *jobs;
    bool is_done, has_failed;
    struct error error;
    void *items;
    int count;
    int64_t number;
    struct runner_beat beat;
    struct runner_rescue rescue;
    struct job_prune prune;
    int64_t next_ms;
};

static inline int migrate_group_setup(void **state)
{
    char path[PATH_MAX];
    struct error error;
    const char *source = getenv("srcdir");
    if (fixture_group_setup(state) != 0)
        return -1;
    if (!fixture_url[0])
        return 0;
    (void)snprintf(path, sizeof(path), "%s/sql", source ? source : ".");
    struct db *db = open_with(NULL, 0);
    int status = db_migrate(db, path, NULL, &error);
    if (status != 0)
        (void)fprintf(stderr, "migrate: %s %s\n", error.detail, error.cause);
    db_close(db);
    return status;
}

static inline void jobs_connected(void *context)
{
    ((struct jobs *)context)->is_connected = true;
}

static inline void jobs_notified(void *context, const char *channel, const char *payload)
{
    struct jobs *j = context;
    j->heard = arena_printf(j->arena, "%s%s=%s\n", j->heard, channel, payload);
}

static inline void step(struct db *db, int64_t end_us)
{
    struct pollfd p;
    int64_t wake_us = db_poll(db, &p);
    int ms = clock_poll_ms(wake_us < end_us ? wake_us : end_us);
    (void)poll(&p, 1, ms);
    db_step(db);
}

static inline void jobs_listen(struct jobs *j)
{
    static const char *const channels[] = {JOB_CHANNEL_NEW, JOB_CHANNEL_CANCEL, JOB_CHANNEL_CHANGED,
                                           NULL};
    const struct db_events events = {
        .connected = jobs_connected, .notified = jobs_notified, .context = j};
    int64_t end = clock_us() + LIMIT_US;
    j->listener = open_with(NULL, 10000);
    db_keep(j->listener, &events, channels);
    while (!j->is_connected && clock_us() < end)
        step(j->listener, end);
    assert_true(j->is_connected);
}

/* All that was notified so far: a notification of our own comes after what was committed before. */
static inline const char *jobs_heard(struct jobs *j)
{
    int64_t end = clock_us() + LIMIT_US;
    (void)ask(j->context, j->context->other, "NOTIFY " JOB_CHANNEL_NEW ", 'end'");
    while (!strstr(j->heard, "=end\n") && clock_us() < end)
        step(j->listener, end);
    char *last = strstr(j->heard, JOB_CHANNEL_NEW "=end\n");
    assert_non_null(last);
    char *heard = arena_strndup(j->arena, j->heard, (size_t)(last - j->heard));
    j->heard = arena_strdup(j->arena, "");
    return heard;
}

static inline struct jobs *jobs_begin(void **state)
{
    struct context *c = begin_test(state);
    struct jobs *j = arena_alloc(c->arena, sizeof(*j));
    *j = (struct jobs){.context = c, .arena = c->arena};
    j->heard = arena_strdup(c->arena, "");
    j->api = open_with(DB_WORK_OPTIONS, 10000);
    j->queue = open_with(DB_QUEUE_OPTIONS, 10000);
    (void)ask(
        c, c->other,
        "TRUNCATE gangsaw.job, gangsaw.job_done, gangsaw.job_blob, gangsaw.blob, "
        "gangsaw.blob_chunk, gangsaw.job_tag, gangsaw.runner, gangsaw.task, gangsaw.idempotency");
    jobs_listen(j);
    return j;
}

static inline void jobs_end(struct jobs *j)
{
    db_close(j->api);
    db_close(j->queue);
    db_close(j->listener);
}

static inline void finish_answer(struct answer *w, const struct error *error)
{
    w->is_done = true;
    if (error) {
        w->has_failed = true;
        w->error = *error;
    }
}

static inline void answer_claim(void *context, const struct db_rows *rows,
                                const struct error *error)
{
    struct answer *w = context;
    if (rows) {
        struct job_claimed *claimed;
        w->count = job_claim_read(rows, w->jobs->arena, &claimed);
        w->items = claimed;
    }
    finish_answer(w, error);
}

static inline void answer_ids(void *context, const struct db_rows *rows, const struct error *error)
{
    struct answer *w = context;
    if (rows) {
        int64_t *ids;
        w->count = job_complete_read(rows, w->jobs->arena, &ids);
        w->items = ids;
    }
    finish_answer(w, error);
}

static inline void answer_rows(void *context, const struct db_rows *rows, const struct error *error)
{
    struct answer *w = context;
    if (rows) {
        struct job_row *found;
        w->count = job_rows_read(rows, w->jobs->arena, &found);
        w->items = found;
    }
    finish_answer(w, error);
}

static inline void answer_promote(void *context, const struct db_rows *rows,
                                  const struct error *error)
{
    struct answer *w = context;
    if (rows)
        job_promote_read(rows, &w->count, &w->next_ms);
    finish_answer(w, error);
}

static inline void answer_register(void *context, const struct db_rows *rows,
                                   const struct error *error)
{
    struct answer *w = context;
    if (rows)
        w->number = runner_register_read(rows);
    finish_answer(w, error);
}

static inline void answer_recover(void *context, const struct db_rows *rows,
                                  const struct error *error)
{
    struct answer *w = context;
    if (rows)
        w->number = runner_recover_read(rows);
    finish_answer(w, error);
}

static inline void answer_beat(void *context, const struct db_rows *rows, const struct error *error)
{
    struct answer *w = context;
    if (rows)
        w->beat = runner_beat_read(rows, w->jobs->arena);
    finish_answer(w, error);
}

static inline void answer_rescue(void *context, const struct db_rows *rows,
                                 const struct error *error)
{
    struct answer *w = context;
    if (rows)
        w->rescue = runner_rescue_read(rows);
    finish_answer(w, error);
}

static inline void answer_prune(void *context, const struct db_rows *rows,
                                const struct error *error)
{
    struct answer *w = context;
    if (rows)
        w->prune = job_prune_read(rows);
    finish_answer(w, error);
}

static inline void answer_nothing(void *context, const struct db_rows *rows,
                                  const struct error *error)
{
    (void)rows;
    finish_answer(context, error);
}

/* Step the queue's connection until `w` is there. */
static inline struct answer *await(struct answer *w)
{
    int64_t end = clock_us() + LIMIT_US;
    while (!w->is_done && clock_us() < end)
        step(w->jobs->queue, end);
    if (w->has_failed)
        fail_msg("%s %s", w->error.detail, w->error.cause);
    assert_true(w->is_done);
    return w;
}

static inline int64_t register_runner(struct jobs *j, double lease_seconds)
{
    static const char *const lanes[] = {"cpu/demo", "cpu/image"};
    static const struct runner_task tasks[] = {{"demo.echo", "cpu/demo"},
                                               {"image.transform", "cpu/image"}};
    struct answer w = {.jobs = j};
    const struct runner_registration r = {
        .host = "saw1",
        .version = "1",
        .pid = 4711,
        .lease_seconds = lease_seconds,
        .lanes = lanes,
        .lane_count = 2,
        .tasks = tasks,
        .task_count = 2,
    };
    runner_register_send(j->queue, &r, answer_register, &w);
    assert_true(await(&w)->number > 0);
    return w.number;
}

static inline int claim_lanes(struct jobs *j, int64_t runner, const char *const *lanes,
                              int lane_count, int limit, struct job_claimed **ret_jobs)
{
    struct answer w = {.jobs = j};
    job_claim_send(j->queue, runner, lanes, lane_count, limit, answer_claim, &w);
    *ret_jobs = await(&w)->items;
    return w.count;
}

static inline int claim(struct jobs *j, int64_t runner, int limit, struct job_claimed **ret_jobs)
{
    static const char *const lanes[] = {"cpu/demo", "cpu/image"};
    return claim_lanes(j, runner, lanes, 2, limit, ret_jobs);
}

/* The one job that there is to claim. */
static inline struct job_claimed claim_one(struct jobs *j, int64_t runner)
{
    struct job_claimed *claimed;
    assert_int_equal(claim(j, runner, 10, &claimed), 1);
    return claimed[0];
}

static inline int complete(struct jobs *j, int64_t runner, const struct job_end *ends, int count)
{
    struct answer w = {.jobs = j};
    job_complete_send(j->queue, runner, ends, count, DAYS, answer_ids, &w);
    return await(&w)->count;
}

static inline int give_back(struct jobs *j, int64_t runner, const struct job_return *returns,
                            int count)
{
    struct answer w = {.jobs = j};
    job_return_send(j->queue, runner, returns, count, answer_ids, &w);
    return await(&w)->count;
}

static inline struct runner_rescue rescue(struct jobs *j, double lease_seconds)
{
    struct answer w = {.jobs = j};
    runner_rescue_send(j->queue, lease_seconds, DAYS, answer_rescue, &w);
    return await(&w)->rescue;
}

static inline void promote(struct jobs *j, int limit, int *ret_count, int64_t *ret_next_ms)
{
    struct answer w = {.jobs = j};
    job_promote_send(j->queue, limit, answer_promote, &w);
    *ret_count = await(&w)->count;
    *ret_next_ms = w.next_ms;
}

static inline struct job_new new_job(const char *params)
{
    return (struct job_new){
        .task = "demo.echo", .lane = "cpu/demo", .params = params, .max_attempts = 5};
}

static inline void store_many(struct jobs *j, const struct job_new *jobs, int count,
                              struct job_stored *ret_stored)
{
    struct error error;
    bool is_replayed;
    if (job_store(j->api, j->arena, &(struct job_batch){"", jobs, count, NULL, 0, false},
                  ret_stored, &is_replayed, &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
}

static inline int64_t store(struct jobs *j, struct job_new job)
{
    struct job_stored stored;
    store_many(j, &job, 1, &stored);
    assert_true(stored.is_new);
    return stored.id;
}

static inline int64_t store_awaited(struct jobs *j, struct job_new job)
{
    struct job_batch batch = {.tenant = "", .jobs = &job, .count = 1, .is_awaited = true};
    struct job_stored stored;
    struct error error;
    bool is_replayed;
    assert_int_equal(job_store(j->api, j->arena, &batch, &stored, &is_replayed, &error), 0);
    assert_true(stored.is_new);
    return stored.id;
}

static inline struct job_row get(struct jobs *j, int64_t id)
{
    struct job_row row;
    struct error error;
    if (job_get(j->api, j->arena, "", id, true, &row, &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
    return row;
}

static inline int64_t number(struct jobs *j, const char *sql)
{
    return db_get_int(ask(j->context, j->context->other, sql), 0, 0);
}

static inline void change(struct jobs *j, const char *sql)
{
    (void)ask(j->context, j->context->other, sql);
}

static inline int64_t save_blob(struct jobs *j, const void *bytes, size_t size)
{
    struct blob_writer *w;
    struct blob_info info;
    struct error error;
    if (blob_write_begin(j->api, j->arena, "", "image/png", "in.png", &w, &error) != 0 ||
        blob_write(w, bytes, size, &error) != 0 || blob_write_end(w, &info, &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
    return info.key;
}

#endif
