/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pictures made by libvips itself, and transforms whose outputs are decoded again by it.
 */
#include "image_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int run_task(const char *name, struct run *run, struct error *reterr)
{
    const struct task *task = gangsaw_module.tasks;
    while (strcmp(task->name, name) != 0)
        task++;
    return task->run(run, reterr);
}

/* All frames of an animation. */
static VipsImage *decode(const struct run_output *out)
{
    bool has_frames =
        strcmp(out->media_type, "image/gif") == 0 || strcmp(out->media_type, "image/webp") == 0;
    VipsImage *image =
        vips_image_new_from_buffer(out->bytes, out->size, has_frames ? "n=-1" : "", NULL);
    if (image == NULL)
        fail_msg("%s: %s", out->media_type, vips_error_buffer());
    return image;
}

struct outcome compute(struct run *run, struct bytes in, const char *media_type)
{
    struct outcome o = {.run = run};
    fake_run_input(run, "image", media_type, in.data, in.size);
    if (run_task("image.transform", run, &o.error) != 0)
        return o;
    const struct run_output *out = fake_run_output(run, 0);
    VipsImage *lazy = decode(out);
    o.image = vips_image_copy_memory(lazy);
    assert_non_null(o.image);
    g_object_unref(lazy);
    o.media_type = out->media_type;
    assert_string_equal(out->name, "image");
    const cJSON *result = fake_run_result(run);
    assert_int_equal(cJSON_GetObjectItem(result, "width")->valueint, o.image->Xsize);
    assert_int_equal(cJSON_GetObjectItem(result, "height")->valueint,
                     vips_image_get_page_height(o.image));
    assert_string_equal(cJSON_GetObjectItem(result, "format")->valuestring, o.media_type + 6);
    return o;
}

struct outcome transform(struct bytes in, const char *params)
{
    return compute(fake_run_new(TRANSFORM, params), in, "");
}

void outcome_release(struct outcome *o)
{
    if (o->image != NULL)
        g_object_unref(o->image);
    fake_run_free(o->run);
}

void assert_refused(struct outcome o, enum err_code code, const char *words)
{
    assert_null(o.image);
    if (o.error.code != code || strstr(o.error.detail, words) == NULL)
        fail_msg("%s: %s [%s], not %s: %s", error_name(o.error.code), o.error.detail, o.error.cause,
                 error_name(code), words);
    assert_null(strstr(o.error.detail, "Vips"));
    assert_null(fake_run_result(o.run));
    outcome_release(&o);
}

VipsImage *gradient(int width, int height)
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

VipsImage *solid(int width, int height, int bands, const double *pixel, VipsInterpretation space,
                 VipsBandFormat format)
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

struct bytes encode(VipsImage *image, const char *suffix)
{
    void *data;
    size_t size;
    if (vips_image_write_to_buffer(image, suffix, &data, &size, NULL) != 0)
        fail_msg("%s: %s", suffix, vips_error_buffer());
    g_object_unref(image);
    return (struct bytes){data, size};
}

void bytes_release(struct bytes *b)
{
    g_free(b->data);
    b->data = NULL;
}

struct bytes shared(const char *name)
{
    char path[128];
    struct bytes b = {NULL, 0};
    snprintf(path, sizeof(path), "images/%s", name);
    unsigned char *data = fake_run_shared_file(path, &b.size);
    if (data != NULL)
        b.data = g_memdup2(data, b.size);
    free(data);
    return b;
}

void assert_pixel(VipsImage *image, int x, int y, const double *expected, int bands,
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

double mean_square_error(VipsImage *a, VipsImage *b)
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

VipsImage *open_bytes(struct bytes in)
{
    VipsImage *image = vips_image_new_from_buffer(in.data, in.size, "", NULL);
    assert_non_null(image);
    return image;
}

VipsImage *on_canvas(VipsImage *picture, int left, int top, int width, int height,
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

VipsImage *area_of(VipsImage *image, int left, int top, int width, int height)
{
    VipsImage *area;
    assert_int_equal(vips_extract_area(image, &area, left, top, width, height, NULL), 0);
    return area;
}

void assert_same(struct outcome *o, VipsImage *expected, const char *what)
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

int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
}
