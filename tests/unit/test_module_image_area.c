/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: which part of a picture stays: trim, gravity, focus.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Trim. */

static const double white[4] = {255, 255, 255, 255};

static struct bytes framed(const char *suffix)
{
    return encode(on_canvas(gradient(40, 30), 7, 3, 60, 50, white), suffix);
}

static void test_trim_leaves_what_is_not_border(void **state)
{
    static const struct {
        const char *params;
        int left, top, width, height;
    } cases[] = {
        {"{\"trim\":{}}", 7, 3, 40, 30},
        {"{\"trim\":{\"threshold\":0}}", 7, 3, 40, 30},
        {"{\"trim\":{\"threshold\":255}}", 0, 0, 60, 50},
        {"{\"trim\":{\"background\":\"#ffffff\"}}", 7, 3, 40, 30},
        {"{\"trim\":{\"background\":\"fafafa\"}}", 7, 3, 40, 30},
        {"{\"trim\":{\"background\":\"#000000\"}}", 0, 0, 60, 50},
        {"{\"trim\":{\"background\":\"#ffffff00\"}}", 7, 3, 40, 30},
        {"{\"trim\":{\"equal\":\"horizontal\"}}", 7, 3, 46, 30},
        {"{\"trim\":{\"equal\":\"vertical\"}}", 7, 3, 40, 44},
        {"{\"trim\":{\"equal\":\"both\"}}", 7, 3, 46, 44},
        {"{\"trim\":{},\"crop\":{\"left\":5,\"top\":4,\"width\":10,\"height\":9}}", 12, 7, 10, 9},
        {"{\"trim\":{},\"crop\":{\"width\":10,\"height\":8},\"gravity\":\"southeast\"}", 37, 25, 10,
         8},
    };
    struct bytes in = framed(".png");
    VipsImage *image = open_bytes(in);
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = transform(in, cases[i].params);
        assert_same(&o,
                    area_of(image, cases[i].left, cases[i].top, cases[i].width, cases[i].height),
                    cases[i].params);
    }
    g_object_unref(image);
    bytes_release(&in);
}

static void test_trim_agrees_with_libvips_where_that_can_see(void **state)
{
    static const char *const names[] = {"320x240.jpg", "blackbug.png"};
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct bytes photo = shared(names[i]);
        if (photo.data == NULL)
            continue;
        VipsImage *image = open_bytes(photo), *flat;
        assert_int_equal(vips_flatten(image, &flat, NULL), 0);
        struct bytes in =
            encode(on_canvas(flat, 20, 31, image->Xsize + 50, image->Ysize + 40, white), ".png");
        struct outcome o = transform(in, "{\"trim\":{}}");
        VipsImage *whole = open_bytes(in);
        int left, top, width, height;
        assert_int_equal(vips_find_trim(whole, &left, &top, &width, &height, NULL), 0);
        /* whose median takes a corner for noise */
        assert_true(o.image->Xsize >= width && o.image->Xsize <= width + 2);
        assert_true(o.image->Ysize >= height && o.image->Ysize <= height + 2);
        assert_true(left >= 20 && left <= 22 && top >= 31 && top <= 33);
        outcome_release(&o);
        g_object_unref(whole);
        g_object_unref(image);
        bytes_release(&in);
        bytes_release(&photo);
    }
}

