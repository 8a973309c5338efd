/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared_file.h - a file in server.run_dir that processes map together
 *
 * Whoever comes first makes it, for server.user alone, and with its blocks: no later write can find
 * the file system full. One that has another form (an older build's) or owner, or that was left
 * unfinished by a killed process, is replaced by a new one, and so is one that nobody maps, unless
 * it is to last; who has mapped the old one keeps that. What is in it is to be read as what other
 * processes wrote: atomically, and nothing in it taken for a size or an index unchecked.
 */
#ifndef BASE_SHARED_FILE_H
#define BASE_SHARED_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"

#define SHARED_FILE_FORM_SIZE 64 /* of the text that names the form, with its NUL */

struct shared_file {
    const char *name;
    const char *form; /* names what is in it and changes with it */
    size_t size;
    bool is_lasting; /* what it holds is of use to who comes when all others have gone */
};

/*
 * Map the file; zeroed when it is new, aligned to SHARED_FILE_FORM_SIZE. *ret_fd (NULL: not wanted)
 * is the caller's, for locks on bytes behind the form. Errors: ERR_INTERNAL, the detail names the
 * path.
 */
int shared_file_open(const struct config *cfg, const struct shared_file *file, void **ret_memory,
                     int *ret_fd, struct error *reterr);
void shared_file_close(void *memory, size_t size); /* NULL is fine */

#endif
