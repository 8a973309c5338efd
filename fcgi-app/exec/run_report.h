/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_report.h - one run that has ended: its log line and its metrics
 *
 * The same for a request and for an attempt of a job.
 */
#ifndef EXEC_RUN_REPORT_H
#define EXEC_RUN_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"

struct run_report {
    const char *task;
    bool is_unknown; /* the catalogue has no such task: its name is none for metrics */
    const char *request_id, *traceparent; /* NULL: none */
    const char *tenant;                   /* NULL or "": none */
    const char *job;                      /* public id; NULL: a request's run */
    int attempt;                          /* of the job; 0: none */
    const char *job_state; /* that the job is in after it; NULL: not this process's to say */
    int64_t wait_us;       /* until it was started, or given up */
    int64_t run_us, cpu_us;
    int64_t peak_bytes; /* resident memory of its executor at most; 0: unknown */
    bool was_started;
    const struct error *error; /* NULL: it succeeded */
    bool is_quiet;             /* count it, but do not log it unless it was slow */
};

/* Slow: a run longer than executor.slow_seconds; the line then has "slow":true and level warning.
 */
void run_report(const struct config *cfg, const struct run_report *report);

#endif
