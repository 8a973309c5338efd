/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blob_internal.h - statements that workers (blob.c) and event loops (blob_transfer.c) share
 *
 * A blob of one piece is stored by one statement. A larger one gets its key and its day first, then
 * its pieces, and its row at last: until then nobody sees it, and pieces whose row never comes go
 * with their partition.
 */
#ifndef DB_BLOB_INTERNAL_H
#define DB_BLOB_INTERNAL_H

#include "db/blob.h"

/* Columns that blob_info_read() reads, of table gangsaw.blob as b. */
#define BLOB_COLUMNS                                                     \
    "b.id, b.size, encode(b.sha256, 'hex'), b.media_type, b.file_name, " \
    "(extract(epoch FROM b.created_at) * 1000000)::bigint, "             \
    "(extract(epoch FROM b.expires_at) * 1000000)::bigint"

void blob_info_read(const struct db_rows *rows, int row, struct arena *a,
                    struct blob_info *ret_info);

/* $1 key, whosever. No row: gone. */
extern const struct db_statement blob_load_statement;
/* $1 key, $2 number of the piece. */
extern const struct db_statement blob_chunk_statement;
/* $1 bytes, $2 sha256, $3 media type, $4 file name, $5 synchronous_commit, $6 tenant. */
extern const struct db_statement blob_small_statement;
/* Gives key and day of a new blob. */
extern const struct db_statement blob_begin_statement;
/* $1 day, $2 key, $3 number of the piece, $4 bytes, $5 synchronous_commit. */
extern const struct db_statement blob_piece_statement;
/* $1 key, $2 day, $3 size, $4 sha256, $5 media type, $6 file name, $7 pieces, $8
 * synchronous_commit, $9 tenant. No row: not all pieces are there. */
extern const struct db_statement blob_end_statement;

/* Values of synchronous_commit: as the session has it, which is on (connect.c), or off. */
#define BLOB_COMMIT_AS_SET NULL
#define BLOB_COMMIT_LATER "off"

/* How many pieces a blob has. */
int blob_piece_count(int64_t size);

#endif
