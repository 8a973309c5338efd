/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcgi_peer.h - a thread that plays the web server and speaks FastCGI records by hand, or badly
 */
#ifndef TESTS_FCGI_PEER_H
#define TESTS_FCGI_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, GET_VALUES = 9 };
enum then { READ_ANSWER, CLOSE, STAY_SILENT };

struct peer {
    int fd, served_fd;
    enum then then;
    struct strbuf request, answer;
    bool has_end; /* the END_REQUEST record came */
    bool has_broken_record;
    pthread_t thread;
    int quit[2]; /* a silent peer waits for the end of this pipe */
};

static inline void add_record(struct strbuf *sb, int type, const char *bytes, size_t size)
{
    unsigned char padding = size % 8 ? (unsigned char)(8 - size % 8) : 0;
    const unsigned char head[8] = {
        1, (unsigned char)type, 0, 1, (unsigned char)(size >> 8), (unsigned char)size, padding, 0};
    strbuf_add(sb, head, sizeof(head));
    strbuf_add(sb, bytes, size);
    strbuf_add(sb, "\0\0\0\0\0\0\0", padding);
}

static inline void add_stream(struct strbuf *sb, int type, const char *bytes, size_t size)
{
    while (size > 0) {
        size_t n = size < 32768 ? size : 32768;
        add_record(sb, type, bytes, n);
        bytes += n;
        size -= n;
    }
}

static inline void add_begin(struct strbuf *sb, int role, int flags)
{
    const char body[8] = {0, (char)role, (char)flags};
    add_record(sb, BEGIN, body, sizeof(body));
}

static inline void add_param(struct strbuf *sb, const char *name, const char *value)
{
    uint32_t size = htonl((uint32_t)strlen(value) | 0x80000000);
    strbuf_addch(sb, (char)strlen(name));
    strbuf_add(sb, &size, sizeof(size));
    strbuf_addstr(sb, name);
    strbuf_addstr(sb, value);
}

static inline void add_params(struct strbuf *sb, size_t content_length)
{
    struct strbuf params = STRBUF_INIT;
    char number[32];
    (void)snprintf(number, sizeof(number), "%zu", content_length);
    add_param(&params, "REQUEST_METHOD", "POST");
    add_param(&params, "DOCUMENT_URI", "/echo");
    add_param(&params, "CONTENT_LENGTH", number);
    add_stream(sb, PARAMS, params.text, params.size);
    strbuf_release(&params);
}

/* A whole request whose body is `size` bytes while it says it is `content_length`. */
static inline void add_request(struct strbuf *sb, const char *body, size_t size,
                               size_t content_length)
{
    add_begin(sb, 1, 0);
    add_params(sb, content_length);
    add_record(sb, PARAMS, "", 0);
    add_stream(sb, STDIN, body, size);
    add_record(sb, STDIN, "", 0);
}

static inline bool read_exactly(int fd, void *buf, size_t size)
{
    for (char *p = buf; size > 0;) {
        ssize_t n = read(fd, p, size);
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static inline void read_answer(struct peer *p)
{
    static char content[65536 + 256]; /* one peer at a time */
    unsigned char head[8];
    while (!p->has_end && read_exactly(p->fd, head, sizeof(head))) {
        size_t size = (size_t)head[4] << 8 | head[5];
        if (!read_exactly(p->fd, content, size + head[6]))
            return;
        if (head[1] == STDOUT)
            strbuf_add(&p->answer, content, size);
        p->has_end = head[1] == END;
        p->has_broken_record = p->has_broken_record || head[0] != 1;
    }
}

static inline void *play_peer(void *argument)
{
    struct peer *p = argument;
    for (size_t at = 0; at < p->request.size;) {
        ssize_t n = send(p->fd, p->request.text + at, p->request.size - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    if (p->then == READ_ANSWER) {
        read_answer(p);
    } else if (p->then == STAY_SILENT) {
        char c;
        (void)!read(p->quit[0], &c, 1);
    }
    (void)close(p->fd);
    return NULL;
}

static inline void tcp_pair(int fds[2])
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(sa);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&sa, size), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    (void)close(listener);
}

static inline void peer_start(struct peer *p, bool is_tcp, enum then then)
{
    int fds[2];
    if (is_tcp)
        tcp_pair(fds);
    else
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    p->fd = fds[0];
    p->served_fd = fds[1];
    p->then = then;
    assert_int_equal(pipe(p->quit), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, play_peer, p), 0);
}

static inline void peer_wait(struct peer *p)
{
    (void)close(p->quit[1]);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    (void)close(p->quit[0]);
}

static inline void peer_release(struct peer *p)
{
    strbuf_release(&p->request);
    strbuf_release(&p->answer);
}

#endif
