/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guard.h - what no document may have, because Poppler would follow it with no bound of its own
 *
 * A form's fields that nest: for each level Poppler copies the list of all levels above it, and it
 * comes to the fields that several lead to once for each of them. 2000 levels take it seconds,
 * 50,000 gigabytes. Pages' nodes that nest take the square of their levels, too. Each of a stream's
 * filters takes tens of kilobytes.
 */
#ifndef PDF_GUARD_H
#define PDF_GUARD_H

#include <qpdf/qpdf-c.h>

#include "tasks/task.h"

/*
 * Look at the form, the tree of pages and the names of filters, before Poppler opens the document.
 * It takes some ten microseconds, half a microsecond for each object that the file has, and some 15
 * for each field of a form. What qpdf cannot read passes: it is not for this to say what is wrong.
 * The descriptor has the limits max_form_depth and max_form_fields. *ret_expands_twice: some stream
 * is compressed and compressed again, so that a kilobyte of it may become a gigabyte.
 * *ret_qpdf: the document as qpdf has read it, of the caller; NULL when it cannot, and on failure.
 * Errors: ERR_INVALID_INPUT; ERR_STOPPED.
 */
int guard_check(struct run *run, const struct run_input *in, const char *password,
                bool *ret_expands_twice, qpdf_data *ret_qpdf, struct error *reterr);

#endif
