/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.c - see request.h
 *
 * nginx has looked at all of this before. It is checked again because the FastCGI socket is
 * an interface of its own, and plain CGI has no nginx in front.
 */
#include "http/request.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "http/field.h"

#define ARRIVED_MAX_US (60 * INT64_C(1000000))
#define CONTENT_LENGTH_MAX (INT64_C(1) << 53)
#define PIECE_SIZE 65536 /* of a body, on the stack */

/* Of two variables with one name the first counts. */
const char *http_variable(const struct http_request *req, const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < req->param_count; i++) {
        const struct http_param *p = &req->params[i];
        if (p->name_size == size && memcmp(p->name, name, size) == 0)
            return p->value;
    }
    return "";
}

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

static bool is_request_id(const char *text)
{
    size_t size = 0;
    while (is_id_char(text[size]))
        size++;
    return size >= 1 && size <= 64 && text[size] == '\0';
}

static void read_request_id(struct http_request *req)
{
    const char *id = http_variable(req, "REQUEST_ID");
    if (is_request_id(id)) {
        memcpy(req->request_id, id, strlen(id) + 1);
        return;
    }
    uint64_t random[2] = {0, 0};
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random[0] = (uint64_t)clock_real_us(); /* an id for the log, not a secret */
    (void)snprintf(req->request_id, sizeof(req->request_id), "%016llx%016llx",
                   (unsigned long long)random[0], (unsigned long long)random[1]);
}

/* nginx's $msec, "1700000000.123", in milliseconds; -1 when it is not one. */
static int64_t parse_msec(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 12 || text[digits] != '.' ||
        strspn(text + digits + 1, "0123456789") != 3 || text[digits + 4] != '\0')
        return -1;
    int64_t ms = 0;
    for (const char *p = text; *p; p++) {
        if (*p != '.')
            ms = ms * 10 + (*p - '0');
    }
    return ms;
}

static void read_arrival(struct http_request *req)
{
    req->arrived_us = clock_us();
    int64_t started_ms = parse_msec(http_variable(req, "REQUEST_STARTED"));
    if (started_ms < 0)
        return;
    int64_t waited_us = clock_real_us() - started_ms * 1000;
    if (waited_us > 0 && waited_us <= ARRIVED_MAX_US)
        req->arrived_us -= waited_us;
}

/* Several lines of it are joined, and so are none. */
static void read_traceparent(struct http_request *req)
{
    const char *text = http_header(req, "traceparent");
    if (text)
        (void)traceparent_parse(text, req->traceparent);
}

static void read_method(struct http_request *req)
{
    static const struct {
        const char *name;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET},        {"HEAD", HTTP_HEAD},   {"POST", HTTP_POST},
                   {"PUT", HTTP_PUT},        {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
                   {"OPTIONS", HTTP_OPTIONS}};
    const char *name = http_variable(req, "REQUEST_METHOD");
    req->method = HTTP_OTHER;
    req->method_name = arena_strndup(req->arena, name, strnlen(name, 32));
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(name, methods[i].name) == 0)
            req->method = methods[i].method;
    }
}

/* The two that CGI does not give the prefix HTTP_: nginx sends them with it besides. */
static bool is_bare(const struct http_param *p)
{
    static const char type[] = "CONTENT_TYPE", length[] = "CONTENT_LENGTH";
    return (p->name_size == sizeof(type) - 1 && memcmp(p->name, type, sizeof(type) - 1) == 0) ||
           (p->name_size == sizeof(length) - 1 && memcmp(p->name, length, sizeof(length) - 1) == 0);
}

/* Is the variable a header field? Then under its own name. */
static bool take_field(const struct http_param *variable, struct http_param *ret_field)
{
    static const char prefix[] = "HTTP_";
    const size_t size = sizeof(prefix) - 1;
    struct http_param field = *variable;
    bool has_prefix = field.name_size > size && memcmp(field.name, prefix, size) == 0;
    if (has_prefix) {
        field.name += size;
        field.name_size -= size;
    }
    *ret_field = field;
    return has_prefix != is_bare(&field);
}

