/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * negotiate.h - which form the answer takes
 *
 * Settled before anything is computed, but for tasks that may give one output or several.
 */
#ifndef API_NEGOTIATE_H
#define API_NEGOTIATE_H

#include "api/binding.h"
#include "http/accept.h"

enum answer_form {
    ANSWER_BYTES, /* of the one output */
    ANSWER_JSON,
    ANSWER_ZIP
};

/* May a run give several outputs? Then a zip is one of the answer's forms. */
bool negotiate_has_several(const struct task_desc *task);

/*
 * Before anything is computed: is there a form that can be accepted? And choose the output's format
 * where the task has a `format` parameter that the client left out: it is set in binding->params,
 * if Accept prefers some formats to others. Errors: ERR_NOT_ACCEPTABLE, the detail lists what there
 * is.
 */
int negotiate(const struct accept *accept, const struct task_desc *task, struct binding *binding,
              struct arena *a, struct error *reterr);

/*
 * Afterwards, when it is known what came: bytes, which only a single output can be, unless JSON is
 * ranked above them; a zip if it is ranked above both. `task` NULL: it is none of this server's any
 * more. `media_type` is that of the output, if it is a single one.
 * Errors: ERR_NOT_ACCEPTABLE, as when several outputs came, and only their own types are accepted.
 */
int negotiate_form(const struct accept *accept, const struct task_desc *task, int output_count,
                   const char *media_type, enum answer_form *ret_form, struct error *reterr);

#endif
