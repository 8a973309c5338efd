/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hub.c - the main loop: sockets, signals, log; see hub.h
 *
 * Everything is ready before it is touched: clients by epoll, the database's connection beside
 * it, since libpq changes its socket and what it waits for as it likes.
 */
#include "hub/hub.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/run_socket.h"
#include "base/signals.h"
#include "base/user.h"
#include "hub/client.h"
#include "hub/keys.h"
#include "hub/status.h"

#define BACKLOG 4096
#define EVENTS_AT_ONCE 512
#define ACCEPTS_AT_ONCE 512
#define FILES_SPARE 64          /* besides clients: sockets, log, what libraries open */
#define FINISH_US 1000000       /* after TERM: for those whose request or answer is under way */
#define FINISH_TURNS_US 5000000 /* and so much longer for turns: see client.h */
#define PAUSE_US 100000         /* no descriptor or memory for another client */
#define LOG_EVERY_US 60000000   /* the same complaint again */

struct hub {
    struct run_socket listening, status;
    int epoll_fd, signal_fd;
    int64_t started_us;
    struct watch *watch;
    struct keys *keys;
    struct clients clients;
    bool is_listening; /* epoll tells of new clients */
    int64_t pause_us;  /* no new ones until then; 0: none */
    int64_t finish_us; /* TERM came: over by then. 0: it did not */
    /* When they were last logged. */
    int64_t refused_log_us, limit_log_us, pause_log_us, unwritten_log_us;
    uint64_t limit_logged; /* clients over the limit that are logged */
};

/* ---- the log */

static bool is_log_due(int64_t *last_us)
{
    int64_t now_us = clock_us();
    if (*last_us != 0 && now_us - *last_us < LOG_EVERY_US)
        return false;
    *last_us = now_us;
    return true;
}

static void log_limit(struct hub *h)
{
    uint64_t refused = h->clients.counts.refused;
    if (refused == h->limit_logged || !is_log_due(&h->limit_log_us))
        return;
    log_write(LOG_WARNING, "clients were refused, hub.max_clients wait already",
              LOG_INT("refused", (int64_t)(refused - h->limit_logged)),
              LOG_INT("limit", h->clients.limit));
    h->limit_logged = refused;
}

/* ---- what the watch tells */

static void on_ended(void *context, struct watched *job)
{
    struct hub *h = context;
    clients_ended(&h->clients, job);
}

static void on_found(void *context, struct watched *job, const struct job_row *row,
                     struct arena *scratch)
{
    struct hub *h = context;
    clients_found(&h->clients, job, row, scratch);
}

static void on_secret_known(void *context)
{
    struct hub *h = context;
    clients_secret_known(&h->clients);
}

static void on_connected(void *context)
{
    struct hub *h = context;
    keys_connected(h->keys);
    log_write(LOG_INFO, "connected to the database");
}

static void on_lost(void *context, const struct error *error)
{
    (void)context;
    log_write(LOG_WARNING, "the database is away; clients wait on", LOG_ERR(*error));
}

static void on_refused(void *context, const struct error *error)
{
    struct hub *h = context;
    if (is_log_due(&h->refused_log_us))
        log_write(LOG_ERROR, "the database refused a statement", LOG_ERR(*error));
}

/* ---- keys */

static void on_keys_changed(void *context)
{
    struct hub *h = context;
    keys_notified(h->keys);
}

static void on_unwritten(void *context, const struct error *error)
{
    struct hub *h = context;
    if (is_log_due(&h->unwritten_log_us))
        log_write(LOG_ERROR, "the keys cannot be written; workers go on with those they have",
                  LOG_ERR(*error));
}

static int open_keys(struct hub *h, const struct config *cfg, struct error *reterr)
{
    const struct keys_events events = {
        .refused = on_refused, .unwritten = on_unwritten, .context = h};
    return keys_open(cfg, watch_db(h->watch), &events, &h->keys, reterr);
}

/* ---- start */

static int add_source(const struct hub *h, int fd, const void *data, struct error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)(uintptr_t)data};
    if (epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return error_errno(reterr, "hub: epoll_ctl");
    return 0;
}

