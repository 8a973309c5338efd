/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hub.h - the process that holds clients which wait for jobs, and streams their events
 *
 * An event loop that never computes and never waits. It speaks SCGI on hub.sock in server.run_dir,
 * to nginx alone, which passes it internal redirects of the api pool:
 *
 *   /internal/wait?job=ID&seconds=N&then=PATH   answers `X-Accel-Redirect: PATH` when the job has
 *                                              ended, or after N seconds; awaited=1: it was
 *                                              stored as awaited, a moment ago
 *   /internal/events?job=ID                     text/event-stream: events `progress` and `done`
 *
 * api has checked the id and the right to see it. Waiting clients cost no worker.
 */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

/* Run until TERM or INT: waiting clients are then answered as if their time was over. Returns the
 * exit status. */
int hub_main(const struct config *cfg);

/* As runner_status_fetch(), of hub.status. */
int hub_status_fetch(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                     struct error *reterr);

#endif
