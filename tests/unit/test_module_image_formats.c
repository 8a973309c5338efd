/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.transform: what formats keep, animations frame by frame, sizes in bytes, and several
 * results from one decode.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Formats. */

static void test_each_format_keeps_what_it_can(void **state)
{
    static const double rgb[3] = {200, 100, 50}, rgba[4] = {200, 100, 50, 0}, grey[1] = {90},
                        deep[3] = {51400, 25700, 12850};
    static const struct {
        const char *format;
        bool has_alpha, has_16_bits;
        double tolerance;
    } formats[] = {
        {"jpeg", false, false, 6}, {"png", true, true, 0},  {"webp", true, false, 6},
        {"gif", true, false, 8},   {"tiff", true, true, 0},
    };
    (void)state;
    struct bytes opaque =
        encode(solid(32, 24, 3, rgb, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
    struct bytes clear =
        encode(solid(32, 24, 4, rgba, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR), ".png");
    struct bytes mono =
        encode(solid(32, 24, 1, grey, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR), ".png");
    struct bytes wide =
        encode(solid(32, 24, 3, deep, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT), ".png");

    for (size_t i = 0; i < COUNT(formats); i++) {
        char params[128];
        double tolerance = formats[i].tolerance, *pixel;
        int n;
        snprintf(params, sizeof(params), "{\"format\":\"%s\",\"width\":16}", formats[i].format);
        struct outcome o = transform(opaque, params);
        assert_int_equal(vips_getpoint(o.image, &pixel, &n, 8, 8, NULL), 0);
        for (int b = 0; b < 3; b++)
            assert_true(fabs(pixel[b] - rgb[b]) <= tolerance);
        g_free(pixel);
        outcome_release(&o);

        o = transform(clear, params);
        assert_int_equal(vips_image_hasalpha(o.image), formats[i].has_alpha);
        assert_int_equal(vips_getpoint(o.image, &pixel, &n, 8, 8, NULL), 0);
        if (formats[i].has_alpha)
            assert_float_equal(pixel[n - 1], 0, 0);
        g_free(pixel);
        outcome_release(&o);

        o = transform(mono, params);
        assert_int_equal(vips_getpoint(o.image, &pixel, &n, 8, 8, NULL), 0);
        assert_true(fabs(pixel[0] - grey[0]) <= tolerance);
        g_free(pixel);
        outcome_release(&o);

        snprintf(params, sizeof(params), "{\"format\":\"%s\",\"strip\":false}", formats[i].format);
        o = transform(wide, params);
        bool is_deep = o.image->BandFmt == VIPS_FORMAT_USHORT;
        assert_int_equal(is_deep, formats[i].has_16_bits);
        assert_int_equal(vips_getpoint(o.image, &pixel, &n, 8, 8, NULL), 0);
        for (int b = 0; b < 3; b++)
            assert_true(fabs(pixel[b] - (is_deep ? deep : rgb)[b]) <= tolerance);
        g_free(pixel);
        outcome_release(&o);
    }
    bytes_release(&opaque);
    bytes_release(&clear);
    bytes_release(&mono);
    bytes_release(&wide);
}

static size_t size_of(struct bytes in, const char *params)
{
    struct outcome o = transform(in, params);
    assert_non_null(o.image);
    size_t size = fake_run_output(o.run, 0)->size;
    outcome_release(&o);
    return size;
}

static void test_a_lossless_webp_keeps_every_pixel(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(90, 60), ".png");
    VipsImage *original = gradient(90, 60);
    struct outcome o = transform(in, "{\"format\":\"webp\",\"lossless\":true}");
    assert_float_equal(mean_square_error(o.image, original), 0, 0);
    outcome_release(&o);
    o = transform(in, "{\"format\":\"webp\",\"quality\":10}");
    assert_true(mean_square_error(o.image, original) > 0);
    outcome_release(&o);
    g_object_unref(original);
    bytes_release(&in);
}

static void test_a_palette_has_256_colours_and_takes_fewer_bytes(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(300, 300), ".png");
    struct outcome o = transform(in, "{\"palette\":true}");
    assert_int_equal(fake_run_output(o.run, 0)->bytes[25], 3); /* PNG's colour type: by palette */
    outcome_release(&o);
    o = transform(in, "{}");
    assert_int_equal(fake_run_output(o.run, 0)->bytes[25], 2);
    outcome_release(&o);
    bytes_release(&in);

    in = shared("concert.jpg");
    if (in.data == NULL)
        return;
    assert_true(size_of(in, "{\"format\":\"png\",\"palette\":true}") <
                size_of(in, "{\"format\":\"png\"}"));
    bytes_release(&in);
}

