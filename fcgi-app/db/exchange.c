/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exchange.c - sends the statement at the head of the queue, and takes what the server answers
 *
 * One statement is under way at a time. A statement's first use sends its PREPARE with it, in
 * libpq's pipeline mode, so that it costs no round trip of its own.
 */
#include "base/clock.h"
#include "base/metrics.h"
#include "db/db_internal.h"

#define READS_MAX 16              /* of one db_step(): the rest waits for the next */
#define VALUE_SIZE_MAX 0x3fffffff /* the server's own limit for one message */

/* ---- sending */

static bool is_prepared(const struct db *db, const struct db_statement *s)
{
    for (int i = 0; i < db->prepared_count; i++) {
        if (db->prepared[i] == s)
            return true;
    }
    return false;
}

struct parameters {
    const char *values[DB_VALUES_MAX];
    int sizes[DB_VALUES_MAX], formats[DB_VALUES_MAX];
};

/* False when there are too many, or one is too large. */
static bool fill_parameters(struct parameters *p, const struct db_request *r)
{
    if (r->count > DB_VALUES_MAX)
        return false;
    for (int i = 0; i < r->count; i++) {
        const struct db_value *v = &r->values[i];
        if (v->is_binary && v->size > VALUE_SIZE_MAX)
            return false;
        p->values[i] = v->bytes;
        p->sizes[i] = v->is_binary ? (int)v->size : 0;
        p->formats[i] = v->is_binary;
    }
    return true;
}

static bool send_prepared(struct db *db, const struct db_request *r, const struct parameters *p)
{
    const struct db_statement *s = r->statement;
    if (is_prepared(db, s))
        return PQsendQueryPrepared(db->conn, s->name, r->count, p->values, p->sizes, p->formats,
                                   s->gives_binary) == 1;
    if (PQenterPipelineMode(db->conn) != 1)
        return false;
    db->is_pipelined = db->is_preparing = true;
    return PQsendPrepare(db->conn, s->name, s->sql, 0, NULL) == 1 &&
           PQsendQueryPrepared(db->conn, s->name, r->count, p->values, p->sizes, p->formats,
                               s->gives_binary) == 1 &&
           PQpipelineSync(db->conn) == 1;
}

static bool send_request(struct db *db, const struct db_request *r, const struct parameters *p)
{
    const struct db_statement *s = r->statement;
    bool has_room = db->prepared_count < DB_PREPARED_MAX || is_prepared(db, s);
    if (!s->is_unprepared && has_room)
        return send_prepared(db, r, p);
    if (r->count == 0 && !s->gives_binary)
        return PQsendQuery(db->conn, s->sql) == 1;
    return PQsendQueryParams(db->conn, s->sql, r->count, NULL, p->values, p->sizes, p->formats,
                             s->gives_binary) == 1;
}

static void lose_broken(struct db *db, const char *what)
{
    struct error error;
    (void)db_fail_unavailable(&error, what, PQerrorMessage(db->conn));
    db_lose(db, &error);
}

void db_flush(struct db *db)
{
    int status = PQflush(db->conn);
    db->needs_flush = status == 1;
    if (status < 0)
        lose_broken(db, "send");
}

void db_send_head(struct db *db)
{
    struct parameters p;
    while (db->state == DB_OPEN && db->head && !db->is_sent) {
        if (!fill_parameters(&p, db->head)) {
            struct db_failure failure = {.trouble = DB_NO_TROUBLE};
            (void)error_internal(&failure.error, "%s: too many values, or too large ones",
                                 db->head->statement->name);
            db_answer_head(db, NULL, &failure);
            continue;
        }
        db->is_sent = true;
        db->used_us = clock_us();
        db->deadline_us =
            db->budget_ms > 0 ? db->used_us + (int64_t)db->budget_ms * 1000 : DB_NEVER;
        if (send_request(db, db->head, &p))
            db_flush(db);
        else
            lose_broken(db, db->head->statement->name);
    }
}

/* ---- receiving */

