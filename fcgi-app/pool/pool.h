/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - a master process with its workers and executors on one socket
 *
 * `spawn-fcgi -n … -- gangsaw pool NAME` starts the master with the listening socket as descriptor
 * 0. It starts everything else, replaces what dies, and never touches a request. Pool `compute`
 * has executors, pool `api` has none.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

#define POOL_STATUS_VERSION 1

enum pool_kind { POOL_API, POOL_COMPUTE, POOL_KIND_COUNT };

/* "api", "compute"; NULL beyond the last. */
const char *pool_name(enum pool_kind kind);

/* The kind of that name; -1 when there is none. */
int pool_kind_parse(const char *name);

/* A worker's descriptors after 0 (listening), 1 and 2. */
enum worker_fd {
    WORKER_FD_LIFELINE = 3, /* of all of its generation */
    WORKER_FD_ORDERS,       /* its fork server's */
    WORKER_FD_SCOREBOARD,
    WORKER_FD_CONFIG, /* its generation's configuration, whatever the file says by now */
    WORKER_FD_GANG,   /* the first of all that gang_join() takes */
};

/* Run as the master until TERM or INT. Returns the exit status. */
int master_main(enum pool_kind kind, struct arena *a, struct config *cfg);

/* Run as the fork server of a generation, which its master alone starts, and as each worker. */
int worker_main(enum pool_kind kind, const struct config *cfg);

/*
 * Status of a running pool, as JSON text, from its master's own socket in server.run_dir.
 * Errors: ERR_UNAVAILABLE when it does not run or does not answer within `timeout_ms`.
 */
int pool_status_fetch(const struct config *cfg, enum pool_kind kind, int timeout_ms,
                      struct strbuf *ret_json, struct error *reterr);

#endif
