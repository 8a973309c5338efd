/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keeper.c - the connection that keeps the runner alive in the database's eyes
 *
 * Registration, heartbeats and notifications have a connection of their own, so that nothing is in
 * front of a heartbeat. What any runner does for all (rescue jobs of dead runners, make scheduled
 * jobs ready, prune) may take long and goes where the pieces of blobs go.
 */
#include "jobs/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#define SECOND_US 1000000
#define RESCUE_US 2000000
#define PROMOTE_US 1000000 /* at the latest */
#define PROMOTE_MAX 1000   /* jobs of one statement */
#define PRUNE_US 600000000
#define PRUNE_STEP_US 50000 /* between the steps of one pruning */
#define TIDY_US 1000000
#define TIDY_CLAIMS 5000      /* where nothing is left to do, so many claims are worth a tidying */
#define TIDY_CLAIMS_MAX 50000 /* and so many whatever there is to do */
#define TIDY_RESTS 20         /* as long as it took: with a million jobs queued it takes a second */
#define TIDY_LONG_US 2000000  /* others wait behind it: what takes longer is left to autovacuum */
#define TIDY_LEFT_US 600000000
#define PROBE_US 2000000

const char *const keeper_channels[] = {JOB_CHANNEL_NEW, JOB_CHANNEL_CANCEL, NULL};

/* PgBouncer in transaction mode swallows LISTEN without a word: notify ourselves and see. */
static const struct db_statement notify_self = {
    .name = "keeper_notify_self",
    .sql = "SELECT pg_notify($1, $2)",
};

static bool is_due(const struct keeper_timer *timer, int64_t now_us)
{
    return !timer->is_under_way && now_us >= timer->next_us;
}

static void begin(struct keeper_timer *timer)
{
    timer->is_under_way = true;
}

static void end(struct keeper_timer *timer, int64_t wait_us)
{
    timer->is_under_way = false;
    timer->next_us = clock_us() + wait_us;
}

static int64_t lease_us(const struct runner *r)
{
    return (int64_t)(r->config->jobs_lease_seconds * SECOND_US);
}

/* A failure is logged when it begins, not each time it is met again. */
static void warn(struct runner *r, const struct db *db, const char *message,
                 const struct error *error)
{
    if (r->keeper.is_warned || !runner_is_refusal(db, error))
        return;
    r->keeper.is_warned = true;
    log_write(LOG_ERROR, message, LOG_ERR(*error));
}

/* ---- registration */

static void on_registered(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    end(&k->registration, 2 * SECOND_US);
    if (!rows) {
        warn(r, r->keeper_db, "registering the runner failed, trying on", error);
        return;
    }
    k->is_warned = false;
    r->id = runner_register_read(rows);
    r->mark = MARK_BUSY; /* as new rows are */
    r->mark_us = 0;
    r->wants_recovery = false;
    k->confirmed_us = k->beat_sent_us;
    end(&k->beat, lease_us(r) / 3);
    claim_restart(r);
    log_write(LOG_INFO, "runner registered", LOG_INT("runner", r->id),
              LOG_INT("tasks", r->generation->task_count));
}

static struct runner_registration registration_of(const struct runner *r)
{
    const struct runner_generation *g = r->generation;
    return (struct runner_registration){.host = r->host,
                                        .version = GANGSAW_VERSION,
                                        .pid = (int)getpid(),
                                        .lease_seconds = g->config->jobs_lease_seconds,
                                        .lanes = g->lanes,
                                        .lane_count = g->lane_count,
                                        .tasks = g->tasks,
                                        .task_count = g->task_count};
}

static void register_runner(struct runner *r)
{
    struct runner_registration registration = registration_of(r);
    begin(&r->keeper.registration);
    r->keeper.beat_sent_us = clock_us();
    runner_register_send(r->keeper_db, &registration, on_registered, r);
}

static void on_secret(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    end(&k->registration, 2 * SECOND_US);
    if (rows && db_secret_read(rows, &k->secret)) {
        char id[DB_ID_SIZE]; /* the library of hashes reads its files now, not before the first job
                              */
        db_id_format(&k->secret, DB_ID_JOB, "", 1, id);
        k->has_secret = true;
        k->registration.next_us = 0;
    } else if (!rows) {
        warn(r, r->keeper_db, "the database cannot be used, trying on; was it migrated?", error);
    } else {
        static const struct error missing = {.code = ERR_INTERNAL,
                                             .detail = "The database has no secret."};
        warn(r, r->keeper_db, "the database cannot be used, trying on; was it migrated?", &missing);
    }
}

