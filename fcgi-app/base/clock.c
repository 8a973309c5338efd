/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.c - see clock.h
 */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

static int64_t now_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t clock_real_us(void)
{
    return now_us(CLOCK_REALTIME);
}

int clock_poll_ms(int64_t deadline_us)
{
    int64_t left_us = deadline_us - clock_us();
    if (left_us <= 0)
        return 0;
    int64_t left_ms = (left_us + 999) / 1000;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
