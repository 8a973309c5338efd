/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Documents that were made to be followed without end: nested, endless, crowded, blown up. Each is
 * an error that says which limit it met, or a result within the limits; never a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <zlib.h>

#include "fake_run.h"
#include "pdf_writer.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#ifdef __SANITIZE_ADDRESS__
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif
#define EVERYTHING                                                                   \
    "{\"include\":[\"metadata\",\"xmp\",\"sizes\",\"labels\",\"outline\",\"fonts\"," \
    "\"attachments\",\"fields\"]}"

static int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
}

/* Forms. */

static struct file *form_of_many_levels(void)
{
    struct file *f = file_new("/AcroForm << /Fields [4 0 R] >>", "/Annots [10004 0 R]");
    add_chain(f, "<< /T (a) /FT /Tx /Parent ^ /Kids [@] >>", 10000,
              "<< /T (z) /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /Parent 10003 0 R >>");
    return f;
}

static struct file *form_that_doubles(void)
{
    struct file *f = file_new("/AcroForm << /Fields [4 0 R] >>", "/Annots [34 0 R]");
    add_chain(f, "<< /T (a) /FT /Tx /Parent 3 0 R /Kids [@ @] >>", 30,
              "<< /T (z) /FT /Tx /Type /Annot /Subtype /Widget /Rect [0 0 9 9] >>");
    return f;
}

static struct file *field_that_is_its_own_kid(void)
{
    struct file *f = file_new("/AcroForm << /Fields [4 0 R] >>", "/Annots [4 0 R]");
    add(f, "<< /T (a) /FT /Tx /Parent 4 0 R /Kids [4 0 R] >>");
    return f;
}

static struct file *field_below_many(void)
{
    struct file *f = file_new("/AcroForm << /Fields [10005 0 R] >>", "/Annots [10005 0 R]");
    add_chain(f, "<< /Parent @ >>", 10000, "<< /FT /Tx /T (a) >>");
    add(f, "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /T (b) /Parent 4 0 R >>");
    return f;
}

static struct file *form_of_many_fields(void)
{
    char *fields = references(FIRST, 21000), *form;
    form = g_strdup_printf("/AcroForm << /Fields %s >>", fields);
    struct file *f = file_new(form, "");
    for (int i = 0; i < 21000; i++)
        add(f, "<< /FT /Tx /T (f%d) >>", i);
    g_free(fields);
    g_free(form);
    return f;
}

/* Pages, outlines, names. */

static struct file *pages_of_many_levels(void)
{
    struct file *f = file_new("", "");
    g_string_assign(object(f, PAGES), "<< /Type /Pages /Kids [4 0 R] /Count 1 >>");
    add_chain(f, "<< /Type /Pages /Kids [@] /Count 1 >>", 10000, "<< /Type /Page >>");
    return f;
}

static struct file *outline_of_many_levels(void)
{
    struct file *f = file_new("/Outlines << /First 4 0 R >>", "");
    add_chain(f, "<< /Title (a) /First @ >>", 20000, "<< /Title (z) >>");
    return f;
}

static struct file *outline_of_many_items(void)
{
    struct file *f = file_new("/Outlines << /First 4 0 R >>", "");
    add_chain(f, "<< /Title (a) /Next @ >>", 50000, "<< /Title (z) >>");
    return f;
}

static struct file *outline_that_is_its_own_end(void)
{
    struct file *f = file_new("/Outlines << /First 4 0 R >>", "");
    add(f, "<< /Title (a) /First 4 0 R /Next 4 0 R >>");
    return f;
}

static struct file *names_of_many_levels(void)
{
    struct file *f = file_new("/Names << /EmbeddedFiles 4 0 R >>", "");
    add_chain(f, "<< /Limits [(a) (z)] /Kids [@] >>", 20000, "<< /Names [] >>");
    return f;
}

static struct file *labels_of_many_levels(void)
{
    struct file *f = file_new("/PageLabels 4 0 R", "");
    add_chain(f, "<< /Kids [@] >>", 20000, "<< /Nums [0 << /S /D >>] >>");
    return f;
}

