/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fcgi_stream.c - no peer can make a worker hang, lose a request unnoticed or leak a
 * descriptor
 *
 * All requests, good and bad, go through one stream object, as in a worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "descriptors.h"
#include "fcgi_peer.h"
#include "http/request.h"
#include "http/response.h"

#define PATIENT_MS 20000
#define SHORT_MS 100

static struct fcgi_stream *stream;

static int note_descriptors(void **state)
{
    *state = malloc(sizeof(int));
    *(int *)*state = count_descriptors();
    return 0;
}

/* Serve one request with the whole way of a worker: read, answer `answer_size` bytes, end. */
static int serve(struct peer *p, size_t answer_size, struct payload *body, struct error *reterr)
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

static char *pattern(size_t size)
{
    char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    return bytes;
}

/* What every worker has to be able to do after whatever came before. */
static void assert_next_request_works(size_t body_size, size_t answer_size, bool is_tcp)
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

static int check_descriptors(void **state)
{
    int before = *(int *)*state;
    free(*state);
    return count_descriptors() == before ? 0 : -1;
}

static void test_bodies_and_answers_arrive_whole(void **state)
{
    (void)state;
    for (int is_tcp = 0; is_tcp <= 1; is_tcp++) {
        assert_next_request_works(0, 0, is_tcp);
        assert_next_request_works(1 << 20, 10, is_tcp);
        assert_next_request_works(10, 8 << 20, is_tcp);
    }
}

static void test_a_body_shorter_than_content_length_is_refused(void **state)
{
    (void)state;
    struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
    struct payload body = PAYLOAD_INIT;
    struct error err = {.code = ERR_NONE};
    char *bytes = pattern(400);
    add_request(&p.request, bytes, 400, 1000);
    peer_start(&p, false, READ_ANSWER);
    assert_int_equal(serve(&p, 10, &body, &err), 0);
    peer_wait(&p);
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
    assert_non_null(strstr(err.detail, "400 of 1000"));
    assert_non_null(strstr(p.answer.text, "Status: 400 "));
    assert_true(p.has_end);
    payload_release(&body);
    peer_release(&p);
    free(bytes);
    assert_next_request_works(10, 10, false);
}

/* Have a peer send `request`, and then do what `then` says; begin has to fail. */
static void assert_begin_fails(struct strbuf *request, enum then then, const char *what)
{
    struct peer p = {.request = *request, .answer = STRBUF_INIT};
    struct http_stream *s = NULL;
    struct error err = {.code = ERR_NONE};
    peer_start(&p, false, then);
    int64_t start = clock_us();
    if (fcgi_stream_begin(stream, p.served_fd, SHORT_MS, &s, &err) != -1)
        fail_msg("%s: was taken for a request", what);
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
    assert_null(s);
    assert_true(clock_us() - start < 10 * INT64_C(1000000));
    assert_int_equal(fcgi_stream_end(stream, false), -1); /* nothing to end: harmless */
    peer_wait(&p);
    peer_release(&p);
    assert_next_request_works(100, 100, false);
}

static void test_a_silent_peer_costs_the_timeout_and_no_more(void **state)
{
    (void)state;
    struct strbuf nothing = STRBUF_INIT, begin = STRBUF_INIT, params = STRBUF_INIT;
    assert_begin_fails(&nothing, STAY_SILENT, "nothing");
    strbuf_addch(&begin, 1);
    assert_begin_fails(&begin, STAY_SILENT, "one byte");
    begin = (struct strbuf)STRBUF_INIT;
    add_begin(&begin, 1, 0);
    assert_begin_fails(&begin, STAY_SILENT, "begin");
    add_begin(&params, 1, 0);
    add_params(&params, 10);
    assert_begin_fails(&params, STAY_SILENT, "parameters without their end");
}

static void test_garbage_is_an_error_and_no_more(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
        {"\1\1\0\1\0\2\0\0xx", 10},                                /* a begin record of two bytes */
        {"\1\1\0\0\0\10\0\0\0\1\0\0\0\0\0\0", 16},                 /* request id 0 */
        {"\1\1\0\1\0\10\0\0\0\3\0\0\0\0\0\0", 16},                 /* a filter, and no parameters */
        {"\1\1\0\1\0\10\0\0\0\63\0\0\0\0\0\0", 16},                /* no such role */
        {"\1\4\0\1\0\0\0\0", 8},                                   /* parameters without begin */
        {"\1\11\0\0\0\0\0\0", 8},                                  /* a management record */
        {"\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0garbage!", 24},         /* after a good begin record */
        {"\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\5\0\1\0\0\0\0", 24}, /* a body before parameters */
        {"\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\2\0\0\5\5\1\4\0\1\0\0\0\0",
         34}, /* cut name */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct strbuf request = STRBUF_INIT;
        strbuf_add(&request, cases[i].bytes, cases[i].size);
        assert_begin_fails(&request, i % 2 ? STAY_SILENT : CLOSE, cases[i].bytes);
    }
    struct strbuf flood = STRBUF_INIT;
    for (int i = 0; i < 100000; i++)
        strbuf_addstr(&flood, "garbage ");
    assert_begin_fails(&flood, CLOSE, "flood");
}

