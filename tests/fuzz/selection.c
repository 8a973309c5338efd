/* SPDX-License-Identifier: BSD-2-Clause */
/* selection: the first byte is the number of pages; all that comes out are pages, and not too many.
 */
#include "tasks/pdf/selection.h"

#include "fuzz.h"

#define SELECTED_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct selection s;
    struct error err = {0};
    if (size == 0)
        return 0;
    int pages = data[0] + 1;
    struct arena *a = arena_new();
    char *text = arena_strndup(a, (const char *)data + 1, size - 1);
    FUZZ_CHECK(text != NULL);
    if (selection_parse(&s, "select", text, pages, SELECTED_MAX, &err) == 0) {
        FUZZ_CHECK(s.count >= 1 && s.count <= SELECTED_MAX);
        for (int i = 0; i < s.count; i++)
            FUZZ_CHECK(s.pages[i] >= 1 && s.pages[i] <= pages);
    } else {
        FUZZ_CHECK(err.code == ERR_INVALID_PARAMS && err.detail[0] != '\0');
    }
    selection_release(&s);
    arena_free(a);
    return 0;
}
