/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * negotiate.c - see negotiate.h
 */
#include "api/negotiate.h"

#include <string.h>

#define JSON_TYPE "application/json"
#define ZIP_TYPE "application/zip"

struct choice {
    const struct accept *accept;
    const struct task_desc *task;
    const cJSON *formats;              /* enum of the `format` parameter; NULL when it has none */
    const struct task_slot *formatted; /* the output that `format` is about; NULL: none */
    struct binding *binding;
};

bool negotiate_has_several(const struct task_desc *task)
{
    return task->output_count > 1 || (task->output_count == 1 && task->outputs[0].max_count > 1);
}

static const cJSON *format_enum(const struct task_desc *task)
{
    const struct schema *format = schema_property(task->params, "format");
    return format ? json_member(schema_source(format), "enum") : NULL;
}

/* "webp" for image/webp, when `format` can be that; NULL otherwise. */
static const char *format_of(const struct choice *c, const char *media_type)
{
    const char *slash = strchr(media_type, '/');
    const cJSON *item;
    cJSON_ArrayForEach(item, c->formats)
    {
        const char *format = cJSON_GetStringValue(item);
        if (slash && format && strcmp(format, slash + 1) == 0)
            return format;
    }
    return NULL;
}

/* The first output that can have one of the formats. */
static const struct task_slot *find_formatted(const struct choice *c)
{
    for (int i = 0; c->formats && i < c->task->output_count; i++) {
        for (const char **t = c->task->outputs[i].media_types; *t; t++) {
            if (format_of(c, *t))
                return &c->task->outputs[i];
        }
    }
    return NULL;
}

/* Quality of the output whose format is settled by the client. */
static int quality_of_format(const struct choice *c, const char *format)
{
    const char **types = c->formatted->media_types;
    for (const char **t = types; *t; t++) {
        const char *slash = strchr(*t, '/');
        if (slash && strcmp(slash + 1, format) == 0)
            return accept_quality(c->accept, *t);
    }
    return accept_quality(c->accept, types[0]);
}

static void quality_range(const struct accept *accept, const struct task_slot *output, int *ret_low,
                          int *ret_high)
{
    *ret_low = 1000;
    *ret_high = 0;
    for (const char **t = output->media_types; *t; t++) {
        int quality = accept_quality(accept, *t);
        *ret_low = quality < *ret_low ? quality : *ret_low;
        *ret_high = quality > *ret_high ? quality : *ret_high;
    }
}

/* Media type of the input that the output is made of; "" when nobody named it. */
static const char *declared_type(const struct choice *c)
{
    const struct task_slot *slot = binding_raw_input(c->task);
    const struct binding *b = c->binding;
    for (int i = 0; slot && i < b->input_count; i++) {
        if (strcmp(b->inputs[i].name, slot->name) == 0)
            return b->inputs[i].media_type;
    }
    return "";
}

/* The input's own format if it is among the best, else the first of the best. */
static void set_format(const struct choice *c, int best)
{
    const char *declared = declared_type(c);
    const char *chosen = NULL;
    for (const char **t = c->formatted->media_types; *t; t++) {
        const char *format = format_of(c, *t);
        if (!format || accept_quality(c->accept, *t) < best)
            continue;
        if (!chosen || strcmp(*t, declared) == 0)
            chosen = format;
    }
    if (!chosen)
        return;
    cJSON *params = c->binding->params;
    cJSON_DeleteItemFromObjectCaseSensitive(params, "format"); /* a default */
    (void)cJSON_AddStringToObject(params, "format", chosen);
}

static int quality_of_output(const struct choice *c, const struct task_slot *output)
{
    int low, high;
    if (output == c->formatted && c->binding->has_format) {
        const char *given = cJSON_GetStringValue(json_member(c->binding->params, "format"));
        if (given)
            return quality_of_format(c, given);
    }
    quality_range(c->accept, output, &low, &high);
    if (output == c->formatted && low != high)
        set_format(c, high);
    return high;
}

static const char *list_types(const struct task_desc *task, struct arena *a)
{
    const char *types = JSON_TYPE;
    for (int i = 0; i < task->output_count; i++) {
        for (const char **t = task->outputs[i].media_types; *t; t++)
            types = arena_printf(a, "%s, %s", types, *t);
    }
    return negotiate_has_several(task) ? arena_printf(a, "%s, " ZIP_TYPE, types) : types;
}

int negotiate(const struct accept *accept, const struct task_desc *task, struct binding *binding,
              struct arena *a, struct error *reterr)
{
    struct choice c = {accept, task, format_enum(task), NULL, binding};
    int best = accept_quality(accept, JSON_TYPE);
    c.formatted = find_formatted(&c);
    if (negotiate_has_several(task))
        best += accept_quality(accept, ZIP_TYPE);
    for (int i = 0; i < task->output_count; i++)
        best += quality_of_output(&c, &task->outputs[i]);
    if (best == 0)
        return error_set(reterr, ERR_NOT_ACCEPTABLE,
                         "Accept allows none of the forms of this answer: %s.",
                         list_types(task, a));
    return 0;
}

static int refuse_form(int output_count, const char *media_type, bool may_be_zip,
                       struct error *reterr)
{
    const char *zip = may_be_zip ? ", " ZIP_TYPE : "";
    if (output_count == 1)
        return error_set(reterr, ERR_NOT_ACCEPTABLE,
                         "Accept allows none of the forms of this answer: " JSON_TYPE ", %s%s.",
                         media_type, zip);
    if (output_count == 0)
        return error_set(reterr, ERR_NOT_ACCEPTABLE,
                         "The run gave no output, and Accept allows none of the forms of what it "
                         "found: " JSON_TYPE "%s.",
                         zip);
    return error_set(reterr, ERR_NOT_ACCEPTABLE,
                     "The run gave %d outputs, and Accept allows none of the forms that hold "
                     "several: " JSON_TYPE "%s.",
                     output_count, zip);
}

int negotiate_form(const struct accept *accept, const struct task_desc *task, int output_count,
                   const char *media_type, enum answer_form *ret_form, struct error *reterr)
{
    bool may_be_zip = task ? negotiate_has_several(task) : output_count > 1;
    int json = accept_quality(accept, JSON_TYPE);
    int zip = may_be_zip ? accept_quality(accept, ZIP_TYPE) : 0;
    int bytes = output_count == 1 ? accept_quality(accept, media_type) : 0;
    if (json == 0 && zip == 0 && bytes == 0)
        return refuse_form(output_count, media_type, may_be_zip, reterr);
    if (zip > json && zip > bytes)
        *ret_form = ANSWER_ZIP;
    else
        *ret_form = bytes > 0 && bytes >= json ? ANSWER_BYTES : ANSWER_JSON;
    return 0;
}
