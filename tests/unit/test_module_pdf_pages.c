/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `pdf`: pages as pixels and pictures, documents put together. What they look like is
 * compared with others' commands in tests/api; here: exact pixels, limits, and being told to stop
 * at any moment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <poppler.h>
#include <stdlib.h>
#include <string.h>

#include "fake_run.h"
#include "tasks/pdf/document.h"
#include "tasks/pdf/raster.h"

#define RENDER "fcgi-app/tasks/pdf/pdf.render.json"
#define ASSEMBLE "fcgi-app/tasks/pdf/pdf.assemble.json"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RED 0xffff0000u
#define WHITE 0xffffffffu

/* Pages of 100 x 50 points with a red square of 10 in their lower left corner. */
static GString *make_document(int pages, const char *of_page)
{
    GString *out = g_string_new("%PDF-1.7\n");
    GArray *offsets = g_array_new(FALSE, FALSE, sizeof(gsize));

    g_array_append_val(offsets, out->len);
    g_string_append(out, "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n");
    g_array_append_val(offsets, out->len);
    g_string_append(out, "2 0 obj\n<< /Type /Pages /Kids [");
    for (int i = 0; i < pages; i++)
        g_string_append_printf(out, "%d 0 R ", i + 4);
    g_string_append_printf(out, "] /Count %d >>\nendobj\n", pages);
    g_array_append_val(offsets, out->len);
    g_string_append(out,
                    "3 0 obj\n<< /Length 26 >>\nstream\n1 0 0 rg 0 0 10 10 re f    \nendstream\n"
                    "endobj\n");
    for (int i = 0; i < pages; i++) {
        g_array_append_val(offsets, out->len);
        g_string_append_printf(out,
                               "%d 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 50] "
                               "/Contents 3 0 R %s >>\nendobj\n",
                               i + 4, of_page);
    }
    gsize start = out->len;
    g_string_append_printf(out, "xref\n0 %d\n0000000000 65535 f \n", pages + 4);
    for (guint i = 0; i < offsets->len; i++)
        g_string_append_printf(out, "%010zu 00000 n \n", g_array_index(offsets, gsize, i));
    g_string_append_printf(out, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%zu\n%%%%EOF\n",
                           pages + 4, start);
    g_array_unref(offsets);
    return out;
}

static int start_module(void **state)
{
    struct error error = {0};
    (void)state;
    return gangsaw_module.init(&error);
}

static int run_task(const char *name, struct run *run, struct error *reterr)
{
    const struct task *task = gangsaw_module.tasks;
    while (strcmp(task->name, name) != 0)
        task++;
    return task->run(run, reterr);
}

static struct run *new_run(const char *descriptor, const char *params, const GString *document)
{
    struct run *run = fake_run_new(descriptor, params);
    fake_run_input(run, "document", "application/pdf", document->str, document->len);
    return run;
}

/* The first page at `dpi`; NULL when it was refused. */
static cairo_surface_t *raster(struct run *run, double dpi, bool is_transparent,
                               struct error *reterr)
{
    struct document d;
    cairo_surface_t *surface = NULL;

    assert_int_equal(document_open(&d, run, "document", 0, NULL, reterr), 0);
    PopplerPage *page = document_page(&d, 1);
    assert_non_null(page);
    (void)!raster_page(run, page, dpi, is_transparent, &surface, reterr);
    g_object_unref(page);
    document_release(&d);
    return surface;
}

static uint32_t pixel(cairo_surface_t *surface, int x, int y)
{
    const unsigned char *rows = cairo_image_surface_get_data(surface);
    uint32_t value;
    memcpy(&value, rows + y * cairo_image_surface_get_stride(surface) + 4 * x, 4);
    return cairo_image_surface_get_format(surface) == CAIRO_FORMAT_RGB24 ? value | 0xff000000u
                                                                         : value;
}

/* Pixels. */

static void test_a_page_is_drawn_to_the_pixel(void **state)
{
    static const struct {
        const char *of_page;
        double dpi;
        int width, height, red_x, red_y; /* in the square's far corner */
    } cases[] = {
        {"", 72, 100, 50, 9, 40},
        {"", 144, 200, 100, 19, 80},
        {"", 75, 105, 53, 9, 43},
        {"", 36, 50, 25, 4, 20},
        {"", 7.2, 10, 5, 0, 4},
        {"/Rotate 90", 72, 50, 100, 9, 9},
        {"/Rotate 180", 72, 100, 50, 90, 9},
        {"/Rotate 270", 72, 50, 100, 40, 90},
        {"/CropBox [5 5 45 25]", 72, 40, 20, 4, 15},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        GString *document = make_document(1, cases[i].of_page);
        struct run *run = new_run(RENDER, "{}", document);
        struct error error = {0};
        cairo_surface_t *surface = raster(run, cases[i].dpi, false, &error);

        assert_non_null(surface);
        assert_int_equal(cairo_image_surface_get_width(surface), cases[i].width);
        assert_int_equal(cairo_image_surface_get_height(surface), cases[i].height);
        assert_int_equal(pixel(surface, cases[i].red_x, cases[i].red_y), RED);
        assert_int_equal(pixel(surface, cases[i].width / 2, cases[i].height / 2), WHITE);
        cairo_surface_destroy(surface);
        fake_run_free(run);
        g_string_free(document, TRUE);
    }
}

static void test_transparent_paper_is_nothing(void **state)
{
    (void)state;
    GString *document = make_document(1, "");
    struct run *run = new_run(RENDER, "{}", document);
    struct error error = {0};
    cairo_surface_t *surface = raster(run, 72, true, &error);

    assert_int_equal(cairo_image_surface_get_format(surface), CAIRO_FORMAT_ARGB32);
    assert_int_equal(pixel(surface, 5, 45), RED);
    assert_int_equal(pixel(surface, 50, 5), 0);
    cairo_surface_destroy(surface);
    fake_run_free(run);
    g_string_free(document, TRUE);
}

