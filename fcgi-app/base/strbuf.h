/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * strbuf.h - a string that grows
 *
 * `text` is always NUL-terminated. Zero-initialised (STRBUF_INIT) is an empty
 * string; strbuf_release() gives the memory back and leaves an empty string.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *text;
    size_t size; /* without the NUL */
    size_t capacity;
};

#define STRBUF_INIT      \
    {                    \
        (char *)"", 0, 0 \
    }

void strbuf_release(struct strbuf *sb);
void strbuf_reset(struct strbuf *sb); /* empty, memory kept */
void strbuf_add(struct strbuf *sb, const void *bytes, size_t size);
void strbuf_addstr(struct strbuf *sb, const char *text);
void strbuf_addch(struct strbuf *sb, char c);
void strbuf_add_integer(struct strbuf *sb, int64_t number);
void strbuf_add_thousandths(struct strbuf *sb, int64_t number); /* "0.012" for 12 */
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Add `size` bytes as a JSON string with its quotes. Bytes that are not UTF-8
 * become U+FFFD, so that what a client sent can neither break nor forge a line.
 */
void strbuf_add_json(struct strbuf *sb, const char *text, size_t size);

#endif