static struct file *many_attachments(void)
{
    GString *names = g_string_new("/Names << /EmbeddedFiles << /Names [");
    for (int i = 0; i < 50000; i++)
        g_string_append_printf(names, "(%d) 4 0 R ", i);
    g_string_append(names, "] >> >>");
    struct file *f = file_new(names->str, "");
    add(f, "<< /Type /Filespec /F (a.txt) /EF << /F 5 0 R >> >>");
    add_stream(f, "/Type /EmbeddedFile", "hello", 5);
    g_string_free(names, TRUE);
    return f;
}

/* Annotations and their actions. */

static struct file *page_of_many_annotations(void)
{
    char *annotations = references(FIRST, 11000);
    char *page = g_strdup_printf("/Annots %s", annotations);
    struct file *f = file_new("", page);
    for (int i = 0; i < 11000; i++)
        add(f, "<< /Type /Annot /Subtype /Square /Rect [0 0 9 9] >>");
    g_free(annotations);
    g_free(page);
    return f;
}

static struct file *action_before(int count)
{
    struct file *f = file_new("/Outlines << /First 4 0 R >>", "/Annots [5 0 R]");
    add(f, "<< /Title (a) /A 6 0 R >>");
    add(f, "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A 6 0 R >>");
    add_chain(f, "<< /S /URI /URI (http://localhost/) /Next @ >>", count,
              "<< /S /URI /URI (http://localhost/) >>");
    return f;
}

static struct file *action_before_many(void)
{
    return action_before(20000);
}

static struct file *action_before_too_many(void)
{
    return action_before(150000);
}

/* What a page shows. */

static struct file *content_of(const char *resources, const char *content)
{
    char *page = g_strdup_printf("/Contents 4 0 R /Resources << %s >>", resources);
    struct file *f = file_new("", page);
    add_stream(f, "", content, strlen(content));
    g_free(page);
    return f;
}

static struct file *forms_within_forms(void)
{
    struct file *f = content_of("/XObject << /X 5 0 R >>", "/X Do");
    for (int i = 0; i < 20000; i++) {
        char *entries = g_strdup_printf("/Type /XObject /Subtype /Form /BBox [0 0 300 200] "
                                        "/Resources << /XObject << /X %d 0 R >> >>",
                                        6 + i);
        add_stream(f, entries, "/X Do", 5);
        g_free(entries);
    }
    add_stream(f, "/Type /XObject /Subtype /Form /BBox [0 0 300 200]", "0 0 9 9 re f", 12);
    return f;
}

static struct file *functions_within_functions(void)
{
    struct file *f = content_of("/Shading << /S << /ShadingType 2 /ColorSpace /DeviceGray /Coords "
                                "[0 0 9 9] /Function 5 0 R >> >>",
                                "/S sh");
    add_chain(f, "<< /FunctionType 3 /Domain [0 1] /Bounds [] /Encode [0 1] /Functions [@] >>",
              30000, "<< /FunctionType 2 /Domain [0 1] /N 1 >>");
    return f;
}

static struct file *content_behind(const char *filter, int count)
{
    GString *entries = g_string_new("/Filter [");
    for (int i = 0; i < count; i++)
        g_string_append(entries, filter);
    g_string_append(entries, "]");
    struct file *f = file_new("", "/Contents 4 0 R");
    add_stream(f, entries->str, "00>", 3);
    g_string_free(entries, TRUE);
    return f;
}

static struct file *many_filters(void)
{
    return content_behind("/FlateDecode ", 10000);
}

static struct file *many_small_filters(void)
{
    return content_behind("/AHx", 1000000);
}

static struct file *large_picture_in(const char *entries)
{
    struct file *f = content_of("/XObject << /X 5 0 R >>", "300 0 0 200 0 0 cm /X Do");
    add_stream(f, entries, "", 0);
    add_stream(f,
               "/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /BitsPerComponent 1 "
               "/ColorSpace /DeviceGray",
               "", 0);
    return f;
}

