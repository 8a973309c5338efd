/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * descriptor.c - see descriptor.h
 *
 * Tables say which members an object may have and of what type; what is left to check
 * stands in the function that reads the member.
 */
#include "exec/descriptor.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define FILE_MAX_BYTES 1048576
#define TASK_NAME_MAX 44 /* "[task NAME]" then fits into a section of the configuration file */
#define SLOTS_MAX 64     /* inputs, and outputs, of one task */
#define MANY_MAX 1000
#define MIB 1048576.0
#define AT_MOST(a, b) ((a) < (b) ? (a) : (b))
/* What a size_t can be and a double is exactly. */
#define SIZE_LIMIT ((double)AT_MOST(SIZE_MAX / 2, 1ULL << 53))

struct reader {
    struct arena *arena;   /* of what the descriptor keeps */
    struct arena *scratch; /* of the rest, which would be twice as much */
    const char *file;
    struct error *reterr;
};

static int fail(const struct reader *r, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(const struct reader *r, const char *pointer, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return error_set(r->reterr, ERR_INTERNAL, "%s#%s: %s", r->file, pointer, what);
}

/* ---- members and their types ---- */

enum value_type { TEXT, INTEGER, NUMBER, BOOLEAN, ARRAY, OBJECT };

static const char *const type_names[] = {
    [TEXT] = "a string that is not empty", [INTEGER] = "an integer", [NUMBER] = "a number",
    [BOOLEAN] = "true or false",           [ARRAY] = "an array",     [OBJECT] = "an object",
};

struct member {
    const char *name; /* NULL ends a table */
    enum value_type type;
    bool is_required;
};

static const struct member descriptor_members[] = {
    {"name", TEXT, true},       {"version", INTEGER, true}, {"module", TEXT, true},
    {"class", TEXT, true},      {"summary", TEXT, true},    {"description", TEXT, false},
    {"inputs", ARRAY, false},   {"params", OBJECT, true},   {"outputs", ARRAY, false},
    {"result", OBJECT, false},  {"limits", OBJECT, true},   {"mode", TEXT, false},
    {"examples", ARRAY, false}, {NULL, TEXT, false},
};

static const struct member input_members[] = {
    {"name", TEXT, true},    {"media_types", ARRAY, false}, {"max_bytes", INTEGER, true},
    {"many", OBJECT, false}, {"optional", BOOLEAN, false},  {"description", TEXT, false},
    {NULL, TEXT, false},
};

static const struct member output_members[] = {
    {"name", TEXT, true},         {"media_types", ARRAY, true}, {"many", OBJECT, false},
    {"optional", BOOLEAN, false}, {"description", TEXT, false}, {NULL, TEXT, false},
};

static const struct member many_members[] = {{"max", INTEGER, true}, {NULL, TEXT, false}};

static const struct member example_members[] = {
    {"summary", TEXT, true}, {"params", OBJECT, true}, {NULL, TEXT, false}};

static bool has_type(const cJSON *value, enum value_type type)
{
    switch (type) {
    case TEXT:
        return cJSON_IsString(value) && value->valuestring[0];
    case INTEGER:
        return json_is_integer(value);
    case NUMBER:
        return cJSON_IsNumber(value);
    case BOOLEAN:
        return cJSON_IsBool(value);
    case ARRAY:
        return cJSON_IsArray(value);
    case OBJECT:
        return cJSON_IsObject(value);
    }
    return false;
}

static const struct member *find_member(const struct member *members, const char *name)
{
    for (; members->name; members++) {
        if (strcmp(members->name, name) == 0)
            return members;
    }
    return NULL;
}

static int check_type(const struct reader *r, const char *pointer, const cJSON *value,
                      enum value_type type)
{
    if (!has_type(value, type))
        return fail(r, pointer, "must be %s", type_names[type]);
    return 0;
}

/* Is `value` an object of just these members? */
static int check_members(const struct reader *r, const char *pointer, const cJSON *value,
                         const struct member *members)
{
    if (check_type(r, pointer, value, OBJECT) != 0)
        return -1;
    for (const cJSON *child = value->child; child; child = child->next) {
        const struct member *m = find_member(members, child->string);
        const char *at = json_pointer_join(r->scratch, pointer, child->string);
        if (!m)
            return fail(r, at, "is no member that is known here");
        if (check_type(r, at, child, m->type) != 0)
            return -1;
    }
    for (; members->name; members++) {
        if (members->is_required && !json_member(value, members->name))
            return fail(r, json_pointer_join(r->scratch, pointer, members->name), "is missing");
    }
    return 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *value = json_member(object, name);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [a-z][a-z0-9_]* */
static bool is_name(const char *text, size_t size)
{
    if (size == 0 || !is_lower(text[0]))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!is_lower(text[i]) && !is_digit(text[i]) && text[i] != '_')
            return false;
    }
    return true;
}

