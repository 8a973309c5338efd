/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inspect.h - the parts of pdf.inspect
 *
 * Each part adds its members to the result. Lists end at the limit max_items, texts at
 * INSPECT_TEXT_MAX; a list that is not complete is named in the result's `truncated`.
 * To add a part: a function here, a row in inspect.c's table, a value of the parameter `include`.
 */
#ifndef PDF_INSPECT_H
#define PDF_INSPECT_H

#include "tasks/pdf/document.h"
#include "tasks/pdf/structure.h"

#define INSPECT_TEXT_MAX 4096 /* bytes of one text; a longer one is cut and ends with … */

struct cJSON;

struct inspection {
    struct document document;
    struct structure structure;
    struct cJSON *result;
    int max_items;
};

/* Parts. They return 0, or -1 with ERR_STOPPED or ERR_INTERNAL. */
int inspect_metadata(struct inspection *in, struct error *reterr);
int inspect_xmp(struct inspection *in, struct error *reterr);
int inspect_sizes(struct inspection *in, struct error *reterr);
int inspect_labels(struct inspection *in, struct error *reterr);
int inspect_outline(struct inspection *in, struct error *reterr);
int inspect_fonts(struct inspection *in, struct error *reterr);
int inspect_attachments(struct inspection *in, struct error *reterr);
int inspect_fields(struct inspection *in, struct error *reterr);

/* The list `name` of the result is not complete. */
void inspect_truncated(struct inspection *in, const char *name);

/* Add a text as valid UTF-8, cut to its limit; frees it. Nothing is added for NULL. */
void inspect_text(struct cJSON *object, const char *name, char *text);

/* Add a time as RFC 3339 has it; frees it. Nothing is added for NULL. */
void inspect_time(struct cJSON *object, const char *name, GDateTime *time);

/* Page `done` of the document's is done. Errors: ERR_STOPPED. */
int inspect_progress(const struct inspection *in, int done, const char *what, struct error *reterr);

#endif
