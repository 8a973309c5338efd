/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_scgi.c - what reaches the hub is a request it can serve, or refused, however it arrives
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "hub/scgi.h"
#include "hub/target.h"

#define HEAD "CONTENT_LENGTH\0000\0SCGI\0001\0"
#define BYTES(text) (text), sizeof(text) - 1

/* The bytes of a request: length, colon, header, comma. */
static void add_request(struct strbuf *sb, const char *header, size_t size)
{
    strbuf_addf(sb, "%zu:", size);
    strbuf_add(sb, header, size);
    strbuf_addch(sb, ',');
}

/* Parse from a block of exactly that size, so that a sanitizer sees what is read beyond it. */
static enum scgi_result parse_exactly(const char *bytes, size_t size, char **ret_block,
                                      struct scgi_request *ret_request, struct error *reterr)
{
    *ret_block = malloc(size > 0 ? size : 1);
    assert_non_null(*ret_block);
    memcpy(*ret_block, bytes, size);
    return scgi_parse(*ret_block, size, ret_request, reterr);
}

static const struct {
    const char *header;
    size_t size;
    const char *uri, *query, *method, *last_event_id, *request_id;
} good[] = {
    {BYTES(HEAD), "", "", "", "", ""},
    {BYTES("CONTENT_LENGTH\00017\0SCGI\0001\0"), "", "", "", "", ""},
    {BYTES(HEAD "DOCUMENT_URI\0/internal/wait\0QUERY_STRING\0job=1&seconds=2\0"), "/internal/wait",
     "job=1&seconds=2", "", "", ""},
    {BYTES(HEAD "REQUEST_METHOD\0HEAD\0REQUEST_ID\0abc\0HTTP_LAST_EVENT_ID\0001-done\0"), "", "",
     "HEAD", "1-done", "abc"},
    {BYTES(HEAD "HTTP_COOKIE\0\0HTTP_COOKIE\0a\0QUERY_STRING\0\0"), "", "", "", "", ""},
    {BYTES(HEAD "document_uri\0/other\0"), "", "", "", "", ""},
};

static void test_values_come_by_their_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct strbuf sb = STRBUF_INIT;
        struct scgi_request r;
        struct error error;
        char *block;
        add_request(&sb, good[i].header, good[i].size);
        if (parse_exactly(sb.text, sb.size, &block, &r, &error) != SCGI_COMPLETE)
            fail_msg("case %zu is refused", i);
        assert_string_equal(r.uri, good[i].uri);
        assert_string_equal(r.query, good[i].query);
        assert_string_equal(r.method, good[i].method);
        assert_string_equal(r.last_event_id, good[i].last_event_id);
        assert_string_equal(r.request_id, good[i].request_id);
        free(block);
        strbuf_release(&sb);
    }
}

static void test_a_request_may_arrive_byte_by_byte(void **state)
{
    (void)state;
    struct strbuf sb = STRBUF_INIT;
    add_request(&sb, BYTES(HEAD "DOCUMENT_URI\0/internal/events\0"));
    for (size_t size = 0; size <= sb.size; size++) {
        struct scgi_request r;
        struct error error;
        char *block;
        enum scgi_result result = parse_exactly(sb.text, size, &block, &r, &error);
        assert_int_equal(result, size < sb.size ? SCGI_MORE : SCGI_COMPLETE);
        if (result == SCGI_COMPLETE)
            assert_string_equal(r.uri, "/internal/events");
        free(block);
    }
    strbuf_release(&sb);
}

static void test_what_follows_the_request_is_ignored(void **state)
{
    (void)state;
    struct strbuf sb = STRBUF_INIT;
    struct scgi_request r;
    struct error error;
    char *block;
    add_request(&sb, BYTES("CONTENT_LENGTH\0005\0SCGI\0001\0DOCUMENT_URI\0/a\0"));
    strbuf_addstr(&sb, "body,");
    assert_int_equal(parse_exactly(sb.text, sb.size, &block, &r, &error), SCGI_COMPLETE);
    assert_string_equal(r.uri, "/a");
    free(block);
    strbuf_release(&sb);
}