/* How many clients the limit of open files leaves room for, at most `wanted`. */
static int raise_files(int wanted)
{
    struct rlimit files;
    rlim_t all = (rlim_t)wanted + CLIENT_READERS_MAX + FILES_SPARE;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return wanted;
    struct rlimit raised = {all > files.rlim_cur ? all : files.rlim_cur,
                            all > files.rlim_max ? all : files.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) /* beyond the hard limit: root may */
        return wanted;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur >= all)
        return wanted;
    rlim_t spare = CLIENT_READERS_MAX + FILES_SPARE;
    int limit = files.rlim_cur > spare ? (int)(files.rlim_cur - spare) : 1;
    log_write(LOG_WARNING, "the limit of open files leaves less than hub.max_clients",
              LOG_INT("limit", limit), LOG_INT("wanted", wanted));
    return limit;
}

static int open_signals(struct hub *h, struct error *reterr)
{
    static const int handled[] = {SIGTERM, SIGINT, 0};
    (void)signal(SIGHUP, SIG_IGN); /* there is nothing to read anew; clients are to stay */
    return signals_open(handled, &h->signal_fd, reterr);
}

static int open_sockets(struct hub *h, const struct config *cfg, struct error *reterr)
{
    /* hub.status first: who finds it taken has not touched the other. */
    if (run_socket_open(cfg, HUB_STATUS_SOCKET, SOCK_STREAM, 16, false, &h->status, reterr) != 0)
        return -1;
    return run_socket_open(cfg, "hub.sock", SOCK_STREAM, BACKLOG, false, &h->listening, reterr);
}

static int open_hub(struct hub *h, const struct config *cfg, struct error *reterr)
{
    const struct watch_events events = {.found = on_found,
                                        .ended = on_ended,
                                        .secret_known = on_secret_known,
                                        .connected = on_connected,
                                        .keys_changed = on_keys_changed,
                                        .lost = on_lost,
                                        .refused = on_refused,
                                        .context = h};
    if (cfg->database_url[0] == '\0')
        return error_set(reterr, ERR_INTERNAL,
                         "There are no jobs to wait for: database.url is not set.");
    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll_fd < 0)
        return error_errno(reterr, "hub: epoll_create1");
    int limit = raise_files(cfg->hub_max_clients);
    struct error ignored;
    if (metrics_open(cfg, &ignored) != 0)
        log_write(LOG_WARNING, "nothing is counted for /metrics", LOG_ERR(ignored));
    /* The sockets while we may still write the directory; everything else without root. */
    if (open_sockets(h, cfg, reterr) != 0 || user_drop_root(cfg->server_user, reterr) != 0 ||
        open_signals(h, reterr) != 0 || add_source(h, h->signal_fd, &h->signal_fd, reterr) != 0 ||
        add_source(h, h->status.fd, &h->status, reterr) != 0 ||
        add_source(h, h->listening.fd, &h->listening, reterr) != 0 ||
        clients_open(&h->clients, h->epoll_fd, limit, cfg->cores, reterr) != 0 ||
        watch_open(cfg, &events, &h->watch, reterr) != 0 || open_keys(h, cfg, reterr) != 0)
        return -1;
    h->clients.watch = h->watch;
    h->clients.keys = h->keys;
    h->is_listening = true;
    return 0;
}

static void close_hub(struct hub *h)
{
    run_socket_close(&h->listening);
    run_socket_close(&h->status);
    clients_close(&h->clients);
    watch_close(h->watch);
    keys_close(h->keys);
    if (h->signal_fd >= 0)
        (void)close(h->signal_fd);
    if (h->epoll_fd >= 0)
        (void)close(h->epoll_fd);
}

/* ---- the loop */

static int64_t earliest(int64_t a_us, int64_t b_us)
{
    return a_us < b_us ? a_us : b_us;
}

