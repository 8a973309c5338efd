/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strict JSON: what is taken, what is refused and where, and that numbers survive a round trip.
 */
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "base/strbuf.h"

/* From a buffer of exactly `size` bytes, so that a sanitizer sees a read beyond it. */
static int parse_exactly(struct arena *a, const char *text, size_t size, cJSON **ret_value,
                         struct error *reterr)
{
    char *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    if (size > 0)
        memcpy(exact, text, size);
    int failed = json_parse(a, exact, size, ret_value, reterr);
    free(exact);
    return failed;
}

static cJSON *parse(struct arena *a, const char *text)
{
    struct error err = {0};
    cJSON *value = NULL;
    if (parse_exactly(a, text, strlen(text), &value, &err) < 0)
        fail_msg("%s: %s", text, err.detail);
    assert_non_null(value);
    return value;
}

static void test_good_text_is_taken_and_printed_compactly(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"null", NULL},
        {" \t\r\ntrue \n", "true"},
        {"false", NULL},
        {"0", NULL},
        {"-0", NULL},
        {"1.0", "1"},
        {"-1.5e-3", "-0.0015"},
        {"1E+2", "100"},
        {"1e308", "1e+308"},
        {"1e-400", "0"},
        {"0e999999999999", "0"},
        {"9007199254740992", NULL},
        {"-9007199254740992", NULL},
        {"9007199254740991", NULL},
        {"1234567890123456", NULL},
        {"0.1", NULL},
        {"0.30000000000000004", NULL},
        {"1e16", "1e+16"},
        {"-23836927983736627.6", "-23836927983736628.0"},
        {"9007199254740994.0", NULL},
        {"\"\"", NULL},
        {"\"a\\u0062\\n\\/\"", "\"ab\\u000a/\""},
        {"\"\\ud83d\\ude00 ä€\"", "\"😀 ä€\""},
        {"[]", NULL},
        {"[ ]", "[]"},
        {"[1, [2, {}], \"x\"]", "[1,[2,{}],\"x\"]"},
        {"{\"a\" : 1 , \"A\":2,\"\":[]}", "{\"a\":1,\"A\":2,\"\":[]}"},
        {"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":2}]}", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = 0;
        const char *want = cases[i].printed ? cases[i].printed : cases[i].text;
        const char *got = json_print(*state, parse(*state, cases[i].text), &size);
        assert_string_equal(got, want);
        assert_int_equal(size, strlen(want));
    }
}

static void test_bad_text_is_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *text, *where;
    } cases[] = {
        {"", "line 1, column 1: the text ends too early"},
        {" \n ", "line 2, column 2: the text ends too early"},
        {"nul", "column 1: expected a value"},
        {"True", "column 1: expected a value"},
        {"1 2", "column 3: text after the end of the value"},
        {"{}}", "column 3: text after the end of the value"},
        {"[1,]", "column 4: expected a value"},
        {"[1 2]", "column 4: expected ',' or ']'"},
        {"[1", "column 3: the text ends too early"},
        {"{\"a\":1,}", "column 8: expected a member's name in double quotes"},
        {"{\"a\" 1}", "column 6: expected ':' after a member's name"},
        {"{\"a\":1 \"b\":2}", "column 8: expected ',' or '}'"},
        {"{a:1}", "column 2: expected a member's name in double quotes"},
        {"{'a':1}", "column 2: expected a member's name"},
        {"{\n  \"ä€\": 01}", "line 2, column 10: expected ',' or '}'"},
        {"+1", "column 1: expected a value"},
        {".5", "column 1: expected a value"},
        {"-", "column 2: the text ends too early"},
        {"-x", "column 2: expected a digit"},
        {"1.", "column 3: the text ends too early"},
        {"1.e1", "column 3: expected a digit after the decimal point"},
        {"1e+", "column 4: the text ends too early"},
        {"1e+x", "column 4: expected a digit in the exponent"},
        {"0x10", "column 2: text after the end of the value"},
        {"NaN", "column 1: expected a value"},
        {"[9007199254740993]", "column 2: an integer beyond 9007199254740992"},
        {"-9007199254740993", "column 1: an integer beyond 9007199254740992"},
        {"123456789012345678901234567890123456789012345678901234567890123456789",
         "column 1: an integer beyond 9007199254740992"},
        {"[1, 1e309]", "column 5: the number is too large"},
        {"-1e999999999999999999999", "column 1: the number is too large"},
        {"\"a", "column 3: the text ends too early"},
        {"\"a\nb\"", "column 3: a control character has to be escaped"},
        {"\"\t\"", "column 2: a control character has to be escaped"},
        {"\"\\x\"", "column 3: unknown escape"},
        {"\"\\", "column 3: the text ends too early"},
        {"\"\\u12g4\"", "column 6: expected four hexadecimal digits"},
        {"\"ab\\u0000\"", "column 4: U+0000 is not allowed"},
        {"\"\\ud800\"", "column 2: half a surrogate pair"},
        {"\"\\ud800\\n\"", "column 2: half a surrogate pair"},
        {"\"\\ud800\\ud800\"", "column 2: half a surrogate pair"},
        {"\"\\udc00\\ud800\"", "column 2: half a surrogate pair"},
        {"\"\xff\"", "column 2: not valid UTF-8"},
        {"\"\xc0\xaf\"", "column 2: not valid UTF-8"},
        {"\"\xed\xa0\x80\"", "column 2: not valid UTF-8"},
        {"\"ä\xe2\x82\"", "column 3: not valid UTF-8"},
        {"\xef\xbb\xbf{}", "column 1: a byte-order mark"},
        {"[1] // one", "column 5: text after the end of the value"},
        {"{\"a\":1,\n \"a\":2}", "line 2, column 2: the name is repeated"},
        {"{\"b\":1,\"a\":{\"x\":1},\"c\":[],\"\\u0062\":2}", "column 27: the name is repeated"},
        {"[{\"x\":1},{\"x\":1,\"y\":{\"z\":0,\"z\":0}}]", "column 28: the name is repeated"},
        {"{\"n\":1.00000000000000000000000000000000000000000000000000000000000000000001,\"n\":0}",
         "column 77: the name is repeated"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        cJSON *value = NULL;
        size_t size = strlen(cases[i].text);
        assert_int_equal(parse_exactly(*state, cases[i].text, size, &value, &err), -1);
        assert_null(value);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        if (!strstr(err.detail, cases[i].where))
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].text, err.detail, cases[i].where);
    }
}

