/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream_fcgi.c - FastCGI by libfcgi, without its accept, its close and its writer
 *
 * libfcgi parses the records; the connection's life is ours. Its own accept spins or
 * hangs on silent peers, and its own close waits up to two seconds for the peer's. So a
 * connection is put into the request as if it had been kept open (ipcFd, keepConnection), and is
 * taken out again before libfcgi frees the request.
 *
 * A connection that the peer would keep may stay for its next request. Of what libfcgi has read
 * ahead nothing is left then: the request was read to its end, and the next one is sent after the
 * answer.
 */
#include "http/stream.h"

#include <assert.h>
#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "http/fcgi_writer.h"

#define READ_CHUNK (1 << 20) /* FCGX_GetStr() takes an int */
#define LINGER_MS 1000
#define LINGER_BYTES (1 << 20)

struct fcgi_stream {
    struct http_stream base; /* first: the callbacks get a pointer to it */
    FCGX_Request request;
    struct fcgi_writer writer;
    int io_timeout_ms;
    int64_t body_read;
    bool is_body_over; /* the record that ends it was read */
    int kept_fd;       /* a connection between two requests; -1: none */
};

static struct fcgi_stream *from_base(struct http_stream *s)
{
    return (struct fcgi_stream *)s;
}

static const char *fcgi_param(struct http_stream *s, const char *name)
{
    return FCGX_GetParam(name, from_base(s)->request.envp);
}

static char **fcgi_params(struct http_stream *s)
{
    return from_base(s)->request.envp;
}

static ssize_t fcgi_read(struct http_stream *s, void *buf, size_t size)
{
    struct fcgi_stream *f = from_base(s);
    FCGX_Stream *in = f->request.in;
    int wanted = size < READ_CHUNK ? (int)size : READ_CHUNK;
    int n = FCGX_GetStr(buf, wanted, in);
    /* libfcgi reports a timeout or a lost peer as the end of the body; only the error tells. */
    bool is_lost = FCGX_GetError(in) != 0;
    if (n == 0 && is_lost)
        return -1;
    f->body_read += n;
    f->is_body_over = f->is_body_over || (n < wanted && !is_lost);
    return n;
}

/*
 * What is broken beyond doubt is a record that is none. Of everything milder nginx takes one or the
 * other for the end of a good answer, and the client waits for the rest: of a connection that ends
 * in the middle without fastcgi_keep_conn, of a short body in a request that ends with it.
 */
static void fcgi_abort(struct http_stream *s)
{
    static const char no_record[FCGI_HEADER_LEN];
    struct fcgi_writer *w = &from_base(s)->writer;
    if (fcgi_writer_flush(w) == 0)
        (void)send(w->fd, no_record, sizeof(no_record), MSG_NOSIGNAL);
    w->is_broken = true;
    (void)shutdown(w->fd, SHUT_WR);
}

static int fcgi_write(struct http_stream *s, const void *bytes, size_t size)
{
    return fcgi_writer_add(&from_base(s)->writer, bytes, size);
}

static int fcgi_write_file(struct http_stream *s, int fd, const void *bytes, size_t size)
{
    return fcgi_writer_add_file(&from_base(s)->writer, fd, bytes, size);
}

/*
 * Initialise libfcgi without the handlers it installs: its TERM handler makes every later read
 * and write fail, which would cut the answer that a draining worker is about to give.
 */
static int init_library(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, term, usr1;
    (void)setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "20", 1);
    (void)setenv("LIBFCGI_IS_AF_UNIX_KEEPER_POLL_TIMEOUT", "20", 1);
    (void)sigaction(SIGTERM, NULL, &term);
    (void)sigaction(SIGUSR1, NULL, &usr1);
    int status = FCGX_Init();
    (void)sigaction(SIGTERM, &term, NULL);
    (void)sigaction(SIGUSR1, &usr1, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    return status;
}

struct fcgi_stream *fcgi_stream_new(void)
{
    struct fcgi_stream *f = calloc(1, sizeof(*f));
    if (!f || init_library() != 0) {
        free(f);
        return NULL;
    }
    f->base = (struct http_stream){fcgi_param, fcgi_params, fcgi_read,      fcgi_write,
                                   -1,         fcgi_abort,  fcgi_write_file};
    f->kept_fd = -1;
    (void)FCGX_InitRequest(&f->request, -1, 0);
    return f;
}

void fcgi_stream_free(struct fcgi_stream *f)
{
    if (!f)
        return;
    if (f->request.ipcFd >= 0)
        (void)fcgi_stream_end(f, false);
    fcgi_stream_drop(f);
    free(f);
}

static int set_timeout(int fd, int option, int timeout_ms)
{
    struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    return setsockopt(fd, SOL_SOCKET, option, &tv, sizeof(tv));
}

