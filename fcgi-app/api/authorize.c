/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * authorize.c - see authorize.h
 *
 * Without a valid key nothing is told, not even which addresses there are: 401 comes before 404 and
 * 405. Only then is the request counted, so that nobody can use up somebody else's limits.
 */
#include "api/authorize.h"

#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "api/loopback.h"
#include "auth/snapshot.h"
#include "auth/usage.h"
#include "base/clock.h"

#define KEYS_RETRY_S 5 /* the hub compares the keys with the database as often */
#define RUN_RETRY_S 1

int authorize_open(struct api *api, struct error *reterr)
{
    if (!*api->config->database_url)
        return 0;
    api->keys = snapshot_open(api->config);
    return usage_open(api->config, &api->usage, reterr);
}

void authorize_close(struct api *api)
{
    snapshot_close(api->keys);
    usage_close(api->usage);
    api->keys = NULL;
    api->usage = NULL;
}

/* ---- who */

/* RFC 6750 section 3: who sent no key is told no error. */
static int refuse_key(struct http_response *res, bool has_sent_one, struct error *reterr)
{
    http_response_header(res, "WWW-Authenticate", "Bearer realm=\"gangsaw\"%s",
                         has_sent_one ? ", error=\"invalid_token\"" : "");
    if (has_sent_one)
        return error_set(reterr, ERR_UNAUTHORIZED,
                         "This is no valid API key; it may have been revoked or have expired.");
    return error_set(reterr, ERR_UNAUTHORIZED,
                     "This needs an API key: Authorization: Bearer gs_...");
}

