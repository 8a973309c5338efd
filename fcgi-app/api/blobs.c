/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blobs.c - files that are uploaded once and used by many jobs
 *
 * A body goes to the database in the pieces in which it is kept there; what a failed upload has
 * written so far is rolled back.
 */
#include <string.h>

#include "api/api.h"
#include "api/arguments.h"
#include "api/download.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/timestamp.h"
#include "db/blob.h"
#include "http/disposition.h"

#define READ_SIZE 65536
#define MEDIA_TYPE_MAX 255 /* two names of 127 characters and a slash (RFC 6838) */

static int check_upload(const struct http_request *req, const struct config *cfg,
                        struct error *reterr)
{
    if (http_body_check_encoding(req, reterr) != 0)
        return -1;
    if (strncmp(req->media_type, "multipart/", 10) == 0)
        return error_set(reterr, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "A blob is the body itself: send the file's bytes under their own media "
                         "type, its name by Content-Disposition: attachment; filename=\"name\".");
    if (strlen(req->media_type) > MEDIA_TYPE_MAX)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The Content-Type names a media type of over %d characters.",
                         MEDIA_TYPE_MAX);
    if (req->content_length == 0)
        return error_set(reterr, ERR_INVALID_INPUT, "The body is empty; a blob has bytes.");
    return http_body_check(req, (size_t)cfg->http_max_body_bytes, "http.max_body_bytes", reterr);
}

static int copy_body(const struct api *api, struct http_request *req, struct blob_writer *writer,
                     struct error *reterr)
{
    int64_t deadline_us = api_transfer_deadline(api, req->content_length);
    unsigned char *bytes = arena_alloc(req->arena, READ_SIZE);
    size_t size;
    do {
        if (api_transfer_check(deadline_us, reterr) != 0 ||
            http_body_piece(req, bytes, READ_SIZE, &size, reterr) != 0 ||
            (size > 0 && blob_write(writer, bytes, size, reterr) != 0))
            return -1;
    } while (size > 0);
    return 0;
}

static int store_body(struct api *api, struct http_request *req, const char *file_name,
                      struct blob_info *ret_info, struct error *reterr)
{
    const char *media_type = req->media_type[0] ? req->media_type : MEDIA_TYPE_UNKNOWN;
    struct blob_writer *writer;
    if (blob_write_begin(api->db, req->arena, api->caller.tenant, media_type, file_name, &writer,
                         reterr) != 0)
        return -1;
    if (copy_body(api, req, writer, reterr) != 0) {
        blob_write_abort(writer);
        return -1;
    }
    return blob_write_end(writer, ret_info, reterr);
}

static void add_time(cJSON *object, const char *name, int64_t us)
{
    char text[TIMESTAMP_SIZE];
    timestamp_format(us, text);
    (void)cJSON_AddStringToObject(object, name, text);
}

static cJSON *view(struct arena *a, const char *id, const struct blob_info *info)
{
    cJSON *blob = json_object(a);
    (void)cJSON_AddStringToObject(blob, "id", id);
    (void)cJSON_AddNumberToObject(blob, "size", (double)info->size);
    (void)cJSON_AddStringToObject(blob, "sha256", info->sha256);
    (void)cJSON_AddStringToObject(blob, "media_type", info->media_type);
    (void)cJSON_AddStringToObject(blob, "file_name", info->file_name);
    add_time(blob, "created_at", info->created_us);
    add_time(blob, "expires_at", info->expires_us);
    return blob;
}

HANDLER(blobs_create)
{
    struct api *api = context;
    const struct db_secret *secret;
    const char *file_name;
    struct blob_info info;
    char id[DB_ID_SIZE];
    (void)match;
    if (arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        check_upload(req, api->config, reterr) != 0 ||
        disposition_read(req->arena, http_header(req, "Content-Disposition"), &file_name, reterr) !=
            0 ||
        api_use_database(api, req, reterr) != 0 || db_read_secret(api->db, &secret, reterr) != 0 ||
        store_body(api, req, file_name, &info, reterr) != 0)
        return -1;
    db_id_format(secret, DB_ID_BLOB, api->caller.tenant, info.key, id);
    http_response_header(res, "Location", "/v1/blobs/%s", id);
    http_response_json(res, 201, view(req->arena, id, &info));
    return 0;
}

/* A blob's bytes never change; whoever keeps them may do so for as long as we do. */
static void add_cache_control(struct http_response *res, const struct blob_info *info)
{
    int64_t seconds = (info->expires_us - clock_real_us()) / 1000000;
    http_response_header(res, "Cache-Control", "private, max-age=%lld, immutable",
                         (long long)(seconds > 0 ? seconds : 0));
}

HANDLER(blobs_show)
{
    struct api *api = context;
    const char *id = match->params[0];
    const struct db_secret *secret;
    struct blob_info *info = arena_alloc(req->arena, sizeof(*info));
    int64_t key;
    if (arguments_read(req, arguments_none, NULL, errors, reterr) != 0 ||
        api_use_database(api, req, reterr) != 0 || db_read_secret(api->db, &secret, reterr) != 0)
        return -1;
    if (!db_id_parse(secret, DB_ID_BLOB, api->caller.tenant, id, &key))
        return error_set(reterr, ERR_NOT_FOUND, "There is no blob of that id.");
    if (blob_get(api->db, req->arena, api->caller.tenant, key, info, reterr) != 0)
        return -1;
    add_cache_control(res, info);
    const char *name =
        info->file_name[0] ? info->file_name : download_file_name(req->arena, id, info->media_type);
    return download_blob(req, api, info, name, res, reterr);
}
