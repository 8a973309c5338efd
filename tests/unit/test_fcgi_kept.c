/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fcgi_kept.c - a connection that is kept takes request after request, and nobody mistakes its
 * end
 *
 * The peer's end is played in the same thread, whose writes fit the socket.
 */
#include "fcgi_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEAK_CHECKED(test_a_kept_connection_takes_request_after_request),
        LEAK_CHECKED(test_an_answer_whose_connection_closes_goes_on_behind_its_end),
        LEAK_CHECKED(test_only_whole_requests_of_peers_that_ask_for_it_are_kept),
        LEAK_CHECKED(test_garbage_between_two_requests_is_an_error_and_no_more),
        LEAK_CHECKED(test_a_request_sent_while_the_connection_is_recalled_is_served),
    };
    return cmocka_run_group_tests(tests, open_stream, close_stream);
}