/* What was sent as a key; NULL: nothing. Several fields come joined by commas, which no key has. */
static const char *sent_key(const struct http_request *req)
{
    static const char scheme[] = "Bearer ";
    const char *field = http_header(req, "Authorization");
    if (!field || strncasecmp(field, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    field += sizeof(scheme) - 1;
    return field + strspn(field, " ");
}

static int find_key(struct api *api, const char *text, struct http_response *res,
                    struct error *reterr)
{
    if (!text)
        return refuse_key(res, false, reterr);
    const struct key_record *key = snapshot_find(api->keys, text);
    if (!key)
        return refuse_key(res, true, reterr);
    api->caller = (struct caller){.key = key,
                                  .tenant = key->tenant,
                                  .scopes = key->scopes & SCOPE_ADMIN ? SCOPE_ALL : key->scopes};
    return 0;
}

/* A browser sends what looks like a form to any address, without asking whether it may: who needs
 * no key is protected by nothing else. */
static int check_origin(const struct http_request *req, struct error *reterr)
{
    if (req->method & (HTTP_GET | HTTP_HEAD | HTTP_OPTIONS))
        return 0;
    const char *site = http_header(req, "Sec-Fetch-Site"), *origin = http_header(req, "Origin");
    const char *host = origin ? strstr(origin, "://") : NULL;
    bool is_foreign = (site && strcmp(site, "cross-site") == 0) ||
                      (origin && (!host || !loopback_is_host(host + 3)));
    if (!is_foreign)
        return 0;
    return error_set(reterr, ERR_FORBIDDEN,
                     "A page of another site may not use a server without keys.");
}

/* While there is no key. */
static int check_local(struct api *api, const struct http_request *req, struct http_response *res,
                       struct error *reterr)
{
    if (loopback_is_request(req)) {
        api->caller.scopes = SCOPE_ALL;
        return check_origin(req, reterr);
    }
    http_response_header(res, "WWW-Authenticate", "Bearer realm=\"gangsaw\"");
    return error_set(reterr, ERR_UNAUTHORIZED,
                     "This server has no API key yet, so it serves its own host alone, under a "
                     "name like localhost. %sgangsaw key create makes one.",
                     api->keys ? "" : "Once database.url is set, ");
}

static int check_keys_known(const struct api *api, enum snapshot_state state,
                            struct http_response *res, struct error *reterr)
{
    if (state == SNAPSHOT_FRESH)
        return 0;
    http_response_header(res, "Retry-After", "%d", KEYS_RETRY_S);
    if (state == SNAPSHOT_UNKNOWN)
        return error_set(reterr, ERR_UNAVAILABLE,
                         "Which API keys there are is not known yet; the hub is to find out.");
    return error_set(reterr, ERR_UNAVAILABLE,
                     "Which API keys are valid has not been known for longer than "
                     "auth.stale_seconds = %g.",
                     api->config->auth_stale_seconds);
}

static int identify(struct api *api, const struct http_request *req, struct http_response *res,
                    struct error *reterr)
{
    if (!api->keys)
        return check_local(api, req, res, reterr);
    if (check_keys_known(api, snapshot_refresh(api->keys), res, reterr) != 0)
        return -1;
    /* Whoever shows a key means its tenant, and nobody's when it is not known here yet. */
    const char *key = sent_key(req);
    if (!key && !snapshot_has_keys(api->keys))
        return check_local(api, req, res, reterr);
    return find_key(api, key, res, reterr);
}

/* ---- what */

static int count_request(struct api *api, const struct http_request *req, struct http_response *res,
                         struct error *reterr)
{
    const struct key_record *key = api->caller.key;
    struct usage_rate rate;
    bool is_within = true;
    if (!key || key->limits.requests_per_minute == 0)
        return 0;
    if (*http_variable(req, "REQUEST_REDIRECTED"))
        usage_look(api->usage, key, clock_us(), &rate);
    else
        is_within = usage_request(api->usage, key, clock_us(), &rate);
    http_response_header(res, "RateLimit-Policy", "\"requests\";q=%lld;w=60",
                         (long long)rate.limit);
    http_response_header(res, "RateLimit", "\"requests\";r=%lld;t=%d", (long long)rate.remaining,
                         rate.reset_s);
    if (is_within)
        return 0;
    http_response_header(res, "Retry-After", "%d", rate.retry_s);
    return error_set(reterr, ERR_RATE_LIMITED,
                     "The limit of this key is %lld request%s a minute; the next one passes in "
                     "%d s.",
                     (long long)rate.limit, rate.limit == 1 ? "" : "s", rate.retry_s);
}

static int refuse_scope(uint32_t wanted, struct http_response *res, struct error *reterr)
{
    struct strbuf names = STRBUF_INIT;
    key_scopes_print(wanted, &names);
    http_response_header(res, "WWW-Authenticate",
                         "Bearer realm=\"gangsaw\", error=\"insufficient_scope\", scope=\"%s\"",
                         names.text);
    (void)error_set(reterr, ERR_FORBIDDEN, "The API key is valid, but lacks the scope %s%s.",
                    strchr(names.text, ' ') ? "that this needs, one of: " : "", names.text);
    strbuf_release(&names);
    return -1;
}

static int check_access(const struct api *api, unsigned access, struct http_response *res,
                        struct error *reterr)
{
    uint32_t wanted = access & SCOPE_ALL;
    if (access == 0)
        return error_internal(reterr, "a route says nothing of who may call it");
    if ((access & ACCESS_ANY_KEY) || (api->caller.scopes & wanted))
        return 0;
    return refuse_scope(wanted, res, reterr);
}

static int check_length(const struct api *api, const struct http_request *req, struct error *reterr)
{
    const struct key_record *key = api->caller.key;
    if (!key || key->limits.body_bytes == 0 || req->content_length <= key->limits.body_bytes)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE,
                     "The body has %lld bytes; the limit of this key is %lld byte%s.",
                     (long long)req->content_length, (long long)key->limits.body_bytes,
                     key->limits.body_bytes == 1 ? "" : "s");
}

int authorize(void *context, const struct http_request *req, const struct route *route,
              struct http_response *res, struct error *reterr)
{
    struct api *api = context;
    unsigned access = route ? route->access : ACCESS_ANY_KEY;
    if ((access & ACCESS_OPEN) || ((access & ACCESS_METRICS) && api_metrics_are_open(api, req)))
        return 0;
    if (req->method == HTTP_OPTIONS)
        access = ACCESS_ANY_KEY;
    if (identify(api, req, res, reterr) != 0 || count_request(api, req, res, reterr) != 0 ||
        check_access(api, access, res, reterr) != 0 || check_length(api, req, reterr) != 0)
        return -1;
    return 0;
}

int authorize_scope(const struct api *api, uint32_t scope, struct http_response *res,
                    struct error *reterr)
{
    return check_access(api, scope, res, reterr);
}

/* ---- runs */

int authorize_run(struct api *api, struct http_response *res, struct error *reterr)
{
    const struct key_record *key = api->caller.key;
    int running;
    if (!key || key->limits.concurrent_runs == 0 || usage_run_begin(api->usage, key, &running))
        return 0;
    http_response_header(res, "Retry-After", "%d", RUN_RETRY_S);
    if (key->limits.concurrent_runs == 1)
        return error_set(reterr, ERR_RATE_LIMITED,
                         "The limit of this key is 1 run at a time, and one is under way.");
    return error_set(reterr, ERR_RATE_LIMITED,
                     "The limit of this key is %d runs at a time, and as many are under way.",
                     (int)key->limits.concurrent_runs);
}

void authorize_run_end(struct api *api)
{
    if (api->caller.key)
        usage_run_end(api->usage);
}
