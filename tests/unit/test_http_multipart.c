/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_multipart.c - forms of browsers and of curl are understood, broken ones refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "http/multipart.h"

#define CD "Content-Disposition: form-data; "

/* Parts as "name,file name,media type,content|"; "-" where there is no file name. */
static const struct {
    const char *body, *parts;
} good[] = {
    {"--b--", ""},
    {"--b--\r\n", ""},
    {"--b\r\n" CD "name=\"a\"\r\n\r\n1\r\n--b--\r\n", "a,-,,1|"},
    {"--b\r\n" CD "name=a\r\n\r\n1\r\n--b--", "a,-,,1|"},
    {"preamble\r\n--b\r\n" CD "name=a\r\n\r\n1\r\n--b--\r\nepilogue\r\n--b\r\n", "a,-,,1|"},
    {"--b \t\r\n" CD "name=a\r\n\r\n1\r\n--b \r\n" CD "name=c\r\n\r\n2\r\n--b-- \r\n",
     "a,-,,1|c,-,,2|"},
    {"--b\r\ncontent-DISPOSITION:form-data;NAME=a\r\n\r\n1\r\n--b--", "a,-,,1|"},
    {"--b\r\n" CD "name=a\r\n\r\n\r\n--b--", "a,-,,|"},
    {"--b\r\n" CD "name=a\r\n\r\n--b--", "a,-,,|"},
    {"--b\r\n" CD "name=a\r\n\r\n\r\n\r\n--b--", "a,-,,\r\n|"},
    {"--b\r\n" CD "name=a\r\n\r\n--bc\r\n--bc--\r\n\r\n--b--x\r\n--b--",
     "a,-,,--bc\r\n--bc--\r\n\r\n--b--x|"},
    {"--b\r\n" CD "name=a\r\n\r\nx--b--\n--b--\r--b--\r\n--b--", "a,-,,x--b--\n--b--\r--b--|"},
    {"--b\r\n" CD "name=i; filename=\"p.jpg\"\r\nContent-Type: IMAGE/Jpeg; x=y\r\n\r\n1\r\n--b--",
     "i,p.jpg,image/jpeg,1|"},
    {"--b\r\nContent-Type: image/png\r\n" CD "filename=\"p.png\"; name=\"i\"\r\n"
     "Content-Transfer-Encoding: BINARY\r\nX-Other: 1\r\n\r\n1\r\n--b--",
     "i,p.png,image/png,1|"},
    {"--b\r\n" CD "name=\"a%22b\\\"c\\\\d%20\"\r\n\r\n1\r\n--b--", "a\"b\"c\\d%20,-,,1|"},
    {"--b\r\n" CD "name=\"f\"; filename=\"C:\\dir\\x y.jpg\"\r\n\r\n1\r\n--b--", "f,x y.jpg,,1|"},
    {"--b\r\n" CD "name=\"f\"; filename=\"../../etc/passwd\"\r\n\r\n1\r\n--b--", "f,passwd,,1|"},
    {"--b\r\n" CD "name=\"f\"; filename=\"a/..\"\r\n\r\n1\r\n--b--", "f,,,1|"},
    {"--b\r\n" CD "name=\"f\"; filename=\"\"\r\n\r\n\r\n--b--", "f,,,|"},
    {"--b\r\n" CD "name=\"\303\251\"; filename=\"\342\202\254.jpg\"\r\n\r\n1\r\n--b--",
     "\303\251,\342\202\254.jpg,,1|"},
    {"--b\r\n" CD "name=f; filename=\"e.jpg\"; filename*=UTF-8''%e2%82%AC.jpg\r\n\r\n1\r\n--b--",
     "f,\342\202\254.jpg,,1|"},
    {"--b\r\n" CD "name=f; filename*=utf-8'en'a%2Fb.jpg; filename=e.jpg\r\n\r\n1\r\n--b--",
     "f,b.jpg,,1|"},
    {"--b\r\n" CD "name=a\r\n\r\n1\r\n--b\r\n" CD "name=a\r\n\r\n2\r\n--b--", "a,-,,1|a,-,,2|"},
};

static int parse(struct arena *a, const char *body, const char *boundary, struct strbuf *ret_parts,
                 struct error *reterr)
{
    struct multipart_part *parts = NULL;
    int count = 0;
    /* A copy of just the size, so that the sanitizer sees a read beyond it. */
    unsigned char *exact = malloc(strlen(body));
    memcpy(exact, body, strlen(body));
    int status = multipart_parse(a, exact, strlen(body), boundary, &parts, &count, reterr);
    for (int i = 0; status == 0 && i < count; i++) {
        const struct multipart_part *p = &parts[i];
        strbuf_addf(ret_parts, "%s,%s,%s,%.*s|", p->name, p->file_name ? p->file_name : "-",
                    p->media_type, (int)p->size, body + p->offset);
    }
    free(exact);
    return status;
}

