/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * source.h - a PDF that a stranger sent, opened by qpdf to be taken apart
 *
 * qpdf reads structure, never what pages show, and mends what it can: a damaged document is one
 * with warnings. It is its own reader, beside Poppler, which cannot write.
 */
#ifndef PDF_SOURCE_H
#define PDF_SOURCE_H

#include <stdbool.h>

#include <glib.h>
#include <qpdf/qpdf-c.h>

#include "tasks/task.h"

struct source {
    const struct run_input *input;
    char name[24]; /* "document", "document.2": as outputs of many are called */
    qpdf_data qpdf;
    int pages;     /* that can be read, 1 or more */
    GArray *holes; /* int: numbers of the others, as the document counts */
    struct source_page {
        qpdf_oh object;
        int rotate;    /* degrees clockwise, as the page has it */
        bool is_taken; /* it comes into a result */
    } * page;
    int taken;          /* pages that come into a result */
    bool is_miscounted; /* its tree says another number of pages */
    bool is_encrypted;
    int warnings; /* what qpdf found wrong */
};

/*
 * Open the i-th `document` of the run; more than `max_pages` pages are refused by `limit`, the
 * number to be named. `password` may be NULL. Release it with source_release(), after a failure
 * too. Errors: ERR_INVALID_INPUT.
 */
int source_open(struct source *s, struct run *run, int i, const char *password, int max_pages,
                double limit, struct error *reterr);
void source_release(struct source *s);

/* Page `page`, from 0, comes into a result. */
void source_take(struct source *s, int page);

/* Take qpdf's warnings into account, which it collects as it goes. */
void source_count_warnings(struct source *s);

/* Say why qpdf failed with the document `name`. Returns -1. */
int source_failed(qpdf_data qpdf, const char *name, bool has_password, struct error *reterr);

#endif
