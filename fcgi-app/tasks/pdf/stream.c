/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GLib's stream in memory, with a look around before each read.
 *
 * GLib knows classes by their names, process-wide, and two modules have a copy of this file: each
 * registers a class of its own, whose name has an address that no other copy has.
 */
#include "tasks/pdf/stream.h"

#include <malloc.h>
#include <sys/resource.h>

#include "tasks/pdf/deep.h"

/* Bytes between two looks at the memory taken. */
#define BYTES_A_LOOK 256
#define MEMORY_SHARE 0.6 /* of the limit: the rest is for what is still being done */

#define PAGE_BYTES 4096

enum end { GOES_ON, STOPPED, TOO_DEEP, TOO_LARGE };

struct stream {
    GMemoryInputStream parent;
    struct run *run;
    const char *name;     /* of the input */
    double memory_mb;     /* the limit; NAN: there is none */
    double heap_at_first; /* bytes */
    struct rusage at_first;
    size_t piece;
    size_t unlooked; /* bytes that may have been read since the last look */
    enum end end;
};

static GInputStreamClass *parent_class;

static double heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.arena + (double)info.hblkhd;
}

/*
 * To measure the heap takes longer the more of it lies in pieces. The kernel says at once that it
 * is not worth while: when the process has never had that much, or has had more before this run and
 * the run has met few new pages.
 */
static bool is_within_memory(const struct stream *s)
{
    struct rusage now;
    double most = s->memory_mb * 1048576 * MEMORY_SHARE;

    if (getrusage(RUSAGE_SELF, &now) == 0 &&
        ((double)now.ru_maxrss * 1024 < most ||
         (now.ru_maxrss == s->at_first.ru_maxrss &&
          (double)(now.ru_minflt - s->at_first.ru_minflt) * PAGE_BYTES < most)))
        return true;
    return !(heap_bytes() - s->heap_at_first > most);
}

/* A fraction below 0 leaves the run's progress as it is. */
static enum end look(struct stream *s)
{
    if (s->end != GOES_ON)
        return s->end;
    if (!run_progress(s->run, -1, NULL))
        return STOPPED;
    if (!deep_has_room())
        return TOO_DEEP;
    if (s->unlooked < BYTES_A_LOOK)
        return GOES_ON;
    s->unlooked = 0;
    return is_within_memory(s) ? GOES_ON : TOO_LARGE;
}

static gssize read_unless_ended(GInputStream *stream, void *bytes, gsize size,
                                GCancellable *cancellable, GError **error)
{
    struct stream *s = (struct stream *)stream;
    s->end = look(s);
    s->unlooked += s->piece;
    if (s->end == GOES_ON)
        return parent_class->read_fn(stream, bytes, MIN(size, s->piece), cancellable, error);
    g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "the file has to end here");
    return -1;
}

static void class_init(gpointer class, gpointer unused)
{
    (void)unused;
    parent_class = g_type_class_peek_parent(class);
    G_INPUT_STREAM_CLASS(class)->read_fn = read_unless_ended;
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

GInputStream *stream_new(struct run *run, const struct run_input *input, size_t piece)
{
    struct stream *s = g_object_new(stream_type(), NULL);
    GBytes *bytes = g_bytes_new_static(input->bytes, input->size);

    s->run = run;
    s->piece = piece;
    s->name = input->name;
    s->memory_mb = run_limit(run, "memory_mb");
    s->heap_at_first = heap_bytes();
    (void)getrusage(RUSAGE_SELF, &s->at_first);
    g_memory_input_stream_add_bytes(G_MEMORY_INPUT_STREAM(s), bytes);
    g_bytes_unref(bytes);
    return G_INPUT_STREAM(s);
}

int stream_check(GInputStream *stream, struct error *reterr)
{
    const struct stream *s = (const struct stream *)stream;

    switch (s->end) {
    case STOPPED:
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    case TOO_DEEP:
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s has objects that lead to each other in too long a chain.",
                         s->name);
    case TOO_LARGE:
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The input %s takes more memory than the limit memory_mb, %g, leaves it.",
                         s->name, s->memory_mb);
    case GOES_ON:
    default:
        return 0;
    }
}
