/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of image.transform from the decoded picture to a result. The client sees crop, rotate,
 * flip, resize, effects, extend; here turning waits until the picture is small.
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
int step_resize(struct picture *p, struct size size, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool has_alpha = vips_image_hasalpha(p->image);
    struct source_size from = {p->image->Xsize + p->missing_x, p->image->Ysize + p->missing_y};
    VipsImage *next = NULL;

    if (size.width == p->image->Xsize && size.height == p->image->Ysize)
        return 0;
    if (has_alpha && colour_premultiply(p, reterr) != 0)
        return -1;
    if (picture_step(p, image_resize(p->image, &next, &from, size.width, size.height), &next,
                     reterr) != 0)
        return -1;
    return has_alpha ? colour_unpremultiply(p, format, reterr) : 0;
}

int picture_turn(struct picture *p, struct turn turn, struct error *reterr)
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
    if (picture_to_memory(p, reterr) != 0)
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
        return step_resize(p, target->resized_raw, reterr) != 0 ? -1
                                                                : picture_turn(p, turn, reterr);
    return picture_turn(p, turn, reterr) != 0 ? -1 : step_resize(p, target->layout.resized, reterr);
}

/* To colours that the effects, and a canvas, and the format can have. */
static int convert(struct picture *p, const struct transform *t, const struct variant *v,
                   const struct target *target, struct error *reterr)
{
    bool keeps_depth = target->type == IMAGE_PNG || target->type == IMAGE_TIFF;
    bool needs_background = v->fit.fit == FIT_CONTAIN || extend_is_coloured(&t->extend) ||
                            (p->has_alpha && target->type == IMAGE_JPEG);
    bool is_marked = watermark_is_asked(&t->watermark);
    bool is_cmyk = vips_image_guess_interpretation(p->image) == VIPS_INTERPRETATION_CMYK;

    if (!v->save.is_stripped && colour_is_writable(p, target->type) &&
        !(is_cmyk && needs_background) && !effects_need_srgb(&t->effects) && !is_marked)
        return 0;
    return colour_to_srgb(p, keeps_depth && !v->save.is_stripped && !is_marked, reterr);
}

/* As large as the canvas, where that is smaller. All frames lose what the first does. */
static int cut_to_canvas(struct picture *p, const struct variant *v, struct target *target,
                         struct error *reterr)
{
    VipsRect whole = {0, 0, p->image->Xsize, p->image->Ysize};
    struct turn none = {false, 0};

    if (target->part.width == 0 && gravity_find(p, &v->gravity, none, whole, target->layout.canvas,
                                                &target->part, reterr) != 0)
        return -1;
    return step_cut(p, &target->part, reterr);
}

static int surround(struct picture *p, const struct variant *v, const struct target *target,
                    struct error *reterr)
{
    VipsRect canvas = gravity_surround(&v->gravity, target->layout.canvas, target->layout.resized);
    return colour_surround(p, &canvas, v->background, target->type != IMAGE_JPEG, reterr);
}

int steps_apply(struct picture *p, struct transform *t, struct plan *plan, int i,
                struct error *reterr)
{
    const struct variant *v = &t->variants[i];
    struct target *target = &plan->targets[i];
    struct size canvas = target->layout.canvas, resized = target->layout.resized;
    bool is_surrounded = canvas.width > resized.width || canvas.height > resized.height;
    bool with_alpha = target->type != IMAGE_JPEG;

    if (resize_and_turn(p, plan->turn, target, reterr) != 0 ||
        convert(p, t, v, target, reterr) != 0 ||
        (!is_surrounded && cut_to_canvas(p, v, target, reterr) != 0) ||
        effects_apply(p, &t->effects, reterr) != 0)
        return -1;
    if ((!with_alpha && colour_flatten(p, v->background, reterr) != 0) ||
        (is_surrounded && surround(p, v, target, reterr) != 0))
        return -1;
    if (extend_apply(p, &t->extend, v->background, with_alpha, reterr) != 0)
        return -1;
    return watermark_is_asked(&t->watermark) ? watermark_apply(p, &t->watermark, reterr) : 0;
}
