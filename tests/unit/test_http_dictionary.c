/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_dictionary.c - structured fields: all that RFC 8941 allows, and nothing else
 */
#include "http/dictionary.h"

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

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void print_item(struct strbuf *out, const struct dictionary_item *item)
{
    switch (item->kind) {
    case DICTIONARY_INTEGER:
        strbuf_addf(out, "%.0f", item->number);
        break;
    case DICTIONARY_DECIMAL:
        strbuf_addf(out, "%.3f", item->number);
        break;
    case DICTIONARY_STRING:
        strbuf_addf(out, "'%s'", item->text);
        break;
    case DICTIONARY_TOKEN:
        strbuf_addstr(out, item->text);
        break;
    case DICTIONARY_BYTES:
        strbuf_addstr(out, "bytes");
        break;
    case DICTIONARY_BOOLEAN:
        strbuf_addstr(out, item->number != 0 ? "true" : "false");
        break;
    case DICTIONARY_LIST:
        strbuf_addstr(out, "list");
        break;
    }
}

/* "name=value|name=(item item)" of all members. */
static void print_members(struct strbuf *out, const struct dictionary_member *members, int count)
{
    for (int i = 0; i < count; i++) {
        const struct dictionary_member *m = &members[i];
        strbuf_addf(out, "%s%s=", i > 0 ? "|" : "", m->name);
        if (m->item.kind != DICTIONARY_LIST) {
            print_item(out, &m->item);
            continue;
        }
        strbuf_addch(out, '(');
        for (int k = 0; k < m->item_count; k++) {
            strbuf_addstr(out, k > 0 ? " " : "");
            print_item(out, &m->items[k]);
        }
        strbuf_addch(out, ')');
    }
}

static void test_well_formed_fields_are_read(void **state)
{
    static const char *const examples[][2] = {
        {"", ""},
        {"   ", ""},
        {"priority=5, delay=60, unique=\"x\", max-attempts=3, timeout=600, tags=(\"a\" \"b\")",
         "priority=5|delay=60|unique='x'|max-attempts=3|timeout=600|tags=('a' 'b')"},
        {" a=1 ", "a=1"},
        {"a=1 \t,\t b=2", "a=1|b=2"},
        {"a=1,b=2", "a=1|b=2"},
        {"a=1\t", "a=1"},
        /* numbers */
        {"a=0, b=-0, c=-7, d=007", "a=0|b=-0|c=-7|d=7"},
        {"a=999999999999999, b=-999999999999999", "a=999999999999999|b=-999999999999999"},
        {"a=1.5, b=-0.125, c=123456789012.123, d=0.0",
         "a=1.500|b=-0.125|c=123456789012.123|d=0.000"},
        {"a=0.001, b=1.50", "a=0.001|b=1.500"},
        /* texts */
        {"a=\"\"", "a=''"},
        {"a=\"say \\\"hi\\\" \\\\ there\"", "a='say \"hi\" \\ there'"},
        {"a=\", ; = ( ) ~\"", "a=', ; = ( ) ~'"},
        {"a=token, b=*x, c=A:/b!#$%&'*+-.^_`|~9", "a=token|b=*x|c=A:/b!#$%&'*+-.^_`|~9"},
        /* bytes and booleans */
        {"a=:aGVsbG8=:, b=::, c=:+/:", "a=bytes|b=bytes|c=bytes"},
        {"a=?0, b=?1, c", "a=false|b=true|c=true"},
        {"a,b , c", "a=true|b=true|c=true"},
        /* names */
        {"*=1, *a=2, a-b_c.d*e9=3", "*=1|*a=2|a-b_c.d*e9=3"},
        /* parameters are dropped */
        {"a=1;x;y=2;  z=\"q\", b;x=?0, c=(1;x 2);y", "a=1|b=true|c=(1 2)"},
        /* lists */
        {"a=()", "a=()"},
        {"a=(  )", "a=()"},
        {"a=( 1   2.5 tok \"s\" ?1 :: )", "a=(1 2.500 tok 's' true bytes)"},
        /* the last value, in the first place */
        {"a=1, b=2, a=\"x\"", "a='x'|b=2"},
        {"a=(1 2), a", "a=true"},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct dictionary_member *members;
        int count;
        struct error err;
        struct strbuf out = STRBUF_INIT;
        if (dictionary_parse(*state, "Gangsaw-Job", examples[i][0], &members, &count, &err) != 0)
            fail_msg("%s: %s", examples[i][0], err.detail);
        print_members(&out, members, count);
        assert_string_equal(out.text, examples[i][1]);
        strbuf_release(&out);
    }
}

