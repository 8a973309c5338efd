/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodes into the run's output as the pixels are computed. libvips hands over each piece when it
 * has one: measured as fast as encoding into one buffer, it never holds the result twice,
 * and an output over its limit ends the run there.
 */
#include "tasks/image/image.h"

#include <stdint.h>

/* libvips 8.14 asks for rows, and says nothing while libwebp and libaom encode: told to stop then,
 * a run ends when the file is done, or is killed after the grace. */

struct writer {
    struct picture *picture;
    struct run_output *output;
    size_t size;
    bool is_webp, is_stripped; /* a WebP comes in one piece */
};

#define ENCODINGS_MAX 8 /* one, and then the halvings of 1 to 99 */

static gint64 on_write(VipsTargetCustom *target, const void *bytes, gint64 size, struct writer *w)
{
    size_t written_size = (size_t)size;
    void *stripped =
        w->is_webp && w->is_stripped ? webp_strip(bytes, written_size, &written_size) : NULL;
    int failed = run_write(w->output, stripped != NULL ? stripped : bytes, written_size,
                           &w->picture->write_error);

    (void)target;
    g_free(stripped);
    w->size += written_size;
    /* Refused, a WebP would be leaked by libvips 8.14, and there is nothing left to save by it. */
    return failed == 0 || w->is_webp ? size : -1;
}

/* Huffman tables made for the picture: 10 % fewer bytes for a thumbnail 100 pixels wide, 1 % for
 * one of 1000, and half a millisecond for one of 400. */
static int save_jpeg(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_jpegsave_target(image, target, "Q", r->quality, "strip", r->is_stripped,
                                "optimize_coding", TRUE, "interlace", r->is_progressive, NULL);
}

/* Of a place in a palette. */
static int palette_bits(const struct save_request *r)
{
    int bits = 8;

    while (r->colours > 0 && bits > 1 && 1 << bits > r->colours)
        bits /= 2;
    return bits;
}

/* Every row with the filter that suits it, compressed a little less: a photograph takes two thirds
 * of the bytes that libvips' defaults give, in about the same time. */
static int save_png(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    if (r->has_palette)
        return vips_pngsave_target(image, target, "strip", r->is_stripped, "interlace",
                                   r->is_progressive, "palette", TRUE, "bitdepth", palette_bits(r),
                                   "Q", r->quality, NULL);
    return vips_pngsave_target(image, target, "strip", r->is_stripped, "interlace",
                               r->is_progressive, "filter", VIPS_FOREIGN_PNG_FILTER_ALL,
                               "compression", 4, NULL);
}

static int save_webp(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_webpsave_target(image, target, "Q", r->quality, "strip", r->is_stripped, "lossless",
                                r->is_lossless, NULL);
}

static int save_gif(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_gifsave_target(image, target, "strip", r->is_stripped, "interlace",
                               r->is_progressive, "bitdepth", palette_bits(r), NULL);
}

/* What every reader of TIFF knows. */
static int save_tiff(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_tiffsave_target(image, target, "strip", r->is_stripped, "compression",
                                VIPS_FOREIGN_TIFF_COMPRESSION_LZW, "predictor",
                                VIPS_FOREIGN_TIFF_PREDICTOR_HORIZONTAL, NULL);
}

/* At effort 0 a twentieth of a second a megapixel, a tenth when it is full of noise (6 megapixels,
 * one core of 2.5 GHz); at 1 it took two to three times as long for less than a per cent of the
 * bytes. So max_avif_megapixels fit into the deadline on a host five times as slow. A picture of
 * quality 60 has the error of a JPEG of 80 in half the bytes. */
static int save_avif(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_heifsave_target(image, target, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1,
                                "Q", r->quality, "strip", r->is_stripped, "lossless",
                                r->is_lossless, "effort", 0, NULL);
}

static const struct saver {
    int (*save)(VipsImage *image, VipsTarget *target, const struct save_request *r);
    int quality;    /* when none was asked for */
    bool goes_back; /* it writes into what it has written before */
} savers[IMAGE_TYPE_COUNT] = {
    [IMAGE_JPEG] = {save_jpeg, 80, false}, [IMAGE_PNG] = {save_png, 100, false},
    [IMAGE_WEBP] = {save_webp, 80, false}, [IMAGE_GIF] = {save_gif, 0, false},
    [IMAGE_TIFF] = {save_tiff, 0, true},   [IMAGE_AVIF] = {save_avif, 60, false},
};

bool image_type_is_writable(enum image_type type)
{
    return savers[type].save != NULL;
}

/* The picture's image as the bytes of a file, of libvips' heap. */
static int encode(struct picture *p, const struct save_request *r, VipsBlob **ret_blob,
                  struct error *reterr)
{
    VipsTarget *target = vips_target_new_to_memory();
    VipsBlob *blob = NULL;

    if (target == NULL || picture_watch(p, reterr) != 0 ||
        savers[r->type].save(p->image, target, r) != 0) {
        VIPS_UNREF(target);
        return picture_failed(p, reterr);
    }
    g_object_get(target, "blob", &blob, NULL);
    g_object_unref(target);
    if (r->type == IMAGE_WEBP && r->is_stripped) {
        VipsArea *whole = VIPS_AREA(blob);
        size_t size;
        void *stripped = webp_strip(whole->data, whole->length, &size);
        vips_area_unref(whole);
        blob = vips_blob_new((VipsCallbackFn)vips_area_free_cb, stripped, size);
    }
    *ret_blob = blob;
    return 0;
}