/* The head is answered, or never will be. */
static void finish_head(struct db *db)
{
    struct db_failure failure = db->failure;
    bool is_spoilt = db->is_failed && failure.is_spoilt;
    PGresult *result = db->result;

    if (db->is_failed) {
        PQclear(result);
        result = NULL;
    }
    int64_t now_us = clock_us();
    metrics_observe(METRIC_DB_LATENCY, (double)(now_us - db->used_us) / 1e6);
    if (db->is_failed && !is_spoilt && failure.error.code == ERR_UNAVAILABLE)
        metrics_add(METRIC_DB_FAILURES, 1);
    db->result = NULL;
    db->is_sent = db->is_pipelined = db->is_preparing = db->is_failed = false;
    db->empty_count = 0;
    db->deadline_us = DB_NEVER;
    db->used_us = now_us;
    db_answer_head(db, result, &failure);
    if (is_spoilt && db->state == DB_OPEN)
        db_lose(db, &failure.error);
}

/* Something is wrong between libpq and this file, or a statement is none for it. */
static void fail_head(struct db *db, const char *what)
{
    db->is_failed = true;
    db->failure = (struct db_failure){.trouble = DB_AWAY, .is_spoilt = true};
    (void)error_internal(&db->failure.error, "%s: %s", db->head->statement->name, what);
}

/* One result of the head; it belongs to this function. */
static void take_result(struct db *db, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    bool is_good =
        status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY;
    if (is_good && !db->is_preparing) {
        PQclear(db->result); /* of several commands the last one's counts */
        db->result = result;
        return;
    }
    if (is_good) {
        db->prepared[db->prepared_count++] = db->head->statement;
        db->is_preparing = false;
    } else if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
        if (!db->is_failed)
            db_fail_result(&db->failure, db->head->statement, result);
        db->is_failed = true;
    } else if (status != PGRES_PIPELINE_ABORTED) { /* COPY, which nobody here can feed */
        fail_head(db, PQresStatus(status));
    }
    PQclear(result);
}

/* False when there is nothing more to come for the head. */
static bool take_next(struct db *db)
{
    PGresult *result = PQgetResult(db->conn);
    if (!result) /* in a pipeline each command's results end so, the last ones before the sync */
        return db->is_pipelined && ++db->empty_count < 4;
    if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
        take_result(db, result);
        return !db->is_failed || !db->failure.is_spoilt;
    }
    PQclear(result);
    if (PQexitPipelineMode(db->conn) != 1) { /* libpq is not where it should be: a new one is */
        fail_head(db, "");
        (void)db_fail_unavailable(&db->failure.error, db->head->statement->name,
                                  PQerrorMessage(db->conn));
    }
    return false;
}

static void take_results(struct db *db)
{
    while (db->state == DB_OPEN && db->is_sent && !PQisBusy(db->conn)) {
        if (take_next(db))
            continue;
        if (!db->result && !db->is_failed)
            fail_head(db, "no result");
        finish_head(db);
    }
}

static void take_notifications(struct db *db)
{
    while (db->state == DB_OPEN && !db->is_closing) {
        PGnotify *n = PQnotifies(db->conn);
        if (!n)
            return;
        if (db->is_kept && db->events.notified)
            db->events.notified(db->events.context, n->relname, n->extra);
        PQfreemem(n);
    }
}

/* A connection that broke while a statement was under way may have left the reason behind. */
static void lose_on_read(struct db *db)
{
    const char *what = db->is_sent ? db->head->statement->name : "connection";
    PGresult *result = NULL;
    if (db->is_sent && PQstatus(db->conn) == CONNECTION_BAD)
        result = PQgetResult(db->conn);
    struct error error;
    (void)db_fail_unavailable(&error, what,
                              result ? PQresultErrorMessage(result) : PQerrorMessage(db->conn));
    PQclear(result);
    db_lose(db, &error);
}

static bool consume(struct db *db)
{
    /* TLS may hold bytes back that the socket no longer shows. */
    int times = PQsslInUse(db->conn) ? 3 : 1;
    for (int i = 0; i < times; i++) {
        if (PQconsumeInput(db->conn) != 1)
            return false;
    }
    return true;
}

void db_receive(struct db *db)
{
    for (int i = 0; i < READS_MAX && db->state == DB_OPEN && !db->is_closing; i++) {
        if (!db_is_socket_ready(PQsocket(db->conn), POLLIN))
            return;
        if (!consume(db)) {
            lose_on_read(db);
            return;
        }
        take_notifications(db);
        take_results(db);
    }
}
