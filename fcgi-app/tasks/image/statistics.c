/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures that every pixel counts for, in whole numbers: the same on every machine.
 */
#include "tasks/image/figures.h"

#include <math.h>
#include <string.h>

int statistics_init(struct statistics *s, int width, int height, struct colour background,
                    struct error *reterr)
{
    *s = (struct statistics){.width = width, .height = height, .background = background};
    s->flat = g_try_malloc((size_t)width * 4);
    for (int i = 0; i < 3; i++)
        s->lumas[i] = g_try_malloc((size_t)width);
    if (s->flat == NULL || s->lumas[0] == NULL || s->lumas[1] == NULL || s->lumas[2] == NULL)
        return error_internal(reterr, "out of memory for statistics");
    return 0;
}

void statistics_release(struct statistics *s)
{
    g_free(s->flat);
    for (int i = 0; i < 3; i++)
        g_free(s->lumas[i]);
    *s = (struct statistics){0};
}

static void add_laplacian(struct statistics *s, const unsigned char *above,
                          const unsigned char *row, const unsigned char *below)
{
    for (int x = 1; x + 1 < s->width; x++) {
        int value = above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x];
        s->laplacian_sum += value;
        s->laplacian_squares += value * value;
    }
}

void statistics_add(struct statistics *s, const unsigned char *rgba, int y)
{
    unsigned char *luma = s->lumas[y % 3];

    memcpy(s->flat, rgba, (size_t)s->width * 4);
    pixels_flatten(s->flat, s->width, s->background);
    for (int x = 0; x < s->width; x++, rgba += 4) {
        for (int c = 0; c < 4; c++)
            s->histogram[c][rgba[c]]++;
        luma[x] = luma_of(s->flat + (size_t)x * 4);
        s->histogram[CHANNEL_LUMA][luma[x]]++;
    }
    if (y >= 2)
        add_laplacian(s, s->lumas[(y - 2) % 3], s->lumas[(y - 1) % 3], luma);
}

double statistics_entropy(const struct statistics *s)
{
    double pixels = (double)s->width * s->height, entropy = 0;

    for (int i = 0; i < 256; i++) {
        double share = (double)s->histogram[CHANNEL_LUMA][i] / pixels;
        if (share > 0)
            entropy -= share * log2(share);
    }
    return fabs(entropy); /* -0 looks odd */
}

double statistics_sharpness(const struct statistics *s)
{
    double pixels = (double)(s->width - 2) * (s->height - 2);

    if (s->width < 3 || s->height < 3)
        return 0;
    double mean = (double)s->laplacian_sum / pixels;
    return (double)s->laplacian_squares / pixels - mean * mean;
}
