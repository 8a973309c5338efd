/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_range.c - a client gets the part it asked for, or the whole, never something else
 */
#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "memory_stream.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ETAG "\"abc\""

struct answer {
    enum range_answer answer;
    int64_t offset, size;
};

/* Header fields by value; NULL: absent. */
struct fields {
    const char *range, *if_range, *none_match;
};

static struct answer evaluate(struct arena *a, enum http_method method, const struct fields *fields,
                              int64_t size)
{
    static const struct http_limits limits = {.max_params = 10, .max_params_bytes = 4 << 20};
    char *params[6], **p = params;
    struct memory_stream stream;
    struct http_request *req;
    struct error error;
    struct answer answer;
    *p++ = arena_strdup(a, "DOCUMENT_URI=/");
    *p++ = arena_printf(a, "REQUEST_METHOD=%s", method == HTTP_GET ? "GET" : "HEAD");
    if (fields->range)
        *p++ = arena_printf(a, "HTTP_RANGE=%s", fields->range);
    if (fields->if_range)
        *p++ = arena_printf(a, "HTTP_IF_RANGE=%s", fields->if_range);
    if (fields->none_match)
        *p++ = arena_printf(a, "HTTP_IF_NONE_MATCH=%s", fields->none_match);
    *p = NULL;
    memory_stream_init(&stream, params, "");
    assert_int_equal(http_request_read(&stream.base, &limits, a, &req, &error), 0);
    answer.answer = range_evaluate(req, ETAG, size, &answer.offset, &answer.size);
    return answer;
}

static void assert_answer(struct answer answer, enum range_answer expected, int64_t offset,
                          int64_t size, const char *what)
{
    if (answer.answer != expected || answer.offset != offset || answer.size != size)
        fail_msg("%s: answer %d, offset %lld, size %lld", what, (int)answer.answer,
                 (long long)answer.offset, (long long)answer.size);
}

static void test_one_range_gives_its_part(void **state)
{
    static const struct {
        const char *range;
        int64_t offset, size;
    } examples[] = {
        {"bytes=0-0", 0, 1},
        {"bytes=0-99", 0, 100},
        {"bytes=0-", 0, 100},
        {"bytes=10-19", 10, 10},
        {"bytes=99-99", 99, 1},
        {"bytes=99-", 99, 1},
        {"bytes=50-1000", 50, 50},
        {"bytes=50-99999999999999999999999999", 50, 50},
        {"bytes=50-9223372036854775807", 50, 50},
        {"bytes=-1", 99, 1},
        {"bytes=-100", 0, 100},
        {"bytes=-1000", 0, 100},
        {"bytes=-99999999999999999999999999", 0, 100},
        {"Bytes=1-2", 1, 2},
        {" bytes=1-2 ", 1, 2},
        {"bytes= 1-2", 1, 2},
        {"bytes=001-002", 1, 2},
    };
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_answer(evaluate(*state, HTTP_GET, &(struct fields){.range = examples[i].range}, 100),
                      RANGE_PART, examples[i].offset, examples[i].size, examples[i].range);
}

static void test_what_is_no_single_range_of_bytes_gives_the_whole(void **state)
{
    static const char *const examples[] = {
        NULL,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=5-4",
        "bytes=1-2,4-5",
        "bytes=1-2,",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=0x1-0x2",
        "items=1-2",
        "bytes 1-2",
        "bytes=1-2;x",
        "bytes=1.5-2",
        "bytes=-1-2",
        "bytes=*-2",
        "xbytes=1-2",
        "bytes=1-2 3",
        "bytes=\xff-\xff",
        "bytes=99999999999999999999-1",
    };
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_answer(evaluate(*state, HTTP_GET, &(struct fields){.range = examples[i]}, 100),
                      RANGE_WHOLE, 0, 100, examples[i] ? examples[i] : "none");
}

static void test_a_range_outside_is_not_satisfiable(void **state)
{
    static const char *const examples[] = {"bytes=100-", "bytes=100-200", "bytes=-0",
                                           "bytes=9223372036854775807-",
                                           "bytes=99999999999999999999999-"};
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_int_equal(
            evaluate(*state, HTTP_GET, &(struct fields){.range = examples[i]}, 100).answer,
            RANGE_UNSATISFIABLE);
}

