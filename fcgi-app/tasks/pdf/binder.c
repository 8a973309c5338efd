/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Puts pages together and writes them, by qpdf. qpdf reports how far it has written, but cannot be
 * stopped there.
 */
#include "tasks/pdf/assemble.h"

#include <string.h>

#include <glib.h>

struct binder {
    const struct assembly *assembly;
    qpdf_data qpdf; /* what is being made */
    bool is_stopped;
};

static int set_stopped(struct error *reterr)
{
    return error_set(reterr, ERR_STOPPED, "The run was stopped.");
}

static const struct source *source_of(const struct binder *b, const struct leaf *leaf)
{
    return &b->assembly->sources[leaf->source];
}

/* The last page of the document in the making turns as asked. It may be a copy of one that was
 * turned already: what counts is what its source has. */
static void rotate_last(struct binder *b, const struct leaf *leaf)
{
    int rotate = source_of(b, leaf)->page[leaf->page].rotate, rotate_now = 0;
    qpdf_oh page = qpdf_get_page_n(b->qpdf, (size_t)qpdf_get_num_pages(b->qpdf) - 1);
    qpdf_oh now = qpdf_oh_get_key(b->qpdf, page, "/Rotate");

    if (leaf->rotate != 0)
        rotate = (((rotate / 90 * 90 + leaf->rotate) % 360) + 360) % 360;
    if (!qpdf_oh_get_value_as_int(b->qpdf, now, &rotate_now))
        rotate_now = 0;
    qpdf_oh_release(b->qpdf, now);
    if (rotate != rotate_now) {
        qpdf_oh value = qpdf_oh_new_integer(b->qpdf, rotate);
        qpdf_oh_replace_key(b->qpdf, page, "/Rotate", value);
        qpdf_oh_release(b->qpdf, value);
    }
    qpdf_oh_release(b->qpdf, page);
}

static int add_page(struct binder *b, const struct leaf *leaf, struct error *reterr)
{
    const struct source *from = source_of(b, leaf);

    if ((qpdf_add_page(b->qpdf, from->qpdf, from->page[leaf->page].object, QPDF_FALSE) &
         QPDF_ERRORS) != 0)
        return source_failed(b->qpdf, from->name, false, reterr);
    rotate_last(b, leaf);
    return 0;
}

static int add_pages(struct binder *b, const struct leaf *leaves, int count, struct error *reterr)
{
    const struct assembly *a = b->assembly;

    for (int i = 0; i < count; i++) {
        if (!run_progress(a->run, a->begin + a->span * 0.3 * i / count, "collecting pages"))
            return set_stopped(reterr);
        if (add_page(b, &leaves[i], reterr) != 0)
            return -1;
    }
    return 0;
}

/* How many of the first leaves are the source's own pages as they lie there. */
static int count_kept(const struct source *s, int index, const struct leaf *leaves, int count)
{
    int n = 0;
    while (n < count && n < s->pages && leaves[n].source == index && leaves[n].page == n &&
           leaves[n].rotate == 0)
        n++;
    return n;
}

/* Pages that are not wanted any more would live on where outlines and links point to them. */
static void forget_page(qpdf_data qpdf, qpdf_oh page)
{
    qpdf_oh null = qpdf_oh_new_null(qpdf);
    qpdf_replace_object(qpdf, qpdf_oh_get_object_id(qpdf, page), qpdf_oh_get_generation(qpdf, page),
                        null);
    qpdf_oh_release(qpdf, null);
}

/* Take the document's pages from the `kept`th on out; from the end, where that costs nothing. */
static int remove_pages(struct binder *b, const struct source *s, int kept, struct error *reterr)
{
    for (int i = s->pages - 1; i >= kept; i--) {
        if (!run_progress(b->assembly->run, b->assembly->begin, "removing pages"))
            return set_stopped(reterr);
        if ((qpdf_remove_page(b->qpdf, s->page[i].object) & QPDF_ERRORS) != 0)
            return source_failed(b->qpdf, s->name, false, reterr);
    }
    return 0;
}

