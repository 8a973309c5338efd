/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_validate.c - an instance against a compiled schema
 *
 * One walk reports everything. A choice (oneOf, anyOf) first tries its branches silently, which
 * ends at a branch's first error; only the branch that the client meant is walked again to report.
 * So nested choices cost their depth, not the product of their branches.
 */
#include "base/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/schema_internal.h"

struct check {
    struct field_errors *errors;
    struct arena *scratch; /* NULL until it is needed: see scratch_of() */
    struct strbuf canonical;
    bool is_trial; /* errors are not reported, only known */
    bool has_failed;
    bool *seen;           /* this level's part of a buffer of the root's seen_max */
    size_t defaults_left; /* a text of a million empty objects must not grow a hundredfold */
};

static void check_value(struct check *c, const struct schema *s, cJSON *value,
                        const struct schema_path *path);

__attribute__((format(printf, 3, 4))) static void
fail(struct check *c, const struct schema_path *path, const char *fmt, ...)
{
    c->has_failed = true;
    if (c->is_trial)
        return;
    if (c->errors->count >= FIELD_ERRORS_MAX) {
        c->errors->count++;
        return;
    }
    char detail[640];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    field_errors_add(c->errors, schema_path_text(c->errors->arena, path), "%s", detail);
}

/* Most schemas need none. */
static struct arena *scratch_of(struct check *c)
{
    if (!c->scratch)
        c->scratch = arena_new();
    return c->scratch;
}

/* Nothing more to learn: a trial ends at its first error. */
static bool is_over(const struct check *c)
{
    return c->is_trial && c->has_failed;
}

static bool try_value(struct check *c, const struct schema *s, cJSON *value,
                      const struct schema_path *path)
{
    bool was_trial = c->is_trial;
    bool had_failed = c->has_failed;
    c->is_trial = true;
    c->has_failed = false;
    check_value(c, s, value, path);
    bool matches = !c->has_failed;
    c->is_trial = was_trial;
    c->has_failed = had_failed;
    return matches;
}

static int text_compare(const void *text, const void *member)
{
    return strcmp(text, *(const char *const *)member);
}

static bool has_value(struct check *c, const struct schema_values *values, const cJSON *value)
{
    if (!(values->types & schema_type_of(value)))
        return false;
    struct arena *scratch = scratch_of(c);
    strbuf_reset(&c->canonical);
    schema_canonical(&c->canonical, scratch, value);
    bool found = bsearch(c->canonical.text, values->texts, values->count, sizeof(*values->texts),
                         text_compare) != NULL;
    arena_reset(scratch);
    return found;
}

static void check_values(struct check *c, const struct schema *s, const cJSON *value,
                         const struct schema_path *path)
{
    if (s->enumeration && !has_value(c, s->enumeration, value))
        fail(c, path, "must be one of %s, got %s", s->enumeration->listed, schema_echo(value).text);
    if (s->constant && !has_value(c, s->constant, value))
        fail(c, path, "must be %s, got %s", s->constant->listed, schema_echo(value).text);
}

static struct schema_echo number_text(double number)
{
    const cJSON value = {.type = cJSON_Number, .valuedouble = number};
    return schema_echo(&value);
}

static void check_number(struct check *c, const struct schema *s, const cJSON *value,
                         const struct schema_path *path)
{
    double number = value->valuedouble;
    const struct {
        const struct schema_limit *limit;
        bool is_broken;
        const char *wanted;
    } rules[] = {
        {&s->minimum, number < s->minimum.value, "at least"},
        {&s->maximum, number > s->maximum.value, "at most"},
        {&s->above, number <= s->above.value, "more than"},
        {&s->below, number >= s->below.value, "less than"},
        {&s->multiple_of, s->multiple_of.is_set && !schema_is_multiple(number, &s->unit),
         "a multiple of"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].limit->is_set && rules[i].is_broken)
            fail(c, path, "must be %s %s, got %s", rules[i].wanted,
                 number_text(rules[i].limit->value).text, schema_echo(value).text);
    }
}

static void check_count(struct check *c, const struct schema_limit *min,
                        const struct schema_limit *max, size_t count, const char *unit,
                        const struct schema_path *path)
{
    const struct schema_limit *broken = NULL;
    if (min->is_set && (double)count < min->value)
        broken = min;
    else if (max->is_set && (double)count > max->value)
        broken = max;
    if (broken)
        fail(c, path, "must have at %s %.0f %s%s, got %zu", broken == min ? "least" : "most",
             broken->value, unit, broken->value == 1 ? "" : "s", count);
}

