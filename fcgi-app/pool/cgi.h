/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgi.h - one plain CGI request (RFC 3875), with one executor of its own
 *
 * For hosts that have only CGI, and for tests: the same routes, limits and answers as a pool's,
 * without its warm engines.
 */
#ifndef POOL_CGI_H
#define POOL_CGI_H

#include "base/config.h"

/* Answer the request in the environment and on stdin. Returns the exit status. */
int cgi_main(const struct config *cfg);

#endif
