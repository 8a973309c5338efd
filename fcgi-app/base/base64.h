/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base64.h - RFC 4648 section 4, strictly
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

#include "base/strbuf.h"

/* Bytes that `size` characters decode to at most. */
size_t base64_decoded_max(size_t size);

/*
 * Decode into `out`, which has room for base64_decoded_max(size).
 * Returns the number of bytes, or -1: another character than the alphabet's (white space
 * too), wrong padding, or set bits behind the end.
 */
ptrdiff_t base64_decode(const char *text, size_t size, unsigned char *out);

void base64_encode(struct strbuf *out, const unsigned char *bytes, size_t size);

#endif
