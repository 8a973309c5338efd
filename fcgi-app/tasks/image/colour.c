/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Colours and transparency. Everything here runs on the resized picture, where pixels are few.
 */
#include "tasks/image/image.h"

#include <stdlib.h>
#include <string.h>

struct colour colour_parse(const char *hex)
{
    if (*hex == '#')
        hex++;
    unsigned long long bits = strtoull(hex, NULL, 16);
    if (strlen(hex) == 6)
        bits = bits << 8 | 0xff;
    return (struct colour){(double)(bits >> 24 & 0xff), (double)(bits >> 16 & 0xff),
                           (double)(bits >> 8 & 0xff), (double)(bits & 0xff)};
}

bool colour_is_grey(const VipsImage *image)
{
    VipsInterpretation space = vips_image_guess_interpretation(image);
    return space == VIPS_INTERPRETATION_B_W || space == VIPS_INTERPRETATION_GREY16;
}

static double channel_max(const VipsImage *image)
{
    return image->BandFmt == VIPS_FORMAT_USHORT ? 65535 : 255;
}

/* The profile that cameras embed to say "sRGB already": IEC 61966-2.1 as HP published it in 1998.
 */
static bool is_srgb_profile(const VipsImage *image)
{
    const void *profile;
    size_t size;

    return vips_image_get_blob(image, VIPS_META_ICC_NAME, &profile, &size) == 0 && size == 3144 &&
           memcmp((const char *)profile + 48, "IEC sRGB", 8) == 0;
}

/* By the file's own profile. A profile that is broken, or of another kind of picture, is no reason
 * to refuse the picture: browsers ignore it, and so does this. 16 bits stay 16 here: libvips 8.14
 * would make the 65535 of transparency 255 by cutting off what is above. */
