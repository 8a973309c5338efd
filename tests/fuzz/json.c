/* SPDX-License-Identifier: BSD-2-Clause */
/* json: what is accepted is strict JSON, and printing it gives a text that means the same. */
#include "base/json.h"

#include <math.h>

#include "fuzz.h"

static void check_value(const cJSON *value, int depth)
{
    FUZZ_CHECK(depth <= JSON_DEPTH_MAX);
    if (cJSON_IsNumber(value))
        FUZZ_CHECK(isfinite(value->valuedouble));
    if (cJSON_IsString(value))
        FUZZ_CHECK(utf8_is_valid(value->valuestring, strlen(value->valuestring)));
    bool is_container = cJSON_IsArray(value) || cJSON_IsObject(value);
    for (const cJSON *child = value->child; child; child = child->next) {
        check_value(child, depth + is_container);
        FUZZ_CHECK(cJSON_IsObject(value) == (child->string != NULL));
        if (!child->string)
            continue;
        FUZZ_CHECK(utf8_is_valid(child->string, strlen(child->string)));
        for (const cJSON *other = child->next; other; other = other->next)
            FUZZ_CHECK(strcmp(other->string, child->string) != 0);
    }
}

/* Equal, members in the same order too. */
static bool is_same(const cJSON *a, const cJSON *b)
{
    if ((a->type & 0xff) != (b->type & 0xff))
        return false;
    if (cJSON_IsNumber(a) && a->valuedouble != b->valuedouble)
        return false;
    if (cJSON_IsString(a) && strcmp(a->valuestring, b->valuestring) != 0)
        return false;
    if (a->string && strcmp(a->string, b->string) != 0)
        return false;
    const cJSON *x = a->child, *y = b->child;
    for (; x && y && is_same(x, y); x = x->next, y = y->next)
        ;
    return !x && !y;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    cJSON *value, *again;
    struct error err;
    size_t printed_size;
    if (json_parse(a, arena_memdup(a, data, size), size, &value, &err) != 0) {
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    } else {
        check_value(value, 0);
        const char *printed = json_print(a, value, &printed_size);
        FUZZ_CHECK(strlen(printed) == printed_size);
        FUZZ_CHECK(json_parse(a, printed, printed_size, &again, &err) == 0);
        FUZZ_CHECK(is_same(value, again));
    }
    arena_free(a);
    return 0;
}
