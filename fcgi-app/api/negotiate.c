/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * negotiate.c - see negotiate.h
 */
#include "api/negotiate.h"

#include <stdio.h>
#include <string.h>

#define JSON_TYPE "application/json"

struct choice {
    const struct accept *accept;
    const struct task_slot *output; /* the one that can be the answer's body; NULL: JSON alone */
    const cJSON *formats;           /* enum of the `format` parameter; NULL when it has none */
    struct binding *binding;
};

const struct task_slot *negotiate_body_output(const struct task_desc *task)
{
    return task->output_count == 1 && task->outputs[0].max_count == 1 ? &task->outputs[0] : NULL;
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

/* Quality of the output when its format is settled by the client. */
static int quality_of_format(const struct choice *c, const char *format)
{
    for (const char **t = c->output->media_types; *t; t++) {
        const char *slash = strchr(*t, '/');
        if (slash && strcmp(slash + 1, format) == 0)
            return accept_quality(c->accept, *t);
    }
    return accept_quality(c->accept, c->output->media_types[0]);
}

static void quality_range(const struct choice *c, int *ret_low, int *ret_high)
{
    *ret_low = 1000;
    *ret_high = 0;
    for (const char **t = c->output->media_types; *t; t++) {
        int quality = accept_quality(c->accept, *t);
        *ret_low = quality < *ret_low ? quality : *ret_low;
        *ret_high = quality > *ret_high ? quality : *ret_high;
    }
}

/* The input's own format if it is among the best, else the first of the best. */
static void set_format(const struct choice *c, int best)
{
    const struct binding *b = c->binding;
    const char *declared = b->input_count > 0 ? b->inputs[0].media_type : "";
    const char *chosen = NULL;
    for (const char **t = c->output->media_types; *t; t++) {
        const char *format = format_of(c, *t);
        if (!format || accept_quality(c->accept, *t) < best)
            continue;
        if (!chosen || strcmp(*t, declared) == 0)
            chosen = format;
    }
    if (!chosen)
        return;
    cJSON_DeleteItemFromObjectCaseSensitive(b->params, "format"); /* a default */
    (void)cJSON_AddStringToObject(b->params, "format", chosen);
}

static int quality_of_output(const struct choice *c)
{
    int low, high;
    if (!c->output || !c->output->media_types || !*c->output->media_types)
        return 0;
    const char *given = cJSON_GetStringValue(json_member(c->binding->params, "format"));
    if (c->binding->has_format && given)
        return quality_of_format(c, given);
    quality_range(c, &low, &high);
    if (c->formats && low != high)
        set_format(c, high);
    return high;
}

/* Bytes, unless JSON is ranked above them; `types` says what there is when neither will do. */
static int choose_form(int output, int json, const char *types, bool *ret_json,
                       struct error *reterr)
{
    if (output == 0 && json == 0)
        return error_set(reterr, ERR_NOT_ACCEPTABLE,
                         "Accept allows none of the forms of this answer: %s.", types);
    *ret_json = output == 0 || json > output;
    return 0;
}

int negotiate(const struct accept *accept, const struct task_desc *task, struct binding *binding,
              struct arena *a, bool *ret_json, struct error *reterr)
{
    struct choice c = {accept, negotiate_body_output(task), format_enum(task), binding};
    int output = quality_of_output(&c);
    int json = accept_quality(accept, JSON_TYPE);
    const char *types = JSON_TYPE;
    if (output == 0 && json == 0) {
        for (const char **t = c.output ? c.output->media_types : NULL; t && *t; t++)
            types = arena_printf(a, "%s, %s", types, *t);
    }
    return choose_form(output, json, types, ret_json, reterr);
}

int negotiate_stored(const struct accept *accept, const char *media_type, bool *ret_json,
                     struct error *reterr)
{
    char types[200] = JSON_TYPE;
    if (media_type)
        (void)snprintf(types, sizeof(types), JSON_TYPE ", %s", media_type);
    return choose_form(media_type ? accept_quality(accept, media_type) : 0,
                       accept_quality(accept, JSON_TYPE), types, ret_json, reterr);
}
