/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the objects of a document by qpdf's C interface. Trees are walked with a stack of our own
 * and a bound on nodes: a document may nest, and loop, as it likes.
 */
#include "tasks/pdf/structure.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <qpdf/qpdf-c.h>

#define DEPTH_MAX 64 /* of the tree of pages */
#define LANGUAGE_MAX 100
#define REPAIR_MAX ((size_t)4 << 20) /* bytes; takes a fraction of a second */

/* Handles live until they are released, one by one or with the document. */
static qpdf_oh take(qpdf_data q, qpdf_oh parent, const char *key)
{
    qpdf_oh child = qpdf_oh_get_key_if_dict(q, parent, key);
    qpdf_oh_release(q, parent);
    return child;
}

static int read_with(struct structure *s, const char *password)
{
    const struct run_input *in = s->document->input;
    s->qpdf = qpdf_init();
    qpdf_silence_errors(s->qpdf);
    qpdf_set_suppress_warnings(s->qpdf, QPDF_TRUE);
    qpdf_set_attempt_recovery(s->qpdf, in->size <= REPAIR_MAX);
    QPDF_ERROR_CODE code =
        qpdf_read_memory(s->qpdf, "input", (const char *)in->bytes, in->size, password);
    if ((code & QPDF_ERRORS) == 0)
        return 0;
    structure_release(s);
    return -1;
}

void structure_open(struct structure *s, const struct document *d, const char *password)
{
    *s = (struct structure){.document = d};
    if (read_with(s, password) == 0 || password == NULL)
        return;
    /* Before PDF 2.0, passwords were in Latin-1. */
    char *latin1 = g_convert(password, -1, "ISO-8859-1", "UTF-8", NULL, NULL, NULL);
    if (latin1 != NULL)
        (void)read_with(s, latin1);
    g_free(latin1);
}

void structure_release(struct structure *s)
{
    if (s->qpdf == NULL)
        return;
    if (qpdf_has_error(s->qpdf)) /* or it prints the error */
        (void)qpdf_get_error(s->qpdf);
    qpdf_cleanup(&s->qpdf);
}

/* What stands in the document's root. */

static long long integer_of(qpdf_data q, qpdf_oh dictionary, const char *key, long long missing)
{
    long long value = missing;
    qpdf_oh oh = qpdf_oh_get_key_if_dict(q, dictionary, key);
    if (!qpdf_oh_get_value_as_longlong(q, oh, &value))
        value = missing;
    qpdf_oh_release(q, oh);
    return value;
}

/* V 1 is always of 40 bits, V 5 of 256; between them Length says it. */
static void describe_encryption(qpdf_data q, cJSON *object)
{
    qpdf_oh encrypt = take(q, qpdf_get_trailer(q), "/Encrypt");
    long long version = integer_of(q, encrypt, "/V", 0);
    long long bits = version == 1   ? 40
                     : version == 4 ? 128
                     : version == 5 ? 256
                                    : integer_of(q, encrypt, "/Length", 40);
    cJSON *encryption = cJSON_AddObjectToObject(object, "encryption");
    cJSON_AddNumberToObject(encryption, "version", (double)version);
    cJSON_AddNumberToObject(encryption, "revision", (double)integer_of(q, encrypt, "/R", 0));
    cJSON_AddNumberToObject(encryption, "key_bits", (double)bits);
    qpdf_oh_release(q, encrypt);
}

static bool is_tagged(qpdf_data q)
{
    QPDF_BOOL marked = QPDF_FALSE;
    qpdf_oh oh = take(q, take(q, qpdf_get_root(q), "/MarkInfo"), "/Marked");
    bool is_bool = qpdf_oh_get_value_as_bool(q, oh, &marked);
    qpdf_oh_release(q, oh);
    return is_bool && marked;
}

/* Scripts of the document itself; those of single pages and fields are not looked for. */
static bool has_javascript(qpdf_data q)
{
    qpdf_oh names = take(q, take(q, qpdf_get_root(q), "/Names"), "/JavaScript");
    qpdf_oh action = take(q, take(q, qpdf_get_root(q), "/OpenAction"), "/S");
    bool has =
        qpdf_oh_is_dictionary(q, names) || qpdf_oh_is_name_and_equals(q, action, "/JavaScript");
    qpdf_oh_release(q, names);
    qpdf_oh_release(q, action);
    return has;
}

static bool has_xfa(qpdf_data q)
{
    qpdf_oh xfa = take(q, take(q, qpdf_get_root(q), "/AcroForm"), "/XFA");
    bool has = qpdf_oh_is_array(q, xfa) || qpdf_oh_is_stream(q, xfa);
    qpdf_oh_release(q, xfa);
    return has;
}

char *structure_info(const struct structure *s, const char *key)
{
    const char *value;
    size_t length;
    char *text = NULL;
    if (s->qpdf == NULL)
        return NULL;
    qpdf_oh oh = take(s->qpdf, take(s->qpdf, qpdf_get_trailer(s->qpdf), "/Info"), key);
    if (qpdf_oh_get_value_as_utf8(s->qpdf, oh, &value, &length))
        text = g_strndup(value, length);
    qpdf_oh_release(s->qpdf, oh);
    return text;
}

