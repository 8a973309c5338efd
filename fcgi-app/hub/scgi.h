/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scgi.h - a request in SCGI: one netstring of names and values, each ending with a NUL
 *
 *     70:CONTENT_LENGTH\0 0\0 SCGI\0 1\0 DOCUMENT_URI\0 /internal/wait\0 … ,
 *
 * https://python.ca/scgi/protocol.txt. Only the header is read: the hub's requests have no body,
 * and nginx announces the one of the request that it redirects even where it does not pass it on.
 */
#ifndef HUB_SCGI_H
#define HUB_SCGI_H

#include <stddef.h>

#include "base/error.h"

#define SCGI_HEADER_MAX 65536
#define SCGI_REQUEST_MAX (SCGI_HEADER_MAX + 7) /* with its length, the colon and the comma */

/* What the hub reads of it; "" for what is not there. The texts lie in the parsed bytes. */
struct scgi_request {
    const char *uri;    /* DOCUMENT_URI: after nginx's redirects */
    const char *query;  /* QUERY_STRING */
    const char *method; /* REQUEST_METHOD */
    const char *last_event_id;
    const char *request_id;
};

enum scgi_result { SCGI_MORE, SCGI_COMPLETE, SCGI_BAD };

/*
 * Parse the `size` bytes that have arrived so far. SCGI_MORE: call again with more behind them;
 * that costs nothing until all are there, so they may come one by one. What stands behind the
 * netstring is ignored. Errors (SCGI_BAD): ERR_INVALID_REQUEST; ERR_HEADERS_TOO_LARGE over
 * SCGI_HEADER_MAX.
 */
enum scgi_result scgi_parse(const char *bytes, size_t size, struct scgi_request *ret_request,
                            struct error *reterr);

#endif
