/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds a page as Poppler does, and follows what it may show. Nothing here calls itself: what is
 * still to be looked at stands in a list.
 */
#include "tasks/pdf/pictures.h"

#include <glib.h>

#define TREE_DEPTH_MAX 256 /* of pages; see guard.c */
#define STEPS_A_LOOK 256   /* between two looks whether to stop */

/* A node of the tree of pages, on the way to the page that was found last. */
struct node {
    int id;
    qpdf_oh kids, resources;
    int next, count;
};

struct leaf {
    qpdf_oh page, resources;
};

struct pictures {
    struct run *run;
    qpdf_data qpdf;
    double limit; /* megapixels */
    bool has_begun;
    GArray *nodes;  /* struct node */
    GArray *leaves; /* struct leaf: the pages up to the last one that was asked for */

    GHashTable *seen; /* numbers of objects that lead to no picture beyond the limit */
    GArray *added;    /* int: those of them that the page of now has added */
    GArray *waiting;  /* qpdf_oh: still to be looked at */
    unsigned steps;
};

/* What leads to pictures, in resources, forms, patterns, fonts that are drawn, annotations. */
static const char *const leading[] = {"/XObject", "/Pattern",   "/ExtGState", "/Font",
                                      "/SMask",   "/Mask",      "/G",         "/CharProcs",
                                      "/AP",      "/Resources", "/N"};

static bool goes_on(struct pictures *p)
{
    return ++p->steps % STEPS_A_LOOK != 0 || run_progress(p->run, -1, NULL);
}

static int set_stopped(struct error *reterr)
{
    return error_set(reterr, ERR_STOPPED, "The run was stopped.");
}

/* Resources of the node or page itself, or of those above it. */
static qpdf_oh resources_of(const struct pictures *p, qpdf_oh dictionary)
{
    qpdf_oh own = qpdf_oh_get_key_if_dict(p->qpdf, dictionary, "/Resources");
    if (qpdf_oh_is_dictionary(p->qpdf, own) || p->nodes->len == 0)
        return own;
    qpdf_oh_release(p->qpdf, own);
    return qpdf_oh_new_object(p->qpdf,
                              g_array_index(p->nodes, struct node, p->nodes->len - 1).resources);
}

/* Takes the dictionary over. */
static void descend(struct pictures *p, qpdf_oh dictionary)
{
    struct node node = {.id = qpdf_oh_get_object_id(p->qpdf, dictionary),
                        .kids = qpdf_oh_get_key_if_dict(p->qpdf, dictionary, "/Kids"),
                        .resources = resources_of(p, dictionary)};
    if (qpdf_oh_is_array(p->qpdf, node.kids))
        node.count = qpdf_oh_get_array_n_items(p->qpdf, node.kids);
    g_array_append_val(p->nodes, node);
    qpdf_oh_release(p->qpdf, dictionary);
}

static void ascend(struct pictures *p)
{
    const struct node *node = &g_array_index(p->nodes, struct node, p->nodes->len - 1);
    qpdf_oh_release(p->qpdf, node->kids);
    qpdf_oh_release(p->qpdf, node->resources);
    g_array_set_size(p->nodes, p->nodes->len - 1);
}

static bool is_above(const struct pictures *p, int id)
{
    for (guint i = 0; i < p->nodes->len; i++)
        if (g_array_index(p->nodes, struct node, i).id == id)
            return true;
    return false;
}

/* Takes the kid over. */
static void take_kid(struct pictures *p, qpdf_oh kid)
{
    int id = qpdf_oh_get_object_id(p->qpdf, kid);

    if (id == 0 || !qpdf_oh_is_dictionary(p->qpdf, kid) || is_above(p, id)) {
        qpdf_oh_release(p->qpdf, kid);
    } else if (qpdf_oh_is_dictionary_of_type(p->qpdf, kid, "/Page", NULL) ||
               !qpdf_oh_has_key(p->qpdf, kid, "/Kids")) {
        struct leaf leaf = {kid, resources_of(p, kid)};
        g_array_append_val(p->leaves, leaf);
    } else if (p->nodes->len < TREE_DEPTH_MAX) {
        descend(p, kid);
    } else {
        qpdf_oh_release(p->qpdf, kid);
    }
}

static int find_page(struct pictures *p, guint number, struct error *reterr)
{
    if (!p->has_begun) {
        qpdf_oh root = qpdf_get_root(p->qpdf);
        descend(p, qpdf_oh_get_key_if_dict(p->qpdf, root, "/Pages"));
        qpdf_oh_release(p->qpdf, root);
    }
    p->has_begun = true;
    while (p->leaves->len < number && p->nodes->len > 0) {
        struct node *node = &g_array_index(p->nodes, struct node, p->nodes->len - 1);
        if (!goes_on(p))
            return set_stopped(reterr);
        if (node->next < node->count)
            take_kid(p, qpdf_oh_get_array_item(p->qpdf, node->kids, node->next++));
        else
            ascend(p);
    }
    return 0;
}

/* Takes the handle over. */
static void add(struct pictures *p, qpdf_oh object)
{
    int id = qpdf_oh_get_object_id(p->qpdf, object);

    if ((!qpdf_oh_is_dictionary(p->qpdf, object) && !qpdf_oh_is_stream(p->qpdf, object)) ||
        (id != 0 && !g_hash_table_add(p->seen, GINT_TO_POINTER(id)))) {
        qpdf_oh_release(p->qpdf, object);
        return;
    }
    if (id != 0)
        g_array_append_val(p->added, id);
    g_array_append_val(p->waiting, object);
}

