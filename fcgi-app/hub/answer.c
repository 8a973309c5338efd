/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.c - see answer.h
 */
#include "hub/answer.h"

#include "http/problem.h"
#include "hub/events.h"

#define RETRY_AFTER_SECONDS 2

static void add_request_id(struct strbuf *out, const char *request_id)
{
    if (request_id[0] != '\0')
        strbuf_addf(out, "X-Request-Id: %s\r\n", request_id);
}

void answer_redirect(struct strbuf *out, const char *then)
{
    strbuf_addf(out, "Status: 200 OK\r\nX-Accel-Redirect: %s\r\nContent-Length: 0\r\n\r\n", then);
}

void answer_problem(struct strbuf *out, const struct error *error, const char *request_id)
{
    const struct problem *problem = problem_find(error->code);
    struct strbuf body = STRBUF_INIT;
    problem_print(&body, error, request_id, NULL);
    strbuf_addf(out, "Status: %d %s\r\nContent-Type: application/problem+json\r\n", problem->status,
                problem->title);
    strbuf_addf(out, "Content-Length: %zu\r\nCache-Control: no-store\r\n", body.size);
    if (problem->status == 503)
        strbuf_addf(out, "Retry-After: %d\r\n", RETRY_AFTER_SECONDS);
    add_request_id(out, request_id);
    strbuf_addstr(out, "\r\n");
    strbuf_add(out, body.text, body.size);
    strbuf_release(&body);
}

void answer_nothing(struct strbuf *out, const char *request_id)
{
    strbuf_addstr(out, "Status: 204 No Content\r\nCache-Control: no-store\r\n");
    add_request_id(out, request_id);
    strbuf_addstr(out, "\r\n");
}

void answer_stream(struct strbuf *out, const char *request_id)
{
    strbuf_addstr(out, "Status: 200 OK\r\nContent-Type: text/event-stream\r\n"
                       "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n");
    add_request_id(out, request_id);
    strbuf_addf(out, "\r\nretry: %d\n\n", EVENTS_RETRY_MS);
}
