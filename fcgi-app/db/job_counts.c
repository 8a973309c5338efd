/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_counts.c - how much there is to do, and who does it; see job.h
 */
#include "db/job_internal.h"

static const struct db_statement lanes_statement = {
    .name = "job_lane_counts",
    .sql = "WITH jobs AS ("
           "    SELECT j.lane, count(*) FILTER (WHERE j.state = 'queued') AS queued, "
           "           count(*) FILTER (WHERE j.state = 'scheduled') AS scheduled, "
           "           count(*) FILTER (WHERE j.state = 'running') AS running, "
           "           min(j.ready_at) FILTER (WHERE j.state = 'queued') AS oldest "
           "    FROM gangsaw.job j GROUP BY j.lane), "
           "runners AS ("
           "    SELECT l.lane, count(*) AS runners "
           "    FROM gangsaw.runner r CROSS JOIN LATERAL unnest(r.lanes) AS l (lane) "
           "    WHERE r.expires_at > now() AND NOT r.is_fenced AND NOT r.is_draining "
           "    GROUP BY l.lane) "
           "SELECT coalesce(j.lane, r.lane), coalesce(j.queued, 0), coalesce(j.scheduled, 0), "
           "       coalesce(j.running, 0), "
           "       CASE WHEN j.oldest IS NOT NULL "
           "            THEN greatest(0, extract(epoch FROM now() - j.oldest)) END, "
           "       coalesce(r.runners, 0) "
           "FROM jobs j FULL JOIN runners r ON r.lane = j.lane "
           "ORDER BY 1",
};

static const struct db_statement finished_statement = {
    .name = "job_finished_counts",
    .sql = "SELECT a.unsuccessful_state, a.count FROM ("
           "    SELECT d.state AS unsuccessful_state, count(*) FROM gangsaw.job_done d "
           "    WHERE d.state <> 'succeeded' GROUP BY d.state "
           "    UNION ALL "
           "    SELECT NULL, count(*) FROM gangsaw.job_done) a",
};

/* Counting all and the unsuccessful ones reads nothing but indexes. */
static void read_finished(const struct db_rows *rows, int64_t ret_finished[JOB_STATE_COUNT])
{
    int64_t all = 0, unsuccessful = 0;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        ret_finished[i] = 0;
    for (int i = 0; i < db_count(rows); i++) {
        int64_t count = db_get_int(rows, i, 1);
        int state = db_is_null(rows, i, 0) ? -1 : job_state_parse(db_get_text(rows, i, 0));
        if (state < 0) {
            all = count;
        } else {
            ret_finished[state] = count;
            unsuccessful += count;
        }
    }
    ret_finished[JOB_SUCCEEDED] = all - unsuccessful;
}

int job_counts(struct db *db, struct arena *a, struct job_lane_counts **ret_lanes,
               int *ret_lane_count, int64_t ret_finished[JOB_STATE_COUNT], struct error *reterr)
{
    const struct db_rows *rows, *finished;
    if (db_query(db, a, &lanes_statement, NULL, 0, &rows, reterr) != 0 ||
        db_query(db, a, &finished_statement, NULL, 0, &finished, reterr) != 0)
        return -1;
    int count = db_count(rows);
    struct job_lane_counts *lanes = arena_alloc(a, (size_t)count * sizeof(*lanes));
    for (int i = 0; i < count; i++) {
        lanes[i] = (struct job_lane_counts){
            .lane = arena_strdup(a, db_get_text(rows, i, 0)),
            .queued = db_get_int(rows, i, 1),
            .scheduled = db_get_int(rows, i, 2),
            .running = db_get_int(rows, i, 3),
            .oldest_seconds = db_get_real(rows, i, 4),
            .runners = (int)db_get_int(rows, i, 5),
        };
    }
    *ret_lanes = lanes;
    *ret_lane_count = count;
    read_finished(finished, ret_finished);
    return 0;
}
