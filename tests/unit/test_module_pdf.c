/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.inspect, pdf.text and what they stand on: selections, words, layout, limits, stopping. What
 * needs real documents, and other programs to compare with, is in tests/api/test_pdf.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_run.h"
#include "tasks/pdf/selection.h"
#include "tasks/pdf/words.h"

#define INSPECT "fcgi-app/tasks/pdf/pdf.inspect.json"
#define TEXT "fcgi-app/tasks/pdf/pdf.text.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
}

/* A document of `pages` pages that all show `shown`; `outline` items refer to the next one. */
static GString *document(int pages, const char *shown, int outline)
{
    GString *out = g_string_new("%PDF-1.5\n"), *xref = g_string_new(NULL);
    int objects = 4 + pages + outline, first_page = 5, first_item = first_page + pages;

    for (int i = 1; i <= objects; i++) {
        g_string_append_printf(xref, "%010zu 00000 n \n", out->len);
        g_string_append_printf(out, "%d 0 obj\n", i);
        if (i == 1)
            g_string_append_printf(out,
                                   "<< /Type /Catalog /Pages 2 0 R /Outlines << /First %d 0 R "
                                   "/Last %d 0 R >> >>",
                                   first_item, objects);
        else if (i == 2) {
            g_string_append_printf(out, "<< /Type /Pages /Count %d /Kids [", pages);
            for (int k = 0; k < pages; k++)
                g_string_append_printf(out, "%d 0 R ", first_page + k);
            g_string_append(out, "] >>");
        } else if (i == 3)
            g_string_append_printf(out, "<< /Length %zu >>\nstream\n%s\nendstream", strlen(shown),
                                   shown);
        else if (i == 4)
            g_string_append(out, "<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>");
        else if (i < first_item)
            g_string_append(out, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents "
                                 "3 0 R /Resources << /Font << /F1 4 0 R >> >> >>");
        else
            g_string_append_printf(out, "<< /Title (Item %d) /Next %d 0 R >>", i - first_item + 1,
                                   i + 1);
        g_string_append(out, "\nendobj\n");
    }
    size_t start = out->len;
    g_string_append_printf(out,
                           "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R "
                           ">>\nstartxref\n%zu\n%%%%EOF\n",
                           objects + 1, xref->str, objects + 1, start);
    g_string_free(xref, TRUE);
    return out;
}

static int compute(struct run *run, const char *task, const GString *in, struct error *reterr)
{
    const struct task *each = gangsaw_module.tasks;
    fake_run_input(run, "document", "application/pdf", in->str, in->len);
    while (strcmp(each->name, task) != 0)
        each++;
    return each->run(run, reterr);
}

static const cJSON *member(const struct run *run, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(fake_run_result(run), name);
    assert_non_null(found);
    return found;
}

/* Selections. */

static void test_selections_name_pages_in_any_order(void **state)
{
    static const struct {
        const char *text;
        int count, pages[8];
    } cases[] = {
        {NULL, 7, {1, 2, 3, 4, 5, 6, 7}},
        {"1", 1, {1}},
        {"last", 1, {7}},
        {"2-4", 3, {2, 3, 4}},
        {"4-2", 3, {4, 3, 2}},
        {"5-", 3, {5, 6, 7}},
        {"last-5", 3, {7, 6, 5}},
        {"1,1,1", 3, {1, 1, 1}},
        {"3,last,1-2", 4, {3, 7, 1, 2}},
        {"7-", 1, {7}},
        {"0007", 1, {7}},
        {"last-", 1, {7}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct selection s;
        struct error error = {0};
        assert_int_equal(selection_parse(&s, "select", cases[i].text, 7, 8, &error), 0);
        assert_int_equal(s.count, cases[i].count);
        assert_memory_equal(s.pages, cases[i].pages, (size_t)s.count * sizeof(int));
        selection_release(&s);
    }
}

static void test_selections_of_other_pages_are_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"8", "names page 8; the document has pages 1 to 7"},
        {"0", "names page 0"},
        {"1-8", "names page 8"},
        {"9999999", "names page 9999999"},
        {"1-7,1-2", "selects more than 8 pages"},
        {"", "is not a list of pages"},
        {"x", "is not a list of pages"},
        {"1,", "is not a list of pages"},
        {"-3", "names page -3"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct selection s;
        struct error error = {0};
        assert_int_equal(selection_parse(&s, "select", cases[i].text, 7, 8, &error), -1);
        assert_int_equal(error.code, ERR_INVALID_PARAMS);
        if (strstr(error.detail, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].text, error.detail);
        selection_release(&s);
    }
}

