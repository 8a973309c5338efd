/* SPDX-License-Identifier: BSD-2-Clause */
/* descriptor: any text as a task's descriptor, which whoever installs a module trusts too much. */
#include "exec/catalog.h"

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "fuzz.h"

#define FOLDER "tasks"

static void check_slots(const struct task_slot *slots, int count)
{
    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(slots[i].name[0] != '\0' && slots[i].max_count >= 1);
        for (const char **t = slots[i].media_types; t && *t; t++)
            FUZZ_CHECK(strchr(*t, '/') != NULL);
    }
}

static void check_task(const struct task_desc *task)
{
    FUZZ_CHECK(strcmp(task->name, "t.x") == 0 && task->module[0] != '\0' && task->params);
    FUZZ_CHECK(isfinite(task->seconds) && task->seconds > 0 && task->memory_bytes > 0);
    for (int i = 0; i < task->limit_count; i++)
        FUZZ_CHECK(task->limits[i].name[0] != '\0' && isfinite(task->limits[i].value));
    check_slots(task->inputs, task->input_count);
    check_slots(task->outputs, task->output_count);
}

static void write_descriptor(const uint8_t *data, size_t size)
{
    (void)mkdir(FOLDER, 0777);
    int fd = open(FOLDER "/t.x.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config cfg = {.server_tasks_dir = FOLDER};
    struct catalog *catalog;
    struct error err;
    write_descriptor(data, size);
    if (catalog_open(&cfg, &catalog, &err) != 0) {
        fuzz_check_error(&err, ERR_INTERNAL);
        return 0;
    }
    check_task(catalog_at(catalog, 0));
    catalog_close(catalog);
    return 0;
}
