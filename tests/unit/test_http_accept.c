/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_accept.c - content negotiation does what RFC 9110 says, and refuses the rest
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "http/accept.h"

static const struct {
    const char *field, *media_type;
    int quality;
} good[] = {
    {NULL, "image/png", 1000},
    {"", "image/png", 1000},
    {" , ,", "image/png", 1000},
    {"image/png", "image/png", 1000},
    {"image/png", "image/webp", 0},
    {"IMAGE/PNG", "image/png", 1000},
    {"image/*", "image/webp", 1000},
    {"image/*", "imagery/webp", 0},
    {"*/*", "application/json", 1000},
    {"*/*;q=0.1, image/*;q=0.5, image/webp", "image/webp", 1000},
    {"*/*;q=0.1, image/*;q=0.5, image/webp", "image/png", 500},
    {"*/*;q=0.1, image/*;q=0.5, image/webp", "text/plain", 100},
    {"image/webp;q=0, */*", "image/webp", 0},
    {"image/webp;q=0, */*", "image/png", 1000},
    {"image/png;q=0.123", "image/png", 123},
    {"image/png ; Q=0.5", "image/png", 500},
    {"image/png\t;\tq=1.000", "image/png", 1000},
    {"image/png;q=0.", "image/png", 0},
    {"image/png;q=1", "image/png", 1000},
    {"application/json;charset=utf-8", "application/json", 1000},
    {"application/json;charset=\"a,b;q=0\";q=0.7", "application/json", 700},
    {"application/json;x=\"\\\"\";q=0.7", "application/json", 700},
    {"text/html;level=1;q=0.3, text/html;q=0.7", "text/html", 700},
    {"text/html;, image/png", "image/png", 1000},
    {"image/png;q=.5", "image/png", 500},
    {"image/png;q=.125", "image/png", 125},
    {"*", "image/png", 1000},
    {"image/png;q=.5,*;q=.25", "text/plain", 250},
    /* Java's HttpURLConnection */
    {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "image/jpeg", 1000},
    {"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/json", 200},
    {"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/svg+xml", 1000},
};

static void test_the_most_specific_range_decides(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct accept *accept;
        struct error err = {.code = ERR_NONE};
        if (accept_parse(a, good[i].field, &accept, &err) != 0)
            fail_msg("%s: %s", good[i].field, err.detail);
        if (accept_quality(accept, good[i].media_type) != good[i].quality)
            fail_msg("%s for %s: %d", good[i].field, good[i].media_type,
                     accept_quality(accept, good[i].media_type));
    }
    arena_free(a);
}

static void test_a_field_that_is_not_well_formed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "image",
        "*png",
        "* */*",
        "**",
        "/png",
        "image/",
        "*/png",
        "image/png image/webp",
        "image/png;q=2",
        "image/png;q=1.001",
        "image/png;q=0.1234",
        "image/png;q=.",
        "image/png;q=.5.",
        "image/png;q=.1234",
        "image/png;q=-1",
        "image/png;q=",
        "image/png;q=\"1\"",
        "image/png;q",
        "image/png;q = 1",
        "image/png;x=\"open",
        "image/png;x=\"open\\",
        "image/png;x=\"a\001b\"",
        "image/png;=1",
        "ima ge/png",
        "image/p(ng",
        "\xff/png",
    };
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct accept *accept = NULL;
        struct error err = {.code = ERR_NONE};
        if (accept_parse(a, bad[i], &accept, &err) != -1 || err.code != ERR_INVALID_REQUEST)
            fail_msg("%s was accepted", bad[i]);
        assert_null(accept);
    }
    arena_free(a);
}

static int parse_many(struct arena *a, int count)
{
    struct strbuf sb = STRBUF_INIT;
    struct accept *accept;
    struct error err;
    for (int i = 0; i < count; i++)
        strbuf_addf(&sb, "image/x%d,", i);
    int status = accept_parse(a, sb.text, &accept, &err);
    strbuf_release(&sb);
    return status;
}

static void test_a_hundred_ranges_are_the_most(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    assert_int_equal(parse_many(a, 100), 0);
    assert_int_equal(parse_many(a, 101), -1);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_most_specific_range_decides),
        cmocka_unit_test(test_a_field_that_is_not_well_formed_is_refused),
        cmocka_unit_test(test_a_hundred_ranges_are_the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
