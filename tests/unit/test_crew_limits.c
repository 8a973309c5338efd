/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The crew's power over its runs: deadlines, memory, stops, the end of all. Whatever is ended, the
 * executor is free or dead afterwards, and no other run is touched.
 */
#include "crew_fixture.h"

static void test_a_deadline_ends_a_run_and_those_behind_it_are_computed(void **state)
{
    struct context *c = *state;
    struct probe p[8];
    open_crew(c, 1);
    wait_for_ready(c, 1);
    prepare(c, &p[0], HANG);
    p[0].run.seconds = 0.1;
    crew_submit(c->crew, &p[0].run);
    for (size_t i = 1; i < COUNT(p); i++)
        submit(c, &p[i], TRIVIAL);
    wait_for_ended(c, COUNT(p));
    assert_true(p[0].run.ended_us - p[0].run.started_us >= 100000);
    assert_non_null(strstr(p[0].run.error.detail, "seconds = 0.1"));
    assert_end(&p[0], CREW_TIMED_OUT, ERR_TIMED_OUT);
    for (size_t i = 1; i < COUNT(p); i++)
        assert_result(&p[i]);
}

static void test_a_deadline_keeps_an_executor_that_listens(void **state)
{
    struct context *c = *state;
    struct probe p;
    c->cfg.executor_grace_seconds = LIMIT_SECONDS;
    open_crew(c, 1);
    wait_for_ready(c, 1);
    pid_t pid = pid_of(c, 0);
    prepare(c, &p, COOPERATIVE);
    p.run.seconds = 0.1;
    crew_submit(c->crew, &p.run);
    wait_for_ended(c, 1);
    assert_end(&p, CREW_TIMED_OUT, ERR_TIMED_OUT);
    assert_int_equal(pid_of(c, 0), pid);
}

static void test_a_deadline_counts_from_the_beginning_of_the_run(void **state)
{
    struct context *c = *state;
    struct probe p[6];
    open_crew(c, 1);
    for (size_t i = 0; i < COUNT(p); i++) {
        prepare(c, &p[i], "faults.cooperative", "{\"seconds\":0.4,\"busy\":false}");
        p[i].run.seconds = 1.5;
        crew_submit(c->crew, &p[i].run);
    }
    wait_for_ended(c, COUNT(p));
    for (size_t i = 0; i < COUNT(p); i++)
        assert_result(&p[i]);
}

static void test_a_stopped_run_that_waits_is_never_begun(void **state)
{
    struct context *c = *state;
    struct error why = canceled();
    struct probe head, p[2 * CREW_AHEAD_MAX];
    c->cfg.executor_grace_seconds = LIMIT_SECONDS;
    open_crew(c, 1);
    wait_for_ready(c, 1);
    pid_t pid = pid_of(c, 0);
    submit(c, &head, COOPERATIVE);
    for (size_t i = 0; i < COUNT(p); i++) /* some are sent ahead, some are not */
        submit(c, &p[i], CRASH);
    wait_for_start(c, &head);
    for (size_t i = 0; i < COUNT(p); i++)
        crew_stop(c->crew, &p[i].run, &why);
    wait_for_ended(c, COUNT(p));
    crew_stop(c->crew, &head.run, &why);
    wait_for_ended(c, COUNT(p) + 1);
    for (size_t i = 0; i < COUNT(p); i++) {
        assert_int_equal(p[i].run.started_us, 0);
        assert_end(&p[i], CREW_STOPPED, ERR_STOPPED);
    }
    assert_string_equal(head.run.error.detail, "It was canceled.");
    assert_end(&head, CREW_STOPPED, ERR_STOPPED);
    assert_int_equal(pid_of(c, 0), pid);
    struct probe after;
    submit(c, &after, TRIVIAL);
    wait_for_ended(c, COUNT(p) + 2);
    assert_result(&after);
}

