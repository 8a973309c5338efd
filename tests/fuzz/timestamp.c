/* SPDX-License-Identifier: BSD-2-Clause */
/* timestamp: a moment that was read is written and read again as the same. */
#include "base/timestamp.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    char printed[TIMESTAMP_SIZE], again[TIMESTAMP_SIZE];
    int64_t us, us_again;
    if (timestamp_parse(arena_strndup(a, (const char *)data, size), &us)) {
        timestamp_format(us, printed);
        FUZZ_CHECK(timestamp_parse(printed, &us_again));
        timestamp_format(us_again, again);
        FUZZ_CHECK(strcmp(printed, again) == 0);
        /* An offset may lead out of the years that can be written. */
        FUZZ_CHECK(us == us_again || strncmp(printed, "0001-01-01", 10) == 0 ||
                   strncmp(printed, "9999-12-31", 10) == 0);
    }
    arena_free(a);
    return 0;
}
