/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * route.c - see route.h
 */
#include "http/route.h"

#include <assert.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"

#define SHOWN_PATH_BYTES 100

/*
 * Does `path` fit `pattern`? Both are walked by segments, so an empty segment and a slash
 * at the end make another path. A route has many others before it: most differ in a character.
 */
static bool pattern_matches(const char *pattern, const char *path)
{
    while (*pattern && *path) {
        if (*pattern == '{') {
            if (*path == '/')
                return false;
            pattern = strchr(pattern, '}') + 1;
            path += strcspn(path, "/");
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *pattern == '\0' && *path == '\0';
}

/* What stands in the places of the {name}s of a path that fits. */
static void read_places(const char *pattern, const char *path, struct arena *a,
                        const char **ret_params)
{
    int count = 0;
    for (; *pattern; pattern++, path++) {
        if (*pattern != '{')
            continue;
        size_t size = strcspn(path, "/");
        assert(count < ROUTE_PARAMS_MAX);
        ret_params[count++] = arena_strndup(a, path, size);
        pattern = strchr(pattern, '}');
        path += size - 1;
    }
}

static unsigned served_methods(const struct route *route)
{
    return route->methods | HTTP_OPTIONS | (route->methods & HTTP_GET ? HTTP_HEAD : 0u);
}

/* The methods that the path has, all of them where they are to be told; 0 when there is no such
 * path. The first row for the method wins. */
static unsigned find_route(const struct route *routes, const struct http_request *req,
                           struct route_match *match)
{
    unsigned allowed = 0;
    for (const struct route *route = routes; route->pattern; route++) {
        if (!pattern_matches(route->pattern, req->path))
            continue;
        allowed |= served_methods(route);
        if (!match->route && (served_methods(route) & req->method))
            match->route = route;
        if (match->route && req->method != HTTP_OPTIONS)
            break;
    }
    if (match->route)
        read_places(match->route->pattern, req->path, req->arena, match->params);
    return allowed;
}

static const char *list_methods(struct arena *a, unsigned methods)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    struct strbuf sb = STRBUF_INIT;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (methods & 1u << i)
            strbuf_addf(&sb, "%s%s", sb.size > 0 ? ", " : "", names[i]);
    }
    const char *list = arena_strndup(a, sb.text, sb.size);
    strbuf_release(&sb);
    return list;
}

static int refuse_path(const struct http_request *req, struct error *reterr)
{
    size_t size = strlen(req->path);
    int shown = (int)utf8_cut(req->path, size, SHOWN_PATH_BYTES);
    return error_set(reterr, ERR_NOT_FOUND, "There is nothing at %.*s%s", shown, req->path,
                     size > (size_t)shown ? "..." : "");
}

/* The handler's sentence cannot know how many errors there will be. */
static void summarize(const struct field_errors *errors, struct error *err)
{
    if (err->code != ERR_INVALID_PARAMS || errors->count == 0)
        return;
    const struct field_error *first = errors->first;
    if (errors->count > 1)
        (void)error_set(err, ERR_INVALID_PARAMS, "%d parameters are not valid.", errors->count);
    else
        (void)error_set(err, ERR_INVALID_PARAMS, "%s%s%s", first->pointer,
                        first->pointer[0] ? ": " : "", first->detail);
}

static int call_handler(void *context, struct http_request *req, const struct route_match *match,
                        struct http_response *res, struct field_errors *errors,
                        struct error *reterr)
{
    if (match->route->handler(context, req, match, res, errors, reterr) != 0) {
        if (reterr->code == ERR_NONE)
            return error_internal(reterr, "the handler of %s failed without an error",
                                  match->route->pattern);
        return -1;
    }
    if (res->status == 0)
        return error_internal(reterr, "the handler of %s gave no answer", match->route->pattern);
    return 0;
}

void route_dispatch(const struct route *routes, route_guard *guard, void *context,
                    struct http_request *req, struct http_response *res,
                    struct route_match *ret_match, struct error *ret_error)
{
    struct field_errors errors = {.arena = req->arena};
    int status;
    *ret_match = (struct route_match){.route = NULL};
    *ret_error = (struct error){.code = ERR_NONE};
    unsigned allowed = find_route(routes, req, ret_match);
    if (guard && guard(context, req, ret_match->route, res, ret_error) != 0) {
        status = -1;
    } else if (allowed == 0) {
        status = refuse_path(req, ret_error);
    } else if (req->method == HTTP_OPTIONS) {
        http_response_field(res, "Allow", list_methods(req->arena, allowed));
        http_response_json(res, 204, NULL);
        status = 0;
    } else if (!ret_match->route) {
        const char *list = list_methods(req->arena, allowed);
        http_response_field(res, "Allow", list);
        status = error_set(ret_error, ERR_METHOD_NOT_ALLOWED, "This path allows %s.", list);
    } else {
        status = call_handler(context, req, ret_match, res, &errors, ret_error);
    }
    if (status == 0) {
        /* What succeeded may have tried something in vain before. */
        *ret_error = (struct error){.code = ERR_NONE};
        return;
    }
    summarize(&errors, ret_error);
    http_response_problem(res, req, ret_error, &errors);
}