/* People read an example more easily than a regular expression. */
static void check_pattern(struct check *c, const struct schema *s, const cJSON *value,
                          const struct schema_path *path)
{
    const char *text = value->valuestring;
    if (strnlen(text, SCHEMA_PATTERN_MAX + 1) > SCHEMA_PATTERN_MAX)
        fail(c, path, "must have at most %d bytes, to be compared with a pattern",
             SCHEMA_PATTERN_MAX);
    else if (schema_pattern_matches(s->pattern, text))
        return;
    else if (s->example)
        fail(c, path, "must look like \"%s\", got %s", s->example, schema_echo(value).text);
    else
        fail(c, path, "must match the pattern %s, got %s", s->pattern->shown,
             schema_echo(value).text);
}

static void check_string(struct check *c, const struct schema *s, const cJSON *value,
                         const struct schema_path *path)
{
    const char *text = value->valuestring;
    if (s->min_length.is_set || s->max_length.is_set)
        check_count(c, &s->min_length, &s->max_length, schema_length(text), "character", path);
    if (s->pattern)
        check_pattern(c, s, value, path);
    if (s->format && !s->format->is_valid(text))
        fail(c, path, "must be %s, got %s", s->format->wanted, schema_echo(value).text);
}

static void check_array(struct check *c, const struct schema *s, const cJSON *value,
                        const struct schema_path *path)
{
    size_t first;
    size_t second;
    size_t i = 0;
    for (cJSON *item = value->child; item && !is_over(c); item = item->next, i++) {
        const struct schema *schema =
            i < s->prefix_items.count ? s->prefix_items.schemas[i] : s->items;
        struct schema_path place = {.parent = path, .index = i};
        if (schema)
            check_value(c, schema, item, &place);
    }
    if (is_over(c))
        return;
    check_count(c, &s->min_items, &s->max_items, i, "item", path);
    if (!s->has_unique_items)
        return;
    struct arena *scratch = scratch_of(c);
    if (schema_find_equal_items(scratch, value, &first, &second))
        fail(c, path, "must not have equal items, but items %zu and %zu (counted from 0) are equal",
             first, second);
    arena_reset(scratch);
}

static void fail_unknown(struct check *c, const struct schema *s, const char *name,
                         const struct schema_path *path)
{
    bool is_shown = !c->is_trial && c->errors->count < FIELD_ERRORS_MAX;
    const char *suggestion = is_shown ? schema_suggest(s, name) : NULL;
    if (suggestion)
        fail(c, path, "is not a known parameter; did you mean \"%s\"?", suggestion);
    else
        fail(c, path, "is not a known parameter");
}

static void check_additional(struct check *c, const struct schema *s, cJSON *value,
                             const struct schema_path *path)
{
    if (!s->additional)
        return;
    if (s->additional->is_never)
        fail_unknown(c, s, value->string, path);
    else
        check_value(c, s->additional, value, path);
}

static void fill_in(struct check *c, const struct schema_member *member, cJSON *object,
                    const struct schema_path *path)
{
    if (c->defaults_left == 0) {
        fail(c, path, "is absent from too many objects to fill in its default");
        return;
    }
    c->defaults_left--;
    cJSON *value = json_copy(member->value);
    if (!cJSON_AddItemToObject(object, member->name, value)) {
        cJSON_Delete(value);
        fail(c, path, "could not be filled in");
        return;
    }
    check_value(c, member->schema, value, path); /* for the defaults inside it */
}

static void check_object(struct check *c, const struct schema *s, cJSON *object,
                         const struct schema_path *path)
{
    bool *seen = c->seen;
    if (s->member_count > 0)
        memset(seen, 0, s->member_count * sizeof(*seen));
    c->seen += s->member_count;
    for (cJSON *value = object->child; value && !is_over(c); value = value->next) {
        const struct schema_member *member = schema_member_find(s, value->string);
        struct schema_path place = {.parent = path, .name = value->string};
        if (member)
            seen[member - s->members] = true;
        if (member && member->schema)
            check_value(c, member->schema, value, &place);
        else
            check_additional(c, s, value, &place);
    }
    for (size_t i = 0; i < s->member_count && !is_over(c); i++) {
        const struct schema_member *member = &s->members[i];
        struct schema_path place = {.parent = path, .name = member->name};
        if (!seen[i] && member->is_required)
            fail(c, &place, "is required");
        else if (!seen[i] && member->value)
            fill_in(c, member, object, &place);
    }
    c->seen = seen;
}

