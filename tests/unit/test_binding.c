/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies: the three kinds of them, and the query, mean the same; what is wrong with them is all
 * said at once, each mistake with its place. Parameters are shown as JSON, inputs as
 * NAME=TYPE:FILE:BYTES, those that are blobs as NAME=TYPE:FILE:@ID.
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
#include "catalog_fixture.h"
#include "memory_stream.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One input and typed parameters; an optional and a repeated input; two that have to be there;
 * none.
 */
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
                   "{\"text\": {\"type\": \"string\"}, \"sizes\": {\"type\": \"array\", "
                   "\"items\": {\"type\": \"integer\"}}, \"either\": {\"type\": "
                   "[\"array\", \"string\"]}}}, " LIMITS "}";
static const char two[] = HEAD("t.two") "\"inputs\": [{\"name\": \"left\", \"max_bytes\": 20}, "
                                        "{\"name\": \"right\", \"max_bytes\": 20}], "
                                        "\"params\": {\"type\": \"object\"}, " LIMITS "}";
static const char none[] =
    HEAD("t.none") "\"params\": {\"type\": \"object\", \"required\": [\"n\"], "
                   "\"additionalProperties\": false, \"properties\": "
                   "{\"n\": {\"type\": \"integer\"}}}, " LIMITS "}";

static int setup(void **state)
{
    *state = context_open(
        &(struct config){.http_max_body_bytes = 2000, .http_max_json_bytes = 300},
        (const char *const[]){"t.one", one, "t.many", many, "t.two", two, "t.none", none, NULL});
    return 0;
}

static const char *blob_of(const struct binding *b, int input)
{
    for (int i = 0; i < b->blob_count; i++) {
        if (b->blobs[i].input == input)
            return b->blobs[i].id;
    }
    return NULL;
}

static const char *show(struct context *c, const struct binding *b)
{
    const char *shown = json_print(c->arena, b->params, NULL);
    for (int i = 0; i < b->input_count; i++) {
        const struct order_input *input = &b->inputs[i];
        const char *id = blob_of(b, i);
        shown =
            arena_printf(c->arena, "%s %s=%s:%s:%s%.*s", shown, input->name, input->media_type,
                         input->file_name, id ? "@" : "", id ? (int)strlen(id) : (int)input->size,
                         id ? id : (const char *)b->body->bytes + input->offset);
    }
    return shown;
}

static const char *show_errors(struct context *c, const struct error *err,
                               const struct field_errors *errors)
{
    const char *shown = error_name(err->code);
    for (const struct field_error *e = errors->first; e; e = e->next)
        shown = arena_printf(c->arena, "%s %s", shown, *e->pointer ? e->pointer : "(all)");
    return shown;
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
    if (http_request_read(&m->base, &limits, c->arena, &req, &err) != 0 ||
        binding_read(req, &c->cfg, catalog_find(c->catalog, task), &b, &errors, &err) != 0)
        return show_errors(c, &err, &errors);
    c->printed = binding_print(c->arena, &b);
    return show(c, &b);
}

