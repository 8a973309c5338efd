/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding.c - see binding.h
 */
#include "api/binding.h"

#include <string.h>

#include "api/binding_internal.h"
#include "base/utf8.h"
#include "http/query.h"

#define ORDER_SPACE 65536 /* for the order's record, appended behind the body */
#define TEXT_PARAMS_MAX 200

const struct task_slot *reader_find_input(const struct reader *r, const char *name)
{
    for (int i = 0; i < r->task->input_count; i++) {
        if (strcmp(r->task->inputs[i].name, name) == 0)
            return &r->task->inputs[i];
    }
    return NULL;
}

static const char *join_media_types(struct arena *a, const struct task_slot *slot)
{
    const char *joined = "";
    for (const char **t = slot->media_types; t && *t; t++)
        joined = arena_printf(a, "%s%s%s", joined, *joined ? ", " : "", *t);
    return joined;
}

int binding_check_media_type(struct arena *a, const struct task_slot *slot, const char **media_type,
                             struct error *reterr)
{
    if (strcmp(*media_type, MEDIA_TYPE_UNKNOWN) == 0)
        *media_type = "";
    if (**media_type == '\0' || !slot->media_types || !*slot->media_types)
        return 0;
    for (const char **t = slot->media_types; *t; t++) {
        if (strcmp(*t, *media_type) == 0)
            return 0;
    }
    return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                     "Input '%s' cannot be of type %.80s; it takes %s.", slot->name, *media_type,
                     join_media_types(a, slot));
}

int binding_check_size(const struct task_slot *slot, size_t size, struct error *reterr)
{
    if (size > slot->max_bytes)
        return error_set(reterr, ERR_TOO_LARGE,
                         "Input '%s' has %zu bytes; its limit is max_bytes = %zu.", slot->name,
                         size, slot->max_bytes);
    if (size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "Input '%s' is empty.", slot->name);
    return 0;
}

/* Room for one more in an array of `count` items of `size` bytes. */
static void *grow(struct arena *a, void *items, int count, int *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 4;
    void *grown = arena_alloc(a, (size_t)*capacity * size);
    if (count > 0)
        memcpy(grown, items, (size_t)count * size);
    return grown;
}

static void push_input(struct reader *r, struct order_input input)
{
    struct binding *b = r->out;
    b->inputs = grow(r->arena, b->inputs, b->input_count, &r->input_capacity, sizeof(*b->inputs));
    b->inputs[b->input_count++] = input;
}

int reader_add_input(struct reader *r, const struct task_slot *slot, const char *media_type,
                     const char *file_name, size_t offset, size_t size, struct error *reterr)
{
    if (binding_check_media_type(r->arena, slot, &media_type, reterr) != 0 ||
        binding_check_size(slot, size, reterr) != 0)
        return -1;
    push_input(r, (struct order_input){.name = slot->name,
                                       .media_type = media_type,
                                       .file_name = file_name ? file_name : "",
                                       .offset = offset,
                                       .size = size});
    return 0;
}

int reader_add_blob(struct reader *r, const struct task_slot *slot, const char *media_type,
                    const char *file_name, const char *id, const char *pointer,
                    struct error *reterr)
{
    struct binding *b = r->out;
    if (binding_check_media_type(r->arena, slot, &media_type, reterr) != 0)
        return -1;
    b->blobs = grow(r->arena, b->blobs, b->blob_count, &r->blob_capacity, sizeof(*b->blobs));
    b->blobs[b->blob_count++] = (struct binding_blob){.input = b->input_count,
                                                      .id = id,
                                                      .pointer = pointer,
                                                      .slot = slot,
                                                      .has_media_type = *media_type != '\0'};
    push_input(r, (struct order_input){
                      .name = slot->name, .media_type = media_type, .file_name = file_name});
    return 0;
}

/* What the query or the form began: a list, or a text that becomes one when its name comes again.
 */
static cJSON **find_list(const struct reader *r, const cJSON *list)
{
    for (int i = 0; i < r->list_count; i++) {
        if (r->lists[i] == list)
            return &r->lists[i];
    }
    return NULL;
}

