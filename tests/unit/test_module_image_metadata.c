/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata of pictures: blocks written by hand, as the standards have them and as strangers send
 * them. Whatever a block says, the walk ends, stays within the block and within the budget.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "tasks/image/metadata.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BLOCK_MAX ((size_t)8 << 20)

struct block {
    unsigned char *bytes;
    size_t size, room;
    bool is_big;
};

static const struct budget plenty = {.members = 2000, .bytes = 262144};

static void put(struct block *b, const void *bytes, size_t size)
{
    assert_true(b->size + size <= BLOCK_MAX);
    if (size == 0)
        return;
    if (b->size + size > b->room) {
        b->room = 2 * (b->size + size);
        b->bytes = realloc(b->bytes, b->room);
        assert_non_null(b->bytes);
    }
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

/* No byte more than its size, so that a sanitizer sees one too far. */
static void finish(struct block *b)
{
    b->room = b->size;
    b->bytes = realloc(b->bytes, b->size > 0 ? b->size : 1);
    assert_non_null(b->bytes);
}

static void put_number(struct block *b, uint32_t value, int digits)
{
    for (int i = 0; i < digits; i++) {
        unsigned char byte = (unsigned char)(value >> 8 * (b->is_big ? digits - 1 - i : i));
        put(b, &byte, 1);
    }
}

static void put_text(struct block *b, const char *text)
{
    put(b, text, strlen(text));
}

static void put_entry(struct block *b, unsigned tag, unsigned format, uint32_t count,
                      uint32_t value)
{
    put_number(b, tag, 2);
    put_number(b, format, 2);
    put_number(b, count, 4);
    if (format == 3 && count == 1 && b->is_big)
        value <<= 16; /* a short lies at the start of its four bytes */
    put_number(b, value, 4);
}

static struct block exif_header(bool is_big)
{
    struct block b = {.is_big = is_big};
    put_text(&b, is_big ? "MM" : "II");
    put_number(&b, 42, 2);
    put_number(&b, 8, 4);
    return b;
}

/* As JSON text; of the caller. "" when there is none. */
static char *print(cJSON *object)
{
    char *text = object != NULL ? cJSON_PrintUnformatted(object) : strdup("");
    assert_non_null(text);
    cJSON_Delete(object);
    return text;
}

static void assert_exif(struct block *b, struct budget budget, const char *expected, int omitted)
{
    finish(b);
    char *text = print(metadata_exif(b->bytes, b->size, false, &budget));
    assert_string_equal(text, expected);
    assert_int_equal(budget.omitted, omitted);
    free(text);
    free(b->bytes);
}

/* EXIF */

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

/* IPTC */

static void put_dataset(struct block *b, int record, int tag, const char *value)
{
    unsigned char head[3] = {0x1c, (unsigned char)record, (unsigned char)tag};
    b->is_big = true;
    put(b, head, 3);
    put_number(b, (uint32_t)strlen(value), 2);
    put_text(b, value);
}

static void assert_iptc(struct block *b, struct budget budget, const char *expected, int omitted)
{
    finish(b);
    char *text = print(metadata_iptc(b->bytes, b->size, &budget));
    assert_string_equal(text, expected);
    assert_int_equal(budget.omitted, omitted);
    free(text);
    free(b->bytes);
}

static void put_datasets(struct block *b, const char *charset)
{
    if (*charset != '\0')
        put_dataset(b, 1, 90, charset);
    put_dataset(b, 2, 5, "Hafen");
    put_dataset(b, 2, 25, "Z\xc3\xbcrich");
    put_dataset(b, 2, 25, "See\xfc");
    put_dataset(b, 2, 10, "3");
    put_dataset(b, 2, 55, "20240131");
    put_dataset(b, 2, 240, "private");
}

static void test_datasets_are_named_and_repeated_ones_are_arrays(void **state)
{
    static const struct {
        const char *charset, *expected;
    } cases[] = {
        {"", "{\"ObjectName\":\"Hafen\",\"Keywords\":[\"Z\xc3\xbcrich\",\"See\xc3\xbc\"],"
             "\"Urgency\":\"3\",\"DateCreated\":\"20240131\",\"2:240\":{\"bytes\":7}}"},
        {"\x1b%G", "{\"CharacterSet\":\"UTF-8\",\"ObjectName\":\"Hafen\","
                   "\"Keywords\":[\"Z\xc3\xbcrich\",\"See\xef\xbf\xbd\"],"
                   "\"Urgency\":\"3\",\"DateCreated\":\"20240131\",\"2:240\":{\"bytes\":7}}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct block bare = {0}, wrapped = {0}, datasets = {0};
        put_datasets(&bare, cases[i].charset);
        put_datasets(&datasets, cases[i].charset);
        wrapped.is_big = true;
        put(&wrapped,
            "Photoshop 3.0\0"
            "8BIM\x03\xed\x01x\0\0\0\x03"
            "abc\0",
            14 + 16);
        put(&wrapped, "8BIM\x04\x04\0\0", 8);
        put_number(&wrapped, (uint32_t)datasets.size, 4);
        put(&wrapped, datasets.bytes, datasets.size);
        free(datasets.bytes);
        assert_iptc(&bare, plenty, cases[i].expected, 0);
        assert_iptc(&wrapped, plenty, cases[i].expected, 0);
    }
}

static void test_what_is_no_iptc_is_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\x1c", 1},
        {"\x1c\x02\x05\0", 4},
        {"\x1c\x02\x05\0\x05"
         "abcd",
         9},
        {"\x1c\x02\x05\x80\x04\xff\xff\xff\xff"
         "a",
         10},
        {"\x1c\x02\x05\x80\x04\xff", 6},
        {"\x1c\x02\x05\xff\xff"
         "aaaa",
         9},
        {"Photoshop 3.0", 14},
        {"Photoshop 3.0\0"
         "8BIM\x04\x04\0\0\xff\xff\xff\xff",
         26},
        {"Photoshop 3.0\0"
         "8BIM\x04\x04\xff\0\0\0\0\0",
         26},
        {"Photoshop 3.0\0"
         "8BIM\x04\x05\0\0\0\0\0\x01"
         "ab",
         28},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct block b = {0};
        put(&b, cases[i].bytes, cases[i].size);
        assert_iptc(&b, plenty, "", 0);
    }
    struct block b = {0};
    put(&b,
        "\x1c\x02\x05\x80\x02\0\x03"
        "abc",
        10); /* a length of two bytes, written out */
    assert_iptc(&b, plenty, "{\"ObjectName\":\"abc\"}", 0);
}

