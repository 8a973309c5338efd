/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.c - accept, parse, admit, have an executor compute, answer; one request at a time
 *
 * Connections are accepted here, not by libfcgi, whose accept loop spins and hangs on peers
 * that stay silent. The wait is an epoll with EPOLLEXCLUSIVE: one new connection wakes one worker.
 *
 * A worker may keep the connection of its last request for the next one, and then waits on that
 * alone. While it works nothing else can come over it, so nobody ever waits behind another's
 * request. That the peer lets go of it can be asked for (fcgi_stream_recall()); it is never closed
 * while a request may be under way on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "api/authorize.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "db/job.h"
#include "http/stream.h"
#include "pool/fork_server.h"
#include "pool/pool.h"
#include "pool/scoreboard.h"

#define LISTEN_FD 0
#define TRIM_BYTES (256 * 1024) /* of a body; parsed it may be forty times as much */
#define READY_TIMEOUT_MS 200
#define DB_IDLE_MS 10000 /* a connection of pool compute, which seldom needs one */
#define DB_IDLE_API_MS 60000
#define KEPT_IDLE_MS 10000 /* with our settings nginx lets go of a connection before that */
#define RECALL_MS 2000     /* so long it may take to hear of it */
#define FILES_MAX 4096     /* beyond the gang: outputs of a run may come in memfds */
#define LINKED_MAX 1024    /* workers whose connections an executor has descriptors for */

struct worker {
    const struct config *config;
    struct api api;
    struct scoreboard board;
    struct worker_record *record;
    struct fcgi_stream *stream;
    struct arena *arena;
    int epoll_fd, signal_fd;
    int db_idle_ms; /* how long an idle connection is kept */
    bool is_draining;
    bool is_recalled; /* the connection that was kept: a last request came over it */
};

static struct {
    int null_fd;
    unsigned seconds;
} orphan; /* for the signal handler alone */

/* First of all give the socket up, so that a new pool can bind it while this request goes on. */
static void drain(void *context)
{
    struct worker *w = context;
    if (w->is_draining)
        return;
    w->is_draining = true;
    (void)close(LISTEN_FD);
    (void)open("/dev/null", O_RDWR); /* becomes 0: nothing else may land there */
    worker_enter(w->record, WORKER_DRAINING);
}

static int watch(const struct worker *w, int fd, uint32_t events, struct error *reterr)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return error_errno(reterr, "worker: epoll_ctl");
    return 0;
}

/* A terminal's ^C and hang-up reach the whole group; the master decides what they mean. */
static int block_signals(struct error *reterr)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR1);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_errno(reterr, "worker: sigprocmask");
    return 0;
}

static int open_signals(struct worker *w, struct error *reterr)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    w->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return w->signal_fd < 0 ? error_errno(reterr, "worker: signalfd") : 0;
}

static int open_gang(enum pool_kind kind, struct gang **ret_gang, struct error *reterr)
{
    *ret_gang = NULL;
    if (kind != POOL_COMPUTE)
        return 0;
    return gang_join(WORKER_FD_GANG, ret_gang, reterr);
}

/* Readiness, from the compute master's own words; its silence is no load on this pool for long. */
static bool is_computing(const struct config *cfg)
{
    struct strbuf json = STRBUF_INIT;
    struct error ignored;
    bool is_ready = pool_status_fetch(cfg, POOL_COMPUTE, READY_TIMEOUT_MS, &json, &ignored) == 0 &&
                    strstr(json.text, "\"ready\":true") != NULL;
    strbuf_release(&json);
    return is_ready;
}

static bool enter_database(void *context, enum api_use use, bool may_wait)
{
    struct worker *w = context;
    return scoreboard_enter(&w->board, use, may_wait);
}

static void leave_database(void *context)
{
    struct worker *w = context;
    scoreboard_leave(&w->board);
}

static struct db *open_db(const struct worker *w, enum pool_kind kind)
{
    const struct config *cfg = w->config;
    if (!*cfg->database_url)
        return NULL;
    struct db_settings settings = {
        .url = cfg->database_url,
        .application = kind == POOL_COMPUTE ? "gangsaw compute" : "gangsaw api",
        .options = DB_WORK_OPTIONS,
        .budget_ms = (int)(cfg->database_budget_seconds * 1000),
        .breaker = &w->board.shared->breaker,
    };
    return db_open(&settings);
}

/*
 * When the master is dead nobody ends us any more, and a peer that sends slowly may hold us in a
 * read: let the socket go, at once and in any state, and end by the drain limit.
 */
static void on_master_death(int signal_number)
{
    (void)signal_number;
    (void)dup2(orphan.null_fd, LISTEN_FD);
    (void)alarm(orphan.seconds);
}

