/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openapi.c - see openapi.h
 *
 * What is the same on every server stands here, JSON as text with ' for ".
 */
#include "api/openapi.h"

#include <assert.h>
#include <string.h>

#include "api/api.h"
#include "api/handlers.h"
#include "api/openapi_internal.h"
#include "base/strbuf.h"

static const char document[] =
    "{'openapi': '3.1.0',"
    " 'info': {'title': 'Gangsaw', 'version': '" GANGSAW_VERSION "',"
    "          'description': 'Every task of this server. /problems/ explains the errors.'},"
    " 'servers': [{'url': '/'}],"
    " 'paths': {}}";

/* Every route but those of tasks: a GET that answers JSON of `schema`. */
static const struct page {
    const char *path, *operation_id, *summary, *description, *schema;
} pages[] = {
    {"/livez", "is_live", "Does this server answer?", "It does.",
     "{'$ref': '#/components/schemas/Status'}"},
    {"/readyz", "is_ready", "Can tasks be computed now?", "They can.",
     "{'$ref': '#/components/schemas/Status'}"},
    {"/openapi.json", "show_openapi", "This document", "OpenAPI 3.1.", "{'type': 'object'}"},
    {"/v1/tasks", "list_tasks", "The descriptors of all tasks", "The catalogue.",
     "{'$ref': '#/components/schemas/Catalog'}"},
    {"/v1/tasks/{task}", "show_task", "The descriptor of one task", "The descriptor.",
     "{'$ref': '#/components/schemas/Task'}"},
};

static const char page_responses[] =
    "{'200': {'headers': {'X-Request-Id': {'$ref': '#/components/headers/X-Request-Id'}},"
    "         'content': {'application/json': {}}},"
    " 'default': {'$ref': '#/components/responses/Problem'}}";

static const char components[] =
    "{'schemas': {"
    "  'Status': {'type': 'object', 'required': ['status'],"
    "   'properties': {'status': {'enum': ['ok', 'ready']}}},"
    "  'Catalog': {'type': 'object', 'required': ['tasks'], 'properties': {"
    "   'tasks': {'type': 'array', 'items': {'$ref': '#/components/schemas/Task'}}}},"
    "  'Task': {'type': 'object', 'description': 'What a task takes, gives and may use.',"
    "   'required': ['name', 'version', 'module', 'class', 'summary', 'params', 'limits'],"
    "   'properties': {"
    "    'name': {'type': 'string'}, 'version': {'type': 'integer'},"
    "    'module': {'type': 'string'}, 'class': {'enum': ['cpu', 'net']},"
    "    'summary': {'type': 'string'}, 'description': {'type': 'string'},"
    "    'inputs': {'type': 'array', 'items': {'type': 'object'}},"
    "    'params': {'type': 'object', 'description': 'JSON Schema 2020-12'},"
    "    'outputs': {'type': 'array', 'items': {'type': 'object'}},"
    "    'result': {'type': 'object', 'description': 'JSON Schema 2020-12'},"
    "    'limits': {'type': 'object', 'additionalProperties': {'type': 'number'}},"
    "    'mode': {'enum': ['any', 'job']},"
    "    'examples': {'type': 'array', 'items': {'type': 'object'}}}},"
    "  'Input': {'type': 'object', 'additionalProperties': false, 'required': ['base64'],"
    "   'description': 'Bytes within JSON. Large ones go as a part of a form, or as the body.',"
    "   'properties': {"
    "    'base64': {'type': 'string', 'contentEncoding': 'base64',"
    "               'description': 'RFC 4648, padded, without line breaks.'},"
    "    'media_type': {'type': 'string'}, 'file_name': {'type': 'string'}}},"
    "  'Output': {'type': 'object',"
    "   'required': ['name', 'media_type', 'size', 'sha256', 'base64'],"
    "   'properties': {"
    "    'name': {'type': 'string'}, 'media_type': {'type': 'string'},"
    "    'size': {'type': 'integer', 'minimum': 0, 'description': 'In bytes.'},"
    "    'sha256': {'type': 'string', 'pattern': '^[0-9a-f]{64}$'},"
    "    'base64': {'type': 'string', 'contentEncoding': 'base64'}}},"
    "  'Problem': {'type': 'object', 'description': 'RFC 9457',"
    "   'required': ['type', 'title', 'status', 'detail', 'request_id'],"
    "   'properties': {"
    "    'type': {'type': 'string', 'format': 'uri-reference',"
    "             'description': 'A page that explains the problem.',"
    "             'examples': ['/problems/invalid-params']},"
    "    'title': {'type': 'string'},"
    "    'status': {'type': 'integer', 'minimum': 400, 'maximum': 599},"
    "    'detail': {'type': 'string'}, 'request_id': {'type': 'string'},"
    "    'errors': {'type': 'array', 'description': 'Every mistake in parameters and inputs.',"
    "     'items': {'type': 'object', 'required': ['pointer', 'detail'], 'properties': {"
    "      'pointer': {'type': 'string', 'description': 'RFC 6901', 'examples': ['/width']},"
    "      'detail': {'type': 'string'}}}}}}},"
    " 'parameters': {"
    "  'task': {'name': 'task', 'in': 'path', 'required': true, 'schema': {'type': 'string'}},"
    "  'Gangsaw-Timeout': {'name': 'Gangsaw-Timeout', 'in': 'header',"
    "   'description': 'Seconds. Shortens the time that the run may take.',"
    "   'schema': {'type': 'number', 'exclusiveMinimum': 0}}},"
    " 'headers': {"
    "  'X-Request-Id': {'description': 'Of the answer, its problem and the log.',"
    "   'schema': {'type': 'string'}},"
    "  'Server-Timing': {'description': 'Waiting and computing, in milliseconds.',"
    "   'schema': {'type': 'string', 'examples': ['queue;dur=0.031, run;dur=52.700']}},"
    "  'Retry-After': {'description': 'Seconds after which to try again; with a 503.',"
    "   'schema': {'type': 'integer', 'minimum': 0}}},"
    " 'responses': {'Problem': {'description': 'What went wrong.',"
    "  'headers': {'X-Request-Id': {'$ref': '#/components/headers/X-Request-Id'},"
    "              'Server-Timing': {'$ref': '#/components/headers/Server-Timing'},"
    "              'Retry-After': {'$ref': '#/components/headers/Retry-After'}},"
    "  'content': {'application/problem+json':"
    "   {'schema': {'$ref': '#/components/schemas/Problem'}}}}}}";