static void test_a_peer_that_leaves_early_is_noticed(void **state)
{
    (void)state;
    struct strbuf whole = STRBUF_INIT;
    add_request(&whole, "", 0, 0);
    /* At every place up to the end of the parameters. */
    for (size_t size = 0; size < whole.size - 8; size += size < 32 ? 1 : 7) {
        struct strbuf request = STRBUF_INIT;
        strbuf_add(&request, whole.text, size);
        assert_begin_fails(&request, CLOSE, "cut");
    }
    strbuf_release(&whole);
}

static void test_a_peer_lost_in_the_body_is_not_its_end(void **state)
{
    (void)state;
    for (int is_silent = 0; is_silent <= 1; is_silent++) {
        struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
        struct http_stream *s;
        struct error err;
        char buf[1000];
        add_begin(&p.request, 1, 0);
        add_params(&p.request, 1000);
        add_record(&p.request, PARAMS, "", 0);
        add_record(&p.request, STDIN, "12345", 5);
        peer_start(&p, false, is_silent ? STAY_SILENT : CLOSE);
        assert_int_equal(fcgi_stream_begin(stream, p.served_fd, SHORT_MS, &s, &err), 0);
        assert_int_equal(s->read(s, buf, sizeof(buf)), 5);
        assert_int_equal(s->read(s, buf, sizeof(buf)), -1);
        assert_int_equal(s->read(s, buf, sizeof(buf)), -1);
        (void)fcgi_stream_end(stream, false);
        peer_wait(&p);
        peer_release(&p);
        assert_next_request_works(10, 10, false);
    }
}

static void test_a_lost_answer_is_reported(void **state)
{
    (void)state;
    char *bytes = calloc(1, 8 << 20);
    static const size_t sizes[] = {10, 8 << 20};
    for (int is_silent = 0; is_silent <= 1; is_silent++) {
        for (size_t i = 0; i < 2; i++) {
            struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
            struct http_stream *s;
            struct error err;
            add_request(&p.request, "", 0, 0);
            peer_start(&p, false, is_silent ? STAY_SILENT : CLOSE);
            assert_int_equal(fcgi_stream_begin(stream, p.served_fd, SHORT_MS, &s, &err), 0);
            if (!is_silent) { /* until it has left, as a worker sees it */
                struct pollfd pfd = {.fd = s->peer_fd, .events = POLLRDHUP};
                assert_int_equal(poll(&pfd, 1, PATIENT_MS), 1);
                assert_true(pfd.revents & POLLRDHUP);
            }
            bool is_small = sizes[i] == 10;
            /* Small answers wait in libfcgi's buffer: only the end can tell. */
            assert_int_equal(s->write(s, bytes, sizes[i]), is_small ? 0 : -1);
            assert_int_equal(fcgi_stream_end(stream, false), is_small && is_silent ? 0 : -1);
            peer_wait(&p);
            peer_release(&p);
            assert_next_request_works(10, 10, false);
        }
    }
    free(bytes);
}

struct failing_source {
    struct http_body_source source;
    int pieces; /* left until it fails */
};

static int next_zeroes(void *context, const void **ret_bytes, size_t *ret_size,
                       struct error *reterr)
{
    static const char zeroes[65536];
    struct failing_source *f = context;
    if (f->pieces-- == 0)
        return error_set(reterr, ERR_UNAVAILABLE, "No more.");
    *ret_bytes = zeroes;
    *ret_size = sizeof(zeroes);
    return 0;
}

