/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * figures.h - numbers that are computed from a picture's pixels
 *
 * Pixels are 8-bit sRGB throughout, whatever the file had. Each figure is an accumulator that is
 * given the rows from top to bottom, so that a picture is decoded once and never in memory as a
 * whole; or it is computed from a miniature. Luma is Rec. ITU-R BT.601's, rounded.
 */
#ifndef IMAGE_FIGURES_H
#define IMAGE_FIGURES_H

#include <stdint.h>

#include "tasks/image/image.h"

/* pixels.c */

/* BT.601 in 16-bit fixed point. */
static inline unsigned char luma_of(const unsigned char *rgb)
{
    return (unsigned char)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 32768u) >> 16);
}

/* The light that a channel of sRGB stands for, 0 to 1 (IEC 61966-2-1). */
double linear_of(double srgb);

/* A picture's rows, one after the other: red, green, blue and alpha. */
struct pixels {
    struct picture *picture;
    int width, height, next;
    VipsRegion *region;
    unsigned char *row;
};

/* The picture is 8-bit sRGB or grey: see colour_to_srgb(). Close it, after a failure too. */
int pixels_open(struct pixels *px, struct picture *p, struct error *reterr);
void pixels_close(struct pixels *px);

/*
 * The next row, of which there are `height`; it is the caller's to change until the next call.
 * NULL: picture_failed() said why in *reterr.
 */
unsigned char *pixels_next(struct pixels *px, struct error *reterr);

/* Put the row's pixels, `width` of them, before a background. */
void pixels_flatten(unsigned char *rgba, int width, struct colour background);

/* miniature.c */

#define MINIATURE_SIDE 128

/*
 * A picture of at most 128x128 cells, each the mean of factor x factor pixels; those of the last
 * column and row may have fewer. It lies as in the file; `turn` shows it upright.
 */
struct miniature {
    int width, height, factor;
    int source_width, source_height;
    struct turn turn;
    struct colour background;
    uint64_t *sums; /* for each cell: red, green and blue times alpha, alpha */
};

/*
 * Decode the picture for a miniature: shrunk, where the decoder can do that. The miniature of a
 * file is always the same. Release it, after a failure too.
 */
int miniature_make(struct miniature *m, struct picture *p, struct colour background,
                   struct error *reterr);
void miniature_release(struct miniature *m);

/* How many pixels a cell has, and its mean before the background: 0 to 255. */
int miniature_pixels(const struct miniature *m, int x, int y);
void miniature_colour(const struct miniature *m, int x, int y, double rgb[3]);

/* Luma of the upright picture, stretched to n x n fields by averaging areas. */
void miniature_luma(const struct miniature *m, int n, double *ret_fields);

/* hash.c */

/*
 * Perceptual hashes of 64 bits: few differ between pictures that look alike.
 *
 * phash: luma in 32x32 fields; its two-dimensional DCT-II; of the 8x8 coefficients of frequency 1
 * to 8 in both directions, by rows of equal vertical frequency, a bit says "above their median".
 * (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010.)
 *
 * dhash: luma in 9x8 fields; by rows, a bit says "the right neighbour is lighter".
 *
 * The first bit is the most significant.
 */
uint64_t hash_phash(const struct miniature *m);
uint64_t hash_dhash(const struct miniature *m);

/* In how many bits they differ. */
int hash_distance(uint64_t a, uint64_t b);

/* blurhash.c */

#define BLURHASH_COMPONENTS_MAX 9
#define BLURHASH_SIZE (6 + 2 * (BLURHASH_COMPONENTS_MAX * BLURHASH_COMPONENTS_MAX - 1) + 1)

/* Algorithm.md of github.com/woltapp/blurhash, with `x` by `y` components, 1 to 9 each. */
void blurhash(const struct miniature *m, int x, int y, char ret_hash[BLURHASH_SIZE]);

/* palette.c */

#define PALETTE_MAX 16

struct palette_colour {
    unsigned char rgb[3];
    double share; /* of the visible pixels; all together 1 */
};

/*
 * The colours that stand for the picture best, at most `max` of them, the largest share first:
 * k-means of the miniature's cells in Oklab, begun by splitting boxes. Transparent pixels do not
 * count. Returns how many.
 */
int palette_of(const struct miniature *m, int max, struct palette_colour ret[PALETTE_MAX]);

/* statistics.c */

enum { CHANNEL_RED, CHANNEL_GREEN, CHANNEL_BLUE, CHANNEL_ALPHA, CHANNEL_LUMA, CHANNEL_COUNT };

struct statistics {
    int width, height;
    struct colour background;
    uint64_t histogram[CHANNEL_COUNT][256];
    unsigned char *flat, *lumas[3]; /* one row of pixels, three of luma */
    int64_t laplacian_sum, laplacian_squares;
};

/* Luma is taken before the background. Release it, after a failure too. */
int statistics_init(struct statistics *s, int width, int height, struct colour background,
                    struct error *reterr);
void statistics_release(struct statistics *s);
void statistics_add(struct statistics *s, const unsigned char *rgba, int y);

/* Shannon's, of the histogram of luma: 0 to 8 bits. */
double statistics_entropy(const struct statistics *s);

/* Variance of the Laplacian (4 neighbours) of luma, where a pixel has all four. */
double statistics_sharpness(const struct statistics *s);

/* ssim.c */

#define SSIM_WINDOW 11

struct ssim;

/*
 * Structural similarity: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, "Image Quality
 * Assessment: From Error Visibility to Structural Similarity", 2004: windows of 11x11 pixels,
 * Gaussian of sigma 1.5, K1 0.01, K2 0.03, L 255; the mean over all windows that lie within.
 * NULL when memory ran out, or when there is no such window.
 */
struct ssim *ssim_new(int width, int height);
void ssim_free(struct ssim *s);
void ssim_add(struct ssim *s, const unsigned char *luma_a, const unsigned char *luma_b);
double ssim_mean(const struct ssim *s);

#endif
