/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding_json.c - one JSON object: parameters, and inputs as {"base64": …} or {"blob": id}
 */
#include <string.h>

#include "api/binding_internal.h"
#include "base/base64.h"
#include "base/strbuf.h"
#include "http/field.h"

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
 * An object repeats no name, so only what was given before is compared: a million members must not
 * take n² steps.
 */
void reader_take_members(struct reader *r, cJSON *object)
{
    const cJSON *last = r->out->params->child ? r->out->params->child->prev : NULL;
    for (cJSON *item = object->child; item;) {
        cJSON *next = item->next;
        if (!reader_find_input(r, item->string)) {
            if (is_given(r->out->params, last, item->string)) {
                field_errors_add(r->errors, json_pointer_join(r->arena, r->pointer, item->string),
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

/* Texts alone: its bytes in one of two ways, and what it says of itself. */
static bool is_input(const cJSON *item)
{
    static const char *const names[] = {"base64", "blob", "media_type", "file_name"};
    int sources = 0;
    for (const cJSON *m = cJSON_IsObject(item) ? item->child : NULL; m; m = m->next) {
        size_t i = 0;
        while (i < sizeof(names) / sizeof(names[0]) && strcmp(m->string, names[i]) != 0)
            i++;
        if (i == sizeof(names) / sizeof(names[0]) || !cJSON_IsString(m))
            return false;
        sources += i < 2;
    }
    return sources == 1;
}

static int decode_base64(struct reader *r, const char *text, size_t *ret_size, struct error *reterr)
{
    size_t size = strlen(text), max = base64_decoded_max(size);
    struct payload *body = r->out->body;
    if (payload_reserve(body, max, reterr) != 0)
        return -1;
    ptrdiff_t decoded = size == 0 ? 0 : -1;
    if (max > 0) /* else the body may have no bytes yet: three characters are no base64 */
        decoded = base64_decode(text, size, body->bytes + body->size);
    if (decoded >= 0)
        body->size += (size_t)decoded;
    *ret_size = decoded < 0 ? SIZE_MAX : (size_t)decoded;
    return 0;
}

/* {"base64": "…"} or {"blob": "…"}, with "media_type" and "file_name", at `pointer`. */
static int read_input(struct reader *r, const struct task_slot *slot, const cJSON *item,
                      const char *pointer, struct error *reterr)
{
    const char *media_type, *file_name;
    if (!is_input(item)) {
        field_errors_add(r->errors, pointer,
                         "must be {\"base64\": \"...\"} or {\"blob\": \"...\"}, with "
                         "\"media_type\" and \"file_name\" if you like");
        return 0;
    }
    if (read_labels(r, item, pointer, &media_type, &file_name) != 0)
        return 0;
    const char *id = cJSON_GetStringValue(json_member(item, "blob"));
    if (id)
        return reader_add_blob(r, slot, media_type, file_name, id, pointer, reterr);
    size_t size, offset = r->out->body->size;
    if (decode_base64(r, text_member(item, "base64"), &size, reterr) != 0)
        return -1;
    if (size == SIZE_MAX) {
        field_errors_add(r->errors, json_pointer_join(r->arena, pointer, "base64"),
                         "must be base64 (RFC 4648, padded, without line breaks)");
        return 0;
    }
    return reader_add_input(r, slot, media_type, file_name, offset, size, reterr);
}

static int read_array(struct reader *r, const struct task_slot *slot, const cJSON *array,
                      const char *pointer, struct error *reterr)
{
    int n = 0, count = cJSON_GetArraySize(array);
    for (const cJSON *item = array->child; item && n < slot->max_count; item = item->next, n++) {
        const char *at = arena_printf(r->arena, "%s/%d", pointer, n);
        if (read_input(r, slot, item, at, reterr) != 0)
            return -1;
    }
    if (count > slot->max_count)
        field_errors_add(r->errors, pointer, "has %d items; the most is %d", count,
                         slot->max_count);
    return 0;
}

int reader_take_inputs(struct reader *r, cJSON *root, struct error *reterr)
{
    r->out->json = root;
    for (int i = 0; i < r->task->input_count; i++) {
        const struct task_slot *slot = &r->task->inputs[i];
        const cJSON *member = json_member(root, slot->name);
        if (!member)
            continue;
        const char *pointer = json_pointer_join(r->arena, r->pointer, slot->name);
        int result = slot->max_count > 1 && cJSON_IsArray(member)
                         ? read_array(r, slot, member, pointer, reterr)
                         : read_input(r, slot, member, pointer, reterr);
        if (result != 0)
            return -1;
    }
    return 0;
}

/* Mistakes of one object are collected apart: among those of a whole batch it would take long to
 * look whether a place has been named already. */
static void move_errors(struct field_errors *errors, const struct field_errors *found)
{
    int kept = 0;
    for (const struct field_error *e = found->first; e; e = e->next, kept++)
        field_errors_add(errors, e->pointer, "%s", e->detail);
    errors->count += found->count - kept;
}

int binding_read_json(struct arena *a, const struct config *cfg, const struct task_desc *task,
                      cJSON *root, const char *pointer, struct binding *ret_binding,
                      struct field_errors *errors, struct error *reterr)
{
    struct field_errors found = {.arena = a};
    bool has_inputs = task->input_count > 0; /* else all of it are parameters, as it stands */
    *ret_binding = (struct binding){.params = has_inputs ? json_object(a) : root,
                                    .body = payload_new(a),
                                    .pointer = pointer,
                                    .max_bytes = (size_t)cfg->http_max_body_bytes};
    struct reader r = {.arena = a,
                       .config = cfg,
                       .task = task,
                       .pointer = pointer,
                       .errors = &found,
                       .out = ret_binding,
                       .is_object = cJSON_IsObject(root)};
    if (!r.is_object) {
        field_errors_add(&found, pointer, "must be a JSON object");
    } else if (has_inputs) {
        reader_take_members(&r, root);
        if (reader_take_inputs(&r, root, reterr) != 0)
            return -1;
    }
    int result = reader_finish(&r, reterr);
    move_errors(errors, &found);
    return result;
}

/* Input `i` as the member of a JSON body. */
static cJSON *blob_member(const struct order_input *input, const char *id)
{
    cJSON *item = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(item, "blob", id);
    if (*input->media_type)
        (void)cJSON_AddStringToObject(item, "media_type", input->media_type);
    if (*input->file_name)
        (void)cJSON_AddStringToObject(item, "file_name", input->file_name);
    return item;
}

void binding_name_blob(struct arena *a, const struct task_desc *task, struct binding *binding,
                       int i, const char *id)
{
    const struct order_input *input = &binding->inputs[i];
    const struct task_slot *slot = task->inputs;
    while (strcmp(slot->name, input->name) != 0)
        slot++;
    if (!binding->json)
        binding->json = json_object(a);
    cJSON *place = binding->json;
    if (slot->max_count == 1) {
        (void)cJSON_AddItemToObject(place, slot->name, blob_member(input, id));
        return;
    }
    cJSON *array = json_member(place, slot->name);
    if (!array)
        array = cJSON_AddArrayToObject(place, slot->name);
    (void)cJSON_AddItemToArray(array, blob_member(input, id));
}

const char *binding_print(struct arena *a, const struct binding *binding)
{
    size_t size, inputs_size;
    char *text = json_print(a, binding->params, &size);
    if (!binding->json || !binding->json->child)
        return text;
    const char *inputs = json_print(a, binding->json, &inputs_size);
    if (size == 2) /* {} */
        return inputs;
    char *joined = arena_alloc(a, size + inputs_size);
    memcpy(joined, text, size);
    joined[size - 1] = ',';
    memcpy(joined + size, inputs + 1, inputs_size - 1);
    return joined;
}
