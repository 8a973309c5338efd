/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgi.c - see cgi.h
 */
#include "pool/cgi.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "exec/spawn.h"

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

static int start_executor(struct cgi *c, const struct config *cfg, enum task_class class,
                          struct error *reterr)
{
    pid_t pid;
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    reaped_gang = c->gang;
    if (pipe2(c->lifeline, O_CLOEXEC) != 0 || sigaction(SIGCHLD, &action, NULL) != 0)
        return error_errno(reterr, "cgi: pipe2");
    struct executor_launch launch = {.config = cfg,
                                     .socket_fd = gang_listen_fd(c->gang, class),
                                     .is_listening = true,
                                     .lifeline_fd = c->lifeline[0],
                                     .memory_fd = gang_memory_fd(c->gang),
                                     .control_offset = gang_control_offset(c->gang, 0),
                                     .stderr_fd = STDERR_FILENO};
    if (executor_spawn(&launch, &pid, reterr) != 0)
        return -1;
    gang_executor_started(c->gang, 0, pid);
    return 0;
}

/* Only the class of the task that is asked for needs an executor; a GET needs none. */
static int class_of_request(const struct cgi *c, struct http_stream *stream,
                            enum task_class *ret_class)
{
    const char *method = stream->param(stream, "REQUEST_METHOD");
    const char *path = stream->param(stream, "PATH_INFO");
    const char *name = path ? strrchr(path, '/') : NULL;
    const struct task_desc *task = name ? catalog_find(c->api.catalog, name + 1) : NULL;
    if (!task || !method || strcmp(method, "POST") != 0)
        return -1;
    *ret_class = task->class;
    return 0;
}

static int open_gang(struct cgi *c, const struct config *cfg, struct http_stream *stream,
                     struct error *reterr)
{
    enum task_class class;
    struct gang_shape shape = {.queue_length = 0};
    if (class_of_request(c, stream, &class) != 0)
        return 0;
    shape.slots[class] = 1;
    if (gang_create(&shape, &c->gang, reterr) != 0)
        return -1;
    c->api.gang = c->gang;
    return start_executor(c, cfg, class, reterr);
}

int cgi_main(const struct config *cfg)
{
    struct cgi c = {.lifeline = {-1, -1}};
    struct error error;
    struct http_stream *stream = http_stream_cgi();
    (void)signal(SIGPIPE, SIG_IGN);
    if (api_open(cfg, NULL, &c.api, &error) != 0 || open_gang(&c, cfg, stream, &error) != 0) {
        log_write(LOG_ERROR, "cgi cannot start", LOG_STR("detail", error.detail),
                  LOG_STR("cause", error.cause));
        return 1;
    }
    struct arena *a = arena_new();
    int result = api_serve(&c.api, stream, a);
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
    return result == 0 ? 0 : 1;
}
