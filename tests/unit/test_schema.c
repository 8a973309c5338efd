/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schemas: the cases stand in schema/ next to this file, as data. Here is what data cannot say:
 * hostile sizes, and the questions that the rest of the server asks.
 */
#include "base/schema.h"

#include <limits.h>
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
#include "base/utf8.h"

static cJSON *parse(struct arena *a, const char *text)
{
    struct error err = {0};
    cJSON *value = NULL;
    if (json_parse(a, text, strlen(text), &value, &err) < 0)
        fail_msg("%s: %s", text, err.detail);
    assert_non_null(value);
    return value;
}

/* tests/unit/schema/NAME.json, an array. */
static cJSON *read_cases(struct arena *a, const char *name)
{
    char path[PATH_MAX];
    struct strbuf sb = STRBUF_INIT;
    char piece[4096];
    size_t size;
    const char *source = getenv("srcdir");
    (void)snprintf(path, sizeof(path), "%s/tests/unit/schema/%s.json", source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    while ((size = fread(piece, 1, sizeof(piece), file)) > 0)
        strbuf_add(&sb, piece, size);
    assert_int_equal(fclose(file), 0);
    cJSON *cases = parse(a, sb.text);
    strbuf_release(&sb);
    assert_true(cJSON_GetArraySize(cases) > 0);
    return cases;
}

static struct schema *compile_value(struct arena *a, const cJSON *source)
{
    struct error err = {0};
    struct schema *s = NULL;
    if (schema_compile(a, source, "t.json#", &s, &err) < 0)
        fail_msg("%s: %s", json_print(a, source, NULL), err.detail);
    assert_non_null(s);
    return s;
}

static struct schema *compile(struct arena *a, const char *text)
{
    return compile_value(a, parse(a, text));
}

static const char *print_errors(struct arena *a, const struct field_errors *errors)
{
    const char *text = "";
    for (const struct field_error *e = errors->first; e; e = e->next) {
        assert_true(utf8_is_valid(e->detail, strlen(e->detail)));
        text = arena_printf(a, "%s%s: %s\n", text, e->pointer, e->detail);
    }
    return text;
}

/* "errors" lists whole errors, "pointers" only their places; neither: the instance is valid. */
static const char *expected_errors(struct arena *a, const cJSON *test, struct field_errors *errors)
{
    const char *text = "";
    const cJSON *item;
    const struct field_error *e = errors->first;
    cJSON_ArrayForEach(item, json_member(test, "errors")) text =
        arena_printf(a, "%s%s\n", text, item->valuestring);
    cJSON_ArrayForEach(item, json_member(test, "pointers"))
    {
        text = arena_printf(a, "%s%s: %s\n", text, item->valuestring, e ? e->detail : "none");
        e = e ? e->next : NULL;
    }
    return text;
}

static void check_case(struct arena *a, const struct schema *s, const char *about,
                       const cJSON *test)
{
    struct field_errors errors = {.arena = a};
    cJSON *instance = json_copy(json_member(test, "instance"));
    (void)arena_own(a, instance, (void (*)(void *))cJSON_Delete);
    const char *given = json_print(a, instance, NULL);
    int count = schema_validate(s, instance, "", &errors);
    const char *got = print_errors(a, &errors);
    const char *want = expected_errors(a, test, &errors);
    assert_int_equal(count, errors.count);
    if (strcmp(got, want) != 0)
        fail_msg("%s: %s\ngot:\n%swant:\n%s", about, given, got, want);
    const cJSON *result = json_member(test, "result");
    if (result)
        assert_string_equal(json_print(a, instance, NULL), json_print(a, result, NULL));
    else if (count == 0)
        assert_string_equal(json_print(a, instance, NULL), given);
}

static void check_file(struct arena *a, const char *name)
{
    const cJSON *group;
    const cJSON *test;
    cJSON_ArrayForEach(group, read_cases(a, name))
    {
        const struct schema *s = compile_value(a, json_member(group, "schema"));
        assert_true(cJSON_GetArraySize(json_member(group, "cases")) > 0);
        cJSON_ArrayForEach(test, json_member(group, "cases"))
            check_case(a, s, json_member(group, "about")->valuestring, test);
    }
}

static void test_types_hold(void **state)
{
    check_file(*state, "types");
}

static void test_numbers_hold(void **state)
{
    check_file(*state, "numbers");
}

static void test_strings_hold(void **state)
{
    check_file(*state, "strings");
}

static void test_formats_hold(void **state)
{
    check_file(*state, "formats");
}

static void test_enum_and_const_go_by_json_equality(void **state)
{
    check_file(*state, "values");
}

static void test_arrays_hold(void **state)
{
    check_file(*state, "arrays");
}

static void test_objects_hold(void **state)
{
    check_file(*state, "objects");
}

static void test_defaults_are_filled_in(void **state)
{
    check_file(*state, "defaults");
}

static void test_choices_report_what_was_meant(void **state)
{
    check_file(*state, "choices");
}

static void test_wrong_schema_does_not_compile_and_the_error_names_the_place(void **state)
{
    const cJSON *test;
    cJSON_ArrayForEach(test, read_cases(*state, "wrong"))
    {
        struct error err = {0};
        struct schema *s = NULL;
        const cJSON *source = json_member(test, "schema");
        const char *want =
            arena_printf(*state, "t.json#%s", json_member(test, "error")->valuestring);
        if (schema_compile(*state, source, "t.json#", &s, &err) == 0)
            fail_msg("compiles: %s", json_print(*state, source, NULL));
        assert_null(s);
        assert_int_equal(err.code, ERR_INTERNAL);
        assert_string_equal(err.detail, want);
    }
}

static void test_text_becomes_the_value_its_schema_wants(void **state)
{
    const cJSON *test;
    const cJSON *want;
    cJSON_ArrayForEach(test, read_cases(*state, "texts"))
    {
        const struct schema *s = compile_value(*state, json_member(test, "schema"));
        cJSON_ArrayForEach(want, json_member(test, "texts"))
        {
            cJSON *got = schema_value_from_text(s, *state, want->string);
            assert_string_equal(json_print(*state, got, NULL), json_print(*state, want, NULL));
            cJSON_Delete(got);
        }
    }
    cJSON *unknown = schema_value_from_text(NULL, *state, "12");
    assert_string_equal(cJSON_GetStringValue(unknown), "12");
    cJSON_Delete(unknown);
}

static void test_properties_are_found_by_exact_name(void **state)
{
    const struct schema *s =
        compile(*state, "{\"properties\":{\"b\":{\"title\":\"B\"},\"a\":{\"title\":\"A\"}},"
                        "\"required\":[\"c\"]}");
    const struct schema *b = schema_property(s, "b");
    assert_string_equal(json_member(schema_source(b), "title")->valuestring, "B");
    assert_non_null(schema_property(s, "a"));
    assert_null(schema_property(s, "B"));
    assert_null(schema_property(s, "c"));
    assert_null(schema_property(b, "b"));
    assert_null(schema_property(compile(*state, "true"), "b"));
}

static void test_additional_members_are_known_to_be_allowed_or_not(void **state)
{
    static const struct {
        const char *schema;
        bool is_allowed;
    } cases[] = {
        {"{}", true},
        {"true", true},
        {"false", false},
        {"{\"additionalProperties\":true}", true},
        {"{\"additionalProperties\":{\"type\":\"string\"}}", true},
        {"{\"additionalProperties\":false}", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(schema_allows_additional(compile(*state, cases[i].schema)),
                         cases[i].is_allowed);
}

static void test_errors_stand_below_the_given_pointer_and_after_earlier_ones(void **state)
{
    struct field_errors errors = {.arena = *state};
    const struct schema *s = compile(*state, "{\"properties\":{\"a\":{\"type\":\"null\"}}}");
    field_errors_add(&errors, "/first", "is earlier");
    assert_int_equal(schema_validate(s, parse(*state, "{\"a\":1}"), "/jobs/3/params", &errors), 1);
    assert_int_equal(errors.count, 2);
    assert_string_equal(print_errors(*state, &errors), "/first: is earlier\n"
                                                       "/jobs/3/params/a: must be null, got 1\n");
}

/* {"n0":0,"n1":0,…} or, without names, [0,1,…] */
static const char *many(struct arena *a, int count, bool has_names, const char *last)
{
    struct strbuf sb = STRBUF_INIT;
    strbuf_addstr(&sb, has_names ? "{" : "[");
    for (int i = 0; i < count; i++)
        strbuf_addf(&sb, has_names ? "\"n%d\":0," : "%d,", i);
    strbuf_addstr(&sb, last);
    strbuf_addstr(&sb, has_names ? "}" : "]");
    const char *text = arena_strdup(a, sb.text);
    strbuf_release(&sb);
    return text;
}

static void test_a_hundred_errors_are_kept_and_all_counted(void **state)
{
    struct field_errors errors = {.arena = *state};
    const struct schema *s =
        compile(*state, "{\"properties\":{\"n\":{}},\"additionalProperties\":false}");
    cJSON *instance = parse(*state, many(*state, 200000, true, "\"n\":0"));
    assert_int_equal(schema_validate(s, instance, "", &errors), 200000);
    int kept = 0;
    for (const struct field_error *e = errors.first; e; e = e->next)
        kept++;
    assert_int_equal(kept, FIELD_ERRORS_MAX);
}

static void test_large_arrays_and_objects_are_compared(void **state)
{
    struct field_errors errors = {.arena = *state};
    const struct schema *s = compile(*state, "{\"uniqueItems\":true}");
    cJSON *unique = parse(*state, many(*state, 200000, false, "[0]"));
    assert_int_equal(schema_validate(s, unique, "", &errors), 0);
    cJSON *repeated = parse(*state, many(*state, 200000, false, "77777.0"));
    assert_int_equal(schema_validate(s, repeated, "", &errors), 1);
    assert_non_null(strstr(errors.first->detail, "items 77777 and 200000"));
    const char *object = many(*state, 100000, true, "\"x\":0");
    cJSON *objects = parse(*state, arena_printf(*state, "[%s,0,%s]", object, object));
    assert_int_equal(schema_validate(s, objects, "", &errors), 1);
}

static void test_long_strings_do_not_slow_a_pattern_down(void **state)
{
    struct field_errors errors = {.arena = *state};
    const struct schema *s = compile(*state, "{\"pattern\":\"a+b|(a|aa)+c\"}");
    char *text = arena_alloc(*state, 65537 + 1);
    memset(text, 'a', 65536);
    cJSON longest = {.type = cJSON_String, .valuestring = text};
    assert_int_equal(schema_validate(s, &longest, "", &errors), 1);
    assert_non_null(strstr(errors.first->detail, "must match the pattern"));
    text[65535] = 'b';
    assert_int_equal(schema_validate(s, &longest, "", &errors), 0);
    text[65536] = 'b';
    assert_int_equal(schema_validate(s, &longest, "", &errors), 1);
    assert_string_equal(errors.last->detail,
                        "must have at most 65536 bytes, to be compared with a pattern");
}

static void test_defaults_cannot_fill_the_memory(void **state)
{
    struct field_errors errors = {.arena = *state};
    struct strbuf sb = STRBUF_INIT;
    const struct schema *s =
        compile(*state, "{\"items\":{\"properties\":{\"a\":{\"default\":1},\"b\":{\"default\":1},"
                        "\"c\":{\"default\":1},\"d\":{\"default\":1},\"e\":{\"default\":1}}}}");
    strbuf_addstr(&sb, "[{}");
    for (int i = 1; i < 200010; i++)
        strbuf_addstr(&sb, ",{}");
    strbuf_addstr(&sb, "]");
    cJSON *instance = parse(*state, sb.text);
    strbuf_release(&sb);
    assert_int_equal(schema_validate(s, instance, "", &errors), 50);
    assert_string_equal(errors.first->pointer, "/200000/a");
    assert_string_equal(errors.first->detail,
                        "is absent from too many objects to fill in its default");
}

static void test_a_pointer_does_not_repeat_a_client_s_megabyte(void **state)
{
    struct field_errors errors = {.arena = *state};
    const struct schema *s =
        compile(*state, "{\"additionalProperties\":{\"additionalProperties\":false}}");
    char *name = arena_alloc(*state, 1000001);
    for (int i = 0; i < 1000000; i += 2)
        memcpy(name + i, "ä", 2);
    cJSON *instance = parse(*state, arena_printf(*state, "{\"%s\":{\"%s\":1}}", name, name));
    assert_int_equal(schema_validate(s, instance, "", &errors), 1);
    assert_true(strlen(errors.first->pointer) < 500);
    assert_true(utf8_is_valid(errors.first->pointer, strlen(errors.first->pointer)));
}

/* 2^30 walks, were each level to walk each branch of the next once for trying and once for telling
 */
static void test_choices_within_choices_cost_their_depth_only(void **state)
{
    struct field_errors errors = {.arena = *state};
    const char *text = "{\"type\":\"null\"}";
    for (int i = 0; i < 30; i++)
        text = arena_printf(*state, "{\"anyOf\":[%s,{\"type\":\"boolean\"}]}", text);
    const struct schema *s = compile(*state, text);
    assert_int_equal(schema_validate(s, parse(*state, "1"), "", &errors), 1);
    assert_string_equal(errors.first->detail, "must be a boolean or null, got 1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    static const struct CMUnitTest tests[] = {
        WITH_ARENA(test_types_hold),
        WITH_ARENA(test_numbers_hold),
        WITH_ARENA(test_strings_hold),
        WITH_ARENA(test_formats_hold),
        WITH_ARENA(test_enum_and_const_go_by_json_equality),
        WITH_ARENA(test_arrays_hold),
        WITH_ARENA(test_objects_hold),
        WITH_ARENA(test_defaults_are_filled_in),
        WITH_ARENA(test_choices_report_what_was_meant),
        WITH_ARENA(test_wrong_schema_does_not_compile_and_the_error_names_the_place),
        WITH_ARENA(test_text_becomes_the_value_its_schema_wants),
        WITH_ARENA(test_properties_are_found_by_exact_name),
        WITH_ARENA(test_additional_members_are_known_to_be_allowed_or_not),
        WITH_ARENA(test_errors_stand_below_the_given_pointer_and_after_earlier_ones),
        WITH_ARENA(test_a_hundred_errors_are_kept_and_all_counted),
        WITH_ARENA(test_large_arrays_and_objects_are_compared),
        WITH_ARENA(test_long_strings_do_not_slow_a_pattern_down),
        WITH_ARENA(test_defaults_cannot_fill_the_memory),
        WITH_ARENA(test_a_pointer_does_not_repeat_a_client_s_megabyte),
        WITH_ARENA(test_choices_within_choices_cost_their_depth_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
