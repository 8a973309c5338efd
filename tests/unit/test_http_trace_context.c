/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The header field traceparent: what is taken over, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/trace_context.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define VALID "00-" TRACE "-" PARENT "-01"

static void test_a_valid_field_is_taken_over(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {VALID, VALID},
        {"00-" TRACE "-" PARENT "-00", "00-" TRACE "-" PARENT "-00"},
        {"00-" TRACE "-" PARENT "-03", "00-" TRACE "-" PARENT "-03"},
        {"00-" TRACE "-" PARENT "-ff",
         "00-" TRACE "-" PARENT "-03"}, /* unknown flags are dropped */
        {"01-" TRACE "-" PARENT "-01", VALID},
        {"cc-" TRACE "-" PARENT "-01-what-comes-later", VALID},
        {"cc-" TRACE "-" PARENT "-01-", VALID},
        {"00-00000000000000000000000000000001-0000000000000001-01",
         "00-00000000000000000000000000000001-0000000000000001-01"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char found[TRACEPARENT_SIZE];
        assert_true(traceparent_parse(cases[i].text, found));
        assert_string_equal(found, cases[i].expected);
    }
}

static void test_anything_else_is_none(void **state)
{
    static const char *const cases[] = {
        "",
        "0",
        "00",
        "00-",
        "00-" TRACE,
        "00-" TRACE "-",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-0",
        VALID "0",
        VALID "-",
        VALID "-more",
        VALID " ",
        " " VALID,
        VALID ", " VALID,
        "01-" TRACE "-" PARENT "-011",
        "01-" TRACE "-" PARENT "-01.more",
        "ff-" TRACE "-" PARENT "-01",
        "FF-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "000-" TRACE "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00-" TRACE "0-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473\n-" PARENT "-01",
        "00_" TRACE "_" PARENT "_01",
        "00-" TRACE "-" PARENT "-0A",
        "00-" TRACE "-" PARENT "-\"}",
        "00-" TRACE "-" PARENT "-\xc2\x85",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char found[TRACEPARENT_SIZE] = "as it was";
        if (traceparent_parse(cases[i], found))
            fail_msg("%s was taken as %s", cases[i], found);
        assert_string_equal(found, "as it was");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_valid_field_is_taken_over),
        cmocka_unit_test(test_anything_else_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
