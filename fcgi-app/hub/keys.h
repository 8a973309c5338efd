/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.h - brings the keys from the database to the workers of this host
 *
 * The hub asks for them at each notification and every other second, on the connection that it has
 * anyway; they are sent only when they changed. While the database is away the file stays as it is,
 * and ages (auth/snapshot.h).
 */
#ifndef HUB_KEYS_H
#define HUB_KEYS_H

#include <stdbool.h>

#include "base/config.h"
#include "db/db.h"

struct keys;

struct keys_events {
    /* The database refused to tell; it is asked again. */
    void (*refused)(void *context, const struct error *error);
    /* The file could not be written; it is tried again. */
    void (*unwritten)(void *context, const struct error *error);
    void *context;
};

/* `db` is kept up by somebody else, who tells of what happens to it. Errors: ERR_INTERNAL. */
int keys_open(const struct config *cfg, struct db *db, const struct keys_events *events,
              struct keys **ret_keys, struct error *reterr);

/* Behind db_close(). The file stays. NULL is fine. */
void keys_close(struct keys *k);

void keys_connected(struct keys *k);
void keys_notified(struct keys *k);

/* When keys_step() wants to be called at the latest (monotonic µs). */
int64_t keys_due(const struct keys *k);
void keys_step(struct keys *k);

/* May who came with the key of that id, or without one (""), go on? */
bool keys_allow(struct keys *k, const char *id);

struct keys_status {
    int count;          /* of what the workers know */
    double age_seconds; /* infinite: never compared */
};
struct keys_status keys_status(struct keys *k);

#endif
