/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.c - see payload.h
 */
#include "base/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A page that is written by a system call takes half the time of one that a mapping faults in. */
#define WRITE_MIN 4096

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void payload_release(struct payload *p)
{
    if (!p)
        return;
    if (p->fd < 0) {
        free(p->bytes);
    } else {
        if (p->bytes)
            (void)munmap(p->bytes, p->capacity);
        (void)close(p->fd);
    }
    *p = (struct payload)PAYLOAD_INIT;
}

static void release_object(void *object)
{
    payload_release(object);
}

struct payload *payload_new(struct arena *a)
{
    struct payload *p = arena_alloc(a, sizeof(*p));
    *p = (struct payload)PAYLOAD_INIT;
    return arena_own(a, p, release_object);
}

static int grow_heap(struct payload *p, size_t capacity, struct error *reterr)
{
    unsigned char *bytes = realloc(p->bytes, capacity);
    if (!bytes)
        return error_errno(reterr, "payload: realloc");
    p->bytes = bytes;
    p->capacity = capacity;
    return 0;
}

/* Mapped anew instead of mremap(2), which an executor is denied. */
static int grow_memfd(struct payload *p, size_t capacity, struct error *reterr)
{
    if (ftruncate(p->fd, (off_t)capacity) != 0)
        return error_errno(reterr, "payload: ftruncate");
    void *map = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    if (map == MAP_FAILED)
        return error_errno(reterr, "payload: mmap");
    if (p->bytes)
        (void)munmap(p->bytes, p->capacity);
    p->bytes = map;
    p->capacity = capacity;
    return 0;
}

static int move_to_memfd(struct payload *p, size_t capacity, struct error *reterr)
{
    struct payload moved = PAYLOAD_INIT;
    moved.fd = memfd_create("gangsaw", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (moved.fd < 0)
        return error_errno(reterr, "payload: memfd_create");
    if (grow_memfd(&moved, capacity, reterr) != 0) {
        payload_release(&moved);
        return -1;
    }
    if (payload_append(&moved, p->bytes, p->size, reterr) != 0) {
        payload_release(&moved);
        return -1;
    }
    payload_release(p);
    *p = moved;
    return 0;
}

int payload_reserve(struct payload *p, size_t more, struct error *reterr)
{
    if (more > (size_t)INT64_MAX / 4 - p->size)
        return error_set(reterr, ERR_TOO_LARGE, "The bytes are more than this server can hold.");
    size_t needed = p->size + more;
    if (needed <= p->capacity)
        return 0;
    /* Whoever knows the size asks once and gets just that; who appends gets doubling. */
    size_t capacity = p->size > 0 && needed < 2 * p->capacity ? 2 * p->capacity : needed;
    if (p->fd >= 0)
        return grow_memfd(p, capacity, reterr);
    if (needed > PAYLOAD_INLINE_MAX)
        return move_to_memfd(p, capacity, reterr);
    return grow_heap(p, capacity < PAYLOAD_INLINE_MAX ? capacity : PAYLOAD_INLINE_MAX, reterr);
}

static int write_memfd(struct payload *p, const unsigned char *bytes, size_t size,
                       struct error *reterr)
{
    off_t at = (off_t)p->size;
    while (size > 0) {
        ssize_t n = pwrite(p->fd, bytes, size, at);
        if (n <= 0)
            return error_errno(reterr, "payload: pwrite");
        bytes += n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int payload_append(struct payload *p, const void *bytes, size_t size, struct error *reterr)
{
    if (size > p->capacity - p->size && payload_reserve(p, size, reterr) != 0)
        return -1;
    if (p->fd >= 0 && size >= WRITE_MIN) {
        if (write_memfd(p, bytes, size, reterr) != 0)
            return -1;
    } else if (size > 0) {
        memcpy(p->bytes + p->size, bytes, size);
    }
    p->size += size;
    return 0;
}

int payload_seal(struct payload *p, struct error *reterr)
{
    if (p->fd < 0 || p->is_sealed)
        return 0;
    /* A writable mapping would make F_SEAL_WRITE fail. */
    (void)munmap(p->bytes, p->capacity);
    p->bytes = NULL;
    p->capacity = p->size;
    if (ftruncate(p->fd, (off_t)p->size) != 0 || fcntl(p->fd, F_ADD_SEALS, ALL_SEALS) != 0)
        return error_errno(reterr, "payload: seal");
    p->is_sealed = true;
    if (p->size == 0)
        return 0;
    void *map = mmap(NULL, p->size, PROT_READ, MAP_PRIVATE, p->fd, 0);
    if (map == MAP_FAILED)
        return error_errno(reterr, "payload: mmap");
    p->bytes = map;
    return 0;
}

static int check_received(int fd, size_t size, struct error *reterr)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
        return error_internal(reterr, "a memfd arrived without all of its seals");
    if (fstat(fd, &st) != 0 || st.st_size < 0 || (size_t)st.st_size != size)
        return error_internal(reterr, "a memfd arrived with another size than was said");
    return 0;
}

int payload_open_received(struct payload *p, int fd, size_t size, struct error *reterr)
{
    *p = (struct payload){.fd = fd, .is_sealed = true};
    if (check_received(fd, size, reterr) != 0)
        goto fail;
    if (size > 0) {
        void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            (void)error_errno(reterr, "payload: mmap");
            goto fail;
        }
        p->bytes = map;
    }
    p->size = p->capacity = size;
    return 0;

fail:
    payload_release(p);
    return -1;
}