static void test_progressive_is_written_as_such(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(300, 300), ".png");
    for (int is_progressive = 0; is_progressive < 2; is_progressive++) {
        struct outcome o =
            transform(in, is_progressive ? "{\"format\":\"jpeg\",\"progressive\":true}"
                                         : "{\"format\":\"jpeg\"}");
        const struct run_output *out = fake_run_output(o.run, 0);
        size_t at = 2; /* from segment to segment, to the frame header: SOF0 or SOF2 */
        while (out->bytes[at + 1] < 0xc0 || out->bytes[at + 1] > 0xc2)
            at += 2u + (size_t)(out->bytes[at + 2] << 8) + out->bytes[at + 3];
        assert_int_equal(out->bytes[at + 1], is_progressive ? 0xc2 : 0xc0);
        outcome_release(&o);

        o = transform(in, is_progressive ? "{\"progressive\":true}" : "{}");
        assert_int_equal(fake_run_output(o.run, 0)->bytes[28], is_progressive);
        outcome_release(&o);
    }
    bytes_release(&in);
}

/* Animations. */

#define FRAMES 5

/* A square that wanders over a coloured ground, another colour for every frame. */
static VipsImage *frame(int k, int width, int height)
{
    const double ground[4] = {50.0 * k, 200 - 40.0 * k, 120, 255};
    double ink[4] = {255, 255, 255, 255};
    VipsImage *image = solid(width, height, 4, ground, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
    VipsImage *drawn = vips_image_copy_memory(image);

    g_object_unref(image);
    assert_int_equal(vips_draw_rect(drawn, ink, 4, 10 * k, 5 * k, 20, 20, "fill", TRUE, NULL), 0);
    return drawn;
}

static VipsImage *animation(int count, int width, int height)
{
    VipsImage **frames = g_new(VipsImage *, (size_t)count), *joined, *image;
    int *delays = g_new(int, (size_t)count);

    for (int k = 0; k < count; k++) {
        frames[k] = frame(k % FRAMES, width, height);
        delays[k] = 50 + 10 * (k % FRAMES);
    }
    assert_int_equal(vips_arrayjoin(frames, &joined, count, "across", 1, NULL), 0);
    assert_int_equal(vips_copy(joined, &image, NULL), 0);
    vips_image_set_int(image, VIPS_META_PAGE_HEIGHT, height);
    vips_image_set_array_int(image, "delay", delays, count);
    vips_image_set_int(image, "loop", 3);
    for (int k = 0; k < count; k++)
        g_object_unref(frames[k]);
    g_object_unref(joined);
    g_free(frames);
    g_free(delays);
    return image;
}

static VipsImage *frame_of(VipsImage *roll, int k)
{
    int height = vips_image_get_page_height(roll);
    VipsImage *image;
    assert_int_equal(vips_extract_area(roll, &image, 0, k * height, roll->Xsize, height, NULL), 0);
    return image;
}

/* Red, green and blue alone: whether there is an alpha channel differs from format to format. */
static double colour_error(VipsImage *a, VipsImage *b)
{
    VipsImage *x, *y;
    assert_int_equal(vips_extract_band(a, &x, 0, "n", 3, NULL), 0);
    assert_int_equal(vips_extract_band(b, &y, 0, "n", 3, NULL), 0);
    double error = mean_square_error(x, y);
    g_object_unref(x);
    g_object_unref(y);
    return error;
}

static void assert_timing(VipsImage *image, int count)
{
    int *delays, n, loop;
    assert_int_equal(vips_image_get_int(image, VIPS_META_N_PAGES, &n), 0);
    assert_int_equal(n, count);
    assert_int_equal(vips_image_get_array_int(image, "delay", &delays, &n), 0);
    assert_int_equal(n, count);
    for (int k = 0; k < n; k++)
        assert_int_equal(delays[k], 50 + 10 * (k % FRAMES));
    assert_int_equal(vips_image_get_int(image, "loop", &loop), 0);
    assert_int_equal(loop, 3);
}

static const char *const animated[] = {".gif[effort=1]", ".webp[lossless]"};

static void test_every_frame_is_treated_as_a_still_would_be(void **state)
{
    static const struct {
        const char *params;
        int width, height;
    } cases[] = {
        {"", 120, 80},
        {",\"width\":60", 60, 40},
        {",\"rotate\":90,\"width\":40", 40, 60},
        {",\"flip\":\"horizontal\",\"crop\":{\"left\":10,\"top\":4,\"width\":60,\"height\":40}", 60,
         40},
        {",\"width\":50,\"height\":50,\"fit\":\"cover\"", 50, 50},
        {",\"width\":50,\"height\":50,\"fit\":\"contain\",\"background\":\"#102030\"", 50, 50},
        {",\"width\":240,\"enlarge\":true", 240, 160},
        {",\"width\":60,\"strip\":false", 60, 40},
    };
    static const char *const outputs[] = {"\"format\":\"gif\"",
                                          "\"format\":\"webp\",\"lossless\":true"};
    (void)state;
    for (size_t s = 0; s < COUNT(animated); s++) {
        struct bytes in = encode(animation(FRAMES, 120, 80), animated[s]);
        for (size_t c = 0; c < COUNT(cases); c++)
            for (size_t f = 0; f < COUNT(outputs); f++) {
                char params[256];
                snprintf(params, sizeof(params), "{%s%s}", outputs[f], cases[c].params);
                struct outcome o = transform(in, params);
                if (o.image == NULL)
                    fail_msg("%s %s: %s", animated[s], params, o.error.detail);
                assert_int_equal(o.image->Xsize, cases[c].width);
                assert_int_equal(vips_image_get_page_height(o.image), cases[c].height);
                assert_int_equal(cJSON_GetObjectItem(fake_run_result(o.run), "pages")->valueint,
                                 FRAMES);
                assert_timing(o.image, FRAMES);
                for (int k = 0; k < FRAMES; k++) {
                    struct bytes one = encode(frame(k, 120, 80), ".png");
                    snprintf(params, sizeof(params), "{\"format\":\"png\"%s}", cases[c].params);
                    struct outcome still = transform(one, params);
                    VipsImage *part = frame_of(o.image, k);
                    double error = colour_error(part, still.image);
                    if (error > 60)
                        fail_msg("%s %s%s, frame %d: %g", animated[s], outputs[f], cases[c].params,
                                 k, error);
                    g_object_unref(part);
                    outcome_release(&still);
                    bytes_release(&one);
                }
                outcome_release(&o);
            }
        bytes_release(&in);
    }
}

static void test_a_frame_is_taken_by_its_number(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(animated); s++) {
        struct bytes in = encode(animation(FRAMES, 60, 40), animated[s]);
        for (int page = 1; page <= FRAMES; page++) {
            char params[64];
            snprintf(params, sizeof(params), "{\"page\":%d,\"format\":\"png\"}", page);
            struct outcome o = transform(in, params);
            VipsImage *expected = frame(page - 1, 60, 40);
            assert_true(colour_error(o.image, expected) < 20);
            g_object_unref(expected);
            outcome_release(&o);
        }
        assert_refused(transform(in, "{\"page\":6}"), ERR_INVALID_PARAMS, "no page 6");
        struct outcome o = transform(in, "{\"page\":2}"); /* of the same format, yet a still */
        assert_int_equal(vips_image_get_n_pages(o.image), 1);
        assert_null(cJSON_GetObjectItem(fake_run_result(o.run), "pages"));
        outcome_release(&o);
        bytes_release(&in);
    }
    struct bytes in = encode(gradient(20, 20), ".jpg");
    assert_refused(transform(in, "{\"page\":2}"), ERR_INVALID_PARAMS, "no page 2");
    struct outcome o = transform(in, "{\"page\":1}");
    assert_non_null(o.image);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_a_page_of_a_tiff_has_its_own_pixels(void **state)
{
    (void)state;
    struct bytes in = encode(animation(FRAMES, 60, 40), ".tif[compression=lzw]");
    for (int page = 1; page <= FRAMES; page++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"page\":%d,\"width\":60}", page);
        struct outcome o = transform(in, params);
        VipsImage *expected = frame(page - 1, 60, 40);
        assert_string_equal(o.media_type, "image/tiff");
        assert_int_equal(vips_image_get_n_pages(o.image), 1);
        assert_float_equal(mean_square_error(o.image, expected), 0, 0);
        g_object_unref(expected);
        outcome_release(&o);
    }
    assert_refused(transform(in, "{\"page\":6}"), ERR_INVALID_PARAMS, "has 5 of them");
    bytes_release(&in);
}

