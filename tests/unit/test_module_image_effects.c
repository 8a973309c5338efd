/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform's effects: colours of known pixels by formula, sharpness by libvips' own
 * operations, and what must not change: transparency, depth, greys.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double orange[4] = {200, 100, 50, 255};

static struct bytes orange_png(int bands, VipsBandFormat format)
{
    double pixel[4];
    double max = format == VIPS_FORMAT_USHORT ? 257 : 1;
    for (int i = 0; i < bands; i++)
        pixel[i] = (i == 3 ? 128 : orange[i]) * max;
    return encode(
        solid(16, 12, bands, pixel,
              format == VIPS_FORMAT_USHORT ? VIPS_INTERPRETATION_RGB16 : VIPS_INTERPRETATION_sRGB,
              format),
        ".png");
}

/* What the formulas of the W3C's Filter Effects, and those of the descriptor, make of it. */
static const struct {
    const char *params;
    double pixel[3];
} colours[] = {
    {"{\"brightness\":0.5}", {100, 50, 25}},
    {"{\"brightness\":0}", {0, 0, 0}},
    {"{\"brightness\":2}", {255, 200, 100}},
    {"{\"contrast\":2}", {255, 72.5, 0}},
    {"{\"contrast\":0}", {127.5, 127.5, 127.5}},
    {"{\"contrast\":0.5}", {163.75, 113.75, 88.75}},
    {"{\"saturation\":0}", {117.7, 117.7, 117.7}},
    {"{\"saturation\":0.5}", {158.85, 108.85, 83.85}},
    {"{\"saturation\":2}", {255, 82.3, 0}},
    {"{\"hue\":90}", {50, 146.15, 35.4}},
    {"{\"hue\":180}", {35.4, 135.4, 185.4}},
    {"{\"hue\":360}", {200, 100, 50}},
    {"{\"gamma\":2}", {225.83, 159.69, 112.92}},
    {"{\"gamma\":0.5}", {156.86, 39.22, 9.8}},
    {"{\"negate\":true}", {55, 155, 205}},
    /* in their order; what is too bright for a moment is not lost */
    {"{\"brightness\":2,\"contrast\":0.5}", {255, 163.75, 113.75}},
    {"{\"brightness\":3,\"contrast\":0.5}", {255, 213.75, 138.75}},
    {"{\"gamma\":2,\"brightness\":0.5}", {112.92, 79.84, 56.46}},
    {"{\"brightness\":0.5,\"negate\":true}", {155, 205, 230}},
    {"{\"saturation\":0,\"brightness\":0.5,\"contrast\":2}", {0, 0, 0}},
};

/* `more` are further members of the params. */
static void assert_effect(struct bytes in, const char *effect, const char *more,
                          const double *expected, int bands, double tolerance)
{
    char params[256];
    snprintf(params, sizeof(params), "%.*s%s}", (int)strlen(effect) - 1, effect, more);
    struct outcome o = transform(in, params);
    if (o.image == NULL)
        fail_msg("%s: %s %s", params, o.error.detail, o.error.cause);
    assert_pixel(o.image, 7, 7, expected, bands, tolerance);
    outcome_release(&o);
}

static void test_colours_become_what_the_formulas_say(void **state)
{
    struct bytes in = orange_png(3, VIPS_FORMAT_UCHAR);
    (void)state;
    for (size_t i = 0; i < COUNT(colours); i++)
        assert_effect(in, colours[i].params, "", colours[i].pixel, 3, 1);
    bytes_release(&in);
}

static void test_colour_effects_leave_transparency_alone(void **state)
{
    struct bytes in = orange_png(4, VIPS_FORMAT_UCHAR);
    (void)state;
    for (size_t i = 0; i < COUNT(colours); i++) {
        const double *pixel = colours[i].pixel;
        const double expected[4] = {pixel[0], pixel[1], pixel[2], 128};
        assert_effect(in, colours[i].params, "", expected, 4, 1);
    }
    bytes_release(&in);
}

