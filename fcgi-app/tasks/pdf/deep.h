/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deep.h - work on a deep stack
 *
 * Poppler and qpdf call themselves for each object that leads to another: actions, labels, names,
 * forms within forms. A chain of a million, which a file of some MB may be, takes a stack of
 * hundreds of MB. What is not used of it costs nothing.
 */
#ifndef PDF_DEEP_H
#define PDF_DEEP_H

#include <stdbool.h>

#include "tasks/task.h"

/* Call `work` on a thread of its own, wait for it, and return what it returns.
 * Errors: those of `work`; ERR_INTERNAL when there is no thread. */
int deep_call(int (*work)(void *argument, struct error *reterr), void *argument,
              struct error *reterr);

/* The same for a task's own function. */
int deep_run(int (*task)(struct run *run, struct error *reterr), struct run *run,
             struct error *reterr);

/* Is there room on this stack for what cannot be stopped any more? True outside of such work. */
bool deep_has_room(void);

#endif
