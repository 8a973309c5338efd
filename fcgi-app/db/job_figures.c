/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_figures.c - how deep the queue is, at a cost that does not grow with it; see job.h
 *
 * Each state has an index of its own. Queued jobs are counted in the order of theirs, by class, so
 * that one class cannot hide behind a million jobs of the other. Where a count reaches its bound,
 * what the server knows of the index's size (as of its last vacuum or analyze) takes over.
 */
#include "db/job_internal.h"

static const struct db_statement figures_statement = {
    .name = "job_figures",
    .sql =
        "WITH classes AS (SELECT c.class FROM unnest($1::text[]) AS c (class)), "
        "counted AS ("
        "    SELECT c.class, 'queued' AS state, q.count, q.oldest "
        "    FROM classes c CROSS JOIN LATERAL ("
        "        SELECT count(*) AS count, min(j.ready_at) AS oldest FROM ("
        "            SELECT j.ready_at FROM gangsaw.job j "
        "            WHERE j.state = 'queued' "
        "              AND j.lane >= c.class || '/' AND j.lane < c.class || '0' "
        "            ORDER BY j.lane, j.priority DESC, j.vtime, j.id LIMIT $2::bigint) j) q "
        "    UNION ALL "
        "    SELECT split_part(j.lane, '/', 1), 'scheduled', count(*), min(j.created_at) FROM ("
        "        SELECT j.lane, j.created_at FROM gangsaw.job j "
        "        WHERE j.state = 'scheduled' ORDER BY j.ready_at LIMIT $2::bigint) j "
        "    GROUP BY 1 "
        "    UNION ALL "
        "    SELECT split_part(j.lane, '/', 1), 'running', count(*), min(j.started_at) FROM ("
        "        SELECT j.lane, j.started_at FROM gangsaw.job j "
        "        WHERE j.state = 'running' ORDER BY j.id LIMIT $2::bigint) j "
        "    GROUP BY 1), "
        "sizes AS ("
        "    SELECT substr(k.relname, 5) AS state, k.reltuples::bigint AS size "
        "    FROM pg_class k WHERE k.oid IN ('gangsaw.job_scheduled'::regclass, "
        "        'gangsaw.job_running'::regclass) "
        "    UNION ALL SELECT 'queued', k.reltuples::bigint FROM pg_class k "
        "    WHERE k.oid = 'gangsaw.job_ready'::regclass) "
        "SELECT c.class, c.state, "
        "       CASE WHEN (CASE c.state WHEN 'queued' THEN c.count ELSE t.count END) < $2::bigint "
        "            THEN c.count ELSE greatest(c.count, s.size - t.count + c.count) END, "
        "       greatest(0, extract(epoch FROM now() - c.oldest)) "
        "FROM counted c JOIN sizes s ON s.state = c.state "
        "JOIN (SELECT state, sum(count)::bigint AS count FROM counted GROUP BY state) t "
        "  ON t.state = c.state",
};

int job_figures(struct db *db, struct arena *a, const char *const *classes, int class_count,
                int64_t count_max, struct job_figure **ret_figures, int *ret_count,
                struct error *reterr)
{
    const struct db_rows *rows;
    const struct db_value values[] = {db_texts(a, classes, class_count), db_int(a, count_max)};
    if (db_query(db, a, &figures_statement, values, 2, &rows, reterr) != 0)
        return -1;
    int count = db_count(rows);
    struct job_figure *figures = arena_alloc(a, (size_t)count * sizeof(*figures));
    for (int i = 0; i < count; i++) {
        int state = job_state_parse(db_get_text(rows, i, 1));
        figures[i] = (struct job_figure){.class = arena_strdup(a, db_get_text(rows, i, 0)),
                                         .state = (enum job_state)state,
                                         .count = db_get_int(rows, i, 2),
                                         .oldest_seconds = db_get_real(rows, i, 3)};
    }
    *ret_figures = figures;
    *ret_count = count;
    return 0;
}
