/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: pictures and texts over results, looked at pixel by pixel; and AVIF, there and
 * back.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double grey[3] = {100, 100, 100}, red[4] = {255, 0, 0, 255};

static struct bytes ground(void)
{
    return encode(solid(200, 100, 3, grey, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
}

static struct bytes mark_of(int width, int height, const double *pixel)
{
    return encode(solid(width, height, 4, pixel, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR),
                  ".png");
}

static struct outcome marked(struct bytes in, struct bytes mark, const char *params)
{
    struct run *run = fake_run_new(TRANSFORM, params);
    fake_run_input(run, "watermark", "", mark.data, mark.size);
    return compute(run, in, "");
}

/* The rectangle of what is not grey. */
static VipsRect find_mark(VipsImage *image)
{
    VipsRect r;
    VipsArrayDouble *background = vips_array_double_new(grey, 3);
    assert_int_equal(vips_find_trim(image, &r.left, &r.top, &r.width, &r.height, "background",
                                    background, "threshold", 3.0, NULL),
                     0);
    vips_area_unref(VIPS_AREA(background));
    return r;
}

static void test_a_mark_lies_where_it_is_put(void **state)
{
    static const struct {
        const char *options;
        VipsRect expected;
    } cases[] = {
        {"{}", {180, 90, 20, 10}},
        {"{\"gravity\":\"northwest\"}", {0, 0, 20, 10}},
        {"{\"gravity\":\"north\",\"y\":7}", {90, 7, 20, 10}},
        {"{\"gravity\":\"centre\"}", {90, 45, 20, 10}},
        {"{\"gravity\":\"centre\",\"x\":5,\"y\":6}", {95, 51, 20, 10}},
        {"{\"gravity\":\"southeast\",\"x\":5,\"y\":6}", {175, 84, 20, 10}},
        {"{\"gravity\":\"west\",\"x\":3}", {3, 45, 20, 10}},
        {"{\"gravity\":\"southwest\",\"x\":190}", {190, 90, 10, 10}}, /* half of it is outside */
        {"{\"scale\":0.5}", {100, 50, 100, 50}},
        {"{\"scale\":0.05}", {190, 95, 10, 5}},
    };
    (void)state;
    struct bytes in = ground(), mark = mark_of(20, 10, red);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[128];
        snprintf(params, sizeof(params), "{\"watermark_options\":%s}", cases[i].options);
        struct outcome o = marked(in, mark, params);
        if (o.image == NULL)
            fail_msg("%s: %s [%s]", params, o.error.detail, o.error.cause);
        assert_int_equal(o.image->Bands, 3);
        VipsRect r = find_mark(o.image), e = cases[i].expected;
        if (r.left != e.left || r.top != e.top || r.width != e.width || r.height != e.height)
            fail_msg("%s: %dx%d at %d,%d", cases[i].options, r.width, r.height, r.left, r.top);
        assert_pixel(o.image, r.left + r.width / 2, r.top + r.height / 2, red, 3, 0);
        outcome_release(&o);
    }
    bytes_release(&in);
    bytes_release(&mark);
}

/* Its left half is red, its right half blue; what metadata it has is not the result's. */
static void test_a_mark_lies_as_its_exif_says(void **state)
{
    VipsImage *halves[2], *mark, *tagged;
    double blue[3] = {0, 0, 255};
    struct bytes in = ground();
    (void)state;
    halves[0] = solid(20, 16, 3, red, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    halves[1] = solid(20, 16, 3, blue, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    assert_int_equal(vips_arrayjoin(halves, &mark, 2, NULL), 0);
    for (int orientation = 1; orientation <= 8; orientation++) {
        VipsImage *upright = NULL;
        assert_int_equal(vips_copy(mark, &tagged, NULL), 0);
        vips_image_set_int(tagged, VIPS_META_ORIENTATION, orientation);
        assert_int_equal(vips_autorot(tagged, &upright, NULL), 0);
        struct bytes file = encode(tagged, ".tif");
        struct outcome o = marked(in, file,
                                  "{\"strip\":false,\"autorotate\":false,\"watermark_options\":{"
                                  "\"gravity\":\"northwest\"}}");
        if (o.image == NULL)
            fail_msg("%s [%s]", o.error.detail, o.error.cause);
        VipsImage *part = area_of(o.image, 0, 0, upright->Xsize, upright->Ysize);
        VipsRect r = find_mark(o.image);
        assert_int_equal(r.width, upright->Xsize);
        assert_int_equal(r.height, upright->Ysize);
        assert_float_equal(mean_square_error(part, upright), 0, 0);
        assert_int_equal(vips_image_get_orientation(o.image), 1);
        g_object_unref(part);
        g_object_unref(upright);
        outcome_release(&o);
        bytes_release(&file);
    }
    for (int i = 0; i < 2; i++)
        g_object_unref(halves[i]);
    g_object_unref(mark);
    bytes_release(&in);
}

static void test_opacity_mixes_mark_and_picture(void **state)
{
    static const double half_clear[4] = {255, 0, 0, 128};
    static const struct {
        const double *pixel;
        const char *opacity;
        double red_share;
    } cases[] = {{red, "1", 1},
                 {red, "0.5", 0.5},
                 {red, "0.1", 0.1},
                 {red, "0", 0},
                 {half_clear, "1", 128.0 / 255},
                 {half_clear, "0.5", 64.0 / 255}};
    (void)state;
    struct bytes in = ground();
    for (size_t i = 0; i < COUNT(cases); i++) {
        char params[128];
        double share = cases[i].red_share;
        double expected[3] = {100 + 155 * share, 100 - 100 * share, 100 - 100 * share};
        struct bytes mark = mark_of(20, 10, cases[i].pixel);
        snprintf(params, sizeof(params), "{\"watermark_options\":{\"opacity\":%s}}",
                 cases[i].opacity);
        struct outcome o = marked(in, mark, params);
        assert_pixel(o.image, 190, 95, expected, 3, 2);
        assert_pixel(o.image, 10, 10, grey, 3, 0);
        outcome_release(&o);
        bytes_release(&mark);
    }
    bytes_release(&in);
}

static void test_a_repeated_mark_covers_all_of_the_picture(void **state)
{
    (void)state;
    struct bytes in = ground(), mark = mark_of(1, 1, red), wide = mark_of(20, 10, red);
    struct outcome o = marked(in, mark, "{\"watermark_options\":{\"repeat\":true}}");
    for (int y = 0; y < 100; y += 33)
        for (int x = 0; x < 200; x += 33)
            assert_pixel(o.image, x, y, red, 3, 0);
    outcome_release(&o);

    o = marked(in, wide, "{\"watermark_options\":{\"repeat\":true,\"x\":20,\"y\":10}}");
    for (int y = 0; y < 100; y++)
        for (int x = 0; x < 200; x += 7) {
            bool is_mark = x % 40 >= 10 && x % 40 < 30 && y % 20 >= 5 && y % 20 < 15;
            assert_pixel(o.image, x, y, is_mark ? red : grey, 3, 0);
        }
    outcome_release(&o);
    bytes_release(&in);
    bytes_release(&mark);
    bytes_release(&wide);
}

static void test_a_mark_goes_on_every_kind_of_picture(void **state)
{
    static const double mono[2] = {100, 0}, deep[3] = {25700, 25700, 25700},
                        ink[4] = {0, 0, 0, 155};
    static const char *const formats[] = {"jpeg", "png", "webp", "gif", "tiff"};
    (void)state;
    struct bytes mark = mark_of(40, 40, red);
    struct bytes pictures[] = {
        encode(solid(80, 80, 1, mono, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png"),
        encode(solid(80, 80, 2, mono, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png"),
        encode(solid(80, 80, 3, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), ".png"),
        encode(solid(80, 80, 4, ink, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR), ".jpg"),
    };
    for (size_t i = 0; i < COUNT(pictures); i++)
        for (size_t f = 0; f < COUNT(formats) * 2; f++) {
            char params[128];
            double *pixel;
            int n;
            snprintf(params, sizeof(params), "{\"format\":\"%s\",\"strip\":%s}", formats[f / 2],
                     f % 2 ? "false" : "true");
            struct outcome o = marked(pictures[i], mark, params);
            if (o.image == NULL)
                fail_msg("%zu %s: %s [%s]", i, params, o.error.detail, o.error.cause);
            assert_int_equal(vips_getpoint(o.image, &pixel, &n, 60, 60, NULL), 0);
            if (n < 3 || fabs(pixel[0] - 255) > 8 || pixel[1] > 8)
                fail_msg("%zu %s: %d bands, %g", i, params, n, pixel[0]);
            g_free(pixel);
            outcome_release(&o);
        }
    for (size_t i = 0; i < COUNT(pictures); i++)
        bytes_release(&pictures[i]);
    bytes_release(&mark);
}

static void test_every_variant_gets_its_mark(void **state)
{
    (void)state;
    struct bytes in = ground(), mark = mark_of(20, 10, red);
    struct outcome o = marked(in, mark,
                              "{\"watermark_options\":{\"scale\":0.5},"
                              "\"variants\":[{\"width\":200},{\"width\":100},{\"width\":40}]}");
    for (int i = 0; i < 3; i++) {
        const struct run_output *out = fake_run_output(o.run, i);
        VipsImage *image = vips_image_new_from_buffer(out->bytes, out->size, "", NULL);
        VipsRect r = find_mark(image);
        assert_int_equal(r.width, image->Xsize / 2);
        assert_int_equal(r.left, image->Xsize / 2);
        g_object_unref(image);
    }
    outcome_release(&o);
    bytes_release(&in);
    bytes_release(&mark);
}

/* Texts. */

static struct outcome written(const char *text, const char *options)
{
    char params[1024];
    struct bytes in = ground();
    snprintf(params, sizeof(params), "{\"watermark_text\":%s,\"watermark_options\":%s}", text,
             options);
    struct outcome o = transform(in, params);
    bytes_release(&in);
    return o;
}

static void test_a_text_is_drawn_in_its_colour_at_its_place(void **state)
{
    (void)state;
    struct outcome o = written("{\"text\":\"HHHHHHHH\",\"size\":20,\"colour\":\"#0000ff\"}",
                               "{\"gravity\":\"northwest\",\"x\":4,\"y\":5}");
    VipsRect r = find_mark(o.image), box;
    VipsImage *part;
    double lowest;
    assert_true(r.left >= 4 && r.left < 10 && r.top >= 5 && r.top < 15);
    assert_true(r.height >= 12 && r.height <= 20); /* capitals of a font of 20 pixels */
    assert_true(r.width > 80);
    assert_int_equal(vips_extract_area(o.image, &part, r.left, r.top, r.width, r.height, NULL), 0);
    assert_int_equal(vips_min(part, &lowest, NULL), 0);
    assert_true(lowest < 10); /* no red in the letters */
    g_object_unref(part);
    outcome_release(&o);

    o = written("{\"text\":\"HHHHHHHH\",\"size\":4}", "{\"scale\":1}");
    r = box = find_mark(o.image);
    assert_true(r.width > 150 && r.width <= 200 && r.height <= 100);
    outcome_release(&o);
    o = written("{\"text\":\"HHHHHHHH\",\"font\":\"monospace\"}", "{\"scale\":0.25}");
    r = find_mark(o.image);
    assert_true(r.width > 30 && r.width <= 50 && r.left + r.width > 180);
    assert_true(r.width < box.width);
    outcome_release(&o);
}

static void test_letters_that_mean_something_to_pango_are_letters(void **state)
{
    static const char *const texts[] = {
        "<span font='200'>x</span>",
        "a & b",
        "&#65;",
        "<b>",
        "]]>",
        "\\u0001\\u001f\\u007f!",
        "\\\"quoted\\\"",
        "%s%n",
        "line\\nline",
        "\\u00e9\\u4e2d\\u0627\\ud83d\\ude00",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[256];
        snprintf(text, sizeof(text), "{\"text\":\"%s\",\"size\":10}", texts[i]);
        struct outcome o = written(text, "{\"gravity\":\"northwest\"}");
        if (o.image == NULL)
            fail_msg("%s: %s [%s]", texts[i], o.error.detail, o.error.cause);
        VipsRect r = find_mark(o.image);
        if (r.width < 1 || r.height < 1 || r.height > 40)
            fail_msg("%s: %dx%d", texts[i], r.width, r.height);
        outcome_release(&o);
    }
    assert_refused(written("{\"text\":\"  \"}", "{}"), ERR_INVALID_PARAMS, "cannot be drawn");
}

static void test_gaps_wider_than_the_picture_cost_nothing(void **state)
{
    const char *const options = "{\"watermark_options\":{\"repeat\":true,\"x\":16384,\"y\":16384}}";
    (void)state;
    struct outcome o = written("{\"text\":\"x\"}", options);
    if (o.image == NULL)
        fail_msg("%s [%s]", o.error.detail, o.error.cause);
    assert_true(vips_tracked_get_mem_highwater() < 256 * 1024 * 1024);
    outcome_release(&o);
}

static void test_a_text_that_would_be_huge_is_refused(void **state)
{
    char text[300] = "{\"text\":\"";
    (void)state;
    for (size_t n = strlen(text), i = 0; i < 200; i++)
        snprintf(text + n + i, sizeof(text) - n - i, "M");
    size_t end = strlen(text);
    snprintf(text + end, sizeof(text) - end, "\",\"size\":2000}");
    assert_refused(written(text, "{}"), ERR_INVALID_PARAMS, "max_megapixels");
    snprintf(text + end, sizeof(text) - end, "\",\"size\":500}");
    assert_refused(written(text, "{}"), ERR_INVALID_PARAMS, "too large");
    snprintf(text + end, sizeof(text) - end, "\",\"size\":60}");
    struct outcome o = written(text, "{}"); /* broken into lines that leave the picture */
    if (o.image == NULL)
        fail_msg("%s [%s]", o.error.detail, o.error.cause);
    outcome_release(&o);
}

static void test_a_broken_mark_is_named(void **state)
{
    (void)state;
    struct bytes in = ground(), mark = mark_of(300, 300, red);
    struct bytes half = {mark.data, mark.size / 2}, none = {mark.data, 0};
    assert_refused(marked(in, half, "{}"), ERR_INVALID_INPUT,
                   "The input watermark is not a complete");
    assert_refused(marked(in, none, "{}"), ERR_INVALID_INPUT, "The input watermark is empty");
    assert_refused(marked(in, mark, "{\"watermark_text\":{\"text\":\"x\"}}"), ERR_INVALID_PARAMS,
                   "send one of them");
    struct run *run = fake_run_new(TRANSFORM, "{}");
    fake_run_set_limit(run, "max_megapixels", 0.05);
    fake_run_input(run, "watermark", "", mark.data, mark.size);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT,
                   "The input watermark has 0.1 megapixels");
    bytes_release(&in);
    bytes_release(&mark);
}

/* AVIF. */

static void test_an_avif_is_written_and_read(void **state)
{
    static const double clear[4] = {0, 0, 255, 0};
    (void)state;
    struct bytes in = encode(gradient(160, 120), ".png");
    VipsImage *original = gradient(160, 120);
    struct outcome o = transform(in, "{\"format\":\"avif\"}");
    if (o.image == NULL)
        fail_msg("%s [%s]", o.error.detail, o.error.cause);
    assert_string_equal(o.media_type, "image/avif");
    assert_true(mean_square_error(o.image, original) < 20);
    assert_int_equal(vips_image_get_typeof(o.image, VIPS_META_EXIF_NAME), 0);

    const struct run_output *out = fake_run_output(o.run, 0);
    struct bytes avif = {out->bytes, out->size};
    struct outcome back = transform(avif, "{\"width\":80}"); /* an AVIF stays one */
    assert_string_equal(back.media_type, "image/avif");
    assert_int_equal(back.image->Ysize, 60);
    outcome_release(&back);
    back = compute(fake_run_new(TRANSFORM, "{\"format\":\"png\"}"), avif, "image/avif");
    assert_true(mean_square_error(back.image, original) < 20);
    outcome_release(&back);
    for (size_t tenth = 1; tenth < 10; tenth++) {
        struct bytes part = {avif.data, avif.size * tenth / 10};
        assert_refused(transform(part, "{\"format\":\"png\"}"), ERR_INVALID_INPUT, "");
    }
    outcome_release(&o);
    g_object_unref(original);
    bytes_release(&in);

    in = mark_of(32, 32, clear);
    o = transform(in, "{\"format\":\"avif\"}");
    double *pixel;
    int n;
    assert_int_equal(vips_getpoint(o.image, &pixel, &n, 16, 16, NULL), 0);
    assert_int_equal(n, 4);
    assert_true(pixel[3] < 3);
    g_free(pixel);
    outcome_release(&o);
    bytes_release(&in);
}

/* Written by libvips: Debian's libheif has an encoder of HEVC. */
static void test_a_heic_is_read(void **state)
{
    VipsImage *original = gradient(160, 120);
    struct bytes in = {NULL, 0};
    void *data = NULL;
    (void)state;
    struct bytes png = encode(gradient(8, 8), ".png");
    struct outcome o = transform(png, "{\"format\":\"avif\"}");
    outcome_release(&o); /* the plug-in is loaded now */
    bytes_release(&png);
    assert_int_equal(vips_heifsave_buffer(original, &data, &in.size, "compression",
                                          VIPS_FOREIGN_HEIF_COMPRESSION_HEVC, "Q", 90, NULL),
                     0);
    in.data = data;
    o = compute(fake_run_new(TRANSFORM, "{\"format\":\"png\"}"), in, "image/heic");
    if (o.image == NULL)
        fail_msg("%s [%s]", o.error.detail, o.error.cause);
    assert_true(mean_square_error(o.image, original) < 20);
    outcome_release(&o);
    o = transform(in, "{\"width\":80,\"rotate\":90}"); /* none is written: a JPEG */
    assert_string_equal(o.media_type, "image/jpeg");
    assert_int_equal(o.image->Ysize, 107);
    outcome_release(&o);
    for (size_t tenth = 1; tenth < 10; tenth++) {
        struct bytes part = {in.data, in.size * tenth / 10};
        assert_refused(transform(part, "{}"), ERR_INVALID_INPUT, "");
    }
    g_object_unref(original);
    bytes_release(&in);
}

static void test_an_avif_has_a_limit_of_its_own_and_a_quality(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(200, 200), ".png");
    struct run *run = fake_run_new(TRANSFORM, "{\"format\":\"avif\"}");
    fake_run_set_limit(run, "max_avif_megapixels", 0.03);
    assert_refused(compute(run, in, ""), ERR_INVALID_PARAMS, "max_avif_megapixels is 0.03");
    run = fake_run_new(TRANSFORM, "{\"format\":\"avif\",\"width\":100}");
    fake_run_set_limit(run, "max_avif_megapixels", 0.03);
    struct outcome o = compute(run, in, "");
    assert_non_null(o.image);
    outcome_release(&o);
    bytes_release(&in);

    in = shared("concert.jpg");
    if (in.data == NULL)
        return;
    o = transform(in, "{\"format\":\"avif\",\"width\":200,\"max_bytes\":2500}");
    assert_non_null(o.image);
    assert_true(fake_run_output(o.run, 0)->size <= 2500);
    assert_true(cJSON_GetObjectItem(fake_run_result(o.run), "quality")->valueint < 60);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_a_watermark_has_a_limit_of_its_own(void **state)
{
    struct bytes in = ground(), mark = mark_of(30, 20, red);
    struct run *run = fake_run_new(TRANSFORM, "{}");
    (void)state;
    fake_run_set_limit(run, "max_watermark_megapixels", 0.0005);
    fake_run_input(run, "watermark", "", mark.data, mark.size);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT,
                   "(30x20); the limit max_watermark_megapixels is 0.0005");
    bytes_release(&mark);
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mark_lies_where_it_is_put),
        cmocka_unit_test(test_a_mark_lies_as_its_exif_says),
        cmocka_unit_test(test_opacity_mixes_mark_and_picture),
        cmocka_unit_test(test_a_repeated_mark_covers_all_of_the_picture),
        cmocka_unit_test(test_a_mark_goes_on_every_kind_of_picture),
        cmocka_unit_test(test_every_variant_gets_its_mark),
        cmocka_unit_test(test_a_text_is_drawn_in_its_colour_at_its_place),
        cmocka_unit_test(test_letters_that_mean_something_to_pango_are_letters),
        cmocka_unit_test(test_gaps_wider_than_the_picture_cost_nothing),
        cmocka_unit_test(test_a_text_that_would_be_huge_is_refused),
        cmocka_unit_test(test_a_broken_mark_is_named),
        cmocka_unit_test(test_a_watermark_has_a_limit_of_its_own),
        cmocka_unit_test(test_an_avif_is_written_and_read),
        cmocka_unit_test(test_a_heic_is_read),
        cmocka_unit_test(test_an_avif_has_a_limit_of_its_own_and_a_quality),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
