/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox.h - what an executor gives up before it loads a module
 *
 * no_new_privs, all capabilities, resource limits, Landlock (files and network), seccomp (system
 * calls). Everything is by class: `cpu` has no sockets, `net` has internet sockets. What is not on
 * the allow-list answers ENOSYS, as an older kernel would, and libraries know what to do then.
 */
#ifndef EXEC_SANDBOX_H
#define EXEC_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "exec/catalog.h"

enum sandbox_mode {
    SANDBOX_OFF,
    SANDBOX_ON,
    SANDBOX_STRICT, /* a call outside of the allow-list kills the executor: to find what is missing
                     */
};

const char *sandbox_mode_name(enum sandbox_mode mode);
int sandbox_mode_parse(const char *name); /* -1 when there is none of that name */

struct sandbox {
    enum sandbox_mode mode;
    enum task_class class;
    const char *modules_dir;
    size_t memory_bytes; /* the largest memory limit of its tasks; address space is a multiple */
};

/*
 * Can this kernel do it? Asked by masters and runners before they start anything.
 * Errors: ERR_INTERNAL; the detail is one line that says what is missing and what to do.
 */
int sandbox_check(enum sandbox_mode mode, struct error *reterr);

/* Enter it, for good; the calling process is an executor with a single thread. Errors: as above. */
int sandbox_enter(const struct sandbox *s, struct error *reterr);

#endif
