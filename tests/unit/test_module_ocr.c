/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr.recognize: pages whose text is known, because they were set by Leptonica's own letters here,
 * or because people typed what stands on a scan.
 */
#include "ocr_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* A JPEG whose EXIF says how the camera was held. */
static struct bytes jpeg_held(PIX *stored, int orientation)
{
    unsigned char exif[] = "\xff\xe1\0\x22"
                           "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0?\0\0\0\0\0\0";
    struct bytes plain, held;
    exif[sizeof(exif) - 8] = (unsigned char)orientation;
    assert_int_equal(pixWriteMemJpeg(&plain.data, &plain.size, stored, 85, 0), 0);
    held.size = plain.size + sizeof(exif) - 1;
    held.data = malloc(held.size);
    memcpy(held.data, plain.data, 2);
    memcpy(held.data + 2, exif, sizeof(exif) - 1);
    memcpy(held.data + 2 + sizeof(exif) - 1, plain.data + 2, plain.size - 2);
    bytes_release(&plain);
    return held;
}

static void test_photographs_are_read_as_the_camera_was_held(void **state)
{
    static const struct {
        bool is_mirrored;
        int quarters; /* clockwise, that make the stored picture of the page */
    } stored[] = {{false, 0}, {true, 0},  {false, 2}, {true, 2},
                  {true, 1},  {false, 3}, {true, 3},  {false, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT(stored); i++) {
        PIX *upright = page(story), *turned = pixRotateOrth(upright, stored[i].quarters);
        if (stored[i].is_mirrored)
            pixFlipLR(turned, turned);
        struct bytes in = jpeg_held(turned, (int)i + 1);
        struct outcome o = recognize(in, "{\"formats\":\"text,words\"}");
        assert_reads(&o, story, 1);
        assert_int_equal(number_of(page_of(&o, 0), "turned"), 0);
        assert_int_equal(number_of(page_of(&o, 0), "width"), WIDTH);
        assert_word_lies_on_ink(&o, upright, "miller,");
        fake_run_free(o.run);
        bytes_release(&in);
        pixDestroy(&upright);
        pixDestroy(&turned);
    }
}

static void test_a_searchable_pdf_is_not_much_larger_than_the_page(void **state)
{
    (void)state;
    PIX *grey = page(story);
    struct bytes files[] = {png(pixThresholdToBinary(grey, 128)), png(pixClone(grey)),
                            png(pixConvertTo32(grey))};
    for (size_t i = 0; i < COUNT(files); i++) {
        struct outcome o = recognize(files[i], "{\"formats\":\"pdf\"}");
        assert_computed(&o);
        size_t size = output(&o, "pdf")->size;
        if (size > files[i].size * 3 / 2 + 12000) /* the font and the text */
            fail_msg("file %zu: %zu bytes of PDF from %zu", i, size, files[i].size);
        const char *space = i == 0 ? "/DeviceGray" : "/ColorSpace /DeviceGray"; /* no colours */
        assert_non_null(memmem(output(&o, "pdf")->bytes, size, space, strlen(space)));
        fake_run_free(o.run);
        bytes_release(&files[i]);
    }
    pixDestroy(&grey);
}

static void test_a_language_named_again_counts_once(void **state)
{
    (void)state;
    struct bytes in = png(page(other));
    struct outcome o = recognize(in, "{\"languages\":\"eng+eng+eng\"}");
    assert_reads(&o, other, 2);
    assert_string_equal(cJSON_GetObjectItem(fake_run_result(o.run), "languages")->valuestring,
                        "eng");
    fake_run_free(o.run);
    bytes_release(&in);
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
        cmocka_unit_test(test_photographs_are_read_as_the_camera_was_held),
        cmocka_unit_test(test_a_searchable_pdf_is_not_much_larger_than_the_page),
        cmocka_unit_test(test_a_language_named_again_counts_once),
        cmocka_unit_test(test_a_straight_page_stays_as_it_is),
        cmocka_unit_test(test_pages_are_brought_to_300_dpi),
        cmocka_unit_test(test_specks_and_shadows_do_not_hide_the_text),
        cmocka_unit_test(test_it_stops_when_told),
        cmocka_unit_test(test_runs_know_nothing_of_each_other),
        cmocka_unit_test(test_nothing_is_printed),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