/* The secret first: ids in the log and in parameters need it. */
static void join(struct runner *r)
{
    if (r->keeper.has_secret) {
        register_runner(r);
        return;
    }
    begin(&r->keeper.registration);
    db_secret_send(r->keeper_db, on_secret, r);
}

/* ---- renewal */

static void on_renewed(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    end(&k->renewal, 2 * SECOND_US);
    if (!rows) {
        k->wants_renewal = true;
        warn(r, r->keeper_db, "recording what the runner can do failed, trying on", error);
    }
}

static void send_renewal(struct runner *r)
{
    struct runner_registration registration = registration_of(r);
    r->keeper.wants_renewal = false;
    begin(&r->keeper.renewal);
    runner_renew_send(r->keeper_db, r->id, &registration, on_renewed, r);
}

void keeper_renew(struct runner *r)
{
    r->keeper.wants_renewal = true;
    r->keeper.renewal.next_us = 0;
}

/* ---- heartbeat */

/* Somebody gave us up and took our jobs: whatever still runs here must not go on. */
static void on_fenced(struct runner *r)
{
    log_write(LOG_ERROR, "fenced: the jobs were given to others, executors are killed",
              LOG_INT("runner", r->id), LOG_INT("jobs", attempts_count(r)));
    r->counts.fenced++;
    r->id = 0;
    r->keeper.has_secret = false; /* it may even be another database */
    r->keeper.registration.next_us = 0;
    attempts_drop_all(r);
}

static void drop_gone(struct runner *r, const struct runner_beat *beat)
{
    for (int i = 0; i < beat->gone_count; i++) {
        struct attempt *t = attempt_find(r, beat->gone[i].id, beat->gone[i].lease);
        /* One that was claimed after the heartbeat was sent is another attempt of the same job,
         * though its lease may be the same after a crash of the server; one that is being reported
         * tells by itself. */
        if (!t || t->claimed_us > r->keeper.beat_sent_us || t->place == AT_REPORTING)
            continue;
        r->counts.canceled++;
        attempt_drop(t);
    }
}

static void on_beat(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    end(&k->beat, rows ? lease_us(r) / 3 - (clock_us() - k->beat_sent_us) : SECOND_US);
    if (!rows) {
        warn(r, r->keeper_db, "heartbeat failed, trying on", error);
        return;
    }
    struct runner_beat beat = runner_beat_read(rows, r->scratch);
    if (beat.is_fenced) {
        on_fenced(r);
    } else {
        k->confirmed_us = k->beat_sent_us;
        k->is_warned = false;
        drop_gone(r, &beat);
    }
    arena_reset(r->scratch);
}

static void send_beat(struct runner *r)
{
    int count;
    struct runner_held *held = attempts_held(r, r->scratch, &count);
    begin(&r->keeper.beat);
    r->keeper.beat_sent_us = clock_us();
    runner_beat_send(r->keeper_db, r->id, r->config->jobs_lease_seconds, held, count, on_beat, r);
    arena_reset(r->scratch);
}

/* ---- for all runners */

static void on_rescued(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    end(&k->rescue, (int64_t)(RESCUE_US * (1 + 0.2 * runner_jitter(r))));
    if (k->rescue.next_us < k->rescue_from_us)
        k->rescue.next_us = k->rescue_from_us;
    if (!rows) {
        warn(r, r->blobs, "rescue failed, trying on", error);
        return;
    }
    struct runner_rescue rescue = runner_rescue_read(rows);
    if (rescue.fenced > 0 || rescue.returned > 0 || rescue.failed > 0)
        log_write(LOG_WARNING, "rescued the jobs of dead runners",
                  LOG_INT("runners", rescue.fenced), LOG_INT("returned", rescue.returned),
                  LOG_INT("failed", rescue.failed));
    if (rescue.fenced > 0)
        metrics_add(METRIC_RUNNERS_FENCED, (double)rescue.fenced);
    if (rescue.returned + rescue.failed > 0)
        metrics_add(METRIC_JOBS_RESCUED, (double)(rescue.returned + rescue.failed));
    if (rescue.returned > 0)
        claim_wake(r);
}

