/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.h - the runner's state, for the files of jobs/ alone
 *
 * An attempt is a job that this runner holds: claimed, and its end not recorded yet. It is in
 * exactly one place at a time, and attempt_move() is the one door between them:
 *
 *   buffered ─→ load queue ─→ loading ─→ buffered (inputs are there) ─→ crew
 *   crew ─→ save queue ─→ saving ─→ ended ─→ reporting ─→ gone
 *
 * Jobs without blobs leave out loading and saving. One statement at a time is under way on the
 * queue connection, so that each takes what has gathered meanwhile. Whatever is said of a job names
 * its lease and the runner's id; an id that was fenced is never used again.
 */
#ifndef JOBS_RUNNER_H
#define JOBS_RUNNER_H

#include "api/binding.h"
#include "base/run_socket.h"
#include "db/blob.h"
#include "db/job.h"
#include "db/runner.h"
#include "jobs/jobs.h"
#include "jobs/policy.h"

#define REPORT_MAX 500 /* ends in one statement */
#define SPARE_ARENAS_MAX 256
#define EARLY_CANCELS_MAX 64

enum attempt_place {
    AT_BUFFERED, /* + its class */
    AT_LOAD_QUEUE = AT_BUFFERED + TASK_CLASS_COUNT,
    AT_LOADING,
    AT_CREW,
    AT_SAVE_QUEUE,
    AT_SAVING,
    AT_ENDED, /* to be reported */
    AT_REPORTING,
    ATTEMPT_PLACE_COUNT
};

struct attempt {
    struct attempt *next, *previous;
    enum attempt_place place;
    struct runner *runner;
    struct arena *arena; /* this struct too */
    int64_t id, lease;
    int64_t claimed_us;
    enum task_class class;
    int attempt, crashes, max_attempts;
    double timeout_seconds; /* NaN: the task's own */
    const char *task_name, *params, *request_id;
    const struct task_desc *task;
    bool is_prepared; /* parameters are read, inputs are there */
    bool is_begun;
    bool is_gone; /* cancelled or fenced: nothing is reported */

    struct binding binding;
    struct crew_run run;
    struct blob_transfer *transfer;
    int blob;           /* the next input to be loaded */
    size_t blob_offset; /* where in the body it begins */
    int output;         /* the next to be saved */
    int64_t *blob_keys;
    char (*blob_sha256)[65];
    int tries; /* of storing its end or an output */
    int64_t not_before_us;

    /* The end, once it is AT_ENDED. */
    enum policy_verdict verdict;
    struct error error;
    const char *error_json, *result_json, *outputs_json;
    double delay_seconds;
    size_t report_bytes;
    bool was_sent;   /* a first try may have been recorded */
    bool is_suspect; /* was in a batch that the database refused */
};

struct attempt_list {
    struct attempt *first, *last;
    int count;
};

struct claim_class {
    int slots;
    const char **lanes;
    int lane_count, rotation;
    int held;      /* attempts up to AT_CREW */
    int with_crew; /* of these, AT_CREW */
    double mean_us, mean_bytes;
    int limit;      /* of the claim under way */
    int64_t runner; /* its id then: another one, when we were fenced meanwhile */
    bool is_under_way;
    bool is_wanted;  /* woken: claim without waiting for next_poll_us */
    bool is_starved; /* slots are free, and the last claim found nothing */
    int empty_polls;
    int64_t next_poll_us;
    int64_t last_end_us; /* of a run; or when there began to be something to compute */
};

struct runner_counts {
    uint64_t claimed, succeeded, failed, retried, crashed, returned, stale, canceled, fenced;
};

/* A thing that the keeper does now and then. */
struct keeper_timer {
    int64_t next_us;
    bool is_under_way;
};

struct keeper {
    bool is_connected, has_secret, was_registering;
    bool is_warned; /* of a failure that has not ended */
    struct db_secret secret;
    char probe[64]; /* payload of the notification to itself; "" once it came */
    int64_t probe_deadline_us;
    bool is_listening;
    struct keeper_timer registration, beat, rescue, promotion, prune;
    int64_t beat_sent_us;
    int64_t confirmed_us; /* when the last beat (or registration) that was confirmed was sent */
};

struct report {
    struct attempt *batch[REPORT_MAX];
    int count;      /* of the statement under way; 0: none */
    bool is_return; /* what it is */
    bool returns_next;
    int64_t progress_us;
    bool is_progressing;
    int logged; /* lines in the current second */
    int64_t log_second_us;
    uint64_t not_logged;
};

struct runner {
    const struct config *config;
    struct arena *arena;   /* lives as long as the process */
    struct arena *scratch; /* reset after each use */
    struct catalog *catalog;
    struct crew *crew;
    struct db *queue, *keeper_db, *blobs;
    int64_t started_us;
    uint64_t random;
    char host[64];

