/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health.c - liveness: this answers as long as workers do, whatever else is busy or away
 */
#include "api/handlers.h"

HANDLER(health_live)
{
    static const char body[] = "{\"status\":\"ok\"}\n";
    (void)context;
    (void)req;
    (void)match;
    (void)errors;
    (void)reterr;
    http_response_header(res, "Cache-Control", "no-store");
    http_response_body(res, 200, "application/json", body, sizeof(body) - 1);
    return 0;
}
