/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_route.c - every path and method has exactly one answer
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "http/route.h"
#include "memory_stream.h"

static int answer_with(struct http_response *res, const struct route_match *match, const char *name)
{
    http_response_header(res, "X-Called", "%s(%s,%s)", name,
                         match->params[0] ? match->params[0] : "",
                         match->params[1] ? match->params[1] : "");
    http_response_json(res, 200, NULL);
    return 0;
}

static int handle_read(void *context, struct http_request *req, const struct route_match *match,
                       struct http_response *res, struct field_errors *errors, struct error *reterr)
{
    (void)context, (void)req, (void)errors, (void)reterr;
    return answer_with(res, match, "read");
}

static int handle_write(void *context, struct http_request *req, const struct route_match *match,
                        struct http_response *res, struct field_errors *errors,
                        struct error *reterr)
{
    (void)context, (void)req, (void)errors, (void)reterr;
    return answer_with(res, match, "write");
}

/* Fails as *(int *)context says: that many field errors; -1 without an error, -2 without an answer.
 */
static int handle_fail(void *context, struct http_request *req, const struct route_match *match,
                       struct http_response *res, struct field_errors *errors, struct error *reterr)
{
    int how = *(int *)context;
    (void)req, (void)match;
    if (how == -2)
        return 0;
    http_response_header(res, "Server-Timing", "queue;dur=1");
    if (how == -1)
        return -1;
    for (int i = 0; i < how; i++)
        field_errors_add(errors, "/n", "must be an integer");
    return error_set(reterr, ERR_INVALID_PARAMS, "The handler's own words.");
}

/* Succeeds at the second attempt. */
static int handle_again(void *context, struct http_request *req, const struct route_match *match,
                        struct http_response *res, struct field_errors *errors,
                        struct error *reterr)
{
    (void)context, (void)req, (void)errors;
    if (error_set(reterr, ERR_UNAVAILABLE, "Not at the first attempt.") == 0)
        return -1;
    return answer_with(res, match, "again");
}

static const struct route routes[] = {
    {"/", HTTP_GET, handle_read, 0},
    {"/v1/tasks", HTTP_GET, handle_read, 0},
    {"/v1/tasks/{task}", HTTP_GET, handle_read, 0},
    {"/v1/tasks/{task}", HTTP_POST, handle_write, 0},
    {"/v1/jobs/{id}/outputs/{name}", HTTP_GET | HTTP_DELETE, handle_read, 0},
    {"/fail", HTTP_POST, handle_fail, 0},
    {"/again", HTTP_GET, handle_again, 0},
    {NULL, 0, NULL, 0},
};

struct result {
    struct http_response res;
    struct route_match match;
    struct error err;
};

static const char *header(const struct http_response *res, const char *name)
{
    for (const struct http_header_field *f = res->first; f; f = f->next) {
        if (strcmp(f->name, name) == 0)
            return f->value;
    }
    return "";
}

static struct result dispatch(struct arena *a, enum http_method method, const char *path, int how)
{
    struct result r;
    struct http_request req = {.arena = a, .method = method, .path = path, .request_id = "r1"};
    http_response_init(&r.res, a);
    route_dispatch(routes, NULL, &how, &req, &r.res, &r.match, &r.err);
    return r;
}

