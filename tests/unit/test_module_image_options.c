/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of image.transform for pages: sizes for screens, proportions, colours laid over, palettes
 * of few colours, and what is said of whose the picture is.
 */
#include "image_fixture.h"

#include <stdio.h>
#include <string.h>

static void test_sizes_are_what_the_options_say(void **state)
{
    static const struct {
        const char *params;
        int width, height;
    } cases[] = {
        {"{\"width\":100,\"dpr\":2}", 200, 100},
        {"{\"width\":50,\"height\":50,\"fit\":\"cover\",\"dpr\":1.5}", 75, 75},
        {"{\"width\":300,\"dpr\":2}", 400, 200}, /* it does not grow */
        {"{\"width\":300,\"dpr\":2,\"enlarge\":true}", 600, 300},
        {"{\"dpr\":3}", 400, 200},
        {"{\"width\":1,\"dpr\":0.1}", 1, 1},
        {"{\"width\":100,\"height\":100,\"min_height\":80}", 160, 80},
        {"{\"width\":100,\"height\":100,\"min_width\":50}", 100, 50},
        {"{\"width\":100,\"min_height\":40,\"dpr\":2}", 200, 100},
        {"{\"min_width\":800}", 400, 200},
        {"{\"min_width\":800,\"enlarge\":true}", 800, 400},
        {"{\"min_width\":100}", 400, 200},
        {"{\"width\":100,\"height\":100,\"min_height\":80,\"fit\":\"cover\"}", 100, 100},
        {"{\"aspect_ratio\":1}", 200, 200},
        {"{\"aspect_ratio\":4}", 400, 100},
        {"{\"aspect_ratio\":1,\"width\":50}", 50, 50},
        {"{\"aspect_ratio\":1,\"rotate\":90,\"width\":50}", 50, 50},
        {"{\"aspect_ratio\":0.01}", 2, 200},
        {"{\"aspect_ratio\":100}", 400, 4},
        {"{\"crop\":{\"width\":90,\"height\":30},\"aspect_ratio\":2}", 60, 30},
        {"{\"aspect_ratio\":1,\"gravity\":\"attention\"}", 200, 200},
    };
    struct bytes in = encode(gradient(400, 200), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = transform(in, cases[i].params);
        if (o.image == NULL || o.image->Xsize != cases[i].width ||
            o.image->Ysize != cases[i].height)
            fail_msg("%s: %dx%d %s", cases[i].params, o.image != NULL ? o.image->Xsize : 0,
                     o.image != NULL ? o.image->Ysize : 0, o.error.detail);
        outcome_release(&o);
    }
    bytes_release(&in);
}

static void test_gravity_says_which_part_has_the_proportions(void **state)
{
    static const struct {
        const char *gravity;
        int left;
    } cases[] = {{"west", 0}, {"centre", 100}, {"east", 200}};
    struct bytes in = encode(gradient(400, 200), ".png");
    char params[64];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(params, sizeof(params), "{\"aspect_ratio\":1,\"gravity\":\"%s\"}",
                 cases[i].gravity);
        struct outcome o = transform(in, params);
        VipsImage *whole = open_bytes(in);
        assert_same(&o, area_of(whole, cases[i].left, 0, 200, 200), params);
        g_object_unref(whole);
    }
    bytes_release(&in);
}

/* Each variant has a ratio of its own, or that outside; width is multiplied once. */
static void test_variants_have_ratios_of_their_own(void **state)
{
    struct bytes in = encode(gradient(400, 200), ".png");
    struct run *run = fake_run_new(
        TRANSFORM,
        "{\"width\":50,\"dpr\":2,\"variants\":[{},{\"dpr\":1},{\"dpr\":3,\"width\":40}]}");
    struct error error = {0};
    const int widths[] = {100, 50, 120};
    (void)state;
    fake_run_input(run, "image", "", in.data, in.size);
    assert_int_equal(run_task("image.transform", run, &error), 0);
    const cJSON *list = cJSON_GetObjectItem(fake_run_result(run), "variants");
    for (int i = 0; i < 3; i++)
        assert_int_equal(cJSON_GetObjectItem(cJSON_GetArrayItem(list, i), "width")->valueint,
                         widths[i]);
    fake_run_free(run);
    bytes_release(&in);
}

