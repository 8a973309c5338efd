/* SPDX-License-Identifier: BSD-2-Clause */
/* traceparent: what is taken over has the one form, and is taken over as itself. */
#include "fuzz.h"
#include "http/trace_context.h"

static bool is_hex(const char *text, size_t size)
{
    return strspn(text, "0123456789abcdef") >= size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char taken[TRACEPARENT_SIZE], again[TRACEPARENT_SIZE];
    if (traceparent_parse(arena_strndup(a, (const char *)data, size), taken)) {
        FUZZ_CHECK(strlen(taken) == TRACEPARENT_SIZE - 1 && strncmp(taken, "00-", 3) == 0);
        FUZZ_CHECK(is_hex(taken + 3, 32) && taken[35] == '-' && is_hex(taken + 36, 16));
        FUZZ_CHECK(taken[52] == '-' && is_hex(taken + 53, 2));
        FUZZ_CHECK(strspn(taken + 3, "0") < 32 && strspn(taken + 36, "0") < 16);
        FUZZ_CHECK(traceparent_parse(taken, again) && strcmp(taken, again) == 0);
    }
    arena_free(a);
    return 0;
}
