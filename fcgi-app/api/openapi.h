/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openapi.h - the OpenAPI 3.1 document of this server, from the descriptors
 *
 * One POST operation per task; a descriptor's schemas are JSON Schema 2020-12, which OpenAPI 3.1
 * takes as they are. The catalogue is constant, so the document is too.
 * To add a route that is not a run of a task: its row in openapi.c, beside the others; schemas,
 * parameters and headers that it refers to stand in openapi_components.c.
 */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "exec/catalog.h"

/* The document as compact JSON text, which belongs to `a`. */
const char *openapi_print(struct arena *a, const struct catalog *catalog, size_t *ret_size);

#endif
