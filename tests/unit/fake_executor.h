/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_executor.h - executors without modules or a sandbox, each with the manners that a test of
 * the waiting side needs. They are executor 0 of their gang, in forks of the test.
 */
#ifndef TESTS_UNIT_FAKE_EXECUTOR_H
#define TESTS_UNIT_FAKE_EXECUTOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "exec/gang.h"
#include "exec/wire.h"

#define FOR_EVER 60 /* seconds: no test takes as long, and a failing one ends */

typedef void (*manners)(const struct gang *g, int fd, const struct wire_message *m);

/* As executors do: false when it was withdrawn. */
static inline bool begin(const struct gang *g, const struct wire_message *m)
{
    return control_begin(gang_control(g, 0), m->run);
}

/* False when nobody waits for it. */
static inline bool send_plain(int fd, enum wire_kind kind, uint64_t run)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &p, .error = &err};
    if (kind == WIRE_RESULT) {
        wire_put_u64(&w, 5);
        wire_put_u64(&w, 4096);
        wire_put_u64(&w, 0);
    }
    bool is_sent = wire_send(fd, kind, run, &p, 0, &err) == 0;
    payload_release(&p);
    return is_sent;
}

static inline void serve_politely(const struct gang *g, int fd, const struct wire_message *m)
{
    if (!begin(g, m))
        return;
    control_end(gang_control(g, 0), m->run);
    (void)send_plain(fd, WIRE_RESULT, m->run);
}

static inline void start_and_stop_when_told(const struct gang *g, int fd,
                                            const struct wire_message *m)
{
    (void)begin(g, m);
    while (atomic_load(&gang_control(g, 0)->stop_run) != m->run)
        (void)usleep(1000);
    (void)send_plain(fd, WIRE_RESULT, m->run); /* whatever it says now, nobody hears it */
}

static inline void start_and_hang(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)fd;
    (void)begin(g, m);
    (void)sleep(FOR_EVER);
}

static inline void start_and_hold_memory(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)fd;
    size_t size = 16 * 1024 * 1024;
    char *bytes = malloc(size);
    (void)begin(g, m);
    while (bytes) { /* again and again: idle memory may be swapped out */
        explicit_bzero(bytes, size);
        (void)usleep(10000);
    }
}

static inline void start_and_talk_nonsense(const struct gang *g, int fd,
                                           const struct wire_message *m)
{
    (void)begin(g, m);
    (void)send(fd, "nonsense", 8, MSG_NOSIGNAL);
    (void)sleep(FOR_EVER);
}

static inline void start_and_crash(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)fd;
    (void)begin(g, m);
    (void)raise(SIGKILL);
}

/* Hangs up before it has said anything. */
static inline void be_moody(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)g;
    (void)m;
    (void)shutdown(fd, SHUT_RDWR);
}

/* Accepts, and never looks at the order. */
static inline void be_deaf(const struct gang *g, int fd, const struct wire_message *m)
{
    (void)g;
    (void)fd;
    (void)m;
    (void)sleep(FOR_EVER);
}

/* Ends a run, and gives memory back before it takes the next. */
static inline void end_and_linger(const struct gang *g, int fd, const struct wire_message *m,
                                  useconds_t us)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &p, .error = &err};
    if (!begin(g, m))
        return;
    for (int i = 0; i < 3; i++)
        wire_put_u64(&w, 1);
    (void)wire_send(fd, WIRE_RESULT, m->run, &p, 0, &err);
    payload_release(&p);
    (void)usleep(us);
    (void)send_plain(fd, WIRE_IDLE, m->run);
}

static inline void serve_and_linger(const struct gang *g, int fd, const struct wire_message *m)
{
    end_and_linger(g, fd, m, 20000);
}

static inline void serve_and_linger_on(const struct gang *g, int fd, const struct wire_message *m)
{
    end_and_linger(g, fd, m, FOR_EVER * 1000000);
}

/* As one does that is recycled: gone before anybody has read what it sent. */
static inline void serve_once_and_leave(const struct gang *g, int fd, const struct wire_message *m)
{
    serve_politely(g, fd, m);
    _exit(0);
}

/* As executors do: a connection is the worker's, who keeps it. Others are not taken meanwhile. */
static inline void serve(const struct gang *g, manners how)
{
    for (;;) {
        struct wire_message m;
        struct error err;
        int fd = accept4(gang_listen_fd(g, 0), NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            _exit(1);
        while (wire_receive(fd, SIZE_MAX, &m, &err) == 1) {
            how(g, fd, &m);
            payload_release(&m.payload);
        }
        (void)close(fd);
    }
}

#endif
