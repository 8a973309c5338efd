/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_compile.c - from JSON to struct schema
 *
 * A schema is written by a programmer and read once: the first mistake is reported with its place.
 * Everything that validation would have to search or parse again and again is settled here.
 */
#include "base/schema.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/schema_internal.h"

struct compiler {
    struct arena *a;
    struct error *reterr;
    bool is_in_choice; /* below oneOf or anyOf */
};

struct keyword {
    const char *name;
    int (*compile)(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                   const struct schema_path *path);
    size_t offset; /* of the member of struct schema that `slot` points to */
};

static const struct schema *compile(struct compiler *c, const cJSON *source,
                                    const struct schema_path *path);

__attribute__((format(printf, 3, 4))) static int
fail(const struct compiler *c, const struct schema_path *path, const char *fmt, ...)
{
    char what[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return error_set(c->reterr, ERR_INTERNAL, "%s: %s", schema_path_text(c->a, path), what);
}

static struct schema_path child_path(const struct schema_path *parent, const char *name,
                                     size_t index)
{
    return (struct schema_path){.parent = parent, .name = name, .index = index};
}

static int type_bits(const struct compiler *c, const cJSON *name, const struct schema_path *path,
                     unsigned *ret_types)
{
    static const struct {
        const char *name;
        unsigned types;
    } types[] = {
        {"null", SCHEMA_NULL},     {"boolean", SCHEMA_BOOLEAN}, {"integer", SCHEMA_INTEGER},
        {"number", SCHEMA_NUMBER}, {"string", SCHEMA_STRING},   {"array", SCHEMA_ARRAY},
        {"object", SCHEMA_OBJECT},
    };
    for (size_t i = 0; cJSON_IsString(name) && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(name->valuestring, types[i].name) == 0) {
            *ret_types = types[i].types;
            return 0;
        }
    }
    return fail(c, path, "%s is not a type", schema_echo(name).text);
}

static int compile_type(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                        const struct schema_path *path)
{
    (void)slot;
    size_t i = 0;
    if (!cJSON_IsArray(value))
        return type_bits(c, value, path, &s->types);
    s->types = 0;
    for (const cJSON *name = value->child; name; name = name->next, i++) {
        struct schema_path place = child_path(path, NULL, i);
        unsigned types;
        if (type_bits(c, name, &place, &types) < 0)
            return -1;
        for (const cJSON *before = value->child; before != name; before = before->next) {
            if (strcmp(before->valuestring, name->valuestring) == 0)
                return fail(c, &place, "the type is listed twice");
        }
        s->types |= types;
    }
    return s->types != 0 ? 0 : fail(c, path, "must name a type");
}

static int text_compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static const char *list_values(struct arena *a, const cJSON *first, size_t count)
{
    struct strbuf sb = STRBUF_INIT;
    for (; count > 0; first = first->next, count--) {
        strbuf_addstr(&sb, sb.size > 0 ? ", " : "");
        strbuf_addstr(&sb, json_print(a, first, NULL));
    }
    const char *text = schema_cut(a, sb.text);
    strbuf_release(&sb);
    return text;
}

/* `count` values: an enum's, or the one of const. */
static const struct schema_values *compile_values(struct compiler *c, const cJSON *first,
                                                  size_t count)
{
    struct schema_values *values = arena_alloc(c->a, sizeof(*values));
    values->texts = arena_alloc(c->a, count * sizeof(*values->texts));
    values->count = count;
    values->listed = list_values(c->a, first, count);
    for (size_t i = 0; i < count; i++, first = first->next) {
        struct strbuf sb = STRBUF_INIT;
        schema_canonical(&sb, c->a, first);
        values->texts[i] = arena_strdup(c->a, sb.text);
        strbuf_release(&sb);
        values->types |= schema_type_of(first);
    }
    qsort(values->texts, count, sizeof(*values->texts), text_compare);
    return values;
}

