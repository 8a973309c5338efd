/* SPDX-License-Identifier: BSD-2-Clause */
/* scgi: a request to the hub, all at once and byte by byte, and what it asks for. */
#include "hub/scgi.h"

#include "fuzz.h"
#include "hub/target.h"

#define PIECES_MAX 2000 /* of more bytes than that not every beginning is tried */

static bool is_same(const struct scgi_request *x, const struct scgi_request *y)
{
    return strcmp(x->uri, y->uri) == 0 && strcmp(x->query, y->query) == 0 &&
           strcmp(x->method, y->method) == 0 && strcmp(x->last_event_id, y->last_event_id) == 0 &&
           strcmp(x->request_id, y->request_id) == 0;
}

/* Whoever sends it in pieces gets the same answer. */
static void check_pieces(const char *bytes, size_t size, enum scgi_result whole,
                         const struct scgi_request *request)
{
    struct scgi_request part;
    struct error err;
    for (size_t n = 0; n <= size && n <= PIECES_MAX; n++) {
        enum scgi_result result = scgi_parse(bytes, n, &part, &err);
        if (result == SCGI_MORE)
            continue;
        FUZZ_CHECK(result == whole);
        FUZZ_CHECK(result != SCGI_COMPLETE || is_same(&part, request));
        return;
    }
    FUZZ_CHECK(whole == SCGI_MORE || size > PIECES_MAX);
}

static void check_target(struct arena *a, const struct scgi_request *request)
{
    struct target target;
    struct error err;
    char id[TARGET_REQUEST_ID_SIZE];
    target_request_id(request, id);
    FUZZ_CHECK(fuzz_is_printable(id));
    if (target_parse(a, request, &target, &err) != 0) {
        FUZZ_CHECK(err.code == ERR_NOT_FOUND || err.code == ERR_INVALID_REQUEST);
        fuzz_check_error(&err, err.code);
        return;
    }
    FUZZ_CHECK(target.job[0] != '\0' && fuzz_is_printable(target.then));
    FUZZ_CHECK(target.wait_us >= 0 && target.wait_us <= TARGET_SECONDS_MAX * INT64_C(1000000));
    FUZZ_CHECK(target.is_stream || target.then[0] == '/');
    FUZZ_CHECK(strlen(target.last_event_id) < TARGET_EVENT_ID_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct scgi_request request;
    struct error err;
    const char *bytes = arena_memdup(a, data, size);
    enum scgi_result result = scgi_parse(bytes, size, &request, &err);
    if (result == SCGI_BAD)
        FUZZ_CHECK(err.code == ERR_INVALID_REQUEST || err.code == ERR_HEADERS_TOO_LARGE);
    check_pieces(bytes, size, result, &request);
    if (result == SCGI_COMPLETE)
        check_target(a, &request);
    arena_free(a);
    return 0;
}
