/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes pictures smaller with Lanczos' kernel of three lobes, as vips_resize() does. That takes
 * pixels along a row one number at a time, a quarter of all that a thumbnail costs; here they are
 * taken by vectors, and by those of AVX2 where the processor has them. And vips_resize() knows only
 * whole pixels: of a photograph 2725 pixels wide, decoded at a quarter of its size, 681.25 are
 * there, and to take them for 681 shifts the right side of a thumbnail, which costs it more of its
 * likeness than the kernel gives.
 */
#include "tasks/image/image.h"

#include <math.h>
#include <string.h>

#define LOBES 3
#define BANDS 4  /* of a pixel as a vector; pictures have as many or fewer */
#define STEP 4   /* taps come by so many */
#define LANES 8  /* numbers that are added at once along a row */
#define BLOCK 32 /* of them in the inner loop: a row is as many, or a multiple */

/* Beyond that libvips is as quick, which shortens first; and few rows are kept. */
#define SHRINK_MAX 4
#define KEPT_MAX (16 << 20)
#define STRIP 16 /* rows that are asked for at once: two of JPEG's, at the most */
#define TAPS_MAX (2 * LOBES * SHRINK_MAX + 1 + STEP)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
typedef int lanes_int __attribute__((vector_size(LANES * sizeof(int))));
typedef float pixel __attribute__((vector_size(BANDS * sizeof(float))));

/* One direction: place i is the sum of `taps` pixels from starts[i] on, times weights[i * taps] …
 */
struct axis {
    int taps, *starts;
    float *weights;
};

struct reduction {
    struct axis x, y;
};

/*
 * What one thread keeps: the last rows of the input as numbers, from pixel `left` on, `width` of
 * them, for the next row of the result needs most of them too. Row i, of those from `begin` to
 * `end`, is at i % capacity; before end - capacity they are overwritten.
 */
struct sequence {
    VipsRegion *in;
    float *rows;
    float *sums;   /* a row of the result, as wide as the input still */
    float *result; /* and as wide as it will be, to be rounded */
    int left, width, begin, end, capacity;
    size_t stride; /* numbers in a row */
};