static void test_the_limit_of_pixels_is_looked_at_first(void **state)
{
    static const struct {
        double dpi, limit;
        const char *words; /* NULL: it is fine */
    } cases[] = {
        {72, 0.005, NULL},
        {72, 0.0049, "max_megapixels is 0.0049"},
        {73, 0.005, "102x51 pixels at 73 dpi"},
        {2e9, 71, "max_megapixels"},
        {36000, 1e9, "at most 32767"},
    };
    (void)state;
    GString *document = make_document(1, "");

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run *run = new_run(RENDER, "{}", document);
        struct error error = {0};
        fake_run_set_limit(run, "max_megapixels", cases[i].limit);
        cairo_surface_t *surface = raster(run, cases[i].dpi, false, &error);
        if (cases[i].words == NULL) {
            assert_non_null(surface);
            cairo_surface_destroy(surface);
        } else {
            assert_null(surface);
            assert_int_equal(error.code, ERR_INVALID_INPUT);
            assert_non_null(strstr(error.detail, cases[i].words));
        }
        fake_run_free(run);
    }
    g_string_free(document, TRUE);
}

/* Outputs. */

static void test_every_page_is_an_output(void **state)
{
    static const char *const formats[] = {"png", "jpeg", "webp"};
    static const char *const begin[] = {"\x89PNG", "\xff\xd8\xff", "RIFF"};
    (void)state;
    GString *document = make_document(3, "");

    for (size_t i = 0; i < COUNT(formats); i++) {
        char params[64], media_type[64];
        struct error error = {0};
        g_snprintf(params, sizeof(params), "{\"format\":\"%s\",\"select\":\"3,1\"}", formats[i]);
        g_snprintf(media_type, sizeof(media_type), "image/%s", formats[i]);
        struct run *run = new_run(RENDER, params, document);
        assert_int_equal(run_task("pdf.render", run, &error), 0);
        for (int k = 0; k < 2; k++) {
            assert_string_equal(fake_run_output(run, k)->name, "page");
            assert_string_equal(fake_run_output(run, k)->media_type, media_type);
            assert_memory_equal(fake_run_output(run, k)->bytes, begin[i], strlen(begin[i]));
        }
        assert_null(fake_run_output(run, 2));
        fake_run_free(run);
    }
    g_string_free(document, TRUE);
}

static void test_an_output_over_its_limit_ends_the_run(void **state)
{
    static const struct {
        const char *task, *descriptor, *params;
    } cases[] = {
        {"pdf.render", RENDER, "{\"format\":\"png\"}"},
        {"pdf.render", RENDER, "{\"format\":\"jpeg\"}"},
        {"pdf.render", RENDER, "{\"format\":\"webp\"}"},
        {"pdf.assemble", ASSEMBLE, "{}"},
        {"pdf.assemble", ASSEMBLE, "{\"split\":1}"},
    };
    (void)state;
    GString *document = make_document(2, "");

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run *run = new_run(cases[i].descriptor, cases[i].params, document);
        struct error error = {0};
        fake_run_set_limit(run, "output_bytes", 30);
        assert_int_equal(run_task(cases[i].task, run, &error), -1);
        assert_int_equal(error.code, ERR_TOO_LARGE);
        assert_null(fake_run_result(run));
        fake_run_free(run);
    }
    g_string_free(document, TRUE);
}

/* Stop. */

static void assert_stops_at_every_call(const char *task, const char *descriptor, const char *params,
                                       const GString *document)
{
    struct error error = {0};
    struct run *run = new_run(descriptor, params, document);
    assert_int_equal(run_task(task, run, &error), 0);
    int calls = fake_run_progress_calls(run);
    fake_run_free(run);
    assert_true(calls > 4);

    for (int call = 1; call < calls; call++) {
        run = new_run(descriptor, params, document);
        fake_run_stop_at_call(run, call);
        if (run_task(task, run, &error) == 0)
            fail_msg("%s goes on after call %d of %d", task, call, calls);
        if (error.code != ERR_STOPPED)
            fail_msg("%s, call %d of %d: %s", task, call, calls, error.detail);
        assert_null(fake_run_result(run));
        fake_run_free(run);
    }
}

static void test_rendering_stops_whenever_it_is_told_to(void **state)
{
    (void)state;
    GString *document = make_document(3, "");
    assert_stops_at_every_call("pdf.render", RENDER, "{\"dpi\":36}", document);
    assert_stops_at_every_call("pdf.render", RENDER, "{\"dpi\":36,\"format\":\"webp\"}", document);
    g_string_free(document, TRUE);
}

static void test_assembling_stops_whenever_it_is_told_to(void **state)
{
    (void)state;
    GString *document = make_document(3, "");
    assert_stops_at_every_call("pdf.assemble", ASSEMBLE, "{\"rotate\":90,\"linearize\":true}",
                               document);
    assert_stops_at_every_call("pdf.assemble", ASSEMBLE, "{\"split\":1}", document);
    assert_stops_at_every_call("pdf.assemble", ASSEMBLE, "{\"select\":\"3,1\"}", document);
    g_string_free(document, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_is_drawn_to_the_pixel),
        cmocka_unit_test(test_transparent_paper_is_nothing),
        cmocka_unit_test(test_the_limit_of_pixels_is_looked_at_first),
        cmocka_unit_test(test_every_page_is_an_output),
        cmocka_unit_test(test_an_output_over_its_limit_ends_the_run),
        cmocka_unit_test(test_rendering_stops_whenever_it_is_told_to),
        cmocka_unit_test(test_assembling_stops_whenever_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, start_module, NULL);
}
