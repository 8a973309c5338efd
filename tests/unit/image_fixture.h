/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image_fixture.h - what the tests of the module `image` share
 */
#ifndef TESTS_IMAGE_FIXTURE_H
#define TESTS_IMAGE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <vips/vips.h>

#include "fake_run.h"

#define TRANSFORM "fcgi-app/tasks/image/image.transform.json"
#define INSPECT "fcgi-app/tasks/image/image.inspect.json"
#define COMPARE "fcgi-app/tasks/image/image.compare.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct bytes {
    unsigned char *data; /* of GLib's heap */
    size_t size;
};

/* One transform, its output decoded. */
struct outcome {
    struct run *run;
    struct error error;
    VipsImage *image; /* NULL when it failed */
    const char *media_type;
};

/* cmocka's group set-up: the module's init. */
int start_module(void **state);

/* Run a task of the module by its name. */
int run_task(const char *name, struct run *run, struct error *reterr);

/* image.transform of `in`; compute() takes a prepared run over. Both check result against output.
 */
struct outcome transform(struct bytes in, const char *params);
struct outcome compute(struct run *run, struct bytes in, const char *media_type);
void outcome_release(struct outcome *o);

/* It failed with this code; the detail says `words`, and nothing of libvips'. Releases it. */
void assert_refused(struct outcome o, enum err_code code, const char *words);

/* Red grows to the right, green downwards: a pixel's colour says where it was. Of the caller. */
VipsImage *gradient(int width, int height);
VipsImage *solid(int width, int height, int bands, const double *pixel, VipsInterpretation space,
                 VipsBandFormat format);

/* The file that `suffix` asks for, ".jpg[interlace]". Takes the image over. */
struct bytes encode(VipsImage *image, const char *suffix);
void bytes_release(struct bytes *b);

/* A picture of the shared test data; data is NULL when it is missing, which is said. */
struct bytes shared(const char *name);

void assert_pixel(VipsImage *image, int x, int y, const double *expected, int bands,
                  double tolerance);
double mean_square_error(VipsImage *a, VipsImage *b);

/* For comparing with libvips, step by step: a file decoded, `picture` (which is taken over) on a
 * canvas of `pixel`, a part. */
VipsImage *open_bytes(struct bytes in);
VipsImage *on_canvas(VipsImage *picture, int left, int top, int width, int height,
                     const double *pixel);
VipsImage *area_of(VipsImage *image, int left, int top, int width, int height);

/* It succeeded, and no pixel differs. Releases both. */
void assert_same(struct outcome *o, VipsImage *expected, const char *what);

#endif
