/* SPDX-License-Identifier: BSD-2-Clause */
/* accept: qualities are within their range, and nothing but the field decides them. */
#include "http/accept.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"image/webp",
                                        "image/jpeg",
                                        "application/json",
                                        "multipart/form-data",
                                        "application/octet-stream",
                                        "a/b"};
    struct arena *a = arena_new();
    struct accept *accept, *again;
    struct error err;
    const char *field = arena_strndup(a, (const char *)data, size);
    if (accept_parse(a, field, &accept, &err) != 0) {
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    } else {
        FUZZ_CHECK(accept_parse(a, arena_printf(a, " ,%s, ", field), &again, &err) == 0);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
            int quality = accept_quality(accept, types[i]);
            FUZZ_CHECK(quality >= 0 && quality <= 1000);
            FUZZ_CHECK(accept_quality(again, types[i]) == quality || field[0] == '\0' ||
                       field[strspn(field, " \t,")] == '\0');
        }
    }
    arena_free(a);
    return 0;
}
