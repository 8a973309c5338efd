/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.h - the hub's own sockets in server.run_dir
 */
#ifndef HUB_LISTEN_H
#define HUB_LISTEN_H

#include <sys/un.h>

#include "base/config.h"
#include "base/error.h"

/* The address of server.run_dir/NAME. Errors: ERR_INTERNAL when it is too long for one. */
int listen_address(const struct config *cfg, const char *name, struct sockaddr_un *ret_address,
                   struct error *reterr);

/*
 * Listen there, without blocking; owner and group may connect. Root gives the socket to
 * server.user. One that is left of a process that was killed is replaced. Errors: ERR_INTERNAL,
 * also where somebody listens already.
 */
int listen_open(const struct config *cfg, const struct sockaddr_un *address, int backlog,
                int *ret_fd, struct error *reterr);

#endif
