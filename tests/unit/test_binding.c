/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies: the three kinds of them, and the query, mean the same; what is wrong with them is all
 * said at once, each mistake with its place. Parameters are shown as JSON, inputs as
 * NAME=TYPE:FILE:BYTES.
 */
#include "api/binding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "memory_stream.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define LIMITS "\"limits\": {\"seconds\": 1, \"memory_mb\": 64, \"output_bytes\": 1000}"
#define HEAD(name)       \
    "{\"name\": \"" name \
    "\", \"version\": 1, \"module\": \"t\", \"class\": \"cpu\", \"summary\": \"Test\", "

/* One input and typed parameters; an optional and a repeated input; none. */
static const char one[] =
    HEAD("t.one") "\"inputs\": [{\"name\": \"image\", \"media_types\": [\"image/png\", "
                  "\"image/jpeg\"], \"max_bytes\": 20}], "
                  "\"params\": {\"type\": \"object\", \"additionalProperties\": false, "
                  "\"properties\": {\"width\": {\"type\": \"integer\", \"minimum\": 1}, "
                  "\"strip\": {\"type\": \"boolean\", \"default\": true}, "
                  "\"format\": {\"type\": \"string\", \"enum\": [\"png\", \"jpeg\"]}}}, " LIMITS
                  "}";
static const char many[] =
    HEAD("t.many") "\"inputs\": [{\"name\": \"file\", \"max_bytes\": 20, \"many\": {\"max\": 2}}, "
                   "{\"name\": \"mask\", \"max_bytes\": 20, \"optional\": true}], "
                   "\"params\": {\"type\": \"object\", \"properties\": "
                   "{\"text\": {\"type\": \"string\"}}}, " LIMITS "}";
static const char none[] =
    HEAD("t.none") "\"params\": {\"type\": \"object\", \"required\": [\"n\"], "
                   "\"additionalProperties\": false, \"properties\": "
                   "{\"n\": {\"type\": \"integer\"}}}, " LIMITS "}";

struct context {
    struct scratch scratch;
    struct catalog *catalog;
    struct arena *arena;
    struct config cfg;
};

static int setup(void **state)
{
    static struct context c;
    struct error err;
    scratch_open(&c.scratch);
    scratch_write_text(&c.scratch, "t.one.json", one);
    scratch_write_text(&c.scratch, "t.many.json", many);
    scratch_write_text(&c.scratch, "t.none.json", none);
    c.cfg = (struct config){.server_tasks_dir = c.scratch.path,
                            .http_max_body_bytes = 2000,
                            .http_max_json_bytes = 300};
    if (catalog_open(&c.cfg, &c.catalog, &err) != 0) {
        print_error("%s\n", err.detail);
        return -1;
    }
    c.arena = arena_new();
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    catalog_close(c->catalog);
    arena_free(c->arena);
    scratch_close(&c->scratch);
    return 0;
}

/* Read a request; what it was understood as, or "ERROR /pointer /pointer …". */
static const char *bind(struct context *c, const char *task, const char *query, const char *type,
                        const char *body, size_t body_size)
{
    static const struct http_limits limits = {.max_params = 50, .max_params_bytes = 8192};
    char *params[] = {(char *)(uintptr_t) "REQUEST_METHOD=POST",
                      (char *)(uintptr_t) "DOCUMENT_URI=/v1/tasks/x",
                      arena_printf(c->arena, "QUERY_STRING=%s", query ? query : ""),
                      arena_printf(c->arena, "CONTENT_TYPE=%s", type ? type : ""),
                      arena_printf(c->arena, "CONTENT_LENGTH=%zu", body_size),
                      NULL};
    struct memory_stream *m = arena_alloc(c->arena, sizeof(*m));
    struct http_request *req;
    struct binding b;
    struct error err = {.code = ERR_NONE};
    struct field_errors errors = {.arena = c->arena};
    memory_stream_init(m, arena_memdup(c->arena, params, sizeof(params)), body);
    m->body_size = body_size;
    m->read_max = 7; /* bodies come in pieces */
    const char *shown = "";
    if (http_request_read(&m->base, &limits, c->arena, &req, &err) != 0 ||
        binding_read(req, &c->cfg, catalog_find(c->catalog, task), &b, &errors, &err) != 0) {
        shown = error_name(err.code);
        for (const struct field_error *e = errors.first; e; e = e->next)
            shown = arena_printf(c->arena, "%s %s", shown, *e->pointer ? e->pointer : "(all)");
        return shown;
    }
    shown = json_print(c->arena, b.params, NULL);
    for (int i = 0; i < b.input_count; i++)
        shown = arena_printf(c->arena, "%s %s=%s:%s:%.*s", shown, b.inputs[i].name,
                             b.inputs[i].media_type, b.inputs[i].file_name, (int)b.inputs[i].size,
                             (const char *)b.body->bytes + b.inputs[i].offset);
    return shown;
}

