/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding.c - see binding.h
 */
#include "api/binding.h"

#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "http/field.h"
#include "http/multipart.h"
#include "http/query.h"

#define MEDIA_TYPE_UNKNOWN "application/octet-stream"
#define ORDER_SPACE 65536 /* for the order's record, appended behind the body */
#define TEXT_PARAMS_MAX 200

struct reader {
    struct http_request *req;
    struct arena *arena;
    const struct config *config;
    const struct task_desc *task;
    struct field_errors *errors;
    struct binding *out;
    int input_capacity;
    int text_count; /* parameters from the query and from form fields */
};

static const struct task_slot *find_input(const struct task_desc *task, const char *name)
{
    for (int i = 0; i < task->input_count; i++) {
        if (strcmp(task->inputs[i].name, name) == 0)
            return &task->inputs[i];
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

/* "" and application/octet-stream say nothing: the module looks at the bytes. */
static int check_media_type(const struct reader *r, const struct task_slot *slot,
                            const char **media_type, struct error *reterr)
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
                     join_media_types(r->arena, slot));
}

static int add_input(struct reader *r, const struct task_slot *slot, const char *media_type,
                     const char *file_name, size_t offset, size_t size, struct error *reterr)
{
    struct binding *b = r->out;
    if (check_media_type(r, slot, &media_type, reterr) != 0)
        return -1;
    if (size > slot->max_bytes)
        return error_set(reterr, ERR_TOO_LARGE,
                         "Input '%s' has %zu bytes; its limit is max_bytes = %zu.", slot->name,
                         size, slot->max_bytes);
    if (size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "Input '%s' is empty.", slot->name);
    if (b->input_count == r->input_capacity) {
        int capacity = r->input_capacity ? 2 * r->input_capacity : 4;
        struct order_input *grown = arena_alloc(r->arena, (size_t)capacity * sizeof(*grown));
        if (b->input_count > 0)
            memcpy(grown, b->inputs, (size_t)b->input_count * sizeof(*grown));
        b->inputs = grown;
        r->input_capacity = capacity;
    }
    b->inputs[b->input_count++] = (struct order_input){.name = slot->name,
                                                       .media_type = media_type,
                                                       .file_name = file_name ? file_name : "",
                                                       .offset = offset,
                                                       .size = size};
    return 0;
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
    if (find_input(r->task, name)) {
        field_errors_add(r->errors, pointer, "is an input: its bytes go into the body");
        return;
    }
    if (json_member(r->out->params, name)) {
        field_errors_add(r->errors, pointer, "is given more than once");
        return;
    }
    const struct schema *property = schema_property(r->task->params, name);
    cJSON *value =
        property ? schema_value_from_text(property, r->arena, text) : cJSON_CreateString(text);
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
    return 0;
}

/* Is `name` among the parameters up to `last`, those that the query or a form gave? */
static bool is_given(const cJSON *params, const cJSON *last, const char *name)
{
    for (const cJSON *p = last ? params->child : NULL; p; p = p == last ? NULL : p->next) {
        if (strcmp(p->string, name) == 0)
            return true;
    }
    return false;
}

/*
 * Every member of `object` becomes a parameter; those named like an input are left for later. An
 * object repeats no name, so only what was given before is compared: a million members must not
 * take n² steps.
 */
static void take_members(struct reader *r, cJSON *object)
{
    const cJSON *last = r->out->params->child ? r->out->params->child->prev : NULL;
    for (cJSON *item = object->child; item;) {
        cJSON *next = item->next;
        if (!find_input(r->task, item->string)) {
            if (is_given(r->out->params, last, item->string)) {
                field_errors_add(r->errors, json_pointer_join(r->arena, "", item->string),
                                 "is given more than once");
            } else {
                (void)cJSON_DetachItemViaPointer(object, item);
                (void)cJSON_AddItemToObject(r->out->params, item->string, item);
            }
        }
        item = next;
    }
}

static const char *text_member(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(object, name));
    return text ? text : "";
}

static bool has_control(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            return true;
    }
    return false;
}

/* What a JSON input says of itself is held to the rules of a multipart part. */
static int read_labels(struct reader *r, const cJSON *item, const char *pointer,
                       const char **ret_media_type, const char **ret_file_name)
{
    const char *rest = "", *media_type = text_member(item, "media_type");
    const char *file_name = text_member(item, "file_name");
    int count = r->errors->count;
    *ret_media_type = *media_type ? field_media_type(r->arena, media_type, &rest) : "";
    *ret_file_name = field_file_name(file_name);
    if (!*ret_media_type || (*rest != '\0' && *rest != ';'))
        field_errors_add(r->errors, json_pointer_join(r->arena, pointer, "media_type"),
                         "must be a media type like image/png");
    if (has_control(file_name))
        field_errors_add(r->errors, json_pointer_join(r->arena, pointer, "file_name"),
                         "must not have control characters");
    return r->errors->count == count ? 0 : -1;
}

