/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both are walked with stacks of our own, each node once. Names are put into a single node in the
 * order in which they come.
 */
#include "tasks/pdf/leads.h"

#include <glib.h>

struct walk {
    qpdf_data q;
    struct run *run;
    GHashTable *pages; /* numbers of those that are taken */
    GHashTable *names; /* as they are written: (a name), /Name */
    GHashTable *seen;  /* numbers of nodes and items */
    bool is_stopped;
};

/* An item whose kids are being walked; the outline itself at the top. */
struct level {
    qpdf_oh item, next, last; /* the next kid to look at, the last that stays */
    int count, shown;         /* kids that stay, and what an open outline shows of them */
};

static bool goes_on(struct walk *w)
{
    if (!w->is_stopped && !run_progress(w->run, -1, NULL))
        w->is_stopped = true;
    return !w->is_stopped;
}

/* True the first time only. What is no object of its own cannot be come back to. */
static bool is_new(struct walk *w, qpdf_oh object)
{
    int id = qpdf_oh_get_object_id(w->q, object);
    return id == 0 || g_hash_table_add(w->seen, GINT_TO_POINTER(id));
}

static bool leads_to_page(const struct walk *w, qpdf_oh list)
{
    if (!qpdf_oh_is_array(w->q, list) || qpdf_oh_get_array_n_items(w->q, list) == 0)
        return false;
    qpdf_oh page = qpdf_oh_get_array_item(w->q, list, 0);
    int id = qpdf_oh_get_object_id(w->q, page);
    qpdf_oh_release(w->q, page);
    return g_hash_table_contains(w->pages, GINT_TO_POINTER(id));
}

/* A destination is a list, a dictionary with one, or a name. */
static bool leads(const struct walk *w, qpdf_oh destination)
{
    if (qpdf_oh_is_name(w->q, destination) || qpdf_oh_is_string(w->q, destination))
        return g_hash_table_contains(w->names, qpdf_oh_unparse_resolved(w->q, destination));
    if (!qpdf_oh_is_dictionary(w->q, destination))
        return leads_to_page(w, destination);
    qpdf_oh list = qpdf_oh_get_key(w->q, destination, "/D");
    bool does = leads_to_page(w, list);
    qpdf_oh_release(w->q, list);
    return does;
}

/* Names. */

static void prune_dictionary(struct walk *w, qpdf_oh root)
{
    qpdf_oh all = qpdf_oh_get_key(w->q, root, "/Dests"), kept = qpdf_oh_new_dictionary(w->q);
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);

    if (qpdf_oh_is_dictionary(w->q, all))
        for (qpdf_oh_begin_dict_key_iter(w->q, all); qpdf_oh_dict_more_keys(w->q);)
            g_ptr_array_add(keys, g_strdup(qpdf_oh_dict_next_key(w->q)));
    for (guint i = 0; i < keys->len && goes_on(w); i++) {
        const char *key = g_ptr_array_index(keys, i);
        qpdf_oh value = qpdf_oh_get_key(w->q, all, key);
        if (leads(w, value)) {
            qpdf_oh name = qpdf_oh_new_name(w->q, key);
            g_hash_table_add(w->names, g_strdup(qpdf_oh_unparse_resolved(w->q, name)));
            qpdf_oh_release(w->q, name);
            qpdf_oh_replace_key(w->q, kept, key, value);
        }
        qpdf_oh_release(w->q, value);
    }
    if (keys->len > 0)
        qpdf_oh_replace_key(w->q, root, "/Dests", kept);
    else
        qpdf_oh_remove_key(w->q, root, "/Dests");
    g_ptr_array_unref(keys);
    qpdf_oh_release(w->q, kept);
    qpdf_oh_release(w->q, all);
}

static void keep_names(struct walk *w, qpdf_oh node, qpdf_oh kept)
{
    qpdf_oh list = qpdf_oh_get_key(w->q, node, "/Names");
    int count = qpdf_oh_is_array(w->q, list) ? qpdf_oh_get_array_n_items(w->q, list) : 0;

    for (int i = 0; i + 1 < count && goes_on(w); i += 2) {
        qpdf_oh name = qpdf_oh_get_array_item(w->q, list, i);
        qpdf_oh value = qpdf_oh_get_array_item(w->q, list, i + 1);
        if (qpdf_oh_is_string(w->q, name) && !qpdf_oh_is_string(w->q, value) && leads(w, value)) {
            g_hash_table_add(w->names, g_strdup(qpdf_oh_unparse_resolved(w->q, name)));
            qpdf_oh_append_item(w->q, kept, name);
            qpdf_oh_append_item(w->q, kept, value);
        }
        qpdf_oh_release(w->q, value);
        qpdf_oh_release(w->q, name);
    }
    qpdf_oh_release(w->q, list);
}

