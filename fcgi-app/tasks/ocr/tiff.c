/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pages of a TIFF, by libtiff itself: Leptonica looks for the n-th page from the first one on,
 * which takes the square of their number, and says the size of none without.
 */
#include "tasks/ocr/ocr.h"

#include <glib.h>
#include <string.h>
#include <tiffio.h>

/* A file in memory. */
struct memory {
    const unsigned char *bytes;
    toff_t size, at;
};

static tmsize_t memory_read(thandle_t handle, void *buffer, tmsize_t size)
{
    struct memory *m = handle;
    toff_t rest = m->at < m->size ? m->size - m->at : 0;
    toff_t count = (toff_t)size < rest ? (toff_t)size : rest;
    memcpy(buffer, m->bytes + (count > 0 ? m->at : 0), count);
    m->at += count;
    return (tmsize_t)count;
}

static tmsize_t memory_write(thandle_t handle, void *buffer, tmsize_t size)
{
    (void)handle;
    (void)buffer;
    (void)size;
    return 0;
}

static toff_t memory_seek(thandle_t handle, toff_t offset, int whence)
{
    struct memory *m = handle;
    m->at = offset + (whence == SEEK_CUR ? m->at : whence == SEEK_END ? m->size : 0);
    return m->at;
}

static int memory_close(thandle_t handle)
{
    (void)handle;
    return 0;
}

static toff_t memory_size(thandle_t handle)
{
    return ((struct memory *)handle)->size;
}

static struct tiff_page page_of(TIFF *tiff)
{
    struct tiff_page page = {.offset = TIFFCurrentDirOffset(tiff)};
    if (TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &page.width) != 1 ||
        TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &page.height) != 1 || page.width == 0 ||
        page.height == 0)
        page.offset = 0;
    return page;
}

int tiff_list(const struct run_input *in, int max, struct tiff_page **ret_pages)
{
    struct memory m = {.bytes = in->bytes, .size = in->size};
    TIFF *tiff = TIFFClientOpen("document", "rm", &m, memory_read, memory_write, memory_seek,
                                memory_close, memory_size, NULL, NULL);
    GArray *pages = g_array_new(FALSE, FALSE, sizeof(struct tiff_page));
    bool goes_on = tiff != NULL;

    while (goes_on) {
        struct tiff_page page = page_of(tiff);
        g_array_append_val(pages, page);
        goes_on = pages->len <= (guint)max && !TIFFLastDirectory(tiff);
        if (goes_on && TIFFReadDirectory(tiff) != 1) {
            page = (struct tiff_page){0}; /* there is one more, and nobody knows what follows */
            g_array_append_val(pages, page);
            goes_on = false;
        }
    }
    if (tiff != NULL)
        TIFFClose(tiff);
    int count = (int)pages->len;
    *ret_pages = (struct tiff_page *)(void *)g_array_free(pages, FALSE);
    return count;
}
