/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blob.c - blobs in a worker, which waits; see blob.h
 */
#include "db/blob.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "db/blob_internal.h"

#define DAY_SIZE 32

#define IS_KEPT                  \
    "AND (b.expires_at > now() " \
    "     OR EXISTS (SELECT FROM gangsaw.job_blob l WHERE l.blob = b.id))"

const struct db_statement blob_load_statement = {
    .name = "blob_load",
    .sql = "SELECT " BLOB_COLUMNS " FROM gangsaw.blob b WHERE b.id = $1::bigint " IS_KEPT,
};

static const struct db_statement get_statement = {
    .name = "blob_get",
    .sql = "SELECT " BLOB_COLUMNS " FROM gangsaw.blob b "
           "WHERE b.id = $1::bigint AND b.tenant = $2::text " IS_KEPT,
};

static const struct db_statement get_many_statement = {
    .name = "blob_get_many",
    .sql = "SELECT " BLOB_COLUMNS " FROM gangsaw.blob b "
           "WHERE b.id = ANY ($1::bigint[]) AND b.tenant = $2::text " IS_KEPT,
};

/* The row says on which day, so in which partition. */
const struct db_statement blob_chunk_statement = {
    .name = "blob_chunk",
    .sql = "SELECT c.bytes FROM gangsaw.blob b CROSS JOIN LATERAL ("
           "    SELECT p.bytes FROM gangsaw.blob_chunk p "
           "    WHERE p.blob = b.id AND p.n = $2::integer AND p.day = b.day LIMIT 1) c "
           "WHERE b.id = $1::bigint",
    .gives_binary = true,
};

const struct db_statement blob_small_statement = {
    .name = "blob_small",
    .sql = "WITH b AS ("
           "    INSERT INTO gangsaw.blob (size, sha256, media_type, file_name, tenant) "
           "    SELECT octet_length($1::bytea), $2::bytea, $3::text, $4::text, $6::text "
           "    WHERE gangsaw.commit($5::text) IS NOT NULL "
           "    RETURNING *), "
           "piece AS ("
           "    INSERT INTO gangsaw.blob_chunk (day, blob, n, bytes) "
           "    SELECT b.day, b.id, 0, $1::bytea FROM b WHERE b.size > 0) "
           "SELECT " BLOB_COLUMNS " FROM b",
};

const struct db_statement blob_begin_statement = {
    .name = "blob_begin",
    .sql = "SELECT nextval('gangsaw.blob_id_seq'), (now() AT TIME ZONE 'UTC')::date",
};

const struct db_statement blob_piece_statement = {
    .name = "blob_piece",
    .sql = "INSERT INTO gangsaw.blob_chunk (day, blob, n, bytes) "
           "SELECT $1::date, $2::bigint, $3::integer, $4::bytea "
           "WHERE gangsaw.commit($5::text) IS NOT NULL",
};

const struct db_statement blob_end_statement = {
    .name = "blob_end",
    .sql = "WITH b AS ("
           "    INSERT INTO gangsaw.blob (id, day, size, sha256, media_type, file_name, tenant) "
           "    SELECT $1::bigint, $2::date, $3::bigint, $4::bytea, $5::text, $6::text, $9::text "
           "    WHERE (SELECT count(*) FROM gangsaw.blob_chunk c "
           "           WHERE c.blob = $1::bigint AND c.day = $2::date) = $7::bigint "
           "      AND gangsaw.commit($8::text) IS NOT NULL "
           "    RETURNING *) "
           "SELECT " BLOB_COLUMNS " FROM b",
};

void blob_info_read(const struct db_rows *rows, int row, struct arena *a,
                    struct blob_info *ret_info)
{
    *ret_info = (struct blob_info){
        .key = db_get_int(rows, row, 0),
        .size = db_get_int(rows, row, 1),
        .media_type = arena_strdup(a, db_get_text(rows, row, 3)),
        .file_name = arena_strdup(a, db_get_text(rows, row, 4)),
        .created_us = db_get_int(rows, row, 5),
        .expires_us = db_get_int(rows, row, 6),
    };
    (void)snprintf(ret_info->sha256, sizeof(ret_info->sha256), "%s", db_get_text(rows, row, 2));
}

