/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openapi_task.c - the operation of one task: what a request holds, what an answer holds
 *
 * It says what binding.c takes and what answer.c gives.
 */
#include <string.h>

#include "api/negotiate.h"
#include "api/openapi_internal.h"
#include "base/strbuf.h"

#define JSON_TYPE "application/json"
#define ZIP_TYPE "application/zip"
#define FORM_TYPE "multipart/form-data"
#define RESULT_HEADER "Gangsaw-Result"
#define BINARY "{'type': 'string', 'format': 'binary'}"

static void add_fixed(cJSON *object, const char *name, const char *text)
{
    (void)cJSON_AddItemToObject(object, name, openapi_fixed(text));
}

static void add_copy(cJSON *object, const char *name, const cJSON *value)
{
    if (value)
        (void)cJSON_AddItemToObject(object, name, json_copy(value));
}

static void add_text(cJSON *array, const char *text)
{
    (void)cJSON_AddItemToArray(array, cJSON_CreateString(text));
}

/* ---- what a request holds */

struct builder {
    struct arena *arena; /* for as long as the document is built */
    const struct task_desc *task;
};

static const char *text_member(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(object, name));
    return text ? text : "";
}

/* "one two", or the one of them that is not empty. */
static const char *join(struct arena *a, const char *one, const char *two)
{
    return arena_printf(a, "%s%s%s", one, *one && *two ? " " : "", two);
}

static bool is_required(const cJSON *schema, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_member(schema, "required"))
    {
        if (strcmp(cJSON_GetStringValue(item), name) == 0)
            return true;
    }
    return false;
}

/* May a value of this schema be an array, or an object? */
static bool may_be(const cJSON *schema, const char *type)
{
    const cJSON *types = json_member(schema, "type");
    const cJSON *item;
    if (cJSON_IsString(types))
        return strcmp(types->valuestring, type) == 0;
    cJSON_ArrayForEach(item, types)
    {
        if (strcmp(cJSON_GetStringValue(item), type) == 0)
            return true;
    }
    return false;
}

/* Input `i` as a property: `item`, or an array of it. */
static cJSON *input_schema(const struct builder *b, int i, const char *item)
{
    const struct task_slot *slot = &b->task->inputs[i];
    const cJSON *source = cJSON_GetArrayItem(json_member(b->task->source, "inputs"), i);
    const char *limit = arena_printf(b->arena, "At most %zu bytes%s.", slot->max_bytes,
                                     slot->max_count > 1 ? " each" : "");
    cJSON *schema = openapi_fixed(slot->max_count > 1 ? "{'type': 'array'}" : item);
    if (slot->max_count > 1) {
        add_fixed(schema, "items", item);
        (void)cJSON_AddNumberToObject(schema, "minItems", slot->required ? 1 : 0);
        (void)cJSON_AddNumberToObject(schema, "maxItems", slot->max_count);
    }
    (void)cJSON_AddStringToObject(schema, "description",
                                  join(b->arena, text_member(source, "description"), limit));
    return schema;
}

/* Inputs join the parameters: side by side they are what JSON bodies and forms hold. */
static void add_inputs(const struct builder *b, cJSON *schema, const char *item)
{
    cJSON *properties = json_member(schema, "properties");
    cJSON *required = json_member(schema, "required");
    if (!properties)
        properties = cJSON_AddObjectToObject(schema, "properties");
    if (!required)
        required = cJSON_AddArrayToObject(schema, "required");
    for (int i = 0; i < b->task->input_count; i++) {
        const struct task_slot *slot = &b->task->inputs[i];
        (void)cJSON_AddItemToObject(properties, slot->name, input_schema(b, i, item));
        if (slot->required)
            add_text(required, slot->name);
    }
}

/* The descriptor's example, its inputs standing for real ones. */
static cJSON *example_value(const struct task_desc *task, const cJSON *params)
{
    static const char bytes[] = "{'base64': 'AAAA'}";
    cJSON *value = json_copy(params);
    for (int i = 0; i < task->input_count; i++) {
        const struct task_slot *slot = &task->inputs[i];
        if (!slot->required)
            continue;
        if (slot->max_count == 1)
            add_fixed(value, slot->name, bytes);
        else
            (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(value, slot->name),
                                       openapi_fixed(bytes));
    }
    return value;
}

static void add_json_body(const struct builder *b, cJSON *content)
{
    cJSON *body = cJSON_AddObjectToObject(content, JSON_TYPE);
    const cJSON *source = json_member(b->task->source, "examples");
    const cJSON *item;
    int n = 0;
    add_copy(body, "schema", schema_source(b->task->params));
    add_inputs(b, json_member(body, "schema"), "{'$ref': '#/components/schemas/Input'}");
    if (cJSON_GetArraySize(source) == 0)
        return;
    cJSON *examples = cJSON_AddObjectToObject(body, "examples");
    cJSON_ArrayForEach(item, source)
    {
        cJSON *example =
            cJSON_AddObjectToObject(examples, arena_printf(b->arena, "example%d", ++n));
        add_copy(example, "summary", json_member(item, "summary"));
        (void)cJSON_AddItemToObject(example, "value",
                                    example_value(b->task, json_member(item, "params")));
    }
}

