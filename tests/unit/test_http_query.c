/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_query.c - query strings decode to exactly what was encoded, or are refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "http/query.h"

/* Fields as "name=value|name=value|". */
static const struct {
    const char *query, *fields;
} good[] = {
    {"", ""},
    {"&&", ""},
    {"a=1", "a=1|"},
    {"a=1&b=2", "a=1|b=2|"},
    {"a=1&a=2", "a=1|a=2|"},
    {"a", "a=|"},
    {"a=", "a=|"},
    {"=b", "=b|"},
    {"a=1&&b=2&", "a=1|b=2|"},
    {"a=b=c", "a=b=c|"},
    {"b=x%20y+z%2B", "b=x y z+|"},
    {"na%c3%aFve=%E2%82%AC", "na\303\257ve=\342\202\254|"},
    {"a%3D1=%26", "a=1=&|"},
    {"a=1;b=2", "a=1;b=2|"},
    {"q=\303\251", "q=\303\251|"},
};

static void test_fields_come_decoded_and_in_order(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct http_field *fields;
        int count;
        struct error err = {.code = ERR_NONE};
        if (query_parse(a, good[i].query, &fields, &count, &err) != 0)
            fail_msg("%s: %s", good[i].query, err.detail);
        struct strbuf sb = STRBUF_INIT;
        for (int j = 0; j < count; j++)
            strbuf_addf(&sb, "%s=%s|", fields[j].name, fields[j].value);
        assert_string_equal(sb.text, good[i].fields);
        strbuf_release(&sb);
    }
    arena_free(a);
}

static void test_bad_encoding_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a=%",      "a=%4",        "a=%zz",    "%4=1",    "a=%00",    "a=%ff",         "a=\xff",
        "a=%c3%28", "a=%ed%a0%80", "a=%c0%af", "%c3=%a9", "a=1&b=%%", "a=%f4%90%80%80"};
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_field *fields = NULL;
        int count = -7;
        struct error err = {.code = ERR_NONE};
        if (query_parse(a, bad[i], &fields, &count, &err) != -1 || err.code != ERR_INVALID_REQUEST)
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(count, -7);
    }
    arena_free(a);
}

static void test_a_thousand_fields_are_the_most(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct strbuf sb = STRBUF_INIT;
    struct http_field *fields;
    struct error err;
    int count;
    for (int i = 0; i < QUERY_FIELDS_MAX; i++)
        strbuf_addf(&sb, "%sa=%d", i ? "&" : "", i);
    assert_int_equal(query_parse(a, sb.text, &fields, &count, &err), 0);
    assert_int_equal(count, QUERY_FIELDS_MAX);
    assert_string_equal(fields[QUERY_FIELDS_MAX - 1].value, "999");
    strbuf_addstr(&sb, "&b=1");
    assert_int_equal(query_parse(a, sb.text, &fields, &count, &err), -1);
    strbuf_release(&sb);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_come_decoded_and_in_order),
        cmocka_unit_test(test_bad_encoding_is_refused),
        cmocka_unit_test(test_a_thousand_fields_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
