/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: the room that extend makes; and that all steps see the picture upright, whatever
 * the file's orientation.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double white[4] = {255, 255, 255, 255};

static void test_extend_makes_room_as_it_says(void **state)
{
    static const struct {
        const char *with;
        VipsExtend extend;
    } cases[] = {
        {"copy", VIPS_EXTEND_COPY},
        {"mirror", VIPS_EXTEND_MIRROR},
        {"repeat", VIPS_EXTEND_REPEAT},
    };
    struct bytes in = encode(gradient(30, 20), ".png");
    VipsImage *image = open_bytes(in), *expected;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[160];
        snprintf(params, sizeof(params),
                 "{\"extend\":{\"top\":9,\"right\":70,\"bottom\":41,\"left\":3,\"with\":\"%s\"}}",
                 cases[i].with);
        struct outcome o = transform(in, params);
        assert_int_equal(
            vips_embed(image, &expected, 3, 9, 103, 70, "extend", cases[i].extend, NULL), 0);
        assert_same(&o, expected, params);
    }
    g_object_unref(image);
    bytes_release(&in);
}

static void test_extend_takes_its_own_colour_or_that_of_the_background(void **state)
{
    static const double blue[3] = {0, 0, 255}, red[3] = {255, 0, 0}, clear[4] = {255, 0, 0, 0};
    static const double grey_pixel[1] = {90}, grey[3] = {90, 90, 90};
    struct bytes in = encode(gradient(30, 20), ".png");
    (void)state;
    struct outcome o = transform(in, "{\"extend\":{\"left\":4},\"background\":\"#0000ff\"}");
    assert_int_equal(o.image->Xsize, 34);
    assert_pixel(o.image, 3, 19, blue, 3, 0);
    outcome_release(&o);
    o = transform(in, "{\"extend\":{\"top\":4,\"background\":\"#ff0000\"},\"background\":"
                      "\"#0000ff\",\"width\":30,\"height\":30,\"fit\":\"contain\"}");
    assert_int_equal(o.image->Ysize, 34);
    assert_pixel(o.image, 3, 3, red, 3, 0);
    assert_pixel(o.image, 3, 5, blue, 3, 0);
    outcome_release(&o);
    o = transform(in, "{\"extend\":{\"bottom\":4,\"background\":\"#ff000000\"}}");
    assert_pixel(o.image, 3, 23, clear, 4, 0);
    outcome_release(&o);
    o = transform(in, "{\"extend\":{\"bottom\":8,\"background\":\"#ff000000\"},\"format\":"
                      "\"jpeg\",\"quality\":100}");
    assert_pixel(o.image, 3, 27, red, 3, 4);
    outcome_release(&o);
    bytes_release(&in);

    in = encode(solid(9, 9, 1, grey_pixel, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    o = transform(in, "{\"extend\":{\"right\":4,\"background\":\"#ff0000\"}}");
    assert_pixel(o.image, 10, 3, red, 3, 0);
    assert_pixel(o.image, 3, 3, grey, 3, 0);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_extend_keeps_depth_and_does_not_mix_colour_spaces(void **state)
{
    static const double deep[3] = {1000, 2000, 3000}, cyan[4] = {255, 0, 0, 0};
    static const double red[3] = {65535, 0, 0};
    (void)state;
    struct bytes in =
        encode(solid(9, 9, 3, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), ".png");
    struct outcome o =
        transform(in, "{\"strip\":false,\"extend\":{\"right\":4,\"background\":\"#ff0000\"}}");
    assert_int_equal(o.image->BandFmt, VIPS_FORMAT_USHORT);
    assert_pixel(o.image, 3, 3, deep, 3, 0);
    assert_pixel(o.image, 11, 3, red, 3, 0);
    outcome_release(&o);
    bytes_release(&in);

    in = encode(solid(16, 16, 4, cyan, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR), ".jpg");
    o = transform(in, "{\"strip\":false,\"extend\":{\"right\":4}}");
    assert_int_equal(o.image->Bands, 3); /* white is a colour of sRGB */
    outcome_release(&o);
    o = transform(in, "{\"strip\":false,\"extend\":{\"right\":4,\"with\":\"copy\"}}");
    assert_int_equal(o.image->Bands, 4);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_extend_within_the_limits_of_a_result(void **state)
{
    static const struct {
        const char *params, *words;
    } cases[] = {
        {"{\"extend\":{\"left\":16384}}", "would be 16414x20 pixels; a png has at most 16384"},
        {"{\"extend\":{\"top\":16384,\"bottom\":16384,\"left\":16384,\"right\":16384}}",
         "at most 16384"},
        {"{\"extend\":{\"left\":16000,\"top\":16000}}", "max_megapixels is 71"},
        {"{\"format\":\"webp\",\"extend\":{\"left\":16354}}", "a webp has at most 16383"},
    };
    struct bytes in = encode(gradient(30, 20), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(transform(in, cases[i].params), ERR_INVALID_PARAMS, cases[i].words);
    struct outcome o = transform(in, "{\"extend\":{\"left\":16354,\"with\":\"mirror\"}}");
    assert_int_equal(o.image->Xsize, 16384);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_extend_of_an_animation_surrounds_every_frame(void **state)
{
    struct bytes in = shared("animated-loop-3.gif");
    (void)state;
    if (in.data == NULL)
        return;
    struct outcome plain = transform(in, "{}"), o = transform(in, "{\"extend\":{\"top\":7}}");
    const cJSON *before = fake_run_result(plain.run), *after = fake_run_result(o.run);
    assert_int_equal(cJSON_GetObjectItem(after, "height")->valueint,
                     cJSON_GetObjectItem(before, "height")->valueint + 7);
    assert_int_equal(cJSON_GetObjectItem(after, "pages")->valueint,
                     cJSON_GetObjectItem(before, "pages")->valueint);
    outcome_release(&plain);
    outcome_release(&o);
    bytes_release(&in);
}

/* Everything sees the picture upright. */

/* The file that shows `upright` by its orientation: PNG, so that nothing is lost. */
static struct bytes oriented(VipsImage *upright, int orientation)
{
    static const VipsAngle back[9] = {
        [3] = VIPS_ANGLE_D180, [6] = VIPS_ANGLE_D270, [8] = VIPS_ANGLE_D90,
        [4] = VIPS_ANGLE_D180, [5] = VIPS_ANGLE_D270, [7] = VIPS_ANGLE_D90};
    bool is_mirrored = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
    VipsImage *flipped, *turned, *tagged;

    if (is_mirrored)
        assert_int_equal(vips_flip(upright, &flipped, VIPS_DIRECTION_HORIZONTAL, NULL), 0);
    else
        flipped = g_object_ref(upright);
    assert_int_equal(vips_rot(flipped, &turned, back[orientation], NULL), 0);
    assert_int_equal(vips_copy(turned, &tagged, NULL), 0);
    vips_image_set_int(tagged, VIPS_META_ORIENTATION, orientation);
    g_object_unref(flipped);
    g_object_unref(turned);
    return encode(tagged, ".tif");
}

static void test_every_orientation_gives_the_same(void **state)
{
    static const struct {
        const char *params;
        double tolerance; /* mean square error: resampling may come before or after turning */
    } cases[] = {
        {"{\"format\":\"png\"}", 0},
        {"{\"format\":\"png\",\"trim\":{}}", 0},
        {"{\"format\":\"png\",\"trim\":{\"equal\":\"horizontal\"}}", 0},
        {"{\"format\":\"png\",\"trim\":{},\"rotate\":90,\"flip\":\"vertical\"}", 0},
        {"{\"format\":\"png\",\"trim\":{},\"crop\":{\"left\":3,\"top\":2,\"width\":20,"
         "\"height\":17}}",
         0},
        {"{\"format\":\"png\",\"crop\":{\"width\":50,\"height\":31},\"gravity\":\"northeast\"}", 0},
        {"{\"format\":\"png\",\"crop\":{\"width\":50,\"height\":31},\"focus\":{\"x\":0.2,"
         "\"y\":0.6}}",
         0},
        {"{\"format\":\"png\",\"crop\":{\"width\":50,\"height\":31},\"gravity\":\"entropy\"}", 0},
        {"{\"format\":\"png\",\"extend\":{\"top\":3,\"left\":40,\"with\":\"mirror\"}}", 0},
        {"{\"format\":\"png\",\"width\":40,\"height\":40,\"fit\":\"cover\",\"gravity\":\"west\"}",
         2},
        {"{\"format\":\"png\",\"width\":40,\"height\":40,\"fit\":\"cover\",\"gravity\":"
         "\"attention\",\"blur\":2,\"tint\":\"#336699\"}",
         4},
        {"{\"format\":\"png\",\"trim\":{},\"width\":37,\"pixelate\":5,\"extend\":{\"right\":3}}",
         4},
    };
    /* a border that is white but for the corners, each of another colour */
    static const double corner[3] = {255, 255, 252};
    VipsImage *dot = solid(1, 1, 3, corner, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *framed_image = on_canvas(gradient(90, 60), 17, 4, 120, 80, white), *upright;
    (void)state;
    assert_int_equal(vips_insert(framed_image, dot, &upright, 119, 0, NULL), 0);
    g_object_unref(framed_image);
    g_object_unref(dot);
    struct bytes one = oriented(upright, 1);
    for (int orientation = 2; orientation <= 8; orientation++) {
        struct bytes in = oriented(upright, orientation);
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct outcome a = transform(one, cases[i].params), b = transform(in, cases[i].params);
            if (a.image == NULL || b.image == NULL)
                fail_msg("%s: %s %s", cases[i].params, a.error.detail, b.error.detail);
            double error = mean_square_error(a.image, b.image);
            if (error > cases[i].tolerance)
                fail_msg("orientation %d: %s: mean square error %g", orientation, cases[i].params,
                         error);
            outcome_release(&a);
            outcome_release(&b);
        }
        bytes_release(&in);
    }
    bytes_release(&one);
    g_object_unref(upright);
}

static void test_the_border_is_that_of_the_upright_pictures_corner(void **state)
{
    static const double black[3] = {0, 0, 0};
    /* white above and left, black below: which of them is border, its first pixel says */
    VipsImage *upper = solid(60, 20, 3, white, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *lower = solid(60, 30, 3, black, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *upright;
    (void)state;
    assert_int_equal(vips_join(upper, lower, &upright, VIPS_DIRECTION_VERTICAL, NULL), 0);
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct bytes in = oriented(upright, orientation);
        struct outcome o = transform(in, "{\"trim\":{},\"format\":\"png\"}");
        assert_int_equal(o.image->Xsize, 60);
        assert_int_equal(o.image->Ysize, 30);
        assert_pixel(o.image, 0, 0, black, 3, 0);
        outcome_release(&o);
        bytes_release(&in);
    }
    g_object_unref(upper);
    g_object_unref(lower);
    g_object_unref(upright);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend_makes_room_as_it_says),
        cmocka_unit_test(test_extend_takes_its_own_colour_or_that_of_the_background),
        cmocka_unit_test(test_extend_keeps_depth_and_does_not_mix_colour_spaces),
        cmocka_unit_test(test_extend_within_the_limits_of_a_result),
        cmocka_unit_test(test_extend_of_an_animation_surrounds_every_frame),
        cmocka_unit_test(test_every_orientation_gives_the_same),
        cmocka_unit_test(test_the_border_is_that_of_the_upright_pictures_corner),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
