/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodes by libvips, which Debian builds with libraries under the GPL. Its encoders pull strips of
 * a few rows, which are converted from cairo's pixels as they are pulled: there is no second copy
 * of the picture.
 */
#include "tasks/pdf/encode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vips/vips.h>

struct encoder {
    struct run *run;
    const struct encode_request *request;
    struct run_output *output;
    const unsigned char *pixels; /* rows of 32 bits each: alpha, red, green, blue from the top */
    int stride, height;
    void (*convert)(const uint32_t *in, unsigned char *out, int width);
    bool is_stopped;
    struct error write_error; /* of run_write(), while libvips was writing */
};

static const struct format {
    const char *name, *media_type;
    int side_max;
} formats[ENCODE_FORMAT_COUNT] = {
    [ENCODE_PNG] = {"png", "image/png", 32767},
    [ENCODE_JPEG] = {"jpeg", "image/jpeg", 32767},
    [ENCODE_WEBP] = {"webp", "image/webp", 16383},
};

int encode_init(struct error *reterr)
{
    /* Nothing goes to a file: none can be written here. */
    setenv("VIPS_DISC_THRESHOLD", "1000g", 1);
    /* Where it looks for plug-ins, of which none is wanted. */
    setenv("VIPSHOME", "/nonexistent", 1);
    if (VIPS_INIT("gangsaw") != 0)
        return error_internal(reterr, "libvips does not start: %s", vips_error_buffer());
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* cores are shared out by processes */
    vips_cache_set_max(0);   /* nothing of a run is kept */
    return 0;
}

enum encode_format encode_format_find(const char *name)
{
    int format = 0;
    while (format < ENCODE_FORMAT_COUNT && strcmp(formats[format].name, name) != 0)
        format++;
    return (enum encode_format)format;
}

int encode_side_max(enum encode_format format)
{
    return formats[format].side_max;
}

/* Luma of ITU-R BT.601, what pdftoppm -gray draws. */
static unsigned char luma(uint32_t red, uint32_t green, uint32_t blue)
{
    return (unsigned char)((299 * red + 587 * green + 114 * blue + 500) / 1000);
}

static void to_rgb(const uint32_t *in, unsigned char *out, int width)
{
    for (int x = 0; x < width; x++, out += 3) {
        out[0] = (unsigned char)(in[x] >> 16);
        out[1] = (unsigned char)(in[x] >> 8);
        out[2] = (unsigned char)in[x];
    }
}

static void to_gray(const uint32_t *in, unsigned char *out, int width)
{
    for (int x = 0; x < width; x++)
        out[x] = luma(in[x] >> 16 & 255, in[x] >> 8 & 255, in[x] & 255);
}

/* cairo's colours are multiplied by their alpha. */
static uint32_t unmultiply(uint32_t value, uint32_t alpha)
{
    return alpha == 0 ? 0 : VIPS_MIN(255, (value * 255 + alpha / 2) / alpha);
}

static void to_rgb_alpha(const uint32_t *in, unsigned char *out, int width)
{
    for (int x = 0; x < width; x++, out += 4) {
        uint32_t alpha = in[x] >> 24;
        out[0] = (unsigned char)unmultiply(in[x] >> 16 & 255, alpha);
        out[1] = (unsigned char)unmultiply(in[x] >> 8 & 255, alpha);
        out[2] = (unsigned char)unmultiply(in[x] & 255, alpha);
        out[3] = (unsigned char)alpha;
    }
}

static void to_gray_alpha(const uint32_t *in, unsigned char *out, int width)
{
    for (int x = 0; x < width; x++, out += 2) {
        uint32_t alpha = in[x] >> 24;
        out[0] = luma(unmultiply(in[x] >> 16 & 255, alpha), unmultiply(in[x] >> 8 & 255, alpha),
                      unmultiply(in[x] & 255, alpha));
        out[1] = (unsigned char)alpha;
    }
}

