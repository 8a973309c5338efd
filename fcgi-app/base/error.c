/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.c - see error.h
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char *const names[ERR_CODE_COUNT] = {
    [ERR_NONE] = "none",
    [ERR_INVALID_REQUEST] = "invalid-request",
    [ERR_UNAUTHORIZED] = "unauthorized",
    [ERR_FORBIDDEN] = "forbidden",
    [ERR_NOT_FOUND] = "not-found",
    [ERR_METHOD_NOT_ALLOWED] = "method-not-allowed",
    [ERR_NOT_ACCEPTABLE] = "not-acceptable",
    [ERR_REQUEST_TIMEOUT] = "request-timeout",
    [ERR_CONFLICT] = "conflict",
    [ERR_GONE] = "gone",
    [ERR_TOO_LARGE] = "too-large",
    [ERR_URI_TOO_LONG] = "uri-too-long",
    [ERR_UNSUPPORTED_MEDIA_TYPE] = "unsupported-media-type",
    [ERR_RANGE_NOT_SATISFIABLE] = "range-not-satisfiable",
    [ERR_INVALID_PARAMS] = "invalid-params",
    [ERR_INVALID_INPUT] = "invalid-input",
    [ERR_RATE_LIMITED] = "rate-limited",
    [ERR_HEADERS_TOO_LARGE] = "headers-too-large",
    [ERR_EXECUTOR_CRASHED] = "executor-crashed",
    [ERR_INTERNAL] = "internal",
    [ERR_OVERLOADED] = "overloaded",
    [ERR_UNAVAILABLE] = "unavailable",
    [ERR_TIMED_OUT] = "timed-out",
    [ERR_STOPPED] = "stopped",
};

/* A text that did not fit may end within a character. */
static void drop_half_character(char *text)
{
    size_t size = strlen(text), last = size;
    while (last > 0 && ((unsigned char)text[last - 1] & 0xc0) == 0x80 && size - last < 3)
        last--;
    if (last > 0 && (unsigned char)text[last - 1] >= 0xc0 &&
        utf8_length(text + last - 1, size - last + 1) == 0)
        text[last - 1] = '\0';
}

int error_set(struct error *e, enum err_code code, const char *fmt, ...)
{
    if (!e)
        return -1;
    e->code = code;
    e->cause[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    int size = vsnprintf(e->detail, sizeof(e->detail), fmt, ap);
    va_end(ap);
    if (size >= (int)sizeof(e->detail))
        drop_half_character(e->detail);
    return -1;
}

static void __attribute__((format(printf, 2, 0)))
set_cause(struct error *e, const char *fmt, va_list ap)
{
    (void)vsnprintf(e->cause, sizeof(e->cause), fmt, ap);
    for (char *p = e->cause; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
}

int error_cause(struct error *e, const char *fmt, ...)
{
    if (!e)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    set_cause(e, fmt, ap);
    va_end(ap);
    return -1;
}

int error_internal(struct error *e, const char *cause_fmt, ...)
{
    if (!e)
        return -1;
    (void)error_set(e, ERR_INTERNAL, "The server could not do its part; its log says why.");
    va_list ap;
    va_start(ap, cause_fmt);
    set_cause(e, cause_fmt, ap);
    va_end(ap);
    return -1;
}

int error_errno(struct error *e, const char *what)
{
    return error_internal(e, "%s: %s", what, strerror(errno));
}

bool error_is_ours(const struct error *e)
{
    return e->code == ERR_INTERNAL || e->code == ERR_EXECUTOR_CRASHED ||
           (e->code == ERR_UNAVAILABLE && e->cause[0]);
}

const char *error_name(enum err_code code)
{
    if ((int)code < 0 || code >= ERR_CODE_COUNT)
        return names[ERR_INTERNAL];
    return names[code];
}

enum err_code error_code_parse(const char *name)
{
    for (int code = ERR_NONE + 1; name && code < ERR_CODE_COUNT; code++) {
        if (strcmp(names[code], name) == 0)
            return (enum err_code)code;
    }
    return ERR_INTERNAL;
}
