/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image tasks and files of many pages or frames: they are counted, in files of every layout,
 * before a library that takes the square of their number sees them.
 */
#include "image_fixture.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *task, *descriptor, *second; /* the other input, if it has one */
} tasks[] = {
    {"image.transform", TRANSFORM, "watermark"},
    {"image.inspect", INSPECT, NULL},
    {"image.compare", COMPARE, "reference"},
};

static void put(GByteArray *file, bool is_big_endian, int width, uint64_t value)
{
    for (int i = 0; i < width; i++) {
        guint8 byte = (guint8)(value >> 8 * (is_big_endian ? width - 1 - i : i));
        g_byte_array_append(file, &byte, 1);
    }
}

static struct bytes finish(GByteArray *file)
{
    struct bytes b = {.size = file->len};
    b.data = g_byte_array_free(file, FALSE);
    return b;
}

/* `count` pages of one pixel; the last goes on to the first where it loops. */
static struct bytes tiff(int count, bool is_big_endian, bool is_big, bool is_looping)
{
    static const struct {
        int tag, type;
        unsigned value;
    } entries[] = {{256, 3, 1}, {257, 3, 1}, {258, 3, 8}, {259, 3, 1},
                   {262, 3, 1}, {273, 4, 8}, {278, 3, 1}, {279, 4, 1}};
    int wide = is_big ? 8 : 4;
    size_t size = (size_t)(is_big ? 16 + 20 * 8 : 6 + 12 * 8), start = is_big ? 16 : 8;
    GByteArray *file = g_byte_array_new();

    g_byte_array_append(file, (const guint8 *)(is_big_endian ? "MM" : "II"), 2);
    put(file, is_big_endian, 2, is_big ? 43 : 42);
    if (is_big)
        put(file, is_big_endian, 4, is_big_endian ? 8 << 16 : 8);
    put(file, is_big_endian, wide, start);
    for (int page = 1; page <= count; page++) {
        put(file, is_big_endian, is_big ? 8 : 2, COUNT(entries));
        for (size_t i = 0; i < COUNT(entries); i++) {
            int width = entries[i].type == 3 ? 2 : 4;
            put(file, is_big_endian, 2, (uint64_t)entries[i].tag);
            put(file, is_big_endian, 2, (uint64_t)entries[i].type);
            put(file, is_big_endian, wide, 1);
            put(file, is_big_endian, width, entries[i].value);
            put(file, is_big_endian, wide - width, 0);
        }
        put(file, is_big_endian, wide,
            page < count ? start + size * (size_t)page
            : is_looping ? start
                         : 0);
    }
    return finish(file);
}

/* A pixel, and that again as each frame; all lie in the first where it claims them. */
static struct bytes webp(int count, bool is_nested)
{
    struct bytes pixel = encode(gradient(1, 1), ".webp[lossless,strip]");
    GByteArray *file = g_byte_array_new();
    const unsigned char *chunk = memmem(pixel.data, pixel.size, "VP8L", 4);
    assert_non_null(chunk);
    unsigned content = 8u + chunk[4] + chunk[4] % 2, rest = (unsigned)count * (24 + content) - 8;
    static const unsigned char canvas[10] = {2}, frame[16] = {0};

    g_byte_array_append(file, (const guint8 *)"RIFF", 4);
    put(file, false, 4, 4 + 18 + 14 + (uint64_t)rest + 8);
    g_byte_array_append(file, (const guint8 *)"WEBPVP8X", 8);
    put(file, false, 4, sizeof(canvas));
    g_byte_array_append(file, canvas, sizeof(canvas));
    g_byte_array_append(file, (const guint8 *)"ANIM", 4);
    put(file, false, 4, 6);
    put(file, false, 6, 0);
    for (int i = 0; i < count; i++) {
        g_byte_array_append(file, (const guint8 *)"ANMF", 4);
        put(file, false, 4, i == 0 && is_nested ? rest : 16 + content);
        g_byte_array_append(file, frame, sizeof(frame));
        g_byte_array_append(file, chunk, content);
    }
    bytes_release(&pixel);
    return finish(file);
}

/* Of pages that inspect counts, when the limit allows as many; else 0, and it says so. */
static int pages_of(struct bytes in, double limit)
{
    struct error error = {0};
    struct run *run = fake_run_new(INSPECT, "{\"include\":[]}");
    int pages = 0;

    fake_run_input(run, "image", "", in.data, in.size);
    fake_run_set_limit(run, "max_pages", limit);
    if (run_task("image.inspect", run, &error) == 0)
        pages = cJSON_GetObjectItem(fake_run_result(run), "pages")->valueint;
    else if (error.code != ERR_INVALID_INPUT || strstr(error.detail, "the limit max_pages") == NULL)
        fail_msg("%s [%s]", error.detail, error.cause);
    fake_run_free(run);
    return pages;
}

