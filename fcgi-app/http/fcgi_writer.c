/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcgi_writer.c - see fcgi_writer.h
 */
#include "http/fcgi_writer.h"

#include <errno.h>
#include <fastcgi.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define ALIGNMENT 8
#define PIECE_MAX 65528  /* the longest content of a record that needs no padding */
#define FILE_PIECE 61440 /* whole pages, as many as go into one of the kernel's buffers */
#define TAIL_SIZE 64     /* padding, and the records of the end */
#define CONTENT_MAX (FCGI_WRITER_SIZE - FCGI_HEADER_LEN - TAIL_SIZE)

static void write_header(int request_id, int type, size_t size, size_t padding,
                         unsigned char header[FCGI_HEADER_LEN])
{
    header[0] = FCGI_VERSION_1;
    header[1] = (unsigned char)type;
    header[2] = (unsigned char)(request_id >> 8);
    header[3] = (unsigned char)request_id;
    header[4] = (unsigned char)(size >> 8);
    header[5] = (unsigned char)size;
    header[6] = (unsigned char)padding;
    header[7] = 0;
}

/* All of it. A signal whose handler lets calls fail is no reason to cut an answer. */
static int send_all(struct fcgi_writer *w, struct iovec *iov, size_t count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
    while (message.msg_iovlen > 0 && !w->is_broken) {
        ssize_t sent = sendmsg(w->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            w->is_broken = true;
        size_t rest = sent < 0 ? 0 : (size_t)sent;
        while (message.msg_iovlen > 0 && rest >= message.msg_iov->iov_len) {
            rest -= message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen > 0) {
            message.msg_iov->iov_base = (unsigned char *)message.msg_iov->iov_base + rest;
            message.msg_iov->iov_len -= rest;
        }
    }
    return w->is_broken ? -1 : 0;
}

/* Make a record of what was collected; the size of all of it. */
static size_t close_record(struct fcgi_writer *w)
{
    if (w->size == 0)
        return 0;
    size_t padding = (ALIGNMENT - w->size % ALIGNMENT) % ALIGNMENT;
    size_t size = FCGI_HEADER_LEN + w->size;
    write_header(w->request_id, FCGI_STDOUT, w->size, padding, w->bytes);
    memset(w->bytes + size, 0, padding);
    w->size = 0;
    return size + padding;
}

void fcgi_writer_begin(struct fcgi_writer *w, int fd, int request_id)
{
    w->fd = fd;
    w->request_id = request_id;
    w->is_broken = false;
    w->size = 0;
}

int fcgi_writer_flush(struct fcgi_writer *w)
{
    struct iovec iov = {w->bytes, close_record(w)};
    return send_all(w, &iov, iov.iov_len > 0 ? 1 : 0);
}

int fcgi_writer_add(struct fcgi_writer *w, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    if (w->is_broken)
        return -1;
    while (size > CONTENT_MAX - w->size) {
        unsigned char header[FCGI_HEADER_LEN];
        size_t n = size < PIECE_MAX ? size - size % ALIGNMENT : PIECE_MAX;
        struct iovec iov[] = {
            {w->bytes, close_record(w)}, {header, sizeof(header)}, {(void *)(uintptr_t)p, n}};
        write_header(w->request_id, FCGI_STDOUT, n, 0, header);
        if (send_all(w, iov, n > 0 ? 3 : 1) != 0)
            return -1;
        p += n;
        size -= n;
    }
    if (size > 0)
        memcpy(w->bytes + FCGI_HEADER_LEN + w->size, p, size);
    w->size += size;
    return 0;
}

/* `size` bytes from `at` on. */
static int send_from_file(struct fcgi_writer *w, int fd, size_t at, size_t size)
{
    off_t offset = (off_t)at;
    while (size > 0 && !w->is_broken) {
        ssize_t sent = sendfile(w->fd, fd, &offset, size);
        if (sent > 0)
            size -= (size_t)sent;
        else if (sent == 0 || errno != EINTR)
            w->is_broken = true;
    }
    return w->is_broken ? -1 : 0;
}

int fcgi_writer_add_file(struct fcgi_writer *w, int fd, const void *bytes, size_t size)
{
    size_t at = 0;
    if (w->is_broken)
        return -1;
    while (size - at >= FILE_PIECE) {
        unsigned char header[FCGI_HEADER_LEN];
        struct iovec iov[] = {{w->bytes, close_record(w)}, {header, sizeof(header)}};
        write_header(w->request_id, FCGI_STDOUT, FILE_PIECE, 0, header);
        if (send_all(w, iov, 2) != 0 || send_from_file(w, fd, at, FILE_PIECE) != 0)
            return -1;
        at += FILE_PIECE;
    }
    return fcgi_writer_add(w, (const unsigned char *)bytes + at, size - at);
}

int fcgi_writer_end(struct fcgi_writer *w, bool keep)
{
    size_t padding = keep ? 0 : 1;
    unsigned char *p = w->bytes + close_record(w);
    write_header(w->request_id, FCGI_STDOUT, 0, 0, p);
    p += FCGI_HEADER_LEN;
    write_header(w->request_id, FCGI_END_REQUEST, sizeof(FCGI_EndRequestBody), padding, p);
    p += FCGI_HEADER_LEN;
    memset(p, 0, sizeof(FCGI_EndRequestBody) + padding);
    p += sizeof(FCGI_EndRequestBody) + padding;
    if (!keep) { /* in sum a multiple of eight again */
        write_header(w->request_id, FCGI_STDERR, 0, ALIGNMENT - padding, p);
        memset(p + FCGI_HEADER_LEN, 0, ALIGNMENT - padding);
        p += FCGI_HEADER_LEN + ALIGNMENT - padding;
    }
    struct iovec iov = {w->bytes, (size_t)(p - w->bytes)};
    return send_all(w, &iov, 1);
}

int fcgi_writer_recall(int fd, int request_id)
{
    unsigned char header[FCGI_HEADER_LEN];
    write_header(request_id, FCGI_STDERR, 0, 0, header);
    return send(fd, header, sizeof(header), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(header) ? 0 : -1;
}
