/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db_internal.h - what db.c, connect.c, exchange.c, query.c and rows.c share
 *
 * A connection goes closed → connecting → open and back. connect.c makes it, db.c keeps the queue,
 * exchange.c sends its head and takes the results, query.c waits for one statement. Callbacks are
 * called at points where the struct is whole, so that they may send, or close the connection's
 * owner.
 */
#ifndef DB_DB_INTERNAL_H
#define DB_DB_INTERNAL_H

#include <libpq-fe.h>

#include "db/db.h"

#define DB_CONNECT_LIMIT_US 5000000 /* of one host */
#define DB_PREPARED_MAX 256         /* of one connection; further ones go unprepared */
#define DB_NEVER INT64_MAX

struct db_rows {
    PGresult *result;
};

/* What an error says of the server, for the breaker. */
enum db_trouble {
    DB_NO_TROUBLE, /* it answered */
    DB_AWAY,
    DB_SLOW, /* it gave the statement up by its own time limit */
};

/* Why a statement has no result. */
struct db_failure {
    struct error error;
    enum db_trouble trouble;
    bool is_spoilt; /* the connection is of no more use */
};

/* Somebody who waits in db_query(). */
struct db_waiter {
    PGresult *result; /* his own from then on; NULL: failed */
    struct error error;
    enum db_trouble trouble;
    bool is_done;
};

struct db_request {
    struct db_request *next;
    struct arena *arena; /* holds the request and its values; NULL: they are the waiter's */
    const struct db_statement *statement;
    const struct db_value *values;
    int count;
    db_done *done;
    void *context;
    struct db_waiter *waiter; /* instead of done */
};

/* Where to: the url, host by host. libpq would walk through several hosts by itself, but asked to
 * connect without waiting it has no time limit, and one that does not answer would hide the rest.
 */
struct db_target {
    const char **keywords, **values;          /* for PQconnectStartParams(), ending with NULL */
    const char **hosts, **addresses, **ports; /* of each host; NULL: the url has none */
    const char **host_value, **address_value, **port_value; /* where they stand in `values` */
    int host_count;                                         /* at least 1 */
    int host;                                               /* the one in use, or tried */
};

enum db_state { DB_CLOSED, DB_CONNECTING, DB_OPEN };
enum db_transaction { DB_NO_TRANSACTION, DB_IN_TRANSACTION, DB_TRANSACTION_FAILED };

struct db {
    struct arena *arena;
    struct db_target target;
    bool is_target_valid;
    struct error target_error;
    int budget_ms;
    struct db_breaker *breaker;

    enum db_state state;
    PGconn *conn;
    PostgresPollingStatusType polling; /* while connecting */
    int hosts_left;
    struct error connect_error; /* of the hosts tried so far */
    int64_t deadline_us;        /* of the host tried, or of the statement under way */
    int64_t retry_us, delay_us; /* when to connect again; the delay that grows */
    int64_t opened_us, used_us;
    bool needs_flush;
    bool is_greeted; /* LISTENs are done, `connected` was called */
    const struct db_statement *prepared[DB_PREPARED_MAX];
    int prepared_count;

    struct db_request *head, *tail;
    int pending;
    struct db_request *dropped; /* what a lost connection leaves to be called back */
    bool is_sent;               /* the head is under way */
    bool is_pipelined;          /* it was sent together with its PREPARE … */
    bool is_preparing;          /* … whose answer has not come yet */
    int empty_count;            /* ends of results in turn */
    PGresult *result;
    bool is_failed;
    struct db_failure failure; /* if so */

    bool is_kept, is_lost_told;
    struct db_events events;
    struct db_statement listen;

    bool is_stepping, is_closing;

    enum db_transaction transaction;
    struct error transaction_error;
    int64_t query_deadline_us; /* of the db_query() that waits, else DB_NEVER */
    struct db_secret secret;
    bool has_secret;
};

/* ---- connect.c */

/* Read the url; the texts belong to `a`. Errors: ERR_INTERNAL. */
int db_target_parse(const struct db_settings *settings, struct arena *a,
                    struct db_target *ret_target, struct error *reterr);

/* From closed to connecting, as far as it goes without waiting. */
void db_connect_start(struct db *db);
void db_connect_go(struct db *db);
bool db_is_socket_ready(int fd, short events);

/* ---- db.c */

void db_push(struct db *db, struct db_request *r);
/* Take the head from the queue and give `result` (NULL: `failure` tells why) to whoever asked. */
void db_answer_head(struct db *db, PGresult *result, const struct db_failure *failure);
/* The connection has just been made. */
void db_opened(struct db *db);
/* Close the connection, if there is one, and call back all that was queued. */
void db_lose(struct db *db, const struct error *why);

/* ---- exchange.c: of an open connection, as far as it goes without waiting */

/* The head of the queue, if nothing is under way. */
void db_send_head(struct db *db);
/* What libpq could not send yet. */
void db_flush(struct db *db);
/* Results and notifications. */
void db_receive(struct db *db);

/* ---- failure.c: what the server or libpq said, as an error of ours */

/* ERR_UNAVAILABLE; the words (which may be NULL) are for the log, after `what`. Returns -1. */
int db_fail_unavailable(struct error *e, const char *what, const char *words);
int db_fail_slow(struct error *e, const char *what, int limit_ms);

void db_fail_result(struct db_failure *f, const struct db_statement *s, const PGresult *result);

#endif
