/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The catalogue: descriptors that are right are served as they are, any that is wrong is named
 * with its file and place. Cases are a descriptor that is right, with one passage exchanged.
 */
#include "exec/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char transform[] =
    "{\n"
    "  \"name\": \"image.transform\", \"version\": 3, \"module\": \"image\", \"class\": \"cpu\",\n"
    "  \"summary\": \"Change a picture\",\n"
    "  \"inputs\": [{\"name\": \"image\", \"media_types\": [\"image/jpeg\", \"image/svg+xml\"],\n"
    "              \"max_bytes\": 52428800},\n"
    "             {\"name\": \"mask\", \"max_bytes\": 1000, \"many\": {\"max\": 500}, "
    "\"optional\": true,\n"
    "              \"description\": \"What to leave\"}],\n"
    "  \"params\": {\"type\": \"object\", \"additionalProperties\": false, \"properties\": {\n"
    "    \"width\": {\"type\": \"integer\", \"minimum\": 1},\n"
    "    \"quality\": {\"type\": \"integer\", \"default\": 80}}},\n"
    "  \"outputs\": [{\"name\": \"image\", \"media_types\": [\"image/webp\"], \"many\": {\"max\": "
    "2}}],\n"
    "  \"result\": {\"type\": \"object\", \"properties\": {\"width\": {\"type\": \"integer\"}}},\n"
    "  \"limits\": {\"seconds\": 10, \"memory_mb\": 1024, \"output_bytes\": 1000000, "
    "\"max_megapixels\": 71},\n"
    "  \"mode\": \"any\",\n"
    "  \"examples\": [{\"summary\": \"A thumbnail\", \"params\": {\"width\": 200}}]\n"
    "}\n";

static const char fetch[] =
    "{\"name\": \"http.fetch\", \"version\": 1, \"module\": \"http\", \"class\": \"net\", "
    "\"mode\": \"job\","
    " \"summary\": \"Fetch\", \"params\": {\"type\": \"object\"},"
    " \"limits\": {\"seconds\": 0.5, \"memory_mb\": 64, \"output_bytes\": 1}}";

struct context {
    struct scratch scratch;
    struct arena *arena;
    struct config cfg;
};

static int setup(void **state)
{
    static struct context c;
    scratch_open(&c.scratch);
    c.arena = arena_new();
    c.cfg = (struct config){.server_tasks_dir = c.scratch.path};
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    arena_free(c->arena);
    scratch_close(&c->scratch);
    return 0;
}

static struct catalog *open_good(struct context *c)
{
    struct catalog *catalog = NULL;
    struct error err;
    if (catalog_open(&c->cfg, &catalog, &err) != 0)
        fail_msg("%s", err.detail);
    return catalog;
}

static void assert_refused(struct context *c, const char *wanted)
{
    struct catalog *catalog = NULL;
    struct error err = {.code = ERR_NONE};
    if (catalog_open(&c->cfg, &catalog, &err) == 0)
        fail_msg("accepted, rather than \"%s\"", wanted);
    assert_null(catalog);
    assert_int_equal(err.code, ERR_INTERNAL);
    if (!strstr(err.detail, wanted))
        fail_msg("\"%s\" is not in \"%s\"", wanted, err.detail);
}

static void write_transform(struct context *c, const char *old, const char *new)
{
    const char *at = strstr(transform, old);
    if (!at)
        fail_msg("\"%s\" is not in the descriptor", old);
    scratch_write_text(&c->scratch, "image.transform.json",
                       arena_printf(c->arena, "%.*s%s%s", (int)(at - transform), transform, new,
                                    at + strlen(old)));
}

static double limit_of(const struct task_desc *task, const char *name)
{
    for (int i = 0; i < task->limit_count; i++) {
        if (strcmp(task->limits[i].name, name) == 0)
            return task->limits[i].value;
    }
    return -1;
}

static double served_limit_of(const struct task_desc *task, const char *name)
{
    return json_member(json_member(task->source, "limits"), name)->valuedouble;
}

