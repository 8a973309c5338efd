/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multipart.c - see multipart.h
 *
 * The body is walked once: memmem() finds each delimiter from the end of the one before, so the
 * time is linear in the body's size, however many near-misses it holds.
 */
#include "http/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "http/field.h"

#define BOUNDARY_MAX 70
#define FIRST_CAPACITY 16
#define TEXT_OF(x) TEXT_OF_IT(x)
#define TEXT_OF_IT(x) #x
#define HEADER_MAX_TEXT TEXT_OF(MULTIPART_HEADER_MAX)

struct parser {
    struct arena *arena;
    const unsigned char *bytes;
    size_t size;
    char delimiter[4 + BOUNDARY_MAX + 1]; /* CR LF "--" boundary */
    size_t delimiter_size;
    struct multipart_part *parts;
    int count, capacity;
    struct error *reterr;
};

struct delimiter {
    size_t start, end; /* from its CR to behind its own line */
    bool is_last;
};

static int check_boundary(const char *boundary, struct error *reterr)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "'()+_,-./:=? ";
    size_t size = boundary ? strlen(boundary) : 0;
    if (size == 0)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The multipart Content-Type has no boundary parameter.");
    if (size > BOUNDARY_MAX || strspn(boundary, allowed) != size || boundary[size - 1] == ' ')
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The multipart boundary is not one that RFC 2046 allows.");
    return 0;
}

/* What follows the boundary: "--" or not, white space, and the end of the line or of the body. */
static bool read_delimiter_tail(const struct parser *p, size_t at, struct delimiter *d)
{
    d->is_last = p->size - at >= 2 && memcmp(p->bytes + at, "--", 2) == 0;
    if (d->is_last)
        at += 2;
    while (at < p->size && (p->bytes[at] == ' ' || p->bytes[at] == '\t'))
        at++;
    if (p->size - at >= 2 && memcmp(p->bytes + at, "\r\n", 2) == 0) {
        d->end = at + 2;
        return true;
    }
    d->end = at;
    return d->is_last && at == p->size;
}

static bool find_delimiter(const struct parser *p, size_t from, struct delimiter *ret_delimiter)
{
    struct delimiter d;
    /* At the very beginning no line ends before it. */
    size_t bare = p->delimiter_size - 2;
    if (from == 0 && p->size >= bare && memcmp(p->bytes, p->delimiter + 2, bare) == 0 &&
        read_delimiter_tail(p, bare, &d)) {
        d.start = 0;
        *ret_delimiter = d;
        return true;
    }
    while (from < p->size) {
        const unsigned char *found =
            memmem(p->bytes + from, p->size - from, p->delimiter, p->delimiter_size);
        if (!found)
            return false;
        d.start = (size_t)(found - p->bytes);
        from = d.start + p->delimiter_size;
        if (read_delimiter_tail(p, from, &d)) {
            *ret_delimiter = d;
            return true;
        }
    }
    return false;
}

static int refuse(const struct parser *p, const char *what)
{
    return error_set(p->reterr, ERR_INVALID_REQUEST, "Part %d of the multipart body %s.",
                     p->count + 1, what);
}

/*
 * A name or file name of Content-Disposition. Browsers write a quote and the ends of lines
 * as %22, %0D and %0A, and a backslash as itself; others escape quote and backslash with
 * a backslash. NULL when it is not text.
 */
static char *disposition_text(const struct parser *p, const struct field_param *param)
{
    char *text = arena_alloc(p->arena, param->value_size + 1);
    size_t size = 0;
    const char *end = param->value + param->value_size;
    for (const char *c = param->value; c < end; c++) {
        bool is_escaped = *c == '\\' && end - c > 1 && (c[1] == '"' || c[1] == '\\');
        bool is_percent = *c == '%' && end - c > 2;
        if (is_percent && (strncasecmp(c, "%0D", 3) == 0 || strncasecmp(c, "%0A", 3) == 0))
            return NULL;
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return NULL;
        if (is_percent && strncmp(c, "%22", 3) == 0) {
            text[size++] = '"';
            c += 2;
        } else {
            c += is_escaped;
            text[size++] = *c;
        }
    }
    return utf8_is_valid(text, size) ? text : NULL;
}

static int take_disposition_param(const struct parser *p, const struct field_param *param,
                                  struct multipart_part *part, bool *is_extended)
{
    bool is_extended_name = field_param_is(param, "filename*");
    if (field_param_is(param, "name")) {
        if (part->name)
            return refuse(p, "has two names");
        if (!(part->name = disposition_text(p, param)))
            return refuse(p, "has a name that is not UTF-8 or has a control character");
    } else if (is_extended_name || field_param_is(param, "filename")) {
        char *text = is_extended_name ? field_param_extended_value(p->arena, param)
                                      : disposition_text(p, param);
        if (!text)
            return refuse(p, "has a file name that is not UTF-8 or has a control character");
        if (part->file_name && *is_extended == is_extended_name)
            return refuse(p, "has two file names");
        if (!part->file_name || is_extended_name)
            part->file_name = field_file_name(text);
        *is_extended = *is_extended || is_extended_name;
    }
    return 0;
}