static void test_nul_byte_is_refused_wherever_it_stands(void **state)
{
    static const char in_string[] = "\"a\0b\"";
    static const char behind[] = "1\0";
    struct error err = {0};
    cJSON *value = NULL;
    assert_int_equal(parse_exactly(*state, in_string, sizeof(in_string) - 1, &value, &err), -1);
    assert_non_null(strstr(err.detail, "control character"));
    assert_int_equal(parse_exactly(*state, behind, sizeof(behind) - 1, &value, &err), -1);
    assert_non_null(strstr(err.detail, "text after the end"));
    assert_int_equal(parse_exactly(*state, "1\\", 2, &value, NULL), -1);
}

/* `count` times `open`, then `inner`, then `count` times `close`. */
static char *nested(struct arena *a, size_t count, const char *open, const char *inner,
                    const char *close)
{
    struct strbuf sb = STRBUF_INIT;
    for (size_t i = 0; i < count; i++)
        strbuf_addstr(&sb, open);
    strbuf_addstr(&sb, inner);
    for (size_t i = 0; i < count; i++)
        strbuf_addstr(&sb, close);
    char *text = arena_strdup(a, sb.text);
    strbuf_release(&sb);
    return text;
}

static void test_depth_ends_at_64_levels(void **state)
{
    struct error err = {0};
    cJSON *value = NULL;
    assert_non_null(parse(*state, nested(*state, 64, "[", "", "]")));
    assert_non_null(parse(*state, nested(*state, 64, "{\"a\":", "1", "}")));
    const char *deeper = nested(*state, 65, "[", "", "]");
    assert_int_equal(json_parse(*state, deeper, strlen(deeper), &value, &err), -1);
    assert_non_null(strstr(err.detail, "column 65: nested deeper than 64 levels"));
    const char *bottomless = nested(*state, 1000000, "[{\"\":", "", "");
    assert_int_equal(json_parse(*state, bottomless, strlen(bottomless), &value, &err), -1);
    assert_non_null(strstr(err.detail, "nested deeper than 64 levels"));
}

static void test_number_of_values_is_limited(void **state)
{
    struct error err = {0};
    cJSON *value = NULL;
    /* the array itself counts, and so does the value before the first comma */
    const char *most = arena_printf(*state, "[%s1]", nested(*state, 999998, "1,", "", ""));
    assert_int_equal(cJSON_GetArraySize(parse(*state, most)), 999999);
    const char *more = arena_printf(*state, "[%s1]", nested(*state, 999999, "1,", "", ""));
    assert_int_equal(json_parse(*state, more, strlen(more), &value, &err), -1);
    assert_non_null(strstr(err.detail, "more than 1000000 values"));
}