/* Have libfcgi free what belongs to the request, write nothing and close nothing. */
static int release_connection(struct fcgi_stream *f)
{
    int fd = f->request.ipcFd;
    f->request.ipcFd = -1;
    f->request.keepConnection = 0;
    FCGX_Free(&f->request, 0);
    f->base.peer_fd = -1;
    return fd;
}

/*
 * Does what the peer sent begin like a FastCGI request? Silent peers, port scanners and health
 * checks that speak HTTP get no further; libfcgi would read on for as long as they send. A
 * connection that was kept is one of a peer that speaks FastCGI.
 */
static bool is_begin_request(int fd)
{
    unsigned char head[2];
    ssize_t n = recv(fd, head, sizeof(head), MSG_PEEK);
    return n > 0 && head[0] == FCGI_VERSION_1 && (n < 2 || head[1] == FCGI_BEGIN_REQUEST);
}

int fcgi_stream_begin(struct fcgi_stream *f, int fd, int io_timeout_ms,
                      struct http_stream **ret_stream, struct error *reterr)
{
    assert(f->request.ipcFd < 0 && io_timeout_ms > 0 && (f->kept_fd < 0 || f->kept_fd == fd));
    bool is_new = fd != f->kept_fd;
    f->kept_fd = -1;
    if (is_new && (set_timeout(fd, SO_RCVTIMEO, io_timeout_ms) != 0 ||
                   set_timeout(fd, SO_SNDTIMEO, io_timeout_ms) != 0)) {
        (void)error_errno(reterr, "set a connection's timeouts");
        (void)close(fd);
        return -1;
    }
    if (is_new && !is_begin_request(fd)) {
        (void)close(fd);
        return error_set(reterr, ERR_INVALID_REQUEST, "The peer sent no FastCGI request.");
    }
    f->io_timeout_ms = io_timeout_ms;
    f->request.ipcFd = fd;
    f->request.keepConnection = 1;
    int status = FCGX_Accept_r(&f->request);
    /* On failure libfcgi has closed fd, and then failed to accept from -1. */
    if (status != 0) {
        f->request.ipcFd = -1;
        return error_set(reterr, ERR_INVALID_REQUEST, "The peer's FastCGI request is broken.");
    }
    /* Variables that end in the middle look complete to libfcgi; only the error tells. */
    if (FCGX_GetError(f->request.in) != 0 || f->request.role != FCGI_RESPONDER) {
        (void)shutdown(fd, SHUT_RDWR);
        (void)close(release_connection(f));
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The peer's FastCGI request ended early, or is for another role.");
    }
    fcgi_writer_begin(&f->writer, fd, f->request.requestId);
    f->body_read = 0;
    f->is_body_over = false;
    f->base.peer_fd = fd;
    *ret_stream = &f->base;
    return 0;
}

/* The body was read as far as it was announced: then its end has come with it, or comes now. */
static bool read_to_end(struct fcgi_stream *f)
{
    const char *length = FCGX_GetParam("CONTENT_LENGTH", f->request.envp);
    char rest;
    if (!f->is_body_over && f->body_read == (length ? strtoll(length, NULL, 10) : 0))
        (void)fcgi_read(&f->base, &rest, 1);
    return f->is_body_over;
}

bool fcgi_stream_can_keep(struct fcgi_stream *f)
{
    /* libfcgi has noted there what the peer said. */
    return f->request.keepConnection != 0 && !f->writer.is_broken && read_to_end(f);
}

/*
 * Read to the end of the body. To close before the peer has sent its last record would
 * reset the connection, and with it the answer that is under way.
 */
static void linger(struct fcgi_stream *f)
{
    char trash[8192];
    int rest = LINGER_BYTES;
    if (f->is_body_over)
        return;
    if (f->io_timeout_ms > LINGER_MS)
        (void)set_timeout(f->request.ipcFd, SO_RCVTIMEO, LINGER_MS);
    while (rest > 0) {
        int n = FCGX_GetStr(trash, sizeof(trash), f->request.in);
        if (n < (int)sizeof(trash))
            return;
        rest -= n;
    }
}

int fcgi_stream_end(struct fcgi_stream *f, bool keep)
{
    if (f->request.ipcFd < 0)
        return -1;
    int status = fcgi_writer_end(&f->writer, keep);
    if (status == 0 && !keep)
        linger(f);
    int fd = release_connection(f);
    if (status == 0 && keep)
        f->kept_fd = fd;
    else
        (void)close(fd);
    return status;
}

int fcgi_stream_kept_fd(const struct fcgi_stream *f)
{
    return f->kept_fd;
}

bool fcgi_stream_has_left(const struct fcgi_stream *f)
{
    char next;
    ssize_t n = recv(f->kept_fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
    /* Reset, where our recall was left unread. */
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

int fcgi_stream_recall(const struct fcgi_stream *f)
{
    return fcgi_writer_recall(f->kept_fd, f->request.requestId);
}

void fcgi_stream_drop(struct fcgi_stream *f)
{
    if (f->kept_fd >= 0)
        (void)close(f->kept_fd);
    f->kept_fd = -1;
}