static void test_trim_sees_lines_of_one_pixel(void **state)
{
    static const double black[3] = {0, 0, 0};
    VipsImage *dot = solid(1, 1, 3, black, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    struct bytes in = encode(on_canvas(dot, 31, 12, 60, 50, white), ".png");
    struct outcome o = transform(in, "{\"trim\":{}}");
    (void)state;
    assert_int_equal(o.image->Xsize, 1);
    assert_int_equal(o.image->Ysize, 1);
    assert_pixel(o.image, 0, 0, black, 3, 0);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_trim_takes_noise_of_jpeg_for_border(void **state)
{
    struct bytes in = framed(".jpg[Q=90]");
    struct outcome o = transform(in, "{\"trim\":{\"threshold\":40},\"format\":\"png\"}");
    (void)state;
    assert_true(abs(o.image->Xsize - 40) <= 1 && abs(o.image->Ysize - 30) <= 1);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_nothing_but_border_stays(void **state)
{
    struct bytes in =
        encode(solid(30, 20, 3, white, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
    struct outcome o = transform(in, "{\"trim\":{}}");
    (void)state;
    assert_int_equal(o.image->Xsize, 30);
    assert_int_equal(o.image->Ysize, 20);
    outcome_release(&o);
    bytes_release(&in);
}

/* Pictures of every kind, 20 x 10 at (8, 5) of 40 x 30. */
static void test_trim_sees_every_kind_of_picture(void **state)
{
    static const struct {
        const char *suffix, *params;
        int bands;
        VipsInterpretation space;
        VipsBandFormat format;
        double border[5], content[5];
    } cases[] = {
        {".png", "{\"trim\":{}}", 1, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, {200}, {180}},
        {".png",
         "{\"trim\":{\"background\":\"#cc0000\"}}",
         3,
         VIPS_INTERPRETATION_sRGB,
         VIPS_FORMAT_UCHAR,
         {200},
         {180}},
        {".png", "{\"trim\":{}}", 2, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, {0, 0}, {0, 20}},
        /* what cannot be seen has no colour */
        {".png",
         "{\"trim\":{}}",
         4,
         VIPS_INTERPRETATION_sRGB,
         VIPS_FORMAT_UCHAR,
         {9, 9, 9, 0},
         {9, 9, 9, 255}},
        {".png",
         "{\"trim\":{\"background\":\"#ff000000\"}}",
         4,
         VIPS_INTERPRETATION_sRGB,
         VIPS_FORMAT_UCHAR,
         {9, 9, 9, 0},
         {9, 9, 9, 255}},
        {".png",
         "{\"trim\":{\"threshold\":1}}",
         3,
         VIPS_INTERPRETATION_RGB16,
         VIPS_FORMAT_USHORT,
         {65535, 0, 0},
         {65000, 0, 0}},
        {".png",
         "{\"trim\":{\"threshold\":1},\"strip\":false}",
         3,
         VIPS_INTERPRETATION_RGB16,
         VIPS_FORMAT_USHORT,
         {65535, 0, 0},
         {65000, 0, 0}},
        {".tif",
         "{\"trim\":{}}",
         4,
         VIPS_INTERPRETATION_CMYK,
         VIPS_FORMAT_UCHAR,
         {0, 0, 0, 0},
         {0, 0, 0, 90}},
        {".tif",
         "{\"trim\":{\"background\":\"#ffffff\"}}",
         4,
         VIPS_INTERPRETATION_CMYK,
         VIPS_FORMAT_UCHAR,
         {0, 0, 0, 0},
         {0, 0, 0, 90}},
        {".tif",
         "{\"trim\":{}}",
         3,
         VIPS_INTERPRETATION_scRGB,
         VIPS_FORMAT_FLOAT,
         {1, 1, 1},
         {0.5, 1, 1}},
        {".webp[lossless]",
         "{\"trim\":{}}",
         4,
         VIPS_INTERPRETATION_sRGB,
         VIPS_FORMAT_UCHAR,
         {0, 0, 0, 0},
         {255, 9, 9, 255}},
        {".gif",
         "{\"trim\":{}}",
         3,
         VIPS_INTERPRETATION_sRGB,
         VIPS_FORMAT_UCHAR,
         {0, 0, 0},
         {255, 9, 9}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        VipsImage *content =
            solid(20, 10, cases[i].bands, cases[i].content, cases[i].space, cases[i].format);
        struct bytes in =
            encode(on_canvas(content, 8, 5, 40, 30, cases[i].border), cases[i].suffix);
        struct outcome o = transform(in, cases[i].params);
        if (o.image == NULL || o.image->Xsize != 20 || o.image->Ysize != 10)
            fail_msg("%zu %s %s: %dx%d %s %s", i, cases[i].suffix, cases[i].params,
                     o.image ? o.image->Xsize : 0, o.image ? o.image->Ysize : 0, o.error.detail,
                     o.error.cause);
        outcome_release(&o);
        bytes_release(&in);
    }
}

static void test_trim_of_an_animation_cuts_what_is_border_in_every_frame(void **state)
{
    static const double red[3] = {255, 0, 0};
    VipsImage *frames[2], *roll, *tagged;
    int delays[2] = {100, 100};
    (void)state;
    for (int i = 0; i < 2; i++)
        frames[i] = on_canvas(solid(10, 10, 3, red, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR),
                              i ? 15 : 5, i ? 20 : 8, 40, 40, white);
    assert_int_equal(vips_arrayjoin(frames, &roll, 2, "across", 1, NULL), 0);
    assert_int_equal(vips_copy(roll, &tagged, NULL), 0);
    vips_image_set_int(tagged, VIPS_META_PAGE_HEIGHT, 40);
    vips_image_set_array_int(tagged, "delay", delays, 2);
    struct bytes in = encode(tagged, ".gif");
    struct outcome o = transform(in, "{\"trim\":{}}");
    assert_int_equal(o.image->Xsize, 20); /* 5 to 25, 8 to 30 */
    assert_int_equal(cJSON_GetObjectItem(fake_run_result(o.run), "height")->valueint, 22);
    outcome_release(&o);
    for (int i = 0; i < 2; i++)
        g_object_unref(frames[i]);
    g_object_unref(roll);
    bytes_release(&in);
}

/* Gravity. */

static void test_gravity_says_which_part_stays(void **state)
{
    static const struct {
        const char *params;
        int left, top; /* of 100 x 80, from 400 x 300 */
    } cases[] = {
        {"", 150, 110},
        {",\"gravity\":\"centre\"", 150, 110},
        {",\"gravity\":\"north\"", 150, 0},
        {",\"gravity\":\"northeast\"", 300, 0},
        {",\"gravity\":\"east\"", 300, 110},
        {",\"gravity\":\"southeast\"", 300, 220},
        {",\"gravity\":\"south\"", 150, 220},
        {",\"gravity\":\"southwest\"", 0, 220},
        {",\"gravity\":\"west\"", 0, 110},
        {",\"gravity\":\"northwest\"", 0, 0},
        {",\"focus\":{\"x\":0.5,\"y\":0.5}", 150, 110},
        {",\"focus\":{\"x\":0.25,\"y\":0.75}", 50, 185},
        {",\"focus\":{\"x\":0,\"y\":1}", 0, 220},
        {",\"focus\":{\"x\":1,\"y\":0}", 300, 0},
        {",\"focus\":{\"x\":0.9,\"y\":0.2},\"gravity\":\"west\"", 300, 20},
    };
    struct bytes in = encode(gradient(400, 300), ".png");
    VipsImage *image = open_bytes(in);
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[160];
        snprintf(params, sizeof(params), "{\"crop\":{\"width\":100,\"height\":80}%s}",
                 cases[i].params);
        struct outcome o = transform(in, params);
        assert_same(&o, area_of(image, cases[i].left, cases[i].top, 100, 80), params);
    }
    g_object_unref(image);
    bytes_release(&in);
}

static void test_cover_cuts_by_gravity_after_resizing(void **state)
{
    static const struct {
        const char *params;
        double first, last; /* of 400, the middles of the outermost pixels */
    } cases[] = {
        {"\"gravity\":\"west\"", 2, 98},      {"\"gravity\":\"east\"", 302, 398},
        {"\"gravity\":\"centre\"", 152, 248}, {"\"focus\":{\"x\":0.3,\"y\":0.9}", 72, 168},
        {"\"gravity\":\"south\"", 152, 248},
    };
    struct bytes in = encode(gradient(400, 100), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[160];
        snprintf(params, sizeof(params), "{\"width\":25,\"height\":25,\"fit\":\"cover\",%s}",
                 cases[i].params);
        struct outcome o = transform(in, params);
        const double first[3] = {255 * cases[i].first / 400, 5, 40},
                     last[3] = {255 * cases[i].last / 400, 250, 40};
        assert_pixel(o.image, 0, 0, first, 3, 6);
        assert_pixel(o.image, 24, 24, last, 3, 6);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_contain_puts_the_picture_where_gravity_says(void **state)
{
    static const struct {
        const char *gravity;
        int left, top;
    } cases[] = {
        {"centre", 10, 0},
        {"west", 0, 0},
        {"southeast", 20, 0},
        {"attention", 10, 0},
    };
    static const double black[3] = {0, 0, 0};
    struct bytes in = encode(gradient(40, 60), ".png");
    VipsImage *image = open_bytes(in);
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[160];
        snprintf(params, sizeof(params),
                 "{\"width\":60,\"height\":60,\"fit\":\"contain\",\"background\":\"#000000\","
                 "\"gravity\":\"%s\"}",
                 cases[i].gravity);
        struct outcome o = transform(in, params);
        assert_same(&o, on_canvas(g_object_ref(image), cases[i].left, cases[i].top, 60, 60, black),
                    params);
    }
    g_object_unref(image);
    bytes_release(&in);
}

/* Grey, with a red square (what catches the eye) and a square of grey noise (where much is). */
static struct bytes spotted(void)
{
    static const double grey[3] = {128, 128, 128}, red[3] = {230, 30, 20};
    VipsImage *canvas = on_canvas(
        solid(40, 40, 3, red, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), 40, 60, 400, 300, grey);
    VipsImage *noise, *noise_cast, *noise3, *both, *image;
    assert_int_equal(vips_gaussnoise(&noise, 60, 60, "mean", 128.0, "sigma", 50.0, "seed", 5, NULL),
                     0);
    assert_int_equal(vips_cast_uchar(noise, &noise_cast, NULL), 0);
    assert_int_equal(
        vips_bandjoin((VipsImage *[3]){noise_cast, noise_cast, noise_cast}, &noise3, 3, NULL), 0);
    assert_int_equal(vips_insert(canvas, noise3, &both, 300, 200, NULL), 0);
    assert_int_equal(vips_copy(both, &image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
    g_object_unref(canvas);
    g_object_unref(noise);
    g_object_unref(noise_cast);
    g_object_unref(noise3);
    g_object_unref(both);
    return encode(image, ".png");
}

static void test_smart_gravity_finds_what_there_is_to_see(void **state)
{
    static const char *const shapes[] = {"\"crop\":{\"width\":120,\"height\":100}",
                                         "\"width\":200,\"height\":200,\"fit\":\"cover\"",
                                         "\"width\":100,\"height\":150,\"fit\":\"cover\""};
    struct bytes in = spotted();
    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        char params[160];
        double redness, brightest;
        VipsImage *band, *green;

        snprintf(params, sizeof(params), "{%s,\"gravity\":\"attention\"}", shapes[i]);
        struct outcome o = transform(in, params);
        assert_non_null(o.image);
        assert_int_equal(vips_extract_band(o.image, &band, 0, NULL), 0);
        assert_int_equal(vips_max(band, &redness, NULL), 0);
        assert_true(redness > 220);
        g_object_unref(band);
        outcome_release(&o);

        snprintf(params, sizeof(params), "{%s,\"gravity\":\"entropy\"}", shapes[i]);
        o = transform(in, params);
        assert_non_null(o.image);
        assert_int_equal(vips_extract_band(o.image, &green, 1, NULL), 0);
        assert_int_equal(vips_max(green, &brightest, NULL), 0);
        assert_true(brightest > 180);
        g_object_unref(green);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_smart_gravity_is_that_of_libvips_on_the_resized_picture(void **state)
{
    static const struct {
        const char *name;
        VipsInteresting interesting;
    } kinds[] = {{"attention", VIPS_INTERESTING_ATTENTION}, {"entropy", VIPS_INTERESTING_ENTROPY}};
    struct bytes in = shared("320x240.jpg");
    (void)state;
    if (in.data == NULL)
        return;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char params[160];
        VipsImage *expected;
        struct outcome whole = transform(in, "{\"height\":120,\"format\":\"png\"}");
        snprintf(params, sizeof(params),
                 "{\"width\":60,\"height\":120,\"fit\":\"cover\",\"gravity\":\"%s\",\"format\":"
                 "\"png\"}",
                 kinds[i].name);
        struct outcome o = transform(in, params);
        assert_int_equal(vips_smartcrop(whole.image, &expected, 60, 120, "interesting",
                                        kinds[i].interesting, NULL),
                         0);
        assert_same(&o, expected, params);
        outcome_release(&whole);
    }
    bytes_release(&in);
}

static void test_smart_gravity_looks_at_every_kind_of_picture(void **state)
{
    static const struct {
        const char *suffix;
        int bands;
        VipsInterpretation space;
        VipsBandFormat format;
        double border[5], content[5];
    } cases[] = {
        {".png", 1, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, {20}, {220}},
        {".png", 2, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, {20, 255}, {220, 255}},
        {".png", 4, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR, {0, 0, 0, 0}, {230, 30, 20, 255}},
        {".png", 3, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT, {900, 900, 900}, {60000, 90, 5}},
        {".png", 4, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT, {0}, {60000, 90, 5, 65535}},
        {".tif", 4, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR, {0, 0, 0, 0}, {0, 220, 200, 0}},
        {".tif", 3, VIPS_INTERPRETATION_scRGB, VIPS_FORMAT_FLOAT, {0.1, 0.1, 0.1}, {0.9, 0, 0}},
        {".webp", 4, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR, {0}, {230, 30, 20, 255}},
    };
    static const char *const gravities[] = {"attention", "entropy"};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        VipsImage *content =
            solid(30, 30, cases[i].bands, cases[i].content, cases[i].space, cases[i].format);
        struct bytes in =
            encode(on_canvas(content, 160, 20, 240, 80, cases[i].border), cases[i].suffix);
        for (size_t k = 0; k < 2; k++) {
            char params[120];
            /* of 240 columns, the 80 that have the spot */
            snprintf(
                params, sizeof(params),
                "{\"crop\":{\"width\":80,\"height\":80},\"gravity\":\"%s\",\"trim\":{\"threshold"
                "\":255},\"format\":\"png\"}",
                gravities[k]);
            struct outcome o = transform(in, params);
            double spread;
            if (o.image == NULL)
                fail_msg("%zu: %s: %s %s", i, params, o.error.detail, o.error.cause);
            assert_int_equal(vips_deviate(o.image, &spread, NULL), 0);
            if (spread < 10)
                fail_msg("%zu: %s: standard deviation %g", i, params, spread);
            outcome_release(&o);
        }
        bytes_release(&in);
    }
}

static void test_a_crop_larger_than_what_trim_left_is_refused(void **state)
{
    struct bytes in = framed(".png");
    (void)state;
    assert_refused(transform(in, "{\"trim\":{},\"crop\":{\"width\":41,\"height\":1}}"),
                   ERR_INVALID_PARAMS, "which is 40x30 pixels");
    assert_refused(
        transform(in, "{\"crop\":{\"width\":61,\"height\":1},\"gravity\":\"attention\"}"),
        ERR_INVALID_PARAMS, "which is 60x50 pixels");
    bytes_release(&in);
}

static void test_variants_have_their_own_gravity(void **state)
{
    struct bytes in = encode(gradient(400, 100), ".png");
    struct run *run = fake_run_new(
        TRANSFORM, "{\"height\":25,\"width\":25,\"fit\":\"cover\",\"focus\":{\"x\":1,\"y\":0},"
                   "\"variants\":[{},{\"gravity\":\"west\"},{\"focus\":{\"x\":0.5,\"y\":0.5}}]}");
    static const double reds[3] = {255 * 302 / 400.0, 255 * 2 / 400.0, 255 * 152 / 400.0};
    struct error error = {0};
    (void)state;
    fake_run_input(run, "image", "", in.data, in.size);
    assert_int_equal(run_task("image.transform", run, &error), 0);
    for (int i = 0; i < 3; i++) {
        const struct run_output *out = fake_run_output(run, i);
        VipsImage *image = vips_image_new_from_buffer(out->bytes, out->size, "", NULL);
        const double first[3] = {reds[i], 5, 40};
        assert_pixel(image, 0, 0, first, 3, 6);
        g_object_unref(image);
    }
    fake_run_free(run);
    bytes_release(&in);
}

static void test_trim_and_smart_gravity_stop_when_told(void **state)
{
    static const char *const params[] = {
        "{\"trim\":{}}", "{\"trim\":{\"background\":\"#ffffff\"}}",
        "{\"crop\":{\"width\":300,\"height\":200},\"gravity\":\"attention\"}",
        "{\"width\":300,\"height\":100,\"fit\":\"cover\",\"gravity\":\"entropy\"}",
        "{\"extend\":{\"top\":40,\"with\":\"mirror\"}}"};
    struct bytes in = encode(on_canvas(gradient(800, 600), 100, 100, 1000, 800, white), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(params); i++)
        for (int call = 1; call < 120; call += 17) {
            struct run *run = fake_run_new(TRANSFORM, params[i]);
            struct error error = {0};
            fake_run_stop_at_call(run, call);
            fake_run_input(run, "image", "", in.data, in.size);
            int failed = run_task("image.transform", run, &error);
            if (fake_run_progress_calls(run) >= call && (failed == 0 || error.code != ERR_STOPPED))
                fail_msg("%s at call %d: %s", params[i], call, error.detail);
            fake_run_free(run);
        }
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_leaves_what_is_not_border),
        cmocka_unit_test(test_trim_agrees_with_libvips_where_that_can_see),
        cmocka_unit_test(test_trim_sees_lines_of_one_pixel),
        cmocka_unit_test(test_trim_takes_noise_of_jpeg_for_border),
        cmocka_unit_test(test_nothing_but_border_stays),
        cmocka_unit_test(test_trim_sees_every_kind_of_picture),
        cmocka_unit_test(test_trim_of_an_animation_cuts_what_is_border_in_every_frame),
        cmocka_unit_test(test_gravity_says_which_part_stays),
        cmocka_unit_test(test_cover_cuts_by_gravity_after_resizing),
        cmocka_unit_test(test_contain_puts_the_picture_where_gravity_says),
        cmocka_unit_test(test_smart_gravity_finds_what_there_is_to_see),
        cmocka_unit_test(test_smart_gravity_is_that_of_libvips_on_the_resized_picture),
        cmocka_unit_test(test_smart_gravity_looks_at_every_kind_of_picture),
        cmocka_unit_test(test_a_crop_larger_than_what_trim_left_is_refused),
        cmocka_unit_test(test_variants_have_their_own_gravity),
        cmocka_unit_test(test_trim_and_smart_gravity_stop_when_told),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
