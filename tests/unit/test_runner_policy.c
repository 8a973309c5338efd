/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the runner decides: claim sizes, waits, and what becomes of an attempt.
 */
#include "jobs/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    struct policy_load load;
    int limit;
} claims[] = {
    /* Nothing known: what can begin at once. */
    {{.slots = 2}, 2},
    {{.slots = 2, .held = 1}, 1},
    {{.slots = 2, .held = 2}, 0},
    /* No executor can take runs. */
    {{.slots = 0}, 0},
    {{.slots = 0, .held = 3, .mean_us = 10}, 0},
    /* Long jobs: free slots alone. */
    {{.slots = 2, .mean_us = 100000}, 2},
    {{.slots = 2, .held = 2, .mean_us = 100000}, 0},
    {{.slots = 4, .held = 1, .mean_us = 3e9}, 3},
    /* Short ones: 40 ms ahead, asked for when half of that is gone. */
    {{.slots = 2, .mean_us = 1000}, 82},
    {{.slots = 2, .held = 42, .mean_us = 1000}, 40},
    {{.slots = 2, .held = 43, .mean_us = 1000}, 0},
    {{.slots = 2, .held = 82, .mean_us = 1000}, 0},
    /* Never more than a batch at a time, nor more than the buffer holds. */
    {{.slots = 2, .mean_us = 1}, POLICY_CLAIM_MAX},
    {{.slots = 64, .mean_us = 1}, POLICY_CLAIM_MAX},
    {{.slots = 2, .held = 502, .mean_us = 1}, POLICY_CLAIM_MAX},
    {{.slots = 2, .held = 1002, .mean_us = 1}, 0},
    /* Large params: fewer, at least one. */
    {{.slots = 2, .mean_us = 1, .mean_bytes = 1048576}, 8},
    {{.slots = 2, .mean_us = 1, .mean_bytes = 16e6}, 1},
    /* Those held take room too, but no slot stays idle for that. */
    {{.slots = 2, .held = 6, .held_bytes = 6 << 20, .mean_us = 1, .mean_bytes = 1048576}, 2},
    {{.slots = 2, .held = 8, .held_bytes = 8 << 20, .mean_us = 1, .mean_bytes = 1048576}, 0},
    {{.slots = 2, .held = 1, .held_bytes = 16e6, .mean_us = 1, .mean_bytes = 16e6}, 1},
};

static void test_a_claim_takes_what_can_be_computed_soon(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(claims); i++) {
        int limit = policy_claim_limit(&claims[i].load);
        if (limit != claims[i].limit)
            print_error("claim %zu\n", i);
        assert_int_equal(limit, claims[i].limit);
    }
}

static const struct {
    struct policy_load load;
    int surplus;
} surpluses[] = {
    /* As much as is claimed, and somewhat more. */
    {{.slots = 2, .held = 82, .mean_us = 1000}, 0},
    {{.slots = 2, .held = 124, .mean_us = 1000}, 0},
    {{.slots = 2, .held = 125, .mean_us = 1000}, 43},
    {{.slots = 2, .held = 1002, .mean_us = 1}, 0},
    {{.slots = 64, .held = 1128, .mean_us = 1}, 0},
    /* Claimed as short ones, and long. */
    {{.slots = 2, .held = 1002, .mean_us = 100000}, 1000},
    {{.slots = 2, .held = 5, .mean_us = 1e9}, 3},
    {{.slots = 2, .held = 3, .mean_us = 1e9}, 1},
    {{.slots = 2, .held = 2, .mean_us = 1e9}, 0},
    /* Neither short nor long: some more do not go to and fro. */
    {{.slots = 2, .held = 4, .mean_us = 60000}, 0},
    {{.slots = 2, .held = 5, .mean_us = 60000}, 3},
    {{.slots = 1, .held = 1000, .mean_us = 0}, 999},
    {{.slots = 2, .held = 0, .mean_us = 1e9}, 0},
};

