/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the form as Poppler would, and ends at its limits.
 */
#include "tasks/pdf/guard.h"

#include <math.h>
#include <string.h>

#include <glib.h>
#include <qpdf/qpdf-c.h>

#define TREE_DEPTH_MAX 256           /* of pages; a balanced tree of a million has 20 */
#define REPAIR_MAX ((size_t)4 << 20) /* bytes; takes a fraction of a second, and is not stopped */
#define FIELDS_A_LOOK 256            /* fields between two looks whether to stop */

#define FILTERS_MAX 32 /* in a row; for each Poppler takes tens of kilobytes */

struct guard {
    struct run *run;
    const char *name; /* of the input */
    qpdf_data qpdf;
    GArray *levels; /* struct level: the way down to where we are */
    double depth_max, fields_max, fields;
};

struct level {
    qpdf_oh kids;
    int next, count;
};

static bool has_array(const struct guard *g, qpdf_oh dictionary, const char *key,
                      qpdf_oh *ret_array)
{
    qpdf_oh array = qpdf_oh_get_key_if_dict(g->qpdf, dictionary, key);
    bool is_array = qpdf_oh_is_array(g->qpdf, array);
    if (is_array)
        *ret_array = array;
    else
        qpdf_oh_release(g->qpdf, array);
    return is_array;
}

static int set_too_deep(const struct guard *g, struct error *reterr)
{
    return error_set(reterr, ERR_INVALID_INPUT,
                     "The form of the input %s is nested deeper than the limit max_form_depth, %g.",
                     g->name, g->depth_max);
}

/* Takes the array over. */
static int descend(struct guard *g, qpdf_oh kids, struct error *reterr)
{
    struct level level = {kids, 0, qpdf_oh_get_array_n_items(g->qpdf, kids)};
    g_array_append_val(g->levels, level);
    return g->levels->len > g->depth_max ? set_too_deep(g, reterr) : 0;
}

/* What a field does not say it has from those above, which need not be where it was come from.
 * Takes the field over. */
static bool has_many_above(const struct guard *g, qpdf_oh field)
{
    int above = -1;
    while (above <= g->depth_max && qpdf_oh_is_dictionary(g->qpdf, field)) {
        qpdf_oh parent = qpdf_oh_get_key(g->qpdf, field, "/Parent");
        qpdf_oh_release(g->qpdf, field);
        field = parent;
        above++;
    }
    qpdf_oh_release(g->qpdf, field);
    return above > g->depth_max;
}

/* Takes the field over. */
static int take_field(struct guard *g, qpdf_oh field, struct error *reterr)
{
    qpdf_oh kids;
    bool has_kids = has_array(g, field, "/Kids", &kids);

    if (has_many_above(g, field))
        return set_too_deep(g, reterr);
    if (++g->fields > g->fields_max)
        return error_set(reterr, ERR_INVALID_INPUT,
                         "The form of the input %s has more fields than the limit max_form_fields, "
                         "%g.",
                         g->name, g->fields_max);
    if (fmod(g->fields, FIELDS_A_LOOK) == 0 && !run_progress(g->run, -1, NULL))
        return error_set(reterr, ERR_STOPPED, "The run was stopped.");
    return has_kids ? descend(g, kids, reterr) : 0;
}

static int check_form(struct guard *g, struct error *reterr)
{
    qpdf_oh kids;
    qpdf_oh form = qpdf_oh_get_key_if_dict(g->qpdf, qpdf_get_root(g->qpdf), "/AcroForm");
    int result = has_array(g, form, "/Fields", &kids) ? descend(g, kids, reterr) : 0;

    while (result == 0 && g->levels->len > 0) {
        struct level *level = &g_array_index(g->levels, struct level, g->levels->len - 1);
        if (level->next < level->count) {
            qpdf_oh field = qpdf_oh_get_array_item(g->qpdf, level->kids, level->next++);
            result = take_field(g, field, reterr);
        } else {
            qpdf_oh_release(g->qpdf, level->kids);
            g_array_set_size(g->levels, g->levels->len - 1);
        }
    }
    return result;
}

/* The way down to the first page: to look at all of them would take longer than to draw one. */
static int check_pages(const struct guard *g, struct error *reterr)
{
    qpdf_oh kids;
    qpdf_oh node = qpdf_oh_get_key_if_dict(g->qpdf, qpdf_get_root(g->qpdf), "/Pages");

    for (int depth = 0; depth < TREE_DEPTH_MAX; depth++) {
        if (!has_array(g, node, "/Kids", &kids) || qpdf_oh_get_array_n_items(g->qpdf, kids) == 0)
            return 0;
        node = qpdf_oh_get_array_item(g->qpdf, kids, 0);
    }
    return error_set(reterr, ERR_INVALID_INPUT,
                     "The tree of pages of the input %s is nested deeper than %d levels.", g->name,
                     TREE_DEPTH_MAX);
}

