/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.h - one HTTP request as the handlers see it
 *
 * Everything belongs to the request's arena. Header fields come as CGI variables; a
 * body is read once, on demand, by the handler that wants it, up to its own limit.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/payload.h"
#include "http/stream.h"
#include "http/trace_context.h"

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_PATCH = 1 << 4,
    HTTP_DELETE = 1 << 5,
    HTTP_OPTIONS = 1 << 6,
    HTTP_OTHER = 1 << 7,
};

/* Of a body whose Content-Type is not known, or that says so. */
#define MEDIA_TYPE_UNKNOWN "application/octet-stream"

struct http_limits {
    int max_params;          /* number of CGI variables */
    size_t max_params_bytes; /* their total size */
};

/* A CGI variable; its name is not terminated. */
struct http_param {
    const char *name, *value;
    size_t name_size;
};

struct http_request {
    struct arena *arena;
    struct http_stream *stream;
    const struct http_param *params; /* as they came */
    size_t param_count;
    const struct http_param *fields; /* those that are header fields, their names without HTTP_ */
    size_t field_count;
    enum http_method method;
    const char *method_name;  /* as sent, at most 32 bytes; for the log */
    const char *path;         /* decoded, begins with '/' */
    const char *query;        /* as sent, without '?'; "" when there is none */
    const char *media_type;   /* of the body: lower case, no parameters; "" when absent */
    const char *content_type; /* the whole field; "" when absent */
    int64_t content_length;   /* 0 when there is no body */
    /* REQUEST_ID (nginx's $request_id) when it is [A-Za-z0-9_-]{1,64}, else 32 fresh hex digits. */
    char request_id[65];
    char traceparent[TRACEPARENT_SIZE]; /* as the client sent it, if it is valid; else "" */
    int64_t arrived_us; /* monotonic; by REQUEST_STARTED (nginx's $msec) when sane, else now */
    int64_t body_read;  /* bytes of the body read so far */
};

/*
 * Read and check the request line and headers. On failure *ret_request is set all the same,
 * so that the problem can be answered.
 * Path: PATH_INFO where it is set (plain CGI, wherever the script is mounted), else DOCUMENT_URI,
 * which nginx has decoded and normalised, else SCRIPT_NAME. No control characters, valid UTF-8.
 * Errors: ERR_INVALID_REQUEST (bad method, Content-Length, Content-Type, path or query),
 * ERR_HEADERS_TOO_LARGE.
 */
int http_request_read(struct http_stream *stream, const struct http_limits *limits, struct arena *a,
                      struct http_request **ret_request, struct error *reterr);

/* A CGI variable, "SERVER_ADDR"; "" when it is not set. */
const char *http_variable(const struct http_request *req, const char *name);

/* A header field by its HTTP name, "Accept-Encoding"; several lines of it joined by ", "; NULL when
 * absent. */
const char *http_header(const struct http_request *req, const char *name);

/*
 * Read the whole body, appending it to `body`.
 * Errors: ERR_TOO_LARGE when Content-Length is over max_bytes (nothing is read; the detail names
 * `limit_name` and its value), ERR_INVALID_REQUEST when fewer bytes came than Content-Length said.
 */
int http_body_read(struct http_request *req, size_t max_bytes, const char *limit_name,
                   struct payload *body, struct error *reterr);

/* The check of Content-Length alone, for a body that is read in pieces. Errors: ERR_TOO_LARGE. */
int http_body_check(const struct http_request *req, size_t max_bytes, const char *limit_name,
                    struct error *reterr);

/* Bodies are taken as they are. Errors: ERR_UNSUPPORTED_MEDIA_TYPE for a Content-Encoding other
 * than identity. */
int http_body_check_encoding(const struct http_request *req, struct error *reterr);

/*
 * The next piece of the body: *ret_size bytes in `buf`, fewer than `size` only at the body's end, 0
 * when all of it was read. Errors: ERR_INVALID_REQUEST as http_body_read().
 */
int http_body_piece(struct http_request *req, void *buf, size_t size, size_t *ret_size,
                    struct error *reterr);

/* Read and drop what is left of the body, so that nginx gets its answer instead of a reset. */
void http_body_discard(struct http_request *req);

/* `wanted` parameter of a header field like Content-Type ("boundary"); unquoted, owned by `a`; NULL
 * when absent. */
char *http_field_param(struct arena *a, const char *field, const char *wanted);

#endif
