/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pictures.h - how large the pictures are that a page shows, before they are drawn
 *
 * To draw a page, Poppler unpacks each of its pictures, four bytes a pixel, however small the page
 * becomes. A picture of nothing, a hundred kilobytes in the file, may be gigabytes then.
 */
#ifndef PDF_PICTURES_H
#define PDF_PICTURES_H

#include <qpdf/qpdf-c.h>

#include "tasks/task.h"

struct pictures;

/* Takes over `qpdf`, which has read the document. For pictures_free(). */
struct pictures *pictures_new(struct run *run, qpdf_data qpdf);
void pictures_free(struct pictures *p); /* may be NULL */

/*
 * Has page `number`, from 1, no picture beyond the descriptor's limit max_image_megapixels? Looked
 * at is whatever its resources and annotations lead to, used or not, once for all pages. Of a
 * stencil Poppler keeps a byte a pixel at most: it counts a quarter. Pictures that stand within
 * content are not looked at. A page that is not found passes.
 * Errors: ERR_INVALID_INPUT; ERR_STOPPED.
 */
int pictures_check(struct pictures *p, int number, struct error *reterr);

#endif