struct example {
    const char *task, *query, *type, *body, *shown;
};

static void check(struct context *c, const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct example *e = &examples[i];
        const char *shown = bind(c, e->task, e->query, e->type, e->body, strlen(e->body));
        if (strcmp(shown, e->shown) != 0)
            fail_msg("%s ?%s %s\n%s\nis    %s\nnot   %s", e->task, e->query ? e->query : "",
                     e->type ? e->type : "", e->body, shown, e->shown);
    }
}

#define FORM "multipart/form-data; boundary=x"
#define PART(name) "--x\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_PART(name, file, type)                                              \
    "--x\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"" file \
    "\"\r\nContent-Type: " type "\r\n\r\n"
#define END "\r\n--x--\r\n"

static void test_all_kinds_of_bodies_mean_the_same(void **state)
{
    static const char shown[] = "{\"width\":20,\"strip\":true} image=image/png::PNG";
    static const struct example examples[] = {
        {"t.one", "width=20", "image/png", "PNG", shown},
        {"t.one", NULL, "application/json",
         "{\"width\":20,\"image\":{\"base64\":\"UE5H\",\"media_type\":\"image/png\"}}", shown},
        {"t.one", "width=20", "application/json",
         "{\"image\":{\"media_type\":\"image/png\",\"base64\":\"UE5H\"}}", shown},
        {"t.one", NULL, FORM, PART("width") "20\r\n" FILE_PART("image", "", "image/png") "PNG" END,
         shown},
        {"t.one", "width=20", FORM, FILE_PART("image", "", "image/png") "PNG" END, shown},
        {"t.one", NULL, FORM,
         PART("params") "{\"width\":20}\r\n" FILE_PART("image", "", "image/png") "PNG" END, shown},
    };
    check(*state, examples, COUNT(examples));
}

static void test_inputs_keep_their_names_types_and_files(void **state)
{
    static const struct example examples[] = {
        {"t.one", NULL, FORM, FILE_PART("image", "a b.png", "image/png") "PNG" END,
         "{\"strip\":true} image=image/png:a b.png:PNG"},
        {"t.one", NULL, FORM, FILE_PART("image", "../../etc/passwd", "image/png") "PNG" END,
         "{\"strip\":true} image=image/png:passwd:PNG"},
        {"t.one", NULL, "application/octet-stream", "PNG", "{\"strip\":true} image=::PNG"},
        {"t.one", NULL, "IMAGE/PNG; x=y", "PNG", "{\"strip\":true} image=image/png::PNG"},
        {"t.many", NULL, "application/json",
         "{\"file\":[{\"base64\":\"UE5H\"},{\"base64\":\"\\u0055E5H\",\"file_name\":\"b\"}]}",
         "{} file=::PNG file=:b:PNG"},
        {"t.many", NULL, FORM, PART("file") "A\r\n" PART("mask") "M\r\n" PART("file") "B" END,
         "{} file=::A mask=::M file=::B"},
        {"t.many", NULL, FORM, FILE_PART("file", "a", "text/x-y") "A" END, "{} file=text/x-y:a:A"},
    };
    check(*state, examples, COUNT(examples));
}

