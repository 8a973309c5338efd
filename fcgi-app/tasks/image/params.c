/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads the parameters of image.transform. The schema has checked them: nothing here can fail.
 */
#include "tasks/image/transform.h"

#include <string.h>

#include <cjson/cJSON.h>

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

static bool has(const cJSON *params, const char *name)
{
    return cJSON_HasObjectItem(params, name);
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

/* Of the whole task, or of one of `variants`: what that says wins over what `v` has already. */
static void variant_parse(const cJSON *params, struct variant *v)
{
    if (has(params, "width"))
        v->fit.width = number(params, "width");
    if (has(params, "height"))
        v->fit.height = number(params, "height");
    if (has(params, "fit"))
        v->fit.fit = fit_parse(text(params, "fit"));
    if (has(params, "enlarge"))
        v->fit.is_enlarging = is_true(params, "enlarge");
    if (has(params, "background"))
        v->background = colour_parse(text(params, "background"));
    if (has(params, "format"))
        v->save.type = image_type_find(text(params, "format"));
    if (has(params, "quality"))
        v->save.quality = number(params, "quality");
    if (has(params, "lossless"))
        v->save.is_lossless = is_true(params, "lossless");
    if (has(params, "progressive"))
        v->save.is_progressive = is_true(params, "progressive");
    if (has(params, "palette"))
        v->save.has_palette = is_true(params, "palette");
}

void transform_parse(const cJSON *params, struct transform *ret_transform)
{
    const cJSON *crop = cJSON_GetObjectItemCaseSensitive(params, "crop");
    const cJSON *variants = cJSON_GetObjectItemCaseSensitive(params, "variants"), *item;
    struct turn rotation = {false, number(params, "rotate") / 90};
    struct variant all = {.save = {.output = "image",
                                   .type = IMAGE_TYPE_COUNT,
                                   .is_stripped = is_true(params, "strip")}};

    variant_parse(params, &all);
    *ret_transform = (struct transform){
        .page = number(params, "page"),
        .autorotate = is_true(params, "autorotate"),
        .is_cropped = crop != NULL,
        .crop = {number(crop, "left"), number(crop, "top"), number(crop, "width"),
                 number(crop, "height")},
        .turn = turn_then(rotation, flip_parse(text(params, "flip"))),
        .is_many = variants != NULL,
        .variants = {all},
        .variant_count = variants == NULL,
    };
    cJSON_ArrayForEach(item, variants)
    {
        if (ret_transform->variant_count == VARIANTS_MAX)
            break;
        struct variant *v = &ret_transform->variants[ret_transform->variant_count++];
        *v = all;
        variant_parse(item, v);
    }
}
