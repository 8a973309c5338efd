/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.c - see target.h
 */
#include "hub/target.h"

#include <stdlib.h>
#include <string.h>

#include "http/query.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Copy a value of at most size - 1 bytes. */
static int take_text(const char *name, const char *value, char *ret, size_t size,
                     struct error *reterr)
{
    size_t length = strlen(value);
    if (ret[0] != '\0')
        return error_set(reterr, ERR_INVALID_REQUEST, "The argument %s is given twice.", name);
    if (length == 0 || length >= size)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The argument %s must have 1 to %zu characters.", name, size - 1);
    memcpy(ret, value, length + 1);
    return 0;
}

/* "20", "0.5": decimal digits with at most one point. */
static int parse_seconds(const char *text, int64_t *ret_us, struct error *reterr)
{
    size_t size = strlen(text), whole = strspn(text, "0123456789");
    size_t rest = text[whole] == '.' ? 1 + strspn(text + whole + 1, "0123456789") : 0;
    double seconds = -1;
    if (whole > 0 && rest != 1 && whole + rest == size && size < 32)
        seconds = strtod(text, NULL);
    if (!(seconds >= 0 && seconds <= TARGET_SECONDS_MAX))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The argument seconds must be a number from 0 to %d.", TARGET_SECONDS_MAX);
    *ret_us = (int64_t)(seconds * 1e6);
    return 0;
}

static int check_then(const char *then, struct error *reterr)
{
    static const char *const places[] = {"/internal/jobs/", "/internal/runs/"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (has_prefix(then, places[i]) && then[strspn(then, NAME_CHARACTERS "/")] == '\0')
            return 0;
    }
    return error_set(reterr, ERR_INVALID_REQUEST,
                     "The argument then must be the path of a job or a run.");
}

static int take_fields(const struct http_field *fields, int count, struct target *target,
                       struct error *reterr)
{
    char seconds[32] = "";
    for (int i = 0; i < count; i++) {
        const char *name = fields[i].name, *value = fields[i].value;
        int status = 0;
        if (strcmp(name, "job") == 0)
            status = take_text(name, value, target->job, sizeof(target->job), reterr);
        else if (strcmp(name, "tenant") == 0 && *value)
            status = take_text(name, value, target->tenant, sizeof(target->tenant), reterr);
        else if (strcmp(name, "key") == 0 && *value)
            status = take_text(name, value, target->key, sizeof(target->key), reterr);
        else if (strcmp(name, "then") == 0)
            status = take_text(name, value, target->then, sizeof(target->then), reterr);
        else if (strcmp(name, "awaited") == 0)
            target->is_awaited = strcmp(value, "1") == 0;
        else if (strcmp(name, "seconds") == 0)
            status = take_text(name, value, seconds, sizeof(seconds), reterr);
        if (status != 0)
            return -1;
    }
    if (target->job[0] == '\0')
        return error_set(reterr, ERR_INVALID_REQUEST, "The argument job is missing.");
    if (target->is_stream)
        return 0;
    if (parse_seconds(seconds, &target->wait_us, reterr) != 0)
        return -1;
    return check_then(target->then, reterr);
}

int target_parse(struct arena *scratch, const struct scgi_request *request,
                 struct target *ret_target, struct error *reterr)
{
    struct http_field *fields;
    int count;
    struct target target = {.is_stream = strcmp(request->uri, "/internal/events") == 0,
                            .is_head = strcmp(request->method, "HEAD") == 0};
    if (!target.is_stream && strcmp(request->uri, "/internal/wait") != 0)
        return error_set(reterr, ERR_NOT_FOUND, "There is nothing under this address.");
    if (query_parse(scratch, request->query, &fields, &count, reterr) != 0 ||
        take_fields(fields, count, &target, reterr) != 0)
        return -1;
    /* What is longer, or has other characters, did not come from us: as good as none. */
    size_t size = strlen(request->last_event_id);
    if (size < sizeof(target.last_event_id) &&
        strspn(request->last_event_id, NAME_CHARACTERS) == size)
        memcpy(target.last_event_id, request->last_event_id, size + 1);
    *ret_target = target;
    return 0;
}

void target_request_id(const struct scgi_request *request, char ret_id[TARGET_REQUEST_ID_SIZE])
{
    size_t size = strlen(request->request_id);
    ret_id[0] = '\0';
    if (size < TARGET_REQUEST_ID_SIZE && strspn(request->request_id, NAME_CHARACTERS) == size)
        memcpy(ret_id, request->request_id, size + 1);
}
