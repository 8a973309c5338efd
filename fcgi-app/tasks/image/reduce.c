/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes pictures smaller with Lanczos' kernel of three lobes, as vips_resize() does. That takes
 * pixels along a row one number at a time, a quarter of all that a thumbnail costs; here a pixel is
 * one vector, whatever the processor calls that. And it knows only whole pixels: of a photograph
 * 2725 pixels wide, decoded at a quarter of its size, 681.25 are there, and to take them for 681
 * shifts the right side of a thumbnail, which costs it more of its likeness than the kernel gives.
 */
#include "tasks/image/image.h"

#include <math.h>
#include <string.h>

#define LOBES 3
#define BANDS 4 /* of a vector; pictures have as many or fewer */
#define STEP 4  /* taps come by so many */

/* Beyond that libvips is as quick, which shortens first; and few rows are kept. */
#define SHRINK_MAX 4

typedef float pixel __attribute__((vector_size(BANDS * sizeof(float))));
typedef int pixel_int __attribute__((vector_size(BANDS * sizeof(int))));
typedef VipsPel pixel_bytes __attribute__((vector_size(BANDS)));

/* One direction: place i is the sum of `taps` pixels from starts[i] on, times weights[i * taps] …
 */
struct axis {
    int taps, *starts;
    float *weights;
};

struct reduction {
    struct axis x, y;
};

/* What one thread keeps: rows of the input that are narrow already, from column `left` of the
 * result to `right`. Row i of them is at i % capacity, for the next rows of the result need most of
 * them too.
 */
struct sequence {
    VipsRegion *in;
    pixel *spread, *rows, *sums;
    int left, right, first, count, capacity;
};

static double lanczos(double x)
{
    if (x == 0)
        return 1;
    if (fabs(x) >= LOBES)
        return 0;
    return LOBES * sin(G_PI * x) * sin(G_PI * x / LOBES) / (G_PI * G_PI * x * x);
}

static int taps_for(double shrink)
{
    return VIPS_ROUND_UP((int)ceil(2 * LOBES * shrink) + 1, STEP);
}

/* Beyond the edges there is nothing, and the rest weighs one. */
static void weigh(struct axis *a, int i, double shrink, int size)
{
    double centre = (i + 0.5) * shrink - 0.5, sum = 0;
    int start = VIPS_CLIP(0, (int)ceil(centre - LOBES * shrink), size - a->taps);
    float *weights = a->weights + (size_t)i * (size_t)a->taps;

    a->starts[i] = start;
    for (int k = 0; k < a->taps; k++)
        sum += lanczos((start + k - centre) / shrink);
    for (int k = 0; k < a->taps; k++)
        weights[k] = (float)(lanczos((start + k - centre) / shrink) / sum);
}

/* From `source` pixels, of which `size` are there, to `length`. It is freed with `owner`. */
static int axis_init(struct axis *a, VipsImage *owner, double source, int size, int length)
{
    double shrink = source / length;

    a->taps = taps_for(shrink);
    a->starts = VIPS_ARRAY(owner, (size_t)length, int);
    a->weights = VIPS_ARRAY(owner, (size_t)length * (size_t)a->taps, float);
    if (a->starts == NULL || a->weights == NULL)
        return -1;
    for (int i = 0; i < length; i++)
        weigh(a, i, shrink, size);
    return 0;
}

static pixel *pixels_new(int count)
{
    return g_aligned_alloc0((size_t)count, sizeof(pixel), sizeof(pixel));
}

static void *start_sequence(VipsImage *out, void *image, void *reduction)
{
    VipsImage *in = image;
    struct sequence *s = g_new0(struct sequence, 1);
    (void)reduction;

    s->in = vips_region_new(in);
    s->spread = pixels_new(in->Xsize);
    s->sums = pixels_new(out->Xsize);
    return s;
}

