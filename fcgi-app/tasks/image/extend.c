/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room around the finished picture.
 */
#include "tasks/image/image.h"

#include <cjson/cJSON.h>

/* In the order of enum extend_with. */
static const char *const names[] = {"background", "copy", "mirror", "repeat", NULL};

static const VipsExtend extends[] = {
    [EXTEND_BACKGROUND] = VIPS_EXTEND_BACKGROUND,
    [EXTEND_COPY] = VIPS_EXTEND_COPY,
    [EXTEND_MIRROR] = VIPS_EXTEND_MIRROR,
    [EXTEND_REPEAT] = VIPS_EXTEND_REPEAT,
};

struct extend extend_parse(const cJSON *params)
{
    const cJSON *extend = cJSON_GetObjectItemCaseSensitive(params, "extend");
    struct extend e = {
        .left = param_int(extend, "left"),
        .top = param_int(extend, "top"),
        .right = param_int(extend, "right"),
        .bottom = param_int(extend, "bottom"),
        .with = (enum extend_with)param_choice(extend, "with", names, EXTEND_BACKGROUND),
    };
    e.has_background = param_colour(extend, "background", &e.background);
    return e;
}

struct size extend_size(const struct extend *e, struct size size)
{
    return (struct size){size.width + e->left + e->right, size.height + e->top + e->bottom};
}

bool extend_is_coloured(const struct extend *e)
{
    return e->with == EXTEND_BACKGROUND && (e->left | e->top | e->right | e->bottom) != 0;
}

int extend_apply(struct picture *p, const struct extend *e, struct colour background,
                 bool with_alpha, struct error *reterr)
{
    struct size whole = extend_size(e, (struct size){p->image->Xsize, p->image->Ysize});
    VipsRect canvas = {e->left, e->top, whole.width, whole.height};
    VipsImage *next = NULL;

    if (whole.width == p->image->Xsize && whole.height == p->image->Ysize)
        return 0;
    if (e->with == EXTEND_BACKGROUND)
        return colour_surround(p, &canvas, e->has_background ? e->background : background,
                               with_alpha, reterr);
    /* What stands above the picture comes from rows further down. */
    if (picture_to_memory(p, reterr) != 0)
        return -1;
    return picture_step(p,
                        vips_embed(p->image, &next, e->left, e->top, whole.width, whole.height,
                                   "extend", extends[e->with], NULL),
                        &next, reterr);
}
