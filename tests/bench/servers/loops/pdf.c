/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Poppler, cairo, libvips and qpdf called plainly.
 *
 *     pdf CASE FILE …
 */
#include <cairo.h>
#include <poppler.h>
#include <qpdf/qpdf-c.h>
#include <vips/vips.h>

#include "loop.h"

#define DPI 150.0

static PopplerDocument *document_open(const char *path)
{
    const struct loop_file *file = loop_file(path);
    GBytes *bytes = g_bytes_new_static(file->bytes, file->size);
    PopplerDocument *document = poppler_document_new_from_bytes(bytes, NULL, NULL);

    g_bytes_unref(bytes);
    if (document == NULL)
        loop_fail("no document: %s", path);
    return document;
}

static void text(char *const *words)
{
    PopplerDocument *document = document_open(words[0]);

    for (int i = 0; i < poppler_document_get_n_pages(document); i++) {
        PopplerPage *page = poppler_document_get_page(document, i);
        g_free(poppler_page_get_text(page));
        g_object_unref(page);
    }
    g_object_unref(document);
}

static cairo_surface_t *render_page(PopplerPage *page)
{
    double width, height;

    poppler_page_get_size(page, &width, &height);
    cairo_surface_t *surface = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, (int)(width * DPI / 72), (int)(height * DPI / 72));
    cairo_t *cairo = cairo_create(surface);
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_scale(cairo, DPI / 72, DPI / 72);
    poppler_page_render(page, cairo);
    cairo_destroy(cairo);
    cairo_surface_flush(surface);
    return surface;
}

/* Every page as a PNG. */
static void render(char *const *words)
{
    PopplerDocument *document = document_open(words[0]);

    for (int i = 0; i < poppler_document_get_n_pages(document); i++) {
        PopplerPage *page = poppler_document_get_page(document, i);
        cairo_surface_t *surface = render_page(page);
        int width = cairo_image_surface_get_width(surface);
        int height = cairo_image_surface_get_height(surface);
        guint32 *pixels = (guint32 *)cairo_image_surface_get_data(surface);
        unsigned char *rgb =
            (unsigned char *)pixels; /* the same place: three bytes where four were */
        for (int k = 0; k < width * height; k++) {
            guint32 pixel = pixels[k];
            rgb[3 * k] = (unsigned char)(pixel >> 16);
            rgb[3 * k + 1] = (unsigned char)(pixel >> 8);
            rgb[3 * k + 2] = (unsigned char)pixel;
        }
        VipsImage *image = vips_image_new_from_memory(rgb, (size_t)width * (size_t)height * 3,
                                                      width, height, 3, VIPS_FORMAT_UCHAR);
        void *png;
        size_t size;
        if (vips_pngsave_buffer(image, &png, &size, NULL) != 0)
            vips_error_exit("render");
        g_free(png);
        g_object_unref(image);
        cairo_surface_destroy(surface);
        g_object_unref(page);
    }
    g_object_unref(document);
}

/* All pages of all files in one. */
static void merge(char *const *words)
{
    qpdf_data whole = qpdf_init(), parts[8];
    int count = 0;

    if (qpdf_empty_pdf(whole) != QPDF_SUCCESS)
        loop_fail("qpdf does not start");
    for (; words[count] != NULL && count < 8; count++) {
        const struct loop_file *file = loop_file(words[count]);
        parts[count] = qpdf_init();
        qpdf_set_suppress_warnings(parts[count], QPDF_TRUE);
        if (qpdf_read_memory(parts[count], words[count], (const char *)file->bytes, file->size,
                             NULL) >= QPDF_ERRORS)
            loop_fail("no document: %s", words[count]);
        for (int i = 0; i < qpdf_get_num_pages(parts[count]); i++)
            qpdf_add_page(whole, parts[count], qpdf_get_page_n(parts[count], (size_t)i),
                          QPDF_FALSE);
    }
    qpdf_set_suppress_warnings(whole, QPDF_TRUE);
    if (qpdf_init_write_memory(whole) >= QPDF_ERRORS || qpdf_write(whole) >= QPDF_ERRORS ||
        qpdf_get_buffer_length(whole) == 0)
        loop_fail("qpdf does not write");
    qpdf_cleanup(&whole);
    while (count-- > 0)
        qpdf_cleanup(&parts[count]);
}

const struct loop_case loop_cases[] = {
    {"text", text}, {"render", render}, {"merge", merge}, {NULL, NULL}};
