/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * api.h - what the handlers of all resources share, and the one route table
 *
 * To add a resource: one file with its handlers, declared in handlers.h, and rows in routes.c.
 */
#ifndef API_API_H
#define API_API_H

#include "base/config.h"
#include "exec/catalog.h"
#include "exec/compute.h"
#include "http/route.h"

/* What became of a request besides its status; for the log line. */
struct api_trace {
    const char *task;                 /* NULL when none was named */
    int64_t queue_us, run_us, cpu_us; /* of the run; 0 when none was computed */
    int64_t parsed_bytes;             /* of a body that was parsed here: what the heap grew by */
};

struct api {
    struct arena *arena; /* what lives as long as the process */
    const struct config *config;
    struct catalog *catalog;
    const char *catalog_text; /* the answer to GET /v1/tasks */
    size_t catalog_size;
    const char *openapi_text; /* GET /openapi.json */
    size_t openapi_size;
    struct gang *gang; /* NULL where nothing computes: pool `api` */
    struct compute_watch watch;
    /* Can runs be computed on this host now? NULL: nobody knows. -1 with a detail that says what is
     * missing. */
    int (*check_ready)(const struct config *cfg, struct error *reterr);
    struct api_trace trace; /* of the current request */
};

/*
 * Load the catalogue. `gang` stays the caller's.
 * Errors: ERR_INTERNAL, the detail names file and place.
 */
int api_open(const struct config *cfg, struct gang *gang, struct api *ret_api,
             struct error *reterr);
void api_close(struct api *api);

/* Read one request from `stream`, answer it, log it. -1 when the peer was gone. */
int api_serve(struct api *api, struct http_stream *stream, struct arena *a);

#endif
