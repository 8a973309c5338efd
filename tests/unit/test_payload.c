/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Payloads: whoever receives a memfd can read all of it, whatever its sender does meanwhile.
 */
#include "base/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A byte that depends on its place, with no period that is a power of two. */
static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + i / 251);
}

static void append_pattern(struct payload *p, size_t total, size_t step)
{
    unsigned char chunk[10000];
    struct error err;
    while (p->size < total) {
        size_t size = total - p->size < step ? total - p->size : step;
        for (size_t i = 0; i < size; i++)
            chunk[i] = pattern(p->size + i);
        assert_int_equal(payload_append(p, chunk, size, &err), 0);
    }
}

static bool has_pattern(const struct payload *p, size_t size)
{
    if (p->size != size)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (p->bytes[i] != pattern(i))
            return false;
    }
    return true;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_growing_from_heap_to_memfd_keeps_the_bytes(void **state)
{
    static const struct {
        size_t total, step;
        bool is_memfd;
    } cases[] = {
        {0, 1, false},
        {1, 1, false},
        {PAYLOAD_INLINE_MAX - 1, 1, false},
        {PAYLOAD_INLINE_MAX, 7, false},
        {PAYLOAD_INLINE_MAX + 1, 1, true},
        {PAYLOAD_INLINE_MAX + 1, 10000, true},
        {1000000, 9999, true},
        {300000, 1, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct payload p = PAYLOAD_INIT;
        append_pattern(&p, cases[i].total, cases[i].step);
        assert_true(has_pattern(&p, cases[i].total));
        assert_int_equal(p.fd >= 0, cases[i].is_memfd);
        payload_release(&p);
    }
}

static void test_reserved_room_is_as_large_as_asked_and_keeps_the_bytes(void **state)
{
    static const size_t rooms[] = {1,      100,    PAYLOAD_INLINE_MAX - 10, PAYLOAD_INLINE_MAX,
                                   200000, 5000000};
    struct error err;
    (void)state;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct payload p = PAYLOAD_INIT;
        append_pattern(&p, 10, 10);
        assert_int_equal(payload_reserve(&p, rooms[i], &err), 0);
        assert_true(p.capacity - p.size >= rooms[i]);
        memset(p.bytes + p.size, 0xa5, rooms[i]);
        assert_true(has_pattern(&p, 10));
        payload_release(&p);
    }
}

static void test_what_the_system_can_not_hold_is_an_error_and_loses_nothing(void **state)
{
    static const size_t rooms[] = {SIZE_MAX, SIZE_MAX - 10, SIZE_MAX / 2, (size_t)INT64_MAX / 4};
    (void)state;
    for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
        struct payload p = PAYLOAD_INIT;
        struct error err = {.code = ERR_NONE};
        append_pattern(&p, 20, 20);
        assert_int_equal(payload_reserve(&p, rooms[i], &err), -1);
        assert_true(err.code == ERR_TOO_LARGE || err.code == ERR_INTERNAL);
        assert_true(has_pattern(&p, 20));
        payload_release(&p);
    }
}

