/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the two clocks
 *
 * Deadlines and durations use the monotonic clock; what people and other hosts
 * read uses the real one.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_us(void);      /* monotonic, microseconds */
int64_t clock_real_us(void); /* since 1970, microseconds */

/* Milliseconds until `deadline_us` (monotonic), rounded up, for poll(); 0 when it has passed. */
int clock_poll_ms(int64_t deadline_us);

#endif