cJSON *openapi_fixed(const char *text)
{
    struct strbuf json = STRBUF_INIT;
    strbuf_addstr(&json, text);
    for (char *p = json.text; (p = strchr(p, '\'')) != NULL;)
        *p = '"';
    cJSON *value = cJSON_Parse(json.text);
    strbuf_release(&json);
    assert(value);
    return value;
}

static void add_page(cJSON *paths, const struct page *page)
{
    cJSON *item = cJSON_AddObjectToObject(paths, page->path);
    cJSON *operation = cJSON_AddObjectToObject(item, "get");
    cJSON *responses = openapi_fixed(page_responses);
    cJSON *answer = json_member(responses, "200");
    cJSON *body = json_member(json_member(answer, "content"), "application/json");
    (void)cJSON_AddStringToObject(operation, "operationId", page->operation_id);
    (void)cJSON_AddItemToObject(operation, "tags", openapi_fixed("['server']"));
    (void)cJSON_AddStringToObject(operation, "summary", page->summary);
    if (strchr(page->path, '{'))
        (void)cJSON_AddItemToObject(operation, "parameters",
                                    openapi_fixed("[{'$ref': '#/components/parameters/task'}]"));
    (void)cJSON_AddItemToObject(operation, "responses", responses);
    (void)cJSON_AddStringToObject(answer, "description", page->description);
    (void)cJSON_AddItemToObject(body, "schema", openapi_fixed(page->schema));
}

const char *openapi_print(struct arena *a, const struct catalog *catalog, size_t *ret_size)
{
    struct arena *scratch = arena_new();
    cJSON *root = openapi_fixed(document);
    cJSON *paths = json_member(root, "paths");
    const struct task_desc *task;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        add_page(paths, &pages[i]);
    for (int i = 0; (task = catalog_at(catalog, i)) != NULL; i++) {
        const char *path = arena_printf(scratch, "/v1/tasks/%s", task->name);
        (void)cJSON_AddItemToObject(cJSON_AddObjectToObject(paths, path), "post",
                                    openapi_operation(scratch, task));
    }
    (void)cJSON_AddItemToObject(root, "components", openapi_fixed(components));
    const char *text = json_print(a, root, ret_size);
    cJSON_Delete(root);
    arena_free(scratch);
    return text;
}

HANDLER(openapi_show)
{
    const struct api *api = context;
    (void)req;
    (void)match;
    (void)errors;
    (void)reterr;
    http_response_body(res, 200, "application/json", api->openapi_text, api->openapi_size);
    return 0;
}