static bool add_text_item(const struct schema *property, cJSON *list, const char *text,
                          struct arena *scratch)
{
    return cJSON_AddItemToArray(list,
                                schema_value_from_text(schema_items(property), scratch, text));
}

/* One more item of a list that was begun in the same place. */
static bool add_to_given(const struct reader *r, const struct schema *property, cJSON *given,
                         const char *text)
{
    cJSON **list = find_list(r, given);
    if (list == NULL)
        return false;
    if (cJSON_IsString(given)) {
        *list = cJSON_CreateArray();
        (void)add_text_item(property, *list, given->valuestring, r->arena);
        const char *name = arena_strdup(r->arena, given->string);
        if (!cJSON_ReplaceItemInObjectCaseSensitive(r->out->params, name, *list))
            return false;
    }
    return add_text_item(property, *list, text, r->arena);
}

/* Text that is no array in JSON is the first item of one, where the schema wants an array. */
static cJSON *value_of_text(struct reader *r, const struct schema *property, const char *text)
{
    cJSON *value = schema_value_from_text(property, r->arena, text);
    if (!property || !schema_allows_list(property) || !cJSON_IsString(value))
        return value;
    if (schema_is_list(property)) {
        cJSON_Delete(value);
        value = cJSON_CreateArray();
        (void)add_text_item(property, value, text, r->arena);
    }
    r->lists = grow(r->arena, r->lists, r->list_count, &r->list_capacity, sizeof(*r->lists));
    r->lists[r->list_count++] = value;
    return value;
}

/* A parameter from the query or a form field; typed by the schema. */
static void add_text_param(struct reader *r, const char *name, const char *text)
{
    const char *pointer = json_pointer_join(r->arena, "", name);
    if (++r->text_count > TEXT_PARAMS_MAX) {
        field_errors_add(r->errors, pointer, "is one too many: at most %d are taken as text",
                         TEXT_PARAMS_MAX);
        return;
    }
    if (reader_find_input(r, name)) {
        field_errors_add(r->errors, pointer, "is an input: its bytes go into the body");
        return;
    }
    const struct schema *property = schema_property(r->task->params, name);
    cJSON *given = json_member(r->out->params, name);
    if (given) {
        if (!add_to_given(r, property, given, text))
            field_errors_add(r->errors, pointer, "is given more than once");
        return;
    }
    cJSON *value = value_of_text(r, property, text);
    if (!value || !cJSON_AddItemToObject(r->out->params, name, value))
        cJSON_Delete(value);
}

static int read_query(struct reader *r, struct error *reterr)
{
    struct http_field *fields;
    int count;
    if (query_parse(r->arena, r->req->query, &fields, &count, reterr) != 0)
        return -1;
    for (int i = 0; i < count; i++)
        add_text_param(r, fields[i].name, fields[i].value);
    r->list_count = 0; /* complete: a form cannot go on with them */
    return 0;
}

static int read_json(struct reader *r, struct error *reterr)
{
    struct payload *text = payload_new(r->arena);
    cJSON *root;
    if (http_body_read(r->req, (size_t)r->config->http_max_json_bytes, "http.max_json_bytes", text,
                       reterr) != 0 ||
        json_parse(r->arena, (const char *)text->bytes, text->size, &root, reterr) != 0)
        return -1;
    r->out->received = text->bytes;
    r->out->received_size = text->size;
    r->is_object = cJSON_IsObject(root);
    if (!r->is_object) {
        field_errors_add(r->errors, "", "must be a JSON object");
        return 0;
    }
    reader_take_members(r, root);
    return reader_take_inputs(r, root, reterr);
}

static int read_multipart_params(struct reader *r, const char *bytes, size_t size,
                                 struct error *reterr)
{
    cJSON *root;
    if (json_parse(r->arena, bytes, size, &root, reterr) != 0)
        return -1;
    if (!cJSON_IsObject(root)) {
        field_errors_add(r->errors, "/params", "must be a JSON object");
        return 0;
    }
    reader_take_members(r, root);
    for (const cJSON *left = root->child; left; left = left->next) {
        if (reader_find_input(r, left->string))
            field_errors_add(r->errors, json_pointer_join(r->arena, "", left->string),
                             "is an input: send it as a part of its own");
    }
    return 0;
}

