/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: sizes, turns, colours, formats. What comes out is decoded again and compared
 * with what libvips makes of the same picture step by step.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Sizes. */

static void test_every_fit_gives_the_size_it_promises(void **state)
{
    static const struct {
        const char *params;
        int width, height;
    } cases[] = {
        {"{}", 600, 450},
        {"{\"width\":200}", 200, 150},
        {"{\"height\":150}", 200, 150},
        {"{\"width\":199}", 199, 149},
        {"{\"width\":1}", 1, 1},
        {"{\"width\":200,\"height\":200}", 200, 150},
        {"{\"width\":300,\"height\":100}", 133, 100},
        {"{\"width\":200,\"height\":200,\"fit\":\"cover\"}", 200, 200},
        {"{\"width\":300,\"height\":100,\"fit\":\"cover\"}", 300, 100},
        {"{\"width\":300,\"fit\":\"cover\"}", 300, 225},
        {"{\"width\":200,\"height\":200,\"fit\":\"contain\"}", 200, 200},
        {"{\"width\":300,\"fit\":\"contain\"}", 300, 225},
        {"{\"width\":200,\"height\":200,\"fit\":\"fill\"}", 200, 200},
        {"{\"width\":300,\"fit\":\"fill\"}", 300, 225},
        /* never larger unless asked to */
        {"{\"width\":1200}", 600, 450},
        {"{\"width\":1200,\"height\":1000}", 600, 450},
        {"{\"width\":1200,\"height\":1200,\"fit\":\"cover\"}", 450, 450},
        {"{\"width\":500,\"height\":500,\"fit\":\"cover\"}", 450, 450},
        {"{\"width\":1200,\"height\":1200,\"fit\":\"contain\"}", 1200, 1200},
        {"{\"width\":1200,\"height\":100,\"fit\":\"fill\"}", 600, 100},
        {"{\"width\":1200,\"enlarge\":true}", 1200, 900},
        {"{\"width\":1200,\"height\":1200,\"enlarge\":true}", 1200, 900},
        {"{\"width\":1200,\"height\":1200,\"fit\":\"cover\",\"enlarge\":true}", 1200, 1200},
        {"{\"width\":1200,\"height\":1200,\"fit\":\"contain\",\"enlarge\":true}", 1200, 1200},
        {"{\"width\":1200,\"height\":100,\"fit\":\"fill\",\"enlarge\":true}", 1200, 100},
        {"{\"width\":200,\"rotate\":90}", 200, 267},
        {"{\"rotate\":270}", 450, 600},
        {"{\"rotate\":90,\"width\":900,\"enlarge\":true}", 900, 1200},
        {"{\"rotate\":90,\"width\":100,\"height\":100,\"fit\":\"cover\"}", 100, 100},
        {"{\"crop\":{\"left\":10,\"top\":20,\"width\":300,\"height\":100},\"width\":150}", 150, 50},
        {"{\"crop\":{\"left\":0,\"top\":0,\"width\":600,\"height\":450}}", 600, 450},
        {"{\"crop\":{\"left\":599,\"top\":449,\"width\":1,\"height\":1}}", 1, 1},
    };
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".tif"};
    (void)state;

    for (size_t s = 0; s < COUNT(suffixes); s++) {
        struct bytes in = encode(gradient(600, 450), suffixes[s]);
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct outcome o = transform(in, cases[i].params);
            if (o.image == NULL || o.image->Xsize != cases[i].width ||
                o.image->Ysize != cases[i].height)
                fail_msg("%s %s: %dx%d %s %s", suffixes[s], cases[i].params,
                         o.image ? o.image->Xsize : 0, o.image ? o.image->Ysize : 0, o.error.detail,
                         o.error.cause);
            outcome_release(&o);
        }
        bytes_release(&in);
    }
}

