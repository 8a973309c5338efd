/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generation.c - see generation.h
 */
#include "pool/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/sandbox.h"
#include "exec/spawn.h"
#include "exec/turn.h"
#include "pool/fork_server.h"

#define YOUNG_US 1000000 /* who dies earlier has not worked */
#define DELAY_FIRST_MS 50
#define DELAY_MAX_MS 5000
#define AUDIT_US 1000000  /* executors are held against the places this often */
#define START_US 5000     /* who starts is looked at this often */
#define STILL_US 10000000 /* a worker with an executor does something with it before that */
#define FILES_SPARE 64    /* the master's own */
#define SPARE_WORKERS 4   /* beyond slots and waiting room: for answers that need no run */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static struct child *fork_server(const struct generation *g)
{
    return &g->children[g->child_count - 1];
}

/* libfcgi allocates each variable of a request, some thirty: that is what malloc() is to keep at
 * hand, where by itself it keeps seven of a size. */
static int spawn_fork_server(struct generation *g, int orders, pid_t *ret_pid, struct error *reterr)
{
    char config[32];
    (void)snprintf(config, sizeof(config), "/proc/self/fd/%d", WORKER_FD_CONFIG);
    const char *argv[] = {g->program, "worker", pool_name(g->kind), "--config", config, NULL};
    g->worker_fds[WORKER_FD_ORDERS] = orders;
    (void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=64", 0);
    struct spawn s = {.argv = argv,
                      .envp = (const char *const *)(uintptr_t)environ,
                      .fds = g->worker_fds,
                      .fd_count = g->worker_fd_count};
    return spawn(&s, ret_pid, reterr);
}

static int fork_worker(const struct generation *g, const struct child *c, pid_t *ret_pid,
                       struct error *reterr)
{
    struct worker_record *w = &g->board.workers[c->index];
    const struct child *server = fork_server(g);
    worker_enter(w, WORKER_STARTING);
    atomic_store(&w->requests, 0);
    atomic_store(&w->started_us, clock_us());
    if (fork_server_ask(server->lifeline_fd, c->index, ret_pid, reterr) != 0) {
        if (reterr->code == ERR_UNAVAILABLE && server->pid > 0)
            (void)kill(server->pid, SIGKILL);
        return -1;
    }
    atomic_store(&w->pid, (int32_t)*ret_pid);
    return 0;
}

static int spawn_executor(struct generation *g, struct child *c, int lifeline, pid_t *ret_pid,
                          struct error *reterr)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) != 0)
        return error_errno(reterr, "generation: pipe2");
    (void)fcntl(output[0], F_SETFL, O_NONBLOCK);
    int32_t class = gang_executor(g->gang, c->index)->class;
    struct executor_launch launch = {.config = g->config,
                                     .socket_fd = gang_listen_fd(g->gang, c->index),
                                     .is_listening = true,
                                     .class = (enum task_class) class,
                                     .limits = g->limits[class],
                                     .lifeline_fd = lifeline,
                                     .memory_fd = gang_memory_fd(g->gang),
                                     .ready_fd = gang_ready_fd(g->gang),
                                     .control_offset = gang_control_offset(g->gang, c->index),
                                     .stderr_fd = output[1]};
    int result = executor_spawn(&launch, ret_pid, reterr);
    (void)close(output[1]);
    if (result != 0) {
        (void)close(output[0]);
        return -1;
    }
    gang_executor_started(g->gang, c->index, *ret_pid);
    c->log = (struct child_log){.fd = output[0]};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, output[0], &event) != 0)
        close_fd(&c->log.fd); /* it can live without being heard */
    return 0;
}

/* The child's end first. Workers have their generation's. */
static int open_lifeline(enum child_kind kind, int ret_ends[2], struct error *reterr)
{
    ret_ends[0] = ret_ends[1] = -1;
    if (kind == CHILD_FORK_SERVER)
        return fork_server_connect(ret_ends, reterr);
    if (kind == CHILD_EXECUTOR && pipe2(ret_ends, O_CLOEXEC) != 0)
        return error_errno(reterr, "generation: pipe2");
    return 0;
}

