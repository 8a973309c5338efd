/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prefer.h - the Prefer header field (RFC 7240): respond-async and wait
 */
#ifndef HTTP_PREFER_H
#define HTTP_PREFER_H

#include <stdbool.h>

struct prefer {
    bool respond_async;
    int wait_seconds; /* -1: not given */
};

/* NULL gives no preferences. What is not known or not well-formed is ignored, as the RFC asks; of a
 * preference that is repeated the first counts. */
struct prefer prefer_parse(const char *field);

#endif
