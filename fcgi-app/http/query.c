/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query.c - see query.h
 *
 * Strict, because a parameter that is decoded differently by two programs is a hole: what is
 * not well-formed is refused, not repaired.
 */
#include "http/query.h"

#include <string.h>

#include "base/utf8.h"
#include "http/field.h"

/* In place: the decoded text is never longer. */
static int decode(char *text, struct error *reterr)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (*p == '+') {
            *out++ = ' ';
        } else if (*p == '%') {
            int high = field_hex_value(p[1]), low = high < 0 ? -1 : field_hex_value(p[2]);
            if (low < 0)
                return error_set(reterr, ERR_INVALID_REQUEST,
                                 "The query has a '%%' that two hexadecimal digits do not follow.");
            if (high == 0 && low == 0)
                return error_set(reterr, ERR_INVALID_REQUEST,
                                 "The query has a NUL character (%%00).");
            *out++ = (char)(high << 4 | low);
            p += 2;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
    if (!utf8_is_valid(text, (size_t)(out - text)))
        return error_set(reterr, ERR_INVALID_REQUEST, "The query is not valid UTF-8.");
    return 0;
}

static int decode_field(char *text, struct http_field *ret_field, struct error *reterr)
{
    char *equals = strchr(text, '=');
    char *value = equals ? equals + 1 : text + strlen(text);
    if (equals)
        *equals = '\0';
    if (decode(text, reterr) != 0 || decode(value, reterr) != 0)
        return -1;
    *ret_field = (struct http_field){text, value};
    return 0;
}

static int count_fields(const char *query)
{
    int count = 1;
    for (const char *p = query; *p && count <= QUERY_FIELDS_MAX; p++)
        count += *p == '&';
    return count;
}

int query_parse(struct arena *a, const char *query, struct http_field **ret_fields, int *ret_count,
                struct error *reterr)
{
    int limit = count_fields(query);
    if (limit > QUERY_FIELDS_MAX)
        return error_set(reterr, ERR_INVALID_REQUEST, "The query has more than %d fields.",
                         QUERY_FIELDS_MAX);
    struct http_field *fields = arena_alloc(a, (size_t)limit * sizeof(*fields));
    char *rest = arena_strdup(a, query);
    int count = 0;
    while (rest) {
        char *text = strsep(&rest, "&");
        if (*text == '\0')
            continue; /* "a=1&&b=2" and the empty query */
        if (decode_field(text, &fields[count], reterr) != 0)
            return -1;
        count++;
    }
    *ret_fields = fields;
    *ret_count = count;
    return 0;
}