static void test_cover_keeps_the_middle(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(400, 100), ".png");
    struct outcome o = transform(in, "{\"width\":50,\"height\":50,\"fit\":\"cover\"}");
    const double left[3] = {255 * 151 / 400.0, 2.5, 40}, right[3] = {255 * 249 / 400.0, 250, 40};

    assert_pixel(o.image, 0, 0, left, 3, 3);
    assert_pixel(o.image, 49, 49, right, 3, 3);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_contain_surrounds_with_the_background(void **state)
{
    static const double blue[3] = {0, 0, 255}, clear[4] = {0, 0, 255, 0}, grey[3] = {90, 90, 90},
                        dark[1] = {16};
    static const double grey_pixel[1] = {90};
    (void)state;
    struct bytes in = encode(gradient(100, 50), ".png");
    struct outcome o = transform(
        in, "{\"width\":40,\"height\":40,\"fit\":\"contain\",\"background\":\"#0000ff\"}");
    const double middle[3] = {129, 129, 40};
    assert_pixel(o.image, 0, 0, blue, 3, 0);
    assert_pixel(o.image, 39, 39, blue, 3, 0);
    assert_pixel(o.image, 20, 20, middle, 3, 5);
    outcome_release(&o);

    o = transform(in,
                  "{\"width\":40,\"height\":40,\"fit\":\"contain\",\"background\":\"0000FF00\"}");
    const double middle_opaque[4] = {129, 129, 40, 255};
    assert_pixel(o.image, 0, 0, clear, 4, 0);
    assert_pixel(o.image, 20, 20, middle_opaque, 4, 5);
    outcome_release(&o);

    /* transparency has no place in a JPEG: the colour alone counts */
    o = transform(in, "{\"width\":40,\"height\":40,\"fit\":\"contain\",\"format\":\"jpeg\","
                      "\"background\":\"#0000ff00\"}");
    assert_pixel(o.image, 2, 2, blue, 3, 4);
    outcome_release(&o);
    bytes_release(&in);

    /* a grey picture stays grey beside a grey, and becomes coloured beside a colour */
    in = encode(solid(100, 50, 1, grey_pixel, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    o = transform(in,
                  "{\"width\":40,\"height\":40,\"fit\":\"contain\",\"background\":\"#101010\"}");
    assert_pixel(o.image, 0, 0, dark, 1, 0);
    outcome_release(&o);
    o = transform(in,
                  "{\"width\":40,\"height\":40,\"fit\":\"contain\",\"background\":\"#0000ff\"}");
    assert_pixel(o.image, 0, 0, blue, 3, 0);
    assert_pixel(o.image, 20, 20, grey, 3, 1);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_what_is_too_large_says_so(void **state)
{
    static const struct {
        const char *params, *words;
    } cases[] = {
        {"{\"width\":16384,\"enlarge\":true}", "max_megapixels is 71"},
        {"{\"height\":16384,\"enlarge\":true}", "at most 16384"},
        {"{\"width\":16384,\"height\":16384,\"fit\":\"cover\",\"enlarge\":true}", "max_megapixels"},
        {"{\"width\":100,\"height\":16384,\"fit\":\"cover\",\"enlarge\":true}", "at most 16384"},
        {"{\"width\":16384,\"height\":16,\"fit\":\"fill\",\"enlarge\":true,\"format\":\"webp\"}",
         "a webp has at most 16383"},
    };
    (void)state;
    struct bytes in = encode(gradient(200, 100), ".png");

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(transform(in, cases[i].params), ERR_INVALID_PARAMS, cases[i].words);
    struct outcome o =
        transform(in, "{\"width\":16384,\"height\":16,\"fit\":\"fill\",\"enlarge\":true}");
    assert_non_null(o.image);
    outcome_release(&o);
    bytes_release(&in);
}

/* Turning and cropping. */

static const VipsRect crop_rect = {7, 3, 20, 10};

/* The order that the descriptor promises, step by step. */
static VipsImage *reference_turned(struct bytes in, bool autorotate, int rotate, const char *flip)
{
    VipsImage *image = vips_image_new_from_buffer(in.data, in.size, "", NULL), *next;
    VipsImage *steps[6] = {image};
    int n = 1;

    if (autorotate) {
        assert_int_equal(vips_autorot(image, &next, NULL), 0);
        image = steps[n++] = next;
    }
    assert_int_equal(vips_extract_area(image, &next, crop_rect.left, crop_rect.top, crop_rect.width,
                                       crop_rect.height, NULL),
                     0);
    image = steps[n++] = next;
    assert_int_equal(vips_rot(image, &next, (VipsAngle)(rotate / 90), NULL), 0);
    image = steps[n++] = next;
    if (strcmp(flip, "horizontal") == 0 || strcmp(flip, "both") == 0) {
        assert_int_equal(vips_flip(image, &next, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
        image = steps[n++] = next;
    }
    if (strcmp(flip, "vertical") == 0 || strcmp(flip, "both") == 0) {
        assert_int_equal(vips_flip(image, &next, VIPS_DIRECTION_VERTICAL, NULL), 0);
        image = steps[n++] = next;
    }
    for (int i = 0; i < n - 1; i++)
        g_object_unref(steps[i]);
    return image;
}

static void assert_turned_exactly(struct bytes in, bool autorotate, int rotate, const char *flip)
{
    char params[256];
    snprintf(params, sizeof(params),
             "{\"format\":\"png\",\"autorotate\":%s,\"rotate\":%d%s%s%s,\"crop\":{\"left\":%d,"
             "\"top\":%d,\"width\":%d,\"height\":%d}}",
             autorotate ? "true" : "false", rotate, *flip ? ",\"flip\":\"" : "", flip,
             *flip ? "\"" : "", crop_rect.left, crop_rect.top, crop_rect.width, crop_rect.height);
    struct outcome o = transform(in, params);
    VipsImage *expected = reference_turned(in, autorotate, rotate, flip);

    assert_non_null(o.image);
    assert_float_equal(mean_square_error(o.image, expected), 0, 0);
    g_object_unref(expected);
    outcome_release(&o);
}

static void test_orientation_crop_rotate_and_flip_come_in_that_order(void **state)
{
    static const char *const flips[] = {"", "horizontal", "vertical", "both"};
    (void)state;

    for (int orientation = 1; orientation <= 8; orientation++) {
        VipsImage *image = gradient(40, 30), *tagged;
        assert_int_equal(vips_copy(image, &tagged, NULL), 0);
        vips_image_set_int(tagged, VIPS_META_ORIENTATION, orientation);
        g_object_unref(image);
        struct bytes in = encode(tagged, ".jpg");
        for (int rotate = 0; rotate < 360; rotate += 90)
            for (size_t f = 0; f < COUNT(flips); f++)
                assert_turned_exactly(in, true, rotate, flips[f]);
        assert_turned_exactly(in, false, 90, "horizontal");
        bytes_release(&in);
    }
}

static void test_resizing_and_turning_agree_with_turning_first(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(400, 300), ".png");
    struct outcome small = transform(in, "{\"rotate\":90,\"width\":60,\"flip\":\"vertical\"}");
    struct outcome large =
        transform(in, "{\"rotate\":90,\"width\":600,\"enlarge\":true,\"flip\":\"vertical\"}");
    VipsImage *expected;

    assert_int_equal(
        vips_resize(large.image, &expected, 0.1, "vscale", 80.0 / large.image->Ysize, NULL), 0);
    assert_true(mean_square_error(small.image, expected) < 2);
    g_object_unref(expected);
    outcome_release(&small);
    outcome_release(&large);
    bytes_release(&in);
}

static void test_a_crop_beyond_the_picture_names_its_size(void **state)
{
    static const char *const crops[] = {
        "{\"crop\":{\"left\":0,\"top\":0,\"width\":41,\"height\":1}}",
        "{\"crop\":{\"left\":40,\"top\":0,\"width\":1,\"height\":1}}",
        "{\"crop\":{\"left\":0,\"top\":30,\"width\":1,\"height\":1}}",
        "{\"crop\":{\"left\":1000000,\"top\":1000000,\"width\":1000000,\"height\":1000000}}",
    };
    (void)state;
    struct bytes in = encode(gradient(40, 30), ".png");
    for (size_t i = 0; i < COUNT(crops); i++)
        assert_refused(transform(in, crops[i]), ERR_INVALID_PARAMS, "which is 40x30 pixels");
    bytes_release(&in);
}

/* Colours. */

static void test_transparency_becomes_background_in_jpeg(void **state)
{
    static const double clear[4] = {255, 0, 0, 0}, white[3] = {255, 255, 255},
                        green[3] = {0, 128, 0}, clear_grey[2] = {0, 0}, white_grey[1] = {255};
    (void)state;
    struct bytes in =
        encode(solid(32, 32, 4, clear, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
    struct outcome o = transform(in, "{\"format\":\"jpeg\"}");
    assert_pixel(o.image, 5, 5, white, 3, 1);
    outcome_release(&o);
    o = transform(in, "{\"format\":\"jpeg\",\"width\":8,\"background\":\"#008000\"}");
    assert_pixel(o.image, 5, 5, green, 3, 3);
    outcome_release(&o);
    o = transform(in, "{\"format\":\"webp\"}");
    assert_int_equal(o.image->Bands, 4);
    outcome_release(&o);
    bytes_release(&in);

    in = encode(solid(32, 32, 2, clear_grey, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    o = transform(in, "{\"format\":\"jpeg\"}");
    assert_pixel(o.image, 5, 5, white_grey, 1, 1);
    outcome_release(&o);
    o = transform(in, "{\"format\":\"jpeg\",\"background\":\"#008000\"}");
    assert_pixel(o.image, 5, 5, green, 3, 3);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_invisible_colours_do_not_bleed(void **state)
{
    static const double red_clear[4] = {255, 0, 0, 0}, blue[4] = {0, 0, 255, 255};
    VipsImage *both;
    (void)state;
    VipsImage *left = solid(45, 90, 4, red_clear, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *right = solid(45, 90, 4, blue, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    assert_int_equal(vips_join(left, right, &both, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
    g_object_unref(left);
    g_object_unref(right);
    struct bytes in = encode(both, ".png");
    struct outcome o = transform(in, "{\"width\":9}");
    double *pixel;
    int n;

    assert_int_equal(vips_getpoint(o.image, &pixel, &n, 4, 4, NULL), 0); /* on the border */
    assert_int_equal(n, 4);
    assert_true(pixel[3] > 100 && pixel[3] < 160);
    assert_true(pixel[0] < 5 && pixel[2] > 250);
    g_free(pixel);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_sixteen_bits_become_eight_unless_kept(void **state)
{
    static const double deep[3] = {65535, 32896, 257}, flat[3] = {255, 128, 1};
    static const double clear[4] = {65535, 0, 0, 32896}, mixed[3] = {255, 127, 127};
    (void)state;
    struct bytes in =
        encode(solid(20, 20, 3, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), ".png");
    struct outcome o = transform(in, "{\"width\":10}");
    assert_int_equal(o.image->BandFmt, VIPS_FORMAT_UCHAR);
    assert_pixel(o.image, 5, 5, flat, 3, 1);
    outcome_release(&o);
    o = transform(in, "{\"width\":10,\"strip\":false}");
    assert_int_equal(o.image->BandFmt, VIPS_FORMAT_USHORT);
    assert_pixel(o.image, 5, 5, deep, 3, 1);
    outcome_release(&o);
    o = transform(in, "{\"width\":10,\"strip\":false,\"format\":\"jpeg\"}");
    assert_pixel(o.image, 5, 5, flat, 3, 6);
    outcome_release(&o);
    bytes_release(&in);

    in = encode(solid(20, 20, 4, clear, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), ".png");
    for (int strip = 0; strip < 2; strip++) {
        o = transform(in, strip ? "{\"format\":\"jpeg\",\"width\":10}"
                                : "{\"format\":\"jpeg\",\"width\":10,\"strip\":false}");
        assert_pixel(o.image, 5, 5, mixed, 3, 4);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_a_profile_is_applied_before_it_is_dropped(void **state)
{
    static const double colour[3] = {200, 60, 50};
    VipsImage *image = solid(64, 64, 3, colour, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), *p3;
    (void)state;
    assert_int_equal(vips_icc_transform(image, &p3, "p3", "input_profile", "srgb", NULL), 0);
    g_object_unref(image);
    struct bytes in = encode(p3, ".png");
    VipsImage *raw = vips_image_new_from_buffer(in.data, in.size, "", NULL);
    double *pixel;
    int n;

    assert_int_equal(vips_getpoint(raw, &pixel, &n, 5, 5, NULL), 0);
    assert_true(fabs(pixel[0] - colour[0]) > 8); /* other numbers for the same colour */
    struct outcome o = transform(in, "{\"width\":32}");
    assert_pixel(o.image, 5, 5, colour, 3, 2);
    assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
    outcome_release(&o);
    o = transform(in, "{\"width\":32,\"strip\":false}");
    assert_pixel(o.image, 5, 5, pixel, 3, 1);
    assert_int_not_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
    outcome_release(&o);
    g_free(pixel);
    g_object_unref(raw);
    bytes_release(&in);
}

static void test_a_profile_leaves_the_transparency_of_16_bits(void **state)
{
    static const double deep[4] = {20000, 40000, 60000, 30000};
    VipsImage *p3;
    double *pixel;
    int n;
    (void)state;
    VipsImage *image = solid(32, 32, 4, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT);
    assert_int_equal(
        vips_icc_transform(image, &p3, "p3", "input_profile", "srgb", "depth", 16, NULL), 0);
    g_object_unref(image);
    struct bytes in = encode(p3, ".png");
    struct outcome o = transform(in, "{\"width\":16}");

    assert_int_equal(vips_getpoint(o.image, &pixel, &n, 5, 5, NULL), 0);
    assert_int_equal(n, 4);
    assert_true(fabs(pixel[0] - 78) <= 1 && fabs(pixel[3] - 117) <= 1);
    g_free(pixel);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_transparency_of_fractions_stays(void **state)
{
    static const double light[4] = {0.2, 0.5, 0.8, 0.5}, expected[4] = {124, 188, 231, 127};
    (void)state;
    struct bytes in =
        encode(solid(32, 32, 4, light, VIPS_INTERPRETATION_scRGB, VIPS_FORMAT_FLOAT), ".tif");
    struct outcome o = transform(in, "{\"format\":\"png\",\"width\":16}");

    assert_pixel(o.image, 5, 5, expected, 4, 1);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_a_broken_profile_is_ignored(void **state)
{
    static const double colour[3] = {200, 60, 50};
    (void)state;
    VipsImage *image = solid(64, 64, 3, colour, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, "this is no profile", 18);
    struct bytes in = encode(image, ".jpg[profile=none]");
    struct outcome o = transform(in, "{\"format\":\"png\"}");
    assert_pixel(o.image, 5, 5, colour, 3, 3);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_cmyk_becomes_srgb_unless_kept_in_a_jpeg(void **state)
{
    static const double cyan[4] = {255, 0, 0, 0};
    static const struct {
        const char *params;
        int bands;
    } cases[] = {
        {"{}", 3},
        {"{\"format\":\"png\",\"strip\":false}", 3},
        {"{\"format\":\"webp\"}", 3},
        {"{\"strip\":false}", 4},
        {"{\"strip\":false,\"width\":9,\"height\":9,\"fit\":\"contain\"}", 3},
    };
    (void)state;
    struct bytes in =
        encode(solid(32, 16, 4, cyan, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR), ".jpg");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = transform(in, cases[i].params);
        assert_non_null(o.image);
        assert_int_equal(o.image->Bands, cases[i].bands);
        if (cases[i].bands == 3) {
            double *pixel;
            int n;
            assert_int_equal(vips_getpoint(o.image, &pixel, &n, 4, 4, NULL), 0);
            assert_true(pixel[0] < 120 && pixel[1] > 120 && pixel[2] > 180); /* cyan to the eye */
            g_free(pixel);
        }
        outcome_release(&o);
    }
    bytes_release(&in);
}

/* A TIFF can have what a JPEG has not. */
static void test_deep_cmyk_is_no_jpeg_as_it_is(void **state)
{
    static const double deep[4] = {2570, 25700, 51400, 7710};
    (void)state;
    VipsImage *image = solid(32, 16, 4, deep, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_USHORT);
    struct bytes in = encode(image, ".tif");
    struct outcome o = transform(in, "{\"format\":\"png\"}");
    double *pixel;
    int n;

    assert_int_equal(vips_getpoint(o.image, &pixel, &n, 4, 4, NULL), 0);
    outcome_release(&o);
    o = transform(in, "{\"format\":\"jpeg\",\"quality\":95,\"strip\":false}");
    assert_pixel(o.image, 4, 4, pixel, 3, 3);
    g_free(pixel);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_rgb_is_not_written_with_a_profile_of_cmyk(void **state)
{
    static const double cyan[4] = {255, 0, 0, 0};
    (void)state;
    struct bytes in =
        encode(solid(32, 16, 4, cyan, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR), ".tif");
    struct outcome o = transform(in, "{\"strip\":false}");

    assert_int_equal(o.image->Bands, 3);
    assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
    outcome_release(&o);
    bytes_release(&in);
}

/* Formats and metadata. */

static void test_the_format_is_the_inputs_or_the_nearest(void **state)
{
    static const double clear[4] = {255, 0, 0, 0};
    static const struct {
        const char *suffix, *params, *media_type;
        bool with_alpha;
    } cases[] = {
        {".jpg", "{}", "image/jpeg", false},
        {".png", "{}", "image/png", false},
        {".webp", "{}", "image/webp", false},
        {".tif", "{}", "image/tiff", false},
        {".tif", "{}", "image/tiff", true},
        {".gif", "{}", "image/gif", true},
        {".gif", "{}", "image/gif", false},
        {".jpg", "{\"format\":\"webp\"}", "image/webp", false},
        {".png", "{\"format\":\"jpeg\"}", "image/jpeg", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        VipsImage *image = cases[i].with_alpha ? solid(16, 16, 4, clear, VIPS_INTERPRETATION_sRGB,
                                                       VIPS_FORMAT_UCHAR)
                                               : gradient(16, 16);
        struct bytes in = encode(image, cases[i].suffix);
        struct outcome o = transform(in, cases[i].params);
        assert_non_null(o.image);
        assert_string_equal(o.media_type, cases[i].media_type);
        outcome_release(&o);
        bytes_release(&in);
    }
}

static void test_metadata_goes_unless_kept_and_never_lies(void **state)
{
    VipsImage *image = gradient(64, 32), *tagged;
    VipsBlob *profile;
    (void)state;
    assert_int_equal(vips_copy(image, &tagged, NULL), 0);
    g_object_unref(image);
    vips_image_set_int(tagged, VIPS_META_ORIENTATION, 6);
    vips_image_set_string(tagged, "exif-ifd0-Copyright", "Somebody");
    assert_int_equal(vips_profile_load("srgb", &profile, NULL), 0);
    vips_image_set_blob_copy(tagged, VIPS_META_ICC_NAME, VIPS_AREA(profile)->data,
                             VIPS_AREA(profile)->length);
    vips_area_unref(VIPS_AREA(profile));
    struct bytes in = encode(tagged, ".jpg");

    static const char *const formats[] = {"jpeg", "png", "webp", "gif", "tiff"};
    struct outcome o;
    for (size_t i = 0; i < COUNT(formats) * 2; i++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"format\":\"%s\"%s}", formats[i / 2],
                 i % 2 ? ",\"max_bytes\":100000" : "");
        o = transform(in, params);
        assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_EXIF_NAME), 0);
        assert_int_equal(vips_image_get_typeof(o.image, "exif-ifd0-Copyright"), 0);
        assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_ICC_NAME), 0);
        outcome_release(&o);
    }

    o = transform(in, "{\"strip\":false}");
    assert_int_equal(o.image->Xsize, 32);
    assert_int_equal(vips_image_get_orientation(o.image), 1); /* it is upright now */
    assert_int_not_equal(vips_image_get_typeof(o.image, "exif-ifd0-Copyright"), 0);
    outcome_release(&o);

    o = transform(in, "{\"strip\":false,\"autorotate\":false}");
    assert_int_equal(o.image->Xsize, 64);
    assert_int_equal(vips_image_get_orientation(o.image), 6); /* it still has to be turned */
    outcome_release(&o);
    bytes_release(&in);
}

static void test_quality_changes_the_size(void **state)
{
    static const char *const formats[] = {"jpeg", "webp"};
    (void)state;
    struct bytes in = encode(gradient(300, 300), ".png");
    for (size_t i = 0; i < COUNT(formats); i++) {
        size_t sizes[2];
        for (int k = 0; k < 2; k++) {
            char params[64];
            snprintf(params, sizeof(params), "{\"format\":\"%s\",\"quality\":%d}", formats[i],
                     k ? 95 : 10);
            struct outcome o = transform(in, params);
            sizes[k] = fake_run_output(o.run, 0)->size;
            outcome_release(&o);
        }
        assert_true(sizes[0] < sizes[1]);
    }
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_fit_gives_the_size_it_promises),
        cmocka_unit_test(test_cover_keeps_the_middle),
        cmocka_unit_test(test_contain_surrounds_with_the_background),
        cmocka_unit_test(test_what_is_too_large_says_so),
        cmocka_unit_test(test_orientation_crop_rotate_and_flip_come_in_that_order),
        cmocka_unit_test(test_resizing_and_turning_agree_with_turning_first),
        cmocka_unit_test(test_a_crop_beyond_the_picture_names_its_size),
        cmocka_unit_test(test_transparency_becomes_background_in_jpeg),
        cmocka_unit_test(test_invisible_colours_do_not_bleed),
        cmocka_unit_test(test_sixteen_bits_become_eight_unless_kept),
        cmocka_unit_test(test_a_profile_is_applied_before_it_is_dropped),
        cmocka_unit_test(test_a_profile_leaves_the_transparency_of_16_bits),
        cmocka_unit_test(test_transparency_of_fractions_stays),
        cmocka_unit_test(test_a_broken_profile_is_ignored),
        cmocka_unit_test(test_cmyk_becomes_srgb_unless_kept_in_a_jpeg),
        cmocka_unit_test(test_deep_cmyk_is_no_jpeg_as_it_is),
        cmocka_unit_test(test_rgb_is_not_written_with_a_profile_of_cmyk),
        cmocka_unit_test(test_the_format_is_the_inputs_or_the_nearest),
        cmocka_unit_test(test_metadata_goes_unless_kept_and_never_lies),
        cmocka_unit_test(test_quality_changes_the_size),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
