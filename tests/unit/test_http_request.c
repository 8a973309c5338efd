/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_request.c - what handlers see of a request has been checked
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "arena_fixture.h"
#include "base/clock.h"
#include "http/request.h"
#include "memory_stream.h"

static const struct http_limits limits = {.max_params = 20, .max_params_bytes = 4096};

/* Read the request that a few good variables and `more` make (ends with NULL). */
static int read_with(struct arena *a, const char *const *more, struct http_request **ret_req,
                     struct error *reterr)
{
    char **params = arena_alloc(a, 64 * sizeof(*params));
    int count = 0;
    while (*more)
        params[count++] = arena_strdup(a, *more++);
    params[count++] = arena_strdup(a, "REQUEST_METHOD=GET");
    params[count++] = arena_strdup(a, "DOCUMENT_URI=/v1/tasks");
    struct memory_stream *m = arena_alloc(a, sizeof(*m));
    memory_stream_init(m, params, "");
    *reterr = (struct error){.code = ERR_NONE};
    return http_request_read(&m->base, &limits, a, ret_req, reterr);
}

static struct http_request *read_one(struct arena *a, const char *variable)
{
    struct http_request *req;
    struct error err;
    const char *const more[] = {variable, NULL};
    if (read_with(a, more, &req, &err) != 0)
        fail_msg("%s: %s", variable, err.detail);
    return req;
}

static void test_a_plain_request_is_read(void **state)
{
    struct http_request *req;
    struct error err;
    const char *const more[] = {
        "QUERY_STRING=a=%20",        "CONTENT_TYPE=Application/JSON; Charset=utf-8",
        "CONTENT_LENGTH=12",         "REQUEST_ID=abc_DEF-123",
        "HTTP_ACCEPT_ENCODING=gzip", NULL};
    assert_int_equal(read_with(*state, more, &req, &err), 0);
    assert_int_equal(req->method, HTTP_GET);
    assert_string_equal(req->method_name, "GET");
    assert_string_equal(req->path, "/v1/tasks");
    assert_string_equal(req->query, "a=%20");
    assert_string_equal(req->media_type, "application/json");
    assert_string_equal(req->content_type, "Application/JSON; Charset=utf-8");
    assert_int_equal(req->content_length, 12);
    assert_string_equal(req->request_id, "abc_DEF-123");
    assert_string_equal(http_header(req, "Accept-Encoding"), "gzip");
    assert_string_equal(http_header(req, "content-type"), "Application/JSON; Charset=utf-8");
    assert_string_equal(http_header(req, "Content-Length"), "12");
    assert_null(http_header(req, "Accept"));
}

static void test_what_is_absent_is_empty(void **state)
{
    struct http_request *req = read_one(*state, "X=y");
    assert_string_equal(req->query, "");
    assert_string_equal(req->media_type, "");
    assert_string_equal(req->content_type, "");
    assert_int_equal(req->content_length, 0);
}

