/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf.inspect: what a document is. No page is drawn.
 */
#include "tasks/pdf/pdf.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "tasks/pdf/document.h"

static const char *password_of(const struct run *run)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run_params(run), "password"));
}

int pdf_inspect(struct run *run, struct error *reterr)
{
    struct document d;
    int result = document_open(&d, run, "document", 0, password_of(run), reterr);

    if (result == 0) {
        cJSON *object = cJSON_CreateObject();
        char *version = poppler_document_get_pdf_version_string(d.poppler);
        cJSON_AddNumberToObject(object, "pages", d.pages);
        cJSON_AddStringToObject(object, "version", version != NULL ? version + strlen("PDF-") : "");
        g_free(version);
        run_result(run, object);
    }
    document_release(&d);
    return result;
}
