/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * response.h - the answer, built first and sent once
 *
 * The main loop sends what the handler built, and adds X-Request-Id. HEAD sends the headers of GET,
 * Content-Length included. A header value with a control character in it is dropped, not sent.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "base/field_errors.h"
#include "base/json.h"
#include "http/request.h"

struct http_header_field {
    const char *name, *value;
    struct http_header_field *next;
};

struct http_response {
    struct arena *arena;
    int status; /* 0 until something was built */
    struct http_header_field *first, *last;
    const void *body; /* not copied: lives as long as the request */
    size_t body_size;
    enum err_code problem; /* ERR_NONE for a success; for the log */
};

void http_response_init(struct http_response *res, struct arena *a);

/* Add a header field; both texts are copied. */
void http_response_header(struct http_response *res, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Status, Content-Type and body. `body` is not copied. */
void http_response_body(struct http_response *res, int status, const char *media_type,
                        const void *body, size_t size);

/* The same with a JSON tree; no body when `value` is NULL. */
void http_response_json(struct http_response *res, int status, const cJSON *value);

/*
 * RFC 9457: application/problem+json {type, title, status, detail, request_id, errors?} for `err`,
 * whatever was built before being dropped. `errors` may be NULL. Header fields that were added
 * before (Allow, Retry-After, Server-Timing) stay, but for those about a body (Content-*, ETag,
 * Cache-Control, Gangsaw-Result, ...).
 */
void http_response_problem(struct http_response *res, const struct http_request *req,
                           const struct error *err, const struct field_errors *errors);

/* Send it. -1 when the peer is gone. */
int http_response_send(const struct http_response *res, struct http_request *req);

#endif
