/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib's stream in memory, with a look at the stop flag before each read.
 */
#include "tasks/pdf/stream.h"

struct stream {
    GMemoryInputStream parent;
    struct run *run;
};

struct stream_class {
    GMemoryInputStreamClass parent;
};

/* GLib's macro names the types so. */
typedef struct stream PdfStream;
typedef struct stream_class PdfStreamClass;

static GType pdf_stream_get_type(void);
G_DEFINE_TYPE(PdfStream, pdf_stream, G_TYPE_MEMORY_INPUT_STREAM)

/* A fraction below 0 leaves the run's progress as it is. */
static gssize read_unless_stopped(GInputStream *stream, void *bytes, gsize size,
                                  GCancellable *cancellable, GError **error)
{
    if (run_progress(((struct stream *)stream)->run, -1, NULL))
        return G_INPUT_STREAM_CLASS(pdf_stream_parent_class)
            ->read_fn(stream, bytes, size, cancellable, error);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the run was stopped");
    return -1;
}

static void pdf_stream_class_init(PdfStreamClass *class)
{
    G_INPUT_STREAM_CLASS(class)->read_fn = read_unless_stopped;
}

static void pdf_stream_init(PdfStream *stream)
{
    (void)stream;
}

GInputStream *stream_new(struct run *run, const struct run_input *input)
{
    struct stream *s = g_object_new(pdf_stream_get_type(), NULL);
    GBytes *bytes = g_bytes_new_static(input->bytes, input->size);

    s->run = run;
    g_memory_input_stream_add_bytes(G_MEMORY_INPUT_STREAM(s), bytes);
    g_bytes_unref(bytes);
    return G_INPUT_STREAM(s);
}
