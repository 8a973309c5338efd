/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image_resize() gives the picture that vips_resize() gives, whatever it does itself of it.
 */
#include "image_fixture.h"

#include "tasks/image/image.h"

/* Waves in all directions, and a ramp: a wrong pixel shows. They keep away from black and white,
 * where vips_resize() cuts off what is beyond twice, and image_resize() once. */
static VipsImage *pattern(int width, int height, int bands)
{
    VipsImage *waves, *ramp, *all, *bytes, *part[4];

    assert_int_equal(vips_zone(&waves, width, height, "uchar", TRUE, NULL), 0);
    assert_int_equal(vips_grey(&ramp, width, height, "uchar", TRUE, NULL), 0);
    for (int i = 0; i < bands; i++)
        part[i] = i % 2 == 0 ? waves : ramp;
    assert_int_equal(vips_bandjoin(part, &all, bands, NULL), 0);
    assert_int_equal(vips_linear1(all, &bytes, 0.4, 64, "uchar", TRUE, NULL), 0);
    VipsImage *here = vips_image_copy_memory(bytes);
    assert_non_null(here);
    g_object_unref(waves);
    g_object_unref(ramp);
    g_object_unref(all);
    g_object_unref(bytes);
    return here;
}

/* Of any value of any pixel but those next to the edges: there vips_resize() repeats the last
 * pixel, and image_resize() does without. */
static double largest_difference(VipsImage *a, VipsImage *b, int margin)
{
    VipsImage *difference, *absolute, *inner;
    double most;

    assert_int_equal(a->Xsize, b->Xsize);
    assert_int_equal(a->Ysize, b->Ysize);
    assert_int_equal(a->Bands, b->Bands);
    assert_int_equal(a->BandFmt, b->BandFmt);
    assert_int_equal(vips_subtract(a, b, &difference, NULL), 0);
    assert_int_equal(vips_abs(difference, &absolute, NULL), 0);
    assert_int_equal(vips_extract_area(absolute, &inner, margin, margin, a->Xsize - 2 * margin,
                                       a->Ysize - 2 * margin, NULL),
                     0);
    assert_int_equal(vips_max(inner, &most, NULL), 0);
    g_object_unref(difference);
    g_object_unref(absolute);
    g_object_unref(inner);
    return most;
}

/* From the whole of it. */
static int resize(VipsImage *in, VipsImage **out, int width, int height)
{
    return image_resize(in, out, &(struct source_size){in->Xsize, in->Ysize}, width, height);
}

static void assert_same_as_vips(VipsImage *in, int width, int height)
{
    VipsImage *got, *expected;

    assert_int_equal(resize(in, &got, width, height), 0);
    assert_int_equal(vips_resize(in, &expected, (double)width / in->Xsize, "vscale",
                                 (double)height / in->Ysize, NULL),
                     0);
    assert_int_equal(got->Xsize, width);
    assert_int_equal(got->Ysize, height);
    /* libvips knows 64 places within a pixel. */
    assert_true(largest_difference(got, expected, VIPS_MIN(4, (VIPS_MIN(width, height) - 1) / 2)) <=
                3);
    g_object_unref(got);
    g_object_unref(expected);
}

static void test_it_is_the_picture_of_vips_resize(void **state)
{
    static const struct {
        int width, height, to_width, to_height;
    } cases[] = {
        {681, 556, 400, 327}, {400, 300, 399, 299}, {640, 480, 161, 121}, {640, 480, 40, 30},
        {333, 77, 100, 77},   {1000, 40, 300, 17},  {97, 301, 96, 17},    {300, 200, 30, 200},
    };
    (void)state;

    for (int bands = 1; bands <= 4; bands++) {
        for (size_t i = 0; i < COUNT(cases); i++) {
            VipsImage *in = pattern(cases[i].width, cases[i].height, bands);
            assert_same_as_vips(in, cases[i].to_width, cases[i].to_height);
            g_object_unref(in);
        }
    }
}

/* Larger, a side of each, much smaller, fewer pixels than the kernel has, sixteen bits: left to
 * libvips. */
