/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * download.c - see download.h
 */
#include "api/download.h"

#include <stdbool.h>
#include <string.h>

#include "http/disposition.h"
#include "http/range.h"

#define SANDBOX "sandbox; default-src 'none'"
#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"

/* A range of a blob, read as it is sent. */
struct part {
    struct http_body_source source;
    struct db *db;
    int64_t deadline_us;
    const struct blob_info *blob;
    struct arena *piece;        /* what was read last */
    int64_t offset, end;        /* what is to come, within the blob */
    const unsigned char *bytes; /* read ahead; NULL: nothing is */
    size_t size;
};

/* The piece that has the byte at `offset`, and where it begins. A piece of another size than the
 * blob's own would put all others in the wrong place. */
static int read_chunk(struct db *db, struct arena *a, const struct blob_info *blob, int64_t offset,
                      const unsigned char **ret_bytes, size_t *ret_size, int64_t *ret_start,
                      struct error *reterr)
{
    int64_t n = offset / BLOB_CHUNK_SIZE, start = n * BLOB_CHUNK_SIZE;
    int64_t rest = blob->size - start;
    size_t wanted = (size_t)(rest < BLOB_CHUNK_SIZE ? rest : BLOB_CHUNK_SIZE);
    const void *bytes;
    if (blob_read_chunk(db, a, blob->key, (int)n, &bytes, ret_size, reterr) != 0)
        return -1;
    if (*ret_size != wanted)
        return error_internal(reterr, "blob %lld: piece %lld has %zu bytes, not %zu",
                              (long long)blob->key, (long long)n, *ret_size, wanted);
    *ret_bytes = bytes;
    *ret_start = start;
    return 0;
}

int download_piece(struct db *db, struct arena *piece, const struct blob_info *blob,
                   int64_t deadline_us, int64_t offset, const unsigned char **ret_bytes,
                   size_t *ret_size, struct error *reterr)
{
    const unsigned char *bytes;
    size_t size;
    int64_t start;
    arena_reset(piece);
    if (api_transfer_check(deadline_us, reterr) != 0 ||
        read_chunk(db, piece, blob, offset, &bytes, &size, &start, reterr) != 0)
        return -1;
    *ret_bytes = bytes + (offset - start);
    *ret_size = size - (size_t)(offset - start);
    return 0;
}

static int read_ahead(struct part *p, struct error *reterr)
{
    p->bytes = NULL;
    if (download_piece(p->db, p->piece, p->blob, p->deadline_us, p->offset, &p->bytes, &p->size,
                       reterr) != 0)
        return -1;
    if ((int64_t)p->size > p->end - p->offset)
        p->size = (size_t)(p->end - p->offset);
    return 0;
}

static int next_piece(void *context, const void **ret_bytes, size_t *ret_size, struct error *reterr)
{
    struct part *p = context;
    if (!p->bytes && read_ahead(p, reterr) != 0)
        return -1;
    *ret_bytes = p->bytes;
    *ret_size = p->size;
    p->offset += (int64_t)p->size;
    p->bytes = NULL;
    return 0;
}

static void release_arena(void *object)
{
    arena_free(object);
}

static int answer_part(struct http_request *req, struct api *api, const struct blob_info *blob,
                       int status, int64_t offset, int64_t size, struct http_response *res,
                       struct error *reterr)
{
    struct part *p = arena_alloc(res->arena, sizeof(*p));
    if (size > API_LONG_BYTES && req->method != HTTP_HEAD && api_use_long(api, reterr) != 0)
        return -1;
    *p = (struct part){.db = api->db,
                       .deadline_us = api_transfer_deadline(api, size),
                       .blob = blob,
                       .offset = offset,
                       .end = offset + size};
    p->source = (struct http_body_source){next_piece, p};
    p->piece = arena_own(res->arena, arena_new(), release_arena);
    if (size > 0 && req->method != HTTP_HEAD && read_ahead(p, reterr) != 0)
        return -1;
    http_response_stream(res, status, blob->media_type, size, &p->source);
    return 0;
}

