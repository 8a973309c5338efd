/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: which part of a picture stays (trim, gravity, focus), and what room it gets
 * (extend). All of it in the picture as it is seen, whatever the file's orientation.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static VipsImage *decode(struct bytes in)
{
    VipsImage *image = vips_image_new_from_buffer(in.data, in.size, "", NULL);
    assert_non_null(image);
    return image;
}

/* `picture` on a canvas of `pixel`. Takes the picture over. */
static VipsImage *on_canvas(VipsImage *picture, int left, int top, int width, int height,
                            const double *pixel)
{
    VipsArrayDouble *background = vips_array_double_new(pixel, picture->Bands);
    VipsImage *image;
    assert_int_equal(vips_embed(picture, &image, left, top, width, height, "extend",
                                VIPS_EXTEND_BACKGROUND, "background", background, NULL),
                     0);
    vips_area_unref(VIPS_AREA(background));
    g_object_unref(picture);
    return image;
}

static VipsImage *area_of(VipsImage *image, int left, int top, int width, int height)
{
    VipsImage *area;
    assert_int_equal(vips_extract_area(image, &area, left, top, width, height, NULL), 0);
    return area;
}

static void assert_same(struct outcome *o, VipsImage *expected, const char *what)
{
    if (o->image == NULL)
        fail_msg("%s: %s %s", what, o->error.detail, o->error.cause);
    if (o->image->Xsize != expected->Xsize || o->image->Ysize != expected->Ysize)
        fail_msg("%s: %dx%d, not %dx%d", what, o->image->Xsize, o->image->Ysize, expected->Xsize,
                 expected->Ysize);
    double error = mean_square_error(o->image, expected);
    if (error > 0)
        fail_msg("%s: mean square error %g", what, error);
    g_object_unref(expected);
    outcome_release(o);
}

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
    VipsImage *image = decode(in);
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
        VipsImage *image = decode(photo), *flat;
        assert_int_equal(vips_flatten(image, &flat, NULL), 0);
        struct bytes in =
            encode(on_canvas(flat, 20, 31, image->Xsize + 50, image->Ysize + 40, white), ".png");
        struct outcome o = transform(in, "{\"trim\":{}}");
        VipsImage *whole = decode(in);
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
    VipsImage *image = decode(in);
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
    VipsImage *image = decode(in);
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

/* Extend. */

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
    VipsImage *image = decode(in), *expected;
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
        cmocka_unit_test(test_a_crop_larger_than_what_trim_left_is_refused),
        cmocka_unit_test(test_extend_makes_room_as_it_says),
        cmocka_unit_test(test_extend_takes_its_own_colour_or_that_of_the_background),
        cmocka_unit_test(test_extend_keeps_depth_and_does_not_mix_colour_spaces),
        cmocka_unit_test(test_extend_within_the_limits_of_a_result),
        cmocka_unit_test(test_extend_of_an_animation_surrounds_every_frame),
        cmocka_unit_test(test_every_orientation_gives_the_same),
        cmocka_unit_test(test_the_border_is_that_of_the_upright_pictures_corner),
        cmocka_unit_test(test_variants_have_their_own_gravity),
        cmocka_unit_test(test_trim_and_smart_gravity_stop_when_told),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