/* All that is asked for later is found in here. Returns how many bytes the variables have. */
static size_t read_params(struct http_request *req)
{
    char **texts = req->stream->params(req->stream);
    size_t count = 0, total = 0;
    while (texts[count])
        count++;
    struct http_param *params = arena_alloc(req->arena, count * sizeof(*params));
    struct http_param *fields = arena_alloc(req->arena, count * sizeof(*fields));
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(texts[i]);
        const char *equals = memchr(texts[i], '=', size);
        total += size;
        if (!equals)
            continue;
        struct http_param *p = &params[req->param_count++];
        *p = (struct http_param){texts[i], equals + 1, (size_t)(equals - texts[i])};
        if (take_field(p, &fields[req->field_count]))
            req->field_count++;
    }
    req->params = params;
    req->fields = fields;
    return total;
}

static int check_params(const struct http_request *req, size_t total,
                        const struct http_limits *limits, struct error *reterr)
{
    if (req->param_count > (size_t)limits->max_params)
        return error_set(reterr, ERR_HEADERS_TOO_LARGE,
                         "The request has more than %d header fields (max_params).",
                         limits->max_params);
    if (total > limits->max_params_bytes)
        return error_set(reterr, ERR_HEADERS_TOO_LARGE,
                         "The request's header fields have more than %zu bytes "
                         "(max_params_bytes).",
                         limits->max_params_bytes);
    return 0;
}

static bool has_control(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            return true;
    }
    return false;
}

static int read_path(struct http_request *req, struct error *reterr)
{
    static const char *const variables[] = {"PATH_INFO", "DOCUMENT_URI", "SCRIPT_NAME"};
    const char *path = "";
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]) && !*path; i++)
        path = http_variable(req, variables[i]);
    if (path[0] != '/')
        return error_set(reterr, ERR_INVALID_REQUEST, "The path does not begin with '/'.");
    if (has_control(path))
        return error_set(reterr, ERR_INVALID_REQUEST, "The path has a control character.");
    if (!utf8_is_valid(path, strlen(path)))
        return error_set(reterr, ERR_INVALID_REQUEST, "The path is not valid UTF-8.");
    req->path = arena_strdup(req->arena, path);
    return 0;
}

static int read_query(struct http_request *req, struct error *reterr)
{
    const char *query = http_variable(req, "QUERY_STRING");
    if (has_control(query))
        return error_set(reterr, ERR_INVALID_REQUEST, "The query has a control character.");
    req->query = arena_strdup(req->arena, query);
    return 0;
}

static int read_content_length(struct http_request *req, struct error *reterr)
{
    const char *text = http_variable(req, "CONTENT_LENGTH");
    int64_t length = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9')
            return error_set(reterr, ERR_INVALID_REQUEST,
                             "The Content-Length is not a decimal number.");
        length = length * 10 + (*p - '0');
        if (length > CONTENT_LENGTH_MAX)
            return error_set(reterr, ERR_INVALID_REQUEST, "The Content-Length is over 2^53.");
    }
    req->content_length = length;
    return 0;
}

static int read_content_type(struct http_request *req, struct error *reterr)
{
    req->content_type = arena_strdup(req->arena, http_variable(req, "CONTENT_TYPE"));
    if (*field_skip_space(req->content_type) == '\0')
        return 0;
    const char *rest;
    char *media_type = field_media_type(req->arena, req->content_type, &rest);
    if (media_type)
        rest = field_skip_space(rest);
    if (!media_type || (*rest != '\0' && *rest != ';'))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The Content-Type is not of the form \"type/subtype\".");
    req->media_type = media_type;
    return 0;
}

int http_request_read(struct http_stream *stream, const struct http_limits *limits, struct arena *a,
                      struct http_request **ret_request, struct error *reterr)
{
    struct http_request *req = arena_alloc(a, sizeof(*req));
    *req = (struct http_request){
        .arena = a,
        .stream = stream,
        .path = "",
        .query = "",
        .media_type = "",
        .content_type = "",
    };
    *ret_request = req;
    size_t params_bytes = read_params(req);
    read_request_id(req);
    read_arrival(req);
    read_method(req);
    read_traceparent(req);
    /* The length first: whatever else is wrong, the body has to be discarded. */
    if (read_content_length(req, reterr) != 0 ||
        check_params(req, params_bytes, limits, reterr) != 0 || read_path(req, reterr) != 0 ||
        read_query(req, reterr) != 0 || read_content_type(req, reterr) != 0)
        return -1;
    if (req->method_name[0] == '\0')
        return error_set(reterr, ERR_INVALID_REQUEST, "The request has no method.");
    return 0;
}

