/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was read, in the formats that Tesseract itself writes.
 *
 * Its renderers write to a file that they open, or to what `stdout` is when they are made: for that
 * moment it is a stream whose bytes go into the run's output, and no further than its limit.
 */
#include "tasks/ocr/ocr.h"

static TessResultRenderer *create_text(void)
{
    return TessTextRendererCreate("stdout");
}

static TessResultRenderer *create_tsv(void)
{
    return TessTsvRendererCreate("stdout");
}

static TessResultRenderer *create_hocr(void)
{
    return TessHOcrRendererCreate("stdout");
}

static TessResultRenderer *create_alto(void)
{
    return TessAltoRendererCreate("stdout");
}

static TessResultRenderer *create_pdf(void)
{
    return TessPDFRendererCreate("stdout", engine_data_dir(), FALSE);
}

static const struct {
    const char *name, *media_type;
    TessResultRenderer *(*create)(void);
} writers[FORMAT_COUNT] = {
    [FORMAT_TEXT] = {"text", "text/plain", create_text},
    [FORMAT_TSV] = {"tsv", "text/tab-separated-values", create_tsv},
    [FORMAT_HOCR] = {"hocr", "text/html", create_hocr},
    [FORMAT_ALTO] = {"alto", "application/xml", create_alto},
    [FORMAT_PDF] = {"pdf", "application/pdf", create_pdf},
};

static ssize_t sink_write(void *cookie, const char *bytes, size_t size)
{
    struct sink *s = cookie;
    return s->error.code == ERR_NONE && run_write(s->out, bytes, size, &s->error) == 0
               ? (ssize_t)size
               : 0;
}

/* The renderer closes the stream when it is deleted: it is not `stdout` any more then. */
static int open_one(struct outputs *out, struct run *run, enum format format, struct error *reterr)
{
    const cookie_io_functions_t calls = {.write = sink_write};
    struct sink *s = &out->sinks[format];
    s->out = run_output(run, writers[format].name, writers[format].media_type);
    FILE *process_stdout = stdout, *stream = s->out != NULL ? fopencookie(s, "w", calls) : NULL;
    if (stream == NULL)
        return error_internal(reterr, "no memory for the output %s", writers[format].name);
    stdout = stream;
    TessResultRenderer *renderer = writers[format].create();
    stdout = process_stdout;
    if (out->first == NULL)
        out->first = renderer;
    else
        TessResultRendererInsert(out->first, renderer);
    return 0;
}

/* A renderer notices late that its stream takes no more, or never: the streams themselves know. */
static int check(const struct outputs *out, bool is_done, const char *step, struct error *reterr)
{
    for (int i = 0; i < FORMAT_COUNT; i++) {
        if (out->sinks[i].error.code != ERR_NONE) {
            *reterr = out->sinks[i].error;
            return -1;
        }
    }
    return is_done ? 0 : error_internal(reterr, "Tesseract's renderers fail at the %s", step);
}

int outputs_open(struct outputs *out, struct run *run, const struct options *o,
                 struct error *reterr)
{
    *out = (struct outputs){0};
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (o->wants[i] && open_one(out, run, (enum format)i, reterr) != 0)
            return -1;
    return check(out, out->first == NULL || TessResultRendererBeginDocument(out->first, ""),
                 "document's begin", reterr);
}

int outputs_add(struct outputs *out, TessBaseAPI *engine, struct error *reterr)
{
    return check(out, out->first == NULL || TessResultRendererAddImage(out->first, engine), "page",
                 reterr);
}

int outputs_end(struct outputs *out, struct error *reterr)
{
    bool is_done = out->first == NULL || TessResultRendererEndDocument(out->first);
    outputs_release(out); /* what the streams have not handed on yet, they do now */
    return check(out, is_done, "document's end", reterr);
}

void outputs_release(struct outputs *out)
{
    if (out->first != NULL)
        TessDeleteResultRenderer(out->first); /* and all that follow */
    out->first = NULL;
}
