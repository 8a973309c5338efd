/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.c - `gangsaw jobs`: what waits, what runs, and lanes that nobody serves
 */
#include "jobs/jobs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "db/job.h"

#define EXIT_FAILED 1
#define EXIT_CONFIG 78
#define BUDGET_MS 10000

static const enum job_state finished[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELED};
#define FINISHED_COUNT (sizeof(finished) / sizeof(finished[0]))

struct counts {
    struct job_lane_counts *lanes;
    int lane_count;
    int64_t finished[JOB_STATE_COUNT];
};

/* Jobs that can be claimed, or will be, and nobody there who could. */
static bool is_unserved(const struct job_lane_counts *lane)
{
    return lane->runners == 0 && lane->queued + lane->scheduled > 0;
}

static void print_table(const struct counts *c)
{
    int width = 4;
    for (int i = 0; i < c->lane_count; i++) {
        int size = (int)strlen(c->lanes[i].lane);
        width = size > width ? size : width;
    }
    (void)printf("%-*s %10s %10s %10s %12s %8s\n", width, "lane", "queued", "scheduled", "running",
                 "oldest", "runners");
    for (int i = 0; i < c->lane_count; i++) {
        const struct job_lane_counts *lane = &c->lanes[i];
        char oldest[32] = "-";
        if (lane->queued > 0 && !isnan(lane->oldest_seconds))
            (void)snprintf(oldest, sizeof(oldest), "%.1f s", lane->oldest_seconds);
        (void)printf("%-*s %10lld %10lld %10lld %12s %8d%s\n", width, lane->lane,
                     (long long)lane->queued, (long long)lane->scheduled, (long long)lane->running,
                     oldest, lane->runners, is_unserved(lane) ? "  no live runner" : "");
    }
    (void)printf("finished:");
    for (size_t i = 0; i < FINISHED_COUNT; i++)
        (void)printf(" %s %lld", job_state_name(finished[i]), (long long)c->finished[finished[i]]);
    (void)puts("");
}

static void add_lane(struct strbuf *out, const struct job_lane_counts *lane)
{
    strbuf_addstr(out, "{\"lane\":");
    strbuf_add_json(out, lane->lane, strlen(lane->lane));
    strbuf_addf(out, ",\"queued\":%lld,\"scheduled\":%lld,\"running\":%lld",
                (long long)lane->queued, (long long)lane->scheduled, (long long)lane->running);
    if (lane->queued == 0 || isnan(lane->oldest_seconds))
        strbuf_addstr(out, ",\"oldest_s\":null");
    else
        strbuf_addf(out, ",\"oldest_s\":%.3f", lane->oldest_seconds);
    strbuf_addf(out, ",\"runners\":%d,\"is_unserved\":%s}", lane->runners,
                is_unserved(lane) ? "true" : "false");
}

static void print_json(const struct counts *c)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"lanes\":[");
    for (int i = 0; i < c->lane_count; i++) {
        if (i > 0)
            strbuf_addch(&out, ',');
        add_lane(&out, &c->lanes[i]);
    }
    strbuf_addstr(&out, "],\"finished\":{");
    for (size_t i = 0; i < FINISHED_COUNT; i++)
        strbuf_addf(&out, "%s\"%s\":%lld", i > 0 ? "," : "", job_state_name(finished[i]),
                    (long long)c->finished[finished[i]]);
    strbuf_addstr(&out, "}}");
    (void)puts(out.text);
    strbuf_release(&out);
}

static void explain(const struct error *e)
{
    if (e->code == ERR_UNAVAILABLE)
        (void)fprintf(stderr, "gangsaw: The database is away");
    else
        (void)fprintf(stderr, "gangsaw: The database cannot be asked; was it migrated "
                              "(gangsaw migrate)?");
    /* The operator's own terminal: the server's words help. */
    (void)fprintf(stderr, "%s%s\n", e->cause[0] ? ": " : "", e->cause);
}

int jobs_command(const struct config *cfg, bool as_json)
{
    if (!cfg->database_url[0]) {
        (void)fputs("gangsaw: database.url is empty: this server keeps no jobs.\n", stderr);
        return EXIT_CONFIG;
    }
    struct db_settings settings = {
        .url = cfg->database_url, .application = "gangsaw jobs", .budget_ms = BUDGET_MS};
    struct db *db = db_open(&settings);
    struct arena *a = arena_new();
    struct counts counts = {0};
    struct error error = {0};
    int status = 0;
    if (job_counts(db, a, &counts.lanes, &counts.lane_count, counts.finished, &error) != 0) {
        explain(&error);
        status = EXIT_FAILED;
    } else if (as_json) {
        print_json(&counts);
    } else {
        print_table(&counts);
    }
    db_close(db);
    arena_free(a);
    return status;
}
