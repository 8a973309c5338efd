/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XMP (ISO 16684-1), read by Exempi. Its parser goes down by recursion, compares each property with
 * all of its siblings, and gives each node's path in full; so GLib's parser, which does none of
 * that, looks through the packet first, and what is deeper, wider or longer than any real one is
 * left out as a whole. Exempi remembers the namespaces that it met, for as long as it is
 * initialized: it is started and ended for each packet, so that nothing of a picture outlives its
 * run. It also repairs: of an x-default and one language beside it, the former counts for both.
 */
#include "tasks/image/metadata.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <exempi/xmp.h>
#include <exempi/xmpconsts.h>
#include <glib.h>

#define PACKET_MAX ((size_t)4 << 20)
#define NODES_MAX 5000 /* elements and attributes */
#define DEPTH_MAX 48   /* of elements; three for each level of properties */
#define NAME_MAX_BYTES 256

/* The look before. */

struct survey {
    int nodes, depth;
};

static bool is_within(struct survey *s, const char *name)
{
    return ++s->nodes <= NODES_MAX && strlen(name) <= NAME_MAX_BYTES;
}

static void refuse(GError **error)
{
    g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "too much of it");
}

static void on_start(GMarkupParseContext *context, const char *name, const char **attributes,
                     const char **values, gpointer data, GError **error)
{
    struct survey *s = data;
    (void)context;
    (void)values;

    bool is_fine = ++s->depth <= DEPTH_MAX && is_within(s, name);
    for (; is_fine && *attributes != NULL; attributes++)
        is_fine = is_within(s, *attributes);
    if (!is_fine)
        refuse(error);
}

static void on_end(GMarkupParseContext *context, const char *name, gpointer data, GError **error)
{
    struct survey *s = data;
    (void)context;
    (void)name;
    (void)error;
    s->depth--;
}

/* Comments, instructions and declarations. One that declares entities is in no real packet. */
static void on_other(GMarkupParseContext *context, const char *text, gsize size, gpointer data,
                     GError **error)
{
    struct survey *s = data;
    (void)context;
    (void)size;
    if (g_str_has_prefix(text, "<!DOCTYPE") || ++s->nodes > NODES_MAX)
        refuse(error);
}

static bool is_harmless(const char *packet, size_t size)
{
    static const GMarkupParser parser = {
        .start_element = on_start, .end_element = on_end, .passthrough = on_other};
    struct survey s = {0};

    if (size > PACKET_MAX)
        return false;
    GMarkupParseContext *context =
        g_markup_parse_context_new(&parser, G_MARKUP_TREAT_CDATA_AS_TEXT, &s, NULL);
    bool is_fine = g_markup_parse_context_parse(context, packet, (gssize)size, NULL) &&
                   g_markup_parse_context_end_parse(context, NULL);
    g_markup_parse_context_free(context);
    return is_fine;
}

/* The tree. Exempi gives it node by node, parents first, each with its path from the schema:
 * dc:title, dc:title[1], dc:title[1]/?xml:lang, xmpMM:History[2]/stEvt:when. */

struct walk {
    cJSON *parents[DEPTH_MAX + 1]; /* by depth; NULL where the parent is no container */
    bool is_alternatives[DEPTH_MAX + 1];
    cJSON *alternative; /* of a text by language: waits for its language */
    int alternative_depth;
    struct budget *budget;
};

static int depth_of(const char *path)
{
    int depth = 0;
    for (; *path != '\0'; path++)
        depth += *path == '/' || *path == '[';
    return depth;
}

/* The path's last step: "stEvt:when", "?xml:lang"; "" for an item of an array. */
static const char *last_step(const char *path)
{
    const char *slash = strrchr(path, '/'), *bracket = strrchr(path, '[');
    if (bracket != NULL && (slash == NULL || bracket > slash))
        return "";
    return slash != NULL ? slash + 1 : path;
}

static void drop_alternative(struct walk *w)
{
    if (w->alternative != NULL)
        w->budget->omitted++; /* it had no language */
    cJSON_Delete(w->alternative);
    w->alternative = NULL;
}

