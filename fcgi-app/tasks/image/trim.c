/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks for a border of one colour. Whether a row is border is settled by its first pixel that is
 * not, so little more than the border itself is looked at.
 */
#include "tasks/image/image.h"

#include <math.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#define BANDS_SCANNED 5 /* as many as picture_check() lets through */
#define ROWS_A_STEP 64  /* between two questions whether to stop: 16384 pixels each, 2 ms */

/* Pixels in memory, and what the border has. Where there is alpha, it comes last, and colours count
 * as much as they are seen. */
struct scan {
    const VipsImage *image;
    int width, height; /* of one frame; those of an animation lie one below the other */
    int frames;
    bool is_deep, has_alpha;
    long border[BANDS_SCANNED], threshold;
};

bool trim_parse(const cJSON *params, struct trim *ret_trim)
{
    static const char *const sides[] = {"horizontal", "vertical", "both", NULL};
    const cJSON *trim = cJSON_GetObjectItemCaseSensitive(params, "trim");
    struct trim t = {.threshold = param_number(trim, "threshold", 10)};

    if (!cJSON_IsObject(trim))
        return false;
    t.has_background = param_colour(trim, "background", &t.background);
    int equal = param_choice(trim, "equal", sides, -1);
    t.is_equal_horizontally = equal == 0 || equal == 2;
    t.is_equal_vertically = equal == 1 || equal == 2;
    *ret_trim = t;
    return true;
}

static long sample(const struct scan *s, const VipsPel *pixel, int band)
{
    return s->is_deep ? ((const unsigned short *)pixel)[band] : pixel[band];
}

/* A pixel's channels, at 255 or 65535 times their value, however opaque it is. */
static void weigh(const struct scan *s, const VipsPel *pixel, long *ret_channels)
{
    int bands = s->image->Bands;
    long opaque = s->is_deep ? 65535 : 255;
    long alpha = s->has_alpha ? sample(s, pixel, bands - 1) : opaque;

    for (int i = 0; i < bands; i++)
        ret_channels[i] = sample(s, pixel, i) * alpha;
    if (s->has_alpha)
        ret_channels[bands - 1] = alpha * opaque;
}

static bool is_border(const struct scan *s, const VipsPel *pixel)
{
    long channels[BANDS_SCANNED];

    weigh(s, pixel, channels);
    for (int i = 0; i < s->image->Bands; i++)
        if (labs(channels[i] - s->border[i]) > s->threshold)
            return false;
    return true;
}

/* How many pixels of a row, at most `limit`, are border from `x` on in this direction. */
static int run_length(const struct scan *s, int y, int x, int direction, int limit)
{
    int n = 0;

    while (n < limit && is_border(s, image_pixel(s->image, x + direction * n, y)))
        n++;
    return n;
}

/* Stop between rows, which have too few pixels to take long. */
static bool goes_on(struct picture *p, int y)
{
    if (y % ROWS_A_STEP == 0 && !run_progress(p->run, p->done, NULL))
        p->is_stopped = true;
    return !p->is_stopped;
}

/* How many of the frames' first (last) rows, at most `limit`, are border in all frames. */
static int count_rows(struct picture *p, const struct scan *s, bool is_top, int limit)
{
    int least = limit;

    for (int frame = 0; frame < s->frames; frame++) {
        int n = 0;
        while (n < least && goes_on(p, n)) {
            int y = frame * s->height + (is_top ? n : s->height - 1 - n);
            if (run_length(s, y, 0, 1, s->width) < s->width)
                break;
            n++;
        }
        least = n;
    }
    return least;
}

static void find_sides(struct picture *p, const struct scan *s, VipsRect *r)
{
    int left = s->width, right = s->width;

    for (int frame = 0; frame < s->frames; frame++)
        for (int y = r->top; y < r->top + r->height && goes_on(p, y); y++) {
            left = run_length(s, frame * s->height + y, 0, 1, left);
            right = run_length(s, frame * s->height + y, s->width - 1, -1, right);
        }
    r->left = left;
    r->width = s->width - left - right;
}

/* The colour asked for, or that of the upright picture's first pixel. */
static void choose_border(const struct trim *trim, struct turn upright, struct scan *s)
{
    VipsRect first =
        turn_rect_back(upright, (struct size){s->width, s->height}, (VipsRect){0, 0, 1, 1});
    double opaque = s->is_deep ? 65535 : 255;

    if (!trim->has_background) {
        weigh(s, image_pixel(s->image, first.left, first.top), s->border);
        return;
    }
    VipsArrayDouble *pixel = colour_pixel(s->image, trim->background, s->has_alpha);
    const double *values = vips_array_double_get(pixel, NULL);
    int colours = s->image->Bands - s->has_alpha;
    double alpha = s->has_alpha ? values[colours] : opaque;
    for (int i = 0; i < colours; i++)
        s->border[i] = lround(values[i] * alpha);
    if (s->has_alpha)
        s->border[colours] = lround(alpha * opaque);
    vips_area_unref(VIPS_AREA(pixel));
}

/* What is compared: the file's own channels, or, with a colour of sRGB, the picture in sRGB. */
static int open_scan(struct picture *p, const struct trim *trim, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool is_counted = format == VIPS_FORMAT_UCHAR || format == VIPS_FORMAT_USHORT;

    if ((trim->has_background || !is_counted) && colour_to_srgb(p, false, reterr) != 0)
        return -1;
    if (trim->has_background && colour_make_room(p, trim->background, reterr) != 0)
        return -1;
    return picture_watch(p, reterr) != 0 ? -1 : picture_to_memory(p, reterr);
}

static VipsRect find(struct picture *p, const struct trim *trim, struct turn upright, int height)
{
    struct scan s = {.image = p->image,
                     .width = p->image->Xsize,
                     .height = height,
                     .frames = p->image->Ysize / height,
                     .is_deep = p->image->BandFmt == VIPS_FORMAT_USHORT,
                     .has_alpha = vips_image_hasalpha(p->image)};
    VipsRect whole = {0, 0, s.width, height};

    s.threshold = lround(trim->threshold / 255 * (s.is_deep ? 65535.0 * 65535 : 255.0 * 255));
    choose_border(trim, upright, &s);
    int above = count_rows(p, &s, true, height);
    if (above == height || p->is_stopped)
        return whole; /* nothing but border */
    VipsRect r = {.top = above};
    r.height = height - above - count_rows(p, &s, false, height - above);
    find_sides(p, &s, &r);
    return r;
}

/* As much on one side as on the other. */
static void equalise(int whole, int *start, int *length)
{
    int least = VIPS_MIN(*start, whole - *start - *length);
    *start = least;
    *length = whole - 2 * least;
}

int trim_find(struct picture *p, const struct trim *trim, struct turn upright, VipsRect *ret_rect,
              struct error *reterr)
{
    struct size raw = {p->image->Xsize, p->height}, shown = turn_size(upright, raw);

    if (picture_to_memory(p, reterr) != 0)
        return -1;
    struct picture scanned = *p;
    g_object_ref(scanned.image);
    int failed = open_scan(&scanned, trim, reterr);
    VipsRect r = failed ? (VipsRect){0} : find(&scanned, trim, upright, p->height);
    p->is_stopped = scanned.is_stopped;
    g_object_unref(scanned.image);
    if (failed || p->is_stopped)
        return picture_failed(p, reterr);
    r = turn_rect(upright, raw, r);
    if (trim->is_equal_horizontally)
        equalise(shown.width, &r.left, &r.width);
    if (trim->is_equal_vertically)
        equalise(shown.height, &r.top, &r.height);
    *ret_rect = r;
    return 0;
}
