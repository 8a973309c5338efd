/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a run is asked for: its parameters, which the descriptor has checked.
 */
#include "tasks/ocr/ocr.h"

#include <string.h>

#include <cjson/cJSON.h>

static const struct {
    const char *name;
    TessPageSegMode mode;
} segmentations[] = {
    {"auto", PSM_AUTO},
    {"auto_osd", PSM_AUTO_OSD},
    {"single_column", PSM_SINGLE_COLUMN},
    {"single_vertical_block", PSM_SINGLE_BLOCK_VERT_TEXT},
    {"single_block", PSM_SINGLE_BLOCK},
    {"single_line", PSM_SINGLE_LINE},
    {"single_word", PSM_SINGLE_WORD},
    {"circle_word", PSM_CIRCLE_WORD},
    {"single_char", PSM_SINGLE_CHAR},
    {"sparse_text", PSM_SPARSE_TEXT},
    {"sparse_text_osd", PSM_SPARSE_TEXT_OSD},
    {"raw_line", PSM_RAW_LINE},
};

static const char *const format_names[FORMAT_COUNT] = {
    [FORMAT_TEXT] = "text", [FORMAT_TSV] = "tsv", [FORMAT_HOCR] = "hocr",
    [FORMAT_ALTO] = "alto", [FORMAT_PDF] = "pdf",
};

static const cJSON *member(const struct run *run, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(run), name);
}

static const char *string(const struct run *run, const char *name)
{
    return cJSON_GetStringValue(member(run, name));
}

static bool is_true(const struct run *run, const char *name)
{
    return cJSON_IsTrue(member(run, name));
}

/* A list is an array, or a string with `separator` between its items. Free it with g_strfreev(). */
static char **list(const cJSON *value, const char *separator)
{
    const cJSON *item;
    if (cJSON_IsString(value))
        return g_strsplit(value->valuestring, separator, -1);
    char **items = g_new0(char *, cJSON_GetArraySize(value) + 1);
    int count = 0;
    cJSON_ArrayForEach(item, value) items[count++] = g_strdup(item->valuestring);
    return items;
}

/* What is named again says nothing new, but would be another engine: the first one counts. Their
 * order stays: the first language is the one that Tesseract tries first. */
static void drop_repeated(char **names)
{
    int kept = 0;
    for (int i = 0; names[i] != NULL; i++) {
        int k = 0;
        while (k < kept && strcmp(names[k], names[i]) != 0)
            k++;
        if (k == kept)
            names[kept++] = names[i];
        else
            g_free(names[i]);
    }
    names[kept] = NULL;
}

static int read_languages(struct options *o, const struct run *run, struct error *reterr)
{
    char **names = list(member(run, "languages"), "+");
    int result = 0;
    drop_repeated(names);
    for (char **name = names; *name != NULL && result == 0; name++)
        if (!engine_has(*name))
            result = error_set(reterr, ERR_INVALID_PARAMS,
                               "The language %.40s is not installed here; installed are %s.", *name,
                               engine_languages());
    o->languages = g_strjoinv("+", names);
    g_strfreev(names);
    return result;
}

static void read_formats(struct options *o, const struct run *run)
{
    char **names = list(member(run, "formats"), ",");
    for (char **name = names; *name != NULL; name++) {
        o->wants_words |= strcmp(*name, "words") == 0;
        for (int i = 0; i < FORMAT_COUNT; i++)
            o->wants[i] |= strcmp(*name, format_names[i]) == 0;
    }
    g_strfreev(names);
}

static TessPageSegMode read_segmentation(const struct run *run)
{
    const char *name = string(run, "page_segmentation");
    size_t i = 0;
    while (strcmp(segmentations[i].name, name) != 0)
        i++;
    return segmentations[i].mode;
}

static enum binarise read_binarise(const struct run *run)
{
    const char *name = string(run, "binarise");
    if (strcmp(name, "otsu") == 0)
        return BINARISE_OTSU;
    return strcmp(name, "sauvola") == 0 ? BINARISE_SAUVOLA : BINARISE_NONE;
}

int options_read(struct options *o, const struct run *run, struct error *reterr)
{
    const char *whitelist = string(run, "whitelist");
    const cJSON *dpi = member(run, "dpi");
    *o = (struct options){
        .select = string(run, "select"),
        .password = string(run, "password"),
        .whitelist = whitelist != NULL ? whitelist : "",
        .segmentation = read_segmentation(run),
        .binarise = read_binarise(run),
        .dpi = dpi != NULL ? dpi->valueint : 0,
        .keeps_spaces = is_true(run, "preserve_spaces"),
        .orients = is_true(run, "orient"),
        .deskews = is_true(run, "deskew"),
        .despeckles = is_true(run, "despeckle"),
        .scales = is_true(run, "scale"),
    };
    read_formats(o, run);
    return read_languages(o, run, reterr);
}

void options_release(struct options *o)
{
    g_clear_pointer(&o->languages, g_free);
}
