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
    bool is_whole; /* it comes in one piece */
};

static gint64 on_write(VipsTargetCustom *target, const void *bytes, gint64 size, struct writer *w)
{
    (void)target;
    if (run_write(w->output, bytes, (size_t)size, &w->picture->write_error) == 0)
        return size;
    /* Refused, a WebP would be leaked by libvips 8.14, and there is nothing left to save by it. */
    return w->is_whole ? size : -1;
}

/* Huffman tables made for the picture: 10 % fewer bytes for a thumbnail 100 pixels wide, 1 % for
 * one of 1000, and half a millisecond for one of 400. */
static int save_jpeg(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_jpegsave_target(image, target, "Q", r->quality, "strip", r->is_stripped,
                                "optimize_coding", TRUE, NULL);
}

/* Every row with the filter that suits it, compressed a little less: a photograph takes two thirds
 * of the bytes that libvips' defaults give, in about the same time. */
static int save_png(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_pngsave_target(image, target, "strip", r->is_stripped, "filter",
                               VIPS_FOREIGN_PNG_FILTER_ALL, "compression", 4, NULL);
}

static int save_webp(VipsImage *image, VipsTarget *target, const struct save_request *r)
{
    return vips_webpsave_target(image, target, "Q", r->quality, "strip", r->is_stripped, NULL);
}

static int (*const savers[IMAGE_TYPE_COUNT])(VipsImage *image, VipsTarget *target,
                                             const struct save_request *r) = {
    [IMAGE_JPEG] = save_jpeg,
    [IMAGE_PNG] = save_png,
    [IMAGE_WEBP] = save_webp,
};

bool image_type_is_writable(enum image_type type)
{
    return savers[type] != NULL;
}

int picture_save(struct picture *p, const struct save_request *request, struct error *reterr)
{
    if (picture_watch(p, reterr) != 0)
        return -1;
    const char *media_type = image_type_media_type(request->type);
    struct writer w = {.picture = p,
                       .output = run_output(p->run, request->output, media_type),
                       .is_whole = request->type == IMAGE_WEBP};
    VipsTargetCustom *target = vips_target_custom_new();

    g_signal_connect(target, "write", G_CALLBACK(on_write), &w);
    int failed = savers[request->type](p->image, VIPS_TARGET(target), request);
    g_object_unref(target);
    return failed != 0 || p->write_error.code != ERR_NONE ? picture_failed(p, reterr) : 0;
}