static void test_descriptor_is_read_in_full(void **state)
{
    struct context *c = *state;
    write_transform(c, "any", "any");
    struct catalog *catalog = open_good(c);
    const struct task_desc *task = catalog_find(catalog, "image.transform");
    assert_non_null(task);
    assert_string_equal(task->name, "image.transform");
    assert_string_equal(task->module, "image");
    assert_string_equal(task->summary, "Change a picture");
    assert_int_equal(task->version, 3);
    assert_int_equal(task->class, TASK_CPU);
    assert_false(task->job_only);
    assert_non_null(schema_property(task->params, "width"));
    assert_int_equal(task->input_count, 2);
    assert_string_equal(task->inputs[0].name, "image");
    assert_string_equal(task->inputs[0].media_types[0], "image/jpeg");
    assert_string_equal(task->inputs[0].media_types[1], "image/svg+xml");
    assert_null(task->inputs[0].media_types[2]);
    assert_int_equal(task->inputs[0].max_bytes, 52428800);
    assert_int_equal(task->inputs[0].max_count, 1);
    assert_true(task->inputs[0].required);
    assert_string_equal(task->inputs[1].name, "mask");
    assert_null(task->inputs[1].media_types[0]);
    assert_int_equal(task->inputs[1].max_count, 500);
    assert_false(task->inputs[1].required);
    assert_int_equal(task->output_count, 1);
    assert_string_equal(task->outputs[0].name, "image");
    assert_int_equal(task->outputs[0].max_count, 2);
    assert_int_equal(task->limit_count, 4);
    assert_true(task->seconds == 10);
    assert_int_equal(task->memory_bytes, 1024UL * 1048576);
    assert_int_equal(task->output_bytes, 1000000);
    assert_true(limit_of(task, "max_megapixels") == 71);
    catalog_close(catalog);
}

static void test_members_that_may_be_absent_have_their_defaults(void **state)
{
    struct context *c = *state;
    scratch_write_text(&c->scratch, "http.fetch.json", fetch);
    struct catalog *catalog = open_good(c);
    const struct task_desc *task = catalog_find(catalog, "http.fetch");
    assert_non_null(task);
    assert_int_equal(task->class, TASK_NET);
    assert_true(task->job_only);
    assert_int_equal(task->input_count, 0);
    assert_int_equal(task->output_count, 0);
    assert_true(task->seconds == 0.5);
    assert_int_equal(task->output_bytes, 1);
    catalog_close(catalog);
}

static void test_examples_are_served_without_the_defaults_of_the_check(void **state)
{
    struct context *c = *state;
    write_transform(c, "any", "any");
    struct catalog *catalog = open_good(c);
    const cJSON *examples = json_member(catalog_at(catalog, 0)->source, "examples");
    const char *text = json_print(c->arena, examples, NULL);
    assert_string_equal(text, "[{\"summary\":\"A thumbnail\",\"params\":{\"width\":200}}]");
    catalog_close(catalog);
}

static void test_tasks_stand_in_the_order_of_names_and_are_found(void **state)
{
    static const char *const names[] = {"a.a", "a.a2", "a.a_b", "a.aa", "a2.a", "a_b.a", "b.a"};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *name = names[(i * 3) % COUNT(names)];
        scratch_write_text(
            &c->scratch, arena_printf(c->arena, "%s.json", name),
            arena_printf(c->arena,
                         "{\"name\":\"%s\",\"version\":1,\"module\":\"m\",\"class\":\"%s\","
                         "\"summary\":\"s\",\"params\":{\"type\":\"object\"},\"limits\":"
                         "{\"seconds\":1,\"memory_mb\":1,\"output_bytes\":1}}",
                         name, name[0] == 'b' ? "net" : "cpu"));
    }
    struct catalog *catalog = open_good(c);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_string_equal(catalog_at(catalog, (int)i)->name, names[i]);
        assert_ptr_equal(catalog_find(catalog, names[i]), catalog_at(catalog, (int)i));
    }
    assert_null(catalog_at(catalog, (int)COUNT(names)));
    assert_null(catalog_at(catalog, -1));
    assert_null(catalog_find(catalog, "a"));
    assert_null(catalog_find(catalog, "c.a"));
    assert_null(catalog_find(catalog, ""));
    assert_int_equal(catalog_class_count(catalog, TASK_CPU), COUNT(names) - 1);
    assert_int_equal(catalog_class_count(catalog, TASK_NET), 1);
    assert_string_equal(task_class_name(TASK_CPU), "cpu");
    assert_string_equal(task_class_name(TASK_NET), "net");
    catalog_close(catalog);
    catalog_close(NULL);
}

