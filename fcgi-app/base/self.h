/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.h - the pid of this process, without a system call for each use
 *
 * The C library asks the kernel each time, and a request needs it for its log lines and for what it
 * owns in shared memory.
 */
#ifndef BASE_SELF_H
#define BASE_SELF_H

#include <sys/types.h>

pid_t self_pid(void);

/* In a child of a clone(2) by hand; after fork() it is known by itself. */
void self_forget(void);

#endif
