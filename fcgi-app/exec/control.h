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

/* The waiting side, before it sends the order. No other run of its place may be under way. */
static inline void control_offer(struct control *c, uint64_t run)
{
    atomic_store(&c->claims[run % CONTROL_CLAIMS], 2 * run);
}

/* The executor, before it looks at the order. False: it was withdrawn. */
static inline bool control_begin(struct control *c, uint64_t run)
{
    uint64_t waits = 2 * run;
    return atomic_compare_exchange_strong(&c->claims[run % CONTROL_CLAIMS], &waits, 2 * run + 1);
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

#endif
