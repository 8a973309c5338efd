/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.c - see wire.h
 */
#include "exec/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_SPACE 512 /* most records fit */

struct wire_header {
    uint32_t magic;
    uint32_t kind;
    uint64_t run;
    uint64_t body_size;
    uint64_t size; /* of the payload */
    uint32_t in_memfd;
    uint32_t reserved;
};

union control_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

int wire_send(int fd, enum wire_kind kind, uint64_t run, struct payload *payload, size_t body_size,
              struct error *reterr)
{
    if (payload_seal(payload, reterr) != 0)
        return -1;
    bool in_memfd = payload->fd >= 0;
    struct wire_header header = {.magic = WIRE_MAGIC,
                                 .kind = (uint32_t)kind,
                                 .run = run,
                                 .body_size = body_size,
                                 .size = payload->size,
                                 .in_memfd = in_memfd};
    struct iovec iov[2] = {{&header, sizeof(header)},
                           {payload->bytes, in_memfd ? 0 : payload->size}};
    union control_space control;
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (in_memfd) {
        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(sizeof(payload->fd));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(payload->fd));
        memcpy(CMSG_DATA(c), &payload->fd, sizeof(payload->fd));
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return 0;
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) {
        (void)error_set(reterr, ERR_OVERLOADED, "The other end of the run takes no more now.");
        return error_cause(reterr, "wire: sendmsg: %s", strerror(errno));
    }
    if (errno != EPIPE && errno != ECONNRESET)
        return error_errno(reterr, "wire: sendmsg");
    (void)error_set(reterr, ERR_UNAVAILABLE, "The other end of the run is gone.");
    return error_cause(reterr, "wire: sendmsg: %s", strerror(errno));
}

/* Take descriptors and credentials out of a message; descriptors beyond the first are closed. */
static int take_control(struct msghdr *msg, pid_t *ret_sender)
{
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SCM_CREDENTIALS) {
            struct ucred sender;
            memcpy(&sender, CMSG_DATA(c), sizeof(sender));
            *ret_sender = sender.pid;
        } else if (c->cmsg_type == SCM_RIGHTS) {
            size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; i++) {
                int got;
                memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                if (fd < 0)
                    fd = got;
                else
                    (void)close(got);
            }
        }
    }
    return fd;
}

static bool header_is_valid(const struct wire_header *h, size_t inline_size, bool truncated, int fd)
{
    return !truncated && h->magic == WIRE_MAGIC && h->kind >= WIRE_RUN && h->kind <= WIRE_IDLE &&
           h->body_size <= h->size && h->in_memfd <= 1 && (h->in_memfd == 1) == (fd >= 0) &&
           inline_size == (h->in_memfd ? 0 : h->size);
}

static int take_payload(struct wire_message *m, const struct wire_header *h, int fd,
                        const void *inline_bytes, struct error *reterr)
{
    if (fd >= 0)
        return payload_open_received(&m->payload, fd, (size_t)h->size, reterr);
    m->payload = (struct payload)PAYLOAD_INIT;
    return payload_append(&m->payload, inline_bytes, (size_t)h->size, reterr);
}

int wire_receive(int fd, size_t max_size, struct wire_message *ret_message, struct error *reterr)
{
    static unsigned char space[PAYLOAD_INLINE_MAX]; /* one process, one thread, one receive */
    struct wire_header header = {0};
    struct iovec iov[2] = {{&header, sizeof(header)}, {space, sizeof(space)}};
    union control_space control;
    struct msghdr msg = {.msg_iov = iov,
                         .msg_iovlen = 2,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t size;
    *ret_message = (struct wire_message){.payload = PAYLOAD_INIT};
    do {
        size = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return error_set(reterr, ERR_STOPPED, "Nothing has arrived.");
    if (size < 0 && errno != ECONNRESET)
        return error_errno(reterr, "wire: recvmsg");
    if (size <= 0)
        return 0;

    int received = take_control(&msg, &ret_message->sender);
    bool truncated =
        (size_t)size < sizeof(header) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    size_t inline_size = truncated ? 0 : (size_t)size - sizeof(header);
    if (!header_is_valid(&header, inline_size, truncated, received)) {
        if (received >= 0)
            (void)close(received);
        return error_internal(reterr, "wire: a malformed message");
    }
    if (header.size > max_size) {
        if (received >= 0)
            (void)close(received);
        return error_set(reterr, ERR_TOO_LARGE, "A message of %llu bytes is over its limit of %zu.",
                         (unsigned long long)header.size, max_size);
    }
    ret_message->kind = (enum wire_kind)header.kind;
    ret_message->run = header.run;
    ret_message->body_size = (size_t)header.body_size;
    return take_payload(ret_message, &header, received, space, reterr) == 0 ? 1 : -1;
}

static void put(struct wire_writer *w, const void *bytes, size_t size)
{
    struct payload *p = w->payload;
    if (!w->failed && p->capacity == 0 && payload_reserve(p, RECORD_SPACE, w->error) != 0)
        w->failed = true;
    if (!w->failed && payload_append(p, bytes, size, w->error) != 0)
        w->failed = true;
}

void wire_put_u64(struct wire_writer *w, uint64_t value)
{
    put(w, &value, sizeof(value));
}

void wire_put_f64(struct wire_writer *w, double value)
{
    put(w, &value, sizeof(value));
}

void wire_put_bytes(struct wire_writer *w, const void *bytes, size_t size)
{
    wire_put_u64(w, size);
    put(w, bytes, size);
    put(w, "", 1);
}

void wire_put_text(struct wire_writer *w, const char *text)
{
    wire_put_bytes(w, text, strlen(text));
}

struct wire_reader wire_record(const struct wire_message *m)
{
    if (!m->payload.bytes)
        return (struct wire_reader){NULL, NULL, false};
    return (struct wire_reader){m->payload.bytes + m->body_size, m->payload.bytes + m->payload.size,
                                false};
}

static const unsigned char *get(struct wire_reader *r, size_t size)
{
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return NULL;
    }
    const unsigned char *at = r->at;
    r->at += size;
    return at;
}

uint64_t wire_get_u64(struct wire_reader *r)
{
    uint64_t value = 0;
    const unsigned char *at = get(r, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return value;
}

double wire_get_f64(struct wire_reader *r)
{
    double value = 0;
    const unsigned char *at = get(r, sizeof(value));
    if (at)
        memcpy(&value, at, sizeof(value));
    return value;
}

const char *wire_get_bytes(struct wire_reader *r, size_t *ret_size)
{
    *ret_size = 0;
    uint64_t size = wire_get_u64(r);
    if (r->failed || size >= (uint64_t)(r->end - r->at)) {
        r->failed = true;
        return "";
    }
    const unsigned char *at = get(r, (size_t)size + 1);
    if (!at || at[size] != '\0') {
        r->failed = true;
        return "";
    }
    *ret_size = (size_t)size;
    return (const char *)at;
}

const char *wire_get_text(struct wire_reader *r)
{
    size_t size;
    const char *text = wire_get_bytes(r, &size);
    if (strlen(text) != size)
        r->failed = true;
    return r->failed ? "" : text;
}

bool wire_is_complete(const struct wire_reader *r)
{
    return !r->failed && r->at == r->end;
}
