/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what a run gave becomes the answer's body
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "exec/compute.h"
#include "http/response.h"

#define ANSWER_RESULT_HEADER_MAX 4096 /* bytes of Gangsaw-Result, which is ASCII */

/*
 * The bytes of the one output under its media type, with the result in the Gangsaw-Result header
 * when it is short; or, with `as_json`, {"task", "result", "outputs": [{name, media_type, size,
 * sha256, base64}]}. Errors: ERR_TOO_LARGE when the base64 of all outputs is over `base64_max`.
 */
int answer_build(struct http_response *res, const struct task_desc *task,
                 const struct compute_outcome *outcome, bool as_json, size_t base64_max,
                 struct error *reterr);

#endif
