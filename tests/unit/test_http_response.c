/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_response.c - answers are well-formed whatever was put into them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/problem.h"
#include "http/response.h"
#include "memory_stream.h"

static char *no_params[] = {NULL};

#define PROTECTED "X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-site\r\n"
#define GUARDS "Cache-Control: no-store\r\n" PROTECTED

struct fixture {
    struct arena *arena;
    struct memory_stream stream;
    struct http_request req;
    struct http_response res;
};

static int setup(void **state)
{
    struct arena *a = arena_new();
    struct fixture *f = arena_alloc(a, sizeof(*f));
    f->arena = a;
    memory_stream_init(&f->stream, no_params, "");
    f->req = (struct http_request){
        .arena = a, .stream = &f->stream.base, .method = HTTP_GET, .request_id = "r1"};
    http_response_init(&f->res, a);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    strbuf_release(&f->stream.answer);
    arena_free(f->arena);
    return 0;
}

static const char *sent(struct fixture *f)
{
    strbuf_reset(&f->stream.answer);
    assert_int_equal(http_response_send(&f->res, &f->req), 0);
    return f->stream.answer.text;
}

static void test_an_answer_is_sent_whole(void **state)
{
    struct fixture *f = *state;
    http_response_header(&f->res, "Server-Timing", "queue;dur=%d", 7);
    http_response_body(&f->res, 200, "image/webp", "RIFF", 4);
    assert_string_equal(sent(f), "Status: 200 OK\r\n"
                                 "Server-Timing: queue;dur=7\r\n"
                                 "Content-Type: image/webp\r\n"
                                 "Content-Length: 4\r\n" GUARDS "X-Request-Id: r1\r\n\r\n"
                                 "RIFF");
}

static void test_head_gets_the_headers_of_get(void **state)
{
    struct fixture *f = *state;
    f->req.method = HTTP_HEAD;
    http_response_body(&f->res, 200, "text/plain", "four", 4);
    assert_string_equal(sent(f), "Status: 200 OK\r\n"
                                 "Content-Type: text/plain\r\n"
                                 "Content-Length: 4\r\n" GUARDS "X-Request-Id: r1\r\n\r\n");
}

static void test_an_answer_without_body_says_so(void **state)
{
    struct fixture *f = *state;
    http_response_json(&f->res, 204, NULL);
    assert_string_equal(sent(f), "Status: 204 No Content\r\n" GUARDS "X-Request-Id: r1\r\n\r\n");
    http_response_json(&f->res, 202, NULL);
    assert_string_equal(sent(f), "Status: 202 Accepted\r\nContent-Length: 0\r\n" GUARDS
                                 "X-Request-Id: r1\r\n\r\n");
}

static void test_json_is_printed(void **state)
{
    struct fixture *f = *state;
    cJSON *value = json_object(f->arena);
    assert_non_null(cJSON_AddNumberToObject(value, "n", 5));
    http_response_json(&f->res, 200, value);
    assert_string_equal(sent(f), "Status: 200 OK\r\n"
                                 "Content-Type: application/json\r\n"
                                 "Content-Length: 7\r\n" GUARDS "X-Request-Id: r1\r\n\r\n"
                                 "{\"n\":5}");
}

static void test_fields_with_control_characters_are_dropped(void **state)
{
    struct fixture *f = *state;
    http_response_header(&f->res, "X-A", "%s", "a\r\nSet-Cookie: b");
    http_response_header(&f->res, "X-B", "%s", "a\nb");
    http_response_header(&f->res, "X-C", "%s", "a\001");
    http_response_header(&f->res, "X-D", "%s", "a\177");
    http_response_header(&f->res, "X E", "%s", "a");
    http_response_header(&f->res, "X-F:", "%s", "a");
    http_response_header(&f->res, "", "%s", "a");
    http_response_header(&f->res, "X-Good", "%s", "\303\251 ok");
    http_response_json(&f->res, 204, NULL);
    assert_string_equal(sent(f), "Status: 204 No Content\r\n"
                                 "X-Good: \303\251 ok\r\n" GUARDS "X-Request-Id: r1\r\n\r\n");
}