static void test_too_many_frames_are_refused_and_one_of_them_is_not(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(animated); s++) {
        struct bytes in = encode(animation(30, 40, 30), animated[s]);
        struct run *run = fake_run_new(TRANSFORM, "{}");
        fake_run_set_limit(run, "max_frames", 29);
        assert_refused(compute(run, in, ""), ERR_INVALID_INPUT,
                       "has 30 frames to decode; the limit max_frames is 29");

        run = fake_run_new(TRANSFORM, "{}");
        fake_run_set_limit(run, "max_megapixels", 0.0359);
        assert_refused(compute(run, in, ""), ERR_INVALID_INPUT,
                       "0.0 megapixels (40x30, frames: 30)");

        run = fake_run_new(TRANSFORM, "{\"format\":\"png\"}");
        fake_run_set_limit(run, "max_frames", 1);
        struct outcome o = compute(run, in, "");
        assert_non_null(o.image);
        outcome_release(&o);

        run = fake_run_new(TRANSFORM, "{\"page\":20}"); /* drawn over the nineteen before it */
        fake_run_set_limit(run, "max_frames", 19);
        assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "max_frames is 19");

        run = fake_run_new(TRANSFORM, "{\"width\":400,\"enlarge\":true}");
        fake_run_set_limit(run, "max_megapixels", 3.5);
        assert_refused(compute(run, in, ""), ERR_INVALID_PARAMS, "400x300 pixels, frames: 30");
        bytes_release(&in);
    }
}

