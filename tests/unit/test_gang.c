/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gang: its places are exactly as many as were asked for, however many processes compete for
 * them, and none is lost to a process that dies; how an executor ended is known by its pid, and
 * never mistaken for how another one of the same pid did.
 */
#include "exec/gang.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"
#include "exec/turn.h"
#include "gang_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define EXITS_KEPT 256
#define COMPETITORS 8
#define ROUNDS 2000

/* Fork; the child runs `body`, and leaves with what it returns. */
static pid_t start(int (*body)(void *context), void *context)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(body(context));
    return pid;
}

static int exit_code(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int take_all(struct gang *g, enum task_class class)
{
    int count = 0;
    while (gang_place_take(g, class, "demo.x", "id"))
        count++;
    return count;
}

static void test_places_are_slots_and_waiting_room_of_each_class(void **state)
{
    static const struct {
        int cpu, net, queue, cpu_places, net_places;
    } cases[] = {{1, 0, 0, 1, 0}, {2, 3, 4, 6, 7}, {0, 2, 8, 0, 10}, {1, 1, 2, 3, 3}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gang *g = gang_of(cases[i].cpu, cases[i].net, cases[i].queue);
        assert_int_equal(gang_executor_count(g), cases[i].cpu + cases[i].net);
        assert_int_equal(gang_place_count(g), cases[i].cpu_places + cases[i].net_places);
        assert_int_equal(take_all(g, TASK_CPU), cases[i].cpu_places);
        assert_int_equal(take_all(g, TASK_NET), cases[i].net_places);
        assert_int_equal(take_all(g, TASK_CPU), 0);
        gang_close(g);
    }
}

static void test_load_counts_what_is_taken_and_what_computes(void **state)
{
    struct gang *g = gang_of(2, 1, 2);
    int taken, busy;
    (void)state;
    struct gang_place *a = gang_place_take(g, TASK_CPU, "demo.x", "a");
    struct gang_place *b = gang_place_take(g, TASK_CPU, "demo.x", "b");
    struct gang_place *c = gang_place_take(g, TASK_CPU, "demo.x", "c");
    gang_place_enter(a, PLACE_RUNNING, 1, 0);
    gang_place_enter(b, PLACE_STOPPING, 2, 1);
    gang_load(g, TASK_CPU, &taken, &busy);
    assert_int_equal(taken, 3);
    assert_int_equal(busy, 2);
    gang_place_free(a);
    gang_place_free(c);
    gang_load(g, TASK_CPU, &taken, &busy);
    assert_int_equal(taken, 1);
    assert_int_equal(busy, 1);
    gang_load(g, TASK_NET, &taken, &busy);
    assert_int_equal(taken, 0);
    gang_place_free(NULL);
    gang_close(g);
}

static void test_a_place_tells_whose_it_is_cut_to_its_room(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    char text[3 * GANG_TEXT_SIZE];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    const struct gang_place *p = gang_place_take(g, TASK_CPU, "demo.sum_squares", text);
    assert_non_null(p);
    assert_int_equal(p->owner, getpid());
    assert_int_equal(p->state, PLACE_WAITING);
    assert_int_equal(p->executor, -1);
    assert_string_equal(p->task, "demo.sum_squares");
    assert_int_equal(strlen(p->request_id), GANG_TEXT_SIZE - 1);
    gang_close(g);
}

/* What competitors share: how many of them hold a place, and how many ever held one too many. */
struct contest {
    struct gang *gang;
    int bound;
    _Atomic int *holders, *violations, *taken;
};

static int compete(void *context)
{
    const struct contest *c = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct gang_place *p = gang_place_take(c->gang, TASK_CPU, "demo.x", "id");
        if (!p)
            continue;
        if (atomic_fetch_add(c->holders, 1) >= c->bound || p->owner != getpid())
            atomic_fetch_add(c->violations, 1);
        atomic_fetch_add(c->taken, 1);
        atomic_fetch_sub(c->holders, 1);
        gang_place_free(p);
    }
    return 0;
}

static int grab(void *context)
{
    return take_all(context, TASK_CPU);
}

static void test_the_bound_is_exact_whoever_competes(void **state)
{
    struct gang *g = gang_of(2, 1, 1);
    _Atomic int *shared =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct contest contest = {g, 3, &shared[0], &shared[1], &shared[2]};
    pid_t pids[COMPETITORS];
    (void)state;
    for (int i = 0; i < COMPETITORS; i++)
        pids[i] = start(compete, &contest);
    for (int i = 0; i < COMPETITORS; i++)
        assert_int_equal(exit_code(pids[i]), 0);
    assert_int_equal(shared[1], 0);
    assert_true(shared[2] >= ROUNDS); /* somebody always gets one */

    int total = 0;
    for (int i = 0; i < COMPETITORS; i++)
        pids[i] = start(grab, g);
    for (int i = 0; i < COMPETITORS; i++)
        total += exit_code(pids[i]);
    assert_int_equal(total, 3);
    (void)munmap(shared, 4096);
    gang_close(g);
}

