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
 * Jobs without blobs leave out loading and saving. What was claimed ahead as short work and turns
 * out to be long is given back: from anywhere before its run has begun an attempt may end untried.
 *
 * One statement at a time is under way on the
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
#include "exec/slots.h"
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
    int64_t wait_us; /* that it had been ready then */
    size_t params_size;
    enum task_class class;
    int attempt, crashes, max_attempts;
    double timeout_seconds; /* NaN: the task's own */
    const char *task_name, *params, *tenant, *request_id, *traceparent;
    struct runner_generation *generation; /* under which its task was found; NULL before */
    const struct task_desc *task;
    bool has_blobs;   /* as inputs */
    bool is_prepared; /* parameters are read */
    bool is_loading;  /* some of its blobs are there or on their way; buffered: all are there */
    bool is_begun;
    bool is_gone; /* cancelled or fenced: nothing is reported */

    struct binding binding;
    struct crew_run run;
    struct blob_transfer *transfer;
    int blob;           /* the next input to be loaded */
    size_t blob_offset; /* where in the body it begins */
    size_t input_bytes; /* loaded; counted in runner.input_bytes until the run has ended */
    int64_t load_us;    /* when loading began; then how long it took */
    int output;         /* the next to be saved */
    int64_t saved_us;   /* when the first one was */
    size_t kept_bytes;  /* result and outputs; counted in runner.kept_bytes */
    int64_t *blob_keys;
    char (*blob_sha256)[65];
    int tries;      /* of storing its end or an output */
    int slow_tries; /* of storing its end: no answer in time */
    int64_t not_before_us;

    /* The end, once it is AT_ENDED. */
    enum policy_verdict verdict;
    struct error error;
    const char *error_json, *result_json, *outputs_json;
    double delay_seconds;
    size_t report_bytes;
    bool was_sent; /* a first try may have been recorded */
    bool is_logged;
    bool is_suspect; /* was in a batch that the database refused */
};

struct attempt_list {
    struct attempt *first, *last;
    int count;
};

/* What HUP renews, and attempts hold on to until they have ended. */
struct runner_generation {
    struct runner_generation *next; /* one that goes: its runs or executors have not ended */
    int number;
    struct arena *arena; /* all of it */
    const struct config *config;
    struct catalog *catalog;
    struct slots_plan slots;
    struct crew *crew;
    struct runner_task *tasks; /* those it can compute */
    int task_count;
    const char **lanes;
    int lane_count;
    struct runner_class {
        int slots;
        const char **lanes;
        int lane_count;
    } classes[TASK_CLASS_COUNT];
    int attempts;        /* that hold on to it */
    int64_t deadline_us; /* to get ready */
};

struct claim_class {
    struct runner_class can; /* of the newest generation */
    int rotation;            /* of its lanes */
    int held;                /* attempts up to AT_CREW */
    int with_crew;           /* of these, AT_CREW */
    int to_load;             /* in the load queue, or being loaded */
    int ahead;               /* with blobs: being loaded, or loaded and not with the crew */
    double held_bytes;       /* params of those held */
    double mean_us, mean_bytes;
    /* Of runs that have ended since the mean was looked at: */
    double ended_us, ended_cpu_us;
    int ended_count;
    int64_t surplus_since_us; /* more than there should be; 0: there is not */
    int limit;                /* of the claim under way */
    int64_t runner;           /* its id then: another one, when we were fenced meanwhile */
    int generation;           /* its number then: another one, when all was renewed meanwhile */
    bool is_under_way;
    bool is_wanted;  /* woken: claim without waiting for next_poll_us */
    bool is_starved; /* slots are free, and the last claim found nothing */
    int empty_polls;
    int64_t next_poll_us;
    int64_t last_end_us; /* of a run; or when there began to be something to hold */
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
    struct keeper_timer registration, beat, renewal, rescue, promotion, prune, tidying;
    uint64_t tidied_claims; /* of all, those before the last tidying */
    int64_t tidying_sent_us;
    bool wants_renewal;     /* what this runner can do has changed */
    int64_t rescue_from_us; /* not before: whoever was cut off with us may be alive */
    int64_t beat_sent_us;
    int64_t confirmed_us; /* when the last beat (or registration) that was confirmed was sent */
};

/* A cancelled attempt. */
struct canceled {
    int64_t id, lease;
};

struct report {
    struct attempt *batch[REPORT_MAX];
    int count;      /* of the statement under way; 0: none */
    bool is_return; /* what it is */
    bool returns_next;
    int64_t sent_us;
    int64_t progress_us;
    bool is_progressing;
    int logged[2]; /* lines in the current second: of what went well, of the rest */
    int64_t log_second_us;
    uint64_t not_logged;
};

/* Does the table say that enqueuers have to notify us? */
enum idle_mark { MARK_UNKNOWN, MARK_BUSY, MARK_IDLE };

struct runner {
    const struct config *config;          /* of the generation */
    struct runner_generation *generation; /* the newest that serves */
    struct runner_generation *coming;     /* one that starts, or NULL */
    int generation_number;
    bool wants_reload;     /* after that */
    int crews_fd;          /* epoll: some crew has something to do */
    struct arena *scratch; /* reset after each use */
    struct db *queue, *keeper_db;
    struct db *blobs; /* and what the keeper does for all runners, which may take its time */
    int64_t started_us;
    uint64_t random;
    char host[64];
    const char *autogroup; /* what came of priority_yield() */

