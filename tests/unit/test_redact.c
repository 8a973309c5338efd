/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of base/redact.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/redact.h"

static void test_secrets_are_overwritten_and_nothing_else(void **state)
{
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"", ""},
        {"gs_", "gs_"},
        {"gs_abcdefghij12", "gs_abcdefghij12"},
        {"gs_abcdefghij12_", "gs_abcdefghij12_"},
        {"gs_abcdefghij12_S", "gs_abcdefghij12_*"},
        {"/x/gs_abcdefghij12_aZ9_-a?b", "/x/gs_abcdefghij12_******?b"},
        {"gs_abcdefghij1_secret", "gs_abcdefghij1_secret"},
        {"gs_abcdefghij123_secret", "gs_abcdefghij123_secret"},
        {"gs_ABCDEFGHIJ12_secret", "gs_ABCDEFGHIJ12_secret"},
        {"gs_gs_abcdefghij12_s, gs_000000000000_t", "gs_gs_abcdefghij12_*, gs_000000000000_*"},
        {"gs_gs_gs_gs_", "gs_gs_gs_gs_"},
        {"logs_in_here_and_there", "logs_in_here_and_there"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = strlen(cases[i].text);
        char *text = malloc(size + 1); /* exactly, so that a read beyond shows */
        assert_non_null(text);
        memcpy(text, cases[i].text, size);
        redact_keys(text, size);
        assert_memory_equal(text, cases[i].wanted, size);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets_are_overwritten_and_nothing_else)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