/* Layout: words 6 points wide a character, 10 high. */

struct placed {
    const char *text;
    double left, top;
};

static char *laid_out(const struct placed *placed, size_t count)
{
    struct word words[16] = {0};
    for (size_t i = 0; i < count; i++) {
        words[i].text = placed[i].text;
        words[i].size = strlen(placed[i].text);
        words[i].length = (int)g_utf8_strlen(placed[i].text, -1);
        words[i].box = (struct word_box){placed[i].left, placed[i].top,
                                         placed[i].left + 6 * words[i].length, placed[i].top + 10};
    }
    struct page_words p = {.words = words, .count = (int)count};
    return g_string_free(page_words_layout(&p), FALSE);
}

static void assert_layout(const struct placed *placed, size_t count, const char *expected)
{
    char *text = laid_out(placed, count);
    assert_string_equal(text, expected);
    g_free(text);
}

static void test_columns_stand_under_each_other(void **state)
{
    static const struct placed table[] = {
        {"total", 172, 40}, {"apple", 100, 20}, {"1", 190, 20},   {"banana", 100, 30},
        {"12", 184, 30},    {"13", 184, 40},    {"sum", 100, 40},
    };
    (void)state;
    assert_layout(table, 5, "apple          1\nbanana        12\n            total\n");
    assert_layout(table, 0, "");
    assert_layout(table + 1, 1, "apple\n");
}

static void test_words_of_a_line_are_a_space_apart(void **state)
{
    static const struct placed line[] = {{"An", 72, 20}, {"even", 90, 20}, {"line", 121, 20.4}};
    (void)state;
    assert_layout(line, 3, "An even line\n");
}

static void test_what_ends_left_of_it_never_stands_in_its_column(void **state)
{
    /* narrow letters above: more characters than columns of the grid */
    static const struct placed narrow[] = {
        {"wide", 100, 10}, {"iiiiiiiiii", 10, 20}, {"x", 100, 20}};
    (void)state;
    char *text = laid_out(narrow, 3);
    const char *feed = strchr(text, '\n');
    assert_non_null(feed);
    assert_int_equal(strstr(text, "wide") - text, strchr(feed, 'x') - feed - 1);
    g_free(text);
}

static void test_empty_lines_are_as_high_as_on_paper_and_few(void **state)
{
    static const struct placed far[] = {{"a", 0, 0}, {"b", 0, 12}, {"c", 0, 36}, {"d", 0, 7000}};
    (void)state;
    assert_layout(far, 4, "a\nb\n\nc\n\n\n\n\nd\n");
}

static void test_right_to_left_is_read_from_the_right(void **state)
{
    static const struct placed hebrew[] = {{"שלום", 60, 0}, {"עולם", 30, 0}};
    static const struct placed mixed[] = {{"one", 0, 0}, {"שלום", 22, 0}, {"two", 50, 0}};
    (void)state;
    assert_layout(hebrew, 2, "שלום עולם\n");
    assert_layout(mixed, 3, "one שלום two\n");
}

static void test_a_column_far_away_costs_a_bounded_line(void **state)
{
    static const struct placed far[] = {{"a", 0, 0}, {"b", 1e9, 0}, {"c", -1e9, 20}};
    (void)state;
    char *text = laid_out(far, 3);
    assert_true(strlen(text) < 4000);
    g_free(text);
}

/* Tasks. */

static const char two_lines[] = "BT /F1 10 Tf 10 100 Td (Hello world) Tj 0 -12 Td (second) Tj ET";