static void test_what_turns_out_to_be_long_is_given_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(surpluses); i++) {
        int surplus = policy_surplus(&surpluses[i].load);
        if (surplus != surpluses[i].surplus)
            print_error("surplus %zu\n", i);
        assert_int_equal(surplus, surpluses[i].surplus);
    }
}

static void test_executors_are_given_long_runs_one_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(policy_depth(0), 1);
    assert_int_equal(policy_depth(1), CREW_AHEAD_MAX);
    assert_int_equal(policy_depth(1000), 6);
    assert_int_equal(policy_depth(5001), 1);
    assert_int_equal(policy_depth(1e12), 1);
}

static void test_executors_with_much_to_do_are_left_alone_for_a_while(void **state)
{
    struct policy_load load = {.slots = 2, .mean_us = 10};
    (void)state;
    assert_int_equal(policy_rest_us(&load, 96), 240);
    load.mean_us = 100;
    assert_int_equal(policy_rest_us(&load, 96), 500);
    /* A few runs, or nobody to compute them: who waits for one is told at once. */
    assert_int_equal(policy_rest_us(&load, 15), 0);
    load.slots = 0;
    assert_int_equal(policy_rest_us(&load, 96), 0);
}

static void test_ends_wait_for_others_only_where_many_are_about_to_come(void **state)
{
    (void)state;
    assert_true(policy_gathers(&(struct policy_load){.slots = 2, .held = 100, .mean_us = 20}));
    assert_true(policy_gathers(&(struct policy_load){.slots = 2, .held = 1000, .mean_us = 100}));
    assert_false(policy_gathers(&(struct policy_load){.slots = 2, .held = 99, .mean_us = 20}));
    assert_false(policy_gathers(&(struct policy_load){.slots = 2, .held = 1000, .mean_us = 101}));
    assert_false(policy_gathers(&(struct policy_load){.slots = 0, .held = 1000, .mean_us = 20}));
}

static void test_waiting_for_a_turn_is_no_work_but_long_runs_are_what_they_take(void **state)
{
    (void)state;
    assert_true(policy_run_us(400, 12) == 25);
    assert_true(policy_run_us(400, 300) == 300);
    assert_true(policy_run_us(400, 900) == 400);
    assert_true(policy_run_us(5001, 12) == 5001); /* it may have slept */
}

static void test_long_runs_are_noticed_sooner_than_short_ones(void **state)
{
    double mean = 0;
    (void)state;
    policy_observe(&mean, 100);
    assert_true(mean == 100);
    policy_observe(&mean, 1000100);
    assert_true(mean > 200000);
    double high = mean;
    policy_observe(&mean, 100);
    assert_true(mean < high && mean > high * 0.9);
}

static void test_polls_become_rare_but_never_rarer_than_a_second_or_so(void **state)
{
    static const int64_t expected[] = {0, 5000, 20000, 80000, 320000, 1000000, 1000000};
    (void)state;
    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(policy_poll_us((int)i, 0), expected[i]);
    assert_int_equal(policy_poll_us(1000000, 1), 1200000);
    assert_int_equal(policy_poll_us(1000000, -1), 800000);
}

static void test_each_wait_is_four_times_as_long_up_to_an_hour(void **state)
{
    (void)state;
    assert_true(policy_backoff_seconds(2, 1, 0) == 2);
    assert_true(policy_backoff_seconds(2, 2, 0) == 8);
    assert_true(policy_backoff_seconds(2, 3, 0) == 32);
    assert_true(policy_backoff_seconds(2, 7, 0) == 3600);
    assert_true(policy_backoff_seconds(2, 1000000000, 0) == 3600);
    assert_true(policy_backoff_seconds(10, 1, 1) == 12);
    assert_true(policy_backoff_seconds(10, 1, -1) == 8);
    assert_true(policy_backoff_seconds(0.01, 0, 0) == 0.01);
}