/* Whole requests, or beginnings that nothing can make one. */
static const struct {
    const char *bytes;
    size_t size;
    enum err_code code;
} bad[] = {
    {BYTES("GET / HTTP/1.1\r\n"), ERR_INVALID_REQUEST},
    {BYTES(":"), ERR_INVALID_REQUEST},
    {BYTES("-5:"), ERR_INVALID_REQUEST},
    {BYTES("+5:"), ERR_INVALID_REQUEST},
    {BYTES(" 5:"), ERR_INVALID_REQUEST},
    {BYTES("05:"), ERR_INVALID_REQUEST},
    {BYTES("00:,"), ERR_INVALID_REQUEST},
    {BYTES("5x"), ERR_INVALID_REQUEST},
    {BYTES("0x10:"), ERR_INVALID_REQUEST},
    {BYTES("\0"), ERR_INVALID_REQUEST},
    {BYTES("65537"), ERR_HEADERS_TOO_LARGE},
    {BYTES("99999:"), ERR_HEADERS_TOO_LARGE},
    {BYTES("100000"), ERR_HEADERS_TOO_LARGE},
    {BYTES("18446744073709551617:"), ERR_HEADERS_TOO_LARGE},
    {BYTES("0:,"), ERR_INVALID_REQUEST},
    {BYTES("1:\0,"), ERR_INVALID_REQUEST},
    {BYTES("2:\0\0,"), ERR_INVALID_REQUEST},
    {BYTES("3:abc,"), ERR_INVALID_REQUEST},
    {BYTES("17:CONTENT_LENGTH\0000\0;"), ERR_INVALID_REQUEST}, /* no comma */
    {BYTES("17:CONTENT_LENGTH\0000\0,"), ERR_INVALID_REQUEST}, /* no SCGI */
    {BYTES("16:CONTENT_LENGTH\0\0,"), ERR_INVALID_REQUEST},    /* an empty number */
    {BYTES("18:CONTENT_LENGTH\0-1\0,"), ERR_INVALID_REQUEST},
    {BYTES("15:CONTENT_LENGTH\0,"), ERR_INVALID_REQUEST},                 /* a name alone */
    {BYTES("24:SCGI\0001\0CONTENT_LENGTH\0000\0,"), ERR_INVALID_REQUEST}, /* not first */
    {BYTES("24:CONTENT_LENGTH\0000\0SCGI\0002\0,"), ERR_INVALID_REQUEST}, /* another version */
    {BYTES("25:" HEAD "A,"), ERR_INVALID_REQUEST},                        /* no NUL at the end */
    {BYTES("26:" HEAD "A\0,"), ERR_INVALID_REQUEST},                      /* no value */
    {BYTES("28:" HEAD "\0xy\0,"), ERR_INVALID_REQUEST},                   /* no name */
    {BYTES("50:" HEAD "REQUEST_ID\0a\0REQUEST_ID\0b\0,"), ERR_INVALID_REQUEST},
};

static void test_malformed_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct scgi_request r;
        struct error error = {.code = ERR_NONE};
        char *block;
        enum scgi_result result = parse_exactly(bad[i].bytes, bad[i].size, &block, &r, &error);
        if (result != SCGI_BAD || error.code != bad[i].code)
            fail_msg("case %zu: result %d, %s", i, (int)result, error_name(error.code));
        free(block);
    }
}

static void test_a_header_of_64_KiB_is_the_largest(void **state)
{
    (void)state;
    static const size_t sizes[] = {SCGI_HEADER_MAX, SCGI_HEADER_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        struct strbuf header = STRBUF_INIT, sb = STRBUF_INIT;
        struct scgi_request r;
        struct error error = {.code = ERR_NONE};
        char *block;
        strbuf_add(&header, BYTES(HEAD "DOCUMENT_URI\0/a\0HTTP_FILL\0"));
        while (header.size < sizes[i] - 1)
            strbuf_addch(&header, 'x');
        strbuf_addch(&header, '\0');
        add_request(&sb, header.text, header.size);
        assert_true(i > 0 || sb.size == SCGI_REQUEST_MAX);
        assert_int_equal(parse_exactly(sb.text, sb.size, &block, &r, &error),
                         i == 0 ? SCGI_COMPLETE : SCGI_BAD);
        assert_int_equal(error.code, i == 0 ? ERR_NONE : ERR_HEADERS_TOO_LARGE);
        free(block);
        strbuf_release(&header);
        strbuf_release(&sb);
    }
}

/* ---- what it asks */

#define JOB "job=0123456789ab"