static int compile_enum(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                        const struct schema_path *path)
{
    (void)slot;
    int count = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 0;
    if (count == 0)
        return fail(c, path, "must be an array with at least one value");
    const struct schema_values *values = compile_values(c, value->child, (size_t)count);
    for (size_t i = 1; i < values->count; i++) {
        if (strcmp(values->texts[i - 1], values->texts[i]) == 0)
            return fail(c, path, "lists a value twice");
    }
    s->enumeration = values;
    return 0;
}

static int compile_const(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                         const struct schema_path *path)
{
    (void)slot;
    (void)path;
    s->constant = compile_values(c, value, 1);
    return 0;
}

static int compile_number(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                          const struct schema_path *path)
{
    (void)s;
    if (!cJSON_IsNumber(value))
        return fail(c, path, "must be a number");
    *(struct schema_limit *)slot = (struct schema_limit){true, value->valuedouble};
    return 0;
}

static int compile_multiple_of(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                               const struct schema_path *path)
{
    if (!cJSON_IsNumber(value) || value->valuedouble <= 0)
        return fail(c, path, "must be a number above 0");
    s->unit = schema_decimal(value->valuedouble);
    return compile_number(c, s, slot, value, path);
}

static int compile_count(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                         const struct schema_path *path)
{
    if (!json_is_integer(value) || value->valuedouble < 0)
        return fail(c, path, "must be an integer, 0 or more");
    return compile_number(c, s, slot, value, path);
}

static int compile_pattern(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                           const struct schema_path *path)
{
    (void)slot;
    char why[SCHEMA_WHY_SIZE];
    if (!cJSON_IsString(value))
        return fail(c, path, "must be a string");
    s->pattern = schema_pattern_compile(c->a, value->valuestring, why);
    return s->pattern ? 0 : fail(c, path, "%s", why);
}

static int compile_format(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                          const struct schema_path *path)
{
    (void)slot;
    s->format = cJSON_IsString(value) ? schema_format_find(value->valuestring) : NULL;
    return s->format ? 0 : fail(c, path, "%s is not a known format", schema_echo(value).text);
}

/* items and additionalProperties */
static int compile_one(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                       const struct schema_path *path)
{
    (void)s;
    const struct schema *schema = compile(c, value, path);
    *(const struct schema **)slot = schema;
    return schema ? 0 : -1;
}

static int compile_list(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                        const struct schema_path *path)
{
    (void)s;
    struct schema_list *list = slot;
    int count = cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 0;
    if (count == 0)
        return fail(c, path, "must be an array with at least one schema");
    list->schemas = arena_alloc(c->a, (size_t)count * sizeof(*list->schemas));
    for (const cJSON *item = value->child; item; item = item->next) {
        struct schema_path place = child_path(path, NULL, list->count);
        const struct schema *schema = compile(c, item, &place);
        if (!schema)
            return -1;
        list->schemas[list->count++] = schema;
    }
    return 0;
}

static int compile_choice(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                          const struct schema_path *path)
{
    bool was_in_choice = c->is_in_choice;
    c->is_in_choice = true;
    int failed = compile_list(c, s, slot, value, path);
    c->is_in_choice = was_in_choice;
    return failed;
}

static int compile_unique_items(struct compiler *c, struct schema *s, void *slot,
                                const cJSON *value, const struct schema_path *path)
{
    (void)slot;
    s->has_unique_items = cJSON_IsTrue(value);
    return cJSON_IsBool(value) ? 0 : fail(c, path, "must be true or false");
}

static int member_compare(const void *a, const void *b)
{
    const struct schema_member *x = a;
    const struct schema_member *y = b;
    return strcmp(x->name, y->name);
}

