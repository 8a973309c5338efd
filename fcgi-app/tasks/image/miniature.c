/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What hashes and palettes are made of. The decoder shrinks first where it can, by a factor that
 * depends on the file alone: a hash must not depend on what else was asked for.
 */
#include "tasks/image/figures.h"

/* Enough for each cell to have a few pixels of its own. */
#define DECODED_SIDE (2 * MINIATURE_SIDE)

static int cells(int pixels, int factor)
{
    return (pixels + factor - 1) / factor;
}

static void add_row(struct miniature *m, const unsigned char *rgba, int y)
{
    uint64_t *sums = m->sums + (size_t)(y / m->factor) * (size_t)m->width * 4;

    for (int x = 0; x < m->source_width; sums += 4) {
        int end = VIPS_MIN(x + m->factor, m->source_width);
        for (; x < end; x++, rgba += 4) {
            uint32_t alpha = rgba[3];
            sums[0] += rgba[0] * alpha;
            sums[1] += rgba[1] * alpha;
            sums[2] += rgba[2] * alpha;
            sums[3] += alpha;
        }
    }
}

static int add_rows(struct miniature *m, struct picture *p, struct error *reterr)
{
    struct pixels px;
    int result = pixels_open(&px, p, reterr);

    for (int y = 0; result == 0 && y < m->source_height; y++) {
        const unsigned char *row = pixels_next(&px, reterr);
        if (row == NULL)
            result = -1;
        else
            add_row(m, row, y);
    }
    pixels_close(&px);
    return result;
}

static int decode_small(struct picture *p, struct error *reterr)
{
    VipsRect all = {0, 0, p->width, p->height};
    double shrink = VIPS_MAX(p->width, p->height) / (double)DECODED_SIDE;
    int width = (int)(p->width / VIPS_MAX(shrink, 1)),
        height = (int)(p->height / VIPS_MAX(shrink, 1));
    int factor = picture_shrink_factor(p, &all, VIPS_MAX(width, 1), VIPS_MAX(height, 1));

    return factor > 1 ? picture_reopen(p, factor, &all, reterr) : 0;
}

int miniature_make(struct miniature *m, struct picture *p, struct colour background,
                   struct error *reterr)
{
    *m = (struct miniature){.background = background, .turn = turn_from_exif(p->orientation)};
    if (decode_small(p, reterr) != 0 || colour_to_srgb(p, false, reterr) != 0)
        return -1;
    m->source_width = p->image->Xsize;
    m->source_height = p->image->Ysize;
    m->factor = cells(VIPS_MAX(m->source_width, m->source_height), MINIATURE_SIDE);
    m->width = cells(m->source_width, m->factor);
    m->height = cells(m->source_height, m->factor);
    m->sums = g_try_new0(uint64_t, (size_t)m->width * (size_t)m->height * 4);
    if (m->sums == NULL)
        return error_internal(reterr, "out of memory for a miniature");
    return add_rows(m, p, reterr);
}

void miniature_release(struct miniature *m)
{
    g_free(m->sums);
    m->sums = NULL;
}

int miniature_pixels(const struct miniature *m, int x, int y)
{
    int width = VIPS_MIN(m->factor, m->source_width - x * m->factor);
    int height = VIPS_MIN(m->factor, m->source_height - y * m->factor);
    return width * height;
}

void miniature_colour(const struct miniature *m, int x, int y, double rgb[3])
{
    const double background[3] = {m->background.red, m->background.green, m->background.blue};
    const uint64_t *sums = m->sums + ((size_t)y * (size_t)m->width + (size_t)x) * 4;
    double full = 255.0 * miniature_pixels(m, x, y);

    for (int i = 0; i < 3; i++)
        rgb[i] = ((double)sums[i] + background[i] * (full - (double)sums[3])) / full;
}

/* How much of cell `cell` lies between `from` and `to`, all in cells. */
static double overlap(int cell, double from, double to)
{
    double start = VIPS_MAX(cell, from), end = VIPS_MIN(cell + 1, to);
    return VIPS_MAX(end - start, 0);
}

/* Stretch `count` values, `step` apart, to n: each field the mean of what it covers. `length` is
 * the true one: the last cell may be no whole one. */
static void stretch(const double *in, int step, int count, double length, int n, double *out,
                    int out_step)
{
    for (int i = 0; i < n; i++) {
        double from = i * length / n, to = (i + 1) * length / n, sum = 0;
        for (int c = (int)from; c < count && c < to; c++)
            sum += in[c * step] * overlap(c, from, to);
        out[i * out_step] = sum / (to - from);
    }
}

/* One quarter clockwise, or the mirror, of n x n fields. */
static void turn_fields(double *fields, double *scratch, int n, bool is_mirror)
{
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            scratch[y * n + x] =
                is_mirror ? fields[y * n + n - 1 - x] : fields[(n - 1 - x) * n + y];
    for (int i = 0; i < n * n; i++)
        fields[i] = scratch[i];
}

void miniature_luma(const struct miniature *m, int n, double *ret_fields)
{
    double line[MINIATURE_SIDE], *columns = g_new(double, (size_t)n *(size_t)(m->height + n));

    for (int y = 0; y < m->height; y++) {
        for (int x = 0; x < m->width; x++) {
            double rgb[3];
            miniature_colour(m, x, y, rgb);
            line[x] = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        }
        stretch(line, 1, m->width, (double)m->source_width / m->factor, n, columns + y * n, 1);
    }
    for (int x = 0; x < n; x++)
        stretch(columns + x, n, m->height, (double)m->source_height / m->factor, n, ret_fields + x,
                n);
    if (m->turn.is_mirrored)
        turn_fields(ret_fields, columns, n, true);
    for (int i = 0; i < m->turn.quarters; i++)
        turn_fields(ret_fields, columns, n, false);
    g_free(columns);
}
