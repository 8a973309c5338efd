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

/*
 * A body that is never in memory as a whole. `next` gives the next piece, valid until the next
 * call; it is called until body_size bytes were sent. -1: the answer is cut off, and the connection
 * with it, so that the client sees that it is not complete. What can fail early should do so before
 * the answer is built: then it is a problem.
 */
struct http_body_source {
    int (*next)(void *context, const void **ret_bytes, size_t *ret_size, struct error *reterr);
    void *context;
};

struct http_response {
    struct arena *arena;
    int status; /* 0 until something was built */
    struct http_header_field *first, *last;
    const void *body; /* not copied: lives as long as the request */
    int64_t body_size;
    int body_fd;                           /* a file that begins with `body`; -1: none */
    const struct http_body_source *source; /* instead of `body`: pieces, as they are sent */
    enum err_code problem;                 /* ERR_NONE for a success; for the log */
    struct error failure;                  /* of `source`, once it was sent; for the log */
};

void http_response_init(struct http_response *res, struct arena *a);

/* Add a header field, its value copied or printed; the name is a literal. */
void http_response_field(struct http_response *res, const char *name, const char *value);
void http_response_header(struct http_response *res, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Status, Content-Type and body. `body` is not copied. */
void http_response_body(struct http_response *res, int status, const char *media_type,
                        const void *body, size_t size);

/*
 * The body that was just built also stands at the beginning of a file, which lives as long and
 * which nobody can change: its pages are sent as they are. -1: it does not.
 */
void http_response_body_file(struct http_response *res, int fd);

/* The same, read piece by piece from `source`, which lives as long as the request. */
void http_response_stream(struct http_response *res, int status, const char *media_type,
                          int64_t size, const struct http_body_source *source);

/* The same with a JSON tree; no body when `value` is NULL. */
void http_response_json(struct http_response *res, int status, const cJSON *value);

/*
 * RFC 9457: application/problem+json {type, title, status, detail, request_id, errors?} for `err`,
 * whatever was built before being dropped. `errors` may be NULL. Header fields that were added
 * before (Allow, Retry-After, Server-Timing) stay, but for those about a body (Content-*, ETag,
 * Cache-Control, Gangsaw-Result, ...); ERR_RANGE_NOT_SATISFIABLE keeps its Content-Range.
 */
void http_response_problem(struct http_response *res, const struct http_request *req,
                           const struct error *err, const struct field_errors *errors);

/*
 * Send it. What every answer needs against the pages of other sites in a browser is added: it may
 * neither be taken for another type nor be embedded by them, and without a Cache-Control of its own
 * it is not kept. -1 when the peer is gone, or when the source failed: then res->failure is set.
 */
int http_response_send(struct http_response *res, struct http_request *req);

#endif
