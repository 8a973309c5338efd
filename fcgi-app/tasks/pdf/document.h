/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * document.h - a PDF that a stranger sent, opened by Poppler
 *
 * Used by the modules pdf and ocr. What is wrong with the file is said here in one way: empty, no
 * PDF, damaged, password missing or wrong, more pages than the limit max_pages.
 *
 * Poppler repairs what it can and says so in messages alone, so these are counted: who notes
 * `errors` before and after some work knows whether it met damage.
 */
#ifndef PDF_DOCUMENT_H
#define PDF_DOCUMENT_H

#include <poppler.h>

#include "tasks/task.h"

struct cJSON;
struct pictures;

struct document {
    struct run *run;
    const struct run_input *input;
    PopplerDocument *poppler;
    GInputStream *stream;
    int pages;      /* 1 or more, within the limit max_pages; as the file claims */
    int errors;     /* that Poppler has met so far in the file; warnings do not count */
    bool has_crowd; /* of annotations on the page that was asked for last, or on one before */
    unsigned log_handler;
    struct pictures *pictures; /* NULL: nobody looks at them */
};

/*
 * Open item `i` of the run's input `name`. `password` may be NULL. Release it with
 * document_release(), after a failure too; *d has to stay where it is until then.
 * Errors: ERR_INVALID_INPUT.
 */
int document_open(struct document *d, struct run *run, const char *name, int i,
                  const char *password, struct error *reterr);
void document_release(struct document *d);

/*
 * What a run comes to in the end, given what it has come to: all of the document may not have been
 * read. Errors: as stream_check(), whatever `result` is.
 */
int document_settle(const struct document *d, int result, struct error *reterr);

/* The run's parameter `password`; NULL when there is none. */
const char *document_password(const struct run *run);

/*
 * Page `number` (1 to d->pages), of the caller; NULL when the file has none that can be read. Why
 * not, until another page is asked for, says document_page_detail().
 */
PopplerPage *document_page(struct document *d, int number);
const char *document_page_detail(const struct document *d);

/*
 * Are the pictures of page `number` within the descriptor's limit max_image_megapixels, if it has
 * one? Ask before the page is drawn. Errors: ERR_INVALID_INPUT; ERR_STOPPED.
 */
int document_check_pictures(struct document *d, int number, struct error *reterr);

/* No page can be read: *reterr says so, and now says why, if the last page was one of too many
 * annotations. Returns -1. */
int document_explain(const struct document *d, struct error *reterr);

/* Add {"page": number, "detail": detail} to an array, the result's `unreadable`. */
int document_note(struct cJSON *unreadable, int number, const char *detail, struct error *reterr);

#endif