/* Answer with a body of a MiB that fails after `pieces` of its 16 pieces. */
static void serve_failing(struct peer *p, int pieces)
{
    static const struct http_limits limits = {100, 65536};
    struct failing_source f = {{next_zeroes, &f}, pieces};
    struct http_stream *s;
    struct http_request *req;
    struct http_response res;
    struct error err;
    struct arena *a = arena_new();
    assert_int_equal(fcgi_stream_begin(stream, p->served_fd, PATIENT_MS, &s, &err), 0);
    assert_int_equal(http_request_read(s, &limits, a, &req, &err), 0);
    http_response_init(&res, a);
    http_response_stream(&res, 200, "x/y", 1 << 20, &f.source);
    assert_int_equal(http_response_send(&res, req), -1);
    assert_int_equal(res.failure.code, ERR_UNAVAILABLE);
    assert_int_equal(fcgi_stream_end(stream, false), -1);
    arena_free(a);
}

static void test_an_answer_that_is_cut_off_ends_with_what_is_no_record(void **state)
{
    static const int pieces[] = {0, 1, 15};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
        add_request(&p.request, "", 0, 0);
        peer_start(&p, i % 2 == 1, READ_ANSWER);
        serve_failing(&p, pieces[i / 2]);
        peer_wait(&p);
        assert_true(p.has_broken_record);
        assert_false(p.has_end);
        const char *content = strstr(p.answer.text, "\r\n\r\n");
        assert_non_null(content);
        assert_int_equal(p.answer.text + p.answer.size - content - 4, pieces[i / 2] * 65536);
        peer_release(&p);
        assert_next_request_works(10, 10, false);
    }
}

static void test_a_body_that_nobody_read_does_not_reset_the_answer(void **state)
{
    (void)state;
    for (int is_tcp = 0; is_tcp <= 1; is_tcp++) {
        struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
        struct http_stream *s;
        struct error err;
        char *bytes = pattern(500000);
        add_request(&p.request, bytes, 500000, 500000);
        peer_start(&p, is_tcp, READ_ANSWER);
        assert_int_equal(fcgi_stream_begin(stream, p.served_fd, PATIENT_MS, &s, &err), 0);
        assert_int_equal(s->write(s, "Status: 413\r\n\r\n", 15), 0);
        assert_int_equal(fcgi_stream_end(stream, false), 0);
        peer_wait(&p);
        assert_true(p.has_end);
        assert_string_equal(p.answer.text, "Status: 413\r\n\r\n");
        peer_release(&p);
        free(bytes);
    }
}

static void test_a_connection_is_closed_even_if_the_peer_would_keep_it(void **state)
{
    (void)state;
    struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
    struct payload body = PAYLOAD_INIT;
    struct error err;
    add_begin(&p.request, 1, 1);
    add_params(&p.request, 0);
    add_record(&p.request, PARAMS, "", 0);
    add_record(&p.request, STDIN, "", 0);
    peer_start(&p, false, READ_ANSWER);
    assert_int_equal(serve(&p, 10, &body, &err), 0);
    peer_wait(&p);
    assert_true(p.has_end);
    payload_release(&body);
    peer_release(&p); /* the descriptors are counted afterwards */
}

/* ---- kept connections: the peer's end is played in the same thread, whose writes fit the socket
 */

struct raw_answer {
    struct strbuf bytes, content; /* all of it; that of stdout */
    size_t end; /* where the end record ends, padding included; 0: there is none */
    int end_padding, records_behind;
};

/* What has been sent so far, record by record. */
static void take_answer(int fd, struct raw_answer *ret_answer)
{
    static char piece[1 << 20];
    *ret_answer = (struct raw_answer){.bytes = STRBUF_INIT, .content = STRBUF_INIT};
    struct strbuf *bytes = &ret_answer->bytes;
    ssize_t n;
    while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0)
        strbuf_add(bytes, piece, (size_t)n);
    for (size_t at = 0; at < bytes->size;) {
        const unsigned char *head = (unsigned char *)bytes->text + at;
        assert_true(at + 8 <= bytes->size && head[0] == 1 && head[2] == 0 && head[3] == 1);
        size_t size = (size_t)head[4] << 8 | head[5];
        assert_true(at + 8 + size + head[6] <= bytes->size);
        ret_answer->records_behind += ret_answer->end > 0;
        if (head[1] == STDOUT)
            strbuf_add(&ret_answer->content, bytes->text + at + 8, size);
        at += 8 + size + head[6];
        if (head[1] == END) {
            ret_answer->end = at;
            ret_answer->end_padding = head[6];
        }
    }
}

static void release_answer(struct raw_answer *answer)
{
    strbuf_release(&answer->bytes);
    strbuf_release(&answer->content);
}