static int start_process(struct generation *g, struct child *c, int lifeline, pid_t *ret_pid,
                         struct error *reterr)
{
    switch (c->kind) {
    case CHILD_WORKER:
        return fork_worker(g, c, ret_pid, reterr);
    case CHILD_FORK_SERVER:
        return spawn_fork_server(g, lifeline, ret_pid, reterr);
    default:
        return spawn_executor(g, c, lifeline, ret_pid, reterr);
    }
}

static void start_child(struct generation *g, struct child *c)
{
    struct error why = {0};
    int lifeline[2];
    pid_t pid = 0;
    int64_t now_us = clock_us();
    int result = open_lifeline(c->kind, lifeline, &why);
    if (result == 0)
        result = start_process(g, c, lifeline[0], &pid, &why);
    close_fd(&lifeline[0]);
    if (result != 0) {
        close_fd(&lifeline[1]);
        c->restart_us = now_us + DELAY_MAX_MS * 1000;
        log_write(LOG_ERROR, "cannot start a process", LOG_STR("cause", why.cause));
        return;
    }
    c->pid = pid;
    c->lifeline_fd = lifeline[1];
    c->started_us = now_us;
    c->is_announced = false;
    c->retired_us = 0;
}

/* During a reload there are two generations, and a child's descriptors are arranged beside ours. */
static int check_files(const struct generation *g, struct error *reterr)
{
    struct rlimit files;
    rlim_t executors = (rlim_t)gang_executor_count(g->gang);
    rlim_t inherited = (rlim_t)gang_descriptor_count(g->gang);
    rlim_t needed = 2 * (inherited + 3 * executors) + inherited + FILES_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
        return 0;
    return error_set(
        reterr, ERR_INTERNAL,
        "The pool needs %lu file descriptors for its slots and queues, and may have %lu "
        "(RLIMIT_NOFILE, systemd's LimitNOFILE).",
        (unsigned long)needed, (unsigned long)files.rlim_cur);
}

static int count_children(struct generation *g, struct error *reterr)
{
    const struct config *cfg = g->config;
    if (g->kind == POOL_API) {
        g->worker_count = cfg->api_workers + cfg->http_kept_connections;
        g->child_count = g->worker_count + 1;
        return 0;
    }
    struct catalog *catalog;
    if (sandbox_check((enum sandbox_mode)cfg->executor_sandbox, reterr) != 0 ||
        catalog_open(cfg, &catalog, reterr) != 0)
        return -1;
    struct gang_shape shape = {.queue_length = cfg->compute_queue_length,
                               .has_one_run_each = cfg->executor_max_runs == 1};
    slots_plan(cfg, catalog, &g->slots);
    g->worker_count = SPARE_WORKERS + cfg->http_kept_connections;
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        g->limits[class] = catalog_class_limits(catalog, (enum task_class) class);
        shape.slots[class] = g->slots.slots[SLOTS_COMPUTE][class];
        if (shape.slots[class] > 0)
            g->worker_count += shape.slots[class] + shape.queue_length;
    }
    catalog_close(catalog);
    (void)malloc_trim(0);
    slots_log(&g->slots, SLOTS_COMPUTE);
    if (cfg->executor_sandbox == SANDBOX_OFF)
        log_write(LOG_WARNING, "executors are not confined: executor.sandbox is off");
    if (gang_create(&shape, &g->gang, reterr) != 0)
        return -1;
    g->child_count = g->worker_count + gang_executor_count(g->gang) + 1;
    return check_files(g, reterr);
}

/*
 * A worker that is replaced later has to be like its siblings: the file may have been edited by
 * then, for a reload that is still to come, or badly.
 */
static int keep_config(struct generation *g, struct error *reterr)
{
    struct strbuf text = STRBUF_INIT;
    config_print(g->config, &text);
    g->config_fd = memfd_create("gangsaw-config", MFD_CLOEXEC);
    bool is_written =
        g->config_fd >= 0 && write(g->config_fd, text.text, text.size) == (ssize_t)text.size;
    strbuf_release(&text);
    return is_written ? 0 : error_errno(reterr, "generation: memfd");
}

/* What workers inherit from their fork server, whose own end of a line to us is put in when it
 * starts. */