static void test_other_files_are_left_alone(void **state)
{
    struct context *c = *state;
    write_transform(c, "any", "any");
    scratch_write_text(&c->scratch, "README", "not JSON");
    scratch_write_text(&c->scratch, ".image.transform.json", "not JSON");
    scratch_write_text(&c->scratch, "image.transform.json~", "not JSON");
    struct catalog *catalog = open_good(c);
    assert_non_null(catalog_at(catalog, 0));
    assert_null(catalog_at(catalog, 1));
    catalog_close(catalog);
}

static void test_folder_without_descriptors_is_an_error(void **state)
{
    struct context *c = *state;
    assert_refused(c, "there is no task descriptor (*.json) in it");
    assert_refused(c, c->scratch.path);
    c->cfg.server_tasks_dir = arena_printf(c->arena, "%s/absent", c->scratch.path);
    assert_refused(c, "absent: No such file or directory");
}

static const struct {
    const char *old, *new, *wanted;
} refusals[] = {
    /* the file */
    {"{\n", "[\n", "image.transform.json: "},
    {"\"any\",", "\"any\"", "image.transform.json: "},
    {"\"mode\": \"any\"", "\"mode\": \"any\", \"mode\": \"any\"", "image.transform.json: "},
    /* members */
    {"\"mode\"", "\"made\"", "image.transform.json#/made: is no member that is known here"},
    {"\"version\": 3, ", "", "image.transform.json#/version: is missing"},
    {"\"summary\": \"Change a picture\",", "", "#/summary: is missing"},
    {"\"Change a picture\"", "\"\"", "#/summary: must be a string that is not empty"},
    {"\"Change a picture\"", "7", "#/summary: must be a string that is not empty"},
    /* head */
    {"image.transform\"", "image.transforms\"",
     "#/name: \"image.transforms\" must be the file's name without .json"},
    {"image.transform\"", "image.transfor\"", "#/name: \"image.transfor\" must be the file's name"},
    {"image.transform\"", "transform\"", "#/name: must be two names with a dot between"},
    {"image.transform\"", "image.Transform\"", "#/name: must be two names"},
    {"image.transform\"", "image.trans.form\"", "#/name: must be two names"},
    {"image.transform\"", "../image.transform\"", "#/name: must be two names"},
    {"image.transform\"", "image.\"", "#/name: must be two names"},
    {"\"module\": \"image\"", "\"module\": \"../image\"", "#/module: must be a-z"},
    {"\"module\": \"image\"", "\"module\": \"1mage\"", "#/module: must be a-z"},
    {"\"version\": 3", "\"version\": 0", "#/version: must be 1 to 2147483647"},
    {"\"version\": 3", "\"version\": 2147483648", "#/version: must be 1 to 2147483647"},
    {"\"version\": 3", "\"version\": 1.5", "#/version: must be an integer"},
    {"\"version\": 3", "\"version\": \"3\"", "#/version: must be an integer"},
    {"\"cpu\"", "\"gpu\"", "#/class: must be \"cpu\" or \"net\""},
    {"\"any\"", "\"all\"", "#/mode: must be \"any\" or \"job\""},
    /* inputs and outputs */
    {"\"name\": \"mask\"", "\"name\": \"Mask\"", "#/inputs/1/name: must be a-z"},
    {"\"name\": \"mask\"", "\"name\": \"mask.2\"", "#/inputs/1/name: must be a-z"},
    {"\"name\": \"mask\"", "\"name\": \"image\"", "#/inputs/1/name: is the name of item 0"},
    {"\"name\": \"mask\"", "\"name\": \"width\"",
     "#/inputs/1/name: is the name of a parameter too"},
    {"\"name\": \"mask\"", "\"name\": \"params\"",
     "#/inputs/1/name: is what a form calls all parameters"},
    {"\"name\": \"mask\", ", "", "#/inputs/1/name: is missing"},
    {"\"max_bytes\": 1000, ", "", "#/inputs/1/max_bytes: is missing"},
    {"\"max_bytes\": 1000", "\"max_bytes\": 0", "#/inputs/1/max_bytes: must be 1 to "},
    {"\"max_bytes\": 1000", "\"max_bytes\": 1e300", "#/inputs/1/max_bytes: must be an integer"},
    {"\"max_bytes\": 1000", "\"max_bytes\": 10.5", "#/inputs/1/max_bytes: must be an integer"},
    {"\"max\": 500", "\"max\": 1001", "#/inputs/1/many/max: must be 1 to 1000"},
    {"\"max\": 500", "\"max\": 0", "#/inputs/1/many/max: must be 1 to 1000"},
    {"\"max\": 500", "\"maximum\": 500", "#/inputs/1/many/maximum: is no member"},
    {"{\"max\": 500}", "500", "#/inputs/1/many: must be an object"},
    {"{\"max\": 500}", "{}", "#/inputs/1/many/max: is missing"},
    {"\"optional\": true", "\"optional\": 1", "#/inputs/1/optional: must be true or false"},
    {"\"image/jpeg\",", "7,", "#/inputs/0/media_types: item 0 must be a media type"},
    {"\"image/jpeg\",", "\"image\",", "#/inputs/0/media_types: item 0 must be a media type"},
    {"\"image/jpeg\",", "\"image/*\",", "#/inputs/0/media_types: item 0 must be a media type"},
    {"\"image/jpeg\",", "\"Image/JPEG\",", "#/inputs/0/media_types: item 0 must be a media type"},
    {"\"image/jpeg\",", "\"a/b/c\",", "#/inputs/0/media_types: item 0 must be a media type"},
    {"\"image/jpeg\",", "\"image/svg+xml\",",
     "#/inputs/0/media_types: \"image/svg+xml\" is listed twice"},
    {"[\"image/webp\"]", "[]", "#/outputs/0/media_types: must list a media type"},
    {"[\"image/webp\"]", "\"image/webp\"", "#/outputs/0/media_types: must be an array"},
    {"\"media_types\": [\"image/webp\"], ", "", "#/outputs/0/media_types: is missing"},
    {"\"many\": {\"max\": 2}", "\"max_bytes\": 2", "#/outputs/0/max_bytes: is no member"},
    {"{\"name\": \"image\", \"media_types\": [\"image/webp\"]",
     "{\"name\": \"result\", \"media_types\": [\"image/webp\"]",
     "#/outputs/0/name: is what an archive calls the result"},
    {"{\"name\": \"image\", \"media_types\": [\"image/webp\"], \"many\": {\"max\": 2}}", "7",
     "#/outputs/0: must be an object"},
    /* schemas */
    {"{\"type\": \"object\", \"additionalProperties\"", "{\"additionalProperties\"",
     "#/params/type: must be \"object\""},
    {"{\"type\": \"object\", \"additionalProperties\"",
     "{\"type\": [\"object\"], \"additionalProperties\"", "#/params/type: must be \"object\""},
    {"\"result\": {\"type\": \"object\"", "\"result\": {\"type\": \"array\"",
     "#/result/type: must be \"object\""},
    {"\"minimum\": 1", "\"minimun\": 1", "image.transform.json#/params/properties/width"},
    {"{\"width\": {\"type\": \"integer\"}}", "{\"width\": {\"type\": \"int\"}}",
     "image.transform.json#/result/properties/width"},
    {"\"quality\": {", "\"params\": {",
     "#/params/properties/params: is what a form calls all parameters"},
    /* limits */
    {"\"seconds\": 10, ", "", "#/limits/seconds: is missing"},
    {"\"memory_mb\": 1024, ", "", "#/limits/memory_mb: is missing"},
    {"\"output_bytes\": 1000000, ", "", "#/limits/output_bytes: is missing"},
    {"\"seconds\": 10", "\"seconds\": 0", "#/limits/seconds: seconds must be 0.001 to 604800"},
    {"\"seconds\": 10", "\"seconds\": 1e9", "seconds must be 0.001 to 604800"},
    {"\"seconds\": 10", "\"seconds\": \"10\"", "#/limits/seconds: must be a number"},
    {"\"memory_mb\": 1024", "\"memory_mb\": 1e15", "memory_mb must be 1 to 16777216"},
    {"\"output_bytes\": 1000000", "\"output_bytes\": 0.5",
     "output_bytes must be 1 to 1099511627776"},
    {"\"max_megapixels\": 71", "\"max_megapixels\": -71",
     "#/limits/max_megapixels: max_megapixels must be over 0"},
    {"\"max_megapixels\": 71", "\"Max\": 71", "#/limits/Max: a limit's name must be a-z"},
    /* examples */
    {"\"width\": 200", "\"width\": 0", "image.transform.json#/examples/0/params/width: "},
    {"\"width\": 200", "\"size\": 1", "image.transform.json#/examples/0/params/size: "},
    {"\"summary\": \"A thumbnail\", ", "", "#/examples/0/summary: is missing"},
    {"\"params\": {\"width\": 200}", "\"parameters\": {}", "#/examples/0/parameters: is no member"},
};