static int compile_properties(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                              const struct schema_path *path)
{
    (void)slot;
    if (!cJSON_IsObject(value))
        return fail(c, path, "must be an object of schemas");
    for (const cJSON *property = value->child; property; property = property->next) {
        struct schema_path place = child_path(path, property->string, 0);
        struct schema_member *member = &s->members[s->member_count++];
        member->name = property->string;
        member->schema = compile(c, property, &place);
        member->value = json_member(property, "default");
        if (!member->schema)
            return -1;
    }
    return 0;
}

/* Members that only `required` names get a row as well. */
static int compile_required(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                            const struct schema_path *path)
{
    (void)slot;
    size_t i = 0;
    if (!cJSON_IsArray(value))
        return fail(c, path, "must be an array of names");
    for (const cJSON *name = value->child; name; name = name->next, i++) {
        struct schema_path place = child_path(path, NULL, i);
        if (!cJSON_IsString(name))
            return fail(c, &place, "must be a name");
        size_t at = 0;
        while (at < s->member_count && strcmp(s->members[at].name, name->valuestring) != 0)
            at++;
        if (at == s->member_count)
            s->members[s->member_count++].name = name->valuestring;
        if (s->members[at].is_required)
            return fail(c, &place, "the name is listed twice");
        s->members[at].is_required = true;
    }
    return 0;
}

static int compile_text(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                        const struct schema_path *path)
{
    (void)s;
    (void)slot;
    return cJSON_IsString(value) ? 0 : fail(c, path, "must be a string");
}

static int compile_examples(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                            const struct schema_path *path)
{
    (void)slot;
    if (!cJSON_IsArray(value))
        return fail(c, path, "must be an array");
    const cJSON *first = value->child;
    while (first && !cJSON_IsString(first))
        first = first->next;
    s->example = first ? schema_cut(c->a, first->valuestring) : NULL;
    return 0;
}

/* Its value is checked when the whole schema is there. */
static int compile_default(struct compiler *c, struct schema *s, void *slot, const cJSON *value,
                           const struct schema_path *path)
{
    (void)s;
    (void)slot;
    (void)value;
    return c->is_in_choice ? fail(c, path, "a default cannot stand below oneOf or anyOf") : 0;
}

#define SLOT(member) offsetof(struct schema, member)

/* properties stands before required, which completes its table. */
static const struct keyword keywords[] = {
    {"type", compile_type, 0},
    {"enum", compile_enum, 0},
    {"const", compile_const, 0},
    {"minimum", compile_number, SLOT(minimum)},
    {"maximum", compile_number, SLOT(maximum)},
    {"exclusiveMinimum", compile_number, SLOT(above)},
    {"exclusiveMaximum", compile_number, SLOT(below)},
    {"multipleOf", compile_multiple_of, SLOT(multiple_of)},
    {"minLength", compile_count, SLOT(min_length)},
    {"maxLength", compile_count, SLOT(max_length)},
    {"pattern", compile_pattern, 0},
    {"format", compile_format, 0},
    {"items", compile_one, SLOT(items)},
    {"prefixItems", compile_list, SLOT(prefix_items)},
    {"minItems", compile_count, SLOT(min_items)},
    {"maxItems", compile_count, SLOT(max_items)},
    {"uniqueItems", compile_unique_items, 0},
    {"properties", compile_properties, 0},
    {"required", compile_required, 0},
    {"additionalProperties", compile_one, SLOT(additional)},
    {"oneOf", compile_choice, SLOT(one_of)},
    {"anyOf", compile_choice, SLOT(any_of)},
    {"default", compile_default, 0},
    {"title", compile_text, 0},
    {"description", compile_text, 0},
    {"examples", compile_examples, 0},
};

#define KEYWORD_COUNT (sizeof(keywords) / sizeof(keywords[0]))

static int refuse_unknown_keywords(const struct compiler *c, const cJSON *source,
                                   const struct schema_path *path)
{
    for (const cJSON *member = source->child; member; member = member->next) {
        size_t i = 0;
        while (i < KEYWORD_COUNT && strcmp(keywords[i].name, member->string) != 0)
            i++;
        struct schema_path place = child_path(path, member->string, 0);
        if (i == KEYWORD_COUNT)
            return fail(c, &place, "is not a known keyword");
    }
    return 0;
}

