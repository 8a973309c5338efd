/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status_table.h - `gangsaw status`, for people and as JSON
 */
#ifndef POOL_STATUS_TABLE_H
#define POOL_STATUS_TABLE_H

#include <stdbool.h>

#include "base/config.h"

/*
 * Print the status of every pool of this host on stdout: tables, or one JSON object {"pools":
 * {NAME: …}}. Returns the exit status: 0 when all of them run, else 3.
 */
int status_command(const struct config *cfg, bool as_json);

#endif
