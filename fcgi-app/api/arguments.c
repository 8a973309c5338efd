/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arguments.c - see arguments.h
 */
#include "api/arguments.h"

#include <string.h>

#include "http/query.h"

const char *const arguments_none[] = {NULL};

static const char *list_names(struct arena *a, const char *const *names)
{
    const char *list = names[0];
    for (int i = 1; names[i]; i++)
        list = arena_printf(a, "%s, %s", list, names[i]);
    return list;
}

static void refuse(struct arena *a, const char *const *names, const char *pointer,
                   struct field_errors *errors)
{
    if (names[0])
        field_errors_add(errors, pointer, "is not known here; known: %s", list_names(a, names));
    else
        field_errors_add(errors, pointer, "is not known here: this path takes no query");
}

int arguments_read(const struct http_request *req, const char *const *names,
                   const char **ret_values, struct field_errors *errors, struct error *reterr)
{
    struct http_field *fields;
    int count, before = errors->count;
    for (int i = 0; names[i]; i++)
        ret_values[i] = NULL;
    if (query_parse(req->arena, req->query, &fields, &count, reterr) != 0)
        return -1;
    for (int k = 0; k < count; k++) {
        const char *pointer = json_pointer_join(req->arena, "", fields[k].name);
        int i = 0;
        while (names[i] && strcmp(names[i], fields[k].name) != 0)
            i++;
        if (!names[i])
            refuse(req->arena, names, pointer, errors);
        else if (ret_values[i])
            field_errors_add(errors, pointer, "is given more than once");
        else
            ret_values[i] = fields[k].value;
    }
    if (errors->count > before)
        return error_set(reterr, ERR_INVALID_PARAMS, "%d parameters are not valid.", errors->count);
    return 0;
}

int argument_number(const char *text, int min, int max, int fallback, const char *pointer,
                    struct field_errors *errors)
{
    int64_t number = 0;
    if (!text)
        return fallback;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && number <= max; i++)
        number = number * 10 + (text[i] - '0');
    if (digits > 0 && text[digits] == '\0' && number >= min && number <= max)
        return (int)number;
    field_errors_add(errors, pointer, "must be an integer from %d to %d", min, max);
    return fallback;
}
