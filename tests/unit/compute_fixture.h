/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compute_fixture.h - a gang of one executor, which is a fork of the test, and a request for it
 */
#ifndef TEST_COMPUTE_FIXTURE_H
#define TEST_COMPUTE_FIXTURE_H

#include "exec/compute.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "descriptors.h"
#include "exec/turn.h"
#include "fake_executor.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define QUEUE_LENGTH 2
#define LONG_SECONDS 30

static const struct task_desc task = {.name = "demo.x",
                                      .module = "demo",
                                      .seconds = LONG_SECONDS,
                                      .memory_bytes = (size_t)1 << 40,
                                      .output_bytes = 1000};

struct context {
    struct gang *gang;
    struct arena *arena;
    struct payload body;
    struct compute_request request;
    struct compute_outcome outcome;
    struct error error;
    int client[2]; /* the request's connection: ours, and the client's end */
    pid_t executor;
};

static inline int setup(void **state)
{
    static struct context c;
    struct gang_shape shape = {.slots = {[TASK_CPU] = 1}, .queue_length = QUEUE_LENGTH};
    c = (struct context){.body = PAYLOAD_INIT, .arena = arena_new()};
    if (gang_create(&shape, &c.gang, &c.error) != 0 ||
        links_open(gang_links(c.gang), &c.error) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c.client) != 0)
        return -1;
    c.request = (struct compute_request){.task = &task,
                                         .body = &c.body,
                                         .params = "{}",
                                         .params_size = 2,
                                         .seconds = LONG_SECONDS,
                                         .seconds_limit = "seconds",
                                         .request_id = "id",
                                         .arrived_us = clock_us(),
                                         .queue_seconds = LONG_SECONDS,
                                         .grace_seconds = 0.05,
                                         .peer_fd = c.client[0],
                                         .watch = {.fd = -1}};
    *state = &c;
    return 0;
}

/* An executor that the test has not buried is killed. */
static inline int teardown(void **state)
{
    struct context *c = *state;
    if (c->executor > 0) {
        (void)kill(c->executor, SIGKILL);
        (void)waitpid(c->executor, NULL, 0);
    }
    payload_release(&c->body);
    gang_close(c->gang);
    arena_free(c->arena);
    (void)close(c->client[0]);
    (void)close(c->client[1]);
    return 0;
}

static inline void start_executor(struct context *c, manners how)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        serve(c->gang, how);
    c->executor = pid;
    gang_executor_started(c->gang, 0, pid);
    turn_executor_ready(c->gang, 0);
}

/* Compute; the place has to be free afterwards, and no descriptor left. */
static inline int compute(struct context *c)
{
    const struct links *links = gang_links(c->gang);
    int taken_before, taken, busy, descriptors = count_descriptors() - links->count;
    gang_load(c->gang, TASK_CPU, &taken_before, &busy);
    payload_release(&c->body);
    c->request.arrived_us = clock_us();
    int result = compute_run(c->gang, c->arena, &c->request, &c->outcome, &c->error);
    gang_load(c->gang, TASK_CPU, &taken, &busy);
    assert_int_equal(taken, taken_before);
    arena_reset(c->arena);
    assert_int_equal(count_descriptors() - links->count - (c->body.fd >= 0), descriptors);
    return result;
}

static inline void assert_ends_with(struct context *c, enum err_code code)
{
    assert_int_equal(compute(c), -1);
    if (c->error.code != code)
        fail_msg("%s: %s (%s)", error_name(c->error.code), c->error.detail, c->error.cause);
}

static inline double waited_seconds(const struct context *c)
{
    return (double)(clock_us() - c->request.arrived_us) / 1e6;
}

static inline bool is_running(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) == 0;
}

static inline void assert_killed(struct context *c)
{
    int status;
    assert_int_equal(waitpid(c->executor, &status, 0), c->executor);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    c->executor = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
