/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pixel gets from its neighbours: blurred, sharpened, made coarse. A wide blur is computed
 * on a smaller copy, so that none takes longer than one of a few pixels.
 */
#include "tasks/image/image.h"

#include <math.h>

#define SIGMA_DIRECT 8.0 /* beyond it, the picture is made smaller for blurring */
#define SIGMA_SMALL 4.0  /* and blurred there by at least this */

/* To sides that are multiples of `step`: the last column and row are repeated. */
static int pad(struct picture *p, int step, struct error *reterr)
{
    int width = (p->image->Xsize + step - 1) / step * step;
    int height = (p->image->Ysize + step - 1) / step * step;
    VipsImage *next = NULL;

    return picture_step(
        p, vips_embed(p->image, &next, 0, 0, width, height, "extend", VIPS_EXTEND_COPY, NULL),
        &next, reterr);
}

static int cut_to(struct picture *p, struct size size, struct error *reterr)
{
    VipsImage *next = NULL;
    return picture_step(p, vips_extract_area(p->image, &next, 0, 0, size.width, size.height, NULL),
                        &next, reterr);
}

static int blur(struct picture *p, double sigma, struct error *reterr)
{
    VipsImage *next = NULL;
    return picture_step(p, vips_gaussblur(p->image, &next, sigma, "min_ampl", 0.05, NULL), &next,
                        reterr);
}

int blur_apply(struct picture *p, double sigma, struct error *reterr)
{
    struct size size = {p->image->Xsize, p->image->Ysize};
    int step = (int)(sigma / SIGMA_SMALL);
    VipsImage *next = NULL;

    if (sigma <= SIGMA_DIRECT)
        return blur(p, sigma, reterr);
    /* Averaging squares and drawing lines between them spread by themselves, by these variances:
     * of a box of n pixels (n^2 - 1) / 12, of a triangle twice that. */
    double spread = 3 * ((double)step * step - 1) / 12;
    double rest = sqrt(sigma * sigma - spread) / step;
    if (pad(p, step, reterr) != 0 ||
        picture_step(p, vips_shrink(p->image, &next, step, step, NULL), &next, reterr) != 0 ||
        picture_to_memory(p, reterr) != 0 || blur(p, rest, reterr) != 0 ||
        picture_step(p, vips_resize(p->image, &next, step, "kernel", VIPS_KERNEL_LINEAR, NULL),
                     &next, reterr) != 0)
        return -1;
    return cut_to(p, size, reterr);
}

/* Flat areas, where there is little but noise to sharpen, by half of what edges get: libvips' own
 * values leave them soft. */
int sharpen_apply(struct picture *p, double sigma, VipsBandFormat format, struct error *reterr)
{
    VipsImage *next = NULL;

    if (colour_round(p, format, reterr) != 0 || picture_to_memory(p, reterr) != 0)
        return -1;
    return picture_step(p,
                        vips_sharpen(p->image, &next, "sigma", sigma, "m1", 1.0, "m2", 2.0, NULL),
                        &next, reterr);
}

int pixelate_apply(struct picture *p, int side, struct error *reterr)
{
    struct size size = {p->image->Xsize, p->image->Ysize};
    VipsImage *next = NULL;

    side = VIPS_MIN(side, VIPS_MAX(size.width, size.height));
    if (pad(p, side, reterr) != 0 ||
        picture_step(p, vips_shrink(p->image, &next, side, side, NULL), &next, reterr) != 0 ||
        picture_to_memory(p, reterr) != 0 ||
        picture_step(p, vips_zoom(p->image, &next, side, side, NULL), &next, reterr) != 0)
        return -1;
    return cut_to(p, size, reterr);
}