int download_blob(struct http_request *req, struct api *api, const struct blob_info *blob,
                  const char *file_name, struct http_response *res, struct error *reterr)
{
    const char *etag = arena_printf(res->arena, "\"%s\"", blob->sha256);
    long long all = blob->size;
    int64_t offset, size;
    enum range_answer answer = range_evaluate(req, etag, blob->size, &offset, &size);
    if (answer == RANGE_UNSATISFIABLE) {
        http_response_header(res, "Content-Range", "bytes */%lld", all);
        return error_set(reterr, ERR_RANGE_NOT_SATISFIABLE,
                         "Range asks for none of the %lld bytes that there are.", all);
    }
    http_response_field(res, "ETag", etag);
    if (answer == RANGE_NOT_MODIFIED) {
        http_response_json(res, 304, NULL);
        return 0;
    }
    http_response_header(res, "Accept-Ranges", "bytes");
    if (answer == RANGE_PART)
        http_response_header(res, "Content-Range", "bytes %lld-%lld/%lld", (long long)offset,
                             (long long)(offset + size - 1), all);
    download_describe(res, blob->media_type, file_name);
    return answer_part(req, api, blob, answer == RANGE_PART ? 206 : 200, offset, size, res, reterr);
}

int download_blob_whole(struct http_request *req, struct api *api, const struct blob_info *blob,
                        const char *file_name, struct http_response *res, struct error *reterr)
{
    download_describe(res, blob->media_type, file_name);
    return answer_part(req, api, blob, 200, 0, blob->size, res, reterr);
}

int download_load(struct arena *a, struct api *api, const struct blob_info *blob,
                  const unsigned char **ret_bytes, struct error *reterr)
{
    unsigned char *all = arena_alloc(a, (size_t)blob->size);
    struct arena *piece = arena_new();
    const unsigned char *bytes;
    size_t size;
    int64_t offset = 0, start, deadline_us = api_transfer_deadline(api, blob->size);
    while (offset < blob->size && api_transfer_check(deadline_us, reterr) == 0 &&
           read_chunk(api->db, piece, blob, offset, &bytes, &size, &start, reterr) == 0) {
        memcpy(all + offset, bytes, size);
        offset += (int64_t)size;
        arena_reset(piece);
    }
    arena_free(piece);
    *ret_bytes = all;
    return offset == blob->size ? 0 : -1;
}

/*
 * What a browser only ever shows or plays, never runs. All else is for saving: HTML, SVG, XML and
 * whatever will be thought of next run as part of the site that they come from.
 */
static bool is_passive(const char *media_type)
{
    static const char *const families[] = {"image/", "audio/", "video/"};
    static const char *const others[] = {"text/plain", "application/json", "application/pdf"};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (strncmp(media_type, families[i], strlen(families[i])) == 0)
            return strstr(media_type, "svg") == NULL && strstr(media_type, "xml") == NULL;
    }
    size_t length = strcspn(media_type, ";");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (length == strlen(others[i]) && strncmp(media_type, others[i], length) == 0)
            return true;
    }
    return false;
}

void download_describe(struct http_response *res, const char *media_type, const char *file_name)
{
    bool is_shown = is_passive(media_type);
    http_response_header(
        res, "Content-Disposition", "%s",
        disposition_format(res->arena, is_shown ? "inline" : "attachment", file_name));
    if (!is_shown)
        http_response_header(res, "Content-Security-Policy", "%s", SANDBOX);
}

/* The subtype, or what follows "+" in it; where that is no ending of a file it stands here. */
static const char *file_ending(const char *media_type)
{
    static const char *const known[][2] = {
        {"image/jpeg", "jpg"},
        {"image/svg+xml", "svg"},
        {"text/plain", "txt"},
        {"text/markdown", "md"},
        {"text/tab-separated-values", "tsv"},
        {"application/octet-stream", "bin"},
        {"application/x-ndjson", "ndjson"},
        {"audio/mpeg", "mp3"},
        {"video/quicktime", "mov"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i][0], media_type) == 0)
            return known[i][1];
    }
    const char *ending = strrchr(media_type, '+');
    if (!ending)
        ending = strchr(media_type, '/');
    if (!ending || !ending[1] || ending[1 + strspn(ending + 1, LETTERS_AND_DIGITS)])
        return "bin";
    return ending + 1;
}

const char *download_output_type(struct arena *a, const char *media_type)
{
    return strncmp(media_type, "text/", strlen("text/")) == 0
               ? arena_printf(a, "%s; charset=utf-8", media_type)
               : media_type;
}

const char *download_file_name(struct arena *a, const char *name, const char *media_type)
{
    return arena_printf(a, "%s.%s", name, file_ending(media_type));
}
