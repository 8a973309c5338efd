/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.h - give root up
 */
#ifndef BASE_USER_H
#define BASE_USER_H

#include "base/error.h"

/*
 * Become `user` with its groups, for good. Nothing to do unless the process is root.
 * Errors: ERR_INTERNAL; the detail says what to change.
 */
int user_drop_root(const char *user, struct error *reterr);

/* Give a file that root made to `user`. Nothing to do unless the process is root. */
int user_give_file(const char *user, const char *path, struct error *reterr);
int user_give_descriptor(const char *user, int fd, struct error *reterr);

#endif
