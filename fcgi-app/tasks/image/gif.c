/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a GIF all there? libvips takes the frames of a file cut short for all that it ever had. The
 * blocks of the file (GIF89a, appendix B) are counted off without a look into them.
 */
#include "tasks/image/image.h"

#include <stdint.h>

enum { HEADER = 13, DESCRIPTOR = 10, EXTENSION = 0x21, FRAME = 0x2c, TRAILER = 0x3b };

static size_t palette_size(unsigned char flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* Behind the sub-blocks that begin at `at`; SIZE_MAX when they do not end. */
static size_t skip_blocks(const unsigned char *bytes, size_t size, size_t at)
{
    while (at < size && bytes[at] != 0)
        at += 1u + bytes[at];
    return at < size ? at + 1 : SIZE_MAX;
}

bool gif_is_complete(const unsigned char *bytes, size_t size)
{
    size_t at = size < HEADER ? size : HEADER + palette_size(bytes[10]);

    while (at < size && bytes[at] != TRAILER) {
        if (bytes[at] == EXTENSION)
            at = skip_blocks(bytes, size, at + 2);
        else if (bytes[at] == FRAME && size - at > DESCRIPTOR)
            at = skip_blocks(bytes, size, at + DESCRIPTOR + palette_size(bytes[at + 9]) + 1);
        else if (bytes[at] == FRAME)
            at = size;
        else
            return true; /* not cut short, but broken: that is libvips' to judge */
    }
    return at < size;
}
