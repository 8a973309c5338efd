/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcgi_fixture.h - one stream object, as a worker has, and a count of the descriptors that it
 * leaves
 */
#ifndef TESTS_FCGI_FIXTURE_H
#define TESTS_FCGI_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "descriptors.h"
#include "fcgi_peer.h"
#include "http/request.h"
#include "http/response.h"

#define PATIENT_MS 20000
#define SHORT_MS 100

static struct fcgi_stream *stream;

static inline int note_descriptors(void **state)
{
    *state = malloc(sizeof(int));
    *(int *)*state = count_descriptors();
    return 0;
}

/* Serve one request with the whole way of a worker: read, answer `answer_size` bytes, end. */
static inline int serve(struct peer *p, size_t answer_size, struct payload *body,
                        struct error *reterr)
{
    static const struct http_limits limits = {100, 65536};
    struct http_stream *s;
    struct http_request *req;
    if (fcgi_stream_begin(stream, p->served_fd, PATIENT_MS, &s, reterr) != 0)
        return -1;
    struct arena *a = arena_new();
    assert_int_equal(s->peer_fd, p->served_fd);
    assert_int_equal(http_request_read(s, &limits, a, &req, reterr), 0);
    struct http_response res;
    http_response_init(&res, a);
    if (http_body_read(req, 16 << 20, "max_body_bytes", body, reterr) != 0)
        http_response_problem(&res, req, reterr, NULL);
    else
        http_response_body(&res, 200, "x/y", arena_alloc(a, answer_size), answer_size);
    int sent = http_response_send(&res, req);
    int ended = fcgi_stream_end(stream, false);
    assert_true(sent == 0 || ended == -1);
    arena_free(a);
    return sent == 0 && ended == 0 ? 0 : -1;
}

static inline char *pattern(size_t size)
{
    char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    return bytes;
}

/* What every worker has to be able to do after whatever came before. */
static inline void assert_next_request_works(size_t body_size, size_t answer_size, bool is_tcp)
{
    struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
    struct payload body = PAYLOAD_INIT;
    struct error err = {.code = ERR_NONE};
    char *bytes = pattern(body_size);
    add_request(&p.request, bytes, body_size, body_size);
    peer_start(&p, is_tcp, READ_ANSWER);
    if (serve(&p, answer_size, &body, &err) != 0)
        fail_msg("%s", err.detail);
    peer_wait(&p);
    assert_int_equal(body.size, body_size);
    assert_memory_equal(body.bytes ? body.bytes : (unsigned char *)"", bytes, body_size);
    assert_true(p.has_end);
    assert_false(p.has_broken_record);
    const char *content = strstr(p.answer.text, "\r\n\r\n");
    assert_non_null(content);
    assert_memory_equal(p.answer.text, "Status: 200 OK\r\n", 16);
    assert_int_equal(p.answer.size - (size_t)(content + 4 - p.answer.text), answer_size);
    payload_release(&body);
    peer_release(&p);
    free(bytes);
}

static inline int check_descriptors(void **state)
{
    int before = *(int *)*state;
    free(*state);
    return count_descriptors() == before ? 0 : -1;
}

static inline int open_stream(void **state)
{
    (void)state;
    stream = fcgi_stream_new();
    return stream ? 0 : -1;
}

static inline int close_stream(void **state)
{
    (void)state;
    fcgi_stream_free(stream);
    fcgi_stream_free(NULL);
    return 0;
}

#define LEAK_CHECKED(test) \
    cmocka_unit_test_setup_teardown(test, note_descriptors, check_descriptors)

#endif