static void test_a_million_datasets_stay_within_the_budget(void **state)
{
    (void)state;
    struct block b = {.bytes = malloc(5000000), .size = 5000000};
    for (size_t i = 0; i < b.size; i += 5)
        memcpy(b.bytes + i, "\x1c\x02\x19\0", 5);
    struct budget budget = plenty;
    cJSON *iptc = metadata_iptc(b.bytes, b.size, &budget);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(iptc, "Keywords")), 2000);
    assert_int_equal(budget.omitted, 1000000 - 2000);
    cJSON_Delete(iptc);
    free(b.bytes);
}

/* XMP */

#define XMP_START                                                                            \
    "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?><x:xmpmeta xmlns:x='adobe:ns:meta/'>" \
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description "     \
    "rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' "                              \
    "xmlns:xmp='http://ns.adobe.com/xap/1.0/' xmlns:p='http://example.com/p/' "              \
    "xmlns:xmpMM='http://ns.adobe.com/xap/1.0/mm/' "                                         \
    "xmlns:stEvt='http://ns.adobe.com/xap/1.0/sType/ResourceEvent#'"
#define XMP_END "</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='w'?>"

static void assert_xmp(const char *packet, size_t size, struct budget budget, const char *expected,
                       int omitted)
{
    char *exact = malloc(size);
    memcpy(exact, packet, size);
    char *text = print(metadata_xmp(exact, size, &budget));
    assert_string_equal(text, expected);
    assert_int_equal(budget.omitted, omitted);
    free(text);
    free(exact);
}

