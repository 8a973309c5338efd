/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_socket.h - Unix sockets in server.run_dir: made, asked, removed
 *
 * Owner and group may connect; made by root they belong to server.user. What a killed process left
 * behind is replaced. Whoever goes removes a socket only if it is still its own.
 */
#ifndef BASE_RUN_SOCKET_H
#define BASE_RUN_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

struct run_socket {
    int fd; /* non-blocking; -1: none */
    struct sockaddr_un address;
    ino_t inode; /* of its name */
};

#define RUN_SOCKET_NONE \
    {                   \
        .fd = -1        \
    }

/*
 * Make socket `name` ("hub.status") of `type`: SOCK_STREAM, listening, or SOCK_DGRAM. With
 * `replaces` the name is taken over even from a process that answers on it: one that drains while
 * its successor starts. Errors: ERR_INTERNAL; the detail names the path and what is wrong.
 */
int run_socket_open(const struct config *cfg, const char *name, int type, int backlog,
                    bool replaces, struct run_socket *ret_socket, struct error *reterr);

/* Remove and close it. Nothing to do for RUN_SOCKET_NONE. */
void run_socket_close(struct run_socket *s);

/*
 * What the process behind `name` sends to who connects, to the end of the connection; appended.
 * `who` begins the detail: "The runner". Errors: ERR_UNAVAILABLE when it does not run, or has not
 * answered in full, with 64 MiB at most, within `timeout_ms`.
 */
int run_socket_fetch(const struct config *cfg, const char *name, const char *who, int timeout_ms,
                     struct strbuf *ret_text, struct error *reterr);

/* The same of several at a time, for no longer than `timeout_ms` in all. */
#define RUN_SOCKET_QUESTIONS_MAX 8
struct run_socket_question {
    const char *name;   /* of the socket */
    struct strbuf text; /* the answer, released by the caller; empty: there was none */
};
void run_socket_fetch_all(const struct config *cfg, struct run_socket_question *questions,
                          int count, int timeout_ms);

#endif