static int read_disposition(const struct parser *p, const char *value, struct multipart_part *part)
{
    const char *cursor = value;
    size_t size = field_token_size(cursor);
    if (part->name)
        return refuse(p, "has two Content-Disposition fields");
    if (size != 9 || strncasecmp(cursor, "form-data", 9) != 0)
        return refuse(p, "has a Content-Disposition other than form-data");
    cursor += size;
    struct field_param param;
    bool is_extended = false;
    int found;
    while ((found = field_param_next(&cursor, &param)) > 0) {
        if (take_disposition_param(p, &param, part, &is_extended) != 0)
            return -1;
    }
    if (found < 0 || *cursor != '\0')
        return refuse(p, "has a Content-Disposition that is not well-formed");
    return 0;
}

static int read_type(const struct parser *p, const char *value, struct multipart_part *part)
{
    const char *rest;
    char *media_type = field_media_type(p->arena, value, &rest);
    if (media_type)
        rest = field_skip_space(rest);
    if (!media_type || (*rest != '\0' && *rest != ';'))
        return refuse(p, "has a Content-Type that is not of the form \"type/subtype\"");
    if (part->media_type[0] != '\0')
        return refuse(p, "has two Content-Type fields");
    part->media_type = media_type;
    return 0;
}

static int check_encoding(const struct parser *p, const char *value)
{
    static const char *const identities[] = {"binary", "8bit", "7bit"};
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
        if (strcasecmp(value, identities[i]) == 0)
            return 0;
    }
    return refuse(p, "has a Content-Transfer-Encoding other than binary, 8bit or 7bit");
}

static int read_field(const struct parser *p, const unsigned char *line, size_t size,
                      struct multipart_part *part)
{
    if (memchr(line, '\0', size) || memchr(line, '\r', size) || memchr(line, '\n', size))
        return refuse(p, "has a control character in its headers");
    const char *name = arena_strndup(p->arena, (const char *)line, size);
    size_t name_size = field_token_size(name);
    if (name_size == 0 || name[name_size] != ':')
        return refuse(p, "has a header line without a name");
    char *value = arena_strdup(p->arena, field_skip_space(name + name_size + 1));
    for (size_t n = strlen(value); n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'); n--)
        value[n - 1] = '\0';
    if (name_size == 19 && strncasecmp(name, "Content-Disposition", 19) == 0)
        return read_disposition(p, value, part);
    if (name_size == 12 && strncasecmp(name, "Content-Type", 12) == 0)
        return read_type(p, value, part);
    if (name_size == 25 && strncasecmp(name, "Content-Transfer-Encoding", 25) == 0)
        return check_encoding(p, value);
    return 0;
}

/* Up to behind the empty line that ends the header block. */
static int read_headers(const struct parser *p, size_t *at, struct multipart_part *part)
{
    size_t start = *at;
    for (;;) {
        const unsigned char *line = p->bytes + *at;
        size_t limit = start + MULTIPART_HEADER_MAX - *at;
        size_t rest = p->size - *at;
        const unsigned char *end = memmem(line, rest < limit ? rest : limit, "\r\n", 2);
        if (!end)
            return rest < limit ? refuse(p, "ends within its headers")
                                : refuse(p, "has more than " HEADER_MAX_TEXT " bytes of headers");
        size_t size = (size_t)(end - line);
        *at += size + 2;
        if (size == 0)
            return 0;
        if (read_field(p, line, size, part) != 0)
            return -1;
    }
}

static struct multipart_part *new_part(struct parser *p)
{
    if (p->count == p->capacity) {
        int capacity = p->capacity ? 2 * p->capacity : FIRST_CAPACITY;
        struct multipart_part *parts = arena_alloc(p->arena, (size_t)capacity * sizeof(*parts));
        if (p->count > 0)
            memcpy(parts, p->parts, (size_t)p->count * sizeof(*parts));
        p->parts = parts;
        p->capacity = capacity;
    }
    return &p->parts[p->count];
}

/* The part behind delimiter `d`, which then is the one that ends the part. */
static int read_part(struct parser *p, struct delimiter *d)
{
    if (p->count == MULTIPART_PARTS_MAX)
        return error_set(p->reterr, ERR_INVALID_REQUEST,
                         "The multipart body has more than %d parts.", MULTIPART_PARTS_MAX);
    struct multipart_part *part = new_part(p);
    *part = (struct multipart_part){.media_type = ""};
    size_t at = d->end;
    if (read_headers(p, &at, part) != 0)
        return -1;
    if (!part->name || part->name[0] == '\0')
        return refuse(p, "has no name");
    /* Without content the empty line's end may be the delimiter's own. */
    if (!find_delimiter(p, at - 2, d))
        return refuse(p, "is not followed by a boundary: the body was cut short");
    part->offset = at;
    part->size = d->start > at ? d->start - at : 0;
    p->count++;
    return 0;
}

int multipart_parse(struct arena *a, const unsigned char *bytes, size_t size, const char *boundary,
                    struct multipart_part **ret_parts, int *ret_count, struct error *reterr)
{
    struct parser p = {.arena = a, .bytes = bytes, .size = size, .reterr = reterr};
    if (check_boundary(boundary, reterr) != 0)
        return -1;
    p.delimiter_size = (size_t)snprintf(p.delimiter, sizeof(p.delimiter), "\r\n--%s", boundary);
    struct delimiter d;
    if (!find_delimiter(&p, 0, &d))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The multipart body does not contain its boundary.");
    while (!d.is_last) {
        if (read_part(&p, &d) != 0)
            return -1;
    }
    *ret_parts = p.parts;
    *ret_count = p.count;
    return 0;
}
