/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disposition.h - file names in the Content-Disposition header field (RFC 6266)
 */
#ifndef HTTP_DISPOSITION_H
#define HTTP_DISPOSITION_H

#include "base/arena.h"
#include "base/error.h"

#define DISPOSITION_NAME_MAX 255 /* bytes */

/*
 * The file name that a request's field gives, of whatever disposition: filename* before filename,
 * without folders; "" when there is none, or no field. Ownership: `a`.
 * Errors: ERR_INVALID_REQUEST not well-formed, not UTF-8, control characters, given twice, too
 * long.
 */
int disposition_read(struct arena *a, const char *field, const char **ret_file_name,
                     struct error *reterr);

/*
 * `type; filename="…"`, and filename* as well where the name (UTF-8) has characters that the first
 * form cannot carry: those are underscores in it. Ownership: `a`.
 */
const char *disposition_format(struct arena *a, const char *type, const char *file_name);

#endif
