/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image tasks under hostile and real input: what is refused and how, stopping, limits, and
 * that decoding small looks like decoding in full.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

static void test_pixels_that_are_kept_count_by_their_bytes(void **state)
{
    static const char *const kept[] = {"{\"trim\":{}}", "{\"rotate\":90,\"strip\":false}",
                                       "{\"variants\":[{\"width\":9}]}"};
    VipsImage *deep = NULL, *eight = gradient(100, 100);
    (void)state;
    assert_int_equal(vips_colourspace(eight, &deep, VIPS_INTERPRETATION_RGB16, NULL), 0);
    g_object_unref(eight);
    struct bytes in = encode(deep, ".png"); /* 60,000 bytes of pixels */

    for (size_t i = 0; i < COUNT(kept); i++) {
        struct run *run = fake_run_new(TRANSFORM, kept[i]);
        fake_run_set_limit(run, "max_megapixels", 0.012);
        assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "max_megapixels");
    }
    struct run *run = fake_run_new(TRANSFORM, "{\"width\":50}"); /* they stream through */
    fake_run_set_limit(run, "max_megapixels", 0.012);
    struct outcome o = compute(run, in, "");
    assert_non_null(o.image);
    outcome_release(&o);
    bytes_release(&in);
}

static void test_a_lossless_webp_has_a_limit_of_its_own(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(100, 100), ".png");
    struct run *run = fake_run_new(TRANSFORM, "{\"format\":\"webp\",\"lossless\":true}");
    fake_run_set_limit(run, "max_lossless_webp_megapixels", 0.009);
    assert_refused(compute(run, in, ""), ERR_INVALID_PARAMS,
                   "max_lossless_webp_megapixels is 0.009");
    run = fake_run_new(TRANSFORM, "{\"format\":\"webp\"}");
    fake_run_set_limit(run, "max_lossless_webp_megapixels", 0.009);
    struct outcome o = compute(run, in, "");
    assert_non_null(o.image);
    outcome_release(&o);
    bytes_release(&in);
}

static void assert_limited(struct bytes in, const char *params, const char *limit, double value,
                           enum err_code code, const char *words)
{
    struct run *run = fake_run_new(TRANSFORM, params);
    fake_run_set_limit(run, limit, value);
    struct outcome o = compute(run, in, "");
    assert_int_equal(fake_run_progress_calls(run), 0);
    assert_refused(o, code, words);
}

/* 0.01 megapixels each: what one of them may be, several may be too much. */
static void test_results_have_limits_of_their_sum(void **state)
{
    struct bytes in = encode(gradient(100, 100), ".png");
    (void)state;
    assert_limited(
        in, "{\"variants\":[{},{\"width\":50},{}]}", "max_variants_megapixels", 0.02,
        ERR_INVALID_PARAMS,
        "0.0225 megapixels together, all frames counted; the limit max_variants_megapixels "
        "is 0.02");
    assert_limited(in, "{\"format\":\"avif\",\"variants\":[{},{}]}", "max_avif_megapixels", 0.015,
                   ERR_INVALID_PARAMS, "the limit max_avif_megapixels is 0.015");
    assert_limited(in, "{\"format\":\"avif\",\"max_bytes\":5000}", "max_avif_megapixels", 0.015,
                   ERR_INVALID_PARAMS, "the limit max_avif_megapixels is 0.015");
    bytes_release(&in);
}

static struct bytes interlaced_png(void)
{
    VipsImage *deep = NULL, *eight = gradient(1000, 1000);
    assert_int_equal(vips_colourspace(eight, &deep, VIPS_INTERPRETATION_RGB16, NULL), 0);
    g_object_unref(eight);
    return encode(deep, ".png[interlace]");
}

/* What is held whole counts before the start: by decoders, between steps, by encoders. A process
 * has 128 MB of its own. */
static void test_what_needs_too_much_memory_is_refused_unread(void **state)
{
    const struct {
        struct bytes in;
        const char *params;
        double enough; /* megabytes */
        enum err_code code;
    } cases[] = {
        {encode(gradient(1000, 1000), ".jpg[interlace]"), "{\"width\":10}", 135, ERR_INVALID_INPUT},
        {interlaced_png(), "{\"width\":10}", 135, ERR_INVALID_INPUT},
        {encode(gradient(1000, 1000), ".webp"), "{\"width\":10}", 137, ERR_INVALID_INPUT},
        {encode(gradient(1000, 1000), ".gif"), "{\"width\":10}", 141, ERR_INVALID_INPUT},
        {encode(gradient(1000, 1000), ".tif[tile,tile-width=512,tile-height=512,compression=lzw]"),
         "{\"width\":10,\"format\":\"png\"}", 136, ERR_INVALID_INPUT},
        {encode(gradient(1000, 1000), ".jpg"), "{\"quality\":95}", 135, ERR_INVALID_PARAMS},
        {encode(gradient(1000, 1000), ".jpg"), "{\"format\":\"gif\"}", 142, ERR_INVALID_PARAMS},
        {encode(gradient(1000, 1000), ".jpg"),
         "{\"fit\":\"contain\",\"width\":1000,\"height\":1001,\"background\":\"#00000000\","
         "\"format\":\"webp\"}",
         170, ERR_INVALID_PARAMS},
        {encode(gradient(1000, 1000), ".jpg"), "{\"rotate\":90,\"format\":\"png\"}", 132,
         ERR_INVALID_PARAMS},
        {encode(gradient(1000, 1000), ".jpg"), "{\"variants\":[{\"width\":10}]}", 132,
         ERR_INVALID_PARAMS},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes in = cases[i].in;
        assert_limited(in, cases[i].params, "memory_mb", 130, cases[i].code,
                       "MB of memory; the limit memory_mb is 130.");
        struct run *run = fake_run_new(TRANSFORM, cases[i].params);
        fake_run_set_limit(run, "memory_mb", cases[i].enough);
        struct outcome o = compute(run, in, "");
        if (o.image == NULL)
            fail_msg("case %zu: %s", i, o.error.detail);
        outcome_release(&o);
        bytes_release(&in);
    }
}

