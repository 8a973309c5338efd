/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodes into the run's output as the pixels are computed. libvips hands over each piece when it
 * has one: measured as fast as encoding into one buffer, it never holds the result twice,
 * and an output over its limit ends the run there.
 */
#include "tasks/image/image.h"

struct writer {
    struct picture *picture;
    struct run_output *output;
    size_t size;
    bool is_whole;
};

static gint64 on_write(VipsTargetCustom *target, const void *bytes, gint64 size, struct writer *w)
{
    (void)target;
    if (run_write(w->output, bytes, (size_t)size, &w->picture->write_error) == 0) {
        w->size += (size_t)size;
        return size;
    }
    /* Refused, a WebP would be leaked by libvips 8.14, and there is nothing left to save by it. */
    return w->is_whole ? size : -1;
}

/* Huffman tables made for the picture: 10 % fewer bytes for a thumbnail 100 pixels wide, 1 % for
 * one of 1000, and half a millisecond for one of 400. */
static int save_jpeg(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_jpegsave_target(image, target, "Q", r->quality, "strip", r->is_stripped,
                                "optimize_coding", TRUE, "interlace", r->is_progressive, NULL);
}

/* Every row with the filter that suits it, compressed a little less: a photograph takes two thirds
 * of the bytes that libvips' defaults give, in about the same time. */
static int save_png(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    if (r->has_palette)
        return vips_pngsave_target(image, target, "strip", r->is_stripped, "interlace",
                                   r->is_progressive, "palette", TRUE, "Q", r->quality, NULL);
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
                               r->is_progressive, NULL);
}

/* What every reader of TIFF knows. */
static int save_tiff(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_tiffsave_target(image, target, "strip", r->is_stripped, "compression",
                                VIPS_FOREIGN_TIFF_COMPRESSION_LZW, "predictor",
                                VIPS_FOREIGN_TIFF_PREDICTOR_HORIZONTAL, NULL);
}

static const struct saver {
    int (*save)(VipsImage *image, VipsTarget *target, const struct save_request *r);
    int quality;    /* when none was asked for */
    bool is_whole;  /* it comes in one piece */
    bool goes_back; /* it writes into what it has written before */
} savers[IMAGE_TYPE_COUNT] = {
    [IMAGE_JPEG] = {save_jpeg, 80, false, false}, [IMAGE_PNG] = {save_png, 100, false, false},
    [IMAGE_WEBP] = {save_webp, 80, true, false},  [IMAGE_GIF] = {save_gif, 0, false, false},
    [IMAGE_TIFF] = {save_tiff, 0, false, true},
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
    *ret_blob = blob;
    return 0;
}

static int write_blob(struct picture *p, const struct save_request *r, VipsBlob *blob,
                      size_t *ret_size, struct error *reterr)
{
    const void *bytes = vips_blob_get(blob, ret_size);
    struct run_output *out = run_output(p->run, r->output, image_type_media_type(r->type));
    int failed = run_write(out, bytes, *ret_size, reterr);

    vips_area_unref(VIPS_AREA(blob));
    return failed;
}

static int encode_as_computed(struct picture *p, const struct save_request *r, size_t *ret_size,
                              struct error *reterr)
{
    if (picture_watch(p, reterr) != 0)
        return -1;
    const char *media_type = image_type_media_type(r->type);
    struct writer w = {.picture = p,
                       .output = run_output(p->run, r->output, media_type),
                       .is_whole = savers[r->type].is_whole};
    VipsTargetCustom *target = vips_target_custom_new();

    g_signal_connect(target, "write", G_CALLBACK(on_write), &w);
    int failed = savers[r->type].save(p->image, VIPS_TARGET(target), r);
    g_object_unref(target);
    *ret_size = w.size;
    return failed != 0 || p->write_error.code != ERR_NONE ? picture_failed(p, reterr) : 0;
}

int picture_save(struct picture *p, const struct save_request *request, size_t *ret_size,
                 struct error *reterr)
{
    struct save_request r = *request;
    VipsBlob *blob = NULL;

    if (r.quality == 0)
        r.quality = savers[r.type].quality;
    if (!savers[r.type].goes_back)
        return encode_as_computed(p, &r, ret_size, reterr);
    if (encode(p, &r, &blob, reterr) != 0)
        return -1;
    return write_blob(p, &r, blob, ret_size, reterr);
}
