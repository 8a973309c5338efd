/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Documents of every kind, taken apart into pages of pixels. What a document is says its content,
 * and the table below is all that is ever tried.
 */
#include "tasks/ocr/ocr.h"

#include <glib.h>
#include <string.h>

#include "tasks/pdf/deep.h"
#include "tasks/pdf/raster.h"

#define PDF_DPI 300 /* what Tesseract's models were trained on */
#define DPI_MIN 50  /* a file that says less or more does not know */
#define DPI_MAX 2400
#define HEADER_WITHIN 1024 /* of a PDF, whose readers allow for bytes before it */

static const struct {
    const char *title, *media_type, *signature;
    size_t offset, size;
} kinds[SOURCE_COUNT] = {
    [SOURCE_PNG] = {"PNG", "image/png", "\x89PNG\r\n\x1a\n", 0, 8},
    [SOURCE_JPEG] = {"JPEG", "image/jpeg", "\xff\xd8\xff", 0, 3},
    [SOURCE_WEBP] = {"WebP", "image/webp", "WEBP", 8, 4},
    [SOURCE_TIFF] = {"TIFF", "image/tiff", "II*\0", 0, 4},
    [SOURCE_PDF] = {"PDF", "application/pdf", "%PDF-", 0, 5},
};

static bool has_at(const struct run_input *in, size_t offset, const char *bytes, size_t size)
{
    return in->size >= offset + size && memcmp(in->bytes + offset, bytes, size) == 0;
}

static enum source_type sniff(const struct run_input *in)
{
    for (int type = 0; type < SOURCE_COUNT; type++)
        if (has_at(in, kinds[type].offset, kinds[type].signature, kinds[type].size) &&
            (type != SOURCE_WEBP || has_at(in, 0, "RIFF", 4)))
            return (enum source_type)type;
    /* the other byte order, and TIFFs of more than 4 GB */
    if (has_at(in, 0, "MM\0*", 4) || has_at(in, 0, "II+\0", 4) || has_at(in, 0, "MM\0+", 4))
        return SOURCE_TIFF;
    return memmem(in->bytes, MIN(in->size, HEADER_WITHIN), "%PDF-", 5) != NULL ? SOURCE_PDF
                                                                               : SOURCE_COUNT;
}

/* What people send by mistake: a picture of another kind, what belongs to a document. */
static const char *name_of_other(const struct run_input *in)
{
    static const struct {
        const char *signature, *name;
    } others[] = {
        {"GIF8", "a GIF"},    {"BM", "a BMP"}, {"PK\3\4", "a ZIP file"},
        {"<", "XML or HTML"}, {"{", "JSON"},   {"[", "JSON"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (has_at(in, 0, others[i].signature, strlen(others[i].signature)))
            return others[i].name;
    if (has_at(in, 4, "ftyp", 4))
        return "HEIC, AVIF or a video";
    bool is_text = g_utf8_validate((const char *)in->bytes, (gssize)MIN(in->size, 64), NULL);
    return is_text ? "a text" : "of no kind that is known";
}

static int find_type(struct source *s, struct error *reterr)
{
    const struct run_input *in = s->input;
    if (in->size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is empty.", in->name);
    s->type = sniff(in);
    if (s->type == SOURCE_COUNT)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is %s; what can be read is PNG, JPEG, WebP, TIFF and PDF.",
                         in->name, name_of_other(in));
    if (*in->media_type != '\0' && strcmp(in->media_type, "application/octet-stream") != 0 &&
        g_ascii_strcasecmp(in->media_type, kinds[s->type].media_type) != 0)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is declared %.60s, but the content is %s.", in->name,
                         in->media_type, kinds[s->type].media_type);
    return 0;
}

static int set_broken(const struct source *s, int number, struct error *reterr)
{
    if (s->pages > 1)
        return error_set(reterr, ERR_INVALID_INPUT, "Page %d of the input %s cannot be read.",
                         number, s->input->name);
    return error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a complete, valid %s.",
                     s->input->name, kinds[s->type].title);
}

static int open_picture(struct source *s, struct error *reterr)
{
    int format, bits, samples, has_map;
    s->pages = 1;
    if (pixReadHeaderMem(s->input->bytes, s->input->size, &format, &s->width, &s->height, &bits,
                         &samples, &has_map) != 0 ||
        s->width < 1 || s->height < 1)
        return set_broken(s, 1, reterr);
    return 0;
}