static void test_paths_find_their_handler(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        int status;
        const char *called, *allow;
    } cases[] = {
        {HTTP_GET, "/", 200, "read(,)", ""},
        {HTTP_GET, "/v1/tasks", 200, "read(,)", ""},
        {HTTP_HEAD, "/v1/tasks", 200, "read(,)", ""},
        {HTTP_GET, "/v1/tasks/image.transform", 200, "read(image.transform,)", ""},
        {HTTP_POST, "/v1/tasks/image.transform", 200, "write(image.transform,)", ""},
        {HTTP_GET, "/v1/tasks/{task}", 200, "read({task},)", ""},
        {HTTP_GET, "/v1/jobs/7/outputs/a b", 200, "read(7,a b)", ""},
        {HTTP_GET, "/v1/tasks/", 404, "", ""},
        {HTTP_GET, "/v1/tasks/a/", 404, "", ""},
        {HTTP_GET, "/v1/tasks/a/b", 404, "", ""},
        {HTTP_GET, "/v1//tasks", 404, "", ""},
        {HTTP_GET, "//", 404, "", ""},
        {HTTP_GET, "/v1", 404, "", ""},
        {HTTP_GET, "/V1/tasks", 404, "", ""},
        {HTTP_GET, "/v1/task", 404, "", ""},
        {HTTP_GET, "/v1/taskss", 404, "", ""},
        {HTTP_GET, "/v1/jobs//outputs/x", 404, "", ""},
        {HTTP_POST, "/nothing", 404, "", ""},
        {HTTP_OPTIONS, "/nothing", 404, "", ""},
        {HTTP_POST, "/v1/tasks", 405, "", "GET, HEAD, OPTIONS"},
        {HTTP_DELETE, "/v1/tasks/a", 405, "", "GET, HEAD, POST, OPTIONS"},
        {HTTP_OTHER, "/v1/tasks/a", 405, "", "GET, HEAD, POST, OPTIONS"},
        {HTTP_GET, "/fail", 405, "", "POST, OPTIONS"},
        {HTTP_HEAD, "/fail", 405, "", "POST, OPTIONS"},
        {HTTP_OPTIONS, "/v1/tasks/a", 204, "", "GET, HEAD, POST, OPTIONS"},
        {HTTP_OPTIONS, "/v1/jobs/1/outputs/2", 204, "", "GET, HEAD, DELETE, OPTIONS"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result r = dispatch(*state, cases[i].method, cases[i].path, 0);
        if (r.res.status != cases[i].status)
            fail_msg("%s: %d", cases[i].path, r.res.status);
        assert_string_equal(header(&r.res, "X-Called"), cases[i].called);
        assert_string_equal(header(&r.res, "Allow"), cases[i].allow);
        assert_int_equal(r.match.route != NULL,
                         cases[i].called[0] != '\0' || cases[i].status == 204);
    }
}

static void test_a_404_names_the_path_and_no_more_than_that(void **state)
{
    struct result r = dispatch(*state, HTTP_GET, "/no/such", 0);
    assert_int_equal(r.err.code, ERR_NOT_FOUND);
    assert_string_equal(r.err.detail, "There is nothing at /no/such");

    char path[1001] = "/";
    for (size_t i = 1; i + 2 < sizeof(path); i += 2)
        memcpy(path + i, "\303\251", 3);
    r = dispatch(*state, HTTP_GET, path, 0);
    size_t size = strlen("There is nothing at ");
    assert_memory_equal(r.err.detail + size, path, 99); /* a whole number of characters */
    assert_string_equal(r.err.detail + size + 99, "...");
}

static void test_failures_become_problems(void **state)
{
    static const struct {
        int how, status;
        const char *detail;
    } cases[] = {
        {0, 422, "The handler's own words."},
        {1, 422, "/n: must be an integer"},
        {3, 422, "3 parameters are not valid."},
        {-1, 500, "The server could not do its part; its log says why."},
        {-2, 500, "The server could not do its part; its log says why."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result r = dispatch(*state, HTTP_POST, "/fail", cases[i].how);
        assert_int_equal(r.res.status, cases[i].status);
        assert_string_equal(r.err.detail, cases[i].detail);
        assert_string_equal(header(&r.res, "Content-Type"), "application/problem+json");
        assert_non_null(strstr(r.res.body, cases[i].detail));
        assert_int_equal(strstr(r.res.body, "\"errors\":[{") != NULL, cases[i].how > 0);
        assert_string_equal(header(&r.res, "Server-Timing"),
                            cases[i].how == -2 ? "" : "queue;dur=1");
        assert_int_equal(r.err.cause[0] != '\0', cases[i].status == 500);
    }
}

static void test_what_succeeds_has_no_error(void **state)
{
    struct result r = dispatch(*state, HTTP_GET, "/again", 0);
    assert_int_equal(r.res.status, 200);
    assert_int_equal(r.err.code, ERR_NONE);
    assert_string_equal(r.err.detail, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_find_their_handler),
        cmocka_unit_test(test_a_404_names_the_path_and_no_more_than_that),
        cmocka_unit_test(test_failures_become_problems),
        cmocka_unit_test(test_what_succeeds_has_no_error),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
