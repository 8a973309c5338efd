/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `pdf`: documents, read by Poppler (GPL-2.0-or-later), so that this module, as loaded,
 * is under the GPL's terms; Gangsaw itself does not link it.
 */
#include "tasks/pdf/pdf.h"

#include <glib.h>

#include "tasks/pdf/deep.h"
#include "tasks/pdf/encode.h"

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
    return encode_init(reterr);
}

static int assemble(struct run *run, struct error *reterr)
{
    return deep_run(pdf_assemble, run, reterr);
}

static int inspect(struct run *run, struct error *reterr)
{
    return deep_run(pdf_inspect, run, reterr);
}

static int render(struct run *run, struct error *reterr)
{
    return deep_run(pdf_render, run, reterr);
}

static int text(struct run *run, struct error *reterr)
{
    return deep_run(pdf_text, run, reterr);
}

static const struct task tasks[] = {
    {"pdf.assemble", assemble},
    {"pdf.inspect", inspect},
    {"pdf.render", render},
    {"pdf.text", text},
    {NULL, NULL},
};

/* No trim: nothing is kept between runs. */
const struct gangsaw_module gangsaw_module = {
    .abi = GANGSAW_MODULE_ABI, .init = init, .tasks = tasks};
