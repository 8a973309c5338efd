/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages between processes: what is sent arrives, and what is malformed is refused without
 * reading past its end and without leaving a descriptor behind. Malformed datagrams are real ones,
 * captured and then damaged.
 */
#include "exec/wire.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SIZE_LIMIT ((size_t)8 * 1024 * 1024)
#define DATAGRAM_MAX ((size_t)70000)
#define DESCRIPTORS_MAX 253 /* in one message, by the kernel */

struct pair {
    int from, to;
};

static struct pair open_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    return (struct pair){fds[0], fds[1]};
}

static void close_pair(struct pair *p)
{
    (void)close(p->from);
    (void)close(p->to);
}

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + i / 251);
}

static void fill(struct payload *p, size_t size)
{
    struct error err;
    *p = (struct payload)PAYLOAD_INIT;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = pattern(i);
        assert_int_equal(payload_append(p, &byte, 1, &err), 0);
    }
}

/* A datagram as it travels, with the descriptor that came with it. */
struct datagram {
    unsigned char bytes[DATAGRAM_MAX];
    size_t size;
    int fd; /* -1: none */
};

static void send_raw(int to, const void *bytes, size_t size, const int *fds, int count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct iovec iov = {(void *)(uintptr_t)bytes, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        memset(control, 0, sizeof(control));
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)count * sizeof(int));
    }
    assert_int_equal(sendmsg(to, &msg, MSG_NOSIGNAL), (ssize_t)size);
}

/* What wire_send() makes of `size` bytes of which `body_size` are the body. */
static void capture(struct datagram *d, size_t size, size_t body_size)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct pair p = open_pair();
    struct payload payload;
    struct error err;
    fill(&payload, size);
    assert_int_equal(wire_send(p.from, WIRE_OUTPUT, 7, &payload, body_size, &err), 0);
    struct iovec iov = {d->bytes, sizeof(d->bytes)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(p.to, &msg, MSG_CMSG_CLOEXEC);
    assert_true(got > 0);
    d->size = (size_t)got;
    d->fd = -1;
    if (CMSG_FIRSTHDR(&msg))
        memcpy(&d->fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(d->fd));
    payload_release(&payload);
    close_pair(&p);
}

static void release_datagram(struct datagram *d)
{
    if (d->fd >= 0)
        (void)close(d->fd);
}

/* Send it raw, receive it; the result, with the message released. */
static int receive_raw(const void *bytes, size_t size, const int *fds, int count,
                       struct error *reterr)
{
    struct pair p = open_pair();
    struct wire_message m = {.payload = PAYLOAD_INIT};
    int before = count_descriptors();
    send_raw(p.from, bytes, size, fds, count);
    int got = wire_receive(p.to, SIZE_LIMIT, &m, reterr);
    if (got == 1)
        payload_release(&m.payload);
    assert_int_equal(count_descriptors(), before);
    close_pair(&p);
    return got;
}

