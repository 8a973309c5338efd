/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * field.c - see field.h
 */
#include "http/field.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

static bool is_token_char(char c)
{
    static const char others[] = "!#$%&'*+.^_`|~";
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           (c != '\0' && strchr(others, c) != NULL);
}

size_t field_token_size(const char *text)
{
    size_t n = 0;
    while (is_token_char(text[n]))
        n++;
    return n;
}

const char *field_skip_space(const char *text)
{
    return text + strspn(text, " \t");
}

int field_hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* From behind the opening quote; NULL when the string does not end or holds a control character. */
static const char *quoted_end(const char *p)
{
    for (; *p != '"'; p++) {
        if (*p == '\\')
            p++;
        if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
            return NULL;
    }
    return p;
}

static int read_value(const char **cursor, struct field_param *param)
{
    const char *p = *cursor;
    param->is_quoted = *p == '"';
    if (!param->is_quoted) {
        param->value = p;
        param->value_size = field_token_size(p);
        *cursor = p + param->value_size;
        return param->value_size > 0 ? 1 : -1;
    }
    const char *end = quoted_end(p + 1);
    if (!end)
        return -1;
    param->value = p + 1;
    param->value_size = (size_t)(end - param->value);
    *cursor = end + 1;
    return 1;
}

int field_param_next(const char **cursor, struct field_param *ret_param)
{
    const char *p = field_skip_space(*cursor);
    bool has_semicolon = false;
    while (*p == ';') {
        p = field_skip_space(p + 1);
        has_semicolon = true;
    }
    *cursor = p;
    if (!has_semicolon || *p == '\0' || *p == ',')
        return 0;
    struct field_param param = {.name = p, .name_size = field_token_size(p)};
    p += param.name_size;
    if (param.name_size == 0 || *p != '=')
        return -1;
    *cursor = p + 1;
    if (read_value(cursor, &param) < 0)
        return -1;
    *ret_param = param;
    return 1;
}

bool field_param_is(const struct field_param *param, const char *name)
{
    return strlen(name) == param->name_size &&
           strncasecmp(param->name, name, param->name_size) == 0;
}

char *field_param_value(struct arena *a, const struct field_param *param)
{
    char *value = arena_alloc(a, param->value_size + 1);
    size_t size = 0;
    for (size_t i = 0; i < param->value_size; i++) {
        if (param->is_quoted && param->value[i] == '\\')
            i++; /* quoted_end() saw to it that another character follows */
        value[size++] = param->value[i];
    }
    return value;
}

char *field_param_extended_value(struct arena *a, const struct field_param *param)
{
    const char *end = param->value + param->value_size, *c = param->value;
    if (param->is_quoted || param->value_size < 7 || strncasecmp(c, "UTF-8'", 6) != 0)
        return NULL;
    c = memchr(c + 6, '\'', param->value_size - 6);
    if (!c)
        return NULL;
    char *text = arena_alloc(a, param->value_size + 1), *out = text;
    for (c++; c < end; c++) {
        int byte = (unsigned char)*c;
        if (*c == '%') {
            int high = end - c > 2 ? field_hex_value(c[1]) : -1,
                low = high < 0 ? -1 : field_hex_value(c[2]);
            if (low < 0)
                return NULL;
            byte = high << 4 | low;
            c += 2;
        }
        if (byte < 0x20 || byte == 0x7f)
            return NULL;
        *out++ = (char)byte;
    }
    return utf8_is_valid(text, (size_t)(out - text)) ? text : NULL;
}

char *field_media_type(struct arena *a, const char *text, const char **ret_rest)
{
    const char *p = field_skip_space(text);
    size_t type = field_token_size(p);
    if (type == 0 || p[type] != '/')
        return NULL;
    size_t subtype = field_token_size(p + type + 1);
    if (subtype == 0)
        return NULL;
    char *media_type = arena_strndup(a, p, type + 1 + subtype);
    for (char *c = media_type; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    *ret_rest = p + type + 1 + subtype;
    return media_type;
}

const char *field_file_name(const char *path)
{
    const char *segment = path;
    for (const char *c = path; *c; c++) {
        if (*c == '/' || *c == '\\')
            segment = c + 1;
    }
    return strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0 ? "" : segment;
}
