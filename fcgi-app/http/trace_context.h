/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace_context.h - the header field traceparent
 *
 * W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header
 */
#ifndef HTTP_TRACE_CONTEXT_H
#define HTTP_TRACE_CONTEXT_H

#include <stdbool.h>

#define TRACEPARENT_SIZE 56 /* 55 characters of version 00, and NUL */

/*
 * Take a field's value over: true when it is valid, then `ret` is "00-<trace id>-<parent
 * id>-<flags>" in lower case. Version ff, ids of zeros, upper case, a version 00 of another length
 * are not. A later version is taken as version 00, by its first four members.
 */
bool traceparent_parse(const char *text, char ret[TRACEPARENT_SIZE]);

#endif
