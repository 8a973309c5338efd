/* SPDX-License-Identifier: BSD-2-Clause */
/* multipart: the boundary in the first line, the body behind it. */
#include "http/multipart.h"

#include <ctype.h>

#include "fuzz.h"

static void check_part(const struct multipart_part *part, const uint8_t *body, size_t size,
                       const char *delimiter)
{
    FUZZ_CHECK(part->offset <= size && part->size <= size - part->offset);
    FUZZ_CHECK(part->name[0] != '\0' && fuzz_is_printable(part->name));
    if (part->file_name) {
        FUZZ_CHECK(fuzz_is_printable(part->file_name));
        FUZZ_CHECK(!strpbrk(part->file_name, "/\\") && strcmp(part->file_name, "..") != 0);
    }
    for (const char *c = part->media_type; *c; c++)
        FUZZ_CHECK(*c > ' ' && *c < 0x7f && !isupper((unsigned char)*c));
    /* The part ends where a delimiter stands; that of an empty one may be its headers' end. */
    size_t end = part->offset + part->size, delimiter_size = strlen(delimiter);
    bool ends = size - end >= delimiter_size && memcmp(body + end, delimiter, delimiter_size) == 0;
    if (part->size == 0 && !ends)
        ends = size - end + 2 >= delimiter_size &&
               memcmp(body + end - 2, delimiter, delimiter_size) == 0;
    FUZZ_CHECK(ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    struct multipart_part *parts;
    struct error err;
    int count;
    const char *boundary = fuzz_line(&in, a);
    const uint8_t *body = arena_memdup(a, in.at, fuzz_rest(&in));
    if (multipart_parse(a, body, fuzz_rest(&in), boundary, &parts, &count, &err) != 0) {
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    } else {
        const char *delimiter = arena_printf(a, "\r\n--%s", boundary);
        size_t before = 0;
        FUZZ_CHECK(count >= 0 && count <= MULTIPART_PARTS_MAX);
        for (int i = 0; i < count; i++) {
            FUZZ_CHECK(parts[i].offset >= before);
            check_part(&parts[i], body, fuzz_rest(&in), delimiter);
            before = parts[i].offset + parts[i].size;
        }
    }
    arena_free(a);
    return 0;
}
