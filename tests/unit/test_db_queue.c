/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queue as runners and hubs see it, on a real PostgreSQL: who claims what, who may finish it,
 * and who is told.
 */
#include "job_fixture.h"

#include <math.h>

static void test_jobs_are_claimed_by_lane_priority_and_turn(void **state)
{
    struct jobs *j = jobs_begin(state);
    static const char *const lanes[] = {"cpu/image", "cpu/demo", "cpu/image"};
    int64_t runner = register_runner(j, LEASE_SECONDS), ids[4];
    struct job_new job = new_job("{\"n\": 1}"), image = job;
    struct job_claimed *claimed;
    job.timeout_seconds = 2.5;
    job.request_id = "r1";
    ids[0] = store(j, job);
    job.priority = 100;
    ids[1] = store(j, job);
    image.lane = "cpu/image";
    image.task = "image.transform";
    ids[2] = store(j, image);
    ids[3] = store(j, image);
    assert_int_equal(claim_lanes(j, runner, lanes, 3, 3, &claimed), 3);
    assert_int_equal(claimed[0].id, ids[2]);
    assert_int_equal(claimed[1].id, ids[3]);
    assert_int_equal(claimed[2].id, ids[1]);
    assert_string_equal(claimed[2].params, "{\"n\": 1}");
    assert_string_equal(claimed[2].task, "demo.echo");
    assert_string_equal(claimed[2].request_id, "r1");
    assert_true(claimed[2].timeout_seconds == 2.5 && isnan(claimed[0].timeout_seconds));
    assert_int_equal(claimed[2].lease, 1);
    assert_int_equal(claimed[2].attempt, 1);
    assert_int_equal(get(j, ids[1]).state, JOB_RUNNING);
    assert_true(get(j, ids[1]).started_us > 0);
    assert_int_equal(claim_lanes(j, runner, lanes, 1, 3, &claimed), 0);
    assert_int_equal(claim_lanes(j, runner, lanes, 0, 3, &claimed), 0);
    assert_int_equal(claim_one(j, runner).id, ids[0]);
    jobs_end(j);
}

static void test_a_claim_skips_what_another_one_takes(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    (void)store(j, new_job("{}"));
    int64_t second = store(j, new_job("{}"));
    change(j, "BEGIN");
    change(j, "SELECT id FROM gangsaw.job ORDER BY id LIMIT 1 FOR UPDATE");
    assert_int_equal(claim_one(j, runner).id, second);
    change(j, "COMMIT");
    jobs_end(j);
}

static void test_a_claim_ends_before_it_fills_the_memory(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    struct job_claimed *claimed;
    change(j, "INSERT INTO gangsaw.job (lane, task, params) "
              "SELECT 'cpu/demo', 'demo.echo', json_build_object('a', repeat('a', 7000000)) "
              "FROM generate_series(1, 4)");
    assert_int_equal(claim(j, runner, 10, &claimed), 3);
    assert_int_equal(strlen(claimed[2].params), 7000010);
    assert_int_equal(claim(j, runner, 10, &claimed), 1);
    change(j, "INSERT INTO gangsaw.job (lane, task, params) "
              "SELECT 'cpu/demo', 'demo.echo', json_build_object('a', repeat('a', 17000000)) "
              "FROM generate_series(1, 2)");
    assert_int_equal(claim(j, runner, 10, &claimed), 1);
    jobs_end(j);
}