static void test_the_query_is_typed_by_the_schema(void **state)
{
    static const struct example examples[] = {
        {"t.none", "n=5", NULL, "", "{\"n\":5}"},
        {"t.none", "n=5.5", NULL, "", "invalid-params /n"},
        {"t.none", "n=five", NULL, "", "invalid-params /n"},
        {"t.none", "n=", NULL, "", "invalid-params /n"},
        {"t.none", "n=5&n=5", NULL, "", "invalid-params /n"},
        {"t.one", "strip=false&width=1", "image/png", "P",
         "{\"strip\":false,\"width\":1} image=image/png::P"},
        {"t.one", "strip=no", "image/png", "P", "invalid-params /strip"},
        {"t.many", "text=5", FORM, PART("file") "A" END, "{\"text\":\"5\"} file=::A"},
        {"t.none", "n=%zz", NULL, "", "invalid-request"},
        {"t.none", "n=%ff", NULL, "", "invalid-request"},
    };
    check(*state, examples, COUNT(examples));
}

static void test_every_mistake_is_named_at_once(void **state)
{
    static const struct example examples[] = {
        {"t.one", NULL, "application/json", "{\"width\":0,\"strip\":1,\"other\":2,\"a/b~c\":3}",
         "invalid-params /image /width /strip /other /a~1b~0c"},
        {"t.one", "width=0&x=1", FORM, PART("y") "2" END, "invalid-params /image /width /x /y"},
        {"t.none", NULL, "application/json", "{}", "invalid-params /n"},
        {"t.none", NULL, NULL, "", "invalid-params /n"},
        {"t.none", NULL, "application/json", "[]", "invalid-params (all)"},
        {"t.none", NULL, "application/json", "5", "invalid-params (all)"},
        {"t.none", "n=1", "application/json", "{\"n\":1}", "invalid-params /n"},
        {"t.none", NULL, FORM, PART("n") "1\r\n" PART("n") "1" END, "invalid-params /n"},
        {"t.one", "image=UE5H", "image/png", "P", "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":\"UE5H\"}", "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"base64\":\"UE5H\",\"x\":\"\"}}",
         "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"base64\":\"UE5\"}}",
         "invalid-params /image/base64"},
        {"t.one", NULL, "application/json", "{\"image\":[{\"base64\":\"UE5H\"}]}",
         "invalid-params /image"},
        {"t.one", NULL, FORM, PART("image") "A\r\n" PART("image") "B" END, "invalid-params /image"},
        {"t.many", NULL, FORM, PART("file") "A\r\n" PART("file") "B\r\n" PART("file") "C" END,
         "invalid-params /file"},
        {"t.many", NULL, "application/json",
         "{\"file\":[{\"base64\":\"UE5H\"},{\"base64\":\"UE5H\"},{\"base64\":\"UE5H\"}]}",
         "invalid-params /file"},
        {"t.one", NULL, FORM, FILE_PART("other", "a", "image/png") "A" END,
         "invalid-params /other /image"},
        {"t.many", NULL, FORM, PART("text") "\xff\r\n" PART("file") "A" END,
         "invalid-params /text"},
    };
    check(*state, examples, COUNT(examples));
}