static void test_forms_of_browsers_and_tools_are_understood(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct strbuf sb = STRBUF_INIT;
        struct error err = {.code = ERR_NONE};
        if (parse(a, good[i].body, "b", &sb, &err) != 0)
            fail_msg("%s: %s", good[i].body, err.detail);
        assert_string_equal(sb.text, good[i].parts);
        strbuf_release(&sb);
    }
    arena_free(a);
}

/* The detail has to contain `why`. */
static const struct {
    const char *body, *why;
} bad[] = {
    {"", "boundary"},
    {"x", "boundary"},
    {"--", "boundary"},
    {"--b", "boundary"},
    {"--c--", "boundary"},
    {"x--b--", "boundary"},
    {"--b\n" CD "name=a\n\n1\n--b--\n", "boundary"},
    {"--b\r\n", "Part 1 of the multipart body ends within its headers"},
    {"--b\r\n" CD "name=a\r\n", "ends within"},
    {"--b\r\n" CD "name=a\r\n\r\n", "cut short"},
    {"--b\r\n" CD "name=a\r\n\r\n1", "cut short"},
    {"--b\r\n" CD "name=a\r\n\r\n1\r\n--b", "cut short"},
    {"--b\r\n" CD "name=a\r\n\r\n1\r\n--b\r\n", "Part 2"},
    {"--b\r\n\r\n1\r\n--b--", "has no name"},
    {"--b\r\nContent-Type: a/b\r\n\r\n1\r\n--b--", "has no name"},
    {"--b\r\n" CD "filename=a\r\n\r\n1\r\n--b--", "has no name"},
    {"--b\r\n" CD "name=\"\"\r\n\r\n1\r\n--b--", "has no name"},
    {"--b\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--b--", "form-data"},
    {"--b\r\n" CD "name=a; name=b\r\n\r\n1\r\n--b--", "two names"},
    {"--b\r\n" CD "name=a; filename=b; filename=c\r\n\r\n1\r\n--b--", "two file names"},
    {"--b\r\n" CD "name=a\r\n" CD "name=a\r\n\r\n1\r\n--b--", "two Content-Disposition"},
    {"--b\r\n" CD "name=\"a\r\n\r\n1\r\n--b--", "not well-formed"},
    {"--b\r\n" CD "name=a b\r\n\r\n1\r\n--b--", "not well-formed"},
    {"--b\r\n" CD "name=\"a\nX: y\"\r\n\r\n1\r\n--b--", "control character"},
    {"--b\r\n" CD "name=\"a%0D%0Ab\"\r\n\r\n1\r\n--b--", "control character"},
    {"--b\r\n" CD "name=\"a\001\"\r\n\r\n1\r\n--b--", "not well-formed"},
    {"--b\r\n" CD "name=\"\xff\"\r\n\r\n1\r\n--b--", "UTF-8"},
    {"--b\r\n" CD "name=a; filename=\"\xc3\"\r\n\r\n1\r\n--b--", "UTF-8"},
    {"--b\r\n" CD "name=a; filename*=UTF-8''%0\r\n\r\n1\r\n--b--", "file name"},
    {"--b\r\n" CD "name=a; filename*=UTF-8''%00\r\n\r\n1\r\n--b--", "file name"},
    {"--b\r\n" CD "name=a; filename*=UTF-8''%ff\r\n\r\n1\r\n--b--", "file name"},
    {"--b\r\n" CD "name=a; filename*=latin1''a\r\n\r\n1\r\n--b--", "file name"},
    {"--b\r\n" CD "name=a; filename*=UTF-8'a\r\n\r\n1\r\n--b--", "file name"},
    {"--b\r\n" CD "name=a\r\nContent-Type: jpeg\r\n\r\n1\r\n--b--", "Content-Type"},
    {"--b\r\n" CD "name=a\r\nContent-Type: a/b\r\nContent-Type: a/c\r\n\r\n1\r\n--b--", "two"},
    {"--b\r\n" CD "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n1\r\n--b--", "binary"},
    {"--b\r\n" CD "name=a\r\n folded: x\r\n\r\n1\r\n--b--", "without a name"},
    {"--b\r\n" CD "name=a\r\nno colon\r\n\r\n1\r\n--b--", "without a name"},
};

