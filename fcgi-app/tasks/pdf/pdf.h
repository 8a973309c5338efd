/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.h - the tasks of the module `pdf`: a file each
 */
#ifndef PDF_PDF_H
#define PDF_PDF_H

#include "tasks/task.h"

int pdf_assemble(struct run *run, struct error *reterr);
int pdf_inspect(struct run *run, struct error *reterr);
int pdf_render(struct run *run, struct error *reterr);
int pdf_text(struct run *run, struct error *reterr);

#endif