/* vips_image_generate() callback. */
static int generate(VipsRegion *out, void *seq, void *encoder, void *unused, gboolean *stop)
{
    struct encoder *e = encoder;
    const VipsRect *r = &out->valid;
    (void)seq;
    (void)unused;
    (void)stop;

    double fraction = (double)r->top / e->height;
    if (e->is_stopped ||
        !run_progress(e->run, e->request->begin + e->request->span * fraction, "encoding")) {
        e->is_stopped = true;
        return -1;
    }
    for (int y = 0; y < r->height; y++) {
        const void *row = e->pixels + (ptrdiff_t)(r->top + y) * e->stride;
        e->convert((const uint32_t *)row + r->left, out->data + (ptrdiff_t)y * out->bpl, r->width);
    }
    return 0;
}

static gint64 on_write(VipsTargetCustom *target, const void *bytes, gint64 size, struct encoder *e)
{
    (void)target;
    if (run_write(e->output, bytes, (size_t)size, &e->write_error) == 0)
        return size;
    /* Refused, a WebP, which comes in one piece, would be leaked by libvips 8.14. */
    return e->request->format == ENCODE_WEBP ? size : -1;
}

static VipsImage *pipeline_new(struct encoder *e, cairo_surface_t *surface)
{
    bool has_alpha = cairo_image_surface_get_format(surface) == CAIRO_FORMAT_ARGB32;
    bool is_gray = e->request->is_gray;
    double pixels_per_mm = e->request->dpi / 25.4;
    VipsImage *image = vips_image_new();

    e->pixels = cairo_image_surface_get_data(surface);
    e->stride = cairo_image_surface_get_stride(surface);
    e->height = cairo_image_surface_get_height(surface);
    e->convert =
        is_gray ? (has_alpha ? to_gray_alpha : to_gray) : (has_alpha ? to_rgb_alpha : to_rgb);
    vips_image_init_fields(image, cairo_image_surface_get_width(surface), e->height,
                           (is_gray ? 1 : 3) + has_alpha, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                           is_gray ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                           pixels_per_mm, pixels_per_mm);
    if (vips_image_pipelinev(image, VIPS_DEMAND_STYLE_THINSTRIP, NULL) != 0 ||
        vips_image_generate(image, NULL, generate, NULL, e, NULL) != 0)
        g_clear_object(&image);
    return image;
}

/* PNG without filters: they help photographs, and make pages of text larger and slower by half. */
static int save(VipsImage *image, VipsTarget *target, const struct encode_request *r)
{
    switch (r->format) {
    case ENCODE_JPEG:
        return vips_jpegsave_target(image, target, "Q", r->quality, "strip", TRUE,
                                    "optimize_coding", TRUE, NULL);
    case ENCODE_WEBP:
        return vips_webpsave_target(image, target, "Q", r->quality, "strip", TRUE, NULL);
    default:
        return vips_pngsave_target(image, target, "strip", TRUE, "filter",
                                   VIPS_FOREIGN_PNG_FILTER_NONE, "compression", 6, NULL);
    }
}

static int set_failed(const struct encoder *e, struct error *reterr)
{
    if (e->is_stopped)
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    if (e->write_error.code != ERR_NONE) {
        *reterr = e->write_error;
        return -1;
    }
    return error_internal(reterr, "libvips does not encode: %s", vips_error_buffer());
}

int encode_surface(struct run *run, cairo_surface_t *surface, const struct encode_request *request,
                   struct error *reterr)
{
    struct encoder e = {.run = run,
                        .request = request,
                        .output =
                            run_output(run, request->output, formats[request->format].media_type)};
    VipsImage *image = pipeline_new(&e, surface);
    int failed = -1;

    if (image != NULL) {
        VipsTargetCustom *target = vips_target_custom_new();
        g_signal_connect(target, "write", G_CALLBACK(on_write), &e);
        failed = save(image, VIPS_TARGET(target), request);
        g_object_unref(target);
        g_object_unref(image);
    }
    int result = failed != 0 || e.write_error.code != ERR_NONE ? set_failed(&e, reterr) : 0;
    vips_error_clear();
    vips_thread_shutdown(); /* what libvips keeps of a thread, which may be none of its own */
    return result;
}