    int64_t id; /* 0: not registered */

    struct claim_class classes[TASK_CLASS_COUNT];
    struct attempt_list places[ATTEMPT_PLACE_COUNT];
    struct arena *spare[SPARE_ARENAS_MAX];
    int spare_count;
    struct keeper keeper;
    struct report report;
    struct runner_counts counts, published; /* in the metrics, until now */

    size_t input_bytes; /* loaded for runs that have not ended */
    size_t kept_bytes;  /* results and outputs that are not recorded yet */

    struct canceled
        early_cancels[EARLY_CANCELS_MAX]; /* while claims are under way, the last ones */
    unsigned early_cancel_count;

    bool is_queue_connected, wants_recovery, is_recovering;
    int64_t recovery_us; /* the next one */
    enum idle_mark mark;
    int64_t mark_us;       /* not earlier, after a mark that failed */
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

/* ---- generation.c */

/* The first one. */
int generations_open(struct runner *r, const struct config *cfg, struct error *reterr);
void generations_close_crews(struct runner *r); /* first: attempts end, and can then be freed */
void generations_close(struct runner *r);
/* Start another one beside it, with what configuration and descriptors say now. */
void generations_reload(struct runner *r);
/* The one that starts takes over once it is ready; old ones go. Returns when to be called again. */
int64_t generations_step(struct runner *r, int64_t now_us);
/* crew_step() and crew_reap() of all of them. */
int64_t crews_step(struct runner *r);
void crews_reap(struct runner *r);

/* ---- attempt.c: one job's way */

struct attempt *attempt_begin(struct runner *r, enum task_class class,
                              const struct job_claimed *job);
void attempt_free(struct attempt *t);
void attempt_move(struct attempt *t, enum attempt_place place);
/* The buffer of its class. */
enum attempt_place attempt_buffer(const struct attempt *t);
/* How many attempts of the class the executors may be given, ahead included. */
int attempts_room(const struct runner *r, enum task_class class, int64_t now_us);

/* What the runs that have ended took goes into the means: those of one look at the executors as one
 * figure, since it is not known which of them took how much of it. */
void attempts_observe(struct runner *r);
/* How long executors may be left alone, in µs. */
int64_t attempts_rest_us(const struct runner *r, int64_t now_us);
/* Of the class's jobs, for policy.h. */
struct policy_load attempts_load(const struct runner *r, enum task_class class, int64_t now_us);

/* Prepare and submit what executors have room for, for at most 2 ms; true when there is more. */
bool attempts_feed(struct runner *r);

/* Not this runner's any more: stop it, report nothing. */
void attempt_drop(struct attempt *t);
/* Drop all of them, and kill the executors: the runner was fenced. */
void attempts_drop_all(struct runner *r);
/* The attempt of job `id` with that lease; NULL when there is none. */
struct attempt *attempt_find(struct runner *r, int64_t id, int64_t lease);
/* All that are held. Ownership: `a`. */
struct runner_held *attempts_held(const struct runner *r, struct arena *a, int *ret_count);
int attempts_count(const struct runner *r);

/* Give back all that executors have not been given. */
void attempts_return(struct runner *r);
/* Stop what executors were given, and give it back: what has not begun, or all. */
void attempts_stop(struct runner *r, bool begun_too);
/* Give back what was claimed as short work and is not, since others may have slots free; returns
 * when to look again. */
int64_t attempts_return_surplus(struct runner *r, int64_t now_us);
/* Running time of the class's jobs: the mean, or longer when nothing has ended for longer. */
double attempts_mean_us(const struct claim_class *c, int64_t now_us);

/* So many bytes of its results are kept until they are recorded. */
void attempt_keep(struct attempt *t, size_t bytes);
size_t attempt_output_bytes(const struct attempt *t);
/* Results that wait to be recorded take all the memory they may. */
bool attempts_are_kept_back(const struct runner *r);

struct crew_events attempt_crew_events(struct runner *r);

/* ---- transfer.c: bytes of inputs and outputs */

/* Begin blob transfers, as many as may be at a time. */
void attempts_transfer(struct runner *r);
/* Its outputs become blobs, then its end is reported. */
void attempt_save_outputs(struct attempt *t);

/* ---- claim.c */

/* Claim for one of the classes that want jobs; false when none does. */
bool claim_send(struct runner *r, int64_t now_us);
bool claim_is_under_way(const struct runner *r); /* of any class */
/* Jobs may have come. */
void claim_wake(struct runner *r);
/* A job that is not here was cancelled: it may be about to come. */
void claim_note_cancel(struct runner *r, int64_t id, int64_t lease);
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
/* It goes without a report: log it, if it was begun and is not logged yet. */
void report_dropped(struct attempt *t);
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
/* Lanes and tasks have changed. */
void keeper_renew(struct runner *r);
/* Scheduled jobs may be due in so many seconds. */
void keeper_expect_due(struct runner *r, double seconds);

/* ---- status.c */

int status_open(struct runner *r, struct error *reterr);
void status_answer(const struct runner *r);

#endif
