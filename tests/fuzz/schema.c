/* SPDX-License-Identifier: BSD-2-Clause */
/* schema: a schema in the first line, a value in the second; both hostile. */
#include "base/schema.h"

#include "fuzz.h"

static void check_text(struct arena *a, const struct schema *s, const char *text)
{
    if (!utf8_is_valid(text, strlen(text)))
        return;
    cJSON *value = schema_value_from_text(s, a, text);
    FUZZ_CHECK(value != NULL);
    cJSON_Delete(value);
}

static void check_instance(struct arena *a, const struct schema *s, cJSON *instance)
{
    struct field_errors errors = {.arena = a}, again = {.arena = a};
    int count = schema_validate(s, instance, "", &errors);
    FUZZ_CHECK(count == errors.count);
    fuzz_check_field_errors(&errors);
    if (count > 0)
        return;
    /* Defaults are filled in at once, all of them. */
    const char *filled = json_print(a, instance, NULL);
    (void)schema_validate(s, instance, "", &again);
    FUZZ_CHECK(strcmp(json_print(a, instance, NULL), filled) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    struct error err;
    struct schema *s;
    cJSON *source, *instance;
    const char *schema_text = fuzz_line(&in, a), *text = fuzz_line(&in, a);
    if (json_parse(a, schema_text, strlen(schema_text), &source, &err) != 0)
        goto out;
    if (schema_compile(a, source, "t.json#", &s, &err) != 0) {
        fuzz_check_error(&err, ERR_INTERNAL);
        FUZZ_CHECK(strncmp(err.detail, "t.json#", 7) == 0);
        goto out;
    }
    check_text(a, s, text);
    if (json_parse(a, text, strlen(text), &instance, &err) == 0)
        check_instance(a, s, instance);
out:
    arena_free(a);
    return 0;
}
