/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics_database.c - see metrics_internal.h
 *
 * The page asks on a connection of its own, since it has less time than the requests' statements
 * have, and closes it: pages are asked for a few times a minute.
 */
#include "api/metrics_internal.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "db/job.h"
#include "db/migrate.h"

#define KNOWN_US 1000000
#define ASKER_US 10000000 /* one that died is not waited for longer */
#define BUDGET_MS 500
#define COUNT_US 10000000 /* between two counts of the queue, at least */
#define COUNT_COST 20     /* and at least as many times what it took */
#define COUNT_MAX 100000  /* rows of each class and state that are looked at */

static const enum job_state states[API_QUEUE_STATES] = {JOB_QUEUED, JOB_SCHEDULED, JOB_RUNNING};

const char *metrics_queue_state(int i)
{
    return job_state_name(states[i]);
}

static void keep(struct api_figures *known, const struct job_figure *figures, int count)
{
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        for (int i = 0; i < API_QUEUE_STATES; i++) {
            int64_t depth = 0, oldest_ms = 0;
            for (int j = 0; j < count; j++) {
                const struct job_figure *f = &figures[j];
                if (f->state != states[i] ||
                    strcmp(f->class, task_class_name((enum task_class) class)) != 0)
                    continue;
                depth = f->count;
                oldest_ms = isnan(f->oldest_seconds) ? 0 : (int64_t)(f->oldest_seconds * 1000);
            }
            atomic_store(&known->depths[class][i], depth);
            atomic_store(&known->oldest_ms[class][i], oldest_ms);
        }
    }
    atomic_store(&known->is_counted, 1);
}

static int count_queue(struct db *db, struct api_figures *known, struct error *reterr)
{
    const char *classes[TASK_CLASS_COUNT];
    struct arena *a = arena_new();
    struct job_figure *figures;
    int count;
    for (int i = 0; i < TASK_CLASS_COUNT; i++)
        classes[i] = task_class_name((enum task_class)i);
    int64_t begin_us = clock_us();
    int result = job_figures(db, a, classes, TASK_CLASS_COUNT, COUNT_MAX, &figures, &count, reterr);
    int64_t end_us = clock_us(), pause_us = (end_us - begin_us) * COUNT_COST;
    if (result == 0)
        keep(known, figures, count);
    atomic_store(&known->count_us, end_us + (pause_us > COUNT_US ? pause_us : COUNT_US));
    arena_free(a);
    return result;
}

static void ask(const struct api *api, struct api_figures *known)
{
    struct db_settings settings = {.url = api->config->database_url,
                                   .application = "gangsaw metrics",
                                   .options = DB_WORK_OPTIONS,
                                   .budget_ms = BUDGET_MS};
    struct db *db = db_open(&settings);
    struct error ignored;
    int version;
    bool is_up = db_schema_version(db, &version, &ignored) == 0;
    /* Where the server answers and the queue cannot be counted, older figures would mislead. */
    if (is_up && clock_us() >= atomic_load(&known->count_us) &&
        count_queue(db, known, &ignored) != 0)
        atomic_store(&known->is_counted, 0);
    db_close(db);
    atomic_store(&known->is_up, is_up);
    atomic_store(&known->asked_us, clock_us());
}

static void copy(struct api_figures *known, struct api_figures *ret)
{
    atomic_store(&ret->is_up, atomic_load(&known->is_up));
    atomic_store(&ret->is_counted, atomic_load(&known->is_counted));
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        for (int i = 0; i < API_QUEUE_STATES; i++) {
            atomic_store(&ret->depths[class][i], atomic_load(&known->depths[class][i]));
            atomic_store(&ret->oldest_ms[class][i], atomic_load(&known->oldest_ms[class][i]));
        }
    }
}

void metrics_database_look(const struct api *api, struct api_figures *ret_figures)
{
    struct api_figures *known = api->figures;
    if (!known) {
        ask(api, ret_figures);
        return;
    }
    int64_t now_us = clock_us(), asked_us = atomic_load(&known->asked_us);
    int64_t asker_us = atomic_load(&known->asker_us);
    bool is_due = asked_us == 0 || now_us - asked_us >= KNOWN_US;
    if (is_due && asker_us < now_us &&
        atomic_compare_exchange_strong(&known->asker_us, &asker_us, now_us + ASKER_US)) {
        ask(api, known);
        atomic_store(&known->asker_us, 0);
    }
    copy(known, ret_figures);
}
