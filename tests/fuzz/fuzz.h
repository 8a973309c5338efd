/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what the harnesses share
 *
 * A harness is one function that libFuzzer calls with one input after the other, in one process. It
 * hands the input to the code as its peer would, and checks what the header promises of the result:
 * FUZZ_CHECK() ends the process, which libFuzzer takes for a crash and keeps the input.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/field_errors.h"
#include "base/utf8.h"

#define FUZZ_CHECK(condition)                                                               \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            (void)fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                        \
        }                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Well-formed UTF-8 without control characters: what may be shown to a client, or logged. */
static inline bool fuzz_is_printable(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    }
    return utf8_is_valid(text, strlen(text));
}

/* An error of the request's own fault, which says something. */
static inline void fuzz_check_error(const struct error *e, enum err_code code)
{
    FUZZ_CHECK(e->code == code);
    FUZZ_CHECK(memchr(e->detail, '\0', sizeof(e->detail)) != NULL && e->detail[0] != '\0');
    FUZZ_CHECK(utf8_is_valid(e->detail, strlen(e->detail)));
}

/* The errors of parameters: bounded in number, each with a pointer and a sentence. */
static inline void fuzz_check_field_errors(const struct field_errors *errors)
{
    int kept = 0;
    for (const struct field_error *e = errors->first; e; e = e->next, kept++) {
        FUZZ_CHECK(e->pointer[0] == '\0' || e->pointer[0] == '/');
        FUZZ_CHECK(utf8_is_valid(e->pointer, strlen(e->pointer)));
        FUZZ_CHECK(e->detail[0] != '\0' && utf8_is_valid(e->detail, strlen(e->detail)));
    }
    FUZZ_CHECK(kept <= FIELD_ERRORS_MAX && kept <= errors->count);
    FUZZ_CHECK(kept == errors->count || kept == FIELD_ERRORS_MAX);
}

/* An input of several texts: each ends with a line's end, the last with the input. */
struct fuzz_input {
    const uint8_t *at, *end;
};

/* The next text, which belongs to `a`; cut at a NUL, as no header field has one. */
static inline char *fuzz_line(struct fuzz_input *in, struct arena *a)
{
    const uint8_t *newline =
        in->at == in->end ? NULL : memchr(in->at, '\n', (size_t)(in->end - in->at));
    const uint8_t *stop = newline ? newline : in->end;
    char *text = arena_strndup(a, (const char *)in->at, (size_t)(stop - in->at));
    in->at = newline ? newline + 1 : in->end;
    return text;
}

static inline size_t fuzz_rest(const struct fuzz_input *in)
{
    return (size_t)(in->end - in->at);
}

/* Numbers, most significant byte first; 0 behind the end. */
static inline uint64_t fuzz_number(struct fuzz_input *in, int size)
{
    uint64_t number = 0;
    for (int i = 0; i < size; i++)
        number = number << 8 | (in->at < in->end ? *in->at++ : 0u);
    return number;
}

/* The lowest descriptor that is free: the same before and after, unless one was left open. */
static inline int fuzz_free_descriptor(void)
{
    int fd = dup(2);
    FUZZ_CHECK(fd >= 0);
    (void)close(fd);
    return fd;
}

#endif
