/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ocr.recognize: the text of a document, page by page.
 */
#include "tasks/ocr/ocr.h"

#include <string.h>

#include <cjson/cJSON.h>

/* Text is higher than this, and no line of it is so long: Tesseract brings lines to a height of 36
 * pixels, and would have a million columns to read in a line of pixels. */
#define SIDE_MIN 8
#define ASPECT_MAX 1000

/* One run. */
struct job {
    struct run *run;
    struct options options;
    struct source source;
    struct selection selection;
    struct outputs outputs;
    cJSON *read, *unreadable; /* what the result says of the pages */
    struct error first;       /* why the first of the unreadable could not be read */
};

/*
 * How far it is, for the callback that Tesseract calls after each word. What comes before the
 * words, finding lines, knows neither callback nor monitor, nor does finding out how a page lies: a
 * stop within those, some hundred milliseconds for a page, is waited for or ends by the grace.
 */
struct watch {
    struct run *run;
    ETEXT_DESC *monitor;
    double start, share; /* of the page in the whole */
    char what[32];
    bool is_stopped;
};

static bool on_word(void *data, int words)
{
    struct watch *w = data;
    double done = TessMonitorGetProgress(w->monitor) / 100.0;
    (void)words;
    if (!run_progress(w->run, w->start + w->share * (done < 1 ? done : 1), w->what))
        w->is_stopped = true;
    return w->is_stopped;
}

static bool goes_on(struct watch *w)
{
    w->is_stopped = !run_progress(w->run, w->start, w->what);
    return !w->is_stopped;
}

static int set_stopped(const struct watch *w, struct error *reterr)
{
    return error_set(reterr, ERR_STOPPED, "The run was stopped at %s.", w->what);
}

static bool is_grey(PIX *colour)
{
    const l_uint32 *words = pixGetData(colour);
    int width = pixGetWidth(colour), height = pixGetHeight(colour), per_row = pixGetWpl(colour);
    for (int y = 0; y < height; y++, words += per_row)
        for (int x = 0; x < width; x++)
            if (words[x] >> 24 != (words[x] >> 16 & 255) || words[x] >> 24 != (words[x] >> 8 & 255))
                return false;
    return true;
}

/* A page for a searchable PDF: in colours only if it has any. What comes from PNG is compressed in
 * memory; for JPEG and CCITT G4 Leptonica would write files, which it cannot here. */
static PIX *to_show(PIX *image)
{
    bool is_less = pixGetDepth(image) == 32 && is_grey(image);
    PIX *shown = is_less ? pixConvertTo8(image, 0) : pixClone(image);
    if (shown != NULL)
        pixSetInputFormat(shown, IFF_PNG);
    return shown;
}

/* Everything that an earlier run may have set otherwise. */
static void configure(TessBaseAPI *engine, const struct options *o, struct page *page)
{
    TessBaseAPISetPageSegMode(engine, o->segmentation);
    TessBaseAPISetVariable(engine, "tessedit_char_whitelist", o->whitelist);
    TessBaseAPISetVariable(engine, "preserve_interword_spaces", o->keeps_spaces ? "1" : "0");
    TessBaseAPISetInputName(engine, "document");
    TessBaseAPISetImage2(engine, page->ink != NULL ? page->ink : page->image);
    if (o->wants[FORMAT_PDF]) { /* it shows the page in its colours */
        TessBaseAPISetInputImage(engine, to_show(page->image));
    }
    page_drop_pixels(page); /* the engine has a copy, and will need memory for more */
}

static int set_unreadable(const struct job *job, const struct page *page, struct error *reterr)
{
    return error_set(reterr, ERR_INVALID_INPUT,
                     "Page %d of the input %s (%dx%d pixels) is nothing that can be read.",
                     page->number, job->source.input->name, page->width, page->height);
}

static bool can_be_text(const struct page *page)
{
    int less = L_MIN(page->read_width, page->read_height);
    int more = L_MAX(page->read_width, page->read_height);
    return less >= SIDE_MIN && more / less <= ASPECT_MAX;
}

