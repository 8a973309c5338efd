/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loopback.h - does a request come from this host, and by a name that only this host can mean?
 */
#ifndef API_LOOPBACK_H
#define API_LOOPBACK_H

#include <stdbool.h>

#include "http/request.h"

/* A Host: localhost, what ends with .localhost (RFC 6761), 127.0.0.0/8, [::1]; with a port or
 * without. */
bool loopback_is_host(const char *host);

/*
 * Server's address and Host of a request, and its client's address, which is another one only where
 * a proxy passes it on; a proxy that names its client in a field is none of this host. Plain CGI
 * need not say the server's address: there SERVER_NAME has to be a loopback name and the client's
 * address a loopback one; without a client's address it was started by hand.
 */
bool loopback_is_request(const struct http_request *req);

#endif
