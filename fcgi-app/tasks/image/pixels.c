/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pulls pixels out of a pipeline strip by strip, from top to bottom as decoders give them.
 */
#include "tasks/image/figures.h"

#include <math.h>
#include <string.h>

#define STRIP_ROWS 16 /* as a JPEG is decoded */

int pixels_open(struct pixels *px, struct picture *p, struct error *reterr)
{
    *px = (struct pixels){.picture = p, .width = p->image->Xsize, .height = p->image->Ysize};
    px->row = g_try_malloc((size_t)px->width * 4);
    px->region = vips_region_new(p->image);
    if (px->row == NULL || px->region == NULL)
        return error_internal(reterr, "out of memory for a row of pixels");
    return 0;
}

void pixels_close(struct pixels *px)
{
    if (px->region != NULL)
        g_object_unref(px->region);
    g_free(px->row);
    *px = (struct pixels){0};
}

/* Grey, grey with alpha, colour, colour with alpha: all become the last. */
static void widen(const VipsPel *in, int bands, int width, unsigned char *rgba)
{
    bool is_grey = bands < 3, has_alpha = bands % 2 == 0;

    if (bands == 4) {
        memcpy(rgba, in, (size_t)width * 4);
        return;
    }
    for (int x = 0; x < width; x++, in += bands, rgba += 4) {
        rgba[0] = in[0];
        rgba[1] = in[is_grey ? 0 : 1];
        rgba[2] = in[is_grey ? 0 : 2];
        rgba[3] = has_alpha ? in[bands - 1] : 255;
    }
}

unsigned char *pixels_next(struct pixels *px, struct error *reterr)
{
    if (px->next % STRIP_ROWS == 0) {
        VipsRect strip = {0, px->next, px->width, VIPS_MIN(STRIP_ROWS, px->height - px->next)};
        if (vips_region_prepare(px->region, &strip) != 0) {
            picture_failed(px->picture, reterr);
            return NULL;
        }
    }
    size_t line = (size_t)(px->next - px->region->valid.top);
    widen(px->region->data + line * (size_t)px->region->bpl, px->picture->image->Bands, px->width,
          px->row);
    px->next++;
    return px->row;
}

double linear_of(double srgb)
{
    double value = srgb / 255;
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

static unsigned char mix(unsigned front, unsigned alpha, double back)
{
    return (unsigned char)((front * alpha + back * (255 - alpha)) / 255 + 0.5);
}

void pixels_flatten(unsigned char *rgba, int width, struct colour background)
{
    for (int x = 0; x < width; x++, rgba += 4) {
        unsigned alpha = rgba[3];
        if (alpha == 255)
            continue;
        rgba[0] = mix(rgba[0], alpha, background.red);
        rgba[1] = mix(rgba[1], alpha, background.green);
        rgba[2] = mix(rgba[2], alpha, background.blue);
        rgba[3] = 255;
    }
}
