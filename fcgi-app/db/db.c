/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db.c - the queue of statements on one connection; see db.h
 *
 * One statement is under way at a time. A statement's first use sends its PREPARE with it, in
 * libpq's pipeline mode, so that it costs no round trip of its own.
 */
#include "db/db.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/strbuf.h"
#include "db/db_internal.h"

#define DELAY_MIN_US 100000
#define DELAY_MAX_US 5000000
#define STABLE_US 5000000         /* a connection of this age begins with the least delay again */
#define READS_MAX 16              /* of one db_step(): the rest waits for the next */
#define VALUE_SIZE_MAX 0x3fffffff /* the server's own limit for one message */

/* ---- life */

struct db *db_open(const struct db_settings *settings)
{
    struct arena *a = arena_new();
    struct db *db = arena_alloc(a, sizeof(*db));
    db->arena = a;
    db->budget_ms = settings->budget_ms;
    db->breaker = settings->breaker;
    db->query_deadline_us = DB_NEVER;
    db->deadline_us = DB_NEVER;
    db->is_target_valid = db_target_parse(settings, a, &db->target, &db->target_error) == 0;
    return db;
}

static void disconnect(struct db *db)
{
    PQclear(db->result);
    db->result = NULL;
    PQfinish(db->conn);
    db->conn = NULL;
    db->state = DB_CLOSED;
    db->deadline_us = DB_NEVER;
    db->prepared_count = 0;
    db->is_sent = db->is_pipelined = db->is_preparing = db->is_failed = false;
    db->is_greeted = db->needs_flush = false;
}

static void free_request(struct db_request *r)
{
    arena_free(r->arena);
}

static void destroy(struct db *db)
{
    disconnect(db);
    while (db->head) {
        struct db_request *r = db->head;
        db->head = r->next;
        free_request(r);
    }
    arena_free(db->arena);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db->is_closing = true;
    if (!db->is_stepping)
        destroy(db);
}

/* ---- the queue */

void db_push(struct db *db, struct db_request *r)
{
    r->next = NULL;
    if (db->tail)
        db->tail->next = r;
    else
        db->head = r;
    db->tail = r;
    db->pending++;
}

static struct db_request *pop(struct db *db)
{
    struct db_request *r = db->head;
    db->head = r->next;
    if (!db->head)
        db->tail = NULL;
    db->pending--;
    return r;
}

/* Give `result` (NULL: `failure` tells why) to whoever asked; it belongs to this function. */
static void deliver(struct db *db, struct db_request *r, PGresult *result,
                    const struct db_failure *failure)
{
    if (r->waiter) {
        r->waiter->is_done = true;
        r->waiter->result = result;
        if (!result) {
            r->waiter->error = failure->error;
            r->waiter->trouble = failure->trouble;
        }
        return;
    }
    struct db_rows rows = {.result = result};
    if (r->done && !db->is_closing)
        r->done(r->context, result ? &rows : NULL, result ? NULL : &failure->error);
    PQclear(result);
    free_request(r);
}

static struct db_value copy_value(struct arena *a, struct db_value v)
{
    if (v.bytes && v.is_binary)
        v.bytes = arena_memdup(a, v.bytes, v.size);
    else if (v.bytes)
        v.bytes = arena_strdup(a, v.bytes);
    return v;
}

static struct db_request *request_new(const struct db_statement *s, const struct db_value *values,
                                      int count)
{
    struct arena *a = arena_new();
    struct db_request *r = arena_alloc(a, sizeof(*r));
    struct db_value *copies = arena_alloc(a, (size_t)count * sizeof(*copies));
    for (int i = 0; i < count; i++)
        copies[i] = copy_value(a, values[i]);
    *r = (struct db_request){.arena = a, .statement = s, .values = copies, .count = count};
    return r;
}

void db_send(struct db *db, const struct db_statement *s, const struct db_value *values, int count,
             db_done *done, void *context)
{
    struct db_request *r = request_new(s, values, count);
    r->done = done;
    r->context = context;
    db_push(db, r);
}

