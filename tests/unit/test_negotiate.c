/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The form of the answer: bytes, JSON or a zip, and which format, settled from Accept before
 * anything is computed, but for what depends on how many outputs come.
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

/* An output in three formats; one in one; one that may be several; two kinds, one with formats, and
 * two inputs, of which one may be missing; none. */
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
static const char pages[] =
    HEAD("t.pages") "\"inputs\": [{\"name\": \"mark\", \"max_bytes\": 9, \"optional\": true}, "
                    "{\"name\": \"image\", \"max_bytes\": 1000}], "
                    "\"outputs\": [{\"name\": \"text\", \"media_types\": [\"text/plain\"], "
                    "\"optional\": true}, {\"name\": \"page\", \"media_types\": "
                    "[\"image/png\", \"image/webp\", \"image/gif\"], \"many\": {\"max\": 9}}], "
                    "\"params\": {\"type\": \"object\", \"properties\": {\"format\": {\"type\": "
                    "\"string\", \"enum\": [\"png\", \"webp\", \"gif\"]}}}, " LIMITS "}";
static const char none[] = HEAD("t.none") PLAIN "}";

static int setup(void **state)
{
    *state = context_open(&(struct config){0},
                          (const char *const[]){"t.picture", picture, "t.text", text, "t.several",
                                                several, "t.pages", pages, "t.none", none, NULL});
    return 0;
}

enum form { BYTES, JSON, ZIP, REFUSED };

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
    {"t.several", NULL, NULL, NULL, BYTES, NULL},
    {"t.several", "text/plain", NULL, NULL, BYTES, NULL},
    {"t.several", "text/html", NULL, NULL, REFUSED, NULL},
    /* the format is that of the output that can have it, the input the one that has to be there */
    {"t.pages", NULL, NULL, "image/png", BYTES, NULL},
    {"t.pages", "image/webp", NULL, "image/png", BYTES, "webp"},
    {"t.pages", "image/webp, image/png", NULL, "image/webp", BYTES, "webp"},
    {"t.pages", "image/webp, application/zip", NULL, "image/png", BYTES, "webp"},
    {"t.pages", "image/webp;q=0.5, application/zip", NULL, "image/png", ZIP, "webp"},
    {"t.pages", "image/webp", "png", "image/png", REFUSED, "png"},
    {"t.pages", "application/zip", "png", "image/png", ZIP, "png"},
    {"t.pages", "application/zip", NULL, "image/png", ZIP, NULL},
    {"t.pages", "image/jpeg", NULL, "image/png", REFUSED, NULL},
    {"t.none", NULL, NULL, NULL, JSON, NULL},
    {"t.none", "application/json", NULL, NULL, JSON, NULL},
    {"t.none", "image/png", NULL, NULL, REFUSED, NULL},
};

/* The media type of the output: of the format that was settled, or the last that there is. */
static const char *type_of_output(struct context *c, const struct task_desc *task,
                                  const struct binding *b)
{
    const char *format = cJSON_GetStringValue(json_member(b->params, "format"));
    if (format)
        return arena_printf(c->arena, "image/%s", format);
    const char **type = task->output_count > 0 ? task->outputs[task->output_count - 1].media_types
                                               : (const char *[]){NULL};
    return *type;
}

static enum form choose(struct context *c, const struct example *e, struct binding *b,
                        struct error *reterr)
{
    static const enum form forms[] = {
        [ANSWER_BYTES] = BYTES, [ANSWER_JSON] = JSON, [ANSWER_ZIP] = ZIP};
    const struct task_desc *task = catalog_find(c->catalog, e->task);
    struct accept *accept;
    enum answer_form form;
    assert_int_equal(accept_parse(c->arena, e->accept, &accept, reterr), 0);
    if (negotiate(accept, task, b, c->arena, reterr) != 0 ||
        negotiate_form(accept, task, task->output_count > 0 ? 1 : 0, type_of_output(c, task, b),
                       &form, reterr) != 0)
        return REFUSED;
    return forms[form];
}