static void list_worker_fds(struct generation *g)
{
    const int first[WORKER_FD_GANG] = {[0] = g->listen_fd,
                                       [1] = -1,
                                       [2] = STDERR_FILENO,
                                       [WORKER_FD_LIFELINE] = g->worker_lifeline[0],
                                       [WORKER_FD_SCOREBOARD] = g->board.fd,
                                       [WORKER_FD_CONFIG] = g->config_fd};
    int count = g->gang ? gang_descriptor_count(g->gang) : 0;
    g->worker_fd_count = WORKER_FD_GANG + count;
    g->worker_fds = arena_alloc(g->arena, (size_t)g->worker_fd_count * sizeof(*g->worker_fds));
    memcpy(g->worker_fds, first, sizeof(first));
    for (int i = 0; i < count; i++)
        g->worker_fds[WORKER_FD_GANG + i] = gang_descriptor(g->gang, i);
}

/* The master hears at once of an executor that has become ready. */
static int watch_gang(const struct generation *g, struct error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = g->gang};
    if (g->gang && epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, gang_ready_fd(g->gang), &event) != 0)
        return error_errno(reterr, "generation: epoll_ctl");
    return 0;
}

static int open_worker_lifeline(struct generation *g, struct error *reterr)
{
    return pipe2(g->worker_lifeline, O_CLOEXEC) == 0 ? 0 : error_errno(reterr, "generation: pipe2");
}

static void list_children(struct generation *g)
{
    g->children = arena_alloc(g->arena, (size_t)g->child_count * sizeof(*g->children));
    for (int i = 0; i < g->child_count; i++) {
        bool is_worker = i < g->worker_count;
        g->children[i] = (struct child){.kind = is_worker ? CHILD_WORKER : CHILD_EXECUTOR,
                                        .index = is_worker ? i : i - g->worker_count,
                                        .lifeline_fd = -1,
                                        .log.fd = -1};
    }
    fork_server(g)->kind = CHILD_FORK_SERVER;
}

static void close_shared(struct generation *g)
{
    gang_close(g->gang);
    scoreboard_close(&g->board);
    close_fd(&g->config_fd);
    close_fd(&g->worker_lifeline[0]);
    close_fd(&g->worker_lifeline[1]);
}

int generation_start(const struct generation *seed, struct generation **ret_generation,
                     struct error *reterr)
{
    struct generation *g = arena_alloc(seed->arena, sizeof(*g));
    *g = *seed;
    g->board.fd = g->config_fd = g->worker_lifeline[0] = g->worker_lifeline[1] = -1;
    if (keep_config(g, reterr) != 0 || count_children(g, reterr) != 0 ||
        scoreboard_create(g->worker_count, g->config->http_kept_connections, &g->board, reterr) !=
            0 ||
        open_worker_lifeline(g, reterr) != 0 || watch_gang(g, reterr) != 0) {
        close_shared(g);
        return -1;
    }
    list_worker_fds(g);
    list_children(g);
    g->deadline_us = clock_us() + (int64_t)(g->config->executor_start_seconds * 1e6);
    g->state = GENERATION_STARTING;
    for (int i = g->child_count - 1; i >= g->worker_count; i--)
        start_child(g, &g->children[i]);
    *ret_generation = g;
    return 0;
}

bool generation_is_ready(const struct generation *g)
{
    for (int i = 0; i < g->worker_count; i++) {
        if (atomic_load(&g->board.workers[i].state) < WORKER_IDLE)
            return false;
    }
    for (int i = 0; g->gang && i < gang_executor_count(g->gang); i++) {
        if (atomic_load(&gang_executor(g->gang, i)->taking) == 0)
            return false;
    }
    return true;
}

static void end_children(struct generation *g, enum child_kind kind, int signal_number)
{
    for (int i = 0; i < g->child_count; i++) {
        struct child *c = &g->children[i];
        if (c->kind != kind)
            continue;
        close_fd(&c->lifeline_fd);
        if (c->pid > 0 && signal_number != 0)
            (void)kill(c->pid, signal_number);
    }
}

void generation_drain(struct generation *g)
{
    if (g->state == GENERATION_DRAINING)
        return;
    g->state = GENERATION_DRAINING;
    g->deadline_us = clock_us() + (int64_t)(g->config->compute_drain_seconds * 1e6);
    close_fd(&g->worker_lifeline[1]);
    end_children(g, CHILD_FORK_SERVER, 0);
}

