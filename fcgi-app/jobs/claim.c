/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim.c - when to ask for jobs, and for how many
 *
 * Enqueuers notify only while a runner is marked idle, so the mark has to be there before the poll
 * that finds nothing: mark, then poll once more, then ever less often. Idle means that in every
 * class slots are free and the queue had nothing for them. A runner that gets jobs is unmarked
 * only after it has been busy for a while, so that single jobs cost no change of the mark.
 */
#include "jobs/runner.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define BUSY_US 50000        /* before the idle mark goes */
#define RECOVERY_US 30000000 /* between looks for lost claims */
#define RETRY_US 1000000     /* after the database refused */
#define UNREPORTED_MAX 4000  /* ends kept before claims stop */
#define UNSAVED_MAX 64       /* the same of those with outputs: they may be large */
#define LANES_MAX 64         /* of one claim */

static int wanted(const struct runner *r, enum task_class class)
{
    const struct claim_class *c = &r->classes[class];
    if (c->can.slots == 0 ||
        r->places[AT_ENDED].count + r->places[AT_REPORTING].count > UNREPORTED_MAX ||
        r->places[AT_SAVE_QUEUE].count > UNSAVED_MAX || attempts_are_kept_back(r))
        return 0;
    struct policy_load load = attempts_load(r, class, clock_us());
    return policy_claim_limit(&load);
}

static bool all_starved(const struct runner *r)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (r->classes[c].can.slots > 0 && !r->classes[c].is_starved)
            return false;
    }
    return true;
}

static void note_starving(struct runner *r, int64_t now_us)
{
    if (all_starved(r))
        r->busy_since_us = 0;
    else if (r->busy_since_us == 0)
        r->busy_since_us = now_us;
}

static void on_marked(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    (void)error; /* nothing depends on it but how soon jobs are seen */
    if (rows)
        return;
    r->mark = MARK_UNKNOWN;
    r->mark_us = clock_us() + RETRY_US;
}

static void send_mark(struct runner *r, enum idle_mark mark)
{
    r->mark = mark;
    runner_mark_send(r->queue, r->id, mark == MARK_IDLE, r->is_draining, on_marked, r);
}

/* After it has taken effect, whoever enqueues notifies: only then is an empty poll to be trusted.
 */
static void mark_idle(struct runner *r)
{
    send_mark(r, MARK_IDLE);
    claim_wake(r);
}

static void on_claimed_none(struct runner *r, struct claim_class *c, int64_t now_us)
{
    c->is_starved = true;
    c->empty_polls++;
    note_starving(r, now_us);
    if (r->mark != MARK_IDLE && now_us >= r->mark_us && !r->is_draining && all_starved(r)) {
        mark_idle(r);
        return;
    }
    c->next_poll_us = now_us + policy_poll_us(c->empty_polls, runner_jitter(r));
}

static void on_claimed_some(struct runner *r, struct claim_class *c, int count, int64_t now_us)
{
    c->is_starved = false;
    c->empty_polls = 0;
    c->next_poll_us = count < c->limit ? now_us + policy_poll_us(1, 0) : now_us;
    note_starving(r, now_us);
}

bool claim_is_under_way(const struct runner *r)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (r->classes[c].is_under_way)
            return true;
    }
    return false;
}

void claim_note_cancel(struct runner *r, int64_t id, int64_t lease)
{
    if (claim_is_under_way(r))
        r->early_cancels[r->early_cancel_count++ % EARLY_CANCELS_MAX] =
            (struct canceled){.id = id, .lease = lease};
}

static bool is_canceled_already(const struct runner *r, const struct job_claimed *job)
{
    for (unsigned i = 0; i < r->early_cancel_count && i < EARLY_CANCELS_MAX; i++) {
        if (r->early_cancels[i].id == job->id && r->early_cancels[i].lease == job->lease)
            return true;
    }
    return false;
}

static void take(struct runner *r, enum task_class class, const struct db_rows *rows)
{
    struct job_claimed *jobs;
    int64_t now_us = clock_us();
    int count = job_claim_read(rows, r->scratch, &jobs);
    for (int i = 0; i < count; i++) {
        struct attempt *t = attempt_begin(r, class, &jobs[i]);
        if (is_canceled_already(r, &jobs[i])) {
            r->counts.canceled++;
            attempt_drop(t);
        } else if (r->is_draining || r->classes[class].generation != r->generation->number) {
            report_untried(t);
        }
    }
    r->counts.claimed += (uint64_t)count;
    if (count > 0)
        on_claimed_some(r, &r->classes[class], count, now_us);
    else
        on_claimed_none(r, &r->classes[class], now_us);
    arena_reset(r->scratch);
}