int blob_piece_count(int64_t size)
{
    return (int)((size + BLOB_CHUNK_SIZE - 1) / BLOB_CHUNK_SIZE);
}

static int gone(struct error *reterr)
{
    return error_set(reterr, ERR_GONE, "The blob is no longer kept.");
}

int blob_get(struct db *db, struct arena *a, const char *tenant, int64_t key,
             struct blob_info *ret_info, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &get_statement, (struct db_value[]){db_int(a, key), db_text(tenant)}, 2,
                 &rows, reterr) != 0)
        return -1;
    if (db_count(rows) == 0)
        return gone(reterr);
    blob_info_read(rows, 0, a, ret_info);
    return 0;
}

int blob_get_many(struct db *db, struct arena *a, const char *tenant, const int64_t *keys,
                  int count, struct blob_info **ret_infos, int *ret_count, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &get_many_statement,
                 (struct db_value[]){db_ints(a, keys, count), db_text(tenant)}, 2, &rows,
                 reterr) != 0)
        return -1;
    *ret_count = db_count(rows);
    *ret_infos = arena_alloc(a, (size_t)*ret_count * sizeof(**ret_infos));
    for (int i = 0; i < *ret_count; i++)
        blob_info_read(rows, i, a, &(*ret_infos)[i]);
    return 0;
}

int blob_read_chunk(struct db *db, struct arena *a, int64_t key, int n, const void **ret_bytes,
                    size_t *ret_size, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &blob_chunk_statement, (struct db_value[]){db_int(a, key), db_int(a, n)}, 2,
                 &rows, reterr) != 0)
        return -1;
    if (db_count(rows) == 0)
        return gone(reterr);
    *ret_bytes = db_get_bytes(rows, 0, 0, ret_size); /* in the rows, which belong to `a` */
    return 0;
}

/* ---- writing */

struct blob_writer {
    struct db *db;
    struct arena *arena; /* of one statement */
    EVP_MD_CTX *digest;
    const char *tenant, *media_type, *file_name;
    unsigned char *piece; /* BLOB_CHUNK_SIZE bytes, of which `used` are there */
    size_t used;
    int64_t size, key; /* key 0: nothing was stored yet, so there is no transaction */
    char day[DAY_SIZE];
    int pieces;
    bool is_open; /* in a transaction */
};

static void release_writer(void *object)
{
    struct blob_writer *w = object;
    if (w->is_open)
        db_rollback(w->db);
    EVP_MD_CTX_free(w->digest);
    arena_free(w->arena);
    free(w->piece);
    *w = (struct blob_writer){0};
}

int blob_write_begin(struct db *db, struct arena *a, const char *tenant, const char *media_type,
                     const char *file_name, struct blob_writer **ret_writer, struct error *reterr)
{
    struct blob_writer *w = arena_alloc(a, sizeof(*w));
    w->db = db;
    w->arena = arena_new();
    w->tenant = arena_strdup(a, tenant);
    w->media_type = arena_strdup(a, media_type);
    w->file_name = arena_strdup(a, file_name ? file_name : "");
    w->digest = EVP_MD_CTX_new();
    w->piece = malloc(BLOB_CHUNK_SIZE);
    (void)arena_own(a, w, release_writer);
    if (!w->piece || !w->digest || EVP_DigestInit_ex(w->digest, EVP_sha256(), NULL) != 1)
        return error_internal(reterr, "blob: no memory");
    *ret_writer = w;
    return 0;
}

static int begin_pieces(struct blob_writer *w, struct error *reterr)
{
    const struct db_rows *rows;
    if (db_begin(w->db, reterr) != 0)
        return -1;
    w->is_open = true;
    if (db_query(w->db, w->arena, &blob_begin_statement, NULL, 0, &rows, reterr) != 0)
        return -1;
    w->key = db_get_int(rows, 0, 0);
    (void)snprintf(w->day, sizeof(w->day), "%s", db_get_text(rows, 0, 1));
    return 0;
}

