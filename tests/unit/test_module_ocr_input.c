/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr.recognize: documents of many pages, damaged ones, and what strangers send instead of one.
 */
#include "ocr_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        {"This is a text.", "", "is a text; what can be read is PNG", 15},
        {"GIF89a\1\0\1\0\0\0\0;", "", "is a GIF; what can be read is PNG", 14},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_of_a_tiff_come_as_selected),
        cmocka_unit_test(test_a_damaged_page_does_not_cost_the_others),
        cmocka_unit_test(test_what_is_too_large_is_told_the_limit_undecoded),
        cmocka_unit_test(test_what_is_no_document_is_refused),
        cmocka_unit_test(test_a_file_cut_short_is_refused_wherever_it_was_cut),
        cmocka_unit_test(test_a_damaged_file_is_an_answer_whatever_byte_is_wrong),
        cmocka_unit_test(test_pages_of_nothing_are_empty),
        cmocka_unit_test(test_an_unknown_language_is_answered_with_those_installed),
        cmocka_unit_test(test_an_output_over_the_limit_is_too_large),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
