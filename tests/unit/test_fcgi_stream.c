/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fcgi_stream.c - no peer can make a worker hang, lose a request unnoticed or leak a
 * descriptor
 *
 * All requests, good and bad, go through one stream object, as in a worker.
 */
#include "fcgi_fixture.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"

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

static int open_with_handler(void **state)
{
    (void)signal(SIGTERM, on_signal);
    return open_stream(state);
}

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
        LEAK_CHECKED(test_what_is_not_a_socket_is_refused_and_closed),
        cmocka_unit_test(test_signal_handlers_stay_the_callers),
    };
    return cmocka_run_group_tests(tests, open_with_handler, close_stream);
}
