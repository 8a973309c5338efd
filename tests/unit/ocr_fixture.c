/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr_fixture.c - see ocr_fixture.h
 */
#include "ocr_fixture.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char story[] = "The quick brown dog jumped over the lazy fox and went home\n"
                     "before the morning came. Nobody had seen it on the way but\n"
                     "the miller, who was late himself and told nobody about that.\n"
                     "That dog, now old and slow, lay down quietly beside the door.\n";
const char other[] = "A second page has other words than the first one had.\n";

int start_module(void **state)
{
    struct error why;
    (void)state;
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* as executors do: fewer page faults */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    return gangsaw_module.init(&why);
}

const struct run_output *output(const struct outcome *o, const char *name)
{
    const struct run_output *out;
    for (int i = 0; (out = fake_run_output(o->run, i)) != NULL; i++)
        if (strcmp(out->name, name) == 0)
            return out;
    return NULL;
}

struct outcome compute(struct run *run, struct bytes in, const char *media_type)
{
    struct outcome o = {.run = run};
    fake_run_input(run, "document", media_type, in.data, in.size);
    o.result = gangsaw_module.tasks[0].run(run, &o.error);
    const struct run_output *text = output(&o, "text");
    if (o.result == 0 && text != NULL && text->bytes != NULL)
        text->bytes[text->size] = '\0'; /* there is room for one more */
    if (o.result == 0 && text != NULL)
        o.text = text->bytes != NULL ? (const char *)text->bytes : "";
    return o;
}

struct outcome recognize(struct bytes in, const char *params)
{
    return compute(fake_run_new(RECOGNIZE, params), in, "");
}

const cJSON *page_of(const struct outcome *o, int i)
{
    const cJSON *pages = cJSON_GetObjectItem(fake_run_result(o->run), "recognized");
    return cJSON_GetArrayItem(pages, i);
}

double number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItem(object, name);
    if (!cJSON_IsNumber(number))
        fail_msg("there is no number %s", name);
    return number->valuedouble;
}

void assert_refused(struct outcome o, enum err_code code, const char *words)
{
    if (o.result == 0 || o.error.code != code || strstr(o.error.detail, words) == NULL)
        fail_msg("%d %s: %s [%s], not %s: %s", o.result, error_name(o.error.code), o.error.detail,
                 o.error.cause, error_name(code), words);
    assert_null(fake_run_result(o.run));
    fake_run_free(o.run);
}

void assert_computed(const struct outcome *o)
{
    if (o->result != 0)
        fail_msg("%s: %s [%s]", error_name(o->error.code), o->error.detail, o->error.cause);
}

PIX *page(const char *text)
{
    PIX *pix = pixCreate(WIDTH, HEIGHT, 8);
    L_BMF *font = bmfCreate(NULL, 8); /* points, at 300 dpi */
    int width, overflow, y = 100;
    char *lines = strdup(text), *rest = lines, *line;
    assert_non_null(font);
    pixSetAll(pix);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        pixSetTextline(pix, font, line, 0, 80, y, &width, &overflow);
        assert_false(overflow);
        y += 60;
    }
    free(lines);
    bmfDestroy(&font);
    pixSetResolution(pix, 200, 200);
    return pix;
}

struct bytes png(PIX *pix)
{
    struct bytes b;
    assert_int_equal(pixWriteMemPng(&b.data, &b.size, pix, 0), 0);
    pixDestroy(&pix);
    return b;
}

struct bytes tiff(PIX **pages, int count)
{
    struct bytes b;
    PIXA *all = pixaCreate(count);
    for (int i = 0; i < count; i++) {
        PIX *ink = pixThresholdToBinary(pages[i], 128);
        pixSetResolution(ink, 200, 200);
        pixaAddPix(all, ink, L_INSERT);
        pixDestroy(&pages[i]);
    }
    assert_int_equal(pixaWriteMemMultipageTiff(&b.data, &b.size, all), 0);
    pixaDestroy(&all);
    return b;
}

void bytes_release(struct bytes *b)
{
    free(b->data);
    b->data = NULL;
}

struct bytes shared(const char *name)
{
    char path[128];
    struct bytes b = {NULL, 0};
    snprintf(path, sizeof(path), "ocr/%s", name);
    b.data = fake_run_shared_file(path, &b.size);
    return b;
}

/* How many characters have to be changed, put in or left out, of `gold`'s, in percent. */
static double error_rate(const char *text, const char *gold)
{
    size_t m = strlen(text), n = strlen(gold);
    size_t *row = malloc((n + 1) * sizeof(*row));
    for (size_t k = 0; k <= n; k++)
        row[k] = k;
    for (size_t i = 1; i <= m; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= n; k++) {
            size_t change = diagonal + (text[i - 1] != gold[k - 1]);
            diagonal = row[k];
            size_t add = (row[k] < row[k - 1] ? row[k] : row[k - 1]) + 1;
            row[k] = change < add ? change : add;
        }
    }
    double rate = 100.0 * (double)row[n] / (double)n;
    free(row);
    return rate;
}

void assert_reads(const struct outcome *o, const char *gold, double percent)
{
    assert_computed(o);
    assert_non_null(o->text);
    double rate = error_rate(o->text, gold);
    if (rate > percent)
        fail_msg("%.1f %% of the characters are wrong: %s", rate, o->text);
}
