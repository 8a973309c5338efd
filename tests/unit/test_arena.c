/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arenas: what joins one is released with it, newest first, and nothing before that.
 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OBJECT_COUNT 5

struct witness {
    int released[OBJECT_COUNT];
    int count;
};

struct object {
    struct witness *witness;
    int number;
    const char *text; /* lives in the arena, and has to until release() */
};

static void release(void *pointer)
{
    const struct object *o = pointer;
    assert_string_equal(o->text, "still there");
    o->witness->released[o->witness->count++] = o->number;
}

static void own_objects(struct arena *a, struct witness *w)
{
    *w = (struct witness){.count = 0};
    for (int i = 0; i < OBJECT_COUNT; i++) {
        struct object *o = arena_alloc(a, sizeof(*o));
        *o = (struct object){.witness = w, .number = i, .text = arena_strdup(a, "still there")};
        assert_ptr_equal(arena_own(a, o, release), o);
    }
}

static void assert_newest_first(const struct witness *w)
{
    assert_int_equal(w->count, OBJECT_COUNT);
    for (int i = 0; i < OBJECT_COUNT; i++)
        assert_int_equal(w->released[i], OBJECT_COUNT - 1 - i);
}

static void test_objects_are_released_newest_first(void **state)
{
    struct witness w;
    struct arena *a = arena_new();
    (void)state;
    own_objects(a, &w);
    assert_int_equal(w.count, 0);
    arena_free(a);
    assert_newest_first(&w);
}

static void test_reset_releases_once_and_leaves_an_arena_to_use(void **state)
{
    struct witness w;
    struct arena *a = arena_new();
    (void)state;
    for (int round = 0; round < 3; round++) {
        own_objects(a, &w);
        (void)arena_alloc(a, 100000);
        for (int i = 0; i < 1000; i++)
            (void)arena_alloc(a, 100);
        arena_reset(a);
        assert_newest_first(&w);
        arena_reset(a);
        assert_newest_first(&w);
    }
    arena_free(a);
    assert_newest_first(&w);
}

static void test_null_is_not_owned(void **state)
{
    struct arena *a = arena_new();
    (void)state;
    assert_null(arena_own(a, NULL, release));
    arena_free(a);
    arena_free(NULL);
}

static void test_memory_is_zeroed_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {0,    1,    3,     15,    16,    17,     4095,
                                   4096, 4097, 16383, 16384, 16385, 1000000};
    enum { SIZE_COUNT = sizeof(sizes) / sizeof(sizes[0]), ROUNDS = 50 };
    static unsigned char *parts[ROUNDS][SIZE_COUNT];
    struct arena *a = arena_new();
    (void)state;
    for (int pass = 0; pass < 2; pass++) { /* the second time on memory that was used */
        for (int r = 0; r < ROUNDS; r++) {
            for (int i = 0; i < SIZE_COUNT; i++) {
                unsigned char *p = arena_alloc(a, sizes[i]);
                assert_non_null(p);
                assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
                for (size_t j = 0; j<sizes[i]; j += sizes[i]> 20000 ? 4096 : 1)
                    assert_int_equal(p[j], 0);
                memset(p, r + i + 1, sizes[i]);
                parts[r][i] = p;
            }
        }
        for (int r = 0; r < ROUNDS; r++) {
            for (int i = 0; i < SIZE_COUNT; i++) {
                if (sizes[i] > 0) {
                    assert_int_equal(parts[r][i][0], r + i + 1);
                    assert_int_equal(parts[r][i][sizes[i] - 1], r + i + 1);
                }
            }
        }
        arena_reset(a);
    }
    arena_free(a);
}

static void test_small_objects_stay_together_after_a_large_one(void **state)
{
    struct arena *a = arena_new();
    (void)state;
    const char *before = arena_alloc(a, 16);
    (void)arena_alloc(a, 1000000);
    const char *after = arena_alloc(a, 16);
    assert_ptr_equal(after, before + 16);
    arena_free(a);
}

static void test_copies_are_independent_and_terminated(void **state)
{
    struct arena *a = arena_new();
    char text[] = "gang saw";
    (void)state;
    char *all = arena_strdup(a, text);
    char *part = arena_strndup(a, text, 4);
    char *none = arena_strndup(a, NULL, 0);
    unsigned char *bytes = arena_memdup(a, text, sizeof(text));
    memset(text, 'x', sizeof(text));
    assert_string_equal(all, "gang saw");
    assert_string_equal(part, "gang");
    assert_string_equal(none, "");
    assert_memory_equal(bytes, "gang saw", sizeof(text));
    assert_non_null(arena_memdup(a, NULL, 0));
    arena_free(a);
}

static void test_printf_takes_any_length(void **state)
{
    struct arena *a = arena_new();
    (void)state;
    assert_string_equal(arena_printf(a, "%s", ""), "");
    assert_string_equal(arena_printf(a, "%s:%d", "gangsaw.conf", 12), "gangsaw.conf:12");
    const char *wide = arena_printf(a, "%*d", 100000, 7);
    assert_int_equal(strlen(wide), 100000);
    assert_int_equal(wide[99999], '7');
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_released_newest_first),
        cmocka_unit_test(test_reset_releases_once_and_leaves_an_arena_to_use),
        cmocka_unit_test(test_null_is_not_owned),
        cmocka_unit_test(test_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(test_small_objects_stay_together_after_a_large_one),
        cmocka_unit_test(test_copies_are_independent_and_terminated),
        cmocka_unit_test(test_printf_takes_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
