/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.h - a master's answer on its status socket
 *
 * The socket is NAME.status in server.run_dir. Whoever connects gets one JSON object
 * and the end of the connection; docs/operations.md describes it.
 */
#ifndef POOL_STATUS_H
#define POOL_STATUS_H

#include "base/strbuf.h"
#include "pool/generation.h"

struct pool_status {
    enum pool_kind kind;
    int64_t started_us;
    bool is_draining;
    int listen_fd;
    const struct generation *generations; /* newest first */
    const struct exit_counts *exits;      /* by child kind */
};

/* Append the JSON object. */
void status_print(const struct pool_status *status, struct strbuf *out);

#define STATUS_NAME_SIZE 32

/* The name of its socket in server.run_dir: "api.status". */
void status_socket_name(enum pool_kind kind, char name[STATUS_NAME_SIZE]);

#endif
