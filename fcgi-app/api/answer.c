/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.c - see answer.h
 */
#include "api/answer.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "api/download.h"
#include "api/negotiate.h"
#include "base/base64.h"
#include "base/utf8.h"

#define ZIP_TYPE "application/zip"

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

void answer_add_result(struct http_response *res, const char *result)
{
    size_t size = strlen(result);
    if (size > ANSWER_RESULT_HEADER_MAX)
        return;
    struct strbuf ascii = STRBUF_INIT;
    add_ascii(&ascii, result, size);
    if (ascii.size <= ANSWER_RESULT_HEADER_MAX)
        http_response_field(res, "Gangsaw-Result", ascii.text);
    strbuf_release(&ascii);
}

static void add_sha256(struct strbuf *out, const struct answer_output *o)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (o->sha256) {
        strbuf_addstr(out, o->sha256);
        return;
    }
    if (EVP_Digest(o->bytes, o->size, digest, &size, EVP_sha256(), NULL) != 1)
        size = 0;
    for (unsigned i = 0; i < size; i++)
        strbuf_addf(out, "%02x", digest[i]);
}

static void add_output(struct strbuf *out, const struct answer_output *o)
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

int answer_check_base64(const struct answer *answer, size_t base64_max, const char *instead,
                        struct error *reterr)
{
    size_t total = 0;
    for (int i = 0; i < answer->output_count; i++)
        total += (answer->outputs[i].size + 2) / 3 * 4;
    if (total <= base64_max)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE,
                     "The outputs take %zu bytes as base64; the limit is http.max_base64_bytes = "
                     "%zu. %s",
                     total, base64_max, instead);
}

static void release_text(void *text)
{
    free(text);
}

void answer_as_json(struct http_response *res, const struct answer *answer)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"task\":");
    strbuf_add_json(&out, answer->task, strlen(answer->task));
    if (answer->result) {
        strbuf_addstr(&out, ",\"result\":");
        strbuf_addstr(&out, answer->result);
    }
    if (answer->has_outputs) {
        strbuf_addstr(&out, ",\"outputs\":[");
        for (int i = 0; i < answer->output_count; i++) {
            if (i > 0)
                strbuf_addch(&out, ',');
            add_output(&out, &answer->outputs[i]);
        }
        strbuf_addch(&out, ']');
    }
    strbuf_addstr(&out, "}\n");
    http_response_body(res, 200, "application/json", arena_own(res->arena, out.text, release_text),
                       out.size);
}

int answer_as_zip(struct http_response *res, const struct answer *answer,
                  const struct archive_reader *reader, bool is_read_ahead, struct error *reterr)
{
    struct arena *a = res->arena;
    struct archive_entry *entries =
        arena_alloc(a, ((size_t)answer->output_count + 1) * sizeof(*entries));
    const struct http_body_source *source;
    int64_t size;
    int count = answer->output_count;
    for (int i = 0; i < count; i++) {
        const struct answer_output *o = &answer->outputs[i];
        entries[i] = (struct archive_entry){.name = download_file_name(a, o->name, o->media_type),
                                            .size = (int64_t)o->size,
                                            .bytes = o->bytes};
    }
    if (answer->result)
        entries[count++] = (struct archive_entry){.name = ANSWER_RESULT_ENTRY,
                                                  .size = (int64_t)strlen(answer->result),
                                                  .bytes = (const unsigned char *)answer->result};
    if (archive_open(a, entries, count, reader, is_read_ahead, &source, &size, reterr) != 0)
        return -1;
    download_describe(res, ZIP_TYPE, arena_printf(a, "%s.zip", answer->task));
    http_response_stream(res, 200, ZIP_TYPE, size, source);
    return 0;
}

static void build_body(struct http_response *res, const struct answer *answer)
{
    const struct answer_output *out = &answer->outputs[0];
    if (answer->result)
        answer_add_result(res, answer->result);
    download_describe(res, out->media_type,
                      download_file_name(res->arena, out->name, out->media_type));
    http_response_body(res, 200, download_output_type(res->arena, out->media_type), out->bytes,
                       out->size);
    http_response_body_file(res, out->fd);
}

static struct answer_output *read_outputs(struct arena *a, const struct compute_outcome *outcome)
{
    struct answer_output *outputs =
        arena_alloc(a, (size_t)outcome->output_count * sizeof(*outputs));
    for (int i = 0; i < outcome->output_count; i++) {
        const struct compute_output *o = &outcome->outputs[i];
        outputs[i] = (struct answer_output){o->name, o->media_type, NULL, o->bytes, o->size, o->fd};
    }
    return outputs;
}

int answer_build(struct http_response *res, const struct task_desc *task,
                 const struct compute_outcome *outcome, const struct accept *accept,
                 size_t base64_max, struct error *reterr)
{
    enum answer_form form;
    struct answer answer = {.task = task->name,
                            .has_outputs = task->output_count > 0,
                            .outputs = read_outputs(res->arena, outcome),
                            .output_count = outcome->output_count};
    if (outcome->result)
        answer.result = json_print(res->arena, outcome->result, NULL);
    if (negotiate_form(accept, task, answer.output_count,
                       answer.output_count > 0 ? answer.outputs[0].media_type : NULL, &form,
                       reterr) != 0)
        return -1;
    if (form == ANSWER_ZIP)
        return answer_as_zip(res, &answer, NULL, true, reterr);
    if (form == ANSWER_BYTES) {
        build_body(res, &answer);
        return 0;
    }
    const char *instead = answer.output_count == 1 ? "Ask for the bytes themselves by Accept."
                                                   : "Ask for " ZIP_TYPE " by Accept.";
    if (answer_check_base64(&answer, base64_max, instead, reterr) != 0)
        return -1;
    answer_as_json(res, &answer);
    return 0;
}
