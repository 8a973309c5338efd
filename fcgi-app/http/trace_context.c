/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace_context.c - see trace_context.h
 *
 * What the text leaves open is read strictly: a value that only looks like a traceparent would link
 * lines of a log that have nothing to do with each other.
 */
#include "http/trace_context.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DIGITS "0123456789abcdef"
#define SIZE (TRACEPARENT_SIZE - 1) /* of version 00 */
#define KNOWN_FLAGS 0x03            /* sampled, random-trace-id; others are to be set to zero */

/* Where the members of "vv-tttttttttttttttttttttttttttttttt-pppppppppppppppp-ff" begin. */
enum { TRACE_ID = 3, PARENT_ID = 36, FLAGS = 53 };

/* `count` digits and what has to follow them; '\0' is the end. */
static bool is_member(const char *text, size_t count, char end)
{
    return strspn(text, DIGITS) == count && text[count] == end;
}

static bool is_zero(const char *id, size_t count)
{
    return strspn(id, "0") >= count;
}

static unsigned digit(char c)
{
    return (unsigned)(strchr(DIGITS, c) - DIGITS);
}

bool traceparent_parse(const char *text, char ret[TRACEPARENT_SIZE])
{
    if (!is_member(text, 2, '-') || memcmp(text, "ff", 2) == 0 ||
        !is_member(text + TRACE_ID, 32, '-') || is_zero(text + TRACE_ID, 32) ||
        !is_member(text + PARENT_ID, 16, '-') || is_zero(text + PARENT_ID, 16) ||
        strspn(text + FLAGS, DIGITS) != 2)
        return false;
    bool is_longer = text[SIZE] == '-' && memcmp(text, "00", 2) != 0;
    if (text[SIZE] != '\0' && !is_longer)
        return false;
    (void)snprintf(ret, TRACEPARENT_SIZE, "00%.51s%02x", text + 2,
                   (digit(text[FLAGS]) << 4 | digit(text[FLAGS + 1])) & KNOWN_FLAGS);
    return true;
}
