/* SPDX-License-Identifier: BSD-2-Clause */
/* prefer: any text is a Prefer field, and one more preference behind it is only added. */
#include "http/prefer.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    const char *field = arena_strndup(a, (const char *)data, size);
    struct prefer prefer = prefer_parse(field);
    FUZZ_CHECK(prefer.wait_seconds >= -1);
    struct prefer more = prefer_parse(arena_printf(a, "wait=7, %s", field));
    FUZZ_CHECK(more.wait_seconds == 7 && more.respond_async == prefer.respond_async);
    arena_free(a);
    return 0;
}
