/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream_cgi.c - one plain CGI request (RFC 3875): for hosts with nothing else, and for tests
 */
#include "http/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char *cgi_param(struct http_stream *s, const char *name)
{
    (void)s;
    return getenv(name);
}

static char **cgi_params(struct http_stream *s)
{
    (void)s;
    return environ;
}

static ssize_t cgi_read(struct http_stream *s, void *buf, size_t size)
{
    (void)s;
    ssize_t n;
    do {
        n = read(STDIN_FILENO, buf, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

static int cgi_write(struct http_stream *s, const void *bytes, size_t size)
{
    (void)s;
    const unsigned char *p = bytes;
    while (size > 0) {
        ssize_t n = write(STDOUT_FILENO, p, size);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            p += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

struct http_stream *http_stream_cgi(void)
{
    static struct http_stream stream = {cgi_param, cgi_params, cgi_read, cgi_write, -1, NULL, NULL};
    return &stream;
}