static void assert_refused(const void *bytes, size_t size, const int *fds, int count)
{
    struct error err = {.code = ERR_NONE};
    assert_int_equal(receive_raw(bytes, size, fds, count, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_what_is_sent_arrives_inline_and_by_memfd(void **state)
{
    static const struct {
        size_t size, body_size;
    } cases[] = {{0, 0},
                 {1, 0},
                 {1, 1},
                 {1000, 900},
                 {PAYLOAD_INLINE_MAX - 1, 1000},
                 {PAYLOAD_INLINE_MAX, PAYLOAD_INLINE_MAX},
                 {PAYLOAD_INLINE_MAX, 0},
                 {PAYLOAD_INLINE_MAX + 1, 1000},
                 {PAYLOAD_INLINE_MAX + 1, PAYLOAD_INLINE_MAX + 1},
                 {3000000, 2999999}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pair p = open_pair();
        struct payload sent;
        struct wire_message m;
        struct error err;
        fill(&sent, cases[i].size);
        assert_int_equal(
            wire_send(p.from, WIRE_RUN, UINT64_MAX - i, &sent, cases[i].body_size, &err), 0);
        payload_release(&sent); /* the receiver's copy is its own */
        assert_int_equal(wire_receive(p.to, cases[i].size, &m, &err), 1);
        assert_int_equal(m.kind, WIRE_RUN);
        assert_true(m.run == UINT64_MAX - i);
        assert_int_equal(m.body_size, cases[i].body_size);
        assert_int_equal(m.payload.size, cases[i].size);
        assert_int_equal(m.payload.fd >= 0, cases[i].size > PAYLOAD_INLINE_MAX);
        for (size_t k = 0; k < cases[i].size; k++)
            assert_int_equal(m.payload.bytes[k], pattern(k));
        struct wire_reader r = wire_record(&m);
        assert_int_equal(r.end - r.at, cases[i].size - cases[i].body_size);
        payload_release(&m.payload);
        close_pair(&p);
    }
}

static void test_messages_keep_their_bounds_and_order(void **state)
{
    struct pair p = open_pair();
    struct error err;
    (void)state;
    for (size_t i = 0; i < 20; i++) {
        struct payload sent;
        fill(&sent, i);
        assert_int_equal(wire_send(p.from, WIRE_OUTPUT, i + 1, &sent, i, &err), 0);
        payload_release(&sent);
    }
    for (size_t i = 0; i < 20; i++) {
        struct wire_message m;
        assert_int_equal(wire_receive(p.to, SIZE_LIMIT, &m, &err), 1);
        assert_true(m.run == i + 1);
        assert_int_equal(m.payload.size, i);
        payload_release(&m.payload);
    }
    close_pair(&p);
}

static void test_credentials_are_the_senders_and_absent_when_not_asked_for(void **state)
{
    (void)state;
    for (int asked = 0; asked <= 1; asked++) {
        struct pair p = open_pair();
        struct payload nothing = PAYLOAD_INIT;
        struct wire_message m;
        struct error err;
        assert_int_equal(setsockopt(p.to, SOL_SOCKET, SO_PASSCRED, &asked, sizeof(asked)), 0);
        assert_int_equal(wire_send(p.from, WIRE_IDLE, 1, &nothing, 0, &err), 0);
        assert_int_equal(wire_receive(p.to, 0, &m, &err), 1);
        assert_int_equal(m.sender, asked ? getpid() : 0);
        payload_release(&m.payload);
        close_pair(&p);
    }
}

static void test_a_datagram_cut_at_any_byte_is_refused(void **state)
{
    static struct datagram d;
    (void)state;
    capture(&d, 10, 4);
    struct error err;
    assert_int_equal(receive_raw(d.bytes, d.size, NULL, 0, &err), 1);
    for (size_t size = 1; size < d.size; size++)
        assert_refused(d.bytes, size, NULL, 0);
    assert_refused(d.bytes, d.size + 1, NULL, 0);
    /* The kernel cannot tell an empty datagram from the end of the connection. */
    assert_int_equal(receive_raw(d.bytes, 0, NULL, 0, &err), 0);
}

static void test_any_damage_to_a_header_is_refused_or_harmless(void **state)
{
    static struct datagram d;
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    (void)state;
    for (size_t size = 0; size <= PAYLOAD_INLINE_MAX + 1; size += PAYLOAD_INLINE_MAX + 1) {
        capture(&d, size, size / 2);
        for (size_t at = 0; at < d.size; at++) { /* with nothing or a memfd it is all header */
            for (size_t k = 0; k < COUNT(masks); k++) {
                struct error err = {.code = ERR_NONE};
                d.bytes[at] ^= masks[k];
                int got = receive_raw(d.bytes, d.size, &d.fd, d.fd >= 0, &err);
                assert_true(got == 1 ||
                            (got == -1 && (err.code == ERR_INTERNAL || err.code == ERR_TOO_LARGE)));
                d.bytes[at] ^= masks[k];
            }
        }
        release_datagram(&d);
    }
}

static void test_garbage_is_refused(void **state)
{
    static unsigned char noise[DATAGRAM_MAX];
    uint32_t random = 1;
    (void)state;
    for (size_t round = 0; round < 300; round++) {
        size_t size = 1 + round * 233 % (DATAGRAM_MAX - 1);
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            noise[i] = (unsigned char)(random >> 24);
        }
        assert_refused(noise, size, NULL, 0);
    }
}

static void test_a_descriptor_too_many_is_closed(void **state)
{
    static const int counts[] = {1, 2, 3, 8, 64, DESCRIPTORS_MAX};
    static struct datagram d;
    int fds[DESCRIPTORS_MAX];
    (void)state;
    capture(&d, 100, 50);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = STDERR_FILENO;
    for (size_t i = 0; i < COUNT(counts); i++)
        assert_refused(d.bytes, d.size, fds, counts[i]);
    capture(&d, PAYLOAD_INLINE_MAX + 1, 50);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = d.fd;
    for (size_t i = 0; i < COUNT(counts); i++) {
        struct error err;
        int got = receive_raw(d.bytes, d.size, fds, counts[i], &err); /* it counts them */
        assert_true(got == 1 || counts[i] > 1);
    }
    release_datagram(&d);
}

static void test_a_message_that_lacks_its_memfd_is_refused(void **state)
{
    static struct datagram d;
    (void)state;
    capture(&d, PAYLOAD_INLINE_MAX + 1, 50);
    assert_refused(d.bytes, d.size, NULL, 0);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_refused(d.bytes, d.size, &null, 1);
    (void)close(null);
    release_datagram(&d);
}

static void test_a_memfd_without_all_seals_or_of_another_size_is_refused(void **state)
{
    static const struct {
        unsigned seals;
        int size_change;
    } cases[] = {{0, 0},
                 {ALL_SEALS & ~F_SEAL_WRITE, 0},
                 {ALL_SEALS & ~F_SEAL_SHRINK, 0},
                 {ALL_SEALS & ~F_SEAL_GROW, 0},
                 {ALL_SEALS & ~F_SEAL_SEAL, 0},
                 {ALL_SEALS, -1},
                 {ALL_SEALS, 1},
                 {ALL_SEALS, -PAYLOAD_INLINE_MAX}};
    static struct datagram d;
    (void)state;
    capture(&d, PAYLOAD_INLINE_MAX + 1, 50);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(fd, PAYLOAD_INLINE_MAX + 1 + cases[i].size_change), 0);
        if (cases[i].seals != 0)
            assert_int_equal(fcntl(fd, F_ADD_SEALS, cases[i].seals), 0);
        assert_refused(d.bytes, d.size, &fd, 1);
        (void)close(fd);
    }
    release_datagram(&d);
}