static void test_only_a_run_that_has_not_begun_is_withdrawn(void **state)
{
    struct context *c = *state;
    struct probe p[2 * CREW_AHEAD_MAX];
    struct error why = canceled();
    open_crew(c, 1);
    wait_for_ready(c, 1);
    for (size_t i = 0; i < COUNT(p); i++)
        submit(c, &p[i], COOPERATIVE);
    wait_for_start(c, &p[0]);
    assert_false(crew_withdraw(c->crew, &p[0].run));
    for (size_t i = 1; i < COUNT(p); i++)
        assert_true(crew_withdraw(c->crew, &p[i].run));
    assert_false(crew_withdraw(c->crew, &p[1].run));
    wait_for_ended(c, COUNT(p) - 1);
    crew_stop(c->crew, &p[0].run, &why);
    wait_for_ended(c, COUNT(p));
    assert_end(&p[0], CREW_STOPPED, ERR_STOPPED);
    for (size_t i = 1; i < COUNT(p); i++)
        assert_end(&p[i], CREW_UNTRIED, ERR_STOPPED);
}

static void test_a_stopped_run_that_does_not_listen_is_killed_alone(void **state)
{
    struct context *c = *state;
    struct error why = canceled();
    struct probe head, p[10];
    open_crew(c, 1);
    wait_for_ready(c, 1);
    submit(c, &head, HANG);
    for (size_t i = 0; i < COUNT(p); i++)
        submit(c, &p[i], TRIVIAL);
    wait_for_start(c, &head);
    crew_stop(c->crew, &head.run, &why);
    crew_stop(c->crew, &head.run, &why);
    wait_for_ended(c, COUNT(p) + 1);
    assert_end(&head, CREW_STOPPED, ERR_STOPPED);
    for (size_t i = 0; i < COUNT(p); i++)
        assert_result(&p[i]);
}

static void test_memory_over_the_limit_is_a_crash_that_names_it(void **state)
{
    struct context *c = *state;
    struct probe p[2];
    open_crew(c, 1);
    submit(c, &p[0], "faults.allocate", "{\"mb_per_step\":8,\"pause_ms\":5}");
    submit(c, &p[1], TRIVIAL);
    wait_for_ended(c, COUNT(p));
    assert_non_null(strstr(p[0].run.error.detail, "memory_mb = 128"));
    assert_end(&p[0], CREW_CRASHED, ERR_EXECUTOR_CRASHED);
    assert_result(&p[1]);
}

static void test_kill_all_ends_every_run_and_begins_anew(void **state)
{
    struct context *c = *state;
    struct probe p[100], after;
    open_crew(c, 2);
    wait_for_ready(c, 2);
    submit(c, &p[0], HANG);
    submit(c, &p[1], COOPERATIVE);
    for (size_t i = 2; i < COUNT(p); i++)
        submit(c, &p[i], TRIVIAL);
    wait_for_start(c, &p[0]);
    wait_for_start(c, &p[1]);
    crew_kill_all(c->crew);
    assert_int_equal(crew_load(c->crew, TASK_CPU).ready, 0);
    submit(c, &after, TRIVIAL);
    wait_for_ended(c, COUNT(p) + 1);
    for (size_t i = 0; i < 2; i++)
        assert_end(&p[i], CREW_STOPPED, ERR_STOPPED);
    for (size_t i = 2; i < COUNT(p); i++)
        assert_end(&p[i], CREW_UNTRIED, ERR_STOPPED);
    assert_result(&after);
    assert_int_equal(crew_load(c->crew, TASK_CPU).runs, 0);
}

static void test_closing_ends_every_run(void **state)
{
    struct context *c = *state;
    struct probe p[50];
    open_crew(c, 2);
    wait_for_ready(c, 2);
    submit(c, &p[0], HANG);
    for (size_t i = 1; i < COUNT(p); i++)
        submit(c, &p[i], COOPERATIVE);
    wait_for_start(c, &p[0]);
    crew_close(c->crew);
    c->crew = NULL;
    assert_int_equal(p[0].run.end, CREW_STOPPED);
    for (size_t i = 0; i < COUNT(p); i++)
        assert_end(&p[i], p[i].started ? CREW_STOPPED : CREW_UNTRIED, ERR_STOPPED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_deadline_ends_a_run_and_those_behind_it_are_computed),
        TEST(test_a_deadline_keeps_an_executor_that_listens),
        TEST(test_a_deadline_counts_from_the_beginning_of_the_run),
        TEST(test_a_stopped_run_that_waits_is_never_begun),
        TEST(test_a_stopped_run_that_does_not_listen_is_killed_alone),
        TEST(test_only_a_run_that_has_not_begun_is_withdrawn),
        TEST(test_memory_over_the_limit_is_a_crash_that_names_it),
        TEST(test_kill_all_ends_every_run_and_begins_anew),
        TEST(test_closing_ends_every_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
