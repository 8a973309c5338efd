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
#include "api/authorize.h"
#include "api/handlers.h"
#include "api/openapi_internal.h"
#include "base/strbuf.h"

static const char document[] =
    "{'openapi': '3.1.0',"
    " 'info': {'title': 'Gangsaw', 'version': '" GANGSAW_VERSION "',"
    "          'description': 'Every task of this server. /problems/ explains the errors.'},"
    " 'servers': [{'url': '/'}],"
    " 'paths': {}}";

#define REF(kind, name) "{'$ref': '#/components/" kind "/" name "'}"
#define SCHEMA(name) REF("schemas", name)
#define JSON_TYPE "application/json"
#define BYTES_TYPE "application/octet-stream"
#define BINARY "{'type': 'string', 'format': 'binary'}"

/* ---- who may */

static const struct route *find_route(const char *pattern, unsigned method)
{
    for (const struct route *r = api_routes; r->pattern; r++) {
        if (strcmp(r->pattern, pattern) == 0 && (r->methods & method))
            return r;
    }
    return NULL;
}

static cJSON *append_object(cJSON *array)
{
    cJSON *object = cJSON_CreateObject();
    (void)cJSON_AddItemToArray(array, object);
    return object;
}

/* One of several ways; the last is no key, while the server has none. */
static void add_requirement(cJSON *security, const char *scope)
{
    cJSON *names = cJSON_AddArrayToObject(append_object(security), "key");
    if (scope)
        (void)cJSON_AddItemToArray(names, cJSON_CreateString(scope));
}

static void add_access(cJSON *operation, const char *pattern, unsigned method)
{
    const struct route *route = find_route(pattern, method);
    cJSON *security = cJSON_AddArrayToObject(operation, "security");
    cJSON *responses = json_member(operation, "responses");
    assert(route);
    if (route->access & ACCESS_OPEN)
        return;
    if (route->access & ACCESS_ANY_KEY)
        add_requirement(security, NULL);
    for (uint32_t scope = 1; scope <= SCOPE_ALL; scope <<= 1) {
        struct strbuf name = STRBUF_INIT;
        key_scopes_print(scope, &name);
        if (route->access & scope)
            add_requirement(security, name.text);
        strbuf_release(&name);
    }
    (void)append_object(security);
    (void)cJSON_AddItemToObject(responses, "401", openapi_fixed(REF("responses", "Unauthorized")));
    (void)cJSON_AddItemToObject(responses, "403", openapi_fixed(REF("responses", "Forbidden")));
    (void)cJSON_AddItemToObject(responses, "429", openapi_fixed(REF("responses", "RateLimited")));
}

/* ---- pages */

/* Every route but the runs of tasks: its successful answer. */
static const struct page {
    const char *path, *method, *operation_id, *tag, *summary;
    const char *parameters;              /* names among the components, with spaces between */
    const char *body_type, *body_schema; /* of the request; NULL: it has none */
    const char *status, *description, *type, *schema;
    const char *headers; /* as `parameters` */
} pages[] = {
    {"/livez", "get", "is_live", "server", "Does this server answer?", "", NULL, NULL, "200",
     "It does.", JSON_TYPE, SCHEMA("Status"), ""},
    {"/readyz", "get", "is_ready", "server", "Can tasks be computed now, and jobs?", "", NULL, NULL,
     "200", "They can.", JSON_TYPE, SCHEMA("Status"), ""},
    {"/metrics", "get", "show_metrics", "server", "Figures of this host, for Prometheus", "", NULL,
     NULL, "200", "Prometheus' text format.", "text/plain", "{'type': 'string'}", ""},
    {"/openapi.json", "get", "show_openapi", "server", "This document", "", NULL, NULL, "200",
     "OpenAPI 3.1.", JSON_TYPE, "{'type': 'object'}", ""},
    {"/v1/tasks", "get", "list_tasks", "server", "The descriptors of all tasks", "", NULL, NULL,
     "200", "The catalogue.", JSON_TYPE, SCHEMA("Catalog"), ""},
    {"/v1/tasks/{task}", "get", "show_task", "server", "The descriptor of one task", "task", NULL,
     NULL, "200", "The descriptor.", JSON_TYPE, SCHEMA("Task"), ""},
    {"/v1/jobs", "post", "create_jobs", "jobs", "Store many jobs at once, as a whole or not at all",
     "Idempotency-Key", JSON_TYPE, SCHEMA("Batch"), "202", "The jobs, in the order of the request.",
     JSON_TYPE, SCHEMA("StoredJobs"), "Idempotent-Replayed"},
    {"/v1/jobs", "get", "list_jobs", "jobs", "Jobs, newest first",
     "filter_state filter_task filter_tag limit cursor", NULL, NULL, "200", "A page of them.",
     JSON_TYPE, SCHEMA("JobList"), "Link"},
    {"/v1/jobs/{job}", "get", "show_job", "jobs", "One job, now or as soon as it has ended",
     "job wait", NULL, NULL, "200", "The job.", JSON_TYPE, SCHEMA("Job"), ""},
    {"/v1/jobs/{job}/result", "get", "show_result", "jobs",
     "What a job gave, as the synchronous answer would have been", "job", NULL, NULL, "200",
     "The output, or JSON where Accept prefers it. A failed job gives its problem.", BYTES_TYPE,
     BINARY, "Gangsaw-Result"},
    {"/v1/jobs/{job}/outputs/{name}", "get", "show_output", "jobs",
     "One output of a job; Range and If-None-Match are understood", "job name", NULL, NULL, "200",
     "Its bytes, under its media type.", BYTES_TYPE, BINARY, "ETag"},
    {"/v1/jobs/{job}/events", "get", "follow_job", "jobs",
     "Server-sent events: progress, and done with the job", "job", NULL, NULL, "200",
     "A stream that ends with the job.", "text/event-stream", "{'type': 'string'}", ""},
    {"/v1/jobs/{job}/cancel", "post", "cancel_job", "jobs",
     "Cancel a job; one that has ended stays as it is", "job", NULL, NULL, "200", "The job.",
     JSON_TYPE, SCHEMA("Job"), ""},
    {"/v1/jobs/{job}/retry", "post", "retry_job", "jobs",
     "Put a job that has ended back into the queue, under the same id", "job", NULL, NULL, "200",
     "The job.", JSON_TYPE, SCHEMA("Job"), ""},
    {"/v1/blobs", "post", "create_blob", "blobs", "Upload a file once, to use it in many jobs", "",
     BYTES_TYPE, BINARY, "201", "The file is kept.", JSON_TYPE, SCHEMA("Blob"), "Location"},
    {"/v1/blobs/{blob}", "get", "show_blob", "blobs",
     "The bytes of a file; Range and If-None-Match are understood", "blob", NULL, NULL, "200",
     "Its bytes, under its media type.", BYTES_TYPE, BINARY, "ETag"},
};

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

