/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.inspect: what a document is. No page is drawn; what takes a look at each page or object is
 * done where `include` asks for it.
 */
#include "tasks/pdf/inspect.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "tasks/pdf/pdf.h"

/* In the order of the result. */
static const struct part {
    const char *name; /* of the parameter `include` */
    int (*inspect)(struct inspection *in, struct error *reterr);
} parts[] = {
    {"metadata", inspect_metadata},       {"xmp", inspect_xmp},         {"sizes", inspect_sizes},
    {"labels", inspect_labels},           {"outline", inspect_outline}, {"fonts", inspect_fonts},
    {"attachments", inspect_attachments}, {"fields", inspect_fields},   {NULL, NULL},
};

void inspect_truncated(struct inspection *in, const char *name)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(in->result, "truncated");
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (strcmp(item->valuestring, name) == 0)
            return;
    }
    cJSON_AddItemToArray(list, cJSON_CreateString(name));
}

/* The codes of PDFDocEncoding that are not those of Latin-1 (ISO 32000-2, annex D.3). */
static int doc_encoding_of(gunichar c)
{
    static const guint16 from_18[] = {0x2d8, 0x2c7, 0x2c6, 0x2d9, 0x2dd, 0x2db, 0x2da, 0x2dc};
    static const guint16 from_80[] = {
        0x2022, 0x2020, 0x2021, 0x2026, 0x2014, 0x2013, 0x192,  0x2044, 0x2039, 0x203a, 0x2212,
        0x2030, 0x201e, 0x201c, 0x201d, 0x2018, 0x2019, 0x201a, 0x2122, 0xfb01, 0xfb02, 0x141,
        0x152,  0x160,  0x178,  0x17d,  0x131,  0x142,  0x153,  0x161,  0x17e,  0,      0x20ac};
    for (size_t i = 0; i < G_N_ELEMENTS(from_18); i++)
        if (from_18[i] == c)
            return 0x18 + (int)i;
    for (size_t i = 0; i < G_N_ELEMENTS(from_80); i++)
        if (from_80[i] == c)
            return 0x80 + (int)i;
    return c < 0x100 ? (int)c : 0xff; /* which no UTF-8 has */
}

/*
 * PDF 2.0 has texts in UTF-8 behind a byte order mark, which Poppler 22 takes for PDFDocEncoding:
 * back to the bytes. A byte that is none of that encoding's has been lost.
 */
static char *undo_doc_encoding(char *text)
{
    if (!g_str_has_prefix(text, "\u00ef\u00bb\u00bf") || !g_utf8_validate(text, -1, NULL))
        return text;
    GString *bytes = g_string_new(NULL);
    for (const char *at = g_utf8_offset_to_pointer(text, 3); *at != '\0'; at = g_utf8_next_char(at))
        g_string_append_c(bytes, (char)doc_encoding_of(g_utf8_get_char(at)));
    g_free(text);
    return g_string_free(bytes, FALSE);
}

void inspect_text(cJSON *object, const char *name, char *text)
{
    if (text == NULL)
        return;
    text = undo_doc_encoding(text);
    size_t size = strnlen(text, INSPECT_TEXT_MAX + 1);
    bool is_cut = size > INSPECT_TEXT_MAX;
    if (is_cut) { /* before a character's first byte */
        size = INSPECT_TEXT_MAX;
        while (size > 0 && (text[size] & 0xc0) == 0x80)
            size--;
    }
    char *valid = g_utf8_make_valid(text, (gssize)size);
    char *whole = g_strconcat(valid, is_cut ? "…" : "", NULL);
    cJSON_AddStringToObject(object, name, whole);
    g_free(whole);
    g_free(valid);
    g_free(text);
}

void inspect_time(cJSON *object, const char *name, GDateTime *time)
{
    if (time == NULL)
        return;
    bool is_utc = g_date_time_get_utc_offset(time) == 0;
    char *text = g_date_time_format(time, is_utc ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%dT%H:%M:%S%:z");
    if (text != NULL)
        cJSON_AddStringToObject(object, name, text);
    g_free(text);
    g_date_time_unref(time);
}

int inspect_progress(const struct inspection *in, int done, const char *what, struct error *reterr)
{
    if (run_progress(in->document.run, (double)done / in->document.pages, what))
        return 0;
    return error_set(reterr, ERR_STOPPED, "stopped");
}

static void describe_permissions(const struct inspection *in)
{
    static const struct {
        const char *name;
        PopplerPermissions flag;
    } flags[] = {
        {"print", POPPLER_PERMISSIONS_OK_TO_PRINT},
        {"print_high_resolution", POPPLER_PERMISSIONS_OK_TO_PRINT_HIGH_RESOLUTION},
        {"modify", POPPLER_PERMISSIONS_OK_TO_MODIFY},
        {"copy", POPPLER_PERMISSIONS_OK_TO_COPY},
        {"annotate", POPPLER_PERMISSIONS_OK_TO_ADD_NOTES},
        {"fill_forms", POPPLER_PERMISSIONS_OK_TO_FILL_FORM},
        {"extract_for_accessibility", POPPLER_PERMISSIONS_OK_TO_EXTRACT_CONTENTS},
        {"assemble", POPPLER_PERMISSIONS_OK_TO_ASSEMBLE},
    };
    PopplerPermissions granted = poppler_document_get_permissions(in->document.poppler);
    cJSON *object = cJSON_AddObjectToObject(in->result, "permissions");
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        cJSON_AddBoolToObject(object, flags[i].name, (granted & flags[i].flag) != 0);
}

static void describe(struct inspection *in)
{
    const struct document *d = &in->document;
    guint major = 0, minor = 0;
    char version[24];

    cJSON_AddNumberToObject(in->result, "pages", d->pages);
    poppler_document_get_pdf_version(d->poppler, &major, &minor);
    g_snprintf(version, sizeof(version), "%u.%u", major, minor);
    cJSON_AddStringToObject(in->result, "version", version);
    cJSON_AddBoolToObject(in->result, "linearized", poppler_document_is_linearized(d->poppler));
    structure_describe(&in->structure, in->result);
    describe_permissions(in);
}

static bool is_included(const cJSON *include, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, include)
    {
        if (strcmp(item->valuestring, name) == 0)
            return true;
    }
    return false;
}

static int inspect(struct inspection *in, struct error *reterr)
{
    const struct run *run = in->document.run;
    const cJSON *include = cJSON_GetObjectItemCaseSensitive(run_params(run), "include");

    in->max_items = (int)run_limit(run, "max_items");
    in->result = cJSON_CreateObject();
    if (in->result == NULL)
        return error_internal(reterr, "pdf.inspect: out of memory");
    describe(in);
    cJSON_AddArrayToObject(in->result, "truncated");
    for (const struct part *part = parts; part->name != NULL; part++)
        if (is_included(include, part->name) && part->inspect(in, reterr) != 0)
            return -1;
    cJSON_AddBoolToObject(in->result, "damaged", in->document.errors > 0);
    return inspect_progress(in, in->document.pages, "done", reterr); /* was all of it read? */
}

int pdf_inspect(struct run *run, struct error *reterr)
{
    struct inspection in = {0};
    const char *password = document_password(run);
    int result = document_open(&in.document, run, "document", 0, password, reterr);

    if (result == 0) {
        structure_open(&in.structure, &in.document, password);
        result = inspect(&in, reterr);
    }
    result = document_settle(&in.document, result, reterr);
    if (result == 0)
        run_result(run, in.result);
    else
        cJSON_Delete(in.result);
    structure_release(&in.structure);
    document_release(&in.document);
    return result;
}
