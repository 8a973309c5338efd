/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * value.c - what statements are given, as PostgreSQL reads it; see db.h
 */
#include "db/db.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/decimal.h"

struct db_value db_text(const char *text)
{
    return (struct db_value){.bytes = text};
}

struct db_value db_int(struct arena *a, int64_t value)
{
    return db_text(arena_printf(a, "%" PRId64, value));
}

struct db_value db_real(struct arena *a, double value)
{
    if (isnan(value))
        return DB_NULL;
    if (isinf(value))
        return db_text(value > 0 ? "Infinity" : "-Infinity");
    return db_text(arena_printf(a, "%.17g", value));
}

struct db_value db_bool(bool value)
{
    return db_text(value ? "true" : "false");
}

struct db_value db_bytes(const void *bytes, size_t size)
{
    /* An empty one may come without an address, which would be NULL. */
    return (struct db_value){
        .bytes = bytes || size > 0 ? bytes : "", .size = size, .is_binary = true};
}

struct db_value db_ints(struct arena *a, const int64_t *values, int count)
{
    char *text = arena_alloc(a, (size_t)count * (DECIMAL_SIZE + 1) + 3), *to = text;
    *to++ = '{';
    for (int i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        to = decimal_integer(to, values[i]);
    }
    *to++ = '}';
    *to = '\0';
    return db_text(text);
}

static size_t quoted_size(const char *text)
{
    size_t size = 2;
    for (; *text; text++)
        size += *text == '"' || *text == '\\' ? 2 : 1;
    return size;
}

/* Always quoted: so that NULL, braces, commas and spaces are only text. */
static char *add_quoted(char *to, const char *text)
{
    *to++ = '"';
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    return to;
}

struct db_value db_texts(struct arena *a, const char *const *values, int count)
{
    size_t size = 3;
    for (int i = 0; i < count; i++)
        size += 1 + (values[i] ? quoted_size(values[i]) : strlen("NULL"));
    char *text = arena_alloc(a, size), *to = text;
    *to++ = '{';
    for (int i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        if (values[i])
            to = add_quoted(to, values[i]);
        else
            to = mempcpy(to, "NULL", strlen("NULL"));
    }
    *to++ = '}';
    *to = '\0';
    return db_text(text);
}