static void test_bodies_that_cannot_be_read_have_their_own_problems(void **state)
{
    static const struct example examples[] = {
        {"t.none", NULL, "application/json", "{\"n\":1", "invalid-request"},
        {"t.none", NULL, "application/json", "{\"n\":1,\"n\":1}", "invalid-request"},
        {"t.none", NULL, "application/json", "", "invalid-request"},
        {"t.one", NULL, "multipart/form-data", "x", "invalid-request"},
        {"t.one", NULL, FORM, "--y\r\n", "invalid-request"},
        {"t.one", NULL, "image/gif", "GIF", "unsupported-media-type"},
        {"t.one", NULL, FORM, FILE_PART("image", "a", "text/plain") "T" END,
         "unsupported-media-type"},
        {"t.one", NULL, "application/x-www-form-urlencoded", "a=b", "unsupported-media-type"},
        {"t.none", NULL, "image/png", "PNG", "unsupported-media-type"},
        {"t.many", NULL, "image/png", "PNG", "unsupported-media-type"},
        {"t.one", NULL, "image/png", "", "invalid-input"},
        {"t.one", NULL, FORM, PART("image") END, "invalid-input"},
        {"t.one", NULL, "application/json", "{\"image\":{\"base64\":\"\"}}", "invalid-input"},
        {"t.one", NULL, "image/png", "123456789012345678901", "too-large"},
        {"t.one", NULL, FORM, PART("image") "123456789012345678901" END, "too-large"},
        {"t.one", NULL, "application/json",
         "{\"image\":{\"base64\":\"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAx\"}}", "too-large"},
    };
    check(*state, examples, COUNT(examples));
}

static void test_bodies_over_a_byte_limit_are_too_large(void **state)
{
    static char spaces[3000];
    struct context *c = *state;
    memset(spaces, ' ', sizeof(spaces) - 1);
    memcpy(spaces, "{\"n\":1}", 7);
    assert_string_equal(bind(c, "t.none", NULL, "application/json", spaces, 300), "{\"n\":1}");
    assert_string_equal(bind(c, "t.none", NULL, "application/json", spaces, 301), "too-large");
    assert_string_equal(bind(c, "t.one", NULL, FORM, spaces, 2001), "too-large");
}

static void test_a_body_cut_short_is_refused(void **state)
{
    static const char *const types[] = {"application/json", "image/png", FORM};
    static const char *const bodies[] = {"{\"width\":1}", "PNG",
                                         FILE_PART("image", "a", "image/png") "PNG" END};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(types); i++) {
        for (size_t cut = 1; cut < strlen(bodies[i]); cut++) {
            struct memory_stream m;
            struct http_request *req;
            struct binding b;
            struct error err = {.code = ERR_NONE};
            struct field_errors errors = {.arena = c->arena};
            const struct http_limits limits = {.max_params = 50, .max_params_bytes = 8192};
            char *params[] = {(char *)(uintptr_t) "REQUEST_METHOD=POST",
                              (char *)(uintptr_t) "DOCUMENT_URI=/v1/tasks/x",
                              arena_printf(c->arena, "CONTENT_TYPE=%s", types[i]),
                              arena_printf(c->arena, "CONTENT_LENGTH=%zu", strlen(bodies[i])),
                              NULL};
            memory_stream_init(&m, params, bodies[i]);
            m.body_size = strlen(bodies[i]) - cut;
            assert_int_equal(http_request_read(&m.base, &limits, c->arena, &req, &err), 0);
            assert_int_equal(
                binding_read(req, &c->cfg, catalog_find(c->catalog, "t.one"), &b, &errors, &err),
                -1);
            assert_int_equal(err.code, ERR_INVALID_REQUEST);
            arena_reset(c->arena);
        }
    }
}

static void test_a_nul_within_a_text_field_is_refused(void **state)
{
    static const char form[] = PART("text") "a\0b\r\n" PART("file") "A" END;
    assert_string_equal(bind(*state, "t.many", NULL, FORM, form, sizeof(form) - 1),
                        "invalid-params /text");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_kinds_of_bodies_mean_the_same),
        TEST(test_inputs_keep_their_names_types_and_files),
        TEST(test_the_query_is_typed_by_the_schema),
        TEST(test_every_mistake_is_named_at_once),
        TEST(test_bodies_that_cannot_be_read_have_their_own_problems),
        TEST(test_bodies_over_a_byte_limit_are_too_large),
        TEST(test_a_body_cut_short_is_refused),
        TEST(test_a_nul_within_a_text_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
