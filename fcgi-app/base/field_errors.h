/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * field_errors.h - every error of one request at once, each with its place
 *
 * `pointer` is an RFC 6901 JSON Pointer into parameters and inputs, the same
 * for JSON, query and multipart; it names a missing member ("/n"). At most
 * FIELD_ERRORS_MAX are kept; `count` goes on counting.
 */
#ifndef BASE_FIELD_ERRORS_H
#define BASE_FIELD_ERRORS_H

#include "base/arena.h"

#define FIELD_ERRORS_MAX 100

struct field_error {
    const char *pointer;
    const char *detail;
    struct field_error *next;
};

struct field_errors {
    struct arena *arena; /* owns the entries */
    struct field_error *first, *last;
    int count;
};

/* Both texts are copied. */
void field_errors_add(struct field_errors *errors, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* `parent`/`name`, with ~ and / of the name escaped; belongs to `a`. */
char *json_pointer_join(struct arena *a, const char *parent, const char *name);

#endif
