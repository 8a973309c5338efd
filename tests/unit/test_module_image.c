/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image tasks, driven directly: what comes out is decoded again and compared with what
 * libvips makes of the same picture step by step, at full resolution.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <vips/vips.h>

#include "fake_run.h"

#define TRANSFORM "fcgi-app/tasks/image/image.transform.json"
#define INSPECT "fcgi-app/tasks/image/image.inspect.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct bytes {
    unsigned char *data;
    size_t size;
};

/* One transform, its output decoded. */
struct outcome {
    struct run *run;
    struct error error;
    VipsImage *image; /* NULL when it failed */
    const char *media_type;
};

static int run_task(const char *name, struct run *run, struct error *reterr)
{
    const struct task *task = gangsaw_module.tasks;
    while (strcmp(task->name, name) != 0)
        task++;
    return task->run(run, reterr);
}

static struct outcome compute(struct run *run, struct bytes in, const char *media_type)
{
    struct outcome o = {.run = run};
    fake_run_input(run, "image", media_type, in.data, in.size);
    if (run_task("image.transform", run, &o.error) != 0)
        return o;
    const struct run_output *out = fake_run_output(run, 0);
    VipsImage *lazy = vips_image_new_from_buffer(out->bytes, out->size, "", NULL);
    assert_non_null(lazy);
    o.image = vips_image_copy_memory(lazy);
    assert_non_null(o.image);
    g_object_unref(lazy);
    o.media_type = out->media_type;
    assert_string_equal(out->name, "image");
    const cJSON *result = fake_run_result(run);
    assert_int_equal(cJSON_GetObjectItem(result, "width")->valueint, o.image->Xsize);
    assert_int_equal(cJSON_GetObjectItem(result, "height")->valueint, o.image->Ysize);
    assert_string_equal(cJSON_GetObjectItem(result, "format")->valuestring, o.media_type + 6);
    return o;
}

static struct outcome transform(struct bytes in, const char *params)
{
    return compute(fake_run_new(TRANSFORM, params), in, "");
}

static void outcome_release(struct outcome *o)
{
    if (o->image != NULL)
        g_object_unref(o->image);
    fake_run_free(o->run);
}

/* The transform fails with this code, and the detail says `words`, but nothing of libvips'. */
static void assert_refused(struct outcome o, enum err_code code, const char *words)
{
    assert_null(o.image);
    if (o.error.code != code || strstr(o.error.detail, words) == NULL)
        fail_msg("%s: %s [%s], not %s: %s", error_name(o.error.code), o.error.detail, o.error.cause,
                 error_name(code), words);
    assert_null(strstr(o.error.detail, "Vips"));
    assert_null(fake_run_result(o.run));
    outcome_release(&o);
}

/* Pictures to work on. */

/* Red grows to the right, green downwards: a pixel's colour says where it was. Owned by the caller.
 */
static VipsImage *gradient(int width, int height)
{
    VipsImage *xy, *zero, *all, *scaled, *image;
    double scale[3] = {255.0 / width, 255.0 / height, 1}, offset[3] = {0, 0, 40};

    assert_int_equal(vips_xyz(&xy, width, height, NULL), 0);
    assert_int_equal(vips_black(&zero, width, height, NULL), 0);
    assert_int_equal(vips_bandjoin2(xy, zero, &all, NULL), 0);
    assert_int_equal(vips_linear(all, &scaled, scale, offset, 3, "uchar", TRUE, NULL), 0);
    assert_int_equal(vips_copy(scaled, &image, "interpretation", VIPS_INTERPRETATION_sRGB, NULL),
                     0);
    g_object_unref(xy);
    g_object_unref(zero);
    g_object_unref(all);
    g_object_unref(scaled);
    return image;
}

static VipsImage *solid(int width, int height, int bands, const double *pixel,
                        VipsInterpretation space, VipsBandFormat format)
{
    VipsImage *black, *coloured, *cast, *image;
    double ones[5] = {1, 1, 1, 1, 1};

    assert_int_equal(vips_black(&black, width, height, "bands", bands, NULL), 0);
    assert_int_equal(vips_linear(black, &coloured, ones, pixel, bands, NULL), 0);
    assert_int_equal(vips_cast(coloured, &cast, format, NULL), 0);
    assert_int_equal(vips_copy(cast, &image, "interpretation", space, NULL), 0);
    g_object_unref(black);
    g_object_unref(coloured);
    g_object_unref(cast);
    return image;
}

