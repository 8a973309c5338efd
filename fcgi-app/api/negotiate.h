/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * negotiate.h - which form the answer takes, settled before anything is computed
 */
#ifndef API_NEGOTIATE_H
#define API_NEGOTIATE_H

#include "api/binding.h"
#include "http/accept.h"

/* The output whose bytes can be the answer's body: a single one. NULL: JSON alone. */
const struct task_slot *negotiate_body_output(const struct task_desc *task);

/*
 * Choose between the output's own bytes and JSON, and the output's format where the task has a
 * `format` parameter that the client left out: then it is set in binding->params, if Accept prefers
 * some formats to others. Errors: ERR_NOT_ACCEPTABLE, the detail lists what there is.
 */
int negotiate(const struct accept *accept, const struct task_desc *task, struct binding *binding,
              struct arena *a, bool *ret_json, struct error *reterr);

/* The same for what was computed before: `media_type` is that of the one output whose bytes can be
 * the body; NULL: JSON alone. */
int negotiate_stored(const struct accept *accept, const char *media_type, bool *ret_json,
                     struct error *reterr);

#endif
