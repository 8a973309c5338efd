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

/* A page of the document in the making turns as asked. It may be a copy of one that was turned
 * already: what counts is what its source has. */
static void rotate_page(struct binder *b, const struct leaf *leaf, qpdf_oh page)
{
    int rotate = source_of(b, leaf)->page[leaf->page].rotate, rotate_now = 0;
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
}

static int add_page(struct binder *b, const struct leaf *leaf, struct error *reterr)
{
    const struct source *from = source_of(b, leaf);

    if ((qpdf_add_page(b->qpdf, from->qpdf, from->page[leaf->page].object, QPDF_FALSE) &
         QPDF_ERRORS) != 0)
        return source_failed(b->qpdf, from->name, false, reterr);
    qpdf_oh page = qpdf_get_page_n(b->qpdf, (size_t)qpdf_get_num_pages(b->qpdf) - 1);
    rotate_page(b, leaf, page);
    qpdf_oh_release(b->qpdf, page);
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

/* Do the first leaves say that all pages of the source stay, in their order? A tree that is wrong
 * is made anew. */
static bool is_whole(const struct source *s, int index, const struct leaf *leaves, int count)
{
    int n = 0;
    while (n < count && n < s->pages && leaves[n].source == index && leaves[n].page == n)
        n++;
    return n == s->pages && !s->is_miscounted;
}

/* Pages that are not wanted any more would live on where outlines and links point to them. */
static void forget_page(qpdf_data qpdf, qpdf_oh page)
{
    qpdf_oh null = qpdf_oh_new_null(qpdf);
    qpdf_replace_object(qpdf, qpdf_oh_get_object_id(qpdf, page), qpdf_oh_get_generation(qpdf, page),
                        null);
    qpdf_oh_release(qpdf, null);
}

/* Take all pages out at once: qpdf_remove_page() copies the list of pages for each. What they had
 * inherited they have themselves by now. */
static int empty_tree(struct binder *b, const struct source *s, struct error *reterr)
{
    qpdf_oh root = qpdf_get_root(b->qpdf), tree = qpdf_oh_get_key(b->qpdf, root, "/Pages");

    qpdf_oh_replace_key(b->qpdf, tree, "/Kids", qpdf_oh_new_array(b->qpdf));
    qpdf_oh_replace_key(b->qpdf, tree, "/Count", qpdf_oh_new_integer(b->qpdf, 0));
    if ((qpdf_update_all_pages_cache(b->qpdf) & QPDF_ERRORS) != 0)
        return source_failed(b->qpdf, s->name, false, reterr);
    return 0;
}

static void forget_unused(struct binder *b, const struct source *s)
{
    for (int i = 0; i < s->pages; i++)
        if (!s->page[i].is_taken)
            forget_page(b->qpdf, s->page[i].object);
}

/* They are given by place: other pages are at these places now. */
static void forget_labels(struct binder *b)
{
    qpdf_oh root = qpdf_get_root(b->qpdf);
    qpdf_oh_remove_key(b->qpdf, root, "/PageLabels");
    qpdf_oh_release(b->qpdf, root);
}

/* Make the result of the source that the first page comes from. */
static int change_source(struct binder *b, const struct leaf *leaves, int count,
                         struct error *reterr)
{
    int index = leaves[0].source;
    const struct source *s = &b->assembly->sources[index];

    if (is_whole(s, index, leaves, count)) {
        for (int i = 0; i < s->pages; i++)
            rotate_page(b, &leaves[i], s->page[i].object);
        return add_pages(b, leaves + s->pages, count - s->pages, reterr);
    }
    if (empty_tree(b, s, reterr) != 0 || add_pages(b, leaves, count, reterr) != 0)
        return -1;
    forget_unused(b, s);
    forget_labels(b);
    return 0;
}

static void on_progress(int percent, void *binder)
{
    struct binder *b = binder;
    const struct assembly *a = b->assembly;
    if (!run_progress(a->run, a->begin + a->span * (0.3 + 0.7 * percent / 100), "writing"))
        b->is_stopped = true;
}

/* With AES-256 extracting for accessibility is always allowed. */
static void protect(qpdf_data qpdf, const struct protection *p)
{
    enum qpdf_r3_print_e print = !p->may_print       ? qpdf_r3p_none
                                 : p->may_print_well ? qpdf_r3p_full
                                                     : qpdf_r3p_low;
    qpdf_set_r6_encryption_parameters2(qpdf, p->user_password, p->owner_password, QPDF_TRUE,
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