static void test_methods_are_told_apart(void **state)
{
    static const struct {
        const char *variable;
        enum http_method method;
    } cases[] = {
        {"REQUEST_METHOD=HEAD", HTTP_HEAD},     {"REQUEST_METHOD=POST", HTTP_POST},
        {"REQUEST_METHOD=PUT", HTTP_PUT},       {"REQUEST_METHOD=PATCH", HTTP_PATCH},
        {"REQUEST_METHOD=DELETE", HTTP_DELETE}, {"REQUEST_METHOD=OPTIONS", HTTP_OPTIONS},
        {"REQUEST_METHOD=get", HTTP_OTHER},     {"REQUEST_METHOD=GETS", HTTP_OTHER},
        {"REQUEST_METHOD=TRACE", HTTP_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(read_one(*state, cases[i].variable)->method, cases[i].method);
    struct http_request *req =
        read_one(*state, "REQUEST_METHOD=AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD");
    assert_string_equal(req->method_name, "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDD");
}

static void test_bad_requests_are_refused(void **state)
{
    static const char *const bad[] = {
        "REQUEST_METHOD=",
        "CONTENT_LENGTH=-1",
        "CONTENT_LENGTH=+1",
        "CONTENT_LENGTH=1 ",
        "CONTENT_LENGTH=0x10",
        "CONTENT_LENGTH=1.5",
        "CONTENT_LENGTH=9007199254740993",
        "CONTENT_LENGTH=99999999999999999999999999999999999999999999",
        "CONTENT_LENGTH=1, 1",
        "CONTENT_TYPE=json",
        "CONTENT_TYPE=/json",
        "CONTENT_TYPE=a/b c",
        "CONTENT_TYPE=a/b, c/d",
        "CONTENT_TYPE=\xff/b",
        "DOCUMENT_URI=v1",
        "DOCUMENT_URI=",
        "DOCUMENT_URI=*",
        "DOCUMENT_URI=/a\tb",
        "DOCUMENT_URI=/a\nb",
        "DOCUMENT_URI=/a\177",
        "DOCUMENT_URI=/\xff",
        "DOCUMENT_URI=/\xed\xa0\x80",
        "QUERY_STRING=a\001",
        "PATH_INFO=\xff",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_request *req = NULL;
        struct error err;
        const char *const more[] = {bad[i], NULL};
        if (read_with(*state, more, &req, &err) != -1 || err.code != ERR_INVALID_REQUEST)
            fail_msg("%s was accepted", bad[i]);
        assert_non_null(req);
        assert_int_equal(strlen(req->request_id), 32);
    }
    assert_int_equal(read_one(*state, "CONTENT_LENGTH=9007199254740992")->content_length,
                     INT64_C(9007199254740992));
}

static void test_paths_of_plain_cgi_begin_behind_the_script(void **state)
{
    static const struct {
        const char *script, *info, *path;
    } cases[] = {
        {"SCRIPT_NAME=/cgi-bin/gangsaw", "PATH_INFO=/v1/tasks/x", "/v1/tasks/x"},
        {"SCRIPT_NAME=", "PATH_INFO=/livez", "/livez"},
        {"SCRIPT_NAME=/ignored", "PATH_INFO=", "/v1/tasks"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_request *req;
        struct error err;
        const char *const more[] = {cases[i].script, cases[i].info, NULL};
        assert_int_equal(read_with(*state, more, &req, &err), 0);
        assert_string_equal(req->path, cases[i].path);
    }
    struct http_request *req;
    struct error err;
    const char *const more[] = {"DOCUMENT_URI=", "SCRIPT_NAME=/livez", NULL};
    assert_int_equal(read_with(*state, more, &req, &err), 0);
    assert_string_equal(req->path, "/livez");
}

static void test_variables_have_limits(void **state)
{
    struct http_request *req = NULL;
    struct error err;
    const char *many[20] = {NULL};
    for (int i = 0; i < 19; i++)
        many[i] = "HTTP_X=1";
    assert_int_equal(read_with(*state, many, &req, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);
    assert_non_null(strstr(err.detail, "20"));
    assert_non_null(req);
    many[18] = NULL;
    assert_int_equal(read_with(*state, many, &req, &err), 0);

    char *large = arena_alloc(*state, 5000);
    memset(large, 'x', 4999);
    memcpy(large, "HTTP_X=", 7);
    const char *const more[] = {large, NULL};
    assert_int_equal(read_with(*state, more, &req, &err), -1);
    assert_int_equal(err.code, ERR_HEADERS_TOO_LARGE);
    assert_non_null(strstr(err.detail, "4096"));
    assert_string_equal(req->path, "");
}

static void test_request_ids_of_others_are_not_trusted(void **state)
{
    static const char *const bad[] = {
        "REQUEST_ID=", "REQUEST_ID=a b", "REQUEST_ID=a\r\nX: y", "REQUEST_ID=\303\251",
        "REQUEST_ID=0123456789012345678901234567890123456789012345678901234567890123x"};
    char last[65] = "";
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_request *req = read_one(*state, bad[i]);
        assert_int_equal(strlen(req->request_id), 32);
        assert_int_equal(strspn(req->request_id, "0123456789abcdef"), 32);
        assert_string_not_equal(req->request_id, last);
        memcpy(last, req->request_id, sizeof(last));
    }
    struct http_request *req = read_one(
        *state, "REQUEST_ID=0123456789012345678901234567890123456789012345678901234567890123");
    assert_int_equal(strlen(req->request_id), 64);
}

/* The start that nginx gives is believed when it lies within the last minute. */
static void test_arrival_is_when_nginx_saw_it(void **state)
{
    static const struct {
        int64_t ago_ms;
        int is_believed;
    } cases[] = {{2000, 1}, {50000, 1}, {70000, 0}, {-5000, 0}, {100000000, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t started_ms = clock_real_us() / 1000 - cases[i].ago_ms;
        int64_t before = clock_us();
        struct http_request *req = read_one(
            *state, arena_printf(*state, "REQUEST_STARTED=%lld.%03lld",
                                 (long long)(started_ms / 1000), (long long)(started_ms % 1000)));
        int64_t expected = before - (cases[i].is_believed ? cases[i].ago_ms * 1000 : 0);
        /* Within a second and a half: the machine may be slow, the cases are further apart. */
        assert_true(llabs(req->arrived_us - expected) < 1500000);
    }
    static const char *const bad[] = {
        "", "x", "1", "1.5", "1.1234", "-1.000", "1e9.000", "1.00x", "99999999999999999999.000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t before = clock_us();
        struct http_request *req =
            read_one(*state, arena_printf(*state, "REQUEST_STARTED=%s", bad[i]));
        assert_true(req->arrived_us >= before);
    }
}

static void test_a_field_in_several_lines_is_one_list(void **state)
{
    struct http_request *req;
    struct error err;
    const char *const more[] = {"HTTP_ACCEPT=a/b", "HTTP_ACCEPT=", "HTTP_ACCEPTX=no",
                                "HTTP_ACCEPT=c/d;q=0.5", NULL};
    assert_int_equal(read_with(*state, more, &req, &err), 0);
    assert_string_equal(http_header(req, "Accept"), "a/b, , c/d;q=0.5");
}

static struct http_request *with_body(struct arena *a, struct memory_stream *m, const char *body,
                                      int64_t content_length)
{
    struct http_request *req = arena_alloc(a, sizeof(*req));
    static char *no_params[] = {NULL};
    memory_stream_init(m, no_params, body);
    *req = (struct http_request){.arena = a, .stream = &m->base, .content_length = content_length};
    return req;
}

static void test_a_body_is_read_whole(void **state)
{
    struct memory_stream m;
    struct error err;
    char *text = arena_alloc(*state, 200001);
    memset(text, 'x', 200000);
    struct http_request *req = with_body(*state, &m, text, 200000);
    m.read_max = 999;
    struct payload *body = payload_new(*state);
    assert_int_equal(payload_append(body, "before", 6, &err), 0);
    assert_int_equal(http_body_read(req, 200000, "max_body_bytes", body, &err), 0);
    assert_int_equal(body->size, 200006);
    assert_memory_equal(body->bytes, "beforexxx", 9);
    assert_memory_equal(body->bytes + 6, text, 200000);
    assert_int_equal(req->body_read, 200000);
}

static void test_a_body_over_the_limit_is_not_read(void **state)
{
    struct memory_stream m;
    struct error err;
    struct http_request *req = with_body(*state, &m, "0123456789", 10);
    struct payload *body = payload_new(*state);
    assert_int_equal(http_body_read(req, 9, "max_json_bytes", body, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(err.detail, "max_json_bytes"));
    assert_non_null(strstr(err.detail, "9 bytes"));
    assert_int_equal(m.body_at, 0);
    http_body_discard(req);
    assert_int_equal(m.body_at, 10);
}

static void test_a_body_that_ends_early_is_refused(void **state)
{
    for (int fails = 0; fails <= 1; fails++) {
        struct memory_stream m;
        struct error err;
        struct http_request *req = with_body(*state, &m, "01234", 10);
        m.read_fails = fails;
        struct payload *body = payload_new(*state);
        assert_int_equal(http_body_read(req, 100, "max_body_bytes", body, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_non_null(strstr(err.detail, "5 of 10"));
        http_body_discard(req); /* comes back */
    }
}

static void test_more_than_content_length_is_not_the_body(void **state)
{
    struct memory_stream m;
    struct error err;
    struct http_request *req = with_body(*state, &m, "0123456789", 4);
    struct payload *body = payload_new(*state);
    assert_int_equal(http_body_read(req, 100, "max_body_bytes", body, &err), 0);
    assert_int_equal(body->size, 4);
    http_body_discard(req);
    assert_int_equal(m.body_at, 4);
}

static void test_a_body_comes_in_pieces_that_are_full_but_for_the_last(void **state)
{
    struct memory_stream m;
    struct error err;
    char piece[4];
    size_t size;
    struct http_request *req = with_body(*state, &m, "0123456789more", 10);
    m.read_max = 3;
    assert_int_equal(http_body_check(req, 10, "max_body_bytes", &err), 0);
    for (int i = 0; i < 10; i += 4) {
        assert_int_equal(http_body_piece(req, piece, sizeof(piece), &size, &err), 0);
        assert_int_equal(size, i < 8 ? 4 : 2);
        assert_memory_equal(piece, m.body + i, size);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_body_piece(req, piece, sizeof(piece), &size, &err), 0);
        assert_int_equal(size, 0);
    }
    assert_int_equal(m.body_at, 10);
    assert_int_equal(http_body_check(req, 9, "max_body_bytes", &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

static void test_a_body_in_pieces_that_ends_early_is_refused(void **state)
{
    for (int fails = 0; fails <= 1; fails++) {
        struct memory_stream m;
        struct error err;
        char piece[4];
        size_t size;
        struct http_request *req = with_body(*state, &m, "01234", 10);
        m.read_fails = fails;
        assert_int_equal(http_body_piece(req, piece, sizeof(piece), &size, &err), 0);
        assert_int_equal(http_body_piece(req, piece, sizeof(piece), &size, &err), -1);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_non_null(strstr(err.detail, "5 of 10"));
    }
}

static void test_parameters_of_a_field_are_found(void **state)
{
    static const struct {
        const char *field, *value;
    } cases[] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"multipart/form-data;BOUNDARY=\"a b\"", "a b"},
        {"multipart/form-data; x=\"; boundary=no\"; boundary=yes", "yes"},
        {"multipart/form-data; boundary=\"a\\\"b\"", "a\"b"},
        {"multipart/form-data ;; boundary=abc;", "abc"},
        {"multipart/form-data", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"abc", NULL},
        {"multipart/form-data; xboundary=abc", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *value = http_field_param(*state, cases[i].field, "boundary");
        if (!cases[i].value)
            assert_null(value);
        else
            assert_string_equal(value, cases[i].value);
    }
}

/* In a child, because plain CGI is the process's own environment, stdin and stdout. */
static int echo_by_cgi(void)
{
    struct http_request *req;
    struct error err;
    struct arena *a = arena_new();
    struct http_stream *s = http_stream_cgi();
    struct payload *body = payload_new(a);
    if (clearenv() != 0 || setenv("REQUEST_METHOD", "POST", 1) != 0 ||
        setenv("PATH_INFO", "/echo", 1) != 0 || setenv("CONTENT_LENGTH", "100000", 1) != 0 ||
        http_request_read(s, &limits, a, &req, &err) != 0 || s->peer_fd != -1 ||
        http_body_read(req, 100000, "max_body_bytes", body, &err) != 0 ||
        strcmp(req->path, "/echo") != 0)
        return 1;
    int status = s->write(s, body->bytes, body->size);
    arena_free(a);
    return status == 0 ? 0 : 2;
}

static void test_plain_cgi_uses_environment_stdin_and_stdout(void **state)
{
    int request[2], answer[2], status;
    char *bytes = arena_alloc(*state, 100000), *echo = arena_alloc(*state, 100000);
    memset(bytes, 'x', 100000);
    assert_int_equal(pipe(request), 0);
    assert_int_equal(pipe(answer), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(request[0], STDIN_FILENO);
        (void)dup2(answer[1], STDOUT_FILENO);
        (void)close(request[1]);
        (void)close(answer[0]);
        _exit(echo_by_cgi());
    }
    (void)close(request[0]);
    (void)close(answer[1]);
    assert_int_equal(write(request[1], bytes, 100000), 100000);
    /* request[1] stays open: nothing beyond Content-Length is waited for. */
    for (size_t at = 0; at < 100000;) {
        ssize_t n = read(answer[0], echo + at, 100000 - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    assert_memory_equal(echo, bytes, 100000);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(request[1]);
    (void)close(answer[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plain_request_is_read),
        cmocka_unit_test(test_what_is_absent_is_empty),
        cmocka_unit_test(test_methods_are_told_apart),
        cmocka_unit_test(test_bad_requests_are_refused),
        cmocka_unit_test(test_paths_of_plain_cgi_begin_behind_the_script),
        cmocka_unit_test(test_variables_have_limits),
        cmocka_unit_test(test_request_ids_of_others_are_not_trusted),
        cmocka_unit_test(test_arrival_is_when_nginx_saw_it),
        cmocka_unit_test(test_a_field_in_several_lines_is_one_list),
        cmocka_unit_test(test_a_body_is_read_whole),
        cmocka_unit_test(test_a_body_over_the_limit_is_not_read),
        cmocka_unit_test(test_a_body_that_ends_early_is_refused),
        cmocka_unit_test(test_more_than_content_length_is_not_the_body),
        cmocka_unit_test(test_a_body_comes_in_pieces_that_are_full_but_for_the_last),
        cmocka_unit_test(test_a_body_in_pieces_that_ends_early_is_refused),
        cmocka_unit_test(test_parameters_of_a_field_are_found),
        cmocka_unit_test(test_plain_cgi_uses_environment_stdin_and_stdout),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
