/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.h - modules that this executor has loaded
 */
#ifndef EXEC_MODULE_H
#define EXEC_MODULE_H

#include "base/error.h"
#include "tasks/task.h"

struct module_set;

/* `directory` holds NAME.so files. */
struct module_set *module_set_new(const char *directory);

/*
 * Task `task` of module `module`, which is loaded and initialised on first use and kept.
 * Errors: ERR_UNAVAILABLE when it cannot be loaded, has another ABI or lacks the task.
 */
int module_find_task(struct module_set *set, const char *module, const char *task,
                     const struct task **ret_task, struct error *reterr);

/* Load a module ahead of its first run. */
int module_preload(struct module_set *set, const char *module, struct error *reterr);

/* Have every loaded module give its caches back. */
void module_set_trim(const struct module_set *set);

#endif
