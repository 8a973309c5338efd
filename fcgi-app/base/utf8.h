/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * utf8.h - well-formed UTF-8 as Unicode 15 table 3-7 has it
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Bytes of the well-formed sequence at the start of `text` (1 to 4), of which `size` are there; 0
 * when there is none: overlong forms, surrogates, beyond U+10FFFF, cut short. A NUL is a sequence
 * of 1.
 */
size_t utf8_length(const char *text, size_t size);

/* Is all of `text` well-formed? */
bool utf8_is_valid(const char *text, size_t size);

/* The largest n <= limit such that cutting `text` (well-formed) after n bytes splits no sequence.
 */
size_t utf8_cut(const char *text, size_t size, size_t limit);

#endif
