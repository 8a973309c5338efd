/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * document.h - a PDF that a stranger sent, opened by Poppler
 *
 * Used by the modules pdf and ocr. What is wrong with the file is said here in one way: empty, no
 * PDF, damaged, password missing or wrong, more pages than the limit max_pages.
 */
#ifndef PDF_DOCUMENT_H
#define PDF_DOCUMENT_H

#include <poppler.h>

#include "tasks/task.h"

struct document {
    struct run *run;
    const struct run_input *input;
    PopplerDocument *poppler; /* its pages may each be damaged: poppler_document_get_page() is NULL
                                 then */
    int pages;                /* 1 or more, within the limit max_pages */
};

/*
 * Open item `i` of the run's input `name`. `password` may be NULL. Release it with
 * document_release(), after a failure too.
 * Errors: ERR_INVALID_INPUT.
 */
int document_open(struct document *d, struct run *run, const char *name, int i,
                  const char *password, struct error *reterr);
void document_release(struct document *d);

#endif