static void test_one_mistake_refuses_the_field_and_names_its_place(void **state)
{
    static const struct {
        const char *field;
        int position; /* of the character that cannot be there */
    } examples[] = {
        {"a=1,", 5},
        {"a=1, ", 6},
        {",a=1", 1},
        {"a=1,,b=2", 5},
        {"a=1 b=2", 5},
        {"a=1;", 5},
        {"a=1;X", 5},
        {"a=1;x=", 7},
        {"\ta=1", 1},
        {"A=1", 1},
        {"aB=1", 2},
        {"1=1", 1},
        {"-a=1", 1},
        {"a =1", 3},
        {"a= 1", 3},
        {"a=", 3},
        {"=1", 1},
        /* numbers */
        {"a=-", 4},
        {"a=--1", 4},
        {"a=+1", 3},
        {"a=1.", 5},
        {"a=.5", 3},
        {"a=1.2345", 8},
        {"a=1.2.3", 6},
        {"a=1e3", 4},
        {"a=1000000000000000", 18},
        {"a=1234567890123.1", 16},
        {"a=0x1", 4},
        {"a=1_0", 4},
        /* texts */
        {"a=\"", 4},
        {"a=\"b", 5},
        {"a=\"b\\\"", 7},
        {"a=\"b\\", 5},
        {"a=\"\\n\"", 4},
        {"a=\"\t\"", 4},
        {"a=\"\177\"", 4},
        {"a=\"\303\251\"", 4},
        {"a='b'", 3},
        {"a=\303\251", 3},
        {"a=b c", 5},
        {"a=b\"c\"", 4},
        /* bytes and booleans */
        {"a=:", 4},
        {"a=:aGVsbG8=", 12},
        {"a=:a b:", 5},
        {"a=:a=b:", 6},
        {"a=?", 4},
        {"a=?2", 4},
        {"a=?true", 4},
        {"a=?10", 5},
        /* lists */
        {"a=(", 4},
        {"a=(1", 5},
        {"a=(1 ", 6},
        {"a=(1,2)", 5},
        {"a=(1\t2)", 5},
        {"a=(\"a\"\"b\")", 7},
        {"a=((1))", 4},
        {"a=(1))", 6},
        {"a=(a=1)", 5},
        {"a={}", 3},
        {"a=[]", 3},
        {"\r", 1},
        {"a=1\n", 4},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct dictionary_member *members;
        int count;
        struct error err = {.code = ERR_NONE};
        char expected[100];
        int result = dictionary_parse(*state, "X-Y", examples[i].field, &members, &count, &err);
        (void)snprintf(expected, sizeof(expected),
                       "The X-Y field is not well-formed at character %d.", examples[i].position);
        if (result == 0)
            fail_msg("%s was taken", examples[i].field);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        if (strcmp(err.detail, expected) != 0)
            fail_msg("%s: %s, expected %s", examples[i].field, err.detail, expected);
    }
}

/* `head`, then as many times `each`, a number and `separator`, then `tail`. */
static int parse_repeated(struct arena *a, const char *head, const char *each,
                          const char *separator, int times, const char *tail, int *ret_count,
                          struct error *reterr)
{
    struct strbuf field = STRBUF_INIT;
    struct dictionary_member *members;
    strbuf_addstr(&field, head);
    for (int i = 0; i < times; i++)
        strbuf_addf(&field, "%s%d%s", each, i, separator);
    strbuf_addstr(&field, tail);
    int result = dictionary_parse(a, "X", field.text, &members, ret_count, reterr);
    strbuf_release(&field);
    return result;
}

static void test_members_and_items_have_a_limit(void **state)
{
    struct arena *a = *state;
    struct error err;
    int count;
    assert_int_equal(
        parse_repeated(a, "", "a", ", ", DICTIONARY_MEMBERS_MAX - 1, "z", &count, &err), 0);
    assert_int_equal(count, DICTIONARY_MEMBERS_MAX);
    assert_int_equal(parse_repeated(a, "", "a", ", ", DICTIONARY_MEMBERS_MAX, "z", &count, &err),
                     -1);
    assert_string_equal(err.detail, "The X field has more than 64 members.");
    assert_int_equal(parse_repeated(a, "a=(", "", " ", DICTIONARY_ITEMS_MAX, ")", &count, &err), 0);
    assert_int_equal(parse_repeated(a, "a=(", "", " ", DICTIONARY_ITEMS_MAX + 1, ")", &count, &err),
                     -1);
    assert_string_equal(err.detail, "The X field has more than 256 items in a list.");
    /* A name that is repeated takes no room. */
    assert_int_equal(parse_repeated(a, "", "a=", ", ", 10000, "a=7", &count, &err), 0);
    assert_int_equal(count, 1);
}

static void test_a_long_field_is_read_in_linear_time(void **state)
{
    enum { SIZE = 1 << 20 };
    char *field = malloc(SIZE + 1);
    for (const char *c = "a1*.-"; *c; c++) {
        struct dictionary_member *members;
        int count;
        struct error err;
        memset(field, *c, SIZE);
        field[SIZE] = '\0';
        (void)dictionary_parse(*state, "X", field, &members, &count, &err);
        (void)memcpy(field, "a=\"", 3); /* also as a string that never ends */
        assert_int_equal(dictionary_parse(*state, "X", field, &members, &count, &err), -1);
        (void)memcpy(field, "a=a", 3);
        (void)dictionary_parse(*state, "X", field, &members, &count, &err);
    }
    free(field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_well_formed_fields_are_read),
        WITH_ARENA(test_one_mistake_refuses_the_field_and_names_its_place),
        WITH_ARENA(test_members_and_items_have_a_limit),
        WITH_ARENA(test_a_long_field_is_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
