/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.render: pages as pictures. All pages are measured before the first is drawn: what is over a
 * limit is said before any work is done.
 */
#include "tasks/pdf/pdf.h"

#include <math.h>

#include <cjson/cJSON.h>

#include "tasks/pdf/document.h"
#include "tasks/pdf/encode.h"
#include "tasks/pdf/raster.h"
#include "tasks/pdf/selection.h"

#define PAGES_MAX 500 /* of one run: the descriptor's outputs are no more */

struct render {
    double dpi;        /* unless there is a width or a height */
    int width, height; /* the box that pages are to fill; 0: not given */
    bool is_transparent;
    struct encode_request encode;

    struct document document;
    struct selection selection;
    double *page_dpi; /* of each selected page that can be read */
    cJSON *rendered, *unreadable;
    struct error first; /* why a page could not be drawn */
};

static const cJSON *param(const struct run *run, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(run), name);
}

static int number(const struct run *run, const char *name)
{
    const cJSON *value = param(run, name);
    return cJSON_IsNumber(value) ? value->valueint : 0;
}

static int parse(struct render *r, const struct run *run, struct error *reterr)
{
    *r = (struct render){
        .dpi = param(run, "dpi")->valuedouble,
        .width = number(run, "width"),
        .height = number(run, "height"),
        .is_transparent = cJSON_IsTrue(param(run, "transparent")),
        .encode = {.output = "page",
                   .format = encode_format_find(param(run, "format")->valuestring),
                   .quality = number(run, "quality"),
                   .is_gray = cJSON_IsTrue(param(run, "grayscale"))},
    };
    if (r->is_transparent && r->encode.format == ENCODE_JPEG)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "A jpeg cannot be transparent: ask for png or webp.");
    return 0;
}

/* Resolution at which the page fills the box. */
static double dpi_for(const struct render *r, PopplerPage *page)
{
    double width, height, dpi = INFINITY;

    poppler_page_get_size(page, &width, &height);
    if (r->width > 0)
        dpi = fmin(dpi, r->width * 72 / width);
    if (r->height > 0)
        dpi = fmin(dpi, r->height * 72 / height);
    return isinf(dpi) ? r->dpi : dpi;
}

/* WebP's encoder holds the whole picture several times over. */
static int check_format(const struct render *r, struct raster_size size, int page,
                        struct error *reterr)
{
    int side_max = encode_side_max(r->encode.format);
    double limit = run_limit(r->document.run, "max_webp_megapixels");

    if (size.width > side_max || size.height > side_max)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "Page %d would be %dx%d pixels; in this format there are at most %d along "
                         "either side.",
                         page, size.width, size.height, side_max);
    if (r->encode.format == ENCODE_WEBP && (double)size.width * size.height / 1e6 > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "Page %d would be %dx%d pixels as webp; the limit max_webp_megapixels is "
                         "%g.",
                         page, size.width, size.height, limit);
    return 0;
}

static int measure_page(struct render *r, int i, struct error *reterr)
{
    struct raster_size size;
    int number = r->selection.pages[i], result = 0;
    PopplerPage *page = document_page(&r->document, number);

    if (page == NULL)
        return 0;
    r->page_dpi[i] = dpi_for(r, page);
    if (raster_measure(r->document.run, page, r->page_dpi[i], &size, reterr) != 0 ||
        check_format(r, size, number, reterr) != 0)
        result = -1;
    g_object_unref(page);
    return result;
}

static int measure(struct render *r, struct error *reterr)
{
    r->page_dpi = g_new0(double, r->selection.count);
    for (int i = 0; i < r->selection.count; i++) {
        if (!run_progress(r->document.run, 0, "measuring"))
            return error_set(reterr, ERR_STOPPED, "The run was stopped.");
        if (measure_page(r, i, reterr) != 0)
            return -1;
    }
    return 0;
}

static void add_rendered(struct render *r, int page, cairo_surface_t *surface)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "page", page);
    cJSON_AddNumberToObject(object, "width", cairo_image_surface_get_width(surface));
    cJSON_AddNumberToObject(object, "height", cairo_image_surface_get_height(surface));
    cJSON_AddItemToArray(r->rendered, object);
}

/* Draw the i-th selected page, and encode it. */
static int render_page(struct render *r, int i, struct error *reterr)
{
    int number = r->selection.pages[i], result = -1;
    cairo_surface_t *surface;
    struct error error = {.code = ERR_NONE};
    PopplerPage *page = document_page(&r->document, number);

    if (page == NULL)
        return document_note(r->unreadable, number, document_page_detail(&r->document), reterr);
    if (document_check_pictures(&r->document, number, &error) == 0 &&
        raster_page(r->document.run, page, r->page_dpi[i], r->is_transparent, &surface, &error) ==
            0) {
        r->encode.dpi = r->page_dpi[i];
        add_rendered(r, number, surface);
        result = encode_surface(r->document.run, surface, &r->encode, reterr);
        cairo_surface_destroy(surface);
    } else if (error.code == ERR_INVALID_INPUT) {
        result = document_note(r->unreadable, number, error.detail, reterr);
        if (r->first.code == ERR_NONE)
            r->first = error;
    } else {
        *reterr = error;
    }
    g_object_unref(page);
    return result;
}

static int render_all(struct render *r, struct error *reterr)
{
    int count = r->selection.count;

    for (int i = 0; i < count; i++) {
        char what[48];
        g_snprintf(what, sizeof(what), "page %d, %d of %d", r->selection.pages[i], i + 1, count);
        if (!run_progress(r->document.run, (double)i / count, what))
            return error_set(reterr, ERR_STOPPED, "Stopped after %d pages.", i);
        r->encode.begin = (i + 0.5) / count;
        r->encode.span = 0.5 / count;
        if (render_page(r, i, reterr) != 0)
            return -1;
    }
    if (!run_progress(r->document.run, 1, NULL)) /* and so the last pages could not be read */
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    if (cJSON_GetArraySize(r->rendered) > 0)
        return 0;
    if (r->first.code != ERR_NONE) {
        *reterr = r->first;
        return -1;
    }
    error_set(reterr, ERR_INVALID_INPUT, "None of the pages of the input %s can be read.",
              r->document.input->name);
    return document_explain(&r->document, reterr);
}

static void set_result(struct render *r)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "pages", r->document.pages);
    cJSON_AddItemToObject(object, "rendered", g_steal_pointer(&r->rendered));
    cJSON_AddItemToObject(object, "unreadable", g_steal_pointer(&r->unreadable));
    run_result(r->document.run, object);
}

static int render(struct render *r, struct run *run, struct error *reterr)
{
    const char *password = document_password(run);
    const char *select = cJSON_GetStringValue(param(run, "select"));

    if (document_open(&r->document, run, "document", 0, password, reterr) != 0 ||
        selection_parse(&r->selection, "select", select, r->document.pages, PAGES_MAX, reterr) !=
            0 ||
        measure(r, reterr) != 0 || render_all(r, reterr) != 0)
        return -1;
    set_result(r);
    return 0;
}

int pdf_render(struct run *run, struct error *reterr)
{
    struct render r;

    if (parse(&r, run, reterr) != 0)
        return -1;
    r.rendered = cJSON_CreateArray();
    r.unreadable = cJSON_CreateArray();
    int result = document_settle(&r.document, render(&r, run, reterr), reterr);
    cJSON_Delete(r.rendered);
    cJSON_Delete(r.unreadable);
    g_free(r.page_dpi);
    selection_release(&r.selection);
    document_release(&r.document);
    return result;
}