static void test_long_numbers_keep_their_value(void **state)
{
    static const char long_one[] =
        "[-0.0000000000000000000000000000000000000000000000000000000000000000000000000000012,"
        "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899,"
        "100000000000000000000000000000000000000000000000000000000000000000000000000000000000e-80]";
    const cJSON *array = parse(*state, long_one);
    assert_true(cJSON_GetArrayItem(array, 0)->valuedouble == -1.2e-78);
    assert_true(cJSON_GetArrayItem(array, 1)->valuedouble == 3.141592653589793);
    assert_true(cJSON_GetArrayItem(array, 2)->valuedouble == 1000);
    const char *zeros = nested(*state, 1000000, "0", "", "");
    const cJSON *small = parse(*state, arena_printf(*state, "1.%s", zeros));
    assert_true(small->valuedouble == 1);
}

static void test_large_object_with_one_repeated_name_is_refused(void **state)
{
    struct strbuf sb = STRBUF_INIT;
    struct error err = {0};
    cJSON *value = NULL;
    strbuf_addstr(&sb, "{");
    for (int i = 0; i < 200000; i++)
        strbuf_addf(&sb, "\"n%d\":0,", i);
    size_t before = sb.size;
    strbuf_addstr(&sb, "\"n200000\":0}");
    assert_int_equal(json_parse(*state, sb.text, sb.size, &value, &err), 0);
    assert_int_equal(cJSON_GetArraySize(value), 200001);
    memcpy(sb.text + before, "\"n123456", 8);
    assert_int_equal(json_parse(*state, sb.text, sb.size, &value, &err), -1);
    const char *where = arena_printf(*state, "column %zu: the name is repeated", before + 1);
    assert_non_null(strstr(err.detail, where));
    strbuf_release(&sb);
}

static void test_every_number_reads_back_as_itself(void **state)
{
    char text[JSON_NUMBER_SIZE];
    uint64_t bits = 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 100000; i++) {
        double number;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&number, &bits, sizeof(number));
        if (!isfinite(number))
            continue;
        json_format_number(number, text);
        assert_true(parse(*state, text)->valuedouble == number);
    }
    json_format_number(9007199254740991.0, text);
    assert_string_equal(text, "9007199254740991");
    json_format_number(-INFINITY, text);
    assert_string_equal(text, "null");
    json_format_number(NAN, text);
    assert_string_equal(text, "null");
}

static void test_members_are_found_by_their_exact_name(void **state)
{
    const cJSON *object = parse(*state, "{\"Width\":1,\"width\":2}");
    assert_int_equal(json_member(object, "width")->valueint, 2);
    assert_int_equal(json_member(object, "Width")->valueint, 1);
    assert_null(json_member(object, "WIDTH"));
    assert_null(json_member(parse(*state, "[1]"), "width"));
    assert_null(json_member(NULL, "width"));
}

static void test_integers_are_numbers_without_fraction_within_2_to_53(void **state)
{
    static const struct {
        const char *text;
        bool is_integer;
    } cases[] = {
        {"0", true},
        {"1.0", true},
        {"-3e2", true},
        {"9007199254740992", true},
        {"9007199254740994.0", false},
        {"1e20", false},
        {"0.5", false},
        {"\"1\"", false},
        {"true", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(json_is_integer(parse(*state, cases[i].text)), cases[i].is_integer);
    assert_false(json_is_integer(NULL));
}

static void test_trees_are_built_copied_and_printed(void **state)
{
    cJSON *object = json_object(*state);
    assert_non_null(cJSON_AddStringToObject(object, "a\"\n", "\x1f\\"));
    assert_non_null(cJSON_AddNumberToObject(object, "nan", NAN));
    assert_non_null(cJSON_AddRawToObject(object, "raw", "[1]"));
    cJSON *copy = json_copy(object);
    assert_true(cJSON_AddItemToObject(object, "copy", copy));
    assert_string_equal(json_print(*state, object, NULL),
                        "{\"a\\\"\\u000a\":\"\\u001f\\\\\",\"nan\":null,\"raw\":[1],"
                        "\"copy\":{\"a\\\"\\u000a\":\"\\u001f\\\\\",\"nan\":null,\"raw\":[1]}}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        WITH_ARENA(test_good_text_is_taken_and_printed_compactly),
        WITH_ARENA(test_bad_text_is_refused_with_line_and_column),
        WITH_ARENA(test_nul_byte_is_refused_wherever_it_stands),
        WITH_ARENA(test_depth_ends_at_64_levels),
        WITH_ARENA(test_number_of_values_is_limited),
        WITH_ARENA(test_long_numbers_keep_their_value),
        WITH_ARENA(test_large_object_with_one_repeated_name_is_refused),
        WITH_ARENA(test_every_number_reads_back_as_itself),
        WITH_ARENA(test_members_are_found_by_their_exact_name),
        WITH_ARENA(test_integers_are_numbers_without_fraction_within_2_to_53),
        WITH_ARENA(test_trees_are_built_copied_and_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