static void test_what_may_be_kept_and_what_leads_on_says_so_itself(void **state)
{
    struct fixture *f = *state;
    http_response_header(&f->res, "cache-control", "private");
    http_response_json(&f->res, 304, NULL);
    assert_string_equal(sent(f), "Status: 304 Not Modified\r\n"
                                 "cache-control: private\r\n" PROTECTED "X-Request-Id: r1\r\n\r\n");
    http_response_init(&f->res, f->arena);
    http_response_header(&f->res, "X-Accel-Redirect", "/internal/x");
    http_response_json(&f->res, 204, NULL);
    assert_string_equal(sent(f), "Status: 204 No Content\r\n"
                                 "X-Accel-Redirect: /internal/x\r\n"
                                 "X-Request-Id: r1\r\n\r\n");
}

/* Pieces of the alphabet, two letters at a time; the `fails_at`th call fails. */
struct letters {
    struct http_body_source source;
    int calls, fails_at;
    size_t piece; /* bytes of one */
};

static int next_letters(void *context, const void **ret_bytes, size_t *ret_size,
                        struct error *reterr)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz";
    struct letters *l = context;
    if (++l->calls == l->fails_at)
        return error_set(reterr, ERR_UNAVAILABLE, "The letters are away.");
    *ret_bytes = alphabet + (size_t)(l->calls - 1) * 2;
    *ret_size = l->piece;
    return 0;
}

static struct letters stream_letters(struct fixture *f, int64_t size)
{
    http_response_init(&f->res, f->arena);
    f->stream.is_aborted = 0;
    http_response_stream(&f->res, 206, "text/plain", size, NULL);
    return (struct letters){.source = {next_letters, NULL}, .piece = 2};
}

static void test_a_streamed_answer_is_sent_piece_by_piece(void **state)
{
    struct fixture *f = *state;
    struct letters l = stream_letters(f, 6);
    l.source.context = &l;
    f->res.source = &l.source;
    assert_string_equal(sent(f), "Status: 206 Partial Content\r\n"
                                 "Content-Type: text/plain\r\n"
                                 "Content-Length: 6\r\n" GUARDS "X-Request-Id: r1\r\n\r\n"
                                 "abcdef");
    assert_int_equal(l.calls, 3);
    assert_false(f->stream.is_aborted);
    l.calls = 0;
    f->req.method = HTTP_HEAD;
    assert_non_null(strstr(sent(f), "Content-Length: 6\r\n"));
    assert_null(strstr(f->stream.answer.text, "ab"));
    assert_int_equal(l.calls, 0);
}

static void test_a_streamed_answer_may_be_beyond_four_gigabytes(void **state)
{
    struct fixture *f = *state;
    (void)stream_letters(f, INT64_C(5000000000000));
    f->req.method = HTTP_HEAD;
    assert_non_null(strstr(sent(f), "Content-Length: 5000000000000\r\n"));
}

static void test_an_answer_whose_source_fails_is_cut_off_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct letters l = stream_letters(f, 6);
    l.source.context = &l;
    l.fails_at = 2;
    f->res.source = &l.source;
    assert_int_equal(http_response_send(&f->res, &f->req), -1);
    assert_true(f->stream.is_aborted);
    assert_non_null(strstr(f->stream.answer.text, "\r\n\r\nab"));
    assert_null(strstr(f->stream.answer.text, "abcd"));
    assert_int_equal(f->res.failure.code, ERR_UNAVAILABLE);
    assert_string_equal(f->res.failure.detail, "The letters are away.");
}

static void test_a_source_cannot_say_more_or_nothing(void **state)
{
    struct fixture *f = *state;
    for (size_t piece = 0; piece <= 8; piece += 8) {
        struct letters l = stream_letters(f, 6);
        l.source.context = &l;
        l.piece = piece;
        f->res.source = &l.source;
        assert_int_equal(http_response_send(&f->res, &f->req), -1);
        assert_true(f->stream.is_aborted);
        assert_int_equal(f->res.failure.code, ERR_INTERNAL);
        assert_null(strstr(f->stream.answer.text, "abc"));
    }
}

