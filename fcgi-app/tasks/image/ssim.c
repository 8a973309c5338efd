/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SSIM, row by row: each row's five signals are blurred along the row and kept until eleven of them
 * make a row of windows. Values are taken about 128, so that single precision does for squares.
 */
#include "tasks/image/figures.h"

#include <math.h>

#ifndef __clang__ /* which does so by itself; measured: a sixth of the time */
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic")
#endif

#define MIDDLE 128
#define SIGMA 1.5

enum { MEAN_A, MEAN_B, SQUARE_A, SQUARE_B, PRODUCT, SIGNAL_COUNT };

struct ssim {
    int width, columns; /* columns: windows in a row */
    int rows;           /* given so far */
    float weights[SSIM_WINDOW];
    float *signals; /* one row, not blurred: `width` each */
    float *ring;    /* SSIM_WINDOW rows, blurred: `columns` each */
    float *blurred; /* one row of windows: `columns` each */
    double sum;
    double windows;
};

struct ssim *ssim_new(int width, int height)
{
    double total = 0;
    if (width < SSIM_WINDOW || height < SSIM_WINDOW)
        return NULL;
    struct ssim *s = g_new0(struct ssim, 1);
    s->width = width;
    s->columns = width - SSIM_WINDOW + 1;
    for (int i = 0; i < SSIM_WINDOW; i++)
        total += exp(-pow(i - SSIM_WINDOW / 2, 2) / (2 * SIGMA * SIGMA));
    for (int i = 0; i < SSIM_WINDOW; i++)
        s->weights[i] = (float)(exp(-pow(i - SSIM_WINDOW / 2, 2) / (2 * SIGMA * SIGMA)) / total);
    size_t row = (size_t)s->columns * SIGNAL_COUNT;
    s->signals = g_try_new(float, (size_t)width *SIGNAL_COUNT);
    s->ring = g_try_new(float, row *SSIM_WINDOW);
    s->blurred = g_try_new(float, row);
    if (s->signals == NULL || s->ring == NULL || s->blurred == NULL) {
        ssim_free(s);
        return NULL;
    }
    return s;
}

void ssim_free(struct ssim *s)
{
    if (s == NULL)
        return;
    g_free(s->signals);
    g_free(s->ring);
    g_free(s->blurred);
    g_free(s);
}

/* out[x] = weight * in[x], added to what is there but for the first. */
static void add_weighted(float *restrict out, const float *restrict in, int count, float weight,
                         bool is_first)
{
    if (is_first)
        for (int x = 0; x < count; x++)
            out[x] = weight * in[x];
    else
        for (int x = 0; x < count; x++)
            out[x] += weight * in[x];
}

static void blur_row(struct ssim *s)
{
    float *out = s->ring + (size_t)(s->rows % SSIM_WINDOW) * (size_t)s->columns * SIGNAL_COUNT;

    for (int k = 0; k < SIGNAL_COUNT; k++)
        for (int i = 0; i < SSIM_WINDOW; i++)
            add_weighted(out + (size_t)k * (size_t)s->columns,
                         s->signals + (size_t)k * (size_t)s->width + i, s->columns, s->weights[i],
                         i == 0);
}

static void blur_columns(struct ssim *s)
{
    size_t row = (size_t)s->columns * SIGNAL_COUNT;

    for (int i = 0; i < SSIM_WINDOW; i++) /* the oldest row is the one to be written next */
        add_weighted(s->blurred, s->ring + (size_t)((s->rows + 1 + i) % SSIM_WINDOW) * row,
                     (int)row, s->weights[i], i == 0);
}

static double row_of_windows(const struct ssim *s)
{
    const float c1 = 0.01F * 255 * 0.01F * 255, c2 = 0.03F * 255 * 0.03F * 255;
    const float *signal[SIGNAL_COUNT];
    double sum = 0;

    for (int k = 0; k < SIGNAL_COUNT; k++)
        signal[k] = s->blurred + (size_t)k * (size_t)s->columns;
    for (int x = 0; x < s->columns; x++) {
        float a = signal[MEAN_A][x], b = signal[MEAN_B][x];
        float variance_a = signal[SQUARE_A][x] - a * a, variance_b = signal[SQUARE_B][x] - b * b;
        float covariance = signal[PRODUCT][x] - a * b;
        a += MIDDLE;
        b += MIDDLE;
        sum += (double)((2 * a * b + c1) * (2 * covariance + c2) /
                        ((a * a + b * b + c1) * (variance_a + variance_b + c2)));
    }
    return sum;
}

void ssim_add(struct ssim *s, const unsigned char *luma_a, const unsigned char *luma_b)
{
    float *signals = s->signals;
    size_t width = (size_t)s->width;

    for (size_t x = 0; x < width; x++) {
        float a = (float)(luma_a[x] - MIDDLE), b = (float)(luma_b[x] - MIDDLE);
        signals[MEAN_A * width + x] = a;
        signals[MEAN_B * width + x] = b;
        signals[SQUARE_A * width + x] = a * a;
        signals[SQUARE_B * width + x] = b * b;
        signals[PRODUCT * width + x] = a * b;
    }
    blur_row(s);
    if (s->rows + 1 >= SSIM_WINDOW) {
        blur_columns(s);
        s->sum += row_of_windows(s);
        s->windows += s->columns;
    }
    s->rows++;
}

double ssim_mean(const struct ssim *s)
{
    return s->sum / s->windows;
}
