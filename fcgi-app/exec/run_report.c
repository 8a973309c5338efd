/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_report.c - see run_report.h
 */
#include "exec/run_report.h"

#include "base/log.h"
#include "base/metrics.h"

static bool is_slow(const struct config *cfg, const struct run_report *r)
{
    return (double)r->run_us > cfg->executor_slow_seconds * 1e6;
}

static void count(const struct run_report *r, const char *outcome)
{
    const char *task = r->is_unknown ? "unknown" : r->task;
    metrics_add(METRIC_RUNS, 1, task, outcome);
    metrics_observe(METRIC_RUN_WAIT, (double)r->wait_us / 1e6, task);
    if (!r->was_started)
        return;
    metrics_observe(METRIC_RUN_DURATION, (double)r->run_us / 1e6, task);
    metrics_add(METRIC_RUN_CPU, (double)r->cpu_us / 1e6, task);
}

static enum log_level level_of(const struct run_report *r, bool slow)
{
    if (r->error && error_is_ours(r->error))
        return LOG_ERROR;
    return slow ? LOG_WARNING : LOG_INFO;
}

static void write_line(const struct run_report *r, const char *outcome, bool slow)
{
    const struct error *e = r->error;
    log_write(level_of(r, slow), "run", LOG_STR("request_id", r->request_id),
              LOG_STR("traceparent", r->traceparent),
              LOG_STR("tenant", r->tenant && r->tenant[0] ? r->tenant : NULL),
              LOG_STR("task", r->task), LOG_STR("job", r->job), LOG_COUNT("attempt", r->attempt),
              LOG_NUM("wait_ms", (double)r->wait_us / 1e3),
              LOG_NUM("run_ms", (double)r->run_us / 1e3),
              LOG_NUM("cpu_ms", (double)r->cpu_us / 1e3), LOG_COUNT("peak_bytes", r->peak_bytes),
              LOG_STR("outcome", outcome), LOG_STR("job_state", r->job_state),
              LOG_FLAG("slow", slow), LOG_STR("detail", e ? e->detail : NULL),
              LOG_STR("cause", e && e->cause[0] ? e->cause : NULL));
}

void run_report(const struct config *cfg, const struct run_report *r)
{
    const char *outcome = r->error ? error_name(r->error->code) : "ok";
    bool slow = is_slow(cfg, r);
    count(r, outcome);
    if (!r->is_quiet || slow)
        write_line(r, outcome, slow);
}