static void assert_counted(struct bytes in, int pages)
{
    assert_int_equal(pages_of(in, pages), pages);
    assert_int_equal(pages_of(in, pages - 1), 0);
    bytes_release(&in);
}

static void test_pages_of_every_kind_of_tiff_are_counted(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++)
        assert_counted(tiff(7, kind & 1, kind & 2, kind & 4), 7);
}

static void test_frames_of_a_webp_are_counted(void **state)
{
    (void)state;
    assert_counted(webp(7, false), 7);
    assert_counted(webp(7, true), 7);
}

static void test_what_libvips_writes_is_counted(void **state)
{
    static const char *const files[] = {".tif", ".tif[bigtiff]", ".tif[compression=jpeg,tile]",
                                        ".webp"};
    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        VipsImage *roll = gradient(30, 50), *tagged;
        assert_int_equal(vips_copy(roll, &tagged, NULL), 0);
        vips_image_set_int(tagged, VIPS_META_PAGE_HEIGHT, 10);
        g_object_unref(roll);
        assert_counted(encode(tagged, files[i]), 5);
    }
}

/* They may lie one in another, so that small files have many of them. */
static void test_a_page_of_too_many_tags_is_refused(void **state)
{
    struct bytes in = tiff(100, false, false, false);
    (void)state;
    in.data[8] = 1;
    in.data[9] = 1;
    assert_refused(transform(in, "{}"), ERR_INVALID_INPUT,
                   "The input image has a page with 257 tags; the limit is 256.");
    in.data[8] = 0;
    struct outcome o = transform(in, "{}");
    assert_true(o.image != NULL || strstr(o.error.detail, "tags") == NULL);
    outcome_release(&o);
    bytes_release(&in);
}

/* Cut short or damaged anywhere, a file is an answer. */
static void test_a_chain_that_leaves_the_file_ends_there(void **state)
{
    struct bytes files[] = {tiff(3, false, false, false), tiff(3, true, true, true), webp(3, true)};
    unsigned seed = 1;
    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        for (size_t size = 4; size < files[i].size; size++) {
            struct bytes part = {g_memdup2(files[i].data, size), size};
            struct outcome o = transform(part, "{\"format\":\"png\"}");
            assert_true(o.image != NULL || o.error.code == ERR_INVALID_INPUT);
            outcome_release(&o);
            fake_run_damage(part.data, size, &seed);
            o = transform(part, "{\"format\":\"png\"}");
            assert_true(o.image != NULL || o.error.code == ERR_INVALID_INPUT);
            outcome_release(&o);
            bytes_release(&part);
        }
        bytes_release(&files[i]);
    }
}

static void assert_too_many(struct run *run, const char *task, const char *words)
{
    struct error error = {0};
    assert_int_equal(run_task(task, run, &error), -1);
    assert_int_equal(error.code, ERR_INVALID_INPUT);
    if (strstr(error.detail, words) == NULL)
        fail_msg("%s", error.detail);
    fake_run_free(run);
}

static void test_every_task_refuses_too_many_of_them_unread(void **state)
{
    struct bytes files[] = {tiff(20000, false, false, false), webp(20000, false)};
    struct bytes one = encode(gradient(8, 8), ".png");
    (void)state;
    for (size_t i = 0; i < COUNT(files) * COUNT(tasks); i++) {
        struct bytes in = files[i / COUNT(tasks)];
        const char *task = tasks[i % COUNT(tasks)].task, *second = tasks[i % COUNT(tasks)].second;
        struct run *run = fake_run_new(tasks[i % COUNT(tasks)].descriptor, "{}");
        fake_run_input(run, "image", "", in.data, in.size);
        if (second != NULL)
            fake_run_input(run, second, "", one.data, one.size);
        assert_too_many(run, task,
                        "The input image has 20000 pages or frames; the limit max_pages is ");
        if (second == NULL)
            continue;
        run = fake_run_new(tasks[i % COUNT(tasks)].descriptor, "{}");
        fake_run_input(run, "image", "", one.data, one.size);
        fake_run_input(run, second, "", in.data, in.size);
        assert_too_many(run, task, "has 20000 pages or frames; the limit max_pages is ");
    }
    for (size_t i = 0; i < COUNT(files); i++)
        bytes_release(&files[i]);
    bytes_release(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_of_every_kind_of_tiff_are_counted),
        cmocka_unit_test(test_frames_of_a_webp_are_counted),
        cmocka_unit_test(test_what_libvips_writes_is_counted),
        cmocka_unit_test(test_a_page_of_too_many_tags_is_refused),
        cmocka_unit_test(test_a_chain_that_leaves_the_file_ends_there),
        cmocka_unit_test(test_every_task_refuses_too_many_of_them_unread),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