static void send_request(int fd, int flags, size_t body_size)
{
    struct strbuf request = STRBUF_INIT;
    char *body = pattern(body_size);
    add_begin(&request, 1, flags);
    add_params(&request, body_size);
    add_record(&request, PARAMS, "", 0);
    add_stream(&request, STDIN, body, body_size);
    add_record(&request, STDIN, "", 0);
    assert_int_equal(send(fd, request.text, request.size, MSG_NOSIGNAL), request.size);
    strbuf_release(&request);
    free(body);
}

static struct http_stream *begin(int fd)
{
    struct http_stream *s;
    struct error err;
    if (fcgi_stream_begin(stream, fd, SHORT_MS, &s, &err) != 0)
        fail_msg("%s", err.detail);
    return s;
}

static void read_body(struct http_stream *s, size_t size)
{
    char buf[4096];
    while (size > 0) {
        ssize_t n = s->read(s, buf, size < sizeof(buf) ? size : sizeof(buf));
        assert_true(n > 0);
        size -= (size_t)n;
    }
}

static void test_a_kept_connection_takes_request_after_request(void **state)
{
    static const size_t bodies[] = {0, 10, 8192 - 24, 100000};
    static const size_t answers[] = {0, 1, 7, 8, 16311, 16312, 16313, 16384, 65528, 65529, 100003};
    (void)state;
    int fds[2];
    char *bytes = pattern(100003);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (size_t i = 0; i < 44; i++) {
        size_t body = bodies[i % 4], size = answers[i % 11];
        struct raw_answer answer;
        send_request(fds[0], 1, body);
        struct http_stream *s = begin(fds[1]);
        read_body(s, body);
        assert_int_equal(s->write(s, "head", 4), 0);
        assert_int_equal(s->write(s, bytes, size), 0);
        assert_true(fcgi_stream_can_keep(stream));
        assert_int_equal(fcgi_stream_end(stream, true), 0);
        assert_int_equal(fcgi_stream_kept_fd(stream), fds[1]);
        take_answer(fds[0], &answer);
        assert_true(answer.end > 0 && answer.end == answer.bytes.size);
        assert_int_equal(answer.content.size, 4 + size);
        assert_memory_equal(answer.content.text + 4, bytes, size);
        release_answer(&answer);
    }
    assert_false(fcgi_stream_has_left(stream));
    (void)close(fds[0]);
    assert_true(fcgi_stream_has_left(stream));
    fcgi_stream_drop(stream);
    assert_int_equal(fcgi_stream_kept_fd(stream), -1);
    free(bytes);
}

/* nginx takes a connection for kept when what it has read ends with the end record. */
static void test_an_answer_whose_connection_closes_goes_on_behind_its_end(void **state)
{
    (void)state;
    char *bytes = pattern(70000);
    for (size_t size = 0; size < 70000; size += size < 20 ? 1 : 3331) {
        int fds[2];
        char rest;
        struct raw_answer answer;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        send_request(fds[0], 1, 0);
        struct http_stream *s = begin(fds[1]);
        assert_int_equal(s->write(s, bytes, size), 0);
        assert_true(fcgi_stream_can_keep(stream));
        assert_int_equal(fcgi_stream_end(stream, false), 0);
        assert_int_equal(fcgi_stream_kept_fd(stream), -1);
        take_answer(fds[0], &answer);
        assert_int_equal(answer.content.size, size);
        assert_int_equal(answer.records_behind, 1);
        assert_int_equal(answer.end % 8, 1); /* no buffer ends there */
        assert_int_equal(answer.bytes.size % 8, 0);
        assert_int_equal(recv(fds[0], &rest, 1, 0), 0); /* closed */
        (void)close(fds[0]);
        release_answer(&answer);
    }
    free(bytes);
}

static void test_only_whole_requests_of_peers_that_ask_for_it_are_kept(void **state)
{
    enum { NOT_ASKED, HALF_READ, NOT_READ, BROKEN_OFF, LOST, CASE_COUNT };
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        send_request(fds[0], i != NOT_ASKED, 20000);
        struct http_stream *s = begin(fds[1]);
        if (i != NOT_READ)
            read_body(s, i == HALF_READ ? 10000 : 20000);
        if (i == LOST)
            (void)close(fds[0]);
        if (i == BROKEN_OFF)
            s->abort(s);
        else
            assert_int_equal(s->write(s, "x", 1), 0);
        assert_int_equal(fcgi_stream_can_keep(stream), i == LOST);
        assert_int_equal(fcgi_stream_end(stream, i == LOST), i == LOST || i == BROKEN_OFF ? -1 : 0);
        assert_int_equal(fcgi_stream_kept_fd(stream), -1);
        if (i != LOST)
            (void)close(fds[0]);
        assert_next_request_works(10, 10, false);
    }
}