void generation_kill(struct generation *g)
{
    g->state = GENERATION_DRAINING;
    g->deadline_us = clock_us();
}

static bool has_children(const struct generation *g, enum child_kind kind)
{
    for (int i = 0; i < g->child_count; i++) {
        if (g->children[i].kind == kind && g->children[i].pid > 0)
            return true;
    }
    return false;
}

static void count_exit(struct exit_counts *counts, int status)
{
    if (WIFSIGNALED(status))
        counts->signals[WTERMSIG(status)]++;
    else if (WEXITSTATUS(status) == 0)
        counts->finished++;
    else
        counts->failed++;
}

static void log_exit(const struct generation *g, const struct child *c, int status)
{
    static const char *const ended[] = {[CHILD_WORKER] = "worker ended",
                                        [CHILD_EXECUTOR] = "executor ended",
                                        [CHILD_FORK_SERVER] = "fork server ended"};
    bool is_plain = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const char *signal_name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    bool is_expected = is_plain || g->state == GENERATION_DRAINING ||
                       (c->kind == CHILD_EXECUTOR && WIFSIGNALED(status) &&
                        WTERMSIG(status) == SIGKILL); /* the request's own line says why */
    log_write(is_expected ? LOG_DEBUG : LOG_WARNING, ended[c->kind], LOG_INT("child", c->pid),
              LOG_INT("generation", g->number), LOG_STR("signal", signal_name),
              LOG_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
}

/* At once, unless it keeps dying before it does any work. */
static void plan_restart(const struct generation *g, struct child *c, int status)
{
    int64_t now_us = clock_us();
    bool did_work = now_us - c->started_us >= YOUNG_US;
    if (c->kind == CHILD_EXECUTOR) {
        /* A run that it died of counts: an input that crashes must not slow everybody else down. */
        const struct control *control = gang_control(g->gang, c->index);
        did_work = did_work || atomic_load(&control->runs) > 0 || atomic_load(&control->run) != 0 ||
                   (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else if (c->kind == CHILD_WORKER) {
        did_work = did_work || atomic_load(&g->board.workers[c->index].requests) > 0;
    }
    if (did_work)
        c->delay_ms = 0;
    else
        c->delay_ms = c->delay_ms == 0 ? DELAY_FIRST_MS : 2 * c->delay_ms;
    if (c->delay_ms > DELAY_MAX_MS)
        c->delay_ms = DELAY_MAX_MS;
    c->restart_us = now_us + (int64_t)c->delay_ms * 1000;
}

bool generation_reap(struct generation *g, pid_t pid, int status)
{
    struct child *c = NULL;
    for (int i = 0; i < g->child_count && !c; i++) {
        if (g->children[i].pid == pid)
            c = &g->children[i];
    }
    if (!c)
        return false;
    plan_restart(g, c, status);
    if (c->kind == CHILD_EXECUTOR) /* at once: its pid may be another's soon */
        gang_executor_ended(g->gang, c->index, status);
    count_exit(&g->exits[c->kind], status);
    if (c->kind == CHILD_EXECUTOR)
        executor_count_exit(status, g->state == GENERATION_DRAINING);
    log_exit(g, c, status);
    close_fd(&c->lifeline_fd);
    if (c->kind == CHILD_EXECUTOR) {
        child_log_close(&c->log, pid);
    } else if (c->kind == CHILD_WORKER) {
        struct worker_record *w = &g->board.workers[c->index];
        atomic_store(&w->pid, 0);
        worker_enter(w, WORKER_NONE);
        if (g->gang)
            turn_worker_ended(g->gang, pid);
    }
    c->pid = 0;
    return true;
}

/* A worker that stands still, with an executor that does not compute for it, keeps that from ever
 * being idle. */
static void audit_turn(const struct generation *g, struct child *c, int64_t now_us)
{
    pid_t owner;
    bool is_computed;
    uint64_t turn = turn_of(g->gang, c->index, &owner, &is_computed);
    if (turn == 0 || turn != c->turn || is_computed) {
        c->turn = turn;
        c->turn_us = now_us;
    } else if (now_us >= c->turn_us + STILL_US && owner > 0) {
        log_write(LOG_WARNING, "worker stands still, killed", LOG_INT("worker", owner));
        (void)kill(owner, SIGKILL);
    }
}

/* Note when it is ready. Once retired it has to go, and whoever does not is killed. */
static int64_t audit_executor(struct generation *g, struct child *c, int64_t now_us)
{
    const struct gang_executor *e = gang_executor(g->gang, c->index);
    if (!c->is_announced) {
        if (atomic_load(&gang_control(g->gang, c->index)->ready) == 0)
            return now_us + AUDIT_US;
        c->is_announced = true;
        turn_executor_ready(g->gang, c->index);
    }
    audit_turn(g, c, now_us);
    if (atomic_load(&e->taking) != 0)
        return now_us + AUDIT_US;
    if (c->retired_us == 0)
        c->retired_us = now_us;
    if (now_us >= c->retired_us + AUDIT_US) {
        log_write(LOG_WARNING, "retired executor killed", LOG_INT("executor", c->pid));
        (void)kill(c->pid, SIGKILL);
    }
    return now_us + AUDIT_US;
}

static int64_t audit_fork_server(struct child *c, int64_t now_us)
{
    c->is_announced = c->is_announced || fork_server_is_ready(c->lifeline_fd);
    return now_us + (c->is_announced ? AUDIT_US : START_US);
}

static int64_t start_if_due(struct generation *g, struct child *c, int64_t now_us)
{
    const struct child *server = fork_server(g);
    bool is_wanted = g->state != GENERATION_DRAINING ||
                     (c->kind == CHILD_EXECUTOR && has_children(g, CHILD_WORKER));
    bool can_start = c->kind != CHILD_WORKER || (server->pid > 0 && server->is_announced);
    if (!is_wanted || !can_start)
        return now_us + AUDIT_US;
    if (now_us >= c->restart_us)
        start_child(g, c);
    return c->pid == 0 ? c->restart_us
                       : now_us + (c->kind == CHILD_FORK_SERVER ? START_US : AUDIT_US);
}

static int64_t tick_child(struct generation *g, struct child *c, int64_t now_us)
{
    if (c->pid == 0)
        return start_if_due(g, c, now_us);
    switch (c->kind) {
    case CHILD_EXECUTOR:
        return audit_executor(g, c, now_us);
    case CHILD_FORK_SERVER:
        return audit_fork_server(c, now_us);
    default:
        return now_us + AUDIT_US;
    }
}

int64_t generation_tick(struct generation *g)
{
    int64_t now_us = clock_us();
    int64_t next_us = now_us + AUDIT_US;
    for (int i = g->child_count - 1; i >= 0; i--) { /* the workers' fork server comes before them */
        int64_t wanted_us = tick_child(g, &g->children[i], now_us);
        if (wanted_us < next_us)
            next_us = wanted_us;
    }
    if (g->state == GENERATION_STARTING)
        return now_us + START_US < next_us ? now_us + START_US : next_us;
    if (g->state != GENERATION_DRAINING)
        return next_us;
    if (now_us >= g->deadline_us) {
        end_children(g, CHILD_WORKER, SIGKILL);
        end_children(g, CHILD_EXECUTOR, SIGKILL);
        end_children(g, CHILD_FORK_SERVER, SIGKILL);
        g->deadline_us = now_us + AUDIT_US;
    } else if (!has_children(g, CHILD_WORKER)) {
        end_children(g, CHILD_EXECUTOR, SIGKILL);
    }
    return g->deadline_us < next_us ? g->deadline_us : next_us;
}

bool generation_is_gone(const struct generation *g)
{
    return g->state == GENERATION_DRAINING && !has_children(g, CHILD_WORKER) &&
           !has_children(g, CHILD_EXECUTOR) && !has_children(g, CHILD_FORK_SERVER);
}

void generation_free(struct generation *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->child_count; i++) {
        close_fd(&g->children[i].lifeline_fd);
        close_fd(&g->children[i].log.fd);
    }
    close_shared(g);
    arena_free(g->arena); /* with g itself */
}