/* Those branches of a choice that a value of this type can be meant for; the only one, or NULL. */
static const struct schema *only_branch_for(const struct schema_list *list, unsigned type)
{
    const struct schema *only = NULL;
    for (size_t i = 0; i < list->count; i++) {
        if (!(list->schemas[i]->allowed & type))
            continue;
        if (only)
            return NULL;
        only = list->schemas[i];
    }
    return only;
}

static void fail_choice(struct check *c, const struct schema_list *list, cJSON *value,
                        const struct schema_path *path)
{
    unsigned type = schema_type_of(value);
    unsigned allowed = 0;
    for (size_t i = 0; i < list->count; i++)
        allowed |= list->schemas[i]->allowed;
    const struct schema *meant = only_branch_for(list, type);
    if (meant)
        check_value(c, meant, value, path);
    else if (allowed != 0 && !(allowed & type))
        fail(c, path, "must be %s, got %s", schema_types_text(allowed).text,
             schema_echo(value).text);
    else
        fail(c, path, "matches none of the %zu forms it may have, got %s", list->count,
             schema_echo(value).text);
}

static void check_choice(struct check *c, const struct schema_list *list, bool is_one_of,
                         cJSON *value, const struct schema_path *path)
{
    size_t matches = 0;
    for (size_t i = 0; i < list->count && matches < (is_one_of ? 2 : 1); i++) {
        if (try_value(c, list->schemas[i], value, path))
            matches++;
    }
    if (matches == 0 && c->is_trial)
        c->has_failed = true;
    else if (matches == 0)
        fail_choice(c, list, value, path);
    else if (matches > 1)
        fail(c, path, "must match exactly one of the %zu forms it may have, but matches several",
             list->count);
}

static void fail_type(struct check *c, const struct schema *s, const cJSON *value,
                      const struct schema_path *path)
{
    bool is_too_large =
        cJSON_IsNumber(value) && (s->types & SCHEMA_INTEGER) &&
        (value->valuedouble > JSON_INTEGER_MAX || value->valuedouble < -JSON_INTEGER_MAX);
    fail(c, path, "must be %s%s, got %s", schema_types_text(s->types).text,
         is_too_large ? " within ±9007199254740992" : "", schema_echo(value).text);
}

static void check_value(struct check *c, const struct schema *s, cJSON *value,
                        const struct schema_path *path)
{
    unsigned type = schema_type_of(value);
    if (s->is_never) {
        fail(c, path, "is not allowed");
        return;
    }
    if (s->types != SCHEMA_ANY && !(s->types & type)) {
        fail_type(c, s, value, path); /* the other keywords would only repeat it */
        return;
    }
    check_values(c, s, value, path);
    if (is_over(c))
        return;
    if (type & SCHEMA_NUMBER)
        check_number(c, s, value, path);
    else if (type == SCHEMA_STRING)
        check_string(c, s, value, path);
    else if (type == SCHEMA_ARRAY)
        check_array(c, s, value, path);
    else if (type == SCHEMA_OBJECT)
        check_object(c, s, value, path);
    if (s->one_of.count > 0 && !is_over(c))
        check_choice(c, &s->one_of, true, value, path);
    if (s->any_of.count > 0 && !is_over(c))
        check_choice(c, &s->any_of, false, value, path);
}

int schema_validate(const struct schema *s, cJSON *instance, const char *pointer,
                    struct field_errors *errors)
{
    int before = errors->count;
    struct schema_path root = {.name = pointer};
    struct check c = {
        .errors = errors,
        .canonical = STRBUF_INIT,
        .seen = arena_alloc(errors->arena, s->seen_max * sizeof(bool)),
        .defaults_left = JSON_VALUES_MAX,
    };
    check_value(&c, s, instance, &root);
    strbuf_release(&c.canonical);
    arena_free(c.scratch);
    return errors->count - before;
}
