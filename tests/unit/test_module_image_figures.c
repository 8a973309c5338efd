/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.inspect and image.compare, where they decode: they stop when told, refuse what is broken,
 * and have figures for pixels of every kind. That the figures are right is tested through HTTP,
 * where other programs are at hand.
 */
#include "image_fixture.h"

#include <string.h>

#define ALL                                                                     \
    "{\"include\":[\"exif\",\"iptc\",\"xmp\",\"icc\",\"palette\",\"blurhash\"," \
    "\"perceptual_hash\",\"entropy\",\"sharpness\",\"histogram\",\"is_opaque\"]}"
#define SMALL_FIGURES "{\"include\":[\"palette\",\"blurhash\",\"perceptual_hash\"]}"
#define FULL_FIGURES "{\"include\":[\"entropy\",\"sharpness\",\"histogram\"]}"

/* image.inspect of `in`; the run is the caller's. */
static struct run *inspect(struct bytes in, const char *params, int *ret_result,
                           struct error *reterr)
{
    struct run *run = fake_run_new(INSPECT, params);
    fake_run_input(run, "image", "", in.data, in.size);
    *ret_result = run_task("image.inspect", run, reterr);
    return run;
}

static struct run *compare_run(struct bytes image, struct bytes reference, const char *params)
{
    struct run *run = fake_run_new(COMPARE, params);
    fake_run_input(run, "image", "", image.data, image.size);
    fake_run_input(run, "reference", "", reference.data, reference.size);
    return run;
}

static void assert_complete(const cJSON *result)
{
    static const char *const names[] = {"palette", "blurhash",  "phash",     "dhash",
                                        "entropy", "sharpness", "histogram", "is_opaque"};
    assert_non_null(result);
    for (size_t i = 0; i < COUNT(names); i++)
        if (!cJSON_HasObjectItem(result, names[i]))
            fail_msg("%s is missing", names[i]);
    char *text = cJSON_PrintUnformatted(result);
    assert_null(strstr(text, "null")); /* no figure is infinite or none */
    cJSON_free(text);
}

static void test_pixels_of_every_kind_have_figures(void **state)
{
    static const struct {
        int bands;
        VipsInterpretation space;
        VipsBandFormat format;
        const char *suffix;
    } cases[] = {
        {1, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, ".png"},
        {2, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_UCHAR, ".png"},
        {1, VIPS_INTERPRETATION_GREY16, VIPS_FORMAT_USHORT, ".png"},
        {3, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR, ".jpg"},
        {4, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR, ".webp"},
        {4, VIPS_INTERPRETATION_RGB16, VIPS_FORMAT_USHORT, ".png"},
        {4, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR, ".jpg"},
        {4, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR, ".tif"},
        {5, VIPS_INTERPRETATION_CMYK, VIPS_FORMAT_UCHAR, ".tif"},
        {3, VIPS_INTERPRETATION_LAB, VIPS_FORMAT_FLOAT, ".tif"},
        {3, VIPS_INTERPRETATION_scRGB, VIPS_FORMAT_FLOAT, ".tif"},
        {1, VIPS_INTERPRETATION_B_W, VIPS_FORMAT_FLOAT, ".tif"},
        {2, VIPS_INTERPRETATION_MULTIBAND, VIPS_FORMAT_INT, ".tif"},
        {3, VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR, ".gif"},
    };
    static const struct {
        int width, height;
    } sizes[] = {{1, 1}, {2, 300}, {300, 2}, {129, 128}, {257, 17}};
    static const double pixel[5] = {40, 30, 20, 120, 90};
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t s = 0; s < COUNT(sizes); s++) {
            struct bytes in = encode(solid(sizes[s].width, sizes[s].height, cases[i].bands, pixel,
                                           cases[i].space, cases[i].format),
                                     cases[i].suffix);
            struct error error = {0};
            int result;
            struct run *run = inspect(in, ALL, &result, &error);
            if (result != 0)
                fail_msg("case %zu: %s [%s]", i, error.detail, error.cause);
            assert_complete(fake_run_result(run));
            fake_run_free(run);

            run = compare_run(in, in, "{\"difference\":\"highlight\"}");
            assert_int_equal(run_task("image.compare", run, &error), 0);
            assert_true(cJSON_IsTrue(cJSON_GetObjectItem(fake_run_result(run), "is_identical")));
            assert_non_null(fake_run_output(run, 0));
            fake_run_free(run);
            bytes_release(&in);
        }
}

