/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a worker keeps from run to run, and what it sends ahead: connections to executors are
 * watched and belong to one process, and a run behind another neither pays for it nor waits for
 * long.
 */
#include "compute_fixture.h"

static void test_a_connection_is_kept_from_run_to_run(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_politely);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(compute(c), 0);
        assert_int_equal(gang_links(c->gang)->count, 1);
    }
    assert_true(is_running(c->executor));
}

static void serve_and_talk_on(const struct gang *g, int fd, const struct wire_message *m)
{
    serve_politely(g, fd, m);
    (void)send_plain(fd, WIRE_RESULT, m->run);
}

static void test_an_executor_that_speaks_between_runs_is_killed(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_and_talk_on);
    assert_int_equal(compute(c), 0);
    assert_ends_with(c, ERR_INTERNAL);
    assert_int_equal(gang_links(c->gang)->count, 0);
    int status;
    assert_int_equal(waitpid(c->executor, &status, 0), c->executor);
    assert_true(WIFSIGNALED(status));
    c->executor = 0;
}

#define IN_FLIGHT 253 /* descriptors in a datagram: as many as there can be */
#define DATAGRAMS 4

static int passed[2]; /* a pipe: its writing end is passed on until nobody can have it any more */

static void pass_descriptors(int fd)
{
    union {
        char bytes[CMSG_SPACE(IN_FLIGHT * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    int all[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++)
        all[i] = passed[1];
    struct iovec byte = {.iov_base = "x", .iov_len = 1};
    struct msghdr m = {.msg_iov = &byte,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&m);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(all));
    memcpy(CMSG_DATA(head), all, sizeof(all));
    for (int i = 0; i < DATAGRAMS; i++)
        (void)sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve_and_fill_the_queue(const struct gang *g, int fd, const struct wire_message *m)
{
    serve_politely(g, fd, m);
    pass_descriptors(fd);
}

static bool becomes_readable(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, LONG_SECONDS * 1000) > 0;
}

/* The executor has spoken on what was kept, or is about to. Its descriptors are nobody's soon. */
static void start_filler(struct context *c)
{
    assert_int_equal(pipe2(passed, O_CLOEXEC), 0);
    start_executor(c, serve_and_fill_the_queue);
    assert_int_equal(close(passed[1]), 0);
    assert_int_equal(compute(c), 0);
    assert_int_equal(gang_links(c->gang)->count, 1);
}

static void assert_nothing_is_in_flight(struct context *c)
{
    assert_int_equal(gang_links(c->gang)->count, 0);
    assert_int_equal(gang_executor(c->gang, 0)->taking, 0);
    assert_killed(c);
    assert_true(becomes_readable(passed[0])); /* by its end: nobody can write any more */
    assert_int_equal(close(passed[0]), 0);
}

static void test_what_is_sent_on_an_idle_connection_closes_it_and_kills_the_executor(void **state)
{
    struct context *c = *state;
    start_filler(c);
    assert_true(becomes_readable(gang_links(c->gang)->epoll_fd));
    gang_look_at_links(c->gang);
    assert_nothing_is_in_flight(c);
}

static void test_idle_connections_are_watched_while_a_run_waits(void **state)
{
    struct context *c = *state;
    start_filler(c);
    struct gang_place *first = gang_place_take(c->gang, TASK_CPU, "demo.x", "id");
    assert_non_null(first);
    turn_ask(c->gang, first);
    atomic_store(&gang_executor(c->gang, 0)->moved_us, 0); /* nobody goes ahead */
    assert_true(becomes_readable(gang_links(c->gang)->epoll_fd));
    c->request.queue_seconds = 0.2;
    assert_ends_with(c, ERR_OVERLOADED);
    assert_nothing_is_in_flight(c);
}

static void test_a_connection_that_is_hung_up_is_closed_and_costs_nobody_anything(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_once_and_leave);
    assert_int_equal(compute(c), 0);
    assert_true(becomes_readable(gang_links(c->gang)->epoll_fd));
    gang_look_at_links(c->gang);
    assert_int_equal(gang_links(c->gang)->count, 0);
    assert_int_equal(gang_executor(c->gang, 0)->taking, c->executor);
}

static void test_a_connection_that_ends_during_a_run_is_closed_before_its_end(void **state)
{
    struct context *c = *state;
    struct links *links = gang_links(c->gang);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    links_keep(links, 1, 5000000, pair[0], false);
    assert_int_equal(close(pair[1]), 0);
    start_executor(c, start_and_stop_when_told);
    c->request.seconds = 0.2;
    int before = count_descriptors();
    assert_int_equal(compute_run(c->gang, c->arena, &c->request, &c->outcome, &c->error), -1);
    assert_int_equal(c->error.code, ERR_TIMED_OUT);
    assert_int_equal(links->count, 0);
    assert_int_equal(count_descriptors(), before - 1);
}

static void test_a_connection_to_a_predecessor_is_not_used(void **state)
{
    struct context *c = *state;
    struct links *links = gang_links(c->gang);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    links_keep(links, 0, 5000000, pair[0], false);
    assert_int_equal(links_take(links, 0, 5000001), -1);
    assert_int_equal(links->count, 0);
    assert_true(becomes_readable(pair[1])); /* it is closed */
    assert_int_equal(close(pair[1]), 0);
}

/* As if its connection lay in somebody's queue: it stays open beyond the executor's death. */
static void pass_on_and_die(int fd)
{
    if (fork() == 0) {
        (void)poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, FOR_EVER * 1000);
        _exit(0);
    }
    (void)raise(SIGKILL);
}

