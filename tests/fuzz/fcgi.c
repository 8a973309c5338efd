/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcgi: what nginx sends on a FastCGI connection of a hostile request, cut off anywhere: a byte
 * each for the size of records, the padding, and where it ends; then variables and body as in
 * request.c.
 *
 * The records are well-formed: libfcgi trusts whoever can connect to the pool's socket. A record
 * FCGI_GET_VALUES with one name many times overwrites its stack, and each management record that it
 * does not know leaks 48 bytes (ProcessManagementRecord() in fcgiapp.c, 2.4.2).
 */
#include <sys/socket.h>

#include "base/strbuf.h"
#include "fuzz.h"
#include "http/request.h"
#include "http/response.h"

#define TIMEOUT_MS 1000 /* nothing waits: the peer has sent all, and ended */
#define PARAMS_MAX 100

enum { BEGIN_REQUEST = 1, PARAMS = 4, STDIN = 5 };

struct sent {
    char *params[PARAMS_MAX + 1];
    const uint8_t *body;
    size_t body_size;
    size_t record_max, padding;
};

static void add_record(struct strbuf *out, int type, const void *bytes, size_t size, size_t padding)
{
    static const char zeros[8] = {0};
    const char header[8] = {1, (char)type, 0, 1, (char)(size >> 8), (char)size, (char)padding, 0};
    strbuf_add(out, header, sizeof(header));
    strbuf_add(out, bytes, size);
    strbuf_add(out, zeros, padding);
}

/* In pieces, and an empty record at the end. */
static void add_stream(struct strbuf *out, int type, const void *bytes, size_t size,
                       const struct sent *s)
{
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < s->record_max ? size - at : s->record_max;
        add_record(out, type, (const char *)bytes + at, n, s->padding);
    }
    add_record(out, type, "", 0, 0);
}

static void add_length(struct strbuf *out, size_t size)
{
    if (size > 127) {
        strbuf_addch(out, (char)(0x80 | (size >> 24)));
        strbuf_addch(out, (char)(size >> 16));
        strbuf_addch(out, (char)(size >> 8));
    }
    strbuf_addch(out, (char)size);
}

/* All of the request; *ret_params_size: up to where the variables are complete. */
static void encode(const struct sent *s, struct strbuf *out, size_t *ret_params_size)
{
    static const char begin[8] = {0, 1, 0, 0, 0, 0, 0, 0};
    struct strbuf params = STRBUF_INIT;
    for (char *const *p = s->params; *p; p++) {
        size_t size = strlen(*p), name = strcspn(*p, "=");
        add_length(&params, name);
        add_length(&params, size - name - 1);
        strbuf_add(&params, *p, name);
        strbuf_add(&params, *p + name + 1, size - name - 1);
    }
    add_record(out, BEGIN_REQUEST, begin, sizeof(begin), 0);
    add_stream(out, PARAMS, params.text, params.size, s);
    strbuf_release(&params);
    *ret_params_size = out->size;
    add_stream(out, STDIN, s->body, s->body_size, s);
}

static void take_request(struct fuzz_input *in, struct arena *a, struct sent *s)
{
    int count = 0;
    s->record_max = (size_t)fuzz_number(in, 1) * 16 + 1;
    s->padding = (size_t)fuzz_number(in, 1) % 8;
    while (count < PARAMS_MAX && in->at < in->end) {
        size_t size = strnlen((const char *)in->at, fuzz_rest(in));
        if (size > 0 && memchr(in->at, '=', size))
            s->params[count++] = arena_strndup(a, (const char *)in->at, size);
        in->at += size + (size < fuzz_rest(in));
        if (size == 0)
            break;
    }
    s->body = in->at;
    s->body_size = fuzz_rest(in);
}

static void serve(struct http_stream *stream, struct arena *a, const struct sent *s, bool is_whole)
{
    static const struct http_limits limits = {200, 65536};
    struct http_request *req;
    struct http_response res;
    struct error err;
    struct payload *body = payload_new(a);
    char **got = stream->params(stream);
    FUZZ_CHECK(strcmp(*got++, "FCGI_ROLE=RESPONDER") == 0); /* libfcgi's own */
    for (char *const *p = s->params; *p; p++, got++)
        FUZZ_CHECK(*got && strcmp(*got, *p) == 0);
    FUZZ_CHECK(*got == NULL);
    http_response_init(&res, a);
    bool is_read = http_request_read(stream, &limits, a, &req, &err) == 0;
    if (is_read && http_body_read(req, 1 << 20, "max_body_bytes", body, &err) == 0) {
        FUZZ_CHECK(body->size == (size_t)req->content_length && body->size <= s->body_size);
        FUZZ_CHECK(body->size == 0 || memcmp(body->bytes, s->body, body->size) == 0);
        http_response_body(&res, 200, "text/plain", body->bytes, body->size);
    } else {
        FUZZ_CHECK(!is_read || !is_whole || req->content_length > (int64_t)s->body_size);
        http_response_problem(&res, req, &err, NULL);
    }
    http_body_discard(req);
    (void)http_response_send(&res, req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fcgi_stream *fcgi;
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    struct sent sent = {.body = NULL};
    struct strbuf bytes = STRBUF_INIT;
    struct http_stream *stream;
    struct error err;
    int fds[2];
    size_t params_size, cut = (size_t)fuzz_number(&in, 2);
    take_request(&in, a, &sent);
    encode(&sent, &bytes, &params_size);
    if (cut == 0 || cut > bytes.size)
        cut = bytes.size;
    if (!fcgi)
        fcgi = fcgi_stream_new();
    int before = fuzz_free_descriptor();
    FUZZ_CHECK(fcgi && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    FUZZ_CHECK(send(fds[1], bytes.text, cut, MSG_DONTWAIT) == (ssize_t)cut);
    (void)shutdown(fds[1], SHUT_WR);
    if (fcgi_stream_begin(fcgi, fds[0], TIMEOUT_MS, &stream, &err) != 0) {
        FUZZ_CHECK(cut < params_size);
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    } else {
        FUZZ_CHECK(cut >= params_size);
        serve(stream, a, &sent, cut == bytes.size);
        (void)fcgi_stream_end(fcgi, false);
    }
    strbuf_release(&bytes);
    arena_free(a);
    (void)close(fds[1]);
    FUZZ_CHECK(fuzz_free_descriptor() == before);
    return 0;
}