/* An integer member within bounds. */
static int read_integer(const struct reader *r, const char *pointer, const cJSON *object,
                        const char *name, double min, double max, double *ret_value)
{
    double value = json_member(object, name)->valuedouble;
    if (value < min || value > max)
        return fail(r, json_pointer_join(r->scratch, pointer, name), "must be %.0f to %.0f", min,
                    max);
    *ret_value = value;
    return 0;
}

/* One of two words. */
static int read_choice(const struct reader *r, const char *pointer, const char *text,
                       const char *no, const char *yes, bool *ret_yes)
{
    *ret_yes = strcmp(text, yes) == 0;
    if (!*ret_yes && strcmp(text, no) != 0)
        return fail(r, pointer, "must be \"%s\" or \"%s\"", no, yes);
    return 0;
}

/* ---- inputs and outputs ---- */

/* type/subtype in lower case, no parameters, no wildcard */
static bool is_media_type(const char *text)
{
    const char *slash = strchr(text, '/');
    if (!slash || slash == text || !slash[1])
        return false;
    for (const char *p = text; *p; p++) {
        if (p != slash && !is_lower(*p) && !is_digit(*p) && !strchr("+-._", *p))
            return false;
    }
    return true;
}

static int read_media_types(const struct reader *r, const char *pointer, const cJSON *array,
                            const char ***ret_types)
{
    int count = 0;
    const char **types =
        arena_alloc(r->arena, ((size_t)cJSON_GetArraySize(array) + 1) * sizeof(*types));
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next) {
        if (!cJSON_IsString(item) || !is_media_type(item->valuestring))
            return fail(r, pointer, "item %d must be a media type such as \"image/png\"", count);
        for (int i = 0; i < count; i++) {
            if (strcmp(types[i], item->valuestring) == 0)
                return fail(r, pointer, "\"%.100s\" is listed twice", types[i]);
        }
        types[count++] = item->valuestring;
    }
    *ret_types = types;
    return 0;
}

static int read_many(const struct reader *r, const char *pointer, const cJSON *many,
                     int *ret_max_count)
{
    double max = 1;
    if (many && (check_members(r, pointer, many, many_members) != 0 ||
                 read_integer(r, pointer, many, "max", 1, MANY_MAX, &max) != 0))
        return -1;
    *ret_max_count = (int)max;
    return 0;
}

static int read_slot(const struct reader *r, const char *pointer, const cJSON *item,
                     struct task_slot *slot)
{
    slot->name = text_of(item, "name");
    slot->required = !cJSON_IsTrue(json_member(item, "optional"));
    if (!is_name(slot->name, strlen(slot->name)))
        return fail(r, json_pointer_join(r->scratch, pointer, "name"),
                    "must be a-z, then a-z, 0-9 and _");
    if (read_media_types(r, json_pointer_join(r->scratch, pointer, "media_types"),
                         json_member(item, "media_types"), &slot->media_types) != 0)
        return -1;
    return read_many(r, json_pointer_join(r->scratch, pointer, "many"), json_member(item, "many"),
                     &slot->max_count);
}

static int check_unique(const struct reader *r, const char *pointer, const struct task_slot *slots,
                        int i)
{
    for (int j = 0; j < i; j++) {
        if (strcmp(slots[j].name, slots[i].name) == 0)
            return fail(r, json_pointer_join(r->scratch, pointer, "name"), "is the name of item %d",
                        j);
    }
    return 0;
}

