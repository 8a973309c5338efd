/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `pdf`: what stays behind with pages that are left out. Whatever led from page to page
 * is followed by the writer: a word of a page that is gone must not be anywhere in the result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "fake_run.h"

#define ASSEMBLE "fcgi-app/tasks/pdf/pdf.assemble.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Pages are 3, 4, 5; what a page alone has says its number: SECRET1, SECRET2, SECRET3. */
static const char *const base[] = {
    "<< /Type /Catalog /Pages 2 0 R /AcroForm 6 0 R /StructTreeRoot 20 0 R /MarkInfo << /Marked "
    "true >> /Threads [22 0 R] /Names << /Dests << /Names [(to SECRET1) [3 0 R /Fit] (to SECRET2) "
    "<< /D [4 0 R /Fit] >> (to SECRET3) [5 0 R /Fit]] >> >> /Dests << /NameSECRET1 [3 0 R /Fit] "
    "/NameSECRET2 [4 0 R /Fit] /NameSECRET3 [5 0 R /Fit] >> /Outlines 30 0 R /PageMode "
    "/UseNone >>",
    "<< /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 90 50] /Annots [11 0 R 14 0 R 17 0 R] /B [23 0 R] "
    ">>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 90 50] /Annots [12 0 R 15 0 R 18 0 R] /B [24 0 R] "
    ">>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 90 50] /Annots [13 0 R 16 0 R] /B [25 0 R] >>",
    "<< /Fields [10 0 R 19 0 R 27 0 R] /XFA (SECRET1 SECRET2 SECRET3) /CO [11 0 R 12 0 R] >>", /* 6
                                                                                                */
    "null",
    "null",
    "null",
    "<< /T (form) /Kids [11 0 R 12 0 R 13 0 R 10 0 R] >>", /* 10 */
    "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /FT /Tx /T (a) /V (SECRET1) /Parent 10 0 R "
    ">>",
    "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /FT /Tx /T (b) /V (SECRET2) /Parent 10 0 R "
    ">>",
    "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /FT /Tx /T (c) /V (SECRET3) /Parent 10 0 R "
    ">>",
    /* links: to structure, to send all fields, and widgets of one field apart from it */
    "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /GoTo /D [4 0 R /Fit] /SD [21 0 R "
    "/Fit] >> >>",
    "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /SubmitForm /Fields [10 0 R 13 0 R] "
    ">> >>",
    "<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (x) /Next << /S /Hide /T 10 "
    "0 R >> >> >>",
    "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /Parent 19 0 R >>",
    "<< /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /Parent 26 0 R >>",
    "<< /FT /Tx /T (SECRET1) /Kids [17 0 R] >>",
    "<< /Type /StructTreeRoot /K 21 0 R >>", /* 20 */
    "<< /S /P /P 20 0 R /ActualText (SECRET1 SECRET2 SECRET3) /Pg 3 0 R >>",
    "<< /F 23 0 R /I << /Title (SECRET1 SECRET2 SECRET3) >> >>",
    "<< /T 22 0 R /N 24 0 R /V 25 0 R /P 3 0 R >>",
    "<< /N 25 0 R /V 23 0 R /P 4 0 R >>",
    "<< /N 23 0 R /V 24 0 R /P 5 0 R >>",
    "<< /T (SECRET2) /FT /Tx /Kids [18 0 R] >>", /* leads to by its widget alone */
    "<< /T (no page) /FT /Tx /V (SECRET1 SECRET2 SECRET3) >>",
    "null",
    "null",
    "<< /Type /Outlines /First 31 0 R /Last 33 0 R /Count 3 >>", /* 30 */
    "<< /Title (SECRET1) /Parent 30 0 R /Next 32 0 R /Dest [3 0 R /Fit] >>",
    "<< /Title (SECRET2) /Parent 30 0 R /Prev 31 0 R /Next 33 0 R /A << /S /GoTo /D (to SECRET2) "
    ">> >>",
    "<< /Title (SECRET3) /Parent 30 0 R /Prev 32 0 R /Dest /NameSECRET3 >>",
};

static GString *make_document(const char *const *objects, size_t count)
{
    GString *out = g_string_new("%PDF-1.7\n");
    GString *table = g_string_new(NULL);

    for (size_t i = 0; i < count; i++) {
        g_string_append_printf(table, "%010zu 00000 n \n", out->len);
        g_string_append_printf(out, "%zu 0 obj\n%s\nendobj\n", i + 1, objects[i]);
    }
    gsize start = out->len;
    g_string_append_printf(out,
                           "xref\n0 %zu\n0000000000 65535 f \n%strailer\n<< /Size %zu /Root 1 0 R "
                           ">>\nstartxref\n%zu\n%%%%EOF\n",
                           count + 1, table->str, count + 1, start);
    g_string_free(table, TRUE);
    return out;
}

static int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
}

static struct run *assemble(const char *params, const GString *document)
{
    const struct task *task = gangsaw_module.tasks;
    struct run *run = fake_run_new(ASSEMBLE, params);
    struct error error = {0};

    while (strcmp(task->name, "pdf.assemble") != 0)
        task++;
    fake_run_input(run, "document", "application/pdf", document->str, document->len);
    if (task->run(run, &error) != 0)
        fail_msg("%s: %s", params, error.detail);
    return run;
}

static bool has(struct run *run, int output, const char *words)
{
    return memmem(fake_run_output(run, output)->bytes, fake_run_output(run, output)->size, words,
                  strlen(words)) != NULL;
}

