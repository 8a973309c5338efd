/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resources.h - what a page takes along when it leaves its document
 *
 * Many documents have one dictionary of fonts and pictures for all pages. Each page that is taken
 * out would bring all of them, those of pages that were to stay behind included.
 */
#ifndef PDF_RESOURCES_H
#define PDF_RESOURCES_H

#include "tasks/pdf/source.h"
#include "tasks/task.h"

/*
 * Leave fonts and pictures that page `i` (from 0) does not use out of its resources. In doubt all
 * of them stay: then the page is as good, and larger.
 */
void resources_trim(struct source *s, int i, struct run *run);

#endif
