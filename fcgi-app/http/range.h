/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * range.h - parts of a representation, and whether the client has it already (RFC 9110, 13 and 14)
 */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include <stdint.h>

#include "http/request.h"
#include "http/response.h"

enum range_answer {
    RANGE_WHOLE,        /* 200 */
    RANGE_PART,         /* 206: *ret_offset and *ret_size */
    RANGE_NOT_MODIFIED, /* 304 */
    RANGE_UNSATISFIABLE /* 416 */
};

/*
 * What to answer to a GET of `size` bytes with strong `etag` ("\"…\""): If-None-Match, Range
 * with If-Range (one range of unit bytes; several, or a malformed field: the whole). Only GET
 * has ranges; HEAD answers as if there were none. If-Match is ignored, as dates are: bytes that
 * are only read need no protection from lost updates, and If-Range guards parts. The two results
 * are set whatever the answer: all of it where it is no part.
 */
enum range_answer range_evaluate(const struct http_request *req, const char *etag, int64_t size,
                                 int64_t *ret_offset, int64_t *ret_size);

#endif
