/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew_fixture.h - a crew and its runs, for the tests of jobs/crew.h
 *
 * Executors and modules are those of the build folder, in which tests run. Unused functions are
 * fine: each test program takes what it needs.
 */
#ifndef TESTS_CREW_FIXTURE_H
#define TESTS_CREW_FIXTURE_H

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "descriptors.h"
#include "jobs/crew.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LIMIT_SECONDS 60
struct probe {
    struct crew_run run;
    struct payload body;
    char params[128];
    int started, ended;
    int order; /* the how many-th to end; from 1 */
};

struct context {
    struct scratch scratch;
    struct config cfg;
    struct catalog *catalog;
    struct crew *crew;
    int ended, next_stop_at;
    int descriptors;
};

static volatile sig_atomic_t child_ended;

static inline void on_child(int signal_number)
{
    (void)signal_number;
    child_ended = 1;
}

static inline void on_started(void *context, struct crew_run *run)
{
    struct probe *p = run->owner;
    (void)context;
    assert_int_equal(p->ended, 0);
    p->started++;
}

static inline void on_ended(void *context, struct crew_run *run)
{
    struct context *c = context;
    struct probe *p = run->owner;
    p->ended++;
    p->order = ++c->ended;
}

static inline void link_file(const struct scratch *s, const char *folder, const char *target)
{
    char link[PATH_MAX], full[PATH_MAX];
    if (!realpath(target, full))
        fail_msg("%s: %s", target, strerror(errno));
    (void)snprintf(link, sizeof(link), "%s/%s/%s", s->path, folder, strrchr(full, '/') + 1);
    if (symlink(full, link) != 0)
        fail_msg("%s: %s", link, strerror(errno));
}

static const char *const faults[] = {"allocate", "cooperative", "crash",      "echo",
                                     "error",    "exit",        "hang",       "print",
                                     "write",    "progress",    "environment"};

static inline void fill_scratch(struct context *c)
{
    static char tasks[PATH_MAX], modules[PATH_MAX], libexec[PATH_MAX];
    const char *source = getenv("srcdir");
    char path[PATH_MAX];
    scratch_open(&c->scratch);
    scratch_write_text(&c->scratch, "tasks/.keep", "");
    scratch_write_text(&c->scratch, "modules/.keep", "");
    for (size_t i = 0; i < COUNT(faults); i++) {
        (void)snprintf(path, sizeof(path), "%s/tests/faults/module/faults.%s.json",
                       source ? source : ".", faults[i]);
        link_file(&c->scratch, "tasks", path);
    }
    (void)snprintf(path, sizeof(path), "%s/fcgi-app/tasks/demo/demo.sum_squares.json",
                   source ? source : ".");
    link_file(&c->scratch, "tasks", path);
    link_file(&c->scratch, "modules", "modules/.libs/demo.so");
    link_file(&c->scratch, "modules", "tests/modules/.libs/faults.so");
    (void)snprintf(tasks, sizeof(tasks), "%s/tasks", c->scratch.path);
    (void)snprintf(modules, sizeof(modules), "%s/modules", c->scratch.path);
    if (!getcwd(libexec, sizeof(libexec)))
        fail_msg("getcwd: %s", strerror(errno));
    c->cfg.server_tasks_dir = tasks;
    c->cfg.server_modules_dir = modules;
    c->cfg.server_libexec_dir = libexec;
}

static inline int setup(void **state)
{
    static struct context c;
    struct error err;
    c = (struct context){.cfg = {.compute_preload = "",
                                 .executor_max_runs = 1000000,
                                 .executor_idle_mb = 256,
                                 .executor_grace_seconds = 0.05,
                                 .executor_start_seconds = 30}};
    fill_scratch(&c);
    if (catalog_open(&c.cfg, &c.catalog, &err) != 0)
        fail_msg("%s", err.detail);
    (void)sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
    log_init("test", LOG_ERROR);
    c.descriptors = count_descriptors();
    *state = &c;
    return 0;
}

static inline int teardown(void **state)
{
    struct context *c = *state;
    crew_close(c->crew);
    catalog_close(c->catalog);
    scratch_close(&c->scratch);
    assert_int_equal(count_descriptors(), c->descriptors);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    return 0;
}

