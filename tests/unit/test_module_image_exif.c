/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXIF of pictures: blocks written by hand, as the standard has them and as strangers send them.
 */
#include "metadata_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_exif(struct block *b, struct budget budget, const char *expected, int omitted)
{
    finish(b);
    char *text = print(metadata_exif(b->bytes, b->size, false, &budget));
    assert_string_equal(text, expected);
    assert_int_equal(budget.omitted, omitted);
    free(text);
    free(b->bytes);
}

static void test_values_of_every_format_in_both_byte_orders(void **state)
{
    (void)state;
    for (int is_big = 0; is_big < 2; is_big++) {
        struct block b = exif_header(is_big);
        uint32_t data = 8 + 2 + 12 * 11 + 4;
        put_number(&b, 11, 2);
        put_entry(&b, 0x0112, 3, 1, 6);
        put_entry(&b, 0x010f, 2, 12, data);
        put_entry(&b, 0x011a, 5, 1, data + 12);
        put_entry(&b, 0x829a, 5, 1, data + 20); /* ExposureTime, in a directory not its own */
        put_entry(&b, 0x9201, 10, 1, data + 28);
        put_entry(&b, 0xc001, 12, 1, data + 36);
        put_entry(&b, 0xc002, 11, 1, 0x40200000);
        put_entry(&b, 0xc003, 9, 1, (uint32_t)-7);
        put_entry(&b, 0xc004, 5, 1, data + 44); /* 0/0 */
        put_entry(&b, 0xc005, 7, 100, data);
        put_entry(&b, 0xc006, 4, 3, data + 12);
        put_number(&b, 0, 4);
        put_text(&b, "Caf\xc3\xa9 AG  ");
        put(&b, "\0", 2);
        put_number(&b, 300, 4); /* the rationals, read again as three numbers */
        put_number(&b, 2, 4);
        put_number(&b, 1, 4);
        put_number(&b, 200, 4);
        put_number(&b, (uint32_t)-3, 4);
        put_number(&b, 2, 4);
        put_number(&b, is_big ? 0x3ff80000 : 0, 4); /* 1.5 */
        put_number(&b, is_big ? 0 : 0x3ff80000, 4);
        put_number(&b, 0, 4);
        put_number(&b, 0, 4);
        for (int i = 0; i < 100; i++)
            put(&b, "x", 1);
        assert_exif(&b, plenty,
                    "{\"image\":{\"Orientation\":6,\"Make\":\"Caf\xc3\xa9 AG\","
                    "\"XResolution\":150,\"ExposureTime\":0.005,\"ShutterSpeedValue\":-1.5,"
                    "\"0xc001\":1.5,\"0xc002\":2.5,\"0xc003\":-7,\"0xc004\":null,"
                    "\"0xc005\":{\"bytes\":100},\"0xc006\":[300,2,1]}}",
                    0);
    }
}

