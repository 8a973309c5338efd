/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared_file.h - a file in server.run_dir that processes map together
 *
 * Whoever comes first makes it, for server.user alone, and with its blocks: no later write can find
 * the file system full. It lasts as long as any process maps it: one that nobody does, and one that
 * has another form (an older build's) or owner, or that was left unfinished by a killed process, is
 * replaced by a new one; who has mapped
 * the old one keeps that. What is in it is to be read as what other processes wrote: atomically,
 * and nothing in it taken for a size or an index unchecked.
 */
#ifndef BASE_SHARED_FILE_H
#define BASE_SHARED_FILE_H

#include <stddef.h>

#include "base/config.h"
#include "base/error.h"

#define SHARED_FILE_FORM_SIZE 64 /* of the text that names the form, with its NUL */

/*
 * Map `size` bytes of file `name`; zeroed when it is new, aligned to SHARED_FILE_FORM_SIZE. `form`
 * names what is in it and changes with it. Errors: ERR_INTERNAL, the detail names the path.
 */
int shared_file_open(const struct config *cfg, const char *name, const char *form, size_t size,
                     void **ret_memory, struct error *reterr);
void shared_file_close(void *memory, size_t size); /* NULL is fine */

#endif
