/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A task's own function, as the module has it, without executor, sandbox or HTTP: what is lost
 * between this loop and the server is the server's; between the library's loop and this one, the
 * module's.
 *
 *     module run MODULE.so DESCRIPTOR PARAMS [NAME MEDIA-TYPE FILE] …
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "fake_run.h"
#include "loop.h"

static const struct task *task;

void loop_init(char *const *words)
{
    struct error error;
    char name[128];
    void *library = dlopen(words[0], RTLD_NOW);

    if (library == NULL)
        loop_fail("%s", dlerror());
    const struct gangsaw_module *module = dlsym(library, "gangsaw_module");
    if (module == NULL || (module->init != NULL && module->init(&error) != 0))
        loop_fail("%s does not start", words[0]);
    for (task = module->tasks; task->name != NULL; task++) {
        snprintf(name, sizeof(name), "/%s.json", task->name);
        if (strstr(words[1], name) != NULL)
            return;
    }
    loop_fail("%s is no descriptor of %s", words[1], words[0]);
}

static void run(char *const *words)
{
    static struct run *run; /* the descriptor is parsed once, as the server does */
    struct error error;

    if (run == NULL) {
        run = fake_run_new(words[1], words[2]);
        for (char *const *in = words + 3; in[0] != NULL; in += 3) {
            const struct loop_file *file = loop_file(in[2]);
            fake_run_input(run, in[0], in[1], file->bytes, file->size);
        }
    }
    if (task->run(run, &error) != 0)
        loop_fail("%s: %s (%s)", task->name, error.detail, error.cause);
    fake_run_reset(run);
}

const struct loop_case loop_cases[] = {{"run", run}, {NULL, NULL}};
