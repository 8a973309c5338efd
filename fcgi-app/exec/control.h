/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the page an executor shares with whoever waits for it
 *
 * Progress and stop go through memory: no message, no flood, no blocking. The waiting side writes
 * `stop_run`, both write claims, the executor all the rest; what the executor writes is never
 * trusted for more than showing it. The page is the executor's only view of shared memory.
 *
 * Who has an order is settled by its claim, with one compare-and-swap: either the executor begins
 * the run, or the waiting side withdraws it and the executor skips the order when it comes to it.
 * So a run is never begun twice, one that waits is given up or moved at once, a runner can send
 * orders ahead, and after a death it is known which run had begun.
 */
#ifndef EXEC_CONTROL_H
#define EXEC_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"

#define CONTROL_PAGE_SIZE 4096
#define CONTROL_TEXT_SIZE 64
#define CONTROL_CLAIMS 64 /* more than are ever sent ahead */

struct control {
    _Atomic uint64_t stop_run;               /* the run that has to stop */
    _Atomic uint32_t ready;                  /* 1 once the executor waits for its first run */
    _Atomic uint64_t run;                    /* the run being computed; 0: idle */
    _Atomic uint64_t runs;                   /* computed so far */
    _Atomic uint64_t resident;               /* bytes of memory, when it last looked */
    _Atomic uint64_t claims[CONTROL_CLAIMS]; /* of run n at n % CONTROL_CLAIMS: 2n waits, 2n + 1 has
                                                begun, all else is withdrawn */
    _Atomic int64_t begun_us[CONTROL_CLAIMS]; /* when run n began, by the executor's word */
    _Atomic int64_t ended_us[CONTROL_CLAIMS]; /* and ended */
    _Atomic uint32_t fraction_ppm;
    char text[CONTROL_TEXT_SIZE]; /* readers copy it, may see two texts mixed, and trust nothing */
};

_Static_assert(sizeof(struct control) <= CONTROL_PAGE_SIZE, "one page each");

/* For the next process of its place. Claims stay: whoever waits asks what the one before had begun.
 */
static inline void control_reset(struct control *c)
{
    atomic_store(&c->ready, 0);
    atomic_store(&c->run, 0);
    atomic_store(&c->runs, 0);
    atomic_store(&c->resident, 0);
    atomic_store(&c->stop_run, 0);
    atomic_store(&c->fraction_ppm, 0);
    memset(c->text, 0, sizeof(c->text));
}

/* The waiting side, before it sends the order. No other run of its claim may be under way. */
static inline void control_offer(struct control *c, uint64_t run)
{
    atomic_store(&c->claims[run % CONTROL_CLAIMS], 2 * run);
}

/* The executor, before it looks at the order. False: it was withdrawn. */
static inline bool control_begin(struct control *c, uint64_t run)
{
    uint64_t waits = 2 * run;
    if (!atomic_compare_exchange_strong(&c->claims[run % CONTROL_CLAIMS], &waits, 2 * run + 1))
        return false;
    memset(c->text, 0, sizeof(c->text));
    atomic_store(&c->fraction_ppm, 0);
    atomic_store(&c->run, run);
    atomic_store(&c->begun_us[run % CONTROL_CLAIMS], clock_us());
    return true;
}

/* The waiting side. False: it has begun. */
static inline bool control_withdraw(struct control *c, uint64_t run)
{
    uint64_t waits = 2 * run;
    return atomic_compare_exchange_strong(&c->claims[run % CONTROL_CLAIMS], &waits, 0);
}

static inline bool control_has_begun(const struct control *c, uint64_t run)
{
    return atomic_load(&c->claims[run % CONTROL_CLAIMS]) == 2 * run + 1;
}

/* The executor, once it has computed it. */
static inline void control_end(struct control *c, uint64_t run)
{
    atomic_store(&c->ended_us[run % CONTROL_CLAIMS], clock_us());
    atomic_store(&c->run, 0);
    atomic_fetch_add(&c->runs, 1);
}

/* The executor: how long it has had the run that it computes, rounded up. */
static inline uint64_t control_computing_us(const struct control *c, uint64_t run)
{
    return (uint64_t)clock_us() - (uint64_t)atomic_load(&c->begun_us[run % CONTROL_CLAIMS]) + 1;
}

/* Of a run that has ended: how long it took without the ways there and back, at most `most_us`.
 * Unsigned, since an executor may have written anything there. */
static inline int64_t control_computed_us(const struct control *c, uint64_t run, int64_t most_us)
{
    uint64_t us = (uint64_t)atomic_load(&c->ended_us[run % CONTROL_CLAIMS]) -
                  (uint64_t)atomic_load(&c->begun_us[run % CONTROL_CLAIMS]);
    return us > (uint64_t)most_us ? most_us : (int64_t)us;
}

/* Of a run that has begun: when, as far as that can be. */
static inline int64_t control_begun_us(const struct control *c, uint64_t run, int64_t not_before_us,
                                       int64_t not_after_us)
{
    int64_t us = atomic_load(&c->begun_us[run % CONTROL_CLAIMS]);
    return us < not_before_us ? not_before_us : us > not_after_us ? not_after_us : us;
}

#endif