static void test_a_completion_is_recorded_once(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    int64_t blob = save_blob(j, "out", 3);
    struct job_end ends[] = {
        {.id = id,
         .lease = claimed.lease,
         .state = JOB_SUCCEEDED,
         .run_ms = 12.5,
         .cpu_ms = 10,
         .ended_us = clock_us() - 2000000,
         .result = "{ \"a\" : 1.0, \"q\": \"\\\"\" }",
         .outputs = arena_printf(j->arena,
                                 "[{\"name\":\"image\",\"media_type\":\"image/png\",\"size\":3,"
                                 "\"sha256\":\"ab\",\"blob\":%lld}]",
                                 (long long)blob),
         .blobs = &blob,
         .blob_count = 1},
        {.id = id, .lease = claimed.lease, .state = JOB_FAILED, .run_ms = NAN, .cpu_ms = NAN},
    };
    /* long enough ago for the age of the end to count */
    change(j, "UPDATE gangsaw.job SET started_at = now() - interval '1 hour'");
    assert_int_equal(complete(j, runner, ends, 2), 1); /* one id twice */
    assert_int_equal(complete(j, runner, ends, 1), 0);
    struct job_row row = get(j, id);
    assert_int_equal(row.state, JOB_SUCCEEDED);
    assert_string_equal(row.result, "{ \"a\" : 1.0, \"q\": \"\\\"\" }");
    assert_int_equal(row.output_count, 1);
    assert_string_equal(row.outputs[0].name, "image");
    assert_string_equal(row.outputs[0].sha256, "ab");
    assert_int_equal(row.outputs[0].blob, blob);
    assert_int_equal(row.outputs[0].size, 3);
    assert_true(row.run_ms == 12.5 && row.cpu_ms == 10);
    assert_int_equal(row.finished_us - row.started_us, 12500);
    assert_true(clock_real_us() - row.finished_us >= 1900000);
    assert_null(row.error);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_done"), 1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 0);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob "
                               "WHERE expires_at > now() + interval '7 days'"),
                     1);
    jobs_end(j);
}

/* One end of a job without blobs has a statement of its own. */
static void test_an_end_is_recorded_alike_by_itself_and_in_a_batch(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    for (int i = 0; i < 4; i++) {
        bool is_failure = i >= 2;
        int64_t id = store(j, new_job("{\"a\": 1.0}"));
        struct job_claimed claimed = claim_one(j, runner);
        struct job_end end = {.id = id,
                              .lease = claimed.lease,
                              .state = is_failure ? JOB_FAILED : JOB_SUCCEEDED,
                              .run_ms = is_failure ? NAN : 12.5,
                              .cpu_ms = is_failure ? NAN : 10,
                              .ended_us = is_failure ? 0 : clock_us() - 2000000,
                              .result = is_failure ? NULL : "{ \"a\" : 1.0 }",
                              .error = is_failure ? "{\"code\": \"x\"}" : NULL,
                              .crashed = is_failure,
                              .is_plain = i % 2 == 0};
        assert_false(claimed.has_blobs);
        change(j, "UPDATE gangsaw.job SET started_at = now() - interval '1 hour'");
        assert_int_equal(complete(j, runner, &end, 1), 1);
        assert_int_equal(complete(j, runner, &end, 1), 0);
        struct job_row row = get(j, id);
        assert_int_equal(row.state, end.state);
        assert_int_equal(row.crashes, is_failure);
        assert_int_equal(row.attempt, 1);
        if (is_failure) {
            assert_string_equal(row.error, "{\"code\": \"x\"}");
            assert_null(row.result);
            assert_true(isnan(row.run_ms) && isnan(row.cpu_ms));
            assert_true(row.finished_us - row.started_us >= 3599000000);
        } else {
            assert_null(row.error);
            assert_string_equal(row.result, "{ \"a\" : 1.0 }");
            assert_true(row.run_ms == 12.5 && row.cpu_ms == 10);
            assert_int_equal(row.finished_us - row.started_us, 12500);
            assert_true(clock_real_us() - row.finished_us >= 1900000);
        }
    }
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 0);
    assert_int_equal(number(j, "SELECT count(DISTINCT params::text) FROM gangsaw.job_done"), 1);
    jobs_end(j);
}

static void test_the_last_crash_counts_too(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    struct job_return back = {.id = id, .kind = JOB_RETURN_CRASH, .error = "{}"};
    back.lease = claim_one(j, runner).lease;
    assert_int_equal(give_back(j, runner, &back, 1), 1);
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {
        .id = id, .lease = claimed.lease, .state = JOB_FAILED, .error = "{}", .crashed = true};
    assert_int_equal(complete(j, runner, &end, 1), 1);
    assert_int_equal(get(j, id).crashes, 2);
    jobs_end(j);
}

