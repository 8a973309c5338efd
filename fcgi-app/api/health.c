/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health.c - liveness answers as long as workers do, whatever else is busy or away; readiness says
 * whether runs can be computed
 */
#include "api/api.h"
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

HANDLER(health_ready)
{
    static const char body[] = "{\"status\":\"ready\"}\n";
    const struct api *api = context;
    (void)req;
    (void)match;
    (void)errors;
    http_response_header(res, "Cache-Control", "no-store");
    if (api->check_ready && api->check_ready(api->config, reterr) != 0) {
        http_response_header(res, "Retry-After", "1");
        return -1;
    }
    http_response_body(res, 200, "application/json", body, sizeof(body) - 1);
    return 0;
}
