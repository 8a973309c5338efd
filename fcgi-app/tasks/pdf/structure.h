/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * structure.h - what Poppler does not tell of a document: qpdf's view of its objects
 *
 * Large files that are damaged are not repaired, since that can take long and nobody could stop it:
 * of these it knows nothing, and then the answers are left out.
 */
#ifndef PDF_STRUCTURE_H
#define PDF_STRUCTURE_H

#include "tasks/pdf/document.h"

struct _qpdf_data;
struct cJSON;

struct structure {
    struct _qpdf_data *qpdf; /* NULL: it cannot read this file */
    const struct document *document;
};

/* A page's MediaBox, left, bottom, right, top in points, and how far it is turned clockwise. */
struct page_box {
    double media[4];
    int rotation; /* 0, 90, 180, 270 */
};

/* Look at a document that Poppler has opened with this password. Never fails. */
void structure_open(struct structure *s, const struct document *d, const char *password);
void structure_release(struct structure *s);

/* Set encrypted, encryption, tagged, language, javascript and xfa in an object. */
void structure_describe(const struct structure *s, struct cJSON *object);

/* A text of the information dictionary ("/Title") in UTF-8, of the caller; NULL when it has none.
 */
char *structure_info(const struct structure *s, const char *key);

/*
 * A box for each of the document's pages; NULL when qpdf does not find as many pages as Poppler.
 * Ownership: the caller's, for g_free().
 */
struct page_box *structure_boxes(const struct structure *s);

#endif