static void test_inputs_live_as_long_as_their_job(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    int64_t keys[] = {save_blob(j, "a", 1), save_blob(j, "b", 1)};
    struct job_new job = new_job("{}");
    job.blobs = keys;
    job.blob_count = 1;
    (void)store(j, job);
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {.id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    assert_true(claimed.has_blobs);
    change(j, "UPDATE gangsaw.blob SET expires_at = now() + interval '1000 days' WHERE id % 2 = 0");
    assert_int_equal(complete(j, runner, &end, 1), 1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_blob"), 0);
    assert_int_equal(number(j, arena_printf(j->arena,
                                            "SELECT count(*) FROM gangsaw.blob WHERE id = %lld "
                                            "AND expires_at > now() + interval '7 days'",
                                            (long long)keys[0])),
                     1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob "
                               "WHERE expires_at BETWEEN now() + interval '9 days' "
                               "                     AND now() + interval '999 days'"),
                     0); /* never moved back */
    jobs_end(j);
}

/* An application that enqueued a job with the same blob, and has not committed yet. */
static void test_an_open_transaction_holds_up_no_completion(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), key = save_blob(j, "a", 1);
    struct job_new job = new_job("{}");
    job.blobs = &key;
    job.blob_count = 1;
    (void)store(j, job);
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {.id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    change(j, "BEGIN");
    change(j, arena_printf(j->arena,
                           "SELECT gangsaw.enqueue('demo.echo', jsonb_build_object('in', "
                           "jsonb_build_object('blob', gangsaw.public_id('blob', %lld))))",
                           (long long)key));
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_blob"), 2);
    assert_int_equal(complete(j, runner, &end, 1), 1);
    change(j, "COMMIT");
    jobs_end(j);
}

static void test_only_the_holder_of_the_lease_finishes(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), other = register_runner(j, LEASE_SECONDS);
    int64_t id = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {.id = id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    struct job_return back = {.id = id, .lease = claimed.lease, .kind = JOB_RETURN_UNTRIED};
    assert_true(runner != other);
    for (int i = 0; i < 2; i++) {
        end.is_plain = i == 1;
        end.lease = back.lease = claimed.lease;
        assert_int_equal(complete(j, other, &end, 1), 0);
        assert_int_equal(give_back(j, other, &back, 1), 0);
        end.lease = back.lease = claimed.lease + 1;
        assert_int_equal(complete(j, runner, &end, 1), 0);
        assert_int_equal(give_back(j, runner, &back, 1), 0);
    }
    end.lease = claimed.lease;
    assert_int_equal(complete(j, runner, &end, 1), 1);
    assert_int_equal(complete(j, runner, NULL, 0), 0);
    jobs_end(j);
}

static void test_given_back_jobs_keep_their_count(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    struct job_return back = {.id = id, .lease = claimed.lease, .kind = JOB_RETURN_UNTRIED};
    assert_int_equal(give_back(j, runner, &back, 1), 1);
    struct job_row row = get(j, id);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.attempt, 0);
    assert_null(row.attempts);
    assert_true(row.lease > claimed.lease);

    claimed = claim_one(j, runner);
    assert_int_equal(claimed.attempt, 1);
    back = (struct job_return){.id = id,
                               .lease = claimed.lease,
                               .kind = JOB_RETURN_CRASH,
                               .run_ms = 3,
                               .error = "{\"code\":\"executor-crashed\",\"detail\":\"SIGSEGV\"}"};
    assert_int_equal(give_back(j, runner, &back, 1), 1);
    claimed = claim_one(j, runner);
    assert_int_equal(claimed.attempt, 2);
    assert_int_equal(claimed.crashes, 1);

    back = (struct job_return){.id = id,
                               .lease = claimed.lease,
                               .kind = JOB_RETURN_RETRY,
                               .delay_seconds = 30.5,
                               .run_ms = NAN,
                               .error = "{\"code\":\"unavailable\",\"detail\":\"d\"}"};
    assert_int_equal(give_back(j, runner, &back, 1), 1);
    row = get(j, id);
    assert_int_equal(row.state, JOB_SCHEDULED);
    assert_true(llabs(row.ready_us - clock_real_us() - 30500000) < LIMIT_US);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job, jsonb_to_recordset(attempts) AS "
                               "a (attempt integer, started_at timestamptz, "
                               "finished_at timestamptz, error jsonb) "
                               "WHERE (a.attempt, a.error->>'code') IN "
                               "((1, 'executor-crashed'), (2, 'unavailable')) "
                               "AND a.finished_at >= a.started_at"),
                     2);
    jobs_end(j);
}