static int count_runs(void *context)
{
    uint64_t last = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t run = gang_new_run(context, 0);
        if (run <= last)
            return 1;
        last = run;
    }
    return 0;
}

static void test_run_numbers_are_unique_among_processes(void **state)
{
    struct gang *g = gang_of(1, 0, 1);
    pid_t pids[COMPETITORS];
    (void)state;
    uint64_t first = gang_new_run(g, 3), second = gang_new_run(g, 5);
    assert_true(second > first && first % CONTROL_CLAIMS == 3 && second % CONTROL_CLAIMS == 5);
    for (int i = 0; i < COMPETITORS; i++)
        pids[i] = start(count_runs, g);
    for (int i = 0; i < COMPETITORS; i++)
        assert_int_equal(exit_code(pids[i]), 0);
    assert_true(gang_new_run(g, 0) / CONTROL_CLAIMS == 3 + COMPETITORS * ROUNDS);
    gang_close(g);
}

static void test_how_an_executor_ended_is_known_by_its_pid(void **state)
{
    struct gang *g = gang_of(2, 0, 0);
    int status = -1;
    (void)state;
    gang_executor_started(g, 0, 1000);
    gang_executor_started(g, 1, 1001);
    assert_false(gang_exit_status(g, 0, 0, &status)); /* nobody has ended */
    gang_control(g, 0)->run = 9;
    gang_executor_ended(g, 0, W_EXITCODE(0, SIGSEGV));
    assert_true(gang_exit_status(g, 1000, 0, &status));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    assert_false(gang_exit_status(g, 1001, 0, &status));
    assert_true(gang_control(g, 0)->run == 0); /* the next one starts on a clean page */
    gang_executor_ended(g, 1, W_EXITCODE(3, 0));
    assert_true(gang_exit_status(g, 1001, 0, &status));
    assert_int_equal(WEXITSTATUS(status), 3);
    gang_close(g);
}

static void test_a_reused_pid_does_not_show_the_end_of_the_one_before(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    int status;
    (void)state;
    gang_executor_started(g, 0, 1000);
    gang_executor_ended(g, 0, W_EXITCODE(0, SIGKILL));
    gang_executor_started(g, 0, 1000);
    assert_false(gang_exit_status(g, 1000, 0, &status));
    gang_executor_ended(g, 0, W_EXITCODE(7, 0));
    assert_true(gang_exit_status(g, 1000, 0, &status));
    assert_int_equal(WEXITSTATUS(status), 7);
    gang_close(g);
}

static void test_the_last_ends_are_kept_whatever_their_number(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    const int total = 3 * EXITS_KEPT + 5;
    int status;
    (void)state;
    for (int i = 1; i <= total; i++) {
        gang_executor_started(g, 0, 1000 + i);
        gang_executor_ended(g, 0, W_EXITCODE(i % 256, 0));
    }
    for (int i = total - EXITS_KEPT + 1; i <= total; i++) {
        assert_true(gang_exit_status(g, 1000 + i, 0, &status));
        assert_int_equal(WEXITSTATUS(status), i % 256);
    }
    assert_false(gang_exit_status(g, 1001, 0, &status));
    gang_close(g);
}

static int note_an_end(void *context)
{
    (void)usleep(20000);
    gang_executor_ended(context, 0, W_EXITCODE(0, SIGBUS));
    return 0;
}

