/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cuts what leads from one page to another. Fields are walked with a stack of our own, each once: a
 * form may nest, and loop, as it likes. What goes is made nothing where it is an object of its own,
 * so that nothing else, such as a button's list of fields to send, leads to it.
 */
#include "tasks/pdf/prune.h"

#include <glib.h>

struct pruner {
    struct source *source;
    qpdf_data q;
    struct run *run;
    GHashTable *annotations; /* numbers of those on pages that are taken */
    GHashTable *precious;    /* numbers of what is never made nothing, whatever leads to it */
    GHashTable *seen;        /* numbers of fields */
    GArray *levels;          /* struct level: of fields, on the way down */
    bool is_stopped;
};

struct level {
    qpdf_oh field, kids, kept; /* `field` is the form itself at the top */
    int next, count, kept_count;
};

static void note(struct pruner *p, GHashTable *set, qpdf_oh object)
{
    int id = qpdf_oh_get_object_id(p->q, object);
    if (id != 0)
        g_hash_table_add(set, GINT_TO_POINTER(id));
}

static bool is_noted(const struct pruner *p, GHashTable *set, qpdf_oh object)
{
    int id = qpdf_oh_get_object_id(p->q, object);
    return id != 0 && g_hash_table_contains(set, GINT_TO_POINTER(id));
}

static void drop(struct pruner *p, qpdf_oh object)
{
    int id = qpdf_oh_get_object_id(p->q, object);
    if (id == 0 || is_noted(p, p->precious, object) || is_noted(p, p->annotations, object))
        return;
    qpdf_oh null = qpdf_oh_new_null(p->q);
    qpdf_replace_object(p->q, id, qpdf_oh_get_generation(p->q, object), null);
    qpdf_oh_release(p->q, null);
}

static void remove_keys(struct pruner *p, qpdf_oh dictionary, const char *const *keys)
{
    if (qpdf_oh_is_dictionary(p->q, dictionary))
        for (; *keys != NULL; keys++)
            qpdf_oh_remove_key(p->q, dictionary, *keys);
}

static bool goes_on(struct pruner *p)
{
    if (!p->is_stopped && !run_progress(p->run, -1, NULL))
        p->is_stopped = true;
    return !p->is_stopped;
}

/* Annotations. */

static void each_annotation(struct pruner *p, qpdf_oh page,
                            void (*call)(struct pruner *p, qpdf_oh annotation))
{
    qpdf_oh list = qpdf_oh_get_key_if_dict(p->q, page, "/Annots");
    int count = qpdf_oh_is_array(p->q, list) ? qpdf_oh_get_array_n_items(p->q, list) : 0;
    for (int i = 0; i < count && goes_on(p); i++) {
        qpdf_oh annotation = qpdf_oh_get_array_item(p->q, list, i);
        call(p, annotation);
        qpdf_oh_release(p->q, annotation);
    }
    qpdf_oh_release(p->q, list);
}

static void each_page(struct pruner *p, bool is_taken,
                      void (*call)(struct pruner *p, qpdf_oh annotation))
{
    for (int i = 0; i < p->source->pages; i++)
        if (p->source->page[i].is_taken == is_taken)
            each_annotation(p, p->source->page[i].object, call);
}

static void note_annotation(struct pruner *p, qpdf_oh annotation)
{
    note(p, p->annotations, annotation);
}

/* Of the actions only those stay that lead to a page, or out of the document, and nothing else. */
static void cut_action(struct pruner *p, qpdf_oh from, const char *key)
{
    static const char *const kinds[] = {"/GoTo", "/GoToR", "/URI", "/Named", "/JavaScript"};
    static const char *const leading[] = {"/SD", "/Next", NULL};
    qpdf_oh action = qpdf_oh_get_key(p->q, from, key);
    qpdf_oh kind = qpdf_oh_get_key_if_dict(p->q, action, "/S");
    bool is_known = false;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        is_known = is_known || qpdf_oh_is_name_and_equals(p->q, kind, kinds[i]);
    if (!is_known && qpdf_oh_is_dictionary(p->q, action))
        qpdf_oh_remove_key(p->q, from, key);
    remove_keys(p, action, leading);
    qpdf_oh_release(p->q, kind);
    qpdf_oh_release(p->q, action);
}

/* Fields that were walked have lost what does not stay; others lead anywhere. */
static void cut_annotation(struct pruner *p, qpdf_oh annotation)
{
    static const char *const leading[] = {"/AA", "/StructParent", NULL};
    if (!qpdf_oh_is_dictionary(p->q, annotation))
        return;
    qpdf_oh subtype = qpdf_oh_get_key(p->q, annotation, "/Subtype");
    qpdf_oh parent = qpdf_oh_get_key(p->q, annotation, "/Parent");
    bool is_walked = is_noted(p, p->seen, qpdf_oh_is_null(p->q, parent) ? annotation : parent);
    if (!is_walked) {
        remove_keys(p, annotation, leading);
        cut_action(p, annotation, "/A");
        if (!qpdf_oh_is_name_and_equals(p->q, subtype, "/Popup"))
            qpdf_oh_remove_key(p->q, annotation, "/Parent");
        if (qpdf_oh_is_name_and_equals(p->q, subtype, "/Widget"))
            qpdf_oh_remove_key(p->q, annotation, "/Kids");
    }
    qpdf_oh_release(p->q, parent);
    qpdf_oh_release(p->q, subtype);
}