static void test_a_problem_drops_the_source(void **state)
{
    struct fixture *f = *state;
    struct error err;
    struct letters l = stream_letters(f, 6);
    f->res.source = &l.source;
    (void)error_set(&err, ERR_GONE, "Gone.");
    http_response_problem(&f->res, &f->req, &err, NULL);
    assert_null(f->res.source);
    assert_non_null(strstr(sent(f), "\"detail\":\"Gone.\""));
}

static void test_a_range_that_is_refused_keeps_the_size_of_the_whole(void **state)
{
    struct fixture *f = *state;
    struct error err;
    http_response_header(&f->res, "Content-Range", "bytes */6");
    (void)error_set(&err, ERR_RANGE_NOT_SATISFIABLE, "No.");
    http_response_problem(&f->res, &f->req, &err, NULL);
    assert_non_null(strstr(sent(f), "\r\nContent-Range: bytes */6\r\n"));
    (void)error_set(&err, ERR_UNAVAILABLE, "Away.");
    http_response_problem(&f->res, &f->req, &err, NULL);
    assert_null(strstr(sent(f), "Content-Range"));
}

static const cJSON *problem_body(struct fixture *f)
{
    cJSON *value;
    struct error err;
    if (json_parse(f->arena, f->res.body, (size_t)f->res.body_size, &value, &err) != 0)
        fail_msg("%s", err.detail);
    return value;
}

static const char *text_member(const cJSON *value, const char *name)
{
    return cJSON_GetStringValue(json_member(value, name));
}

