/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * redact.c - see redact.h
 */
#include "base/redact.h"

#include <stdbool.h>
#include <string.h>

#define ID_SIZE 12

static bool is_id(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_secret(char c)
{
    return is_id(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

/* What follows the next "gs_" from `p` on; NULL: there is none. By its last character, of which
 * there are few. */
static char *behind_prefix(const char *text, char *p, const char *end)
{
    while ((p = memchr(p, '_', (size_t)(end - p))) != NULL) {
        if (p - text >= 2 && p[-2] == 'g' && p[-1] == 's')
            return p + 1;
        p++;
    }
    return NULL;
}

void redact_keys(char *text, size_t size)
{
    char *end = text + size, *p = text;
    while ((p = behind_prefix(text, p, end)) != NULL) {
        char *id_end = p;
        while (id_end < end && id_end - p < ID_SIZE && is_id(*id_end))
            id_end++;
        if (id_end - p < ID_SIZE || id_end == end || *id_end != '_')
            continue;
        for (p = id_end + 1; p < end && is_secret(*p); p++)
            *p = '*';
    }
}
