/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.h - bytes on their way to another process
 *
 * Small ones stay on the heap, to travel inside a message; beyond PAYLOAD_INLINE_MAX they
 * live in a memfd, written once and passed by descriptor. Sealed, a memfd can
 * neither change nor shrink, so whoever maps it is safe from its writer:
 * payload_open_received() insists on all four seals.
 */
#ifndef BASE_PAYLOAD_H
#define BASE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

#define PAYLOAD_INLINE_MAX 65536

struct payload {
    unsigned char *bytes; /* heap, or the mapping; NULL when empty */
    size_t size;
    size_t capacity;
    int fd; /* -1: on the heap */
    bool is_sealed;
};

#define PAYLOAD_INIT          \
    {                         \
        NULL, 0, 0, -1, false \
    }

void payload_release(struct payload *p); /* NULL is fine; leaves PAYLOAD_INIT */

/* A new empty payload that `a` releases. */
struct payload *payload_new(struct arena *a);

/*
 * Make room for `more` bytes after the `size` there are. Write them at
 * bytes + size, then add to size. Moves from heap to memfd when the total passes
 * PAYLOAD_INLINE_MAX; `bytes` may move. Errors: ERR_INTERNAL.
 */
int payload_reserve(struct payload *p, size_t more, struct error *reterr);
int payload_append(struct payload *p, const void *bytes, size_t size, struct error *reterr);

/*
 * Cut a memfd to its size and seal it (SHRINK, GROW, WRITE, SEAL); `bytes` is
 * then a read-only mapping. Nothing to do on the heap, or the second time. Errors: ERR_INTERNAL.
 */
int payload_seal(struct payload *p, struct error *reterr);

/*
 * Map a memfd that another process sent. Takes over `fd`, on failure too.
 * Errors: ERR_INTERNAL when a seal is missing, or its size is not `size`.
 */
int payload_open_received(struct payload *p, int fd, size_t size, struct error *reterr);

#endif
