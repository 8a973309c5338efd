/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - what the database says about the jobs that somebody here waits for
 *
 * One entry for a job, however many clients wait for it. It is marked in the database as watched,
 * and asked for whenever a notification names it; notifications can get lost, so all are asked for
 * each second too, less often once notifications prove to come. One connection, one statement under
 * way at a time: what comes up meanwhile is collected for the next, so that a thousand new
 * clients cost one statement. After every reconnect all is marked and asked anew.
 *
 * Most jobs that are waited for were stored a moment ago by the request that waits, as awaited: the
 * database notifies their end unasked. Where the hub has listened since before the job was stored,
 * and remembers what it has heard since, such a job costs no statement at all.
 */
#ifndef HUB_WATCH_H
#define HUB_WATCH_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/config.h"
#include "db/job.h"

#define WATCH_BATCH 1000 /* jobs of one statement */

enum watch_ask { WATCH_ASK_NOTHING, WATCH_ASK_STATE, WATCH_ASK_MARK, WATCH_ASK_COUNT };

struct client;
LIST_HEAD(client_list, client);

/* One job that clients wait for. */
struct watched {
    struct client_list clients; /* the owner of the watch puts them in and takes them out */
    int64_t key;
    struct watched *next; /* in its bucket of the table */
    TAILQ_ENTRY(watched) link;
    enum watch_ask ask; /* which queue it is in; NOTHING: the idle one */
    bool is_marked;     /* as watched, or about to be */
    bool is_asked;      /* in the statement under way */
    bool is_found;      /* and among its rows */
    bool is_notified;   /* since it was last asked for */
    bool is_known;      /* the last answer: */
    enum job_state state;
    int64_t lease;
    double fraction;
};

struct watch_events {
    /* A job as it is now; NULL: there is none of that key. All clients may be taken from `w`. */
    void (*found)(void *context, struct watched *w, const struct job_row *row,
                  struct arena *scratch);
    /* A job has ended, as a notification says: what it came to is not known. The same as above. */
    void (*ended)(void *context, struct watched *w);
    void (*secret_known)(void *context); /* ids can be checked; called after each connect */
    void (*connected)(void *context);
    void (*keys_changed)(void *context); /* as the database notified */
    void (*lost)(void *context, const struct error *error);
    void (*refused)(void *context,
                    const struct error *error); /* a statement failed; it is tried again */
    void *context;
};

struct watch;

/* Errors: ERR_INTERNAL. */
int watch_open(const struct config *cfg, const struct watch_events *events,
               struct watch **ret_watch, struct error *reterr);
void watch_close(struct watch *w); /* NULL is fine */

/* The connection, for who asks for something else besides. */
struct db *watch_db(const struct watch *w);

/* NULL until it is known. */
const struct db_secret *watch_secret(const struct watch *w);

/* The entry of a job; `found` comes for a new one soon, and for every change. */
struct watched *watch_job(struct watch *w, int64_t key);

/* The same for a job that was stored as awaited, by who wants its end alone: `ended` comes too, and
 * `found` may not come before. NULL: it has ended already. */
struct watched *watch_awaited(struct watch *w, int64_t key);

/* `found` comes soon, changed or not. */
void watch_ask(struct watch *w, struct watched *job);

/* Free the entry: its last client has left. */
void watch_drop(struct watch *w, struct watched *job);

/* As db_poll() and db_step(). */
int64_t watch_poll(const struct watch *w, struct pollfd *ret_poll);
void watch_step(struct watch *w);

struct watch_status {
    bool is_connected;
    int jobs;
    double poll_seconds;
    uint64_t notifications; /* ids in them that somebody waited for */
    uint64_t statements;
};
struct watch_status watch_status(const struct watch *w);

#endif
