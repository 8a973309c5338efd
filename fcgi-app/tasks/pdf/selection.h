/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selection.h - pages as a client names them: "1-3,7,last,10-"
 *
 * Numbers from 1; `last` is the last one; `a-` goes to the end, and a range whose end lies before
 * its start runs backwards. The order is kept, and a page may come more than once. A descriptor
 * gives the parameter the pattern SELECTION_PATTERN. Used by the modules pdf and ocr.
 */
#ifndef PDF_SELECTION_H
#define PDF_SELECTION_H

#include "base/error.h"

/* ^([0-9]{1,7}|last)(-([0-9]{1,7}|last)?)?(,([0-9]{1,7}|last)(-([0-9]{1,7}|last)?)?)*$ */

struct selection {
    int *pages; /* 1 to the document's count; of GLib's heap */
    int count;  /* 1 or more */
};

/*
 * `text` of the parameter `name`, of a document of `pages` pages; NULL selects all. At most `max`
 * pages come out. Release it with selection_release(), after a failure too.
 * Errors: ERR_INVALID_PARAMS: a page that the document does not have, or too many.
 */
int selection_parse(struct selection *s, const char *name, const char *text, int pages, int max,
                    struct error *reterr);
void selection_release(struct selection *s);

#endif
