/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key.h - table key: who may call, and how much
 *
 * The command makes, lists and revokes; the hub of each host reads the valid ones and hands them to
 * the workers. A row never goes: from the first one on nobody is let in without a key.
 */
#ifndef DB_KEY_H
#define DB_KEY_H

#include "db/db.h"

#define KEY_CHANNEL "gangsaw_keys" /* notified at each change */
#define KEY_ROW_HASH_SIZE 32

/* Limits: 0 is none. */
struct key_row {
    const char *id, *tenant;
    const unsigned char *sha256;
    const char *scopes; /* with spaces between */
    int32_t requests_per_minute, concurrent_runs;
    int64_t queued_jobs, body_bytes;
    const char *label;
    int64_t created_us, expires_us, revoked_us; /* since 1970; 0: never */
};

/*
 * Store a new key; `created_us`, `expires_us` and `revoked_us` are not looked at, it ends after
 * `days` (0: never). *ret_expires_us: when that is; 0: never.
 * Errors: ERR_CONFLICT when there is one of that id.
 */
int key_row_insert(struct db *db, const struct key_row *key, int days, int64_t *ret_expires_us,
                   struct error *reterr);

/* All, in the order in which they were made; without their hashes. They belong to `a`. */
int key_row_list(struct db *db, struct arena *a, struct key_row **ret_keys, int *ret_count,
                 struct error *reterr);

/* From now on it is not valid; one that was revoked before stays so. Errors: ERR_NOT_FOUND. */
int key_row_revoke(struct db *db, const char *id, struct error *reterr);

/* What a hub knows of the keys. */
struct key_rows {
    int64_t change; /* which state of the table this is */
    bool has_keys;  /* there is any, valid or not */
    bool is_same;   /* as at the `change` that was asked about: no keys here */
    struct key_row *keys;
    int count;
};

/* Ask for all valid keys, unless they are still those of `known_change`; -1: none is known. */
void key_rows_send(struct db *db, int64_t known_change, db_done *done, void *context);

/* The texts belong to `rows`, all else to `a`. False when it is not what it should be. */
bool key_rows_read(const struct db_rows *rows, int64_t known_change, struct arena *a,
                   struct key_rows *ret_keys);

#endif
