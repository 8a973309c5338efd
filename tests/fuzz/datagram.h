/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * datagram.h - messages of exec/wire.h as a peer can send them that keeps to nothing
 *
 * Each begins with a byte of flags; what they leave alone is as it should be:
 *
 *   flags, kind (1 byte), size (2), run (1)?, body size (2)?, payload size (2)?, the payload
 */
#ifndef TESTS_FUZZ_DATAGRAM_H
#define TESTS_FUZZ_DATAGRAM_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "exec/wire.h"
#include "fuzz.h"

enum {
    DATAGRAM_MEMFD = 1 << 0,       /* the payload comes in a memfd */
    DATAGRAM_SEALS = 1 << 1,       /* not all of the seals */
    DATAGRAM_OTHER_FILE = 1 << 2,  /* a pipe instead, or one descriptor more */
    DATAGRAM_OTHER_RUN = 1 << 3,   /* another run's */
    DATAGRAM_BODY_SIZE = 1 << 4,   /* its body size is said, not the payload's */
    DATAGRAM_WRONG_SIZE = 1 << 5,  /* another size than the payload has */
    DATAGRAM_WRONG_MAGIC = 1 << 6, /* not ours, or cut short */
    DATAGRAM_FLAG = 1 << 7,        /* in_memfd says the opposite */
};

/* As wire.c has it. */
struct datagram_header {
    uint32_t magic, kind;
    uint64_t run, body_size, size;
    uint32_t in_memfd, reserved;
};

static inline int datagram_memfd(const uint8_t *bytes, size_t size, int seals)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    FUZZ_CHECK(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

/* Descriptors to send, at most two; returns how many. */
static inline int datagram_files(unsigned flags, const uint8_t *bytes, size_t size, int fds[2])
{
    int count = 0;
    int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    if (flags & DATAGRAM_SEALS)
        seals &= size > 0 ? bytes[0] : 0;
    if (flags & DATAGRAM_MEMFD)
        fds[count++] = datagram_memfd(bytes, size, seals);
    if (flags & DATAGRAM_OTHER_FILE) {
        fds[count] = open("/dev/null", O_RDWR | O_CLOEXEC);
        FUZZ_CHECK(fds[count++] >= 0);
    }
    return count;
}

static inline void datagram_send_bytes(int fd, const struct datagram_header *header,
                                       size_t header_size, const uint8_t *bytes, size_t size,
                                       const int *fds, int count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec iov[] = {{(void *)(uintptr_t)header, header_size},
                          {(void *)(uintptr_t)bytes, size}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (count > 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    }
    (void)sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Send the next message of the input to `fd`. */
static inline void datagram_send(struct fuzz_input *in, int fd, uint64_t run)
{
    unsigned flags = (unsigned)fuzz_number(in, 1);
    uint32_t kind = (uint32_t)fuzz_number(in, 1);
    size_t size = (size_t)fuzz_number(in, 2);
    struct datagram_header header = {.magic = WIRE_MAGIC, .kind = kind % 8};
    header.run = flags & DATAGRAM_OTHER_RUN ? fuzz_number(in, 1) : run;
    uint64_t body_size = flags & DATAGRAM_BODY_SIZE ? fuzz_number(in, 2) : 0;
    uint64_t said = flags & DATAGRAM_WRONG_SIZE ? fuzz_number(in, 2) : 0;
    size = size < fuzz_rest(in) ? size : fuzz_rest(in);
    const uint8_t *bytes = in->at;
    in->at += size;
    header.body_size = body_size;
    header.size = flags & DATAGRAM_WRONG_SIZE ? said : size;
    header.in_memfd = ((flags & DATAGRAM_MEMFD) != 0) != ((flags & DATAGRAM_FLAG) != 0);
    size_t header_size = sizeof(header);
    if ((flags & DATAGRAM_WRONG_MAGIC) && (kind & 8))
        header.magic++;
    else if (flags & DATAGRAM_WRONG_MAGIC)
        header_size = kind % sizeof(header);
    int fds[2];
    int count = datagram_files(flags, bytes, size, fds);
    datagram_send_bytes(fd, &header, header_size, bytes, flags & DATAGRAM_MEMFD ? 0 : size, fds,
                        count);
    for (int i = 0; i < count; i++)
        (void)close(fds[i]);
}

#endif
