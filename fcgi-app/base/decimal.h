/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decimal.h - whole numbers as decimal digits
 *
 * For what each request writes: the C library's formatting takes a thousand instructions for a
 * number, several for one with a point in it, and obeys the locale there.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stdint.h>

#define DECIMAL_SIZE 24 /* of all that these write */

/* As many digits as the number has, at least `width`. All of these write at `at` and return what
 * follows; there is no NUL. */
char *decimal_digits(char *at, uint64_t number, int width);
char *decimal_integer(char *at, int64_t number);

/* "0.012" for 12: microseconds as milliseconds. */
char *decimal_thousandths(char *at, int64_t number);

#endif
