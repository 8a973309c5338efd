/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Colours laid over the picture, evenly or more and more towards one side. Transparency stays.
 */
#include "tasks/image/image.h"

#include <cjson/cJSON.h>

/* In the order of enum towards. */
static const char *const names[] = {"down", "up", "right", "left", NULL};

struct overlay overlay_parse(const cJSON *params)
{
    const cJSON *colorize = cJSON_GetObjectItemCaseSensitive(params, "colorize");
    const cJSON *gradient = cJSON_GetObjectItemCaseSensitive(params, "gradient");
    struct overlay o = {
        .colorize = param_number(colorize, "opacity", colorize != NULL ? 0.5 : 0),
        .gradient = param_number(gradient, "opacity", gradient != NULL ? 1 : 0),
        .start = param_number(gradient, "start", 0),
        .stop = param_number(gradient, "stop", 1),
        .towards = (enum towards)param_choice(gradient, "towards", names, TOWARDS_BOTTOM),
    };
    (void)param_colour(colorize, "colour", &o.colorize_colour);
    (void)param_colour(gradient, "colour", &o.gradient_colour);
    return o;
}

/* Each channel times `rest`, and so much of the colour; rounded. */
static int mix(struct picture *p, struct colour colour, double rest, VipsImage **ret_image)
{
    VipsArrayDouble *pixel = colour_pixel(p->image, colour, false);
    const double *values = vips_array_double_get(pixel, NULL);
    int bands = p->image->Bands, colours = bands - vips_image_hasalpha(p->image);
    double factors[4], shifts[4];
    VipsImage *mixed = NULL;

    for (int i = 0; i < bands; i++) {
        factors[i] = i < colours ? rest : 1;
        shifts[i] = (i < colours ? (1 - rest) * values[i] : 0) + 0.5; /* a cast cuts them off */
    }
    vips_area_unref(VIPS_AREA(pixel));
    int failed = vips_linear(p->image, &mixed, factors, shifts, bands, NULL) != 0 ||
                 vips_cast(mixed, ret_image, p->image->BandFmt, NULL) != 0;
    VIPS_UNREF(mixed);
    return failed ? -1 : 0;
}

int colorize_apply(struct picture *p, const struct overlay *o, struct error *reterr)
{
    VipsImage *next = NULL;

    if (o->colorize <= 0)
        return 0;
    if (colour_make_room(p, o->colorize_colour, reterr) != 0)
        return -1;
    return picture_step(p, mix(p, o->colorize_colour, 1 - o->colorize, &next), &next, reterr);
}

/* How much of the colour there is along the way, 0 to 255: one row or column of it. */
static VipsImage *make_ramp(const struct overlay *o, int width, int height)
{
    bool is_upright = o->towards == TOWARDS_BOTTOM || o->towards == TOWARDS_TOP;
    bool is_reversed = o->towards == TOWARDS_TOP || o->towards == TOWARDS_LEFT;
    int length = is_upright ? height : width;
    VipsImage *line = vips_image_new_memory(), *ramp = NULL;

    vips_image_init_fields(line, is_upright ? 1 : width, is_upright ? height : 1, 1,
                           VIPS_FORMAT_UCHAR, VIPS_CODING_NONE, VIPS_INTERPRETATION_B_W, 1, 1);
    if (vips_image_write_prepare(line) == 0) {
        for (int i = 0; i < length; i++) {
            double way = (i + 0.5) / length;
            if (is_reversed)
                way = 1 - way;
            double share =
                o->stop > o->start ? (way - o->start) / (o->stop - o->start) : way >= o->start;
            line->data[i] = (VipsPel)(VIPS_CLIP(0, share, 1) * o->gradient * 255 + 0.5);
        }
        if (vips_zoom(line, &ramp, is_upright ? width : 1, is_upright ? 1 : height, NULL) != 0)
            ramp = NULL;
    }
    g_object_unref(line);
    return ramp;
}

int gradient_apply(struct picture *p, const struct overlay *o, struct error *reterr)
{
    VipsImage *full = NULL, *next = NULL;

    if (o->gradient <= 0)
        return 0;
    if (colour_make_room(p, o->gradient_colour, reterr) != 0)
        return -1;
    VipsImage *ramp = make_ramp(o, p->image->Xsize, p->image->Ysize);
    int failed = ramp == NULL || mix(p, o->gradient_colour, 0, &full) != 0 ||
                 vips_ifthenelse(ramp, full, p->image, &next, "blend", TRUE, NULL) != 0;
    VIPS_UNREF(ramp);
    VIPS_UNREF(full);
    return picture_step(p, failed, &next, reterr);
}
