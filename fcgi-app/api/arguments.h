/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arguments.h - the query of resources that know what may stand in it
 */
#ifndef API_ARGUMENTS_H
#define API_ARGUMENTS_H

#include "base/field_errors.h"
#include "http/request.h"

/*
 * The values of `names`, which ends with NULL, in the same order; NULL where one is not given.
 * Errors: ERR_INVALID_PARAMS with every unknown or repeated one in `errors`; ERR_INVALID_REQUEST
 * when the query is not well-formed.
 */
int arguments_read(const struct http_request *req, const char *const *names,
                   const char **ret_values, struct field_errors *errors, struct error *reterr);

/* For paths that take no query. */
extern const char *const arguments_none[];

/*
 * A whole number from `min` to `max`; `text` NULL gives `fallback`. What it is not is added to
 * `errors` at `pointer`.
 */
int argument_number(const char *text, int min, int max, int fallback, const char *pointer,
                    struct field_errors *errors);

#endif
