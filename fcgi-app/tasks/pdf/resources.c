/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page's share of its resources, by the names that stand in its content and in that of its forms.
 * Content is searched, not parsed: what looks like a name within a text or a picture counts too, so
 * that at worst too much stays.
 */
#include "tasks/pdf/resources.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#define STORED_MAX ((size_t)256 * 1024) /* bytes of a stream; a thousand times as many may come */
#define CONTENT_MAX ((size_t)16 << 20)  /* bytes of one that is searched */
#define NAME_MAX_BYTES 127
#define STREAMS_MAX 1000 /* of a page, with its forms */

struct reader {
    qpdf_data qpdf;
    struct run *run;
    qpdf_oh xobjects, fonts; /* of the page */
    GHashTable *used;        /* names of both, with their slash */
    GHashTable *seen;        /* numbers of streams */
    GArray *streams;         /* qpdf_oh: still to be read */
    int count;
};

/* A key of a dictionary that may be something else; a handle on its parent is given back. */
static qpdf_oh take(qpdf_data q, qpdf_oh parent, const char *key)
{
    qpdf_oh child = qpdf_oh_get_key_if_dict(q, parent, key);
    qpdf_oh_release(q, parent);
    return child;
}

/* The same, and an empty one where there is no dictionary: qpdf warns of what is asked of others.
 */
static qpdf_oh dictionary_at(qpdf_data q, qpdf_oh parent, const char *key)
{
    qpdf_oh child = qpdf_oh_get_key_if_dict(q, parent, key);
    if (qpdf_oh_is_dictionary(q, child))
        return child;
    qpdf_oh_release(q, child);
    return qpdf_oh_new_dictionary(q);
}

/* qpdf goes through one dictionary at a time. For g_strfreev(). */
static char **keys_of(qpdf_data q, qpdf_oh dictionary)
{
    GPtrArray *keys = g_ptr_array_new();
    if (qpdf_oh_is_dictionary(q, dictionary))
        for (qpdf_oh_begin_dict_key_iter(q, dictionary); qpdf_oh_dict_more_keys(q);)
            g_ptr_array_add(keys, g_strdup(qpdf_oh_dict_next_key(q)));
    g_ptr_array_add(keys, NULL);
    return (char **)g_ptr_array_free(keys, FALSE);
}

/* Does a form, or a font that is drawn, have resources of its own? Without them it uses the page's,
 * under names that are not looked for here. */
static bool has_resources(qpdf_data q, qpdf_oh dictionary)
{
    qpdf_oh own = qpdf_oh_get_key_if_dict(q, dictionary, "/Resources");
    bool has = qpdf_oh_is_dictionary(q, own);
    qpdf_oh_release(q, own);
    return has;
}

/* Takes the handle over. False: nobody knows what is used. */
static bool add_stream(struct reader *r, qpdf_oh stream)
{
    int id = qpdf_oh_get_object_id(r->qpdf, stream);
    if (!qpdf_oh_is_stream(r->qpdf, stream) || !g_hash_table_add(r->seen, GINT_TO_POINTER(id))) {
        qpdf_oh_release(r->qpdf, stream);
        return true;
    }
    g_array_append_val(r->streams, stream);
    return ++r->count <= STREAMS_MAX;
}

/* Takes the handle over. Pictures have no content. */
static bool add_form(struct reader *r, qpdf_oh xobject)
{
    qpdf_data q = r->qpdf;
    if (!qpdf_oh_is_stream(q, xobject)) {
        qpdf_oh_release(q, xobject);
        return true;
    }
    qpdf_oh dictionary = qpdf_oh_get_dict(q, xobject);
    qpdf_oh subtype = qpdf_oh_get_key(q, dictionary, "/Subtype");
    bool is_form = !qpdf_oh_is_name_and_equals(q, subtype, "/Image");
    bool is_clear = !is_form || has_resources(q, dictionary);
    qpdf_oh_release(q, subtype);
    qpdf_oh_release(q, dictionary);
    if (is_form && is_clear)
        return add_stream(r, xobject);
    qpdf_oh_release(q, xobject);
    return is_clear;
}

