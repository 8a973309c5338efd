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

static GLogWriterOutput drop_structured(GLogLevelFlags level, const GLogField *fields, gsize count,
                                        void *data)
{
    (void)level;
    (void)fields;
    (void)count;
    (void)data;
    return G_LOG_WRITER_HANDLED;
}

static int init(struct error *reterr)
{
    g_log_set_default_handler(drop_message, NULL);
    g_log_set_writer_func(drop_structured, NULL, NULL);
    /* Read when libvips first needs it: a picture never goes to a file, where none can be written.
     */
    setenv("VIPS_DISC_THRESHOLD", "1000g", 1);
    if (VIPS_INIT("gangsaw") != 0)
        return error_internal(reterr, "libvips does not start: %s", vips_error_buffer());
    vips_block_untrusted_set(TRUE);
    vips_concurrency_set(1); /* cores are shared out by processes */
    vips_cache_set_max(0);   /* it knows inputs by address, and the next run's may have the same */
    return 0;
}

static const struct task tasks[] = {
    {"image.inspect", image_inspect},
    {"image.transform", image_transform},
    {NULL, NULL},
};

/* No trim: nothing is kept between runs. */
const struct gangsaw_module gangsaw_module = {
    .abi = GANGSAW_MODULE_ABI, .init = init, .tasks = tasks};
