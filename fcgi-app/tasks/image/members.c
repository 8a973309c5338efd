/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members of the params, whose types and ranges the schema has checked: what is missing was not
 * asked for.
 */
#include "tasks/image/image.h"

#include <string.h>

#include <cjson/cJSON.h>

double param_number(const cJSON *params, const char *name, double otherwise)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(params, name);
    return cJSON_IsNumber(value) ? value->valuedouble : otherwise;
}

int param_int(const cJSON *params, const char *name)
{
    return (int)param_number(params, name, 0);
}

bool param_is_true(const cJSON *params, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(params, name));
}

const char *param_text(const cJSON *params, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, name));
    return value != NULL ? value : "";
}

int param_choice(const cJSON *params, const char *name, const char *const *choices, int otherwise)
{
    const char *value = param_text(params, name);
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(choices[i], value) == 0)
            return i;
    return otherwise;
}

bool param_colour(const cJSON *params, const char *name, struct colour *ret_colour)
{
    const char *value = param_text(params, name);
    if (*value != '\0')
        *ret_colour = colour_parse(value);
    return *value != '\0';
}