static cJSON *text_of(const char *value, struct budget *b)
{
    return metadata_text((const unsigned char *)value, strlen(value), CHARSET_UTF_8, b);
}

/* Qualifiers are left out but for the language of an alternative. */
static void take_qualifier(struct walk *w, int depth, const char *step, const char *value)
{
    if (w->alternative == NULL || depth != w->alternative_depth + 1 ||
        strcmp(step, "?xml:lang") != 0)
        return;
    if (cJSON_GetObjectItemCaseSensitive(w->parents[depth - 1], value) != NULL) {
        drop_alternative(w);
        return;
    }
    cJSON_AddItemToObject(w->parents[depth - 1], value, w->alternative);
    w->alternative = NULL;
}

static cJSON *container_of(uint32_t bits, struct walk *w, int depth)
{
    w->is_alternatives[depth] = XMP_IS_ARRAY_ALTTEXT(bits);
    if (!budget_take(w->budget, 0))
        return NULL;
    return XMP_IS_PROP_ARRAY(bits) && !XMP_IS_ARRAY_ALTTEXT(bits) ? cJSON_CreateArray()
                                                                  : cJSON_CreateObject();
}

static void take_node(struct walk *w, const char *path, const char *value, uint32_t bits)
{
    int depth = depth_of(path) + 1;
    const char *step = last_step(path);

    if (*path == '\0' || depth >= DEPTH_MAX)
        return;
    if (strstr(path, "/?") != NULL) {
        take_qualifier(w, depth - 1, step, value);
        return;
    }
    drop_alternative(w);
    cJSON *parent = w->parents[depth - 1];
    w->parents[depth] = NULL;
    if (parent == NULL)
        return; /* which was left out, and counted */
    cJSON *node =
        XMP_IS_PROP_SIMPLE(bits) ? text_of(value, w->budget) : container_of(bits, w, depth);
    if (node == NULL)
        return;
    if (w->is_alternatives[depth - 1] && XMP_IS_PROP_SIMPLE(bits)) {
        w->alternative = node;
        w->alternative_depth = depth - 1;
        return;
    }
    if (!XMP_IS_PROP_SIMPLE(bits))
        w->parents[depth] = node;
    if (cJSON_IsArray(parent))
        cJSON_AddItemToArray(parent, node);
    else
        cJSON_AddItemToObject(parent, step, node);
}

static void walk_tree(XmpPtr xmp, struct walk *w)
{
    XmpIteratorPtr iterator = xmp_iterator_new(xmp, NULL, NULL, XMP_ITER_PROPERTIES);
    XmpStringPtr schema = xmp_string_new(), path = xmp_string_new(), value = xmp_string_new();
    uint32_t bits = 0;

    while (iterator != NULL && xmp_iterator_next(iterator, schema, path, value, &bits))
        take_node(w, xmp_string_cstr(path), xmp_string_cstr(value), bits);
    drop_alternative(w);
    xmp_string_free(schema);
    xmp_string_free(path);
    xmp_string_free(value);
    xmp_iterator_free(iterator);
}

/* Exempi prints what is wrong with a packet; the log is not for what strangers write. Returns the
 * standard error output, for unmute(); -1: it stays as it is. */
static int mute(void)
{
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (saved >= 0 && null >= 0)
        (void)dup2(null, STDERR_FILENO);
    if (null >= 0)
        (void)close(null);
    return saved;
}

static void unmute(int saved)
{
    if (saved < 0)
        return;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
}

cJSON *metadata_xmp(const void *block, size_t size, struct budget *b)
{
    struct walk w = {.budget = b};
    const char *packet = block;

    while (size > 0 && packet[size - 1] == '\0') /* padding of TIFF tags */
        size--;
    if (!is_harmless(packet, size) || !xmp_init()) {
        b->omitted++;
        return NULL;
    }
    cJSON *object = w.parents[0] = cJSON_CreateObject();
    int saved = mute();
    XmpPtr xmp = xmp_new(packet, size);
    if (xmp != NULL)
        walk_tree(xmp, &w);
    else
        b->omitted++;
    xmp_free(xmp);
    unmute(saved);
    xmp_terminate();
    if (object->child == NULL) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}
