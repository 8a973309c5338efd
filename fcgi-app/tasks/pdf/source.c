/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens documents by qpdf. Its own walk through the tree of pages calls itself for each level and
 * fails for a leaf that is nothing: here the tree is looked at first, level by level, so that
 * neither a deep nor an endless one gets that far, and what is nothing is left out.
 */
#include "tasks/pdf/source.h"

#include <string.h>

#include <glib.h>

#define HEADER_WITHIN 1024 /* readers look for it in the first kilobyte */
#define TREE_DEPTH_MAX 256 /* a balanced tree of a million pages has 20 */

int source_failed(qpdf_data qpdf, const char *name, bool has_password, struct error *reterr)
{
    qpdf_error e = qpdf_get_error(qpdf);
    const char *words = e != NULL ? qpdf_get_error_full_text(qpdf, e) : "";

    if (e != NULL && qpdf_get_error_code(qpdf, e) == qpdf_e_password)
        return error_set(reterr, ERR_INVALID_INPUT,
                         has_password ? "The password does not open the input %s."
                                      : "The input %s is encrypted: it needs a password.",
                         name);
    if (strstr(words, "bad_alloc") != NULL)
        error_set(reterr, ERR_INTERNAL, "The input %s needs more memory than the run may use.",
                  name);
    else
        error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a readable PDF.", name);
    return error_cause(reterr, "%s", words);
}

/* The tree of pages, on the way down. */
struct walk {
    qpdf_data qpdf;
    GHashTable *seen; /* numbers of inner nodes */
    struct level {
        qpdf_oh node, kids;
        int next, count;
        bool has_holes; /* kids that are nothing */
    } levels[TREE_DEPTH_MAX];
    int depth, pages;
    GArray *holes; /* numbers of pages that are nothing */
};

/* Go down into a node, if it is one. False: the tree is deeper than any, or comes back to itself.
 */
static bool descend(struct walk *w, qpdf_oh node)
{
    qpdf_oh kids = qpdf_oh_get_key_if_dict(w->qpdf, node, "/Kids");
    int id = qpdf_oh_get_object_id(w->qpdf, node);

    if (!qpdf_oh_is_array(w->qpdf, kids)) {
        w->pages++;
        return true;
    }
    if (w->depth == TREE_DEPTH_MAX || (id != 0 && !g_hash_table_add(w->seen, GINT_TO_POINTER(id))))
        return false;
    w->levels[w->depth++] =
        (struct level){node, kids, 0, qpdf_oh_get_array_n_items(w->qpdf, kids), false};
    return true;
}

/* qpdf would fail for them. */
static void leave_out_holes(struct walk *w, const struct level *l)
{
    qpdf_oh kids = qpdf_oh_new_array(w->qpdf);

    for (int i = 0; i < l->count; i++) {
        qpdf_oh kid = qpdf_oh_get_array_item(w->qpdf, l->kids, i);
        if (qpdf_oh_is_dictionary(w->qpdf, kid))
            qpdf_oh_append_item(w->qpdf, kids, kid);
        qpdf_oh_release(w->qpdf, kid);
    }
    qpdf_oh_replace_key(w->qpdf, l->node, "/Kids", kids);
}

/* The next kid of the deepest level, or one level up. False as descend(). */
static bool walk_on(struct walk *w)
{
    struct level *l = &w->levels[w->depth - 1];

    if (l->next == l->count) {
        if (l->has_holes)
            leave_out_holes(w, l);
        w->depth--;
        return true;
    }
    qpdf_oh kid = qpdf_oh_get_array_item(w->qpdf, l->kids, l->next++);
    if (qpdf_oh_is_dictionary(w->qpdf, kid))
        return descend(w, kid);
    l->has_holes = true;
    w->pages++;
    g_array_append_val(w->holes, w->pages);
    return true;
}

/* All nodes, until there are more pages than allowed. */
static bool walk_tree(struct walk *w, int max_pages)
{
    qpdf_oh root = qpdf_get_root(w->qpdf);
    bool is_sound = descend(w, qpdf_oh_get_key_if_dict(w->qpdf, root, "/Pages"));

    while (is_sound && w->depth > 0 && w->pages <= max_pages)
        is_sound = walk_on(w);
    qpdf_oh_release_all(w->qpdf);
    return is_sound;
}

static int mend_tree(struct source *s, int max_pages, double limit, struct error *reterr)
{
    struct walk *w = g_new0(struct walk, 1);
    int result = 0;

    s->holes = g_array_new(FALSE, FALSE, sizeof(int));
    w->qpdf = s->qpdf;
    w->seen = g_hash_table_new(NULL, NULL);
    w->holes = s->holes;
    if (!walk_tree(w, max_pages))
        result =
            error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a readable PDF.", s->name);
    else if (w->pages > max_pages)
        result = error_set(reterr, ERR_INVALID_INPUT,
                           "The documents have more pages than the limit max_pages, which is %g.",
                           limit);
    g_hash_table_destroy(w->seen);
    g_free(w);
    return result;
}

