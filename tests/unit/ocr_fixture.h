/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr_fixture.h - what the tests of the module `ocr` share: pages set by Leptonica's own letters,
 * and runs of ocr.recognize on them
 */
#ifndef TESTS_OCR_FIXTURE_H
#define TESTS_OCR_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_run.h"
#include "tasks/ocr/ocr.h"

#define RECOGNIZE "fcgi-app/tasks/ocr/ocr.recognize.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Of page()s, in pixels at 200 dpi. */
#define WIDTH 1300
#define HEIGHT 480

/* Texts for pages: four lines, and one. */
extern const char story[], other[];

/* One run; `text` is its output of that name, or NULL. */
struct outcome {
    struct run *run;
    struct error error;
    int result;
    const char *text;
};

struct bytes {
    unsigned char *data;
    size_t size;
};

/* cmocka's group set-up: the module's init. */
int start_module(void **state);

/* ocr.recognize of `in`; compute() takes a prepared run over. */
struct outcome recognize(struct bytes in, const char *params);
struct outcome compute(struct run *run, struct bytes in, const char *media_type);

/* Parts of an outcome: an output by its name, NULL when there is none; page `i` of the result. */
const struct run_output *output(const struct outcome *o, const char *name);
const cJSON *page_of(const struct outcome *o, int i);
double number_of(const cJSON *object, const char *name);

/* It failed with this code, the detail says `words`. Releases it. */
void assert_refused(struct outcome o, enum err_code code, const char *words);
void assert_computed(const struct outcome *o);

/* At most so many percent of the characters are wrong. */
void assert_reads(const struct outcome *o, const char *gold, double percent);

/* Black letters on white; of the caller. */
PIX *page(const char *text);

/* The file of a page or of pages, which are deleted. */
struct bytes png(PIX *pix);
struct bytes tiff(PIX **pages, int count);
void bytes_release(struct bytes *b);

/* A file of the shared test data; data is NULL when it is missing, which is said. */
struct bytes shared(const char *name);

#endif
