/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blob_transfer.c - blobs in an event loop, one piece per statement; see blob.h
 *
 * Nothing here takes long: a large blob is hashed piece by piece, as it is written.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "db/blob_internal.h"

#define DAY_SIZE 32

struct blob_transfer {
    struct db *db;
    struct arena *arena; /* holds the transfer */
    blob_done *done;
    void *context;
    struct blob_info info;
    int piece, pieces; /* the one under way */
    /* reading */
    size_t max_bytes, wanted;
    struct payload *payload;
    /* writing */
    const unsigned char *bytes;
    size_t size;
    const char *tenant, *media_type, *file_name;
    EVP_MD_CTX *digest; /* of more than one piece */
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned hash_size;
    char day[DAY_SIZE];
};

static struct blob_transfer *transfer_new(struct db *db, blob_done *done, void *context)
{
    struct arena *a = arena_new();
    struct blob_transfer *t = arena_alloc(a, sizeof(*t));
    t->arena = a;
    t->db = db;
    t->done = done;
    t->context = context;
    return t;
}

void blob_transfer_cancel(struct blob_transfer *t)
{
    if (!t)
        return;
    db_forget(t->db, t);
    arena_free(t->arena);
}

static void finish(struct blob_transfer *t, const struct error *error)
{
    t->done(t->context, error ? NULL : &t->info, error);
    arena_free(t->arena);
}

static void finish_with(struct blob_transfer *t, enum err_code code, const char *detail)
{
    struct error error;
    (void)error_set(&error, code, "%s", detail);
    finish(t, &error);
}

/* True when the transfer has ended by that. */
static bool is_over(struct blob_transfer *t, const struct error *error)
{
    if (error)
        finish(t, error);
    return error != NULL;
}

/* ---- reading */

static void piece_loaded(void *context, const struct db_rows *rows, const struct error *error);

static void load_piece(struct blob_transfer *t)
{
    struct arena *a = arena_new();
    struct db_value values[] = {db_int(a, t->info.key), db_int(a, t->piece)};
    db_send(t->db, &blob_chunk_statement, values, 2, piece_loaded, t);
    arena_free(a);
}

static void piece_loaded(void *context, const struct db_rows *rows, const struct error *error)
{
    struct blob_transfer *t = context;
    struct error failure;
    size_t size;

    if (is_over(t, error))
        return;
    const void *bytes = db_count(rows) > 0 ? db_get_bytes(rows, 0, 0, &size) : NULL;
    if (!bytes) {
        finish_with(t, ERR_GONE, "The blob is no longer kept.");
        return;
    }
    size_t expected = t->wanted < BLOB_CHUNK_SIZE ? t->wanted : BLOB_CHUNK_SIZE;
    if (size != expected) {
        (void)error_internal(&failure, "blob: piece %d is of the wrong size", t->piece);
        finish(t, &failure);
        return;
    }
    if (payload_append(t->payload, bytes, size, &failure) != 0) {
        finish(t, &failure);
        return;
    }
    t->wanted -= size;
    t->piece++;
    if (t->wanted > 0)
        load_piece(t);
    else
        finish(t, NULL);
}

static void info_loaded(void *context, const struct db_rows *rows, const struct error *error)
{
    struct blob_transfer *t = context;
    struct error failure;

    if (is_over(t, error))
        return;
    if (db_count(rows) == 0) {
        finish_with(t, ERR_GONE, "The blob is no longer kept.");
        return;
    }
    blob_info_read(rows, 0, t->arena, &t->info);
    if (t->info.size < 0 || (uint64_t)t->info.size > t->max_bytes) {
        (void)error_set(&failure, ERR_TOO_LARGE, "The blob has %lld bytes; the limit is %zu.",
                        (long long)t->info.size, t->max_bytes);
        finish(t, &failure);
        return;
    }
    t->wanted = (size_t)t->info.size;
    if (payload_reserve(t->payload, t->wanted, &failure) != 0)
        finish(t, &failure);
    else if (t->wanted > 0)
        load_piece(t);
    else
        finish(t, NULL);
}

struct blob_transfer *blob_load_send(struct db *db, int64_t key, size_t max_bytes,
                                     struct payload *payload, blob_done *done, void *context)
{
    struct blob_transfer *t = transfer_new(db, done, context);
    struct arena *a = arena_new();
    t->max_bytes = max_bytes;
    t->payload = payload;
    db_send(db, &blob_load_statement, (struct db_value[]){db_int(a, key)}, 1, info_loaded, t);
    arena_free(a);
    return t;
}

/* ---- writing */

/*
 * The row that makes a blob visible is on the server's disc before `done` is called, and with it
 * all of the pieces before, whose own commits need not wait: so a completion that names the blob
 * never outlives it, even when the server crashed and came back between the two.
 */

