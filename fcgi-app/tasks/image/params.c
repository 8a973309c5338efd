/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the parameters of image.transform. The schema has checked them: nothing here can fail.
 */
#include "tasks/image/transform.h"

#include <string.h>

#include <cjson/cJSON.h>

static bool has(const cJSON *params, const char *name)
{
    return cJSON_HasObjectItem(params, name);
}

static struct turn flip_parse(const char *name)
{
    if (strcmp(name, "horizontal") == 0)
        return (struct turn){true, 0};
    if (strcmp(name, "vertical") == 0)
        return (struct turn){true, 2};
    return (struct turn){false, strcmp(name, "both") == 0 ? 2 : 0};
}

/* Of the whole task, or of one of `variants`: what that says wins over what `v` has already. */
static void variant_parse(const cJSON *params, struct variant *v)
{
    static const char *const fits[] = {"inside", "cover", "contain", "fill", NULL};

    if (has(params, "width"))
        v->fit.width = param_int(params, "width");
    if (has(params, "height"))
        v->fit.height = param_int(params, "height");
    if (has(params, "min_width"))
        v->fit.min_width = param_int(params, "min_width");
    if (has(params, "min_height"))
        v->fit.min_height = param_int(params, "min_height");
    if (has(params, "dpr"))
        v->dpr = param_number(params, "dpr", 1);
    if (has(params, "fit"))
        v->fit.fit = (enum fit)param_choice(params, "fit", fits, FIT_INSIDE);
    if (has(params, "enlarge"))
        v->fit.is_enlarging = param_is_true(params, "enlarge");
    if (has(params, "background"))
        v->background = colour_parse(param_text(params, "background"));
    if (has(params, "gravity") || has(params, "focus"))
        v->gravity = gravity_parse(params);
    if (has(params, "format"))
        v->save.type = image_type_find(param_text(params, "format"));
    if (has(params, "quality"))
        v->save.quality = param_int(params, "quality");
    if (has(params, "lossless"))
        v->save.is_lossless = param_is_true(params, "lossless");
    if (has(params, "progressive"))
        v->save.is_progressive = param_is_true(params, "progressive");
    if (has(params, "palette"))
        v->save.has_palette = param_is_true(params, "palette");
    if (has(params, "colours"))
        v->save.colours = param_int(params, "colours");
    if (has(params, "max_bytes"))
        v->save.max_bytes = (size_t)param_int(params, "max_bytes");
}

static int times(int length, double factor)
{
    return length > 0 ? VIPS_MAX(1, (int)(length * factor + 0.5)) : 0;
}

/* From pixels of a page to those of the screen. */
static void enlarge_box(struct variant *v)
{
    v->fit.width = times(v->fit.width, v->dpr);
    v->fit.height = times(v->fit.height, v->dpr);
    v->fit.min_width = times(v->fit.min_width, v->dpr);
    v->fit.min_height = times(v->fit.min_height, v->dpr);
}

void transform_parse(const cJSON *params, struct transform *ret_transform)
{
    const cJSON *crop = cJSON_GetObjectItemCaseSensitive(params, "crop");
    const cJSON *variants = cJSON_GetObjectItemCaseSensitive(params, "variants"), *item;
    struct turn rotation = {false, param_int(params, "rotate") / 90};
    struct variant all = {.dpr = 1,
                          .save = {.output = "image",
                                   .type = IMAGE_TYPE_COUNT,
                                   .is_stripped = param_is_true(params, "strip")}};

    variant_parse(params, &all);
    *ret_transform = (struct transform){
        .page = param_int(params, "page"),
        .autorotate = param_is_true(params, "autorotate"),
        .is_cropped = crop != NULL,
        .is_placed = has(crop, "left") || has(crop, "top"),
        .crop = {param_int(crop, "left"), param_int(crop, "top"), param_int(crop, "width"),
                 param_int(crop, "height")},
        .turn = turn_then(rotation, flip_parse(param_text(params, "flip"))),
        .crop_gravity = all.gravity,
        .aspect_ratio = param_number(params, "aspect_ratio", 0),
        .keeps_copyright = param_is_true(params, "keep_copyright"),
        .effects = effects_parse(params),
        .extend = extend_parse(params),
        .is_many = variants != NULL,
        .variants = {all},
        .variant_count = variants == NULL,
    };
    watermark_parse(params, &ret_transform->watermark);
    ret_transform->is_trimmed = trim_parse(params, &ret_transform->trim);
    cJSON_ArrayForEach(item, variants)
    {
        if (ret_transform->variant_count == VARIANTS_MAX)
            break;
        struct variant *v = &ret_transform->variants[ret_transform->variant_count++];
        *v = all;
        variant_parse(item, v);
    }
    for (int i = 0; i < ret_transform->variant_count; i++)
        enlarge_box(&ret_transform->variants[i]);
}
