/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BlurHash: the lowest frequencies of a picture, in linear light, as a string of base 83. Cells of
 * the miniature stand for their pixels: each counts as often as it has some, in their middle.
 */
#include "tasks/image/figures.h"

#include <math.h>

#define COMPONENTS BLURHASH_COMPONENTS_MAX

struct factors {
    double rgb[COMPONENTS][COMPONENTS][3]; /* by vertical, horizontal component */
    int x, y;
};

static int to_srgb(double linear)
{
    double value = CLAMP(linear, 0, 1);
    value = value <= 0.0031308 ? value * 12.92 : 1.055 * pow(value, 1 / 2.4) - 0.055;
    return (int)(value * 255 + 0.5);
}

/* Cosines along one side as the file has it, at each cell's place in the upright picture. */
static void make_waves(double waves[COMPONENTS][MINIATURE_SIDE], const struct miniature *m,
                       int cells, int length, bool is_backward)
{
    for (int c = 0; c < cells; c++) {
        int first = c * m->factor, end = VIPS_MIN(first + m->factor, length);
        double middle = (first + end - 1) / 2.0;
        if (is_backward)
            middle = length - 1 - middle;
        for (int k = 0; k < COMPONENTS; k++)
            waves[k][c] = cos(G_PI * k * middle / length);
    }
}

static void add_cell(struct factors *f, const double linear[3], double weight,
                     double waves_x[COMPONENTS][MINIATURE_SIDE],
                     double waves_y[COMPONENTS][MINIATURE_SIDE], int x, int y, bool is_lying)
{
    for (int j = 0; j < f->y; j++)
        for (int i = 0; i < f->x; i++) {
            double basis =
                weight * (is_lying ? waves_x[j][x] * waves_y[i][y] : waves_x[i][x] * waves_y[j][y]);
            for (int k = 0; k < 3; k++)
                f->rgb[j][i][k] += basis * linear[k];
        }
}

static void compute(struct factors *f, const struct miniature *m)
{
    static const bool backward_x[] = {false, false, true, true};
    static const bool backward_y[] = {false, true, true, false};
    double waves_x[COMPONENTS][MINIATURE_SIDE], waves_y[COMPONENTS][MINIATURE_SIDE];
    double pixels = (double)m->source_width * m->source_height;
    int quarters = m->turn.quarters;

    make_waves(waves_x, m, m->width, m->source_width, backward_x[quarters] != m->turn.is_mirrored);
    make_waves(waves_y, m, m->height, m->source_height, backward_y[quarters]);
    for (int y = 0; y < m->height; y++)
        for (int x = 0; x < m->width; x++) {
            double linear[3];
            miniature_colour(m, x, y, linear);
            for (int k = 0; k < 3; k++)
                linear[k] = linear_of(linear[k]);
            add_cell(f, linear, miniature_pixels(m, x, y) / pixels, waves_x, waves_y, x, y,
                     quarters % 2 == 1);
        }
    for (int j = 0; j < f->y; j++)
        for (int i = 0; i < f->x; i++)
            for (int k = 0; k < 3; k++)
                f->rgb[j][i][k] *= i == 0 && j == 0 ? 1 : 2;
}

static char *put(char *at, int value, int digits)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
    for (int i = digits - 1; i >= 0; i--, value /= 83)
        at[i] = alphabet[value % 83];
    return at + digits;
}

static int quantize(double value, double max)
{
    double root = copysign(sqrt(fabs(value / max)), value);
    return (int)CLAMP(floor(root * 9 + 9.5), 0, 18);
}

static double largest(const struct factors *f)
{
    double max = 0;
    for (int j = 0; j < f->y; j++)
        for (int i = 0; i < f->x; i++)
            for (int k = 0; k < 3 && i + j > 0; k++)
                max = VIPS_MAX(max, fabs(f->rgb[j][i][k]));
    return max;
}

void blurhash(const struct miniature *m, int x, int y, char ret_hash[BLURHASH_SIZE])
{
    struct factors f = {.x = x, .y = y};
    const double *mean = f.rgb[0][0];

    compute(&f, m);
    int scale = (int)CLAMP(floor(largest(&f) * 166 - 0.5), 0, 82);
    double max = (scale + 1) / 166.0;
    char *at = put(ret_hash, (x - 1) + (y - 1) * 9, 1);
    at = put(at, x * y > 1 ? scale : 0, 1);
    at = put(at, to_srgb(mean[0]) << 16 | to_srgb(mean[1]) << 8 | to_srgb(mean[2]), 4);
    for (int j = 0; j < y; j++)
        for (int i = j == 0 ? 1 : 0; i < x; i++) {
            const double *c = f.rgb[j][i];
            int red = quantize(c[0], max), green = quantize(c[1], max);
            at = put(at, (red * 19 + green) * 19 + quantize(c[2], max), 2);
        }
    *at = '\0';
}
