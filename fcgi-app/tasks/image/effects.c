/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Light, colours and sharpness of the resized picture. Light and colours are a matter of each pixel
 * alone and leave transparency alone; sharpness is one of neighbours, whose colours count as much
 * as they are seen.
 */
#include "tasks/image/image.h"

#include <math.h>

#include <cjson/cJSON.h>

struct effects effects_parse(const cJSON *params)
{
    struct effects e = {
        .normalise = param_is_true(params, "normalise"),
        .grayscale = param_is_true(params, "grayscale"),
        .negate = param_is_true(params, "negate"),
        .gamma = param_number(params, "gamma", 1),
        .brightness = param_number(params, "brightness", 1),
        .contrast = param_number(params, "contrast", 1),
        .saturation = param_number(params, "saturation", 1),
        .hue_deg = param_number(params, "hue", 0),
        .blur = param_number(params, "blur", 0),
        .sharpen = param_number(params, "sharpen", 0),
        .pixelate = param_int(params, "pixelate"),
    };
    e.has_tint = param_colour(params, "tint", &e.tint);
    const cJSON *duotone = cJSON_GetObjectItemCaseSensitive(params, "duotone");
    e.has_duotone = param_colour(duotone, "shadow", &e.shadow) &&
                    param_colour(duotone, "highlight", &e.highlight);
    e.overlay = overlay_parse(params);
    return e;
}

static bool is_deep(const struct picture *p)
{
    return p->image->BandFmt == VIPS_FORMAT_USHORT;
}

static double channel_max(const struct picture *p)
{
    return is_deep(p) ? 65535 : 255;
}

/* What a value from 0 to 1 becomes. */
typedef double curve_fn(double value, const double *numbers);

/* The curve as a table for the picture's values; transparency becomes what it is. */
static VipsImage *make_table(const struct picture *p, curve_fn *curve, const double *numbers)
{
    int max = (int)channel_max(p), bands = p->image->Bands;
    int colours = bands - vips_image_hasalpha(p->image);
    VipsImage *table = vips_image_new_memory();

    vips_image_init_fields(table, max + 1, 1, bands, p->image->BandFmt, VIPS_CODING_NONE,
                           p->image->Type, 1, 1);
    if (vips_image_write_prepare(table) != 0) {
        g_object_unref(table);
        return NULL;
    }
    for (int i = 0; i <= max; i++) {
        double value = VIPS_CLIP(0, curve((double)i / max, numbers), 1) * max + 0.5;
        for (int band = 0; band < bands; band++) {
            double entry = band < colours ? value : i;
            if (is_deep(p))
                ((unsigned short *)image_pixel(table, i, 0))[band] = (unsigned short)entry;
            else
                image_pixel(table, i, 0)[band] = (VipsPel)entry;
        }
    }
    return table;
}

static int apply_curve(struct picture *p, curve_fn *curve, const double *numbers,
                       struct error *reterr)
{
    VipsImage *table = make_table(p, curve, numbers), *next = NULL;

    if (table == NULL)
        return picture_failed(p, reterr);
    int failed = vips_maplut(p->image, &next, table, NULL);
    g_object_unref(table);
    return picture_step(p, failed, &next, reterr);
}

/* How many of the visible pixels have each of 256 degrees of light. */
static int count_light(struct picture *p, double *counts, struct error *reterr)
{
    struct picture light = *p;
    g_object_ref(light.image);
    int failed = colour_to_srgb(&light, false, reterr) != 0 ||
                 colour_to_grey(&light, reterr) != 0 || picture_watch(&light, reterr) != 0 ||
                 picture_to_memory(&light, reterr) != 0;
    int bands = light.image->Bands;

    for (int y = 0; y < light.image->Ysize && !failed; y++) {
        const VipsPel *pixel = image_pixel(light.image, 0, y);
        for (int x = 0; x < light.image->Xsize; x++, pixel += bands)
            counts[pixel[0]] += bands == 1 || pixel[1] > 0;
    }
    p->is_stopped = p->is_stopped || light.is_stopped;
    g_object_unref(light.image);
    return failed ? -1 : 0;
}

/* The degree of light that so many of the pixels do not exceed. */
static int percentile(const double *counts, double fraction)
{
    double total = 0, sum = 0;
    int i = 0;

    for (int k = 0; k < 256; k++)
        total += counts[k];
    for (; i < 255; i++) {
        sum += counts[i];
        if (sum >= fraction * total)
            break;
    }
    return i;
}

