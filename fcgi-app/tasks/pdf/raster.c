/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Draws pages by Poppler's cairo back end, the one that pdftocairo and the viewers of desktops use.
 */
#include "tasks/pdf/raster.h"

#include <math.h>

#define POINTS_PER_INCH 72.0
#define SIDE_MAX 32767 /* cairo's pictures end there */

/* A thousandth of a pixel is an error of rounding, not a pixel begun. */
static double pixels(double points, double dpi)
{
    return fmax(1, ceil(points * dpi / POINTS_PER_INCH - 1e-3));
}

int raster_measure(struct run *run, PopplerPage *page, double dpi, struct raster_size *ret_size,
                   struct error *reterr)
{
    double width, height, limit = run_limit(run, "max_megapixels");
    int number = poppler_page_get_index(page) + 1;

    poppler_page_get_size(page, &width, &height);
    width = pixels(width, dpi);
    height = pixels(height, dpi);
    if (width * height / 1e6 > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "Page %d would be %.0fx%.0f pixels at %.5g dpi; the limit max_megapixels "
                         "is %g.",
                         number, width, height, dpi, limit);
    if (!(width <= SIDE_MAX && height <= SIDE_MAX))
        return error_set(
            reterr, ERR_INVALID_INPUT,
            "Page %d would be %.0fx%.0f pixels at %.5g dpi; there are at most %d along "
            "either side.",
            number, width, height, dpi, SIDE_MAX);
    *ret_size = (struct raster_size){(int)width, (int)height};
    return 0;
}

static int set_failed(PopplerPage *page, cairo_status_t status, struct error *reterr)
{
    int number = poppler_page_get_index(page) + 1;

    if (status == CAIRO_STATUS_NO_MEMORY)
        error_set(reterr, ERR_INTERNAL, "Page %d needs more memory than the run may use.", number);
    else
        error_set(reterr, ERR_INVALID_INPUT, "Page %d cannot be drawn.", number);
    return error_cause(reterr, "cairo: %s", cairo_status_to_string(status));
}

static cairo_status_t draw(PopplerPage *page, double dpi, bool is_transparent,
                           cairo_surface_t *surface)
{
    cairo_t *cr = cairo_create(surface);

    if (!is_transparent) {
        cairo_set_source_rgb(cr, 1, 1, 1);
        cairo_paint(cr);
    }
    cairo_scale(cr, dpi / POINTS_PER_INCH, dpi / POINTS_PER_INCH);
    poppler_page_render(page, cr);
    cairo_status_t status = cairo_status(cr);
    cairo_destroy(cr);
    cairo_surface_flush(surface);
    return status != CAIRO_STATUS_SUCCESS ? status : cairo_surface_status(surface);
}

int raster_page(struct run *run, PopplerPage *page, double dpi, bool is_transparent,
                cairo_surface_t **ret_surface, struct error *reterr)
{
    struct raster_size size;

    if (raster_measure(run, page, dpi, &size, reterr) != 0)
        return -1;
    cairo_surface_t *surface = cairo_image_surface_create(
        is_transparent ? CAIRO_FORMAT_ARGB32 : CAIRO_FORMAT_RGB24, size.width, size.height);
    cairo_status_t status = cairo_surface_status(surface);
    if (status == CAIRO_STATUS_SUCCESS)
        status = draw(page, dpi, is_transparent, surface);
    bool is_stopped = !run_progress(run, -1, NULL);
    if (is_stopped || status != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return is_stopped ? error_set(reterr, ERR_STOPPED, "The run was stopped.")
                          : set_failed(page, status, reterr);
    }
    *ret_surface = surface;
    return 0;
}
