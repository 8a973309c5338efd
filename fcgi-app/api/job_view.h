/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_view.h - a job as clients see it
 */
#ifndef API_JOB_VIEW_H
#define API_JOB_VIEW_H

#include "base/json.h"
#include "base/strbuf.h"
#include "db/job.h"

/*
 * {"id", "task", "state", "attempt", "max_attempts", "priority", "progress": {"fraction", "what"}
 * or null, "created_at", "run_at" (scheduled ones), "started_at", "finished_at", "wait_ms",
 * "run_ms", "error": a problem or null, "attempts": [{"attempt", "started_at", "finished_at",
 * "error"}], "tags", "links": {"self", "result", "events", "cancel" or "retry", and "outputs":
 * {name: path}}}. Times are RFC 3339 in UTC with microseconds. Ownership: belongs to `a`.
 */
cJSON *job_view(struct arena *a, const struct db_secret *secret, const struct job_row *row);

/* The text of an array of many, each printed by itself: a tree of all would take fifty times as
 * much. */
void job_views_add(struct strbuf *out, const struct db_secret *secret, const struct job_row *rows,
                   int count);

#endif