static void test_garbage_between_two_requests_is_an_error_and_no_more(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.0\r\n\r\n", "\1", "\1\1\1", "\1\4\1\1", ""};
    (void)state;
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        int fds[2];
        struct http_stream *s;
        struct error err;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        send_request(fds[0], 1, 0);
        (void)begin(fds[1]);
        assert_true(fcgi_stream_can_keep(stream));
        assert_int_equal(fcgi_stream_end(stream, true), 0);
        (void)!write(fds[0], garbage[i], strlen(garbage[i])); /* and silence */
        assert_int_equal(fcgi_stream_begin(stream, fds[1], SHORT_MS, &s, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_int_equal(fcgi_stream_kept_fd(stream), -1);
        (void)close(fds[0]);
        assert_next_request_works(10, 10, false);
    }
}

/* The peer sees a record without content, in an answer one that means nothing. */
static void test_a_request_sent_while_the_connection_is_recalled_is_served(void **state)
{
    (void)state;
    int fds[2];
    struct raw_answer answer;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    send_request(fds[0], 1, 0);
    (void)begin(fds[1]);
    assert_true(fcgi_stream_can_keep(stream));
    assert_int_equal(fcgi_stream_end(stream, true), 0);
    take_answer(fds[0], &answer);
    release_answer(&answer);
    send_request(fds[0], 1, 5);
    assert_int_equal(fcgi_stream_recall(stream), 0);
    struct http_stream *s = begin(fds[1]);
    read_body(s, 5);
    assert_int_equal(s->write(s, "last", 4), 0);
    assert_int_equal(fcgi_stream_end(stream, false), 0);
    take_answer(fds[0], &answer);
    assert_memory_equal(answer.bytes.text, "\1\7\0\1\0\0\0\0", 8);
    assert_string_equal(answer.content.text, "last");
    assert_int_equal(answer.records_behind, 1);
    release_answer(&answer);
    (void)close(fds[0]);
}

static void test_what_is_not_a_socket_is_refused_and_closed(void **state)
{
    (void)state;
    int fds[2];
    struct http_stream *s;
    struct error err;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcgi_stream_begin(stream, fds[0], SHORT_MS, &s, &err), -1);
    (void)close(fds[1]);
}

static void on_signal(int number)
{
    (void)number;
}

static void test_signal_handlers_stay_the_callers(void **state)
{
    (void)state;
    struct sigaction now;
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, on_signal);
    assert_int_equal(sigaction(SIGUSR1, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
}

static int open_stream(void **state)
{
    (void)state;
    (void)signal(SIGTERM, on_signal);
    stream = fcgi_stream_new();
    return stream ? 0 : -1;
}

static int close_stream(void **state)
{
    (void)state;
    fcgi_stream_free(stream);
    fcgi_stream_free(NULL);
    return 0;
}

#define LEAK_CHECKED(test) \
    cmocka_unit_test_setup_teardown(test, note_descriptors, check_descriptors)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAK_CHECKED(test_bodies_and_answers_arrive_whole),
        LEAK_CHECKED(test_a_body_shorter_than_content_length_is_refused),
        LEAK_CHECKED(test_a_silent_peer_costs_the_timeout_and_no_more),
        LEAK_CHECKED(test_garbage_is_an_error_and_no_more),
        LEAK_CHECKED(test_a_peer_that_leaves_early_is_noticed),
        LEAK_CHECKED(test_a_peer_lost_in_the_body_is_not_its_end),
        LEAK_CHECKED(test_a_lost_answer_is_reported),
        LEAK_CHECKED(test_an_answer_that_is_cut_off_ends_with_what_is_no_record),
        LEAK_CHECKED(test_a_body_that_nobody_read_does_not_reset_the_answer),
        LEAK_CHECKED(test_a_connection_is_closed_even_if_the_peer_would_keep_it),
        LEAK_CHECKED(test_a_kept_connection_takes_request_after_request),
        LEAK_CHECKED(test_an_answer_whose_connection_closes_goes_on_behind_its_end),
        LEAK_CHECKED(test_only_whole_requests_of_peers_that_ask_for_it_are_kept),
        LEAK_CHECKED(test_garbage_between_two_requests_is_an_error_and_no_more),
        LEAK_CHECKED(test_a_request_sent_while_the_connection_is_recalled_is_served),
        LEAK_CHECKED(test_what_is_not_a_socket_is_refused_and_closed),
        cmocka_unit_test(test_signal_handlers_stay_the_callers),
    };
    return cmocka_run_group_tests(tests, open_stream, close_stream);
}
