/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * authorize.h - who calls, and what he may
 *
 * Asked once a request, when its route is known and before anything of its body is read. While no
 * key exists this host alone is served: a request whose server address is a loopback one and whose
 * Host is a loopback name, since a web page may give any address to a name of its own. As soon as
 * there is one, every request needs a valid one, but for routes that are open to all.
 */
#ifndef API_AUTHORIZE_H
#define API_AUTHORIZE_H

#include "auth/key.h"
#include "http/route.h"

struct api;

/* The column of api_routes: scopes, of which one is enough, or one of these. A row without any is
 * closed to all. */
enum access {
    ACCESS_OPEN = 1 << 16,    /* to all */
    ACCESS_ANY_KEY = 1 << 17, /* whatever its scopes */
    /* Together with a scope: no key is needed from this host and those of metrics.allow. */
    ACCESS_METRICS = 1 << 18,
};

/* Who calls. */
struct caller {
    const struct key_record *key; /* NULL: it needs none. Valid while the request is */
    const char *tenant;           /* "" without a key */
    uint32_t scopes;              /* what is implied included */
};

/* Keys can exist where there is a database. Errors: ERR_INTERNAL. */
int authorize_open(struct api *api, struct error *reterr);
void authorize_close(struct api *api);

/*
 * For route_dispatch(): find out who calls (api->caller), count the request, and check scope and
 * length of its body. What a redirect of ours brings back was counted before.
 * Errors: ERR_UNAUTHORIZED; ERR_FORBIDDEN; ERR_RATE_LIMITED; ERR_TOO_LARGE over the key's limit;
 * ERR_UNAVAILABLE when it is not known, or not for certain any more, which keys are valid. Header
 * fields that belong to them are in `res`.
 */
route_guard authorize;

/* What is asked for turns out to need this scope. Errors: ERR_FORBIDDEN. */
int authorize_scope(const struct api *api, uint32_t scope, struct http_response *res,
                    struct error *reterr);

/* A run of the caller's begins. Errors: ERR_RATE_LIMITED when as many are under way as its key
 * allows. */
int authorize_run(struct api *api, struct http_response *res, struct error *reterr);
void authorize_run_end(struct api *api);

#endif