static int read_page(struct job *job, struct page *page, struct watch *w, struct error *reterr)
{
    TessBaseAPI *engine;
    if (!can_be_text(page))
        return set_unreadable(job, page, reterr);
    if (engine_get(job->options.languages, &engine, reterr) != 0)
        return -1;
    configure(engine, &job->options, page);
    w->monitor = TessMonitorCreate();
    TessMonitorSetCancelThis(w->monitor, w);
    TessMonitorSetCancelFunc(w->monitor, on_word);
    int result = TessBaseAPIRecognize(engine, w->monitor);
    TessMonitorDelete(w->monitor);
    if (w->is_stopped)
        result = set_stopped(w, reterr);
    else if (result != 0)
        result = set_unreadable(job, page, reterr);
    else
        result = outputs_add(&job->outputs, engine, reterr);
    if (result == 0)
        cJSON_AddItemToArray(job->read, result_page(page, engine, job->options.wants_words));
    TessBaseAPIClear(engine);
    return result;
}

static int take_page(struct job *job, int number, struct watch *w, struct error *reterr)
{
    struct page page = {0};
    PIX *pix;
    if (source_read(&job->source, number, &pix, reterr) != 0)
        return -1;
    int result = page_prepare(&page, job->run, &job->options, number, pix, reterr);
    if (result == 0 && !goes_on(w))
        result = set_stopped(w, reterr);
    if (result == 0)
        result = read_page(job, &page, w, reterr);
    page_drop_pixels(&page);
    return result;
}

/* One damaged page is no reason to lose the others. */
static void note_unreadable(struct job *job, int number, const struct error *why)
{
    cJSON *item = cJSON_CreateObject();
    if (job->first.code == ERR_NONE)
        job->first = *why;
    cJSON_AddNumberToObject(item, "page", number);
    cJSON_AddStringToObject(item, "detail", why->detail);
    cJSON_AddItemToArray(job->unreadable, item);
}

static int take_pages(struct job *job, struct error *reterr)
{
    const struct selection *pages = &job->selection;
    for (int i = 0; i < pages->count; i++) {
        struct watch w = {
            .run = job->run, .start = (double)i / pages->count, .share = 1.0 / pages->count};
        (void)snprintf(w.what, sizeof(w.what), "page %d of %d", i + 1, pages->count);
        if (!goes_on(&w))
            return set_stopped(&w, reterr);
        struct error why = {0};
        int result = take_page(job, pages->pages[i], &w, &why);
        if (result != 0 && why.code != ERR_INVALID_INPUT) {
            *reterr = why;
            return -1;
        }
        if (result != 0)
            note_unreadable(job, pages->pages[i], &why);
    }
    if (cJSON_GetArraySize(job->read) > 0)
        return 0;
    *reterr = job->first;
    return -1;
}

static int compute(struct job *job, struct error *reterr)
{
    const struct options *o = &job->options;
    struct source *s = &job->source;
    if (source_open(s, job->run, o, reterr) != 0 ||
        selection_parse(&job->selection, "select", o->select, s->pages,
                        (int)run_limit(job->run, "max_pages"), reterr) != 0 ||
        source_check(s, &job->selection, reterr) != 0 ||
        outputs_open(&job->outputs, job->run, o, reterr) != 0 || take_pages(job, reterr) != 0 ||
        outputs_end(&job->outputs, reterr) != 0)
        return -1;
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "pages", s->pages);
    cJSON_AddStringToObject(result, "languages", o->languages);
    cJSON_AddItemToObject(result, "recognized", job->read);
    cJSON_AddItemToObject(result, "unreadable", job->unreadable);
    job->read = job->unreadable = NULL;
    run_result(job->run, result);
    return 0;
}

static ssize_t drop_bytes(void *cookie, const char *bytes, size_t size)
{
    (void)cookie;
    (void)bytes;
    return (ssize_t)size;
}

/* Tesseract, libjpeg and libtiff print what they think of a picture: an attacker could fill the
 * log. */
static FILE *silence(void)
{
    static FILE *nowhere;
    FILE *before = stderr;
    if (nowhere == NULL)
        nowhere = fopencookie(NULL, "w", (cookie_io_functions_t){.write = drop_bytes});
    if (nowhere != NULL)
        stderr = nowhere;
    return before;
}

int ocr_recognize(struct run *run, struct error *reterr)
{
    struct job job = {.run = run};
    FILE *process_stderr = silence();
    job.read = cJSON_CreateArray();
    job.unreadable = cJSON_CreateArray();
    int result = options_read(&job.options, run, reterr);
    if (result == 0)
        result = document_settle(&job.source.document, compute(&job, reterr), reterr);
    outputs_release(&job.outputs);
    selection_release(&job.selection);
    source_release(&job.source);
    options_release(&job.options);
    cJSON_Delete(job.read);
    cJSON_Delete(job.unreadable);
    stderr = process_stderr;
    return result;
}