/* Its kids come next, the first of them first. */
static void push_kids(struct walk *w, qpdf_oh node, GArray *nodes)
{
    qpdf_oh kids = qpdf_oh_get_key(w->q, node, "/Kids");
    int count = qpdf_oh_is_array(w->q, kids) ? qpdf_oh_get_array_n_items(w->q, kids) : 0;
    for (int i = count - 1; i >= 0; i--) {
        qpdf_oh kid = qpdf_oh_get_array_item(w->q, kids, i);
        g_array_append_val(nodes, kid);
    }
    qpdf_oh_release(w->q, kids);
}

static void prune_tree(struct walk *w, qpdf_oh root)
{
    qpdf_oh names = qpdf_oh_get_key(w->q, root, "/Names");
    qpdf_oh node = qpdf_oh_get_key_if_dict(w->q, names, "/Dests");
    qpdf_oh tree = qpdf_oh_new_dictionary(w->q), kept = qpdf_oh_new_array(w->q);
    GArray *nodes = g_array_new(FALSE, FALSE, sizeof(qpdf_oh));
    bool is_there = qpdf_oh_is_dictionary(w->q, node);

    g_array_append_val(nodes, node);
    while (nodes->len > 0 && goes_on(w)) {
        node = g_array_index(nodes, qpdf_oh, nodes->len - 1);
        g_array_set_size(nodes, nodes->len - 1);
        if (qpdf_oh_is_dictionary(w->q, node) && is_new(w, node)) {
            keep_names(w, node, kept);
            push_kids(w, node, nodes);
        }
        qpdf_oh_release(w->q, node);
    }
    qpdf_oh_replace_key(w->q, tree, "/Names", kept);
    if (is_there)
        qpdf_oh_replace_key(w->q, names, "/Dests", tree);
    g_array_unref(nodes);
    qpdf_oh_release(w->q, kept);
    qpdf_oh_release(w->q, tree);
    qpdf_oh_release(w->q, names);
}

/* The outline. */

/* An item that stays for those below it leads nowhere by itself. */
static bool prune_target(struct walk *w, qpdf_oh item)
{
    qpdf_oh action = qpdf_oh_get_key(w->q, item, "/A");
    qpdf_oh destination = qpdf_oh_get_key(w->q, item, "/Dest");
    if (qpdf_oh_is_null(w->q, destination)) {
        qpdf_oh_release(w->q, destination);
        destination = qpdf_oh_get_key_if_dict(w->q, action, "/D");
    }
    bool does = leads(w, destination);
    if (does && qpdf_oh_is_dictionary(w->q, action)) {
        qpdf_oh_remove_key(w->q, action, "/SD");
        qpdf_oh_remove_key(w->q, action, "/Next");
    } else if (!does) {
        qpdf_oh_remove_key(w->q, item, "/A");
        qpdf_oh_remove_key(w->q, item, "/Dest");
    }
    qpdf_oh_remove_key(w->q, item, "/SE");
    qpdf_oh_release(w->q, destination);
    qpdf_oh_release(w->q, action);
    return does;
}

/* A level is done: what it has is said in its item. Returns what that shows when it is open. */
static int close_level(struct walk *w, const struct level *l)
{
    qpdf_oh count = qpdf_oh_get_key(w->q, l->item, "/Count");
    int before = 0;
    if (!qpdf_oh_get_value_as_int(w->q, count, &before))
        before = 0;
    qpdf_oh_release(w->q, count);
    if (l->count == 0) {
        qpdf_oh_remove_key(w->q, l->item, "/First");
        qpdf_oh_remove_key(w->q, l->item, "/Last");
        qpdf_oh_remove_key(w->q, l->item, "/Count");
        return 0;
    }
    count = qpdf_oh_new_integer(w->q, before > 0 ? l->shown : -l->shown);
    qpdf_oh_replace_key(w->q, l->item, "/Count", count);
    qpdf_oh_replace_key(w->q, l->item, "/Last", l->last);
    qpdf_oh_release(w->q, count);
    return before > 0 ? l->shown : 0;
}