static unsigned list_types(const struct schema_list *list)
{
    unsigned types = list->count == 0 ? SCHEMA_ANY : 0;
    for (size_t i = 0; i < list->count; i++)
        types |= list->schemas[i]->allowed;
    return types;
}

static size_t larger(size_t max, const struct schema *s)
{
    return s && s->seen_max > max ? s->seen_max : max;
}

static size_t list_seen_max(size_t max, const struct schema_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        max = larger(max, list->schemas[i]);
    return max;
}

/* What follows from all keywords together. */
static void conclude(struct schema *s)
{
    s->allowed = s->types & list_types(&s->one_of) & list_types(&s->any_of);
    if (s->enumeration)
        s->allowed &= s->enumeration->types;
    if (s->constant)
        s->allowed &= s->constant->types;
    if (s->member_count > 1)
        qsort(s->members, s->member_count, sizeof(*s->members), member_compare);
    size_t below = larger(larger(0, s->items), s->additional);
    below = list_seen_max(below, &s->prefix_items);
    below = list_seen_max(below, &s->one_of);
    below = list_seen_max(below, &s->any_of);
    for (size_t i = 0; i < s->member_count; i++)
        below = larger(below, s->members[i].schema);
    s->seen_max = s->member_count + below;
}

static int check_default(struct compiler *c, const struct schema *s, const struct schema_path *path)
{
    const cJSON *value = json_member(s->source, "default");
    if (!value)
        return 0;
    struct schema_path place = child_path(path, "default", 0);
    struct field_errors errors = {.arena = c->a};
    cJSON *copy = json_copy(value);
    int count = schema_validate(s, copy, schema_path_text(c->a, &place), &errors);
    cJSON_Delete(copy);
    if (count == 0)
        return 0;
    return error_set(c->reterr, ERR_INTERNAL, "%s: %s", errors.first->pointer,
                     errors.first->detail);
}

static const struct schema *compile(struct compiler *c, const cJSON *source,
                                    const struct schema_path *path)
{
    struct schema *s = arena_alloc(c->a, sizeof(*s));
    s->source = source;
    s->types = s->allowed = SCHEMA_ANY;
    if (cJSON_IsBool(source)) {
        s->is_never = cJSON_IsFalse(source);
        s->allowed = s->is_never ? 0 : SCHEMA_ANY;
        return s;
    }
    if (!cJSON_IsObject(source)) {
        (void)fail(c, path, "a schema must be an object, true or false");
        return NULL;
    }
    if (refuse_unknown_keywords(c, source, path) < 0)
        return NULL;
    size_t rows = (size_t)cJSON_GetArraySize(json_member(source, "properties")) +
                  (size_t)cJSON_GetArraySize(json_member(source, "required"));
    s->members = arena_alloc(c->a, rows * sizeof(*s->members));
    for (size_t i = 0; i < KEYWORD_COUNT; i++) {
        const cJSON *value = json_member(source, keywords[i].name);
        struct schema_path place = child_path(path, keywords[i].name, 0);
        if (value && keywords[i].compile(c, s, (char *)s + keywords[i].offset, value, &place) < 0)
            return NULL;
    }
    conclude(s);
    return check_default(c, s, path) < 0 ? NULL : s;
}

int schema_compile(struct arena *a, const cJSON *source, const char *place,
                   struct schema **ret_schema, struct error *reterr)
{
    struct compiler c = {.a = a, .reterr = reterr};
    struct schema_path root = {.name = place};
    const struct schema *s = compile(&c, source, &root);
    if (!s)
        return -1;
    *ret_schema = (struct schema *)(uintptr_t)s;
    return 0;
}
