/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * master.c - supervise: start, replace, reload, drain; never touch a request
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/run_socket.h"
#include "base/signals.h"
#include "base/user.h"
#include "pool/generation.h"
#include "pool/pool.h"
#include "pool/status.h"

#define LISTEN_FD 0
#define FILES_WANTED 65536
#define EVENTS_AT_ONCE 32
#define STATUS_SIZE_MAX (4 * 1024 * 1024)

struct master {
    enum pool_kind kind;
    const char *config_path;
    char program[PATH_MAX]; /* ours, by its path: after an upgrade that is the new one */
    struct run_socket status;
    int epoll_fd, signal_fd;
    int64_t started_us;
    int generation_number;
    struct generation *generations; /* newest first */
    struct exit_counts exits[CHILD_KIND_COUNT];
    bool is_stopping, wants_reload;
};

const char *pool_name(enum pool_kind kind)
{
    static const char *const names[] = {"api", "compute"};
    return (unsigned)kind < POOL_KIND_COUNT ? names[kind] : NULL;
}

int pool_kind_parse(const char *name)
{
    for (int kind = 0; kind < POOL_KIND_COUNT; kind++) {
        if (strcmp(name, pool_name((enum pool_kind)kind)) == 0)
            return kind;
    }
    return -1;
}

static int watch(const struct master *m, int fd, const void *data, struct error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)(uintptr_t)data};
    if (epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return error_errno(reterr, "master: epoll_ctl");
    return 0;
}

static int open_status_socket(struct master *m, const struct config *cfg, struct error *reterr)
{
    char name[STATUS_NAME_SIZE];
    status_socket_name(m->kind, name);
    return run_socket_open(cfg, name, SOCK_STREAM, 16, true, &m->status, reterr);
}

static int open_signals(struct master *m, struct error *reterr)
{
    static const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, 0};
    return signals_open(handled, &m->signal_fd, reterr);
}

static int check_listening(struct error *reterr)
{
    int value = 0;
    socklen_t size = sizeof(value);
    if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) != 0 || value == 0)
        return error_set(reterr, ERR_INTERNAL,
                         "Descriptor 0 is not a listening socket: start a pool with "
                         "spawn-fcgi -n -s SOCKET -- gangsaw pool NAME.");
    return 0;
}

static int start_generation(struct master *m, struct arena *a, const struct config *cfg,
                            struct error *reterr)
{
    struct generation seed = {.number = m->generation_number + 1,
                              .kind = m->kind,
                              .arena = a,
                              .config = cfg,
                              .program = m->program,
                              .listen_fd = LISTEN_FD,
                              .epoll_fd = m->epoll_fd,
                              .exits = m->exits};
    struct generation *g;
    if (generation_start(&seed, &g, reterr) != 0)
        return -1;
    m->generation_number++;
    g->next = m->generations;
    m->generations = g;
    return 0;
}

static int open_master(struct master *m, struct arena *a, const struct config *cfg,
                       struct error *reterr)
{
    struct rlimit files;
    if (check_listening(reterr) != 0)
        return -1;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (readlink("/proc/self/exe", m->program, sizeof(m->program) - 1) < 0)
        return error_errno(reterr, "master: readlink");
    m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (m->epoll_fd < 0)
        return error_errno(reterr, "master: epoll_create1");
    struct error ignored;
    /* Files and the socket while we may still write the directory; everything else without root. */
    if (metrics_open(cfg, &ignored) != 0)
        log_write(LOG_WARNING, "nothing is counted for /metrics", LOG_ERR(ignored));
    if (open_status_socket(m, cfg, reterr) != 0 || user_drop_root(cfg->server_user, reterr) != 0 ||
        open_signals(m, reterr) != 0 || watch(m, m->signal_fd, &m->signal_fd, reterr) != 0 ||
        watch(m, m->status.fd, &m->status, reterr) != 0)
        return -1;
    return start_generation(m, a, cfg, reterr);
}

/* The new generation comes up beside the old one, or not at all. */
static void reload(struct master *m)
{
    if (m->is_stopping)
        return;
    const struct generation *newest = m->generations;
    if (newest && newest->state == GENERATION_STARTING && clock_us() < newest->deadline_us) {
        m->wants_reload = true; /* when this one is there, or late */
        return;
    }
    m->wants_reload = false;
    struct error why;
    struct arena *a = arena_new();
    struct config *cfg;
    if (config_load(a, m->config_path, &cfg, &why) != 0 || start_generation(m, a, cfg, &why) != 0) {
        log_write(LOG_ERROR, "reload failed, the pool runs on as it was", LOG_ERR(why));
        arena_free(a);
        return;
    }
    log_write(LOG_INFO, "reloading", LOG_INT("generation", m->generation_number));
}

static void stop(struct master *m)
{
    for (struct generation *g = m->generations; g; g = g->next) {
        if (m->is_stopping)
            generation_kill(g);
        else
            generation_drain(g);
    }
    if (m->is_stopping)
        return;
    m->is_stopping = true;
    log_write(LOG_INFO, "draining");
    (void)close(LISTEN_FD);
    (void)open("/dev/null", O_RDWR); /* becomes 0 */
}

