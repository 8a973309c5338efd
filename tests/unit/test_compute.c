/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The waiting side: whatever ends the wait, the place is free and the executor is free or dead. The
 * executors are forks of the test, each with the manners that its case needs.
 */
#include "compute_fixture.h"

static void test_a_run_is_computed(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_politely);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(compute(c), 0);
        assert_true(c->outcome.was_started);
        assert_int_equal(c->outcome.cpu_us, 5);
        assert_int_equal(c->outcome.peak_bytes, 4096);
    }
}

static void test_without_a_place_the_answer_comes_at_once(void **state)
{
    struct context *c = *state;
    for (int i = 0; i < 1 + QUEUE_LENGTH; i++)
        assert_non_null(gang_place_take(c->gang, TASK_CPU, "demo.x", "other"));
    assert_ends_with(c, ERR_OVERLOADED);
    assert_true(waited_seconds(c) < LONG_SECONDS / 10.0);
    assert_true(c->outcome.retry_after_s >= 1);
    assert_false(c->outcome.was_started);
    assert_non_null(strstr(c->error.detail, "queue_length = 2"));
}

static void test_who_waited_queue_seconds_is_told_so(void **state)
{
    struct context *c = *state;
    c->request.queue_seconds = 0.2;
    assert_ends_with(c, ERR_OVERLOADED);
    assert_true(waited_seconds(c) >= 0.2);
    assert_true(c->outcome.retry_after_s >= 1);
}

static void test_a_client_that_left_before_is_not_computed_for(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_politely);
    (void)shutdown(c->client[1], SHUT_RDWR);
    c->request.arrived_us = clock_us() - 1000000; /* it waited to be taken */
    int result = compute_run(c->gang, c->arena, &c->request, &c->outcome, &c->error);
    assert_int_equal(result, -1);
    assert_int_equal(c->error.code, ERR_STOPPED);
    assert_false(c->outcome.was_started);
}

static void test_a_client_that_left_just_now_has_its_run_stopped(void **state)
{
    struct context *c = *state;
    start_executor(c, start_and_stop_when_told);
    (void)shutdown(c->client[1], SHUT_RDWR);
    assert_ends_with(c, ERR_STOPPED);
    assert_true(waited_seconds(c) < LONG_SECONDS / 10.0);
}

/* The client leaves as soon as the request stands in its place. */
static pid_t start_leaver(const struct context *c, enum place_state when)
{
    struct control *control = gang_control(c->gang, 0);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct gang_place *p = gang_place(c->gang, 0);
    while (atomic_load(&p->turn) == 0 || atomic_load(&p->state) != (int)when)
        (void)usleep(1000);
    while (when == PLACE_RUNNING && !control_has_begun(control, p->run))
        (void)usleep(1000);
    (void)shutdown(c->client[1], SHUT_RDWR);
    _exit(0);
}

static void renew_client(struct context *c)
{
    (void)close(c->client[0]);
    (void)close(c->client[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c->client), 0);
    c->request.peer_fd = c->client[0];
}

static void test_a_client_that_leaves_while_waiting_frees_its_place_at_once(void **state)
{
    struct context *c = *state;
    pid_t leaver = start_leaver(c, PLACE_WAITING);
    assert_ends_with(c, ERR_STOPPED);
    assert_true(waited_seconds(c) < LONG_SECONDS / 10.0);
    assert_int_equal(waitpid(leaver, NULL, 0), leaver);
}

/* Many more than there are places: what they leave behind must not stand in anybody's way. */
static void test_however_many_came_and_left_the_next_one_waits_its_time(void **state)
{
    struct context *c = *state;
    for (int i = 0; i < 20 * (1 + QUEUE_LENGTH); i++) {
        pid_t leaver = start_leaver(c, PLACE_WAITING);
        assert_ends_with(c, ERR_STOPPED);
        assert_int_equal(waitpid(leaver, NULL, 0), leaver);
        renew_client(c);
    }
    c->request.queue_seconds = 0.2;
    assert_ends_with(c, ERR_OVERLOADED);
    c->request.queue_seconds = LONG_SECONDS;
    start_executor(c, serve_politely);
    assert_int_equal(compute(c), 0);
}

static void test_a_run_given_up_while_waiting_is_never_begun(void **state)
{
    struct context *c = *state;
    c->request.queue_seconds = 0.05;
    for (int i = 0; i < 3; i++)
        assert_ends_with(c, ERR_OVERLOADED);
    c->request.queue_seconds = LONG_SECONDS;
    start_executor(c, serve_politely);
    assert_int_equal(compute(c), 0);
    assert_true(gang_control(c->gang, 0)->runs == 1);
}