/* Names of filters; those that make more of a stream than a few times its size come first. */
static const char *const filters[] = {
    "FlateDecode",
    "Fl",
    "LZWDecode",
    "LZW",
    "RunLengthDecode",
    "RL",
    "DCTDecode",
    "DCT",
    "ASCII85Decode",
    "A85",
    "ASCIIHexDecode",
    "AHx",
    "JPXDecode",
    "CCITTFaxDecode",
    "CCF",
    "JBIG2Decode",
    "Crypt",
};
#define EXPANDING 6 /* of them */

/* The filter whose name stands at `at`; -1: none does. */
static int filter_at(const char *at, const char *end)
{
    for (int i = 0; at < end && i < (int)G_N_ELEMENTS(filters); i++) {
        size_t size = strlen(filters[i]);
        if (*at == *filters[i] && (size_t)(end - at) > size && memcmp(at, filters[i], size) == 0 &&
            !g_ascii_isalnum(at[size]))
            return i;
    }
    return -1;
}

/* A stream's filters are a list of names, which stands in the file as it is. */
static int check_filters(const struct run_input *in, bool *ret_expands_twice, struct error *reterr)
{
    const char *at = (const char *)in->bytes, *end = at + in->size;
    int count = 0, expanding = 0;

    *ret_expands_twice = false;
    while ((at = memchr(at, '/', (size_t)(end - at))) != NULL) {
        int filter = filter_at(++at, end);
        if (filter < 0) {
            count = expanding = 0;
            continue;
        }
        expanding += filter < EXPANDING;
        *ret_expands_twice |= expanding > 1;
        if (++count > FILTERS_MAX)
            return error_set(reterr, ERR_INVALID_INPUT,
                             "A stream of the input %s has more than %d filters.", in->name,
                             FILTERS_MAX);
        at += strlen(filters[filter]);
        while (at < end && g_ascii_isspace(*at))
            at++;
        if (at < end && *at != '/')
            count = expanding = 0;
    }
    return 0;
}

static bool read_with(struct guard *g, const struct run_input *in, const char *password)
{
    g->qpdf = qpdf_init();
    qpdf_silence_errors(g->qpdf);
    qpdf_set_suppress_warnings(g->qpdf, QPDF_TRUE);
    qpdf_set_attempt_recovery(g->qpdf, in->size <= REPAIR_MAX);
    return (qpdf_read_memory(g->qpdf, "input", (const char *)in->bytes, in->size, password) &
            QPDF_ERRORS) == 0;
}

static void release(struct guard *g)
{
    if (qpdf_has_error(g->qpdf)) /* or it prints the error */
        (void)qpdf_get_error(g->qpdf);
    qpdf_cleanup(&g->qpdf);
}

/* Before PDF 2.0, passwords were in Latin-1. */
static bool read_document(struct guard *g, const struct run_input *in, const char *password)
{
    bool is_read = read_with(g, in, password);
    if (is_read || password == NULL)
        return is_read;
    char *latin1 = g_convert(password, -1, "ISO-8859-1", "UTF-8", NULL, NULL, NULL);
    if (latin1 != NULL) {
        release(g);
        is_read = read_with(g, in, latin1);
    }
    g_free(latin1);
    return is_read;
}

int guard_check(struct run *run, const struct run_input *in, const char *password,
                bool *ret_expands_twice, qpdf_data *ret_qpdf, struct error *reterr)
{
    *ret_qpdf = NULL;
    if (check_filters(in, ret_expands_twice, reterr) != 0)
        return -1;
    struct guard g = {.run = run,
                      .name = in->name,
                      .levels = g_array_new(FALSE, FALSE, sizeof(struct level)),
                      .depth_max = run_limit(run, "max_form_depth"),
                      .fields_max = run_limit(run, "max_form_fields")};
    int result = 0;

    bool is_read = read_document(&g, in, password);
    if (is_read && (check_pages(&g, reterr) != 0 || check_form(&g, reterr) != 0))
        result = -1;
    if (is_read && result == 0)
        *ret_qpdf = g.qpdf;
    else
        release(&g);
    g_array_unref(g.levels);
    return result;
}