/* The object, and what a list or a dictionary of names has. Takes the handle over. */
static void add_all(struct pictures *p, qpdf_oh object)
{
    qpdf_data q = p->qpdf;

    if (qpdf_oh_is_array(q, object)) {
        for (int i = 0, count = qpdf_oh_get_array_n_items(q, object); i < count; i++)
            add(p, qpdf_oh_get_array_item(q, object, i));
    } else if (qpdf_oh_is_dictionary(q, object)) {
        GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
        for (qpdf_oh_begin_dict_key_iter(q, object); qpdf_oh_dict_more_keys(q);)
            g_ptr_array_add(keys, g_strdup(qpdf_oh_dict_next_key(q)));
        for (guint i = 0; i < keys->len; i++)
            add(p, qpdf_oh_get_key(q, object, keys->pdata[i]));
        g_ptr_array_unref(keys);
    }
    add(p, object);
}

static double number_at(const struct pictures *p, qpdf_oh dictionary, const char *key)
{
    qpdf_oh value = qpdf_oh_get_key(p->qpdf, dictionary, key);
    double number = 0;
    if (!qpdf_oh_is_number(p->qpdf, value) || !qpdf_oh_get_value_as_number(p->qpdf, value, &number))
        number = 0;
    qpdf_oh_release(p->qpdf, value);
    return number;
}

static int check_size(const struct pictures *p, qpdf_oh dictionary, int page, struct error *reterr)
{
    double width = number_at(p, dictionary, "/Width"), height = number_at(p, dictionary, "/Height");
    double megapixels = width * height / 1e6;

    if (!(megapixels > p->limit))
        return 0;
    qpdf_oh stencil = qpdf_oh_get_key(p->qpdf, dictionary, "/ImageMask");
    bool is_stencil = qpdf_oh_is_bool(p->qpdf, stencil) && qpdf_oh_get_bool_value(p->qpdf, stencil);
    qpdf_oh_release(p->qpdf, stencil);
    if (is_stencil && !(megapixels / 4 > p->limit))
        return 0;
    return error_set(reterr, ERR_INVALID_INPUT,
                     "Page %d has a picture of %.0fx%.0f pixels; the limit max_image_megapixels is "
                     "%g.",
                     page, width, height, p->limit);
}

/* Takes the handle over. */
static int look_at(struct pictures *p, qpdf_oh object, int page, struct error *reterr)
{
    bool is_stream = qpdf_oh_is_stream(p->qpdf, object);
    qpdf_oh dictionary = is_stream ? qpdf_oh_get_dict(p->qpdf, object) : object;
    int result = is_stream ? check_size(p, dictionary, page, reterr) : 0;

    for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(leading); i++)
        if (qpdf_oh_has_key(p->qpdf, dictionary, leading[i]))
            add_all(p, qpdf_oh_get_key(p->qpdf, dictionary, leading[i]));
    if (is_stream)
        qpdf_oh_release(p->qpdf, dictionary);
    qpdf_oh_release(p->qpdf, object);
    return result;
}

static int check_waiting(struct pictures *p, int page, struct error *reterr)
{
    int result = 0;

    while (result == 0 && p->waiting->len > 0) {
        qpdf_oh object = g_array_index(p->waiting, qpdf_oh, p->waiting->len - 1);
        g_array_set_size(p->waiting, p->waiting->len - 1);
        result = look_at(p, object, page, reterr);
        if (result == 0 && !goes_on(p))
            result = set_stopped(reterr);
    }
    return result;
}

/* What a refused page leads to has to be looked at again for the next one. */
static void forget_page(struct pictures *p)
{
    for (guint i = 0; i < p->added->len; i++)
        g_hash_table_remove(p->seen, GINT_TO_POINTER(g_array_index(p->added, int, i)));
    for (guint i = 0; i < p->waiting->len; i++)
        qpdf_oh_release(p->qpdf, g_array_index(p->waiting, qpdf_oh, i));
    g_array_set_size(p->waiting, 0);
}

int pictures_check(struct pictures *p, int number, struct error *reterr)
{
    if (find_page(p, (guint)number, reterr) != 0)
        return -1;
    if (p->leaves->len < (guint)number)
        return 0;
    const struct leaf *leaf = &g_array_index(p->leaves, struct leaf, number - 1);

    g_array_set_size(p->added, 0);
    add(p, qpdf_oh_new_object(p->qpdf, leaf->resources));
    add_all(p, qpdf_oh_get_key(p->qpdf, leaf->page, "/Annots"));
    int result = check_waiting(p, number, reterr);
    if (result != 0)
        forget_page(p);
    return result;
}

struct pictures *pictures_new(struct run *run, qpdf_data qpdf)
{
    struct pictures *p = g_new0(struct pictures, 1);

    p->run = run;
    p->qpdf = qpdf;
    p->limit = run_limit(run, "max_image_megapixels");
    p->nodes = g_array_new(FALSE, FALSE, sizeof(struct node));
    p->leaves = g_array_new(FALSE, FALSE, sizeof(struct leaf));
    p->seen = g_hash_table_new(NULL, NULL);
    p->added = g_array_new(FALSE, FALSE, sizeof(int));
    p->waiting = g_array_new(FALSE, FALSE, sizeof(qpdf_oh));
    return p;
}

void pictures_free(struct pictures *p)
{
    if (p == NULL)
        return;
    if (qpdf_has_error(p->qpdf)) /* or it prints the error */
        (void)qpdf_get_error(p->qpdf);
    qpdf_cleanup(&p->qpdf); /* and all its handles */
    g_array_unref(p->nodes);
    g_array_unref(p->leaves);
    g_hash_table_destroy(p->seen);
    g_array_unref(p->added);
    g_array_unref(p->waiting);
    g_free(p);
}
