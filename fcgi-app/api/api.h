/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * api.h - what the handlers of all resources share, and the one route table
 *
 * To add a resource: one file with its handlers, declared in handlers.h, and rows in routes.c.
 */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include <stdbool.h>

#include "api/authorize.h"
#include "base/config.h"
#include "db/db.h"
#include "exec/catalog.h"
#include "exec/compute.h"
#include "http/route.h"

/* What became of a request besides its status; for the log line. */
struct api_trace {
    const char *task;         /* NULL when none was named */
    const char *job;          /* public id of the one job it was about; NULL: none */
    int64_t queue_us, run_us; /* of the run; 0 when none was computed */
    int64_t parsed_bytes;     /* of a body that was parsed here: what the heap grew by */
};

/*
 * A pool's bound on the requests that are in the database at a time, so that those which do not
 * need it (liveness, readiness, the catalogue) find a worker whatever the database does. All of it
 * NULL: there is none.
 */
enum api_use {
    API_USE_SHORT, /* a few statements */
    API_USE_LONG   /* many in turn: what is uploaded, downloaded or stored by the megabyte */
};

struct api_gate {
    /* False: every place is taken. May wait for one for a moment, if `may_wait`. */
    bool (*enter)(void *context, enum api_use use, bool may_wait);
    void (*leave)(void *context); /* whatever was entered */
    void *context;
    int long_limit; /* places for long uses; for the problem's detail */
};

#define API_LONG_BYTES 1048576 /* of a body, or of bytes to send: more make a use a long one */

/* What /readyz knows; in memory shared between the workers of a pool. */
struct api_readiness {
    _Atomic int64_t asked_us; /* monotonic: when `missing` was found out; 0: never */
    _Atomic int64_t asker_us; /* until then one worker is asking, and the others do not; 0: none */
    _Atomic int32_t missing;  /* bits, see health.c */
};

/* What /metrics knows of the database; in memory shared between the workers of a pool. */
#define API_QUEUE_STATES 3 /* queued, scheduled, running */
struct api_figures {
    _Atomic int64_t asked_us, asker_us; /* as above */
    _Atomic int64_t count_us;           /* monotonic: when to count the queue again */
    _Atomic int32_t is_up, is_counted;
    _Atomic int64_t depths[TASK_CLASS_COUNT][API_QUEUE_STATES];
    _Atomic int64_t oldest_ms[TASK_CLASS_COUNT][API_QUEUE_STATES];
};

struct api;

/* May this request read /metrics without a key? From this host, and by its address: metrics.allow.
 */
bool api_metrics_are_open(const struct api *api, const struct http_request *req);

/* The gauges of /metrics, as metrics_print_reference() prints what is counted. */
void api_metrics_print_reference(struct strbuf *out);

struct api {
    struct arena *arena; /* what lives as long as the process */
    const struct config *config;
    struct catalog *catalog;
    const char *catalog_text; /* the answer to GET /v1/tasks */
    size_t catalog_size;
    const char *openapi_text; /* GET /openapi.json */
    size_t openapi_size;
    struct gang *gang;     /* NULL where nothing computes: pool `api` */
    struct db *db;         /* the caller's; NULL: no database.url */
    struct snapshot *keys; /* NULL: no database.url, so no key can be */
    struct usage *usage;
    const char *pass_on; /* nginx's named location of pool api, for what has to become a job; NULL:
                            it is stored here */
    bool has_hub;        /* nginx is in front, which takes redirects to the hub */
    struct compute_watch watch;
    /* Can runs be computed on this host now? NULL: nobody knows. */
    bool (*is_computing)(const struct config *cfg);
    struct api_gate gate;
    struct api_readiness *readiness; /* NULL: every request asks for itself */
    struct api_figures *figures;     /* NULL: the same */
    struct api_trace trace;          /* of the current request */
    struct caller caller;            /* the same */
};

/*
 * Load the catalogue. `gang` stays the caller's, as what it sets afterwards does.
 * Errors: ERR_INTERNAL, the detail names file and place.
 */
int api_open(const struct config *cfg, struct gang *gang, struct api *ret_api,
             struct error *reterr);
void api_close(struct api *api);

/*
 * Before a request uses the database, and before its body is read: there has to be one, and a
 * place, which the request keeps until it is answered. More than once is fine. Errors:
 * ERR_UNAVAILABLE without a database, ERR_OVERLOADED without a place.
 */
int api_use_database(struct api *api, const struct http_request *req, struct error *reterr);

/* It turns out to be a long use. Errors: ERR_OVERLOADED. */
int api_use_long(struct api *api, struct error *reterr);

/*
 * Until when (monotonic) a transfer of `size` bytes is to be done. Each statement has its own
 * budget; without this limit a slow database could hold a worker for as many times that as there
 * are pieces. Errors of the check: ERR_UNAVAILABLE when it is over.
 */
int64_t api_transfer_deadline(const struct api *api, int64_t size);
int api_transfer_check(int64_t deadline_us, struct error *reterr);

/* Read one request from `stream`, answer it, log it. -1 when the peer was gone. What it logged at
 * its end is held back until log_release(): the caller first has the stream send what it still has.
 */
int api_serve(struct api *api, struct http_stream *stream, struct arena *a);

#endif
