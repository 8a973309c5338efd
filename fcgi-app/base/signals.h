/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signals.h - signals as something to read, for main loops
 */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H

#include "base/error.h"

/*
 * Block the signals of `handled`, which ends with 0, and open a non-blocking signalfd(2) that tells
 * of them; SIGPIPE is ignored.
 */
int signals_open(const int *handled, int *ret_fd, struct error *reterr);

#endif
