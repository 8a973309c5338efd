/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.c - see policy.h
 */
#include "jobs/policy.h"

#define AHEAD_US 40000.0       /* of work claimed ahead, for each slot */
#define AHEAD_BYTES 8388608.0  /* of params, at most, in one claim, and held with it */
#define LONG_US (2 * AHEAD_US) /* runs that take as long are worth giving back one by one */
#define DEPTH_US 5000.0        /* of work given to an executor at a time */
#define TURN_US 5000.0         /* of a run's time may have been other processes' */
#define TURN_PART (1.0 / 16)   /* that is its own at least: it may have slept */
#define REST_RUNS 8            /* of an executor, for it to be left alone */
#define REST_US 500.0          /* at most */
#define GATHER_MIN 100         /* ends that are worth waiting for */
#define POLL_US 1000000.0      /* the backstop */
#define BACKOFF_MAX_SECONDS 3600.0
#define JITTER 0.2

/* Jobs to hold besides those that compute. */
static int ahead_of(const struct policy_load *l)
{
    /* Not known yet: no more than can begin at once. */
    double ahead = l->mean_us > 0 ? l->slots * (AHEAD_US / l->mean_us) : 0;
    if (ahead < l->slots) /* jobs longer than what is kept ahead */
        return 0;
    return ahead > POLICY_AHEAD_MAX ? POLICY_AHEAD_MAX : (int)ahead;
}

int policy_claim_limit(const struct policy_load *l)
{
    int ahead = ahead_of(l);
    int buffered = l->held - l->slots;
    int wanted = l->slots + ahead - l->held;
    if (wanted <= 0 || (ahead > 0 && buffered > ahead / 2))
        return 0;
    if (wanted > POLICY_CLAIM_MAX)
        wanted = POLICY_CLAIM_MAX;
    double bytes = AHEAD_BYTES - l->held_bytes;
    if (l->mean_bytes > 0 && wanted > bytes / l->mean_bytes) {
        int fitting = bytes < l->mean_bytes ? 0 : (int)(bytes / l->mean_bytes);
        wanted = fitting > 0 ? fitting : l->held < l->slots; /* no slot is idle for that */
    }
    return wanted;
}

int policy_surplus(const struct policy_load *l)
{
    int ahead = ahead_of(l);
    int surplus = l->held - l->slots - ahead;
    int slack = l->mean_us < LONG_US ? ahead / 2 + l->slots : 0;
    return surplus > slack ? surplus : 0;
}

int policy_depth(double mean_us)
{
    if (mean_us <= 0)
        return 1;
    double depth = 1 + DEPTH_US / mean_us;
    return depth > CREW_AHEAD_MAX ? CREW_AHEAD_MAX : (int)depth;
}

int64_t policy_rest_us(const struct policy_load *l, int with_crew)
{
    if (l->slots == 0 || with_crew < REST_RUNS * l->slots)
        return 0;
    double left_us = l->mean_us * with_crew / l->slots;
    return (int64_t)(left_us / 2 < REST_US ? left_us / 2 : REST_US);
}

bool policy_gathers(const struct policy_load *l)
{
    return l->held >= GATHER_MIN && l->slots * (double)POLICY_GATHER_US >= GATHER_MIN * l->mean_us;
}

double policy_run_us(double wall_us, double cpu_us)
{
    double least_us = cpu_us > TURN_PART * wall_us ? cpu_us : TURN_PART * wall_us;
    return wall_us > TURN_US || wall_us < least_us ? wall_us : least_us;
}

void policy_observe(double *mean, double value)
{
    if (*mean <= 0)
        *mean = value;
    else
        *mean += (value > *mean ? 0.2 : 0.05) * (value - *mean);
}

int64_t policy_poll_us(int empty_polls, double jitter)
{
    static const int64_t steps_us[] = {5000, 20000, 80000, 320000};
    if (empty_polls < 1)
        return 0;
    if (empty_polls <= (int)(sizeof(steps_us) / sizeof(steps_us[0])))
        return steps_us[empty_polls - 1];
    return (int64_t)(POLL_US * (1 + JITTER * jitter));
}

double policy_backoff_seconds(double first_seconds, int attempts, double jitter)
{
    double seconds = first_seconds;
    for (int i = 1; i < attempts && seconds < BACKOFF_MAX_SECONDS; i++)
        seconds *= 4;
    if (seconds > BACKOFF_MAX_SECONDS)
        seconds = BACKOFF_MAX_SECONDS;
    return seconds * (1 + JITTER * jitter);
}

static bool is_transient(const struct policy_attempt *a)
{
    switch (a->code) {
    case ERR_UNAVAILABLE:
    case ERR_OVERLOADED:
    case ERR_INTERNAL:
        return true;
    case ERR_TIMED_OUT: /* computing takes as long the next time; others may answer sooner then */
        return a->class == TASK_NET;
    default:
        return false;
    }
}

enum policy_verdict policy_verdict(const struct policy_attempt *a)
{
    if (a->end == CREW_RESULT)
        return POLICY_SUCCEEDED;
    if (a->end == CREW_STOPPED || a->end == CREW_UNTRIED)
        return POLICY_UNTRIED;
    if (a->end == CREW_CRASHED || a->code == ERR_EXECUTOR_CRASHED)
        return a->crashes == 0 ? POLICY_CRASH : POLICY_FAILED;
    if (is_transient(a) && a->attempt - a->crashes < a->max_attempts)
        return POLICY_RETRY;
    return POLICY_FAILED;
}
