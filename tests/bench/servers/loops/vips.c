/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How loops over libvips begin: one thread, as an executor has it, and nothing kept.
 */
#include <vips/vips.h>

#include "loop.h"

void loop_init(char *const *words)
{
    (void)words;
    if (VIPS_INIT("loop") != 0)
        vips_error_exit("libvips does not start");
    vips_concurrency_set(1);
    vips_cache_set_max(0);
}
