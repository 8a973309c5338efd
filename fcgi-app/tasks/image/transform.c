/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: autorotate, crop, rotate, flip, resize, convert. What the parameters mean
 * stands in image.transform.json. The order above is what the client sees; here the
 * crop is taken from the file as it lies there, and turning waits until the picture is small.
 */
#include "tasks/image/image.h"

#include <string.h>

#include <cjson/cJSON.h>

struct transform {
    struct fit_request fit;
    bool is_cropped;
    VipsRect crop; /* in the upright picture */
    bool autorotate;
    struct turn turn;       /* rotate, then flip */
    enum image_type format; /* IMAGE_TYPE_COUNT: not given */
    int quality;
    bool is_stripped;
    struct colour background;
};

/* Where everything goes, settled before a pixel is decoded. */
struct plan {
    VipsRect crop;    /* in the file's own pixels */
    struct turn turn; /* from there to the result */
    struct layout layout;
    struct size resized_raw; /* layout.resized before the turn */
    enum image_type type;
};

static int number(const cJSON *params, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(params, name);
    return cJSON_IsNumber(value) ? value->valueint : 0;
}

static bool is_true(const cJSON *params, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(params, name));
}

static const char *text(const cJSON *params, const char *name)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, name));
    return value != NULL ? value : "";
}

static enum fit fit_parse(const char *name)
{
    static const char *const names[] = {"inside", "cover", "contain", "fill"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum fit)i;
    return FIT_INSIDE;
}

static struct turn flip_parse(const char *name)
{
    if (strcmp(name, "horizontal") == 0)
        return (struct turn){true, 0};
    if (strcmp(name, "vertical") == 0)
        return (struct turn){true, 2};
    return (struct turn){false, strcmp(name, "both") == 0 ? 2 : 0};
}

static struct transform transform_parse(const cJSON *params)
{
    const cJSON *crop = cJSON_GetObjectItemCaseSensitive(params, "crop");
    struct turn rotation = {false, number(params, "rotate") / 90};

    return (struct transform){
        .fit = {number(params, "width"), number(params, "height"), fit_parse(text(params, "fit")),
                is_true(params, "enlarge")},
        .is_cropped = crop != NULL,
        .crop = {number(crop, "left"), number(crop, "top"), number(crop, "width"),
                 number(crop, "height")},
        .autorotate = is_true(params, "autorotate"),
        .turn = turn_then(rotation, flip_parse(text(params, "flip"))),
        .format = image_type_find(text(params, "format")),
        .quality = number(params, "quality"),
        .is_stripped = is_true(params, "strip"),
        .background = colour_parse(text(params, "background")),
    };
}

static enum image_type choose_type(const struct picture *p, const struct transform *t)
{
    if (t->format != IMAGE_TYPE_COUNT)
        return t->format;
    if (image_type_is_writable(p->type))
        return p->type;
    return p->has_alpha ? IMAGE_PNG : IMAGE_JPEG;
}

static int check_size(const struct picture *p, struct size size, enum image_type type,
                      struct error *reterr)
{
    int side_max = type == IMAGE_WEBP ? IMAGE_SIDE_MAX - 1 : IMAGE_SIDE_MAX;
    double limit = run_limit(p->run, "max_megapixels");

    if (size.width > side_max || size.height > side_max)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The result would be %dx%d pixels; a %s has at most %d along either side: "
                         "ask for a smaller width or height.",
                         size.width, size.height, image_type_name(type), side_max);
    if ((double)size.width * size.height / 1e6 > limit)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The result would be %dx%d pixels; the limit max_megapixels is %g.",
                         size.width, size.height, limit);
    return 0;
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

static int make_plan(const struct picture *p, const struct transform *t, struct plan *ret_plan,
                     struct error *reterr)
{
    struct turn none = {false, 0};
    struct turn upright = t->autorotate ? turn_from_exif(p->orientation) : none;
    struct size raw = {p->width, p->height};
    struct size shown = turn_size(upright, raw);
    struct plan plan = {.turn = turn_then(upright, t->turn), .type = choose_type(p, t)};

