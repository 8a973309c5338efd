/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.h - a job as server-sent events (HTML standard, section 9.2)
 *
 *     id: 1-running-250000-7e3c9a10
 *     event: progress
 *     data: {"id": …, "state": "running", …}
 *
 * `progress` while it lives, `done` once it has ended; the data is the job as GET shows it. The id
 * names what can be seen of it: lease (each attempt has its own), state, millionths of the
 * progress, and a hash of what it is doing. So who comes back with the id of what is still true has
 * missed nothing.
 */
#ifndef HUB_EVENTS_H
#define HUB_EVENTS_H

#include "base/strbuf.h"
#include "db/job.h"
#include "hub/target.h"

#define EVENTS_RETRY_MS 2000 /* a browser whose stream ended comes back after as long */

/* The id of a job's present state. */
void event_id(const struct job_row *row, char ret_id[TARGET_EVENT_ID_SIZE]);

/* Append the event. */
void event_print(struct strbuf *out, struct arena *scratch, const struct db_secret *secret,
                 const struct job_row *row);

#endif
