/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - counters and histograms of the host, shared by all its processes
 *
 * One file in server.run_dir, mapped by every process of every pool, runner and hub: an increment
 * is an atomic addition, a killed process loses none, and one page shows them all. It begins anew
 * when the first process starts while none runs. Which families
 * there are stands in one table, which the page and the documentation go by. Gauges are not here:
 * who makes the page asks those who know.
 *
 *     metrics_add(METRIC_RUNS, 1, task->name, "ok");
 *     metrics_observe(METRIC_RUN_DURATION, seconds, task->name);
 *
 * Prometheus text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/config.h"
#include "base/error.h"
#include "base/strbuf.h"

enum metric {
    METRIC_HTTP_DURATION,  /* histogram: route, method, status */
    METRIC_RUNS,           /* counter: task, outcome ("ok" or an error's name) */
    METRIC_RUN_DURATION,   /* histogram: task */
    METRIC_RUN_WAIT,       /* histogram: task */
    METRIC_RUN_CPU,        /* counter in seconds: task */
    METRIC_EXECUTOR_EXITS, /* counter: reason ("recycled", a signal's name, "failed") */
    METRIC_REJECTED,     /* counter: reason (a problem's name: "overloaded", "rate-limited" …) */
    METRIC_JOBS_CLAIMED, /* counter */
    METRIC_JOBS_ENDED,  /* counter: result ("succeeded", "failed", "retried", "crashed", "returned",
                           "stale") */
    METRIC_LEASES_LOST, /* counter: runners of this host that found themselves fenced */
    METRIC_JOBS_RESCUED,   /* counter: jobs of dead runners put back by this host's runner */
    METRIC_RUNNERS_FENCED, /* counter: runners that this host's runner gave up */
    METRIC_DB_LATENCY,     /* histogram: statements' round trips, connecting not included */
    METRIC_DB_FAILURES,    /* counter: statements and connections that failed with `unavailable` */
    METRIC_DROPPED,        /* counter: not by callers, see metrics_print() */
    METRIC_COUNT
};

#define METRICS_LABELS_MAX 3
#define METRICS_LABEL_SIZE 96 /* bytes of a label's value; longer ones are cut */

/*
 * Map the file, which the first makes (owner only, in server.run_dir). Once per process, before it
 * counts anything; without it nothing is counted and nothing fails. A file of another build's form
 * is replaced. By root, before it is given up, where a program is started as root: the folder may
 * be root's, the file is server.user's. Errors: ERR_INTERNAL.
 */
int metrics_open(const struct config *cfg, struct error *reterr);
void metrics_close(void);

/* Add to a counter. As many label values as the family has labels, const char *, never NULL; their
 * number of combinations is bounded by the caller: never anything that a client chose freely. */
void metrics_add_labels(enum metric metric, double value, const char *const labels[]);
#define metrics_add(metric, value, ...) \
    metrics_add_labels((metric), (value), (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Count a value (seconds) into a histogram. */
void metrics_observe_labels(enum metric metric, double value, const char *const labels[]);
#define metrics_observe(metric, value, ...)   \
    metrics_observe_labels((metric), (value), \
                           (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* All of it as Prometheus text, HELP and TYPE lines included; METRIC_DROPPED says how many counts
 * found no room. */
void metrics_print(struct strbuf *out);

/* For the page's maker: HELP and TYPE lines of a gauge, and one line of it. `labels` are names and
 * values in turn, ending with NULL. */
void metrics_print_gauge_head(struct strbuf *out, const char *name, const char *help);
void metrics_print_gauge(struct strbuf *out, const char *name, double value,
                         const char *const labels[]);

/* A line for each family, for the documentation: name, kind, labels, help, tab-separated. */
void metrics_print_reference(struct strbuf *out);

#endif