static int change_source(struct binder *b, const struct leaf *leaves, int count,
                         struct error *reterr)
{
    int index = leaves[0].source;
    const struct source *s = &b->assembly->sources[index];
    int kept = count_kept(s, index, leaves, count);
    bool *is_used = g_new0(bool, s->pages);
    int result = remove_pages(b, s, kept, reterr);

    if (result == 0)
        result = add_pages(b, leaves + kept, count - kept, reterr);
    for (int i = 0; i < count; i++)
        if (leaves[i].source == index)
            is_used[leaves[i].page] = true;
    for (int i = 0; result == 0 && i < s->pages; i++)
        if (!is_used[i])
            forget_page(b->qpdf, s->page[i].object);
    g_free(is_used);
    return result;
}

static void on_progress(int percent, void *binder)
{
    struct binder *b = binder;
    const struct assembly *a = b->assembly;
    if (!run_progress(a->run, a->begin + a->span * (0.3 + 0.7 * percent / 100), "writing"))
        b->is_stopped = true;
}

static void protect(qpdf_data qpdf, const struct protection *p)
{
    enum qpdf_r3_print_e print = !p->may_print       ? qpdf_r3p_none
                                 : p->may_print_well ? qpdf_r3p_full
                                                     : qpdf_r3p_low;
    qpdf_set_r6_encryption_parameters2(qpdf, p->user_password, p->owner_password, p->may_access,
                                       p->may_copy, p->may_assemble, p->may_annotate,
                                       p->may_fill_forms, p->may_modify, print, QPDF_TRUE);
}

static void set_options(struct binder *b)
{
    const struct assembly *a = b->assembly;
    const struct write_request *r = a->request;

    qpdf_set_object_stream_mode(b->qpdf, r->object_streams);
    qpdf_set_compress_streams(b->qpdf, r->is_compressed);
    qpdf_set_linearization(b->qpdf, r->is_linearized);
    qpdf_set_preserve_encryption(b->qpdf, QPDF_FALSE);
    for (int i = 0; i < a->source_count; i++)
        qpdf_set_minimum_pdf_version_and_extension(
            b->qpdf, qpdf_get_pdf_version(a->sources[i].qpdf),
            qpdf_get_pdf_extension_level(a->sources[i].qpdf));
    if (r->protection.is_wanted)
        protect(b->qpdf, &r->protection);
    else /* the same run gives the same bytes */
        qpdf_set_deterministic_ID(b->qpdf, QPDF_TRUE);
    qpdf_register_progress_reporter(b->qpdf, on_progress, b);
}

static int write_document(struct binder *b, struct error *reterr)
{
    const struct assembly *a = b->assembly;

    if ((qpdf_init_write_memory(b->qpdf) & QPDF_ERRORS) != 0)
        return source_failed(b->qpdf, "document", false, reterr);
    set_options(b);
    QPDF_ERROR_CODE failed = qpdf_write(b->qpdf) & QPDF_ERRORS;
    if (b->is_stopped)
        return set_stopped(reterr);
    if (failed)
        return source_failed(b->qpdf, "document", false, reterr);
    struct run_output *out = run_output(a->run, "document", "application/pdf");
    return run_write(out, qpdf_get_buffer(b->qpdf), qpdf_get_buffer_length(b->qpdf), reterr);
}

static int write_new(struct binder *b, const struct leaf *leaves, int count, struct error *reterr)
{
    int result = -1;

    b->qpdf = qpdf_init();
    qpdf_silence_errors(b->qpdf);
    qpdf_set_suppress_warnings(b->qpdf, QPDF_TRUE);
    if ((qpdf_empty_pdf(b->qpdf) & QPDF_ERRORS) != 0)
        source_failed(b->qpdf, "document", false, reterr);
    else if (add_pages(b, leaves, count, reterr) == 0)
        result = write_document(b, reterr);
    qpdf_cleanup(&b->qpdf);
    return result;
}

int assembly_write(const struct assembly *a, const struct leaf *leaves, int count, bool is_alone,
                   struct error *reterr)
{
    struct binder b = {.assembly = a};

    if (!is_alone)
        return write_new(&b, leaves, count, reterr);
    b.qpdf = a->sources[leaves[0].source].qpdf;
    if (change_source(&b, leaves, count, reterr) != 0)
        return -1;
    return write_document(&b, reterr);
}
