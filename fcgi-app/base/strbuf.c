/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * strbuf.c - see strbuf.h
 */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/log.h"
#include "base/utf8.h"

#define SPARE 256 /* nearly all texts are brief: allocated once */

static void reserve(struct strbuf *sb, size_t more)
{
    if (sb->capacity > sb->size && sb->capacity - sb->size > more)
        return;
    size_t wanted = sb->size + more + 1;
    size_t capacity = wanted + wanted / 2 + SPARE;
    char *text = wanted > more && capacity > wanted ? malloc(capacity) : NULL;
    if (!text) {
        log_write(LOG_ERROR, "out of memory", LOG_INT("size_bytes", (int64_t)more));
        _Exit(70);
    }
    memcpy(text, sb->text, sb->size);
    text[sb->size] = '\0';
    if (sb->capacity > 0)
        free(sb->text);
    sb->text = text;
    sb->capacity = capacity;
}

void strbuf_release(struct strbuf *sb)
{
    if (!sb)
        return;
    if (sb->capacity > 0)
        free(sb->text);
    *sb = (struct strbuf)STRBUF_INIT;
}

void strbuf_reset(struct strbuf *sb)
{
    sb->size = 0;
    if (sb->capacity > 0)
        sb->text[0] = '\0';
}

void strbuf_add(struct strbuf *sb, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    reserve(sb, size);
    memcpy(sb->text + sb->size, bytes, size);
    sb->size += size;
    sb->text[sb->size] = '\0';
}

void strbuf_addstr(struct strbuf *sb, const char *text)
{
    strbuf_add(sb, text, strlen(text));
}

void strbuf_addch(struct strbuf *sb, char c)
{
    reserve(sb, 1);
    sb->text[sb->size++] = c;
    sb->text[sb->size] = '\0';
}

void strbuf_add_integer(struct strbuf *sb, int64_t number)
{
    char text[DECIMAL_SIZE];
    strbuf_add(sb, text, (size_t)(decimal_integer(text, number) - text));
}

void strbuf_add_thousandths(struct strbuf *sb, int64_t number)
{
    char text[DECIMAL_SIZE];
    strbuf_add(sb, text, (size_t)(decimal_thousandths(text, number) - text));
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
    va_list ap;
    size_t room = sb->capacity - sb->size;
    va_start(ap, fmt);
    int size = vsnprintf(room > 0 ? sb->text + sb->size : NULL, room, fmt, ap);
    va_end(ap);
    if (size > 0 && (size_t)size >= room) {
        reserve(sb, (size_t)size);
        va_start(ap, fmt);
        (void)vsnprintf(sb->text + sb->size, (size_t)size + 1, fmt, ap);
        va_end(ap);
    }
    if (size > 0)
        sb->size += (size_t)size;
    else if (room > 0)
        sb->text[sb->size] = '\0';
}

/* How many bytes stand in a JSON string as they are. */
static size_t plain_size(const char *text, size_t size)
{
    size_t plain = 0;
    while (plain < size) {
        unsigned char c = (unsigned char)text[plain];
        size_t length = c < 0x80 ? 1 : utf8_length(text + plain, size - plain);
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || length == 0)
            break;
        plain += length;
    }
    return plain;
}

void strbuf_add_json(struct strbuf *sb, const char *text, size_t size)
{
    strbuf_addch(sb, '"');
    for (size_t i = 0; i < size; i++) {
        size_t plain = plain_size(text + i, size - i);
        strbuf_add(sb, text + i, plain);
        i += plain;
        if (i == size)
            break;
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            strbuf_addf(sb, "\\%c", c);
        else if (c < 0x80)
            strbuf_addf(sb, "\\u%04x", c);
        else
            strbuf_addstr(sb, "\xef\xbf\xbd");
    }
    strbuf_addch(sb, '"');
}
