/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches, on a real PostgreSQL: what one statement is told of many jobs is kept of each.
 */
#include "job_fixture.h"

#include <math.h>

/* Few kinds, one too many for the statement for these, and all different. */
static void test_a_mixed_batch_stores_each_as_it_was_given(void **state)
{
    enum { MANY = 60 };
    static const int kinds[] = {1, 2, 16, 17, MANY};
    struct jobs *j = jobs_begin(state);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        struct job_new jobs[MANY];
        struct job_stored stored[MANY];
        (void)ask(j->context, j->context->other, "DELETE FROM gangsaw.job");
        for (int i = 0; i < MANY; i++) {
            int kind = i % kinds[k];
            jobs[i] = new_job(arena_printf(j->arena, "{\"n\":%d}", i));
            jobs[i].task = kind % 5 == 1 ? "demo.other" : "demo.echo";
            jobs[i].lane = kind % 7 == 1 ? "net/demo" : "cpu/demo";
            jobs[i].priority = kind % 3;
            jobs[i].max_attempts = 1 + kind % 4;
            jobs[i].timeout_seconds = kind % 2 ? kind : 0;
            jobs[i].request_id = kind % 3 == 2 ? NULL : arena_printf(j->arena, "r%d", kind);
            jobs[i].traceparent = kind % 3 == 1 ? "00-1-2-03" : NULL;
        }
        store_many(j, jobs, MANY, stored);
        for (int i = 0; i < MANY; i++) {
            struct job_row row = get(j, stored[i].id);
            const struct job_new *job = &jobs[i];
            assert_true(i == 0 || stored[i].id > stored[i - 1].id);
            assert_string_equal(
                db_get_text(
                    ask(j->context, j->context->other,
                        arena_printf(j->arena, "SELECT params FROM gangsaw.job WHERE id = %lld",
                                     (long long)row.id)),
                    0, 0),
                job->params);
            assert_string_equal(row.task, job->task);
            assert_string_equal(row.lane, job->lane);
            assert_int_equal(row.priority, job->priority);
            assert_int_equal(row.max_attempts, job->max_attempts);
            assert_true(job->timeout_seconds > 0 ? row.timeout_seconds == job->timeout_seconds
                                                 : isnan(row.timeout_seconds));
            assert_true(!row.request_id == !job->request_id);
            if (row.request_id)
                assert_string_equal(row.request_id, job->request_id);
            assert_true(!row.traceparent == !job->traceparent);
        }
        /* Turns of each queue: one a job, in their order, from the beginning. */
        assert_int_equal(number(j, "SELECT count(*) FROM (SELECT vtime, row_number() OVER ("
                                   "  PARTITION BY lane, priority ORDER BY id) - 1 AS turn "
                                   "FROM gangsaw.job) q WHERE vtime <> turn"),
                         0);
        store_many(j, jobs, 2, stored);
        assert_int_equal(number(j, "SELECT count(DISTINCT (lane, priority, vtime)) "
                                   "FROM gangsaw.job"),
                         MANY + 2);
    }
    jobs_end(j);
}

/* Given in any order, of any kind, with a late one of an earlier attempt before the right one. */
static void test_the_ends_of_a_batch_are_told_apart(void **state)
{
    enum { MANY = 9 };
    struct jobs *j = jobs_begin(state);
    int64_t runner = register_runner(j, LEASE_SECONDS);
    struct job_claimed *claimed;
    struct job_end ends[MANY + 1];
    for (int i = 0; i < MANY; i++)
        (void)store(j, new_job("{}"));
    assert_int_equal(claim(j, runner, MANY, &claimed), MANY);
    for (int i = 0; i < MANY; i++) {
        const struct job_claimed *c = &claimed[MANY - 1 - i];
        bool failed = i % 3 == 0;
        ends[i + 1] = (struct job_end){
            .id = c->id,
            .lease = c->lease,
            .state = failed ? JOB_FAILED : JOB_SUCCEEDED,
            .run_ms = failed ? NAN : (double)i,
            .cpu_ms = NAN,
            .result = i % 3 == 1 ? arena_printf(j->arena, "{\"of\":%lld}", (long long)c->id) : NULL,
            .error = failed ? arena_printf(j->arena, "{\"code\":\"internal\",\"detail\":\"%lld\"}",
                                           (long long)c->id)
                            : NULL,
            .crashed = i % 2};
    }
    ends[0] = ends[MANY / 2];
    ends[0].lease--;
    ends[0].state = ends[0].state == JOB_FAILED ? JOB_SUCCEEDED : JOB_FAILED;
    assert_int_equal(complete(j, runner, ends, MANY + 1), MANY);
    for (int i = 1; i <= MANY; i++) {
        const struct job_end *end = &ends[i];
        struct job_row row = get(j, end->id);
        assert_int_equal(row.state, end->state);
        assert_int_equal(row.lease, end->lease);
        assert_int_equal(row.crashes, end->crashed);
        assert_true(isnan(end->run_ms) ? isnan(row.run_ms) : row.run_ms == end->run_ms);
        assert_true(isnan(row.cpu_ms));
        assert_true(!row.error == !end->error && !row.result == !end->result);
        if (end->error)
            assert_string_equal(row.error, end->error);
        if (end->result)
            assert_string_equal(row.result, end->result);
    }
    jobs_end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_mixed_batch_stores_each_as_it_was_given),
        TEST(test_the_ends_of_a_batch_are_told_apart),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
