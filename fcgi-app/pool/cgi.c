/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgi.c - see cgi.h
 */
#include "pool/cgi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/user.h"
#include "db/job.h"
#include "exec/sandbox.h"
#include "exec/spawn.h"
#include "exec/turn.h"

#define READY_STEP_MS 20

struct cgi {
    struct api api;
    struct gang *gang;
    int lifeline[2];
};

static struct gang *reaped_gang; /* for the signal handler alone */

/* The executor's parent is us: note how it ended, as a master would. */
static void on_child(int signal_number)
{
    int saved = errno, status;
    (void)signal_number;
    while (waitpid(-1, &status, WNOHANG) > 0)
        gang_executor_ended(reaped_gang, 0, status);
    errno = saved;
}

static int wait_until_ready(struct gang *g, const struct config *cfg, struct error *reterr)
{
    struct pollfd ready = {.fd = gang_ready_fd(g), .events = POLLIN};
    int64_t deadline_us = clock_us() + (int64_t)(cfg->executor_start_seconds * 1e6);
    /* By steps: its end is a signal, which may come between a look and the wait. */
    while (atomic_load(&gang_executor(g, 0)->pid) != 0 && clock_us() < deadline_us) {
        if (poll(&ready, 1, READY_STEP_MS) > 0) {
            turn_executor_ready(g, 0);
            return 0;
        }
    }
    return error_set(reterr, ERR_UNAVAILABLE, "No executor could start.");
}

static int start_executor(struct cgi *c, const struct config *cfg, enum task_class class,
                          struct error *reterr)
{
    pid_t pid;
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    reaped_gang = c->gang;
    if (pipe2(c->lifeline, O_CLOEXEC) != 0 || sigaction(SIGCHLD, &action, NULL) != 0)
        return error_errno(reterr, "cgi: pipe2");
    struct executor_launch launch = {.config = cfg,
                                     .socket_fd = gang_listen_fd(c->gang, 0),
                                     .is_listening = true,
                                     .class = class,
                                     .limits = catalog_class_limits(c->api.catalog, class),
                                     .lifeline_fd = c->lifeline[0],
                                     .memory_fd = gang_memory_fd(c->gang),
                                     .control_offset = gang_control_offset(c->gang, 0),
                                     .ready_fd = gang_ready_fd(c->gang),
                                     .stderr_fd = STDERR_FILENO};
    if (executor_spawn(&launch, &pid, reterr) != 0)
        return -1;
    gang_executor_started(c->gang, 0, pid);
    return wait_until_ready(c->gang, cfg, reterr);
}

/* Only the class of the task that is asked for needs an executor; a GET needs none. */
static const struct task_desc *requested_task(const struct cgi *c, struct http_stream *stream)
{
    static const char *const variables[] = {"PATH_INFO", "DOCUMENT_URI", "SCRIPT_NAME"};
    const char *method = stream->param(stream, "REQUEST_METHOD");
    if (!method || strcmp(method, "POST") != 0)
        return NULL;
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *path = stream->param(stream, variables[i]);
        const char *name = path ? strrchr(path, '/') : NULL;
        if (name)
            return catalog_find(c->api.catalog, name + 1);
    }
    return NULL;
}

static int open_gang(struct cgi *c, const struct config *cfg, struct http_stream *stream,
                     struct error *reterr)
{
    struct gang_shape shape = {.queue_length = 0};
    const struct task_desc *task = requested_task(c, stream);
    if (!task)
        return 0;
    shape.slots[task->class] = 1;
    if (sandbox_check((enum sandbox_mode)cfg->executor_sandbox, reterr) != 0 ||
        gang_create(&shape, &c->gang, reterr) != 0)
        return -1;
    c->api.gang = c->gang;
    return start_executor(c, cfg, task->class, reterr);
}

/* The web server wants an answer from us in any case. */
static int answer_failure(const struct config *cfg, struct http_stream *stream, struct error *error)
{
    struct arena *a = arena_new();
    struct http_limits limits = {cfg->http_max_params, (size_t)cfg->http_max_params_bytes};
    struct http_response res;
    struct http_request *req;
    struct error ignored;
    log_write(LOG_ERROR, "cgi cannot start", LOG_ERR(*error));
    (void)error_internal(error, "cgi cannot start");
    http_response_init(&res, a);
    (void)http_request_read(stream, &limits, a, &req, &ignored);
    http_response_problem(&res, req, error, NULL);
    (void)http_response_send(&res, req);
    arena_free(a);
    return 1;
}

/* Connected to on first use. */
static struct db *open_db(const struct config *cfg)
{
    if (!*cfg->database_url)
        return NULL;
    struct db_settings settings = {.url = cfg->database_url,
                                   .application = "gangsaw cgi",
                                   .options = DB_WORK_OPTIONS,
                                   .budget_ms = (int)(cfg->database_budget_seconds * 1000)};
    return db_open(&settings);
}

int cgi_main(const struct config *cfg)
{
    struct cgi c = {.lifeline = {-1, -1}};
    struct error error;
    struct http_stream *stream = http_stream_cgi();
    (void)signal(SIGPIPE, SIG_IGN);
    if (api_open(cfg, NULL, &c.api, &error) != 0 || user_drop_root(cfg->server_user, &error) != 0 ||
        authorize_open(&c.api, &error) != 0 || open_gang(&c, cfg, stream, &error) != 0)
        return answer_failure(cfg, stream, &error);
    struct db *db = c.api.db = open_db(cfg);
    struct arena *a = arena_new();
    int result = api_serve(&c.api, stream, a);
    log_release();
    arena_free(a);
    if (c.gang) {
        (void)signal(SIGCHLD, SIG_DFL);
        (void)close(c.lifeline[1]); /* the executor's end */
        (void)close(c.lifeline[0]);
        while (waitpid(-1, NULL, 0) > 0)
            continue;
        gang_close(c.gang);
    }
    api_close(&c.api);
    db_close(db);
    return result == 0 ? 0 : 1;
}
