/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: what the parameters mean stands in image.transform.json, and transform.h says
 * how a run goes.
 */
#include "tasks/image/transform.h"

#include <string.h>

#include <cjson/cJSON.h>

#define DECODING 0.5 /* of a run with several results, as far as progress goes */

/* The kept metadata must not contradict the new picture. */
static int update_metadata(struct picture *p, bool is_upright, const struct target *target,
                           struct error *reterr)
{
    static const char *const stale[] = {"jpeg-thumbnail-data",
                                        VIPS_META_PAGE_HEIGHT,
                                        VIPS_META_N_PAGES,
                                        "delay",
                                        "gif-delay",
                                        "loop",
                                        "gif-loop"};
    size_t count = target->frames > 1 ? 1 : G_N_ELEMENTS(stale);
    VipsImage *next = NULL;

    if (picture_step(p, vips_copy(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        vips_image_remove(p->image, stale[i]);
    if (target->frames > 1)
        vips_image_set_int(p->image, VIPS_META_PAGE_HEIGHT, p->image->Ysize / target->frames);
    if (is_upright)
        vips_autorot_remove_angle(p->image);
    return 0;
}

/* Of all that the file says of itself, whose it is, and what makes an animation one. */
static int keep_copyright(struct picture *p, struct error *reterr)
{
    static const char *const kept[] = {"exif-ifd0-Copyright",
                                       "exif-ifd0-Artist",
                                       VIPS_META_PAGE_HEIGHT,
                                       VIPS_META_N_PAGES,
                                       "delay",
                                       "gif-delay",
                                       "loop",
                                       "gif-loop",
                                       NULL};
    VipsImage *next = NULL;

    if (picture_step(p, vips_copy(p->image, &next, NULL), &next, reterr) != 0)
        return -1;
    char **fields = vips_image_get_fields(p->image);
    for (char **name = fields; *name != NULL; name++)
        if (!g_strv_contains(kept, *name))
            vips_image_remove(p->image, *name);
    g_strfreev(fields);
    return 0;
}

/* Make the picture's image what crop leaves of its k-th frame. */
static int take_frame(struct picture *p, const struct plan *plan, int k, struct error *reterr)
{
    VipsRect r = plan->crop;
    r.top += k * p->height;
    return step_cut(p, &r, reterr);
}

/* All frames of the picture through the same steps, and one below the other again. */
static int make_frames(struct picture *p, struct transform *t, struct plan *plan, int i,
                       struct error *reterr)
{
    int count = plan->targets[i].frames, done = 0;
    VipsImage **frames = g_new0(VipsImage *, (size_t)count), *roll = p->image, *next = NULL;
    int result = 0;

    for (; result == 0 && done < count; done++) {
        p->image = g_object_ref(roll);
        result = take_frame(p, plan, done, reterr);
        if (result == 0)
            result = steps_apply(p, t, plan, i, reterr);
        frames[done] = p->image;
    }
    p->image = roll;
    if (result == 0)
        result =
            picture_step(p, vips_arrayjoin(frames, &next, count, "across", 1, NULL), &next, reterr);
    for (int k = 0; k < done; k++)
        g_object_unref(frames[k]);
    g_free(frames);
    return result;
}

static int make_still(struct picture *p, struct transform *t, struct plan *plan, int i,
                      struct error *reterr)
{
    if (p->frames > 1 && take_frame(p, plan, 0, reterr) != 0)
        return -1;
    return steps_apply(p, t, plan, i, reterr);
}

/* Takes the picture's image, and gives it back as it was written. */
static int make_result(struct picture *p, struct transform *t, struct plan *plan, int i,
                       struct cJSON *result, struct error *reterr)
{
    const struct target *target = &plan->targets[i];
    struct save_request save = t->variants[i].save;
    bool is_owned = save.is_stripped && t->keeps_copyright;
    struct saved saved;

    save.type = target->type;
    save.is_stripped = save.is_stripped && !is_owned;
    if ((target->frames > 1 ? make_frames(p, t, plan, i, reterr)
                            : make_still(p, t, plan, i, reterr)) != 0 ||
        update_metadata(p, t->autorotate, target, reterr) != 0 ||
        (is_owned && keep_copyright(p, reterr) != 0) || picture_save(p, &save, &saved, reterr) != 0)
        return -1;
    cJSON_AddStringToObject(result, "format", image_type_name(save.type));
    cJSON_AddNumberToObject(result, "width", p->image->Xsize);
    cJSON_AddNumberToObject(result, "height", p->image->Ysize / target->frames);
    if (target->frames > 1)
        cJSON_AddNumberToObject(result, "pages", target->frames);
    if (t->is_many)
        cJSON_AddNumberToObject(result, "bytes", (double)saved.size);
    if (save.max_bytes > 0 && saved.quality > 0)
        cJSON_AddNumberToObject(result, "quality", saved.quality);
    return 0;
}

/* Every variant begins with what was decoded: it has to be in memory, whole. */
static int make_variants(struct picture *p, struct transform *t, struct plan *plan,
                         struct cJSON *result, struct error *reterr)
{
    struct cJSON *list = cJSON_AddArrayToObject(result, "variants");
    VipsImage *decoded;
    int failed = 0;

    picture_begin_part(p, 0, DECODING);
    if (picture_to_memory(p, reterr) != 0)
        return -1;
    decoded = g_object_ref(p->image);
    for (int i = 0; i < t->variant_count && failed == 0; i++) {
        struct cJSON *item = cJSON_CreateObject();
        cJSON_AddItemToArray(list, item);
        g_object_unref(p->image);
        p->image = g_object_ref(decoded);
        picture_begin_part(p, DECODING + (1 - DECODING) * i / t->variant_count,
                           (1 - DECODING) / t->variant_count);
        failed = make_result(p, t, plan, i, item, reterr);
    }
    g_object_unref(decoded);
    return failed;
}

/* As small as the largest result allows; frames are cropped one by one. */
static int decode(struct picture *p, const struct transform *t, const struct plan *plan,
                  struct error *reterr)
{
    VipsRect crop = plan->crop;
    struct size least = {1, 1};

    if (p->frames > 1)
        return 0;
    for (int i = 0; i < t->variant_count; i++) {
        least.width = VIPS_MAX(least.width, plan->targets[i].resized_raw.width);
        least.height = VIPS_MAX(least.height, plan->targets[i].resized_raw.height);
    }
    int factor = picture_shrink_factor(p, &crop, least.width, least.height);
    if (factor > 1 && !transform_is_searching(t) && picture_reopen(p, factor, &crop, reterr) != 0)
        return -1;
    return step_cut(p, &crop, reterr);
}

/* Which of its pages or frames, and are they within the limits? */
static int choose(struct picture *p, const struct transform *t, struct error *reterr)
{
    if (t->page > 0 && picture_choose_page(p, t->page, reterr) != 0)
        return -1;
    if (transform_is_animated(t, p))
        return picture_choose_all(p, reterr);
    return picture_check(p, reterr);
}

/* The first variant is the output `image`: what the result says of that stands outside of the list
 * too, where it always stands. */
static void repeat_first(struct cJSON *result)
{
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(result, "variants"), 0), *member;
    cJSON_ArrayForEach(member, first)
    {
        if (strcmp(member->string, "bytes") != 0)
            cJSON_AddItemToObject(result, member->string, cJSON_Duplicate(member, true));
    }
}

int image_transform(struct run *run, struct error *reterr)
{
    cJSON *result = cJSON_CreateObject();
    struct transform t;
    struct picture p;
    struct plan plan;
    int failed = -1;

    transform_parse(run_params(run), &t);
    if (picture_open(&p, run, "image", reterr) == 0 && choose(&p, &t, reterr) == 0 &&
        watermark_open(&t.watermark, run, reterr) == 0 && plan_make(&t, &p, &plan, reterr) == 0 &&
        decode(&p, &t, &plan, reterr) == 0)
        failed = t.is_many ? make_variants(&p, &t, &plan, result, reterr)
                           : make_result(&p, &t, &plan, 0, result, reterr);
    watermark_release(&t.watermark);
    picture_release(&p);
    if (failed != 0) {
        cJSON_Delete(result);
        return -1;
    }
    if (t.is_many)
        repeat_first(result);
    run_result(run, result);
    return 0;
}
