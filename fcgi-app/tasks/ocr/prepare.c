/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page is made easier to read: turned upright, straightened, brought to the size that engines
 * were trained on, made black and white, freed from specks. In that order, each only when asked.
 */
#include "tasks/ocr/ocr.h"

#include <math.h>

#define TARGET_DPI 300
#define SCALE_MIN 0.25
#define SCALE_MAX 4.0
#define SCALE_WORTH 0.1 /* less of a change does nothing for recognition */

/* Letters of 10 to 12 points: how high most of their pieces are at TARGET_DPI. */
#define LETTER_HEIGHT 22.0
#define SAMPLE_SIDE 2048 /* of the middle of a page: enough letters to guess by */
#define SPECK_SIDE 200   /* what is higher is no letter, what is lower than */
#define SPECK_MIN 5      /* this is none either */

#define ORIENTATION_SURE 1.0 /* below, the page stays as it is */
#define SKEW_MAX 15.0        /* degrees that are looked for, either way */
#define SKEW_WORTH 0.1
#define SKEW_SURE 2.0
#define SPECK_RUN 3 /* pixels in a row that make something more than a speck */

#define SAUVOLA_WINDOW 20    /* half the side, in pixels: about a line of text */
#define SAUVOLA_FACTOR 0.35F /* Leptonica's proposal */
#define OTSU_FRACTION 0.1F   /* the same */

static int no_memory(const struct page *page, struct error *reterr)
{
    return error_internal(reterr, "no memory to prepare page %d", page->number);
}

static int replace(struct page *page, PIX *next, struct error *reterr)
{
    if (next == NULL)
        return no_memory(page, reterr);
    pixDestroy(&page->image);
    page->image = next;
    return 0;
}

/* One threshold for the whole page, by Otsu. */
static PIX *to_ink(PIX *image)
{
    PIX *ink = NULL, *grey = pixConvertTo8(image, 0);
    if (pixGetDepth(image) == 1)
        ink = pixCopy(NULL, image);
    else if (grey != NULL)
        (void)pixOtsuAdaptiveThreshold(grey, L_MAX(16, pixGetWidth(grey)),
                                       L_MAX(16, pixGetHeight(grey)), 0, 0, OTSU_FRACTION, NULL,
                                       &ink);
    pixDestroy(&grey);
    return ink;
}

static PIX *to_ink_locally(PIX *image)
{
    PIX *ink = NULL, *grey = pixConvertTo8(image, 0);
    int least = 2 * SAUVOLA_WINDOW + 3;
    if (grey != NULL && pixGetWidth(grey) > least && pixGetHeight(grey) > least)
        (void)pixSauvolaBinarize(grey, SAUVOLA_WINDOW, SAUVOLA_FACTOR, 1, NULL, NULL, NULL, &ink);
    pixDestroy(&grey);
    return ink != NULL ? ink : to_ink(image);
}

static int turn_upright(struct page *page, struct error *reterr)
{
    TessBaseAPI *engine;
    int degrees = 0;
    float sureness = 0, script_sureness;
    const char *script;

    if (engine_get_orientation(&engine, reterr) != 0)
        return -1;
    if (engine == NULL)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameter orient needs Tesseract's data osd, not installed here.");
    TessBaseAPISetImage2(engine, page->image);
    if (page->dpi == 0)
        TessBaseAPISetSourceResolution(engine, TARGET_DPI);
    bool is_found = TessBaseAPIDetectOrientationScript(engine, &degrees, &sureness, &script,
                                                       &script_sureness) != 0;
    TessBaseAPIClear(engine);
    if (!is_found || sureness < (float)ORIENTATION_SURE || degrees == 0)
        return 0;
    page->turned = (360 - degrees) % 360;
    return replace(page, pixRotateOrth(page->image, page->turned / 90), reterr);
}

static int straighten(struct page *page, struct error *reterr)
{
    const float degree = (float)(M_PI / 180);
    float angle = 0, sureness = 0;
    PIX *ink = to_ink(page->image);
    if (ink == NULL)
        return no_memory(page, reterr);
    int failed =
        pixFindSkewSweepAndSearch(ink, &angle, &sureness, 4, 2, (float)SKEW_MAX, 1.0F, 0.01F);
    pixDestroy(&ink);
    if (failed || sureness < (float)SKEW_SURE || fabsf(angle) < (float)SKEW_WORTH)
        return 0;
    page->skew = (double)angle;
    return replace(page,
                   pixRotate(page->image, angle * degree, L_ROTATE_AREA_MAP, L_BRING_IN_WHITE,
                             pixGetWidth(page->image), pixGetHeight(page->image)),
                   reterr);
}

/* The resolution at which letters of this height would be of common size; 0: no letters. */
static int guess_dpi(PIX *image)
{
    int width = pixGetWidth(image), height = pixGetHeight(image), guess = 0;
    BOX *box = boxCreate(L_MAX(0, (width - SAMPLE_SIDE) / 2), L_MAX(0, (height - SAMPLE_SIDE) / 2),
                         L_MIN(width, SAMPLE_SIDE), L_MIN(height, SAMPLE_SIDE));
    PIX *part = pixClipRectangle(image, box, NULL);
    PIX *ink = part != NULL ? to_ink(part) : NULL;
    BOXA *pieces = ink != NULL ? pixConnCompBB(ink, 8) : NULL;
    NUMA *heights = numaCreate(0);
    for (int i = 0; i < boxaGetCount(pieces); i++) {
        int side = 0;
        (void)boxaGetBoxGeometry(pieces, i, NULL, NULL, NULL, &side);
        if (side >= SPECK_MIN && side <= SPECK_SIDE)
            (void)numaAddNumber(heights, (float)side);
    }
    float median = 0;
    if (numaGetCount(heights) > 0 && numaGetMedian(heights, &median) == 0)
        guess = (int)lround(TARGET_DPI * (double)median / LETTER_HEIGHT);
    numaDestroy(&heights);
    boxaDestroy(&pieces);
    pixDestroy(&ink);
    pixDestroy(&part);
    boxDestroy(&box);
    return guess;
}

