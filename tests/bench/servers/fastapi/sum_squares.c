/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sum_squares.c - the loop of fcgi-app/tasks/demo/sum_squares.c, for ctypes
 */
#include <stdint.h>

double sum_squares(uint64_t end);

double sum_squares(uint64_t end)
{
    unsigned __int128 sum = 0;
    for (uint64_t i = 0; i < end; i++) {
        __asm__("" : "+r"(i)); /* or the compiler puts a formula in the place of the loop */
        sum += (unsigned __int128)i * i;
    }
    return (double)sum;
}