static void test_a_problem_drops_what_was_built(void **state)
{
    struct fixture *f = *state;
    struct error err = {.code = ERR_NONE};
    http_response_header(&f->res, "Content-Disposition", "inline");
    http_response_header(&f->res, "Retry-After", "3");
    http_response_header(&f->res, "ETag", "\"x\"");
    http_response_body(&f->res, 200, "image/webp", "RIFF", 4);
    (void)error_set(&err, ERR_OVERLOADED, "All \"8\" places are taken.");
    http_response_problem(&f->res, &f->req, &err, NULL);
    assert_int_equal(f->res.status, 503);
    assert_int_equal(f->res.problem, ERR_OVERLOADED);
    const cJSON *body = problem_body(f);
    assert_string_equal(text_member(body, "type"), "/problems/overloaded");
    assert_string_equal(text_member(body, "title"), "Overloaded");
    assert_int_equal(json_member(body, "status")->valueint, 503);
    assert_string_equal(text_member(body, "detail"), "All \"8\" places are taken.");
    assert_string_equal(text_member(body, "request_id"), "r1");
    assert_null(json_member(body, "errors"));
    const char *answer = sent(f);
    assert_ptr_equal(strstr(answer, "Status: 503 Service Unavailable\r\nRetry-After: 3\r\n"),
                     answer);
    assert_non_null(strstr(answer, "\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(answer, "\r\nCache-Control: no-store\r\n"));
    assert_null(strstr(answer, "Disposition"));
    assert_null(strstr(answer, "ETag"));
    assert_null(strstr(answer, "RIFF"));
}

static void test_a_problem_lists_field_errors_up_to_the_limit(void **state)
{
    struct fixture *f = *state;
    struct error err = {.code = ERR_NONE};
    struct field_errors errors = {.arena = f->arena};
    (void)error_set(&err, ERR_INVALID_PARAMS, "x");
    for (int i = 0; i < FIELD_ERRORS_MAX + 5; i++)
        field_errors_add(&errors, "/a\"b", "wrong \xff\n");
    http_response_problem(&f->res, &f->req, &err, &errors);
    const cJSON *list = json_member(problem_body(f), "errors");
    assert_int_equal(cJSON_GetArraySize(list), FIELD_ERRORS_MAX);
    assert_string_equal(text_member(list->child, "pointer"), "/a\"b");
    assert_string_equal(text_member(list->child, "detail"), "wrong \357\277\275\n");
    assert_int_equal(f->res.status, 422);
}

static void test_every_error_code_has_a_problem(void **state)
{
    struct fixture *f = *state;
    static const int statuses[ERR_CODE_COUNT] = {
        [ERR_INVALID_REQUEST] = 400,
        [ERR_UNAUTHORIZED] = 401,
        [ERR_FORBIDDEN] = 403,
        [ERR_NOT_FOUND] = 404,
        [ERR_METHOD_NOT_ALLOWED] = 405,
        [ERR_NOT_ACCEPTABLE] = 406,
        [ERR_REQUEST_TIMEOUT] = 408,
        [ERR_CONFLICT] = 409,
        [ERR_GONE] = 410,
        [ERR_TOO_LARGE] = 413,
        [ERR_URI_TOO_LONG] = 414,
        [ERR_UNSUPPORTED_MEDIA_TYPE] = 415,
        [ERR_RANGE_NOT_SATISFIABLE] = 416,
        [ERR_INVALID_PARAMS] = 422,
        [ERR_INVALID_INPUT] = 422,
        [ERR_RATE_LIMITED] = 429,
        [ERR_HEADERS_TOO_LARGE] = 431,
        [ERR_EXECUTOR_CRASHED] = 500,
        [ERR_INTERNAL] = 500,
        [ERR_OVERLOADED] = 503,
        [ERR_UNAVAILABLE] = 503,
        [ERR_TIMED_OUT] = 504,
    };
    for (int code = ERR_NONE; code < ERR_CODE_COUNT; code++) {
        const struct problem *p = problem_find((enum err_code)code);
        assert_int_equal(p->code, statuses[code] ? code : ERR_INTERNAL);
        assert_int_equal(p->status, statuses[code] ? statuses[code] : 500);
        struct error err = {.code = (enum err_code)code, .detail = "x"};
        http_response_problem(&f->res, &f->req, &err, NULL);
        assert_string_equal(text_member(problem_body(f), "title"), p->title);
        assert_null(strstr(sent(f), "Other"));
        assert_int_equal(error_code_parse(error_name((enum err_code)code)),
                         code == ERR_NONE ? ERR_INTERNAL : code);
    }
    assert_int_equal(error_code_parse("no-such-name"), ERR_INTERNAL);
    assert_int_equal(error_code_parse(NULL), ERR_INTERNAL);
    assert_int_equal(problem_find((enum err_code)999)->code, ERR_INTERNAL);
    int last = 0;
    for (const struct problem *p = problem_table(); p->code != ERR_NONE; p++) {
        assert_true(p->status >= last);
        last = p->status;
    }
}

/* A detail that does not fit is cut between characters, however long they are. */
static void test_a_long_detail_is_cut_between_characters(void **state)
{
    static const char *const characters[] = {"x", "\u00e4", "\u20ac", "\U0001f600"};
    struct fixture *f = *state;
    struct error err;
    for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
        size_t size = strlen(characters[i]);
        for (size_t shift = 0; shift < size; shift++) {
            struct strbuf text = STRBUF_INIT;
            strbuf_add(&text, "yyy", shift);
            while (text.size < 2 * sizeof(err.detail))
                strbuf_addstr(&text, characters[i]);
            (void)error_set(&err, ERR_INVALID_REQUEST, "%s", text.text);
            strbuf_release(&text);
            size_t kept = strlen(err.detail);
            assert_true(kept > sizeof(err.detail) - 1 - size && (kept - shift) % size == 0);
            http_response_problem(&f->res, &f->req, &err, NULL);
            assert_string_equal(text_member(problem_body(f), "detail"), err.detail);
        }
    }
    (void)error_set(&err, ERR_INVALID_REQUEST, "%s", "\u00e4");
    assert_string_equal(err.detail, "\u00e4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_answer_is_sent_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_head_gets_the_headers_of_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_without_body_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_is_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_may_be_kept_and_what_leads_on_says_so_itself,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields_with_control_characters_are_dropped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_problem_drops_what_was_built, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_streamed_answer_is_sent_piece_by_piece, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_streamed_answer_may_be_beyond_four_gigabytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_answer_whose_source_fails_is_cut_off_and_says_why,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_source_cannot_say_more_or_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_problem_drops_the_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_range_that_is_refused_keeps_the_size_of_the_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_problem_lists_field_errors_up_to_the_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_long_detail_is_cut_between_characters, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_every_error_code_has_a_problem, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