/* Is "ACCEPT_ENCODING" the variable's name for "Accept-Encoding"? */
static bool is_name_of(const char *variable, const char *name)
{
    while (*name && *variable == (*name == '-' ? '_' : toupper((unsigned char)*name))) {
        variable++;
        name++;
    }
    return *name == '\0';
}

/* A field that comes in several lines is one list (RFC 9110 section 5.3). */
const char *http_header(const struct http_request *req, const char *name)
{
    size_t size = strlen(name);
    struct strbuf joined = STRBUF_INIT;
    const char *value = NULL;
    for (size_t i = 0; i < req->field_count; i++) {
        const struct http_param *f = &req->fields[i];
        if (f->name_size != size || !is_name_of(f->name, name))
            continue;
        if (value) {
            if (joined.size == 0)
                strbuf_addstr(&joined, value);
            strbuf_addstr(&joined, ", ");
            strbuf_addstr(&joined, f->value);
        }
        value = f->value;
    }
    if (joined.size > 0)
        value = arena_strndup(req->arena, joined.text, joined.size);
    strbuf_release(&joined);
    return value;
}

int http_body_check(const struct http_request *req, size_t max_bytes, const char *limit_name,
                    struct error *reterr)
{
    if ((uint64_t)req->content_length <= max_bytes)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE, "The body has %lld bytes; the limit %s is %zu bytes.",
                     (long long)req->content_length, limit_name, max_bytes);
}

int http_body_check_encoding(const struct http_request *req, struct error *reterr)
{
    const char *encoding = http_header(req, "Content-Encoding");
    if (!encoding || strcasecmp(encoding, "identity") == 0)
        return 0;
    return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                     "The body has Content-Encoding %.40s; send it as it is.", encoding);
}

/* All of `size` bytes, which Content-Length promised. */
static int read_promised(struct http_request *req, unsigned char *buf, size_t size,
                         struct error *reterr)
{
    while (size > 0) {
        ssize_t n = req->stream->read(req->stream, buf, size);
        if (n <= 0) {
            (void)error_set(reterr, ERR_INVALID_REQUEST,
                            "The body ended after %lld of %lld bytes (Content-Length).",
                            (long long)req->body_read, (long long)req->content_length);
            return error_cause(reterr, n < 0 ? "the peer failed" : "the peer sent no more");
        }
        req->body_read += n;
        buf += n;
        size -= (size_t)n;
    }
    return 0;
}

int http_body_piece(struct http_request *req, void *buf, size_t size, size_t *ret_size,
                    struct error *reterr)
{
    int64_t rest = req->content_length - req->body_read;
    if ((uint64_t)rest < size)
        size = (size_t)rest;
    if (read_promised(req, buf, size, reterr) != 0)
        return -1;
    *ret_size = size;
    return 0;
}

int http_body_read(struct http_request *req, size_t max_bytes, const char *limit_name,
                   struct payload *body, struct error *reterr)
{
    if (http_body_check(req, max_bytes, limit_name, reterr) != 0)
        return -1;
    unsigned char piece[PIECE_SIZE];
    size_t size;
    if (payload_reserve(body, (size_t)(req->content_length - req->body_read), reterr) != 0)
        return -1;
    while (req->body_read < req->content_length)
        if (http_body_piece(req, piece, sizeof(piece), &size, reterr) != 0 ||
            payload_append(body, piece, size, reterr) != 0)
            return -1;
    return 0;
}

void http_body_discard(struct http_request *req)
{
    char trash[16384];
    while (req->body_read < req->content_length) {
        int64_t rest = req->content_length - req->body_read;
        size_t size = rest < (int64_t)sizeof(trash) ? (size_t)rest : sizeof(trash);
        ssize_t n = req->stream->read(req->stream, trash, size);
        if (n <= 0)
            return;
        req->body_read += n;
    }
}

char *http_field_param(struct arena *a, const char *field, const char *wanted)
{
    const char *cursor = field + strcspn(field, ";");
    struct field_param found;
    while (field_param_next(&cursor, &found) > 0) {
        if (field_param_is(&found, wanted))
            return field_param_value(a, &found);
    }
    return NULL;
}