/* Takes the item over. */
static void append(struct walk *w, struct level *above, qpdf_oh item)
{
    qpdf_oh_remove_key(w->q, item, "/Next");
    qpdf_oh_replace_key(w->q, item, "/Parent", above->item);
    if (above->count++ == 0) {
        qpdf_oh_remove_key(w->q, item, "/Prev");
        qpdf_oh_replace_key(w->q, above->item, "/First", item);
    } else {
        qpdf_oh_replace_key(w->q, item, "/Prev", above->last);
        qpdf_oh_replace_key(w->q, above->last, "/Next", item);
        qpdf_oh_release(w->q, above->last);
    }
    above->last = item;
}

static void ascend(struct walk *w, GArray *levels)
{
    struct level l = g_array_index(levels, struct level, levels->len - 1);
    g_array_set_size(levels, levels->len - 1);
    struct level *above = &g_array_index(levels, struct level, levels->len - 1);
    bool does_lead = prune_target(w, l.item);
    int shown = close_level(w, &l);

    if (does_lead || l.count > 0) {
        append(w, above, l.item);
        above->shown += 1 + shown;
    } else {
        qpdf_oh_release(w->q, l.item);
    }
    if (l.count > 0)
        qpdf_oh_release(w->q, l.last);
    qpdf_oh_release(w->q, l.next);
}

/* False: all is walked. Items that are no objects of their own could not lead to each other. */
static bool walk_on(struct walk *w, GArray *levels)
{
    struct level *l = &g_array_index(levels, struct level, levels->len - 1);
    qpdf_oh item = l->next;

    if (qpdf_oh_is_dictionary(w->q, item) && qpdf_oh_get_object_id(w->q, item) != 0 &&
        is_new(w, item)) {
        l->next = qpdf_oh_get_key(w->q, item, "/Next");
        struct level below = {.item = item, .next = qpdf_oh_get_key(w->q, item, "/First")};
        g_array_append_val(levels, below);
        return true;
    }
    if (levels->len == 1)
        return false;
    ascend(w, levels);
    return true;
}

static void prune_outline(struct walk *w, qpdf_oh root)
{
    GArray *levels = g_array_new(FALSE, FALSE, sizeof(struct level));
    qpdf_oh outline = qpdf_oh_get_key(w->q, root, "/Outlines");
    struct level top = {.item = outline, .next = qpdf_oh_get_key_if_dict(w->q, outline, "/First")};

    if (qpdf_oh_get_object_id(w->q, outline) != 0 && is_new(w, outline)) {
        g_array_append_val(levels, top);
        while (goes_on(w) && walk_on(w, levels))
            continue;
        top = g_array_index(levels, struct level, 0);
    }
    if (top.count > 0)
        (void)close_level(w, &top);
    else
        qpdf_oh_remove_key(w->q, root, "/Outlines");
    g_array_unref(levels);
    qpdf_oh_release(w->q, outline);
}

/* Never to be changed, whatever leads to them as if they were items. */
static void note_pages(struct walk *w, const struct source *s, qpdf_oh root)
{
    (void)is_new(w, root);
    qpdf_oh tree = qpdf_oh_get_key(w->q, root, "/Pages");
    (void)is_new(w, tree);
    qpdf_oh_release(w->q, tree);
    for (int i = 0; i < s->pages; i++) {
        (void)is_new(w, s->page[i].object);
        if (s->page[i].is_taken)
            g_hash_table_add(w->pages,
                             GINT_TO_POINTER(qpdf_oh_get_object_id(w->q, s->page[i].object)));
    }
}

int leads_prune(struct source *s, struct run *run, struct error *reterr)
{
    struct walk w = {.q = s->qpdf,
                     .run = run,
                     .pages = g_hash_table_new(NULL, NULL),
                     .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                     .seen = g_hash_table_new(NULL, NULL)};
    qpdf_oh root = qpdf_get_root(w.q);

    note_pages(&w, s, root);
    prune_dictionary(&w, root);
    prune_tree(&w, root);
    prune_outline(&w, root);
    qpdf_oh_release(w.q, root);
    g_hash_table_destroy(w.seen);
    g_hash_table_destroy(w.names);
    g_hash_table_destroy(w.pages);
    if (w.is_stopped)
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    return 0;
}
