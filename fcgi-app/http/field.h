/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * field.h - the grammar that header fields share (RFC 9110 section 5.6)
 *
 * Accept, Content-Type and Content-Disposition are all "value; name=value; ...". The texts are
 * walked once from left to right; nothing is copied before it is known to be well-formed.
 */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct field_param {
    const char *name, *value; /* into the field; the value without its quotes */
    size_t name_size, value_size;
    bool is_quoted;
};

/* How many of the characters at `text` may stand in a token. */
size_t field_token_size(const char *text);

/* Behind spaces and tabs. */
const char *field_skip_space(const char *text);

/* 0 to 15, or -1 for what is not a hexadecimal digit. */
int field_hex_value(char c);

/*
 * The next ";name=value" at *cursor, which moves behind it; empty ones (";;") are skipped.
 * Returns 1 with *ret_param; 0 where no ';' follows (it is for the caller to say whether what
 * follows, *cursor, may stand there); -1 when it is not well-formed.
 */
int field_param_next(const char **cursor, struct field_param *ret_param);

/* Is it the parameter `name`, in any case of letters? */
bool field_param_is(const struct field_param *param, const char *name);

/* The value, without the backslashes of a quoted string; belongs to `a`. */
char *field_param_value(struct arena *a, const struct field_param *param);

/* The same of name*=UTF-8''na%C3%AFve (RFC 8187); NULL when it is not that, or has a control
 * character. */
char *field_param_extended_value(struct arena *a, const struct field_param *param);

/*
 * The "type/subtype" at the start of `text`, in lower case; belongs to `a`. NULL when there is
 * none. *ret_rest is behind it.
 */
char *field_media_type(struct arena *a, const char *text, const char **ret_rest);

/*
 * A file name is a label, never a place: what stands behind the last slash of `path`, "" for a dot
 * or two.
 */
const char *field_file_name(const char *path);

#endif
