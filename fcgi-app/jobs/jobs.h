/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jobs.h - the runner: claims jobs from PostgreSQL and has its executors compute them
 *
 * One process per host, an event loop that never waits for anything but its poll. Three
 * connections: the queue (claims, completions), a second for heartbeats, rescues and
 * notifications, a third for the bytes of blobs.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

#define RUNNER_STATUS_VERSION 1

/* Run until TERM or INT, then drain. Returns the exit status. */
int runner_main(const struct config *cfg);

/* `gangsaw jobs`: counts by state and lane, oldest waiting, lanes nobody serves. Returns the exit
 * status. */
int jobs_command(const struct config *cfg, bool as_json);

/*
 * Status of this host's runner, as JSON text, from its own socket (runner.status in
 * server.run_dir). Errors: ERR_UNAVAILABLE when it does not run or answer within `timeout_ms`.
 */
int runner_status_fetch(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                        struct error *reterr);

#endif
