/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_message.c - words for the errors that clients read
 *
 * What a client sent comes back to it, to logs and to terminals: short, and without characters
 * that move a cursor, end a line or turn the direction of writing.
 */
#include <stdio.h>
#include <string.h>

#include "base/schema_internal.h"
#include "base/utf8.h"

#define ECHO_CODE_POINTS 40
#define SUGGEST_NAME_MAX 32
#define SHOWN_MAX 160 /* bytes of a pattern, or of an enum's values */

size_t schema_length(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80)
            count++;
    }
    return count;
}

const char *schema_cut(struct arena *a, const char *text)
{
    size_t size = strlen(text);
    size_t kept = utf8_cut(text, size, SHOWN_MAX);
    return kept < size ? arena_printf(a, "%.*s…", (int)kept, text) : arena_strdup(a, text);
}

/* The code point of a well-formed sequence. */
static unsigned code_point(const char *text, size_t length)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned c = (unsigned char)text[0] & (unsigned)mask[length];
    for (size_t i = 1; i < length; i++)
        c = c << 6 | ((unsigned char)text[i] & 0x3fu);
    return c;
}

static bool has_to_be_escaped(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static struct schema_echo echo_string(const char *text)
{
    struct schema_echo echo;
    size_t size = strlen(text);
    size_t at = 0;
    size_t used = (size_t)snprintf(echo.text, sizeof(echo.text), "string \"");
    for (int count = 0; at < size && count < ECHO_CODE_POINTS; count++) {
        size_t length = utf8_length(text + at, size - at);
        unsigned c = length == 0 ? 0xfffd : code_point(text + at, length);
        char *out = echo.text + used;
        size_t room = sizeof(echo.text) - used;
        int wrote = 0;
        if (length == 0 || has_to_be_escaped(c))
            wrote = snprintf(out, room, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            wrote = snprintf(out, room, "\\%c", (int)c);
        else
            wrote = snprintf(out, room, "%.*s", (int)length, text + at);
        used += (size_t)wrote;
        at += length > 0 ? length : 1;
    }
    /* 40 × 6 bytes and what stands around them: the text cannot be full */
    (void)snprintf(echo.text + used, sizeof(echo.text) - used, at < size ? "…\"" : "\"");
    return echo;
}

static struct schema_echo echo_word(const char *word)
{
    struct schema_echo echo;
    (void)snprintf(echo.text, sizeof(echo.text), "%s", word);
    return echo;
}

struct schema_echo schema_echo(const cJSON *value)
{
    char number[JSON_NUMBER_SIZE];
    switch (schema_type_of(value)) {
    case SCHEMA_NULL:
        return echo_word("null");
    case SCHEMA_BOOLEAN:
        return echo_word(cJSON_IsTrue(value) ? "true" : "false");
    case SCHEMA_INTEGER:
    case SCHEMA_FRACTION:
        json_format_number(value->valuedouble, number);
        return echo_word(number);
    case SCHEMA_STRING:
        return echo_string(value->valuestring);
    case SCHEMA_ARRAY:
        return echo_word("an array");
    case SCHEMA_OBJECT:
        return echo_word("an object");
    default:
        return echo_word("something else");
    }
}

struct schema_echo schema_types_text(unsigned types)
{
    static const struct {
        unsigned types;
        const char *word;
    } words[] = {
        {SCHEMA_BOOLEAN, "a boolean"},  {SCHEMA_FRACTION, "a number"},
        {SCHEMA_INTEGER, "an integer"}, {SCHEMA_STRING, "a string"},
        {SCHEMA_ARRAY, "an array"},     {SCHEMA_OBJECT, "an object"},
        {SCHEMA_NULL, "null"},
    };
    struct schema_echo echo = {{0}};
    size_t used = 0;
    if (types & SCHEMA_FRACTION)
        types &= ~SCHEMA_INTEGER; /* "a number" says both */
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!(types & words[i].types))
            continue;
        types &= ~words[i].types;
        const char *joint = used == 0 ? "" : types == 0 ? " or " : ", ";
        used += (size_t)snprintf(echo.text + used, sizeof(echo.text) - used, "%s%s", joint,
                                 words[i].word);
    }
    return echo;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Letters added, left out, replaced or swapped with the next; capitals count as small letters. */
static size_t edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][SUGGEST_NAME_MAX + 1]; /* the row before the last, the last, this one */
    for (size_t j = 0; j <= b_size; j++)
        rows[1][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[2];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t differs = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(rows[1][j] + 1, row[j - 1] + 1, rows[1][j - 1] + differs);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && rows[0][j - 2] + 1 < row[j])
                row[j] = rows[0][j - 2] + 1;
        }
        memcpy(rows[0], rows[1], sizeof(rows[0]));
        memcpy(rows[1], rows[2], sizeof(rows[1]));
    }
    return rows[1][b_size];
}

const char *schema_suggest(const struct schema *s, const char *name)
{
    const char *best = NULL;
    size_t best_distance = 4;
    size_t size = strnlen(name, SUGGEST_NAME_MAX + 1);
    if (size > SUGGEST_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < s->member_count; i++) {
        const char *known = s->members[i].name;
        size_t known_size = strlen(known);
        if (known_size > SUGGEST_NAME_MAX || !s->members[i].schema)
            continue;
        size_t distance = edit_distance(name, size, known, known_size);
        size_t near = known_size / 3 > 1 ? known_size / 3 : 1;
        if (distance < best_distance && distance <= near && distance < known_size) {
            best = known;
            best_distance = distance;
        }
    }
    return best;
}
