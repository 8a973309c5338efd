/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.h - memory and foreign objects that are released together
 *
 * One arena per request or run. What joins it is released newest first, by
 * arena_reset() (which keeps the first block for the next request) or
 * arena_free(). Sizes that come from a client are checked before they get here;
 * when the system has no memory left the process ends with a log line, and its
 * parent starts another: no function here returns NULL.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is fine */
void arena_reset(struct arena *a);

/* Zeroed, aligned for any type. A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_memdup(struct arena *a, const void *bytes, size_t size);
char *arena_strdup(struct arena *a, const char *text);
char *arena_strndup(struct arena *a, const char *text, size_t size);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/*
 * Let `a` own a foreign object: release(object) runs when the arena ends.
 * Returns object; NULL is passed through and owns nothing.
 */
void *arena_own(struct arena *a, void *object, void (*release)(void *object));

#endif
