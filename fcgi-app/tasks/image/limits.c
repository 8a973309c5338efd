/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the results of image.transform cost together, settled before a pixel is decoded: a limit
 * that each of them keeps, sixteen of them may pass.
 */
#include "tasks/image/transform.h"

/* A search for the quality encodes up to eight times, mostly at low qualities, which take less. */
#define ENCODINGS_OF_SEARCH 4

static double result_pixels(const struct target *target)
{
    return (double)target->whole.width * target->whole.height * target->frames;
}

static int check_sum(const struct transform *t, const struct picture *p, const struct plan *plan,
                     struct error *reterr)
{
    double limit = run_limit(p->run, "max_variants_megapixels"), sum = 0;

    for (int i = 0; i < t->variant_count; i++)
        sum += result_pixels(&plan->targets[i]) / 1e6;
    if (!t->is_many || sum <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "The variants would have %.4g megapixels together, all frames counted; the "
                     "limit max_variants_megapixels is %g.",
                     sum, limit);
}

/* AV1 is slow to encode, and cannot be stopped meanwhile. */
static int check_avif(const struct transform *t, const struct picture *p, const struct plan *plan,
                      struct error *reterr)
{
    double limit = run_limit(p->run, "max_avif_megapixels"), sum = 0;

    for (int i = 0; i < t->variant_count; i++) {
        const struct save_request *save = &t->variants[i].save;
        if (plan->targets[i].type == IMAGE_AVIF)
            sum += result_pixels(&plan->targets[i]) / 1e6 *
                   (save->max_bytes > 0 && !save->is_lossless ? ENCODINGS_OF_SEARCH : 1);
    }
    if (sum <= limit)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "%.4g megapixels would be encoded as avif, those with max_bytes counted %d "
                     "times; the limit max_avif_megapixels is %g.",
                     sum, ENCODINGS_OF_SEARCH, limit);
}

/* Before encoding, some steps need the whole result, one of them a copy of it as well. */
static int copies_of_result(const struct transform *t, const struct variant *v,
                            const struct plan *plan)
{
    const struct effects *e = &t->effects;
    int copies = plan->turn.quarters != 0 || v->save.max_bytes > 0 ||
                 t->extend.with != EXTEND_BACKGROUND || gravity_is_smart(&v->gravity);
    return e->normalise || e->sharpen > 0 || e->grayscale || e->has_tint || e->has_duotone
               ? copies + 1
               : copies;
}

/*
 * In megabytes: what is kept of the source while results are made, or 0, of the result while it is
 * encoded, or 0, and what the encoder holds.
 */
struct cost {
    double source, result, encoder;
};

static struct cost cost_of(const struct transform *t, const struct picture *p,
                           const struct plan *plan, int i)
{
    const struct variant *v = &t->variants[i];
    const struct target *target = &plan->targets[i];
    bool is_opaque = !p->has_alpha && v->background.alpha >= 255 &&
                     (!t->extend.has_background || t->extend.background.alpha >= 255);
    bool is_kept = t->is_many || transform_is_searching(t);
    int bands = p->image->Bands >= 3 || !is_opaque ? 3 + !is_opaque : p->image->Bands;
    int depth = v->save.is_stripped ? 1 : (int)vips_format_sizeof(p->image->BandFmt);
    struct size source = {p->width, p->height};
    struct save_request save = v->save;
    struct cost c = {0};

    save.type = target->type;
    if (!save.is_stripped)
        bands = VIPS_MAX(bands, p->image->Bands);
    if (is_kept)
        c.source = memory_of_pixels(source, p->frames, image_pixel_bytes(p->image));
    c.result = copies_of_result(t, v, plan) *
               memory_of_pixels(target->whole, target->frames, bands * depth);
    c.encoder = memory_of_encoder(&save, target->whole, bands, depth);
    return c;
}

static double cost_of_watermark(const struct watermark *w, const struct target *target)
{
    double drawn = w->scale > 0 || w->is_repeated ? memory_of_pixels(target->whole, 1, 4) : 0;
    return w->is_picture ? memory_of_pixels((struct size){w->mark.width, w->mark.height}, 1, 4) +
                               memory_of_decoder(&w->mark) + drawn
                         : drawn;
}

/* What is kept whole lets the decoder go before the encoder begins. */
static int check_memory(const struct transform *t, const struct picture *p, const struct plan *plan,
                        struct error *reterr)
{
    double decoder = memory_of_decoder(p);

    for (int i = 0; i < t->variant_count; i++) {
        const struct target *target = &plan->targets[i];
        struct cost c = cost_of(t, p, plan, i);
        double mark =
            watermark_is_asked(&t->watermark) ? cost_of_watermark(&t->watermark, target) : 0;
        double decoding = decoder + (c.source > 0 ? c.source : c.result);
        double encoding = c.source + c.result + c.encoder;
        if (c.source <= 0 && c.result <= 0)
            encoding += decoder;
        if (memory_check_result(p, target->whole, mark + VIPS_MAX(decoding, encoding), reterr) != 0)
            return -1;
    }
    return 0;
}

int limits_check(const struct transform *t, const struct picture *p, const struct plan *plan,
                 struct error *reterr)
{
    if (check_sum(t, p, plan, reterr) != 0 || check_avif(t, p, plan, reterr) != 0)
        return -1;
    return check_memory(t, p, plan, reterr);
}
