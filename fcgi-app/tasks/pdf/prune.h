/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prune.h - what must not lead from pages that are taken to pages that are not
 *
 * A form's fields, structure and articles go through all pages of a document. Whoever takes one
 * page out of it does not want to hand the values of the others' fields along.
 */
#ifndef PDF_PRUNE_H
#define PDF_PRUNE_H

#include <stdbool.h>

#include "tasks/pdf/source.h"
#include "tasks/task.h"

/*
 * Pages of this document stay behind, or go different ways. Unless `is_base` a taken page loses all
 * that leads out of it; of the document that the result is made of, the form keeps the fields that
 * are on pages that are taken, and what it has for all pages and cannot be taken apart goes.
 * Time is linear in the number of objects. Errors: ERR_STOPPED.
 */
int prune(struct source *s, bool is_base, struct run *run, struct error *reterr);

#endif