/* Takes over the image. */
static struct bytes encode(VipsImage *image, const char *suffix)
{
    void *data;
    size_t size;
    if (vips_image_write_to_buffer(image, suffix, &data, &size, NULL) != 0)
        fail_msg("%s: %s", suffix, vips_error_buffer());
    g_object_unref(image);
    return (struct bytes){data, size};
}

static void bytes_release(struct bytes *b)
{
    g_free(b->data);
    b->data = NULL;
}

/* A picture of the shared test data; data is NULL when the folder is missing, which is said. */
static struct bytes shared(const char *name)
{
    char path[512];
    struct bytes b = {NULL, 0};
    const char *dir = getenv("GANGSAW_SHARED_DATA");

    if (dir != NULL)
        snprintf(path, sizeof(path), "%s/images/%s", dir, name);
    else
        snprintf(path, sizeof(path), "%s/../shared/data/images/%s", fake_run_source_dir(), name);
    unsigned char *data = fake_run_read_file(path, &b.size);
    if (data == NULL) {
        print_message("skipped: %s is missing\n", path);
        return b;
    }
    b.data = g_memdup2(data, b.size);
    free(data);
    return b;
}

static void assert_pixel(VipsImage *image, int x, int y, const double *expected, int bands,
                         double tolerance)
{
    double *pixel;
    int n;
    assert_int_equal(vips_getpoint(image, &pixel, &n, x, y, NULL), 0);
    assert_int_equal(n, bands);
    for (int i = 0; i < n; i++)
        if (fabs(pixel[i] - expected[i]) > tolerance)
            fail_msg("(%d,%d) band %d is %g, not %g", x, y, i, pixel[i], expected[i]);
    g_free(pixel);
}

static double mean_square_error(VipsImage *a, VipsImage *b)
{
    VipsImage *difference, *square;
    double mean;
    assert_int_equal(a->Xsize, b->Xsize);
    assert_int_equal(a->Ysize, b->Ysize);
    assert_int_equal(a->Bands, b->Bands);
    assert_int_equal(vips_subtract(a, b, &difference, NULL), 0);
    assert_int_equal(vips_multiply(difference, difference, &square, NULL), 0);
    assert_int_equal(vips_avg(square, &mean, NULL), 0);
    g_object_unref(difference);
    g_object_unref(square);
    return mean;
}

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
        {".tif", "{}", "image/jpeg", false},
        {".tif", "{}", "image/png", true},
        {".gif", "{}", "image/png", true},
        {".gif", "{}", "image/jpeg", false},
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
    (void)state;
    assert_int_equal(vips_copy(image, &tagged, NULL), 0);
    g_object_unref(image);
    vips_image_set_int(tagged, VIPS_META_ORIENTATION, 6);
    vips_image_set_string(tagged, "exif-ifd0-Copyright", "Somebody");
    struct bytes in = encode(tagged, ".jpg");

    struct outcome o = transform(in, "{}");
    assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_EXIF_NAME), 0);
    outcome_release(&o);

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

/* What strangers send. */

static uint32_t crc(const unsigned char *bytes, size_t size)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        c ^= bytes[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c;
}

static void put_32(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void test_a_picture_that_claims_to_be_huge_is_refused_unread(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(16, 16), ".png");
    put_32(in.data + 16, 60000);
    put_32(in.data + 20, 60000);
    put_32(in.data + 29, crc(in.data + 12, 17));
    assert_refused(transform(in, "{\"width\":100}"), ERR_INVALID_INPUT,
                   "3600.0 megapixels (60000x60000, frames: 1); the limit max_megapixels is 71");

    struct run *run = fake_run_new(TRANSFORM, "{\"width\":100}");
    fake_run_set_limit(run, "max_megapixels", 4000);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "not a complete, valid PNG");
    bytes_release(&in);
}

static void test_every_frame_counts_for_the_pixel_limit(void **state)
{
    (void)state;
    struct bytes in = shared("animated-loop-3.gif"); /* ten frames of 370x285 */
    if (in.data == NULL)
        return;
    struct outcome o = transform(in, "{\"width\":100}");
    assert_int_equal(o.image->Ysize, 77); /* the first one alone */
    outcome_release(&o);
    o = transform(in, "{\"width\":100,\"strip\":false,\"format\":\"webp\"}");
    assert_int_equal(vips_image_get_n_pages(o.image), 1);
    outcome_release(&o);
    struct run *run = fake_run_new(TRANSFORM, "{\"width\":100}");
    fake_run_set_limit(run, "max_megapixels", 1);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "frames: 10); the limit");
    bytes_release(&in);
}

