/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metadata, outline, fonts and attachments of a document.
 */
#include "tasks/pdf/inspect.h"

#include <string.h>

#include <cjson/cJSON.h>

#define OUTLINE_DEPTH_MAX 24         /* two levels of JSON each, of 64 that a result may have */
#define XMP_MAX ((size_t)256 * 1024) /* bytes; more is left out, since half an XML is of no use */
#define FONT_PAGES 4                 /* looked at between two looks whether to stop */

/* qpdf decodes the UTF-8 of PDF 2.0, but may know nothing of a damaged file. */
static void add_info(const struct inspection *in, cJSON *object, const char *name, const char *key,
                     char *(*ask_poppler)(PopplerDocument *))
{
    char *text = structure_info(&in->structure, key);
    inspect_text(object, name, text != NULL ? text : ask_poppler(in->document.poppler));
}

int inspect_metadata(struct inspection *in, struct error *reterr)
{
    PopplerDocument *d = in->document.poppler;
    cJSON *object = cJSON_AddObjectToObject(in->result, "metadata");

    (void)reterr;
    add_info(in, object, "title", "/Title", poppler_document_get_title);
    add_info(in, object, "author", "/Author", poppler_document_get_author);
    add_info(in, object, "subject", "/Subject", poppler_document_get_subject);
    add_info(in, object, "keywords", "/Keywords", poppler_document_get_keywords);
    add_info(in, object, "creator", "/Creator", poppler_document_get_creator);
    add_info(in, object, "producer", "/Producer", poppler_document_get_producer);
    inspect_time(object, "created", poppler_document_get_creation_date_time(d));
    inspect_time(object, "modified", poppler_document_get_modification_date_time(d));
    inspect_text(object, "standard", poppler_document_get_pdf_subtype_string(d));
    return 0;
}

int inspect_xmp(struct inspection *in, struct error *reterr)
{
    char *xmp = poppler_document_get_metadata(in->document.poppler);
    (void)reterr;
    if (xmp == NULL)
        return 0;
    if (strlen(xmp) > XMP_MAX) {
        inspect_truncated(in, "xmp");
    } else {
        char *valid = g_utf8_make_valid(xmp, -1);
        cJSON_AddStringToObject(in->result, "xmp", valid);
        g_free(valid);
    }
    g_free(xmp);
    return 0;
}

/* The outline. */

struct outline {
    struct inspection *in;
    int left; /* items that may still come */
};

static void add_page(const struct outline *o, cJSON *item, const PopplerDest *dest)
{
    if (dest != NULL && dest->page_num >= 1 && dest->page_num <= o->in->document.pages)
        cJSON_AddNumberToObject(item, "page", dest->page_num);
}

static void add_destination(const struct outline *o, cJSON *item, const PopplerDest *dest)
{
    if (dest == NULL || dest->type != POPPLER_DEST_NAMED) {
        add_page(o, item, dest);
    } else if (dest->named_dest != NULL) {
        PopplerDest *found = poppler_document_find_dest(o->in->document.poppler, dest->named_dest);
        add_page(o, item, found);
        if (found != NULL)
            poppler_dest_free(found);
    }
}

static cJSON *add_item(const struct outline *o, cJSON *list, PopplerIndexIter *iter)
{
    cJSON *item = cJSON_CreateObject();
    PopplerAction *action = poppler_index_iter_get_action(iter);

    cJSON_AddItemToArray(list, item);
    inspect_text(item, "title", g_strdup(action != NULL ? action->any.title : ""));
    if (action != NULL && action->type == POPPLER_ACTION_GOTO_DEST)
        add_destination(o, item, action->goto_dest.dest);
    if (action != NULL && action->type == POPPLER_ACTION_URI)
        inspect_text(item, "uri", g_strdup(action->uri.uri));
    if (action != NULL)
        poppler_action_free(action);
    return item;
}

/* An outline may lead back into itself: depth and number of items end it. */
static int add_level(struct outline *o, cJSON *list, PopplerIndexIter *iter, int depth,
                     struct error *reterr)
{
    int result = 0;
    if (depth > OUTLINE_DEPTH_MAX) {
        inspect_truncated(o->in, "outline");
        return 0;
    }
    do {
        if (o->left-- <= 0) {
            inspect_truncated(o->in, "outline");
            return 0;
        }
        cJSON *item = add_item(o, list, iter);
        PopplerIndexIter *child = poppler_index_iter_get_child(iter);
        if (child != NULL) {
            cJSON *children = cJSON_AddArrayToObject(item, "children");
            result = add_level(o, children, child, depth + 1, reterr);
            poppler_index_iter_free(child);
        }
        if (result == 0 && !run_progress(o->in->document.run, 0, "outline"))
            result = error_set(reterr, ERR_STOPPED, "stopped");
    } while (result == 0 && poppler_index_iter_next(iter));
    return result;
}