static const struct {
    struct policy_attempt attempt;
    enum policy_verdict verdict;
} ends[] = {
    {{CREW_RESULT, ERR_NONE, TASK_CPU, 1, 0, 5}, POLICY_SUCCEEDED},
    /* What is wrong with the input stays wrong. */
    {{CREW_ERROR, ERR_INVALID_PARAMS, TASK_CPU, 1, 0, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_INVALID_INPUT, TASK_NET, 1, 0, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_TOO_LARGE, TASK_CPU, 1, 0, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_NOT_FOUND, TASK_CPU, 1, 0, 5}, POLICY_FAILED},
    /* Transient errors, as often as max_attempts allows; crashes are not counted among these. */
    {{CREW_ERROR, ERR_UNAVAILABLE, TASK_CPU, 1, 0, 5}, POLICY_RETRY},
    {{CREW_ERROR, ERR_OVERLOADED, TASK_CPU, 4, 0, 5}, POLICY_RETRY},
    {{CREW_ERROR, ERR_INTERNAL, TASK_CPU, 5, 0, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_INTERNAL, TASK_CPU, 5, 1, 5}, POLICY_RETRY},
    {{CREW_ERROR, ERR_INTERNAL, TASK_CPU, 6, 1, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_INTERNAL, TASK_CPU, 1, 0, 1}, POLICY_FAILED},
    /* A deadline may be met the next time only where others were waited for. */
    {{CREW_TIMED_OUT, ERR_TIMED_OUT, TASK_CPU, 1, 0, 5}, POLICY_FAILED},
    {{CREW_TIMED_OUT, ERR_TIMED_OUT, TASK_NET, 1, 0, 5}, POLICY_RETRY},
    {{CREW_TIMED_OUT, ERR_TIMED_OUT, TASK_NET, 5, 0, 5}, POLICY_FAILED},
    /* One more try after a crash, whatever max_attempts says; none after two. */
    {{CREW_CRASHED, ERR_EXECUTOR_CRASHED, TASK_CPU, 1, 0, 5}, POLICY_CRASH},
    {{CREW_CRASHED, ERR_EXECUTOR_CRASHED, TASK_CPU, 1, 0, 1}, POLICY_CRASH},
    {{CREW_CRASHED, ERR_EXECUTOR_CRASHED, TASK_CPU, 2, 1, 5}, POLICY_FAILED},
    {{CREW_ERROR, ERR_EXECUTOR_CRASHED, TASK_CPU, 2, 1, 5}, POLICY_FAILED},
    /* Not the job's doing. */
    {{CREW_STOPPED, ERR_STOPPED, TASK_CPU, 5, 1, 5}, POLICY_UNTRIED},
    {{CREW_UNTRIED, ERR_NONE, TASK_NET, 5, 1, 5}, POLICY_UNTRIED},
};

static void test_only_transient_errors_are_tried_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ends); i++) {
        enum policy_verdict verdict = policy_verdict(&ends[i].attempt);
        if (verdict != ends[i].verdict)
            print_error("end %zu\n", i);
        assert_int_equal(verdict, ends[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_claim_takes_what_can_be_computed_soon),
        cmocka_unit_test(test_what_turns_out_to_be_long_is_given_back),
        cmocka_unit_test(test_executors_are_given_long_runs_one_at_a_time),
        cmocka_unit_test(test_executors_with_much_to_do_are_left_alone_for_a_while),
        cmocka_unit_test(test_ends_wait_for_others_only_where_many_are_about_to_come),
        cmocka_unit_test(test_waiting_for_a_turn_is_no_work_but_long_runs_are_what_they_take),
        cmocka_unit_test(test_long_runs_are_noticed_sooner_than_short_ones),
        cmocka_unit_test(test_polls_become_rare_but_never_rarer_than_a_second_or_so),
        cmocka_unit_test(test_each_wait_is_four_times_as_long_up_to_an_hour),
        cmocka_unit_test(test_only_transient_errors_are_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
