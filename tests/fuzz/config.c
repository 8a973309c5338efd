/* SPDX-License-Identifier: BSD-2-Clause */
/* config: what was read from a file, printed, is a file that means the same. */
#include "base/config.h"

#include <sys/mman.h>

#include "fuzz.h"

static int load(struct arena *a, const void *bytes, size_t size, struct config **ret_config,
                struct error *reterr)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    int status = config_load(a, arena_printf(a, "/proc/self/fd/%d", fd), ret_config, reterr);
    (void)close(fd);
    return status;
}

static void check_printed(struct arena *a, const struct config *cfg)
{
    struct strbuf printed = STRBUF_INIT, again = STRBUF_INIT;
    struct config *reloaded;
    struct error err;
    config_print(cfg, &printed);
    FUZZ_CHECK(load(a, printed.text, printed.size, &reloaded, &err) == 0);
    config_print(reloaded, &again);
    FUZZ_CHECK(strcmp(printed.text, again.text) == 0);
    strbuf_release(&printed);
    strbuf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct config *cfg;
    struct error err;
    int before = fuzz_free_descriptor();
    if (load(a, data, size, &cfg, &err) != 0)
        FUZZ_CHECK(err.code == ERR_INTERNAL && err.detail[0] != '\0'); /* with words of the file */
    else
        check_printed(a, cfg);
    arena_free(a);
    FUZZ_CHECK(fuzz_free_descriptor() == before);
    return 0;
}