static int tie_to_master(const struct config *cfg, struct error *reterr)
{
    struct sigaction action = {.sa_handler = on_master_death};
    orphan.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    orphan.seconds = (unsigned)cfg->compute_drain_seconds + 1;
    if (orphan.null_fd < 0 || sigaction(SIGUSR2, &action, NULL) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGUSR2) != 0)
        return error_errno(reterr, "worker: tie to the master");
    return 0;
}

static void limit_files(const struct gang *gang)
{
    rlim_t most = FILES_MAX + (gang ? (rlim_t)gang_descriptor_count(gang) : 0);
    (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){most, most}); /* a lower hard limit stays */
}

/* OpenSSL sets itself up at the first digest: once, instead of in each worker at its first request,
 * in memory of its own. */
static void prepare_digests(void)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)"", 0, digest);
}

/* What is the same for all workers of a generation. They share its memory as long as they do not
 * write it. */
static int open_common(struct worker *w, enum pool_kind kind, struct error *reterr)
{
    struct gang *gang;
    struct error why;
    if (metrics_open(w->config, &why) != 0)
        log_write(LOG_WARNING, "nothing is counted for /metrics", LOG_ERR(why));
    if (block_signals(reterr) != 0 || open_gang(kind, &gang, reterr) != 0)
        return -1;
    limit_files(gang);
    if (api_open(w->config, gang, &w->api, reterr) != 0)
        return -1;
    prepare_digests();
    (void)malloc_trim(0);
    /* Not sooner and not later: the first large piece after that has malloc() put all free ones in
     * order, for which it writes to their pages. */
    w->arena = arena_new();
    return 0;
}

/* Connections to executors are kept, unless there are so many workers that an executor might run
 * out of descriptors. */
static int open_links(struct worker *w, struct error *reterr)
{
    if (!w->api.gang || w->board.count > LINKED_MAX)
        return 0;
    struct links *links = gang_links(w->api.gang);
    return links_open(links, reterr) == 0 ? watch(w, links->epoll_fd, EPOLLIN, reterr) : -1;
}

static int links_fd(const struct worker *w)
{
    return w->api.gang ? gang_links(w->api.gang)->epoll_fd : -1;
}

static int open_worker(struct worker *w, enum pool_kind kind, int index, struct error *reterr)
{
    if (scoreboard_join(WORKER_FD_SCOREBOARD, index, &w->board, reterr) != 0)
        return -1;
    w->record = &w->board.workers[index];
    if (open_signals(w, reterr) != 0 || tie_to_master(w->config, reterr) != 0 ||
        authorize_open(&w->api, reterr) != 0)
        return -1;
    w->api.db = open_db(w, kind);
    w->api.pass_on = kind == POOL_COMPUTE ? "@gangsaw_api" : NULL;
    w->api.has_hub = true;
    w->api.is_computing = is_computing;
    w->api.readiness = &w->board.shared->readiness;
    w->api.figures = &w->board.shared->figures;
    if (kind == POOL_API) /* in the other one a request has to have a place of its gang's */
        w->api.gate = (struct api_gate){enter_database, leave_database, w,
                                        scoreboard_places(&w->board, API_USE_LONG)};
    w->db_idle_ms = kind == POOL_COMPUTE ? DB_IDLE_MS : DB_IDLE_API_MS;
    w->api.watch = (struct compute_watch){WORKER_FD_LIFELINE, drain, w};
    w->stream = fcgi_stream_new();
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!w->stream || w->epoll_fd < 0)
        return error_errno(reterr, "worker: open");
    (void)fcntl(LISTEN_FD, F_SETFL, fcntl(LISTEN_FD, F_GETFL) | O_NONBLOCK);
    if (watch(w, LISTEN_FD, EPOLLIN | EPOLLEXCLUSIVE, reterr) != 0 ||
        watch(w, WORKER_FD_LIFELINE, EPOLLIN, reterr) != 0 ||
        watch(w, w->signal_fd, EPOLLIN, reterr) != 0)
        return -1;
    return open_links(w, reterr);
}

/* Somebody has connected, and all the others are busy: that comes before a next request here. */
static bool is_wanted(const struct worker *w)
{
    struct pollfd listening = {.fd = LISTEN_FD, .events = POLLIN};
    return !scoreboard_has_listener(&w->board) && poll(&listening, 1, 0) > 0;
}

/* The answer's end says whether the connection stays: from then on it has to be so. */
static bool can_keep(struct worker *w)
{
    return !w->is_draining && !w->is_recalled && fcgi_stream_can_keep(w->stream) && !is_wanted(w) &&
           scoreboard_keep(&w->board);
}

