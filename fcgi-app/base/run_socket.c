/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_socket.c - see run_socket.h
 */
#include "base/run_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/user.h"

#define ANSWER_MAX ((size_t)64 << 20) /* bytes; what is longer is no answer */

static int make_address(const struct config *cfg, const char *name, struct sockaddr_un *ret_address,
                        struct error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", cfg->server_run_dir, name);
    if (length < 0 || (size_t)length >= sizeof(address.sun_path))
        return error_set(reterr, ERR_INTERNAL, "server.run_dir is too long for a socket's name.");
    *ret_address = address;
    return 0;
}

/* Only a socket is removed, and without `replaces` only one that nobody answers on. */
static int remove_stale(const struct sockaddr_un *address, int type, bool replaces,
                        struct error *reterr)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(reterr, ERR_INTERNAL, "%s is there and is not a socket.",
                         address->sun_path);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(reterr, "run_socket: socket");
    bool is_stale =
        replaces || (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                     errno == ECONNREFUSED);
    (void)close(fd);
    if (!is_stale)
        return error_set(reterr, ERR_INTERNAL, "Somebody listens on %s already.",
                         address->sun_path);
    (void)unlink(address->sun_path);
    return 0;
}

static int bind_socket(int fd, const struct sockaddr_un *address, int type, int backlog,
                       struct error *reterr)
{
    mode_t mask = umask(0117); /* owner and group */
    bool is_bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    int saved = errno;
    (void)umask(mask);
    if (!is_bound || (type == SOCK_STREAM && listen(fd, backlog) != 0))
        return error_set(reterr, ERR_INTERNAL, "Cannot listen on %s: %s.", address->sun_path,
                         strerror(is_bound ? errno : saved));
    return 0;
}

int run_socket_open(const struct config *cfg, const char *name, int type, int backlog,
                    bool replaces, struct run_socket *ret_socket, struct error *reterr)
{
    struct run_socket s = RUN_SOCKET_NONE;
    if (make_address(cfg, name, &s.address, reterr) != 0 ||
        remove_stale(&s.address, type, replaces, reterr) != 0)
        return -1;
    s.fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s.fd < 0)
        return error_errno(reterr, "run_socket: socket");
    if (bind_socket(s.fd, &s.address, type, backlog, reterr) != 0) {
        (void)close(s.fd);
        return -1;
    }
    struct stat st;
    s.inode = lstat(s.address.sun_path, &st) == 0 ? st.st_ino : 0;
    if (user_give_file(cfg->server_user, s.address.sun_path, reterr) != 0) {
        run_socket_close(&s);
        return -1;
    }
    *ret_socket = s;
    return 0;
}

void run_socket_close(struct run_socket *s)
{
    if (s->fd < 0)
        return;
    struct stat st;
    if (lstat(s->address.sun_path, &st) == 0 && st.st_ino == s->inode)
        (void)unlink(s->address.sun_path); /* before it is closed: behind us another may come */
    (void)close(s->fd);
    s->fd = -1;
}

static int connect_to(const struct config *cfg, const char *name, const char *who, int *ret_fd,
                      struct error *reterr)
{
    struct sockaddr_un address;
    if (make_address(cfg, name, &address, reterr) != 0)
        return -1;
    /* Non-blocking: behind one that hangs, connect() would wait for a place in its backlog. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(reterr, "run_socket: socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)error_set(reterr, ERR_UNAVAILABLE, "%s %s (%s: %s).", who,
                        errno == EACCES   ? "cannot be asked"
                        : errno == EAGAIN ? "does not answer"
                                          : "does not run",
                        address.sun_path, strerror(errno));
        (void)close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

enum reading { READ_MORE, READ_END, READ_FAILED };

/* Reads what is there. */
static enum reading read_some(int fd, struct strbuf *text, size_t most)
{
    char bytes[16384];
    ssize_t size = read(fd, bytes, sizeof(bytes));
    if (size == 0)
        return READ_END;
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? READ_MORE : READ_FAILED;
    if ((size_t)size > most - text->size)
        return READ_FAILED;
    strbuf_add(text, bytes, (size_t)size);
    return READ_MORE;
}

/* One that never stops sending is always readable, so the clock is looked at too. */
static bool wait_for_some(struct pollfd *polled, int count, int64_t deadline_us)
{
    return clock_us() < deadline_us && poll(polled, (nfds_t)count, clock_poll_ms(deadline_us)) > 0;
}

int run_socket_fetch(const struct config *cfg, const char *name, const char *who, int timeout_ms,
                     struct strbuf *ret_text, struct error *reterr)
{
    struct pollfd p = {.fd = -1, .events = POLLIN};
    if (connect_to(cfg, name, who, &p.fd, reterr) != 0)
        return -1;
    int64_t deadline_us = clock_us() + (int64_t)timeout_ms * 1000;
    size_t most = ret_text->size + ANSWER_MAX;
    enum reading reading = READ_MORE;
    while (reading == READ_MORE && wait_for_some(&p, 1, deadline_us))
        reading = read_some(p.fd, ret_text, most);
    (void)close(p.fd);
    if (reading != READ_END || ret_text->size == 0)
        return error_set(reterr, ERR_UNAVAILABLE, "%s did not answer.", who);
    return 0;
}

void run_socket_fetch_all(const struct config *cfg, struct run_socket_question *questions,
                          int count, int timeout_ms)
{
    struct pollfd polled[RUN_SOCKET_QUESTIONS_MAX];
    int64_t deadline_us = clock_us() + (int64_t)timeout_ms * 1000;
    struct error ignored;
    int open_count = 0;
    if (count > RUN_SOCKET_QUESTIONS_MAX)
        count = RUN_SOCKET_QUESTIONS_MAX;
    for (int i = 0; i < count; i++) {
        polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
        if (connect_to(cfg, questions[i].name, "", &polled[i].fd, &ignored) == 0)
            open_count++;
    }
    while (open_count > 0 && wait_for_some(polled, count, deadline_us)) {
        for (int i = 0; i < count; i++) {
            if (polled[i].fd < 0 || polled[i].revents == 0)
                continue;
            enum reading reading = read_some(polled[i].fd, &questions[i].text, ANSWER_MAX);
            if (reading == READ_MORE)
                continue;
            if (reading == READ_FAILED)
                strbuf_reset(&questions[i].text);
            (void)close(polled[i].fd);
            polled[i].fd = -1;
            open_count--;
        }
    }
    for (int i = 0; i < count; i++) {
        if (polled[i].fd < 0)
            continue;
        (void)close(polled[i].fd);
        strbuf_reset(&questions[i].text); /* half an answer is none */
    }
}
