/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libvips called plainly, with the settings that the module `image` has.
 *
 *     image CASE FILE
 */
#include <vips/vips.h>

#include "loop.h"

#define WIDTH 400

/* The smallest picture that the decoder can make of it by itself that is not too small, resized. */
static VipsImage *thumbnail(const struct loop_file *file)
{
    VipsImage *image, *resized;
    int factor = 8;

    if (vips_jpegload_buffer(file->bytes, file->size, &image, NULL) != 0)
        vips_error_exit("thumbnail");
    while (factor > 1 && image->Xsize / factor < WIDTH)
        factor /= 2;
    g_object_unref(image);
    if (vips_jpegload_buffer(file->bytes, file->size, &image, "shrink", factor, "access",
                             VIPS_ACCESS_SEQUENTIAL, NULL) != 0 ||
        vips_resize(image, &resized, (double)WIDTH / image->Xsize, NULL) != 0)
        vips_error_exit("thumbnail");
    g_object_unref(image);
    return resized;
}

static void thumbnail_jpeg(char *const *words)
{
    VipsImage *image = thumbnail(loop_file(words[0]));
    void *bytes;
    size_t size;

    if (vips_jpegsave_buffer(image, &bytes, &size, "Q", 80, "strip", TRUE, NULL) != 0)
        vips_error_exit("thumbnail_jpeg");
    g_free(bytes);
    g_object_unref(image);
}

static void thumbnail_webp(char *const *words)
{
    VipsImage *image = thumbnail(loop_file(words[0]));
    void *bytes;
    size_t size;

    if (vips_webpsave_buffer(image, &bytes, &size, "Q", 80, "strip", TRUE, NULL) != 0)
        vips_error_exit("thumbnail_webp");
    g_free(bytes);
    g_object_unref(image);
}

const struct loop_case loop_cases[] = {
    {"thumbnail_jpeg", thumbnail_jpeg}, {"thumbnail_webp", thumbnail_webp}, {NULL, NULL}};