static void test_what_is_no_picture_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
        size_t size;
    } cases[] = {
        {"", "is empty", 0},
        {"Dear Sir, please find enclosed", "not a picture this task reads", 30},
        {"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "not a picture this task reads", 41},
        {"%PDF-1.7", "not a picture this task reads", 8},
        {"\xff\xd8\xff", "not a complete, valid JPEG", 3},
        {"\xff\xd8", "not a picture", 2},
        {"\x89PNG\r\n\x1a\n", "not a complete, valid PNG", 8},
        {"RIFF\0\0\0\0WEBP", "not a complete, valid WebP", 12},
        {"RIFX\0\0\0\0WEBP", "not a picture", 12},
        {"GIF89a", "not a complete, valid GIF", 6},
        {"II*\0", "not a complete, valid TIFF", 4},
    };
    static const char *const declared[] = {"", "image/jpeg", "application/octet-stream"};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t d = 0; d < COUNT(declared); d++) {
            struct bytes in = {(unsigned char *)(uintptr_t)cases[i].text, cases[i].size};
            struct outcome o = compute(fake_run_new(TRANSFORM, "{}"), in, declared[d]);
            if (d == 1 && strstr(o.error.detail, "declared") != NULL)
                assert_refused(o, ERR_INVALID_INPUT, "declared image/jpeg, but the content is");
            else
                assert_refused(o, ERR_INVALID_INPUT, cases[i].words);
        }
}

static void test_the_declared_type_has_to_be_the_real_one(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(16, 16), ".jpg");
    assert_refused(compute(fake_run_new(TRANSFORM, "{}"), in, "image/png"), ERR_INVALID_INPUT,
                   "declared image/png, but the content is image/jpeg");
    static const char *const fine[] = {"", "image/jpeg", "IMAGE/JPEG", "application/octet-stream"};
    for (size_t i = 0; i < COUNT(fine); i++) {
        struct outcome o = compute(fake_run_new(TRANSFORM, "{}"), in, fine[i]);
        assert_non_null(o.image);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_half_a_picture_is_refused(void **state)
{
    static const char *const suffixes[] = {".jpg", ".jpg[interlace]",      ".png", ".webp",
                                           ".gif", ".tif[compression=lzw]"};
    (void)state;
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        struct bytes in = encode(gradient(300, 300), suffixes[i]);
        struct bytes half = {in.data, in.size / 2};
        struct outcome o = transform(half, "{\"width\":100}");
        if (o.image != NULL)
            fail_msg("half a %s is a picture", suffixes[i]);
        assert_int_not_equal(o.error.cause[0], '\0');
        assert_refused(o, ERR_INVALID_INPUT, "not a complete, valid");
        bytes_release(&in);
    }
}

/* Whatever is flipped, it ends, with a picture or with a reason. */
static void test_damaged_pictures_end_one_way_or_the_other(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif", ".tif"};
    unsigned seed = 1;
    (void)state;
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        struct bytes in = encode(gradient(64, 64), suffixes[i]);
        for (int round = 0; round < 60; round++) {
            struct bytes copy = {g_memdup2(in.data, in.size), in.size};
            for (int k = 0; k < 4; k++) {
                seed = seed * 1103515245 + 12345;
                copy.data[(seed >> 8) % copy.size] ^= (unsigned char)(1 << (seed >> 4 & 7));
            }
            struct outcome o = transform(copy, "{\"width\":32,\"rotate\":90}");
            assert_true(o.image != NULL || o.error.code == ERR_INVALID_INPUT ||
                        o.error.code == ERR_INVALID_PARAMS);
            outcome_release(&o);
            bytes_release(&copy);
        }
        bytes_release(&in);
    }
}

static void test_too_many_channels_are_refused(void **state)
{
    VipsImage *image;
    (void)state;
    assert_int_equal(vips_black(&image, 16, 16, "bands", 7, NULL), 0);
    struct bytes in = encode(image, ".tif");
    assert_refused(transform(in, "{}"), ERR_INVALID_INPUT, "has 7 channels; the limit is 5");
    bytes_release(&in);
}

/* Runs. */

static void test_it_stops_when_told(void **state)
{
    static const char *const params[] = {"{\"width\":50}", "{}", "{\"rotate\":90}",
                                         "{\"width\":1200,\"enlarge\":true,\"format\":\"webp\"}"};
    static const char *const suffixes[] = {".jpg", ".png"};
    (void)state;
    for (size_t s = 0; s < COUNT(suffixes); s++) {
        struct bytes in = encode(gradient(1000, 1000), suffixes[s]);
        for (size_t i = 0; i < COUNT(params); i++) {
            struct run *run = fake_run_new(TRANSFORM, params[i]);
            fake_run_stop_at(run, 0.4);
            assert_refused(compute(run, in, ""), ERR_STOPPED, "");
        }
        bytes_release(&in);
    }
}

