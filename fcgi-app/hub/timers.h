/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers.h - what is due next, of many thousands
 *
 * A binary heap; setting, moving and removing one costs O(log n). A timer lies in what it belongs
 * to.
 */
#ifndef HUB_TIMERS_H
#define HUB_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct timer {
    int64_t due_us; /* monotonic */
    size_t place;   /* in the heap, from 1; 0: not set */
    void *owner;
};

struct timers {
    struct timer **heap;
    size_t count, capacity;
};

/* Room for `capacity` of them, once and for all. */
int timers_open(struct timers *t, size_t capacity, struct error *reterr);
void timers_close(struct timers *t);

/* Set it, or move it. */
void timer_set(struct timers *t, struct timer *timer, int64_t due_us);
void timer_clear(struct timers *t, struct timer *timer); /* not set: nothing to do */

/* The earliest one, still set; NULL when there is none. */
struct timer *timers_first(const struct timers *t);

#endif
