/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * problem.h - the one table of problem types and their statuses (RFC 9457)
 *
 * To add one: a code in base/error.h, its name in error.c, its row in problem.c; docs/api.md and
 * nginx's pages under /problems/ are checked against the table by tests.
 */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "base/error.h"
#include "base/field_errors.h"
#include "base/strbuf.h"

struct problem {
    enum err_code code;
    int status;
    const char *title;       /* "Unprocessable parameters": the same for every occurrence */
    const char *description; /* a sentence or two for the page /problems/NAME */
};

/* Never NULL: an unknown code is `internal`. The name is error_name(code). */
const struct problem *problem_find(enum err_code code);

/* Append the document (RFC 9457): {type, title, status, detail, request_id, errors?}. `errors` may
 * be NULL. */
void problem_print(struct strbuf *out, const struct error *err, const char *request_id,
                   const struct field_errors *errors);

/* All rows, in the order of statuses; ends with code ERR_NONE. */
const struct problem *problem_table(void);

#endif