static void test_a_comparison_counts_both_pictures(void **state)
{
    struct bytes in = encode(gradient(1000, 1000), ".jpg[interlace]");
    (void)state;
    for (int megabytes = 138; megabytes <= 142; megabytes += 4) {
        struct run *run = fake_run_new(COMPARE, "{}");
        struct error error = {0};
        fake_run_set_limit(run, "memory_mb", megabytes);
        fake_run_input(run, "image", "", in.data, in.size);
        fake_run_input(run, "reference", "", in.data, in.size);
        int failed = run_task("image.compare", run, &error);
        assert_int_equal(failed, megabytes == 138 ? -1 : 0);
        if (failed)
            assert_non_null(strstr(error.detail, "the limit memory_mb is 138."));
        fake_run_free(run);
    }
    bytes_release(&in);
}

static void test_every_frame_counts_for_the_pixel_limit(void **state)
{
    (void)state;
    struct bytes in = shared("animated-loop-3.gif"); /* ten frames of 370x285 */
    if (in.data == NULL)
        return;
    struct run *run = fake_run_new(TRANSFORM, "{\"width\":100}");
    fake_run_set_limit(run, "max_megapixels", 1);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "frames: 10); the limit");

    run = fake_run_new(TRANSFORM, "{\"width\":100,\"format\":\"png\"}"); /* the first one alone */
    fake_run_set_limit(run, "max_megapixels", 1);
    struct outcome o = compute(run, in, "");
    assert_int_equal(o.image->Ysize, 77);
    outcome_release(&o);
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
            fake_run_damage(copy.data, copy.size, &seed);
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

/* Turned pictures are computed in two passes. */
static void test_it_stops_in_the_last_rows_too(void **state)
{
    static const char *const params[] = {"{\"width\":50}", "{}", "{\"rotate\":90}"};
    (void)state;
    struct bytes in = encode(gradient(1000, 1000), ".png");
    for (size_t i = 0; i < COUNT(params); i++) {
        struct outcome o = transform(in, params[i]);
        int calls = fake_run_progress_calls(o.run);
        outcome_release(&o);
        assert_true(calls > 2);

        struct run *run = fake_run_new(TRANSFORM, params[i]);
        fake_run_stop_at_call(run, calls);
        o = compute(run, in, "");
        assert_non_null(fake_run_output(run, 0)); /* it had begun to write */
        assert_refused(o, ERR_STOPPED, "");
    }
    bytes_release(&in);
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
        assert_int_equal(o.image->Ysize, 80 * cases[i].pages);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_picture_that_claims_to_be_huge_is_refused_unread),
        cmocka_unit_test(test_pixels_that_are_kept_count_by_their_bytes),
        cmocka_unit_test(test_a_lossless_webp_has_a_limit_of_its_own),
        cmocka_unit_test(test_results_have_limits_of_their_sum),
        cmocka_unit_test(test_what_needs_too_much_memory_is_refused_unread),
        cmocka_unit_test(test_a_comparison_counts_both_pictures),
        cmocka_unit_test(test_every_frame_counts_for_the_pixel_limit),
        cmocka_unit_test(test_what_is_no_picture_is_refused),
        cmocka_unit_test(test_the_declared_type_has_to_be_the_real_one),
        cmocka_unit_test(test_half_a_picture_is_refused),
        cmocka_unit_test(test_damaged_pictures_end_one_way_or_the_other),
        cmocka_unit_test(test_too_many_channels_are_refused),
        cmocka_unit_test(test_it_stops_when_told),
        cmocka_unit_test(test_it_stops_in_the_last_rows_too),
        cmocka_unit_test(test_an_output_over_its_limit_ends_the_run),
        cmocka_unit_test(test_shrink_on_load_looks_like_a_full_decode),
        cmocka_unit_test(test_real_pictures_are_inspected_and_transformed),
        cmocka_unit_test(test_a_corrupt_header_is_refused),
        cmocka_unit_test(test_inspect_gives_the_sha256_of_the_bytes),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
