/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route.h - one table from method and path to handler
 *
 * Patterns are literal segments and {name}s, which match one non-empty segment each.
 * HEAD is served wherever GET is. OPTIONS answers 204 with Allow, another method 405 with Allow.
 * Before any of that, a guard may refuse the request.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http/request.h"
#include "http/response.h"

#define ROUTE_PARAMS_MAX 4

struct route_match {
    const struct route *route;
    const char *params[ROUTE_PARAMS_MAX]; /* in the pattern's order */
};

struct route {
    const char *pattern; /* "/v1/tasks/{task}" */
    unsigned methods;    /* one or more of enum http_method */
    /* Build the answer in `res`. -1: *reterr is answered as a problem, with `errors`. */
    int (*handler)(void *context, struct http_request *req, const struct route_match *match,
                   struct http_response *res, struct field_errors *errors, struct error *reterr);
    unsigned access; /* for the guard, which knows what it means */
};

/* May this request have this route? NULL: there is none. -1: *reterr is answered as a problem. */
typedef int route_guard(void *context, const struct http_request *req, const struct route *route,
                        struct http_response *res, struct error *reterr);

/*
 * Find the route and build the answer, problems included: afterwards res->status is set.
 * `routes` ends with a row whose pattern is NULL; `guard` NULL lets everybody in. The error behind
 * a problem, with its cause for the log, is left in *ret_error. *ret_match has a NULL route where
 * none was found.
 */
void route_dispatch(const struct route *routes, route_guard *guard, void *context,
                    struct http_request *req, struct http_response *res,
                    struct route_match *ret_match, struct error *ret_error);

#endif