static void test_what_it_does_not_do_itself_is_left_to_vips(void **state)
{
    VipsImage *in = pattern(60, 40, 3), *deep, *tiny = pattern(9, 9, 3);
    (void)state;

    assert_same_as_vips(in, 120, 80);
    assert_same_as_vips(in, 30, 80);
    assert_same_as_vips(in, 120, 20);
    assert_same_as_vips(in, 12, 8);
    assert_same_as_vips(tiny, 3, 3);
    assert_int_equal(vips_cast_ushort(in, &deep, NULL), 0);
    assert_same_as_vips(deep, 30, 20);
    g_object_unref(in);
    g_object_unref(deep);
    g_object_unref(tiny);
}

/* A plain picture stays plain, up to its last pixel, and white does not become more than white. */
static void test_edges_and_extremes_keep_their_colour(void **state)
{
    static const double colours[][3] = {{255, 255, 255}, {0, 0, 0}, {255, 0, 128}};
    (void)state;

    for (size_t i = 0; i < COUNT(colours); i++) {
        VipsImage *in = solid(203, 101, 3, colours[i], VIPS_INTERPRETATION_sRGB, VIPS_FORMAT_UCHAR);
        VipsImage *out;
        assert_int_equal(resize(in, &out, 67, 33), 0);
        for (int x = 0; x < 67; x++) {
            assert_pixel(out, x, 0, colours[i], 3, 0);
            assert_pixel(out, x, 32, colours[i], 3, 0);
        }
        g_object_unref(in);
        g_object_unref(out);
    }
}

/* A ramp of which the last half pixel is missing has its values where they would be with it. */
static void test_a_part_of_a_pixel_counts(void **state)
{
    VipsImage *ramp, *in, *out;
    (void)state;

    assert_int_equal(vips_xyz(&ramp, 250, 100, NULL), 0);
    assert_int_equal(vips_cast_uchar(ramp, &in, NULL), 0);
    assert_int_equal(image_resize(in, &out, &(struct source_size){250.5, 100.5}, 100, 40), 0);
    for (int i = 4; i < 36; i++) {
        double expected[2] = {(i + 0.5) * 2.505 - 0.5, (i + 0.5) * 100.5 / 40 - 0.5};
        assert_pixel(out, i, i, expected, 2, 0.51);
    }
    double last[2] = {95.5 * 2.505 - 0.5, 35.5 * 100.5 / 40 - 0.5};
    assert_pixel(out, 95, 35, last, 2, 0.51);
    g_object_unref(ramp);
    g_object_unref(in);
    g_object_unref(out);
}

/* Whoever asks for a piece gets that piece of the whole. */
static void test_pieces_are_those_of_the_whole(void **state)
{
    static const VipsRect pieces[] = {
        {0, 0, 1, 1}, {5, 7, 13, 3}, {40, 20, 60, 40}, {99, 59, 1, 1}};
    VipsImage *in = pattern(250, 140, 3), *out;
    (void)state;

    assert_int_equal(resize(in, &out, 100, 60), 0);
    VipsImage *whole = vips_image_copy_memory(out);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        const VipsRect *r = &pieces[i];
        VipsImage *piece, *expected;
        assert_int_equal(vips_extract_area(out, &piece, r->left, r->top, r->width, r->height, NULL),
                         0);
        assert_int_equal(
            vips_extract_area(whole, &expected, r->left, r->top, r->width, r->height, NULL), 0);
        assert_true(largest_difference(piece, expected, 0) == 0);
        g_object_unref(piece);
        g_object_unref(expected);
    }
    g_object_unref(in);
    g_object_unref(out);
    g_object_unref(whole);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_the_picture_of_vips_resize),
        cmocka_unit_test(test_what_it_does_not_do_itself_is_left_to_vips),
        cmocka_unit_test(test_edges_and_extremes_keep_their_colour),
        cmocka_unit_test(test_a_part_of_a_pixel_counts),
        cmocka_unit_test(test_pieces_are_those_of_the_whole),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
