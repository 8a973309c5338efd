/* SPDX-License-Identifier: BSD-2-Clause */
/* log_line: any bytes as a value of a log line, which stays one line: a JSON string, and nothing
 * more.
 */
#include "base/json.h"
#include "base/strbuf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct strbuf line = STRBUF_INIT;
    cJSON *value;
    struct error err;
    strbuf_add_json(&line, arena_memdup(a, data, size), size);
    FUZZ_CHECK(strlen(line.text) == line.size && fuzz_is_printable(line.text));
    /* A NUL is written as U+0000, which the strict reader does not take. */
    bool has_nul = size > 0 && memchr(data, '\0', size) != NULL;
    FUZZ_CHECK((json_parse(a, line.text, line.size, &value, &err) == 0) == !has_nul);
    if (!has_nul && utf8_is_valid((const char *)data, size))
        FUZZ_CHECK(strlen(value->valuestring) == size &&
                   (size == 0 || memcmp(value->valuestring, data, size) == 0));
    strbuf_release(&line);
    arena_free(a);
    return 0;
}
