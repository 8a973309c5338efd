/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strings that grow: always terminated, and JSON strings that nothing from outside can leave.
 */
#include "base/strbuf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void test_empty_one_is_a_string_and_needs_no_release(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    assert_string_equal(sb.text, "");
    assert_int_equal(sb.size, 0);
    strbuf_reset(&sb);
    strbuf_add(&sb, NULL, 0);
    strbuf_addstr(&sb, "");
    strbuf_addf(&sb, "%s", "");
    assert_string_equal(sb.text, "");
    strbuf_release(&sb);
    strbuf_release(&sb);
    strbuf_release(NULL);
}

static void test_parts_add_up(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    strbuf_addstr(&sb, "gang");
    strbuf_addch(&sb, ' ');
    strbuf_add(&sb, "saws", 3);
    strbuf_addf(&sb, " %d %s", 2, "blades");
    assert_string_equal(sb.text, "gang saw 2 blades");
    assert_int_equal(sb.size, strlen(sb.text));
    strbuf_release(&sb);
    assert_string_equal(sb.text, "");
    strbuf_addstr(&sb, "again");
    assert_string_equal(sb.text, "again");
    strbuf_release(&sb);
}

static void test_nul_bytes_are_bytes(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    strbuf_add(&sb, "a\0b", 3);
    strbuf_addch(&sb, '\0');
    assert_int_equal(sb.size, 4);
    assert_memory_equal(sb.text, "a\0b\0", 5);
    strbuf_release(&sb);
}

static void test_growing_keeps_every_byte(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        strbuf_addch(&sb, (char)('a' + i % 26));
        assert_int_equal(sb.text[sb.size], '\0');
    }
    strbuf_addf(&sb, "%*d", 50000, 7);
    assert_int_equal(sb.size, 150000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(sb.text[i], 'a' + i % 26);
    assert_int_equal(sb.text[149999], '7');
    assert_int_equal(sb.text[150000], '\0');
    strbuf_release(&sb);
}

static void test_reset_keeps_the_memory(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    strbuf_addf(&sb, "%*d", 1000, 7);
    const char *text = sb.text;
    strbuf_reset(&sb);
    assert_int_equal(sb.size, 0);
    assert_string_equal(sb.text, "");
    strbuf_addf(&sb, "%*d", 1000, 8);
    assert_ptr_equal(sb.text, text);
    assert_int_equal(sb.size, 1000);
    strbuf_release(&sb);
}

static const struct {
    const char *bytes;
    size_t size;
    const char *json, *parsed;
} json_cases[] = {
    {"", 0, "\"\"", ""},
    {"plain", 5, "\"plain\"", "plain"},
    {"\"\\/", 3, "\"\\\"\\\\/\"", "\"\\/"},
    {"\n\r\t", 3, "\"\\u000a\\u000d\\u0009\"", "\n\r\t"},
    {"\x1b\x7f", 2, "\"\\u001b\\u007f\"", "\x1b\x7f"},
    {"caf\xc3\xa9", 5, "\"caf\xc3\xa9\"", "caf\xc3\xa9"},
    {"\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80"},
    {"\xf0\x9f\x98\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xff\"", 2, "\"\xef\xbf\xbd\\\"\"", "\xef\xbf\xbd\""},
    {"\xc3\"", 2, "\"\xef\xbf\xbd\\\"\"", "\xef\xbf\xbd\""},
    {"\xc0\xa2", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
};

static void test_json_string_can_not_be_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(json_cases) / sizeof(json_cases[0]); i++) {
        struct arena *a = arena_new();
        struct strbuf sb = STRBUF_INIT;
        struct error err;
        cJSON *value;
        strbuf_add_json(&sb, json_cases[i].bytes, json_cases[i].size);
        assert_string_equal(sb.text, json_cases[i].json);
        assert_int_equal(json_parse(a, sb.text, sb.size, &value, &err), 0);
        assert_true(cJSON_IsString(value));
        assert_string_equal(value->valuestring, json_cases[i].parsed);
        strbuf_release(&sb);
        arena_free(a);
    }
}

static void test_json_string_escapes_nul(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    (void)state;
    strbuf_add_json(&sb, "a\0b", 3);
    assert_string_equal(sb.text, "\"a\\u0000b\"");
    strbuf_release(&sb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_one_is_a_string_and_needs_no_release),
        cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_nul_bytes_are_bytes),
        cmocka_unit_test(test_growing_keeps_every_byte),
        cmocka_unit_test(test_reset_keeps_the_memory),
        cmocka_unit_test(test_json_string_can_not_be_left),
        cmocka_unit_test(test_json_string_escapes_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