static void test_they_stop_when_told(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp"};
    static const char *const includes[] = {SMALL_FIGURES, FULL_FIGURES, ALL};
    static const char *const params[] = {"{}", "{\"difference\":\"absolute\"}"};
    (void)state;

    for (size_t s = 0; s < COUNT(suffixes); s++) {
        struct bytes in = encode(gradient(1000, 1000), suffixes[s]);
        for (size_t i = 0; i < COUNT(includes); i++) {
            struct error error = {0};
            struct run *run = fake_run_new(INSPECT, includes[i]);
            fake_run_input(run, "image", "", in.data, in.size);
            fake_run_stop_at(run, 0.4);
            assert_int_equal(run_task("image.inspect", run, &error), -1);
            assert_int_equal(error.code, ERR_STOPPED);
            assert_null(fake_run_result(run));
            fake_run_free(run);
        }
        for (size_t i = 0; i < COUNT(params); i++) {
            struct error error = {0};
            struct run *run = compare_run(in, in, params[i]);
            fake_run_stop_at(run, 0.4);
            assert_int_equal(run_task("image.compare", run, &error), -1);
            assert_int_equal(error.code, ERR_STOPPED);
            fake_run_free(run);
        }
        bytes_release(&in);
    }
}

/* A run that is told to stop at its n-th question does, whichever it is. */
static void test_it_stops_at_every_question(void **state)
{
    (void)state;
    struct bytes in = encode(gradient(300, 200), ".png");
    struct error error = {0};
    struct run *run = compare_run(in, in, "{\"difference\":\"absolute\"}");
    assert_int_equal(run_task("image.compare", run, &error), 0);
    int calls = fake_run_progress_calls(run);
    fake_run_free(run);
    assert_true(calls > 10);
    for (int call = 1; call <= calls; call++) {
        run = compare_run(in, in, "{\"difference\":\"absolute\"}");
        fake_run_stop_at_call(run, call);
        assert_int_equal(run_task("image.compare", run, &error), -1);
        assert_int_equal(error.code, ERR_STOPPED);
        fake_run_free(run);
    }
    bytes_release(&in);
}

static void assert_broken(struct run *run, const char *task)
{
    struct error error = {0};
    assert_int_equal(run_task(task, run, &error), -1);
    assert_int_equal(error.code, ERR_INVALID_INPUT);
    assert_non_null(strstr(error.detail, "not a complete, valid"));
    assert_null(fake_run_result(run));
    fake_run_free(run);
}

static void test_half_a_picture_has_no_figures(void **state)
{
    static const char *const suffixes[] = {".jpg", ".jpg[interlace]",      ".png", ".webp",
                                           ".gif", ".tif[compression=lzw]"};
    (void)state;
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        struct bytes in = encode(gradient(300, 300), suffixes[i]);
        struct bytes half = {in.data, in.size / 2};
        struct run *run = fake_run_new(INSPECT, SMALL_FIGURES);
        fake_run_input(run, "image", "", half.data, half.size);
        assert_broken(run, "image.inspect");
        run = fake_run_new(INSPECT, FULL_FIGURES);
        fake_run_input(run, "image", "", half.data, half.size);
        assert_broken(run, "image.inspect");
        assert_broken(compare_run(half, in, "{}"), "image.compare");
        assert_broken(compare_run(in, half, "{}"), "image.compare");
        bytes_release(&in);
    }
}

static void test_damaged_pictures_end_one_way_or_the_other(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif", ".tif"};
    unsigned seed = 3;
    (void)state;
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        struct bytes in = encode(gradient(40, 40), suffixes[i]);
        for (int round = 0; round < 40; round++) {
            struct bytes copy = {g_memdup2(in.data, in.size), in.size};
            struct error error = {0};
            int result;
            fake_run_damage(copy.data, copy.size, &seed);
            struct run *run = inspect(copy, ALL, &result, &error);
            assert_true(result == 0 || error.code == ERR_INVALID_INPUT);
            fake_run_free(run);
            run = compare_run(copy, in, "{}");
            assert_true(run_task("image.compare", run, &error) == 0 ||
                        error.code == ERR_INVALID_INPUT);
            fake_run_free(run);
            bytes_release(&copy);
        }
        bytes_release(&in);
    }
}

/* What an output may have is the limit for the difference image too. */
static void test_a_difference_image_over_its_limit_ends_the_run(void **state)
{
    (void)state;
    struct bytes a = encode(gradient(300, 300), ".jpg"), b = encode(gradient(300, 300), ".png");
    struct run *run = compare_run(a, b, "{\"difference\":\"absolute\"}");
    struct error error = {0};
    fake_run_set_limit(run, "output_bytes", 300);
    assert_int_equal(run_task("image.compare", run, &error), -1);
    assert_int_equal(error.code, ERR_TOO_LARGE);
    assert_null(fake_run_result(run));
    fake_run_free(run);
    bytes_release(&a);
    bytes_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels_of_every_kind_have_figures),
        cmocka_unit_test(test_they_stop_when_told),
        cmocka_unit_test(test_it_stops_at_every_question),
        cmocka_unit_test(test_half_a_picture_has_no_figures),
        cmocka_unit_test(test_damaged_pictures_end_one_way_or_the_other),
        cmocka_unit_test(test_a_difference_image_over_its_limit_ends_the_run),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