static void test_texts_become_valid_utf_8(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum charset charset;
        const char *text;
    } cases[] = {
        {"plain", 5, CHARSET_LATIN_1, "plain"},
        {"padded  \0\0 \0", 12, CHARSET_LATIN_1, "padded"},
        {"", 0, CHARSET_LATIN_1, ""},
        {"\0\0\0", 3, CHARSET_LATIN_1, ""},
        {"Z\xc3\xbcrich", 7, CHARSET_LATIN_1, "Z\xc3\xbcrich"},
        {"Z\xfcrich", 6, CHARSET_LATIN_1, "Z\xc3\xbcrich"},
        {"Z\xfcrich", 6, CHARSET_UTF_8, "Z\xef\xbf\xbdrich"},
        {"one\0two", 7, CHARSET_LATIN_1, "one two"},
        {"a\x1b[2Jb\x7f", 7, CHARSET_LATIN_1, "a [2Jb "},
        {"a\tb\r\nc", 6, CHARSET_LATIN_1, "a\tb\r\nc"},
        {"\xed\xa0\x80", 3, CHARSET_UTF_8, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98", 3, CHARSET_UTF_8, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"H\0i\0\0\0", 6, CHARSET_UTF_16_LE, "Hi"},
        {"\0H\0i\0\0", 6, CHARSET_UTF_16_BE, "Hi"},
        {"\x3d\xd8\0\xde", 4, CHARSET_UTF_16_LE, "\xf0\x9f\x98\x80"},
        {"\xd8\x3d\xde\0", 4, CHARSET_UTF_16_BE, "\xf0\x9f\x98\x80"},
        {"\x3d\xd8x\0", 4, CHARSET_UTF_16_LE, "\xef\xbf\xbdx"},
        {"\0\xde\x3d\xd8", 4, CHARSET_UTF_16_LE, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"H\0i", 3, CHARSET_UTF_16_LE, "H"},
        {"\0\x01 \x01", 4, CHARSET_UTF_16_LE, "\xc4\x80\xc4\xa0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct budget budget = plenty;
        unsigned char *exact = malloc(cases[i].size + 1);
        memcpy(exact, cases[i].bytes, cases[i].size);
        exact = realloc(exact, cases[i].size > 0 ? cases[i].size : 1);
        cJSON *text = metadata_text(exact, cases[i].size, cases[i].charset, &budget);
        if (strcmp(text->valuestring, cases[i].text) != 0)
            fail_msg("case %zu: %s, not %s", i, text->valuestring, cases[i].text);
        cJSON_Delete(text);
        free(exact);
    }
}

/* Its photo, gps and thumbnail directories are the first one. */
static void test_directories_that_point_to_themselves_are_read_once_each(void **state)
{
    (void)state;
    struct block b = exif_header(false);
    put_number(&b, 3, 2);
    put_entry(&b, 0x8769, 4, 1, 8);
    put_entry(&b, 0x8825, 4, 1, 8);
    put_entry(&b, 0xa005, 4, 1, 8);
    put_number(&b, 8, 4);
    assert_exif(&b, plenty,
                "{\"image\":{\"0xa005\":8},\"photo\":{\"0x8769\":8,\"0x8825\":8},"
                "\"gps\":{\"0x8769\":8,\"0x8825\":8,\"0xa005\":8},"
                "\"interoperability\":{\"0x8769\":8,\"0x8825\":8,\"0xa005\":8},"
                "\"thumbnail\":{\"0x8769\":8,\"0x8825\":8,\"0xa005\":8}}",
                0);
}

static void test_values_beyond_the_block_are_left_out_and_counted(void **state)
{
    static const struct {
        unsigned format;
        uint32_t count, offset;
    } cases[] = {
        {2, 5, 0xffffffff},  {2, 0xffffffff, 8}, {5, 0x20000000, 8}, {12, 0x20000001, 0},
        {4, 2, 30 + 12 - 7}, {13, 1, 0},         {0, 1, 0},          {65535, 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct block b = exif_header(false);
        put_number(&b, 2, 2);
        put_entry(&b, 0x010f, cases[i].format, cases[i].count, cases[i].offset);
        put_entry(&b, 0x0112, 3, 1, 1);
        put_number(&b, 0, 4);
        put_text(&b, "1234");
        assert_exif(&b, plenty, "{\"image\":{\"Orientation\":1}}", 1);
    }
    /* more entries claimed than there are */
    struct block b = exif_header(true);
    put_number(&b, 65535, 2);
    put_entry(&b, 0x0112, 3, 1, 1);
    assert_exif(&b, plenty, "{\"image\":{\"Orientation\":1}}", 65534);
}

/* Each of 65535 entries has all of the block for its value. */
static void test_a_bomb_of_entries_stays_within_the_budget(void **state)
{
    (void)state;
    struct block b = exif_header(false);
    put_number(&b, 65535, 2);
    for (unsigned tag = 0; tag < 65535; tag++)
        put_entry(&b, tag, 2, 65535 * 12, 10);
    put_number(&b, 0, 4);
    struct budget budget = plenty;
    finish(&b);
    cJSON *exif = metadata_exif(b.bytes, b.size, false, &budget);
    assert_null(exif); /* no value has room */
    assert_int_equal(budget.omitted, 65535);
    for (unsigned tag = 0; tag < 65535; tag++) /* now short ones */
        memcpy(b.bytes + 10 + tag * 12 + 4, "\x08\0\0", 4);
    budget = plenty;
    exif = metadata_exif(b.bytes, b.size, false, &budget);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(exif, "image")), 2000);
    assert_int_equal(budget.omitted, 65535 - 2000);
    cJSON_Delete(exif);
    free(b.bytes);
}

static void test_positions_are_decimal_degrees(void **state)
{
    static const struct {
        const char *north, *east;
        uint32_t latitude[6], longitude[6];
        const char *expected; /* after the raw values */
    } cases[] = {
        {"N", "E", {48, 1, 30, 1, 0, 1}, {2, 1, 15, 1, 36, 1}, "48.5,2.26"},
        {"S", "W", {33, 1, 0, 1, 0, 1}, {70, 1, 0, 1, 0, 1}, "-33,-70"},
        {"N", "E", {4850, 100, 0, 0, 0, 0}, {2, 1, 3000, 100, 0, 0}, "48.5,2.5"},
        {"N", "E", {90, 1, 0, 1, 1, 1}, {180, 1, 0, 1, 0, 1}, "999,180"},
        {"N", "E", {0, 0, 0, 0, 0, 0}, {0xffffffff, 1, 0, 1, 0, 1}, "999,999"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct block b = exif_header(false);
        put_number(&b, 1, 2);
        put_entry(&b, 0x8825, 4, 1, 26);
        put_number(&b, 0, 4);
        put_number(&b, 4, 2);
        put_entry(&b, 1, 2, 2, (uint32_t)cases[i].north[0]);
        put_entry(&b, 2, 5, 3, 26 + 2 + 48 + 4);
        put_entry(&b, 3, 2, 2, (uint32_t)cases[i].east[0]);
        put_entry(&b, 4, 5, 3, 26 + 2 + 48 + 4 + 24);
        put_number(&b, 0, 4);
        for (int k = 0; k < 6; k++)
            put_number(&b, cases[i].latitude[k], 4);
        for (int k = 0; k < 6; k++)
            put_number(&b, cases[i].longitude[k], 4);
        struct budget budget = plenty;
        finish(&b);
        cJSON *exif = metadata_exif(b.bytes, b.size, false, &budget);
        const cJSON *gps = cJSON_GetObjectItem(exif, "gps");
        const cJSON *latitude = cJSON_GetObjectItem(gps, "latitude");
        const cJSON *longitude = cJSON_GetObjectItem(gps, "longitude");
        char found[64];
        snprintf(found, sizeof(found), "%.8g,%.8g", latitude ? latitude->valuedouble : 999,
                 longitude ? longitude->valuedouble : 999);
        assert_string_equal(found, cases[i].expected);
        cJSON_Delete(exif);
        free(b.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_every_format_in_both_byte_orders),
        cmocka_unit_test(test_texts_become_valid_utf_8),
        cmocka_unit_test(test_directories_that_point_to_themselves_are_read_once_each),
        cmocka_unit_test(test_values_beyond_the_block_are_left_out_and_counted),
        cmocka_unit_test(test_a_bomb_of_entries_stays_within_the_budget),
        cmocka_unit_test(test_positions_are_decimal_degrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
