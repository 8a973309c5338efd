/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - strict JSON on cJSON
 *
 * RFC 8259 and I-JSON (RFC 7493): UTF-8 checked, no bytes after the value (white
 * space aside), no byte-order mark, a depth limit, names that repeat within an
 * object refused (compared after unescaping), U+0000 and lone surrogates refused,
 * numbers by the grammar, numbers beyond a double's range and integers (written
 * without fraction and exponent) beyond 2^53 refused rather than rounded. Time is O(n log n)
 * whatever the text.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/error.h"

#define JSON_DEPTH_MAX 64
#define JSON_VALUES_MAX 1000000 /* in one text; each takes 80 bytes and more once parsed */
#define JSON_INTEGER_MAX 9007199254740992.0 /* 2^53 */

/*
 * Parse `size` bytes of `text` (no NUL needed).
 * Ownership: the tree belongs to `a`; do not delete it, nor what you add to it.
 * Errors: ERR_INVALID_REQUEST; the detail names line and column and what was wrong.
 * ERR_INTERNAL: no memory.
 */
int json_parse(struct arena *a, const char *text, size_t size, cJSON **ret_value,
               struct error *reterr);

/*
 * Compact text of a tree, owned by `a`; ret_size may be NULL. Every number reads back
 * as itself (cJSON's own printer rounds from 10^15 on); NaN and infinity become null.
 */
char *json_print(struct arena *a, const cJSON *value, size_t *ret_size);

/* The shortest JSON text that reads back as `number`; "null" for NaN and infinity. */
#define JSON_NUMBER_SIZE 32
void json_format_number(double number, char ret_text[JSON_NUMBER_SIZE]);

/* A new empty object owned by `a`. */
cJSON *json_object(struct arena *a);

/* A detached copy, the caller's to delete or to add to a tree. Never NULL. */
cJSON *json_copy(const cJSON *value);

/* Member `name` of `object`, compared exactly; NULL when absent or not an object. */
cJSON *json_member(const cJSON *object, const char *name);

/* A number without fraction within ±2^53. */
bool json_is_integer(const cJSON *value);

#endif
