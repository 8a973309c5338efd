/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request: CGI variables, each with its NUL, an empty one, and the body. What is echoed, in header
 * fields and in a problem, can neither add a header field nor end the header.
 */
#include "fuzz.h"
#include "http/route.h"
#include "memory_stream.h"

#define PARAMS_MAX 400

static const char token_characters[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Echoes all that it can; refuses what is not JSON with a problem. */
static int on_thing(void *context, struct http_request *req, const struct route_match *match,
                    struct http_response *res, struct field_errors *errors, struct error *reterr)
{
    struct payload *body = payload_new(req->arena);
    cJSON *value;
    (void)context;
    for (const char *const *name = (const char *const[]){"Accept", "X-Echo", "Content-Type", NULL};
         *name; name++) {
        const char *field = http_header(req, *name);
        http_response_header(res, *name, "%s", field ? field : "");
    }
    http_response_header(res, "X-Thing", "%s", match->params[0]);
    field_errors_add(errors, match->params[0], "is \"%s\"", match->params[0]);
    if (http_body_check_encoding(req, reterr) != 0 ||
        http_body_read(req, 1 << 20, "max_body_bytes", body, reterr) != 0 ||
        json_parse(req->arena, (const char *)body->bytes, body->size, &value, reterr) != 0)
        return -1;
    http_response_json(res, 200, value);
    return 0;
}

static const struct route routes[] = {
    {"/v1/{thing}", HTTP_GET | HTTP_POST, on_thing, 0},
    {"/v1/{thing}/part", HTTP_PUT, on_thing, 0},
    {NULL, 0, NULL, 0},
};

/* The header of a CGI answer: lines of a token, a colon and text without control characters. */
static void check_answer(struct arena *a, const struct strbuf *answer)
{
    const char *line = arena_strndup(a, answer->text, answer->size);
    bool has_status = false;
    for (const char *end; (end = strstr(line, "\r\n")) != line; line = end + 2) {
        FUZZ_CHECK(end != NULL);
        size_t name = strspn(line, token_characters);
        FUZZ_CHECK(name > 0 && line[name] == ':');
        for (const char *c = line + name; c < end; c++)
            FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
        FUZZ_CHECK(strncmp(line, "X-Injected", 10) != 0);
        has_status = has_status || strncmp(line, "Status: ", 8) == 0;
    }
    FUZZ_CHECK(has_status);
}

static void check_request(const struct http_request *req)
{
    FUZZ_CHECK(req->path[0] == '/' && fuzz_is_printable(req->path));
    FUZZ_CHECK(strlen(req->method_name) <= 32 && req->method_name[0] != '\0');
    FUZZ_CHECK(req->content_length >= 0 && req->arrived_us > 0);
    for (const char *c = req->query; *c; c++)
        FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
    for (const char *c = req->media_type; *c; c++)
        FUZZ_CHECK(*c > ' ' && *c < 0x7f && !(*c >= 'A' && *c <= 'Z'));
}

static void serve(struct arena *a, struct memory_stream *stream)
{
    static const struct http_limits limits = {200, 65536};
    struct http_request *req;
    struct http_response res;
    struct route_match match;
    struct error err;
    bool is_read = http_request_read(&stream->base, &limits, a, &req, &err) == 0;
    http_response_init(&res, a);
    FUZZ_CHECK(strlen(req->request_id) >= 1 &&
               strspn(req->request_id, token_characters) == strlen(req->request_id));
    if (is_read) {
        check_request(req);
        route_dispatch(routes, NULL, NULL, req, &res, &match, &err);
    } else {
        FUZZ_CHECK(err.code == ERR_INVALID_REQUEST || err.code == ERR_HEADERS_TOO_LARGE);
        http_response_problem(&res, req, &err, NULL);
    }
    FUZZ_CHECK(res.status >= 200 && res.status <= 599);
    http_body_discard(req);
    FUZZ_CHECK(http_response_send(&res, req) == 0);
    check_answer(a, &stream->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    char *params[PARAMS_MAX + 1] = {NULL};
    for (int i = 0; i < PARAMS_MAX && in.at < in.end; i++) {
        size_t length = strnlen((const char *)in.at, fuzz_rest(&in));
        params[i] = arena_strndup(a, (const char *)in.at, length);
        in.at += length + (length < fuzz_rest(&in));
        if (length == 0) {
            params[i] = NULL;
            break;
        }
    }
    struct memory_stream stream;
    memory_stream_init(&stream, params, "");
    stream.body = arena_memdup(a, in.at, fuzz_rest(&in));
    stream.body_size = fuzz_rest(&in);
    serve(a, &stream);
    strbuf_release(&stream.answer);
    arena_free(a);
    return 0;
}
