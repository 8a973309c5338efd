/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small files come as a whole or not at all.
 */
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#define MAX_BYTES 100000

struct context {
    struct scratch scratch;
    struct arena *arena;
};

static int setup(void **state)
{
    static struct context c;
    scratch_open(&c.scratch);
    c.arena = arena_new();
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    arena_free(c->arena);
    scratch_close(&c->scratch);
    return 0;
}

static const char *path_of(struct context *c, const char *name)
{
    return arena_printf(c->arena, "%s/%s", c->scratch.path, name);
}

static void test_every_byte_comes_and_a_nul_after_them(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, 70000, MAX_BYTES};
    struct context *c = *state;
    unsigned char *bytes = arena_alloc(c->arena, MAX_BYTES);
    for (size_t i = 0; i < MAX_BYTES; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct error err;
        char *text;
        size_t size;
        scratch_write(&c->scratch, "file", bytes, sizes[i]);
        assert_int_equal(file_read(c->arena, path_of(c, "file"), MAX_BYTES, &text, &size, &err), 0);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(text, bytes, size);
        assert_int_equal(text[size], '\0');
    }
}

static void test_what_is_no_file_of_that_size_is_refused_by_name(void **state)
{
    static const struct {
        const char *name;
        size_t max_bytes;
        enum err_code code;
        const char *why;
    } cases[] = {
        {"absent", 10, ERR_NOT_FOUND, "No such file"},
        {"five", 4, ERR_INTERNAL, "over 4 bytes"},
        {"fifo", 10, ERR_INTERNAL, "not a regular file"},
        {".", 10, ERR_INTERNAL, "not a regular file"},
        {"five/below", 10, ERR_INTERNAL, "Not a directory"},
    };
    struct context *c = *state;
    scratch_write_text(&c->scratch, "five", "12345");
    assert_int_equal(mkfifo(path_of(c, "fifo"), 0600), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {.code = ERR_NONE};
        char *text = NULL;
        size_t size = 7;
        const char *path = path_of(c, cases[i].name);
        assert_int_equal(file_read(c->arena, path, cases[i].max_bytes, &text, &size, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.detail, path));
        assert_non_null(strstr(err.detail, cases[i].why));
        assert_null(text);
        assert_int_equal(size, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_byte_comes_and_a_nul_after_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_file_of_that_size_is_refused_by_name, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
