/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of image.transform from the decoded picture to a result. The client sees crop, rotate,
 * flip, resize; here turning waits until the picture is small.
 */
#include "tasks/image/transform.h"

int step_cut(struct picture *p, const VipsRect *r, struct error *reterr)
{
    VipsImage *next = NULL;

    if (r->width == p->image->Xsize && r->height == p->image->Ysize)
        return 0;
    return picture_step(
        p, vips_extract_area(p->image, &next, r->left, r->top, r->width, r->height, NULL), &next,
        reterr);
}

/* Colours of transparent pixels must not bleed into their neighbours: premultiplied meanwhile. */
static int resize(struct picture *p, struct size size, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool has_alpha = vips_image_hasalpha(p->image);
    double x = (double)size.width / p->image->Xsize, y = (double)size.height / p->image->Ysize;
    VipsImage *next = NULL;

    if (size.width == p->image->Xsize && size.height == p->image->Ysize)
        return 0;
    if (has_alpha && picture_step(p, vips_premultiply(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    if (picture_step(p, vips_resize(p->image, &next, x, "vscale", y, NULL), &next, reterr) != 0)
        return -1;
    if (!has_alpha)
        return 0;
    if (picture_step(p, vips_unpremultiply(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    return picture_step(p, vips_cast(p->image, &next, format, NULL), &next, reterr);
}

static int turn_picture(struct picture *p, struct turn turn, struct error *reterr)
{
    VipsImage *next = NULL;

    if (turn.is_mirrored &&
        picture_step(p, vips_flip(p->image, &next, VIPS_DIRECTION_HORIZONTAL, NULL), &next,
                     reterr) != 0)
        return -1;
    if (turn.quarters == 0)
        return 0;
    /* Turning reads from the last row first, decoding writes from the first: all rows are needed.
     */
    next = vips_image_copy_memory(p->image);
    if (picture_step(p, next == NULL ? -1 : 0, &next, reterr) != 0)
        return -1;
    return picture_step(p, vips_rot(p->image, &next, (VipsAngle)turn.quarters, NULL), &next,
                        reterr);
}

/* Turn where there are fewer pixels: after shrinking, before enlarging. */
static int resize_and_turn(struct picture *p, struct turn turn, const struct target *target,
                           struct error *reterr)
{
    double before = (double)p->image->Xsize * p->image->Ysize;
    double after = (double)target->resized_raw.width * target->resized_raw.height;

    if (after <= before)
        return resize(p, target->resized_raw, reterr) != 0 ? -1 : turn_picture(p, turn, reterr);
    return turn_picture(p, turn, reterr) != 0 ? -1 : resize(p, target->layout.resized, reterr);
}

/* To colours that the format can hold, without transparency where it has none. */
static int convert(struct picture *p, const struct variant *v, const struct target *target,
                   struct error *reterr)
{
    bool with_alpha = target->type != IMAGE_JPEG;
    bool needs_background = v->fit.fit == FIT_CONTAIN || (p->has_alpha && !with_alpha);
    bool is_cmyk = vips_image_guess_interpretation(p->image) == VIPS_INTERPRETATION_CMYK;

    if ((v->save.is_stripped || !colour_is_writable(p, target->type) ||
         (is_cmyk && needs_background)) &&
        colour_to_srgb(p, reterr) != 0)
        return -1;
    return with_alpha ? 0 : colour_flatten(p, v->background, reterr);
}

/* Onto the canvas: surrounded, or its middle cut out. */
static int fit_canvas(struct picture *p, const struct variant *v, const struct target *target,
                      struct error *reterr)
{
    struct size canvas = target->layout.canvas, resized = target->layout.resized;

    if (canvas.width > resized.width || canvas.height > resized.height)
        return colour_surround(p, canvas, v->background, target->type != IMAGE_JPEG, reterr);
    VipsRect middle = {(resized.width - canvas.width) / 2, (resized.height - canvas.height) / 2,
                       canvas.width, canvas.height};
    return step_cut(p, &middle, reterr);
}

int steps_apply(struct picture *p, const struct transform *t, const struct plan *plan, int i,
                struct error *reterr)
{
    const struct variant *v = &t->variants[i];
    const struct target *target = &plan->targets[i];

    if (resize_and_turn(p, plan->turn, target, reterr) != 0 || convert(p, v, target, reterr) != 0)
        return -1;
    return fit_canvas(p, v, target, reterr);
}