static void test_text_comes_page_by_page(void **state)
{
    (void)state;
    GString *in = document(3, two_lines, 0);
    struct error error = {0};
    struct run *run =
        fake_run_new(TEXT, "{\"select\":\"last,1\",\"formats\":[\"text\",\"words\"]}");
    assert_int_equal(compute(run, "pdf.text", in, &error), 0);
    const struct run_output *out = fake_run_output(run, 0);
    assert_string_equal(out->name, "text");
    assert_int_equal(out->size, 2 * strlen("Hello world\nsecond\n\f"));
    assert_memory_equal(out->bytes, "Hello world\nsecond\n\fHello world\nsecond\n\f", out->size);
    assert_int_equal(member(run, "pages")->valueint, 3);
    assert_int_equal(member(run, "selected")->valueint, 2);
    assert_int_equal(member(run, "words")->valueint, 6);
    assert_int_equal(member(run, "characters")->valueint, 32);
    assert_int_equal(cJSON_GetArraySize(member(run, "extracted")), 2);
    assert_int_equal(cJSON_GetArraySize(member(run, "unreadable")), 0);
    fake_run_free(run);
    g_string_free(in, TRUE);
}

static void test_a_page_of_broken_content_is_named(void **state)
{
    static const struct {
        const char *shown, *detail;
        bool is_refused;
    } cases[] = {
        {"BT /F1 10 Tf (unterminated", "No page of the input document can be read.", true},
        {"BT /F1 10 Tf 10 90 Td (seen) Tj ET BT (unterminated", NULL, false},
        {"", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        GString *in = document(1, cases[i].shown, 0);
        struct error error = {0};
        struct run *run = fake_run_new(TEXT, "{}");
        assert_int_equal(compute(run, "pdf.text", in, &error), cases[i].is_refused ? -1 : 0);
        if (cases[i].is_refused) {
            assert_int_equal(error.code, ERR_INVALID_INPUT);
            assert_string_equal(error.detail, cases[i].detail);
        } else {
            bool is_damaged = cases[i].shown[0] != '\0';
            assert_int_equal(cJSON_GetArraySize(member(run, "damaged")), is_damaged);
        }
        fake_run_free(run);
        g_string_free(in, TRUE);
    }
}

static void test_limits_are_named_with_their_value(void **state)
{
    static const struct {
        const char *task, *descriptor, *params, *limit;
        double value;
        enum err_code code;
        const char *words;
    } cases[] = {
        {"pdf.text", TEXT, "{}", "max_pages", 2, ERR_INVALID_INPUT,
         "has 3 pages; the limit max_pages is 2"},
        {"pdf.inspect", INSPECT, "{}", "max_pages", 2, ERR_INVALID_INPUT,
         "has 3 pages; the limit max_pages is 2"},
        {"pdf.text", TEXT, "{\"formats\":[\"words\"]}", "max_words", 5, ERR_INVALID_INPUT,
         "the limit max_words, 5"},
        {"pdf.text", TEXT, "{}", "output_bytes", 30, ERR_TOO_LARGE, "output_bytes"},
        {"pdf.text", TEXT, "{\"select\":\"1-2,1-2\"}", "max_pages", 3, ERR_INVALID_PARAMS,
         "selects more than 3 pages"},
    };
    (void)state;
    GString *in = document(3, two_lines, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = {0};
        struct run *run = fake_run_new(cases[i].descriptor, cases[i].params);
        fake_run_set_limit(run, cases[i].limit, cases[i].value);
        assert_int_equal(compute(run, cases[i].task, in, &error), -1);
        assert_int_equal(error.code, cases[i].code);
        if (strstr(error.detail, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].words, error.detail);
        assert_null(fake_run_result(run));
        fake_run_free(run);
    }
    g_string_free(in, TRUE);
}

static void test_lists_end_at_their_limit_and_say_so(void **state)
{
    (void)state;
    GString *in = document(3, two_lines, 20);
    for (int limit = 19; limit <= 20; limit++) {
        struct error error = {0};
        struct run *run = fake_run_new(INSPECT, "{\"include\":[\"outline\",\"labels\"]}");
        fake_run_set_limit(run, "max_items", limit);
        assert_int_equal(compute(run, "pdf.inspect", in, &error), 0);
        assert_int_equal(cJSON_GetArraySize(member(run, "outline")), limit);
        const cJSON *truncated = member(run, "truncated");
        assert_int_equal(cJSON_GetArraySize(truncated), limit < 20);
        if (limit < 20)
            assert_string_equal(truncated->child->valuestring, "outline");
        assert_int_equal(cJSON_GetArraySize(member(run, "labels")), 3);
        fake_run_free(run);
    }
    g_string_free(in, TRUE);
}

static void test_runs_stop_when_told(void **state)
{
    static const struct {
        const char *task, *descriptor, *params;
    } cases[] = {
        {"pdf.text", TEXT, "{}"},
        {"pdf.inspect", INSPECT, "{\"include\":[\"sizes\"]}"},
        {"pdf.inspect", INSPECT, "{\"include\":[\"labels\"]}"},
        {"pdf.inspect", INSPECT, "{\"include\":[\"fonts\"]}"},
        {"pdf.inspect", INSPECT, "{\"include\":[\"fields\"]}"},
        {"pdf.inspect", INSPECT, "{\"include\":[\"outline\"]}"},
    };
    (void)state;
    GString *in = document(20, two_lines, 10);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = {0};
        struct run *run = fake_run_new(cases[i].descriptor, cases[i].params);
        assert_int_equal(compute(run, cases[i].task, in, &error), 0);
        int calls = fake_run_progress_calls(run);
        fake_run_free(run);
        assert_true(calls > 10);
        for (int stop = 1; stop <= calls; stop += stop < calls ? MIN(7, calls - stop) : 1) {
            run = fake_run_new(cases[i].descriptor, cases[i].params);
            fake_run_stop_at_call(run, stop);
            error = (struct error){0};
            assert_int_equal(compute(run, cases[i].task, in, &error), -1);
            assert_int_equal(error.code, ERR_STOPPED);
            assert_null(fake_run_result(run));
            fake_run_free(run);
        }
    }
    g_string_free(in, TRUE);
}

