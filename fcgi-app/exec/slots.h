/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slots.h - how many executors of each class a pool and a runner may have
 *
 * What the configuration wants, reduced so that slots x the largest memory limit of the class's
 * tasks, of pool compute and runner together, stay within 75 % of the memory there is
 * (server.memory). Both work it out for both, so that they agree without talking.
 */
#ifndef EXEC_SLOTS_H
#define EXEC_SLOTS_H

#include "base/config.h"
#include "exec/catalog.h"

enum slots_owner { SLOTS_COMPUTE, SLOTS_JOBS, SLOTS_OWNER_COUNT };

struct slots_plan {
    int wanted[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT]; /* 0 where the catalogue has no task of it */
    int slots[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT];
    size_t memory_bytes[TASK_CLASS_COUNT]; /* the largest memory limit of the class's tasks */
    size_t budget_bytes;                   /* 75 % of server.memory */
    bool is_reduced;
};

/* Reduced in proportion to what each takes; never below one slot where one was wanted. */
void slots_plan(const struct config *cfg, const struct catalog *catalog,
                struct slots_plan *ret_plan);

/* One log line, a warning, if `owner` has fewer slots than the configuration wants. */
void slots_log(const struct slots_plan *plan, enum slots_owner owner);

#endif
