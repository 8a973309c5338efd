/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr.recognize: pages whose text is known, because they were set by Leptonica's own letters here,
 * or because people typed what stands on a scan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_run.h"
#include "tasks/ocr/ocr.h"

#define RECOGNIZE "fcgi-app/tasks/ocr/ocr.recognize.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define WIDTH 1300
#define HEIGHT 480

static const char story[] = "The quick brown dog jumped over the lazy fox and went home\n"
                            "before the morning came. Nobody had seen it on the way but\n"
                            "the miller, who was late himself and told nobody about that.\n"
                            "That dog, now old and slow, lay down quietly beside the door.\n";
static const char other[] = "A second page has other words than the first one had.\n";

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

static const struct run_output *output(const struct outcome *o, const char *name)
{
    const struct run_output *out;
    for (int i = 0; (out = fake_run_output(o->run, i)) != NULL; i++)
        if (strcmp(out->name, name) == 0)
            return out;
    return NULL;
}

static struct outcome compute(struct run *run, struct bytes in, const char *media_type)
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

static struct outcome recognize(struct bytes in, const char *params)
{
    return compute(fake_run_new(RECOGNIZE, params), in, "");
}

static const cJSON *page_of(const struct outcome *o, int i)
{
    const cJSON *pages = cJSON_GetObjectItem(fake_run_result(o->run), "recognized");
    return cJSON_GetArrayItem(pages, i);
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItem(object, name);
    if (!cJSON_IsNumber(number))
        fail_msg("there is no number %s", name);
    return number->valuedouble;
}

static void assert_refused(struct outcome o, enum err_code code, const char *words)
{
    if (o.result == 0 || o.error.code != code || strstr(o.error.detail, words) == NULL)
        fail_msg("%d %s: %s [%s], not %s: %s", o.result, error_name(o.error.code), o.error.detail,
                 o.error.cause, error_name(code), words);
    assert_null(fake_run_result(o.run));
    fake_run_free(o.run);
}

static void assert_computed(const struct outcome *o)
{
    if (o->result != 0)
        fail_msg("%s: %s [%s]", error_name(o->error.code), o->error.detail, o->error.cause);
}

/* Pages. */

/* Black letters on white; of the caller. */
static PIX *page(const char *text)
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

static struct bytes png(PIX *pix)
{
    struct bytes b;
    assert_int_equal(pixWriteMemPng(&b.data, &b.size, pix, 0), 0);
    pixDestroy(&pix);
    return b;
}

/* `pages` are deleted. */
static struct bytes tiff(PIX **pages, int count)
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

static void bytes_release(struct bytes *b)
{
    free(b->data);
    b->data = NULL;
}

