/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `ocr`: text out of pictures, by Tesseract (Apache-2.0) and Leptonica (BSD-2-Clause).
 * PDFs are drawn by Poppler (GPL-2.0-or-later), so that this module, as loaded, is under the GPL's
 * terms; Gangsaw itself does not link it.
 */
#include "tasks/ocr/ocr.h"

#include <glib.h>

/* Documents make libraries talk; what matters comes back as an error. */
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
    setMsgSeverity(L_SEVERITY_NONE);
    return engine_init(reterr);
}

static const struct task tasks[] = {
    {"ocr.recognize", ocr_recognize},
    {NULL, NULL},
};

const struct gangsaw_module gangsaw_module = {
    .abi = GANGSAW_MODULE_ABI, .init = init, .trim = engine_trim, .tasks = tasks};
