/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The form of the answer: bytes or JSON, and which format, all settled from Accept before anything
 * is computed.
 */
#include "api/negotiate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "catalog_fixture.h"
#include "exec/catalog.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define PLAIN "\"params\": {\"type\": \"object\"}, " LIMITS

/* An output in three formats, of which two can be asked for; one in one; several; none. */
static const char picture[] =
    HEAD("t.picture") "\"inputs\": [{\"name\": \"image\", \"max_bytes\": 1000}], "
                      "\"outputs\": [{\"name\": \"image\", \"media_types\": "
                      "[\"image/jpeg\", \"image/png\", \"image/webp\"]}], "
                      "\"params\": {\"type\": \"object\", \"properties\": {\"format\": {\"type\": "
                      "\"string\", "
                      "\"enum\": [\"jpeg\", \"png\", \"webp\"]}}}, " LIMITS "}";
static const char text[] =
    HEAD("t.text") "\"outputs\": [{\"name\": \"text\", \"media_types\": [\"text/plain\"]}], " PLAIN
                   "}";
static const char several[] = HEAD(
    "t.several") "\"outputs\": [{\"name\": \"a\", \"media_types\": [\"text/plain\"], \"many\": "
                 "{\"max\": 3}}], " PLAIN "}";
static const char none[] = HEAD("t.none") PLAIN "}";

static int setup(void **state)
{
    *state = context_open(&(struct config){0},
                          (const char *const[]){"t.picture", picture, "t.text", text, "t.several",
                                                several, "t.none", none, NULL});
    return 0;
}

enum form { BYTES, JSON, REFUSED };

struct example {
    const char *task, *accept;
    const char *format; /* that the client gave; NULL: none */
    const char *input;  /* the input's media type; NULL: no input */
    enum form form;
    const char *chosen; /* the format afterwards; NULL: none */
};

static const struct example examples[] = {
    /* nothing asked for: bytes, as the module sees fit */
    {"t.picture", NULL, NULL, "image/png", BYTES, NULL},
    {"t.picture", "*/*", NULL, "image/png", BYTES, NULL},
    {"t.picture", "image/*", NULL, "image/png", BYTES, NULL},
    {"t.picture", "text/html, */*;q=0.8", NULL, "image/png", BYTES, NULL},
    /* one format preferred: that one */
    {"t.picture", "image/webp", NULL, "image/png", BYTES, "webp"},
    {"t.picture", "image/png;q=0.5, image/webp", NULL, "image/png", BYTES, "webp"},
    {"t.picture", "image/webp, */*;q=0.1", NULL, NULL, BYTES, "webp"},
    /* several as good: the input's own if it is among them, else the first */
    {"t.picture", "image/webp, image/png", NULL, "image/png", BYTES, "png"},
    {"t.picture", "image/webp, image/png", NULL, "image/webp", BYTES, "webp"},
    {"t.picture", "image/webp, image/png", NULL, "image/tiff", BYTES, "png"},
    {"t.picture", "*/*, image/jpeg;q=0", NULL, "image/jpeg", BYTES, "png"},
    /* a format given stays, and has to be acceptable */
    {"t.picture", "image/webp", "webp", "image/png", BYTES, "webp"},
    {"t.picture", "*/*", "png", "image/jpeg", BYTES, "png"},
    {"t.picture", "image/webp", "png", "image/png", REFUSED, "png"},
    {"t.picture", "image/webp, application/json;q=0.1", "png", "image/png", JSON, "png"},
    /* JSON when ranked above, not when level */
    {"t.picture", "application/json", NULL, "image/png", JSON, NULL},
    {"t.picture", "application/json, image/png;q=0.9", NULL, NULL, JSON, "png"},
    {"t.picture", "application/json, image/png", NULL, NULL, BYTES, "png"},
    {"t.picture", "application/json;q=0.2, image/png;q=0.1", NULL, NULL, JSON, "png"},
    /* nothing that there is */
    {"t.picture", "text/html", NULL, "image/png", REFUSED, NULL},
    {"t.picture", "image/gif", NULL, "image/png", REFUSED, NULL},
    {"t.picture", "*/*;q=0", NULL, "image/png", REFUSED, NULL},
    /* other kinds of tasks */
    {"t.text", NULL, NULL, NULL, BYTES, NULL},
    {"t.text", "text/plain", NULL, NULL, BYTES, NULL},
    {"t.text", "application/json", NULL, NULL, JSON, NULL},
    {"t.text", "text/html", NULL, NULL, REFUSED, NULL},
    {"t.several", NULL, NULL, NULL, JSON, NULL},
    {"t.several", "text/plain", NULL, NULL, REFUSED, NULL},
    {"t.several", "text/plain, application/*;q=0.1", NULL, NULL, JSON, NULL},
    {"t.none", NULL, NULL, NULL, JSON, NULL},
    {"t.none", "application/json", NULL, NULL, JSON, NULL},
    {"t.none", "image/png", NULL, NULL, REFUSED, NULL},
};

