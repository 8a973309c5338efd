/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * download.h - the bytes of a blob as an answer, whole or in part
 *
 * They go piece by piece from the database to the client. The first piece is read before the
 * answer begins, so that what fails then is still a problem; later the answer is cut off.
 */
#ifndef API_DOWNLOAD_H
#define API_DOWNLOAD_H

#include "api/api.h"
#include "db/blob.h"
#include "http/response.h"

/*
 * The answer to GET and HEAD of a blob that blob_get() has just found: 200, or by the request's
 * fields 206, 304 or a problem; with ETag, and all that download_describe() adds.
 * Errors: ERR_RANGE_NOT_SATISFIABLE, ERR_GONE, ERR_UNAVAILABLE, ERR_OVERLOADED.
 */
int download_blob(struct http_request *req, struct api *api, const struct blob_info *blob,
                  const char *file_name, struct http_response *res, struct error *reterr);

/* The same, but always all of it and without ETag: as if it had just been computed. */
int download_blob_whole(struct http_request *req, struct api *api, const struct blob_info *blob,
                        const char *file_name, struct http_response *res, struct error *reterr);

/* All bytes of a small one, of which key and size are known. Ownership: `a`. Errors: ERR_GONE,
 * ERR_UNAVAILABLE. */
int download_load(struct arena *a, struct api *api, const struct blob_info *blob,
                  const unsigned char **ret_bytes, struct error *reterr);

/* The bytes of `blob` from `offset` on, as far as one piece goes; they take the place in `piece` of
 * all that was there. Errors: as download_load(), and ERR_UNAVAILABLE after `deadline_us`. */
int download_piece(struct db *db, struct arena *piece, const struct blob_info *blob,
                   int64_t deadline_us, int64_t offset, const unsigned char **ret_bytes,
                   size_t *ret_size, struct error *reterr);

/*
 * What an answer of foreign bytes says about them: a file name, nosniff; and where a browser could
 * run them as part of this site, that they are to be saved, and sandboxed if shown all the same.
 */
void download_describe(struct http_response *res, const char *media_type, const char *file_name);

/* The Content-Type of a task's output: texts are in UTF-8, which clients would take for Latin-1.
 * Ownership: `a`. */
const char *download_output_type(struct arena *a, const char *media_type);

/* "image.jpg" for "image" and image/jpeg: names end as people expect. ASCII. Ownership: `a`. */
const char *download_file_name(struct arena *a, const char *name, const char *media_type);

#endif
