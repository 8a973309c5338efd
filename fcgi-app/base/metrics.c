/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.c - see metrics.h
 *
 * An open-addressing table of series. A series is claimed by one compare-and-swap of its key, the
 * hash of family and labels; its name is written afterwards, by everybody who finds it without one:
 * all of them write the same. So whoever is killed in between leaves nothing behind that the next
 * one would not finish, and counts no less.
 */
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/shared_file.h"

#define SERIES_MAX 4096 /* a power of two */
#define PROBES_MAX 128  /* a table as full as that counts no new series */
#define BUCKETS_MAX 21
#define SCALE 1e9     /* seconds are summed up in nanoseconds */
#define VALUE_MAX 1e9 /* no single one is larger, nor overflows when it is scaled */
#define LABEL_WORDS (METRICS_LABEL_SIZE / 8)

enum kind { COUNTER, COUNTER_SECONDS, HISTOGRAM };

struct family {
    const char *name, *help;
    enum kind kind;
    const char *labels[METRICS_LABELS_MAX];
    double buckets[BUCKETS_MAX]; /* upper bounds, ascending, to the first 0 */
};

/* clang-format off */
#define BUCKETS_SECONDS {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
#define BUCKETS_WAIT {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, \
                      300, 1800, 7200, 21600, 86400}
#define BUCKETS_DATABASE {.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

static const struct family families[METRIC_COUNT] = {
    [METRIC_HTTP_DURATION] = {"gangsaw_http_request_duration_seconds",
        "From a request's arrival at nginx's hand-over to the end of its answer.",
        HISTOGRAM, {"route", "method", "status"}, BUCKETS_SECONDS},
    [METRIC_RUNS] = {"gangsaw_runs_total",
        "Runs of requests and attempts of jobs that ended; outcome is ok or a problem's name.",
        COUNTER, {"task", "outcome"}, {0}},
    [METRIC_RUN_DURATION] = {"gangsaw_run_duration_seconds",
        "From the beginning of a run to its end.", HISTOGRAM, {"task"}, BUCKETS_SECONDS},
    [METRIC_RUN_WAIT] = {"gangsaw_run_wait_seconds",
        "How long a run waited until it began, or was given up.", HISTOGRAM, {"task"}, BUCKETS_WAIT},
    [METRIC_RUN_CPU] = {"gangsaw_run_cpu_seconds_total",
        "CPU time of runs.", COUNTER_SECONDS, {"task"}, {0}},
    [METRIC_EXECUTOR_EXITS] = {"gangsaw_executor_exits_total",
        "Executors that ended: recycled, failed (another exit status), or a signal's name.",
        COUNTER, {"reason"}, {0}},
    [METRIC_REJECTED] = {"gangsaw_rejected_total",
        "Requests that were turned away; reason is a problem's name.", COUNTER, {"reason"}, {0}},
    [METRIC_JOBS_CLAIMED] = {"gangsaw_jobs_claimed_total",
        "Attempts of jobs that this host's runner claimed.", COUNTER, {NULL}, {0}},
    [METRIC_JOBS_ENDED] = {"gangsaw_jobs_ended_total",
        "Attempts of jobs that this host's runner reported; result: succeeded, failed, retried, "
        "crashed, returned (not begun or drained), stale (refused: given to others meanwhile).",
        COUNTER, {"result"}, {0}},
    [METRIC_LEASES_LOST] = {"gangsaw_leases_lost_total",
        "Times that this host's runner found itself given up by the others.",
        COUNTER, {NULL}, {0}},
    [METRIC_JOBS_RESCUED] = {"gangsaw_jobs_rescued_total",
        "Jobs of dead runners that this host's runner took back, those that had no attempt left "
        "included.", COUNTER, {NULL}, {0}},
    [METRIC_RUNNERS_FENCED] = {"gangsaw_runners_fenced_total",
        "Dead runners that this host's runner gave up.", COUNTER, {NULL}, {0}},
    [METRIC_DB_LATENCY] = {"gangsaw_database_statement_duration_seconds",
        "Round trips of statements, from sending to the last of the answer.",
        HISTOGRAM, {NULL}, BUCKETS_DATABASE},
    [METRIC_DB_FAILURES] = {"gangsaw_database_failures_total",
        "Statements and connections that failed since the database was away or too slow.",
        COUNTER, {NULL}, {0}},
    [METRIC_DROPPED] = {"gangsaw_metrics_dropped_total",
        "Counts that found no room in the table of metrics.", COUNTER, {NULL}, {0}},
};
/* clang-format on */