static void begin_and_pass_on(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)begin(g, m);
    pass_on_and_die(fd);
}

static void pass_on(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)g;
    (void)m;
    pass_on_and_die(fd);
}

/* The master's part; its status is 0 when the successor has lived until it was told to end. */
static pid_t start_succeeding_master(struct context *c, manners first, manners second)
{
    const manners all[] = {first, second};
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int status = 0;
    for (size_t i = 0; i < COUNT(all); i++) {
        pid_t executor = fork();
        if (executor == 0)
            serve(c->gang, all[i]);
        gang_executor_started(c->gang, 0, executor);
        turn_executor_ready(c->gang, 0);
        (void)waitpid(executor, &status, 0);
        gang_executor_ended(c->gang, 0, status);
    }
    _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : 1);
}

static void assert_successor_lives(const struct context *c, pid_t master)
{
    int status;
    pid_t successor;
    pid_t ended = 0; /* the master ends when the successor has */
    while ((successor = gang_executor(c->gang, 0)->taking) == 0 && ended == 0)
        ended = waitpid(master, &status, WNOHANG);
    if (ended == 0) {
        (void)kill(successor, SIGTERM);
        ended = waitpid(master, &status, 0);
    }
    assert_int_equal(ended, master);
    assert_int_equal(status, 0);
}

static void test_a_successor_does_not_pay_for_a_run_that_its_predecessor_began(void **state)
{
    struct context *c = *state;
    c->request.seconds = 2;
    pid_t master = start_succeeding_master(c, begin_and_pass_on, be_deaf);
    assert_ends_with(c, ERR_EXECUTOR_CRASHED);
    assert_successor_lives(c, master);
}

static void test_a_run_whose_executor_died_goes_to_its_successor_who_lives(void **state)
{
    struct context *c = *state;
    pid_t master = start_succeeding_master(c, pass_on, serve_politely);
    assert_int_equal(compute(c), 0);
    assert_true(c->outcome.was_started);
    assert_successor_lives(c, master);
}

static void test_a_connection_over_which_a_run_was_given_up_is_not_kept(void **state)
{
    struct context *c = *state;
    start_executor(c, start_and_stop_when_told);
    c->request.seconds = 0.05;
    assert_ends_with(c, ERR_TIMED_OUT);
    assert_int_equal(gang_links(c->gang)->count, 0);
}

/* The executor has a run of another place, and its runs are short. */
static struct gang_place *let_another_be_first(struct context *c)
{
    struct gang_place *p = gang_place_take(c->gang, TASK_CPU, "demo.x", "id");
    assert_non_null(p);
    turn_ask(c->gang, p);
    assert_int_equal(turn_seat(p), 0);
    gang_observe_run(c->gang, TASK_CPU, 100, 10);
    atomic_store(&gang_executor(c->gang, 0)->moved_us, INT64_MAX);
    c->request.queue_seconds = 0.2;
    return p;
}

static void test_a_run_ahead_that_is_not_begun_soon_asks_for_an_idle_executor(void **state)
{
    struct context *c = *state;
    start_executor(c, be_deaf);
    struct gang_place *first = let_another_be_first(c);
    assert_ends_with(c, ERR_OVERLOADED);
    assert_false(c->outcome.was_started);
    assert_true(gang_place(c->gang, 1)->wants_idle);
    assert_true(is_running(c->executor));
    assert_int_equal(gang_executor(c->gang, 0)->taking, c->executor);
    assert_false(turn_is_shared(c->gang, first));
}

static void test_a_run_ahead_of_an_executor_that_leaves_costs_no_attempt(void **state)
{
    struct context *c = *state;
    start_executor(c, be_moody);
    (void)let_another_be_first(c);
    assert_ends_with(c, ERR_OVERLOADED); /* it waits for an idle one */
    assert_true(gang_place(c->gang, 1)->wants_idle);
}

