/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raster.h - a page as pixels
 *
 * Used by the modules pdf and ocr. Drawn is what viewers show: the crop box, turned as the page
 * says, with its annotations. The descriptor has the limit max_megapixels.
 *
 * Poppler reports no progress while it draws a page; a run that has to stop ends it by the end of
 * what it reads, see stream.h.
 */
#ifndef PDF_RASTER_H
#define PDF_RASTER_H

#include <stdbool.h>

#include <poppler.h>

#include "tasks/task.h"

struct raster_size {
    int width, height; /* pixels, 1 or more */
};

/*
 * How large the page is at `dpi` pixels an inch; begun pixels count.
 * Errors: ERR_INVALID_INPUT beyond max_megapixels, or beyond 32767 along a side.
 */
int raster_measure(struct run *run, PopplerPage *page, double dpi, struct raster_size *ret_size,
                   struct error *reterr);

/*
 * Draw the page at `dpi`, on white (CAIRO_FORMAT_RGB24) or on nothing (CAIRO_FORMAT_ARGB32). What
 * of the page is damaged is left out, as viewers do. The surface is the caller's.
 * Errors: as raster_measure(), before anything is allocated; ERR_INVALID_INPUT when the page cannot
 * be drawn; ERR_STOPPED; ERR_INTERNAL when memory ran out.
 */
int raster_page(struct run *run, PopplerPage *page, double dpi, bool is_transparent,
                cairo_surface_t **ret_surface, struct error *reterr);

#endif
