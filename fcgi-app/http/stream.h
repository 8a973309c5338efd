/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - where a request comes from and its answer goes
 *
 * Two kinds: one FastCGI request (libfcgi on a connection that we accepted
 * ourselves; FACTS: libfcgi's own accept spins, hangs or cuts bodies), and one plain CGI request
 * (environment, stdin, stdout). Tests make a third in memory.
 */
#ifndef HTTP_STREAM_H
#define HTTP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct http_stream {
    /* A CGI variable, "REQUEST_METHOD"; NULL when not set. Valid until the stream ends. */
    const char *(*param)(struct http_stream *s, const char *name);
    /* All variables as NULL-terminated "NAME=value" strings, for limits on their number and size.
     */
    char **(*params)(struct http_stream *s);
    /* Up to `size` bytes of the body; 0 at its end, -1 when the peer failed. */
    ssize_t (*read)(struct http_stream *s, void *buf, size_t size);
    /* All of `size` bytes, or -1. */
    int (*write)(struct http_stream *s, const void *bytes, size_t size);
    /* The connection, to watch for POLLRDHUP: its client left. -1 when there is none. */
    int peer_fd;
    /* The answer ends here, before its Content-Length: have the web server notice. Nothing is
     * written afterwards. NULL: the stream's end alone tells it. */
    void (*abort)(struct http_stream *s);
    /* As write(), of `bytes` that are also the first of the file `fd`, which nobody may change
     * before the peer has read them. NULL: write() has to do. */
    int (*write_file)(struct http_stream *s, int fd, const void *bytes, size_t size);
};

/* Plain CGI: environment, fd 0 and fd 1. */
struct http_stream *http_stream_cgi(void);

/*
 * FastCGI. One per worker process: libfcgi keeps its state in it from request to request.
 */
struct fcgi_stream;
struct fcgi_stream *fcgi_stream_new(void);
void fcgi_stream_free(struct fcgi_stream *f);

/*
 * Read one request's variables from `fd`, a connection just accepted, or the one that is kept
 * (blocking; taken over, on failure too). A peer that stays silent or sends something else fails
 * within `io_timeout_ms`; so does each later read or write. Errors: ERR_INVALID_REQUEST; nobody is
 * there to be answered, log it at debug.
 */
int fcgi_stream_begin(struct fcgi_stream *f, int fd, int io_timeout_ms,
                      struct http_stream **ret_stream, struct error *reterr);

/*
 * Before the end: may the connection be kept for the peer's next request? It has asked for that,
 * and its request was read to the end.
 */
bool fcgi_stream_can_keep(struct fcgi_stream *f);

/*
 * Flush and finish. With `keep` the connection stays, unless this fails; the answer's end tells
 * the peer which. -1 when not all of the answer could be written.
 */
int fcgi_stream_end(struct fcgi_stream *f, bool keep);

/*
 * The connection that is kept, to wait on for the next request or the peer's leaving; -1: none. A
 * peer that has left sent nothing more.
 */
int fcgi_stream_kept_fd(const struct fcgi_stream *f);
bool fcgi_stream_has_left(const struct fcgi_stream *f);

/*
 * Have the peer give up the connection that is kept. What comes is its end, or a last request that
 * it sent before it heard of it: one that is answered without `keep`. -1 when the peer is lost.
 */
int fcgi_stream_recall(const struct fcgi_stream *f);

/* Close the connection that is kept, if there is one. */
void fcgi_stream_drop(struct fcgi_stream *f);

#endif