/* A JSON body and a multipart form have parameters and inputs side by side. */
static int check_input(const struct reader *r, const char *pointer, const cJSON *item,
                       const struct schema *params, struct task_slot *slot)
{
    double max_bytes = 0;
    if (schema_property(params, slot->name))
        return fail(r, json_pointer_join(r->scratch, pointer, "name"),
                    "is the name of a parameter too");
    if (strcmp(slot->name, "params") == 0)
        return fail(r, json_pointer_join(r->scratch, pointer, "name"),
                    "is what a form calls all parameters");
    if (read_integer(r, pointer, item, "max_bytes", 1, SIZE_LIMIT, &max_bytes) != 0)
        return -1;
    slot->max_bytes = (size_t)max_bytes;
    return 0;
}

static int check_output(const struct reader *r, const char *pointer, const struct task_slot *slot)
{
    if (strcmp(slot->name, "result") == 0)
        return fail(r, json_pointer_join(r->scratch, pointer, "name"),
                    "is what an archive calls the result");
    if (!slot->media_types[0])
        return fail(r, json_pointer_join(r->scratch, pointer, "media_types"),
                    "must list a media type");
    return 0;
}

/* `params` NULL: outputs. */
static int read_slots(const struct reader *r, const cJSON *source, const char *member,
                      const struct schema *params, const struct task_slot **ret_slots,
                      int *ret_count)
{
    const cJSON *array = json_member(source, member);
    const char *base = json_pointer_join(r->scratch, "", member);
    int count = cJSON_GetArraySize(array), i = 0;

    if (count > SLOTS_MAX)
        return fail(r, base, "has over %d items", SLOTS_MAX);
    struct task_slot *slots = arena_alloc(r->arena, (size_t)count * sizeof(*slots));
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next, i++) {
        const char *pointer = arena_printf(r->scratch, "%s/%d", base, i);
        if (check_members(r, pointer, item, params ? input_members : output_members) != 0 ||
            read_slot(r, pointer, item, &slots[i]) != 0 || check_unique(r, pointer, slots, i) != 0)
            return -1;
        if (params && check_input(r, pointer, item, params, &slots[i]) != 0)
            return -1;
        if (!params && check_output(r, pointer, &slots[i]) != 0)
            return -1;
    }
    *ret_slots = slots;
    *ret_count = count;
    return 0;
}

/* ---- limits ---- */

static const struct limit_range {
    const char *name; /* NULL: any other */
    double min, max;
} limit_ranges[] = {
    {"seconds", 0.001, 604800},
    {"memory_mb", 1, AT_MOST(16777216, SIZE_LIMIT / MIB)},
    {"output_bytes", 1, AT_MOST(1099511627776.0, SIZE_LIMIT)},
    {NULL, 0, 1e15},
};

/* `place` is a file and pointer, or a line of the configuration. */
static int check_limit(const struct reader *r, const char *place, const char *name, double value)
{
    const struct limit_range *range = limit_ranges;
    while (range->name && strcmp(range->name, name) != 0)
        range++;
    if (value > 0 && value >= range->min && value <= range->max)
        return 0;
    if (range->min > 0)
        return error_set(r->reterr, ERR_INTERNAL, "%s: %.40s must be %g to %.0f", place, name,
                         range->min, range->max);
    return error_set(r->reterr, ERR_INTERNAL, "%s: %.40s must be over 0 and at most %.0f", place,
                     name, range->max);
}

/* Does `name` stand for this limit in GANGSAW_TASK_IMAGE_TRANSFORM_MAX_MEGAPIXELS? */
static bool is_variable_of(const char *variable, const char *task, const char *limit)
{
    for (; *task; task++, variable++) {
        if (*variable != (*task == '.' ? '_' : toupper((unsigned char)*task)))
            return false;
    }
    if (*variable++ != '_')
        return false;
    for (; *limit; limit++, variable++) {
        if (*variable != toupper((unsigned char)*limit))
            return false;
    }
    return !*variable;
}