static void test_a_job_given_back_is_the_next_one(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    change(j, "UPDATE gangsaw.job SET vtime = 100000"); /* after a long backlog */
    struct job_claimed claimed = claim_one(j, runner);
    (void)store(j, new_job("{}"));
    (void)store(j, new_job("{}"));
    struct job_return back = {.id = id, .lease = claimed.lease, .kind = JOB_RETURN_UNTRIED};
    assert_int_equal(give_back(j, runner, &back, 1), 1);
    struct job_claimed *next;
    assert_int_equal(claim(j, runner, 1, &next), 1);
    assert_int_equal(next[0].id, id);
    jobs_end(j);
}

static void test_scheduled_jobs_become_ready_in_time(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), next_ms;
    struct job_claimed *claimed;
    struct job_new job = new_job("{}");
    int count;
    promote(j, 10, &count, &next_ms);
    assert_int_equal(count, 0);
    assert_int_equal(next_ms, -1);
    job.delay_seconds = 100;
    for (int i = 0; i < 3; i++)
        (void)store(j, job);
    promote(j, 10, &count, &next_ms);
    assert_int_equal(count, 0);
    assert_true(next_ms > 70000 && next_ms <= 100000);
    change(j, "UPDATE gangsaw.job SET ready_at = now()");
    promote(j, 2, &count, &next_ms);
    assert_int_equal(count, 2);
    assert_int_equal(next_ms, -1); /* one is due */
    promote(j, 2, &count, &next_ms);
    assert_int_equal(count, 1);
    assert_int_equal(number(j, "SELECT count(DISTINCT vtime) FROM gangsaw.job"), 3);
    assert_int_equal(claim(j, runner, 10, &claimed), 3);
    jobs_end(j);
}

static void test_progress_is_the_holders(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer w = {.jobs = j}, stale = {.jobs = j};
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    struct job_progress p = {.id = id, .lease = claimed.lease, .fraction = 0.25, .what = "½ page"};
    job_progress_send(j->queue, runner, &p, 1, answer_ids, &w);
    assert_int_equal(await(&w)->count, 1);
    struct job_row row = get(j, id);
    assert_true(row.fraction == 0.25);
    assert_string_equal(row.what, "½ page");
    p.lease++;
    p.fraction = 1e-300;
    job_progress_send(j->queue, runner, &p, 1, answer_ids, &stale);
    assert_int_equal(await(&stale)->count, 0);
    p.lease--;
    p.what = NULL;
    w.is_done = false;
    job_progress_send(j->queue, runner, &p, 1, answer_ids, &w);
    assert_int_equal(await(&w)->count, 1);
    assert_null(get(j, id).what);
    jobs_end(j);
}

static void watch(struct jobs *j, const int64_t *ids, int count, struct answer *ret_answer)
{
    *ret_answer = (struct answer){.jobs = j};
    job_watch_send(j->queue, ids, count, answer_rows, ret_answer);
    (void)await(ret_answer);
}

static void test_those_who_watch_are_told(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    int64_t unwatched = store(j, new_job("{}")), ids[] = {id, INT64_MAX};
    struct answer w;
    struct job_claimed *claimed;
    struct job_row *rows;
    watch(j, ids, 2, &w);
    assert_int_equal(w.count, 1);
    rows = w.items;
    assert_int_equal(rows[0].state, JOB_QUEUED);
    const char *told = arena_printf(j->arena, "gangsaw_changed=%lld\n", (long long)id);
    assert_string_equal(jobs_heard(j), "");
    assert_int_equal(claim(j, runner, 2, &claimed), 2);
    assert_true(claimed[0].is_watched && !claimed[1].is_watched);
    assert_string_equal(jobs_heard(j), told);
    struct job_progress p[] = {{.id = id, .lease = 1, .fraction = 0.5},
                               {.id = unwatched, .lease = 1, .fraction = 0.5}};
    struct answer progress = {.jobs = j};
    job_progress_send(j->queue, runner, p, 2, answer_ids, &progress);
    (void)await(&progress);
    assert_string_equal(jobs_heard(j), told);
    struct job_end ends[] = {{.id = id, .lease = 1, .state = JOB_SUCCEEDED},
                             {.id = unwatched, .lease = 1, .state = JOB_SUCCEEDED}};
    assert_int_equal(complete(j, runner, ends, 2), 2);
    assert_string_equal(jobs_heard(j),
                        arena_printf(j->arena, "gangsaw_changed=%lld.\n", (long long)id));
    ids[1] = unwatched;
    watch(j, ids, 2, &w);
    assert_int_equal(w.count, 2);
    rows = w.items;
    assert_int_equal(rows[0].state, JOB_SUCCEEDED);
    jobs_end(j);
}

