/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_format.c - the formats of JSON Schema that this subset has
 *
 * By the grammars that the standard names, since a task trusts what got past them: RFC 9562
 * (uuid), RFC 3339 (date-time), RFC 3986 (uri), RFC 5321 (email).
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/schema_internal.h"
#include "base/timestamp.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Is `c` one of `set`? Unlike strchr(), never for the end of the text. */
static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c);
}

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return text[36] == '\0';
}

static bool take_char(const char **p, const char *set)
{
    if (!is_in(**p, set))
        return false;
    (*p)++;
    return true;
}

/* RFC 3339 as JSON Schema takes it: with a T, and a leap second only as the last of a day in UTC,
 * which is where it is read as the next one's first moment. */
static bool is_date_time(const char *text)
{
    int64_t us;
    if (strlen(text) < 20 || !is_in(text[10], "Tt") || !timestamp_parse(text, &us))
        return false;
    bool is_leap_second = text[17] == '6';
    return !is_leap_second || us / 1000000 % 86400 == 0;
}

/* Past unreserved characters, sub-delimiters, %XX and `extra`. */
static const char *skip_uri_chars(const char *p, const char *extra)
{
    for (;;) {
        if (is_alpha(*p) || is_digit(*p) || is_in(*p, "-._~!$&'()*+,;=") || is_in(*p, extra))
            p++;
        else if (*p == '%' && is_hex(p[1]) && is_hex(p[2]))
            p += 3;
        else
            return p;
    }
}

static bool is_address(int family, const char *text, size_t size)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    if (size >= sizeof(copy))
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    return inet_pton(family, copy, address) == 1;
}

/* "v1.x" of RFC 3986: a version yet to come. */
static bool is_future_address(const char *p, const char *end)
{
    if (!take_char(&p, "vV") || !is_hex(*p))
        return false;
    while (is_hex(*p))
        p++;
    return take_char(&p, ".") && p < end && !memchr(p, '%', (size_t)(end - p)) &&
           skip_uri_chars(p, ":") == end;
}

/* user@host:port; NULL when it is none. */
static const char *skip_authority(const char *p)
{
    const char *user_end = skip_uri_chars(p, ":");
    if (*user_end == '@')
        p = user_end + 1;
    if (*p == '[') {
        const char *end = strchr(++p, ']');
        if (!end || !(is_address(AF_INET6, p, (size_t)(end - p)) || is_future_address(p, end)))
            return NULL;
        p = end + 1;
    } else {
        p = skip_uri_chars(p, "");
    }
    if (*p == ':') {
        p++;
        while (is_digit(*p))
            p++;
    }
    return *p == '\0' || is_in(*p, "/?#") ? p : NULL;
}

static bool is_uri(const char *text)
{
    const char *p = text;
    if (!is_alpha(*p))
        return false;
    while (is_alpha(*p) || is_digit(*p) || is_in(*p, "+-."))
        p++;
    if (*p++ != ':')
        return false;
    if (p[0] == '/' && p[1] == '/') {
        p = skip_authority(p + 2);
        if (!p)
            return false;
    }
    p = skip_uri_chars(p, ":@/");
    if (*p == '?')
        p = skip_uri_chars(p + 1, ":@/?");
    if (*p == '#')
        p = skip_uri_chars(p + 1, ":@/?");
    return *p == '\0';
}

/* The part before the @; NULL when it is none. */
static const char *skip_local_part(const char *p)
{
    const char *start = p;
    if (take_char(&p, "\"")) {
        for (; *p && *p != '"'; p++) {
            if (*p == '\\')
                p++;
            if (*p < 32 || *p > 126)
                return NULL;
        }
        if (!take_char(&p, "\""))
            return NULL;
    } else {
        do {
            const char *atom = p;
            while (is_alpha(*p) || is_digit(*p) || is_in(*p, "!#$%&'*+-/=?^_`{|}~"))
                p++;
            if (p == atom)
                return NULL;
        } while (take_char(&p, "."));
    }
    return p - start <= 64 ? p : NULL;
}

static bool is_domain(const char *text)
{
    const char *p = text;
    if (strnlen(text, 254) > 253)
        return false;
    do {
        const char *label = p;
        while (is_alpha(*p) || is_digit(*p) || *p == '-')
            p++;
        if (p == label || p - label > 63 || *label == '-' || p[-1] == '-')
            return false;
    } while (take_char(&p, "."));
    return *p == '\0';
}

static bool is_email(const char *text)
{
    const char *p = skip_local_part(text);
    if (!p || *p++ != '@')
        return false;
    if (*p != '[')
        return is_domain(p);
    size_t size = strnlen(p, 128);
    if (size < 3 || size > 127 || p[size - 1] != ']')
        return false;
    if (strncasecmp(p + 1, "IPv6:", 5) == 0)
        return is_address(AF_INET6, p + 6, size - 7);
    return is_address(AF_INET, p + 1, size - 2);
}

static const struct schema_format formats[] = {
    {"uuid", "a UUID, such as 123e4567-e89b-12d3-a456-426614174000", is_uuid},
    {"date-time", "a date and time by RFC 3339, such as 2024-05-17T08:30:00Z", is_date_time},
    {"uri", "an absolute URI, such as https://example.com/", is_uri},
    {"email", "an e-mail address, such as name@example.com", is_email},
};

const struct schema_format *schema_format_find(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    }
    return NULL;
}
