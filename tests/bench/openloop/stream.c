/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every request has its place in an array from the beginning: what was not answered is counted as
 * surely as what was.
 */
#include "stream.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1e9
#define STATUSES 600

static void read_request(struct stream *s, const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        err(2, "%s", path);
    s->size = (size_t)ftell(file);
    s->request = malloc(s->size + 1);
    rewind(file);
    if (s->request == NULL || s->size == 0 || fread(s->request, 1, s->size, file) != s->size)
        errx(2, "%s cannot be read", path);
    fclose(file);
    s->is_head = s->size > 5 && memcmp(s->request, "HEAD ", 5) == 0;
}

int stream_plan(FILE *in, double seconds, struct stream **ret_streams)
{
    struct stream *streams = NULL;
    char line[4096], path[4096];
    int n = 0;

    while (fgets(line, sizeof(line), in) != NULL) {
        struct stream s = {0};
        if (sscanf(line, "%63[a-zA-Z0-9_.-] %lf %d %4095s", s.name, &s.rate, &s.port, path) != 4 ||
            s.rate <= 0)
            errx(2, "not `NAME RATE PORT FILE`: %s", line);
        read_request(&s, path);
        s.count = (size_t)(s.rate * seconds + 0.5);
        s.outcomes = calloc(s.count + 1, sizeof(*s.outcomes));
        streams = reallocarray(streams, (size_t)n + 1, sizeof(*streams));
        if (s.outcomes == NULL || streams == NULL)
            err(2, "memory");
        streams[n++] = s;
    }
    /* Streams of the same rate are not to send at the same moments. */
    for (int i = 0; i < n; i++)
        streams[i].phase_ns = (uint64_t)(SECOND / streams[i].rate * i / n);
    *ret_streams = streams;
    return n;
}

uint64_t stream_due(const struct stream *s)
{
    if (s->next == s->count)
        return UINT64_MAX;
    return s->phase_ns + (uint64_t)((double)s->next * SECOND / s->rate);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The smallest that this share of all do not exceed. */
static void percentile(const double *ordered, size_t n, const char *name, double share, FILE *out)
{
    double place = (double)n * share;
    size_t rank = (size_t)place + ((double)(size_t)place < place ? 1 : 0);

    if (n == 0)
        fprintf(out, "\"%s\": null", name);
    else
        fprintf(out, "\"%s\": %.3f", name, ordered[rank > 0 ? rank - 1 : 0]);
}

static void percentiles(double *ms, size_t n, FILE *out)
{
    qsort(ms, n, sizeof(*ms), by_size);
    percentile(ms, n, "p50", 0.5, out);
    fputs(", ", out);
    percentile(ms, n, "p95", 0.95, out);
    fputs(", ", out);
    percentile(ms, n, "p99", 0.99, out);
    fputs(", ", out);
    percentile(ms, n, "p999", 0.999, out);
}

struct counts {
    size_t offered, late, good, arrived, errors, given_up;
    size_t statuses[STATUSES];
};

static bool is_good(int status)
{
    return status >= 200 && status < 300;
}

static struct counts count(const struct stream *s, double warm, double seconds)
{
    struct counts found = {0};

    for (size_t i = 0; i < s->count; i++) {
        const struct outcome *o = &s->outcomes[i];
        double end = (double)(o->planned_ns + o->took_ns) / SECOND;
        found.arrived += is_good(o->status) && end >= warm && end < seconds;
        if ((double)o->planned_ns < warm * SECOND)
            continue;
        found.offered++;
        found.late += o->is_late;
        found.good += is_good(o->status);
        found.given_up += o->status == OUTCOME_GIVEN_UP;
        found.errors += o->status == OUTCOME_ERROR;
        if (o->status > 0)
            found.statuses[o->status]++;
    }
    return found;
}

/* The times of those whose status is from `low` to `high`. */
static size_t times(const struct stream *s, double warm, int low, int high, double *ret_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct outcome *o = &s->outcomes[i];
        if ((double)o->planned_ns >= warm * SECOND && o->status >= low && o->status <= high)
            ret_ms[n++] = (double)o->took_ns / 1e6;
    }
    return n;
}

/* Who was given up would have waited longer still: left out, a server that loses its slowest
 * answers would look quick. */
static void report_times(const struct stream *s, double warm, double *ms, FILE *out)
{
    size_t n = times(s, warm, 200, 299, ms);

    n += times(s, warm, OUTCOME_GIVEN_UP, OUTCOME_GIVEN_UP, ms + n);
    percentiles(ms, n, out);
}

void stream_report(struct stream *s, double warm, double seconds, double cores, FILE *out)
{
    struct counts found = count(s, warm, seconds);
    double *ms = calloc(s->count + 1, sizeof(*ms));
    const char *between = "";

    if (ms == NULL)
        err(2, "memory");
    fprintf(out, "\"%s\": {\"offered\": %zu, \"good\": %zu, \"rate\": %.3f, ", s->name,
            found.offered, found.good, (double)found.arrived / (seconds - warm));
    report_times(s, warm, ms, out);
    fputs(", \"statuses\": {", out);
    for (int status = 100; status < STATUSES; status++) {
        if (found.statuses[status] == 0)
            continue;
        fprintf(out, "%s\"%d\": %zu", between, status, found.statuses[status]);
        between = ", ";
    }
    between = "";
    fputs("}, \"by_status\": {", out);
    for (int status = 100; status < STATUSES; status++) {
        if (found.statuses[status] == 0)
            continue;
        fprintf(out, "%s\"%d\": {", between, status);
        percentiles(ms, times(s, warm, status, status, ms), out);
        fputs("}", out);
        between = ", ";
    }
    fprintf(out,
            "}, \"late\": %.6f, \"given_up\": %zu, \"errors\": %zu, \"generator_cores\": %.4f}",
            found.offered > 0 ? (double)found.late / (double)found.offered : 0, found.given_up,
            found.errors, cores);
    free(ms);
}

void stream_trace(const struct stream *s, FILE *out)
{
    for (size_t i = 0; i < s->count; i++)
        fprintf(out, "%s,%.6f,%.3f,%d\n", s->name, (double)s->outcomes[i].planned_ns / SECOND,
                (double)s->outcomes[i].took_ns / 1e6, s->outcomes[i].status);
}
