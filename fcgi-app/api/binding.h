/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding.h - a request's body and query become a task's parameters and inputs
 *
 * Three kinds of body: JSON (inputs as {"base64": …}), multipart/form-data, and the bytes of the
 * task's one input. Parameters in the query string are taken with each of them.
 */
#ifndef API_BINDING_H
#define API_BINDING_H

#include "base/config.h"
#include "base/field_errors.h"
#include "exec/catalog.h"
#include "exec/order.h"
#include "http/request.h"

struct binding {
    cJSON *params;              /* validated, defaults filled in */
    bool has_format;            /* the client gave a `format` */
    struct payload *body;       /* bytes of all inputs */
    struct order_input *inputs; /* by their ranges in there */
    int input_count;
};

/*
 * Read and check all of it.
 * Ownership: *ret_binding belongs to the request's arena.
 * Errors: ERR_INVALID_PARAMS with every mistake in `errors`; ERR_INVALID_REQUEST, ERR_TOO_LARGE,
 * ERR_UNSUPPORTED_MEDIA_TYPE, ERR_INVALID_INPUT for an empty input.
 */
int binding_read(struct http_request *req, const struct config *cfg, const struct task_desc *task,
                 struct binding *ret_binding, struct field_errors *errors, struct error *reterr);

#endif
