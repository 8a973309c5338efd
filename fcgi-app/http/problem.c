/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * problem.c - see problem.h
 *
 * The only place where an error gets a status. ERR_STOPPED has no row: whoever would read the
 * answer has left.
 */
#include "http/problem.h"

#include <stddef.h>
#include <string.h>

#include "base/redact.h"

/* clang-format off */
static const struct problem table[] = {
    {ERR_INVALID_REQUEST, 400, "Invalid request",
     "The request is not well-formed: its framing, a header field, the query's encoding, or JSON that does not parse "
     "or repeats a name."},
    {ERR_UNAUTHORIZED, 401, "Unauthorized",
     "The request has no API key, or not a valid one."},
    {ERR_FORBIDDEN, 403, "Forbidden",
     "The API key is valid, but does not allow this."},
    {ERR_NOT_FOUND, 404, "Not found",
     "There is nothing under this address: no such path, task, job or blob, or it belongs to somebody else."},
    {ERR_METHOD_NOT_ALLOWED, 405, "Method not allowed",
     "The address exists, but not for this method. The Allow header field lists the methods it has."},
    {ERR_NOT_ACCEPTABLE, 406, "Not acceptable",
     "The Accept header field allows none of the forms that the answer could take."},
    {ERR_REQUEST_TIMEOUT, 408, "Request timeout",
     "The request took too long to arrive."},
    {ERR_CONFLICT, 409, "Conflict",
     "The state of the thing does not allow this now, for example the result of a job that has not ended."},
    {ERR_GONE, 410, "Gone",
     "This existed, and was removed when its time to be kept was over."},
    {ERR_TOO_LARGE, 413, "Too large",
     "The request's bytes are over a limit. The detail names the limit and its value."},
    {ERR_URI_TOO_LONG, 414, "URI too long",
     "The request line is over the limit. Parameters can also be sent as JSON or multipart/form-data."},
    {ERR_UNSUPPORTED_MEDIA_TYPE, 415, "Unsupported media type",
     "The task does not take the declared media type. Its descriptor lists those it takes."},
    {ERR_RANGE_NOT_SATISFIABLE, 416, "Range not satisfiable",
     "The Range header field asks for bytes that the answer does not have."},
    {ERR_INVALID_PARAMS, 422, "Invalid parameters",
     "Parameters or inputs are missing, unknown, of the wrong type, out of range, or given twice. The errors member "
     "lists every one of them, with a JSON Pointer to its place."},
    {ERR_INVALID_INPUT, 422, "Invalid input",
     "The content of an input is empty, not what it says it is, damaged, or over a limit of content such as pixels "
     "or pages."},
    {ERR_RATE_LIMITED, 429, "Rate limited",
     "The caller's own limit is used up. The Retry-After header field says when to try again."},
    {ERR_HEADERS_TOO_LARGE, 431, "Header fields too large",
     "The request's header fields are over a limit, one of them or all together."},
    {ERR_EXECUTOR_CRASHED, 500, "Executor crashed",
     "The process that computed this run died. It cost this run alone; the same input may well do it again."},
    {ERR_INTERNAL, 500, "Internal error",
     "The server failed. Its log has the cause, under the request_id of the answer."},
    {ERR_OVERLOADED, 503, "Overloaded",
     "Every place to wait for a free slot is taken, or none became free in time. The Retry-After header field says "
     "when to try again."},
    {ERR_UNAVAILABLE, 503, "Unavailable",
     "A part of the server that this needs is away for the moment. Try again later."},
    {ERR_TIMED_OUT, 504, "Timed out",
     "The run did not end within its time, and was stopped. The detail names the limit."},
    {ERR_NONE, 0, NULL, NULL},
};
/* clang-format on */

const struct problem *problem_find(enum err_code code)
{
    const struct problem *internal = NULL;
    for (const struct problem *p = table; p->code != ERR_NONE; p++) {
        if (p->code == code)
            return p;
        if (p->code == ERR_INTERNAL)
            internal = p;
    }
    return internal;
}

const struct problem *problem_table(void)
{
    return table;
}

static void add_member(struct strbuf *sb, const char *name, const char *text)
{
    strbuf_addf(sb, ",\"%s\":", name);
    strbuf_add_json(sb, text, strlen(text));
}

static void add_field_errors(struct strbuf *sb, const struct field_errors *errors)
{
    const char *separator = "";
    strbuf_addstr(sb, ",\"errors\":[");
    for (const struct field_error *e = errors->first; e; e = e->next) {
        strbuf_addf(sb, "%s{\"pointer\":", separator);
        strbuf_add_json(sb, e->pointer, strlen(e->pointer));
        add_member(sb, "detail", e->detail);
        strbuf_addch(sb, '}');
        separator = ",";
    }
    strbuf_addch(sb, ']');
}

void problem_print(struct strbuf *out, const struct error *err, const char *request_id,
                   const struct field_errors *errors)
{
    const struct problem *problem = problem_find(err->code);
    size_t start = out->size;
    strbuf_addf(out, "{\"type\":\"/problems/%s\"", error_name(problem->code));
    add_member(out, "title", problem->title);
    strbuf_addf(out, ",\"status\":%d", problem->status);
    add_member(out, "detail", err->detail);
    add_member(out, "request_id", request_id);
    if (errors && errors->first)
        add_field_errors(out, errors);
    strbuf_addch(out, '}');
    redact_keys(out->text + start, out->size - start); /* errors quote what was sent */
}