static int store_piece(struct blob_writer *w, struct error *reterr)
{
    const struct db_rows *rows;
    if (!w->is_open && begin_pieces(w, reterr) != 0)
        return -1;
    struct db_value values[] = {
        db_text(w->day),
        db_int(w->arena, w->key),
        db_int(w->arena, w->pieces),
        db_bytes(w->piece, w->used),
        db_text(BLOB_COMMIT_AS_SET),
    };
    int result = db_query(w->db, w->arena, &blob_piece_statement, values, 5, &rows, reterr);
    arena_reset(w->arena);
    w->pieces++;
    w->used = 0;
    return result;
}

/* A full piece is stored when a byte comes after it: so a blob of one piece needs no transaction.
 */
int blob_write(struct blob_writer *w, const void *bytes, size_t size, struct error *reterr)
{
    const unsigned char *from = bytes;
    if (!w->db)
        return error_internal(reterr, "blob: written to after its end");
    if (size > 0 && EVP_DigestUpdate(w->digest, bytes, size) != 1)
        return error_internal(reterr, "blob: SHA-256 failed");
    while (size > 0) {
        if (w->used == BLOB_CHUNK_SIZE && store_piece(w, reterr) != 0)
            return -1;
        size_t room = BLOB_CHUNK_SIZE - w->used, part = size < room ? size : room;
        memcpy(w->piece + w->used, from, part);
        w->used += part;
        w->size += (int64_t)part;
        from += part;
        size -= part;
    }
    return 0;
}

static int store_small(struct blob_writer *w, struct db_value sha256, const struct db_rows **rows,
                       struct error *reterr)
{
    struct db_value values[] = {
        db_bytes(w->piece, w->used), sha256,
        db_text(w->media_type),      db_text(w->file_name),
        db_text(BLOB_COMMIT_AS_SET), db_text(w->tenant),
    };
    return db_query(w->db, w->arena, &blob_small_statement, values, 6, rows, reterr);
}

static int store_end(struct blob_writer *w, struct db_value sha256, const struct db_rows **rows,
                     struct error *reterr)
{
    if (store_piece(w, reterr) != 0)
        return -1;
    struct db_value values[] = {
        db_int(w->arena, w->key),    db_text(w->day),
        db_int(w->arena, w->size),   sha256,
        db_text(w->media_type),      db_text(w->file_name),
        db_int(w->arena, w->pieces), db_text(BLOB_COMMIT_AS_SET),
        db_text(w->tenant),
    };
    if (db_query(w->db, w->arena, &blob_end_statement, values, 9, rows, reterr) != 0)
        return -1;
    if (db_count(*rows) != 1)
        return error_internal(reterr, "blob: not all of its pieces are there");
    if (db_commit(w->db, reterr) != 0)
        return -1;
    w->is_open = false;
    return 0;
}

int blob_write_end(struct blob_writer *w, struct blob_info *ret_info, struct error *reterr)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned hash_size = 0;
    const struct db_rows *rows;

    if (!w->db)
        return error_internal(reterr, "blob: ended twice");
    if (EVP_DigestFinal_ex(w->digest, hash, &hash_size) != 1)
        return error_internal(reterr, "blob: SHA-256 failed");
    struct db_value sha256 = db_bytes(hash, hash_size);
    if ((w->is_open ? store_end : store_small)(w, sha256, &rows, reterr) != 0) {
        release_writer(w);
        return -1;
    }
    blob_info_read(rows, 0, w->arena, ret_info);
    /* The writer, like what it was begun with, belongs to the caller's arena. */
    ret_info->media_type = w->media_type;
    ret_info->file_name = w->file_name;
    release_writer(w);
    return 0;
}

void blob_write_abort(struct blob_writer *w)
{
    if (w)
        release_writer(w);
}