/* One object below `pointer`, as an item of a batch or what is stored of a job. */
static const char *bind_json(struct context *c, const char *task, const char *pointer,
                             const char *text, struct binding *ret_binding)
{
    struct error err = {.code = ERR_NONE};
    struct field_errors errors = {.arena = c->arena};
    cJSON *root;
    if (json_parse(c->arena, text, strlen(text), &root, &err) != 0 ||
        binding_read_json(c->arena, &c->cfg, catalog_find(c->catalog, task), root, pointer,
                          ret_binding, &errors, &err) != 0)
        return show_errors(c, &err, &errors);
    c->printed = binding_print(c->arena, ret_binding);
    return show(c, ret_binding);
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

static void test_a_body_of_bytes_is_the_one_input_that_has_to_be_there(void **state)
{
    static const struct example examples[] = {
        {"t.many", NULL, "image/png", "PNG", "{} file=image/png::PNG"},
        {"t.many", "text=x", NULL, "PNG", "{\"text\":\"x\"} file=::PNG"},
        {"t.many", NULL, "image/png", "", "invalid-input"},
        {"t.many", NULL, NULL, "", "invalid-params /file"},
        {"t.many", "mask=x", "image/png", "PNG", "invalid-params /mask"},
        {"t.two", NULL, "image/png", "PNG", "unsupported-media-type"},
        {"t.two", NULL, FORM, PART("left") "A\r\n" PART("right") "B" END, "{} left=::A right=::B"},
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

static void test_a_repeated_name_fills_a_list(void **state)
{
    static const struct example examples[] = {
        {"t.many", "sizes=5", "image/png", "P", "{\"sizes\":[5]} file=image/png::P"},
        {"t.many", "sizes=5&text=t&sizes=6&sizes=5", "image/png", "P",
         "{\"sizes\":[5,6,5],\"text\":\"t\"} file=image/png::P"},
        {"t.many", "sizes=[5,6]", "image/png", "P", "{\"sizes\":[5,6]} file=image/png::P"},
        {"t.many", NULL, FORM, PART("sizes") "5\r\n" PART("sizes") "6\r\n" PART("file") "A" END,
         "{\"sizes\":[5,6]} file=::A"},
        {"t.many", "sizes=5&sizes=x&sizes=5,6", "image/png", "P",
         "invalid-params /sizes/1 /sizes/2"},
        {"t.many", "sizes=", "image/png", "P", "invalid-params /sizes/0"},
        /* A list that was given as a whole is a value given twice. */
        {"t.many", "sizes=[5]&sizes=6", "image/png", "P", "invalid-params /sizes"},
        {"t.many", "sizes=5", FORM, PART("sizes") "6\r\n" PART("file") "A" END,
         "invalid-params /sizes"},
        {"t.many", NULL, FORM,
         PART("params") "{\"sizes\":[5]}\r\n" PART("sizes") "6\r\n" PART("file") "A" END,
         "invalid-params /sizes"},
        /* Where a text is a value itself, it is an item from the second on. */
        {"t.many", "either=a", "image/png", "P", "{\"either\":\"a\"} file=image/png::P"},
        {"t.many", "either=a&either=b&text=t&either=a", "image/png", "P",
         "{\"either\":[\"a\",\"b\",\"a\"],\"text\":\"t\"} file=image/png::P"},
        {"t.many", NULL, FORM, PART("either") "a\r\n" PART("either") "b\r\n" PART("file") "A" END,
         "{\"either\":[\"a\",\"b\"]} file=::A"},
        {"t.many", "either=[1]&either=b", "image/png", "P", "invalid-params /either"},
        {"t.many", "either=a", FORM, PART("either") "b\r\n" PART("file") "A" END,
         "invalid-params /either"},
        {"t.many", NULL, FORM,
         PART("params") "{\"either\":\"a\"}\r\n" PART("either") "b\r\n" PART("file") "A" END,
         "invalid-params /either"},
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
        {"t.two", NULL, "image/png", "PNG", "unsupported-media-type"},
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

static void test_an_input_in_json_may_be_a_blob(void **state)
{
    static const struct example examples[] = {
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"0123456789a7\"}}",
         "{\"strip\":true} image=::@0123456789a7"},
        {"t.one", "width=9", "application/json",
         "{\"image\":{\"file_name\":\"a/b.png\",\"blob\":\"7\",\"media_type\":\"Image/PNG\"}}",
         "{\"width\":9,\"strip\":true} image=image/png:b.png:@7"},
        {"t.many", NULL, "application/json",
         "{\"mask\":{\"blob\":\"m\"},\"file\":[{\"base64\":\"UE5H\"},{\"blob\":\"f\"}]}",
         "{} file=::PNG file=::@f mask=::@m"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"\"}}",
         "{\"strip\":true} image=::@"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":7}}", "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":null}}", "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"media_type\":\"image/png\"}}",
         "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"a\",\"base64\":\"UE5H\"}}",
         "invalid-params /image"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"a\",\"x\":\"\"}}",
         "invalid-params /image"},
        {"t.one", NULL, "application/json",
         "{\"image\":{\"blob\":\"a\",\"media_type\":\"image/gif\"}}", "unsupported-media-type"},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"a\",\"media_type\":\"image\"}}",
         "invalid-params /image/media_type"},
        {"t.many", NULL, "application/json",
         "{\"file\":[{\"blob\":\"a\"},{\"blob\":\"b\"},{\"blob\":\"c\"}]}", "invalid-params /file"},
        {"t.one", "image=7", NULL, "", "invalid-params /image"},
    };
    check(*state, examples, COUNT(examples));
}

static void test_errors_of_a_batch_stand_below_its_items(void **state)
{
    static const struct {
        const char *task, *text, *shown;
    } examples[] = {
        {"t.one", "{\"width\":5,\"image\":{\"blob\":\"b\"}}",
         "{\"width\":5,\"strip\":true} image=::@b"},
        {"t.one", "{\"width\":0,\"other\":2}",
         "invalid-params /jobs/3/params/image /jobs/3/params/width /jobs/3/params/other"},
        {"t.one", "{\"image\":{\"base64\":\"UE5\"}}", "invalid-params /jobs/3/params/image/base64"},
        {"t.many", "{\"file\":[{\"base64\":\"UE5H\"},{\"base64\":\"?\"}]}",
         "invalid-params /jobs/3/params/file/1/base64"},
        {"t.none", "[]", "invalid-params /jobs/3/params"},
        {"t.none", "null", "invalid-params /jobs/3/params"},
        {"t.none", "{}", "invalid-params /jobs/3/params/n"},
        {"t.one", "{\"image\":{\"base64\":\"\"}}", "invalid-input"},
    };
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct binding b;
        assert_string_equal(bind_json(c, examples[i].task, "/jobs/3/params", examples[i].text, &b),
                            examples[i].shown);
    }
}