void db_forget(struct db *db, const void *context)
{
    struct db_request *const lists[] = {db->head, db->dropped};
    for (int i = 0; i < 2; i++) {
        for (struct db_request *r = lists[i]; r; r = r->next)
            r->done = r->context == context ? NULL : r->done;
    }
}

int db_pending(const struct db *db)
{
    return db->pending;
}

/* ---- losing the connection */

static int64_t jittered(int64_t delay_us)
{
    uint32_t bits = 0;
    (void)!getrandom(&bits, sizeof(bits), GRND_NONBLOCK);
    return delay_us * 3 / 4 + delay_us / 2 * (bits % 1024) / 1024;
}

static void plan_retry(struct db *db)
{
    int64_t now = clock_us();
    bool was_stable = db->state == DB_OPEN && now - db->opened_us >= STABLE_US;
    if (was_stable || db->delay_us == 0)
        db->delay_us = DELAY_MIN_US;
    else
        db->delay_us = db->delay_us * 2 < DELAY_MAX_US ? db->delay_us * 2 : DELAY_MAX_US;
    db->retry_us = now + jittered(db->delay_us);
}

void db_lose(struct db *db, const struct error *why)
{
    metrics_add(METRIC_DB_FAILURES, 1);
    struct db_failure failure = {.error = *why, .trouble = DB_AWAY};
    if (db->transaction == DB_IN_TRANSACTION) {
        db->transaction = DB_TRANSACTION_FAILED;
        db->transaction_error = *why;
    }
    plan_retry(db);
    disconnect(db);
    /* What callbacks send from now on is for the next connection. */
    db->dropped = db->head;
    db->head = db->tail = NULL;
    db->pending = 0;
    while (db->dropped) {
        struct db_request *r = db->dropped;
        db->dropped = r->next;
        deliver(db, r, NULL, &failure);
    }
    if (db->is_kept && !db->is_lost_told && !db->is_closing) {
        db->is_lost_told = true;
        if (db->events.lost)
            db->events.lost(db->events.context, &failure.error);
    }
}

static void lose_broken(struct db *db, const char *what)
{
    struct error error;
    (void)db_fail_unavailable(&error, what, PQerrorMessage(db->conn));
    db_lose(db, &error);
}

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

static void flush(struct db *db)
{
    int status = PQflush(db->conn);
    db->needs_flush = status == 1;
    if (status < 0)
        lose_broken(db, "send");
}

