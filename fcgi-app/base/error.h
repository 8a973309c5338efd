/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - what went wrong, for the client and for the log
 *
 * A function that can fail returns 0 or -1 and fills the caller's struct error.
 * Nothing here allocates. Each code is one problem type of the HTTP interface;
 * only http/problem.c knows the statuses. To add one: a code here, a name in
 * error.c, a row in http/problem.c.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

enum err_code {
    ERR_NONE,
    ERR_INVALID_REQUEST,        /* not well-formed: HTTP framing, JSON that does not parse */
    ERR_UNAUTHORIZED,           /* no key, or not a valid one */
    ERR_FORBIDDEN,              /* the key does not allow it */
    ERR_NOT_FOUND,              /* no such task, job, path */
    ERR_METHOD_NOT_ALLOWED,     /* the path exists, not for this method */
    ERR_NOT_ACCEPTABLE,         /* Accept allows no form of the answer */
    ERR_REQUEST_TIMEOUT,        /* the client took too long to send */
    ERR_CONFLICT,               /* the state of the thing does not allow it */
    ERR_GONE,                   /* existed, was pruned */
    ERR_TOO_LARGE,              /* bytes over a byte limit */
    ERR_URI_TOO_LONG,           /* request line over the limit */
    ERR_UNSUPPORTED_MEDIA_TYPE, /* a declared media type that the descriptor lacks */
    ERR_RANGE_NOT_SATISFIABLE,  /* Range outside the bytes */
    ERR_INVALID_PARAMS,         /* parameters or inputs missing, unknown, mistyped, repeated */
    ERR_INVALID_INPUT,          /* content empty, undecodable, or over a content limit */
    ERR_RATE_LIMITED,           /* over the caller's limit */
    ERR_HEADERS_TOO_LARGE,      /* header fields over the limit */
    ERR_EXECUTOR_CRASHED,       /* the executor died in the middle of the run */
    ERR_INTERNAL,               /* our own fault */
    ERR_OVERLOADED,             /* no place in the waiting room, or not in time */
    ERR_UNAVAILABLE,            /* a part that is needed is away */
    ERR_TIMED_OUT,              /* the run's deadline passed */
    ERR_STOPPED,                /* told to stop: run_progress() said so, or the client left */
    ERR_CODE_COUNT
};

struct error {
    enum err_code code;
    char detail[320]; /* one sentence, safe to show to a client */
    char cause[256];  /* for the log alone: errno, the library's words */
};

/* Fill *e (which may be NULL) and return -1, so that callers write `return error_set(reterr, ...)`.
 */
int error_set(struct error *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* error_internal() with errno's text as cause; `what` names the operation. */
int error_errno(struct error *e, const char *what);

/* ERR_INTERNAL with a fixed detail; the cause is for the log alone. Returns -1. */
int error_internal(struct error *e, const char *cause_fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Add the cause that only the log shows; control characters become '?'. Returns -1. */
int error_cause(struct error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The server has to answer for it, not who asked: its log line is an error. */
bool error_is_ours(const struct error *e);

/* The problem type's name, "invalid-params"; a static string. */
const char *error_name(enum err_code code);

/* The code of that name, for errors that were stored; ERR_INTERNAL for any other name, and NULL. */
enum err_code error_code_parse(const char *name);

#endif