static int apply_overrides(const struct reader *r, const char *task,
                           struct limit_overrides *overrides, struct task_limit *limit)
{
    for (int i = 0; i < overrides->count; i++) {
        const struct config_task_limit *o = &overrides->limits[i];
        bool is_meant = o->task ? strcmp(o->task, task) == 0 && strcmp(o->name, limit->name) == 0
                                : is_variable_of(o->name, task, limit->name);
        if (!is_meant)
            continue;
        if (check_limit(r, o->place, limit->name, o->value) != 0)
            return -1;
        overrides->met[i]++;
        limit->value = o->value;
    }
    return 0;
}

static int read_limits(const struct reader *r, cJSON *source, struct limit_overrides *overrides,
                       struct task_desc *desc)
{
    cJSON *object = json_member(source, "limits");
    int count = cJSON_GetArraySize(object), i = 0;
    struct task_limit *limits = arena_alloc(r->arena, (size_t)count * sizeof(*limits));

    for (cJSON *item = object->child; item; item = item->next, i++) {
        const char *pointer = json_pointer_join(r->scratch, "/limits", item->string);
        const char *place = arena_printf(r->scratch, "%s#%s", r->file, pointer);
        if (!is_name(item->string, strlen(item->string)))
            return fail(r, pointer, "a limit's name must be a-z, then a-z, 0-9 and _");
        if (check_type(r, pointer, item, NUMBER) != 0 ||
            check_limit(r, place, item->string, item->valuedouble) != 0)
            return -1;
        limits[i] = (struct task_limit){.name = item->string, .value = item->valuedouble};
        if (apply_overrides(r, desc->name, overrides, &limits[i]) != 0)
            return -1;
        (void)cJSON_SetNumberValue(item, limits[i].value);
    }
    desc->limits = limits;
    desc->limit_count = count;
    return 0;
}

static double limit_value(const struct task_desc *desc, const char *name)
{
    for (int i = 0; i < desc->limit_count; i++) {
        if (strcmp(desc->limits[i].name, name) == 0)
            return desc->limits[i].value;
    }
    return 0; /* never in a range: it is missing */
}

static int require_limits(const struct reader *r, struct task_desc *desc)
{
    for (const struct limit_range *range = limit_ranges; range->name; range++) {
        if (limit_value(desc, range->name) <= 0)
            return fail(r, json_pointer_join(r->scratch, "/limits", range->name), "is missing");
    }
    desc->seconds = limit_value(desc, "seconds");
    desc->memory_bytes = (size_t)(limit_value(desc, "memory_mb") * MIB);
    desc->output_bytes = (size_t)limit_value(desc, "output_bytes");
    return 0;
}

/* ---- schemas and examples ---- */

static int read_schema(const struct reader *r, struct arena *a, const cJSON *source,
                       const char *member, const struct schema **ret_schema)
{
    const cJSON *schema_json = json_member(source, member);
    const char *pointer = json_pointer_join(r->scratch, "", member);
    struct schema *schema;

    if (strcmp(text_of(schema_json, "type"), "object") != 0)
        return fail(r, json_pointer_join(r->scratch, pointer, "type"), "must be \"object\"");
    if (schema_compile(a, schema_json, arena_printf(r->scratch, "%s#%s", r->file, pointer), &schema,
                       r->reterr) != 0)
        return -1;
    *ret_schema = schema;
    return 0;
}

static int check_params(const struct reader *r, const char *pointer, const cJSON *params,
                        const struct schema *schema)
{
    struct field_errors errors = {.arena = r->scratch};
    cJSON *copy = json_copy(params); /* validating fills in defaults; the example stays short */
    int count = schema_validate(schema, copy, pointer, &errors);
    cJSON_Delete(copy);
    if (count == 0)
        return 0;
    return fail(r, errors.first->pointer, "%s", errors.first->detail);
}

