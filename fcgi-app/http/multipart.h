/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multipart.h - multipart/form-data (RFC 7578), parsed in place
 */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "base/arena.h"
#include "base/error.h"

#define MULTIPART_PARTS_MAX 1000
#define MULTIPART_HEADER_MAX 8192 /* bytes of one part's header block */

struct multipart_part {
    const char *name;
    const char *file_name;  /* last path segment of filename (or filename*, RFC 5987 UTF-8); NULL
                               when absent */
    const char *media_type; /* lower case, no parameters; "" when absent */
    size_t offset, size;    /* of the content within the body */
};

/*
 * Find the parts of `bytes`. Nothing is copied but the texts.
 * Ownership: *ret_parts belongs to `a` and has *ret_count entries.
 * Errors: ERR_INVALID_REQUEST, the detail says what and in which part (counted from 1): no
 * boundary, no closing boundary, a part without name, a Content-Transfer-Encoding other than
 * binary/8bit/7bit, headers over MULTIPART_HEADER_MAX, too many parts, names not UTF-8.
 */
int multipart_parse(struct arena *a, const unsigned char *bytes, size_t size, const char *boundary,
                    struct multipart_part **ret_parts, int *ret_count, struct error *reterr);

#endif
