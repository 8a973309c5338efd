/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backlog.h - how many connections wait in the kernel for a listening socket
 */
#ifndef POOL_BACKLOG_H
#define POOL_BACKLOG_H

#include <stdbool.h>

/*
 * Connections in the accept queue of listening Unix socket `fd`, and its limit, by
 * NETLINK_SOCK_DIAG (sock_diag(7), UDIAG_SHOW_RQLEN). False where the kernel does not tell (another
 * address family, a private network namespace).
 */
bool backlog_read(int fd, int *ret_queued, int *ret_limit);

#endif