static inline void open_crew(struct context *c, int slots)
{
    const int shape[TASK_CLASS_COUNT] = {slots, slots};
    const struct crew_events events = {on_started, on_ended, c};
    struct error err;
    if (crew_open(&c->cfg, c->catalog, shape, &events, &c->crew, &err) != 0)
        fail_msg("%s (%s)", err.detail, err.cause);
    assert_int_equal(crew_count(c->crew), slots); /* no task is of class net */
}

/* One turn of a main loop. */
static inline void turn(struct context *c)
{
    int64_t until_us = crew_step(c->crew), soon_us = clock_us() + 20000;
    struct pollfd p = {.fd = crew_fd(c->crew), .events = POLLIN};
    if (child_ended == 0)
        (void)poll(&p, 1, clock_poll_ms(until_us < soon_us ? until_us : soon_us));
    if (child_ended != 0) {
        child_ended = 0;
        crew_reap(c->crew);
    }
}

static inline void assert_in_time(int64_t since_us)
{
    if (clock_us() - since_us > LIMIT_SECONDS * (int64_t)1000000)
        fail_msg("it has not come to pass in %d s", LIMIT_SECONDS);
}

static inline void wait_for_ended(struct context *c, int count)
{
    for (int64_t since_us = clock_us(); c->ended < count; assert_in_time(since_us))
        turn(c);
}

static inline void wait_for_ready(struct context *c, int count)
{
    for (int64_t since_us = clock_us(); crew_load(c->crew, TASK_CPU).ready < count;
         assert_in_time(since_us))
        turn(c);
}

static inline void wait_for_start(struct context *c, const struct probe *p)
{
    for (int64_t since_us = clock_us(); p->started == 0; assert_in_time(since_us))
        turn(c);
}

static inline void prepare(struct context *c, struct probe *p, const char *task, const char *params)
{
    *p = (struct probe){.body = PAYLOAD_INIT};
    (void)snprintf(p->params, sizeof(p->params), "%s", params);
    p->run = (struct crew_run){.arena = arena_new(),
                               .task = catalog_find(c->catalog, task),
                               .body = &p->body,
                               .params = p->params,
                               .params_size = strlen(p->params),
                               .seconds = LIMIT_SECONDS,
                               .seconds_limit = "seconds",
                               .label = "12345678",
                               .owner = p};
    assert_non_null(p->run.task);
}

static inline struct probe *submit(struct context *c, struct probe *p, const char *task,
                                   const char *params)
{
    prepare(c, p, task, params);
    crew_submit(c->crew, &p->run);
    return p;
}

#define TRIVIAL "demo.sum_squares", "{\"n\":3}"
#define COOPERATIVE "faults.cooperative", "{\"seconds\":100,\"busy\":false}"
#define HANG "faults.hang", "{\"seconds\":100}"
#define CRASH "faults.crash", "{\"signal\":\"SEGV\",\"output_first\":false}"

static inline void release(struct probe *p)
{
    payload_release(&p->body);
    arena_free(p->run.arena);
}

/* Ended once, in this way; the code with errors. */
static inline void assert_end(struct probe *p, enum crew_end end, enum err_code code)
{
    assert_int_equal(p->ended, 1);
    if (p->run.end != end || p->run.error.code != code)
        fail_msg("%s: end %d, %s (%s), not %d %s", p->run.task->name, p->run.end,
                 p->run.error.detail, p->run.error.cause, end, error_name(code));
    assert_int_equal(p->started, p->run.started_us != 0);
    assert_true(p->run.ended_us >= p->run.started_us);
    release(p);
}

static inline void assert_result(struct probe *p)
{
    if (p->ended == 1 && p->run.end == CREW_RESULT && strstr(p->run.task->name, "sum_squares"))
        assert_string_equal(cJSON_GetStringValue(json_member(p->run.result, "sum")), "5");
    assert_int_equal(p->started, 1);
    assert_end(p, CREW_RESULT, ERR_NONE);
}

static inline pid_t pid_of(const struct context *c, int i)
{
    return crew_member(c->crew, i).pid;
}

static inline struct error canceled(void)
{
    struct error why;
    (void)error_set(&why, ERR_STOPPED, "It was canceled.");
    return why;
}

#endif