static bool add_forms_within(struct reader *r, qpdf_oh stream)
{
    qpdf_oh forms =
        take(r->qpdf, take(r->qpdf, qpdf_oh_get_dict(r->qpdf, stream), "/Resources"), "/XObject");
    char **keys = keys_of(r->qpdf, forms);
    bool is_clear = true;
    for (char **key = keys; is_clear && *key != NULL; key++)
        is_clear = add_form(r, qpdf_oh_get_key(r->qpdf, forms, *key));
    g_strfreev(keys);
    qpdf_oh_release(r->qpdf, forms);
    return is_clear;
}

static bool is_font_clear(struct reader *r, const char *name)
{
    qpdf_oh font = qpdf_oh_get_key(r->qpdf, r->fonts, name);
    qpdf_oh subtype = qpdf_oh_get_key_if_dict(r->qpdf, font, "/Subtype");
    bool is_clear =
        !qpdf_oh_is_name_and_equals(r->qpdf, subtype, "/Type3") || has_resources(r->qpdf, font);
    qpdf_oh_release(r->qpdf, subtype);
    qpdf_oh_release(r->qpdf, font);
    return is_clear;
}

static bool use(struct reader *r, const char *name)
{
    bool is_font = qpdf_oh_has_key(r->qpdf, r->fonts, name);
    bool is_xobject = qpdf_oh_has_key(r->qpdf, r->xobjects, name);
    if ((!is_font && !is_xobject) || !g_hash_table_add(r->used, g_strdup(name)))
        return true;
    return (!is_font || is_font_clear(r, name)) &&
           (!is_xobject || add_form(r, qpdf_oh_get_key(r->qpdf, r->xobjects, name)));
}

static bool ends_name(unsigned char c)
{
    return c <= ' ' || strchr("()<>[]{}/%", c) != NULL;
}

/* Names may be written with codes, #41 for A: who does that keeps all. */
static bool search(struct reader *r, const unsigned char *bytes, size_t size)
{
    const unsigned char *end = bytes + size, *at = bytes;
    bool is_clear = size <= CONTENT_MAX;
    while (is_clear && at < end && (at = memchr(at, '/', (size_t)(end - at))) != NULL) {
        const unsigned char *begin = at++;
        while (at < end && !ends_name(*at))
            at++;
        char name[NAME_MAX_BYTES + 2];
        size_t length = MIN((size_t)(at - begin), sizeof(name) - 1);
        memcpy(name, begin, length);
        name[length] = '\0';
        is_clear = strchr(name, '#') == NULL && use(r, name);
    }
    return is_clear;
}

/* Two compressions, one in the other, unpack to a million times their size. */
static bool is_compressed_once(qpdf_data q, qpdf_oh stream)
{
    static const char *const compressions[] = {"/FlateDecode", "/Fl", "/LZWDecode", "/LZW"};
    static const char *const ascii[] = {"/ASCII85Decode", "/A85", "/ASCIIHexDecode", "/AHx"};
    qpdf_oh filter = take(q, qpdf_oh_get_dict(q, stream), "/Filter");
    qpdf_oh filters = qpdf_oh_wrap_in_array(q, filter);
    int count = qpdf_oh_get_array_n_items(q, filters), compressed = 0, known = 0;

    for (int i = 0; i < count; i++) {
        qpdf_oh each = qpdf_oh_get_array_item(q, filters, i);
        for (size_t k = 0; k < G_N_ELEMENTS(ascii); k++) {
            bool is_compression = qpdf_oh_is_name_and_equals(q, each, compressions[k]);
            compressed += is_compression;
            known += is_compression || qpdf_oh_is_name_and_equals(q, each, ascii[k]);
        }
        qpdf_oh_release(q, each);
    }
    bool has_none = qpdf_oh_is_null(q, filter);
    qpdf_oh_release(q, filters);
    qpdf_oh_release(q, filter);
    return has_none || (known == count && compressed <= 1);
}

static size_t stored_size(qpdf_data q, qpdf_oh stream)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    if ((qpdf_oh_get_stream_data(q, stream, qpdf_dl_none, NULL, &bytes, &size) & QPDF_ERRORS) != 0)
        size = SIZE_MAX;
    free(bytes);
    return size;
}

static bool read_stream(struct reader *r, qpdf_oh stream)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    QPDF_BOOL is_decoded = QPDF_FALSE;
    if (!is_compressed_once(r->qpdf, stream) || stored_size(r->qpdf, stream) > STORED_MAX ||
        !add_forms_within(r, stream))
        return false;
    QPDF_ERROR_CODE code =
        qpdf_oh_get_stream_data(r->qpdf, stream, qpdf_dl_generalized, &is_decoded, &bytes, &size);
    bool is_clear =
        (code & QPDF_ERRORS) == 0 && is_decoded && (size == 0 || search(r, bytes, size));
    free(bytes);
    return is_clear;
}

