/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a PDF, and says in one way what is wrong with it.
 */
#include "tasks/pdf/document.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "tasks/pdf/guard.h"
#include "tasks/pdf/pictures.h"
#include "tasks/pdf/stream.h"

/* Readers look for it in the first kilobyte, as Adobe's did. */
#define HEADER_WITHIN 1024

/*
 * Bytes that Poppler gets at a time. zlib makes up to a thousand of one: a piece becomes 256 KB,
 * of which Poppler may make 200 MB, and some MB where zlib does so twice.
 */
#define PIECE 256
#define PIECE_EXPANDED_TWICE 8

/* Poppler refuses a page of more annotations with these words, and then finds none behind it. */
#define ANNOTATIONS_MAX "10000"
#define CROWD "likely malformed. Too big"

static bool has_within(const struct run_input *in, size_t size, const char *words)
{
    return memmem(in->bytes, in->size < size ? in->size : size, words, strlen(words)) != NULL;
}

/* Poppler names the category first: "Syntax Error", "Syntax Warning", "IO Error", … */
static void count_errors(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
    struct document *d = data;
    (void)domain;
    (void)level;
    if (g_ascii_strncasecmp(message, "syntax warning", strlen("syntax warning")) != 0)
        d->errors++;
    if (strstr(message, CROWD) != NULL)
        d->has_crowd = true;
}

/* What encrypts by passwords is called /Standard, in a place that is never compressed. */
static int set_encrypted(const struct run_input *in, bool has_password, struct error *reterr)
{
    if (!has_within(in, in->size, "/Standard"))
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s is encrypted in a way that has no password.", in->name);
    return error_set(reterr, ERR_INVALID_INPUT,
                     has_password ? "The password does not open the input %s."
                                  : "The input %s is encrypted: it needs a password.",
                     in->name);
}

static int set_failed(const struct run_input *in, bool has_password, const GError *why,
                      struct error *reterr)
{
    if (g_error_matches(why, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED))
        set_encrypted(in, has_password, reterr);
    else
        error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a readable PDF.", in->name);
    return error_cause(reterr, "%s", why->message);
}

static int check_pages(const struct document *d, struct error *reterr)
{
    double limit = run_limit(d->run, "max_pages");
    if (d->pages < 1)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has no pages, or none that can be found.", d->input->name);
    if (d->pages > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %d pages; the limit max_pages is %g.", d->input->name,
                         d->pages, limit);
    return 0;
}

/*
 * Poppler drops its tables of encodings and fonts with its last document, and reading them again
 * takes ten times as long as opening a small one: a document without pages keeps them.
 */
static void keep_warm(void)
{
    static const char nothing[] = "%PDF-1.4\n"
                                  "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
                                  "2 0 obj\n<< /Type /Pages /Kids [] /Count 0 >>\nendobj\n"
                                  "trailer\n<< /Root 1 0 R /Size 3 >>\n";
    static PopplerDocument *kept;
    if (kept != NULL)
        return;
    GBytes *bytes = g_bytes_new_static(nothing, sizeof(nothing) - 1);
    kept = poppler_document_new_from_bytes(bytes, NULL, NULL);
    g_bytes_unref(bytes);
}

static int load(struct document *d, const char *password, size_t piece, struct error *reterr)
{
    const struct run_input *in = d->input;
    GError *why = NULL;

    keep_warm();
    d->stream = stream_new(d->run, in, piece);
    d->log_handler = g_log_set_handler("Poppler", G_LOG_LEVEL_MASK, count_errors, d);
    /* Not from bytes: Poppler 22.12 crashes there when the password is wrong. */
    d->poppler =
        poppler_document_new_from_stream(d->stream, (goffset)in->size, password, NULL, &why);
    if (d->poppler != NULL)
        d->pages = poppler_document_get_n_pages(d->poppler);
    int result = stream_check(d->stream, reterr); /* has it seen all of the file? */
    if (result == 0 && d->poppler == NULL)
        result = set_failed(in, password != NULL, why, reterr);
    g_clear_error(&why);
    return result != 0 ? -1 : check_pages(d, reterr);
}

int document_open(struct document *d, struct run *run, const char *name, int i,
                  const char *password, struct error *reterr)
{
    *d = (struct document){.run = run, .input = run_input(run, name, i)};
    const struct run_input *in = d->input;

    if (in == NULL)
        return error_set(reterr, ERR_INVALID_PARAMS, "The input %s is missing.", name);
    if (in->size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is empty.", in->name);
    if (!has_within(in, HEADER_WITHIN, "%PDF-"))
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a PDF.", in->name);
    bool expands_twice;
    qpdf_data qpdf;
    if (guard_check(run, in, password, &expands_twice, &qpdf, reterr) != 0)
        return -1;
    if (qpdf != NULL)
        d->pictures = pictures_new(run, qpdf);
    if (isnan(run_limit(run, "max_image_megapixels")))
        g_clear_pointer(&d->pictures, pictures_free);
    return load(d, password, expands_twice ? PIECE_EXPANDED_TWICE : PIECE, reterr);
}

void document_release(struct document *d)
{
    g_clear_object(&d->poppler);
    g_clear_object(&d->stream);
    if (d->log_handler != 0)
        g_log_remove_handler("Poppler", d->log_handler);
    d->log_handler = 0;
    g_clear_pointer(&d->pictures, pictures_free);
}

const char *document_password(const struct run *run)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run_params(run), "password"));
}

int document_settle(const struct document *d, int result, struct error *reterr)
{
    return d->stream != NULL && stream_check(d->stream, reterr) != 0 ? -1 : result;
}

PopplerPage *document_page(struct document *d, int number)
{
    d->has_crowd = false;
    return poppler_document_get_page(d->poppler, number - 1);
}

const char *document_page_detail(const struct document *d)
{
    return d->has_crowd ? "The page, or one before it, has more than " ANNOTATIONS_MAX
                          " annotations."
                        : "The page is missing or damaged.";
}

int document_check_pictures(struct document *d, int number, struct error *reterr)
{
    return d->pictures != NULL ? pictures_check(d->pictures, number, reterr) : 0;
}

int document_explain(const struct document *d, struct error *reterr)
{
    return d->has_crowd
               ? error_set(reterr, ERR_INVALID_INPUT,
                           "No page of the input %s can be read: one has more than " ANNOTATIONS_MAX
                           " annotations.",
                           d->input->name)
               : -1;
}

int document_note(cJSON *unreadable, int number, const char *detail, struct error *reterr)
{
    cJSON *note = cJSON_CreateObject();
    if (cJSON_AddNumberToObject(note, "page", number) == NULL ||
        cJSON_AddStringToObject(note, "detail", detail) == NULL ||
        !cJSON_AddItemToArray(unreadable, note)) {
        cJSON_Delete(note);
        return error_internal(reterr, "pdf: out of memory");
    }
    return 0;
}