static void test_over_the_limit_is_too_large_and_leaves_nothing(void **state)
{
    static const size_t sizes[] = {101, PAYLOAD_INLINE_MAX + 1};
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct pair p = open_pair();
        struct payload sent;
        struct wire_message m;
        struct error err;
        fill(&sent, sizes[i]);
        assert_int_equal(wire_send(p.from, WIRE_OUTPUT, 1, &sent, 0, &err), 0);
        payload_release(&sent);
        int before = count_descriptors();
        assert_int_equal(wire_receive(p.to, 100, &m, &err), -1);
        assert_int_equal(err.code, ERR_TOO_LARGE);
        assert_int_equal(count_descriptors(), before);
        close_pair(&p);
    }
}

static void test_nothing_there_is_not_the_end(void **state)
{
    struct pair p = open_pair();
    struct wire_message m;
    struct error err;
    struct timeval timeout = {.tv_usec = 1000};
    (void)state;
    assert_int_equal(setsockopt(p.to, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(wire_receive(p.to, 100, &m, &err), -1);
    assert_int_equal(err.code, ERR_STOPPED);
    assert_int_equal(fcntl(p.to, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(wire_receive(p.to, 100, &m, &err), -1);
    assert_int_equal(err.code, ERR_STOPPED);
    close_pair(&p);
}

static void test_a_peer_that_went_is_the_end(void **state)
{
    (void)state;
    for (int left_unread = 0; left_unread <= 1; left_unread++) {
        struct pair p = open_pair();
        struct payload nothing = PAYLOAD_INIT;
        struct wire_message m;
        struct error err;
        if (left_unread) /* the connection is then reset, not closed */
            assert_int_equal(wire_send(p.to, WIRE_RUN, 1, &nothing, 0, &err), 0);
        (void)close(p.from);
        assert_int_equal(wire_receive(p.to, 100, &m, &err), 0);
        assert_int_equal(wire_send(p.to, WIRE_RUN, 1, &nothing, 0, &err), -1);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        (void)close(p.to);
    }
}

/* One of each kind of field. */
static void put_record(struct payload *p)
{
    struct error err;
    struct wire_writer w = {.payload = p, .error = &err};
    wire_put_u64(&w, 0x0123456789abcdefULL);
    wire_put_text(&w, "caf\xc3\xa9");
    wire_put_f64(&w, 0.1);
    wire_put_bytes(&w, "a\0b", 3);
    wire_put_text(&w, "");
    assert_false(w.failed);
}

/* Reads it, whatever is there. */
static bool read_record(struct wire_reader *r)
{
    size_t size;
    bool same = wire_get_u64(r) == 0x0123456789abcdefULL;
    same = strcmp(wire_get_text(r), "caf\xc3\xa9") == 0 && same;
    double number = wire_get_f64(r);
    same = number >= 0.1 && number <= 0.1 && same;
    const char *bytes = wire_get_bytes(r, &size);
    same = size == 3 && memcmp(bytes, "a\0b", 4) == 0 && same;
    return strcmp(wire_get_text(r), "") == 0 && same;
}

static void test_a_record_reads_as_it_was_written(void **state)
{
    struct payload p = PAYLOAD_INIT;
    (void)state;
    put_record(&p);
    struct wire_reader r = {p.bytes, p.bytes + p.size, false};
    assert_true(read_record(&r));
    assert_true(wire_is_complete(&r));
    payload_release(&p);
}

static void test_a_record_cut_at_any_byte_fails_and_is_not_read_past_its_end(void **state)
{
    struct payload p = PAYLOAD_INIT;
    (void)state;
    put_record(&p);
    for (size_t size = 0; size < p.size; size++) {
        unsigned char *start = malloc(size > 0 ? size : 1); /* sanitizers watch its end */
        assert_non_null(start);
        memcpy(start, p.bytes, size);
        struct wire_reader r = {start, start + size, false};
        assert_false(read_record(&r) && wire_is_complete(&r));
        assert_true(r.failed);
        free(start);
    }
    payload_release(&p);
}

static void test_bytes_behind_a_record_are_not_overlooked(void **state)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    (void)state;
    put_record(&p);
    assert_int_equal(payload_append(&p, "", 1, &err), 0);
    struct wire_reader r = {p.bytes, p.bytes + p.size, false};
    assert_true(read_record(&r));
    assert_false(wire_is_complete(&r));
    payload_release(&p);
}

static void test_texts_that_are_none_fail(void **state)
{
    static const struct {
        uint64_t size;
        const char *bytes;
        size_t there;
    } cases[] = {{3, "a\0b", 4},      /* a NUL within */
                 {3, "abcd", 4},      /* none at the end */
                 {3, "abc", 3},       /* no room for it */
                 {0, "", 0},          /* no room at all */
                 {4, "abc", 4},       /* longer than there is */
                 {UINT64_MAX, "", 1}, /* far longer */
                 {UINT64_MAX - 8, "", 1},
                 {(uint64_t)1 << 63, "", 1}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct payload p = PAYLOAD_INIT;
        struct error err;
        struct wire_writer w = {.payload = &p, .error = &err};
        wire_put_u64(&w, cases[i].size);
        assert_int_equal(payload_append(&p, cases[i].bytes, cases[i].there, &err), 0);
        struct wire_reader r = {p.bytes, p.bytes + p.size, false};
        assert_string_equal(wire_get_text(&r), "");
        assert_true(r.failed);
        assert_true(wire_get_u64(&r) == 0); /* a failure stays one */
        assert_false(wire_is_complete(&r));
        payload_release(&p);
    }
}

static void test_a_message_without_payload_has_an_empty_record(void **state)
{
    struct wire_message m = {.payload = PAYLOAD_INIT};
    (void)state;
    struct wire_reader r = wire_record(&m);
    assert_true(wire_is_complete(&r));
    assert_string_equal(wire_get_text(&r), "");
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sent_arrives_inline_and_by_memfd),
        cmocka_unit_test(test_messages_keep_their_bounds_and_order),
        cmocka_unit_test(test_credentials_are_the_senders_and_absent_when_not_asked_for),
        cmocka_unit_test(test_a_datagram_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_any_damage_to_a_header_is_refused_or_harmless),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_a_descriptor_too_many_is_closed),
        cmocka_unit_test(test_a_message_that_lacks_its_memfd_is_refused),
        cmocka_unit_test(test_a_memfd_without_all_seals_or_of_another_size_is_refused),
        cmocka_unit_test(test_over_the_limit_is_too_large_and_leaves_nothing),
        cmocka_unit_test(test_nothing_there_is_not_the_end),
        cmocka_unit_test(test_a_peer_that_went_is_the_end),
        cmocka_unit_test(test_a_record_reads_as_it_was_written),
        cmocka_unit_test(test_a_record_cut_at_any_byte_fails_and_is_not_read_past_its_end),
        cmocka_unit_test(test_bytes_behind_a_record_are_not_overlooked),
        cmocka_unit_test(test_texts_that_are_none_fail),
        cmocka_unit_test(test_a_message_without_payload_has_an_empty_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