static int count_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void test_many_watched_jobs_are_told_in_few_notifications(void **state)
{
    enum { MANY = 1000 };
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    struct job_claimed *claimed;
    char text[32];
    change(j, "INSERT INTO gangsaw.job (id, lane, task, is_watched, vtime) "
              "SELECT 9000000000000000000 + n, 'cpu/demo', 'demo.echo', true, n "
              "FROM generate_series(1, 1000) n");
    assert_int_equal(claim(j, runner, MANY, &claimed), MANY);
    const char *heard = jobs_heard(j);
    assert_int_equal(count_lines(heard), 3);
    for (int i = 1; i <= MANY; i++) {
        (void)snprintf(text, sizeof(text), "%lld", 9000000000000000000LL + i);
        assert_non_null(strstr(heard, text));
    }
    struct job_end *ends = arena_alloc(j->arena, MANY * sizeof(*ends));
    for (int i = 0; i < MANY; i++)
        ends[i] = (struct job_end){
            .id = claimed[i].id, .lease = claimed[i].lease, .state = JOB_SUCCEEDED};
    assert_int_equal(complete(j, runner, ends, MANY), MANY);
    heard = jobs_heard(j);
    assert_int_equal(count_lines(heard), 3);
    for (int i = 1; i <= MANY; i++) {
        (void)snprintf(text, sizeof(text), "%lld.", 9000000000000000000LL + i);
        assert_non_null(strstr(heard, text));
    }
    jobs_end(j);
}

/* Nothing else: neither that it runs, nor how far it is, nor that it is tried again. */
static void test_of_an_awaited_job_the_end_is_told(void **state)
{
    struct jobs *j = jobs_begin(state);
    const char *tag = "x";
    struct job_new plain = new_job("{}"), tagged = plain;
    tagged.tags = &tag;
    tagged.tag_count = 1;
    int64_t runner = register_runner(j, LEASE_SECONDS);
    for (int i = 0; i < 2; i++) {
        int64_t id = store_awaited(j, i == 0 ? plain : tagged);
        struct job_claimed claimed = claim_one(j, runner);
        struct answer w = {.jobs = j};
        struct job_progress progress = {.id = id, .lease = claimed.lease, .fraction = 0.5};
        struct job_return back = {.id = id, .lease = claimed.lease, .kind = JOB_RETURN_UNTRIED};
        assert_false(claimed.is_watched);
        job_progress_send(j->queue, runner, &progress, 1, answer_ids, &w);
        assert_int_equal(await(&w)->count, 1);
        assert_int_equal(give_back(j, runner, &back, 1), 1);
        claimed = claim_one(j, runner);
        assert_string_equal(jobs_heard(j), "");
        struct job_end end = {
            .id = id, .lease = claimed.lease, .state = JOB_FAILED, .is_plain = i == 0};
        assert_int_equal(complete(j, runner, &end, 1), 1);
        assert_string_equal(jobs_heard(j),
                            arena_printf(j->arena, "gangsaw_changed=%lld.\n", (long long)id));
    }
    struct error error;
    int64_t id = store_awaited(j, new_job("{}"));
    assert_int_equal(job_cancel(j->api, j->arena, "", id, DAYS, &error), 0);
    assert_string_equal(jobs_heard(j),
                        arena_printf(j->arena, "gangsaw_changed=%lld.\n", (long long)id));
    jobs_end(j);
}

/* The largest id that there is when it is asked for. */
static void answer_last_id(void *context, const struct db_rows *rows, const struct error *error)
{
    struct answer *w = context;
    w->is_done = true;
    w->has_failed = !rows;
    (void)error;
    w->count = rows ? (int)job_last_id_read(rows) : -1;
}

