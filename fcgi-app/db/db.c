/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db.c - a connection's life, and the queue of statements for it; see db.h
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
#define STABLE_US 5000000 /* a connection of this age begins with the least delay again */

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

void db_answer_head(struct db *db, PGresult *result, const struct db_failure *failure)
{
    deliver(db, pop(db), result, failure);
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
        db_receive(db);
    if (db->state == DB_OPEN && db->needs_flush)
        db_flush(db);
    if (db->state == DB_OPEN && !db->is_closing)
        db_send_head(db);
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