static void test_what_is_wrong_is_named_with_file_and_place(void **state)
{
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        write_transform(c, refusals[i].old, refusals[i].new);
        assert_refused(c, refusals[i].wanted);
    }
}

static void test_one_wrong_descriptor_among_right_ones_is_an_error(void **state)
{
    struct context *c = *state;
    write_transform(c, "any", "any");
    scratch_write_text(&c->scratch, "http.fetch.json", fetch);
    scratch_write_text(&c->scratch, "z.z.json", "{}");
    assert_refused(c, "z.z.json#/name: is missing");
}

static void test_file_that_is_no_file_or_too_large_is_refused(void **state)
{
    struct context *c = *state;
    const size_t size = 1048577;
    scratch_write_text(&c->scratch, "a.b.json/inside", "x");
    assert_refused(c, "a.b.json: not a regular file");
    char *blanks = arena_alloc(c->arena, size);
    memset(blanks, ' ', size);
    scratch_write(&c->scratch, "a.a.json", blanks, size);
    assert_refused(c, "a.a.json: over 1048576 bytes");
}

static void test_name_too_long_for_a_section_of_the_configuration_is_refused(void **state)
{
    struct context *c = *state;
    const char *name = "image.a_name_that_has_forty_five_characters_x";
    assert_int_equal(strlen(name), 45);
    scratch_write_text(&c->scratch, arena_printf(c->arena, "%s.json", name),
                       arena_printf(c->arena, "{\"name\":\"%s%s", name,
                                    strstr(transform, "image.transform") + 15));
    assert_refused(c, "#/name: must be two names with a dot between");
}

