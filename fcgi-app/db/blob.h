/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blob.h - tables blob and blob_chunk: bytes in pieces of 1 MiB
 *
 * Neither side ever holds a large one in memory. A blob becomes visible, expiring in an hour, when
 * its last piece is committed; what stores a job or its completion moves the expiry on.
 */
#ifndef DB_BLOB_H
#define DB_BLOB_H

#include "base/payload.h"
#include "db/db.h"

#define BLOB_CHUNK_SIZE 1048576

struct blob_info {
    int64_t key, size;
    char sha256[65]; /* hexadecimal */
    const char *media_type, *file_name;
    int64_t created_us, expires_us; /* real time */
};

/* ---- writing and reading in a worker (waits) */

struct blob_writer; /* one blob being written, in a transaction of its own */

int blob_write_begin(struct db *db, struct arena *a, const char *tenant, const char *media_type,
                     const char *file_name, struct blob_writer **ret_writer, struct error *reterr);
int blob_write(struct blob_writer *w, const void *bytes, size_t size, struct error *reterr);
/* Commit; *ret_info is complete. The writer has ended then, in a failure too: nothing stays open.
 */
int blob_write_end(struct blob_writer *w, struct blob_info *ret_info, struct error *reterr);
void blob_write_abort(struct blob_writer *w); /* nothing stays behind. NULL is fine */

/* Unexpired ones of the tenant, or in use by a live job. ERR_GONE otherwise. */
int blob_get(struct db *db, struct arena *a, const char *tenant, int64_t key,
             struct blob_info *ret_info, struct error *reterr);
/* Those of `keys` that there are, by the same rule, in any order. */
int blob_get_many(struct db *db, struct arena *a, const char *tenant, const int64_t *keys,
                  int count, struct blob_info **ret_infos, int *ret_count, struct error *reterr);

/* Piece n of a blob; fewer bytes than BLOB_CHUNK_SIZE only in the last. ERR_GONE when it is not
 * there. Ownership: `a`. */
int blob_read_chunk(struct db *db, struct arena *a, int64_t key, int n, const void **ret_bytes,
                    size_t *ret_size, struct error *reterr);

/* ---- in an event loop */

struct blob_transfer; /* one blob being read or written */

/* One of `info` and `error` is NULL; both are valid during the call alone. */
typedef void blob_done(void *context, const struct blob_info *info, const struct error *error);

/* Read a whole blob, whosever it is, into `payload` (appended), one piece per statement; `done`
 * with info, or error: ERR_GONE, ERR_TOO_LARGE over max_bytes, ERR_UNAVAILABLE. Nothing is called
 * back after blob_transfer_cancel(), which frees it; after `done` it is freed already. */
struct blob_transfer *blob_load_send(struct db *db, int64_t key, size_t max_bytes,
                                     struct payload *payload, blob_done *done, void *context);

/* Write `size` bytes as a new blob of the tenant's, one piece per statement; they stay valid until
 * `done`, or the cancel. At `done` the blob is on the server's disc. */
struct blob_transfer *blob_save_send(struct db *db, const char *tenant, const void *bytes,
                                     size_t size, const char *media_type, const char *file_name,
                                     blob_done *done, void *context);
void blob_transfer_cancel(struct blob_transfer *t); /* NULL is fine */

#endif
