/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sizes and labels of pages. Documents of a thousand equal pages are common: equal sizes in a row
 * are one item.
 */
#include "tasks/pdf/inspect.h"

#include <math.h>
#include <string.h>

#include <cjson/cJSON.h>

/* Of a page as it is shown: cropped, and turned. */
struct size {
    double width, height;
    double crop[4];
    struct page_box box;
};

/* Points are given to a hundredth: 0.0035 mm. */
static double rounded(double points)
{
    return round(points * 100) / 100 + 0.0; /* never -0 */
}

static struct size size_of(PopplerPage *page, const struct page_box *box)
{
    struct size size = {0};
    PopplerRectangle crop;

    poppler_page_get_size(page, &size.width, &size.height);
    poppler_page_get_crop_box(page, &crop);
    const double sides[4] = {crop.x1, crop.y1, crop.x2, crop.y2};
    for (int i = 0; i < 4; i++)
        size.crop[i] = rounded(sides[i]);
    size.width = rounded(size.width);
    size.height = rounded(size.height);
    if (box != NULL) {
        size.box.rotation = box->rotation;
        for (int i = 0; i < 4; i++)
            size.box.media[i] = rounded(box->media[i]);
    }
    return size;
}

static bool are_equal(const struct size *a, const struct size *b)
{
    bool are = a->width == b->width && a->height == b->height && a->box.rotation == b->box.rotation;
    for (int i = 0; i < 4; i++)
        are = are && a->crop[i] == b->crop[i] && a->box.media[i] == b->box.media[i];
    return are;
}

static cJSON *add_size(cJSON *list, int page, const struct size *size, bool has_box)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddItemToArray(list, item);
    cJSON_AddNumberToObject(item, "first", page);
    cJSON *last = cJSON_AddNumberToObject(item, "last", page);
    cJSON_AddNumberToObject(item, "width", size->width);
    cJSON_AddNumberToObject(item, "height", size->height);
    cJSON_AddItemToObject(item, "crop_box", cJSON_CreateDoubleArray(size->crop, 4));
    if (has_box) {
        cJSON_AddItemToObject(item, "media_box", cJSON_CreateDoubleArray(size->box.media, 4));
        cJSON_AddNumberToObject(item, "rotation", size->box.rotation);
    }
    return last;
}

struct run_of_sizes {
    cJSON *list, *last; /* the number of the last page of the last item */
    int count, page;
    struct size size;
};

static void add_page(struct inspection *in, struct run_of_sizes *sizes, int number,
                     const struct size *size, bool has_box)
{
    if (sizes->last != NULL && sizes->page == number - 1 && are_equal(size, &sizes->size)) {
        cJSON_SetNumberValue(sizes->last, number);
    } else if (sizes->count == in->max_items) {
        inspect_truncated(in, "sizes");
        sizes->last = NULL;
    } else {
        sizes->last = add_size(sizes->list, number, size, has_box);
        sizes->count++;
    }
    sizes->page = number;
    sizes->size = *size;
}

static int measure_pages(struct inspection *in, const struct page_box *boxes, struct error *reterr)
{
    struct run_of_sizes sizes = {.list = cJSON_AddArrayToObject(in->result, "sizes")};
    cJSON *unreadable = cJSON_AddArrayToObject(in->result, "unreadable");
    int readable = 0;

    for (int number = 1; number <= in->document.pages; number++) {
        PopplerPage *page = document_page(&in->document, number);
        if (page == NULL) {
            if (document_note(unreadable, number, document_page_detail(&in->document), reterr) != 0)
                return -1;
        } else {
            struct size size = size_of(page, boxes != NULL ? &boxes[number - 1] : NULL);
            add_page(in, &sizes, number, &size, boxes != NULL);
            g_object_unref(page);
            readable++;
        }
        if (inspect_progress(in, number, "sizes", reterr) != 0)
            return -1;
    }
    if (readable > 0)
        return 0;
    error_set(reterr, ERR_INVALID_INPUT, "No page of the input %s can be read.",
              in->document.input->name);
    return document_explain(&in->document, reterr);
}

int inspect_sizes(struct inspection *in, struct error *reterr)
{
    struct page_box *boxes = structure_boxes(&in->structure);
    int result = measure_pages(in, boxes, reterr);
    g_free(boxes);
    return result;
}

static char *label_of(struct inspection *in, int number)
{
    PopplerPage *page = document_page(&in->document, number);
    char *label = page != NULL ? poppler_page_get_label(page) : NULL;
    g_clear_object(&page);
    return label != NULL ? label : g_strdup("");
}

int inspect_labels(struct inspection *in, struct error *reterr)
{
    cJSON *list = cJSON_AddArrayToObject(in->result, "labels");
    for (int number = 1; number <= in->document.pages; number++) {
        if (number > in->max_items) {
            inspect_truncated(in, "labels");
            break;
        }
        cJSON *holder = cJSON_CreateObject();
        inspect_text(holder, "label", label_of(in, number));
        cJSON_AddItemToArray(list, cJSON_DetachItemFromObjectCaseSensitive(holder, "label"));
        cJSON_Delete(holder);
        if (inspect_progress(in, number, "labels", reterr) != 0)
            return -1;
    }
    return 0;
}