static void set_limits(struct context *c, struct config_task_limit *limits, int count)
{
    c->cfg.task_limits = limits;
    c->cfg.task_limit_count = count;
}

static void test_configured_limits_are_applied_and_served(void **state)
{
    static struct config_task_limit limits[] = {
        {"image.transform", "seconds", 2.5, "gangsaw.conf:2"},
        {"image.transform", "max_megapixels", 100, "gangsaw.conf:3"},
        {"image.transform", "memory_mb", 2048, "gangsaw.conf:4"},
        {"http.fetch", "output_bytes", 77, "gangsaw.conf:6"},
        {NULL, "IMAGE_TRANSFORM_MAX_MEGAPIXELS", 50, "GANGSAW_TASK_IMAGE_TRANSFORM_MAX_MEGAPIXELS"},
    };
    struct context *c = *state;
    write_transform(c, "any", "any");
    scratch_write_text(&c->scratch, "http.fetch.json", fetch);
    set_limits(c, limits, COUNT(limits));
    struct catalog *catalog = open_good(c);
    const struct task_desc *task = catalog_find(catalog, "image.transform");
    assert_true(task->seconds == 2.5);
    assert_true(limit_of(task, "seconds") == 2.5);
    assert_true(served_limit_of(task, "seconds") == 2.5);
    assert_int_equal(task->memory_bytes, 2048UL * 1048576);
    assert_true(served_limit_of(task, "memory_mb") == 2048);
    assert_true(limit_of(task, "max_megapixels") == 50); /* the environment's */
    assert_true(served_limit_of(task, "max_megapixels") == 50);
    assert_int_equal(task->output_bytes, 1000000);
    assert_int_equal(catalog_find(catalog, "http.fetch")->output_bytes, 77);
    catalog_close(catalog);
}

