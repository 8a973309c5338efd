/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * field_errors.c - see field_errors.h
 */
#include "base/field_errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void field_errors_add(struct field_errors *errors, const char *pointer, const char *fmt, ...)
{
    if (errors->count++ >= FIELD_ERRORS_MAX)
        return;
    char detail[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    struct field_error *e = arena_alloc(errors->arena, sizeof(*e));
    e->pointer = arena_strdup(errors->arena, pointer);
    e->detail = arena_strdup(errors->arena, detail);
    if (errors->last)
        errors->last->next = e;
    else
        errors->first = e;
    errors->last = e;
}

char *json_pointer_join(struct arena *a, const char *parent, const char *name)
{
    size_t parent_size = strlen(parent);
    size_t size = parent_size + 1;
    for (const char *p = name; *p; p++)
        size += (*p == '~' || *p == '/') ? 2 : 1;
    char *joined = arena_alloc(a, size + 1);
    memcpy(joined, parent, parent_size);
    char *out = joined + parent_size;
    *out++ = '/';
    for (const char *p = name; *p; p++) {
        if (*p == '~' || *p == '/') {
            *out++ = '~';
            *out++ = *p == '~' ? '0' : '1';
        } else {
            *out++ = *p;
        }
    }
    return joined;
}