    int64_t id;                /* 0: not registered */
    struct runner_task *tasks; /* those it can compute */
    int task_count;
    const char **lanes;
    int lane_count;

    struct claim_class classes[TASK_CLASS_COUNT];
    struct attempt_list places[ATTEMPT_PLACE_COUNT];
    struct arena *spare[SPARE_ARENAS_MAX];
    int spare_count;
    struct keeper keeper;
    struct report report;
    struct runner_counts counts;

    int64_t early_cancels[EARLY_CANCELS_MAX]; /* of jobs whose claim is under way, the last ones */
    unsigned early_cancel_count;

    bool is_queue_connected, wants_recovery, is_recovering;
    int64_t recovery_us; /* the next one */
    bool is_marked_idle;
    int64_t busy_since_us; /* 0: some class is starved */
    int next_class;        /* to claim for */
    int next_kind;         /* of statement on the queue connection, in turn */

    bool is_draining, is_stopped, is_leaving, is_done;
    int64_t drain_deadline_us; /* running attempts are stopped then */
    int64_t give_up_us;        /* the process ends then, whatever is left */

    int signal_fd;
    struct run_socket wake, status;
};

/* ---- runner.c */

/* From -1 to 1, for waits that must not be the same everywhere. */
double runner_jitter(struct runner *r);

/* May it claim and report? Registered, and its lease was confirmed less than a lease ago. */
bool runner_is_confirmed(const struct runner *r, int64_t now_us);

/* The server is there and did not do what it was asked to: to be logged. A lost connection is
 * logged once, by the keeper. */
bool runner_is_refusal(const struct db *db, const struct error *error);

/* ---- attempt.c: one job's way */

struct attempt *attempt_begin(struct runner *r, enum task_class class,
                              const struct job_claimed *job);
void attempt_free(struct attempt *t);
void attempt_move(struct attempt *t, enum attempt_place place);

/* Prepare and submit what executors have room for, for at most 2 ms; true when there is more. */
bool attempts_feed(struct runner *r);
/* Begin blob transfers, as many as may be at a time. */
void attempts_transfer(struct runner *r);

/* Not this runner's any more: stop it, report nothing. */
void attempt_drop(struct attempt *t);
/* Drop all of them, and kill the executors: the runner was fenced. */
void attempts_drop_all(struct runner *r);
/* The attempt of job `id`; NULL when there is none. */
struct attempt *attempt_find(struct runner *r, int64_t id);
/* All that are held. Ownership: `a`. */
struct runner_held *attempts_held(const struct runner *r, struct arena *a, int *ret_count);
int attempts_count(const struct runner *r);

/* Give back all that executors have not been given. */
void attempts_return(struct runner *r);
/* Stop what executors were given, and give it back: what has not begun, or all. */
void attempts_stop(struct runner *r, bool begun_too);
/* Of a class in which nothing ends: what waits behind it, since others may have slots free. */
void attempts_return_stalled(struct runner *r, int64_t now_us);

struct crew_events attempt_crew_events(struct runner *r);

/* ---- claim.c */

/* Claim for one of the classes that want jobs; false when none does. */
bool claim_send(struct runner *r, int64_t now_us);
bool claim_is_under_way(const struct runner *r); /* of any class */
/* Jobs may have come. */
void claim_wake(struct runner *r);
/* A job that is not here was cancelled: it may be about to come. */
void claim_note_cancel(struct runner *r, int64_t id);
/* When claim_send() may have something to do, by the clock alone. */
int64_t claim_next_us(const struct runner *r);
/* Enqueuers need not notify a runner that is busy anyway. */
bool claim_unmark_send(struct runner *r, int64_t now_us);
/* A new registration, or a new connection: nothing is known of the queue. */
void claim_restart(struct runner *r);
/* Take back jobs whose claim's answer was lost. */
bool claim_recover_send(struct runner *r, int64_t now_us);

/* ---- report.c */

/* The attempt has ended with run.end or `error`: decide, and queue the report. */
void report_end(struct attempt *t);
/* It could not be computed: `error` stands for its end. */
void report_failure(struct attempt *t, const struct error *error,
                    const struct field_errors *errors);
void report_untried(struct attempt *t);
/* Send a batch of ends or returns; false when there is none. */
bool report_send(struct runner *r, int64_t now_us);
/* Send how far runs have got, once a second. */
bool report_progress_send(struct runner *r, int64_t now_us);
int64_t report_next_us(const struct runner *r);

/* ---- keeper.c */

extern const char *const keeper_channels[];
struct db_events keeper_events(struct runner *r);
/* Send what is due; returns when it wants to be called again. */
int64_t keeper_step(struct runner *r, int64_t now_us);
/* Scheduled jobs may be due in so many seconds. */
void keeper_expect_due(struct runner *r, double seconds);

/* ---- status.c */

int status_open(struct runner *r, struct error *reterr);
void status_answer(const struct runner *r);

#endif
