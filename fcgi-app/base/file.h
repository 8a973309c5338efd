/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.h - a small file as a whole: descriptors, configuration; the lock of one that is shared
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

/*
 * Read a regular file of at most `max_bytes`.
 * Ownership: *ret_text belongs to `a`; a NUL stands after its *ret_size bytes.
 * Errors: ERR_NOT_FOUND when there is no such file; ERR_INTERNAL otherwise. The detail names
 * path and reason.
 */
int file_read(struct arena *a, const char *path, size_t max_bytes, char **ret_text,
              size_t *ret_size, struct error *reterr);

/* Wait for the exclusive flock(2) of `fd`, through signals. -1: errno says why. */
int file_lock(int fd);

#endif
