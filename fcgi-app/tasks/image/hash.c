/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Perceptual hashes; figures.h defines them. Every field of one colour has no frequencies but
 * rounding errors: those must not become bits.
 */
#include "tasks/image/figures.h"

#include <math.h>
#include <stdlib.h>

#define FIELDS 32
#define FREQUENCIES 8
#define BITS (FREQUENCIES * FREQUENCIES)
#define NOISE 1e-6

#define DHASH_COLUMNS 9
#define DHASH_ROWS 8
#define DHASH_FIELDS (DHASH_COLUMNS * DHASH_ROWS) /* of a square that divides into both */

/* result[v][u], of frequencies 1 to 8: rows first, then columns. */
static void transform(const double *fields, double result[FREQUENCIES][FREQUENCIES])
{
    double wave[FREQUENCIES][FIELDS], rows[FIELDS][FREQUENCIES] = {0};

    for (int u = 0; u < FREQUENCIES; u++)
        for (int x = 0; x < FIELDS; x++)
            wave[u][x] = cos((2 * x + 1) * (u + 1) * G_PI / (2 * FIELDS));
    for (int y = 0; y < FIELDS; y++)
        for (int u = 0; u < FREQUENCIES; u++)
            for (int x = 0; x < FIELDS; x++)
                rows[y][u] += fields[y * FIELDS + x] * wave[u][x];
    for (int v = 0; v < FREQUENCIES; v++)
        for (int u = 0; u < FREQUENCIES; u++) {
            double sum = 0;
            for (int y = 0; y < FIELDS; y++)
                sum += rows[y][u] * wave[v][y];
            result[v][u] = fabs(sum) < NOISE ? 0 : sum;
        }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

uint64_t hash_phash(const struct miniature *m)
{
    double fields[FIELDS * FIELDS], coefficients[FREQUENCIES][FREQUENCIES], sorted[BITS];
    const double *flat = &coefficients[0][0];
    uint64_t hash = 0;

    miniature_luma(m, FIELDS, fields);
    transform(fields, coefficients);
    for (int i = 0; i < BITS; i++)
        sorted[i] = flat[i];
    qsort(sorted, BITS, sizeof(sorted[0]), compare);
    double median = (sorted[BITS / 2 - 1] + sorted[BITS / 2]) / 2;
    for (int i = 0; i < BITS; i++)
        hash = hash << 1 | (flat[i] > median);
    return hash;
}

uint64_t hash_dhash(const struct miniature *m)
{
    double fields[DHASH_FIELDS * DHASH_FIELDS], sums[DHASH_ROWS][DHASH_COLUMNS] = {0};
    uint64_t hash = 0;

    miniature_luma(m, DHASH_FIELDS, fields);
    for (int y = 0; y < DHASH_FIELDS; y++)
        for (int x = 0; x < DHASH_FIELDS; x++)
            sums[y / DHASH_COLUMNS][x / DHASH_ROWS] += fields[y * DHASH_FIELDS + x];
    for (int y = 0; y < DHASH_ROWS; y++)
        for (int x = 0; x + 1 < DHASH_COLUMNS; x++)
            hash = hash << 1 | (sums[y][x + 1] > sums[y][x] + NOISE);
    return hash;
}

int hash_distance(uint64_t a, uint64_t b)
{
    return __builtin_popcountll(a ^ b);
}
