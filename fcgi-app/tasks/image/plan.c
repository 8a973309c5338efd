/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Settles what image.transform will do, and refuses what would become too large. A file's header is
 * enough for that, unless trim or gravity have to look at the pixels for what is cropped.
 */
#include "tasks/image/transform.h"

enum image_type variant_type(const struct variant *v, const struct picture *p)
{
    if (v->save.type != IMAGE_TYPE_COUNT)
        return v->save.type;
    if (image_type_is_writable(p->type))
        return p->type;
    return p->has_alpha ? IMAGE_PNG : IMAGE_JPEG;
}

static bool is_animated(const struct variant *v, const struct picture *p)
{
    enum image_type type = variant_type(v, p);
    return picture_is_animated(p) && (type == IMAGE_GIF || type == IMAGE_WEBP);
}

bool transform_is_animated(const struct transform *t, const struct picture *p)
{
    bool is_any = false;
    for (int i = 0; i < t->variant_count && t->page == 0; i++)
        is_any = is_any || is_animated(&t->variants[i], p);
    return is_any;
}

static int check_size(const struct picture *p, struct size size, const struct target *target,
                      struct error *reterr)
{
    int side_max = target->type == IMAGE_WEBP ? IMAGE_SIDE_MAX - 1 : IMAGE_SIDE_MAX;
    double limit = run_limit(p->run, "max_megapixels");

    if (size.width > side_max || size.height > side_max)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The result would be %dx%d pixels; a %s has at most %d along either side: "
                         "ask for a smaller width or height.",
                         size.width, size.height, image_type_name(target->type), side_max);
    if ((double)size.width * size.height * target->frames / 1e6 > limit)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The result would be %dx%d pixels, frames: %d; the limit max_megapixels "
                         "is %g.",
                         size.width, size.height, target->frames, limit);
    if (target->type == IMAGE_AVIF && !heif_is_available())
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "This server was installed without AVIF: ask for another format.");
    return 0;
}

/* libwebp holds thirty bytes a pixel then, all of the picture at once, and takes its time. */
static int check_lossless_webp(const struct picture *p, struct size size, struct error *reterr)
{
    double limit = run_limit(p->run, "max_lossless_webp_megapixels");

    if ((double)size.width * size.height / 1e6 <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "The result would be %dx%d pixels; the limit max_lossless_webp_megapixels is "
                     "%g.",
                     size.width, size.height, limit);
}

static int check_crop(const VipsRect *crop, struct size size, struct error *reterr)
{
    /* All are within the schema's million, so nothing overflows. */
    if (crop->left + crop->width <= size.width && crop->top + crop->height <= size.height)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "The crop rectangle (left %d, top %d, width %d, height %d) reaches beyond the "
                     "picture, which is %dx%d pixels.",
                     crop->left, crop->top, crop->width, crop->height, size.width, size.height);
}

bool transform_is_searching(const struct transform *t)
{
    bool is_smart = gravity_is_smart(&t->crop_gravity);
    return t->is_trimmed || ((t->aspect_ratio > 0 || (t->is_cropped && !t->is_placed)) && is_smart);
}

/* The largest part of these proportions. */
static int find_proportions(const struct transform *t, struct picture *p, struct turn upright,
                            VipsRect *rect, struct error *reterr)
{
    struct size size = {rect->width, rect->height};
    VipsRect found;

    if (t->aspect_ratio <= 0)
        return 0;
    if (rect->width > t->aspect_ratio * rect->height)
        size.width = VIPS_MAX(1, (int)(t->aspect_ratio * rect->height + 0.5));
    else
        size.height = VIPS_CLIP(1, (int)(rect->width / t->aspect_ratio + 0.5), rect->height);
    if (gravity_find(p, &t->crop_gravity, upright, *rect, size, &found, reterr) != 0)
        return -1;
    *rect = (VipsRect){rect->left + found.left, rect->top + found.top, size.width, size.height};
    return 0;
}

/* What trim and crop leave of the upright picture. */
static int find_crop(const struct transform *t, struct picture *p, struct turn upright,
                     VipsRect *ret_rect, struct error *reterr)
{
    struct size shown = turn_size(upright, (struct size){p->width, p->height});
    VipsRect left = {0, 0, shown.width, shown.height}, crop = t->crop;

    if (t->is_trimmed && trim_find(p, &t->trim, upright, &left, reterr) != 0)
        return -1;
    *ret_rect = left;
    if (!t->is_cropped)
        return 0;
    if (check_crop(&crop, (struct size){left.width, left.height}, reterr) != 0)
        return -1;
    if (!t->is_placed && gravity_find(p, &t->crop_gravity, upright, left,
                                      (struct size){crop.width, crop.height}, &crop, reterr) != 0)
        return -1;
    *ret_rect = (VipsRect){left.left + crop.left, left.top + crop.top, crop.width, crop.height};
    return 0;
}

static int make_target(const struct transform *t, const struct variant *v, const struct picture *p,
                       const struct plan *plan, struct target *ret_target, struct error *reterr)
{
    struct size source = turn_size(plan->turn, (struct size){plan->crop.width, plan->crop.height});
    struct target target = {.type = variant_type(v, p), .frames = 1};

    if (p->frames > 1 && is_animated(v, p))
        target.frames = p->frames;
    target.layout = layout_for(source, &v->fit);
    target.resized_raw = turn_size(plan->turn, target.layout.resized);
    target.whole = extend_size(&t->extend, target.layout.canvas);
    if (check_size(p, target.whole, &target, reterr) != 0)
        return -1;
    if (target.type == IMAGE_WEBP && v->save.is_lossless &&
        check_lossless_webp(p, target.whole, reterr) != 0)
        return -1;
    /* What `cover` cuts away has to be computed as well; unless it grows, the source bounds it. */
    if (v->fit.is_enlarging && check_size(p, target.layout.resized, &target, reterr) != 0)
        return -1;
    *ret_target = target;
    return 0;
}

int plan_make(const struct transform *t, struct picture *p, struct plan *ret_plan,
              struct error *reterr)
{
    struct turn none = {false, 0};
    struct turn upright = t->autorotate ? turn_from_exif(p->orientation) : none;
    struct size raw = {p->width, p->height};
    VipsRect crop;

    if (find_crop(t, p, upright, &crop, reterr) != 0 ||
        find_proportions(t, p, upright, &crop, reterr) != 0)
        return -1;
    ret_plan->turn = turn_then(upright, t->turn);
    ret_plan->crop = turn_rect_back(upright, raw, crop);
    for (int i = 0; i < t->variant_count; i++)
        if (make_target(t, &t->variants[i], p, ret_plan, &ret_plan->targets[i], reterr) != 0)
            return -1;
    return limits_check(t, p, ret_plan, reterr);
}