/* No further than the limit of pixels allows. */
static double scale_of(const struct page *page, const struct run *run, int dpi)
{
    double width = pixGetWidth(page->image), height = pixGetHeight(page->image);
    double scale = fmin(fmax((double)TARGET_DPI / dpi, SCALE_MIN), SCALE_MAX);
    scale = fmin(scale, fmax(1, sqrt(run_limit(run, "max_megapixels") * 1e6 / width / height)));
    scale = fmin(scale, fmax(1, SIDE_MAX / fmax(width, height)));
    return fabs(scale - 1) < SCALE_WORTH ? 1 : scale;
}

static int bring_to_size(struct page *page, const struct run *run, struct error *reterr)
{
    int dpi = page->dpi != 0 ? page->dpi : guess_dpi(page->image);
    double scale = dpi != 0 ? scale_of(page, run, dpi) : 1;
    if (dpi == 0)
        return 0;
    if (scale != 1) { /* grey between black and white keeps the shape of letters */
        PIX *grey =
            pixGetDepth(page->image) == 1 ? pixConvertTo8(page->image, 0) : pixClone(page->image);
        PIX *next = grey != NULL ? pixScale(grey, (float)scale, (float)scale) : NULL;
        pixDestroy(&grey);
        if (replace(page, next, reterr) != 0)
            return -1;
        page->scale = scale;
    }
    int resolution = (int)lround(dpi * scale);
    (void)pixSetResolution(page->image, resolution, resolution);
    return 0;
}

/* Only what has a few pixels in a row somewhere stays, with all that is connected to it. */
static PIX *without_specks(PIX *ink)
{
    PIX *rows = pixOpenBrick(NULL, ink, SPECK_RUN, 1);
    PIX *columns = pixOpenBrick(NULL, ink, 1, SPECK_RUN);
    PIX *seed = rows != NULL && columns != NULL ? pixOr(NULL, rows, columns) : NULL;
    PIX *clean = seed != NULL ? pixSeedfillBinary(NULL, seed, ink, 8) : NULL;
    pixDestroy(&rows);
    pixDestroy(&columns);
    pixDestroy(&seed);
    return clean;
}

static int make_ink(struct page *page, const struct options *o, struct error *reterr)
{
    PIX *ink = o->binarise == BINARISE_SAUVOLA ? to_ink_locally(page->image) : to_ink(page->image);
    if (ink != NULL && o->despeckles) {
        PIX *clean = without_specks(ink);
        pixDestroy(&ink);
        ink = clean;
    }
    if (ink == NULL)
        return no_memory(page, reterr);
    (void)pixCopyResolution(ink, page->image);
    page->ink = ink;
    return 0;
}

int page_prepare(struct page *page, struct run *run, const struct options *o, int number, PIX *pix,
                 struct error *reterr)
{
    *page = (struct page){.number = number,
                          .width = pixGetWidth(pix),
                          .height = pixGetHeight(pix),
                          .dpi = pixGetYRes(pix),
                          .scale = 1,
                          .image = pix};
    if ((o->orients && turn_upright(page, reterr) != 0) ||
        (o->deskews && straighten(page, reterr) != 0) ||
        (o->scales && bring_to_size(page, run, reterr) != 0))
        return -1;
    page->read_width = pixGetWidth(page->image);
    page->read_height = pixGetHeight(page->image);
    return o->binarise != BINARISE_NONE || o->despeckles ? make_ink(page, o, reterr) : 0;
}

void page_drop_pixels(struct page *page)
{
    pixDestroy(&page->image);
    pixDestroy(&page->ink);
}

/* The way back of one point: size, angle, turn. */
static void map_point(const struct page *page, double *x, double *y)
{
    bool is_on_side = page->turned % 180 != 0;
    double width = is_on_side ? page->height : page->width;
    double height = is_on_side ? page->width : page->height;
    double angle = page->skew * M_PI / 180;
    double from_x = *x / page->scale - page->read_width / page->scale / 2;
    double from_y = *y / page->scale - page->read_height / page->scale / 2;
    double u = from_x * cos(angle) + from_y * sin(angle) + width / 2;
    double v = from_y * cos(angle) - from_x * sin(angle) + height / 2;

    switch (page->turned) {
    case 90:
        *x = v;
        *y = width - u;
        break;
    case 180:
        *x = width - u;
        *y = height - v;
        break;
    case 270:
        *x = height - v;
        *y = u;
        break;
    default:
        *x = u;
        *y = v;
    }
}

static int within(double value, int most)
{
    return (int)fmin(fmax(value, 0), most);
}

void page_map_back(const struct page *page, int *left, int *top, int *right, int *bottom)
{
    double x_min = INFINITY, y_min = INFINITY, x_max = -INFINITY, y_max = -INFINITY;
    if (page->turned == 0 && page->skew == 0 && page->scale == 1)
        return;
    for (int corner = 0; corner < 4; corner++) {
        double x = corner % 2 == 0 ? *left : *right, y = corner < 2 ? *top : *bottom;
        map_point(page, &x, &y);
        x_min = fmin(x_min, x);
        x_max = fmax(x_max, x);
        y_min = fmin(y_min, y);
        y_max = fmax(y_max, y);
    }
    *left = within(floor(x_min + 0.01), page->width);
    *top = within(floor(y_min + 0.01), page->height);
    *right = within(ceil(x_max - 0.01), page->width);
    *bottom = within(ceil(y_max - 0.01), page->height);
}