static void test_who_asks_too_early_waits_for_the_end_to_be_noted(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    int status;
    (void)state;
    gang_executor_started(g, 0, 1000);
    pid_t master = start(note_an_end, g);
    assert_true(gang_exit_status(g, 1000, 60000, &status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
    assert_int_equal(exit_code(master), 0);
    gang_close(g);
}

static void test_retry_after_grows_with_runs_and_queue_within_its_bounds(void **state)
{
    struct gang *g = gang_of(2, 0, 6);
    (void)state;
    assert_int_equal(gang_retry_after(g, TASK_CPU), 1); /* nothing known */
    gang_observe_run(g, TASK_CPU, 4000000, 1);
    assert_int_equal(gang_retry_after(g, TASK_CPU), 1); /* nobody there */
    assert_int_equal(take_all(g, TASK_CPU), 8);
    assert_int_equal(gang_retry_after(g, TASK_CPU),
                     14); /* seven before it, 4 s each, two at a time */
    for (int i = 0; i < 100; i++)
        gang_observe_run(g, TASK_CPU, 3600000000, 1);
    assert_int_equal(gang_retry_after(g, TASK_CPU), 60);
    for (int i = 0; i < 200; i++)
        gang_observe_run(g, TASK_CPU, 100, 1);
    assert_int_equal(gang_retry_after(g, TASK_CPU), 1);
    assert_int_equal(gang_retry_after(g, TASK_NET), 1); /* a class that nobody serves */
    gang_close(g);
}

static void test_control_pages_are_one_page_each_and_within_the_mapping(void **state)
{
    struct gang *g = gang_of(3, 2, 4);
    off_t size = lseek(gang_memory_fd(g), 0, SEEK_END);
    (void)state;
    for (int i = 0; i < gang_executor_count(g); i++) {
        off_t offset = gang_control_offset(g, i);
        assert_int_equal(offset % CONTROL_PAGE_SIZE, 0);
        assert_true(offset + CONTROL_PAGE_SIZE <= size);
        if (i > 0)
            assert_true(offset >= gang_control_offset(g, i - 1) + CONTROL_PAGE_SIZE);
        gang_control(g, i)->runs = (uint64_t)i + 1;
    }
    for (int i = 0; i < gang_executor_count(g); i++)
        assert_true(gang_control(g, i)->runs == (uint64_t)i + 1);
    gang_close(g);
}

/* The same descriptors, as a worker inherits them: in a row. */
static int copy_descriptors(const struct gang *g)
{
    int first = 500;
    for (int i = 0; i < gang_descriptor_count(g); i++)
        assert_int_equal(dup2(gang_descriptor(g, i), first + i), first + i);
    return first;
}

static void test_who_joins_sees_the_same_places(void **state)
{
    struct gang *g = gang_of(1, 2, 3);
    struct error err;
    (void)state;
    int before = count_descriptors();
    struct gang *joined;
    if (gang_join(copy_descriptors(g), &joined, &err) != 0)
        fail_msg("%s: %s", err.detail, err.cause);
    assert_int_equal(gang_place_count(joined), gang_place_count(g));
    assert_int_equal(gang_executor_count(joined), 3);
    assert_int_equal(gang_shape(joined)->queue_length, 3);
    assert_non_null(gang_place_take(joined, TASK_NET, "http.fetch", "id"));
    int taken, busy;
    gang_load(g, TASK_NET, &taken, &busy);
    assert_int_equal(taken, 1);
    uint64_t one = 1;
    struct gang_place *p = gang_place(g, 2);
    assert_int_equal(write(gang_bell_fd(g, p), &one, sizeof(one)), sizeof(one));
    assert_int_equal(read(gang_bell_fd(joined, gang_place(joined, 2)), &one, sizeof(one)),
                     sizeof(one));
    assert_int_equal(p->class, TASK_CPU);
    gang_close(joined);
    assert_int_equal(count_descriptors(), before);
    gang_close(g);
}

/* A mapping that this build did not make is refused. */
static void test_a_foreign_mapping_is_refused(void **state)
{
    static const struct {
        off_t change; /* of its size */
        int wrong_at; /* a byte that is another; -1: none */
    } cases[] = {{1, -1}, {-1, -1}, {CONTROL_PAGE_SIZE, -1}, {0, 0}, {0, 4}, {0, 8},
                 {0, 12}, {0, 16}};
    struct gang *g = gang_of(2, 1, 3);
    size_t size = (size_t)lseek(gang_memory_fd(g), 0, SEEK_END);
    unsigned char *copy = malloc(size);
    (void)state;
    assert_int_equal(pread(gang_memory_fd(g), copy, size, 0), size);
    int before = count_descriptors();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gang *joined = NULL;
        struct error err;
        int fd = memfd_create("test", MFD_CLOEXEC);
        assert_int_equal(pwrite(fd, copy, size, 0), size);
        assert_int_equal(ftruncate(fd, (off_t)size + cases[i].change), 0);
        if (cases[i].wrong_at >= 0)
            assert_int_equal(pwrite(fd, "\x7f", 1, cases[i].wrong_at), 1);
        assert_int_equal(gang_join(fd, &joined, &err), -1);
        (void)close(fd);
        assert_int_equal(count_descriptors(), before);
    }
    free(copy);
    gang_close(g);
}

static int connect_to(const struct gang *g, int executor)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d",
                   gang_address_fd(g, executor));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void test_each_socket_is_its_executors_alone_and_reached_by_descriptor(void **state)
{
    struct gang *g = gang_of(2, 1, 1);
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct sockaddr_un address;
        socklen_t size = sizeof(address);
        int listening = gang_listen_fd(g, i);
        assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
        assert_int_equal(access(address.sun_path, F_OK), -1);
        int client = connect_to(g, i);
        for (int other = 0; other < 3; other++) {
            (void)fcntl(gang_listen_fd(g, other), F_SETFL, O_NONBLOCK);
            int server = accept4(gang_listen_fd(g, other), NULL, NULL, SOCK_CLOEXEC);
            assert_int_equal(server >= 0, other == i);
            if (server >= 0)
                (void)close(server);
        }
        (void)close(client);
    }
    gang_close(g);
}