static double stretch(double value, const double *range)
{
    return (value - range[0]) / (range[1] - range[0]);
}

static int normalise(struct picture *p, const struct effects *e, struct error *reterr)
{
    double counts[256] = {0};

    if (!e->normalise)
        return 0;
    if (picture_to_memory(p, reterr) != 0 || count_light(p, counts, reterr) != 0)
        return -1;
    const double range[2] = {percentile(counts, 0.01) / 255.0, percentile(counts, 0.99) / 255.0};
    return range[0] >= range[1] ? 0 : apply_curve(p, stretch, range, reterr);
}

static double power(double value, const double *exponent)
{
    return pow(value, *exponent);
}

static int gamma_correct(struct picture *p, const struct effects *e, struct error *reterr)
{
    const double exponent = 1 / e->gamma;
    return e->gamma == 1 ? 0 : apply_curve(p, power, &exponent, reterr);
}

/* b times c, for matrices of 3 x 3. */
static void multiply(double *ret_product, const double *b, const double *c)
{
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++) {
            ret_product[3 * row + column] = 0;
            for (int k = 0; k < 3; k++)
                ret_product[3 * row + column] += b[3 * row + k] * c[3 * k + column];
        }
}

/* saturate() and hue-rotate() of the W3C's Filter Effects Module Level 1, section 9.3. */
static void colour_matrix(const struct effects *e, double *ret_matrix)
{
    static const double light[3] = {0.213, 0.715, 0.072};
    static const double sines[9] = {-0.213, -0.715, 0.928, 0.143, 0.140,
                                    -0.283, -0.787, 0.715, 0.072};
    double sine = sin(VIPS_RAD(e->hue_deg)), cosine = cos(VIPS_RAD(e->hue_deg));
    double saturation[9], hue[9];

    for (int i = 0; i < 9; i++) {
        double same = i % 4 == 0; /* on the diagonal */
        saturation[i] = light[i % 3] + e->saturation * (same - light[i % 3]);
        hue[i] = light[i % 3] + cosine * (same - light[i % 3]) + sine * sines[i];
    }
    multiply(ret_matrix, hue, saturation);
}

/* Each channel times a factor, plus a shift in units of the whole range, rounded. */
static int scale(struct picture *p, double factor, double shift, VipsBandFormat format,
                 struct error *reterr)
{
    double factors[4], shifts[4];
    int bands = p->image->Bands, colours = bands - vips_image_hasalpha(p->image);
    VipsImage *next = NULL;

    for (int i = 0; i < bands; i++) {
        double max = format == VIPS_FORMAT_USHORT ? 65535 : 255;
        factors[i] = i < colours ? factor : 1;
        shifts[i] = (i < colours ? shift * max : 0) + 0.5; /* a cast cuts fractions off */
    }
    if (picture_step(p, vips_linear(p->image, &next, factors, shifts, bands, NULL), &next,
                     reterr) != 0)
        return -1;
    return picture_step(p, vips_cast(p->image, &next, format, NULL), &next, reterr);
}

static int recombine(struct picture *p, const double *matrix, struct error *reterr)
{
    int bands = p->image->Bands;
    VipsImage *weights = vips_image_new_matrix(bands, bands), *next = NULL;

    for (int row = 0; row < bands; row++)
        for (int column = 0; column < bands; column++)
            ((double *)image_pixel(weights, column, row))[0] =
                row < 3 && column < 3 ? matrix[3 * row + column] : row == column;
    int failed = vips_recomb(p->image, &next, weights, NULL);
    g_object_unref(weights);
    return picture_step(p, failed, &next, reterr);
}

/* Brightness, contrast, saturation and hue, in that order, are one sum of products; it is rounded
 * once, and what is too bright for a moment is not lost. Greys have neither saturation nor hue. */
static int adjust(struct picture *p, const struct effects *e, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool is_recombined = (e->saturation != 1 || e->hue_deg != 0) && !colour_is_grey(p->image);
    double matrix[9];

    if (!is_recombined && e->brightness == 1 && e->contrast == 1)
        return 0;
    colour_matrix(e, matrix);
    /* Its rows have the sum 1, so the shift that contrast needs may come after it. */
    if (is_recombined && recombine(p, matrix, reterr) != 0)
        return -1;
    return scale(p, e->brightness * e->contrast, 0.5 - 0.5 * e->contrast, format, reterr);
}