static void reap(struct master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct generation *g = m->generations; g && !generation_reap(g, pid, status);)
            g = g->next;
    }
}

static void take_signals(struct master *m)
{
    struct signalfd_siginfo info;
    while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(m);
        else if (info.ssi_signo == SIGHUP)
            reload(m);
        else
            stop(m);
    }
}

/* In one go, without waiting: who does not take it has to ask again. */
static void answer_status(const struct master *m)
{
    int fd = accept4(m->status.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int size = STATUS_SIZE_MAX;
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    struct pool_status status = {.kind = m->kind,
                                 .started_us = m->started_us,
                                 .is_draining = m->is_stopping,
                                 .listen_fd = m->is_stopping ? -1 : LISTEN_FD,
                                 .generations = m->generations,
                                 .exits = m->exits};
    struct strbuf out = STRBUF_INIT;
    status_print(&status, &out);
    (void)send(fd, out.text, out.size, MSG_NOSIGNAL);
    strbuf_release(&out);
    (void)close(fd);
}

/* An executor printed something: log it with the request that it computes. */
static void read_output(const struct master *m, struct child *c)
{
    const char *request_id = NULL;
    for (const struct generation *g = m->generations; g; g = g->next) {
        if (c < g->children || c >= g->children + g->child_count)
            continue;
        for (int i = 0; i < gang_place_count(g->gang); i++) {
            const struct gang_place *p = gang_place(g->gang, i);
            if (atomic_load(&p->owner) != 0 && atomic_load(&p->executor) == c->index)
                request_id = p->request_id;
        }
    }
    child_log_read(&c->log, c->pid, request_id);
}

/* The newest generation has come up, or has not in time; old ones go. */
static void settle(struct master *m)
{
    struct generation *newest = m->generations;
    if (newest && newest->state == GENERATION_STARTING && !m->is_stopping) {
        bool is_late = clock_us() >= newest->deadline_us;
        if (generation_is_ready(newest)) {
            newest->state = GENERATION_SERVING;
            log_write(LOG_INFO, "ready", LOG_INT("generation", newest->number));
            for (struct generation *g = newest->next; g; g = g->next)
                generation_drain(g);
        } else if (is_late && newest->next && newest->next->state == GENERATION_SERVING) {
            log_write(LOG_ERROR, "the new processes did not get ready; the pool runs on as it was");
            generation_kill(newest);
        } else if (is_late) {
            log_write(LOG_ERROR, "the processes do not get ready; trying on");
            if (m->wants_reload)
                reload(m);
            newest->deadline_us = clock_us() + 10000000;
        }
    }
    if (m->wants_reload && m->generations->state == GENERATION_SERVING)
        reload(m);
    for (struct generation **at = &m->generations; *at;) {
        struct generation *g = *at;
        if (generation_is_gone(g)) {
            *at = g->next;
            generation_free(g);
        } else {
            at = &g->next;
        }
    }
}

/* Executors have become ready: the tick notes which. */
static bool take_ready(const struct master *m, const void *source)
{
    uint64_t count;
    for (const struct generation *g = m->generations; g; g = g->next) {
        if (source == g->gang)
            return read(gang_ready_fd(g->gang), &count, sizeof(count)) > 0;
    }
    return false;
}

/* True when children may have changed. */
static bool handle(struct master *m, void *source)
{
    if (source == &m->signal_fd) {
        take_signals(m);
        return true;
    }
    if (take_ready(m, source))
        return true;
    if (source == &m->status)
        answer_status(m);
    else
        read_output(m, source);
    return false;
}

static void run(struct master *m)
{
    int64_t next_us = 0;
    while (m->generations) {
        struct epoll_event events[EVENTS_AT_ONCE];
        int count = epoll_wait(m->epoll_fd, events, EVENTS_AT_ONCE, clock_poll_ms(next_us));
        bool is_due = clock_us() >= next_us;
        for (int i = 0; i < count; i++)
            is_due = handle(m, events[i].data.ptr) || is_due;
        if (!is_due) /* an executor that prints without end keeps us from nothing */
            continue;
        settle(m);
        next_us = clock_us() + 1000000;
        for (struct generation *g = m->generations; g; g = g->next) {
            int64_t wanted_us = generation_tick(g);
            next_us = wanted_us < next_us ? wanted_us : next_us;
        }
    }
}

int master_main(enum pool_kind kind, struct arena *a, struct config *cfg)
{
    static struct master m;
    struct error error = {0};
    m.kind = kind;
    m.config_path = cfg->path[0] ? strdup(cfg->path) : NULL;
    m.started_us = clock_us();
    m.status.fd = -1;
    if (open_master(&m, a, cfg, &error) != 0) {
        log_write(LOG_ERROR, "pool cannot start", LOG_STR("pool", pool_name(kind)), LOG_ERR(error));
        run_socket_close(&m.status);
        return 1;
    }
    run(&m);
    run_socket_close(&m.status);
    log_write(LOG_INFO, "ended");
    return 0;
}
