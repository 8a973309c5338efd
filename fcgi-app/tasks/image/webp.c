/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A WebP is a list of chunks (developers.google.com/speed/webp/docs/riff_container). So metadata is
 * taken out without encoding again: libvips 8.14 writes EXIF, with the place where the photograph
 * was taken, and the colour profile, even when it is told to leave them out. And frames are counted
 * before libwebp does, which looks for each of them from the first on.
 */
#include "tasks/image/image.h"

#include <stdint.h>
#include <string.h>

enum { HEADER = 12, CHUNK_HEADER = 8, FRAME_HEADER = 16 };
enum { FLAG_ICC = 0x20, FLAG_EXIF = 0x08, FLAG_XMP = 0x04 }; /* of VP8X */

static uint32_t read_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void write_32(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> 8 * i);
}

static bool is_metadata(const unsigned char *chunk)
{
    return memcmp(chunk, "EXIF", 4) == 0 || memcmp(chunk, "XMP ", 4) == 0 ||
           memcmp(chunk, "ICCP", 4) == 0;
}

void *webp_strip(const void *file, size_t size, size_t *ret_size)
{
    const unsigned char *from = file;
    unsigned char *to = g_malloc(size);
    size_t at = HEADER, end = HEADER, flags_at = 0;

    memcpy(to, from, VIPS_MIN(size, HEADER));
    while (size >= CHUNK_HEADER && at <= size - CHUNK_HEADER) {
        size_t length = CHUNK_HEADER + (size_t)read_32(from + at + 4);
        length = VIPS_MIN(length + length % 2, size - at);
        if (!is_metadata(from + at)) {
            if (memcmp(from + at, "VP8X", 4) == 0)
                flags_at = end + CHUNK_HEADER;
            memcpy(to + end, from + at, length);
            end += length;
        }
        at += length;
    }
    if (flags_at > 0)
        to[flags_at] &= (unsigned char)~(FLAG_ICC | FLAG_EXIF | FLAG_XMP);
    write_32(to + 4, (uint32_t)(end - CHUNK_HEADER));
    *ret_size = end;
    return to;
}

/* What is in a frame are chunks again. As libwebp does, its header is passed, not its length: a
 * frame that claims the rest of the file hides none. */
int webp_count_frames(const unsigned char *bytes, size_t size)
{
    size_t at = HEADER;
    int frames = 0;

    while (size >= CHUNK_HEADER && at <= size - CHUNK_HEADER) {
        size_t length = read_32(bytes + at + 4);
        if (memcmp(bytes + at, "ANMF", 4) == 0) {
            length = FRAME_HEADER;
            frames++;
        }
        at += CHUNK_HEADER + length + length % 2;
    }
    return frames;
}
