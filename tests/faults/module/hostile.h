/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile.h - the task faults.hostile, of both classes
 */
#ifndef TESTS_HOSTILE_H
#define TESTS_HOSTILE_H

#include "tasks/task.h"

int hostile(struct run *run, struct error *reterr);

#endif