static int check_examples(const struct reader *r, const cJSON *source, const struct schema *params)
{
    const cJSON *array = json_member(source, "examples");
    int i = 0;
    for (const cJSON *item = array ? array->child : NULL; item; item = item->next, i++) {
        const char *pointer = arena_printf(r->scratch, "/examples/%d", i);
        if (check_members(r, pointer, item, example_members) != 0 ||
            check_params(r, json_pointer_join(r->scratch, pointer, "params"),
                         json_member(item, "params"), params) != 0)
            return -1;
    }
    return 0;
}

/* ---- the whole ---- */

static int read_head(const struct reader *r, const cJSON *source, struct task_desc *desc)
{
    bool is_net;
    double version = 0;

    desc->name = text_of(source, "name");
    desc->module = text_of(source, "module");
    desc->summary = text_of(source, "summary");
    const char *dot = strchr(desc->name, '.');
    if (!dot || !is_name(desc->name, (size_t)(dot - desc->name)) ||
        !is_name(dot + 1, strlen(dot + 1)) || strlen(desc->name) > TASK_NAME_MAX)
        return fail(r, "/name",
                    "must be two names with a dot between, such as \"image.transform\""
                    ", up to %d bytes",
                    TASK_NAME_MAX);
    size_t size = strlen(desc->name);
    if (strncmp(r->file, desc->name, size) != 0 || strcmp(r->file + size, ".json") != 0)
        return fail(r, "/name", "\"%s\" must be the file's name without .json", desc->name);
    if (!is_name(desc->module, strlen(desc->module)))
        return fail(r, "/module", "must be a-z, then a-z, 0-9 and _");
    if (read_integer(r, "", source, "version", 1, INT_MAX, &version) != 0 ||
        read_choice(r, "/class", text_of(source, "class"), "cpu", "net", &is_net) != 0)
        return -1;
    desc->version = (int)version;
    desc->class = is_net ? TASK_NET : TASK_CPU;
    const char *mode = json_member(source, "mode") ? text_of(source, "mode") : "any";
    return read_choice(r, "/mode", mode, "any", "job", &desc->job_only);
}

static int read_schemas(const struct reader *r, const cJSON *source, struct task_desc *desc)
{
    const struct schema *result;
    if (read_schema(r, r->arena, source, "params", &desc->params) != 0)
        return -1;
    if (schema_property(desc->params, "params"))
        return fail(r, "/params/properties/params", "is what a form calls all parameters");
    return json_member(source, "result") ? read_schema(r, r->scratch, source, "result", &result)
                                         : 0;
}

static int read_descriptor(const struct reader *r, const char *directory,
                           struct limit_overrides *overrides, struct task_desc *ret_desc)
{
    struct task_desc desc = {.source = NULL};
    struct error why;
    cJSON *source;
    char *text;
    size_t size;

    if (file_read(r->scratch, arena_printf(r->scratch, "%s/%s", directory, r->file), FILE_MAX_BYTES,
                  &text, &size, &why) != 0)
        return error_set(r->reterr, ERR_INTERNAL, "%s", why.detail);
    if (json_parse(r->arena, text, size, &source, &why) != 0)
        return error_set(r->reterr, ERR_INTERNAL, "%s: %s", r->file, why.detail);
    if (check_members(r, "", source, descriptor_members) != 0 || read_head(r, source, &desc) != 0 ||
        read_schemas(r, source, &desc) != 0 ||
        read_slots(r, source, "inputs", desc.params, &desc.inputs, &desc.input_count) != 0 ||
        read_slots(r, source, "outputs", NULL, &desc.outputs, &desc.output_count) != 0 ||
        read_limits(r, source, overrides, &desc) != 0 || require_limits(r, &desc) != 0 ||
        check_examples(r, source, desc.params) != 0)
        return -1;
    desc.source = source;
    *ret_desc = desc;
    return 0;
}

int descriptor_read(struct arena *a, const char *directory, const char *file,
                    struct limit_overrides *overrides, struct task_desc *ret_desc,
                    struct error *reterr)
{
    const struct reader r = {.arena = a, .scratch = arena_new(), .file = file, .reterr = reterr};
    int result = read_descriptor(&r, directory, overrides, ret_desc);
    arena_free(r.scratch);
    return result;
}
