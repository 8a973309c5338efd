/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openapi_internal.h - what the files of the OpenAPI document share
 */
#ifndef API_OPENAPI_INTERNAL_H
#define API_OPENAPI_INTERNAL_H

#include "exec/catalog.h"

/* What operations refer to, in the notation of openapi_fixed(). */
extern const char openapi_components[];

/* A detached tree of JSON text that has ' for ", and neither in its strings. */
cJSON *openapi_fixed(const char *text);

/*
 * POST /v1/tasks/NAME, a detached tree; `scratch` is for texts in between. Its operationId is the
 * task's name: it has a dot, which no other operation's has.
 */
cJSON *openapi_operation(struct arena *scratch, const struct task_desc *task);

#endif
