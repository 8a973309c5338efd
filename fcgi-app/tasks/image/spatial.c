/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pixel gets from its neighbours: blurred, sharpened, made coarse. A wide blur is computed
 * on a smaller copy, so that none takes longer than one of a few pixels.
 */
#include "tasks/image/image.h"

#include <math.h>

#define SIGMA_DIRECT 4.0 /* beyond it, the picture is made smaller for blurring */
#define SIGMA_SMALL 2.0  /* and blurred there by about this */

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

/* In fractions: with whole numbers libvips 8.14 makes a picture of 8 bits brighter or darker by up
 * to 4 of 255, at a sigma of 0.5 or 3. */
static int blur(struct picture *p, double sigma, struct error *reterr)
{
    VipsImage *next = NULL;
    return picture_step(p,
                        vips_gaussblur(p->image, &next, sigma, "precision", VIPS_PRECISION_FLOAT,
                                       "min_ampl", 0.05, NULL),
                        &next, reterr);
}

/* Averaging squares and drawing lines between them spread by themselves, by these variances: of a
 * box of n pixels (n^2 - 1) / 12, of a triangle twice that. */
static double rest_of(double sigma, int step)
{
    double spread = 3 * ((double)step * step - 1) / 12;
    return sqrt(sigma * sigma - spread) / step;
}

int blur_apply(struct picture *p, double sigma, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    struct size size = {p->image->Xsize, p->image->Ysize};
    int step = (int)(sigma / SIGMA_SMALL);
    VipsImage *next = NULL;

    if (sigma <= SIGMA_DIRECT)
        return blur(p, sigma, reterr) != 0 ? -1 : colour_round(p, format, reterr);
    /* In fractions: rounded three times, slow slopes would show steps. */
    if (pad(p, step, reterr) != 0 ||
        picture_step(p, vips_cast_float(p->image, &next, NULL), &next, reterr) != 0 ||
        picture_step(p, vips_shrink(p->image, &next, step, step, NULL), &next, reterr) != 0 ||
        picture_to_memory(p, reterr) != 0 || blur(p, rest_of(sigma, step), reterr) != 0 ||
        picture_step(p, vips_resize(p->image, &next, step, "kernel", VIPS_KERNEL_LINEAR, NULL),
                     &next, reterr) != 0 ||
        cut_to(p, size, reterr) != 0)
        return -1;
    return colour_round(p, format, reterr);
}

/* What is invisible takes the colours of what can be seen beside it. */
static int fill_invisible(struct picture *p, double sigma, VipsImage **ret_colours)
{
    VipsImage *t[7] = {NULL};
    int colours = p->image->Bands - 1;
    int failed = vips_premultiply(p->image, &t[0], NULL) != 0 ||
                 vips_gaussblur(t[0], &t[1], sigma, "min_ampl", 0.05, NULL) != 0 ||
                 vips_unpremultiply(t[1], &t[2], NULL) != 0 ||
                 vips_cast(t[2], &t[3], p->image->BandFmt, NULL) != 0 ||
                 vips_extract_band(p->image, &t[4], colours, NULL) != 0 ||
                 vips_ifthenelse(t[4], p->image, t[3], &t[5], NULL) != 0 ||
                 vips_extract_band(t[5], &t[6], 0, "n", colours, NULL) != 0;

    *ret_colours = failed ? NULL : vips_image_copy_memory(t[6]);
    for (size_t i = 0; i < G_N_ELEMENTS(t); i++)
        VIPS_UNREF(t[i]);
    return *ret_colours == NULL ? -1 : 0;
}

/* Flat areas, where there is little but noise to sharpen, by half of what edges get: libvips' own
 * values leave them soft. */
static int sharpen(VipsImage *image, double sigma, VipsImage **ret_image)
{
    return vips_sharpen(image, ret_image, "sigma", sigma, "m1", 1.0, "m2", 2.0, NULL);
}

/* Transparency is not sharpened, and is no edge: nothing glows where the picture ends. */
int sharpen_apply(struct picture *p, double sigma, struct error *reterr)
{
    VipsImage *next = NULL, *filled = NULL, *sharp = NULL, *alpha = NULL;
    int failed;

    if (picture_to_memory(p, reterr) != 0 || picture_watch(p, reterr) != 0)
        return -1;
    if (!vips_image_hasalpha(p->image))
        return picture_step(p, sharpen(p->image, sigma, &next), &next, reterr);
    failed = fill_invisible(p, sigma, &filled) != 0 || sharpen(filled, sigma, &sharp) != 0 ||
             vips_extract_band(p->image, &alpha, p->image->Bands - 1, NULL) != 0 ||
             vips_bandjoin2(sharp, alpha, &next, NULL) != 0;
    VIPS_UNREF(filled);
    VIPS_UNREF(sharp);
    VIPS_UNREF(alpha);
    return picture_step(p, failed, &next, reterr);
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
