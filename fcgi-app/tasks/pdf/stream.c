/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib's stream in memory, with a look at the stop flag before each read.
 *
 * GLib knows classes by their names, process-wide, and two modules have a copy of this file: each
 * registers a class of its own, whose name has an address that no other copy has.
 */
#include "tasks/pdf/stream.h"

struct stream {
    GMemoryInputStream parent;
    struct run *run;
};

static GInputStreamClass *parent_class;

/* A fraction below 0 leaves the run's progress as it is. */
static gssize read_unless_stopped(GInputStream *stream, void *bytes, gsize size,
                                  GCancellable *cancellable, GError **error)
{
    if (run_progress(((struct stream *)stream)->run, -1, NULL))
        return parent_class->read_fn(stream, bytes, size, cancellable, error);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the run was stopped");
    return -1;
}

static void class_init(gpointer class, gpointer unused)
{
    (void)unused;
    parent_class = g_type_class_peek_parent(class);
    G_INPUT_STREAM_CLASS(class)->read_fn = read_unless_stopped;
}

static GType stream_type(void)
{
    static GType type;
    if (type == 0) {
        char *name = g_strdup_printf("GangsawStream%p", (void *)&type);
        type = g_type_register_static_simple(G_TYPE_MEMORY_INPUT_STREAM, name,
                                             sizeof(GMemoryInputStreamClass), class_init,
                                             sizeof(struct stream), NULL, 0);
        g_free(name);
    }
    return type;
}

GInputStream *stream_new(struct run *run, const struct run_input *input)
{
    struct stream *s = g_object_new(stream_type(), NULL);
    GBytes *bytes = g_bytes_new_static(input->bytes, input->size);

    s->run = run;
    g_memory_input_stream_add_bytes(G_MEMORY_INPUT_STREAM(s), bytes);
    g_bytes_unref(bytes);
    return G_INPUT_STREAM(s);
}
