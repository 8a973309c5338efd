/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decimal.c - see decimal.h
 */
#include "base/decimal.h"

#include <string.h>

char *decimal_digits(char *at, uint64_t number, int width)
{
    char text[DECIMAL_SIZE];
    char *first = text + sizeof(text);
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
        width--;
    } while (number > 0 || width > 0);
    size_t size = (size_t)(text + sizeof(text) - first);
    memcpy(at, first, size);
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
