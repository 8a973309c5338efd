/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what the hub says to nginx: CGI header fields, and a body where there is one
 */
#ifndef HUB_ANSWER_H
#define HUB_ANSWER_H

#include "base/error.h"
#include "base/strbuf.h"

/* Each appends one whole answer. `request_id` may be "". */

/* nginx goes on to `then`. */
void answer_redirect(struct strbuf *out, const char *then);

/* RFC 9457; overloaded and unavailable with Retry-After. */
void answer_problem(struct strbuf *out, const struct error *error, const char *request_id);

/* 204: to a browser that has the last event already, so that it stays away. */
void answer_nothing(struct strbuf *out, const char *request_id);

/* The beginning of an event stream. */
void answer_stream(struct strbuf *out, const char *request_id);

#endif