static bool add_contents(struct reader *r, qpdf_oh page)
{
    qpdf_oh contents = qpdf_oh_get_key(r->qpdf, page, "/Contents");
    bool is_clear = true;
    if (!qpdf_oh_is_array(r->qpdf, contents))
        return add_stream(r, contents);
    for (int i = 0; is_clear && i < qpdf_oh_get_array_n_items(r->qpdf, contents); i++)
        is_clear = add_stream(r, qpdf_oh_get_array_item(r->qpdf, contents, i));
    qpdf_oh_release(r->qpdf, contents);
    return is_clear;
}

/* Find out what is used. */
static bool read_all(struct reader *r, qpdf_oh page)
{
    bool is_clear = add_contents(r, page);
    while (is_clear && r->streams->len > 0) {
        qpdf_oh stream = g_array_index(r->streams, qpdf_oh, r->streams->len - 1);
        g_array_set_size(r->streams, r->streams->len - 1);
        is_clear = run_progress(r->run, -1, NULL) && read_stream(r, stream);
        qpdf_oh_release(r->qpdf, stream);
    }
    return is_clear;
}

static qpdf_oh used_of(const struct reader *r, qpdf_oh dictionary)
{
    qpdf_oh less = qpdf_oh_new_dictionary(r->qpdf);
    char **keys = keys_of(r->qpdf, dictionary);
    for (char **key = keys; *key != NULL; key++) {
        if (!g_hash_table_contains(r->used, *key))
            continue;
        qpdf_oh value = qpdf_oh_get_key(r->qpdf, dictionary, *key);
        qpdf_oh_replace_key(r->qpdf, less, *key, value);
        qpdf_oh_release(r->qpdf, value);
    }
    g_strfreev(keys);
    return less;
}

/* The dictionary as it is may be other pages' too. */
static void replace(const struct reader *r, qpdf_oh page, qpdf_oh resources)
{
    qpdf_oh less = qpdf_oh_new_dictionary(r->qpdf);
    char **keys = keys_of(r->qpdf, resources);
    for (char **key = keys; *key != NULL; key++) {
        bool is_of_names = strcmp(*key, "/XObject") == 0 || strcmp(*key, "/Font") == 0;
        qpdf_oh all = qpdf_oh_get_key(r->qpdf, resources, *key);
        qpdf_oh value = is_of_names && qpdf_oh_is_dictionary(r->qpdf, all) ? used_of(r, all) : all;
        qpdf_oh_replace_key(r->qpdf, less, *key, value);
        if (value != all)
            qpdf_oh_release(r->qpdf, value);
        qpdf_oh_release(r->qpdf, all);
    }
    qpdf_oh_replace_key(r->qpdf, page, "/Resources", less);
    qpdf_oh_release(r->qpdf, less);
    g_strfreev(keys);
}

void resources_trim(struct source *s, int i, struct run *run)
{
    qpdf_data q = s->qpdf;
    qpdf_oh page = s->page[i].object, resources = qpdf_oh_get_key(q, page, "/Resources");
    struct reader r = {.qpdf = q,
                       .run = run,
                       .xobjects = dictionary_at(q, resources, "/XObject"),
                       .fonts = dictionary_at(q, resources, "/Font"),
                       .used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                       .seen = g_hash_table_new(NULL, NULL),
                       .streams = g_array_new(FALSE, FALSE, sizeof(qpdf_oh))};

    if (qpdf_oh_is_dictionary(q, resources) && read_all(&r, page))
        replace(&r, page, resources);
    if (qpdf_has_error(q)) /* of a stream that is damaged: it stays as it is */
        (void)qpdf_get_error(q);
    for (guint k = 0; k < r.streams->len; k++)
        qpdf_oh_release(q, g_array_index(r.streams, qpdf_oh, k));
    g_array_unref(r.streams);
    g_hash_table_destroy(r.seen);
    g_hash_table_destroy(r.used);
    qpdf_oh_release(q, r.fonts);
    qpdf_oh_release(q, r.xobjects);
    qpdf_oh_release(q, resources);
}