static void test_an_output_over_its_limit_ends_the_run(void **state)
{
    static const char *const formats[] = {"{\"format\":\"jpeg\"}", "{\"format\":\"png\"}",
                                          "{\"format\":\"webp\"}"};
    (void)state;
    struct bytes in = encode(gradient(500, 500), ".png");
    for (size_t i = 0; i < COUNT(formats); i++) {
        struct run *run = fake_run_new(TRANSFORM, formats[i]);
        fake_run_set_limit(run, "output_bytes", 600);
        assert_refused(compute(run, in, ""), ERR_TOO_LARGE, "output_bytes");
    }
    bytes_release(&in);
}

/* Shrinking while decoding: fast, and to be told from the slow way by instruments alone. */

static double psnr_against_full_decode(struct bytes in, int width, const char *crop, VipsRect rect)
{
    char params[256];
    VipsImage *full = vips_image_new_from_buffer(in.data, in.size, "", NULL), *part, *expected;
    snprintf(params, sizeof(params), "{\"width\":%d,\"format\":\"png\"%s}", width, crop);
    struct outcome o = transform(in, params);
    assert_non_null(o.image);

    if (rect.width == 0)
        rect = (VipsRect){0, 0, full->Xsize, full->Ysize};
    assert_int_equal(
        vips_extract_area(full, &part, rect.left, rect.top, rect.width, rect.height, NULL), 0);
    assert_int_equal(vips_resize(part, &expected, (double)width / rect.width, "vscale",
                                 (double)o.image->Ysize / rect.height, NULL),
                     0);
    double error = mean_square_error(o.image, expected);
    g_object_unref(full);
    g_object_unref(part);
    g_object_unref(expected);
    outcome_release(&o);
    return 10 * log10(255 * 255 / error);
}