static int rotation_of(qpdf_data qpdf, qpdf_oh page)
{
    qpdf_oh value = qpdf_oh_get_key(qpdf, page, "/Rotate");
    int rotate = 0;
    if (!qpdf_oh_get_value_as_int(qpdf, value, &rotate))
        rotate = 0;
    qpdf_oh_release(qpdf, value);
    return rotate;
}

static int count_claimed(qpdf_data qpdf)
{
    qpdf_oh tree = qpdf_oh_get_key_if_dict(qpdf, qpdf_get_root(qpdf), "/Pages");
    int count = -1;
    if (!qpdf_oh_get_value_as_int(qpdf, qpdf_oh_get_key_if_dict(qpdf, tree, "/Count"), &count))
        count = -1;
    return count;
}

static int list_pages(struct source *s, struct error *reterr)
{
    if ((qpdf_push_inherited_attributes_to_page(s->qpdf) & QPDF_ERRORS) != 0)
        return source_failed(s->qpdf, s->name, false, reterr);
    s->pages = qpdf_get_num_pages(s->qpdf);
    if (s->pages < 0)
        return source_failed(s->qpdf, s->name, false, reterr);
    if (s->pages == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s has no pages.", s->name);
    s->is_miscounted = count_claimed(s->qpdf) != s->pages;
    s->page = g_new0(struct source_page, s->pages);
    for (int i = 0; i < s->pages; i++) {
        s->page[i].object = qpdf_get_page_n(s->qpdf, (size_t)i);
        s->page[i].rotate = rotation_of(s->qpdf, s->page[i].object);
    }
    return 0;
}

static int check_input(const struct source *s, struct error *reterr)
{
    const struct run_input *in = s->input;

    if (in->size == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is empty.", s->name);
    if (memmem(in->bytes, MIN(in->size, HEADER_WITHIN), "%PDF-", 5) == NULL)
        return error_set(reterr, ERR_INVALID_INPUT, "The input %s is not a PDF.", s->name);
    return 0;
}

void source_count_warnings(struct source *s)
{
    while (qpdf_more_warnings(s->qpdf)) {
        (void)qpdf_next_warning(s->qpdf);
        s->warnings++;
    }
}

void source_take(struct source *s, int page)
{
    s->taken += !s->page[page].is_taken;
    s->page[page].is_taken = true;
}

/* It reads from the input's own bytes until it is released. */
static int read_with(struct source *s, const char *password)
{
    if (s->qpdf != NULL)
        qpdf_cleanup(&s->qpdf);
    s->qpdf = qpdf_init();
    qpdf_silence_errors(s->qpdf);
    qpdf_set_suppress_warnings(s->qpdf, QPDF_TRUE);
    QPDF_ERROR_CODE code =
        qpdf_read_memory(s->qpdf, s->name, (const char *)s->input->bytes, s->input->size, password);
    return (code & QPDF_ERRORS) == 0 ? 0 : -1;
}

/* Before PDF 2.0, passwords were in Latin-1. -1 as well: that would not be another one. */
static int read_with_latin1(struct source *s, const char *password)
{
    if (password == NULL || g_str_is_ascii(password))
        return -1;
    char *latin1 = g_convert(password, -1, "ISO-8859-1", "UTF-8", NULL, NULL, NULL);
    int result = latin1 != NULL ? read_with(s, latin1) : -1;
    g_free(latin1);
    return result;
}

int source_open(struct source *s, struct run *run, int i, const char *password, int max_pages,
                double limit, struct error *reterr)
{
    *s = (struct source){.input = run_input(run, "document", i), .name = "document"};
    if (i > 0)
        g_snprintf(s->name, sizeof(s->name), "document.%d", i + 1);
    if (check_input(s, reterr) != 0)
        return -1;
    if (read_with(s, password) != 0 && read_with_latin1(s, password) != 0)
        return source_failed(s->qpdf, s->name, password != NULL, reterr);
    s->is_encrypted = qpdf_is_encrypted(s->qpdf);
    if (mend_tree(s, max_pages, limit, reterr) != 0)
        return -1;
    if (list_pages(s, reterr) != 0)
        return -1;
    source_count_warnings(s);
    return 0;
}

void source_release(struct source *s)
{
    if (s->qpdf != NULL)
        qpdf_cleanup(&s->qpdf);
    g_clear_pointer(&s->page, g_free);
    g_clear_pointer(&s->holes, g_array_unref);
}