static void test_configured_limit_that_is_wrong_is_named_with_its_place(void **state)
{
    static struct {
        struct config_task_limit limit;
        const char *wanted;
    } cases[] = {
        {{"image.transfrom", "seconds", 1, "gangsaw.conf:7"},
         "gangsaw.conf:7: there is no task image.transfrom"},
        {{"image.transform", "secs", 1, "gangsaw.conf:7"},
         "gangsaw.conf:7: task image.transform has no limit secs"},
        {{"http.fetch", "max_megapixels", 1, "gangsaw.conf:7"},
         "gangsaw.conf:7: task http.fetch has no limit max_megapixels"},
        {{"image.transform", "seconds", 0, "gangsaw.conf:7"},
         "gangsaw.conf:7: seconds must be 0.001 to 604800"},
        {{"image.transform", "max_megapixels", 0, "gangsaw.conf:7"},
         "gangsaw.conf:7: max_megapixels must be over 0"},
        {{"image.transform", "memory_mb", 1e14, "gangsaw.conf:7"},
         "gangsaw.conf:7: memory_mb must be 1 to 16777216"},
        {{NULL, "IMAGE_TRANSFORM_SECS", 1, "GANGSAW_TASK_IMAGE_TRANSFORM_SECS"},
         "GANGSAW_TASK_IMAGE_TRANSFORM_SECS: there is no such task or limit"},
        {{NULL, "IMAGE", 1, "GANGSAW_TASK_IMAGE"}, "GANGSAW_TASK_IMAGE: there is no such"},
        {{NULL, "image_transform_seconds", 1, "GANGSAW_TASK_image_transform_seconds"},
         "there is no such task or limit"},
        {{NULL, "HTTP_FETCH_SECONDS", 0, "GANGSAW_TASK_HTTP_FETCH_SECONDS"},
         "GANGSAW_TASK_HTTP_FETCH_SECONDS: seconds must be"},
    };
    struct context *c = *state;
    write_transform(c, "any", "any");
    scratch_write_text(&c->scratch, "http.fetch.json", fetch);
    for (size_t i = 0; i < COUNT(cases); i++) {
        set_limits(c, &cases[i].limit, 1);
        assert_refused(c, cases[i].wanted);
    }
}

static void test_variable_that_could_mean_two_tasks_is_refused(void **state)
{
    static struct config_task_limit limit = {NULL, "A_B_C_SECONDS", 2,
                                             "GANGSAW_TASK_A_B_C_SECONDS"};
    static const char *const names[] = {"a.b_c", "a_b.c"};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(names); i++)
        scratch_write_text(
            &c->scratch, arena_printf(c->arena, "%s.json", names[i]),
            arena_printf(c->arena, "{\"name\":\"%s%s", names[i], strstr(fetch, "http.fetch") + 10));
    set_limits(c, &limit, 1);
    assert_refused(c, "GANGSAW_TASK_A_B_C_SECONDS: could mean limits of 2 tasks");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_descriptor_is_read_in_full),
        TEST(test_members_that_may_be_absent_have_their_defaults),
        TEST(test_examples_are_served_without_the_defaults_of_the_check),
        TEST(test_tasks_stand_in_the_order_of_names_and_are_found),
        TEST(test_other_files_are_left_alone),
        TEST(test_folder_without_descriptors_is_an_error),
        TEST(test_what_is_wrong_is_named_with_file_and_place),
        TEST(test_one_wrong_descriptor_among_right_ones_is_an_error),
        TEST(test_file_that_is_no_file_or_too_large_is_refused),
        TEST(test_name_too_long_for_a_section_of_the_configuration_is_refused),
        TEST(test_configured_limits_are_applied_and_served),
        TEST(test_configured_limit_that_is_wrong_is_named_with_its_place),
        TEST(test_variable_that_could_mean_two_tasks_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