static void test_a_retired_executor_takes_no_runs_until_it_is_another_process(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    const struct gang_executor *e = gang_executor(g, 0);
    (void)state;
    gang_executor_started(g, 0, 1000);
    assert_int_equal(e->taking, 0); /* not ready yet */
    turn_executor_ready(g, 0);
    assert_int_equal(e->taking, 1000);
    gang_executor_retire(g, 0, 999); /* its predecessor */
    assert_int_equal(e->taking, 1000);
    gang_executor_retire(g, 0, 1000);
    assert_int_equal(e->taking, 0);
    gang_executor_ended(g, 0, 0);
    gang_executor_started(g, 0, 1001);
    turn_executor_ready(g, 0);
    assert_int_equal(e->taking, 1001);
    gang_executor_ended(g, 0, 0);
    assert_int_equal(e->taking, 0);
    gang_close(g);
}

static int sleep_on(void *context)
{
    (void)context;
    for (;;)
        (void)pause();
    return 0;
}

static void test_killing_ends_that_process_and_nobody_else(void **state)
{
    struct gang *g = gang_of(1, 0, 0);
    int status;
    (void)state;
    pid_t before = start(sleep_on, NULL), executor = start(sleep_on, NULL);
    gang_executor_started(g, 0, executor);
    gang_executor_kill(g, 0, before); /* that is not it */
    gang_executor_kill(g, 0, 0);
    gang_executor_kill(g, 0, executor);
    assert_int_equal(waitpid(executor, &status, 0), executor);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(waitpid(before, &status, WNOHANG), 0);
    assert_int_equal(kill(before, SIGKILL), 0);
    assert_int_equal(waitpid(before, &status, 0), before);
    gang_close(g);
}

static void test_no_clock_of_an_executors_makes_a_run_longer_than_it_was(void **state)
{
    static struct control c;
    const struct {
        int64_t begun_us, ended_us, computed_us;
    } cases[] = {{100, 130, 30},      {100, 100, 0},
                 {100, 99, 50},       {100, INT64_MAX, 50},
                 {INT64_MIN, 2, 50},  {INT64_MAX, INT64_MIN, 1},
                 {INT64_MIN, -1, 50}, {INT64_MIN, INT64_MIN, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        atomic_store(&c.begun_us[3], cases[i].begun_us);
        atomic_store(&c.ended_us[3], cases[i].ended_us);
        assert_int_equal(control_computed_us(&c, CONTROL_CLAIMS + 3, 50), cases[i].computed_us);
    }
}

static void test_closing_leaves_no_descriptor(void **state)
{
    int before = count_descriptors();
    (void)state;
    for (int i = 0; i < 3; i++)
        gang_close(gang_of(2, 2, 2));
    gang_close(NULL);
    assert_int_equal(count_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places_are_slots_and_waiting_room_of_each_class),
        cmocka_unit_test(test_load_counts_what_is_taken_and_what_computes),
        cmocka_unit_test(test_a_place_tells_whose_it_is_cut_to_its_room),
        cmocka_unit_test(test_the_bound_is_exact_whoever_competes),
        cmocka_unit_test(test_a_retired_executor_takes_no_runs_until_it_is_another_process),
        cmocka_unit_test(test_killing_ends_that_process_and_nobody_else),
        cmocka_unit_test(test_run_numbers_are_unique_among_processes),
        cmocka_unit_test(test_how_an_executor_ended_is_known_by_its_pid),
        cmocka_unit_test(test_a_reused_pid_does_not_show_the_end_of_the_one_before),
        cmocka_unit_test(test_the_last_ends_are_kept_whatever_their_number),
        cmocka_unit_test(test_who_asks_too_early_waits_for_the_end_to_be_noted),
        cmocka_unit_test(test_retry_after_grows_with_runs_and_queue_within_its_bounds),
        cmocka_unit_test(test_control_pages_are_one_page_each_and_within_the_mapping),
        cmocka_unit_test(test_who_joins_sees_the_same_places),
        cmocka_unit_test(test_a_foreign_mapping_is_refused),
        cmocka_unit_test(test_each_socket_is_its_executors_alone_and_reached_by_descriptor),
        cmocka_unit_test(test_no_clock_of_an_executors_makes_a_run_longer_than_it_was),
        cmocka_unit_test(test_closing_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