static int make_grey(struct picture *p, const struct effects *e, struct error *reterr)
{
    if ((!e->grayscale && !e->has_tint && !e->has_duotone) || colour_is_grey(p->image))
        return 0;
    /* libvips takes transparency aside, and would compute all before this for it once more. */
    if (vips_image_hasalpha(p->image) && picture_to_memory(p, reterr) != 0)
        return -1;
    return colour_to_grey(p, reterr);
}

/* Greys of the picture's depth, from black to white, as CIE L*a*b*. */
static VipsImage *make_ramp(const struct picture *p)
{
    VipsImage *numbers = NULL, *greys = NULL, *lab = NULL, *ramp = NULL;
    int deep = is_deep(p);

    if (vips_identity(&numbers, "ushort", deep, "size", 65536, NULL) == 0 &&
        vips_copy(numbers, &greys, "interpretation",
                  deep ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_B_W, NULL) == 0 &&
        vips_colourspace(greys, &lab, VIPS_INTERPRETATION_LAB, NULL) == 0)
        ramp = vips_image_copy_memory(lab);
    VIPS_UNREF(numbers);
    VIPS_UNREF(greys);
    VIPS_UNREF(lab);
    return ramp;
}

/* The tint as CIE L*a*b*. Errors: -1, in libvips' words. */
static int to_lab(struct colour colour, double *ret_lab)
{
    const double ones[3] = {1, 1, 1}, rgb[3] = {colour.red, colour.green, colour.blue};
    VipsImage *black = NULL, *pixel = NULL, *srgb = NULL, *lab = NULL;
    double *values = NULL;
    int n, failed;

    failed = vips_black(&black, 1, 1, "bands", 3, NULL) != 0 ||
             vips_linear(black, &pixel, ones, rgb, 3, "uchar", TRUE, NULL) != 0 ||
             vips_copy(pixel, &srgb, "interpretation", VIPS_INTERPRETATION_sRGB, NULL) != 0 ||
             vips_colourspace(srgb, &lab, VIPS_INTERPRETATION_LAB, NULL) != 0 ||
             vips_getpoint(lab, &values, &n, 0, 0, NULL) != 0;
    for (int i = 0; i < 3 && !failed; i++)
        ret_lab[i] = values[i];
    g_free(values);
    VIPS_UNREF(black);
    VIPS_UNREF(pixel);
    VIPS_UNREF(srgb);
    VIPS_UNREF(lab);
    return failed ? -1 : 0;
}

/* The colour for every grey: as light as that, with the tint's a* and b*, the less of them the
 * nearer it is to black or white, which stay. The weights are those of sharp's tint(). */
static VipsImage *make_tints(const struct picture *p, struct colour tint)
{
    VipsImage *ramp = make_ramp(p), *tints = NULL;
    double lab[3];

    if (ramp != NULL && to_lab(tint, lab) == 0) {
        for (int i = 0; i < ramp->Xsize; i++) {
            float *entry = (float *)image_pixel(ramp, i, 0);
            double distance = entry[0] / 100 - 0.5, weight = 1 - 4 * distance * distance;
            entry[1] = (float)(weight * lab[1]);
            entry[2] = (float)(weight * lab[2]);
        }
        if (vips_colourspace(ramp, &tints,
                             is_deep(p) ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB,
                             NULL) != 0)
            tints = NULL;
    }
    VIPS_UNREF(ramp);
    return tints;
}

/* The colour for every grey: on the straight line between the two. */
static VipsImage *make_duotones(const struct picture *p, struct colour dark, struct colour light)
{
    const double shadow[3] = {dark.red, dark.green, dark.blue};
    const double highlight[3] = {light.red, light.green, light.blue};
    int max = (int)channel_max(p);
    VipsImage *table = vips_image_new_memory();

    vips_image_init_fields(table, max + 1, 1, 3, p->image->BandFmt, VIPS_CODING_NONE,
                           is_deep(p) ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB, 1, 1);
    if (vips_image_write_prepare(table) != 0) {
        g_object_unref(table);
        return NULL;
    }
    for (int i = 0; i <= max; i++)
        for (int band = 0; band < 3; band++) {
            double share = (double)i / max;
            double value = shadow[band] + share * (highlight[band] - shadow[band]);
            if (is_deep(p))
                ((unsigned short *)image_pixel(table, i, 0))[band] =
                    (unsigned short)(value * 257 + 0.5);
            else
                image_pixel(table, i, 0)[band] = (VipsPel)(value + 0.5);
        }
    return table;
}

