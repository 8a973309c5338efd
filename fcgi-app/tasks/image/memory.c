/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How much memory a run will take, told from headers: a run that would pass its limit is refused
 * before it starts, and not ended in the middle. Decoders and encoders that work strip by strip
 * hold next to nothing; the others hold the whole picture, some of them several times. The figures
 * are bytes a pixel, measured with Debian 12's libraries on pictures of 17 and 69 megapixels and
 * rounded up.
 */
#include "tasks/image/image.h"

#include <stdint.h>

#define BASE_MB 128 /* of the process itself, with the engines of other modules in it */

static int header_int(const struct picture *p, const char *name)
{
    int value = 0;
    if (vips_image_get_typeof(p->image, name) == 0 ||
        vips_image_get_int(p->image, name, &value) != 0)
        return 0;
    return value;
}

double image_pixel_bytes(const VipsImage *image)
{
    return (double)vips_format_sizeof(image->BandFmt) * image->Bands;
}

static uint32_t number(const unsigned char *b, int size, bool is_big)
{
    uint32_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | b[is_big ? i : size - 1 - i];
    return value;
}

/* TileLength of a TIFF's first page: 0 when it has strips, `height` when that is not so simple to
 * say. */
static double tile_rows(const unsigned char *b, size_t size, double height)
{
    enum { TILE_LENGTH = 323, SHORT = 3, ENTRY = 12 };
    bool is_big = size > 0 && b[0] == 'M';

    if (size < 8 || number(b + 2, 2, is_big) != 42)
        return height;
    size_t at = number(b + 4, 4, is_big);
    if (at > size - 2)
        return height;
    size_t count = number(b + at, 2, is_big);
    for (at += 2; count > 0 && at + ENTRY <= size; count--, at += ENTRY)
        if (number(b + at, 2, is_big) == TILE_LENGTH)
            return number(b + at + 8, number(b + at + 2, 2, is_big) == SHORT ? 2 : 4, is_big);
    return 0;
}

/* libvips keeps two rows of tiles. */
static double tiff_pixel_bytes(const struct picture *p)
{
    double height = p->height;
    double rows = p->page > 0 ? height : tile_rows(p->input->bytes, p->input->size, height);
    return image_pixel_bytes(p->image) * VIPS_MIN(2.5 * rows / height, 2);
}

/* Of a picture that comes in several passes libjpeg keeps all coefficients, two bytes each. How
 * many fewer of them a colour has than there are pixels is the file's word: not believed. */
static double decoder_pixel_bytes(const struct picture *p)
{
    bool is_deep = header_int(p, "heif-bitdepth") > 8;

    switch (p->type) {
    case IMAGE_JPEG:
        return header_int(p, "jpeg-multiscan") != 0 ? 2.0 * p->image->Bands : 0;
    case IMAGE_PNG:
        return vips_image_get_typeof(p->image, "interlaced") != 0 ? image_pixel_bytes(p->image) : 0;
    case IMAGE_WEBP:
        return p->pages > 1 ? 12 : (p->has_alpha ? 10 : 8);
    case IMAGE_GIF: /* a frame, the one before it, and the one that a frame is put back to */
        return 12;
    case IMAGE_AVIF:
    case IMAGE_HEIC:
        return (p->has_alpha ? 11 : 9) * (is_deep ? 2 : 1);
    case IMAGE_TIFF:
        return tiff_pixel_bytes(p);
    default:
        return 0;
    }
}

double memory_of_decoder(const struct picture *p)
{
    double pixels = (double)p->width * p->height;
    return ((double)p->input->size + decoder_pixel_bytes(p) * pixels) / 1e6;
}

/* Of a result of `bands` channels of that many bytes. */
static double encoder_pixel_bytes(const struct save_request *r, int bands, int depth)
{
    bool has_alpha = bands == 2 || bands == 4;

    switch (r->type) {
    case IMAGE_JPEG: /* the coefficients, for the Huffman tables; from 90 on colours have all */
        return bands == 4 ? 8 : (bands < 3 ? 2 : (r->quality >= 90 ? 6 : 3));
    case IMAGE_PNG:
        return r->has_palette ? 6 : (r->is_progressive ? bands * depth : 0);
    case IMAGE_WEBP: /* transparency is encoded without a loss */
        return r->is_lossless || has_alpha ? 32 : 4;
    case IMAGE_GIF:
        return 13;
    case IMAGE_TIFF: /* the file, while it grows */
        return 2 * bands * depth;
    case IMAGE_AVIF:
        return has_alpha ? 30 : 22;
    default:
        return 0;
    }
}

double memory_of_encoder(const struct save_request *r, struct size size, int bands, int depth)
{
    return encoder_pixel_bytes(r, bands, depth) * size.width * size.height / 1e6;
}

double memory_of_pixels(struct size size, int frames, double pixel_bytes)
{
    return pixel_bytes * size.width * size.height * frames / 1e6;
}

int memory_check_decoder(const struct picture *p, double megabytes, struct error *reterr)
{
    double limit = run_limit(p->run, "memory_mb"), whole = BASE_MB + megabytes;

    if (whole <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_INPUT,
                     "To decode the input %s, %dx%d pixels, takes about %.0f MB of memory; the "
                     "limit memory_mb is %g.",
                     p->input->name, p->width, p->height, whole, limit);
}

int memory_check_result(const struct picture *p, struct size size, double megabytes,
                        struct error *reterr)
{
    double limit = run_limit(p->run, "memory_mb"), whole = BASE_MB + megabytes;

    if (whole <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "To make the result, %dx%d pixels, of the input %s, %dx%d pixels, takes about "
                     "%.0f MB of memory; the limit memory_mb is %g.",
                     size.width, size.height, p->input->name, p->width, p->height, whole, limit);
}