static void test_nothing_of_pages_that_are_left_out_is_in_the_result(void **state)
{
    static const struct {
        const char *params;
        const char *kept[3]; /* of each output */
    } cases[] = {
        {"{\"select\":\"1\"}", {"1"}},     {"{\"select\":\"2\"}", {"2"}},
        {"{\"select\":\"3\"}", {"3"}},     {"{\"select\":\"3,1\"}", {"13"}},
        {"{\"select\":\"2,2\"}", {"2"}},   {"{\"split\":1}", {"1", "2", "3"}},
        {"{\"split\":2}", {"12", "3"}},    {"{\"select\":\"3-2\",\"split\":1}", {"3", "2"}},
        {"{\"select\":\"1-3\"}", {"123"}}, {"{\"select\":\"3-1\"}", {"123"}},
    };
    static const char *const secrets[] = {"SECRET1", "SECRET2", "SECRET3"};
    (void)state;
    GString *document = make_document(base, COUNT(base));

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run *run = assemble(cases[i].params, document);
        for (int k = 0; k < 3 && cases[i].kept[k] != NULL; k++)
            for (int n = 0; n < 3; n++)
                if (has(run, k, secrets[n]) != (strchr(cases[i].kept[k], '1' + n) != NULL))
                    fail_msg("%s, output %d: %s", cases[i].params, k + 1, secrets[n]);
        fake_run_free(run);
    }
    g_string_free(document, TRUE);
}

static void test_fields_of_pages_that_are_taken_stay_in_the_form(void **state)
{
    (void)state;
    GString *document = make_document(base, COUNT(base));
    struct run *run = assemble("{\"select\":\"2\"}", document);
    assert_true(has(run, 0, "/AcroForm"));
    assert_true(has(run, 0, "(form)"));
    assert_false(has(run, 0, "(no page)"));
    assert_false(has(run, 0, "/XFA"));
    fake_run_free(run);
    g_string_free(document, TRUE);
}

static void test_what_leads_to_pages_that_are_taken_stays(void **state)
{
    static const char *const kept[] = {"(to SECRET2)", "(to SECRET3)",     "/NameSECRET2",
                                       "/NameSECRET3", "/Title (SECRET2)", "/Title (SECRET3)",
                                       "/Count 2"};
    (void)state;
    GString *document = make_document(base, COUNT(base));
    struct run *run = assemble("{\"select\":\"2-3\"}", document);
    for (size_t i = 0; i < COUNT(kept); i++)
        if (!has(run, 0, kept[i]))
            fail_msg("%s is gone", kept[i]);
    fake_run_free(run);
    g_string_free(document, TRUE);
}

static void test_an_item_stays_for_those_below_it(void **state)
{
    static const char *const items[] = {
        "<< /Type /Outlines /First 31 0 R /Last 31 0 R /Count 3 >>",
        "<< /Title (part) /Parent 30 0 R /Dest [3 0 R /Fit] /First 32 0 R /Last 33 0 R /Count 2 >>",
        "<< /Title (SECRET1) /Parent 31 0 R /Next 33 0 R /Dest [3 0 R /Fit] /First 31 0 R >>",
        "<< /Title (below) /Parent 31 0 R /Prev 32 0 R /Next 31 0 R /Dest [4 0 R /Fit] >>",
    };
    const char *objects[COUNT(base)];
    (void)state;

    memcpy(objects, base, sizeof(base));
    memcpy(objects + 29, items, sizeof(items));
    GString *document = make_document(objects, COUNT(objects));
    struct run *run = assemble("{\"select\":\"2\"}", document);
    assert_true(has(run, 0, "(part)"));
    assert_true(has(run, 0, "(below)"));
    assert_false(has(run, 0, "SECRET1"));
    fake_run_free(run);
    run = assemble("{\"select\":\"3\"}", document);
    assert_false(has(run, 0, "/Outlines"));
    assert_false(has(run, 0, "(part)"));
    fake_run_free(run);
    g_string_free(document, TRUE);
}

static void test_a_form_that_leads_anywhere_hurts_nobody(void **state)
{
    static const char *const forms[] = {
        "<< /Fields [1 0 R 2 0 R 3 0 R 6 0 R 4 0 R] >>",
        "<< /Fields 6 0 R /Kids [6 0 R] >>",
        "<< /Fields [[10 0 R] 5 (a) null 99 0 R << /Kids [<< /Kids [10 0 R] >>] >>] >>",
        "[]",
        "(form)",
        "<< /Fields 2 0 R >>",
    };
    const char *objects[COUNT(base)];
    (void)state;

    memcpy(objects, base, sizeof(base));
    for (size_t i = 0; i < COUNT(forms); i++) {
        objects[5] = forms[i];
        GString *document = make_document(objects, COUNT(objects));
        struct run *run = assemble("{\"select\":\"2\"}", document);
        assert_false(has(run, 0, "(SECRET1)"));
        assert_true(has(run, 0, "/Type /Page\n") || has(run, 0, "/Type /Page "));
        fake_run_free(run);
        run = assemble("{\"split\":1}", document);
        assert_false(has(run, 1, "(SECRET1)"));
        fake_run_free(run);
        g_string_free(document, TRUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_of_pages_that_are_left_out_is_in_the_result),
        cmocka_unit_test(test_fields_of_pages_that_are_taken_stay_in_the_form),
        cmocka_unit_test(test_what_leads_to_pages_that_are_taken_stays),
        cmocka_unit_test(test_an_item_stays_for_those_below_it),
        cmocka_unit_test(test_a_form_that_leads_anywhere_hurts_nobody),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