static const struct {
    const char *uri, *query;
    enum err_code code;
    int64_t wait_us; /* of good waits; -1: a stream */
} asked[] = {
    {"/internal/wait", JOB "&seconds=20&then=/internal/jobs/0123456789ab", ERR_NONE, 20000000},
    {"/internal/wait", JOB "&awaited=1&seconds=2&then=/internal/runs/ab", ERR_NONE, 2000000},
    {"/internal/wait", JOB "&seconds=0&then=%2Finternal%2Fjobs%2Fab", ERR_NONE, 0},
    {"/internal/wait", JOB "&seconds=0.25&then=/internal/runs/a_b-c&x=y", ERR_NONE, 250000},
    {"/internal/wait", JOB "&seconds=60.0&then=/internal/jobs/ab/result", ERR_NONE, 60000000},
    {"/internal/events", JOB, ERR_NONE, -1},
    {"/internal/events", JOB "&seconds=nan&then=", ERR_INVALID_REQUEST, 0},
    {"/internal/other", JOB, ERR_NOT_FOUND, 0},
    {"/internal/wait/", JOB, ERR_NOT_FOUND, 0},
    {"", JOB, ERR_NOT_FOUND, 0},
    {"/internal/events", "", ERR_INVALID_REQUEST, 0},
    {"/internal/events", "job=", ERR_INVALID_REQUEST, 0},
    {"/internal/events", JOB "&" JOB, ERR_INVALID_REQUEST, 0},
    {"/internal/events", "job=0123456789012345678901234567890123456789", ERR_INVALID_REQUEST, 0},
    {"/internal/events", "job=%", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=60.001&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=-1&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=nan&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1e1&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1.&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=.5&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&seconds=2&then=/internal/jobs/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=/v1/tasks/ab", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=/internal/jobs/../secret", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=/internal/jobs/a?b=c", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=/internal/jobs/a%0d%0aSet-Cookie:x",
     ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=/internal/jobs/a%00", ERR_INVALID_REQUEST, 0},
    {"/internal/wait", JOB "&seconds=1&then=@gangsaw_api", ERR_INVALID_REQUEST, 0},
};

static void test_only_known_questions_are_taken(void **state)
{
    (void)state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        const struct scgi_request r = {asked[i].uri, asked[i].query, "GET", "", ""};
        struct target target;
        struct error error = {.code = ERR_NONE};
        int status = target_parse(a, &r, &target, &error);
        if (error.code != asked[i].code || (status == 0) != (error.code == ERR_NONE))
            fail_msg("%s?%s: %s", asked[i].uri, asked[i].query, error_name(error.code));
        if (status != 0)
            continue;
        assert_string_equal(target.job, "0123456789ab");
        assert_int_equal(target.is_stream, asked[i].wait_us < 0);
        assert_int_equal(target.is_awaited, strstr(asked[i].query, "awaited=1") != NULL);
        assert_true(target.is_stream || target.wait_us == asked[i].wait_us);
        assert_true(target.is_stream || target.then[0] == '/');
    }
    arena_free(a);
}

static void test_strange_ids_are_as_good_as_none(void **state)
{
    (void)state;
    static const struct {
        const char *given, *taken;
    } ids[] = {
        {"", ""},
        {"1-running-250000-0000abcd", "1-running-250000-0000abcd"},
        {"1 2", ""},
        {"a\r\nb", ""},
        {"\xc3\xa4", ""},
        {"0123456789012345678901234567890123456789012345678901234567890123456789", ""},
    };
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const struct scgi_request r = {"/internal/events", JOB, "GET", ids[i].given, ids[i].given};
        struct target target;
        struct error error;
        char request_id[TARGET_REQUEST_ID_SIZE];
        assert_int_equal(target_parse(a, &r, &target, &error), 0);
        assert_string_equal(target.last_event_id, ids[i].taken);
        target_request_id(&r, request_id);
        assert_string_equal(request_id, ids[i].taken);
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_come_by_their_names),
        cmocka_unit_test(test_a_request_may_arrive_byte_by_byte),
        cmocka_unit_test(test_what_follows_the_request_is_ignored),
        cmocka_unit_test(test_malformed_requests_are_refused),
        cmocka_unit_test(test_a_header_of_64_KiB_is_the_largest),
        cmocka_unit_test(test_only_known_questions_are_taken),
        cmocka_unit_test(test_strange_ids_are_as_good_as_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
