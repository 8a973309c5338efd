/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query.c - statements that are waited for, and transactions of them; see db.h
 *
 * A transaction belongs to one connection: with that one it ends, and nothing of it goes on
 * elsewhere.
 */
#include "db/db_internal.h"

#include <string.h>

#include "base/clock.h"

#define BREAK_US 1000000
#define SLOW_MAX 3 /* statements in turn that time out at the server: it hangs */

/* ---- the breaker */

static int64_t budget_us(const struct db *db)
{
    return db->budget_ms > 0 ? (int64_t)db->budget_ms * 1000 : DB_CONNECT_LIMIT_US;
}

/* May this query go to the server? When the time is over one of all who share the breaker tries. */
static bool pass_breaker(struct db *db, bool *ret_is_trial)
{
    *ret_is_trial = false;
    if (!db->breaker || db->transaction == DB_IN_TRANSACTION)
        return true;
    int64_t now = clock_us();
    int64_t until = atomic_load(&db->breaker->open_until_us);
    if (until == 0)
        return true;
    if (now < until)
        return false;
    *ret_is_trial =
        atomic_compare_exchange_strong(&db->breaker->open_until_us, &until, now + budget_us(db));
    return *ret_is_trial;
}

static void trip(struct db_breaker *b)
{
    atomic_store(&b->open_until_us, clock_us() + BREAK_US);
}

/* The server was reached, and answered. */
static void reset(struct db_breaker *b, bool is_trial)
{
    if (is_trial)
        atomic_store(&b->open_until_us, 0);
    if (atomic_load(&b->slow_count) != 0)
        atomic_store(&b->slow_count, 0);
}

static void note_outcome(struct db *db, const struct db_waiter *w, bool is_trial)
{
    struct db_breaker *b = db->breaker;
    if (!b)
        return;
    if (w->trouble == DB_NO_TROUBLE)
        reset(b, is_trial);
    else if (w->trouble == DB_AWAY || is_trial ||
             atomic_fetch_add(&b->slow_count, 1) + 1 >= SLOW_MAX)
        trip(b);
}

/* ---- one statement */

static void wait_until(struct db *db, int64_t until_us)
{
    struct pollfd p;
    int64_t step_us = db_poll(db, &p);
    (void)poll(&p, 1, clock_poll_ms(step_us < until_us ? step_us : until_us));
}

static void drop(struct db *db, const struct error *why)
{
    db->is_stepping = true; /* so that what others sent is called back as from db_step() */
    db_lose(db, why);
    db->is_stepping = false;
}

/* An idle connection may have died since: better to know before the statement is on it. */
static void freshen(struct db *db)
{
    if (db->state == DB_OPEN && !db->head)
        db_step(db);
    if (db->state == DB_CLOSED)
        db->retry_us = 0; /* whoever waits here has no time for delays */
}

static void run(struct db *db, struct db_request *r)
{
    int64_t deadline_us = db->budget_ms > 0 ? clock_us() + budget_us(db) : DB_NEVER;
    freshen(db);
    if (db->transaction == DB_TRANSACTION_FAILED) { /* found out just now */
        r->waiter->is_done = true;
        r->waiter->trouble = DB_AWAY;
        r->waiter->error = db->transaction_error;
        return;
    }
    db->query_deadline_us = deadline_us;
    db_push(db, r);
    for (db_step(db); !r->waiter->is_done; db_step(db)) {
        if (clock_us() >= deadline_us) {
            struct error error;
            (void)db_fail_slow(&error, r->statement->name, db->budget_ms);
            drop(db, &error);
            break;
        }
        wait_until(db, deadline_us);
    }
    db->query_deadline_us = DB_NEVER;
}

static void release_result(void *result)
{
    PQclear(result);
}

static int finish(struct arena *a, struct db_waiter *w, const struct db_rows **ret_rows,
                  struct error *reterr)
{
    if (!w->result) {
        if (reterr)
            *reterr = w->error;
        return -1;
    }
    if (!ret_rows) {
        PQclear(w->result);
        return 0;
    }
    struct db_rows *rows = arena_alloc(a, sizeof(*rows));
    rows->result = arena_own(a, w->result, release_result);
    *ret_rows = rows;
    return 0;
}