static int stop_sequence(void *sequence, void *image, void *reduction)
{
    struct sequence *s = sequence;
    (void)image;
    (void)reduction;

    g_object_unref(s->in);
    g_aligned_free(s->spread);
    g_aligned_free(s->rows);
    g_aligned_free(s->sums);
    g_free(s);
    return 0;
}

static inline pixel read_pixel(const VipsPel *from, size_t size)
{
    pixel_bytes bytes = {0};
    memcpy(&bytes, from, size);
    return __builtin_convertvector(bytes, pixel);
}

/* Four bytes at a time, while there are four. */
static inline void spread(const VipsPel *from, int count, int bands, pixel *to)
{
    for (int i = 0; i < count - BANDS; i++)
        to[i] = read_pixel(from + i * bands, BANDS);
    for (int i = VIPS_MAX(0, count - BANDS); i < count; i++)
        to[i] = read_pixel(from + i * bands, (size_t)bands);
}

/* Rounded, and no less than 0 and no more than 255. */
static inline void write_pixel(pixel sum, int bands, VipsPel *to)
{
    pixel_int values = __builtin_convertvector(sum + 0.5f, pixel_int);
    pixel_int above = values > 255;
    values = ((values & ~above) | (above & 255)) & (values > 0);
    pixel_bytes bytes = __builtin_convertvector(values, pixel_bytes);
    memcpy(to, &bytes, (size_t)bands);
}

/* `from` begins where the first place needs it to. */
static void narrow(const struct axis *x, const pixel *from, int left, int right, pixel *to)
{
    int first = x->starts[left];

    for (int i = left; i < right; i++) {
        const pixel *p = from + x->starts[i] - first;
        const float *weights = x->weights + (size_t)i * (size_t)x->taps;
        pixel sum = {0};
        for (int k = 0; k < x->taps; k += STEP)
            sum += p[k] * weights[k] + p[k + 1] * weights[k + 1] + p[k + 2] * weights[k + 2] +
                   p[k + 3] * weights[k + 3];
        to[i - left] = sum;
    }
}

static pixel *kept_row(const struct sequence *s, int row)
{
    return s->rows + (size_t)(row % s->capacity) * (size_t)(s->right - s->left);
}

/* Is anything of what is kept of use for rows from `first` on? Then forget what lies before. */
static void forget(struct sequence *s, const VipsRect *area, int first, int count)
{
    bool fits = area->left == s->left && VIPS_RECT_RIGHT(area) == s->right && count <= s->capacity;

    if (fits && first >= s->first && first < s->first + s->count) {
        s->count -= first - s->first;
        s->first = first;
        return;
    }
    if (!fits) {
        g_aligned_free(s->rows);
        s->rows = pixels_new(count * area->width);
        s->capacity = count;
        s->left = area->left;
        s->right = VIPS_RECT_RIGHT(area);
    }
    s->first = first;
    s->count = 0;
}

static int keep_rows(struct sequence *s, const struct axis *x, int end)
{
    const VipsImage *in = s->in->im;
    int left = x->starts[s->left], width = x->starts[s->right - 1] + x->taps - left;
    VipsRect wanted = {left, s->first + s->count, width, end - s->first - s->count};

    if (wanted.height <= 0)
        return 0;
    if (vips_region_prepare(s->in, &wanted) != 0)
        return -1;
    for (int row = wanted.top; row < end; row++) {
        const VipsPel *from = s->in->data + (ptrdiff_t)s->in->bpl * (row - s->in->valid.top) +
                              (ptrdiff_t)in->Bands * (left - s->in->valid.left);
        if (in->Bands == 3) /* the compiler knows how many, for most pictures */
            spread(from, width, 3, s->spread);
        else
            spread(from, width, in->Bands, s->spread);
        narrow(x, s->spread, s->left, s->right, kept_row(s, row));
    }
    s->count = end - s->first;
    return 0;
}