static void test_an_animation_cut_short_is_refused(void **state)
{
    (void)state;
    for (size_t s = 0; s < COUNT(animated); s++) {
        struct bytes in = encode(animation(FRAMES, 120, 80), animated[s]);
        for (size_t tenth = 0; tenth < 10; tenth++) {
            struct bytes part = {in.data, in.size * tenth / 10};
            struct outcome o = transform(part, "{\"width\":60}");
            if (o.image != NULL)
                fail_msg("%zu/10 of a %s is a picture of %d frames", tenth, animated[s],
                         vips_image_get_n_pages(o.image));
            assert_refused(o, ERR_INVALID_INPUT, tenth == 0 ? "is empty" : "");
        }
        bytes_release(&in);
    }
}

static void test_an_animation_stops_when_told(void **state)
{
    static const char *const params[] = {"{\"width\":60}", "{\"rotate\":90,\"format\":\"webp\"}",
                                         "{\"variants\":[{\"width\":60},{\"format\":\"webp\"}]}",
                                         "{\"format\":\"webp\",\"max_bytes\":900}"};
    static const double fractions[] = {0, 0.3, 0.5, 0.7, 0.9};
    (void)state;
    struct bytes in = encode(animation(20, 120, 80), animated[0]);
    for (size_t i = 0; i < COUNT(params); i++)
        for (size_t k = 0; k < COUNT(fractions); k++) {
            struct run *run = fake_run_new(TRANSFORM, params[i]);
            fake_run_stop_at(run, fractions[k]);
            assert_refused(compute(run, in, ""), ERR_STOPPED, "");
        }
    bytes_release(&in);
}

/* Bytes. */

static void test_max_bytes_finds_the_highest_quality_that_fits(void **state)
{
    static const char *const formats[] = {"jpeg", "webp"};
    static const int limits[] = {1500, 3000, 6000, 9000};
    (void)state;
    struct bytes in = shared("concert.jpg");
    if (in.data == NULL)
        return;
    for (size_t f = 0; f < COUNT(formats); f++)
        for (size_t l = 0; l < COUNT(limits); l++) {
            char params[128];
            snprintf(params, sizeof(params),
                     "{\"width\":200,\"format\":\"%s\",\"quality\":90,\"max_bytes\":%d}",
                     formats[f], limits[l]);
            struct outcome o = transform(in, params);
            if (o.image == NULL)
                fail_msg("%s: %s [%s]", params, o.error.detail, o.error.cause);
            int quality = cJSON_GetObjectItem(fake_run_result(o.run), "quality")->valueint;
            size_t size = fake_run_output(o.run, 0)->size;
            outcome_release(&o);
            assert_true(size <= (size_t)limits[l]);
            snprintf(params, sizeof(params), "{\"width\":200,\"format\":\"%s\",\"quality\":%d}",
                     formats[f], quality);
            assert_int_equal(size_of(in, params), size); /* the quality says the truth */
            snprintf(params, sizeof(params), "{\"width\":200,\"format\":\"%s\",\"quality\":%d}",
                     formats[f], quality + 1);
            if (quality < 90)
                assert_true(size_of(in, params) > (size_t)limits[l]);
        }
    bytes_release(&in);
}

