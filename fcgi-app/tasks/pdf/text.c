/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.text: the text that stands in a document, page by page. Nothing is recognized: pages that are
 * pictures have none.
 */
#include "tasks/pdf/pdf.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tasks/pdf/document.h"
#include "tasks/pdf/selection.h"
#include "tasks/pdf/words.h"

struct extraction {
    struct document document;
    struct selection selection;
    bool is_physical;
    struct run_output *text;     /* NULL where not asked for, as `extracted` */
    cJSON *extracted;            /* pages with their words */
    cJSON *unreadable, *damaged; /* damaged: numbers of pages that have errors, and text */
    double characters, words;
};

static const cJSON *param(const struct run *run, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(run), name);
}

static bool is_wanted(const struct run *run, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, param(run, "formats"))
    {
        if (strcmp(item->valuestring, name) == 0)
            return true;
    }
    return false;
}

static int write_string(struct run_output *out, GString *string, struct error *reterr)
{
    int result = run_write(out, string->str, string->len, reterr);
    g_string_free(string, TRUE);
    return result;
}

/* Words. They are kept as JSON text: as a tree a million of them would take half a gigabyte. */

static int append_word(GString *out, const struct word *w, int line, struct error *reterr)
{
    char *text = g_utf8_make_valid(w->text, (gssize)w->size);
    cJSON *string = cJSON_CreateString(text);
    char *quoted = string != NULL ? cJSON_PrintUnformatted(string) : NULL;
    int result = 0;

    if (quoted != NULL)
        g_string_append_printf(
            out,
            "{\"text\":%s,\"line\":%d,\"left\":%.2f,\"top\":%.2f,\"width\":%.2f,\"height\":%.2f}",
            quoted, line, w->box.left, w->box.top, w->box.right - w->box.left,
            w->box.bottom - w->box.top);
    else
        result = error_internal(reterr, "pdf.text: out of memory");
    cJSON_free(quoted);
    cJSON_Delete(string);
    g_free(text);
    return result;
}

static int append_words(GString *out, const struct page_words *p, struct error *reterr)
{
    int line = 0;
    g_string_append_c(out, '[');
    for (int i = 0; i < p->count; i++) {
        line += p->words[i].starts_line;
        if (i > 0)
            g_string_append_c(out, ',');
        if (append_word(out, &p->words[i], line, reterr) != 0)
            return -1;
    }
    g_string_append_c(out, ']');
    return 0;
}

static int add_words(struct extraction *x, int number, PopplerPage *page,
                     const struct page_words *p, struct error *reterr)
{
    double width, height, limit = run_limit(x->document.run, "max_words");
    if (x->words > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "There are more words than the limit max_words, %g: select fewer pages.",
                         limit);
    GString *words = g_string_new(NULL);
    int result = append_words(words, p, reterr);
    if (result == 0) {
        cJSON *object = cJSON_CreateObject();
        poppler_page_get_size(page, &width, &height);
        cJSON_AddNumberToObject(object, "page", number);
        cJSON_AddNumberToObject(object, "width", round(width * 100) / 100);
        cJSON_AddNumberToObject(object, "height", round(height * 100) / 100);
        if (cJSON_AddRawToObject(object, "words", words->str) == NULL)
            result = error_internal(reterr, "pdf.text: out of memory");
        cJSON_AddItemToArray(x->extracted, object);
    }
    g_string_free(words, TRUE);
    return result;
}

/* Pages. */

static int write_page(struct extraction *x, int number, PopplerPage *page,
                      const struct page_words *p, struct error *reterr)
{
    x->characters += p->characters;
    x->words += p->count;
    if (x->text != NULL) {
        GString *text = x->is_physical ? page_words_layout(p) : page_words_reading(p);
        if (write_string(x->text, text, reterr) != 0)
            return -1;
    }
    return x->extracted != NULL ? add_words(x, number, page, p, reterr) : 0;
}

/* An error in a page that has text may have cost some of it; nobody can tell. */
static int note_errors(struct extraction *x, int number, bool has_text, struct error *reterr)
{
    if (!has_text)
        return document_note(x->unreadable, number,
                             "The content is damaged, and no text can be read.", reterr);
    if (!cJSON_AddItemToArray(x->damaged, cJSON_CreateNumber(number)))
        return error_internal(reterr, "pdf.text: out of memory");
    return 0;
}

static int read_page(struct extraction *x, int number, struct error *reterr)
{
    int errors = x->document.errors;
    PopplerPage *page = document_page(&x->document, number);
    struct page_words p;

    if (page == NULL)
        return document_note(x->unreadable, number, document_page_detail(&x->document), reterr);
    page_words_read(&p, page);
    int result = write_page(x, number, page, &p, reterr);
    if (result == 0 && x->document.errors > errors)
        result = note_errors(x, number, p.count > 0, reterr);
    page_words_release(&p);
    g_object_unref(page);
    return result;
}

/* Each page ends with a form feed, one without text too: the n-th is the selection's n-th. */
static int read_pages(struct extraction *x, struct error *reterr)
{
    const struct selection *s = &x->selection;
    for (int i = 0; i < s->count; i++) {
        if (!run_progress(x->document.run, (double)i / s->count, "pages"))
            return error_set(reterr, ERR_STOPPED, "stopped");
        if (read_page(x, s->pages[i], reterr) != 0)
            return -1;
        if (x->text != NULL && run_write(x->text, "\f", 1, reterr) != 0)
            return -1;
    }
    if (!run_progress(x->document.run, 1, "pages")) /* the last page may have ended early */
        return error_set(reterr, ERR_STOPPED, "stopped");
    if (cJSON_GetArraySize(x->unreadable) < s->count)
        return 0;
    error_set(reterr, ERR_INVALID_INPUT, "No %spage of the input %s can be read.",
              s->count < x->document.pages ? "selected " : "", x->document.input->name);
    return document_explain(&x->document, reterr);
}

static int extract(struct extraction *x, struct run *run, struct error *reterr)
{
    cJSON *result = cJSON_CreateObject();

    x->is_physical = strcmp(param(run, "layout")->valuestring, "physical") == 0;
    if (is_wanted(run, "text"))
        x->text = run_output(run, "text", "text/plain");
    cJSON_AddNumberToObject(result, "pages", x->document.pages);
    cJSON_AddNumberToObject(result, "selected", x->selection.count);
    x->unreadable = cJSON_AddArrayToObject(result, "unreadable");
    x->damaged = cJSON_AddArrayToObject(result, "damaged");
    if (is_wanted(run, "words"))
        x->extracted = cJSON_AddArrayToObject(result, "extracted");
    if (x->damaged == NULL || read_pages(x, reterr) != 0) {
        cJSON_Delete(result);
        return x->damaged == NULL ? error_internal(reterr, "pdf.text: out of memory") : -1;
    }
    cJSON_AddNumberToObject(result, "words", x->words);
    cJSON_AddNumberToObject(result, "characters", x->characters);
    run_result(run, result);
    return 0;
}

int pdf_text(struct run *run, struct error *reterr)
{
    struct extraction x = {0};
    const char *select = cJSON_GetStringValue(param(run, "select"));
    int result = document_open(&x.document, run, "document", 0, document_password(run), reterr);

    if (result == 0)
        result = selection_parse(&x.selection, "select", select, x.document.pages,
                                 (int)run_limit(run, "max_pages"), reterr);
    if (result == 0)
        result = extract(&x, run, reterr);
    result = document_settle(&x.document, result, reterr);
    selection_release(&x.selection);
    document_release(&x.document);
    return result;
}
