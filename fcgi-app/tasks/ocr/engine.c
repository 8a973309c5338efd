/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines that stay warm: to start one takes longer than to read a page. They are kept by their
 * languages, the ones used last; what a run set in one, the next run sets anew.
 */
#include "tasks/ocr/ocr.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define ENGINES_MAX 4 /* of some tens of MB each */
#define ORIENTATION "osd"
#define ENDING ".traineddata"

struct engine {
    char *languages; /* NULL: a free place */
    TessBaseAPI *api;
    unsigned long used; /* when, in calls */
};

/* All that is kept between runs: none of it comes from a run's document. */
static struct {
    struct engine engines[ENGINES_MAX];
    unsigned long calls;
    const char *data_dir;
    GPtrArray *languages; /* sorted names */
    char *list;
    bool has_orientation;
} warm;

/* Where Debian and others have them; the sandbox lets the first be read. */
static const char *const data_dirs[] = {
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
};

/* Names in a folder of Tesseract's data, `prefix` before each. */
static void add_languages(const char *folder, const char *prefix)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        if (!g_str_has_suffix(entry->d_name, ENDING))
            continue;
        char *name = g_strdup_printf("%s%.*s", prefix,
                                     (int)(strlen(entry->d_name) - strlen(ENDING)), entry->d_name);
        if (strcmp(name, ORIENTATION) == 0) {
            warm.has_orientation = true;
            g_free(name);
        } else {
            g_ptr_array_add(warm.languages, name);
        }
    }
    if (directory != NULL)
        (void)closedir(directory);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int engine_init(struct error *reterr)
{
    warm.languages = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(data_dirs) && warm.data_dir == NULL; i++)
        if (access(data_dirs[i], R_OK) == 0)
            warm.data_dir = data_dirs[i];
    if (warm.data_dir == NULL)
        return error_internal(reterr, "Tesseract's data are not installed");
    char *scripts = g_strconcat(warm.data_dir, "/script", NULL);
    add_languages(warm.data_dir, "");
    add_languages(scripts, "script/");
    g_free(scripts);
    g_ptr_array_sort(warm.languages, compare_names);
    g_ptr_array_add(warm.languages, NULL);
    warm.list = g_strjoinv(", ", (char **)warm.languages->pdata);
    return 0;
}

const char *engine_data_dir(void)
{
    return warm.data_dir;
}

bool engine_has(const char *language)
{
    return g_strv_contains((const char *const *)warm.languages->pdata, language);
}

const char *engine_languages(void)
{
    return warm.list;
}

static void engine_release(struct engine *e)
{
    if (e->api != NULL)
        TessBaseAPIDelete(e->api);
    g_free(e->languages);
    *e = (struct engine){0};
}

static int engine_start(struct engine *e, const char *languages, struct error *reterr)
{
    /* The one that knows how pages lie has no data for the engine that reads lines. */
    TessOcrEngineMode mode = strcmp(languages, ORIENTATION) == 0 ? OEM_TESSERACT_ONLY : OEM_DEFAULT;
    e->languages = g_strdup(languages);
    e->api = TessBaseAPICreate();
    if (TessBaseAPIInit2(e->api, warm.data_dir, languages, mode) == 0)
        return 0;
    engine_release(e);
    return error_internal(reterr, "Tesseract does not start with %s", languages);
}

/* The place that has these languages, else a free one, else the one that was used longest ago. */
static struct engine *find_place(const char *languages)
{
    struct engine *oldest = &warm.engines[0];
    for (int i = 0; i < ENGINES_MAX; i++) {
        struct engine *e = &warm.engines[i];
        if (e->languages != NULL && strcmp(e->languages, languages) == 0)
            return e;
        if (e->used < oldest->used)
            oldest = e;
    }
    engine_release(oldest);
    return oldest;
}

int engine_get(const char *languages, TessBaseAPI **ret_engine, struct error *reterr)
{
    struct engine *e = find_place(languages);
    if (e->api == NULL && engine_start(e, languages, reterr) != 0)
        return -1;
    e->used = ++warm.calls;
    TessBaseAPIClear(e->api);
    TessBaseAPIClearAdaptiveClassifier(e->api);
    *ret_engine = e->api;
    return 0;
}

int engine_get_orientation(TessBaseAPI **ret_engine, struct error *reterr)
{
    *ret_engine = NULL;
    return warm.has_orientation ? engine_get(ORIENTATION, ret_engine, reterr) : 0;
}

void engine_trim(void)
{
    for (int i = 0; i < ENGINES_MAX; i++)
        if (warm.engines[i].used != warm.calls)
            engine_release(&warm.engines[i]);
}
