/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork_server.h - what all workers of a generation have in common is there once
 *
 * A generation's fork server is started like any child of the master, by fork and exec. It reads
 * configuration and catalogue, and then forks a worker for each word of the master's. So a worker
 * starts within a millisecond, and has memory of its own for no more than it writes. Workers are
 * children of the master all the same (CLONE_PARENT). Each word is answered before the master goes
 * on: it never reaps a worker that it does not know.
 *
 * It and the workers have a session of their own. Where the scheduler shares cores out by session
 * (kernel.sched_autogroup_enabled), they would wait in the master's behind its executors, which
 * take all of that session's part; so whoever only refuses or answers goes before a run, as in the
 * pool api.
 */
#ifndef POOL_FORK_SERVER_H
#define POOL_FORK_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Two ends of a new connection: ret_ends[0] is the fork server's, ret_ends[1] the master's. */
int fork_server_connect(int ret_ends[2], struct error *reterr);

/* ---- the master */

/* Has it said, since it was last asked, that it is ready? Does not wait. */
bool fork_server_is_ready(int fd);

/*
 * Have it fork worker number `index`. Errors: ERR_UNAVAILABLE when it is gone or stands still, so
 * that it has to be replaced, else ERR_INTERNAL.
 */
int fork_server_ask(int fd, int index, pid_t *ret_pid, struct error *reterr);

/* ---- the fork server */

/*
 * Say that it is ready, and fork what is asked for. Returns many times: in each worker with its
 * number, and in the fork server with -1 when the master has closed its end. Nothing random may
 * have been drawn by then: all workers would draw it again.
 */
int fork_server_run(int fd);

#endif