static int apply_profile(struct picture *p, struct error *reterr)
{
    int depth = p->image->BandFmt == VIPS_FORMAT_USHORT ? 16 : 8;
    VipsImage *next = NULL;

    if (vips_image_get_typeof(p->image, VIPS_META_ICC_NAME) == 0 || is_srgb_profile(p->image))
        return 0;
    if (vips_icc_transform(p->image, &next, "srgb", "embedded", TRUE, "intent",
                           VIPS_INTENT_PERCEPTUAL, "depth", depth, NULL) == 0)
        return picture_step(p, 0, &next, reterr);
    vips_error_clear();
    if (picture_step(p, vips_copy(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    vips_image_remove(next, VIPS_META_ICC_NAME);
    return 0;
}

static VipsInterpretation space_of(bool is_grey, bool is_deep)
{
    if (is_deep)
        return is_grey ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_RGB16;
    return is_grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
}

static int colours_of(const VipsImage *image)
{
    if (vips_image_guess_interpretation(image) == VIPS_INTERPRETATION_CMYK)
        return 4;
    return colour_is_grey(image) ? 1 : 3;
}

/* A profile describes channels: not one channel what is three. (Where CMYK comes without, libvips
 * leaves the one that it took instead.) */
static int to_space(struct picture *p, VipsInterpretation space, struct error *reterr)
{
    int colours = colours_of(p->image);
    VipsImage *next = NULL;

    if (picture_step(p, vips_colourspace(p->image, &next, space, NULL), &next, reterr) != 0)
        return -1;
    if (colours_of(p->image) == colours)
        return 0;
    if (picture_step(p, vips_copy(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    vips_image_remove(p->image, VIPS_META_ICC_NAME);
    return 0;
}

/* Where colours go from 0 to 1, so does transparency: libvips 8.14 takes it for one of 255. */
static int scale_alpha(struct picture *p, struct error *reterr)
{
    double factors[4] = {1, 1, 1, 255}, offsets[4] = {0};
    VipsImage *next = NULL;

    if (p->image->Type != VIPS_INTERPRETATION_scRGB || p->image->Bands != 4)
        return 0;
    return picture_step(p, vips_linear(p->image, &next, factors, offsets, 4, NULL), &next, reterr);
}

int colour_to_srgb(struct picture *p, bool keeps_depth, struct error *reterr)
{
    bool is_deep = keeps_depth && p->image->BandFmt == VIPS_FORMAT_USHORT;
    VipsBandFormat format = is_deep ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR;
    VipsImage *next = NULL;

    if (scale_alpha(p, reterr) != 0 || apply_profile(p, reterr) != 0)
        return -1;
    bool grey = colour_is_grey(p->image);
    if (to_space(p, space_of(grey, is_deep), reterr) != 0)
        return -1;
    int bands = grey ? 2 : 4; /* with alpha; what a TIFF may have beyond that means nothing here */
    if (p->image->Bands > bands &&
        picture_step(p, vips_extract_band(p->image, &next, 0, "n", bands, NULL), &next, reterr) !=
            0)
        return -1;
    if (p->image->BandFmt == format)
        return 0;
    return picture_step(p, vips_cast(p->image, &next, format, NULL), &next, reterr);
}

bool colour_is_writable(const struct picture *p, enum image_type type)
{
    if (p->image->BandFmt != VIPS_FORMAT_UCHAR && p->image->BandFmt != VIPS_FORMAT_USHORT)
        return false;
    switch (vips_image_guess_interpretation(p->image)) {
    case VIPS_INTERPRETATION_sRGB:
    case VIPS_INTERPRETATION_RGB16:
        return p->image->Bands <= 4;
    case VIPS_INTERPRETATION_B_W:
    case VIPS_INTERPRETATION_GREY16:
        return p->image->Bands <= 2;
    case VIPS_INTERPRETATION_CMYK: /* in 8 bits: libvips 8.14 cuts 16 of them off at 255 */
        return p->image->Bands == 4 && type == IMAGE_JPEG && p->image->BandFmt == VIPS_FORMAT_UCHAR;
    default:
        return false;
    }
}

int colour_make_room(struct picture *p, struct colour colour, struct error *reterr)
{
    if (!colour_is_grey(p->image) || (colour.red == colour.green && colour.green == colour.blue))
        return 0;
    return to_space(p, space_of(false, p->image->BandFmt == VIPS_FORMAT_USHORT), reterr);
}

int colour_to_grey(struct picture *p, struct error *reterr)
{
    return to_space(p, space_of(true, p->image->BandFmt == VIPS_FORMAT_USHORT), reterr);
}

VipsArrayDouble *colour_pixel(const VipsImage *image, struct colour colour, bool with_alpha)
{
    double scale = channel_max(image) / 255;
    double rgba[4] = {colour.red * scale, colour.green * scale, colour.blue * scale,
                      colour.alpha * scale};
    double grey[2] = {colour.red * scale, colour.alpha * scale};

    if (colour_is_grey(image))
        return vips_array_double_new(grey, with_alpha ? 2 : 1);
    return vips_array_double_new(rgba, with_alpha ? 4 : 3);
}

int colour_round(struct picture *p, VipsBandFormat format, struct error *reterr)
{
    VipsImage *next = NULL;

    if (p->image->BandFmt == format)
        return 0;
    if (picture_step(p, vips_rint(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    return picture_step(p, vips_cast(p->image, &next, format, NULL), &next, reterr);
}

int colour_premultiply(struct picture *p, struct error *reterr)
{
    VipsImage *next = NULL;
    return picture_step(p, vips_premultiply(p->image, &next, NULL), &next, reterr);
}

int colour_unpremultiply(struct picture *p, VipsBandFormat format, struct error *reterr)
{
    VipsImage *next = NULL;

    if (picture_step(p, vips_unpremultiply(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    return colour_round(p, format, reterr);
}

int colour_flatten(struct picture *p, struct colour colour, struct error *reterr)
{
    VipsImage *next = NULL;

    if (!vips_image_hasalpha(p->image))
        return 0;
    if (colour_make_room(p, colour, reterr) != 0)
        return -1;
    VipsArrayDouble *pixel = colour_pixel(p->image, colour, false);
    int failed = vips_flatten(p->image, &next, "background", pixel, NULL);
    vips_area_unref(VIPS_AREA(pixel));
    return picture_step(p, failed, &next, reterr);
}

int colour_surround(struct picture *p, const VipsRect *canvas, struct colour colour,
                    bool with_alpha, struct error *reterr)
{
    VipsImage *next = NULL;

    if (colour_make_room(p, colour, reterr) != 0)
        return -1;
    if (with_alpha && colour.alpha < 255 && !vips_image_hasalpha(p->image) &&
        picture_step(p, vips_addalpha(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    VipsArrayDouble *pixel = colour_pixel(p->image, colour, vips_image_hasalpha(p->image));
    int failed =
        vips_embed(p->image, &next, canvas->left, canvas->top, canvas->width, canvas->height,
                   "extend", VIPS_EXTEND_BACKGROUND, "background", pixel, NULL);
    vips_area_unref(VIPS_AREA(pixel));
    return picture_step(p, failed, &next, reterr);
}
