/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dictionary.h - structured fields: a dictionary (RFC 8941 section 3.2)
 *
 * `priority=5, unique="x", tags=("a" "b")`: items and inner lists of items. Parameters (;x) are
 * parsed and dropped. Strict, as the RFC asks: one mistake and the whole field is refused.
 */
#ifndef HTTP_DICTIONARY_H
#define HTTP_DICTIONARY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

#define DICTIONARY_MEMBERS_MAX 64
#define DICTIONARY_ITEMS_MAX 256

enum dictionary_kind {
    DICTIONARY_INTEGER,
    DICTIONARY_DECIMAL,
    DICTIONARY_STRING,
    DICTIONARY_TOKEN,
    DICTIONARY_BYTES, /* refused by all members of ours, but part of the grammar */
    DICTIONARY_BOOLEAN,
    DICTIONARY_LIST,
};

struct dictionary_item {
    enum dictionary_kind kind;
    double number;    /* INTEGER, DECIMAL; BOOLEAN: 0 or 1 */
    const char *text; /* STRING, TOKEN */
};

struct dictionary_member {
    const char *name;
    struct dictionary_item item; /* kind LIST: `items` */
    const struct dictionary_item *items;
    int item_count;
};

/*
 * Ownership: `a`. A name that is repeated has its last value, in its first place. Errors:
 * ERR_INVALID_REQUEST, the detail names `field_name` and the position.
 */
int dictionary_parse(struct arena *a, const char *field_name, const char *field,
                     struct dictionary_member **ret_members, int *ret_count, struct error *reterr);

#endif
