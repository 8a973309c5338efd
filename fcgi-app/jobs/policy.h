/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.h - what the runner decides, as functions of figures alone
 *
 * How many jobs to claim, how long to wait, what becomes of an attempt that did not succeed.
 */
#ifndef JOBS_POLICY_H
#define JOBS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/crew.h"

#define POLICY_CLAIM_MAX 500  /* jobs of one claim */
#define POLICY_AHEAD_MAX 1000 /* jobs claimed and not begun, of one class */
#define POLICY_GATHER_US 5000 /* that an end may wait for others */

/* Of one class. */
struct policy_load {
    int slots;         /* executors that can take runs */
    int held;          /* jobs claimed and not computed yet, running ones included */
    double held_bytes; /* params of these */
    double mean_us;    /* running time of its jobs; 0: not known yet */
    double mean_bytes; /* size of their params; 0: not known yet */
};

/*
 * How many jobs to claim now; 0: there is enough. Short jobs are claimed ahead of time, about
 * 40 ms of work, so that executors never wait for the database; long ones only for free slots,
 * because whoever has a slot free may take them at once. Claims come in batches: the buffer has
 * to be half empty.
 */
int policy_claim_limit(const struct policy_load *load);

/*
 * How many of the jobs held to give back: what was claimed as short work and turns out to be long
 * is for whoever has a slot free, and must not stand in front of what is more urgent. Where jobs
 * take about as long as what is claimed ahead, 0 unless there are half as many again as there
 * should be: they would go to and fro.
 */
int policy_surplus(const struct policy_load *load);

/* How many runs an executor is given at a time: one, and short ones up to CREW_AHEAD_MAX. */
int policy_depth(double mean_us);

/*
 * How long to leave executors alone that have `load`, `with_crew` of its jobs given to them, in µs:
 * half of what they have to do, at most 0.5 ms, and 0 where that is only a few runs. Whoever looked
 * whenever one of a hundred thousand runs a second ends would do little else.
 */
int64_t policy_rest_us(const struct policy_load *load, int with_crew);

/* Are so many runs about to end that those that have ended should wait for them, for a short while?
 * One statement for a few hundred costs a third of what they cost in dozens. */
bool policy_gathers(const struct policy_load *load);

/*
 * How long a run takes its executor, where `wall_us` passed between two looks and it used `cpu_us`
 * of a core. Of a few milliseconds on a busy machine most is the wait of one process or the other
 * for its turn: who took it for work would hold too little ahead, and give back what it has.
 */
double policy_run_us(double wall_us, double cpu_us);

/* Follow a figure: quickly up, slowly down, so that a batch of short jobs does not hide long ones.
 */
void policy_observe(double *mean, double value);

/* Wait before the poll that follows `empty_polls` empty ones: 5, 20, 80, 320 ms, then 1 s ± 20 %.
 * `jitter` is from -1 to 1, here and below. */
int64_t policy_poll_us(int empty_polls, double jitter);

/* Wait before the attempt that follows `attempts` of them (1: the first): four times as long each
 * time, at most an hour, ± 20 %. */
double policy_backoff_seconds(double first_seconds, int attempts, double jitter);

enum policy_verdict {
    POLICY_SUCCEEDED,
    POLICY_FAILED,  /* for good */
    POLICY_RETRY,   /* a transient error: again after a wait */
    POLICY_CRASH,   /* the executor's first death over it: again at once */
    POLICY_UNTRIED, /* back to the queue, as if never claimed */
};

struct policy_attempt {
    enum crew_end end;
    enum err_code code; /* of its error */
    enum task_class class;
    int attempt, crashes, max_attempts; /* as claimed: this attempt counted, its crash not */
};
enum policy_verdict policy_verdict(const struct policy_attempt *a);

#endif
