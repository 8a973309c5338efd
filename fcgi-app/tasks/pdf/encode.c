/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encodes PNG by libpng, row by row: between libvips' threads, a page of text waited for a sixth of
 * its time. The other formats are encoded by libvips, which Debian builds with libraries under the
 * GPL. Its encoders pull strips of a few rows. Both are given pixels that are converted from
 * cairo's as they are wanted: there is no second copy of the picture.
 */
#include "tasks/pdf/encode.h"

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <vips/vips.h>

#define STRIP_ROWS 16        /* of PNG, between two looks at the stop flag */
#define PNG_CHUNK (64 << 10) /* bytes of pixels, compressed, that come at once */

struct encoder {
    struct run *run;
    const struct encode_request *request;
    struct run_output *output;
    const unsigned char *pixels; /* rows of 32 bits each: alpha, red, green, blue from the top */
    int stride, width, height, bands;
    void (*convert)(const uint32_t *in, unsigned char *out, int width);
    bool is_stopped;
    struct error write_error; /* of run_write(), called by a library that has no word for it */
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

/* Is the run to go on? It is about to encode that row. */
static bool goes_on(struct encoder *e, int row)
{
    double fraction = (double)row / e->height;
    if (!e->is_stopped &&
        !run_progress(e->run, e->request->begin + e->request->span * fraction, "encoding"))
        e->is_stopped = true;
    return !e->is_stopped;
}

static const uint32_t *pixels_of(const struct encoder *e, int row)
{
    return (const uint32_t *)(const void *)(e->pixels + (ptrdiff_t)row * e->stride);
}

/* vips_image_generate() callback. */
static int generate(VipsRegion *out, void *seq, void *encoder, void *unused, gboolean *stop)
{
    struct encoder *e = encoder;
    const VipsRect *r = &out->valid;
    (void)seq;
    (void)unused;
    (void)stop;

    if (!goes_on(e, r->top))
        return -1;
    for (int y = 0; y < r->height; y++)
        e->convert(pixels_of(e, r->top + y) + r->left, out->data + (ptrdiff_t)y * out->bpl,
                   r->width);
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

static VipsImage *pipeline_new(struct encoder *e)
{
    double pixels_per_mm = e->request->dpi / 25.4;
    VipsImage *image = vips_image_new();

    vips_image_init_fields(image, e->width, e->height, e->bands, VIPS_FORMAT_UCHAR,
                           VIPS_CODING_NONE,
                           e->bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB,
                           pixels_per_mm, pixels_per_mm);
    if (vips_image_pipelinev(image, VIPS_DEMAND_STYLE_THINSTRIP, NULL) != 0 ||
        vips_image_generate(image, NULL, generate, NULL, e, NULL) != 0)
        g_clear_object(&image);
    return image;
}

static int save(VipsImage *image, VipsTarget *target, const struct encode_request *r)
{
    if (r->format == ENCODE_JPEG)
        return vips_jpegsave_target(image, target, "Q", r->quality, "strip", TRUE,
                                    "optimize_coding", TRUE, NULL);
    return vips_webpsave_target(image, target, "Q", r->quality, "strip", TRUE, NULL);
}

static int encode_by_vips(struct encoder *e, struct error *reterr)
{
    VipsImage *image = pipeline_new(e);
    int failed = -1;

    if (image != NULL) {
        VipsTargetCustom *target = vips_target_custom_new();
        g_signal_connect(target, "write", G_CALLBACK(on_write), e);
        failed = save(image, VIPS_TARGET(target), e->request);
        g_object_unref(target);
        g_object_unref(image);
    }
    if (failed != 0)
        error_internal(reterr, "libvips does not encode: %s", vips_error_buffer());
    vips_error_clear();
    vips_thread_shutdown(); /* what libvips keeps of a thread, which may be none of its own */
    return failed;
}

/* ---- PNG */

struct png_writer {
    struct encoder *encoder;
    png_structp png;
    png_infop info;
    unsigned char *row;
    char words[128]; /* libpng's, when it gives up */
};

_Noreturn static void on_png_error(png_structp png, const char *words)
{
    struct png_writer *w = png_get_error_ptr(png);
    g_strlcpy(w->words, words, sizeof(w->words));
    png_longjmp(png, 1);
}

static void on_png_warning(png_structp png, const char *words)
{
    (void)png;
    (void)words;
}

static void on_png_write(png_structp png, png_bytep bytes, size_t size)
{
    struct encoder *e = ((struct png_writer *)png_get_io_ptr(png))->encoder;
    if (run_write(e->output, bytes, size, &e->write_error) != 0)
        png_error(png, "refused");
}

/* Without one libpng would take the writer for a FILE, if it ever flushed. */
static void on_png_flush(png_structp png)
{
    (void)png;
}

static const int png_colours[] = {[1] = PNG_COLOR_TYPE_GRAY,
                                  [2] = PNG_COLOR_TYPE_GRAY_ALPHA,
                                  [3] = PNG_COLOR_TYPE_RGB,
                                  [4] = PNG_COLOR_TYPE_RGB_ALPHA};

/* Without filters: they help photographs, and make pages of text larger and slower by half. */
static void write_png_head(const struct png_writer *w)
{
    const struct encoder *e = w->encoder;
    png_uint_32 pixels_per_m = (png_uint_32)lround(e->request->dpi / 0.0254);

    png_set_write_fn(w->png, (void *)w, on_png_write, on_png_flush);
    png_set_filter(w->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE);
    png_set_compression_level(w->png, 6);
    png_set_compression_buffer_size(w->png, PNG_CHUNK);
    png_set_IHDR(w->png, w->info, (png_uint_32)e->width, (png_uint_32)e->height, 8,
                 png_colours[e->bands], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_pHYs(w->png, w->info, pixels_per_m, pixels_per_m, PNG_RESOLUTION_METER);
    png_write_info(w->png, w->info);
}

/* What libpng calls an error comes back here a second time; nothing that changes is kept in
 * variables. */
static int write_png(const struct png_writer *w)
{
    struct encoder *e = w->encoder;

    if (setjmp(png_jmpbuf(w->png)) != 0)
        return -1;
    write_png_head(w);
    for (int y = 0; y < e->height; y++) {
        if (y % STRIP_ROWS == 0 && !goes_on(e, y))
            return -1;
        e->convert(pixels_of(e, y), w->row, e->width);
        png_write_row(w->png, w->row);
    }
    png_write_end(w->png, w->info);
    return 0;
}

static int encode_by_png(struct encoder *e, struct error *reterr)
{
    struct png_writer w = {.encoder = e, .words = "out of memory"};

    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &w, on_png_error, on_png_warning);
    w.info = w.png != NULL ? png_create_info_struct(w.png) : NULL;
    w.row = g_try_malloc_n((size_t)e->width, (size_t)e->bands);
    int failed = w.info != NULL && w.row != NULL ? write_png(&w) : -1;
    if (failed != 0)
        error_internal(reterr, "libpng does not encode: %s", w.words);
    png_destroy_write_struct(&w.png, &w.info);
    g_free(w.row);
    return failed;
}

int encode_surface(struct run *run, cairo_surface_t *surface, const struct encode_request *request,
                   struct error *reterr)
{
    bool has_alpha = cairo_image_surface_get_format(surface) == CAIRO_FORMAT_ARGB32;
    bool is_gray = request->is_gray;
    struct encoder e = {.run = run,
                        .request = request,
                        .output =
                            run_output(run, request->output, formats[request->format].media_type),
                        .pixels = cairo_image_surface_get_data(surface),
                        .stride = cairo_image_surface_get_stride(surface),
                        .width = cairo_image_surface_get_width(surface),
                        .height = cairo_image_surface_get_height(surface),
                        .bands = (is_gray ? 1 : 3) + has_alpha};

    e.convert =
        is_gray ? (has_alpha ? to_gray_alpha : to_gray) : (has_alpha ? to_rgb_alpha : to_rgb);
    int failed =
        request->format == ENCODE_PNG ? encode_by_png(&e, reterr) : encode_by_vips(&e, reterr);
    if (e.is_stopped)
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    if (e.write_error.code != ERR_NONE) {
        *reterr = e.write_error;
        return -1;
    }
    return failed;
}
