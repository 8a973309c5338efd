/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key has one form, and nothing else is taken for one.
 */
#include "auth/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define VALID "gs_abcdefghij09_0123456789012345678901234567890123456789-_A"

static void test_a_new_key_parses_to_its_own_id_and_hash(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char text[KEY_TEXT_LENGTH + 1], id[KEY_ID_LENGTH + 1], parsed_id[KEY_ID_LENGTH + 1];
        unsigned char hash[KEY_HASH_SIZE], parsed_hash[KEY_HASH_SIZE];
        struct error err;
        assert_int_equal(key_generate(text, id, hash, &err), 0);
        assert_int_equal(strlen(text), KEY_TEXT_LENGTH);
        assert_true(key_parse(text, parsed_id, parsed_hash));
        assert_string_equal(parsed_id, id);
        assert_memory_equal(parsed_hash, hash, KEY_HASH_SIZE);
    }
}

static void test_no_two_keys_are_alike(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static char texts[COUNT][KEY_TEXT_LENGTH + 1];
    for (int i = 0; i < COUNT; i++) {
        char id[KEY_ID_LENGTH + 1];
        unsigned char hash[KEY_HASH_SIZE];
        struct error err;
        assert_int_equal(key_generate(texts[i], id, hash, &err), 0);
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(memcmp(texts[i] + 3, texts[j] + 3, KEY_ID_LENGTH), 0);
            assert_string_not_equal(texts[i] + 16, texts[j] + 16);
        }
    }
}

/* The hash is of the whole text: `printf %s gs_… | sha256sum`. */
static void test_the_hash_is_sha256_of_the_whole_text(void **state)
{
    static const unsigned char expected[KEY_HASH_SIZE] = {
        0x98, 0x11, 0xcc, 0xf1, 0xc1, 0x0c, 0x00, 0xf8, 0x56, 0x3f, 0x41,
        0x88, 0x8a, 0xbb, 0x19, 0x09, 0x48, 0xf3, 0x3f, 0xe4, 0xac, 0x0d,
        0xd9, 0x73, 0x67, 0x63, 0x99, 0xed, 0x14, 0x17, 0x3b, 0xb5};
    char id[KEY_ID_LENGTH + 1];
    unsigned char hash[KEY_HASH_SIZE];
    (void)state;
    assert_true(key_parse(VALID, id, hash));
    assert_string_equal(id, "abcdefghij09");
    assert_memory_equal(hash, expected, KEY_HASH_SIZE);
}

static void test_what_has_another_form_is_no_key(void **state)
{
    static const char *const texts[] = {
        "",
        "gs_",
        "gs_abcdefghij09_",
        "gs_abcdefghij09",
        "GS_abcdefghij09_0123456789012345678901234567890123456789-_A",
        "gs-abcdefghij09_0123456789012345678901234567890123456789-_A",
        "gs_Abcdefghij09_0123456789012345678901234567890123456789-_A",
        "gs_abcdefghij0__0123456789012345678901234567890123456789-_A",
        "gs_abcdefghij09-0123456789012345678901234567890123456789-_A",
        "gs_abcdefghij09_0123456789012345678901234567890123456789-_",
        "gs_abcdefghij09_0123456789012345678901234567890123456789-_AA",
        "gs_abcdefghij09_012345678901234567890123456789012345678+-_A",
        "gs_abcdefghij09_012345678901234567890123456789012345678/-_A",
        "gs_abcdefghij09_0123456789012345678901234567890123456789-_=",
        "gs_abcdefghij09_0123456789012345678901234567890123456789-_ ",
        " gs_abcdefghij09_0123456789012345678901234567890123456789-_",
        "gs_abcdefghij09_0123456789012345678901234567890123456789-_\xc3",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char id[KEY_ID_LENGTH + 1] = "untouched";
        unsigned char hash[KEY_HASH_SIZE];
        assert_false(key_parse(texts[i], id, hash));
        assert_string_equal(id, "untouched");
    }
}

static void test_scopes_go_by_name(void **state)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } cases[] = {
        {"run", SCOPE_RUN},
        {"jobs:read", SCOPE_JOBS_READ},
        {"jobs:write", SCOPE_JOBS_WRITE},
        {"admin", SCOPE_ADMIN},
        {"", 0},
        {"Run", 0},
        {"jobs", 0},
        {"run ", 0},
        {"run,admin", 0},
    };
    struct strbuf out = STRBUF_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(key_scope_parse(cases[i].name), cases[i].bit);
    key_scopes_print(SCOPE_ALL, &out);
    assert_string_equal(out.text, "run jobs:read jobs:write admin");
    strbuf_reset(&out);
    key_scopes_print(SCOPE_JOBS_WRITE | SCOPE_RUN, &out);
    assert_string_equal(out.text, "run jobs:write");
    strbuf_reset(&out);
    key_scopes_print(0, &out);
    assert_string_equal(out.text, "");
    strbuf_release(&out);
}

static void test_a_tenant_is_a_short_plain_name(void **state)
{
    char longest[KEY_TENANT_SIZE + 1];
    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[KEY_TENANT_SIZE - 1] = '\0';
    assert_true(key_tenant_is_valid(longest));
    longest[KEY_TENANT_SIZE - 1] = 'a';
    longest[KEY_TENANT_SIZE] = '\0';
    assert_false(key_tenant_is_valid(longest));
    assert_true(key_tenant_is_valid("a"));
    assert_true(key_tenant_is_valid("Shop-3.test_B"));
    assert_false(key_tenant_is_valid(""));
    assert_false(key_tenant_is_valid("a b"));
    assert_false(key_tenant_is_valid("a/b"));
    assert_false(key_tenant_is_valid("a\n"));
    assert_false(key_tenant_is_valid("\xc3\xa4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_key_parses_to_its_own_id_and_hash),
        cmocka_unit_test(test_no_two_keys_are_alike),
        cmocka_unit_test(test_the_hash_is_sha256_of_the_whole_text),
        cmocka_unit_test(test_what_has_another_form_is_no_key),
        cmocka_unit_test(test_scopes_go_by_name),
        cmocka_unit_test(test_a_tenant_is_a_short_plain_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