/*
 * OpenAPI takes an array in a form for a part per item. The server takes one part per parameter,
 * which holds the array as JSON: that is a string with a content of its own.
 */
static void put_arrays_into_text(cJSON *properties)
{
    for (cJSON *property = properties ? properties->child : NULL, *next; property;
         property = next) {
        next = property->next;
        if (!may_be(property, "array"))
            continue;
        cJSON *text = openapi_fixed("{'type': 'string', 'contentMediaType': 'application/json'}");
        add_copy(text, "description", json_member(property, "description"));
        add_copy(text, "contentSchema", property);
        (void)cJSON_ReplaceItemInObjectCaseSensitive(properties, property->string, text);
    }
}

static void add_form_body(const struct builder *b, cJSON *content)
{
    const struct task_desc *task = b->task;
    cJSON *body = cJSON_AddObjectToObject(content, FORM_TYPE);
    cJSON *schema = json_copy(schema_source(task->params));
    put_arrays_into_text(json_member(schema, "properties"));
    add_inputs(b, schema, BINARY);
    (void)cJSON_AddItemToObject(body, "schema", schema);
    if (task->input_count == 0)
        return;
    cJSON *encoding = cJSON_AddObjectToObject(body, "encoding");
    for (int i = 0; i < task->input_count; i++) {
        const char *types = "";
        for (const char **t = task->inputs[i].media_types; t && *t; t++)
            types = arena_printf(b->arena, "%s%s%s", types, *types ? ", " : "", *t);
        if (*types)
            (void)cJSON_AddStringToObject(cJSON_AddObjectToObject(encoding, task->inputs[i].name),
                                          "contentType", types);
    }
}

/* The bytes of one input. Types that mean another kind of body cannot be sent so. */
static void add_raw_bodies(const struct builder *b, cJSON *content)
{
    static const char *any[] = {"application/octet-stream", NULL};
    const struct task_slot *input = binding_raw_input(b->task);
    if (!input)
        return;
    const char **types = input->media_types;
    for (const char **t = types && *types ? types : any; *t; t++) {
        if (strcmp(*t, "application/x-www-form-urlencoded") != 0 && !json_member(content, *t))
            add_fixed(cJSON_AddObjectToObject(content, *t), "schema", BINARY);
    }
}

static bool needs_body(const struct task_desc *task)
{
    for (int i = 0; i < task->input_count; i++) {
        if (task->inputs[i].required)
            return true;
    }
    const cJSON *params = schema_source(task->params);
    return !binding_raw_input(task) && cJSON_GetArraySize(json_member(params, "required")) > 0;
}

/*
 * A parameter beside the bytes of an input. Its default is told, not declared: a client that
 * fills in defaults would give the parameter twice when it sends a form or JSON.
 */
static cJSON *query_parameter(const struct builder *b, const cJSON *property)
{
    const char *name = property->string;
    const char *text = text_member(property, "description");
    const cJSON *value = json_member(property, "default");
    if (value)
        text = join(b->arena, text,
                    arena_printf(b->arena, "Default: %s.", json_print(b->arena, value, NULL)));
    if (is_required(schema_source(b->task->params), name))
        text = join(b->arena, text, "Required, here or in the body.");
    cJSON *parameter = openapi_fixed("{'in': 'query'}");
    (void)cJSON_AddStringToObject(parameter, "name", name);
    if (*text)
        (void)cJSON_AddStringToObject(parameter, "description", text);
    cJSON *place = parameter;
    if (may_be(property, "array") || may_be(property, "object")) /* as JSON text */
        place = cJSON_AddObjectToObject(cJSON_AddObjectToObject(parameter, "content"), JSON_TYPE);
    add_copy(place, "schema", property);
    cJSON_DeleteItemFromObjectCaseSensitive(json_member(place, "schema"), "default");
    cJSON_DeleteItemFromObjectCaseSensitive(json_member(place, "schema"), "description");
    return parameter;
}