/* make_grey() came before. */
static int tint(struct picture *p, const struct effects *e, struct error *reterr)
{
    VipsImage *tints, *grey = NULL, *coloured = NULL, *alpha = NULL, *next = NULL;
    bool has_alpha = vips_image_hasalpha(p->image);

    if (!e->has_tint && !e->has_duotone)
        return 0;
    tints = e->has_duotone ? make_duotones(p, e->shadow, e->highlight) : make_tints(p, e->tint);
    int failed = tints == NULL || vips_extract_band(p->image, &grey, 0, NULL) != 0 ||
                 vips_maplut(grey, &coloured, tints, NULL) != 0;
    if (!failed && has_alpha)
        failed = vips_extract_band(p->image, &alpha, 1, NULL) != 0 ||
                 vips_bandjoin2(coloured, alpha, &next, NULL) != 0;
    else if (!failed)
        next = g_object_ref(coloured);
    VIPS_UNREF(tints);
    VIPS_UNREF(grey);
    VIPS_UNREF(coloured);
    VIPS_UNREF(alpha);
    return picture_step(p, failed, &next, reterr);
}

static double opposite(double value, const double *unused)
{
    (void)unused;
    return 1 - value;
}

static int negate(struct picture *p, const struct effects *e, struct error *reterr)
{
    return e->negate ? apply_curve(p, opposite, NULL, reterr) : 0;
}

/* Colours of transparent pixels must not bleed into their neighbours: premultiplied meanwhile. */
static int blur(struct picture *p, const struct effects *e, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool has_alpha = vips_image_hasalpha(p->image);

    if (e->blur <= 0)
        return 0;
    if ((has_alpha && colour_premultiply(p, reterr) != 0) || blur_apply(p, e->blur, reterr) != 0)
        return -1;
    return has_alpha ? colour_unpremultiply(p, format, reterr) : 0;
}

static int sharpen(struct picture *p, const struct effects *e, struct error *reterr)
{
    return e->sharpen > 0 ? sharpen_apply(p, e->sharpen, reterr) : 0;
}

static int pixelate(struct picture *p, const struct effects *e, struct error *reterr)
{
    VipsBandFormat format = p->image->BandFmt;
    bool has_alpha = vips_image_hasalpha(p->image);

    if (e->pixelate <= 1)
        return 0;
    if ((has_alpha && colour_premultiply(p, reterr) != 0) ||
        pixelate_apply(p, e->pixelate, reterr) != 0)
        return -1;
    return has_alpha ? colour_unpremultiply(p, format, reterr) : 0;
}

static int colorize(struct picture *p, const struct effects *e, struct error *reterr)
{
    return colorize_apply(p, &e->overlay, reterr);
}

static int darken_side(struct picture *p, const struct effects *e, struct error *reterr)
{
    return gradient_apply(p, &e->overlay, reterr);
}

/* In this order, which the descriptor tells; what was not asked for does nothing. To add one: a
 * function here, a member of struct effects, a parameter in image.transform.json. */
static int (*const effects[])(struct picture *p, const struct effects *e, struct error *reterr) = {
    normalise, gamma_correct, adjust,   make_grey, tint,        negate,
    blur,      sharpen,       pixelate, colorize,  darken_side,
};

bool effects_need_srgb(const struct effects *e)
{
    return e->normalise || e->grayscale || e->negate || e->has_tint || e->gamma != 1 ||
           e->brightness != 1 || e->contrast != 1 || e->saturation != 1 || e->hue_deg != 0 ||
           e->sharpen > 0 || e->has_duotone || e->overlay.colorize > 0 || e->overlay.gradient > 0;
}

int effects_apply(struct picture *p, const struct effects *e, struct error *reterr)
{
    for (size_t i = 0; i < G_N_ELEMENTS(effects); i++)
        if (effects[i](p, e, reterr) != 0)
            return -1;
    return 0;
}
