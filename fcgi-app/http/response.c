/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * response.c - see response.h
 *
 * A FastCGI answer is a CGI answer: a Status line, header fields, an empty line, the body.
 */
#include "http/response.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/strbuf.h"
#include "http/field.h"
#include "http/problem.h"

void http_response_init(struct http_response *res, struct arena *a)
{
    *res = (struct http_response){.arena = a, .body_fd = -1};
}

static bool is_field_value(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            return false;
    }
    return true;
}

static void add_field(struct http_response *res, const char *name, const char *value)
{
    size_t size = strlen(name);
    if (size == 0 || field_token_size(name) != size || !is_field_value(value))
        return;
    struct http_header_field *field = arena_alloc(res->arena, sizeof(*field));
    field->name = name;
    field->value = value;
    if (res->last)
        res->last->next = field;
    else
        res->first = field;
    res->last = field;
}

void http_response_field(struct http_response *res, const char *name, const char *value)
{
    add_field(res, name, arena_strdup(res->arena, value));
}

void http_response_header(struct http_response *res, const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_field(res, name, arena_vprintf(res->arena, fmt, ap));
    va_end(ap);
}

static void remove_fields(struct http_response *res, bool (*is_doomed)(const char *name))
{
    struct http_header_field **link = &res->first;
    res->last = NULL;
    while (*link) {
        if (is_doomed((*link)->name)) {
            *link = (*link)->next;
        } else {
            res->last = *link;
            link = &(*link)->next;
        }
    }
}

static bool is_content_type(const char *name)
{
    return strcasecmp(name, "Content-Type") == 0;
}

/* What a handler said about a body that it then could not give. */
static bool is_about_body(const char *name)
{
    static const char *const others[] = {"ETag",          "Last-Modified", "Accept-Ranges",
                                         "Cache-Control", "Vary",          "Gangsaw-Result"};
    if (strncasecmp(name, "Content-", 8) == 0)
        return true;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcasecmp(name, others[i]) == 0)
            return true;
    }
    return false;
}

/* Of the size that the whole has, beside 416 too. */
static bool is_about_part(const char *name)
{
    return is_about_body(name) && strcasecmp(name, "Content-Range") != 0;
}

static void set_body(struct http_response *res, int status, const void *body, int64_t size,
                     const struct http_body_source *source)
{
    res->status = status;
    res->body = body;
    res->body_size = size;
    res->body_fd = -1;
    res->source = source;
    res->problem = ERR_NONE;
}

void http_response_body(struct http_response *res, int status, const char *media_type,
                        const void *body, size_t size)
{
    remove_fields(res, is_content_type);
    http_response_field(res, "Content-Type", media_type);
    set_body(res, status, body, (int64_t)size, NULL);
}

void http_response_body_file(struct http_response *res, int fd)
{
    res->body_fd = fd;
}

void http_response_stream(struct http_response *res, int status, const char *media_type,
                          int64_t size, const struct http_body_source *source)
{
    remove_fields(res, is_content_type);
    http_response_field(res, "Content-Type", media_type);
    set_body(res, status, NULL, size, source);
}

void http_response_json(struct http_response *res, int status, const cJSON *value)
{
    if (value) {
        size_t size;
        char *text = json_print(res->arena, value, &size);
        http_response_body(res, status, "application/json", text, size);
        return;
    }
    remove_fields(res, is_content_type);
    set_body(res, status, NULL, 0, NULL);
}

void http_response_problem(struct http_response *res, const struct http_request *req,
                           const struct error *err, const struct field_errors *errors)
{
    const struct problem *problem = problem_find(err->code);
    struct strbuf sb = STRBUF_INIT;
    problem_print(&sb, err, req->request_id, errors);
    remove_fields(res, err->code == ERR_RANGE_NOT_SATISFIABLE ? is_about_part : is_about_body);
    http_response_body(res, problem->status, "application/problem+json",
                       arena_memdup(res->arena, sb.text, sb.size), sb.size);
    strbuf_release(&sb);
    http_response_field(res, "Cache-Control", "no-store");
    res->problem = err->code;
}

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {303, "See Other"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Other";
}

/* The next piece of what is left; -1 with res->failure. */
static int read_piece(struct http_response *res, int64_t rest, const void **ret_bytes,
                      size_t *ret_size)
{
    if (res->source->next(res->source->context, ret_bytes, ret_size, &res->failure) != 0)
        return -1;
    if (*ret_size == 0 || (uint64_t)*ret_size > (uint64_t)rest)
        return error_internal(&res->failure, "a body's piece has %zu bytes, %lld are left",
                              *ret_size, (long long)rest);
    return 0;
}

static int send_pieces(struct http_response *res, struct http_request *req)
{
    struct http_stream *stream = req->stream;
    const void *bytes;
    size_t size;
    for (int64_t rest = res->body_size; rest > 0; rest -= (int64_t)size) {
        if (read_piece(res, rest, &bytes, &size) != 0) {
            if (stream->abort)
                stream->abort(stream);
            return -1;
        }
        if (stream->write(stream, bytes, size) != 0)
            return -1;
    }
    return 0;
}

static bool has_field(const struct http_response *res, const char *name)
{
    for (const struct http_header_field *f = res->first; f; f = f->next) {
        if (strcasecmp(f->name, name) == 0)
            return true;
    }
    return false;
}

/* A redirect's Cache-Control would come beside that of the answer it leads to. */
static void add_guards(struct strbuf *head, const struct http_response *res)
{
    if (has_field(res, "X-Accel-Redirect"))
        return;
    if (!has_field(res, "Cache-Control"))
        strbuf_addstr(head, "Cache-Control: no-store\r\n");
    strbuf_addstr(head, "X-Content-Type-Options: nosniff\r\n"
                        "Cross-Origin-Resource-Policy: same-site\r\n");
}

static void add_line(struct strbuf *head, const char *name, const char *value)
{
    strbuf_addstr(head, name);
    strbuf_addstr(head, ": ");
    strbuf_addstr(head, value);
    strbuf_addstr(head, "\r\n");
}

int http_response_send(struct http_response *res, struct http_request *req)
{
    assert(res->status != 0);
    bool may_have_body = res->status != 204 && res->status != 304;
    struct strbuf head = STRBUF_INIT;
    strbuf_addstr(&head, "Status: ");
    strbuf_add_integer(&head, res->status);
    strbuf_addch(&head, ' ');
    strbuf_addstr(&head, reason_phrase(res->status));
    strbuf_addstr(&head, "\r\n");
    for (const struct http_header_field *f = res->first; f; f = f->next)
        add_line(&head, f->name, f->value);
    if (may_have_body) {
        strbuf_addstr(&head, "Content-Length: ");
        strbuf_add_integer(&head, res->body_size);
        strbuf_addstr(&head, "\r\n");
    }
    add_guards(&head, res);
    add_line(&head, "X-Request-Id", req->request_id);
    strbuf_addstr(&head, "\r\n");
    int status = req->stream->write(req->stream, head.text, head.size);
    strbuf_release(&head);
    if (status != 0 || !may_have_body || req->method == HTTP_HEAD || res->body_size == 0)
        return status;
    if (res->source)
        return send_pieces(res, req);
    if (res->body_fd >= 0 && req->stream->write_file)
        return req->stream->write_file(req->stream, res->body_fd, res->body,
                                       (size_t)res->body_size);
    return req->stream->write(req->stream, res->body, (size_t)res->body_size);
}
