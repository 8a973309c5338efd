/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disposition.c - see disposition.h
 *
 * The parts of a multipart body have a field of the same name with rules of their own, made by
 * browsers: multipart.c.
 */
#include "http/disposition.h"

#include <stdbool.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "http/field.h"

#define FIELD "Content-Disposition"

static bool is_control(int byte)
{
    return byte < 0x20 || byte == 0x7f;
}

/* A backslash escapes a quote and itself; before others it is one of Windows' own. */
static char *plain_text(struct arena *a, const struct field_param *param)
{
    char *text = arena_alloc(a, param->value_size + 1), *out = text;
    const char *end = param->value + param->value_size;
    for (const char *c = param->value; c < end; c++) {
        if (*c == '\\' && end - c > 1 && (c[1] == '"' || c[1] == '\\'))
            c++;
        if (is_control((unsigned char)*c))
            return NULL;
        *out++ = *c;
    }
    return text;
}

/* Of "filename" and "filename*", in whatever order, the second is kept. */
struct names {
    const char *plain, *extended;
};

static int take_param(struct arena *a, const struct field_param *param, struct names *names,
                      struct error *reterr)
{
    bool is_extended = field_param_is(param, "filename*");
    if (!is_extended && !field_param_is(param, "filename"))
        return 0;
    const char **name = is_extended ? &names->extended : &names->plain;
    if (*name)
        return error_set(reterr, ERR_INVALID_REQUEST, FIELD " has two file names.");
    *name = is_extended ? field_param_extended_value(a, param) : plain_text(a, param);
    if (!*name || !utf8_is_valid(*name, strlen(*name)))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         FIELD " has a file name that is not UTF-8 or has a control character.");
    return 0;
}

int disposition_read(struct arena *a, const char *field, const char **ret_file_name,
                     struct error *reterr)
{
    struct names names = {NULL, NULL};
    struct field_param param;
    *ret_file_name = "";
    if (!field || *field_skip_space(field) == '\0')
        return 0;
    const char *cursor = field_skip_space(field);
    int found = field_token_size(cursor) > 0 ? 1 : -1;
    cursor += field_token_size(cursor);
    while (found > 0 && (found = field_param_next(&cursor, &param)) > 0) {
        if (take_param(a, &param, &names, reterr) != 0)
            return -1;
    }
    if (found < 0 || *cursor != '\0')
        return error_set(reterr, ERR_INVALID_REQUEST,
                         FIELD " is not well-formed: attachment; filename=\"name\" is.");
    const char *name = names.extended ? names.extended : names.plain ? names.plain : "";
    name = field_file_name(name);
    if (strlen(name) > DISPOSITION_NAME_MAX)
        return error_set(reterr, ERR_INVALID_REQUEST, FIELD " has a file name of over %d bytes.",
                         DISPOSITION_NAME_MAX);
    *ret_file_name = name;
    return 0;
}

/* Browsers take a percent sign in the plain form for an escape. */
static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '%';
}

/* attr-char of RFC 8187. */
static bool is_attribute_char(char c)
{
    return field_token_size((const char[]){c, '\0'}) == 1 && c != '*' && c != '\'' && c != '%';
}

const char *disposition_format(struct arena *a, const char *type, const char *file_name)
{
    struct strbuf out = STRBUF_INIT;
    bool is_extended = false;
    strbuf_addf(&out, "%s; filename=\"", type);
    for (const char *c = file_name; *c; c++) {
        is_extended = is_extended || !is_plain(*c);
        /* One underscore for a character, not for each of its bytes. */
        if (((unsigned char)*c & 0xc0) != 0x80)
            strbuf_addch(&out, is_plain(*c) ? *c : '_');
    }
    strbuf_addch(&out, '"');
    if (is_extended)
        strbuf_addstr(&out, "; filename*=UTF-8''");
    for (const char *c = file_name; is_extended && *c; c++) {
        if (is_attribute_char(*c))
            strbuf_addch(&out, *c);
        else
            strbuf_addf(&out, "%%%02X", (unsigned char)*c);
    }
    const char *field = arena_strndup(a, out.text, out.size);
    strbuf_release(&out);
    return field;
}