static struct file *large_picture(void)
{
    struct file *f = content_of("/XObject << /X 5 0 R >>", "300 0 0 200 0 0 cm /X Do");
    GString *rows = g_string_new(NULL);
    g_string_set_size(rows, (gsize)30000 * 3750);
    memset(rows->str, 0, rows->len);
    uLongf size = compressBound(rows->len);
    unsigned char *bytes = g_malloc(size);
    assert_int_equal(compress2(bytes, &size, (unsigned char *)rows->str, rows->len, 1), Z_OK);
    add_stream(f,
               "/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /BitsPerComponent 1 "
               "/ColorSpace /DeviceGray /Filter /FlateDecode",
               bytes, size);
    g_string_free(rows, TRUE);
    g_free(bytes);
    return f;
}

static struct file *large_picture_in_a_form(void)
{
    return large_picture_in("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject "
                            "<< /F 5 0 R /X 6 0 R >> >>");
}

static struct file *large_picture_as_a_mask(void)
{
    return large_picture_in("/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 "
                            "/ColorSpace /DeviceGray /SMask 6 0 R");
}

static struct file *states_without_end(void)
{
    struct file *f = file_new("", "/Contents 4 0 R");
    GString *content = g_string_new(NULL);
    for (int i = 0; i < 1000000; i++)
        g_string_append(content, "q ");
    uLongf size = compressBound(content->len);
    unsigned char *bytes = g_malloc(size);
    assert_int_equal(compress2(bytes, &size, (unsigned char *)content->str, content->len, 9), Z_OK);
    add_stream(f, "/Filter /FlateDecode", bytes, size);
    g_string_free(content, TRUE);
    g_free(bytes);
    return f;
}

/* 50 MB of nothing, compressed, and compressed again when asked. */
static int add_bomb(struct file *f, const char *entries, bool is_twice)
{
    static const size_t size = (size_t)50 << 20;
    unsigned char *nothing = g_malloc0(size), *once, *twice;
    uLongf once_size = compressBound(size), twice_size;
    char *all;
    int number;

    once = g_malloc(once_size);
    assert_int_equal(compress2(once, &once_size, nothing, size, 1), Z_OK);
    twice_size = compressBound(once_size);
    twice = g_malloc(twice_size);
    assert_int_equal(compress2(twice, &twice_size, once, once_size, 9), Z_OK);
    all = g_strdup_printf("%s /Filter [/FlateDecode%s]", entries, is_twice ? " /FlateDecode" : "");
    number = add_stream(f, all, is_twice ? twice : once, is_twice ? twice_size : once_size);
    g_free(nothing);
    g_free(once);
    g_free(twice);
    g_free(all);
    return number;
}

static struct file *content_bomb(void)
{
    struct file *f = file_new("", "/Contents 4 0 R");
    add_bomb(f, "", true);
    return f;
}

static struct file *metadata_bomb(void)
{
    struct file *f = file_new("/Metadata 4 0 R", "");
    add_bomb(f, "/Type /Metadata /Subtype /XML", false);
    return f;
}

static struct file *metadata_bomb_in_a_bomb(void)
{
    struct file *f = file_new("/Metadata 4 0 R", "");
    add_bomb(f, "/Type /Metadata /Subtype /XML", true);
    return f;
}

static struct file *attachment_bomb(void)
{
    struct file *f = file_new("/Names << /EmbeddedFiles << /Names [(a) 4 0 R] >> >>", "");
    add(f, "<< /Type /Filespec /F (a.txt) /EF << /F 5 0 R >> >>");
    add_bomb(f, "/Type /EmbeddedFile", true);
    return f;
}

static struct file *profile_bomb(void)
{
    struct file *f =
        content_of("/ColorSpace << /C [/ICCBased 5 0 R] >>", "/C cs 1 0 0 sc 0 0 99 99 re f");
    add_bomb(f, "/N 3 /Alternate /DeviceRGB", true);
    return f;
}