static void test_xmp_becomes_json(void **state)
{
    static const struct {
        const char *packet, *expected;
    } cases[] = {
        {XMP_START " xmp:Rating='4'>" XMP_END, "{\"xmp:Rating\":\"4\"}"},
        {XMP_START "><dc:subject><rdf:Bag><rdf:li>sea</rdf:li><rdf:li>ship</rdf:li></rdf:Bag>"
                   "</dc:subject>" XMP_END,
         "{\"dc:subject\":[\"sea\",\"ship\"]}"},
        {XMP_START "><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Harbour</rdf:li>"
                   "<rdf:li xml:lang='de'>H\xc3\xa4"
                   "fen</rdf:li><rdf:li xml:lang='fr'>Port</rdf:li></rdf:Alt></dc:title>" XMP_END,
         "{\"dc:title\":{\"x-default\":\"Harbour\",\"de\":\"H\xc3\xa4"
         "fen\",\"fr\":\"Port\"}}"},
        {XMP_START "><xmpMM:History><rdf:Seq>"
                   "<rdf:li stEvt:action='saved' stEvt:when='2024-01-31'/>"
                   "<rdf:li rdf:parseType='Resource'><stEvt:action>cropped</stEvt:action>"
                   "</rdf:li></rdf:Seq></xmpMM:History>" XMP_END,
         "{\"xmpMM:History\":[{\"stEvt:action\":\"saved\",\"stEvt:when\":\"2024-01-31\"},"
         "{\"stEvt:action\":\"cropped\"}]}"},
        {XMP_START "><p:note rdf:parseType='Resource'><rdf:value>text</rdf:value>"
                   "<p:source>elsewhere</p:source></p:note><p:next>1</p:next>" XMP_END,
         "{\"p:note\":\"text\",\"p:next\":\"1\"}"},
        {XMP_START ">" XMP_END, ""},
        {XMP_START "><p:a>&lt;&amp;&#233;</p:a>" XMP_END, "{\"p:a\":\"<&\xc3\xa9\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_xmp(cases[i].packet, strlen(cases[i].packet), plenty, cases[i].expected, 0);
    static const char padded[] = XMP_START " xmp:Rating='4'>" XMP_END "\0\0";
    assert_xmp(padded, sizeof(padded), plenty, "{\"xmp:Rating\":\"4\"}", 0);
}

/* One run's picture must not decide what another's properties are called. */
static void test_namespaces_do_not_outlive_their_packet(void **state)
{
    static const char first[] = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
                                "<rdf:Description xmlns:secret='http://example.com/n/' "
                                "secret:a='1'/></rdf:RDF>";
    static const char second[] = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
                                 "<rdf:Description xmlns:other='http://example.com/n/' "
                                 "other:a='1'/></rdf:RDF>";
    (void)state;
    assert_xmp(first, sizeof(first) - 1, plenty, "{\"secret:a\":\"1\"}", 0);
    assert_xmp(second, sizeof(second) - 1, plenty, "{\"other:a\":\"1\"}", 0);
}

static void repeat(struct block *b, const char *text, int times)
{
    for (int i = 0; i < times; i++)
        put_text(b, text);
}

static void test_hostile_packets_are_left_out(void **state)
{
    static const struct {
        const char *start, *repeated;
        int times;
        const char *middle, *closing;
    } cases[] = {
        {XMP_START ">", "<p:a rdf:parseType='Resource'>", 20000, "", "</p:a>"},
        {XMP_START ">", "<p:a><rdf:Bag><rdf:li>", 20000, "", "</rdf:li></rdf:Bag></p:a>"},
        {XMP_START ">", "<p:a/>", 300000, "", ""},
        {XMP_START "><p:s><rdf:Bag>", "<rdf:li>x</rdf:li>", 100000, "</rdf:Bag></p:s>", ""},
        {XMP_START ">", "<!-- -->", 100000, "", ""},
        {XMP_START ">", "<p:a>", 1, "", ""},
        {"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]>" XMP_START ">",
         "<p:a/>", 1, "", ""},
        {XMP_START "><p:", "a", 100000, "/>", ""},
        {"", "\xff\xfe<", 1000, "", ""},
        {"no markup", "!", 1, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct block b = {0};
        put_text(&b, cases[i].start);
        repeat(&b, cases[i].repeated, cases[i].times);
        put_text(&b, cases[i].middle);
        repeat(&b, cases[i].closing, cases[i].times);
        put_text(&b, XMP_END);
        assert_xmp((const char *)b.bytes, b.size, plenty, "", 1);
        free(b.bytes);
    }
}

static void test_properties_beyond_the_budget_are_counted(void **state)
{
    static const char packet[] =
        XMP_START "><dc:subject><rdf:Bag><rdf:li>1</rdf:li><rdf:li>2</rdf:li>"
                  "<rdf:li>3</rdf:li></rdf:Bag></dc:subject>" XMP_END;
    struct budget little = {.members = 3, .bytes = 100};
    (void)state;
    assert_xmp(packet, sizeof(packet) - 1, little, "{\"dc:subject\":[\"1\",\"2\"]}", 1);
}

/* ICC */

static void test_profiles_have_names(void **state)
{
    struct block b = {.is_big = true};
    struct budget budget = plenty;
    (void)state;
    repeat(&b, "x", 132 + 12);
    memcpy(b.bytes + 8, "\x04\x30", 2);
    memcpy(b.bytes + 16, "RGB ", 4);
    memcpy(b.bytes + 36, "acsp", 4);
    memcpy(b.bytes + 128,
           "\0\0\0\x01"
           "desc\0\0\0\x90\0\0\0\x22",
           16);
    put(&b,
        "mluc\0\0\0\0\0\0\0\x01\0\0\0\x0c"
        "enUS\0\0\0\x06\0\0\0\x1c\0P\0"
        "3\0\xe9",
        34);
    finish(&b);
    char *text = print(metadata_icc(b.bytes, b.size, &budget));
    assert_string_equal(text, "{\"name\":\"P3\xc3\xa9\",\"colour_space\":\"RGB\",\"version\":"
                              "\"4.3\",\"bytes\":178}");
    free(text);
    static const struct {
        size_t at;
        const char *bytes;
    } damages[] = {{132 + 4, "\xff\xff\xff\xff"},  {132 + 8, "\xff\xff\xff\xff"},
                   {128, "\xff\xff\xff\xff"},      {144 + 20, "\xff\xff\xff\xff"},
                   {144 + 24, "\xff\xff\xff\xff"}, {36, "none"}};
    for (size_t i = 0; i < COUNT(damages); i++) {
        unsigned char *copy = malloc(b.size);
        memcpy(copy, b.bytes, b.size);
        memcpy(copy + damages[i].at, damages[i].bytes, 4);
        text = print(metadata_icc(copy, b.size, &budget));
        bool is_found = strstr(text, "P3") != NULL;
        assert_true(is_found == (damages[i].at == 128));
        free(text);
        free(copy);
    }
    free(b.bytes);
}

/* All kinds. */

typedef cJSON *read_kind(const void *block, size_t size, struct budget *b);

static cJSON *read_exif(const void *block, size_t size, struct budget *b)
{
    return metadata_exif(block, size, false, b);
}

/* Flipped bits and cuts: it ends, and what it gives is JSON within the budget. */
static void assert_survives(read_kind *read, const struct block *original, int rounds)
{
    unsigned seed = 7;
    for (int round = 0; round < rounds; round++) {
        seed = seed * 1103515245 + 12345;
        size_t size = round % 3 == 0 ? (seed >> 8) % (original->size + 1) : original->size;
        unsigned char *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, original->bytes, size);
        for (int k = 0; k < 4 && size > 0; k++) {
            seed = seed * 1103515245 + 12345;
            copy[(seed >> 8) % size] ^= (unsigned char)(1 << (seed >> 4 & 7));
        }
        struct budget budget = plenty;
        cJSON *object = read(copy, size, &budget);
        assert_true(object == NULL || object->child != NULL);
        assert_true(budget.members >= 0 && budget.bytes >= 0 && budget.omitted >= 0);
        char *text = print(object);
        assert_true(*text == '\0' || *text == '{');
        free(text);
        free(copy);
    }
}

static void test_damaged_blocks_end_one_way_or_the_other(void **state)
{
    static const char xmp[] = XMP_START
        " xmp:Rating='4'><dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Harbour</rdf:li>"
        "</rdf:Alt></dc:title><dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>"
        "<xmpMM:History><rdf:Seq><rdf:li stEvt:action='saved'/></rdf:Seq></xmpMM:History>" XMP_END;
    struct block exif = exif_header(true), iptc = {0}, packet = {0};
    (void)state;
    put_number(&exif, 4, 2);
    put_entry(&exif, 0x8769, 4, 1, 62);
    put_entry(&exif, 0x8825, 4, 1, 80);
    put_entry(&exif, 0x010f, 2, 20, 100);
    put_entry(&exif, 0x9c9b, 1, 20, 100);
    put_number(&exif, 62, 4);
    for (int i = 0; i < 30; i++)
        put_entry(&exif, 0x9000 + (unsigned)i, 1 + (unsigned)i % 12, 1 + (unsigned)i % 3, 64);
    put_datasets(&iptc, "\x1b%G");
    put_text(&packet, xmp);
    assert_survives(read_exif, &exif, 5000);
    assert_survives(metadata_icc, &exif, 100);
    assert_survives(metadata_iptc, &iptc, 5000);
    assert_survives(metadata_xmp, &packet, 500);
    free(exif.bytes);
    free(iptc.bytes);
    free(packet.bytes);
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
        cmocka_unit_test(test_datasets_are_named_and_repeated_ones_are_arrays),
        cmocka_unit_test(test_what_is_no_iptc_is_none),
        cmocka_unit_test(test_a_million_datasets_stay_within_the_budget),
        cmocka_unit_test(test_xmp_becomes_json),
        cmocka_unit_test(test_namespaces_do_not_outlive_their_packet),
        cmocka_unit_test(test_hostile_packets_are_left_out),
        cmocka_unit_test(test_properties_beyond_the_budget_are_counted),
        cmocka_unit_test(test_profiles_have_names),
        cmocka_unit_test(test_damaged_blocks_end_one_way_or_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