static void on_promoted(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    int count = 0;
    int64_t next_ms = -1, wait_us = PROMOTE_US;
    if (rows)
        job_promote_read(rows, &count, &next_ms);
    else
        warn(r, r->blobs, "making scheduled jobs ready failed, trying on", error);
    if (count == PROMOTE_MAX)
        wait_us = 0;
    else if (next_ms >= 0 && next_ms < PROMOTE_US / 1000)
        wait_us = (next_ms + 1) * 1000;
    end(&r->keeper.promotion, wait_us);
    if (count > 0)
        claim_wake(r);
}

static void on_pruned(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    if (!rows) {
        end(&r->keeper.prune, 60 * (int64_t)SECOND_US);
        warn(r, r->blobs, "pruning failed, trying on", error);
        return;
    }
    struct job_prune prune = job_prune_read(rows);
    end(&r->keeper.prune,
        prune.is_done ? (int64_t)(PRUNE_US * (1 + 0.2 * runner_jitter(r))) : PRUNE_STEP_US);
    if (prune.partitions > 0 || prune.blobs > 0 || prune.keys > 0)
        log_write(LOG_INFO, "pruned", LOG_INT("partitions", prune.partitions),
                  LOG_INT("blobs", prune.blobs), LOG_INT("idempotency_keys", prune.keys));
}

static void on_tidied(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    int64_t took_us = clock_us() - r->keeper.tidying_sent_us;
    int64_t rest_us = took_us > TIDY_LONG_US ? TIDY_LEFT_US : TIDY_RESTS * took_us;
    end(&r->keeper.tidying, rest_us > TIDY_US ? rest_us : TIDY_US);
    if (!rows)
        warn(r, r->blobs, "vacuuming the table of jobs failed, trying on", error);
}

/* Autovacuum comes once a minute, which may be a million jobs later. */
static bool wants_tidying(const struct runner *r)
{
    uint64_t claims = r->counts.claimed - r->keeper.tidied_claims;
    bool is_idle = r->busy_since_us == 0 && attempts_count(r) == 0;
    return claims >= (is_idle ? TIDY_CLAIMS : TIDY_CLAIMS_MAX);
}

void keeper_expect_due(struct runner *r, double seconds)
{
    int64_t due_us = clock_us() + (int64_t)(seconds * SECOND_US) + 1000;
    if (due_us < r->keeper.promotion.next_us)
        r->keeper.promotion.next_us = due_us;
}

/* ---- events */

static void send_probe(struct runner *r)
{
    struct keeper *k = &r->keeper;
    (void)snprintf(k->probe, sizeof(k->probe), "probe:%d:%016" PRIx64, (int)getpid(), r->random);
    (void)runner_jitter(r); /* another number the next time */
    struct db_value values[] = {db_text(JOB_CHANNEL_CANCEL), db_text(k->probe)};
    k->is_listening = false;
    k->probe_deadline_us = clock_us() + PROBE_US;
    db_send(r->keeper_db, &notify_self, values, 2, NULL, NULL);
}

static void on_connected(void *context)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    int64_t now_us = clock_us();
    k->is_connected = true;
    k->registration.next_us = k->beat.next_us = now_us;
    k->rescue.next_us = k->rescue_from_us = now_us + lease_us(r); /* others come back too */
    if (k->confirmed_us > 0)
        log_write(LOG_INFO, "the database is back");
    send_probe(r);
    claim_wake(r); /* notifications may have been missed */
}

static void on_lost(void *context, const struct error *error)
{
    struct runner *r = context;
    r->keeper.is_connected = false;
    r->keeper.is_listening = false;
    r->keeper.probe[0] = '\0';
    log_write(LOG_ERROR, "the database is away, running jobs go on", LOG_ERR(*error));
}