static void test_nothing_has_no_parts(void **state)
{
    struct fields suffix = {.range = "bytes=-5"}, first = {.range = "bytes=0-"};
    assert_answer(evaluate(*state, HTTP_GET, &suffix, 0), RANGE_WHOLE, 0, 0, suffix.range);
    assert_int_equal(evaluate(*state, HTTP_GET, &first, 0).answer, RANGE_UNSATISFIABLE);
}

static void test_only_get_has_ranges(void **state)
{
    struct fields fields = {.range = "bytes=100-"};
    assert_answer(evaluate(*state, HTTP_HEAD, &fields, 100), RANGE_WHOLE, 0, 100, "HEAD");
}

static void test_if_range_lets_a_range_through_for_the_same_bytes_alone(void **state)
{
    static const struct {
        const char *if_range;
        bool is_same;
    } examples[] = {
        {ETAG, true},
        {" " ETAG " ", true},
        {"W/" ETAG, false},
        {"\"abd\"", false},
        {"\"ABC\"", false},
        {ETAG "x", false},
        {ETAG ", " ETAG, false},
        {"abc", false},
        {"*", false},
        {"", false},
        {"Sun, 06 Nov 1994 08:49:37 GMT", false},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct fields fields = {.range = "bytes=1-2", .if_range = examples[i].if_range};
        bool is_same = examples[i].is_same;
        assert_answer(evaluate(*state, HTTP_GET, &fields, 100), is_same ? RANGE_PART : RANGE_WHOLE,
                      is_same, is_same ? 2 : 100, examples[i].if_range);
    }
    struct fields alone = {.if_range = ETAG};
    assert_answer(evaluate(*state, HTTP_GET, &alone, 100), RANGE_WHOLE, 0, 100, "If-Range alone");
}

static void test_if_none_match_spares_what_the_client_has(void **state)
{
    static const struct {
        const char *none_match;
        bool has_it;
    } examples[] = {
        {ETAG, true},
        {"W/" ETAG, true},
        {"*", true},
        {" * ", true},
        {"\"x\", " ETAG, true},
        {"\"x\"," ETAG ",\"y\"", true},
        {"\"a,b\", W/\"x\"\t, W/" ETAG, true},
        {"", false},
        {"\"x\"", false},
        {"abc", false},
        {"\"ABC\"", false},
        {"\"abc", false},
        {"\"x\", abc, " ETAG, false}, /* not well-formed from there on */
        {"*, " ETAG, false},
        {"w/" ETAG, false},
        {"\"", false},
        {"W/", false},
        {"W", false},
        {"\"\"", false},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct fields fields = {.range = "bytes=200-", .none_match = examples[i].none_match};
        enum range_answer expected = examples[i].has_it ? RANGE_NOT_MODIFIED : RANGE_UNSATISFIABLE;
        if (evaluate(*state, HTTP_GET, &fields, 100).answer != expected)
            fail_msg("If-None-Match: %s", examples[i].none_match);
        expected = examples[i].has_it ? RANGE_NOT_MODIFIED : RANGE_WHOLE;
        assert_answer(evaluate(*state, HTTP_HEAD, &fields, 100), expected, 0, 100, "HEAD");
    }
}

static void test_a_long_list_is_read_in_linear_time(void **state)
{
    enum { SIZE = 1 << 20 };
    char *list = malloc(SIZE + 1);
    for (const char *c = "\",W/* -1"; *c; c++) {
        memset(list, *c, SIZE);
        list[SIZE] = '\0';
        struct fields fields = {.range = list, .if_range = list, .none_match = list};
        assert_answer(evaluate(*state, HTTP_GET, &fields, 100), RANGE_WHOLE, 0, 100, c);
    }
    free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_one_range_gives_its_part),
        WITH_ARENA(test_what_is_no_single_range_of_bytes_gives_the_whole),
        WITH_ARENA(test_a_range_outside_is_not_satisfiable),
        WITH_ARENA(test_nothing_has_no_parts),
        WITH_ARENA(test_only_get_has_ranges),
        WITH_ARENA(test_if_range_lets_a_range_through_for_the_same_bytes_alone),
        WITH_ARENA(test_if_none_match_spares_what_the_client_has),
        WITH_ARENA(test_a_long_list_is_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
