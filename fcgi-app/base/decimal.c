/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decimal.c - see decimal.h
 */
#include "base/decimal.h"

#define DIGITS_MAX 20 /* of 2^64 */

char *decimal_digits(char *at, uint64_t number, int width)
{
    int size = 1;
    for (uint64_t power = 10; size < DIGITS_MAX && number >= power; power *= 10)
        size++;
    if (size < width)
        size = width;
    for (char *to = at + size; to > at; number /= 10)
        *--to = (char)('0' + number % 10);
    return at + size;
}

/* What is left without its sign, written. */
static char *sign(char *at, int64_t number, uint64_t *ret_rest)
{
    *ret_rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    if (number < 0)
        *at++ = '-';
    return at;
}

char *decimal_integer(char *at, int64_t number)
{
    uint64_t rest;
    at = sign(at, number, &rest);
    return decimal_digits(at, rest, 1);
}

char *decimal_thousandths(char *at, int64_t number)
{
    uint64_t rest;
    at = sign(at, number, &rest);
    at = decimal_digits(at, rest / 1000, 1);
    *at++ = '.';
    return decimal_digits(at, rest % 1000, 3);
}
