/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.c - the main loop: start, wait, step, drain
 */
#include "jobs/runner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "base/user.h"
#include "jobs/priority.h"

#define EXIT_CONFIG 78
#define FILES_WANTED 65536
#define GIVE_UP_US 10000000 /* for the last reports, once nothing computes any more */
#define LOOP_US 1000000     /* the longest wait */

double runner_jitter(struct runner *r)
{
    r->random ^= r->random << 13; /* xorshift64 */
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return (double)(r->random >> 11) / (double)(1ULL << 52) - 1;
}

bool runner_is_confirmed(const struct runner *r, int64_t now_us)
{
    return r->id > 0 &&
           now_us - r->keeper.confirmed_us < (int64_t)(r->config->jobs_lease_seconds * 1e6);
}

bool runner_is_refusal(const struct db *db, const struct error *error)
{
    return error->code != ERR_UNAVAILABLE || db_is_connected(db);
}

/* ---- start */

static int open_signals(struct runner *r, struct error *reterr)
{
    static const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, 0};
    return signals_open(handled, &r->signal_fd, reterr);
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* ---- connections */

static void on_queue_connected(void *context)
{
    struct runner *r = context;
    r->is_queue_connected = true;
    r->wants_recovery = true; /* the answer to a claim may have been lost with the old one */
    r->recovery_us = 0;
    r->mark = MARK_UNKNOWN; /* the statement may have been lost too */
    r->mark_us = 0;
    claim_restart(r);
}

static void on_queue_lost(void *context, const struct error *error)
{
    struct runner *r = context;
    (void)error; /* the keeper's connection tells */
    r->is_queue_connected = false;
}

static void open_connections(struct runner *r)
{
    static const char *const no_channels[] = {NULL};
    struct db_settings settings = {
        .url = r->config->database_url,
        .application = "gangsaw runner",
        .options = DB_QUEUE_OPTIONS,
        .budget_ms = (int)(r->config->jobs_lease_seconds * 1000), /* then it is of no use */
    };
    struct db_events queue = {.connected = on_queue_connected, .lost = on_queue_lost, .context = r};
    struct db_events keeper = keeper_events(r), none = {0};
    r->queue = db_open(&settings);
    r->keeper_db = db_open(&settings);
    r->blobs = db_open(&settings);
    db_keep(r->queue, &queue, no_channels);
    db_keep(r->keeper_db, &keeper, keeper_channels);
    db_keep(r->blobs, &none, no_channels);
}

static int open_runner(struct runner *r, struct error *reterr)
{
    struct error ignored;
    r->signal_fd = r->crews_fd = r->wake.fd = r->status.fd = -1;
    r->scratch = arena_new();
    r->started_us = clock_us();
    if (gethostname(r->host, sizeof(r->host) - 1) != 0)
        (void)snprintf(r->host, sizeof(r->host), "unknown");
    if (getrandom(&r->random, sizeof(r->random), 0) != (ssize_t)sizeof(r->random) || !r->random)
        r->random = (uint64_t)r->started_us | 1;
    raise_limits();
    if (metrics_open(r->config, &ignored) != 0)
        log_write(LOG_WARNING, "nothing is counted for /metrics", LOG_ERR(ignored));
    r->autogroup = priority_yield(); /* before root is given up: then nothing refuses it */
    if (status_open(r, reterr) != 0 ||
        run_socket_open(r->config, "runner.wake", SOCK_DGRAM, 0, true, &r->wake, reterr) != 0 ||
        user_drop_root(r->config->server_user, reterr) != 0 || open_signals(r, reterr) != 0 ||
        generations_open(r, r->config, reterr) != 0)
        return -1;
    open_connections(r);
    return 0;
}

static void close_runner(struct runner *r)
{
    generations_close_crews(r);
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++) {
        while (r->places[place].first)
            attempt_free(r->places[place].first);
    }
    db_close(r->queue);
    db_close(r->keeper_db);
    db_close(r->blobs);
    while (r->spare_count > 0)
        arena_free(r->spare[--r->spare_count]);
    run_socket_close(&r->wake);
    run_socket_close(&r->status);
    if (r->signal_fd >= 0)
        (void)close(r->signal_fd);
    generations_close(r);
    arena_free(r->scratch);
}

/* ---- drain */