/* Whatever is flipped, it ends, with an answer or with a reason. */
static void test_damaged_documents_end_one_way_or_the_other(void **state)
{
    unsigned seed = 1;
    (void)state;
    GString *in = document(2, two_lines, 3);
    for (int round = 0; round < 300; round++) {
        GString *copy = g_string_new_len(in->str, (gssize)in->len);
        fake_run_damage((unsigned char *)copy->str + 9, copy->len - 9, &seed);
        static const struct {
            const char *task, *descriptor, *params;
        } tasks[] = {
            {"pdf.text", TEXT, "{\"layout\":\"physical\",\"formats\":[\"text\",\"words\"]}"},
            {"pdf.inspect", INSPECT,
             "{\"include\":[\"metadata\",\"xmp\",\"sizes\",\"labels\",\"outline\",\"fonts\","
             "\"attachments\",\"fields\"]}"},
        };
        for (size_t i = 0; i < COUNT(tasks); i++) {
            struct error error = {0};
            struct run *run = fake_run_new(tasks[i].descriptor, tasks[i].params);
            if (compute(run, tasks[i].task, copy, &error) != 0)
                assert_int_equal(error.code, ERR_INVALID_INPUT);
            fake_run_free(run);
        }
        g_string_free(copy, TRUE);
    }
    g_string_free(in, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selections_name_pages_in_any_order),
        cmocka_unit_test(test_selections_of_other_pages_are_refused),
        cmocka_unit_test(test_columns_stand_under_each_other),
        cmocka_unit_test(test_words_of_a_line_are_a_space_apart),
        cmocka_unit_test(test_what_ends_left_of_it_never_stands_in_its_column),
        cmocka_unit_test(test_empty_lines_are_as_high_as_on_paper_and_few),
        cmocka_unit_test(test_right_to_left_is_read_from_the_right),
        cmocka_unit_test(test_a_column_far_away_costs_a_bounded_line),
        cmocka_unit_test(test_text_comes_page_by_page),
        cmocka_unit_test(test_a_page_of_broken_content_is_named),
        cmocka_unit_test(test_limits_are_named_with_their_value),
        cmocka_unit_test(test_lists_end_at_their_limit_and_say_so),
        cmocka_unit_test(test_runs_stop_when_told),
        cmocka_unit_test(test_damaged_documents_end_one_way_or_the_other),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
