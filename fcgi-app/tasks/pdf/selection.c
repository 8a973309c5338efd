/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads lists of pages.
 */
#include "tasks/pdf/selection.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const char *name, *at;
    int pages, max;
};

/* A number or `last`, as the descriptor's pattern has made sure. */
static int read_page(struct reader *r, int *ret_page, struct error *reterr)
{
    long page = r->pages;
    if (strncmp(r->at, "last", 4) == 0) {
        r->at += 4;
    } else {
        char *end;
        page = strtol(r->at, &end, 10);
        if (end == r->at)
            return error_set(reterr, ERR_INVALID_PARAMS,
                             "The parameter %s is not a list of pages such as 1-3,7,last.",
                             r->name);
        r->at = end;
    }
    if (page < 1 || page > r->pages)
        return error_set(reterr, ERR_INVALID_PARAMS,
                         "The parameter %s names page %ld; the document has pages 1 to %d.",
                         r->name, page, r->pages);
    *ret_page = (int)page;
    return 0;
}

static int add_range(struct selection *s, const struct reader *r, int first, int last,
                     struct error *reterr)
{
    int step = last < first ? -1 : 1, more = abs(last - first) + 1;
    if (more > r->max - s->count)
        return error_set(reterr, ERR_INVALID_PARAMS, "The parameter %s selects more than %d pages.",
                         r->name, r->max);
    s->pages = g_renew(int, s->pages, s->count + more);
    for (int i = 0; i < more; i++)
        s->pages[s->count++] = first + i * step;
    return 0;
}

static int read_range(struct selection *s, struct reader *r, struct error *reterr)
{
    int first, last;
    if (read_page(r, &first, reterr) != 0)
        return -1;
    last = first;
    if (*r->at == '-') {
        r->at++;
        last = r->pages;
        if (*r->at != ',' && *r->at != '\0' && read_page(r, &last, reterr) != 0)
            return -1;
    }
    return add_range(s, r, first, last, reterr);
}

int selection_parse(struct selection *s, const char *name, const char *text, int pages, int max,
                    struct error *reterr)
{
    struct reader r = {.name = name, .at = text, .pages = pages, .max = max};
    *s = (struct selection){0};
    if (text == NULL)
        return add_range(s, &r, 1, pages, reterr);
    do {
        if (read_range(s, &r, reterr) != 0)
            return -1;
    } while (*r.at++ == ',');
    return 0;
}

void selection_release(struct selection *s)
{
    g_clear_pointer(&s->pages, g_free);
}