static int write_blob(struct picture *p, const struct save_request *r, VipsBlob *blob,
                      struct error *reterr)
{
    size_t size;
    const void *bytes = vips_blob_get(blob, &size);
    struct run_output *out = run_output(p->run, r->output, image_type_media_type(r->type));

    return run_write(out, bytes, size, reterr);
}

static bool is_lossy(const struct save_request *r)
{
    return savers[r->type].quality > 0 && !r->is_lossless &&
           (r->type != IMAGE_PNG || r->has_palette);
}

/*
 * Encode with the highest quality up to r->quality that takes at most r->max_bytes: halve the range
 * until nothing is left of it. The picture's image is in memory. *ret_blob is NULL when nothing is
 * small enough, and *ret_size then the smallest size that was seen.
 */
static int search_quality(struct picture *p, struct save_request *r, VipsBlob **ret_blob,
                          size_t *ret_size, struct error *reterr)
{
    VipsImage *image = p->image;
    VipsBlob *best = NULL, *blob = NULL;
    int highest = r->quality, lowest = is_lossy(r) ? 1 : highest, best_quality = 0, failed = 0;
    double start = p->part_start, part = p->part_size / ENCODINGS_MAX;
    size_t least = SIZE_MAX;

    for (int step = 0; lowest <= highest && failed == 0; step++) {
        r->quality = step == 0 ? highest : (lowest + highest) / 2;
        picture_begin_part(p, start + part * step, part);
        p->image = g_object_ref(image);
        failed = encode(p, r, &blob, reterr);
        VIPS_UNREF(p->image);
        if (failed != 0)
            break;
        least = VIPS_MIN(least, VIPS_AREA(blob)->length);
        if (VIPS_AREA(blob)->length > r->max_bytes) {
            highest = r->quality - 1;
            vips_area_unref(VIPS_AREA(blob));
            continue;
        }
        lowest = r->quality + 1;
        best_quality = r->quality;
        if (best != NULL)
            vips_area_unref(VIPS_AREA(best));
        best = blob;
    }
    p->image = image;
    r->quality = best_quality;
    *ret_blob = best;
    *ret_size = best != NULL ? VIPS_AREA(best)->length : least;
    return failed;
}

static int save_within(struct picture *p, struct save_request *r, VipsBlob **ret_blob,
                       struct error *reterr)
{
    double start = p->part_start, half = p->part_size / 2;
    size_t size;

    picture_begin_part(p, start, half);
    if (picture_to_memory(p, reterr) != 0)
        return -1;
    picture_begin_part(p, start + half, half);
    bool can_vary = is_lossy(r);
    if (search_quality(p, r, ret_blob, &size, reterr) != 0)
        return -1;
    if (*ret_blob != NULL)
        return 0;
    return error_set(reterr, ERR_INVALID_PARAMS,
                     "As %s%s, %dx%d pixels, the result has at least %zu bytes; max_bytes is %zu: "
                     "ask for a smaller width or another format.",
                     image_type_name(r->type), can_vary ? " of the lowest quality" : "",
                     p->image->Xsize, vips_image_get_page_height(p->image), size, r->max_bytes);
}

static int encode_as_computed(struct picture *p, const struct save_request *r, size_t *ret_size,
                              struct error *reterr)
{
    if (picture_watch(p, reterr) != 0)
        return -1;
    const char *media_type = image_type_media_type(r->type);
    struct writer w = {.picture = p,
                       .output = run_output(p->run, r->output, media_type),
                       .is_webp = r->type == IMAGE_WEBP,
                       .is_stripped = r->is_stripped};
    VipsTargetCustom *target = vips_target_custom_new();

    g_signal_connect(target, "write", G_CALLBACK(on_write), &w);
    int failed = savers[r->type].save(p->image, VIPS_TARGET(target), r);
    g_object_unref(target);
    *ret_size = w.size;
    return failed != 0 || p->write_error.code != ERR_NONE ? picture_failed(p, reterr) : 0;
}

int picture_save(struct picture *p, const struct save_request *request, struct saved *ret_saved,
                 struct error *reterr)
{
    struct save_request r = *request;
    VipsBlob *blob = NULL;

    if (r.quality == 0)
        r.quality = savers[r.type].quality;
    if (r.max_bytes == 0 && !savers[r.type].goes_back) {
        ret_saved->quality = is_lossy(&r) ? r.quality : 0;
        return encode_as_computed(p, &r, &ret_saved->size, reterr);
    }
    int failed = r.max_bytes > 0 ? save_within(p, &r, &blob, reterr) : encode(p, &r, &blob, reterr);
    if (failed == 0) {
        *ret_saved = (struct saved){VIPS_AREA(blob)->length, is_lossy(&r) ? r.quality : 0};
        failed = write_blob(p, &r, blob, reterr);
    }
    if (blob != NULL)
        vips_area_unref(VIPS_AREA(blob));
    return failed;
}