static void test_seal_sets_all_four_cuts_to_size_and_keeps_the_bytes(void **state)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    struct stat st;
    (void)state;
    append_pattern(&p, 100001, 9999);
    assert_true(p.capacity > p.size);
    assert_int_equal(payload_seal(&p, &err), 0);
    assert_int_equal(fcntl(p.fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
    assert_int_equal(fstat(p.fd, &st), 0);
    assert_int_equal(st.st_size, 100001);
    assert_true(has_pattern(&p, 100001));
    assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
    payload_release(&p);
}

static void test_sealed_memfd_can_not_be_changed_by_its_sender(void **state)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    (void)state;
    append_pattern(&p, 100000, 10000);
    assert_int_equal(payload_seal(&p, &err), 0);
    assert_int_equal(ftruncate(p.fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(p.fd, 200000), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(p.fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_ptr_equal(mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0), MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_true(has_pattern(&p, 100000));
    payload_release(&p);
}

static void test_heap_needs_no_seal(void **state)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    (void)state;
    assert_int_equal(payload_seal(&p, &err), 0);
    append_pattern(&p, 1000, 100);
    assert_int_equal(payload_seal(&p, &err), 0);
    assert_int_equal(p.fd, -1);
    assert_true(has_pattern(&p, 1000));
    payload_release(&p);
}

static void test_received_memfd_is_the_senders_bytes(void **state)
{
    struct payload sent = PAYLOAD_INIT, received = PAYLOAD_INIT;
    struct error err;
    (void)state;
    append_pattern(&sent, 123456, 10000);
    assert_int_equal(payload_seal(&sent, &err), 0);
    int fd = dup(sent.fd);
    assert_int_equal(payload_open_received(&received, fd, sent.size, &err), 0);
    payload_release(&sent);
    assert_true(has_pattern(&received, 123456));
    payload_release(&received);
    assert_false(is_open(fd)); /* it was taken over */
}

/* A memfd with `size` bytes and just these seals. */
static int memfd_with(unsigned seals, size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void assert_refused(int fd, size_t size)
{
    struct payload p = PAYLOAD_INIT;
    struct error err = {.code = ERR_NONE};
    assert_int_equal(payload_open_received(&p, fd, size, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_null(p.bytes);
    assert_int_equal(p.size, 0);
    assert_int_equal(p.fd, -1);
    assert_false(is_open(fd)); /* taken over, on failure too */
    payload_release(&p);
}

static void test_memfd_that_lacks_a_seal_is_refused(void **state)
{
    static const unsigned missing[] = {ALL_SEALS,   F_SEAL_SEAL,  F_SEAL_SHRINK,
                                       F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_WRITE};
    (void)state;
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
        assert_refused(memfd_with(ALL_SEALS & ~missing[i], 4096), 4096);
}

static void test_memfd_of_another_size_is_refused(void **state)
{
    static const struct {
        size_t real, said;
    } cases[] = {{4096, 4097}, {4096, 4095}, {4096, 0}, {0, 1}, {4096, SIZE_MAX}, {1, 8192}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_refused(memfd_with(ALL_SEALS, cases[i].real), cases[i].said);
}

static void test_what_is_no_memfd_is_refused(void **state)
{
    int fds[2];
    (void)state;
    assert_refused(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
    assert_refused(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 1);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_refused(fds[0], 0);
    (void)close(fds[1]);
    assert_refused(-1, 0);
}

static void test_empty_memfd_is_received(void **state)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    (void)state;
    assert_int_equal(payload_open_received(&p, memfd_with(ALL_SEALS, 0), 0, &err), 0);
    assert_int_equal(p.size, 0);
    payload_release(&p);
}

static void test_release_closes_and_leaves_an_empty_payload(void **state)
{
    struct payload p = PAYLOAD_INIT;
    (void)state;
    append_pattern(&p, 100000, 10000);
    int fd = p.fd;
    payload_release(&p);
    assert_false(is_open(fd));
    assert_null(p.bytes);
    assert_int_equal(p.size, 0);
    assert_int_equal(p.capacity, 0);
    assert_int_equal(p.fd, -1);
    payload_release(&p);
    payload_release(NULL);
    append_pattern(&p, 10, 10);
    assert_true(has_pattern(&p, 10));
    payload_release(&p);
}

static void test_arena_releases_its_payloads(void **state)
{
    struct arena *a = arena_new();
    struct payload *p = payload_new(a);
    (void)state;
    append_pattern(p, 100000, 10000);
    int fd = p->fd;
    assert_true(is_open(fd));
    arena_reset(a);
    assert_false(is_open(fd));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_growing_from_heap_to_memfd_keeps_the_bytes),
        cmocka_unit_test(test_reserved_room_is_as_large_as_asked_and_keeps_the_bytes),
        cmocka_unit_test(test_what_the_system_can_not_hold_is_an_error_and_loses_nothing),
        cmocka_unit_test(test_seal_sets_all_four_cuts_to_size_and_keeps_the_bytes),
        cmocka_unit_test(test_sealed_memfd_can_not_be_changed_by_its_sender),
        cmocka_unit_test(test_heap_needs_no_seal),
        cmocka_unit_test(test_received_memfd_is_the_senders_bytes),
        cmocka_unit_test(test_memfd_that_lacks_a_seal_is_refused),
        cmocka_unit_test(test_memfd_of_another_size_is_refused),
        cmocka_unit_test(test_what_is_no_memfd_is_refused),
        cmocka_unit_test(test_empty_memfd_is_received),
        cmocka_unit_test(test_release_closes_and_leaves_an_empty_payload),
        cmocka_unit_test(test_arena_releases_its_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
