/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many pages has a TIFF? libtiff reads every directory of the chain only to count them. Here
 * the chain (TIFF 6.0, section 2; with 64 bits: libtiff's BigTIFF) is followed without a look into
 * them.
 */
#include "tasks/image/image.h"

#include <stdint.h>

struct tiff {
    const unsigned char *bytes;
    size_t size;
    bool is_big_endian;
    size_t offset_size, count_size, entry_size; /* of the numbers in the file */
};

/* False where the file ends before. */
static bool read_number(const struct tiff *t, size_t at, size_t width, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (at > t->size || t->size - at < width)
        return false;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | t->bytes[at + (t->is_big_endian ? i : width - 1 - i)];
    *ret_value = value;
    return true;
}

/* Where the next one's offset is; false when the directory does not end in the file. */
static bool find_link(const struct tiff *t, size_t directory, size_t *ret_at, int *tags)
{
    uint64_t entries;

    if (!read_number(t, directory, t->count_size, &entries) || entries > t->size / t->entry_size)
        return false;
    *tags = VIPS_MAX(*tags, (int)entries);
    *ret_at = directory + t->count_size + (size_t)entries * t->entry_size;
    return true;
}

/* Is it the first time that the chain comes there? */
static bool visit(unsigned char *visited, size_t at)
{
    unsigned char bit = (unsigned char)(1u << at % 8);
    bool is_new = (visited[at / 8] & bit) == 0;
    visited[at / 8] |= bit;
    return is_new;
}

int tiff_count_pages(const unsigned char *bytes, size_t size, int *ret_tags)
{
    bool is_big = size > 8 && (bytes[2] == '+' || bytes[3] == '+');
    struct tiff t = {.bytes = bytes,
                     .size = size,
                     .is_big_endian = *bytes == 'M',
                     .offset_size = is_big ? 8 : 4,
                     .count_size = is_big ? 8 : 2,
                     .entry_size = is_big ? 20 : 12};
    unsigned char *visited = g_malloc0(size / 8 + 1); /* a bit for each offset */
    size_t link = t.offset_size;
    uint64_t directory;
    int pages = 0;

    *ret_tags = 0;
    while (read_number(&t, link, t.offset_size, &directory) && directory > 0 && directory < size &&
           visit(visited, (size_t)directory)) {
        pages++;
        if (!find_link(&t, (size_t)directory, &link, ret_tags))
            break;
    }
    g_free(visited);
    return pages;
}
