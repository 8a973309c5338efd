/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept.h - content negotiation (RFC 9110 section 12.5.1)
 */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "base/arena.h"
#include "base/error.h"

struct accept; /* a parsed Accept field */

/*
 * `field` NULL or empty: everything is acceptable.
 * More lenient than the RFC for what Java's HttpURLConnection sends by itself: a bare asterisk is
 * the range of all media types, and q=.2 is 0.2.
 * Errors: ERR_INVALID_REQUEST for a field that is not well-formed (another media range without '/',
 * q outside 0…1 or with over three decimals), or over 100 ranges.
 */
int accept_parse(struct arena *a, const char *field, struct accept **ret_accept,
                 struct error *reterr);

/*
 * Quality of `media_type` ("image/webp"), 0 to 1000, by the most specific range that matches; 0:
 * not acceptable. Parameters of a range other than q are ignored ("application/json;charset=utf-8"
 * is application/json).
 */
int accept_quality(const struct accept *accept, const char *media_type);

#endif