static void test_mistakes_of_many_objects_are_counted_together(void **state)
{
    struct context *c = *state;
    struct field_errors errors = {.arena = c->arena};
    for (int i = 0; i < 70; i++) {
        struct error err;
        struct binding b;
        cJSON *root;
        assert_int_equal(json_parse(c->arena, "{\"n\":\"x\",\"m\":1}", 15, &root, &err), 0);
        assert_int_equal(binding_read_json(c->arena, &c->cfg, catalog_find(c->catalog, "t.none"),
                                           root, arena_printf(c->arena, "/jobs/%d/params", i), &b,
                                           &errors, &err),
                         -1);
        assert_int_equal(err.code, ERR_INVALID_PARAMS);
    }
    assert_int_equal(errors.count, 140);
    assert_string_equal(errors.first->pointer, "/jobs/0/params/n");
    assert_string_equal(errors.last->pointer, "/jobs/49/params/m");
}

/* What is stored of a job is read again by whoever computes it. */
static void test_what_is_printed_is_read_back_the_same(void **state)
{
    static const struct example examples[] = {
        {"t.one", "width=5", "application/json",
         "{\"image\":{\"base64\":\"UE5H\",\"file_name\":\"a\"}}", NULL},
        {"t.one", NULL, "application/json", "{\"image\":{\"blob\":\"b\"},\"format\":\"png\"}",
         NULL},
        {"t.many", NULL, "application/json", "{\"file\":[{\"blob\":\"b\"},{\"base64\":\"UE5H\"}]}",
         NULL},
        {"t.many", NULL, "application/json",
         "{\"text\":\"\\u0022\\n\\u00e4\",\"x\":{\"y\":[1e2]},\"file\":{\"blob\":\"\\\"\"}}", NULL},
        {"t.none", "n=9007199254740991", NULL, "", NULL},
    };
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(examples); i++) {
        const struct example *e = &examples[i];
        struct binding b;
        const char *shown = bind(c, e->task, e->query, e->type, e->body, strlen(e->body));
        const char *printed = c->printed;
        assert_string_equal(bind_json(c, e->task, "", printed, &b), shown);
        assert_string_equal(c->printed, printed);
    }
}

static void test_inputs_of_other_bodies_are_named_as_blobs(void **state)
{
    struct context *c = *state;
    const struct task_desc *single = catalog_find(c->catalog, "t.one");
    const struct task_desc *several = catalog_find(c->catalog, "t.many");
    struct order_input inputs[] = {{"file", "image/png", "a \"b\"", 0, 1},
                                   {"mask", "", "", 1, 1},
                                   {"file", "", "", 2, 1},
                                   {"image", "image/png", "", 0, 1}};
    struct binding b = {.params = json_object(c->arena), .inputs = inputs, .input_count = 3};
    for (int i = 0; i < 3; i++)
        binding_name_blob(c->arena, several, &b, i, arena_printf(c->arena, "id%d", i));
    assert_string_equal(binding_print(c->arena, &b),
                        "{\"file\":[{\"blob\":\"id0\",\"media_type\":\"image/png\",\"file_name\":"
                        "\"a \\\"b\\\"\"},{\"blob\":\"id2\"}],\"mask\":{\"blob\":\"id1\"}}");
    struct binding raw = {.params = json_object(c->arena), .inputs = &inputs[3], .input_count = 1};
    (void)cJSON_AddNumberToObject(raw.params, "width", 5);
    binding_name_blob(c->arena, single, &raw, 0, "id");
    assert_string_equal(binding_print(c->arena, &raw),
                        "{\"width\":5,\"image\":{\"blob\":\"id\",\"media_type\":\"image/png\"}}");
}