int db_query(struct db *db, struct arena *a, const struct db_statement *s,
             const struct db_value *values, int count, const struct db_rows **ret_rows,
             struct error *reterr)
{
    struct db_waiter waiter = {.is_done = false};
    struct db_request r = {.statement = s, .values = values, .count = count, .waiter = &waiter};
    bool is_trial;

    if (db->is_stepping)
        return error_internal(reterr, "%s: waited for inside a callback", s->name);
    if (db->transaction == DB_TRANSACTION_FAILED) {
        if (reterr)
            *reterr = db->transaction_error;
        return -1;
    }
    if (!pass_breaker(db, &is_trial))
        return db_fail_unavailable(reterr, s->name, "the database was not reachable a moment ago");
    run(db, &r);
    note_outcome(db, &waiter, is_trial);
    if (!waiter.result && db->transaction == DB_IN_TRANSACTION) {
        db->transaction = DB_TRANSACTION_FAILED;
        db->transaction_error = waiter.error;
    }
    return finish(a, &waiter, ret_rows, reterr);
}

/* ---- transactions */

static const struct db_statement begin = {.name = "begin", .sql = "BEGIN", .is_unprepared = true};
static const struct db_statement commit = {
    .name = "commit", .sql = "COMMIT", .is_unprepared = true};
static const struct db_statement rollback = {
    .name = "rollback", .sql = "ROLLBACK", .is_unprepared = true};

int db_begin(struct db *db, struct error *reterr)
{
    if (db->transaction == DB_IN_TRANSACTION)
        return error_internal(reterr, "begin: inside a transaction");
    db_rollback(db);
    if (db_query(db, NULL, &begin, NULL, 0, NULL, reterr) != 0)
        return -1;
    db->transaction = DB_IN_TRANSACTION;
    return 0;
}

int db_commit(struct db *db, struct error *reterr)
{
    struct arena *a = arena_new();
    const struct db_rows *rows = NULL;
    int status = -1;

    if (db->transaction == DB_NO_TRANSACTION)
        (void)error_internal(reterr, "commit: outside of a transaction");
    else
        status = db_query(db, a, &commit, NULL, 0, &rows, reterr);
    /* The server answers ROLLBACK when the transaction had failed. */
    if (status == 0 && strcmp(PQcmdStatus(rows->result), "COMMIT") != 0)
        status = error_internal(reterr, "commit: %s", PQcmdStatus(rows->result));
    if (status == 0)
        db->transaction = DB_NO_TRANSACTION;
    else
        db_rollback(db);
    arena_free(a);
    return status;
}

void db_rollback(struct db *db)
{
    bool is_open = db->transaction != DB_NO_TRANSACTION && db->state == DB_OPEN;
    struct error error;

    db->transaction = DB_NO_TRANSACTION;
    if (!is_open || PQtransactionStatus(db->conn) == PQTRANS_IDLE)
        return;
    if (db_query(db, NULL, &rollback, NULL, 0, NULL, &error) != 0 && db->state == DB_OPEN)
        drop(db, &error);
}

/* ---- the secret */

static const struct db_statement read_secret = {
    .name = "secret_read",
    .sql = "SELECT s.bytes FROM gangsaw.secret s",
    .gives_binary = true,
};

void db_secret_send(struct db *db, db_done *done, void *context)
{
    db_send(db, &read_secret, NULL, 0, done, context);
}

bool db_secret_read(const struct db_rows *rows, struct db_secret *ret_secret)
{
    size_t size;
    const void *bytes = db_get_bytes(rows, 0, 0, &size);
    if (!bytes || size != sizeof(ret_secret->bytes))
        return false;
    memcpy(ret_secret->bytes, bytes, size);
    return true;
}

int db_read_secret(struct db *db, const struct db_secret **ret_secret, struct error *reterr)
{
    if (!db->has_secret) {
        struct arena *a = arena_new();
        const struct db_rows *rows;
        int status = db_query(db, a, &read_secret, NULL, 0, &rows, reterr);
        if (status == 0 && !db_secret_read(rows, &db->secret))
            status = error_internal(reterr, "gangsaw.secret does not hold one row of 32 bytes");
        arena_free(a);
        if (status != 0)
            return -1;
        db->has_secret = true;
    }
    *ret_secret = &db->secret;
    return 0;
}
