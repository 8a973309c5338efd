/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * redact.c - see redact.h
 */
#include "base/redact.h"

#include <stdbool.h>
#include <string.h>

#define PREFIX "gs_"
#define PREFIX_SIZE (sizeof(PREFIX) - 1)
#define ID_SIZE 12

static bool is_id(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_secret(char c)
{
    return is_id(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

void redact_keys(char *text, size_t size)
{
    char *end = text + size, *p = text;
    while ((p = memmem(p, (size_t)(end - p), PREFIX, PREFIX_SIZE)) != NULL) {
        p += PREFIX_SIZE;
        char *id_end = p;
        while (id_end < end && id_end - p < ID_SIZE && is_id(*id_end))
            id_end++;
        if (id_end - p < ID_SIZE || id_end == end || *id_end != '_')
            continue;
        for (p = id_end + 1; p < end && is_secret(*p); p++)
            *p = '*';
    }
}
