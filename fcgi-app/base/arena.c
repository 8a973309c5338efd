/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.c - see arena.h
 *
 * Blocks are bumped through; one object larger than a block gets a block of its own, so
 * that a small object after it still fits into the current one.
 */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define BLOCK_SIZE ((size_t)16384)

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct owned {
    struct owned *next;
    void *object;
    void (*release)(void *object);
};

struct arena {
    struct block *first; /* kept by arena_reset() */
    struct block *current;
    struct block *large;
    struct owned *owned; /* newest first */
};

static _Noreturn void out_of_memory(size_t size)
{
    log_write(LOG_ERROR, "out of memory", LOG_INT("size_bytes", (int64_t)size));
    _Exit(70);
}

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof(*b) + size);
    if (!b)
        out_of_memory(size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (!a)
        out_of_memory(sizeof(*a));
    a->first = a->current = block_new(BLOCK_SIZE);
    return a;
}

static void free_blocks(struct block *b)
{
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_reset(struct arena *a)
{
    while (a->owned) {
        struct owned *o = a->owned;
        a->owned = o->next; /* before release(), which may look at the arena */
        o->release(o->object);
    }
    free_blocks(a->large);
    free_blocks(a->first->next);
    a->large = NULL;
    a->first->next = NULL;
    a->first->used = 0;
    a->current = a->first;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    arena_reset(a);
    free(a->first);
    free(a);
}

static void *take(struct arena *a, size_t size)
{
    size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        out_of_memory(size);
    size = (size + align - 1) / align * align;
    if (size > BLOCK_SIZE / 4) {
        struct block *b = block_new(size);
        b->next = a->large;
        a->large = b;
        return b->bytes;
    }
    if (a->current->size - a->current->used < size) {
        a->current->next = block_new(BLOCK_SIZE);
        a->current = a->current->next;
    }
    void *p = a->current->bytes + a->current->used;
    a->current->used += size;
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return memset(take(a, size), 0, size);
}

void *arena_memdup(struct arena *a, const void *bytes, size_t size)
{
    void *copy = take(a, size);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

char *arena_strndup(struct arena *a, const char *text, size_t size)
{
    char *copy = take(a, size + 1);
    if (size > 0)
        memcpy(copy, text, size);
    copy[size] = '\0';
    return copy;
}

char *arena_strdup(struct arena *a, const char *text)
{
    return arena_strndup(a, text, strlen(text));
}

/* Nearly all texts are short: printed once. */
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    char brief[256];
    va_list again;
    va_copy(again, ap);
    int size = vsnprintf(brief, sizeof(brief), fmt, ap);
    char *text;
    if (size < (int)sizeof(brief)) {
        text = arena_strndup(a, brief, size < 0 ? 0 : (size_t)size);
    } else {
        text = take(a, (size_t)size + 1);
        (void)vsnprintf(text, (size_t)size + 1, fmt, again);
    }
    va_end(again);
    return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}

void *arena_own(struct arena *a, void *object, void (*release)(void *object))
{
    if (!object)
        return NULL;
    struct owned *o = take(a, sizeof(*o));
    *o = (struct owned){.next = a->owned, .object = object, .release = release};
    a->owned = o;
    return object;
}
