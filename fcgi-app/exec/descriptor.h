/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * descriptor.h - one task's descriptor, read and checked
 *
 * Strictly: a member that is not known, of the wrong type or out of range is an error, because
 * everything else here relies on the descriptor alone. For catalog.c.
 */
#ifndef EXEC_DESCRIPTOR_H
#define EXEC_DESCRIPTOR_H

#include "exec/catalog.h"

/* The configuration's limits of tasks, and how many descriptors' limits each of them has met. */
struct limit_overrides {
    const struct config_task_limit *limits;
    int count;
    int *met; /* `count` of them, counted up by descriptor_read() */
};

/*
 * Read `file` ("image.transform.json") in `directory`.
 * Ownership: all in *ret_desc belongs to `a`.
 * Errors: ERR_INTERNAL, detail "image.transform.json#/inputs/0/name: what".
 */
int descriptor_read(struct arena *a, const char *directory, const char *file,
                    struct limit_overrides *overrides, struct task_desc *ret_desc,
                    struct error *reterr);

#endif
