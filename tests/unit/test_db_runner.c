/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runners, on a real PostgreSQL: how they stay alive, and what becomes of the jobs of those who do
 * not.
 */
#include "job_fixture.h"

#define LOST "UPDATE gangsaw.runner SET expires_at = now() - interval '1 second'"

static void beat(struct jobs *j, int64_t runner, const struct runner_held *held, int count,
                 struct runner_beat *ret_beat)
{
    struct answer w = {.jobs = j};
    runner_beat_send(j->queue, runner, LEASE_SECONDS, held, count, answer_beat, &w);
    *ret_beat = await(&w)->beat;
}

static void test_a_heartbeat_tells_what_is_lost(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, 0.001);
    struct runner_held held[2];
    struct runner_beat b;
    struct job_claimed *claimed;
    (void)store(j, new_job("{}"));
    (void)store(j, new_job("{}"));
    assert_int_equal(claim(j, runner, 2, &claimed), 2);
    for (int i = 0; i < 2; i++)
        held[i] = (struct runner_held){.id = claimed[i].id, .lease = claimed[i].lease};
    beat(j, runner, held, 2, &b);
    assert_false(b.is_fenced);
    assert_int_equal(b.gone_count, 0);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.runner WHERE expires_at > now()"), 1);
    assert_int_equal(job_cancel(j->api, j->arena, "", held[0].id, DAYS, &error), 0);
    held[1].lease--; /* a claim that a crash took back */
    beat(j, runner, held, 2, &b);
    assert_false(b.is_fenced);
    assert_int_equal(b.gone_count, 2);
    for (int i = 0; i < 2; i++) { /* as they were held, in any order */
        const struct runner_held *was = &held[b.gone[i].id == held[1].id];
        assert_int_equal(b.gone[i].id, was->id);
        assert_int_equal(b.gone[i].lease, was->lease);
    }
    assert_true(b.gone[0].id != b.gone[1].id);
    beat(j, runner, NULL, 0, &b);
    assert_false(b.is_fenced);
    beat(j, runner + 1000, NULL, 0, &b);
    assert_true(b.is_fenced);
    jobs_end(j);
}

static void test_a_lost_runner_is_fenced_and_its_jobs_return(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS), other;
    struct job_new last = new_job("{}");
    struct job_claimed *claimed;
    struct runner_beat b;
    int64_t id = store(j, new_job("{}")), over;
    last.max_attempts = 1;
    over = store_awaited(j, last);
    assert_int_equal(claim(j, runner, 2, &claimed), 2);
    (void)jobs_heard(j);

    struct runner_rescue r = rescue(j, 0.001);
    assert_int_equal(r.fenced, 0); /* alive */
    change(j, LOST);
    r = rescue(j, 1e9); /* the server has not been up for so long */
    assert_int_equal(r.fenced, 0);
    r = rescue(j, 0.001);
    assert_int_equal(r.fenced, 1);
    assert_int_equal(r.returned, 1);
    assert_int_equal(r.failed, 1);
    assert_non_null(
        strstr(jobs_heard(j), arena_printf(j->arena, "gangsaw_changed=%lld\n", (long long)over)));

    struct job_row row = get(j, id);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.attempt, 1); /* counts */
    assert_int_equal(row.crashes, 0);
    assert_non_null(strstr(row.attempts, "saw1"));
    row = get(j, over);
    assert_int_equal(row.state, JOB_FAILED);
    assert_non_null(strstr(row.error, "\"unavailable\""));
    assert_non_null(strstr(row.error, "saw1"));

    struct job_end end = {.id = id, .lease = claimed[0].lease, .state = JOB_SUCCEEDED};
    assert_int_equal(complete(j, runner, &end, 1), 0);
    beat(j, runner, NULL, 0, &b);
    assert_true(b.is_fenced);
    struct job_claimed *more;
    assert_int_equal(claim(j, runner, 1, &more), 0);
    other = register_runner(j, LEASE_SECONDS);
    assert_int_equal(claim_one(j, other).id, id);
    change(j, arena_printf(j->arena, LOST " WHERE id = %lld", (long long)runner));
    r = rescue(j, 0.001);
    assert_int_equal(r.fenced + r.returned + r.failed, 0);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.runner"), 1); /* buried */
    jobs_end(j);
}

/* Everybody locks jobs in the order of their ids: else a rescue and a hub that marks the same jobs
 * could wait for one another. */