static void test_an_executor_is_not_given_up_while_it_lingers(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_and_linger);
    for (int i = 0; i < 3; i++)
        assert_int_equal(compute(c), 0);
    assert_true(is_running(c->executor));
}

static void test_an_executor_that_lingers_without_end_is_retired(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_and_linger_on);
    assert_int_equal(compute(c), 0);
    assert_int_equal(gang_executor(c->gang, 0)->taking, 0);
}

static void test_a_deadline_stops_a_run_that_listens_and_keeps_its_executor(void **state)
{
    struct context *c = *state;
    c->request.grace_seconds = LONG_SECONDS;
    c->request.seconds = 0.1;
    start_executor(c, start_and_stop_when_told);
    assert_ends_with(c, ERR_TIMED_OUT);
    assert_true(waited_seconds(c) >= 0.1);
    assert_non_null(strstr(c->error.detail, "seconds = 0.1"));
    assert_true(is_running(c->executor));
}

static void test_a_deadline_kills_a_run_that_does_not_listen(void **state)
{
    struct context *c = *state;
    c->request.seconds = 0.1;
    start_executor(c, start_and_hang);
    assert_ends_with(c, ERR_TIMED_OUT);
    assert_killed(c);
}

static void test_a_client_that_leaves_stops_its_run(void **state)
{
    static const struct {
        manners how;
        bool is_killed;
    } cases[] = {{start_and_hang, true}, {start_and_stop_when_told, false}};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        c->request.grace_seconds = cases[i].is_killed ? 0.05 : LONG_SECONDS;
        start_executor(c, cases[i].how);
        pid_t leaver = start_leaver(c, PLACE_RUNNING);
        assert_ends_with(c, ERR_STOPPED);
        assert_int_equal(waitpid(leaver, NULL, 0), leaver);
        if (cases[i].is_killed)
            assert_killed(c);
        else
            assert_true(is_running(c->executor));
        renew_client(c);
    }
}

static void test_memory_over_the_limit_is_a_crash_that_names_it(void **state)
{
    struct context *c = *state;
    struct task_desc small = task;
    small.memory_bytes = 8 * 1024 * 1024;
    c->request.task = &small;
    start_executor(c, start_and_hold_memory);
    assert_ends_with(c, ERR_EXECUTOR_CRASHED);
    assert_non_null(strstr(c->error.detail, "memory_mb"));
    assert_killed(c);
}

static void test_an_executor_that_talks_nonsense_is_killed(void **state)
{
    struct context *c = *state;
    start_executor(c, start_and_talk_nonsense);
    assert_ends_with(c, ERR_INTERNAL);
    assert_killed(c);
}

/* The master's part: reap, and note. */
static pid_t start_noting_master(struct context *c, manners how)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    pid_t executor = fork();
    if (executor == 0)
        serve(c->gang, how);
    gang_executor_started(c->gang, 0, executor);
    turn_executor_ready(c->gang, 0);
    int status;
    (void)waitpid(executor, &status, 0);
    gang_executor_ended(c->gang, 0, status);
    _exit(0);
}

static void test_a_crash_is_told_with_its_signals_name(void **state)
{
    struct context *c = *state;
    pid_t master = start_noting_master(c, start_and_crash);
    assert_ends_with(c, ERR_EXECUTOR_CRASHED);
    assert_non_null(strstr(c->error.detail, "SIGKILL"));
    assert_int_equal(waitpid(master, NULL, 0), master);
}

static void test_a_run_of_an_executor_that_has_left_since_counts(void **state)
{
    struct context *c = *state;
    for (int i = 0; i < 20; i++) {
        pid_t master = start_noting_master(c, serve_once_and_leave);
        if (compute(c) != 0)
            fail_msg("%s: %s (%s)", error_name(c->error.code), c->error.detail, c->error.cause);
        assert_true(c->outcome.was_started);
        assert_int_equal(waitpid(master, NULL, 0), master);
    }
}

/* The master's part for several, one after the other. */
static pid_t start_replacing_master(struct context *c, manners first, manners second)
{
    pid_t pid = fork();
    for (int i = 0; pid == 0; i++) {
        int status;
        pid_t executor = fork();
        if (executor == 0)
            serve(c->gang, i < 2 ? first : second);
        gang_executor_started(c->gang, 0, executor);
        turn_executor_ready(c->gang, 0);
        (void)waitpid(executor, &status, 0);
        gang_executor_ended(c->gang, 0, status);
        if (i == 2)
            _exit(0);
    }
    return pid;
}

