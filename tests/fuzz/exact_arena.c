/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_arena.c - base/arena.h for fuzzing: each allocation is a block of its own
 *
 * The server's arena gives out neighbouring pieces of one block; who writes or reads a byte too
 * many there stays within it, and AddressSanitizer sees nothing.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct owned {
    struct owned *next;
    void *object;
    void (*release)(void *object);
};

struct arena {
    struct owned *owned; /* newest first */
};

static void *must(void *block)
{
    if (!block)
        abort();
    return block;
}

struct arena *arena_new(void)
{
    return must(calloc(1, sizeof(struct arena)));
}

void arena_reset(struct arena *a)
{
    while (a->owned) {
        struct owned *o = a->owned;
        a->owned = o->next;
        o->release(o->object);
        free(o);
    }
}

void arena_free(struct arena *a)
{
    if (a)
        arena_reset(a);
    free(a);
}

void *arena_own(struct arena *a, void *object, void (*release)(void *object))
{
    if (!object)
        return NULL;
    struct owned *o = must(malloc(sizeof(*o)));
    *o = (struct owned){a->owned, object, release};
    a->owned = o;
    return object;
}

/* Of size 0 too: a pointer to nothing that may be read. */
void *arena_alloc(struct arena *a, size_t size)
{
    return arena_own(a, must(calloc(1, size)), free);
}

void *arena_memdup(struct arena *a, const void *bytes, size_t size)
{
    void *copy = arena_alloc(a, size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_memdup(a, text, strlen(text) + 1);
}

char *arena_strndup(struct arena *a, const char *text, size_t size)
{
    return arena_own(a, must(strndup(text, size)), free);
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char *text;
    if (vasprintf(&text, fmt, ap) < 0)
        abort();
    return arena_own(a, text, free);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}