struct series {
    _Alignas(64) _Atomic uint64_t key; /* 0: free */
    _Atomic uint64_t is_named;         /* `family` and `labels` are there */
    _Atomic uint64_t family;
    _Atomic uint64_t labels[METRICS_LABELS_MAX][LABEL_WORDS]; /* text, filled up with NULs */
    /* Counters: the first. Histograms: each bucket, what is above the last, and the sum. */
    _Atomic uint64_t cells[BUCKETS_MAX + 2];
};

struct table {
    _Atomic uint64_t dropped;
    struct series series[SERIES_MAX];
};

/* One for the process, as its log is: what counts is anywhere. */
static struct table *table;

static int label_count(const struct family *f)
{
    int count = 0;
    while (count < METRICS_LABELS_MAX && f->labels[count])
        count++;
    return count;
}

static int bucket_count(const struct family *f)
{
    int count = 0;
    while (count < BUCKETS_MAX && f->buckets[count] > 0)
        count++;
    return count;
}

/* FNV-1a. Names and bounds are part of the form: a build that has others has a file of its own. */
static uint64_t hash(uint64_t h, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        h = (h ^ at[i]) * 0x100000001b3;
    return h;
}

static uint64_t hash_text(uint64_t h, const char *text)
{
    return hash(h, text, strlen(text) + 1);
}

static void print_form(char form[SHARED_FILE_FORM_SIZE])
{
    uint64_t h = 0xcbf29ce484222325;
    const size_t sizes[] = {sizeof(struct table), sizeof(struct series)};
    h = hash(h, sizes, sizeof(sizes));
    for (int i = 0; i < METRIC_COUNT; i++) {
        h = hash_text(h, families[i].name);
        h = hash(h, families[i].buckets, sizeof(families[i].buckets));
        for (int j = 0; j < label_count(&families[i]); j++)
            h = hash_text(h, families[i].labels[j]);
    }
    (void)snprintf(form, SHARED_FILE_FORM_SIZE, "gangsaw metrics %016llx", (unsigned long long)h);
}

int metrics_open(const struct config *cfg, struct error *reterr)
{
    char form[SHARED_FILE_FORM_SIZE];
    void *memory;
    print_form(form);
    const struct shared_file file = {.name = "metrics", .form = form, .size = sizeof(*table)};
    if (shared_file_open(cfg, &file, &memory, NULL, reterr) != 0)
        return -1;
    metrics_close();
    table = memory;
    return 0;
}

void metrics_close(void)
{
    shared_file_close(table, sizeof(*table));
    table = NULL;
}

/* ---- counting */

/* Longer ones are cut, not within a character. */
static size_t label_size(const char *label)
{
    size_t size = strnlen(label, METRICS_LABEL_SIZE);
    if (size < METRICS_LABEL_SIZE)
        return size;
    for (size = METRICS_LABEL_SIZE - 1; size > 0 && ((unsigned char)label[size] & 0xc0) == 0x80;)
        size--;
    return size;
}

static uint64_t make_key(enum metric metric, const char *const labels[], int count)
{
    uint64_t h = hash(0xcbf29ce484222325, &metric, sizeof(metric));
    for (int i = 0; i < count; i++)
        h = hash(hash(h, labels[i], label_size(labels[i])), "", 1);
    h ^= h >> 32; /* the table's index is its low bits */
    return h ? h : 1;
}