struct placed {
    const char *text; /* of the input */
    const char *media_type;
    int64_t size;
    const char *shown;
};

static void test_a_blob_has_to_suit_its_input(void **state)
{
    static const struct placed examples[] = {
        {"{\"blob\":\"b\"}", "image/png", 20, "image/png of.png 5+20"},
        {"{\"blob\":\"b\",\"file_name\":\"own\"}", "image/jpeg", 1, "image/jpeg own 5+1"},
        {"{\"blob\":\"b\"}", "application/octet-stream", 1, " of.png 5+1"},
        {"{\"blob\":\"b\",\"media_type\":\"image/png\"}", "text/plain", 1, "image/png of.png 5+1"},
        {"{\"blob\":\"b\"}", "text/plain", 1, "unsupported-media-type"},
        {"{\"blob\":\"b\"}", "image/png", 21, "too-large"},
        {"{\"blob\":\"b\"}", "image/png", 0, "invalid-input"},
    };
    struct context *c = *state;
    const struct task_desc *task = catalog_find(c->catalog, "t.one");
    for (size_t i = 0; i < COUNT(examples); i++) {
        const struct placed *e = &examples[i];
        struct blob_info info = {
            .key = 9, .size = e->size, .media_type = e->media_type, .file_name = "of.png"};
        struct binding b;
        struct error err;
        (void)bind_json(c, "t.one", "", arena_printf(c->arena, "{\"image\":%s}", e->text), &b);
        assert_int_equal(b.blob_count, 1);
        const char *shown = NULL;
        if (binding_place_blob(c->arena, task, &b, 0, 5, &info, &err) != 0)
            shown = error_name(err.code);
        else
            shown = arena_printf(c->arena, "%s %s %zu+%zu", b.inputs[0].media_type,
                                 b.inputs[0].file_name, b.inputs[0].offset, b.inputs[0].size);
        assert_string_equal(shown, e->shown);
    }
}

static void test_all_inputs_together_have_a_limit(void **state)
{
    struct context *c = *state;
    const struct task_desc *task = catalog_find(c->catalog, "t.one");
    const struct blob_info info = {.key = 9, .size = 20, .media_type = "", .file_name = ""};
    struct binding b;
    struct error err;
    (void)bind_json(c, "t.one", "", "{\"image\":{\"blob\":\"b\"}}", &b);
    assert_int_equal(binding_place_blob(c->arena, task, &b, 0, 1980, &info, &err), 0);
    assert_int_equal(binding_place_blob(c->arena, task, &b, 0, 1981, &info, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, context_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_kinds_of_bodies_mean_the_same),
        TEST(test_inputs_keep_their_names_types_and_files),
        TEST(test_a_body_of_bytes_is_the_one_input_that_has_to_be_there),
        TEST(test_the_query_is_typed_by_the_schema),
        TEST(test_a_repeated_name_fills_a_list),
        TEST(test_every_mistake_is_named_at_once),
        TEST(test_bodies_that_cannot_be_read_have_their_own_problems),
        TEST(test_bodies_over_a_byte_limit_are_too_large),
        TEST(test_a_body_cut_short_is_refused),
        TEST(test_a_nul_within_a_text_field_is_refused),
        TEST(test_an_input_in_json_may_be_a_blob),
        TEST(test_errors_of_a_batch_stand_below_its_items),
        TEST(test_mistakes_of_many_objects_are_counted_together),
        TEST(test_what_is_printed_is_read_back_the_same),
        TEST(test_inputs_of_other_bodies_are_named_as_blobs),
        TEST(test_a_blob_has_to_suit_its_input),
        TEST(test_all_inputs_together_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
