/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status_table.h - `gangsaw status`, for people and as JSON
 *
 * The pools are this folder's; what else runs on a host comes as a list of sources from main.c,
 * since its folders lie beside this one.
 */
#ifndef POOL_STATUS_TABLE_H
#define POOL_STATUS_TABLE_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

/* A process that is no pool: its status is a JSON object, printed as it comes. */
struct status_source {
    const char *name; /* "runner"; a list of these ends with NULL */
    int (*fetch)(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                 struct error *reterr);
};

/*
 * Print the status of every pool of this host, and of `others`, on stdout: tables, or one JSON
 * object {"pools": {NAME: …}, NAME: …}, null for what does not run. Returns the exit status: 0 when
 * all of them run, else 3; where database.url is empty, `others` need not run.
 */
int status_command(const struct config *cfg, const struct status_source *others, bool as_json);

#endif