static void name_series(struct series *s, enum metric metric, const char *const labels[], int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t words[LABEL_WORDS] = {0};
        memcpy(words, labels[i], label_size(labels[i]));
        for (int j = 0; j < LABEL_WORDS; j++)
            atomic_store_explicit(&s->labels[i][j], words[j], memory_order_relaxed);
    }
    atomic_store_explicit(&s->family, (uint64_t)metric, memory_order_relaxed);
    atomic_store_explicit(&s->is_named, 1, memory_order_release);
}

/* NULL: no room. */
static struct series *find(enum metric metric, const char *const labels[])
{
    int count = label_count(&families[metric]);
    uint64_t key = make_key(metric, labels, count);
    for (uint64_t i = 0; i < PROBES_MAX; i++) {
        struct series *s = &table->series[(key + i) % SERIES_MAX];
        uint64_t found = atomic_load_explicit(&s->key, memory_order_relaxed);
        if (found == 0 && atomic_compare_exchange_strong(&s->key, &found, key))
            found = key;
        if (found != key)
            continue;
        if (atomic_load_explicit(&s->is_named, memory_order_relaxed) == 0)
            name_series(s, metric, labels, count);
        return s;
    }
    return NULL;
}

static void add_cell(_Atomic uint64_t *cell, uint64_t value)
{
    (void)atomic_fetch_add_explicit(cell, value, memory_order_relaxed);
}

static struct series *find_or_drop(enum metric metric, double value, const char *const labels[])
{
    if (!table || (unsigned)metric >= METRIC_COUNT || !(value >= 0 && value <= VALUE_MAX))
        return NULL;
    struct series *s = find(metric, labels);
    if (!s)
        add_cell(&table->dropped, 1);
    return s;
}

void metrics_add_labels(enum metric metric, double value, const char *const labels[])
{
    struct series *s = find_or_drop(metric, value, labels);
    if (s)
        add_cell(&s->cells[0],
                 (uint64_t)(families[metric].kind == COUNTER_SECONDS ? value * SCALE : value));
}

void metrics_observe_labels(enum metric metric, double value, const char *const labels[])
{
    struct series *s = find_or_drop(metric, value, labels);
    if (!s)
        return;
    const struct family *f = &families[metric];
    int bucket = 0;
    while (bucket < BUCKETS_MAX && f->buckets[bucket] > 0 && value > f->buckets[bucket])
        bucket++;
    add_cell(&s->cells[bucket], 1);
    add_cell(&s->cells[BUCKETS_MAX + 1], (uint64_t)(value * SCALE));
}

/* ---- printing */

static void print_label(struct strbuf *out, const char *name, const char *value)
{
    strbuf_addf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            strbuf_addstr(out, "\\n");
        else if (*value == '"' || *value == '\\')
            strbuf_addf(out, "\\%c", *value);
        else
            strbuf_addch(out, *value);
    }
    strbuf_addch(out, '"');
}