static void drain(struct runner *r)
{
    int64_t now_us = clock_us();
    if (r->is_draining) { /* asked twice: at once */
        r->drain_deadline_us = now_us;
        return;
    }
    log_write(LOG_INFO, "draining", LOG_INT("jobs", attempts_count(r)));
    r->is_draining = true;
    r->drain_deadline_us = now_us + (int64_t)(r->config->jobs_drain_seconds * 1e6);
    r->give_up_us = INT64_MAX;
    if (r->id > 0 && r->keeper.is_connected)
        runner_mark_send(r->keeper_db, r->id, false, true, NULL, NULL);
    attempts_return(r);
    attempts_stop(r, false);
}

static void on_left(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    (void)rows;
    (void)error; /* the row expires by itself */
    r->is_done = true;
}

static void leave(struct runner *r)
{
    r->is_leaving = true;
    if (r->id > 0 && r->is_queue_connected)
        runner_leave_send(r->queue, r->id, on_left, r);
    else
        r->is_done = true;
}

/* Stop what runs when its time is over, and end when everything was reported, or cannot be. */
static void drain_step(struct runner *r, int64_t now_us)
{
    if (now_us >= r->drain_deadline_us && !r->is_stopped) {
        r->is_stopped = true;
        attempts_stop(r, true);
    }
    if (r->places[AT_CREW].count == 0 && r->give_up_us == INT64_MAX) {
        bool may_save = r->is_queue_connected && now_us < r->drain_deadline_us;
        r->give_up_us = (may_save ? r->drain_deadline_us : now_us) + GIVE_UP_US;
    }
    if (!r->is_leaving && !claim_is_under_way(r) && attempts_count(r) == 0)
        leave(r);
    if (now_us >= r->give_up_us && !r->is_done) {
        log_write(LOG_WARNING,
                  "ending with jobs that could not be given back: their lease runs out",
                  LOG_INT("jobs", attempts_count(r)));
        r->is_done = true;
    }
}

static int64_t drain_next_us(const struct runner *r)
{
    int64_t next_us = r->give_up_us;
    if (!r->is_stopped && r->drain_deadline_us < next_us)
        next_us = r->drain_deadline_us;
    return next_us;
}

/* ---- the loop */

/* One statement at a time on the queue connection, the kinds in turn: each takes what has gathered
 * while the others were under way. */
static void queue_step(struct runner *r, int64_t now_us)
{
    static bool (*const kinds[])(struct runner *, int64_t) = {
        claim_recover_send, report_send, claim_send, report_progress_send, claim_unmark_send};
    const int count = (int)(sizeof(kinds) / sizeof(kinds[0]));
    if (!r->is_queue_connected || r->is_leaving || db_pending(r->queue) > 0 ||
        !runner_is_confirmed(r, now_us))
        return;
    for (int i = 0; i < count; i++) {
        int kind = (r->next_kind + i) % count;
        if (kinds[kind](r, now_us)) {
            r->next_kind = kind + 1;
            return;
        }
    }
}