static struct file *font_bomb(void)
{
    struct file *f = content_of("/Font << /F 5 0 R >>", "BT /F 12 Tf (abc) Tj ET");
    add(f, "<< /Type /Font /Subtype /TrueType /BaseFont /A /FontDescriptor 6 0 R >>");
    add(f, "<< /Type /FontDescriptor /FontName /A /Flags 32 /FontBBox [0 0 1000 1000] /ItalicAngle "
           "0 /Ascent 900 /Descent 0 /StemV 80 /FontFile2 7 0 R >>");
    add_bomb(f, "/Length1 1000", true);
    return f;
}

/* Runs. */

static const struct hostile {
    const char *name;
    struct file *(*make)(void);
    bool is_packed;
    double memory_mb;      /* limit; 0: the descriptor's */
    const char *inspected; /* words of the error; NULL: a result */
    const char *rendered;
} cases[] = {
#define DEEP_FORM "nested deeper than the limit max_form_depth, 32"
#define DEEP_PAGES "nested deeper than 256 levels"
#define CHAIN "too long a chain"
#define CROWD "more than 10000 annotations"
#define FILTERS "more than 32 filters"
#define PICTURE "30000x30000 pixels; the limit max_image_megapixels is 150"
#define MEMORY "takes more memory than the limit memory_mb"
    {"form of 10,000 levels", form_of_many_levels, false, 0, DEEP_FORM, DEEP_FORM},
    {"form of 10,000 levels, packed", form_of_many_levels, true, 0, DEEP_FORM, DEEP_FORM},
    {"form that doubles", form_that_doubles, false, 0, "limit max_form_fields, 20000",
     "limit max_form_fields, 20000"},
    {"field that is its own kid", field_that_is_its_own_kid, false, 0, DEEP_FORM, DEEP_FORM},
    {"field below 10,000", field_below_many, true, 0, DEEP_FORM, DEEP_FORM},
    {"form of 21,000 fields", form_of_many_fields, false, 0, "limit max_form_fields, 20000",
     "limit max_form_fields, 20000"},
    {"pages of 10,000 levels", pages_of_many_levels, false, 0, DEEP_PAGES, DEEP_PAGES},
    {"outline of 20,000 levels", outline_of_many_levels, true, 0, NULL, NULL},
    {"outline of 50,000 items", outline_of_many_items, false, 0, NULL, NULL},
    {"outline that leads into itself", outline_that_is_its_own_end, false, 0, NULL, NULL},
    {"names of 20,000 levels", names_of_many_levels, true, 0, NULL, NULL},
    {"labels of 20,000 levels", labels_of_many_levels, false, 0, NULL, NULL},
    {"50,000 attachments", many_attachments, false, 0, NULL, NULL},
    {"page of 11,000 annotations", page_of_many_annotations, false, 0, CROWD, CROWD},
    {"action before 20,000", action_before_many, false, 0, NULL, NULL},
    {"the same, packed", action_before_many, true, 0, NULL, NULL},
    {"action before 150,000", action_before_too_many, false, 0, CHAIN, CHAIN},
    {"forms within forms", forms_within_forms, false, 0, NULL, NULL},
    {"functions within functions", functions_within_functions, false, 256, NULL, MEMORY},
    {"10,000 filters", many_filters, false, 0, FILTERS, FILTERS},
    {"1,000,000 filters", many_small_filters, false, 0, FILTERS, FILTERS},
    {"large picture", large_picture, false, 0, NULL, PICTURE},
    {"large picture in a form", large_picture_in_a_form, false, 0, NULL, PICTURE},
    {"large picture as a mask", large_picture_as_a_mask, false, 0, NULL, PICTURE},
    {"states without end", states_without_end, false, 256, NULL, MEMORY},
    {"bomb as content", content_bomb, false, 64, NULL, NULL},
    {"bomb as metadata", metadata_bomb, false, 64, MEMORY, NULL},
    {"bomb in a bomb as metadata", metadata_bomb_in_a_bomb, false, 64, MEMORY, NULL},
    {"bomb as attachment", attachment_bomb, false, 64, NULL, NULL},
    {"bomb as profile", profile_bomb, false, 64, NULL, MEMORY},
    {"bomb as font", font_bomb, false, 64, NULL, MEMORY},
};