static void test_shrink_on_load_looks_like_a_full_decode(void **state)
{
    static const struct {
        const char *file;
        int width;
        double psnr_min;
        const char *crop;
        VipsRect rect;
    } cases[] = {
        {"2569067123_aca715a2ee_o.jpg", 1300, 36, "", {0, 0, 0, 0}},
        {"2569067123_aca715a2ee_o.jpg", 681, 36, "", {0, 0, 0, 0}},
        {"2569067123_aca715a2ee_o.jpg", 400, 38, "", {0, 0, 0, 0}},
        {"2569067123_aca715a2ee_o.jpg", 200, 36, "", {0, 0, 0, 0}},
        {"2569067123_aca715a2ee_o.jpg",
         300,
         36,
         ",\"crop\":{\"left\":800,\"top\":400,\"width\":1600,\"height\":1600}",
         {800, 400, 1600, 1600}},
        {"2569067123_aca715a2ee_o.jpg", /* on no even pixel: decoded in full */
         300,
         60,
         ",\"crop\":{\"left\":801,\"top\":401,\"width\":1601,\"height\":1601}",
         {801, 401, 1601, 1601}},
        {"Landscape_1.jpg", 290, 31, "", {0, 0, 0, 0}},
        {"4.webp", 400, 32, "", {0, 0, 0, 0}},
        {"4.webp", 200, 34, "", {0, 0, 0, 0}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes in = shared(cases[i].file);
        if (in.data == NULL)
            continue;
        double psnr = psnr_against_full_decode(in, cases[i].width, cases[i].crop, cases[i].rect);
        if (psnr < cases[i].psnr_min)
            fail_msg("%s at %d: %.1f dB, not %.1f", cases[i].file, cases[i].width, psnr,
                     cases[i].psnr_min);
        bytes_release(&in);
    }
}

/* Real files, and what image.inspect says of them. */

static void test_real_pictures_are_inspected_and_transformed(void **state)
{
    static const struct {
        const char *file, *format;
        int width, height, pages, orientation;
        bool alpha;
    } cases[] = {
        {"16-bit-grey-alpha.png", "png", 109, 96, 1, 1, true},
        {"2569067123_aca715a2ee_o.jpg", "jpeg", 2725, 2225, 1, 1, false},
        {"320x240.jpg", "jpeg", 320, 240, 1, 1, false},
        {"4.webp", "webp", 1024, 772, 1, 1, false},
        {"Channel_digital_image_CMYK_color_no_profile.jpg", "jpeg", 500, 333, 1, 1, false},
        {"Landscape_1.jpg", "jpeg", 600, 450, 1, 1, false},
        {"Landscape_3.jpg", "jpeg", 600, 450, 1, 3, false},
        {"Landscape_6.jpg", "jpeg", 450, 600, 1, 6, false},
        {"animated-loop-3.gif", "gif", 370, 285, 10, 1, true},
        {"blackbug.png", "png", 2048, 1536, 1, 1, true},
        {"concert.jpg", "jpeg", 400, 267, 1, 1, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes in = shared(cases[i].file);
        if (in.data == NULL)
            continue;
        struct error error = {0};
        struct run *run = fake_run_new(INSPECT, "{}");
        fake_run_input(run, "image", "", in.data, in.size);
        assert_int_equal(run_task("image.inspect", run, &error), 0);
        const cJSON *r = fake_run_result(run);
        assert_string_equal(cJSON_GetObjectItem(r, "format")->valuestring, cases[i].format);
        assert_int_equal(cJSON_GetObjectItem(r, "width")->valueint, cases[i].width);
        assert_int_equal(cJSON_GetObjectItem(r, "height")->valueint, cases[i].height);
        assert_int_equal(cJSON_GetObjectItem(r, "pages")->valueint, cases[i].pages);
        assert_int_equal(cJSON_GetObjectItem(r, "orientation")->valueint, cases[i].orientation);
        assert_int_equal(cJSON_IsTrue(cJSON_GetObjectItem(r, "alpha")), cases[i].alpha);
        assert_int_equal(strlen(cJSON_GetObjectItem(r, "sha256")->valuestring), 64);
        assert_null(fake_run_output(run, 0));
        fake_run_free(run);

        struct outcome o = transform(in, "{\"width\":100,\"height\":80,\"fit\":\"cover\"}");
        assert_non_null(o.image);
        assert_int_equal(o.image->Xsize, 100);
        assert_int_equal(o.image->Ysize, 80);
        outcome_release(&o);
        bytes_release(&in);
    }
}

static void test_a_corrupt_header_is_refused(void **state)
{
    (void)state;
    struct bytes in = shared("corrupt-header.jpg");
    if (in.data == NULL)
        return;
    assert_refused(transform(in, "{}"), ERR_INVALID_INPUT, "not a complete, valid JPEG");
    struct outcome o = {.run = fake_run_new(INSPECT, "{}")};
    fake_run_input(o.run, "image", "", in.data, in.size);
    assert_int_equal(run_task("image.inspect", o.run, &o.error), -1);
    assert_refused(o, ERR_INVALID_INPUT, "not a complete, valid JPEG");
    bytes_release(&in);
}

static void test_inspect_gives_the_sha256_of_the_bytes(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(16, 16), ".png");
    char *expected = g_compute_checksum_for_data(G_CHECKSUM_SHA256, in.data, in.size);
    struct error error = {0};
    struct run *run = fake_run_new(INSPECT, "{}");

    fake_run_input(run, "image", "image/png", in.data, in.size);
    assert_int_equal(run_task("image.inspect", run, &error), 0);
    assert_string_equal(cJSON_GetObjectItem(fake_run_result(run), "sha256")->valuestring, expected);
    g_free(expected);
    fake_run_free(run);
    bytes_release(&in);
}

static int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
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
        cmocka_unit_test(test_a_broken_profile_is_ignored),
        cmocka_unit_test(test_cmyk_becomes_srgb_unless_kept_in_a_jpeg),
        cmocka_unit_test(test_the_format_is_the_inputs_or_the_nearest),
        cmocka_unit_test(test_metadata_goes_unless_kept_and_never_lies),
        cmocka_unit_test(test_quality_changes_the_size),
        cmocka_unit_test(test_a_picture_that_claims_to_be_huge_is_refused_unread),
        cmocka_unit_test(test_every_frame_counts_for_the_pixel_limit),
        cmocka_unit_test(test_what_is_no_picture_is_refused),
        cmocka_unit_test(test_the_declared_type_has_to_be_the_real_one),
        cmocka_unit_test(test_half_a_picture_is_refused),
        cmocka_unit_test(test_damaged_pictures_end_one_way_or_the_other),
        cmocka_unit_test(test_too_many_channels_are_refused),
        cmocka_unit_test(test_it_stops_when_told),
        cmocka_unit_test(test_an_output_over_its_limit_ends_the_run),
        cmocka_unit_test(test_shrink_on_load_looks_like_a_full_decode),
        cmocka_unit_test(test_real_pictures_are_inspected_and_transformed),
        cmocka_unit_test(test_a_corrupt_header_is_refused),
        cmocka_unit_test(test_inspect_gives_the_sha256_of_the_bytes),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