int inspect_outline(struct inspection *in, struct error *reterr)
{
    struct outline outline = {in, in->max_items};
    cJSON *list = cJSON_AddArrayToObject(in->result, "outline");
    PopplerIndexIter *iter = poppler_index_iter_new(in->document.poppler);
    if (iter == NULL)
        return 0;
    int result = add_level(&outline, list, iter, 1, reterr);
    poppler_index_iter_free(iter);
    return result;
}

/* Fonts. */

static const char *font_type(PopplerFontType type)
{
    static const char *const names[] = {
        [POPPLER_FONT_TYPE_UNKNOWN] = "unknown",
        [POPPLER_FONT_TYPE_TYPE1] = "Type 1",
        [POPPLER_FONT_TYPE_TYPE1C] = "Type 1C",
        [POPPLER_FONT_TYPE_TYPE1COT] = "Type 1C (OpenType)",
        [POPPLER_FONT_TYPE_TYPE3] = "Type 3",
        [POPPLER_FONT_TYPE_TRUETYPE] = "TrueType",
        [POPPLER_FONT_TYPE_TRUETYPEOT] = "TrueType (OpenType)",
        [POPPLER_FONT_TYPE_CID_TYPE0] = "CID Type 0",
        [POPPLER_FONT_TYPE_CID_TYPE0C] = "CID Type 0C",
        [POPPLER_FONT_TYPE_CID_TYPE0COT] = "CID Type 0C (OpenType)",
        [POPPLER_FONT_TYPE_CID_TYPE2] = "CID TrueType",
        [POPPLER_FONT_TYPE_CID_TYPE2OT] = "CID TrueType (OpenType)",
    };
    return (size_t)type < G_N_ELEMENTS(names) ? names[type] : names[POPPLER_FONT_TYPE_UNKNOWN];
}

static void add_font(cJSON *list, PopplerFontsIter *iter)
{
    cJSON *font = cJSON_CreateObject();
    gboolean is_embedded = poppler_fonts_iter_is_embedded(iter);

    cJSON_AddItemToArray(list, font);
    inspect_text(font, "name", g_strdup(poppler_fonts_iter_get_name(iter)));
    cJSON_AddStringToObject(font, "type", font_type(poppler_fonts_iter_get_font_type(iter)));
    inspect_text(font, "encoding", g_strdup(poppler_fonts_iter_get_encoding(iter)));
    cJSON_AddBoolToObject(font, "embedded", is_embedded);
    cJSON_AddBoolToObject(font, "subset", poppler_fonts_iter_is_subset(iter));
    if (!is_embedded)
        inspect_text(font, "substitute", g_strdup(poppler_fonts_iter_get_substitute_name(iter)));
}

/* Takes the fonts of some pages over. */
static void add_fonts(struct inspection *in, cJSON *list, PopplerFontsIter *iter)
{
    do {
        if (cJSON_GetArraySize(list) == in->max_items) {
            inspect_truncated(in, "fonts");
            break;
        }
        add_font(list, iter);
    } while (poppler_fonts_iter_next(iter));
    poppler_fonts_iter_free(iter);
}

int inspect_fonts(struct inspection *in, struct error *reterr)
{
    cJSON *list = cJSON_AddArrayToObject(in->result, "fonts");
    PopplerFontInfo *info = poppler_font_info_new(in->document.poppler);
    int result = 0;

    /* It says false for pages without a new font, not at the end alone. */
    for (int done = 0; done < in->document.pages && result == 0; done += FONT_PAGES) {
        PopplerFontsIter *iter = NULL;
        if (poppler_font_info_scan(info, FONT_PAGES, &iter) && iter != NULL)
            add_fonts(in, list, iter);
        result = inspect_progress(in, done, "fonts", reterr);
    }
    g_object_unref(info);
    return result;
}

/* Attached files. */

static void add_attachment(cJSON *list, PopplerAttachment *attachment)
{
    cJSON *item = cJSON_CreateObject();
    gsize size = poppler_attachment_get_size(attachment);
    GDateTime *created = poppler_attachment_get_ctime(attachment);
    GDateTime *modified = poppler_attachment_get_mtime(attachment);

    cJSON_AddItemToArray(list, item);
    inspect_text(item, "name", g_strdup(poppler_attachment_get_name(attachment)));
    inspect_text(item, "description", g_strdup(poppler_attachment_get_description(attachment)));
    if (size > 0 && size <= G_MAXUINT32) /* what the document says; -1 when it does not */
        cJSON_AddNumberToObject(item, "size", (double)size);
    inspect_time(item, "created", created != NULL ? g_date_time_ref(created) : NULL);
    inspect_time(item, "modified", modified != NULL ? g_date_time_ref(modified) : NULL);
}

int inspect_attachments(struct inspection *in, struct error *reterr)
{
    cJSON *list = cJSON_AddArrayToObject(in->result, "attachments");
    GList *all = poppler_document_get_attachments(in->document.poppler);
    int count = 0;

    (void)reterr;
    for (const GList *at = all; at != NULL; at = at->next) {
        if (count++ == in->max_items) {
            inspect_truncated(in, "attachments");
            break;
        }
        add_attachment(list, at->data);
    }
    g_list_free_full(all, g_object_unref);
    return 0;
}