static void test_what_is_broken_is_refused_with_its_part(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct strbuf sb = STRBUF_INIT;
        struct error err = {.code = ERR_NONE};
        if (parse(a, bad[i].body, "b", &sb, &err) != -1 || err.code != ERR_INVALID_REQUEST)
            fail_msg("%s was accepted", bad[i].body);
        if (!strstr(err.detail, bad[i].why))
            fail_msg("%s: %s", bad[i].body, err.detail);
        strbuf_release(&sb);
    }
    arena_free(a);
}

#define SEVENTY "1234567890123456789012345678901234567890123456789012345678901234567890"

static void test_only_boundaries_of_rfc_2046_are_taken(void **state)
{
    (void)state;
    static const char *const wrong[] = {NULL, "", "a ", "a\"b", "a\r\n", "\303\251", SEVENTY "1"};
    static const char *const right[] = {"a b", "'()+_,-./:=?", SEVENTY};
    struct arena *a = arena_new();
    struct error err;
    struct strbuf sb = STRBUF_INIT;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(parse(a, "--a--", wrong[i], &sb, &err), -1);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        char *body = arena_printf(a, "--%s\r\n" CD "name=a\r\n\r\n1\r\n--%s--", right[i], right[i]);
        strbuf_reset(&sb);
        assert_int_equal(parse(a, body, right[i], &sb, &err), 0);
        assert_string_equal(sb.text, "a,-,,1|");
    }
    strbuf_release(&sb);
    arena_free(a);
}

static void test_parts_and_headers_have_limits(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    struct strbuf body = STRBUF_INIT, parts = STRBUF_INIT;
    struct error err;
    for (int i = 0; i < MULTIPART_PARTS_MAX; i++)
        strbuf_addstr(&body, "--b\r\n" CD "name=a\r\n\r\n1\r\n");
    strbuf_addstr(&body, "--b--");
    assert_int_equal(parse(a, body.text, "b", &parts, &err), 0);
    assert_int_equal(parts.size, MULTIPART_PARTS_MAX * strlen("a,-,,1|"));
    memcpy(body.text + body.size - 2, "\r\n", 2);
    strbuf_addstr(&body, CD "name=a\r\n\r\n1\r\n--b--");
    assert_int_equal(parse(a, body.text, "b", &parts, &err), -1);
    assert_non_null(strstr(err.detail, "more than 1000 parts"));

    for (int extra = 0; extra <= 1; extra++) {
        int filler = MULTIPART_HEADER_MAX - (int)strlen(CD "name=a\r\nX: \r\n\r\n") + extra;
        strbuf_reset(&body);
        strbuf_addf(&body, "--b\r\n" CD "name=a\r\nX: %0*d\r\n\r\n1\r\n--b--", filler, 0);
        assert_int_equal(parse(a, body.text, "b", &parts, &err), extra ? -1 : 0);
    }
    assert_non_null(strstr(err.detail, "more than 8192 bytes"));
    strbuf_release(&body);
    strbuf_release(&parts);
    arena_free(a);
}

/* A quadratic search would take hours on these. */
static void test_near_misses_cost_linear_time(void **state)
{
    (void)state;
    static const char *const fillers[] = {
        "\r\n--aaaaaaaaa",   "\r\n--", "\r", "a", "\r\n--aaaaaaaaaa x",
        "\r\n--aaaaaaaaaa-", " ",      "-"};
    int64_t start = clock_us();
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        struct arena *a = arena_new();
        struct strbuf sb = STRBUF_INIT;
        struct multipart_part *parts;
        int count;
        struct error err;
        strbuf_addstr(&sb, "--aaaaaaaaaa\r\n" CD "name=a\r\n\r\n");
        size_t offset = sb.size;
        while (sb.size < 4 << 20)
            strbuf_addstr(&sb, fillers[i]);
        size_t size = sb.size - offset;
        strbuf_addstr(&sb, "\r\n--aaaaaaaaaa--");
        assert_int_equal(multipart_parse(a, (const unsigned char *)sb.text, sb.size, "aaaaaaaaaa",
                                         &parts, &count, &err),
                         0);
        assert_int_equal(count, 1);
        assert_int_equal(parts[0].size, size);
        strbuf_release(&sb);
        arena_free(a);
    }
    assert_true(clock_us() - start < 60 * INT64_C(1000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_of_browsers_and_tools_are_understood),
        cmocka_unit_test(test_what_is_broken_is_refused_with_its_part),
        cmocka_unit_test(test_only_boundaries_of_rfc_2046_are_taken),
        cmocka_unit_test(test_parts_and_headers_have_limits),
        cmocka_unit_test(test_near_misses_cost_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
