/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.c - see answer.h
 */
#include "api/answer.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"

/* File names end as people expect; where the subtype is not an ending of its own it stands here. */
static const char *file_ending(const char *media_type)
{
    static const char *const known[][2] = {
        {"image/jpeg", "jpg"},      {"text/plain", "txt"},
        {"image/svg+xml", "svg"},   {"application/octet-stream", "bin"},
        {"text/html", "html"},      {"application/x-ndjson", "ndjson"},
        {"application/xml", "xml"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i][0], media_type) == 0)
            return known[i][1];
    }
    const char *slash = strchr(media_type, '/');
    return slash && strspn(slash + 1, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(slash + 1)
               ? slash + 1
               : "bin";
}

static void add_code_unit(struct strbuf *out, unsigned code)
{
    strbuf_addf(out, "\\u%04x", code);
}

/* JSON text with everything beyond ASCII escaped: a header field carries nothing else safely. */
static void add_ascii(struct strbuf *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(text + i, size - i);
        const unsigned char *p = (const unsigned char *)text + i;
        unsigned code = p[0];
        if (length > 1)
            code &= 0x7fU >> length;
        for (size_t k = 1; k < length; k++)
            code = code << 6 | (p[k] & 0x3f);
        if (code < 0x7f) {
            strbuf_addch(out, (char)code);
        } else if (code < 0x10000) {
            add_code_unit(out, code);
        } else {
            add_code_unit(out, 0xd800 + ((code - 0x10000) >> 10));
            add_code_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
        }
        i += length > 0 ? length : 1;
    }
}

static void add_result_header(struct http_response *res, const cJSON *result)
{
    size_t size;
    const char *text = json_print(res->arena, result, &size);
    if (size > ANSWER_RESULT_HEADER_MAX)
        return;
    struct strbuf ascii = STRBUF_INIT;
    add_ascii(&ascii, text, size);
    if (ascii.size <= ANSWER_RESULT_HEADER_MAX)
        http_response_header(res, "Gangsaw-Result", "%s", ascii.text);
    strbuf_release(&ascii);
}

static void build_body(struct http_response *res, const struct compute_outcome *outcome)
{
    const struct compute_output *out = &outcome->outputs[0];
    if (outcome->result)
        add_result_header(res, outcome->result);
    http_response_header(res, "Content-Disposition", "inline; filename=\"%s.%s\"", out->name,
                         file_ending(out->media_type));
    http_response_header(res, "X-Content-Type-Options", "nosniff");
    http_response_body(res, 200, out->media_type, out->bytes, out->size);
}

static void add_sha256(struct strbuf *out, const struct compute_output *o)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(o->bytes, o->size, digest, &size, EVP_sha256(), NULL) != 1)
        size = 0;
    for (unsigned i = 0; i < size; i++)
        strbuf_addf(out, "%02x", digest[i]);
}

static void add_output(struct strbuf *out, const struct compute_output *o)
{
    strbuf_addstr(out, "{\"name\":");
    strbuf_add_json(out, o->name, strlen(o->name));
    strbuf_addstr(out, ",\"media_type\":");
    strbuf_add_json(out, o->media_type, strlen(o->media_type));
    strbuf_addf(out, ",\"size\":%zu,\"sha256\":\"", o->size);
    add_sha256(out, o);
    strbuf_addstr(out, "\",\"base64\":\"");
    base64_encode(out, o->bytes, o->size);
    strbuf_addstr(out, "\"}");
}

static int check_base64(const struct compute_outcome *outcome, size_t base64_max,
                        struct error *reterr)
{
    size_t total = 0;
    for (int i = 0; i < outcome->output_count; i++)
        total += (outcome->outputs[i].size + 2) / 3 * 4;
    if (total <= base64_max)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE,
                     "The outputs take %zu bytes as base64; the limit is http.max_base64_bytes = "
                     "%zu. Ask for the bytes themselves by Accept.",
                     total, base64_max);
}

static void release_text(void *text)
{
    free(text);
}

static void build_json(struct http_response *res, const struct task_desc *task,
                       const struct compute_outcome *outcome)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addf(&out, "{\"task\":\"%s\"", task->name);
    if (outcome->result) {
        size_t size;
        const char *result = json_print(res->arena, outcome->result, &size);
        strbuf_addstr(&out, ",\"result\":");
        strbuf_add(&out, result, size);
    }
    if (task->output_count > 0) {
        strbuf_addstr(&out, ",\"outputs\":[");
        for (int i = 0; i < outcome->output_count; i++) {
            if (i > 0)
                strbuf_addch(&out, ',');
            add_output(&out, &outcome->outputs[i]);
        }
        strbuf_addch(&out, ']');
    }
    strbuf_addstr(&out, "}\n");
    http_response_body(res, 200, "application/json", arena_own(res->arena, out.text, release_text),
                       out.size);
}

int answer_build(struct http_response *res, const struct task_desc *task,
                 const struct compute_outcome *outcome, bool as_json, size_t base64_max,
                 struct error *reterr)
{
    if (!as_json && outcome->output_count == 1) {
        build_body(res, outcome);
        return 0;
    }
    if (check_base64(outcome, base64_max, reterr) != 0)
        return -1;
    build_json(res, task, outcome);
    return 0;
}
