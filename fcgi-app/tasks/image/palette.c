/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Palettes. Distances are taken in Oklab (B. Ottosson, "A perceptual color space for image
 * processing", 2020), where they are about what an eye sees; the colours given are means of sRGB.
 */
#include "tasks/image/figures.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 10                /* of k-means: it stands still before, mostly */
#define SPREAD_MIN (0.01 * 0.01) /* variance of what is one colour to the eye */

struct sample {
    double lab[3], rgb[3], weight;
    int cluster;
};

struct cluster {
    double lab[3], rgb[3], variance[3], weight; /* means; lab is the centre */
};

static void to_oklab(const double rgb[3], double lab[3])
{
    double r = linear_of(rgb[0]), g = linear_of(rgb[1]), b = linear_of(rgb[2]);
    double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);

    lab[0] = 0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s;
    lab[1] = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s;
    lab[2] = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s;
}

/* What is visible of each cell. */
static int take_samples(const struct miniature *m, struct sample *samples)
{
    int count = 0;

    for (int i = 0; i < m->width * m->height; i++) {
        const uint64_t *sums = m->sums + (size_t)i * 4;
        struct sample s = {.weight = (double)sums[3]};
        if (sums[3] == 0)
            continue;
        for (int k = 0; k < 3; k++)
            s.rgb[k] = (double)sums[k] / s.weight;
        to_oklab(s.rgb, s.lab);
        samples[count++] = s;
    }
    return count;
}

/* Means and variances of each cluster's samples. */
static void measure(const struct sample *samples, int count, struct cluster *clusters, int k)
{
    for (int c = 0; c < k; c++)
        clusters[c] = (struct cluster){0};
    for (int i = 0; i < count; i++) {
        const struct sample *s = &samples[i];
        struct cluster *c = &clusters[s->cluster];
        c->weight += s->weight;
        for (int d = 0; d < 3; d++) {
            c->lab[d] += s->weight * s->lab[d];
            c->variance[d] += s->weight * s->lab[d] * s->lab[d];
            c->rgb[d] += s->weight * s->rgb[d];
        }
    }
    for (int c = 0; c < k; c++)
        for (int d = 0; d < 3 && clusters[c].weight > 0; d++) {
            clusters[c].lab[d] /= clusters[c].weight;
            clusters[c].rgb[d] /= clusters[c].weight;
            clusters[c].variance[d] =
                clusters[c].variance[d] / clusters[c].weight - pow(clusters[c].lab[d], 2);
        }
}

static int widest_axis(const struct cluster *c)
{
    int axis = 0;
    for (int d = 1; d < 3; d++)
        if (c->variance[d] > c->variance[axis])
            axis = d;
    return axis;
}

/* Split the cluster that contributes most to the error, at its mean. False: nothing to gain. */
static bool split(struct sample *samples, int count, struct cluster *clusters, int k)
{
    int worst = 0, axis = 0;
    double error = 0;

    for (int c = 0; c < k; c++) {
        int a = widest_axis(&clusters[c]);
        double variance = clusters[c].variance[a];
        if (variance > SPREAD_MIN && variance * clusters[c].weight > error) {
            error = variance * clusters[c].weight;
            worst = c;
            axis = a;
        }
    }
    if (error <= 0)
        return false;
    for (int i = 0; i < count; i++)
        if (samples[i].cluster == worst && samples[i].lab[axis] > clusters[worst].lab[axis])
            samples[i].cluster = k;
    measure(samples, count, clusters, k + 1);
    return true;
}

/* Each sample to the nearest centre. False: all were there already. */
static bool assign(struct sample *samples, int count, const struct cluster *clusters, int k)
{
    bool has_moved = false;

    for (int i = 0; i < count; i++) {
        double best = INFINITY;
        int nearest = 0;
        for (int c = 0; c < k; c++) {
            double distance = 0;
            for (int d = 0; d < 3; d++)
                distance += pow(samples[i].lab[d] - clusters[c].lab[d], 2);
            if (clusters[c].weight > 0 && distance < best) {
                best = distance;
                nearest = c;
            }
        }
        has_moved |= samples[i].cluster != nearest;
        samples[i].cluster = nearest;
    }
    return has_moved;
}

static int by_share(const void *a, const void *b)
{
    const struct palette_colour *x = a, *y = b;
    return (x->share < y->share) - (x->share > y->share);
}

static int collect(const struct cluster *clusters, int k, double weight,
                   struct palette_colour ret[PALETTE_MAX])
{
    int count = 0;

    for (int c = 0; c < k; c++) {
        if (!(clusters[c].weight > 0))
            continue;
        for (int d = 0; d < 3; d++)
            ret[count].rgb[d] = (unsigned char)(clusters[c].rgb[d] + 0.5);
        ret[count++].share = clusters[c].weight / weight;
    }
    qsort(ret, (size_t)count, sizeof(*ret), by_share);
    return count;
}

int palette_of(const struct miniature *m, int max, struct palette_colour ret[PALETTE_MAX])
{
    struct sample *samples = g_new(struct sample, (size_t)m->width * (size_t)m->height);
    struct cluster clusters[PALETTE_MAX];
    int count = take_samples(m, samples), k = 1;
    double weight = 0;

    for (int i = 0; i < count; i++)
        weight += samples[i].weight;
    measure(samples, count, clusters, 1);
    while (k < max && split(samples, count, clusters, k))
        k++;
    for (int i = 0; i < ROUNDS && assign(samples, count, clusters, k); i++)
        measure(samples, count, clusters, k);
    measure(samples, count, clusters, k);
    int found = collect(clusters, k, weight, ret);
    g_free(samples);
    return found;
}
