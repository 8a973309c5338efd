/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_internal.h - what the schema_*.c files share
 *
 * schema_compile.c builds struct schema, schema_validate.c walks an instance along it, the
 * others are parts of that walk. To add a keyword: a member here, a row of the table in
 * schema_compile.c, its check in schema_validate.c, cases in tests/unit/schema/.
 */
#ifndef BASE_SCHEMA_INTERNAL_H
#define BASE_SCHEMA_INTERNAL_H

#include <locale.h>
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/field_errors.h"
#include "base/json.h"
#include "base/strbuf.h"

#define SCHEMA_PATTERN_MAX 65536 /* bytes of a string that a pattern is tried on */

/* Sets of types. `number` is both: with and without a fraction. */
#define SCHEMA_NULL 1u
#define SCHEMA_BOOLEAN 2u
#define SCHEMA_INTEGER 4u  /* no fraction, within ±2^53 */
#define SCHEMA_FRACTION 8u /* any other number */
#define SCHEMA_STRING 16u
#define SCHEMA_ARRAY 32u
#define SCHEMA_OBJECT 64u
#define SCHEMA_NUMBER (SCHEMA_INTEGER | SCHEMA_FRACTION)
#define SCHEMA_ANY 127u

/* The place of a value, built on the stack and written out only for an error. */
struct schema_path {
    const struct schema_path *parent; /* NULL: the root, whose pointer is `name` */
    const char *name;                 /* NULL: an array's item */
    size_t index;
};

struct schema_limit {
    bool is_set;
    double value;
};

/* digits × 10^exponent: what the shortest text of a double says. */
struct schema_decimal {
    uint64_t digits;
    int exponent;
};

/* Values of enum or const as canonical texts, sorted. */
struct schema_values {
    const char **texts;
    size_t count;
    unsigned types;
    const char *listed; /* for the error */
};

struct schema_list {
    const struct schema **schemas;
    size_t count;
};

struct schema_pattern {
    const char *shown; /* for the error */
    regex_t regex;
    locale_t locale; /* UTF-8, so that a character is one; 0: none such here */
};

struct schema_format {
    const char *name;
    const char *wanted; /* "must be …" */
    bool (*is_valid)(const char *text);
};

struct schema_member {
    const char *name;
    const struct schema *schema; /* NULL: only named by `required` */
    const cJSON *value;          /* the default; NULL: none */
    bool is_required;
};

struct schema {
    const cJSON *source;
    bool is_never;    /* the schema `false` */
    unsigned types;   /* by `type` */
    unsigned allowed; /* by type, enum, const, oneOf and anyOf together */
    const struct schema_values *enumeration, *constant;
    struct schema_limit minimum, maximum, above, below, multiple_of;
    struct schema_decimal unit; /* multiple_of */
    struct schema_limit min_length, max_length, min_items, max_items;
    const struct schema_pattern *pattern;
    const char *example; /* the first of them that is a string; NULL: none */
    const struct schema_format *format;
    const struct schema *items;      /* NULL: any */
    const struct schema *additional; /* NULL: any */
    struct schema_list prefix_items, one_of, any_of;
    bool has_unique_items;
    struct schema_member *members; /* sorted by name */
    size_t member_count;
    size_t seen_max; /* members that validation has to remember at once, this level and below */
};

/* The pointer of a path; overlong names are cut. */
const char *schema_path_text(struct arena *a, const struct schema_path *path);

/* The member called `name`; NULL when there is none. */
const struct schema_member *schema_member_find(const struct schema *s, const char *name);

/* schema_value.c: equality and numbers */

/* The type of a value, one bit; 0 for what JSON does not have. */
unsigned schema_type_of(const cJSON *value);

/* Append a text that two values share if and only if JSON calls them equal. */
void schema_canonical(struct strbuf *sb, struct arena *scratch, const cJSON *value);

/* Are two items of `array` equal? Then their positions, the lower one first. */
bool schema_find_equal_items(struct arena *scratch, const cJSON *array, size_t *ret_first,
                             size_t *ret_second);

struct schema_decimal schema_decimal(double number);

/* Is `number`, as a decimal, a whole multiple of `unit`, which is not 0? */
bool schema_is_multiple(double number, const struct schema_decimal *unit);

/* schema_format.c: NULL when there is no such format */
const struct schema_format *schema_format_find(const char *name);

/* schema_pattern.c: belongs to `a`; NULL when `text` is none, and *ret_why says why not */
#define SCHEMA_WHY_SIZE 160
const struct schema_pattern *schema_pattern_compile(struct arena *a, const char *text,
                                                    char ret_why[SCHEMA_WHY_SIZE]);

/* Is there a match anywhere in `text`, of at most SCHEMA_PATTERN_MAX bytes? */
bool schema_pattern_matches(const struct schema_pattern *pattern, const char *text);

/* schema_message.c: words for errors */

struct schema_echo {
    char text[320];
};

/* A value as an error shows it: cut, control and direction characters escaped. */
struct schema_echo schema_echo(const cJSON *value);

/* "an integer or null" */
struct schema_echo schema_types_text(unsigned types);

/* The declared member whose name `name` most likely means; NULL when none is near. */
const char *schema_suggest(const struct schema *s, const char *name);

/* `text`, or as much of it as an error about a schema's words shows. */
const char *schema_cut(struct arena *a, const char *text);

/* How many code points `text` has. */
size_t schema_length(const char *text);

#endif
