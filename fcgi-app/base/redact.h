/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * redact.h - keys that clients put where they do not belong
 *
 * A path, a parameter's name, a header field may have one. What is logged or answered goes through
 * this, so that no place that composes a text has to think of it.
 */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stddef.h>

/* Overwrite the secret of everything that has the form of an API key (auth/key.h), cut off or not,
 * with asterisks. Its public id stays. */
void redact_keys(char *text, size_t size);

#endif