static void check(struct context *c, const struct example *e)
{
    struct order_input inputs[] = {{.name = "mark", .media_type = "image/png"},
                                   {.name = "image", .media_type = e->input}};
    struct binding b = {.params = json_object(c->arena), .has_format = e->format != NULL};
    struct error err;
    if (e->input) {
        b.inputs = inputs;
        b.input_count = COUNT(inputs);
    }
    if (e->format)
        (void)cJSON_AddStringToObject(b.params, "format", e->format);
    enum form form = choose(c, e, &b, &err);
    const char *chosen = cJSON_GetStringValue(json_member(b.params, "format"));
    if (form != e->form || strcmp(chosen ? chosen : "-", e->chosen ? e->chosen : "-") != 0)
        fail_msg("%s, Accept: %s: form %d, format %s", e->task, e->accept ? e->accept : "none",
                 form, chosen ? chosen : "none");
    if (form == REFUSED) {
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
    assert_int_equal(accept_parse(c->arena, "text/html", &accept, &err), 0);
    assert_int_equal(negotiate(accept, catalog_find(c->catalog, "t.picture"), &b, c->arena, &err),
                     -1);
    assert_non_null(strstr(err.detail, "application/json, image/jpeg, image/png, image/webp."));
    assert_int_equal(negotiate(accept, catalog_find(c->catalog, "t.pages"), &b, c->arena, &err),
                     -1);
    assert_non_null(
        strstr(err.detail,
               "application/json, text/plain, image/png, image/webp, image/gif, application/zip."));
}

static void test_the_form_is_by_how_many_outputs_came(void **state)
{
    static const struct {
        const char *task; /* NULL: one that the server has no more */
        const char *accept;
        int count;
        const char *media_type;
        enum form form;
    } cases[] = {
        {"t.pages", NULL, 1, "image/webp", BYTES},
        {"t.pages", "*/*", 1, "image/webp", BYTES},
        {"t.pages", "image/*", 1, "image/webp", BYTES},
        {"t.pages", "application/json, image/webp", 1, "image/webp", BYTES},
        {"t.pages", "application/json, image/webp;q=0.9", 1, "image/webp", JSON},
        {"t.pages", "application/json", 1, "image/webp", JSON},
        {"t.pages", "image/png, application/json;q=0.1", 1, "image/webp", JSON},
        {"t.pages", "image/png, application/zip;q=0.1", 1, "image/webp", ZIP},
        {"t.pages", "image/png", 1, "image/webp", REFUSED},
        {"t.pages", NULL, 2, "image/webp", JSON},
        {"t.pages", "*/*", 2, "image/webp", JSON},
        {"t.pages", "application/*", 2, "image/webp", JSON},
        {"t.pages", "application/json, application/zip", 2, "image/webp", JSON},
        {"t.pages", "application/json;q=0.9, application/zip", 2, "image/webp", ZIP},
        {"t.pages", "application/zip", 2, "image/webp", ZIP},
        {"t.pages", "image/webp, application/zip;q=0.1", 2, "image/webp", ZIP},
        {"t.pages", "image/webp, application/json;q=0.1", 2, "image/webp", JSON},
        {"t.pages", "image/webp", 2, "image/webp", REFUSED},
        {"t.pages", NULL, 0, NULL, JSON},
        {"t.pages", "application/zip", 0, NULL, ZIP},
        {"t.pages", "image/webp", 0, NULL, REFUSED},
        {"t.picture", "application/zip", 1, "image/webp", REFUSED}, /* it has never several */
        {"t.picture", "application/zip, image/*;q=0.1", 1, "image/webp", BYTES},
        {"t.none", NULL, 0, NULL, JSON},
        {"t.none", "application/zip", 0, NULL, REFUSED},
        {NULL, NULL, 1, "image/webp", BYTES},
        {NULL, "image/png", 1, "image/webp", REFUSED},
        {NULL, "application/zip", 2, "image/webp", ZIP},
        {NULL, "image/webp", 0, NULL, REFUSED},
    };
    static const enum form forms[] = {
        [ANSWER_BYTES] = BYTES, [ANSWER_JSON] = JSON, [ANSWER_ZIP] = ZIP};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct task_desc *task =
            cases[i].task ? catalog_find(c->catalog, cases[i].task) : NULL;
        struct accept *accept;
        struct error err;
        enum answer_form form = ANSWER_JSON;
        assert_int_equal(accept_parse(c->arena, cases[i].accept, &accept, &err), 0);
        int result = negotiate_form(accept, task, cases[i].count, cases[i].media_type, &form, &err);
        if ((result != 0 ? REFUSED : forms[form]) != cases[i].form)
            fail_msg("case %zu: %d, form %d", i, result, form);
        if (result == 0)
            continue;
        assert_int_equal(err.code, ERR_NOT_ACCEPTABLE);
        assert_non_null(strstr(err.detail, "application/json"));
        assert_true(cases[i].count != 1 || strstr(err.detail, cases[i].media_type));
        assert_true(cases[i].count < 2 || strstr(err.detail, "gave 2 outputs"));
    }
}

static void test_a_task_may_have_several_outputs_by_its_descriptor(void **state)
{
    struct context *c = *state;
    assert_true(negotiate_has_several(catalog_find(c->catalog, "t.several")));
    assert_true(negotiate_has_several(catalog_find(c->catalog, "t.pages")));
    assert_false(negotiate_has_several(catalog_find(c->catalog, "t.text")));
    assert_false(negotiate_has_several(catalog_find(c->catalog, "t.none")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, context_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_accept_chooses_the_form_of_the_answer),
        TEST(test_a_refusal_lists_what_there_is),
        TEST(test_the_form_is_by_how_many_outputs_came),
        TEST(test_a_task_may_have_several_outputs_by_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
