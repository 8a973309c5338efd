/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.h - the runner's executors
 *
 * One process per slot, each with a connected socket. Small orders are sent ahead, up to
 * CREW_AHEAD_MAX for an executor, so that it never waits for the next one; those behind a long run
 * move to an executor that has become idle, and a run that was not begun
 * when its executor ended goes to another and counts as nothing. The crew enforces deadlines and
 * memory (stop flag, grace, SIGKILL), reaps, replaces with a growing delay, and logs what
 * executors print. It never waits. Only the runner's main loop calls it; it has raised
 * RLIMIT_NOFILE to four descriptors for each slot.
 */
#ifndef JOBS_CREW_H
#define JOBS_CREW_H

#include "base/config.h"
#include "exec/compute.h"

#define CREW_AHEAD_MAX 48
#define CREW_AHEAD_BYTES 65536 /* larger orders are sent to an executor that has nothing else */

enum crew_end {
    CREW_RESULT,    /* result and outputs */
    CREW_ERROR,     /* the task's own error, or over a limit: `error` */
    CREW_TIMED_OUT, /* over its deadline: `error` */
    CREW_CRASHED,   /* its executor died, by itself or over memory: `error` names the signal */
    CREW_STOPPED,   /* crew_stop() */
    CREW_UNTRIED,   /* crew_withdraw(), crew_kill_all(), crew_close(), before it began */
};

/* One run; zeroed storage of the caller's, which stays until `ended` was called for it. */
struct crew_run {
    /* set by the caller */
    struct arena *arena; /* results and outputs go here */
    const struct task_desc *task;
    struct payload *body; /* bytes of all inputs; the order is appended, a memfd sealed */
    const char *params;   /* JSON text, validated */
    size_t params_size;
    const struct order_input *inputs;
    int input_count;
    double seconds;            /* deadline, from its beginning */
    const char *seconds_limit; /* what set it, for the error */
    char label[72];            /* of log lines: the job's id */
    void *owner;               /* the caller's */
    /* set by the crew; valid once `ended` is called */
    enum crew_end end;
    struct error error;
    cJSON *result;
    struct compute_output *outputs;
    int output_count;
    int64_t started_us, ended_us, cpu_us; /* monotonic; started_us 0: never begun */
    int64_t peak_bytes;                   /* of its executor's memory; 0: unknown */
    /* the crew's own */
    enum { CREW_RUN_QUEUED, CREW_RUN_SENT, CREW_RUN_ENDED } place;
    struct crew_slot *slot;           /* it was sent to */
    struct crew_run *next, *previous; /* in the one list it stands in */
    bool is_begun, is_told, is_stopping;
    int losses; /* executors that died with it first in line, and said it had not begun */
    size_t body_size;
    int64_t kill_at_us;
    uint64_t number; /* among those of its slot */
};

/*
 * Called from crew_step() and crew_close() alone; they may submit and stop runs. `started` comes at
 * most once, when the run is known to have begun: within 0.1 s, or right before `ended`.
 */
struct crew_events {
    void (*started)(void *context, struct crew_run *run);
    void (*ended)(void *context, struct crew_run *run); /* the run is the caller's again */
    void *context;
};

struct crew;

/*
 * Start its executors: `slots` of each class, none where no task of `catalog` is of the class.
 * `cfg` outlives the crew.
 */
int crew_open(const struct config *cfg, const struct catalog *catalog,
              const int slots[TASK_CLASS_COUNT], const struct crew_events *events,
              struct crew **ret_crew, struct error *reterr);
/* It takes no more runs: those that go on end, and each executor with its last one. */
void crew_retire(struct crew *c);
/* Has each executor ended and been reaped? Then crew_close() waits for none. */
bool crew_has_ended(const struct crew *c);
/* Kills what is left, waits for it, ends all runs. NULL is fine. */
void crew_close(struct crew *c);

/* An epoll descriptor, readable when crew_step() has something to do, earlier than it said too. */
int crew_fd(const struct crew *c);
/* Returns when it wants to be called again at the latest (monotonic µs). */
int64_t crew_step(struct crew *c);
/* SIGCHLD came: reap, executors alone. Without it a death is noticed some milliseconds later. */
void crew_reap(struct crew *c);

/* Accept a run; it is sent to the executor with the least to do, or waits for one. */
void crew_submit(struct crew *c, struct crew_run *run);

/* Stop it with `why` as its error: flag, grace, SIGKILL; `ended` comes with CREW_STOPPED (or with
 * its real end, if that was faster). */
void crew_stop(struct crew *c, struct crew_run *run, const struct error *why);

/* Take it back, if it has not begun at this moment: `ended` comes with CREW_UNTRIED. False: it has
 * begun, or ended. */
bool crew_withdraw(struct crew *c, struct crew_run *run);

/* Fenced: SIGKILL to all executors at once; every run ends, CREW_STOPPED or CREW_UNTRIED, as soon
 * as they are reaped. New ones are started. */
void crew_kill_all(struct crew *c);

/* How far a run has got, by its control page: false when it has said nothing (or nothing new since
 * the last call). `what` is at least CONTROL_TEXT_SIZE bytes, valid UTF-8. */
bool crew_progress(struct crew *c, struct crew_run *run, double *ret_fraction, char *ret_what,
                   size_t size);

struct crew_load {
    int slots; /* executors there should be */
    int ready; /* those that can take runs */
    int busy;  /* those that compute */
    int runs;  /* all runs submitted and not ended */
};
struct crew_load crew_load(const struct crew *c, enum task_class class);

struct crew_member { /* of one executor, for the status */
    pid_t pid;
    enum task_class class;
    const char *state;        /* "starting", "idle", "busy", "restarting" */
    const char *task, *label; /* of the run it computes; NULL: none */
    double age_s, state_s;
    int ahead; /* runs sent and not begun */
};
int crew_count(const struct crew *c);
struct crew_member crew_member(const struct crew *c, int i);

#endif
