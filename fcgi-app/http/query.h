/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query.h - application/x-www-form-urlencoded, strictly
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "base/arena.h"
#include "base/error.h"

#define QUERY_FIELDS_MAX 1000

/* A name and its text: from a query string or a multipart part without a file. */
struct http_field {
    const char *name;
    const char *value; /* valid UTF-8, no NUL */
};

/*
 * Split and decode "a=1&b=x%20y+z", in order, repeats included; "a" alone is "a=".
 * Ownership: *ret_fields belongs to `a` and has *ret_count entries.
 * Errors: ERR_INVALID_REQUEST for bad percent-encoding, bytes that are not UTF-8, a NUL, over
 * QUERY_FIELDS_MAX.
 */
int query_parse(struct arena *a, const char *query, struct http_field **ret_fields, int *ret_count,
                struct error *reterr);

#endif