static void print_head(struct strbuf *out, const char *name, const char *help, const char *type)
{
    strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* "{a="b"" without the closing brace; nothing without labels. */
static void print_labels(struct strbuf *out, const struct family *f, const struct series *s)
{
    for (int i = 0; i < label_count(f); i++) {
        uint64_t words[LABEL_WORDS + 1] = {0};
        for (int j = 0; j < LABEL_WORDS; j++)
            words[j] = atomic_load_explicit(&s->labels[i][j], memory_order_relaxed);
        strbuf_addch(out, i == 0 ? '{' : ',');
        print_label(out, f->labels[i], (const char *)words);
    }
}

static void print_counter(struct strbuf *out, const struct family *f, const struct series *s)
{
    uint64_t value = atomic_load_explicit(&s->cells[0], memory_order_relaxed);
    strbuf_addstr(out, f->name);
    print_labels(out, f, s);
    strbuf_addstr(out, f->labels[0] ? "} " : " ");
    if (f->kind == COUNTER_SECONDS)
        strbuf_addf(out, "%.9g\n", (double)value / SCALE);
    else
        strbuf_addf(out, "%llu\n", (unsigned long long)value);
}

/* The count is what the buckets add up to, so that they agree while others count. */
static void print_histogram(struct strbuf *out, const struct family *f, const struct series *s)
{
    struct strbuf labels = STRBUF_INIT;
    unsigned long long count = 0;
    int buckets = bucket_count(f);
    uint64_t sum = atomic_load_explicit(&s->cells[BUCKETS_MAX + 1], memory_order_relaxed);
    print_labels(&labels, f, s);
    for (int i = 0; i <= buckets; i++) {
        count += atomic_load_explicit(&s->cells[i], memory_order_relaxed);
        strbuf_addf(out, "%s_bucket%s%sle=\"", f->name, labels.text, labels.size ? "," : "{");
        if (i < buckets)
            strbuf_addf(out, "%.10g\"} %llu\n", f->buckets[i], count);
        else
            strbuf_addf(out, "+Inf\"} %llu\n", count);
    }
    const char *end = labels.size ? "}" : "";
    strbuf_addf(out, "%s_sum%s%s %.9g\n", f->name, labels.text, end, (double)sum / SCALE);
    strbuf_addf(out, "%s_count%s%s %llu\n", f->name, labels.text, end, count);
    strbuf_release(&labels);
}

static void print_series(struct strbuf *out, const struct family *f, const struct series *s)
{
    if (f->kind == HISTOGRAM)
        print_histogram(out, f, s);
    else
        print_counter(out, f, s);
}

static bool is_of(const struct series *s, int metric)
{
    return atomic_load_explicit(&s->is_named, memory_order_acquire) == 1 &&
           atomic_load_explicit(&s->family, memory_order_relaxed) == (uint64_t)metric;
}

/* One without labels is there from the start, with 0: rates need a beginning. */
static void print_family(struct strbuf *out, int metric)
{
    const struct family *f = &families[metric];
    struct series none = {0};
    int printed = 0;
    print_head(out, f->name, f->help, f->kind == HISTOGRAM ? "histogram" : "counter");
    if (metric == METRIC_DROPPED)
        atomic_store(&none.cells[0], atomic_load(&table->dropped));
    for (int i = 0; i < SERIES_MAX; i++) {
        if (!is_of(&table->series[i], metric))
            continue;
        print_series(out, f, &table->series[i]);
        printed++;
    }
    if (printed == 0 && !f->labels[0])
        print_series(out, f, &none);
}

void metrics_print(struct strbuf *out)
{
    for (int i = 0; table && i < METRIC_COUNT; i++)
        print_family(out, i);
}

void metrics_print_gauge_head(struct strbuf *out, const char *name, const char *help)
{
    print_head(out, name, help, "gauge");
}

void metrics_print_gauge(struct strbuf *out, const char *name, double value,
                         const char *const labels[])
{
    strbuf_addstr(out, name);
    for (int i = 0; labels[i]; i += 2) {
        strbuf_addch(out, i == 0 ? '{' : ',');
        print_label(out, labels[i], labels[i + 1]);
    }
    strbuf_addstr(out, labels[0] ? "} " : " ");
    strbuf_addf(out, "%.15g\n", value);
}

void metrics_print_reference(struct strbuf *out)
{
    static const char *const kinds[] = {"counter", "counter, seconds", "histogram"};
    for (int i = 0; i < METRIC_COUNT; i++) {
        const struct family *f = &families[i];
        strbuf_addf(out, "%s\t%s\t", f->name, kinds[f->kind]);
        for (int j = 0; j < label_count(f); j++)
            strbuf_addf(out, "%s%s", j > 0 ? " " : "", f->labels[j]);
        strbuf_addf(out, "\t%s\n", f->help);
    }
}
