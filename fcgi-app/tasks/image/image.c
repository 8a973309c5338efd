/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `image`: pictures, by libvips (LGPL-2.1-or-later). Debian's build of libvips links
 * libraries under the GPL (FFTW, libimagequant), so this module, as loaded, is under the GPL's
 * terms; Gangsaw itself does not link it.
 */
#include "tasks/image/image.h"

#include <stdlib.h>

/* Pictures make libraries talk, a 5 KB TIFF to 1,750 lines; what matters comes back as an error. */
static void drop_message(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)data;
}

static int init(struct error *reterr)
{
    g_log_set_default_handler(drop_message, NULL);
    /* Pictures never go to a file: none can be written here. */
    setenv("VIPS_DISC_THRESHOLD", "1000g", 1);
    /* Where it looks for plug-ins: without ImageMagick, Poppler and others, whose loaders are never
     * wanted here, it starts in half the time and takes 7 MB less. */
    setenv("VIPSHOME", "/nonexistent", 1);
    if (VIPS_INIT("gangsaw") != 0)
        return error_internal(reterr, "libvips does not start: %s", vips_error_buffer());
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* cores are shared out by processes */
    vips_cache_set_max(0);   /* it knows inputs by address, and the next run's may have the same */
    return 0;
}

static const struct task tasks[] = {
    {"image.compare", image_compare},
    {"image.inspect", image_inspect},
    {"image.transform", image_transform},
    {NULL, NULL},
};

/* No trim: nothing is kept between runs. */
const struct gangsaw_module gangsaw_module = {
    .abi = GANGSAW_MODULE_ABI, .init = init, .tasks = tasks};