/* On a pixel of (200, 100, 50), or its grey. */
static void test_colours_are_laid_over(void **state)
{
    static const struct {
        const char *params;
        double pixel[3];
    } cases[] = {
        {"{\"colorize\":{\"colour\":\"#000000\"}}", {100, 50, 25}},
        {"{\"colorize\":{\"colour\":\"#0000ff\",\"opacity\":0.2}}", {160, 80, 91}},
        {"{\"colorize\":{\"colour\":\"#ff0000\",\"opacity\":1}}", {255, 0, 0}},
        {"{\"colorize\":{\"colour\":\"#ff0000\",\"opacity\":0}}", {200, 100, 50}},
        {"{\"gradient\":{\"opacity\":0.5,\"start\":0,\"stop\":0}}", {100, 50, 25}},
        {"{\"gradient\":{\"opacity\":0}}", {200, 100, 50}},
        {"{\"brightness\":0,\"colorize\":{\"colour\":\"#ffffff\"}}", {127.5, 127.5, 127.5}},
    };
    const double colour[4] = {200, 100, 50, 128};
    (void)state;
    for (int bands = 3; bands <= 4; bands++) {
        struct bytes in = encode(
            solid(16, 16, bands, colour, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
        for (size_t i = 0; i < COUNT(cases); i++) {
            const double *p = cases[i].pixel, expected[4] = {p[0], p[1], p[2], 128};
            struct outcome o = transform(in, cases[i].params);
            if (o.image == NULL)
                fail_msg("%s: %s", cases[i].params, o.error.detail);
            assert_pixel(o.image, 7, 7, expected, bands, 1);
            outcome_release(&o);
        }
        bytes_release(&in);
    }
}

static void test_a_gradient_grows_towards_its_side(void **state)
{
    static const struct {
        const char *towards;
        int none[2], all[2]; /* x, y */
    } cases[] = {{"down", {50, 0}, {50, 99}},
                 {"up", {50, 99}, {50, 0}},
                 {"right", {0, 50}, {99, 50}},
                 {"left", {99, 50}, {0, 50}}};
    const double white[1] = {255}, red[3] = {255, 0, 0}, paper[3] = {255, 255, 255};
    const double half[3] = {255, 127.5, 127.5};
    struct bytes in =
        encode(solid(100, 100, 1, white, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    char params[128];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(params, sizeof(params),
                 "{\"gradient\":{\"colour\":\"#ff0000\",\"towards\":\"%s\",\"start\":0.25,"
                 "\"stop\":0.75}}",
                 cases[i].towards);
        struct outcome o = transform(in, params);
        assert_non_null(o.image);
        assert_pixel(o.image, cases[i].none[0], cases[i].none[1], paper, 3, 0);
        assert_pixel(o.image, cases[i].all[0], cases[i].all[1], red, 3, 0);
        assert_pixel(o.image, 50, 50, half, 3, 4);
        outcome_release(&o);
    }
    bytes_release(&in);
}

/* Black, white and a grey, in 8 and in 16 bits. */
static void test_duotone_goes_from_one_colour_to_the_other(void **state)
{
    static const struct {
        double grey, pixel[3];
    } cases[] = {{0, {16, 32, 48}}, {255, {240, 224, 80}}, {51, {60.8, 70.4, 54.4}}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        for (int depth = 1; depth <= 2; depth++) {
            double scale = depth == 2 ? 257 : 1, grey[2] = {cases[i].grey * scale, 100 * scale};
            struct bytes in =
                encode(solid(9, 9, 2, grey,
                             depth == 2 ? VIPS_INTERPRETATION_GREY16 : VIPS_INTERPRETATION_B_W,
                             depth == 2 ? VIPS_FORMAT_USHORT : VIPS_FORMAT_UCHAR),
                       ".png");
            struct outcome o = transform(in, "{\"strip\":false,\"duotone\":{\"shadow\":\"#102030\","
                                             "\"highlight\":\"#f0e050\"}}");
            assert_non_null(o.image);
            const double *p = cases[i].pixel;
            const double expected[4] = {p[0] * scale, p[1] * scale, p[2] * scale, 100 * scale};
            assert_pixel(o.image, 4, 4, expected, 4, scale);
            outcome_release(&o);
            bytes_release(&in);
        }
}

static int count_colours(VipsImage *image)
{
    GHashTable *seen = g_hash_table_new(NULL, NULL);
    for (int y = 0; y < image->Ysize; y++)
        for (int x = 0; x < image->Xsize; x++) {
            const VipsPel *p = image->data + (y * image->Xsize + x) * image->Bands;
            guint key = 0;
            for (int band = 0; band < image->Bands; band++)
                key = key << 8 | p[band];
            g_hash_table_add(seen, GUINT_TO_POINTER(key + 1));
        }
    int count = (int)g_hash_table_size(seen);
    g_hash_table_destroy(seen);
    return count;
}

static void test_a_palette_has_as_many_colours_as_it_may(void **state)
{
    static const char *const formats[] = {"png", "gif"};
    static const int most[] = {2, 4, 16, 256};
    struct bytes in = encode(gradient(100, 100), ".png");
    char params[128];
    (void)state;
    for (size_t f = 0; f < COUNT(formats); f++) {
        int last = 1;
        for (size_t i = 0; i < COUNT(most); i++) {
            snprintf(params, sizeof(params), "{\"format\":\"%s\",\"palette\":true,\"colours\":%d}",
                     formats[f], most[i]);
            struct outcome o = transform(in, params);
            assert_non_null(o.image);
            int count = count_colours(o.image);
            if (count > most[i] || count < last)
                fail_msg("%s: %d colours", params, count);
            last = count;
            outcome_release(&o);
        }
        assert_true(last > 16);
    }
    bytes_release(&in);
}

static void set_text(VipsImage *image, const char *name, const char *text)
{
    char *value = g_strdup_printf("%s (%s, ASCII, %zu components, %zu bytes)", text, text,
                                  strlen(text) + 1, strlen(text) + 1);
    vips_image_set_string(image, name, value);
    g_free(value);
}

static bool has_text(VipsImage *image, const char *name, const char *text)
{
    const char *value = "";
    return vips_image_get_typeof(image, name) != 0 &&
           vips_image_get_string(image, name, &value) == 0 && g_str_has_prefix(value, text);
}

static void test_copyright_stays_and_nothing_else(void **state)
{
    static const char *const formats[] = {"jpeg", "webp", "avif"};
    char params[96];
    (void)state;
    VipsImage *lazy = gradient(40, 30), *image = vips_image_copy_memory(lazy);
    g_object_unref(lazy);
    set_text(image, "exif-ifd0-Copyright", "Example Ltd");
    set_text(image, "exif-ifd0-Artist", "Ada Example");
    set_text(image, "exif-ifd0-Model", "Camera 7");
    vips_image_set_blob_copy(image, VIPS_META_XMP_NAME, "<x:xmpmeta/>", 12);
    struct bytes in = encode(image, ".jpg");
    for (size_t i = 0; i < COUNT(formats); i++)
        for (int keeps = 0; keeps <= 1; keeps++) {
            snprintf(params, sizeof(params), "{\"format\":\"%s\",\"keep_copyright\":%s}",
                     formats[i], keeps ? "true" : "false");
            struct outcome o = transform(in, params);
            if (o.image == NULL)
                fail_msg("%s: %s", params, o.error.detail);
            if (has_text(o.image, "exif-ifd0-Copyright", "Example Ltd") != keeps ||
                has_text(o.image, "exif-ifd0-Artist", "Ada Example") != keeps ||
                has_text(o.image, "exif-ifd0-Model", "") ||
                vips_image_get_typeof(o.image, VIPS_META_XMP_NAME) != 0 ||
                vips_image_get_typeof(o.image, VIPS_META_ICC_NAME) != 0)
                fail_msg("%s: other metadata than it should have", params);
            outcome_release(&o);
        }
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_what_the_options_say),
        cmocka_unit_test(test_gravity_says_which_part_has_the_proportions),
        cmocka_unit_test(test_variants_have_ratios_of_their_own),
        cmocka_unit_test(test_colours_are_laid_over),
        cmocka_unit_test(test_a_gradient_grows_towards_its_side),
        cmocka_unit_test(test_duotone_goes_from_one_colour_to_the_other),
        cmocka_unit_test(test_a_palette_has_as_many_colours_as_it_may),
        cmocka_unit_test(test_copyright_stays_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