static void take_signals(struct runner *r)
{
    struct signalfd_siginfo info;
    while (read(r->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            crews_reap(r);
        else if (info.ssi_signo == SIGHUP)
            generations_reload(r);
        else
            drain(r);
    }
}

static void take_wakes(struct runner *r)
{
    char byte;
    while (recv(r->wake.fd, &byte, sizeof(byte), 0) >= 0)
        ;
    claim_wake(r);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What was counted since the last time: of thousands of jobs a second few additions are left. */
static void publish_counts(struct runner *r)
{
    const struct runner_counts *now = &r->counts, *then = &r->published;
    const struct {
        const char *result;
        uint64_t count;
    } ends[] = {
        {"succeeded", now->succeeded - then->succeeded}, {"failed", now->failed - then->failed},
        {"retried", now->retried - then->retried},       {"crashed", now->crashed - then->crashed},
        {"returned", now->returned - then->returned},    {"stale", now->stale - then->stale},
    };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (ends[i].count > 0)
            metrics_add(METRIC_JOBS_ENDED, (double)ends[i].count, ends[i].result);
    }
    if (now->claimed > then->claimed)
        metrics_add(METRIC_JOBS_CLAIMED, (double)(now->claimed - then->claimed));
    if (now->fenced > then->fenced)
        metrics_add(METRIC_LEASES_LOST, (double)(now->fenced - then->fenced));
    r->published = r->counts;
}

/* All that can be done without waiting; returns when to be called again at the latest. */
static int64_t step(struct runner *r)
{
    int64_t now_us = clock_us();
    int64_t next_us = now_us + LOOP_US;
    next_us = earliest(next_us, generations_step(r, now_us));
    publish_counts(r);
    next_us = earliest(next_us, attempts_return_surplus(r, now_us));
    if (attempts_feed(r))
        next_us = now_us;
    attempts_transfer(r);
    next_us = earliest(next_us, keeper_step(r, now_us));
    queue_step(r, now_us);
    if (r->is_queue_connected && db_pending(r->queue) == 0 && runner_is_confirmed(r, now_us))
        next_us = earliest(next_us, earliest(claim_next_us(r), report_next_us(r)));
    if (r->is_draining) {
        drain_step(r, now_us);
        next_us = earliest(next_us, drain_next_us(r));
    }
    return next_us;
}

enum watched {
    WATCH_QUEUE,
    WATCH_KEEPER,
    WATCH_BLOBS,
    WATCH_CREW,
    WATCH_SIGNALS,
    WATCH_WAKE,
    WATCH_STATUS,
    WATCH_COUNT
};

/* poll() with microseconds. */
static int wait_until(struct pollfd *fds, int64_t until_us)
{
    int64_t left_us = until_us - clock_us();
    if (left_us < 0)
        left_us = 0;
    struct timespec left = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
    return ppoll(fds, WATCH_COUNT, &left, NULL);
}

static void run(struct runner *r)
{
    struct db *const connections[] = {r->queue, r->keeper_db, r->blobs};
    struct pollfd fds[WATCH_COUNT] = {
        [WATCH_CREW] = {.fd = r->crews_fd, .events = POLLIN},
        [WATCH_SIGNALS] = {.fd = r->signal_fd, .events = POLLIN},
        [WATCH_WAKE] = {.fd = r->wake.fd, .events = POLLIN},
        [WATCH_STATUS] = {.fd = r->status.fd, .events = POLLIN},
    };
    int64_t crew_us = crews_step(r), rest_us = 0;
    bool has_looked = true;
    while (!r->is_done) {
        int64_t next_us = earliest(step(r), crew_us), db_us[3], now_us = clock_us();
        if (has_looked)
            rest_us = now_us + attempts_rest_us(r, now_us);
        bool rests = now_us < rest_us;
        fds[WATCH_CREW].fd = rests ? -1 : r->crews_fd;
        if (rests)
            next_us = earliest(next_us, rest_us);
        for (int i = 0; i < 3; i++) {
            db_us[i] = db_poll(connections[i], &fds[i]);
            next_us = earliest(next_us, db_us[i]);
        }
        if (r->is_done || (wait_until(fds, next_us) < 0 && errno != EINTR))
            break;
        now_us = clock_us();
        if (fds[WATCH_SIGNALS].revents)
            take_signals(r);
        has_looked = fds[WATCH_CREW].revents || fds[WATCH_SIGNALS].revents || now_us >= crew_us ||
                     (rests && now_us >= rest_us);
        if (has_looked) {
            crew_us = crews_step(r);
            attempts_observe(r);
        }
        for (int i = 0; i < 3; i++) {
            if ((fds[i].fd >= 0 && fds[i].revents) || now_us >= db_us[i])
                db_step(connections[i]);
        }
        if (fds[WATCH_WAKE].revents)
            take_wakes(r);
        if (fds[WATCH_STATUS].revents)
            status_answer(r);
    }
}

int runner_main(const struct config *cfg)
{
    struct error error = {0};
    if (!cfg->database_url[0]) {
        log_write(LOG_ERROR, "runner cannot start", LOG_STR("detail", "database.url is empty."));
        return EXIT_CONFIG;
    }
    struct runner *r = calloc(1, sizeof(*r));
    if (!r)
        return 1;
    r->config = cfg;
    int status = open_runner(r, &error) == 0 ? 0 : 1;
    if (status == 0) {
        run(r);
        publish_counts(r);
    } else {
        log_write(LOG_ERROR, "runner cannot start", LOG_ERR(error));
    }
    close_runner(r);
    free(r);
    if (status == 0)
        log_write(LOG_INFO, "ended");
    return status;
}
