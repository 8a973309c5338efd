/* SPDX-License-Identifier: BSD-2-Clause */
/* query: what was understood, written as a query again, is understood as the same. */
#include "http/query.h"

#include "base/strbuf.h"
#include "fuzz.h"

static void encode(struct strbuf *out, const char *text)
{
    for (; *text; text++)
        strbuf_addf(out, "%%%02x", (unsigned char)*text);
}

static const char *print_fields(struct arena *a, const struct http_field *fields, int count)
{
    struct strbuf out = STRBUF_INIT;
    for (int i = 0; i < count; i++) {
        strbuf_addstr(&out, i > 0 ? "&" : "");
        encode(&out, fields[i].name);
        strbuf_addch(&out, '=');
        encode(&out, fields[i].value);
    }
    const char *text = arena_strdup(a, out.text);
    strbuf_release(&out);
    return text;
}

static void check_fields(struct arena *a, const struct http_field *fields, int count)
{
    struct http_field *again;
    struct error err;
    int again_count;
    FUZZ_CHECK(count >= 0 && count <= QUERY_FIELDS_MAX);
    FUZZ_CHECK(query_parse(a, print_fields(a, fields, count), &again, &again_count, &err) == 0);
    FUZZ_CHECK(again_count == count);
    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(utf8_is_valid(fields[i].name, strlen(fields[i].name)));
        FUZZ_CHECK(utf8_is_valid(fields[i].value, strlen(fields[i].value)));
        FUZZ_CHECK(strcmp(fields[i].name, again[i].name) == 0);
        FUZZ_CHECK(strcmp(fields[i].value, again[i].value) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct http_field *fields;
    struct error err;
    int count;
    if (query_parse(a, arena_strndup(a, (const char *)data, size), &fields, &count, &err) != 0)
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    else
        check_fields(a, fields, count);
    arena_free(a);
    return 0;
}
