/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.c - see keys.h
 *
 * A notification may get lost, so the state of the table is asked for all the time; that reads one
 * row. After a reconnect nothing is known: it may be another database.
 */
#include "hub/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/snapshot.h"
#include "base/clock.h"
#include "db/key.h"

#define INTERVAL_US 2000000
#define RETRY_US 1000000 /* after a failure */
#define SCOPE_NAME_SIZE 32

struct keys {
    struct db *db;
    struct keys_events events;
    struct arena *scratch; /* of one answer */
    struct snapshot_writer *writer;
    struct snapshot *snapshot; /* what the workers see, for the status */
    int64_t change;            /* the state of the table that was written; -1: none */
    int64_t asked_change;      /* that of the statement under way */
    int64_t due_us;
    bool is_asked;
};

/* ---- what the database says */

/* Names that this version does not know allow nothing. */
static uint32_t parse_scopes(const char *names)
{
    uint32_t scopes = 0;
    while (*names) {
        char name[SCOPE_NAME_SIZE];
        size_t size = strcspn(names, " ");
        (void)snprintf(name, sizeof(name), "%.*s", (int)(size < sizeof(name) ? size : 0), names);
        scopes |= key_scope_parse(name);
        names += size;
        names += *names == ' ';
    }
    return scopes;
}

/* False for what no key of ours is, whoever wrote it into the table. */
static bool to_record(const struct key_row *row, struct key_record *ret_record)
{
    if (!key_id_is_valid(row->id) || !key_tenant_is_valid(row->tenant))
        return false;
    *ret_record = (struct key_record){.scopes = parse_scopes(row->scopes),
                                      .limits = {.requests_per_minute = row->requests_per_minute,
                                                 .concurrent_runs = row->concurrent_runs,
                                                 .queued_jobs = row->queued_jobs,
                                                 .body_bytes = row->body_bytes},
                                      .expires_us = row->expires_us};
    (void)snprintf(ret_record->id, sizeof(ret_record->id), "%s", row->id);
    (void)snprintf(ret_record->tenant, sizeof(ret_record->tenant), "%s", row->tenant);
    memcpy(ret_record->hash, row->sha256, sizeof(ret_record->hash));
    return true;
}

static int write_keys(struct keys *k, const struct key_rows *rows, struct error *reterr)
{
    if (rows->is_same)
        return snapshot_confirm(k->writer, reterr);
    struct key_record *records = arena_alloc(k->scratch, (size_t)rows->count * sizeof(*records));
    int count = 0;
    for (int i = 0; i < rows->count; i++)
        count += to_record(&rows->keys[i], &records[count]);
    return snapshot_write(k->writer, records, count, rows->has_keys, reterr);
}

static void take_answer(void *context, const struct db_rows *rows, const struct error *error)
{
    static const struct error none = {ERR_INTERNAL, "The table of keys is not what it should be.",
                                      ""};
    struct keys *k = context;
    struct key_rows keys;
    struct error unwritten;
    k->is_asked = false;
    if (!rows || !key_rows_read(rows, k->asked_change, k->scratch, &keys)) {
        k->due_us = clock_us() + RETRY_US;
        if (db_is_connected(k->db)) /* else its keeper tells of it */
            k->events.refused(k->events.context, error ? error : &none);
    } else if (write_keys(k, &keys, &unwritten) != 0) {
        k->change = -1;
        k->due_us = clock_us() + RETRY_US;
        k->events.unwritten(k->events.context, &unwritten);
    } else {
        k->change = keys.change;
    }
    arena_reset(k->scratch);
}

/* ---- when to ask */

void keys_connected(struct keys *k)
{
    k->change = -1;
    k->due_us = 0;
}

void keys_notified(struct keys *k)
{
    k->due_us = 0; /* also when a statement is under way: it may have been too early */
}

int64_t keys_due(const struct keys *k)
{
    return k->is_asked || !db_is_connected(k->db) ? INT64_MAX : k->due_us;
}

void keys_step(struct keys *k)
{
    int64_t now_us = clock_us();
    if (now_us < keys_due(k))
        return;
    k->is_asked = true;
    k->asked_change = k->change;
    k->due_us = now_us + INTERVAL_US;
    key_rows_send(k->db, k->change, take_answer, k);
}

bool keys_allow(struct keys *k, const char *id)
{
    (void)snapshot_refresh(k->snapshot);
    return *id ? snapshot_is_valid(k->snapshot, id) : !snapshot_has_keys(k->snapshot);
}

struct keys_status keys_status(struct keys *k)
{
    (void)snapshot_refresh(k->snapshot);
    return (struct keys_status){.count = snapshot_count(k->snapshot),
                                .age_seconds = snapshot_age(k->snapshot)};
}

/* ---- life */

int keys_open(const struct config *cfg, struct db *db, const struct keys_events *events,
              struct keys **ret_keys, struct error *reterr)
{
    struct keys *k = calloc(1, sizeof(*k));
    if (!k)
        return error_errno(reterr, "hub: keys");
    *k = (struct keys){.db = db, .events = *events, .change = -1, .scratch = arena_new()};
    if (snapshot_writer_open(cfg, &k->writer, reterr) != 0) {
        keys_close(k);
        return -1;
    }
    k->snapshot = snapshot_open(cfg);
    *ret_keys = k;
    return 0;
}

void keys_close(struct keys *k)
{
    if (!k)
        return;
    snapshot_writer_close(k->writer);
    snapshot_close(k->snapshot);
    arena_free(k->scratch);
    free(k);
}
