/* SPDX-License-Identifier: BSD-2-Clause */
/* range: three header fields in three lines; the answer is within the bytes that there are. */
#include "http/range.h"

#include "fuzz.h"
#include "memory_stream.h"

#define ETAG "\"0a1b\""

static void check(const char *fields[3], int64_t size, const struct http_limits *limits)
{
    struct arena *a = arena_new();
    char *params[6] = {(char *)(uintptr_t) "REQUEST_METHOD=GET", (char *)(uintptr_t) "PATH_INFO=/"};
    static const char *const names[] = {"RANGE", "IF_RANGE", "IF_NONE_MATCH"};
    for (int i = 0, at = 2; i < 3; i++) {
        if (fields[i][0] != '\0') /* an empty line: the field is absent */
            params[at++] = arena_printf(a, "HTTP_%s=%s", names[i], fields[i]);
    }
    struct memory_stream stream;
    struct http_request *req;
    struct error err;
    int64_t offset = -1, part = -1;
    memory_stream_init(&stream, params, "");
    FUZZ_CHECK(http_request_read(&stream.base, limits, a, &req, &err) == 0);
    enum range_answer answer = range_evaluate(req, ETAG, size, &offset, &part);
    if (answer == RANGE_PART)
        FUZZ_CHECK(offset >= 0 && part > 0 && offset < size && part <= size - offset);
    else
        FUZZ_CHECK(offset == 0 && part == size);
    if (fields[0][0] == '\0')
        FUZZ_CHECK(answer == RANGE_WHOLE || answer == RANGE_NOT_MODIFIED);
    req->method = HTTP_HEAD;
    answer = range_evaluate(req, ETAG, size, &offset, &part);
    FUZZ_CHECK(answer == RANGE_WHOLE || answer == RANGE_NOT_MODIFIED);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits limits = {100, 1 << 20};
    static const int64_t sizes[] = {0, 1, 10, 1000, INT64_C(1) << 53};
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    const char *range = fuzz_line(&in, a), *if_range = fuzz_line(&in, a);
    const char *fields[] = {range, if_range, fuzz_line(&in, a)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check(fields, sizes[i], &limits);
    arena_free(a);
    return 0;
}