static void
test_an_executor_that_hangs_up_before_the_start_is_replaced_and_costs_nothing(void **state)
{
    struct context *c = *state;
    pid_t master = start_replacing_master(c, be_moody, serve_once_and_leave);
    assert_int_equal(compute(c), 0);
    assert_true(c->outcome.was_started);
    assert_int_equal(waitpid(master, NULL, 0), master);
}

static void test_a_run_that_an_executor_does_not_begin_goes_to_its_successor(void **state)
{
    struct context *c = *state;
    pid_t master = start_replacing_master(c, be_deaf, serve_once_and_leave);
    assert_int_equal(compute(c), 0); /* both deaf ones were killed */
    assert_true(c->outcome.was_started);
    assert_int_equal(waitpid(master, NULL, 0), master);
}

static pid_t start_early_leaver(const struct context *c)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    while (atomic_load(&gang_place(c->gang, 0)->state) != PLACE_RUNNING)
        (void)usleep(1000);
    (void)shutdown(c->client[1], SHUT_RDWR);
    _exit(0);
}

static void test_a_client_that_leaves_before_its_run_begins_costs_no_executor(void **state)
{
    struct context *c = *state;
    start_executor(c, be_deaf);
    pid_t leaver = start_early_leaver(c);
    assert_ends_with(c, ERR_STOPPED);
    assert_int_equal(waitpid(leaver, NULL, 0), leaver);
    assert_false(c->outcome.was_started);
    assert_true(is_running(c->executor));
    assert_int_equal(gang_executor(c->gang, 0)->taking, c->executor);
    assert_int_equal(turn_executor(gang_place(c->gang, 0)), -1);
}

/* The last descriptor is taken by another: no executor is to blame. */
static void test_what_is_our_own_fault_costs_no_executor(void **state)
{
    struct context *c = *state;
    struct rlimit before, none;
    start_executor(c, serve_politely);
    int next = dup(0);
    (void)close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){(rlim_t)next, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    payload_release(&c->body);
    int result = compute_run(c->gang, c->arena, &c->request, &c->outcome, &c->error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(result, -1);
    assert_int_equal(c->error.code, ERR_INTERNAL);
    assert_true(is_running(c->executor));
    assert_int_equal(gang_executor(c->gang, 0)->taking, c->executor);
    c->request.arrived_us = clock_us();
    assert_int_equal(compute(c), 0);
}

static void note(void *context)
{
    ++*(int *)context;
}

static void test_another_descriptor_is_watched_and_told_once(void **state)
{
    struct context *c = *state;
    int lifeline[2], fired = 0;
    assert_int_equal(pipe2(lifeline, O_CLOEXEC), 0);
    c->request.watch = (struct compute_watch){lifeline[0], note, &fired};
    c->request.queue_seconds = 0.2;
    (void)close(lifeline[1]);
    assert_ends_with(c, ERR_OVERLOADED); /* the wait goes on */
    assert_int_equal(fired, 1);
    (void)close(lifeline[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_run_is_computed),
        TEST(test_without_a_place_the_answer_comes_at_once),
        TEST(test_who_waited_queue_seconds_is_told_so),
        TEST(test_a_client_that_left_before_is_not_computed_for),
        TEST(test_a_client_that_left_just_now_has_its_run_stopped),
        TEST(test_a_client_that_leaves_while_waiting_frees_its_place_at_once),
        TEST(test_however_many_came_and_left_the_next_one_waits_its_time),
        TEST(test_a_run_given_up_while_waiting_is_never_begun),
        TEST(test_an_executor_is_not_given_up_while_it_lingers),
        TEST(test_an_executor_that_lingers_without_end_is_retired),
        TEST(test_an_executor_that_hangs_up_before_the_start_is_replaced_and_costs_nothing),
        TEST(test_a_deadline_stops_a_run_that_listens_and_keeps_its_executor),
        TEST(test_a_deadline_kills_a_run_that_does_not_listen),
        TEST(test_a_client_that_leaves_stops_its_run),
        TEST(test_memory_over_the_limit_is_a_crash_that_names_it),
        TEST(test_an_executor_that_talks_nonsense_is_killed),
        TEST(test_a_crash_is_told_with_its_signals_name),
        TEST(test_a_run_of_an_executor_that_has_left_since_counts),
        TEST(test_a_run_that_an_executor_does_not_begin_goes_to_its_successor),
        TEST(test_a_client_that_leaves_before_its_run_begins_costs_no_executor),
        TEST(test_what_is_our_own_fault_costs_no_executor),
        TEST(test_another_descriptor_is_watched_and_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