static void add_parameters(const struct builder *b, cJSON *operation)
{
    cJSON *parameters = cJSON_AddArrayToObject(operation, "parameters");
    const cJSON *property;
    static const char *const headers[] = {"Gangsaw-Timeout", "Prefer", "Gangsaw-Job",
                                          "Idempotency-Key"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        (void)cJSON_AddItemToArray(
            parameters, openapi_fixed(arena_printf(
                            b->arena, "{'$ref': '#/components/parameters/%s'}", headers[i])));
    if (!binding_raw_input(b->task))
        return;
    cJSON_ArrayForEach(property, json_member(schema_source(b->task->params), "properties"))
    {
        (void)cJSON_AddItemToArray(parameters, query_parameter(b, property));
    }
}

static void add_request_body(const struct builder *b, cJSON *operation)
{
    cJSON *body = cJSON_AddObjectToObject(operation, "requestBody");
    cJSON *content = cJSON_AddObjectToObject(body, "content");
    add_json_body(b, content);
    add_form_body(b, content);
    add_raw_bodies(b, content);
    (void)cJSON_AddBoolToObject(body, "required", needs_body(b->task));
}

/* ---- what an answer holds */

static cJSON *answer_schema(const struct task_desc *task)
{
    const cJSON *result = json_member(task->source, "result");
    cJSON *schema =
        openapi_fixed("{'type': 'object', 'required': ['task'], 'properties': {'task': {}}}");
    cJSON *properties = json_member(schema, "properties");
    (void)cJSON_AddStringToObject(json_member(properties, "task"), "const", task->name);
    if (result) {
        add_copy(properties, "result", result);
        add_text(json_member(schema, "required"), "result");
    }
    if (task->output_count > 0) {
        add_fixed(properties, "outputs",
                  "{'type': 'array', 'items': {'$ref': '#/components/schemas/Output'}}");
        add_text(json_member(schema, "required"), "outputs");
    }
    return schema;
}

static void add_answer_headers(const struct task_desc *task, cJSON *answer)
{
    cJSON *headers = cJSON_AddObjectToObject(answer, "headers");
    const cJSON *result = json_member(task->source, "result");
    add_fixed(headers, "X-Request-Id", "{'$ref': '#/components/headers/X-Request-Id'}");
    add_fixed(headers, "Server-Timing", "{'$ref': '#/components/headers/Server-Timing'}");
    if (!result || task->output_count == 0)
        return;
    add_fixed(headers, RESULT_HEADER,
              "{'description': 'The result, when it is short and the body is the output.',"
              " 'content': {'application/json': {}}}");
    cJSON *content = json_member(json_member(headers, RESULT_HEADER), "content");
    add_copy(json_member(content, JSON_TYPE), "schema", result);
}

static void add_output_types(const struct task_slot *output, cJSON *content)
{
    for (const char **t = output->media_types; *t; t++) {
        if (!json_member(content, *t))
            add_fixed(cJSON_AddObjectToObject(content, *t), "schema",
                      strcmp(*t, JSON_TYPE) == 0 ? "{}" : BINARY);
    }
}

/* Where an output itself can be JSON, its bytes may be the answer: nothing can be said of JSON. */
static void add_answer(const struct task_desc *task, cJSON *responses)
{
    bool has_several = negotiate_has_several(task);
    cJSON *answer = cJSON_AddObjectToObject(responses, "200");
    (void)cJSON_AddStringToObject(
        answer, "description",
        has_several              ? "The output, if there is one; several come in JSON, or as "
                                   "a zip where Accept prefers it."
        : task->output_count > 0 ? "The output, or JSON where Accept prefers it."
                                 : "What the task found.");
    add_answer_headers(task, answer);
    cJSON *content = cJSON_AddObjectToObject(answer, "content");
    for (int i = 0; i < task->output_count; i++)
        add_output_types(&task->outputs[i], content);
    if (!json_member(content, JSON_TYPE))
        (void)cJSON_AddItemToObject(cJSON_AddObjectToObject(content, JSON_TYPE), "schema",
                                    answer_schema(task));
    if (has_several && !json_member(content, ZIP_TYPE))
        add_fixed(cJSON_AddObjectToObject(content, ZIP_TYPE), "schema", BINARY);
}

/* The same run as a job. */
static void add_job(cJSON *responses)
{
    static const char *const names[][2] = {{"X-Request-Id", "X-Request-Id"},
                                           {"Location", "Location"},
                                           {"Operation-Location", "Location"},
                                           {"Preference-Applied", "Preference-Applied"},
                                           {"Idempotent-Replayed", "Idempotent-Replayed"}};
    cJSON *answer = openapi_fixed("{'description': 'Stored as a job, which has not ended yet.',"
                                  " 'headers': {}, 'content': {'application/json':"
                                  "  {'schema': {'$ref': '#/components/schemas/StoredJob'}}}}");
    cJSON *headers = json_member(answer, "headers");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct strbuf target = STRBUF_INIT;
        strbuf_addf(&target, "{'$ref': '#/components/headers/%s'}", names[i][1]);
        add_fixed(headers, names[i][0], target.text);
        strbuf_release(&target);
    }
    (void)cJSON_AddItemToObject(responses, "202", answer);
}

/* ---- the operation */

cJSON *openapi_operation(struct arena *scratch, const struct task_desc *task)
{
    const struct builder b = {scratch, task};
    const char *text = text_member(task->source, "description");
    cJSON *operation = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(operation, "operationId", task->name);
    add_text(cJSON_AddArrayToObject(operation, "tags"), task->module);
    (void)cJSON_AddStringToObject(operation, "summary", task->summary);
    if (task->job_only)
        text = join(scratch, text, "Runs as a job only.");
    if (*text)
        (void)cJSON_AddStringToObject(operation, "description", text);
    add_parameters(&b, operation);
    add_request_body(&b, operation);
    cJSON *responses = cJSON_AddObjectToObject(operation, "responses");
    if (!task->job_only)
        add_answer(task, responses);
    add_job(responses);
    add_fixed(responses, "default", "{'$ref': '#/components/responses/Problem'}");
    return operation;
}