static int open_tiff(struct source *s, struct error *reterr)
{
    double limit = run_limit(s->run, "max_pages");
    s->pages = tiff_list(s->input, (int)limit, &s->tiff);
    if (s->pages == 0)
        return set_broken(s, 1, reterr);
    if (s->pages > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has more pages than the limit max_pages, which is %g.",
                         s->input->name, limit);
    return 0;
}

/* What Poppler is to do, on a deep stack. */
struct pdf_call {
    struct source *source;
    const char *password;
    int number;
    cairo_surface_t *surface;
};

static int open_document(void *call, struct error *reterr)
{
    const struct pdf_call *c = call;
    struct source *s = c->source;
    return document_open(&s->document, s->run, s->input->name, 0, c->password, reterr);
}

static int open_pdf(struct source *s, const char *password, struct error *reterr)
{
    struct pdf_call call = {.source = s, .password = password};
    if (deep_call(open_document, &call, reterr) != 0)
        return -1;
    s->pages = s->document.pages;
    if (s->dpi == 0)
        s->dpi = PDF_DPI;
    return 0;
}

int source_open(struct source *s, struct run *run, const struct options *o, struct error *reterr)
{
    *s = (struct source){.run = run, .input = run_input(run, "document", 0), .dpi = o->dpi};
    if (s->input == NULL)
        return error_set(reterr, ERR_INVALID_PARAMS, "The input document is missing.");
    if (find_type(s, reterr) != 0)
        return -1;
    if (s->type == SOURCE_PDF)
        return open_pdf(s, o->password, reterr);
    return s->type == SOURCE_TIFF ? open_tiff(s, reterr) : open_picture(s, reterr);
}

void source_release(struct source *s)
{
    g_clear_pointer(&s->tiff, g_free);
    document_release(&s->document);
}

static int check_size(const struct source *s, int number, double width, double height,
                      struct error *reterr)
{
    double limit = run_limit(s->run, "max_megapixels"), megapixels = width * height / 1e6;
    if (megapixels > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "Page %d of the input %s has %.1f megapixels (%.0fx%.0f); the limit "
                         "max_megapixels is %g.",
                         number, s->input->name, megapixels, width, height, limit);
    if (width > SIDE_MAX || height > SIDE_MAX)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "Page %d of the input %s is %.0fx%.0f pixels; at most %d are read along a "
                         "side.",
                         number, s->input->name, width, height, SIDE_MAX);
    return 0;
}

static int check_pdf_page(struct source *s, int number, struct error *reterr)
{
    struct raster_size size;
    PopplerPage *page = document_page(&s->document, number);
    if (page == NULL)
        return 0; /* found damaged when its turn comes */
    int result = raster_measure(s->run, page, s->dpi, &size, reterr);
    g_object_unref(page);
    return result;
}

int source_check(struct source *s, const struct selection *pages, struct error *reterr)
{
    int result = 0;
    for (int i = 0; i < pages->count && result == 0; i++) {
        int number = pages->pages[i];
        if (s->type == SOURCE_PDF)
            result = check_pdf_page(s, number, reterr);
        else if (s->type == SOURCE_TIFF)
            result = check_size(s, number, s->tiff[number - 1].width, s->tiff[number - 1].height,
                                reterr);
        else
            result = check_size(s, number, s->width, s->height, reterr);
    }
    return result;
}

/* Cairo's pixels are 0xXXRRGGBB, Leptonica's 0xRRGGBBAA, both in the machine's order. */
static PIX *pix_from_surface(cairo_surface_t *surface)
{
    int width = cairo_image_surface_get_width(surface);
    int height = cairo_image_surface_get_height(surface);
    PIX *pix = pixCreateNoInit(width, height, 32);
    cairo_surface_flush(surface);
    for (int y = 0; pix != NULL && y < height; y++) {
        const unsigned char *row = cairo_image_surface_get_data(surface) +
                                   (size_t)y * (size_t)cairo_image_surface_get_stride(surface);
        const uint32_t *from = (const uint32_t *)(const void *)row;
        uint32_t *to = pixGetData(pix) + (size_t)y * (size_t)pixGetWpl(pix);
        for (int x = 0; x < width; x++)
            to[x] = from[x] << 8;
    }
    return pix;
}

