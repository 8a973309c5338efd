/* SPDX-License-Identifier: BSD-2-Clause */
/* metadata: the first byte says what the rest is, and how much may come of it; whatever comes is
 * valid JSON text within the budget. */
#include "tasks/image/metadata.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "fuzz.h"

/* Not of hostile depth, though the block may be: printing goes down by recursion. */
static int depth_of(const cJSON *item)
{
    int deepest = 0;
    const cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        int depth = depth_of(child);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

static cJSON *read_block(const uint8_t *block, size_t size, int kind, struct budget *b)
{
    switch (kind) {
    case 0:
        return metadata_exif(block, size, false, b);
    case 1:
        return metadata_exif(block, size, true, b);
    case 2:
        return metadata_iptc(block, size, b);
    case 3:
        return metadata_icc(block, size, b);
    default:
        return metadata_xmp(block, size, b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool is_small = (data[0] & 8) != 0;
    const struct budget whole = {.members = is_small ? 5 : 2000, .bytes = is_small ? 64 : 65536};
    struct budget b = whole;
    uint8_t *block = malloc(size - 1); /* of just its size, for the sanitizer to see its end */
    if (block == NULL)
        return 0;
    memcpy(block, data + 1, size - 1);
    cJSON *object = read_block(block, size - 1, data[0] & 7, &b);
    free(block);
    FUZZ_CHECK(b.members >= 0 && b.bytes >= 0 && b.omitted >= 0);
    if (object != NULL) {
        FUZZ_CHECK(cJSON_IsObject(object) && object->child != NULL && depth_of(object) < 64);
        char *text = cJSON_PrintUnformatted(object);
        FUZZ_CHECK(text != NULL && utf8_is_valid(text, strlen(text)));
        cJSON_free(text);
        cJSON_Delete(object);
    }
    return 0;
}
