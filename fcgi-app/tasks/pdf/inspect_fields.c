/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fields of a document's form, page by page, as they are filled in.
 */
#include "tasks/pdf/inspect.h"

#include <cjson/cJSON.h>

#define CHOICES_MAX 100 /* of one field */

static const char *button_type(PopplerFormField *field)
{
    switch (poppler_form_field_button_get_button_type(field)) {
    case POPPLER_FORM_BUTTON_CHECK:
        return "checkbox";
    case POPPLER_FORM_BUTTON_RADIO:
        return "radio";
    case POPPLER_FORM_BUTTON_PUSH:
    default:
        return "button";
    }
}

static const char *field_type(PopplerFormField *field)
{
    switch (poppler_form_field_get_field_type(field)) {
    case POPPLER_FORM_FIELD_BUTTON:
        return button_type(field);
    case POPPLER_FORM_FIELD_TEXT:
        return "text";
    case POPPLER_FORM_FIELD_CHOICE:
        return "choice";
    case POPPLER_FORM_FIELD_SIGNATURE:
        return "signature";
    case POPPLER_FORM_FIELD_UNKNOWN:
    default:
        return "unknown";
    }
}

/* Any text as an item of an array. */
static void append_text(cJSON *array, char *text)
{
    cJSON *holder = cJSON_CreateObject();
    inspect_text(holder, "text", text != NULL ? text : g_strdup(""));
    cJSON_AddItemToArray(array, cJSON_DetachItemFromObjectCaseSensitive(holder, "text"));
    cJSON_Delete(holder);
}

static void describe_choice(struct inspection *in, cJSON *object, PopplerFormField *field)
{
    int count = poppler_form_field_choice_get_n_items(field);
    cJSON *choices = cJSON_AddArrayToObject(object, "choices");
    cJSON *selected = cJSON_AddArrayToObject(object, "selected");

    if (count > CHOICES_MAX) {
        inspect_truncated(in, "fields");
        count = CHOICES_MAX;
    }
    for (int i = 0; i < count; i++) {
        append_text(choices, poppler_form_field_choice_get_item(field, i));
        if (poppler_form_field_choice_is_item_selected(field, i))
            append_text(selected, poppler_form_field_choice_get_item(field, i));
    }
    if (poppler_form_field_choice_is_editable(field))
        inspect_text(object, "value", poppler_form_field_choice_get_text(field));
}

static void describe_value(struct inspection *in, cJSON *object, PopplerFormField *field)
{
    switch (poppler_form_field_get_field_type(field)) {
    case POPPLER_FORM_FIELD_BUTTON:
        if (poppler_form_field_button_get_button_type(field) != POPPLER_FORM_BUTTON_PUSH)
            cJSON_AddBoolToObject(object, "checked", poppler_form_field_button_get_state(field));
        break;
    case POPPLER_FORM_FIELD_TEXT:
        inspect_text(object, "value", poppler_form_field_text_get_text(field));
        if (poppler_form_field_text_get_max_len(field) > 0)
            cJSON_AddNumberToObject(object, "max_length",
                                    poppler_form_field_text_get_max_len(field));
        break;
    case POPPLER_FORM_FIELD_CHOICE:
        describe_choice(in, object, field);
        break;
    case POPPLER_FORM_FIELD_SIGNATURE:
    case POPPLER_FORM_FIELD_UNKNOWN:
    default:
        break;
    }
}

static void add_field(struct inspection *in, cJSON *list, PopplerFormField *field, int number)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddItemToArray(list, object);
    inspect_text(object, "name", poppler_form_field_get_name(field));
    inspect_text(object, "label", poppler_form_field_get_alternate_ui_name(field));
    cJSON_AddStringToObject(object, "type", field_type(field));
    cJSON_AddNumberToObject(object, "page", number);
    cJSON_AddBoolToObject(object, "read_only", poppler_form_field_is_read_only(field));
    describe_value(in, object, field);
}

/* How many fields were added. */
static int add_fields(struct inspection *in, cJSON *list, int number, int left)
{
    PopplerPage *page = document_page(&in->document, number);
    GList *fields = page != NULL ? poppler_page_get_form_field_mapping(page) : NULL;
    int count = 0;

    fields = g_list_reverse(fields); /* Poppler's is the last one first */
    for (const GList *at = fields; at != NULL; at = at->next) {
        if (count == left) {
            inspect_truncated(in, "fields");
            break;
        }
        const PopplerFormFieldMapping *mapping = at->data;
        add_field(in, list, mapping->field, number);
        count++;
    }
    poppler_page_free_form_field_mapping(fields);
    g_clear_object(&page);
    return count;
}

int inspect_fields(struct inspection *in, struct error *reterr)
{
    cJSON *list = cJSON_AddArrayToObject(in->result, "fields");
    int left = in->max_items;

    for (int number = 1; number <= in->document.pages; number++) {
        left -= add_fields(in, list, number, left);
        if (inspect_progress(in, number, "fields", reterr) != 0)
            return -1;
    }
    return 0;
}
