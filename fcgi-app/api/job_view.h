/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_view.h - a job as clients see it
 */
#ifndef API_JOB_VIEW_H
#define API_JOB_VIEW_H

#include "base/field_errors.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "db/job.h"

/*
 * {"id", "task", "state", "attempt", "max_attempts", "priority", "progress": {"fraction", "what"}
 * or null, "created_at", "run_at" (scheduled ones), "started_at", "finished_at", "wait_ms",
 * "run_ms", "error": a problem or null, "attempts": [{"attempt", "started_at", "finished_at",
 * "error"}], "tags", "links": {"self", "result", "events", "cancel" or "retry", and "outputs":
 * {name: path}}}. Times are RFC 3339 in UTC with microseconds. It is printed already: one value of
 * raw JSON. Ownership: belongs to `a`.
 */
cJSON *job_view(struct arena *a, const struct db_secret *secret, const struct job_row *row);

/* What is known of a job that cannot be read now: {"id", "links": {"self", "result", "events"}}. */
cJSON *job_view_address(struct arena *a, const char *id);

/* The mistakes in parameters that an error as the database keeps it has: [{"pointer", "detail"}] in
 * its `errors`. What is not of that form is left out. */
void job_view_read_errors(const cJSON *stored, struct field_errors *errors);

/* The text of an array of many. */
void job_views_add(struct strbuf *out, const struct db_secret *secret, const struct job_row *rows,
                   int count);

#endif