static void release_digest(void *digest)
{
    EVP_MD_CTX_free(digest);
}

static void digest_failed(struct blob_transfer *t)
{
    struct error failure;
    (void)error_internal(&failure, "blob: SHA-256 failed");
    finish(t, &failure);
}

static void saved(void *context, const struct db_rows *rows, const struct error *error)
{
    struct blob_transfer *t = context;
    struct error failure;

    if (is_over(t, error))
        return;
    if (db_count(rows) != 1) {
        (void)error_internal(&failure, "blob: not all of its pieces are there");
        finish(t, &failure);
        return;
    }
    blob_info_read(rows, 0, t->arena, &t->info);
    finish(t, NULL);
}

/* The table refuses NULL: of bytes that could not be hashed. */
static struct db_value hash_value(const struct blob_transfer *t)
{
    return t->hash_size > 0 ? db_bytes(t->hash, t->hash_size) : DB_NULL;
}

static void save_small(struct blob_transfer *t)
{
    const void *bytes = t->bytes ? t->bytes : (const unsigned char *)"";
    (void)EVP_Digest(bytes, t->size, t->hash, &t->hash_size, EVP_sha256(), NULL);
    struct db_value values[] = {
        db_bytes(bytes, t->size),    hash_value(t),
        db_text(t->media_type),      db_text(t->file_name),
        db_text(BLOB_COMMIT_AS_SET), db_text(t->tenant),
    };
    db_send(t->db, &blob_small_statement, values, 6, saved, t);
}

static void save_end(struct blob_transfer *t)
{
    if (EVP_DigestFinal_ex(t->digest, t->hash, &t->hash_size) != 1) {
        digest_failed(t);
        return;
    }
    struct arena *a = arena_new();
    struct db_value values[] = {
        db_int(a, t->info.key),      db_text(t->day),
        db_int(a, (int64_t)t->size), hash_value(t),
        db_text(t->media_type),      db_text(t->file_name),
        db_int(a, t->pieces),        db_text(BLOB_COMMIT_AS_SET),
        db_text(t->tenant),
    };
    db_send(t->db, &blob_end_statement, values, 9, saved, t);
    arena_free(a);
}

static void piece_saved(void *context, const struct db_rows *rows, const struct error *error);

static void save_piece(struct blob_transfer *t)
{
    size_t offset = (size_t)t->piece * BLOB_CHUNK_SIZE, left = t->size - offset;
    size_t size = left < BLOB_CHUNK_SIZE ? left : BLOB_CHUNK_SIZE;
    if (!t->digest || EVP_DigestUpdate(t->digest, t->bytes + offset, size) != 1) {
        digest_failed(t);
        return;
    }
    struct arena *a = arena_new();
    struct db_value values[] = {
        db_text(t->day),
        db_int(a, t->info.key),
        db_int(a, t->piece),
        db_bytes(t->bytes + offset, size),
        db_text(BLOB_COMMIT_LATER),
    };
    db_send(t->db, &blob_piece_statement, values, 5, piece_saved, t);
    arena_free(a);
}

static void piece_saved(void *context, const struct db_rows *rows, const struct error *error)
{
    struct blob_transfer *t = context;
    (void)rows;
    if (is_over(t, error))
        return;
    t->piece++;
    if (t->piece < t->pieces)
        save_piece(t);
    else
        save_end(t);
}

static void key_given(void *context, const struct db_rows *rows, const struct error *error)
{
    struct blob_transfer *t = context;
    if (is_over(t, error))
        return;
    t->info.key = db_get_int(rows, 0, 0);
    (void)snprintf(t->day, sizeof(t->day), "%s", db_get_text(rows, 0, 1));
    save_piece(t);
}

struct blob_transfer *blob_save_send(struct db *db, const char *tenant, const void *bytes,
                                     size_t size, const char *media_type, const char *file_name,
                                     blob_done *done, void *context)
{
    struct blob_transfer *t = transfer_new(db, done, context);
    t->bytes = bytes;
    t->size = size;
    t->tenant = arena_strdup(t->arena, tenant);
    t->media_type = arena_strdup(t->arena, media_type);
    t->file_name = arena_strdup(t->arena, file_name ? file_name : "");
    t->pieces = blob_piece_count((int64_t)size);
    if (t->pieces <= 1) {
        save_small(t);
    } else {
        EVP_MD_CTX *digest = arena_own(t->arena, EVP_MD_CTX_new(), release_digest);
        if (digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1)
            t->digest = digest; /* else the first piece fails */
        db_send(db, &blob_begin_statement, NULL, 0, key_given, t);
    }
    return t;
}