static void assert_answered(const struct hostile *c, const GString *in, const char *name,
                            const char *params, const char *words)
{
    char *descriptor = g_strdup_printf("fcgi-app/tasks/pdf/%s.json", name);
    struct run *run = fake_run_new(descriptor, params);
    const struct task *task = gangsaw_module.tasks;
    struct error error = {0};

    if (c->memory_mb != 0)
        fake_run_set_limit(run, "memory_mb", c->memory_mb);
    fake_run_input(run, "document", "application/pdf", in->str, in->len);
    while (strcmp(task->name, name) != 0)
        task++;
    int result = task->run(run, &error);
    if (words == NULL
            ? result != 0
            : result == 0 || error.code != ERR_INVALID_INPUT || strstr(error.detail, words) == NULL)
        fail_msg("%s of a %s: %s: %s, not %s", name, c->name,
                 result == 0 ? "a result" : error_name(error.code), error.detail,
                 words != NULL ? words : "a result");
    fake_run_free(run);
    g_free(descriptor);
}

static void test_what_leads_on_without_end_is_an_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (IS_SANITIZED && (cases[i].memory_mb != 0 || cases[i].make == action_before_too_many)) {
            print_message("left out: %s, the sanitizer's heap cannot be measured, and is slow\n",
                          cases[i].name);
            continue;
        }
        struct file *f = cases[i].make();
        GString *in = cases[i].is_packed ? file_end_packed(f) : file_end(f);
        assert_answered(&cases[i], in, "pdf.inspect", EVERYTHING, cases[i].inspected);
        assert_answered(&cases[i], in, "pdf.render", "{\"dpi\":20}", cases[i].rendered);
        g_string_free(in, TRUE);
    }
}

static void test_a_crowded_page_is_told_and_the_others_are_read(void **state)
{
    (void)state;
    struct file *f = page_of_many_annotations();
    int more = add(f, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] >>");
    g_string_printf(object(f, PAGES), "<< /Type /Pages /Kids [%d 0 R 3 0 R] /Count 2 >>", more);
    GString *in = file_end(f);
    struct run *run = fake_run_new("fcgi-app/tasks/pdf/pdf.inspect.json", "{}");
    struct error error = {0};
    fake_run_input(run, "document", "application/pdf", in->str, in->len);
    assert_string_equal(gangsaw_module.tasks[1].name, "pdf.inspect");
    assert_int_equal(gangsaw_module.tasks[1].run(run, &error), 0);
    const cJSON *notes = cJSON_GetObjectItem(fake_run_result(run), "unreadable");
    assert_int_equal(cJSON_GetArraySize(notes), 1);
    assert_string_equal(
        cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(notes, 0), "detail")),
        "The page, or one before it, has more than 10000 annotations.");
    fake_run_free(run);
    g_string_free(in, TRUE);
}

static void test_a_form_within_the_limits_is_read(void **state)
{
    (void)state;
    struct file *f = file_new("/AcroForm << /Fields [4 0 R] >>", "/Annots [33 0 R]");
    add_chain(f, "<< /T (a) /FT /Tx /Parent ^ /Kids [@] >>", 29,
              "<< /T (z) /V (x) /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /Parent 32 0 R >>");
    g_string_assign(object(f, FIRST), "<< /T (a) /FT /Tx /Kids [5 0 R] >>");
    GString *in = file_end(f);
    struct run *run =
        fake_run_new("fcgi-app/tasks/pdf/pdf.inspect.json", "{\"include\":[\"fields\"]}");
    struct error error = {0};
    fake_run_input(run, "document", "application/pdf", in->str, in->len);
    assert_int_equal(gangsaw_module.tasks[1].run(run, &error), 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(fake_run_result(run), "fields")), 1);
    fake_run_free(run);
    g_string_free(in, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_leads_on_without_end_is_an_answer),
        cmocka_unit_test(test_a_crowded_page_is_told_and_the_others_are_read),
        cmocka_unit_test(test_a_form_within_the_limits_is_read),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
