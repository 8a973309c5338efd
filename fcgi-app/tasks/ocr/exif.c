/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one entry of EXIF that changes what a page looks like. Leptonica reads JPEG without it.
 */
#include "tasks/ocr/ocr.h"

#include <string.h>

#define MARKER 0xff
#define MARKER_EXIF 0xe1
#define MARKER_SCAN 0xda /* pixels: no more headers */
#define EXIF_HEADER 6    /* "Exif" and two zeros */
#define TAG_ORIENTATION 0x112
#define ENTRY_BYTES 12
#define ENTRIES_MAX 1000

/* A part of the file, in which numbers stand in one of two orders. */
struct bytes {
    const unsigned char *at;
    size_t size;
    bool is_little;
};

/* A number of 2 or 4 bytes; 0 beyond the end. */
static uint32_t number(const struct bytes *b, size_t offset, size_t size)
{
    uint32_t value = 0;
    if (offset > b->size || b->size - offset < size)
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | b->at[offset + (b->is_little ? size - 1 - i : i)];
    return value;
}

static int find_orientation(struct bytes tiff)
{
    tiff.is_little = tiff.size > 0 && tiff.at[0] == 'I';
    size_t directory = number(&tiff, 4, 4), count = number(&tiff, directory, 2);
    for (size_t i = 0; i < count && i < ENTRIES_MAX; i++) {
        size_t entry = directory + 2 + i * ENTRY_BYTES;
        uint32_t value = number(&tiff, entry + 8, 2);
        if (number(&tiff, entry, 2) == TAG_ORIENTATION)
            return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

int exif_orientation(const struct run_input *in)
{
    const struct bytes file = {in->bytes, in->size, false};
    size_t at = 2; /* behind the begin of every JPEG */

    while (at + 4 <= in->size && in->bytes[at] == MARKER && in->bytes[at + 1] != MARKER_SCAN) {
        size_t size = number(&file, at + 2, 2), body = at + 4;
        if (size < 2 || size > in->size - at - 2)
            break;
        if (in->bytes[at + 1] == MARKER_EXIF && size >= 2 + EXIF_HEADER &&
            memcmp(in->bytes + body, "Exif\0", EXIF_HEADER) == 0)
            return find_orientation(
                (struct bytes){in->bytes + body + EXIF_HEADER, size - 2 - EXIF_HEADER, false});
        at += 2 + size;
    }
    return 1;
}
