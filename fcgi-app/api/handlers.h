/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handlers.h - what the rows of routes.c point to; the contract is struct route's
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "http/route.h"

#define HANDLER(name)                                                                  \
    int name(void *context, struct http_request *req, const struct route_match *match, \
             struct http_response *res, struct field_errors *errors, struct error *reterr)

HANDLER(tasks_list);
HANDLER(tasks_show);
HANDLER(tasks_run);
HANDLER(health_live);
HANDLER(health_ready);
HANDLER(metrics_show);
HANDLER(openapi_show);
HANDLER(jobs_create);
HANDLER(jobs_list);
HANDLER(jobs_show);
HANDLER(jobs_cancel);
HANDLER(jobs_retry);
HANDLER(jobs_events);
HANDLER(jobs_result);
HANDLER(jobs_output);
HANDLER(blobs_create);
HANDLER(blobs_show);
HANDLER(runs_show);
HANDLER(runs_show_again); /* of a request that was stored before */

extern const struct route api_routes[];

#endif