/* "runner:id:lease": that attempt of the job was cancelled. */
static void on_cancel(struct runner *r, const char *payload)
{
    int64_t numbers[3]; /* runner, id, lease */
    for (int i = 0; i < 3; i++) {
        char *rest;
        numbers[i] = strtoll(payload, &rest, 10);
        if (rest == payload || *rest != (i < 2 ? ':' : '\0'))
            return;
        payload = rest + 1;
    }
    if (numbers[0] != r->id)
        return;
    struct attempt *t = attempt_find(r, numbers[1], numbers[2]);
    if (!t) /* this connection may have been faster than the claim's */
        claim_note_cancel(r, numbers[1], numbers[2]);
    if (!t || t->place == AT_REPORTING)
        return;
    r->counts.canceled++;
    attempt_drop(t);
}

static void on_notified(void *context, const char *channel, const char *payload)
{
    struct runner *r = context;
    struct keeper *k = &r->keeper;
    if (strcmp(channel, JOB_CHANNEL_NEW) == 0) {
        claim_wake(r);
    } else if (k->probe[0] && strcmp(payload, k->probe) == 0) {
        k->probe[0] = '\0';
        k->is_listening = true;
    } else if (r->id > 0) {
        on_cancel(r, payload);
    }
}

struct db_events keeper_events(struct runner *r)
{
    return (struct db_events){
        .connected = on_connected, .lost = on_lost, .notified = on_notified, .context = r};
}

/* ---- */

static void check_probe(struct runner *r, int64_t now_us)
{
    struct keeper *k = &r->keeper;
    if (!k->probe[0] || now_us < k->probe_deadline_us)
        return;
    k->probe[0] = '\0';
    log_write(LOG_WARNING, "notifications do not arrive, polling each second: the database must be "
                           "reached without a pooler in transaction mode");
}

/* What any runner does for all of them. */
static void send_chores(struct runner *r, int64_t now_us)
{
    struct keeper *k = &r->keeper;
    if (is_due(&k->rescue, now_us)) {
        begin(&k->rescue);
        runner_rescue_send(r->blobs, r->config->jobs_lease_seconds, r->config->jobs_retention_days,
                           on_rescued, r);
    }
    if (is_due(&k->promotion, now_us)) {
        begin(&k->promotion);
        job_promote_send(r->blobs, PROMOTE_MAX, on_promoted, r);
    }
    if (is_due(&k->prune, now_us) && !r->is_draining) {
        begin(&k->prune);
        job_prune_send(r->blobs, r->config->jobs_retention_days, on_pruned, r);
    }
    if (wants_tidying(r) && is_due(&k->tidying, now_us) && !r->is_draining) {
        begin(&k->tidying);
        k->tidied_claims = r->counts.claimed;
        k->tidying_sent_us = now_us;
        job_tidy_send(r->blobs, on_tidied, r);
    }
}

static void send_due(struct runner *r, int64_t now_us)
{
    struct keeper *k = &r->keeper;
    if (r->id == 0) {
        if (is_due(&k->registration, now_us) && !r->is_draining)
            join(r);
        return;
    }
    if (is_due(&k->beat, now_us))
        send_beat(r);
    if (k->wants_renewal && is_due(&k->renewal, now_us))
        send_renewal(r);
    if (db_is_connected(r->blobs))
        send_chores(r, now_us);
}

static void earlier(int64_t *next_us, const struct keeper_timer *timer)
{
    if (!timer->is_under_way && timer->next_us < *next_us)
        *next_us = timer->next_us;
}

int64_t keeper_step(struct runner *r, int64_t now_us)
{
    struct keeper *k = &r->keeper;
    int64_t next_us = INT64_MAX;
    if (!k->is_connected)
        return next_us;
    check_probe(r, now_us);
    send_due(r, now_us);
    if (k->probe[0])
        next_us = k->probe_deadline_us;
    if (r->id == 0) {
        if (!r->is_draining)
            earlier(&next_us, &k->registration);
        return next_us;
    }
    earlier(&next_us, &k->beat);
    if (k->wants_renewal)
        earlier(&next_us, &k->renewal);
    if (!db_is_connected(r->blobs))
        return next_us;
    earlier(&next_us, &k->rescue);
    earlier(&next_us, &k->promotion);
    if (!r->is_draining)
        earlier(&next_us, &k->prune);
    if (!r->is_draining && wants_tidying(r))
        earlier(&next_us, &k->tidying);
    return next_us;
}
