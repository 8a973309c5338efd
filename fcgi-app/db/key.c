/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key.c - see key.h
 */
#include "db/key.h"

#include <string.h>

#define MICROSECONDS(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

static const struct db_statement insert_statement = {
    .name = "key_insert",
    .sql = "INSERT INTO gangsaw.key (id, tenant, sha256, scopes, requests_per_minute, "
           "                         concurrent_runs, queued_jobs, body_bytes, label, expires_at) "
           "VALUES ($1::text, $2::text, $3::bytea, string_to_array($4::text, ' '), "
           "        nullif($5::integer, 0), nullif($6::integer, 0), nullif($7::bigint, 0), "
           "        nullif($8::bigint, 0), $9::text, "
           "        now() + nullif($10::integer, 0) * interval '24 hours') "
           "RETURNING " MICROSECONDS("expires_at"),
};

int key_row_insert(struct db *db, const struct key_row *key, int days, int64_t *ret_expires_us,
                   struct error *reterr)
{
    struct arena *a = arena_new();
    const struct db_rows *rows;
    const struct db_value values[] = {
        db_text(key->id),
        db_text(key->tenant),
        db_bytes(key->sha256, KEY_ROW_HASH_SIZE),
        db_text(key->scopes),
        db_int(a, key->requests_per_minute),
        db_int(a, key->concurrent_runs),
        db_int(a, key->queued_jobs),
        db_int(a, key->body_bytes),
        db_text(key->label),
        db_int(a, days),
    };
    int status = db_query(db, a, &insert_statement, values, 10, &rows, reterr);
    if (status == 0)
        *ret_expires_us = db_get_int(rows, 0, 0);
    arena_free(a);
    return status;
}

static const struct db_statement list_statement = {
    .name = "key_list",
    .sql = "SELECT k.id, k.tenant, array_to_string(k.scopes, ' '), k.requests_per_minute, "
           "       k.concurrent_runs, k.queued_jobs, k.body_bytes, k.label, "
           "       " MICROSECONDS("k.created_at") ", " MICROSECONDS(
               "k.expires_at") ", "
                               "       " MICROSECONDS(
                                   "k.revoked_at") " "
                                                   "FROM gangsaw.key k ORDER BY k.created_at, k.id",
};

int key_row_list(struct db *db, struct arena *a, struct key_row **ret_keys, int *ret_count,
                 struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &list_statement, NULL, 0, &rows, reterr) != 0)
        return -1;
    int count = db_count(rows);
    struct key_row *keys = arena_alloc(a, (size_t)count * sizeof(*keys));
    for (int i = 0; i < count; i++)
        keys[i] = (struct key_row){
            .id = db_get_text(rows, i, 0),
            .tenant = db_get_text(rows, i, 1),
            .scopes = db_get_text(rows, i, 2),
            .requests_per_minute = (int32_t)db_get_int(rows, i, 3),
            .concurrent_runs = (int32_t)db_get_int(rows, i, 4),
            .queued_jobs = db_get_int(rows, i, 5),
            .body_bytes = db_get_int(rows, i, 6),
            .label = db_get_text(rows, i, 7),
            .created_us = db_get_int(rows, i, 8),
            .expires_us = db_get_int(rows, i, 9),
            .revoked_us = db_get_int(rows, i, 10),
        };
    *ret_keys = keys;
    *ret_count = count;
    return 0;
}

static const struct db_statement revoke_statement = {
    .name = "key_revoke",
    .sql = "UPDATE gangsaw.key k SET revoked_at = coalesce(k.revoked_at, now()) "
           "WHERE k.id = $1::text",
};

int key_row_revoke(struct db *db, const char *id, struct error *reterr)
{
    struct arena *a = arena_new();
    const struct db_rows *rows;
    int status =
        db_query(db, a, &revoke_statement, (struct db_value[]){db_text(id)}, 1, &rows, reterr);
    if (status == 0 && db_affected(rows) == 0)
        status = error_set(reterr, ERR_NOT_FOUND, "There is no key %.20s.", id);
    arena_free(a);
    return status;
}

/* OFFSET 0 keeps the comparison in front of the table: when nothing changed it is not read. */
static const struct db_statement read_statement = {
    .name = "key_read",
    .sql = "SELECT c.number, EXISTS (SELECT FROM gangsaw.key), k.id, k.tenant, k.sha256, "
           "       array_to_string(k.scopes, ' '), k.requests_per_minute, k.concurrent_runs, "
           "       k.queued_jobs, k.body_bytes, " MICROSECONDS(
               "k.expires_at") " "
                               "FROM gangsaw.key_change c LEFT JOIN LATERAL ( "
                               "    SELECT v.* FROM gangsaw.key v "
                               "    WHERE c.number <> $1::bigint AND v.revoked_at IS NULL "
                               "      AND (v.expires_at IS NULL OR v.expires_at > now()) "
                               "    OFFSET 0) k ON true",
    .gives_binary = true,
};

void key_rows_send(struct db *db, int64_t known_change, db_done *done, void *context)
{
    struct arena *a = arena_new();
    db_send(db, &read_statement, (struct db_value[]){db_int(a, known_change)}, 1, done, context);
    arena_free(a);
}

static bool read_key(const struct db_rows *rows, int row, struct key_row *ret_key)
{
    size_t size;
    *ret_key = (struct key_row){
        .id = db_get_text(rows, row, 2),
        .tenant = db_get_text(rows, row, 3),
        .sha256 = db_get_bytes(rows, row, 4, &size),
        .scopes = db_get_text(rows, row, 5),
        .requests_per_minute = (int32_t)db_get_int(rows, row, 6),
        .concurrent_runs = (int32_t)db_get_int(rows, row, 7),
        .queued_jobs = db_get_int(rows, row, 8),
        .body_bytes = db_get_int(rows, row, 9),
        .expires_us = db_get_int(rows, row, 10),
    };
    return ret_key->tenant && ret_key->scopes && size == KEY_ROW_HASH_SIZE;
}

bool key_rows_read(const struct db_rows *rows, int64_t known_change, struct arena *a,
                   struct key_rows *ret_keys)
{
    struct key_rows k = {.change = db_get_int(rows, 0, 0), .has_keys = db_get_bool(rows, 0, 1)};
    int count = db_count(rows);
    if (count == 0)
        return false;
    k.is_same = k.change == known_change;
    k.keys = arena_alloc(a, (size_t)count * sizeof(*k.keys));
    for (int i = 0; i < count && !db_is_null(rows, i, 2); i++) {
        if (!read_key(rows, i, &k.keys[k.count++]))
            return false;
    }
    *ret_keys = k;
    return true;
}