/* Fields. */

static void descend(struct pruner *p, qpdf_oh field, const char *key)
{
    qpdf_oh kids = qpdf_oh_get_key_if_dict(p->q, field, key);
    int count = qpdf_oh_is_array(p->q, kids) ? qpdf_oh_get_array_n_items(p->q, kids) : 0;
    struct level l = {field, kids, qpdf_oh_new_array(p->q), 0, count, 0};
    g_array_append_val(p->levels, l);
}

/* The deepest level is done: it takes its place in the one above, or goes. */
static void ascend(struct pruner *p)
{
    struct level l = g_array_index(p->levels, struct level, p->levels->len - 1);
    struct level *above = &g_array_index(p->levels, struct level, p->levels->len - 2);
    bool is_kept = l.kept_count > 0 || is_noted(p, p->annotations, l.field);

    if (l.count > 0 && l.kept_count > 0)
        qpdf_oh_replace_key(p->q, l.field, "/Kids", l.kept);
    else
        qpdf_oh_remove_key(p->q, l.field, "/Kids");
    if (is_kept) {
        qpdf_oh_append_item(p->q, above->kept, l.field);
        above->kept_count++;
    } else {
        drop(p, l.field);
    }
    qpdf_oh_release(p->q, l.kept);
    qpdf_oh_release(p->q, l.kids);
    qpdf_oh_release(p->q, l.field);
    g_array_set_size(p->levels, p->levels->len - 1);
}

static void walk_on(struct pruner *p)
{
    struct level *l = &g_array_index(p->levels, struct level, p->levels->len - 1);

    if (l->next == l->count) {
        ascend(p);
        return;
    }
    qpdf_oh kid = qpdf_oh_get_array_item(p->q, l->kids, l->next++);
    if (qpdf_oh_is_dictionary(p->q, kid) && !is_noted(p, p->seen, kid) &&
        !is_noted(p, p->precious, kid)) {
        note(p, p->seen, kid);
        descend(p, kid, "/Kids");
    } else {
        qpdf_oh_release(p->q, kid);
    }
}

static bool at_top(const struct pruner *p)
{
    const struct level *top = &g_array_index(p->levels, struct level, 0);
    return p->levels->len == 1 && top->next == top->count;
}

/* XFA has all values once more; the order of calculations and signatures concern all fields. */
static void prune_form(struct pruner *p, qpdf_oh root)
{
    static const char *const of_all[] = {"/XFA", "/CO", NULL};
    qpdf_oh form = qpdf_oh_get_key(p->q, root, "/AcroForm");
    note(p, p->precious, form);
    descend(p, form, "/Fields");
    while (!at_top(p) && goes_on(p))
        walk_on(p);

    struct level top = g_array_index(p->levels, struct level, 0);
    if (top.kept_count > 0) {
        qpdf_oh_replace_key(p->q, form, "/Fields", top.kept);
        remove_keys(p, form, of_all);
    } else {
        drop(p, top.kids);
        qpdf_oh_remove_key(p->q, root, "/AcroForm");
    }
    qpdf_oh_release(p->q, top.kept);
    qpdf_oh_release(p->q, top.kids);
    qpdf_oh_release(p->q, form);
}

/* The document. */

static void prune_root(struct pruner *p)
{
    static const char *const of_all[] = {"/StructTreeRoot", "/MarkInfo", "/Threads",   "/PieceInfo",
                                         "/SpiderInfo",     "/Perms",    "/DPartRoot", NULL};
    static const char *const names[] = {"/Pages", "/Templates", "/IDS", "/URLS", NULL};
    qpdf_oh root = qpdf_get_root(p->q);
    qpdf_oh tree = qpdf_oh_get_key(p->q, root, "/Pages");
    qpdf_oh all_names = qpdf_oh_get_key(p->q, root, "/Names");

    note(p, p->precious, root);
    note(p, p->precious, tree);
    for (int i = 0; i < p->source->pages; i++)
        note(p, p->precious, p->source->page[i].object);
    remove_keys(p, root, of_all);
    remove_keys(p, all_names, names);
    cut_action(p, root, "/OpenAction");
    each_page(p, false, drop);
    prune_form(p, root);
    qpdf_oh_release(p->q, all_names);
    qpdf_oh_release(p->q, tree);
    qpdf_oh_release(p->q, root);
}

static void cut_pages(struct pruner *p)
{
    static const char *const leading[] = {"/B", "/AA", "/StructParents", "/DPart", NULL};
    for (int i = 0; i < p->source->pages; i++)
        if (p->source->page[i].is_taken)
            remove_keys(p, p->source->page[i].object, leading);
    each_page(p, true, cut_annotation);
}

int prune(struct source *s, bool is_base, struct run *run, struct error *reterr)
{
    struct pruner p = {.source = s,
                       .q = s->qpdf,
                       .run = run,
                       .annotations = g_hash_table_new(NULL, NULL),
                       .precious = g_hash_table_new(NULL, NULL),
                       .seen = g_hash_table_new(NULL, NULL),
                       .levels = g_array_new(FALSE, FALSE, sizeof(struct level))};

    each_page(&p, true, note_annotation);
    if (is_base)
        prune_root(&p);
    cut_pages(&p);
    g_array_unref(p.levels);
    g_hash_table_destroy(p.seen);
    g_hash_table_destroy(p.precious);
    g_hash_table_destroy(p.annotations);
    if (p.is_stopped)
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    return 0;
}
