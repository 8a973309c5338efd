/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fcgi_writer.c - what stands in a file arrives as what stands in memory does
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/payload.h"
#include "fcgi_peer.h"
#include "http/fcgi_writer.h"

/* A sealed memfd, as an executor sends it. */
static struct payload file_of(size_t size)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    assert_int_equal(payload_append(&p, bytes, size, &err), 0);
    assert_int_equal(payload_seal(&p, &err), 0);
    assert_true(p.fd >= 0);
    free(bytes);
    return p;
}

static void test_a_file_arrives_whole_behind_what_came_before(void **state)
{
    static const size_t sizes[] = {65537, 122879, 122880, 122881, 200000, 3 << 20, (3 << 20) + 7};
    (void)state;
    for (size_t i = 0; i < 4 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        bool is_tcp = i % 2 == 1, is_short = i % 4 > 1;
        size_t size = sizes[i / 4];
        struct peer p = {.request = STRBUF_INIT, .answer = STRBUF_INIT};
        struct fcgi_writer w;
        struct payload file = file_of(size);
        peer_start(&p, is_tcp, READ_ANSWER);
        fcgi_writer_begin(&w, p.served_fd, 1);
        if (is_short)
            assert_int_equal(fcgi_writer_add(&w, "head", 4), 0);
        assert_int_equal(fcgi_writer_add_file(&w, file.fd, file.bytes, size), 0);
        assert_int_equal(fcgi_writer_add(&w, "tail", 4), 0);
        assert_int_equal(fcgi_writer_end(&w, false), 0);
        assert_false(w.is_broken);
        peer_wait(&p);
        size_t head = is_short ? 4 : 0;
        assert_true(p.has_end);
        assert_false(p.has_broken_record);
        assert_int_equal(p.answer.size, head + size + 4);
        assert_memory_equal(p.answer.text, "head", head);
        assert_memory_equal(p.answer.text + head, file.bytes, size);
        assert_memory_equal(p.answer.text + head + size, "tail", 4);
        (void)close(p.served_fd);
        payload_release(&file);
        peer_release(&p);
    }
}

static void test_a_peer_that_leaves_amid_a_file_is_noticed(void **state)
{
    (void)state;
    int fds[2];
    struct fcgi_writer w;
    struct payload file = file_of(1 << 20);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    (void)close(fds[0]);
    fcgi_writer_begin(&w, fds[1], 1);
    assert_int_equal(fcgi_writer_add_file(&w, file.fd, file.bytes, file.size), -1);
    assert_true(w.is_broken);
    assert_int_equal(fcgi_writer_add_file(&w, file.fd, file.bytes, file.size), -1);
    assert_int_equal(fcgi_writer_end(&w, false), -1);
    (void)close(fds[1]);
    payload_release(&file);
}

static void test_a_peer_that_reads_nothing_costs_the_timeout_and_no_more(void **state)
{
    (void)state;
    int fds[2];
    struct fcgi_writer w;
    struct timeval soon = {0, 100000};
    struct payload file = file_of(1 << 20);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
    fcgi_writer_begin(&w, fds[1], 1);
    assert_int_equal(fcgi_writer_add_file(&w, file.fd, file.bytes, file.size), -1);
    assert_true(w.is_broken);
    (void)close(fds[0]);
    (void)close(fds[1]);
    payload_release(&file);
}

/* It cannot get shorter when it is sealed; if one did, the answer would be cut off, not made up. */
static void test_a_file_that_is_too_short_breaks_the_answer(void **state)
{
    static const unsigned char bytes[2 << 16];
    (void)state;
    int fds[2], fd = memfd_create("short", MFD_CLOEXEC);
    struct fcgi_writer w;
    assert_int_equal(ftruncate(fd, 70000), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    fcgi_writer_begin(&w, fds[1], 1);
    assert_int_equal(fcgi_writer_add_file(&w, fd, bytes, sizeof(bytes)), -1);
    assert_true(w.is_broken);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_arrives_whole_behind_what_came_before),
        cmocka_unit_test(test_a_peer_that_leaves_amid_a_file_is_noticed),
        cmocka_unit_test(test_a_peer_that_reads_nothing_costs_the_timeout_and_no_more),
        cmocka_unit_test(test_a_file_that_is_too_short_breaks_the_answer),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as stream_fcgi.c has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
