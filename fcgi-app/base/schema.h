/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.h - JSON Schema 2020-12, the subset of DESIGN.md section 4, completely
 *
 * type (one or a list), enum, const, minimum, maximum, exclusiveMinimum, exclusiveMaximum,
 * multipleOf, minLength, maxLength (in code points), pattern (POSIX ERE, unanchored), format (uuid,
 * date-time, uri, email), items, prefixItems, minItems, maxItems, uniqueItems,
 * properties, required, additionalProperties (false, true or a schema), default, oneOf, anyOf,
 * title, description, examples. A schema may be true or false wherever one stands. Keywords of
 * one type ignore values of another, as the standard says. Narrower than the standard:
 * an "integer" lies within ±2^53, `format` is enforced, a pattern sees strings up to 64 KiB and
 * has no back-references. Defaults stand outside oneOf/anyOf only, and are themselves valid;
 * what is required has to be given, whether it has a default or not.
 *
 * Compiled once at start, read-only afterwards. A schema with another keyword
 * or a wrong one does not compile: the error names its place in the file.
 */
#ifndef BASE_SCHEMA_H
#define BASE_SCHEMA_H

#include <stdbool.h>

#include "base/error.h"
#include "base/field_errors.h"
#include "base/json.h"

struct schema;

/*
 * Compile `source`. `place` ("image.transform.json#/params") begins every error's detail.
 * Ownership: *ret_schema belongs to `a` and keeps pointers into `source`.
 * Errors: ERR_INTERNAL, detail "<place>/<pointer>: what".
 */
int schema_compile(struct arena *a, const cJSON *source, const char *place,
                   struct schema **ret_schema, struct error *reterr);

/*
 * Validate `instance`, filling in defaults of absent members in place (nested
 * objects too), and report every error at its pointer below `pointer` ("" for the root).
 * Ownership: what is added to the tree belongs to the tree.
 * Returns the number of errors found.
 */
int schema_validate(const struct schema *s, cJSON *instance, const char *pointer,
                    struct field_errors *errors);

/* The schema of property `name`; NULL when `s` declares none of that name. */
const struct schema *schema_property(const struct schema *s, const char *name);

/* May an object of this schema have members that `properties` does not declare? */
bool schema_allows_additional(const struct schema *s);

/* The JSON source `s` was compiled from. */
const cJSON *schema_source(const struct schema *s);

/*
 * The JSON value that `text` (from a query string or a multipart field, valid
 * UTF-8) stands for under schema `s`: by the types that `s` allows (its own, or those of
 * its oneOf/anyOf, enum and const), the first that fits of null ("null"), boolean ("true",
 * "false"), integer, number, array and object (as JSON text), and else the string itself.
 * Whether it is valid is for schema_validate() to say: text "abc" for an
 * integer becomes the string "abc", and the error there names the type wanted.
 * `s` may be NULL: a string. Never returns NULL.
 * Ownership: a new detached value of the caller's (cJSON_Delete, or add it to a tree).
 */
cJSON *schema_value_from_text(const struct schema *s, struct arena *scratch, const char *text);

/* Does `s` allow arrays? */
bool schema_allows_list(const struct schema *s);

/* Does `s` allow arrays, but no text that stands beside them? Then texts may be its items. */
bool schema_is_list(const struct schema *s);

/* The schema of an array's items; NULL: any. */
const struct schema *schema_items(const struct schema *s);

#endif