/* Of the two sines one is of three times the other's angle: sin 3a = 3 sin a - 4 sin^3 a. */
static double lanczos(double x)
{
    G_STATIC_ASSERT(LOBES == 3);
    if (x == 0)
        return 1;
    if (fabs(x) >= LOBES)
        return 0;
    double s = sin(G_PI * x / LOBES);
    return LOBES * (3 - 4 * s * s) * s * s / (G_PI * G_PI * x * x);
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
    for (int k = 0; k < a->taps; k++) {
        double weight = lanczos((start + k - centre) / shrink);
        weights[k] = (float)weight;
        sum += weight;
    }
    for (int k = 0; k < a->taps; k++)
        weights[k] /= (float)sum;
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

static float *numbers_new(size_t count)
{
    return g_aligned_alloc0(count, sizeof(float), sizeof(lanes));
}

/* The last pixel is taken as a whole vector, whatever its bands. */
static size_t row_size(int width, int bands)
{
    return VIPS_ROUND_UP((size_t)width * (size_t)bands + BANDS, BLOCK);
}

static void *start_sequence(VipsImage *out, void *image, void *reduction)
{
    VipsImage *in = image;
    const struct reduction *r = reduction;
    struct sequence *s = g_new0(struct sequence, 1);

    s->in = vips_region_new(in);
    s->capacity = r->y.taps;
    s->stride = row_size(in->Xsize, in->Bands);
    s->rows = numbers_new((size_t)s->capacity * s->stride);
    s->sums = numbers_new(s->stride);
    s->result = numbers_new(row_size(out->Xsize, out->Bands));
    return s;
}

static int stop_sequence(void *sequence, void *image, void *reduction)
{
    struct sequence *s = sequence;
    (void)image;
    (void)reduction;

    g_object_unref(s->in);
    g_aligned_free(s->rows);
    g_aligned_free(s->sums);
    g_aligned_free(s->result);
    g_free(s);
    return 0;
}

static float *kept_row(const struct sequence *s, int row)
{
    return s->rows + (size_t)(row % s->capacity) * s->stride;
}

/* Loops of a fixed length are what the compiler makes vectors of. */
G_ALWAYS_INLINE static inline void widen(const VipsPel *restrict from, size_t count,
                                         float *restrict to)
{
    size_t i = 0;
    for (; i + BLOCK <= count; i += BLOCK)
        for (int k = 0; k < BLOCK; k++)
            to[i + (size_t)k] = from[i + (size_t)k];
    for (; i < count; i++)
        to[i] = from[i];
}

/* To the nearest, and no less than 0 and no more than 255. `from` is a whole number of blocks. */
G_ALWAYS_INLINE static inline void round_row(const float *restrict from, size_t count,
                                             VipsPel *restrict to)
{
    for (size_t i = 0; i < count; i += BLOCK) {
        VipsPel bytes[BLOCK];
        int values[BLOCK];
        for (size_t k = 0; k < BLOCK; k += LANES) {
            lanes_int v = __builtin_convertvector(*(const lanes *)(from + i + k) + 0.5f, lanes_int);
            lanes_int above = v > 255;
            v = ((v & ~above) | (above & 255)) & (v > 0);
            memcpy(values + k, &v, sizeof(v));
        }
        for (int k = 0; k < BLOCK; k++)
            bytes[k] = (VipsPel)values[k];
        memcpy(to + i, bytes, VIPS_MIN(count - i, BLOCK));
    }
}

/* The rows that this one of the result needs, up to `end`, from the region that holds them. */
G_ALWAYS_INLINE static inline void keep_rows(struct sequence *s, int end)
{
    size_t bands = (size_t)s->in->im->Bands;

    for (; s->end < end; s->end++) {
        const VipsPel *from = s->in->data + (ptrdiff_t)s->in->bpl * (s->end - s->in->valid.top) +
                              (ptrdiff_t)bands * (s->left - s->in->valid.left);
        widen(from, (size_t)s->width * bands, kept_row(s, s->end));
    }
}

G_ALWAYS_INLINE static inline void shorten(const struct sequence *s, const struct axis *y,
                                           int place)
{
    const float *weights = y->weights + (size_t)place * (size_t)y->taps, *rows[TAPS_MAX];
    size_t count = (size_t)s->width * (size_t)s->in->im->Bands;

    for (int k = 0; k < y->taps; k++)
        rows[k] = kept_row(s, y->starts[place] + k);
    for (size_t i = 0; i < count; i += BLOCK) {
        lanes a = {0}, b = {0}, c = {0}, d = {0};
        for (int k = 0; k < y->taps; k++) {
            const lanes *from = (const lanes *)(rows[k] + i);
            a += from[0] * weights[k];
            b += from[1] * weights[k];
            c += from[2] * weights[k];
            d += from[3] * weights[k];
        }
        lanes *to = (lanes *)(s->sums + i);
        to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    }
}

G_ALWAYS_INLINE static inline pixel read_pixel(const float *from)
{
    pixel p;
    memcpy(&p, from,
           sizeof(p)); /* of fewer bands too: the next pixel overwrites what is not its own */
    return p;
}

G_ALWAYS_INLINE static inline void narrow(const struct sequence *s, const struct axis *x,
                                          size_t bands, int left, int right)
{
    float *to = s->result;

    for (int i = left; i < right; i++, to += bands) {
        const float *p = s->sums + (size_t)(x->starts[i] - s->left) * bands;
        const float *weights = x->weights + (size_t)i * (size_t)x->taps;
        pixel a = {0}, b = {0}, c = {0}, d = {0};
        for (int k = 0; k < x->taps; k += STEP, p += STEP * bands) {
            a += read_pixel(p) * weights[k];
            b += read_pixel(p + bands) * weights[k + 1];
            c += read_pixel(p + 2 * bands) * weights[k + 2];
            d += read_pixel(p + 3 * bands) * weights[k + 3];
        }
        pixel sum = (a + b) + (c + d);
        memcpy(to, &sum, sizeof(sum));
    }
}

G_ALWAYS_INLINE static inline void make_rows(VipsRegion *out, struct sequence *s,
                                             const struct reduction *r)
{
    const VipsRect *area = &out->valid;
    size_t bands = (size_t)s->in->im->Bands;

    for (int y = area->top; y < VIPS_RECT_BOTTOM(area); y++) {
        keep_rows(s, r->y.starts[y] + r->y.taps);
        shorten(s, &r->y, y);
        if (bands == 3) /* the compiler knows how many, for most pictures */
            narrow(s, &r->x, 3, area->left, VIPS_RECT_RIGHT(area));
        else
            narrow(s, &r->x, bands, area->left, VIPS_RECT_RIGHT(area));
        round_row(s->result, (size_t)area->width * bands,
                  out->data + (ptrdiff_t)out->bpl * (y - area->top));
    }
}

#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static void make_rows_avx2(VipsRegion *out, struct sequence *s,
                                                               const struct reduction *r)
{
    make_rows(out, s, r);
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define make_rows_avx2 make_rows
#define has_avx2() false
#endif

/* Is anything of what is kept of use for rows from `first` on? If not, begin there. */
static void forget(struct sequence *s, int left, int width, int first)
{
    bool fits = left == s->left && width == s->width;

    if (fits && first >= VIPS_MAX(s->begin, s->end - s->capacity) && first <= s->end)
        return;
    s->left = left;
    s->width = width;
    s->begin = s->end = first;
}

static int reduce_region(VipsRegion *out, void *sequence, void *image, void *reduction,
                         gboolean *stop)
{
    const struct reduction *r = reduction;
    const struct axis *x = &r->x, *y = &r->y;
    const VipsRect *area = &out->valid;
    struct sequence *s = sequence;
    int left = x->starts[area->left], right = x->starts[VIPS_RECT_RIGHT(area) - 1] + x->taps;
    int end = y->starts[VIPS_RECT_BOTTOM(area) - 1] + y->taps;
    (void)image;
    (void)stop;

    forget(s, left, right - left, y->starts[area->top]);
    VipsRect wanted = {left, s->end, right - left, end - s->end};
    if (wanted.height > 0 && vips_region_prepare(s->in, &wanted) != 0)
        return -1;
    if (has_avx2())
        make_rows_avx2(out, s, r);
    else
        make_rows(out, s, r);
    return 0;
}

static int reduce(VipsImage *in, VipsImage *out, const struct source_size *from, int width,
                  int height)
{
    struct reduction *r = VIPS_NEW(out, struct reduction);

    if (r == NULL || vips_image_pipelinev(out, VIPS_DEMAND_STYLE_FATSTRIP, in, NULL) != 0 ||
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

/* Copy rows of `in` that are there one after the other, beginning with the first. */
static int copy_rows(VipsImage *in, VipsImage *memory)
{
    VipsRegion *region = vips_region_new(in);
    int failed = 0;

    for (int y = 0; y < in->Ysize && failed == 0; y++) {
        VipsRect strip = {0, y, in->Xsize, VIPS_MIN(STRIP, in->Ysize - y)};
        if (y % STRIP == 0)
            failed = vips_region_prepare(region, &strip);
        if (failed == 0)
            failed = vips_image_write_line(
                memory, y, region->data + (ptrdiff_t)region->bpl * (y - region->valid.top));
    }
    g_object_unref(region);
    return failed;
}

/*
 * As vips_image_copy_memory(), in this thread: that has another one make each single row of what
 * goes only forward, and the two wait for each other some hundred times.
 */
static VipsImage *copy_to_memory(VipsImage *in)
{
    VipsImage *memory = vips_image_new_memory();

    if (vips_image_pipelinev(memory, VIPS_DEMAND_STYLE_ANY, in, NULL) == 0 &&
        copy_rows(in, memory) == 0)
        return memory;
    g_object_unref(memory);
    return NULL;
}

/*
 * The rows of a decoder that goes only forward, for whoever comes back to some of them. A few
 * megabytes are quicker kept as a whole: a cache of rows costs libvips more than these pixels do.
 */
static VipsImage *keep_input(VipsImage *in)
{
    size_t size = (size_t)in->Xsize * (size_t)in->Ysize * (size_t)in->Bands;
    VipsImage *rows = NULL;

    if (!vips_image_is_sequential(in))
        return g_object_ref(in);
    if (size <= KEPT_MAX)
        return copy_to_memory(in);
    return vips_sequential(in, &rows, "tile_height", STEP, NULL) == 0 ? rows : NULL;
}

int image_resize(VipsImage *in, VipsImage **ret_out, const struct source_size *from, int width,
                 int height)
{
    VipsImage *rows, *out;

    if (!is_reducible(in, from, width, height))
        return vips_resize(in, ret_out, (double)width / in->Xsize, "vscale",
                           (double)height / in->Ysize, NULL);
    rows = keep_input(in);
    if (rows == NULL)
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
