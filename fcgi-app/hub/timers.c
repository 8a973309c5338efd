/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers.c - see timers.h
 */
#include "hub/timers.h"

#include <assert.h>
#include <stdlib.h>

int timers_open(struct timers *t, size_t capacity, struct error *reterr)
{
    struct timer **heap = calloc(capacity, sizeof(struct timer *));
    if (!heap)
        return error_errno(reterr, "hub: timers");
    *t = (struct timers){.heap = heap, .capacity = capacity};
    return 0;
}

void timers_close(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){0};
}

static void put(struct timers *t, size_t place, struct timer *timer)
{
    t->heap[place - 1] = timer;
    timer->place = place;
}

static struct timer *at(const struct timers *t, size_t place)
{
    return t->heap[place - 1];
}

/* Find the place of `timer`, for which there is a hole at `place`. */
static void settle(struct timers *t, size_t place, struct timer *timer)
{
    for (; place > 1 && at(t, place / 2)->due_us > timer->due_us; place /= 2)
        put(t, place, at(t, place / 2));
    for (;;) {
        size_t child = place * 2;
        if (child > t->count)
            break;
        if (child < t->count && at(t, child + 1)->due_us < at(t, child)->due_us)
            child++;
        if (at(t, child)->due_us >= timer->due_us)
            break;
        put(t, place, at(t, child));
        place = child;
    }
    put(t, place, timer);
}

void timer_set(struct timers *t, struct timer *timer, int64_t due_us)
{
    timer->due_us = due_us;
    if (timer->place != 0) {
        settle(t, timer->place, timer);
        return;
    }
    assert(t->count < t->capacity);
    settle(t, ++t->count, timer);
}

void timer_clear(struct timers *t, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct timer *last = at(t, t->count--);
    if (last != timer)
        settle(t, place, last);
}

struct timer *timers_first(const struct timers *t)
{
    return t->count > 0 ? at(t, 1) : NULL;
}
