/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a PDF, and says in one way what is wrong with it.
 */
#include "tasks/pdf/document.h"

#include <string.h>

/* Readers look for it in the first kilobyte, as Adobe's did. */
#define HEADER_WITHIN 1024

static bool is_pdf(const struct run_input *in)
{
    return memmem(in->bytes, in->size < HEADER_WITHIN ? in->size : HEADER_WITHIN, "%PDF-", 5) !=
           NULL;
}

static int set_failed(const struct run_input *in, bool has_password, const GError *why,
                      struct error *reterr)
{
    if (g_error_matches(why, POPPLER_ERROR, POPPLER_ERROR_ENCRYPTED))
        return error_set(reterr, ERR_INVALID_INPUT,
                         has_password ? "The password does not open the input %s."
                                      : "The input %s is encrypted: it needs a password.",
                         in->name);
    error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a readable PDF.", in->name);
    return error_cause(reterr, "%s", why->message);
}

static int check_pages(const struct document *d, struct error *reterr)
{
    double limit = run_limit(d->run, "max_pages");
    if (d->pages < 1)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s has no pages.", d->input->name);
    if (d->pages > limit)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has %d pages; the limit max_pages is %g.", d->input->name,
                         d->pages, limit);
    return 0;
}

int document_open(struct document *d, struct run *run, const char *name, int i,
                  const char *password, struct error *reterr)
{
    *d = (struct document){.run = run, .input = run_input(run, name, i)};
    const struct run_input *in = d->input;
    GError *why = NULL;

    if (in == NULL)
        return error_set(reterr, ERR_INVALID_PARAMS, "The input %s is missing.", name);
    if (in->size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is empty.", in->name);
    if (!is_pdf(in))
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a PDF.", in->name);
    GBytes *bytes = g_bytes_new_static(in->bytes, in->size);
    d->poppler = poppler_document_new_from_bytes(bytes, password, &why);
    g_bytes_unref(bytes);
    if (d->poppler == NULL) {
        set_failed(in, password != NULL, why, reterr);
        g_error_free(why);
        return -1;
    }
    d->pages = poppler_document_get_n_pages(d->poppler);
    return check_pages(d, reterr);
}

void document_release(struct document *d)
{
    g_clear_object(&d->poppler);
}