static void test_max_bytes_lowers_nothing_that_fits(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(200, 150), ".png");
    struct outcome o = transform(in, "{\"format\":\"jpeg\",\"max_bytes\":1000000}");
    assert_int_equal(cJSON_GetObjectItem(fake_run_result(o.run), "quality")->valueint, 80);
    outcome_release(&o);
    o = transform(in, "{\"max_bytes\":1000000}"); /* PNG has no quality to tell of */
    assert_non_null(o.image);
    assert_null(cJSON_GetObjectItem(fake_run_result(o.run), "quality"));
    outcome_release(&o);
    bytes_release(&in);
}

static void test_max_bytes_that_cannot_be_kept_say_what_was_reached(void **state)
{
    static const struct {
        const char *params, *words;
    } cases[] = {
        {"{\"format\":\"jpeg\",\"max_bytes\":100}", "As jpeg of the lowest quality, 200x150"},
        {"{\"format\":\"webp\",\"max_bytes\":20}", "As webp of the lowest quality, 200x150"},
        {"{\"format\":\"webp\",\"lossless\":true,\"max_bytes\":20}", "As webp, 200x150"},
        {"{\"format\":\"png\",\"max_bytes\":50}", "As png, 200x150"},
        {"{\"format\":\"gif\",\"max_bytes\":50}", "As gif, 200x150"},
        {"{\"format\":\"tiff\",\"max_bytes\":50}", "As tiff, 200x150"},
    };
    (void)state;
    struct bytes in = encode(gradient(200, 150), ".png");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outcome o = transform(in, cases[i].params);
        assert_non_null(strstr(o.error.detail, " bytes; max_bytes is "));
        assert_null(fake_run_output(o.run, 0));
        assert_refused(o, ERR_INVALID_PARAMS, cases[i].words);
    }
    bytes_release(&in);
}

/* Several results. */

static VipsImage *output_image(struct run *run, int i)
{
    const struct run_output *out = fake_run_output(run, i);
    assert_non_null(out);
    VipsImage *image = vips_image_new_from_buffer(out->bytes, out->size, "", NULL);
    assert_non_null(image);
    return image;
}

static void test_variants_are_what_separate_runs_give(void **state)
{
    static const char *const variants[] = {
        "\"width\":300",
        "\"width\":64,\"height\":64,\"fit\":\"cover\"",
        "\"width\":50,\"height\":80,\"fit\":\"contain\",\"background\":\"#00ff00\"",
        "\"format\":\"jpeg\",\"width\":100,\"quality\":60",
        "\"format\":\"webp\",\"lossless\":true,\"width\":120",
        "\"format\":\"gif\",\"width\":80",
        "\"format\":\"tiff\"",
        "\"width\":500,\"enlarge\":true",
    };
    static const char *const common = "\"rotate\":90,\"flip\":\"horizontal\",\"crop\":{\"left\":3,"
                                      "\"top\":5,\"width\":350,\"height\":280}";
    GString *params = g_string_new("{");
    (void)state;
    g_string_append_printf(params, "%s,\"variants\":[", common);
    for (size_t i = 0; i < COUNT(variants); i++)
        g_string_append_printf(params, "%s{%s}", i > 0 ? "," : "", variants[i]);
    g_string_append(params, "]}");

    struct bytes in = encode(gradient(400, 300), ".png");
    struct outcome all = transform(in, params->str);
    assert_non_null(all.image);
    const cJSON *list = cJSON_GetObjectItem(fake_run_result(all.run), "variants");
    assert_int_equal(cJSON_GetArraySize(list), COUNT(variants));
    for (size_t i = 0; i < COUNT(variants); i++) {
        const cJSON *item = cJSON_GetArrayItem(list, (int)i);
        g_string_printf(params, "{%s,%s}", common, variants[i]);
        struct outcome one = transform(in, params->str);
        VipsImage *image = output_image(all.run, (int)i);
        assert_string_equal(fake_run_output(all.run, (int)i)->media_type, one.media_type);
        if (mean_square_error(image, one.image) > 0)
            fail_msg("%s: another picture", variants[i]);
        assert_int_equal(cJSON_GetObjectItem(item, "width")->valueint, one.image->Xsize);
        assert_int_equal(cJSON_GetObjectItem(item, "height")->valueint, one.image->Ysize);
        assert_string_equal(cJSON_GetObjectItem(item, "format")->valuestring, one.media_type + 6);
        assert_int_equal(cJSON_GetObjectItem(item, "bytes")->valueint,
                         fake_run_output(all.run, (int)i)->size);
        g_object_unref(image);
        outcome_release(&one);
    }
    assert_null(fake_run_output(all.run, COUNT(variants)));
    g_string_free(params, TRUE);
    outcome_release(&all);
    bytes_release(&in);
}