/* A file of the shared test data; data is NULL when it is missing, which is said. */
static struct bytes shared(const char *name)
{
    char path[512];
    struct bytes b = {NULL, 0};
    const char *dir = getenv("GANGSAW_SHARED_DATA");
    if (dir != NULL)
        snprintf(path, sizeof(path), "%s/ocr/%s", dir, name);
    else
        snprintf(path, sizeof(path), "%s/../shared/data/ocr/%s", fake_run_source_dir(), name);
    b.data = fake_run_read_file(path, &b.size);
    if (b.data == NULL)
        print_message("left out: there is no %s\n", path);
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

static void assert_reads(const struct outcome *o, const char *gold, double percent)
{
    assert_computed(o);
    assert_non_null(o->text);
    double rate = error_rate(o->text, gold);
    if (rate > percent)
        fail_msg("%.1f %% of the characters are wrong: %s", rate, o->text);
}

/* Text. */

static void test_what_was_set_is_read(void **state)
{
    (void)state;
    struct bytes in = png(page(story));
    struct outcome o = recognize(in, "{}");
    assert_reads(&o, story, 1);
    assert_null(fake_run_output(o.run, 1));
    assert_int_equal(number_of(fake_run_result(o.run), "pages"), 1);
    const cJSON *p = page_of(&o, 0);
    assert_int_equal(number_of(p, "page"), 1);
    assert_int_equal(number_of(p, "width"), WIDTH);
    assert_int_equal(number_of(p, "height"), HEIGHT);
    assert_int_equal(number_of(p, "dpi"), 200);
    assert_true(number_of(p, "confidence") > 80);
    assert_null(cJSON_GetObjectItem(p, "words"));
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_scans_are_read_as_people_read_them(void **state)
{
    static const struct {
        const char *scan, *gold, *params, *languages[7];
        double percent;
    } cases[] = {
        {"phototest.tif", "phototest.gold.txt", "{}", {"eng"}, 1},
        {"phototest-rotated-180.png", "phototest.gold.txt", "{\"orient\":true}", {"eng"}, 1},
        {"phototest.tif", "phototest.gold.txt", "{\"binarise\":\"sauvola\"}", {"eng"}, 2},
        {"phototest.tif", "phototest.gold.txt", "{\"scale\":true,\"despeckle\":true}", {"eng"}, 2},
        {"eurotext.tif",
         "eurotext.txt",
         "{\"languages\":\"eng+deu+fra+ita+spa+por\"}",
         {"eng", "deu", "fra", "ita", "spa", "por"},
         4},
        {"eurotext.tif", "eurotext.txt", "{\"languages\":[\"eng\"]}", {"eng"}, 12},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool is_installed = true;
        for (int k = 0; cases[i].languages[k] != NULL; k++)
            is_installed &= engine_has(cases[i].languages[k]);
        struct bytes in = shared(cases[i].scan), gold = shared(cases[i].gold);
        if (!is_installed)
            print_message("left out: not all of %s are installed\n", cases[i].params);
        if (is_installed && in.data != NULL && gold.data != NULL) {
            struct outcome o = recognize(in, cases[i].params);
            assert_reads(&o, (const char *)gold.data, cases[i].percent);
            fake_run_free(o.run);
        }
        bytes_release(&in);
        bytes_release(&gold);
    }
}

static PIX *with_alpha(PIX *grey)
{
    PIX *colour = pixConvertTo32(grey), *alpha = pixInvert(NULL, grey);
    pixSetAllArbitrary(colour, 0); /* only transparency tells letters from paper */
    pixSetRGBComponent(colour, alpha, L_ALPHA_CHANNEL);
    pixSetSpp(colour, 4);
    pixDestroy(&alpha);
    return colour;
}

static void test_pixels_of_every_kind_are_read(void **state)
{
    (void)state;
    PIX *grey = page(story);
    PIX *kinds[] = {pixThresholdToBinary(grey, 128),
                    pixThresholdTo4bpp(grey, 16, 1),
                    pixConvertTo32(grey),
                    pixConvertTo16(grey),
                    with_alpha(grey),
                    pixInvert(NULL, grey)};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct bytes in = png(kinds[i]);
        struct outcome o = recognize(in, "{}");
        assert_reads(&o, story, 1);
        fake_run_free(o.run);
        bytes_release(&in);
    }
    struct bytes files[3];
    assert_int_equal(pixWriteMemJpeg(&files[0].data, &files[0].size, grey, 75, 1), 0);
    PIX *colour = pixConvertTo32(grey);
    assert_int_equal(pixWriteMemWebP(&files[1].data, &files[1].size, colour, 75, 0), 0);
    assert_int_equal(pixWriteMemTiff(&files[2].data, &files[2].size, grey, IFF_TIFF_LZW), 0);
    for (size_t i = 0; i < COUNT(files); i++) {
        struct outcome o = recognize(files[i], "{}");
        assert_reads(&o, story, 1);
        fake_run_free(o.run);
        bytes_release(&files[i]);
    }
    pixDestroy(&grey);
    pixDestroy(&colour);
}

static void test_formats_give_the_outputs_they_name(void **state)
{
    static const struct {
        const char *name, *media_type, *begin, *within;
    } cases[] = {
        {"text", "text/plain", "A second page", "words"},
        {"tsv", "text/tab-separated-values", "level\tpage_num\t", "\tsecond\n"},
        {"hocr", "text/html", "<?xml", "second</span>"},
        {"alto", "application/xml", "<?xml", "CONTENT=\"second\""},
        {"pdf", "application/pdf", "%PDF-1.", "GlyphLessFont"},
    };
    (void)state;
    struct bytes in = png(page(other));
    struct outcome o = recognize(in, "{\"formats\":\"pdf,text,words,tsv,hocr,alto\"}");
    assert_computed(&o);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct run_output *out = output(&o, cases[i].name);
        assert_non_null(out);
        assert_string_equal(out->media_type, cases[i].media_type);
        assert_memory_equal(out->bytes, cases[i].begin, strlen(cases[i].begin));
        assert_non_null(memmem(out->bytes, out->size, cases[i].within, strlen(cases[i].within)));
    }
    assert_null(fake_run_output(o.run, 5));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(page_of(&o, 0), "words")), 11);
    fake_run_free(o.run);

    o = recognize(in, "{\"formats\":[\"words\"]}");
    assert_computed(&o);
    assert_null(fake_run_output(o.run, 0));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(page_of(&o, 0), "words")), 11);
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_a_whitelist_leaves_no_other_character(void **state)
{
    (void)state;
    struct bytes in = png(page("Room 1807 on floor 18, Tel. 555 0147\n"));
    struct outcome o = recognize(in, "{\"whitelist\":\"0123456789\"}");
    assert_computed(&o);
    assert_int_equal(strspn(o.text, "0123456789 \n"), strlen(o.text));
    assert_non_null(strstr(o.text, "1807"));
    fake_run_free(o.run);
    o = recognize(in, "{}"); /* nothing of that is left for the next run */
    assert_reads(&o, "Room 1807 on floor 18, Tel. 555 0147\n", 6);
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_each_segmentation_runs(void **state)
{
    static const char *const modes[] = {
        "auto",         "auto_osd",    "single_column",   "single_vertical_block",
        "single_block", "single_line", "single_word",     "circle_word",
        "single_char",  "sparse_text", "sparse_text_osd", "raw_line"};
    (void)state;
    struct bytes in = png(page(other));
    for (size_t i = 0; i < COUNT(modes); i++) {
        char params[64];
        snprintf(params, sizeof(params), "{\"page_segmentation\":\"%s\"}", modes[i]);
        struct outcome o = recognize(in, params);
        assert_computed(&o);
        if (strcmp(modes[i], "single_block") == 0 || strcmp(modes[i], "single_column") == 0)
            assert_reads(&o, other, 2);
        fake_run_free(o.run);
    }
    bytes_release(&in);
}

static void test_wide_gaps_stay_when_asked(void **state)
{
    (void)state;
    struct bytes in = png(page("Name            Price\nBread           2.50\n"));
    struct outcome o =
        recognize(in, "{\"preserve_spaces\":true,\"page_segmentation\":\"single_block\"}");
    assert_computed(&o);
    if (strstr(o.text, "Bread    ") == NULL)
        fail_msg("%s", o.text);
    fake_run_free(o.run);
    o = recognize(in, "{\"page_segmentation\":\"single_block\"}");
    assert_computed(&o);
    assert_null(strstr(o.text, "  "));
    fake_run_free(o.run);
    bytes_release(&in);
}

/* Preparation: what it does to the page, and that words are found where they were. */

static const cJSON *word_of(const struct outcome *o, const char *text)
{
    const cJSON *word;
    cJSON_ArrayForEach(word, cJSON_GetObjectItem(page_of(o, 0), "words"))
    {
        if (strcmp(cJSON_GetObjectItem(word, "text")->valuestring, text) == 0)
            return word;
    }
    fail_msg("the word %s was not read", text);
    return NULL;
}

/* Ink within a word's box, in percent of the page's: dense enough only where letters are. */
static void assert_word_lies_on_ink(const struct outcome *o, PIX *pix, const char *text)
{
    const cJSON *word = word_of(o, text);
    int left = (int)number_of(word, "left"), top = (int)number_of(word, "top");
    int width = (int)number_of(word, "width"), height = (int)number_of(word, "height");
    int page_width = pixGetWidth(pix), page_height = pixGetHeight(pix), inside = 0, around = 0;
    const int margin = 8;
    assert_true(width > 0 && height > 0 && left + width <= page_width &&
                top + height <= page_height);
    for (int y = top - margin; y < top + height + margin; y++) {
        for (int x = left - margin; x < left + width + margin; x++) {
            l_uint32 value = 255;
            if (pixGetPixel(pix, x, y, &value) != 0 || value >= 128)
                continue;
            bool is_inside = x >= left && x < left + width && y >= top && y < top + height;
            inside += is_inside;
            around += !is_inside;
        }
    }
    if (inside * 10 < width * height || around * 5 > inside)
        fail_msg("%s at %d,%d %dx%d: %d pixels of ink, %d around it", text, left, top, width,
                 height, inside, around);
}

static void test_pages_are_turned_upright(void **state)
{
    (void)state;
    for (int quarters = 0; quarters < 4; quarters++) {
        PIX *upright = page(story), *turned = pixRotateOrth(upright, quarters);
        struct bytes in = png(pixClone(turned));
        struct outcome o = recognize(in, "{\"orient\":true,\"formats\":\"text,words\"}");
        assert_reads(&o, story, 1);
        const cJSON *p = page_of(&o, 0);
        assert_int_equal(number_of(p, "turned"), (360 - 90 * quarters) % 360);
        assert_int_equal(number_of(p, "width"), pixGetWidth(turned));
        assert_word_lies_on_ink(&o, turned, "miller,");
        assert_word_lies_on_ink(&o, turned, "quietly");
        fake_run_free(o.run);
        bytes_release(&in);
        pixDestroy(&upright);
        pixDestroy(&turned);
    }
}

static void test_pages_that_are_askew_are_straightened(void **state)
{
    static const double angles[] = {-11, 0.7, 6};
    (void)state;
    for (size_t i = 0; i < COUNT(angles); i++) {
        PIX *straight = page(story);
        PIX *askew = pixRotate(straight, (float)(angles[i] * M_PI / 180), L_ROTATE_AREA_MAP,
                               L_BRING_IN_WHITE, WIDTH, HEIGHT);
        struct bytes in = png(pixClone(askew));
        struct outcome o = recognize(in, "{\"deskew\":true,\"formats\":[\"text\",\"words\"]}");
        assert_reads(&o, story, 2);
        assert_float_equal(number_of(page_of(&o, 0), "skew"), -angles[i], 0.3);
        const cJSON *word = word_of(&o, "miller,"); /* its box is the word's at an angle */
        assert_true(number_of(word, "top") > 100 && number_of(word, "left") > 0);
        if (fabs(angles[i]) < 1)
            assert_word_lies_on_ink(&o, askew, "miller,");
        fake_run_free(o.run);
        bytes_release(&in);
        pixDestroy(&straight);
        pixDestroy(&askew);
    }
}

static void test_a_straight_page_stays_as_it_is(void **state)
{
    (void)state;
    struct bytes in = png(page(story));
    struct outcome o = recognize(in, "{\"orient\":true,\"deskew\":true}");
    assert_reads(&o, story, 1);
    assert_int_equal(number_of(page_of(&o, 0), "turned"), 0);
    assert_float_equal(number_of(page_of(&o, 0), "skew"), 0, 0);
    assert_float_equal(number_of(page_of(&o, 0), "scale"), 1, 0);
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_pages_are_brought_to_300_dpi(void **state)
{
    static const struct {
        const char *params;
        int stored;
        double scale, tolerance;
    } cases[] = {
        {"{\"scale\":true,\"formats\":\"words,text\"}", 200, 1.5, 0.01},
        {"{\"scale\":true,\"dpi\":150,\"formats\":\"words,text\"}", 200, 2, 0.01},
        {"{\"scale\":true,\"formats\":\"words,text\"}", 600, 0.5, 0.01},
        {"{\"scale\":true,\"formats\":\"words,text\"}", 290, 1, 0},
        {"{\"formats\":\"words,text\"}", 600, 1, 0},
        /* nobody knows: by the height of the letters */
        {"{\"scale\":true,\"formats\":\"words,text\"}", 0, 1.4, 0.3},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        PIX *pix = page(story);
        pixSetResolution(pix, cases[i].stored, cases[i].stored);
        struct bytes in = png(pixClone(pix));
        struct outcome o = recognize(in, cases[i].params);
        assert_reads(&o, story, 3);
        assert_float_equal(number_of(page_of(&o, 0), "scale"), cases[i].scale, cases[i].tolerance);
        assert_word_lies_on_ink(&o, pix, "miller,");
        fake_run_free(o.run);
        bytes_release(&in);
        pixDestroy(&pix);
    }
    struct bytes in = png(page(story)); /* no further than the limit allows */
    struct run *run = fake_run_new(RECOGNIZE, "{\"scale\":true,\"dpi\":100}");
    fake_run_set_limit(run, "max_megapixels", 4 * WIDTH * HEIGHT / 1e6);
    struct outcome o = compute(run, in, "image/png");
    assert_reads(&o, story, 3);
    assert_float_equal(number_of(page_of(&o, 0), "scale"), 2, 0.01);
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_specks_and_shadows_do_not_hide_the_text(void **state)
{
    (void)state;
    PIX *pix = page(story);
    srand(1);
    for (int i = 0; i < 6000; i++)
        pixSetPixel(pix, rand() % WIDTH, rand() % HEIGHT, 0);
    struct bytes in = png(pix);
    struct outcome o = recognize(in, "{\"despeckle\":true}");
    assert_reads(&o, story, 2);
    fake_run_free(o.run);
    bytes_release(&in);

    pix = page(story); /* the right is as dark as the letters on the left */
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            l_uint32 value;
            pixGetPixel(pix, x, y, &value);
            pixSetPixel(pix, x, y, (value / 3 + 160) * (l_uint32)(WIDTH - x * 11 / 20) / WIDTH);
        }
    }
    in = png(pix);
    o = recognize(in, "{\"binarise\":\"sauvola\"}");
    assert_reads(&o, story, 3);
    fake_run_free(o.run);
    bytes_release(&in);
}

/* Many pages. */

static void test_pages_of_a_tiff_come_as_selected(void **state)
{
    (void)state;
    PIX *pages[] = {page(story), page(other), page("Third and last page of this document\n")};
    struct bytes in = tiff(pages, 3);
    struct outcome o = recognize(in, "{\"select\":\"last,2\"}");
    assert_reads(&o,
                 "Third and last page of this document\n"
                 "\fA second page has other words than the first one had.\n",
                 3);
    assert_int_equal(number_of(fake_run_result(o.run), "pages"), 3);
    assert_int_equal(number_of(page_of(&o, 0), "page"), 3);
    assert_int_equal(number_of(page_of(&o, 1), "page"), 2);
    assert_null(page_of(&o, 2));
    fake_run_free(o.run);
    assert_refused(recognize(in, "{\"select\":\"4\"}"), ERR_INVALID_PARAMS, "pages 1 to 3");

    struct run *run = fake_run_new(RECOGNIZE, "{}");
    fake_run_set_limit(run, "max_pages", 2);
    assert_refused(compute(run, in, ""), ERR_INVALID_INPUT, "max_pages, which is 2");
    bytes_release(&in);
}

static uint32_t read32(const unsigned char *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Where the n-th directory of a TIFF begins, from 0. */
static unsigned char *directory(struct bytes in, int n)
{
    unsigned char *at = in.data + read32(in.data + 4);
    while (n-- > 0)
        at = in.data + read32(at + 2 + 12 * (at[0] | at[1] << 8));
    return at;
}

/* The value of a tag in it. */
static unsigned char *tag(unsigned char *at, int number)
{
    int count = at[0] | at[1] << 8;
    for (at += 2; count-- > 0; at += 12)
        if ((at[0] | at[1] << 8) == number)
            return at + 8;
    fail_msg("there is no tag %d", number);
    return NULL;
}

static void put32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void test_a_damaged_page_does_not_cost_the_others(void **state)
{
    (void)state;
    PIX *pages[] = {page(other), page(story), page(other)};
    struct bytes in = tiff(pages, 3);
    put32(tag(directory(in, 1), 273), 0xfffffff0); /* its pixels are nowhere */
    struct outcome o = recognize(in, "{}");
    assert_computed(&o);
    assert_int_equal(number_of(fake_run_result(o.run), "pages"), 3);
    assert_int_equal(number_of(page_of(&o, 1), "page"), 3);
    const cJSON *lost = cJSON_GetObjectItem(fake_run_result(o.run), "unreadable");
    assert_int_equal(cJSON_GetArraySize(lost), 1);
    assert_int_equal(number_of(lost->child, "page"), 2);
    assert_string_equal(cJSON_GetObjectItem(lost->child, "detail")->valuestring,
                        "Page 2 of the input document cannot be read.");
    fake_run_free(o.run);
    assert_refused(recognize(in, "{\"select\":\"2\"}"), ERR_INVALID_INPUT, "Page 2 of");

    unsigned char *last = directory(in, 1);
    put32(last + 2 + 12 * (last[0] | last[1] << 8), 0xfffffff0); /* what follows is nowhere */
    o = recognize(in, "{\"select\":\"1,3\"}");
    assert_computed(&o);
    lost = cJSON_GetObjectItem(fake_run_result(o.run), "unreadable");
    assert_int_equal(number_of(lost->child, "page"), 3);
    fake_run_free(o.run);
    bytes_release(&in);
}

/* What is hostile. */

static void test_what_is_too_large_is_told_the_limit_undecoded(void **state)
{
    (void)state;
    PIX *pages[] = {page(other), page(other)};
    struct bytes in = tiff(pages, 2);
    put32(tag(directory(in, 1), 256), 30000);
    put32(tag(directory(in, 1), 257), 20000);
    assert_refused(recognize(in, "{}"), ERR_INVALID_INPUT,
                   "Page 2 of the input document has 600.0 megapixels (30000x20000); the limit "
                   "max_megapixels is 50.");
    struct outcome o = recognize(in, "{\"select\":\"1\"}");
    assert_reads(&o, other, 2);
    fake_run_free(o.run);
    put32(tag(directory(in, 1), 256), 40000);
    put32(tag(directory(in, 1), 257), 10);
    assert_refused(recognize(in, "{}"), ERR_INVALID_INPUT, "at most 32767 are read along a side");

    unsigned char *end = directory(in, 1); /* pages without end: the second follows itself */
    uint32_t offset = (uint32_t)(end - in.data);
    put32(end + 2 + 12 * (end[0] | end[1] << 8), offset);
    o = recognize(in, "{\"select\":\"1\"}");
    if (o.result != 0)
        assert_non_null(strstr(o.error.detail, "max_pages"));
    fake_run_free(o.run);
    bytes_release(&in);

    in = png(page(other));
    put32(in.data + 16, 0x60ea0000); /* 60000, from the left */
    put32(in.data + 20, 0x60ea0000);
    assert_refused(recognize(in, "{}"), ERR_INVALID_INPUT, "3600.0 megapixels (60000x60000)");
    bytes_release(&in);
}

static void test_what_is_no_document_is_refused(void **state)
{
    static const struct {
        const char *bytes, *media_type, *words;
        size_t size;
    } cases[] = {
        {"", "", "is empty", 0},
        {"This is a text.", "", "nothing this task reads", 15},
        {"GIF89a\1\0\1\0\0\0\0;", "", "nothing this task reads", 14},
        {"\x89PNG\r\n\x1a\n", "", "not a complete, valid PNG", 8},
        {"\xff\xd8\xff\xe0", "", "not a complete, valid JPEG", 4},
        {"RIFF\4\0\0\0WEBP", "", "not a complete, valid WebP", 12},
        {"II*\0\xff\xff\xff\xff", "", "not a complete, valid TIFF", 8},
        {"MM\0*\0\0\0\10\0\0\0\0\0\0", "", "cannot be", 14},
        {"%PDF-1.7\n", "", "not a readable PDF", 9},
        {"%PDF-1.7\n", "image/png", "declared image/png, but the content is application/pdf", 9},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bytes in = {(unsigned char *)strdup("x"), cases[i].size};
        in.data = realloc(in.data, cases[i].size + 1);
        memcpy(in.data, cases[i].bytes, cases[i].size);
        struct outcome o = compute(fake_run_new(RECOGNIZE, "{}"), in, cases[i].media_type);
        if (strcmp(cases[i].words, "cannot be") != 0)
            assert_refused(o, ERR_INVALID_INPUT, cases[i].words);
        else
            assert_refused(o, ERR_INVALID_INPUT, "");
        bytes_release(&in);
    }
}

static void test_a_file_cut_short_is_refused_wherever_it_was_cut(void **state)
{
    (void)state;
    PIX *pix = page(other), *pages[] = {pixClone(pix)};
    struct bytes files[3] = {png(pixClone(pix)), {NULL, 0}, tiff(pages, 1)};
    assert_int_equal(pixWriteMemJpeg(&files[1].data, &files[1].size, pix, 75, 0), 0);
    for (size_t i = 0; i < COUNT(files); i++) {
        for (size_t part = 1; part < 10; part++) {
            struct bytes cut = {files[i].data, files[i].size * part / 10};
            struct outcome o = recognize(cut, "{}");
            /* a TIFF's directory may come first, and the rows that are there are whole then */
            if (o.result == 0)
                fail_msg("file %zu, cut after %zu tenths, was read: %s", i, part, o.text);
            assert_refused(o, ERR_INVALID_INPUT, "");
        }
        bytes_release(&files[i]);
    }
    pixDestroy(&pix);
}

static void test_a_damaged_file_is_an_answer_whatever_byte_is_wrong(void **state)
{
    (void)state;
    BOX *box = boxCreate(60, 60, 260, 60);
    PIX *pix = page(other), *part = pixClipRectangle(pix, box, NULL);
    PIX *pages[] = {pixClone(part)};
    struct bytes files[3] = {png(pixClone(part)), {NULL, 0}, tiff(pages, 1)};
    assert_int_equal(pixWriteMemJpeg(&files[1].data, &files[1].size, part, 50, 0), 0);
    for (size_t i = 0; i < COUNT(files); i++) {
        size_t step = files[i].size / 60 + 1;
        for (size_t at = 0; at < files[i].size; at += at < 60 ? 3 : step) {
            files[i].data[at] ^= 0xff;
            struct outcome o = recognize(files[i], "{\"page_segmentation\":\"single_line\"}");
            if (o.result != 0)
                assert_int_equal(o.error.code, ERR_INVALID_INPUT);
            fake_run_free(o.run);
            files[i].data[at] ^= 0xff;
        }
        bytes_release(&files[i]);
    }
    boxDestroy(&box);
    pixDestroy(&pix);
    pixDestroy(&part);
}

static void test_pages_of_nothing_are_empty(void **state)
{
    static const int sides[][2] = {{1, 1}, {2, 2}, {8, 40}, {40, 8}, {300, 300}, {3000, 1}};
    static const char *const params[] = {
        "{}",
        "{\"orient\":true,\"deskew\":true,\"scale\":true,\"binarise\":\"sauvola\",\"despeckle\":"
        "true}",
        "{\"formats\":\"text,words,tsv,hocr,alto,pdf\",\"page_segmentation\":\"single_line\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(sides); i++) {
        for (size_t k = 0; k < 2 * COUNT(params); k++) {
            PIX *pix = pixCreate(sides[i][0], sides[i][1], 8);
            if (k < COUNT(params))
                pixSetAll(pix);
            struct bytes in = png(pix);
            struct outcome o = recognize(in, params[k % COUNT(params)]);
            if (o.result != 0)
                assert_non_null(strstr(o.error.detail, "nothing that can be read"));
            fake_run_free(o.run);
            bytes_release(&in);
        }
    }
}

static void test_an_unknown_language_is_answered_with_those_installed(void **state)
{
    (void)state;
    struct bytes in = png(page(other));
    assert_refused(recognize(in, "{\"languages\":\"eng+klingon\"}"), ERR_INVALID_PARAMS,
                   "The language klingon is not installed here; installed are ");
    assert_refused(recognize(in, "{\"languages\":[\"osd\"]}"), ERR_INVALID_PARAMS, "eng");
    bytes_release(&in);
}

static void test_an_output_over_the_limit_is_too_large(void **state)
{
    (void)state;
    struct bytes in = png(page(story));
    struct run *run = fake_run_new(RECOGNIZE, "{\"formats\":\"text,pdf\"}");
    fake_run_set_limit(run, "output_bytes", 2000);
    assert_refused(compute(run, in, ""), ERR_TOO_LARGE, "output_bytes");
    bytes_release(&in);
}

/* Running. */

static void test_it_stops_when_told(void **state)
{
    (void)state;
    PIX *pages[] = {page(story), page(story)};
    struct bytes in = tiff(pages, 2);
    struct outcome o = recognize(in, "{}");
    assert_computed(&o);
    int calls = fake_run_progress_calls(o.run);
    assert_true(calls >= 8); /* at each line of a page, too */
    fake_run_free(o.run);
    for (int call = 1; call < calls; call += 2) {
        struct run *run = fake_run_new(RECOGNIZE, "{}");
        fake_run_stop_at_call(run, call);
        o = compute(run, in, "");
        assert_int_equal(fake_run_progress_calls(run), call);
        assert_refused(o, ERR_STOPPED, "The run was stopped at page ");
    }
    o = recognize(in, "{\"select\":\"1\"}"); /* and the engine is as good as new */
    assert_reads(&o, story, 1);
    fake_run_free(o.run);
    bytes_release(&in);
}

static void test_runs_know_nothing_of_each_other(void **state)
{
    (void)state;
    struct bytes first = png(page(story)), second = png(page(other));
    struct outcome alone = recognize(second, "{\"formats\":\"tsv\"}");
    struct outcome before = recognize(first, "{\"page_segmentation\":\"sparse_text\",\"dpi\":90}");
    struct outcome after = recognize(second, "{\"formats\":\"tsv\"}");
    assert_computed(&before);
    const struct run_output *a = output(&alone, "tsv"), *b = output(&after, "tsv");
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->bytes, b->bytes, a->size);
    fake_run_free(alone.run);
    fake_run_free(before.run);
    fake_run_free(after.run);

    gangsaw_module.trim(); /* nor does it matter whether the engine is warm */
    alone = recognize(second, "{\"orient\":true}");
    gangsaw_module.trim();
    assert_reads(&alone, other, 2);
    fake_run_free(alone.run);
    bytes_release(&first);
    bytes_release(&second);
}

static void test_nothing_is_printed(void **state)
{
    (void)state;
    char printed[256] = "";
    FILE *process_stdout = stdout, *process_stderr = stderr;
    FILE *stream = fmemopen(printed, sizeof(printed), "w");
    PIX *dot = pixCreate(1, 1, 8);
    struct bytes files[] = {png(dot), png(page(story))};
    files[1].size /= 2;
    stdout = stderr = stream;
    for (size_t i = 0; i < COUNT(files); i++) {
        struct outcome o = recognize(files[i], "{\"formats\":\"pdf,text\"}");
        fake_run_free(o.run);
    }
    assert_ptr_equal(stdout, stream);
    assert_ptr_equal(stderr, stream);
    stdout = process_stdout;
    stderr = process_stderr;
    fclose(stream);
    assert_string_equal(printed, "");
    bytes_release(&files[0]);
    bytes_release(&files[1]);
}

static int start_module(void **state)
{
    struct error why;
    (void)state;
    mallopt(M_MMAP_THRESHOLD, 1 << 30); /* as executors do: fewer page faults */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    return gangsaw_module.init(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_set_is_read),
        cmocka_unit_test(test_scans_are_read_as_people_read_them),
        cmocka_unit_test(test_pixels_of_every_kind_are_read),
        cmocka_unit_test(test_formats_give_the_outputs_they_name),
        cmocka_unit_test(test_a_whitelist_leaves_no_other_character),
        cmocka_unit_test(test_each_segmentation_runs),
        cmocka_unit_test(test_wide_gaps_stay_when_asked),
        cmocka_unit_test(test_pages_are_turned_upright),
        cmocka_unit_test(test_pages_that_are_askew_are_straightened),
        cmocka_unit_test(test_a_straight_page_stays_as_it_is),
        cmocka_unit_test(test_pages_are_brought_to_300_dpi),
        cmocka_unit_test(test_specks_and_shadows_do_not_hide_the_text),
        cmocka_unit_test(test_pages_of_a_tiff_come_as_selected),
        cmocka_unit_test(test_a_damaged_page_does_not_cost_the_others),
        cmocka_unit_test(test_what_is_too_large_is_told_the_limit_undecoded),
        cmocka_unit_test(test_what_is_no_document_is_refused),
        cmocka_unit_test(test_a_file_cut_short_is_refused_wherever_it_was_cut),
        cmocka_unit_test(test_a_damaged_file_is_an_answer_whatever_byte_is_wrong),
        cmocka_unit_test(test_pages_of_nothing_are_empty),
        cmocka_unit_test(test_an_unknown_language_is_answered_with_those_installed),
        cmocka_unit_test(test_an_output_over_the_limit_is_too_large),
        cmocka_unit_test(test_it_stops_when_told),
        cmocka_unit_test(test_runs_know_nothing_of_each_other),
        cmocka_unit_test(test_nothing_is_printed),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