/* As soon as the next place has the executor, this one goes ahead there, and is first. */
static pid_t start_overtaker(const struct context *c)
{
    struct gang_place *p = gang_place_take(c->gang, TASK_CPU, "demo.x", "id");
    assert_non_null(p);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    while (atomic_load(&gang_place(c->gang, 1)->state) != PLACE_RUNNING)
        (void)usleep(100);
    gang_observe_run(c->gang, TASK_CPU, 100, 10);
    atomic_store(&gang_executor(c->gang, 0)->moved_us, INT64_MAX);
    turn_ask(c->gang, p);
    uint64_t run = gang_new_run(c->gang, turn_seat(p));
    control_offer(gang_control(c->gang, 0), run);
    _exit(turn_executor(p) == 0 && control_begin(gang_control(c->gang, 0), run) ? 0 : 1);
}

static void test_a_run_that_is_overtaken_by_another_does_not_pay_for_its_time(void **state)
{
    struct context *c = *state;
    int status;
    start_executor(c, be_deaf);
    c->request.seconds = 1;
    c->request.queue_seconds = 0.5;
    pid_t overtaker = start_overtaker(c);
    assert_ends_with(c, ERR_OVERLOADED); /* the other is with it to the end */
    assert_int_equal(waitpid(overtaker, &status, 0), overtaker);
    assert_int_equal(status, 0);
    assert_false(c->outcome.was_started);
    assert_true(is_running(c->executor));
    assert_int_equal(gang_executor(c->gang, 0)->taking, c->executor);
}

static void start_if_wanted_and_stop_when_told(const struct gang *g, int fd,
                                               const struct wire_message *m)
{
    if (!begin(g, m))
        return;
    while (atomic_load(&gang_control(g, 0)->stop_run) != m->run)
        (void)usleep(1000);
    (void)send_plain(fd, WIRE_RESULT, m->run);
}

/* Until one was begun in time: a machine that is busy may be late. */
static int compute_ahead(struct context *c)
{
    int result;
    do {
        atomic_store(&gang_executor(c->gang, 0)->moved_us, INT64_MAX);
        result = compute(c);
    } while (result != 0 && c->error.code == ERR_OVERLOADED);
    return result;
}

static void test_a_run_ahead_is_computed_behind_another(void **state)
{
    struct context *c = *state;
    start_executor(c, serve_politely);
    const struct gang_place *first = let_another_be_first(c);
    assert_int_equal(compute_ahead(c), 0);
    assert_true(c->outcome.was_started);
    assert_false(gang_place(c->gang, 1)->wants_idle);
    assert_true(c->outcome.queue_us >= 0 && c->outcome.run_us >= 0);
    assert_int_equal(turn_executor(first), 0);
}

static void test_the_deadline_of_a_run_ahead_counts_from_its_beginning(void **state)
{
    struct context *c = *state;
    start_executor(c, start_if_wanted_and_stop_when_told);
    (void)let_another_be_first(c);
    c->request.seconds = 0.05;
    assert_int_equal(compute_ahead(c), -1);
    assert_int_equal(c->error.code, ERR_TIMED_OUT);
    assert_true(c->outcome.was_started);
    assert_true(c->outcome.run_us >= 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_connection_is_kept_from_run_to_run),
        TEST(test_an_executor_that_speaks_between_runs_is_killed),
        TEST(test_what_is_sent_on_an_idle_connection_closes_it_and_kills_the_executor),
        TEST(test_idle_connections_are_watched_while_a_run_waits),
        TEST(test_a_connection_that_is_hung_up_is_closed_and_costs_nobody_anything),
        TEST(test_a_connection_that_ends_during_a_run_is_closed_before_its_end),
        TEST(test_a_connection_to_a_predecessor_is_not_used),
        TEST(test_a_successor_does_not_pay_for_a_run_that_its_predecessor_began),
        TEST(test_a_run_whose_executor_died_goes_to_its_successor_who_lives),
        TEST(test_a_connection_over_which_a_run_was_given_up_is_not_kept),
        TEST(test_a_run_ahead_that_is_not_begun_soon_asks_for_an_idle_executor),
        TEST(test_a_run_ahead_is_computed_behind_another),
        TEST(test_a_run_ahead_of_an_executor_that_leaves_costs_no_attempt),
        TEST(test_a_run_that_is_overtaken_by_another_does_not_pay_for_its_time),
        TEST(test_the_deadline_of_a_run_ahead_counts_from_its_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
