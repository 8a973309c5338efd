/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module.c - see module.h
 *
 * Modules are never unloaded: engines keep threads, caches and atexit handlers. The executor is
 * recycled instead.
 */
#include "exec/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loaded {
    struct loaded *next;
    char name[64];
    const struct gangsaw_module *module;
};

struct module_set {
    const char *directory;
    struct loaded *first;
};

struct module_set *module_set_new(const char *directory)
{
    struct module_set *set = calloc(1, sizeof(*set));
    if (set)
        set->directory = directory;
    return set;
}

static int refuse(const char *name, const char *why, struct error *reterr)
{
    (void)error_set(reterr, ERR_UNAVAILABLE, "The module '%.60s' of this task cannot be used.",
                    name);
    return error_cause(reterr, "module %s: %s", name, why);
}

static int open_module(const struct module_set *set, const char *name,
                       const struct gangsaw_module **ret_module, struct error *reterr)
{
    char path[4096];
    int size = snprintf(path, sizeof(path), "%s/%s.so", set->directory, name);
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) || name[0] == '\0' ||
        strlen(name) >= sizeof(set->first->name) || size >= (int)sizeof(path))
        return refuse(name, "not a module's name", reterr);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return refuse(name, dlerror(), reterr);
    const struct gangsaw_module *module = dlsym(handle, "gangsaw_module");
    if (!module)
        return refuse(name, "it exports no gangsaw_module", reterr);
    if (module->abi != GANGSAW_MODULE_ABI)
        return refuse(name, "it was built for another ABI", reterr);
    struct error why = {0};
    if (module->init && module->init(&why) != 0)
        return refuse(name, why.cause[0] ? why.cause : why.detail, reterr);
    *ret_module = module;
    return 0;
}

static int find_module(struct module_set *set, const char *name,
                       const struct gangsaw_module **ret_module, struct error *reterr)
{
    for (const struct loaded *l = set->first; l; l = l->next) {
        if (strcmp(l->name, name) == 0) {
            *ret_module = l->module;
            return 0;
        }
    }
    const struct gangsaw_module *module = NULL;
    if (open_module(set, name, &module, reterr) != 0)
        return -1;
    struct loaded *l = calloc(1, sizeof(*l));
    if (!l)
        return error_errno(reterr, "module: calloc");
    (void)snprintf(l->name, sizeof(l->name), "%s", name);
    l->module = module;
    l->next = set->first;
    set->first = l;
    *ret_module = module;
    return 0;
}

int module_find_task(struct module_set *set, const char *module, const char *task,
                     const struct task **ret_task, struct error *reterr)
{
    const struct gangsaw_module *found;
    if (find_module(set, module, &found, reterr) != 0)
        return -1;
    for (const struct task *t = found->tasks; t->name; t++) {
        if (strcmp(t->name, task) == 0) {
            *ret_task = t;
            return 0;
        }
    }
    return refuse(module, "it lacks the task that its descriptor promises", reterr);
}

int module_preload(struct module_set *set, const char *module, struct error *reterr)
{
    const struct gangsaw_module *found;
    return find_module(set, module, &found, reterr);
}

void module_set_trim(const struct module_set *set)
{
    for (const struct loaded *l = set->first; l; l = l->next) {
        if (l->module->trim)
            l->module->trim();
    }
}