static int draw_page(void *call, struct error *reterr)
{
    struct pdf_call *c = call;
    struct source *s = c->source;
    PopplerPage *page = document_page(&s->document, c->number);
    if (page == NULL && s->document.has_crowd)
        return error_set(reterr, ERR_INVALID_INPUT, "%s", document_page_detail(&s->document));
    if (page == NULL)
        return set_broken(s, c->number, reterr);
    int result = document_check_pictures(&s->document, c->number, reterr);
    if (result == 0)
        result = raster_page(s->run, page, s->dpi, false, &c->surface, reterr);
    g_object_unref(page);
    return result;
}

static int read_pdf(struct source *s, int number, PIX **ret_pix, struct error *reterr)
{
    struct pdf_call call = {.source = s, .number = number};
    int result = deep_call(draw_page, &call, reterr);
    if (result == 0)
        result = document_settle(&s->document, 0, reterr);
    if (result == 0)
        *ret_pix = pix_from_surface(call.surface);
    if (call.surface != NULL)
        cairo_surface_destroy(call.surface);
    if (result != 0)
        return -1;
    return *ret_pix != NULL ? 0 : error_internal(reterr, "no memory for page %d", number);
}

static PIX *decode(const struct source *s, int number)
{
    const unsigned char *bytes = s->input->bytes;
    size_t size = s->input->size, offset;

    switch (s->type) {
    case SOURCE_PNG:
        return pixReadMemPng(bytes, size);
    case SOURCE_JPEG:
        return pixReadMemJpeg(bytes, size, 0, 1, NULL, 0);
    case SOURCE_WEBP:
        return pixReadMemWebP(bytes, size);
    default:
        offset = number == 1 ? 0 : s->tiff[number - 1].offset;
        return s->tiff[number - 1].offset != 0 ? pixReadMemFromMultipageTiff(bytes, size, &offset)
                                               : NULL;
    }
}

/* No transparency, no table of colours, no 2, 4 or 16 bits. Takes `pix` over. */
static PIX *simplify(PIX *pix)
{
    PIX *steps[3];
    steps[0] = pixGetSpp(pix) == 4 ? pixAlphaBlendUniform(pix, 0xffffff00) : pixClone(pix);
    steps[1] = steps[0] != NULL ? pixRemoveColormap(steps[0], REMOVE_CMAP_BASED_ON_SRC) : NULL;
    steps[2] = steps[1] == NULL             ? NULL
               : pixGetDepth(steps[1]) == 1 ? pixClone(steps[1])
                                            : pixConvertTo8Or32(steps[1], L_CLONE, 0);
    pixDestroy(&pix);
    pixDestroy(&steps[0]);
    pixDestroy(&steps[1]);
    return steps[2];
}

/* As the camera was held. Takes `pix` over. */
static PIX *put_upright(const struct source *s, PIX *pix)
{
    static const struct {
        bool is_mirrored; /* before it is turned */
        int quarters;     /* clockwise */
    } ways[] = {{false, 0}, {true, 0},  {false, 2}, {true, 2},
                {true, 3},  {false, 1}, {true, 1},  {false, 3}};
    int way = s->type == SOURCE_JPEG ? exif_orientation(s->input) - 1 : 0;
    PIX *mirrored, *turned;

    if (pix == NULL || way == 0)
        return pix;
    mirrored = ways[way].is_mirrored ? pixFlipLR(NULL, pix) : pixClone(pix);
    turned = mirrored != NULL ? pixRotateOrth(mirrored, ways[way].quarters) : NULL;
    pixDestroy(&mirrored);
    pixDestroy(&pix);
    return turned;
}

static void set_resolution(const struct source *s, PIX *pix)
{
    int x = s->dpi, y = s->dpi;
    if (s->dpi == 0)
        (void)pixGetResolution(pix, &x, &y);
    if (y < DPI_MIN || y > DPI_MAX)
        x = y = 0;
    (void)pixSetResolution(pix, x, y);
}

int source_read(struct source *s, int number, PIX **ret_pix, struct error *reterr)
{
    PIX *pix = NULL;
    if (s->type == SOURCE_PDF) {
        if (read_pdf(s, number, &pix, reterr) != 0)
            return -1;
    } else {
        pix = decode(s, number);
        if (pix == NULL)
            return set_broken(s, number, reterr);
    }
    pix = put_upright(s, simplify(pix));
    if (pix == NULL)
        return error_internal(reterr, "no memory for page %d", number);
    set_resolution(s, pix);
    *ret_pix = pix;
    return 0;
}
