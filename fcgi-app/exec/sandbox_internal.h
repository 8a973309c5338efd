/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox_internal.h - the parts of the sandbox; for sandbox*.c alone
 */
#ifndef EXEC_SANDBOX_INTERNAL_H
#define EXEC_SANDBOX_INTERNAL_H

#include "exec/sandbox.h"

/* The kernel's version of Landlock; 0 when it has none, with errno set. */
int sandbox_files_version(void);

/* Landlock: what may be read; nothing may be written; no TCP, or no listening. */
int sandbox_restrict_files(const struct sandbox *s, struct error *reterr);

/* seccomp: which system calls there are. */
int sandbox_restrict_calls(const struct sandbox *s, struct error *reterr);

#endif
