/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_prefer.c - wishes that can be read are read, all others cost nothing
 */
#include "http/prefer.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct example {
    const char *field;
    bool respond_async;
    int wait_seconds;
};

static void check(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        struct prefer p = prefer_parse(e->field);
        if (p.respond_async != e->respond_async || p.wait_seconds != e->wait_seconds)
            fail_msg("Prefer: %s gave respond-async %d, wait %d", e->field ? e->field : "(none)",
                     p.respond_async, p.wait_seconds);
    }
}

static void test_preferences_are_read(void **state)
{
    static const struct example examples[] = {
        {NULL, false, -1},
        {"", false, -1},
        {"respond-async", true, -1},
        {"Respond-Async", true, -1},
        {"respond-async, wait=10", true, 10},
        {"respond-async,wait=10", true, 10},
        {" wait=0 ,\trespond-async ", true, 0},
        {"wait = 5", false, 5},
        {"wait=\"5\"", false, 5},
        {"respond-async; foo=\"a,b;c\"; bar, wait=7;x", true, 7},
        {"respond-async=", false, -1},
        {"respond-async=\"\"", true, -1},
        {",,respond-async,,", true, -1},
        {"handling=lenient, return=minimal, respond-async", true, -1},
        {"wait=2147483647", false, INT_MAX},
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void test_of_a_repeated_preference_the_first_counts(void **state)
{
    static const struct example examples[] = {
        {"wait=5, wait=6", false, 5},
        {"wait=0, WAIT=6", false, 0},
        {"respond-async, respond-async", true, -1},
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void test_what_is_not_well_formed_or_not_known_is_ignored(void **state)
{
    static const struct example examples[] = {
        {"respond-async=1", false, -1},
        {"respond-asynchronously", false, -1},
        {"x-respond-async", false, -1},
        {"\"respond-async\"", false, -1},
        {"foo=\"respond-async, wait=3\"", false, -1},
        {"foo=\"a\\\"b, wait=3\", wait=4", false, 4},
        {"foo=\"wait=3, respond-async", false, -1}, /* the quote never ends */
        {"foo=\"\\", false, -1},
        {"respond-async wait=3", false, -1},
        {"respond async, wait=3", false, 3},
        {"wait", false, -1},
        {"wait=", false, -1},
        {"wait=-1", false, -1},
        {"wait=+1", false, -1},
        {"wait=1.5", false, -1},
        {"wait=1s", false, -1},
        {"wait=0x10", false, -1},
        {"wait=, wait=3", false, 3},
        {"wait=99999999999999999999999999", false, INT_MAX},
        {"wait=2147483648", false, INT_MAX},
        {"=5, ;, \"\", wait=1", false, 1},
        {"\303\251, respond-async", true, -1},
    };
    (void)state;
    check(examples, COUNT(examples));
}

static void test_a_long_field_is_read_in_linear_time(void **state)
{
    enum { SIZE = 1 << 20 };
    (void)state;
    for (const char *c = "\"\\,;= a"; *c; c++) {
        char *field = malloc(SIZE + 1);
        memset(field, *c, SIZE);
        field[SIZE] = '\0';
        struct prefer p = prefer_parse(field);
        assert_false(p.respond_async);
        free(field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preferences_are_read),
        cmocka_unit_test(test_of_a_repeated_preference_the_first_counts),
        cmocka_unit_test(test_what_is_not_well_formed_or_not_known_is_ignored),
        cmocka_unit_test(test_a_long_field_is_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