/* The head, if nothing is under way. */
static void send_next(struct db *db)
{
    struct parameters p;
    while (db->state == DB_OPEN && db->head && !db->is_sent) {
        if (!fill_parameters(&p, db->head)) {
            struct db_failure failure = {.trouble = DB_NO_TROUBLE};
            (void)error_internal(&failure.error, "%s: too many values, or too large ones",
                                 db->head->statement->name);
            deliver(db, pop(db), NULL, &failure);
            continue;
        }
        db->is_sent = true;
        db->used_us = clock_us();
        db->deadline_us =
            db->budget_ms > 0 ? db->used_us + (int64_t)db->budget_ms * 1000 : DB_NEVER;
        if (send_request(db, db->head, &p))
            flush(db);
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
    deliver(db, pop(db), result, &failure);
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

static void receive(struct db *db)
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

/* ---- a new connection */

static void greet(struct db *db)
{
    db->is_greeted = true;
    db->is_lost_told = false;
    if (db->is_kept && db->events.connected && !db->is_closing)
        db->events.connected(db->events.context);
}

static void listened(void *context, const struct db_rows *rows, const struct error *error)
{
    struct db *db = context;
    if (rows)
        greet(db);
    else if (db->state == DB_OPEN)
        db_lose(db, error);
}

static struct db_request *listen_request(struct db *db)
{
    struct db_request *r = request_new(&db->listen, NULL, 0);
    r->done = listened;
    r->context = db;
    return r;
}

/* First in the queue, before what was sent while there was no connection. */
static void listen_first(struct db *db)
{
    struct db_request *r = listen_request(db);
    r->next = db->head;
    db->head = r;
    if (!db->tail)
        db->tail = r;
    db->pending++;
}

void db_opened(struct db *db)
{
    db->state = DB_OPEN;
    db->deadline_us = DB_NEVER;
    db->opened_us = db->used_us = clock_us();
    if (db->is_kept)
        listen_first(db);
    else
        greet(db);
}

/* As an SQL identifier: any channel's name is possible. */
static void add_identifier(struct strbuf *out, const char *name)
{
    strbuf_addch(out, '"');
    for (; *name; name++) {
        if (*name == '"')
            strbuf_addch(out, '"');
        strbuf_addch(out, *name);
    }
    strbuf_addch(out, '"');
}

static void set_listen(struct db *db, const char *const *channels)
{
    struct strbuf sql = STRBUF_INIT;
    for (; channels && *channels; channels++) {
        strbuf_addstr(&sql, "LISTEN ");
        add_identifier(&sql, *channels);
        strbuf_addstr(&sql, ";");
    }
    /* Without channels an empty query, which shows that the connection works. */
    db->listen = (struct db_statement){
        .name = "listen",
        .sql = arena_strndup(db->arena, sql.text, sql.size),
        .is_unprepared = true,
    };
    strbuf_release(&sql);
}

void db_keep(struct db *db, const struct db_events *events, const char *const *channels)
{
    db->is_kept = true;
    db->events = *events;
    set_listen(db, channels);
    if (db->state == DB_OPEN)
        db_push(db, listen_request(db));
}

/* ---- the event loop's side */

bool db_is_connected(const struct db *db)
{
    return db->state == DB_OPEN && db->is_greeted;
}

int64_t db_poll(const struct db *db, struct pollfd *ret_poll)
{
    *ret_poll = (struct pollfd){.fd = -1};
    if (db->state == DB_CLOSED)
        return db->head || db->is_kept ? db->retry_us : DB_NEVER;
    ret_poll->fd = PQsocket(db->conn);
    if (db->state == DB_CONNECTING) {
        ret_poll->events = db->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        return db->deadline_us;
    }
    ret_poll->events = (short)(POLLIN | (db->needs_flush ? POLLOUT : 0));
    return db->head && !db->is_sent ? 0 : db->deadline_us;
}

static void connect_if_wanted(struct db *db)
{
    if ((!db->head && !db->is_kept) || clock_us() < db->retry_us)
        return;
    if (db->is_target_valid)
        db_connect_start(db);
    else
        db_lose(db, &db->target_error);
}

static void check_deadline(struct db *db)
{
    struct error error;
    if (!db->is_sent || clock_us() < db->deadline_us)
        return;
    (void)db_fail_slow(&error, db->head->statement->name, db->budget_ms);
    db_lose(db, &error);
}

static void advance(struct db *db)
{
    if (db->state == DB_CLOSED)
        connect_if_wanted(db);
    if (db->state == DB_CONNECTING)
        db_connect_go(db);
    if (db->state == DB_OPEN)
        receive(db);
    if (db->state == DB_OPEN && db->needs_flush)
        flush(db);
    if (db->state == DB_OPEN && !db->is_closing)
        send_next(db);
    if (db->state == DB_OPEN)
        check_deadline(db);
}

void db_step(struct db *db)
{
    if (db->is_stepping)
        return;
    db->is_stepping = true;
    advance(db);
    db->is_stepping = false;
    if (db->is_closing)
        destroy(db);
}

void db_close_idle(struct db *db, int idle_ms)
{
    bool is_free = db->state == DB_OPEN && !db->head && !db->is_stepping && !db->is_kept &&
                   db->transaction == DB_NO_TRANSACTION;
    if (is_free && clock_us() - db->used_us >= (int64_t)idle_ms * 1000)
        disconnect(db);
}
