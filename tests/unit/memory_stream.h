/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_stream.h - a request and its answer in memory, for tests of http/
 *
 * Variables are a NULL-terminated array of "NAME=value". The answer is collected in `answer`.
 */
#ifndef TESTS_MEMORY_STREAM_H
#define TESTS_MEMORY_STREAM_H

#include <string.h>

#include "base/strbuf.h"
#include "http/stream.h"

struct memory_stream {
    struct http_stream base; /* first */
    char **params;
    const char *body;
    size_t body_size, body_at;
    size_t read_max; /* bytes that one read gives; 0: as many as wanted */
    int read_fails;  /* at the end of `body` the peer fails instead of ending */
    int is_aborted;
    struct strbuf answer;
};

static inline char **memory_params(struct http_stream *s)
{
    return ((struct memory_stream *)s)->params;
}

static inline const char *memory_param(struct http_stream *s, const char *name)
{
    size_t size = strlen(name);
    for (char **p = memory_params(s); *p; p++) {
        if (strncmp(*p, name, size) == 0 && (*p)[size] == '=')
            return *p + size + 1;
    }
    return NULL;
}

static inline ssize_t memory_read(struct http_stream *s, void *buf, size_t size)
{
    struct memory_stream *m = (struct memory_stream *)s;
    size_t rest = m->body_size - m->body_at;
    if (rest == 0 && m->read_fails)
        return -1;
    size_t n = size < rest ? size : rest;
    if (m->read_max > 0 && n > m->read_max)
        n = m->read_max;
    if (n > 0)
        memcpy(buf, m->body + m->body_at, n);
    m->body_at += n;
    return (ssize_t)n;
}

static inline int memory_write(struct http_stream *s, const void *bytes, size_t size)
{
    strbuf_add(&((struct memory_stream *)s)->answer, bytes, size);
    return 0;
}

static inline void memory_abort(struct http_stream *s)
{
    ((struct memory_stream *)s)->is_aborted = 1;
}

static inline void memory_stream_init(struct memory_stream *m, char **params, const char *body)
{
    *m = (struct memory_stream){
        .base = {memory_param, memory_params, memory_read, memory_write, -1, memory_abort, NULL},
        .params = params,
        .body = body,
        .body_size = strlen(body),
        .answer = STRBUF_INIT,
    };
}

#endif