static void test_no_job_has_an_id_beyond_the_last(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer before = {.jobs = j}, after = {.jobs = j};
    int64_t first = store(j, new_job("{}"));
    job_last_id_send(j->queue, answer_last_id, &before);
    assert_int_equal(await(&before)->count, first);
    change(j, "BEGIN");
    change(j, "SELECT gangsaw.enqueue('demo.echo')"); /* not committed, but it has its id */
    job_last_id_send(j->queue, answer_last_id, &after);
    assert_int_equal(await(&after)->count, first + 1);
    change(j, "COMMIT");
    assert_int_equal(store(j, new_job("{}")), first + 2);
    jobs_end(j);
}

/* A transaction sees one state of this view: it is not for the connection that is in one. */
static int64_t waiting_count(struct jobs *j)
{
    const char *sql = "SELECT count(*) FROM pg_stat_activity "
                      "WHERE wait_event_type = 'Lock' AND datname = current_database()";
    return db_get_int(ask(j->context, j->context->db, sql), 0, 0);
}

/* The end of a job that is being committed while a hub asks for it. */
static void test_no_end_is_missed_by_a_watcher(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), id = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    struct answer w = {.jobs = j}, done = {.jobs = j};
    struct job_end end = {.id = id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    struct db *hub = open_with(DB_QUEUE_OPTIONS, 10000);
    int64_t limit = clock_us() + LIMIT_US;

    change(j, "BEGIN");
    change(j, "SELECT 1 FROM gangsaw.job FOR UPDATE"); /* both will wait for it, the end first */
    job_complete_send(j->queue, runner, &end, 1, DAYS, answer_ids, &done);
    while (waiting_count(j) < 1 && clock_us() < limit)
        step(j->queue, clock_us() + 1000);
    job_watch_send(hub, &id, 1, answer_rows, &w);
    while (waiting_count(j) < 2 && clock_us() < limit)
        step(hub, clock_us() + 1000);
    assert_int_equal(waiting_count(j), 2);
    change(j, "COMMIT");
    assert_int_equal(await(&done)->count, 1);
    while (!w.is_done && clock_us() < limit)
        step(hub, limit);
    assert_false(w.has_failed);
    assert_int_equal(w.count, 1);
    assert_int_equal(((struct job_row *)w.items)[0].state, JOB_SUCCEEDED);
    db_close(hub);
    jobs_end(j);
}

/* A promise about crashes: what the server had flushed when a completion was answered. */
static void test_completions_are_flushed_claims_are_not_waited_for(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    const char *flushed = "SELECT pg_current_wal_flush_lsn() - pg_current_wal_insert_lsn()";
    int behind = 0;
    for (int i = 0; i < 20; i++) {
        (void)store(j, new_job("{}"));
        struct job_claimed claimed = claim_one(j, runner);
        behind += number(j, flushed) < 0;
        struct job_end end = {.id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
        int64_t before = number(j, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
        assert_int_equal(complete(j, runner, &end, 1), 1);
        int64_t now = number(j, "SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn");
        assert_true(now > before);
    }
    if (behind == 0)
        print_message("every claim was flushed by the time it was looked at\n");
    jobs_end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_jobs_are_claimed_by_lane_priority_and_turn),
        TEST(test_a_claim_skips_what_another_one_takes),
        TEST(test_a_claim_ends_before_it_fills_the_memory),
        TEST(test_a_completion_is_recorded_once),
        TEST(test_an_end_is_recorded_alike_by_itself_and_in_a_batch),
        TEST(test_the_last_crash_counts_too),
        TEST(test_inputs_live_as_long_as_their_job),
        TEST(test_an_open_transaction_holds_up_no_completion),
        TEST(test_only_the_holder_of_the_lease_finishes),
        TEST(test_given_back_jobs_keep_their_count),
        TEST(test_a_job_given_back_is_the_next_one),
        TEST(test_scheduled_jobs_become_ready_in_time),
        TEST(test_progress_is_the_holders),
        TEST(test_those_who_watch_are_told),
        TEST(test_many_watched_jobs_are_told_in_few_notifications),
        TEST(test_of_an_awaited_job_the_end_is_told),
        TEST(test_no_job_has_an_id_beyond_the_last),
        TEST(test_no_end_is_missed_by_a_watcher),
        TEST(test_completions_are_flushed_claims_are_not_waited_for),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
