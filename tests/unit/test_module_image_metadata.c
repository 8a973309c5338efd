/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPTC, XMP and ICC of pictures: blocks written by hand, as the standards have them and as
 * strangers send them. Whatever a block says, the walk ends, stays within the block and within the
 * budget.
 */
#include "fake_run.h"
#include "metadata_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* Well-formed, and no RDF: Exempi says so on the standard error output, if it is let. */
static void test_a_broken_packet_prints_nothing(void **state)
{
    static const char packet[] =
        XMP_START "><p:a rdf:parseType='Other' rdf:nonsense='1'>x<p:b/></p:a>" XMP_END;
    struct budget budget = {100, 1000, 0};
    int saved = dup(STDERR_FILENO), printed = memfd_create("printed", MFD_CLOEXEC);
    (void)state;
    assert_true(saved >= 0 && printed >= 0);
    assert_int_equal(dup2(printed, STDERR_FILENO), STDERR_FILENO);
    cJSON_Delete(metadata_xmp(packet, sizeof(packet) - 1, &budget));
    off_t bytes = lseek(STDERR_FILENO, 0, SEEK_END); /* it is the same one again */
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(bytes, 0);
    assert_int_equal(lseek(printed, 0, SEEK_END), 0);
    assert_int_equal(budget.omitted, 1);
    close(saved);
    close(printed);
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
        if (size > 0)
            fake_run_damage(copy, size, &seed);
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
        cmocka_unit_test(test_datasets_are_named_and_repeated_ones_are_arrays),
        cmocka_unit_test(test_what_is_no_iptc_is_none),
        cmocka_unit_test(test_a_million_datasets_stay_within_the_budget),
        cmocka_unit_test(test_xmp_becomes_json),
        cmocka_unit_test(test_namespaces_do_not_outlive_their_packet),
        cmocka_unit_test(test_hostile_packets_are_left_out),
        cmocka_unit_test(test_a_broken_packet_prints_nothing),
        cmocka_unit_test(test_properties_beyond_the_budget_are_counted),
        cmocka_unit_test(test_profiles_have_names),
        cmocka_unit_test(test_damaged_blocks_end_one_way_or_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
