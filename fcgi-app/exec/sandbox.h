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

#if defined(__SANITIZE_ADDRESS__)
#define SANDBOX_LIMITS_SPACE 0 /* the sanitizer's shadow memory alone takes terabytes */
#else
#define SANDBOX_LIMITS_SPACE 1
#endif

/*
 * Address space for a run: libraries, fonts and models are mapped, not resident. A second line
 * behind the parent's samples of memory, which come every 100 ms.
 */
#define SANDBOX_SPACE_BYTES(memory, input, output) \
    (((size_t)4 << 30) + 2 * (memory) + (input) + (output))

/* Each output's memfd grows by doubling, and its record comes on top. */
#define SANDBOX_FILE_BYTES(output) (2 * (output) + 65536)

const char *sandbox_mode_name(enum sandbox_mode mode);
int sandbox_mode_parse(const char *name); /* -1 when there is none of that name */

struct sandbox {
    enum sandbox_mode mode;
    enum task_class class;
    const char *modules_dir;
    size_t space_bytes; /* of addresses: what the soft limit may be raised to for a run; 0: any */
    size_t file_bytes;  /* of a file, which is a memfd here: the same */
    int shared_fd;      /* a power of two, above all other descriptors: the socket that it shares
                           with its successors, which it may not spoil for them */
};

/*
 * Can this kernel do it? Asked by masters and runners before they start anything.
 * Errors: ERR_INTERNAL; the detail is one line that says what is missing and what to do.
 */
int sandbox_check(enum sandbox_mode mode, struct error *reterr);

/*
 * Enter it, for good; the calling process is an executor with a single thread. With SANDBOX_OFF
 * there are no_new_privs and the resource limits alone. Errors: as above.
 */
int sandbox_enter(const struct sandbox *s, struct error *reterr);

#endif