/* {"base64": "…", "media_type": …, "file_name": …} at `pointer`. */
static int read_json_input(struct reader *r, const struct task_slot *slot, const cJSON *item,
                           const char *pointer, struct error *reterr)
{
    const char *media_type, *file_name;
    const char *text = cJSON_GetStringValue(json_member(item, "base64"));
    bool is_known = text != NULL;
    for (const cJSON *m = cJSON_IsObject(item) ? item->child : NULL; m; m = m->next)
        is_known = is_known && cJSON_IsString(m) &&
                   (strcmp(m->string, "base64") == 0 || strcmp(m->string, "media_type") == 0 ||
                    strcmp(m->string, "file_name") == 0);
    if (!is_known) {
        field_errors_add(r->errors, pointer,
                         "must be {\"base64\": \"...\"}, with \"media_type\" and \"file_name\" if "
                         "you like");
        return 0;
    }
    if (read_labels(r, item, pointer, &media_type, &file_name) != 0)
        return 0;
    size_t size = strlen(text);
    struct payload *body = r->out->body;
    if (payload_reserve(body, base64_decoded_max(size), reterr) != 0)
        return -1;
    ptrdiff_t decoded = size > 0 ? base64_decode(text, size, body->bytes + body->size) : 0;
    if (decoded < 0) {
        field_errors_add(r->errors, json_pointer_join(r->arena, pointer, "base64"),
                         "must be base64 (RFC 4648, padded, without line breaks)");
        return 0;
    }
    size_t offset = body->size;
    body->size += (size_t)decoded;
    return add_input(r, slot, media_type, file_name, offset, (size_t)decoded, reterr);
}

static int read_json_inputs(struct reader *r, const cJSON *root, struct error *reterr)
{
    for (int i = 0; i < r->task->input_count; i++) {
        const struct task_slot *slot = &r->task->inputs[i];
        const cJSON *member = json_member(root, slot->name);
        const char *pointer = json_pointer_join(r->arena, "", slot->name);
        if (!member)
            continue;
        if (slot->max_count == 1 || !cJSON_IsArray(member)) {
            if (read_json_input(r, slot, member, pointer, reterr) != 0)
                return -1;
            continue;
        }
        int n = 0;
        for (const cJSON *item = member->child; item; item = item->next, n++) {
            if (n >= slot->max_count)
                break; /* check_counts() reports it */
            const char *at = arena_printf(r->arena, "%s/%d", pointer, n);
            if (read_json_input(r, slot, item, at, reterr) != 0)
                return -1;
        }
        if (n >= slot->max_count && cJSON_GetArraySize(member) > slot->max_count)
            field_errors_add(r->errors, pointer, "has %d items; the most is %d",
                             cJSON_GetArraySize(member), slot->max_count);
    }
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
    if (!cJSON_IsObject(root)) {
        field_errors_add(r->errors, "", "must be a JSON object");
        return 0;
    }
    take_members(r, root);
    return read_json_inputs(r, root, reterr);
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
    take_members(r, root);
    for (const cJSON *left = root->child; left; left = left->next) {
        if (find_input(r->task, left->string))
            field_errors_add(r->errors, json_pointer_join(r->arena, "", left->string),
                             "is an input: send it as a part of its own");
    }
    return 0;
}

static int read_part(struct reader *r, const struct multipart_part *part, struct error *reterr)
{
    const char *bytes = (const char *)r->out->body->bytes + part->offset;
    const struct task_slot *slot = find_input(r->task, part->name);
    if (slot)
        return add_input(r, slot, part->media_type, part->file_name, part->offset, part->size,
                         reterr);
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
    for (int i = 0; i < count; i++) {
        if (read_part(r, &parts[i], reterr) != 0)
            return -1;
    }
    return 0;
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

/* The body is the task's one input. */
static int read_raw(struct reader *r, struct error *reterr)
{
    if (r->task->input_count != 1)
        return refuse_raw(r, reterr);
    const struct task_slot *slot = &r->task->inputs[0];
    const char *media_type = r->req->media_type;
    struct payload *body = r->out->body;
    if (strcmp(media_type, "application/x-www-form-urlencoded") == 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "Name what you send: curl says application/x-www-form-urlencoded unless "
                         "told otherwise, as in -H 'Content-Type: %s'.",
                         slot->media_types && *slot->media_types ? *slot->media_types
                                                                 : MEDIA_TYPE_UNKNOWN);
    if (check_media_type(r, slot, &media_type, reterr) != 0 ||
        reserve_body(r, slot->max_bytes, reterr) != 0 ||
        http_body_read(r->req, slot->max_bytes, "max_bytes", body, reterr) != 0)
        return -1;
    return add_input(r, slot, media_type, "", 0, body->size, reterr);
}

static int read_body(struct reader *r, struct error *reterr)
{
    const char *type = r->req->media_type;
    const char *encoding = http_header(r->req, "Content-Encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "The body has Content-Encoding %.40s; send it as it is.", encoding);
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
        const char *pointer = json_pointer_join(r->arena, "", slot->name);
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
    (void)schema_validate(r->task->params, r->out->params, "", &found);
    for (const struct field_error *e = found.first; e; e = e->next) {
        if (!is_reported(&before, e->pointer))
            field_errors_add(r->errors, e->pointer, "%s", e->detail);
    }
    if (found.count > FIELD_ERRORS_MAX) /* those that no entry was kept of */
        r->errors->count += found.count - FIELD_ERRORS_MAX;
}

int binding_read(struct http_request *req, const struct config *cfg, const struct task_desc *task,
                 struct binding *ret_binding, struct field_errors *errors, struct error *reterr)
{
    *ret_binding =
        (struct binding){.params = json_object(req->arena), .body = payload_new(req->arena)};
    struct reader r = {.req = req,
                       .arena = req->arena,
                       .config = cfg,
                       .task = task,
                       .errors = errors,
                       .out = ret_binding};
    if (read_query(&r, reterr) != 0 || read_body(&r, reterr) != 0) {
        *errors = (struct field_errors){.arena = errors->arena}; /* of another problem's type */
        return -1;
    }
    /* A mistake in reading would only make the schema repeat it. */
    bool is_object = !errors->first || errors->first->pointer[0] != '\0';
    if (is_object)
        check_counts(&r);
    ret_binding->has_format = json_member(ret_binding->params, "format") != NULL;
    if (is_object)
        check_params(&r);
    if (errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.", errors->count);
    return 0;
}