    if (t->is_cropped && check_crop(&t->crop, shown, reterr) != 0)
        return -1;
    VipsRect crop = t->is_cropped ? t->crop : (VipsRect){0, 0, shown.width, shown.height};
    plan.crop = turn_rect_back(upright, raw, crop);
    struct size source = turn_size(plan.turn, (struct size){plan.crop.width, plan.crop.height});
    plan.layout = layout_for(source, &t->fit);
    plan.resized_raw = turn_size(plan.turn, plan.layout.resized);
    if (check_size(p, plan.layout.canvas, plan.type, reterr) != 0)
        return -1;
    /* What `cover` cuts away has to be computed as well; unless it grows, the source bounds it. */
    if (t->fit.is_enlarging && check_size(p, plan.layout.resized, plan.type, reterr) != 0)
        return -1;
    *ret_plan = plan;
    return 0;
}

static int cut(struct picture *p, const VipsRect *r, struct error *reterr)
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
static int resize_and_turn(struct picture *p, const struct plan *plan, struct error *reterr)
{
    double before = (double)p->image->Xsize * p->image->Ysize;
    double after = (double)plan->resized_raw.width * plan->resized_raw.height;

    if (after <= before)
        return resize(p, plan->resized_raw, reterr) != 0 ? -1 : turn_picture(p, plan->turn, reterr);
    return turn_picture(p, plan->turn, reterr) != 0 ? -1 : resize(p, plan->layout.resized, reterr);
}

/* The kept metadata must not contradict the new picture. */
static int update_metadata(struct picture *p, bool is_upright, struct error *reterr)
{
    static const char *const stale[] = {"jpeg-thumbnail-data",
                                        VIPS_META_PAGE_HEIGHT,
                                        VIPS_META_N_PAGES,
                                        "delay",
                                        "gif-delay",
                                        "loop",
                                        "gif-loop"};
    VipsImage *next = NULL;

    if (picture_step(p, vips_copy(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    for (size_t i = 0; i < G_N_ELEMENTS(stale); i++)
        vips_image_remove(p->image, stale[i]);
    if (is_upright)
        vips_autorot_remove_angle(p->image);
    return 0;
}

static int finish(struct picture *p, const struct transform *t, const struct plan *plan,
                  struct error *reterr)
{
    struct size canvas = plan->layout.canvas, resized = plan->layout.resized;
    bool with_alpha = plan->type != IMAGE_JPEG;
    bool needs_background = t->fit.fit == FIT_CONTAIN || (p->has_alpha && !with_alpha);
    bool is_cmyk = vips_image_guess_interpretation(p->image) == VIPS_INTERPRETATION_CMYK;

    if ((t->is_stripped || !colour_is_writable(p, plan->type) || (is_cmyk && needs_background)) &&
        colour_to_srgb(p, reterr) != 0)
        return -1;
    if (!with_alpha && colour_flatten(p, t->background, reterr) != 0)
        return -1;
    if (canvas.width > resized.width || canvas.height > resized.height) {
        if (colour_surround(p, canvas, t->background, with_alpha, reterr) != 0)
            return -1;
    } else {
        VipsRect middle = {(resized.width - canvas.width) / 2, (resized.height - canvas.height) / 2,
                           canvas.width, canvas.height};
        if (cut(p, &middle, reterr) != 0)
            return -1;
    }
    return update_metadata(p, t->autorotate, reterr);
}

static int compute(struct picture *p, const struct transform *t, const struct plan *plan,
                   struct error *reterr)
{
    VipsRect crop = plan->crop;
    struct save_request save = {"image", plan->type, t->quality, t->is_stripped};
    int factor = picture_shrink_factor(p, &crop, plan->resized_raw.width, plan->resized_raw.height);

    if (factor > 1 && picture_reopen(p, factor, &crop, reterr) != 0)
        return -1;
    if (cut(p, &crop, reterr) != 0 || resize_and_turn(p, plan, reterr) != 0 ||
        finish(p, t, plan, reterr) != 0)
        return -1;
    return picture_save(p, &save, reterr);
}

int image_transform(struct run *run, struct error *reterr)
{
    struct transform t = transform_parse(run_params(run));
    struct picture p;
    struct plan plan;
    int result = -1;

    if (picture_open(&p, run, "image", reterr) == 0 && picture_check(&p, reterr) == 0 &&
        make_plan(&p, &t, &plan, reterr) == 0 && compute(&p, &t, &plan, reterr) == 0) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "format", image_type_name(plan.type));
        cJSON_AddNumberToObject(object, "width", p.image->Xsize);
        cJSON_AddNumberToObject(object, "height", p.image->Ysize);
        run_result(run, object);
        result = 0;
    }
    picture_release(&p);
    return result;
}
