/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema.c - see schema.h; questions to a compiled schema
 */
#include "base/schema.h"

#include <stdlib.h>
#include <string.h>

#include "base/schema_internal.h"
#include "base/utf8.h"

#define POINTER_NAME_MAX 200

/* A client's name may have megabytes, and each of many errors below it would repeat it. */
static const char *cut_name(struct arena *a, const char *name)
{
    size_t size = strlen(name);
    if (size <= POINTER_NAME_MAX)
        return name;
    size_t kept = utf8_cut(name, size, POINTER_NAME_MAX);
    return arena_printf(a, "%.*s…", (int)kept, name);
}

const char *schema_path_text(struct arena *a, const struct schema_path *path)
{
    if (!path->parent)
        return path->name;
    const char *parent = schema_path_text(a, path->parent);
    if (!path->name)
        return arena_printf(a, "%s/%zu", parent, path->index);
    return json_pointer_join(a, parent, cut_name(a, path->name));
}

static int member_compare(const void *name, const void *member)
{
    return strcmp(name, ((const struct schema_member *)member)->name);
}

const struct schema_member *schema_member_find(const struct schema *s, const char *name)
{
    if (s->member_count == 0)
        return NULL;
    return bsearch(name, s->members, s->member_count, sizeof(*s->members), member_compare);
}

const struct schema *schema_property(const struct schema *s, const char *name)
{
    const struct schema_member *member = schema_member_find(s, name);
    return member ? member->schema : NULL;
}

bool schema_allows_additional(const struct schema *s)
{
    return !s->is_never && !(s->additional && s->additional->is_never);
}

const cJSON *schema_source(const struct schema *s)
{
    return s->source;
}

bool schema_allows_list(const struct schema *s)
{
    return (s->allowed & SCHEMA_ARRAY) != 0;
}

bool schema_is_list(const struct schema *s)
{
    return (s->allowed & SCHEMA_ARRAY) != 0 && (s->allowed & SCHEMA_STRING) == 0;
}

const struct schema *schema_items(const struct schema *s)
{
    return s->items;
}

static bool has_outer_space(const char *text)
{
    size_t size = strlen(text);
    return size == 0 || strchr(" \t\r\n", text[0]) || strchr(" \t\r\n", text[size - 1]);
}

cJSON *schema_value_from_text(const struct schema *s, struct arena *scratch, const char *text)
{
    unsigned wanted = s ? s->allowed & ~SCHEMA_STRING : 0;
    cJSON *value = NULL;
    /* JSON text has one type at most, so the order of types settles itself. */
    if (wanted != 0 && json_parse(scratch, text, strlen(text), &value, NULL) == 0) {
        unsigned type = schema_type_of(value);
        bool is_exact = (type & (SCHEMA_ARRAY | SCHEMA_OBJECT)) != 0 || !has_outer_space(text);
        if ((type & wanted) != 0 && is_exact)
            return json_copy(value);
    }
    const cJSON string = {.type = cJSON_String, .valuestring = (char *)(uintptr_t)text};
    return json_copy(&string);
}
