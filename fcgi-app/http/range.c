/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * range.c - see range.h
 */
#include "http/range.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "http/field.h"

/* Behind the entity tag at `p`; NULL when there is none. */
static const char *tag_end(const char *p)
{
    if (p[0] == 'W' && p[1] == '/')
        p += 2;
    const char *close = *p == '"' ? strchr(p + 1, '"') : NULL;
    return close ? close + 1 : NULL;
}

/* Weak comparison (RFC 9110, 8.8.3.2) with each tag of the list. */
static bool has_tag(const char *field, const char *etag)
{
    const char *p = field_skip_space(field);
    if (p[0] == '*' && *field_skip_space(p + 1) == '\0')
        return true;
    size_t size = strlen(etag);
    while (p += strspn(p, " \t,"), *p) {
        const char *end = tag_end(p);
        if (!end)
            return false;
        p += *p == 'W' ? 2 : 0;
        if ((size_t)(end - p) == size && memcmp(p, etag, size) == 0)
            return true;
        p = end;
    }
    return false;
}

/* Strong comparison; there are no dates here, so a date is never the one. */
static bool is_same(const char *if_range, const char *etag)
{
    const char *p = field_skip_space(if_range);
    size_t size = strlen(etag);
    return strncmp(p, etag, size) == 0 && *field_skip_space(p + size) == '\0';
}

/* Digits at *cursor; the largest number stands for all that are larger. -1: none. */
static int64_t read_position(const char **cursor)
{
    const char *p = *cursor;
    int64_t position = *p >= '0' && *p <= '9' ? 0 : -1;
    for (; *p >= '0' && *p <= '9'; p++)
        position = position > (INT64_MAX - 9) / 10 ? INT64_MAX : position * 10 + (*p - '0');
    *cursor = p;
    return position;
}

/* "bytes=first-last", "bytes=first-", "bytes=-suffix". False for anything else. */
static bool read_range(const char *field, int64_t *ret_first, int64_t *ret_last)
{
    const char *p = field_skip_space(field);
    if (strncasecmp(p, "bytes=", 6) != 0)
        return false;
    p = field_skip_space(p + 6);
    *ret_first = read_position(&p);
    if (*p++ != '-')
        return false;
    *ret_last = read_position(&p);
    if (*field_skip_space(p) != '\0' || (*ret_first < 0 && *ret_last < 0))
        return false;
    return *ret_first < 0 || *ret_last < 0 || *ret_last >= *ret_first;
}

static enum range_answer take_part(int64_t first, int64_t last, int64_t size, int64_t *ret_offset,
                                   int64_t *ret_size)
{
    if (first < 0) { /* the last bytes, as many as there are */
        int64_t suffix = last < size ? last : size;
        if (last == 0)
            return RANGE_UNSATISFIABLE;
        first = size - suffix;
        last = -1;
        if (suffix == 0)
            return RANGE_WHOLE; /* of nothing, which no Content-Range can say */
    }
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (last < 0 || last >= size)
        last = size - 1;
    *ret_offset = first;
    *ret_size = last - first + 1;
    return RANGE_PART;
}

enum range_answer range_evaluate(const struct http_request *req, const char *etag, int64_t size,
                                 int64_t *ret_offset, int64_t *ret_size)
{
    const char *none_match = http_header(req, "If-None-Match");
    const char *range = req->method == HTTP_GET ? http_header(req, "Range") : NULL;
    const char *if_range = http_header(req, "If-Range");
    int64_t first, last;
    *ret_offset = 0;
    *ret_size = size;
    if (none_match && has_tag(none_match, etag))
        return RANGE_NOT_MODIFIED;
    if (!range || (if_range && !is_same(if_range, etag)) || !read_range(range, &first, &last))
        return RANGE_WHOLE;
    return take_part(first, last, size, ret_offset, ret_size);
}
