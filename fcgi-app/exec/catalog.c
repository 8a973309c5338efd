/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog.c - see catalog.h
 *
 * A task's name is its file's name, so that no two descriptors can have the same one, and
 * files in the order of their names are tasks in the order of theirs: in a file's name the
 * '.' of ".json" sorts before whatever a longer name goes on with.
 */
#include "exec/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec/descriptor.h"

struct catalog {
    struct arena *arena;
    struct task_desc *tasks; /* by name */
    int count;
    int class_count[TASK_CLASS_COUNT];
};

static int is_descriptor(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

/* alphasort() would go by the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int list_files(struct arena *a, const char *directory, const char ***ret_files,
                      int *ret_count, struct error *reterr)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_descriptor, by_bytes);
    if (count < 0)
        return error_set(reterr, ERR_INTERNAL, "%s: %s", directory, strerror(errno));
    const char **files = arena_alloc(a, (size_t)count * sizeof(*files));
    for (int i = 0; i < count; i++) {
        files[i] = arena_strdup(a, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (count == 0)
        return error_set(reterr, ERR_INTERNAL, "%s: there is no task descriptor (*.json) in it",
                         directory);
    *ret_files = files;
    *ret_count = count;
    return 0;
}

/* Each limit in the configuration has to be some task's, and a variable's name no two tasks'. */
static int check_overrides(const struct catalog *c, const struct limit_overrides *overrides,
                           struct error *reterr)
{
    for (int i = 0; i < overrides->count; i++) {
        const struct config_task_limit *o = &overrides->limits[i];
        if (overrides->met[i] == 1)
            continue;
        if (overrides->met[i] > 1)
            return error_set(reterr, ERR_INTERNAL,
                             "%s: could mean limits of %d tasks; use [task NAME] in the file",
                             o->place, overrides->met[i]);
        if (o->task && catalog_find(c, o->task))
            return error_set(reterr, ERR_INTERNAL, "%s: task %s has no limit %.40s", o->place,
                             o->task, o->name);
        if (o->task)
            return error_set(reterr, ERR_INTERNAL, "%s: there is no task %s", o->place, o->task);
        return error_set(reterr, ERR_INTERNAL, "%s: there is no such task or limit", o->place);
    }
    return 0;
}

static int load(struct catalog *c, const struct config *cfg, struct error *reterr)
{
    const char **files = NULL;
    if (list_files(c->arena, cfg->server_tasks_dir, &files, &c->count, reterr) != 0)
        return -1;
    struct limit_overrides overrides = {
        .limits = cfg->task_limits,
        .count = cfg->task_limit_count,
        .met = arena_alloc(c->arena, (size_t)cfg->task_limit_count * sizeof(int)),
    };
    c->tasks = arena_alloc(c->arena, (size_t)c->count * sizeof(*c->tasks));
    for (int i = 0; i < c->count; i++) {
        if (descriptor_read(c->arena, cfg->server_tasks_dir, files[i], &overrides, &c->tasks[i],
                            reterr) != 0)
            return -1;
        c->class_count[c->tasks[i].class]++;
    }
    return check_overrides(c, &overrides, reterr);
}

int catalog_open(const struct config *cfg, struct catalog **ret_catalog, struct error *reterr)
{
    struct arena *a = arena_new();
    struct catalog *c = arena_alloc(a, sizeof(*c));
    c->arena = a;
    if (load(c, cfg, reterr) != 0) {
        catalog_close(c);
        return -1;
    }
    *ret_catalog = c;
    return 0;
}

void catalog_close(struct catalog *c)
{
    if (c)
        arena_free(c->arena);
}

static int compare_name(const void *name, const void *task)
{
    return strcmp(name, ((const struct task_desc *)task)->name);
}

const struct task_desc *catalog_find(const struct catalog *c, const char *name)
{
    return bsearch(name, c->tasks, (size_t)c->count, sizeof(*c->tasks), compare_name);
}

const struct task_desc *catalog_at(const struct catalog *c, int i)
{
    return i >= 0 && i < c->count ? &c->tasks[i] : NULL;
}

int catalog_class_count(const struct catalog *c, enum task_class class)
{
    return c->class_count[class];
}

static void raise_to(size_t *most, size_t value)
{
    *most = value > *most ? value : *most;
}

struct class_limits catalog_class_limits(const struct catalog *c, enum task_class class)
{
    struct class_limits most = {0};
    for (int i = 0; i < c->count; i++) {
        const struct task_desc *task = &c->tasks[i];
        size_t input_bytes = 0;
        if (task->class != class)
            continue;
        for (int k = 0; k < task->input_count; k++) {
            size_t items;
            if (__builtin_mul_overflow(task->inputs[k].max_bytes, (size_t)task->inputs[k].max_count,
                                       &items) ||
                __builtin_add_overflow(input_bytes, items, &input_bytes))
                input_bytes = SIZE_MAX;
        }
        raise_to(&most.memory_bytes, task->memory_bytes);
        raise_to(&most.input_bytes, input_bytes);
        raise_to(&most.output_bytes, task->output_bytes);
    }
    return most;
}

const char *task_class_name(enum task_class class)
{
    return class == TASK_NET ? "net" : "cpu";
}