static void serve(struct worker *w, int fd)
{
    struct http_stream *stream;
    struct error error;
    int timeout_ms = (int)(w->config->http_io_timeout_seconds * 1000);
    bool keeps = false;
    worker_enter(w->record, WORKER_BUSY);
    if (fcgi_stream_begin(w->stream, fd, timeout_ms, &stream, &error) != 0) {
        log_write(LOG_DEBUG, "no request on a connection", LOG_STR("detail", error.detail));
    } else {
        (void)api_serve(&w->api, stream, w->arena);
        keeps = can_keep(w);
        if (fcgi_stream_end(w->stream, keeps) != 0 && keeps) {
            scoreboard_unkeep(&w->board);
            keeps = false;
        }
        log_release();
        arena_reset(w->arena);
        /* A tree of a million values would stay with the heap of each worker that met one. */
        if (w->api.trace.parsed_bytes > TRIM_BYTES)
            (void)malloc_trim(0);
        atomic_fetch_add(&w->record->requests, 1);
    }
    worker_enter(w->record, w->is_draining ? WORKER_DRAINING : keeps ? WORKER_KEPT : WORKER_IDLE);
}

static bool is_connected(const struct worker *w)
{
    return w->api.db && db_is_connected(w->api.db);
}

static void wait_for_connection(struct worker *w)
{
    struct epoll_event events[4];
    bool has_db = is_connected(w);
    int count = epoll_wait(w->epoll_fd, events, 4, has_db ? w->db_idle_ms : -1);
    if (has_db)
        db_close_idle(w->api.db, w->db_idle_ms);
    bool is_connection = false, is_ending = false;
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == LISTEN_FD)
            is_connection = true;
        else if (events[i].data.fd == links_fd(w))
            gang_look_at_links(w->api.gang);
        else
            is_ending = true;
    }
    /* Nobody else was woken for this connection: take it, even with an end in the same moment. */
    int fd = is_connection ? accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC) : -1;
    bool is_short =
        is_connection && fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    if (is_ending || is_short) /* a fresh process does better */
        drain(w);
    if (fd >= 0)
        serve(w, fd);
}

static void leave_kept(struct worker *w)
{
    fcgi_stream_drop(w->stream);
    scoreboard_unkeep(&w->board);
    worker_enter(w->record, w->is_draining ? WORKER_DRAINING : WORKER_IDLE);
}

/* The next request of the connection that is kept, or its end. */
static void take_kept(struct worker *w, short events)
{
    if ((events & (POLLRDHUP | POLLHUP | POLLERR)) && fcgi_stream_has_left(w->stream)) {
        leave_kept(w);
        return;
    }
    scoreboard_unkeep(&w->board);
    serve(w, fcgi_stream_kept_fd(w->stream));
}

/* Nobody has asked for long, or this process ends: back to the listening socket, or away. */
static void give_up_kept(struct worker *w)
{
    struct pollfd kept = {.fd = fcgi_stream_kept_fd(w->stream), .events = POLLIN | POLLRDHUP};
    bool is_heard = fcgi_stream_recall(w->stream) == 0 && poll(&kept, 1, RECALL_MS) > 0;
    if (!is_heard) {
        leave_kept(w);
        return;
    }
    w->is_recalled = true;
    take_kept(w, kept.revents);
    w->is_recalled = false;
}

static void wait_on_kept(struct worker *w)
{
    struct pollfd fds[] = {
        {.fd = fcgi_stream_kept_fd(w->stream), .events = POLLIN | POLLRDHUP},
        {.fd = WORKER_FD_LIFELINE, .events = POLLIN},
        {.fd = w->signal_fd, .events = POLLIN},
        {.fd = links_fd(w), .events = POLLIN},
    };
    int count = poll(fds, 4, KEPT_IDLE_MS);
    if (is_connected(w))
        db_close_idle(w->api.db, w->db_idle_ms);
    if (fds[3].revents != 0)
        gang_look_at_links(w->api.gang);
    if (fds[1].revents != 0 || fds[2].revents != 0)
        drain(w);
    if (count > 0 && fds[0].revents != 0)
        take_kept(w, fds[0].revents);
    else if (count == 0 || w->is_draining)
        give_up_kept(w);
}

/* Nothing of open_common()'s: to free memory is to write it, so that each would get it all. */
static void close_worker(struct worker *w)
{
    authorize_close(&w->api);
    db_close(w->api.db);
    fcgi_stream_free(w->stream);
    arena_free(w->arena);
    scoreboard_close(&w->board);
}

int worker_main(enum pool_kind kind, const struct config *cfg)
{
    static struct worker w;
    struct error error;
    w.config = cfg;
    int result = open_common(&w, kind, &error);
    int index = result == 0 ? fork_server_run(WORKER_FD_ORDERS) : -1;
    if (index >= 0)
        result = open_worker(&w, kind, index, &error);
    if (result != 0) {
        log_write(LOG_ERROR, "worker cannot start", LOG_ERR(error));
        return 1;
    }
    if (index < 0)
        return 0;
    worker_enter(w.record, WORKER_IDLE);
    while (!w.is_draining) {
        if (fcgi_stream_kept_fd(w.stream) >= 0)
            wait_on_kept(&w);
        else
            wait_for_connection(&w);
    }
    close_worker(&w);
    return 0;
}
