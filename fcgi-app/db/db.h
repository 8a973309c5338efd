/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db.h - one connection to PostgreSQL, and statements on it
 *
 * Everything is asynchronous underneath: a connection is made when it is first needed, lost ones
 * are made again with a growing delay (0.1 to 5 s, jitter), statements wait their turn in a queue.
 * Event loops (runner, hub) poll db_poll() and call db_step(); workers use db_query(), which does
 * that for them within a budget of time. Statements are prepared once per connection. Only db/
 * includes libpq; what the server says goes to the log (`cause`), never to a client.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

#define DB_VALUES_MAX 40 /* of one statement */

struct db;
struct db_rows; /* what a statement returned */

/* After a failure to reach the server, all who share it answer at once for a while instead of
 * waiting each for himself. In memory shared between the workers of a pool. */
struct db_breaker {
    _Atomic int64_t open_until_us; /* monotonic; 0: closed */
    _Atomic int slow_count;        /* statements in turn that timed out at the server */
};

struct db_settings {
    const char *url; /* postgresql://… or key=value words; several hosts are tried in turn */
    const char *application; /* application_name: "gangsaw api" */
    const char *options;     /* "-c name=value …" for the session; NULL: none */
    /* Longest wait for one statement, connecting included; for db_send(), from when it is under
     * way. The server is told to give up a little earlier. 0: no limit. */
    int budget_ms;
    struct db_breaker *breaker; /* NULL: none; tripped for 1 s by a failing db_query() */
};

/* Nothing is connected yet. The texts are copied. */
struct db *db_open(const struct db_settings *settings);
void db_close(struct db *db); /* NULL is fine; requests under way are dropped, not called back */

/* A statement is prepared under its name on first use; both live as long as the program. */
struct db_statement {
    const char *name;   /* "job_claim" */
    const char *sql;    /* values are $1 …; their types are left to the server or cast */
    bool is_unprepared; /* sent as it is: SET, BEGIN, LISTEN, or more than one command */
    bool gives_binary;  /* all columns come in binary format: bytea */
};

struct db_value {
    const void *bytes; /* NULL: SQL NULL. Text ends with NUL */
    size_t size;       /* of a binary value */
    bool is_binary;
};

#define DB_NULL ((struct db_value){0})
struct db_value db_text(const char *text); /* NULL is NULL */
struct db_value db_int(struct arena *a, int64_t value);
struct db_value db_real(struct arena *a, double value); /* NaN is NULL */
struct db_value db_bool(bool value);
struct db_value db_bytes(const void *bytes, size_t size);                        /* bytea */
struct db_value db_ints(struct arena *a, const int64_t *values, int count);      /* bigint[] */
struct db_value db_texts(struct arena *a, const char *const *values, int count); /* text[] */

/*
 * Run one statement and wait for it. Not in a callback: nobody waits inside of db_step().
 * Ownership: *ret_rows (which may be NULL) belongs to `a`; the connection is free again.
 * Errors: ERR_UNAVAILABLE (away, too slow, over budget, breaker open), ERR_CONFLICT (lock_timeout,
 * serialization, unique violation), ERR_INTERNAL for all else. The cause holds SQLSTATE and the
 * server's words.
 */
int db_query(struct db *db, struct arena *a, const struct db_statement *s,
             const struct db_value *values, int count, const struct db_rows **ret_rows,
             struct error *reterr);

/* A transaction of several db_query()s. After any error only db_rollback() does anything; after
 * db_commit() it has ended, one way or the other. */
int db_begin(struct db *db, struct error *reterr);
int db_commit(struct db *db, struct error *reterr);
void db_rollback(struct db *db); /* nothing to do outside of one; the connection is dropped when it
                                    cannot be done */

/* Close the connection if nothing was asked for `idle_ms`; the next statement makes a new one. */
void db_close_idle(struct db *db, int idle_ms);

/* ---- for event loops */

/* Either `rows` or `error` is NULL; the other is valid during the call alone. */
typedef void db_done(void *context, const struct db_rows *rows, const struct error *error);

/*
 * Queue a statement; `done` (which may be NULL) is called from db_step(), in the order of sending.
 * Values are copied. When the connection is lost, everything queued is called back with
 * ERR_UNAVAILABLE: nothing is sent twice by itself.
 */
void db_send(struct db *db, const struct db_statement *s, const struct db_value *values, int count,
             db_done *done, void *context);

/* What was sent with this context is answered to nobody: it runs as it would have, but its `done`
 * is not called. Also from within a callback. */
void db_forget(struct db *db, const void *context);

/* Statements queued and under way. */
int db_pending(const struct db *db);
bool db_is_connected(const struct db *db);

/* What to wait for: fills *ret_poll (fd -1: nothing) and returns when db_step() wants to be called
 * at the latest (monotonic µs; INT64_MAX: no time limit). */
int64_t db_poll(const struct db *db, struct pollfd *ret_poll);

/* Do what can be done without waiting: connect, send, read, call back, notifications, time-outs. */
void db_step(struct db *db);

struct db_events {
    /* A new connection works: registrations, LISTENs and polls begin anew. Statements may be sent.
     */
    void (*connected)(void *context);
    /* It is lost, or could not be made; called once until the next `connected`. */
    void (*lost)(void *context, const struct error *error);
    void (*notified)(void *context, const char *channel, const char *payload);
    void *context;
};

/* From then on the connection is kept up by itself. `channels` ends with NULL: LISTENed on after
 * every connect, before `connected`. */
void db_keep(struct db *db, const struct db_events *events, const char *const *channels);

/* ---- rows */

int db_count(const struct db_rows *rows);
bool db_is_null(const struct db_rows *rows, int row, int column);
const char *db_get_text(const struct db_rows *rows, int row, int column); /* NULL for NULL */
int64_t db_get_int(const struct db_rows *rows, int row, int column);      /* 0 for NULL */
double db_get_real(const struct db_rows *rows, int row, int column);      /* NaN for NULL */
bool db_get_bool(const struct db_rows *rows, int row, int column);
const void *db_get_bytes(const struct db_rows *rows, int row, int column, size_t *ret_size);
int db_affected(const struct db_rows *rows); /* rows that an UPDATE or DELETE touched */

/* ---- public ids: "opaque to all but this database" */

enum db_id_kind { DB_ID_JOB, DB_ID_BLOB, DB_ID_CURSOR };
#define DB_ID_SIZE 32

struct db_secret {
    unsigned char bytes[32];
};

/* The database's secret, read once per process. */
int db_read_secret(struct db *db, const struct db_secret **ret_secret, struct error *reterr);

/* The same for event loops: send, and read in the callback. false when the row is not what it
 * should be. */
void db_secret_send(struct db *db, db_done *done, void *context);
bool db_secret_read(const struct db_rows *rows, struct db_secret *ret_secret);

/* As gangsaw.public_id() in SQL: 10 hex digits of SHA-256(secret, kind, NUL, key, tenant), then the
 * key. */
void db_id_format(const struct db_secret *s, enum db_id_kind kind, const char *tenant, int64_t key,
                  char ret_id[DB_ID_SIZE]);

/* The key of an id; false for anything that this database did not give to this tenant: so what was
 * pruned is not told apart from what never was, but to whose it was. In constant time. */
bool db_id_parse(const struct db_secret *s, enum db_id_kind kind, const char *tenant,
                 const char *id, int64_t *ret_key);

#endif
