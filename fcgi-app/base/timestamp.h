/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timestamp.h - moments as RFC 3339 text, in UTC with microseconds
 */
#ifndef BASE_TIMESTAMP_H
#define BASE_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_SIZE 32

/* "2026-01-31T12:00:00.123456Z" of `us`, real time since 1970, in the years 1 to 9999. */
void timestamp_format(int64_t us, char ret_text[TIMESTAMP_SIZE]);

/* Any RFC 3339 date-time, of whatever offset; digits beyond microseconds are dropped, and a leap
 * second is the next one's first moment. False for all else. */
bool timestamp_parse(const char *text, int64_t *ret_us);

#endif