static void on_claimed(struct runner *r, enum task_class class, const struct db_rows *rows,
                       const struct error *error)
{
    struct claim_class *c = &r->classes[class];
    c->is_under_way = false;
    if (c->runner != r->id) { /* fenced meanwhile: the rescue has taken them back */
    } else if (rows) {
        take(r, class, rows);
    } else { /* it may have been committed, with nobody to compute what it took */
        r->wants_recovery = true;
        r->recovery_us = clock_us() + RETRY_US;
        if (runner_is_refusal(r->queue, error))
            log_write(LOG_ERROR, "claiming jobs failed", LOG_ERR(*error));
    }
    if (!claim_is_under_way(r))
        r->early_cancel_count = 0;
}

static void on_claimed_cpu(void *context, const struct db_rows *rows, const struct error *error)
{
    on_claimed(context, TASK_CPU, rows, error);
}

static void on_claimed_net(void *context, const struct db_rows *rows, const struct error *error)
{
    on_claimed(context, TASK_NET, rows, error);
}

/* Another lane is the first one each time. */
static void send_claim(struct runner *r, enum task_class class, int limit)
{
    static db_done *const done[TASK_CLASS_COUNT] = {on_claimed_cpu, on_claimed_net};
    struct claim_class *c = &r->classes[class];
    const char *lanes[LANES_MAX];
    int count = c->can.lane_count < LANES_MAX ? c->can.lane_count : LANES_MAX;
    for (int i = 0; i < count; i++)
        lanes[i] = c->can.lanes[(c->rotation + i) % c->can.lane_count];
    c->rotation = (c->rotation + 1) % c->can.lane_count;
    c->runner = r->id;
    c->generation = r->generation->number;
    c->limit = limit;
    c->is_under_way = true;
    c->is_wanted = false;
    job_claim_send(r->queue, r->id, lanes, count, limit, done[class], r);
}

bool claim_send(struct runner *r, int64_t now_us)
{
    if (r->is_draining || r->wants_recovery)
        return false;
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        enum task_class class = (enum task_class)((r->next_class + i) % TASK_CLASS_COUNT);
        struct claim_class *c = &r->classes[class];
        if (c->is_under_way || (!c->is_wanted && now_us < c->next_poll_us))
            continue;
        int limit = wanted(r, class);
        if (limit == 0) {
            if (c->is_starved) { /* no slot is free: it is no longer looking for jobs */
                c->is_starved = false;
                note_starving(r, now_us);
            }
            continue;
        }
        send_claim(r, class, limit);
        r->next_class = (int)class + 1;
        return true;
    }
    return false;
}

void claim_wake(struct runner *r)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        r->classes[c].is_wanted = true;
}

int64_t claim_next_us(const struct runner *r)
{
    int64_t next_us = r->recovery_us;
    if (r->wants_recovery || r->is_draining)
        return next_us;
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        const struct claim_class *c = &r->classes[i];
        if (c->is_under_way || (!c->is_wanted && c->next_poll_us >= next_us) ||
            wanted(r, (enum task_class)i) == 0)
            continue; /* an event ends each of these */
        next_us = c->is_wanted ? 0 : c->next_poll_us;
    }
    return next_us;
}

bool claim_unmark_send(struct runner *r, int64_t now_us)
{
    if (r->mark == MARK_BUSY || now_us < r->mark_us || r->busy_since_us == 0 ||
        now_us - r->busy_since_us < BUSY_US)
        return false;
    send_mark(r, MARK_BUSY);
    return true;
}

void claim_restart(struct runner *r)
{
    r->busy_since_us = clock_us();
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        struct claim_class *c = &r->classes[i];
        c->is_starved = false;
        c->empty_polls = 0;
        c->next_poll_us = 0;
    }
}

static void on_recovered(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    r->is_recovering = false;
    if (!rows) {
        r->wants_recovery = true;
        r->recovery_us = clock_us() + RETRY_US;
        if (runner_is_refusal(r->queue, error))
            log_write(LOG_ERROR, "taking lost claims back failed", LOG_ERR(*error));
        return;
    }
    int64_t count = runner_recover_read(rows);
    if (count > 0)
        log_write(LOG_WARNING, "lost claims were taken back", LOG_INT("jobs", count));
}

bool claim_recover_send(struct runner *r, int64_t now_us)
{
    if (r->is_recovering || now_us < r->recovery_us)
        return false;
    int count;
    struct runner_held *held = attempts_held(r, r->scratch, &count);
    r->wants_recovery = false;
    r->is_recovering = true;
    r->recovery_us = now_us + RECOVERY_US;
    runner_recover_send(r->queue, r->id, held, count, on_recovered, r);
    arena_reset(r->scratch);
    return true;
}