/* Decoded for the largest, the small ones shrink by more afterwards. */
static void test_variants_of_a_photograph_look_like_separate_runs(void **state)
{
    static const int widths[] = {1200, 600, 300, 100};
    (void)state;
    struct bytes in = shared("2569067123_aca715a2ee_o.jpg");
    if (in.data == NULL)
        return;
    struct outcome all = transform(in, "{\"format\":\"png\",\"variants\":[{\"width\":1200},"
                                       "{\"width\":600},{\"width\":300},{\"width\":100}]}");
    for (size_t i = 0; i < COUNT(widths); i++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"format\":\"png\",\"width\":%d}", widths[i]);
        struct outcome one = transform(in, params);
        VipsImage *image = output_image(all.run, (int)i);
        double psnr = 10 * log10(255 * 255 / (mean_square_error(image, one.image) + 1e-9));
        if (psnr < 33)
            fail_msg("%d wide: %.1f dB", widths[i], psnr);
        g_object_unref(image);
        outcome_release(&one);
    }
    outcome_release(&all);
    bytes_release(&in);
}

static void test_variants_of_an_animation_move_where_the_format_can(void **state)
{
    (void)state;
    struct bytes in = encode(animation(FRAMES, 120, 80), animated[1]);
    struct outcome o =
        transform(in, "{\"variants\":[{\"width\":60},{\"format\":\"png\"},{\"format\":\"gif\"}]}");
    static const int pages[] = {FRAMES, 1, FRAMES};
    VipsImage *expected = frame(0, 120, 80), *still = output_image(o.run, 1);

    for (int i = 0; i < 3; i++) {
        VipsImage *image = output_image(o.run, i);
        assert_int_equal(vips_image_get_n_pages(image), pages[i]);
        g_object_unref(image);
    }
    assert_float_equal(colour_error(still, expected), 0, 0);
    g_object_unref(still);
    g_object_unref(expected);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_one_variant_that_cannot_be_refuses_all(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(200, 150), ".png");
    struct outcome o = transform(in, "{\"enlarge\":true,\"variants\":[{\"width\":10},"
                                     "{\"width\":16384,\"height\":16384,\"fit\":\"fill\"}]}");
    assert_null(fake_run_output(o.run, 0)); /* nothing was computed */
    assert_refused(o, ERR_INVALID_PARAMS, "max_megapixels");
    assert_refused(transform(in, "{\"variants\":[{\"width\":10},{\"max_bytes\":1}]}"),
                   ERR_INVALID_PARAMS, "max_bytes is 1");
    bytes_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_format_keeps_what_it_can),
        cmocka_unit_test(test_a_lossless_webp_keeps_every_pixel),
        cmocka_unit_test(test_a_palette_has_256_colours_and_takes_fewer_bytes),
        cmocka_unit_test(test_progressive_is_written_as_such),
        cmocka_unit_test(test_every_frame_is_treated_as_a_still_would_be),
        cmocka_unit_test(test_a_frame_is_taken_by_its_number),
        cmocka_unit_test(test_a_page_of_a_tiff_has_its_own_pixels),
        cmocka_unit_test(test_too_many_frames_are_refused_and_one_of_them_is_not),
        cmocka_unit_test(test_an_animation_cut_short_is_refused),
        cmocka_unit_test(test_an_animation_stops_when_told),
        cmocka_unit_test(test_max_bytes_finds_the_highest_quality_that_fits),
        cmocka_unit_test(test_max_bytes_lowers_nothing_that_fits),
        cmocka_unit_test(test_max_bytes_that_cannot_be_kept_say_what_was_reached),
        cmocka_unit_test(test_variants_are_what_separate_runs_give),
        cmocka_unit_test(test_variants_of_a_photograph_look_like_separate_runs),
        cmocka_unit_test(test_variants_of_an_animation_move_where_the_format_can),
        cmocka_unit_test(test_one_variant_that_cannot_be_refuses_all),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