static void test_a_rescue_locks_jobs_in_the_order_of_their_ids(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer w = {.jobs = j};
    int64_t first = register_runner(j, LEASE_SECONDS), second = register_runner(j, LEASE_SECONDS);
    int64_t end = clock_us() + LIMIT_US, ids[2];
    ids[0] = store(j, new_job("{}"));
    (void)claim_one(j, second); /* the runners come in the other order */
    ids[1] = store(j, new_job("{}"));
    (void)claim_one(j, first);
    change(j, LOST);
    change(j, "BEGIN");
    change(j, arena_printf(j->arena, "SELECT FROM gangsaw.job WHERE id = %lld FOR UPDATE",
                           (long long)ids[0]));
    runner_rescue_send(j->queue, 0.001, DAYS, answer_rescue, &w);
    const char *waits = "SELECT count(*) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while (db_get_int(ask(j->context, j->context->db, waits), 0, 0) == 0 && clock_us() < end)
        step(j->queue, clock_us() + 1000);
    const struct db_rows *free_rows = ask(
        j->context, j->context->db,
        arena_printf(j->arena, "SELECT id FROM gangsaw.job WHERE id = %lld FOR UPDATE SKIP LOCKED",
                     (long long)ids[1]));
    assert_int_equal(db_count(free_rows), 1);
    change(j, "COMMIT");
    assert_int_equal(await(&w)->rescue.returned, 2);
    jobs_end(j);
}

static void test_a_runner_that_leaves_takes_its_row(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer w = {.jobs = j}, again = {.jobs = j};
    struct error error;
    bool is_alive;
    assert_int_equal(runner_any_alive(j->api, &is_alive, &error), 0);
    assert_false(is_alive);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    assert_int_equal(runner_any_alive(j->api, &is_alive, &error), 0);
    assert_true(is_alive);
    (void)store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    runner_leave_send(j->queue, runner, answer_nothing, &w);
    (void)await(&w);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.runner WHERE is_fenced"), 1);
    struct runner_rescue r = rescue(j, 0.001);
    assert_int_equal(r.returned, 1);
    runner = register_runner(j, LEASE_SECONDS);
    claimed = claim_one(j, runner);
    struct job_end end = {.id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    assert_int_equal(complete(j, runner, &end, 1), 1);
    runner_leave_send(j->queue, runner, answer_nothing, &again);
    (void)await(&again);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.runner WHERE NOT is_fenced"), 0);
    jobs_end(j);
}

static void test_lost_claims_are_recovered(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer w = {.jobs = j};
    struct job_claimed *claimed;
    int64_t runner = register_runner(j, LEASE_SECONDS);
    for (int i = 0; i < 3; i++)
        (void)store(j, new_job("{}"));
    assert_int_equal(claim(j, runner, 3, &claimed), 3);
    struct runner_held held = {.id = claimed[1].id, .lease = claimed[1].lease};
    runner_recover_send(j->queue, runner, &held, 1, answer_recover, &w);
    assert_int_equal(await(&w)->number, 2);
    assert_int_equal(get(j, claimed[1].id).state, JOB_RUNNING);
    struct job_row row = get(j, claimed[0].id);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.attempt, 0);
    jobs_end(j);
}

static void test_jobs_that_came_before_their_task_find_its_lane(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_claimed *claimed;
    change(j, "SELECT gangsaw.enqueue('demo.echo') FROM generate_series(1, 3)");
    change(j, "SELECT gangsaw.enqueue('nobodys.task')");
    change(j, "SELECT gangsaw.enqueue('image.transform', run_at => now() + interval '1 hour')");
    int64_t runner = register_runner(j, LEASE_SECONDS);
    assert_int_equal(claim(j, runner, 10, &claimed), 3);
    change(j, "UPDATE gangsaw.job SET ready_at = now() WHERE state = 'scheduled'");
    int count;
    int64_t next_ms;
    promote(j, 10, &count, &next_ms);
    assert_int_equal(claim(j, runner, 10, &claimed), 1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job WHERE lane = 'unknown'"), 1);
    change(j, "INSERT INTO gangsaw.task VALUES ('nobodys.task', 'cpu/demo')");
    struct answer w = {.jobs = j};
    job_prune_send(j->queue, DAYS, answer_prune, &w);
    (void)await(&w);
    assert_int_equal(claim(j, runner, 10, &claimed), 1);
    jobs_end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_heartbeat_tells_what_is_lost),
        TEST(test_a_lost_runner_is_fenced_and_its_jobs_return),
        TEST(test_a_rescue_locks_jobs_in_the_order_of_their_ids),
        TEST(test_a_runner_that_leaves_takes_its_row),
        TEST(test_lost_claims_are_recovered),
        TEST(test_jobs_that_came_before_their_task_find_its_lane),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
