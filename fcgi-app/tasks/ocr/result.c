/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was read, as JSON.
 */
#include "tasks/ocr/ocr.h"

#include <math.h>

#include <cjson/cJSON.h>

static void add_rounded(cJSON *object, const char *name, double value, double places)
{
    cJSON_AddNumberToObject(object, name, round(value * places) / places);
}

static cJSON *word(const struct page *page, const TessResultIterator *at)
{
    const TessPageIterator *place = TessResultIteratorGetPageIteratorConst(at);
    int left = 0, top = 0, right = 0, bottom = 0;
    char *text = TessResultIteratorGetUTF8Text(at, RIL_WORD);
    cJSON *object = NULL;
    if (text != NULL && *text != '\0' &&
        TessPageIteratorBoundingBox(place, RIL_WORD, &left, &top, &right, &bottom)) {
        page_map_back(page, &left, &top, &right, &bottom);
        object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "text", text);
        cJSON_AddNumberToObject(object, "left", left);
        cJSON_AddNumberToObject(object, "top", top);
        cJSON_AddNumberToObject(object, "width", right - left);
        cJSON_AddNumberToObject(object, "height", bottom - top);
        add_rounded(object, "confidence", (double)TessResultIteratorConfidence(at, RIL_WORD), 100);
    }
    TessDeleteText(text);
    return object;
}

static cJSON *words(const struct page *page, TessBaseAPI *engine)
{
    cJSON *array = cJSON_CreateArray();
    TessResultIterator *at = TessBaseAPIGetIterator(engine);
    bool goes_on = at != NULL;
    while (goes_on) {
        cJSON *item = word(page, at);
        if (item != NULL)
            cJSON_AddItemToArray(array, item);
        goes_on = TessResultIteratorNext(at, RIL_WORD) != 0;
    }
    if (at != NULL)
        TessResultIteratorDelete(at);
    return array;
}

cJSON *result_page(const struct page *page, TessBaseAPI *engine, bool has_words)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "page", page->number);
    cJSON_AddNumberToObject(object, "width", page->width);
    cJSON_AddNumberToObject(object, "height", page->height);
    if (page->dpi != 0)
        cJSON_AddNumberToObject(object, "dpi", page->dpi);
    cJSON_AddNumberToObject(object, "turned", page->turned);
    add_rounded(object, "skew", page->skew, 100);
    add_rounded(object, "scale", page->scale, 10000);
    cJSON_AddNumberToObject(object, "confidence", TessBaseAPIMeanTextConf(engine));
    if (has_words)
        cJSON_AddItemToObject(object, "words", words(page, engine));
    return object;
}
