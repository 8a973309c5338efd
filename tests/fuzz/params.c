/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * params: hostile values against the schemas of the tasks that the server has. The first byte
 * chooses one of them, JSON follows.
 */
#include <glob.h>
#include <sys/stat.h>

#include "base/schema.h"
#include "exec/catalog.h"
#include "fuzz.h"

#define CATALOGS_MAX 64

/* A catalogue of each module's folder that has descriptors; made once. */
static int open_catalogs(struct catalog *ret_catalogs[CATALOGS_MAX])
{
    glob_t folders;
    int count = 0;
    FUZZ_CHECK(glob(FUZZ_TASKS "/*/", 0, NULL, &folders) == 0);
    for (size_t i = 0; i < folders.gl_pathc && count < CATALOGS_MAX; i++) {
        struct config cfg = {.server_tasks_dir = folders.gl_pathv[i]};
        struct error err;
        if (catalog_open(&cfg, &ret_catalogs[count], &err) == 0)
            count++;
    }
    globfree(&folders);
    FUZZ_CHECK(count > 0);
    return count;
}

static const struct task_desc *choose_task(unsigned number)
{
    static struct catalog *catalogs[CATALOGS_MAX];
    static int count;
    if (count == 0)
        count = open_catalogs(catalogs);
    const struct catalog *c = catalogs[number % (unsigned)count];
    const struct task_desc *task = catalog_at(c, (int)(number / (unsigned)count));
    return task ? task : catalog_at(c, 0);
}

static void check_values(struct arena *a, const struct schema *s, cJSON *params)
{
    struct field_errors errors = {.arena = a}, again = {.arena = a};
    int count = schema_validate(s, params, "", &errors);
    FUZZ_CHECK(count == errors.count);
    fuzz_check_field_errors(&errors);
    if (count > 0)
        return;
    const char *filled = json_print(a, params, NULL);
    FUZZ_CHECK(schema_validate(s, params, "", &again) == 0);
    FUZZ_CHECK(strcmp(json_print(a, params, NULL), filled) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    cJSON *params;
    if (size == 0)
        return 0;
    struct arena *a = arena_new();
    const struct task_desc *task = choose_task(data[0] - (unsigned)'0');
    if (json_parse(a, (const char *)data + 1, size - 1, &params, &err) == 0)
        check_values(a, task->params, params);
    arena_free(a);
    return 0;
}
