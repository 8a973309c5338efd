/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decimal digits: the same as the C library writes.
 */
#include "base/decimal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const int64_t numbers[] = {0,         1,         9,        10,       99,        100,
                                  999,       1000,      1001,     12345678, INT32_MAX, INT32_MIN,
                                  INT64_MAX, INT64_MIN, -1,       -9,       -10,       -999,
                                  -1000,     -123456,   86399999, 1,        UINT32_MAX};
#define COUNT (sizeof(numbers) / sizeof(numbers[0]))

static void test_integers_are_as_printf_has_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        char text[DECIMAL_SIZE + 1], expected[DECIMAL_SIZE + 1];
        *decimal_integer(text, numbers[i]) = '\0';
        (void)snprintf(expected, sizeof(expected), "%" PRId64, numbers[i]);
        assert_string_equal(text, expected);
    }
}

static void test_digits_are_filled_up_with_zeros(void **state)
{
    (void)state;
    for (int width = 0; width <= 12; width++) {
        for (size_t i = 0; i < COUNT; i++) {
            char text[DECIMAL_SIZE + 1], expected[DECIMAL_SIZE + 1];
            *decimal_digits(text, (uint64_t)numbers[i], width) = '\0';
            (void)snprintf(expected, sizeof(expected), "%0*" PRIu64, width, (uint64_t)numbers[i]);
            assert_string_equal(text, expected);
        }
    }
}

static void test_microseconds_are_shown_as_milliseconds(void **state)
{
    static const struct {
        int64_t number;
        const char *expected;
    } examples[] = {{0, "0.000"},
                    {1, "0.001"},
                    {12, "0.012"},
                    {999, "0.999"},
                    {1000, "1.000"},
                    {1234567, "1234.567"},
                    {-1, "-0.001"},
                    {-2500, "-2.500"},
                    {INT64_MAX, "9223372036854775.807"},
                    {INT64_MIN, "-9223372036854775.808"}};
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        char text[DECIMAL_SIZE + 1];
        *decimal_thousandths(text, examples[i].number) = '\0';
        assert_string_equal(text, examples[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_as_printf_has_them),
        cmocka_unit_test(test_digits_are_filled_up_with_zeros),
        cmocka_unit_test(test_microseconds_are_shown_as_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