/* Append a reference to each of `names`, which stand in the components of this kind. */
static void add_references(cJSON *place, const char *kind, const char *names)
{
    while (*names) {
        size_t size = strcspn(names, " ");
        cJSON *reference = cJSON_CreateObject();
        struct strbuf target = STRBUF_INIT, name = STRBUF_INIT;
        strbuf_add(&name, names, size);
        strbuf_addf(&target, "#/components/%s/%s", kind, name.text);
        (void)cJSON_AddStringToObject(reference, "$ref", target.text);
        if (cJSON_IsArray(place))
            (void)cJSON_AddItemToArray(place, reference);
        else
            (void)cJSON_AddItemToObject(place, name.text, reference);
        strbuf_release(&target);
        strbuf_release(&name);
        names += size + strspn(names + size, " ");
    }
}

static void add_content(cJSON *place, const char *type, const char *schema)
{
    cJSON *content = cJSON_AddObjectToObject(place, "content");
    (void)cJSON_AddItemToObject(cJSON_AddObjectToObject(content, type), "schema",
                                openapi_fixed(schema));
}

static void add_page(cJSON *paths, const struct page *page)
{
    cJSON *item = json_member(paths, page->path);
    if (!item)
        item = cJSON_AddObjectToObject(paths, page->path);
    cJSON *operation = cJSON_AddObjectToObject(item, page->method);
    (void)cJSON_AddStringToObject(operation, "operationId", page->operation_id);
    (void)cJSON_AddItemToArray(cJSON_AddArrayToObject(operation, "tags"),
                               cJSON_CreateString(page->tag));
    (void)cJSON_AddStringToObject(operation, "summary", page->summary);
    if (*page->parameters)
        add_references(cJSON_AddArrayToObject(operation, "parameters"), "parameters",
                       page->parameters);
    if (page->body_type) {
        cJSON *body = cJSON_AddObjectToObject(operation, "requestBody");
        (void)cJSON_AddTrueToObject(body, "required");
        add_content(body, page->body_type, page->body_schema);
    }
    cJSON *responses = cJSON_AddObjectToObject(operation, "responses");
    cJSON *answer = cJSON_AddObjectToObject(responses, page->status);
    (void)cJSON_AddStringToObject(answer, "description", page->description);
    cJSON *headers = cJSON_AddObjectToObject(answer, "headers");
    add_references(headers, "headers", "X-Request-Id");
    add_references(headers, "headers", page->headers);
    add_content(answer, page->type, page->schema);
    (void)cJSON_AddItemToObject(responses, "default", openapi_fixed(REF("responses", "Problem")));
    add_access(operation, page->path, strcmp(page->method, "get") == 0 ? HTTP_GET : HTTP_POST);
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
        cJSON *operation = openapi_operation(scratch, task);
        add_access(operation, "/v1/tasks/{task}", HTTP_POST);
        (void)cJSON_AddItemToObject(cJSON_AddObjectToObject(paths, path), "post", operation);
    }
    (void)cJSON_AddItemToObject(root, "components", openapi_fixed(openapi_components));
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