static void test_colour_effects_keep_sixteen_bits_where_they_may(void **state)
{
    struct bytes in = orange_png(4, VIPS_FORMAT_USHORT);
    (void)state;
    for (size_t i = 0; i < COUNT(colours); i++) {
        double expected[4] = {[3] = 128 * 257};
        for (int k = 0; k < 3; k++)
            expected[k] = colours[i].pixel[k] * 257;
        assert_effect(in, colours[i].params, ",\"strip\":false", expected, 4, 4);
        const double flat[4] = {colours[i].pixel[0], colours[i].pixel[1], colours[i].pixel[2], 128};
        assert_effect(in, colours[i].params, "", flat, 4, 1);
    }
    bytes_release(&in);
}

static void test_a_grey_picture_stays_grey_unless_tinted(void **state)
{
    static const double pixel[2] = {100, 60};
    static const struct {
        const char *params;
        double grey;
    } cases[] = {
        {"{\"brightness\":2}", 200},   {"{\"contrast\":2}", 72.5}, {"{\"gamma\":2}", 159.69},
        {"{\"saturation\":3}", 100},   {"{\"hue\":120}", 100},     {"{\"negate\":true}", 155},
        {"{\"grayscale\":true}", 100}, {"{\"sharpen\":1}", 100},
    };
    (void)state;
    struct bytes in =
        encode(solid(16, 16, 2, pixel, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    for (size_t i = 0; i < COUNT(cases); i++) {
        const double expected[2] = {cases[i].grey, 60};
        assert_effect(in, cases[i].params, "", expected, 2, 0.51);
    }
    struct outcome o = transform(in, "{\"tint\":\"#0000ff\"}");
    assert_int_equal(o.image->Bands, 4);
    outcome_release(&o);
    bytes_release(&in);
}

/* The same picture in another colour space, in memory. */
static VipsImage *in_space(VipsImage *image, VipsInterpretation space)
{
    VipsImage *lazy, *copy;
    assert_int_equal(vips_colourspace(image, &lazy, space, NULL), 0);
    copy = vips_image_copy_memory(lazy);
    g_object_unref(lazy);
    return copy;
}

static void test_grayscale_is_how_light_the_picture_is(void **state)
{
    struct bytes in = encode(gradient(80, 60), ".png");
    struct outcome o = transform(in, "{\"grayscale\":true}");
    VipsImage *image = open_bytes(in), *expected = in_space(image, VIPS_INTERPRETATION_B_W);
    (void)state;
    assert_int_equal(o.image->Bands, 1);
    assert_float_equal(mean_square_error(o.image, expected), 0, 0);
    g_object_unref(image);
    g_object_unref(expected);
    outcome_release(&o);
    bytes_release(&in);
}

static double at(VipsImage *image, int x, int y, int band)
{
    double *pixel;
    int n;
    assert_int_equal(vips_getpoint(image, &pixel, &n, x, y, NULL), 0);
    double value = pixel[band];
    g_free(pixel);
    return value;
}

/* From black to white, 256 wide. */
static VipsImage *ramp(void)
{
    VipsImage *row, *rows, *image;
    assert_int_equal(vips_identity(&row, NULL), 0);
    assert_int_equal(vips_replicate(row, &rows, 1, 8, NULL), 0);
    assert_int_equal(vips_copy(rows, &image, "interpretation", VIPS_INTERPRETATION_B_W, NULL), 0);
    g_object_unref(row);
    g_object_unref(rows);
    return image;
}

static void test_tint_has_the_hue_of_its_colour_and_the_light_of_the_picture(void **state)
{
    static const double black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
    struct bytes in = encode(ramp(), ".png");
    struct outcome o = transform(in, "{\"tint\":\"#704214\"}");
    VipsImage *plain = open_bytes(in), *before = in_space(plain, VIPS_INTERPRETATION_LAB),
              *after = in_space(o.image, VIPS_INTERPRETATION_LAB);
    (void)state;

    assert_pixel(o.image, 0, 0, black, 3, 0);
    assert_pixel(o.image, 255, 0, white, 3, 0);
    for (int x = 0; x < 256; x += 5)
        assert_true(fabs(at(before, x, 3, 0) - at(after, x, 3, 0)) < 1);
    /* #704214 is L 32.7, a 16.0, b 34.7 in CIE L*a*b*: 65 degrees */
    assert_true(fabs(atan2(at(after, 128, 3, 2), at(after, 128, 3, 1)) - atan2(34.7, 16.0)) < 0.04);
    assert_true(at(after, 128, 3, 2) > 25);
    g_object_unref(plain);
    g_object_unref(before);
    g_object_unref(after);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_tint_keeps_depth_and_transparency(void **state)
{
    struct bytes in = orange_png(4, VIPS_FORMAT_USHORT);
    struct outcome deep = transform(in, "{\"tint\":\"#0000ff\",\"strip\":false}");
    struct outcome flat = transform(in, "{\"tint\":\"#0000ff\"}");
    (void)state;
    assert_int_equal(deep.image->BandFmt, VIPS_FORMAT_USHORT);
    assert_float_equal(at(deep.image, 3, 3, 3), 128 * 257, 0);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(at(deep.image, 3, 3, i) / 257 - at(flat.image, 3, 3, i)) < 1.1);
    assert_true(at(flat.image, 3, 3, 2) > at(flat.image, 3, 3, 0) + 20);
    outcome_release(&deep);
    outcome_release(&flat);
    bytes_release(&in);
}

static void test_normalise_stretches_what_is_seen(void **state)
{
    static const double dark[1] = {0}, bright[1] = {255}, middle[1] = {127.5};
    VipsImage *full = ramp(), *pale;
    (void)state;
    assert_int_equal(vips_linear1(full, &pale, 0.5, 60, "uchar", TRUE, NULL), 0);
    g_object_unref(full);
    struct bytes in = encode(pale, ".png");
    struct outcome o = transform(in, "{\"normalise\":true}");
    assert_pixel(o.image, 0, 0, dark, 1, 0);
    assert_pixel(o.image, 255, 0, bright, 1, 0);
    assert_pixel(o.image, 127, 0, middle, 1, 2);
    outcome_release(&o);
    bytes_release(&in);

    in = orange_png(3, VIPS_FORMAT_UCHAR); /* nothing to stretch */
    assert_effect(in, "{\"normalise\":true}", "", orange, 3, 0);
    bytes_release(&in);
}

static void test_normalise_does_not_count_what_is_invisible(void **state)
{
    static const double clear_black[4] = {0, 0, 0, 0}, dark[4] = {100, 100, 100, 255},
                        bright[4] = {150, 150, 150, 255};
    VipsImage *parts[3] = {
        solid(40, 40, 4, clear_black, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR),
        solid(40, 40, 4, dark, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR),
        solid(40, 40, 4, bright, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR)};
    const double black[4] = {0, 0, 0, 255}, white[4] = {255, 255, 255, 255};
    VipsImage *all;
    (void)state;
    assert_int_equal(vips_arrayjoin(parts, &all, 3, NULL), 0);
    for (int i = 0; i < 3; i++)
        g_object_unref(parts[i]);
    struct bytes in = encode(all, ".png");
    struct outcome o = transform(in, "{\"normalise\":true}");
    assert_pixel(o.image, 50, 5, black, 4, 0);
    assert_pixel(o.image, 100, 5, white, 4, 0);
    outcome_release(&o);
    bytes_release(&in);
}

/* Sharpness. */

/* A picture with much going on, of 3 channels. */
static VipsImage *busy(int width, int height)
{
    VipsImage *noise, *bands[3], *all, *image;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vips_gaussnoise(&noise, width, height, "mean", 128.0, "sigma", 60.0,
                                         "seed", i + 1, NULL),
                         0);
        bands[i] = noise;
    }
    assert_int_equal(vips_bandjoin(bands, &all, 3, NULL), 0);
    assert_int_equal(vips_cast_uchar(all, &noise, NULL), 0);
    assert_int_equal(vips_copy(noise, &image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
    for (int i = 0; i < 3; i++)
        g_object_unref(bands[i]);
    g_object_unref(all);
    g_object_unref(noise);
    return image;
}

static void test_blur_is_gaussian_whatever_its_width(void **state)
{
    static const double sigmas[] = {0.3, 1, 4, 8, 8.1, 11, 15.9, 16, 30, 77};
    VipsImage *noise = busy(310, 233), *soft, *expected, *wide;
    (void)state;
    assert_int_equal(vips_gaussblur(noise, &soft, 1.5, NULL), 0); /* as pictures are */
    g_object_unref(noise);
    struct bytes in = encode(soft, ".png");
    VipsImage *image = open_bytes(in);
    assert_int_equal(vips_cast_float(image, &wide, NULL), 0);
    for (size_t i = 0; i < COUNT(sigmas); i++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"blur\":%g}", sigmas[i]);
        struct outcome o = transform(in, params);
        assert_non_null(o.image);
        assert_int_equal(vips_gaussblur(wide, &expected, sigmas[i], "precision",
                                        VIPS_PRECISION_FLOAT, "min_ampl", 0.01, NULL),
                         0);
        double error = mean_square_error(o.image, expected);
        assert_true(error < 4); /* what lies beyond the edges is anybody's guess */
        g_object_unref(expected);
        outcome_release(&o);
    }
    g_object_unref(wide);
    g_object_unref(image);
    bytes_release(&in);
}

static void test_a_wide_blur_keeps_its_place(void **state)
{
    struct bytes in = encode(gradient(400, 300), ".png");
    struct outcome o = transform(in, "{\"blur\":20}");
    VipsImage *image = open_bytes(in);
    (void)state;
    /* far from the edges, a blurred slope is that slope */
    for (int y = 100; y < 200; y += 7)
        for (int x = 100; x < 300; x += 7)
            for (int band = 0; band < 3; band++)
                assert_true(fabs(at(o.image, x, y, band) - at(image, x, y, band)) <= 1);
    g_object_unref(image);
    outcome_release(&o);
    bytes_release(&in);
}

/* Invisible red beside visible blue. */
static struct bytes clear_red_beside_blue(void)
{
    static const double red_clear[4] = {255, 0, 0, 0}, blue[4] = {0, 0, 255, 255};
    VipsImage *left = solid(48, 64, 4, red_clear, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *right = solid(48, 64, 4, blue, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), *both;
    assert_int_equal(vips_join(left, right, &both, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
    g_object_unref(left);
    g_object_unref(right);
    return encode(both, ".png");
}

static void test_invisible_colours_do_not_bleed_into_neighbours(void **state)
{
    static const char *const params[] = {"{\"blur\":3}",      "{\"blur\":12}",
                                         "{\"blur\":200}",    "{\"pixelate\":20}",
                                         "{\"sharpen\":1.5}", "{\"sharpen\":1,\"blur\":2}"};
    struct bytes in = clear_red_beside_blue();
    (void)state;
    for (size_t i = 0; i < COUNT(params); i++) {
        struct outcome o = transform(in, params[i]);
        assert_int_equal(o.image->Bands, 4);
        for (int x = 30; x < 96; x++) {
            double alpha = at(o.image, x, 30, 3);
            if (alpha > 8 && (at(o.image, x, 30, 0) > 6 || at(o.image, x, 30, 2) < 225))
                fail_msg("%s: %d: (%g, %g, %g, %g)", params[i], x, at(o.image, x, 30, 0),
                         at(o.image, x, 30, 1), at(o.image, x, 30, 2), alpha);
        }
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_sharpen_is_that_of_libvips(void **state)
{
    VipsImage *noise = busy(120, 90), *soft, *image, *expected;
    (void)state;
    assert_int_equal(vips_gaussblur(noise, &soft, 2, NULL), 0);
    g_object_unref(noise);
    struct bytes in = encode(soft, ".png");
    struct outcome o = transform(in, "{\"sharpen\":1.2}");
    image = open_bytes(in);
    assert_int_equal(vips_sharpen(image, &expected, "sigma", 1.2, "m1", 1.0, "m2", 2.0, NULL), 0);
    assert_float_equal(mean_square_error(o.image, expected), 0, 0);
    assert_true(mean_square_error(o.image, image) > 1);
    g_object_unref(image);
    g_object_unref(expected);
    outcome_release(&o);
    bytes_release(&in);

    in = orange_png(4, VIPS_FORMAT_UCHAR); /* nothing to sharpen */
    const double same[4] = {200, 100, 50, 128};
    assert_effect(in, "{\"sharpen\":2}", "", same, 4, 2);
    bytes_release(&in);
}

static void test_pixelate_makes_squares_of_their_mean(void **state)
{
    struct bytes in = encode(gradient(64, 48), ".png");
    struct outcome o = transform(in, "{\"pixelate\":16}");
    (void)state;
    assert_int_equal(o.image->Xsize, 64);
    assert_int_equal(o.image->Ysize, 48);
    for (int y = 0; y < 48; y++)
        for (int x = 0; x < 64; x++) {
            const double mean[3] = {255.0 / 64 * (x / 16 * 16 + 7.5),
                                    255.0 / 48 * (y / 16 * 16 + 7.5), 40};
            assert_pixel(o.image, x, y, mean, 3, 1.2);
        }
    outcome_release(&o);
    o = transform(in, "{\"pixelate\":16384}");
    assert_float_equal(at(o.image, 0, 0, 0), at(o.image, 63, 47, 0), 0);
    outcome_release(&o);
    bytes_release(&in);
}

/* Together. */

static void test_sharpness_comes_after_colours_and_before_extend(void **state)
{
    static const double half[1] = {127.5}, white[1] = {255};
    static const double black_pixel[3] = {0, 0, 0}, white_pixel[3] = {255, 255, 255};
    VipsImage *left = solid(20, 20, 3, black_pixel, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *right = solid(20, 20, 3, white_pixel, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *both;
    (void)state;
    assert_int_equal(vips_join(left, right, &both, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
    g_object_unref(left);
    g_object_unref(right);
    struct bytes in = encode(both, ".png");
    /* gamma after pixelate would give 186; negate after extend would blacken what is around */
    struct outcome o = transform(in, "{\"grayscale\":true,\"gamma\":2.2,\"negate\":true,"
                                     "\"pixelate\":40,\"extend\":{\"left\":5}}");
    assert_int_equal(o.image->Xsize, 45);
    assert_pixel(o.image, 2, 10, white, 1, 0);
    assert_pixel(o.image, 30, 10, half, 1, 0.5);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_neutral_values_change_no_byte(void **state)
{
    struct bytes in = encode(busy(60, 40), ".jpg");
    struct outcome plain = transform(in, "{\"width\":50}");
    struct outcome neutral = transform(
        in, "{\"width\":50,\"gamma\":1,\"brightness\":1,\"contrast\":1.0,\"saturation\":1,"
            "\"hue\":0,\"grayscale\":false,\"negate\":false,\"normalise\":false,\"blur\":0,"
            "\"sharpen\":0,\"pixelate\":1,\"gravity\":\"centre\",\"extend\":{}}");
    const struct run_output *a = fake_run_output(plain.run, 0),
                            *b = fake_run_output(neutral.run, 0);
    (void)state;
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
    outcome_release(&plain);
    outcome_release(&neutral);
    bytes_release(&in);
}

static void test_effects_see_the_colours_of_the_profile(void **state)
{
    static const double colour[3] = {200, 60, 50}, twice[3] = {100, 30, 25};
    VipsImage *image = solid(64, 64, 3, colour, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), *p3;
    (void)state;
    assert_int_equal(vips_icc_transform(image, &p3, "p3", "input_profile", "srgb", NULL), 0);
    g_object_unref(image);
    struct bytes in = encode(p3, ".png");
    for (int strip = 0; strip < 2; strip++) {
        struct outcome o =
            transform(in, strip ? "{\"brightness\":0.5}" : "{\"brightness\":0.5,\"strip\":false}");
        assert_pixel(o.image, 5, 5, twice, 3, 1.5);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_a_wide_gamut_keeps_sixteen_bits_under_effects(void **state)
{
    static const double deep[3] = {200 * 257, 60 * 257, 50 * 257}, half[3] = {25700, 7710, 6425};
    VipsImage *image = solid(64, 64, 3, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), *p3;
    (void)state;
    assert_int_equal(
        vips_icc_transform(image, &p3, "p3", "input_profile", "srgb", "depth", 16, NULL), 0);
    g_object_unref(image);
    struct bytes in = encode(p3, ".png");
    struct outcome o = transform(in, "{\"brightness\":0.5,\"strip\":false,\"width\":32}");
    assert_int_equal(o.image->BandFmt, VIPS_FORMAT_USHORT);
    assert_pixel(o.image, 5, 5, half, 3, 100);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_a_profile_of_other_channels_does_not_stay(void **state)
{
    static const double colour[3] = {200, 60, 50}, grey_pixel[1] = {90}, red[3] = {255, 0, 0};
    static const char *const formats[] = {"png", "jpeg", "webp", "tiff"};
    VipsImage *image = solid(64, 64, 3, colour, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), *p3;
    (void)state;
    assert_int_equal(vips_icc_transform(image, &p3, "p3", "input_profile", "srgb", NULL), 0);
    g_object_unref(image);
    struct bytes in = encode(p3, ".png");
    for (size_t i = 0; i < COUNT(formats); i++) {
        char params[100];
        snprintf(params, sizeof(params), "{\"grayscale\":true,\"strip\":false,\"format\":\"%s\"}",
                 formats[i]);
        struct outcome o = transform(in, params);
        if (o.image == NULL)
            fail_msg("%s: %s %s", params, o.error.detail, o.error.cause);
        assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
        outcome_release(&o);
    }
    bytes_release(&in);

    /* a grey file whose profile is one of RGB, beside red */
    image = solid(16, 16, 1, grey_pixel, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR);
    const void *profile;
    size_t size;
    VipsBlob *blob;
    assert_int_equal(vips_profile_load("srgb", &blob, NULL), 0);
    profile = vips_blob_get(blob, &size);
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, profile, size);
    vips_area_unref(VIPS_AREA(blob));
    in = encode(image, ".jpg");
    struct outcome o = transform(in, "{\"strip\":false,\"extend\":{\"left\":8,\"background\":"
                                     "\"#ff0000\"},\"quality\":100}");
    assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
    assert_pixel(o.image, 2, 5, red, 3, 6);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_effects_make_rgb_of_cmyk(void **state)
{
    static const double cyan[4] = {255, 0, 0, 0};
    (void)state;
    struct bytes in =
        encode(solid(32, 16, 4, cyan, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR), ".jpg");
    struct outcome plain = transform(in, "{\"format\":\"png\"}");
    struct outcome o = transform(in, "{\"negate\":true,\"strip\":false}");
    assert_int_equal(o.image->Bands, 3);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(255 - at(plain.image, 4, 4, i) - at(o.image, 4, 4, i)) < 4);
    outcome_release(&plain);
    outcome_release(&o);
    o = transform(in, "{\"blur\":2,\"strip\":false}"); /* a matter of no colour space */
    assert_int_equal(o.image->Bands, 4);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_every_effect_stops_when_told(void **state)
{
    static const char *const params[] = {
        "{\"blur\":3}",           "{\"blur\":100}",       "{\"sharpen\":1}", "{\"pixelate\":9}",
        "{\"tint\":\"#123456\"}", "{\"normalise\":true}", "{\"hue\":5}"};
    struct bytes in = encode(busy(800, 600), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(params); i++) {
        struct run *run = fake_run_new(TRANSFORM, params[i]);
        fake_run_stop_at(run, 0.5);
        assert_refused(compute(run, in, ""), ERR_STOPPED, "stopped");
    }
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_colours_become_what_the_formulas_say),
        cmocka_unit_test(test_colour_effects_leave_transparency_alone),
        cmocka_unit_test(test_colour_effects_keep_sixteen_bits_where_they_may),
        cmocka_unit_test(test_a_grey_picture_stays_grey_unless_tinted),
        cmocka_unit_test(test_grayscale_is_how_light_the_picture_is),
        cmocka_unit_test(test_tint_has_the_hue_of_its_colour_and_the_light_of_the_picture),
        cmocka_unit_test(test_tint_keeps_depth_and_transparency),
        cmocka_unit_test(test_normalise_stretches_what_is_seen),
        cmocka_unit_test(test_normalise_does_not_count_what_is_invisible),
        cmocka_unit_test(test_blur_is_gaussian_whatever_its_width),
        cmocka_unit_test(test_a_wide_blur_keeps_its_place),
        cmocka_unit_test(test_invisible_colours_do_not_bleed_into_neighbours),
        cmocka_unit_test(test_sharpen_is_that_of_libvips),
        cmocka_unit_test(test_pixelate_makes_squares_of_their_mean),
        cmocka_unit_test(test_sharpness_comes_after_colours_and_before_extend),
        cmocka_unit_test(test_neutral_values_change_no_byte),
        cmocka_unit_test(test_effects_see_the_colours_of_the_profile),
        cmocka_unit_test(test_a_wide_gamut_keeps_sixteen_bits_under_effects),
        cmocka_unit_test(test_a_profile_of_other_channels_does_not_stay),
        cmocka_unit_test(test_effects_make_rgb_of_cmyk),
        cmocka_unit_test(test_every_effect_stops_when_told),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
