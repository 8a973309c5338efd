/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_options.h - how a job shall be treated, beside what it computes
 *
 * The same options in two notations: members of an item of a batch, and the Gangsaw-Job header
 * field of a task's own URL, since its body and query belong to the task:
 *
 *   Gangsaw-Job: priority=5, delay=60, unique="x", max-attempts=3, timeout=600, tags=("a" "b")
 *
 * To add one: a row in job_options.c, and a member here.
 */
#ifndef API_JOB_OPTIONS_H
#define API_JOB_OPTIONS_H

#include "base/config.h"
#include "base/field_errors.h"
#include "base/json.h"
#include "db/job.h"

#define JOB_OPTIONS_HEADER "Gangsaw-Job"
#define JOB_OPTIONS_SECONDS_MIN 0.001 /* the least timeout */

struct job_options {
    int64_t run_at_us; /* real time; 0: now */
    double delay_seconds;
    double timeout_seconds; /* 0: none given */
    int priority, max_attempts;
    const char *unique_key; /* NULL: none */
    const char *const *tags;
    int tag_count;
};

/* What holds when nothing is said. */
struct job_options job_options_default(void);

/*
 * From the header field's text (NULL: the defaults). Texts belong to `a`.
 * Errors: ERR_INVALID_REQUEST; the detail names the member, and its range.
 */
int job_options_read_field(struct arena *a, const struct config *cfg, const char *field,
                           struct job_options *ret_options, struct error *reterr);

/* Is it the name of an option in a batch, "priority"? */
bool job_options_has(const char *name);

/*
 * From the members of a batch's item; others are left alone. Mistakes are added to `errors`, at
 * places below `pointer`. Texts stay those of `item`.
 */
void job_options_read_item(struct arena *a, const struct config *cfg, const cJSON *item,
                           const char *pointer, struct job_options *ret_options,
                           struct field_errors *errors);

/* Into the job that is to be stored. */
void job_options_apply(const struct job_options *options, struct job_new *job);

#endif
