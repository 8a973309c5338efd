/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept.c - see accept.h
 *
 * A field is read whole before it is asked anything, so that a bad one is refused before
 * anything is computed.
 */
#include "http/accept.h"

#include <string.h>
#include <strings.h>

#include "http/field.h"

#define RANGES_MAX 100

enum precision { ANY, ANY_SUBTYPE, FULL }; /* the more specific, the greater */

struct range {
    const char *media_type; /* lower case */
    enum precision precision;
    int quality;
};

struct accept {
    int count;
    struct range ranges[RANGES_MAX];
};

/*
 * qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths; -1 for others.
 * Java's HttpURLConnection leaves out the 0 of ".2".
 */
static int parse_quality(const struct field_param *param)
{
    const char *p = param->value;
    const char *end = p + param->value_size;
    int quality = 0;
    if (param->is_quoted || (param->value_size == 1 && *p == '.'))
        return -1;
    if (p < end && (*p == '0' || *p == '1'))
        quality = (*p++ - '0') * 1000;
    if (p < end && *p++ != '.')
        return -1;
    if (end - p > 3)
        return -1;
    for (int unit = 100; p < end; p++, unit /= 10) {
        if (*p < '0' || *p > '9')
            return -1;
        quality += (*p - '0') * unit;
    }
    return quality <= 1000 ? quality : -1;
}

/* A media range in lower case; a bare asterisk, Java's too, is the range of all. */
static const char *read_media_range(struct arena *a, const char *text, const char **ret_rest)
{
    const char *p = field_skip_space(text);
    if (p[0] != '*' || p[1] == '/')
        return field_media_type(a, p, ret_rest);
    *ret_rest = p + 1;
    return "*/*";
}

static int find_precision(const char *media_type, enum precision *ret_precision)
{
    const char *subtype = strchr(media_type, '/') + 1;
    bool is_any_type = subtype - media_type == 2 && media_type[0] == '*';
    bool is_any_subtype = strcmp(subtype, "*") == 0;
    if (is_any_type && !is_any_subtype)
        return -1;
    *ret_precision = is_any_type ? ANY : is_any_subtype ? ANY_SUBTYPE : FULL;
    return 0;
}

static int parse_range(struct arena *a, const char **cursor, struct range *ret_range)
{
    struct range range = {.quality = 1000};
    const char *p = *cursor;
    range.media_type = read_media_range(a, p, &p);
    if (!range.media_type || find_precision(range.media_type, &range.precision) != 0)
        return -1;
    struct field_param param;
    int found;
    *cursor = p;
    while ((found = field_param_next(cursor, &param)) > 0) {
        if (field_param_is(&param, "q") && (range.quality = parse_quality(&param)) < 0)
            return -1;
    }
    if (found < 0 || (**cursor != '\0' && **cursor != ','))
        return -1;
    *ret_range = range;
    return 0;
}

int accept_parse(struct arena *a, const char *field, struct accept **ret_accept,
                 struct error *reterr)
{
    struct accept *accept = arena_alloc(a, sizeof(*accept));
    if (!field)
        field = "";
    const char *p = field;
    /* Empty elements between commas are allowed. */
    while (p += strspn(p, " \t,"), *p) {
        if (accept->count == RANGES_MAX)
            return error_set(reterr, ERR_INVALID_REQUEST,
                             "The Accept field has more than %d media ranges.", RANGES_MAX);
        if (parse_range(a, &p, &accept->ranges[accept->count]) != 0)
            return error_set(reterr, ERR_INVALID_REQUEST,
                             "The Accept field is not well-formed at character %zu.",
                             (size_t)(p - field) + 1);
        accept->count++;
    }
    *ret_accept = accept;
    return 0;
}

static bool range_matches(const struct range *range, const char *media_type)
{
    if (range->precision == ANY)
        return true;
    if (range->precision == FULL)
        return strcasecmp(range->media_type, media_type) == 0;
    size_t size = strlen(range->media_type) - 1; /* "image/" */
    return strncasecmp(range->media_type, media_type, size) == 0;
}

/* The most specific range that matches; of two, the one of higher quality. */
static const struct range *find_range(const struct accept *accept, const char *media_type)
{
    const struct range *best = NULL;
    for (int i = 0; i < accept->count; i++) {
        const struct range *range = &accept->ranges[i];
        if (!range_matches(range, media_type))
            continue;
        if (!best || range->precision > best->precision ||
            (range->precision == best->precision && range->quality > best->quality))
            best = range;
    }
    return best;
}

int accept_quality(const struct accept *accept, const char *media_type)
{
    if (accept->count == 0)
        return 1000;
    const struct range *range = find_range(accept, media_type);
    return range ? range->quality : 0;
}
