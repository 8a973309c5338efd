/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog.h - the tasks this server offers, from their descriptors
 *
 * Read once at start from `tasks_dir` (one JSON file per task) and then constant. A descriptor is
 * the one source for validation, limits and documentation; one that is wrong stops
 * the program with its file and place.
 */
#ifndef EXEC_CATALOG_H
#define EXEC_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/schema.h"

enum task_class { TASK_CPU, TASK_NET, TASK_CLASS_COUNT };

struct task_slot { /* an input or an output of the descriptor */
    const char *name;
    const char **media_types; /* ends with NULL; an input that lists none takes any */
    size_t max_bytes;         /* inputs: of one item */
    int max_count;            /* 1, or "many": {"max"} */
    bool required;            /* inputs: true unless the descriptor says "optional": true */
};

struct task_limit {
    const char *name; /* "seconds", "memory_mb", "output_bytes", and the task's own */
    double value;     /* the descriptor's, or the configuration's */
};

struct task_desc {
    const char *name, *module, *summary;
    int version;
    enum task_class class;
    bool job_only; /* mode "job" */
    const struct schema *params;
    const struct task_slot *inputs, *outputs;
    int input_count, output_count;
    const struct task_limit *limits;
    int limit_count;
    double seconds;
    size_t memory_bytes, output_bytes;
    const cJSON *source; /* the descriptor as served, limits as configured */
};

struct catalog;

/* Errors: ERR_INTERNAL, the detail names file and place. */
int catalog_open(const struct config *cfg, struct catalog **ret_catalog, struct error *reterr);
void catalog_close(struct catalog *c);

/* NULL when there is none of that name. */
const struct task_desc *catalog_find(const struct catalog *c, const char *name);

/* By position, in the order of names; NULL beyond the last. */
const struct task_desc *catalog_at(const struct catalog *c, int i);

/* How many tasks of `class` there are. */
int catalog_class_count(const struct catalog *c, enum task_class class);

/* What the largest of the tasks of `class` may take; all 0 when there is none. */
struct class_limits {
    size_t memory_bytes, input_bytes, output_bytes;
};
struct class_limits catalog_class_limits(const struct catalog *c, enum task_class class);

/* "cpu" or "net". */
const char *task_class_name(enum task_class class);

#endif