/* True while there may be more. */
static bool accept_one(struct hub *h)
{
    int fd = accept4(h->listening.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        client_accept(&h->clients, fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        h->pause_us = clock_us() + PAUSE_US;
        if (is_log_due(&h->pause_log_us))
            log_write(LOG_ERROR, "no more clients can be accepted for the moment",
                      LOG_STR("cause", strerror(errno)));
        return false;
    }
    return errno == ECONNABORTED || errno == EINTR;
}

static void accept_clients(struct hub *h)
{
    for (int i = 0; i < ACCEPTS_AT_ONCE && clients_have_room(&h->clients); i++) {
        if (!accept_one(h))
            return;
    }
}

/* What cannot be accepted now is not listened for: it would wake us without end. */
static void set_listening(struct hub *h)
{
    if (h->pause_us != 0 && clock_us() >= h->pause_us)
        h->pause_us = 0;
    bool is_wanted = h->pause_us == 0 && clients_have_room(&h->clients);
    if (h->listening.fd < 0 || is_wanted == h->is_listening)
        return;
    struct epoll_event event = {.events = is_wanted ? EPOLLIN : 0, .data.ptr = &h->listening};
    if (epoll_ctl(h->epoll_fd, EPOLL_CTL_MOD, h->listening.fd, &event) == 0)
        h->is_listening = is_wanted;
}

/* In one go, without waiting: it fits in a new socket's buffer. */
static void answer_status(const struct hub *h)
{
    int fd = accept4(h->status.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    const struct hub_status status = {
        .started_us = h->started_us, .clients = &h->clients, .keys = keys_status(h->keys)};
    struct strbuf out = STRBUF_INIT;
    hub_status_print(&status, &out);
    (void)send(fd, out.text, out.size, MSG_NOSIGNAL);
    strbuf_release(&out);
    (void)close(fd);
}

/* TERM: whoever waits goes on to the job as it is now, whoever follows events comes back. */
static void finish(struct hub *h)
{
    struct signalfd_siginfo info;
    while (read(h->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
    if (h->finish_us != 0)
        return;
    log_write(LOG_INFO, "stopping", LOG_INT("clients", h->clients.total));
    h->finish_us = clock_us() + FINISH_US;
    clients_finish(&h->clients);
    if (h->finish_us < h->clients.turn_us) /* until the last turn, within reason */
        h->finish_us = earliest(h->clients.turn_us, h->finish_us + FINISH_TURNS_US);
    (void)unlink(h->listening.address.sun_path);
    while (h->listening.fd >= 0 && clients_have_room(&h->clients) && accept_one(h))
        ; /* those in the backlog are answered at once */
    (void)close(h->listening.fd);
    h->listening.fd = -1;
}

static void take_events(struct hub *h)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    bool is_finish = false;
    int count = epoll_wait(h->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        void *source = events[i].data.ptr;
        if (source == &h->signal_fd)
            is_finish = true; /* behind the clients of these events: it frees others */
        else if (source == &h->status)
            answer_status(h);
        else if (source == &h->listening)
            accept_clients(h);
        else
            client_ready(&h->clients, source, events[i].events);
    }
    if (is_finish)
        finish(h);
}

static void run(struct hub *h)
{
    while (h->finish_us == 0 || (h->clients.total > 0 && clock_us() < h->finish_us)) {
        struct pollfd polls[2];
        set_listening(h);
        int64_t due_us = earliest(watch_poll(h->watch, &polls[1]), clients_due(&h->clients));
        due_us = earliest(due_us, keys_due(h->keys));
        if (h->finish_us != 0)
            due_us = earliest(due_us, h->finish_us);
        if (h->pause_us != 0)
            due_us = earliest(due_us, h->pause_us);
        polls[0] = (struct pollfd){.fd = h->epoll_fd, .events = POLLIN};
        (void)poll(polls, 2, due_us == INT64_MAX ? -1 : clock_poll_ms(due_us));
        take_events(h);
        watch_step(h->watch);
        keys_step(h->keys);
        clients_tick(&h->clients);
        log_limit(h);
    }
}

int hub_main(const struct config *cfg)
{
    static struct hub h;
    struct error error;
    h.epoll_fd = h.listening.fd = h.status.fd = h.signal_fd = -1;
    h.started_us = clock_us();
    if (open_hub(&h, cfg, &error) != 0) {
        log_write(LOG_ERROR, "hub cannot start", LOG_ERR(error));
        close_hub(&h);
        return 1;
    }
    log_write(LOG_INFO, "ready", LOG_INT("limit", h.clients.limit));
    run(&h);
    close_hub(&h);
    log_write(LOG_INFO, "ended");
    return 0;
}