static int read_part(struct reader *r, const struct multipart_part *part, struct error *reterr)
{
    const char *bytes = (const char *)r->out->body->bytes + part->offset;
    const struct task_slot *slot = reader_find_input(r, part->name);
    if (slot)
        return reader_add_input(r, slot, part->media_type, part->file_name, part->offset,
                                part->size, reterr);
    if (strcmp(part->name, "params") == 0 && !schema_property(r->task->params, "params"))
        return read_multipart_params(r, bytes, part->size, reterr);
    const char *pointer = json_pointer_join(r->arena, "", part->name);
    if (part->file_name)
        field_errors_add(r->errors, pointer, "is not an input of this task");
    else if (part->size > (size_t)r->config->http_max_json_bytes)
        field_errors_add(r->errors, pointer, "is longer than http.max_json_bytes = %lld",
                         (long long)r->config->http_max_json_bytes);
    else if (memchr(bytes, '\0', part->size) || !utf8_is_valid(bytes, part->size))
        field_errors_add(r->errors, pointer, "must be text in UTF-8 without NUL");
    else
        add_text_param(r, part->name, arena_strndup(r->arena, bytes, part->size));
    return 0;
}

static int read_multipart(struct reader *r, struct error *reterr)
{
    struct multipart_part *parts;
    int count;
    const char *boundary = http_field_param(r->arena, r->req->content_type, "boundary");
    if (!boundary)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The Content-Type multipart/form-data needs a boundary.");
    struct payload *body = r->out->body;
    if (http_body_read(r->req, (size_t)r->config->http_max_body_bytes, "http.max_body_bytes", body,
                       reterr) != 0 ||
        multipart_parse(r->arena, body->bytes, body->size, boundary, &parts, &count, reterr) != 0)
        return -1;
    r->out->parts = parts;
    r->out->part_count = count;
    for (int i = 0; i < count; i++) {
        if (read_part(r, &parts[i], reterr) != 0)
            return -1;
    }
    return 0;
}

const struct task_slot *binding_raw_input(const struct task_desc *task)
{
    const struct task_slot *found = NULL;
    if (task->input_count == 1)
        return &task->inputs[0];
    for (int i = 0; i < task->input_count; i++) {
        if (!task->inputs[i].required)
            continue;
        if (found)
            return NULL;
        found = &task->inputs[i];
    }
    return found;
}

static int refuse_raw(const struct reader *r, struct error *reterr)
{
    const char *type = r->req->media_type;
    if (r->task->input_count == 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "This task has no input: send its parameters as application/json, as "
                         "multipart/form-data or in the query, not as %.60s.",
                         *type ? type : "a body without Content-Type");
    return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                     "This task has %d inputs: send them as multipart/form-data or "
                     "application/json.",
                     r->task->input_count);
}

/* At once for the body and the order behind it: a memfd that grows later costs a remapping. */
static int reserve_body(const struct reader *r, size_t max_bytes, struct error *reterr)
{
    int64_t size = r->req->content_length;
    if (size < PAYLOAD_INLINE_MAX || (uint64_t)size > max_bytes)
        return 0; /* small, or refused by http_body_read() */
    return payload_reserve(r->out->body, (size_t)size + ORDER_SPACE, reterr);
}

static int read_raw(struct reader *r, struct error *reterr)
{
    const struct task_slot *slot = binding_raw_input(r->task);
    if (!slot)
        return refuse_raw(r, reterr);
    const char *media_type = r->req->media_type;
    struct payload *body = r->out->body;
    if (strcmp(media_type, "application/x-www-form-urlencoded") == 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "Name what you send: curl says application/x-www-form-urlencoded unless "
                         "told otherwise, as in -H 'Content-Type: %s'.",
                         slot->media_types && *slot->media_types ? *slot->media_types
                                                                 : MEDIA_TYPE_UNKNOWN);
    if (binding_check_media_type(r->arena, slot, &media_type, reterr) != 0 ||
        reserve_body(r, slot->max_bytes, reterr) != 0 ||
        http_body_read(r->req, slot->max_bytes, "max_bytes", body, reterr) != 0)
        return -1;
    return reader_add_input(r, slot, media_type, "", 0, body->size, reterr);
}

