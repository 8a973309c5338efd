/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leads.h - named destinations and the outline, without what led to pages that are left out
 */
#ifndef PDF_LEADS_H
#define PDF_LEADS_H

#include "tasks/pdf/source.h"
#include "tasks/task.h"

/*
 * Keep the names that lead to pages that are taken, and the outline's items that do, or that have
 * such items below them. Errors: ERR_STOPPED.
 */
int leads_prune(struct source *s, struct run *run, struct error *reterr);

#endif