static void shorten(const struct sequence *s, const struct axis *y, int place, int bands,
                    VipsPel *to)
{
    const float *weights = y->weights + (size_t)place * (size_t)y->taps;
    int width = s->right - s->left, start = y->starts[place];
    pixel *sums = s->sums;

    memset(sums, 0, (size_t)width * sizeof(pixel));
    for (int k = 0; k < y->taps; k += STEP) {
        const pixel *a = kept_row(s, start + k), *b = kept_row(s, start + k + 1);
        const pixel *c = kept_row(s, start + k + 2), *d = kept_row(s, start + k + 3);
        const pixel none = {0}, u = none + weights[k], v = none + weights[k + 1],
                    w = none + weights[k + 2], x = none + weights[k + 3];
        for (int i = 0; i < width; i++)
            sums[i] += a[i] * u + b[i] * v + c[i] * w + d[i] * x;
    }
    for (int i = 0; i < width; i++)
        write_pixel(sums[i], bands, to + i * bands);
}

static int reduce_region(VipsRegion *out, void *sequence, void *image, void *reduction,
                         gboolean *stop)
{
    const struct reduction *r = reduction;
    const VipsRect *area = &out->valid;
    const VipsImage *in = image;
    struct sequence *s = sequence;
    int first = r->y.starts[area->top];
    int end = r->y.starts[VIPS_RECT_BOTTOM(area) - 1] + r->y.taps;
    (void)stop;

    forget(s, area, first, end - first);
    if (keep_rows(s, &r->x, end) != 0)
        return -1;
    for (int i = 0; i < area->height; i++) {
        VipsPel *to = out->data + (ptrdiff_t)out->bpl * (area->top + i - out->valid.top);
        shorten(s, &r->y, area->top + i, in->Bands, to);
    }
    return 0;
}

static int reduce(VipsImage *in, VipsImage *out, const struct source_size *from, int width,
                  int height)
{
    struct reduction *r = VIPS_NEW(out, struct reduction);

    if (r == NULL || vips_image_pipelinev(out, VIPS_DEMAND_STYLE_THINSTRIP, in, NULL) != 0 ||
        axis_init(&r->x, out, from->width, in->Xsize, width) != 0 ||
        axis_init(&r->y, out, from->height, in->Ysize, height) != 0)
        return -1;
    out->Xsize = width;
    out->Ysize = height;
    return vips_image_generate(out, start_sequence, reduce_region, stop_sequence, in, r);
}

static bool is_reducible_to(double source, int size, int length)
{
    double shrink = source / length;
    return length <= size && shrink <= SHRINK_MAX && taps_for(shrink) <= size;
}

/* What this is for: bytes, made smaller, in sides that are as long as the kernel at least. */
static bool is_reducible(const VipsImage *in, const struct source_size *from, int width, int height)
{
    return in->BandFmt == VIPS_FORMAT_UCHAR && in->Coding == VIPS_CODING_NONE &&
           in->Bands <= BANDS && is_reducible_to(from->width, in->Xsize, width) &&
           is_reducible_to(from->height, in->Ysize, height);
}

int image_resize(VipsImage *in, VipsImage **ret_out, const struct source_size *from, int width,
                 int height)
{
    VipsImage *rows = NULL, *out;

    if (!is_reducible(in, from, width, height))
        return vips_resize(in, ret_out, (double)width / in->Xsize, "vscale",
                           (double)height / in->Ysize, NULL);
    /* Of a decoder that goes only forward: whoever asks for tiles comes back to rows he had. */
    if (vips_image_is_sequential(in) ? vips_sequential(in, &rows, "tile_height", STEP, NULL) != 0
                                     : vips_copy(in, &rows, NULL) != 0)
        return -1;
    out = vips_image_new();
    vips_object_local(out, rows);
    if (reduce(rows, out, from, width, height) != 0) {
        g_object_unref(out);
        return -1;
    }
    *ret_out = out;
    return 0;
}
