/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.h - the clients that the hub holds
 *
 * One connection each, from nginx, that makes one request. A client that is not being read waits
 * for its job, follows its events, or has the rest of its events sent; each has one timer, for
 * whatever is due next. Nothing here waits; a client that has left frees its place at once.
 */
#ifndef HUB_CLIENT_H
#define HUB_CLIENT_H

#include "base/arena.h"
#include "base/strbuf.h"
#include "hub/timers.h"
#include "hub/watch.h"

#define CLIENT_READERS_MAX 1024 /* whose request is being read; more stay in the backlog */

/* Where a wait ends, nginx asks the pool `api` at once, and thousands may wait for one job. So a
 * burst of them goes on together, which its backlog takes, and the others at half the rate at which
 * it answers: its cores have other work too. As long as no more clients are here than a burst, all
 * go on at once: they have come through `api` too, and cannot go back faster than that. */
#define CLIENT_TURNS_BURST 64
#define CLIENT_TURNS_PER_CORE 1000 /* a second */

enum client_state {
    CLIENT_READING,   /* its request */
    CLIENT_HELD,      /* until the secret is known that its job's id is checked with */
    CLIENT_WAITING,   /* for the end of its job */
    CLIENT_LEAVING,   /* its wait is over; until its turn to go on */
    CLIENT_STREAMING, /* its job's events */
    CLIENT_ENDING,    /* the rest of its stream is being sent */
    CLIENT_STATE_COUNT
};

/* Over the hub's life. */
struct client_counts {
    uint64_t ended;     /* waits that their job's end was the end of */
    uint64_t timed_out; /* waits whose time was over */
    uint64_t streams;   /* event streams begun */
    uint64_t left;      /* clients that hung up */
    uint64_t slow;      /* streams given up since their client does not read */
    uint64_t refused;   /* over the limit */
    uint64_t invalid;   /* requests that were none */
};

struct clients {
    int epoll_fd;
    int limit;           /* of those that are not being read */
    struct watch *watch; /* lives as long */
    struct keys *keys;   /* the same */
    struct timers timers;
    struct client_list everyone, held;
    int64_t turn_us;       /* when the turn was that was given out last */
    int64_t turn_every_us; /* between two of them */
    int total;
    int by_state[CLIENT_STATE_COUNT];
    struct client_counts counts;
    bool is_finishing;
    /* For the moment: what was just read, what is about to be sent. */
    struct arena *scratch;
    char *bytes;
    struct strbuf answer, event;
};

/* `watch` and `keys` are set before the first client comes. */
int clients_open(struct clients *cs, int epoll_fd, int limit, int cores, struct error *reterr);
/* Whoever waits for its turn goes on now; the others are dropped. */
void clients_close(struct clients *cs);

/* May another be accepted? */
bool clients_have_room(const struct clients *cs);

/* Take over a connection, non-blocking, whose events come with the client as data. */
void client_accept(struct clients *cs, int fd);

/* Its events of epoll. */
void client_ready(struct clients *cs, struct client *c, uint32_t events);

/* Do what is due; clients_due() is when to call again (INT64_MAX: no time). */
void clients_tick(struct clients *cs);
int64_t clients_due(const struct clients *cs);

/* For the watch's events of the same names. */
void clients_secret_known(struct clients *cs);
void clients_ended(struct clients *cs, struct watched *job);
void clients_found(struct clients *cs, struct watched *job, const struct job_row *row,
                   struct arena *scratch);

/* The hub ends: answer all as if their time was over; also those who are being read, once they are.
 */
void clients_finish(struct clients *cs);

#endif