static void check(struct context *c, const struct example *e)
{
    struct order_input input = {.name = "image", .media_type = e->input};
    struct binding b = {.params = json_object(c->arena), .has_format = e->format != NULL};
    struct accept *accept;
    struct error err;
    bool as_json = false;
    if (e->input) {
        b.inputs = &input;
        b.input_count = 1;
    }
    if (e->format)
        (void)cJSON_AddStringToObject(b.params, "format", e->format);
    assert_int_equal(accept_parse(c->arena, e->accept, &accept, &err), 0);
    int result = negotiate(accept, catalog_find(c->catalog, e->task), &b, c->arena, &as_json, &err);
    enum form form = result != 0 ? REFUSED : as_json ? JSON : BYTES;
    const char *chosen = cJSON_GetStringValue(json_member(b.params, "format"));
    if (form != e->form || strcmp(chosen ? chosen : "-", e->chosen ? e->chosen : "-") != 0)
        fail_msg("%s, Accept: %s: form %d, format %s", e->task, e->accept ? e->accept : "none",
                 form, chosen ? chosen : "none");
    if (result != 0) {
        assert_int_equal(err.code, ERR_NOT_ACCEPTABLE);
        assert_non_null(strstr(err.detail, "application/json"));
    }
}

static void test_accept_chooses_the_form_of_the_answer(void **state)
{
    for (size_t i = 0; i < COUNT(examples); i++)
        check(*state, &examples[i]);
}

static void test_a_refusal_lists_what_there_is(void **state)
{
    struct context *c = *state;
    struct binding b = {.params = json_object(c->arena)};
    struct accept *accept;
    struct error err;
    bool as_json;
    assert_int_equal(accept_parse(c->arena, "text/html", &accept, &err), 0);
    assert_int_equal(
        negotiate(accept, catalog_find(c->catalog, "t.picture"), &b, c->arena, &as_json, &err), -1);
    assert_non_null(strstr(err.detail, "image/jpeg, image/png, image/webp"));
}

static void test_what_is_stored_is_answered_in_the_form_that_it_has(void **state)
{
    static const struct {
        const char *accept, *media_type;
        enum form form;
    } cases[] = {
        {NULL, "image/webp", BYTES},
        {"*/*", "image/webp", BYTES},
        {"image/*", "image/webp", BYTES},
        {"application/json, image/webp", "image/webp", BYTES},
        {"application/json, image/webp;q=0.9", "image/webp", JSON},
        {"application/json", "image/webp", JSON},
        {"image/png, application/json;q=0.1", "image/webp", JSON},
        {"image/png", "image/webp", REFUSED},
        {NULL, NULL, JSON},
        {"application/*", NULL, JSON},
        {"image/webp", NULL, REFUSED},
    };
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct accept *accept;
        struct error err;
        bool as_json = false;
        assert_int_equal(accept_parse(c->arena, cases[i].accept, &accept, &err), 0);
        int result = negotiate_stored(accept, cases[i].media_type, &as_json, &err);
        assert_int_equal(result != 0 ? REFUSED : as_json ? JSON : BYTES, cases[i].form);
        if (result == 0)
            continue;
        assert_int_equal(err.code, ERR_NOT_ACCEPTABLE);
        assert_non_null(strstr(err.detail, "application/json"));
        assert_true(!cases[i].media_type || strstr(err.detail, cases[i].media_type));
    }
}

static void test_only_a_single_output_can_be_the_body(void **state)
{
    struct context *c = *state;
    assert_non_null(negotiate_body_output(catalog_find(c->catalog, "t.text")));
    assert_null(negotiate_body_output(catalog_find(c->catalog, "t.several")));
    assert_null(negotiate_body_output(catalog_find(c->catalog, "t.none")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, context_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accept_chooses_the_form_of_the_answer),
        TEST(test_a_refusal_lists_what_there_is),
        TEST(test_what_is_stored_is_answered_in_the_form_that_it_has),
        TEST(test_only_a_single_output_can_be_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