static void describe_language(qpdf_data q, cJSON *object)
{
    const char *value;
    size_t length;
    qpdf_oh oh = take(q, qpdf_get_root(q), "/Lang");
    if (qpdf_oh_get_value_as_utf8(q, oh, &value, &length) && length > 0 && length <= LANGUAGE_MAX) {
        char *valid = g_utf8_make_valid(value, (gssize)length);
        cJSON_AddStringToObject(object, "language", valid);
        g_free(valid);
    }
    qpdf_oh_release(q, oh);
}

void structure_describe(const struct structure *s, cJSON *object)
{
    const struct run_input *in = s->document->input;
    if (s->qpdf == NULL) { /* the name stands in the trailer, which is never compressed */
        bool is_encrypted = memmem(in->bytes, in->size, "/Encrypt", strlen("/Encrypt")) != NULL;
        cJSON_AddBoolToObject(object, "encrypted", is_encrypted);
        return;
    }
    bool is_encrypted = qpdf_is_encrypted(s->qpdf);
    cJSON_AddBoolToObject(object, "encrypted", is_encrypted);
    if (is_encrypted)
        describe_encryption(s->qpdf, object);
    cJSON_AddBoolToObject(object, "tagged", is_tagged(s->qpdf));
    describe_language(s->qpdf, object);
    cJSON_AddBoolToObject(object, "javascript", has_javascript(s->qpdf));
    cJSON_AddBoolToObject(object, "xfa", has_xfa(s->qpdf));
}

/* The tree of pages. */

struct walk {
    qpdf_data q;
    struct level {
        qpdf_oh kids;
        int next, count;
        struct page_box inherited;
    } levels[DEPTH_MAX];
    int depth;
    struct page_box *boxes;
    int found, pages, nodes_left;
};

static double number_at(qpdf_data q, qpdf_oh array, int i)
{
    double value = NAN;
    qpdf_oh item = qpdf_oh_get_array_item(q, array, i);
    if (!qpdf_oh_get_value_as_number(q, item, &value))
        value = NAN;
    qpdf_oh_release(q, item);
    return value;
}

static void read_media(qpdf_data q, qpdf_oh node, double media[4])
{
    qpdf_oh array = qpdf_oh_get_key(q, node, "/MediaBox");
    double v[4] = {NAN, NAN, NAN, NAN};
    if (qpdf_oh_is_array(q, array) && qpdf_oh_get_array_n_items(q, array) >= 4)
        for (int i = 0; i < 4; i++)
            v[i] = number_at(q, array, i);
    qpdf_oh_release(q, array);
    if (!isfinite(v[0]) || !isfinite(v[1]) || !isfinite(v[2]) || !isfinite(v[3]))
        return;
    media[0] = fmin(v[0], v[2]);
    media[1] = fmin(v[1], v[3]);
    media[2] = fmax(v[0], v[2]);
    media[3] = fmax(v[1], v[3]);
}

/* What a node says itself, over what it has inherited. */
static struct page_box read_box(qpdf_data q, qpdf_oh node, struct page_box box)
{
    long long turned = integer_of(q, node, "/Rotate", box.rotation);
    box.rotation = (int)(turned % 360 + 360) % 360;
    read_media(q, node, box.media);
    return box;
}

/* Takes the node over. False: this tree is not one to be trusted. */
static bool enter(struct walk *w, qpdf_oh node, struct page_box inherited)
{
    qpdf_data q = w->q;
    if (!qpdf_oh_is_dictionary(q, node) || --w->nodes_left < 0) {
        qpdf_oh_release(q, node);
        return false;
    }
    struct page_box box = read_box(q, node, inherited);
    qpdf_oh kids = take(q, node, "/Kids");
    if (!qpdf_oh_is_array(q, kids)) {
        qpdf_oh_release(q, kids);
        if (w->found == w->pages)
            return false;
        w->boxes[w->found++] = box;
        return true;
    }
    if (w->depth == DEPTH_MAX) {
        qpdf_oh_release(q, kids);
        return false;
    }
    w->levels[w->depth++] = (struct level){kids, 0, qpdf_oh_get_array_n_items(q, kids), box};
    return true;
}

static bool walk_on(struct walk *w)
{
    struct level *level = &w->levels[w->depth - 1];
    if (level->next == level->count) {
        qpdf_oh_release(w->q, level->kids);
        w->depth--;
        return true;
    }
    qpdf_oh kid = qpdf_oh_get_array_item(w->q, level->kids, level->next++);
    return enter(w, kid, level->inherited);
}

struct page_box *structure_boxes(const struct structure *s)
{
    /* 612 x 792 is what Poppler takes where none is said. */
    const struct page_box none = {{0, 0, 612, 792}, 0};
    int pages = s->document->pages;
    struct walk w = {.q = s->qpdf, .pages = pages, .nodes_left = 2 * pages + 1000};

    if (s->qpdf == NULL)
        return NULL;
    w.boxes = g_new0(struct page_box, pages);
    bool is_fine = enter(&w, take(w.q, qpdf_get_root(w.q), "/Pages"), none);
    while (is_fine && w.depth > 0)
        is_fine = walk_on(&w);
    if (is_fine && w.found == pages && !qpdf_has_error(w.q))
        return w.boxes;
    g_free(w.boxes);
    return NULL;
}