static int read_body(struct reader *r, struct error *reterr)
{
    const char *type = r->req->media_type;
    if (http_body_check_encoding(r->req, reterr) != 0)
        return -1;
    if (r->req->content_length == 0 && *type == '\0')
        return 0;
    if (strcmp(type, "application/json") == 0)
        return read_json(r, reterr);
    if (strcmp(type, "multipart/form-data") == 0)
        return read_multipart(r, reterr);
    return read_raw(r, reterr);
}

/* Does an error name `pointer`, or a place within? */
static bool is_reported(const struct field_errors *errors, const char *pointer)
{
    size_t size = strlen(pointer);
    for (const struct field_error *e = errors->first; e; e = e->next) {
        if (strncmp(e->pointer, pointer, size) == 0 &&
            (e->pointer[size] == '\0' || e->pointer[size] == '/'))
            return true;
        if (e == errors->last)
            break;
    }
    return false;
}

static void check_counts(const struct reader *r)
{
    for (int i = 0; i < r->task->input_count; i++) {
        const struct task_slot *slot = &r->task->inputs[i];
        const char *pointer = json_pointer_join(r->arena, r->pointer, slot->name);
        int count = 0;
        for (int k = 0; k < r->out->input_count; k++)
            count += r->out->inputs[k].name == slot->name;
        if (count == 0 && slot->required && !is_reported(r->errors, pointer))
            field_errors_add(r->errors, pointer, "is required");
        else if (count > slot->max_count)
            field_errors_add(r->errors, pointer, "is given %d times; the most is %d", count,
                             slot->max_count);
    }
}

/* What could not be read is reported already: to the schema it only looks as if it were missing. */
static void check_params(const struct reader *r)
{
    struct field_errors found = {.arena = r->arena};
    const struct field_errors before = *r->errors;
    (void)schema_validate(r->task->params, r->out->params, r->pointer, &found);
    for (const struct field_error *e = found.first; e; e = e->next) {
        if (!is_reported(&before, e->pointer))
            field_errors_add(r->errors, e->pointer, "%s", e->detail);
    }
    if (found.count > FIELD_ERRORS_MAX) /* those that no entry was kept of */
        r->errors->count += found.count - FIELD_ERRORS_MAX;
}

int reader_finish(struct reader *r, struct error *reterr)
{
    struct binding *b = r->out;
    b->has_format = json_member(b->params, "format") != NULL;
    /* Of what is no object, the schema would only say that everything is missing. */
    if (r->is_object) {
        check_counts(r);
        check_params(r);
    }
    if (r->errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.",
                         r->errors->count);
    return 0;
}

int binding_read(struct http_request *req, const struct config *cfg, const struct task_desc *task,
                 struct binding *ret_binding, struct field_errors *errors, struct error *reterr)
{
    struct arena *a = req->arena;
    struct binding *b = ret_binding;
    *b = (struct binding){.params = json_object(a),
                          .body = payload_new(a),
                          .pointer = "",
                          .max_bytes = (size_t)cfg->http_max_body_bytes};
    struct reader r = {.req = req,
                       .arena = a,
                       .config = cfg,
                       .task = task,
                       .pointer = "",
                       .errors = errors,
                       .out = b,
                       .is_object = true};
    if (read_query(&r, reterr) != 0 || read_body(&r, reterr) != 0) {
        *errors = (struct field_errors){.arena = errors->arena}; /* of another problem's type */
        return -1;
    }
    if (!b->received) {
        b->received = b->body->bytes;
        b->received_size = b->body->size;
    }
    return reader_finish(&r, reterr);
}
