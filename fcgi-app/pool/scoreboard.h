/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scoreboard.h - what each worker of a generation is doing, in shared memory
 *
 * The master makes it and reads it; each worker writes its own record, and all of them what they
 * share. What waits for an executor or computes stands in the gang's places (exec/gang.h); the
 * status joins the two by pid.
 *
 * Places in the database: all but one of the workers may be in there at a time, and all but two
 * with what takes long; at least one. A place is owned by the worker whose number stands in it,
 * taken with one compare-and-swap, and given back by the worker's successor when it died: none can
 * leak.
 *
 * Places of idle workers on kept connections are of the same kind. There are as many workers more
 * than the pool needs for its promises, so that what connects anew is accepted as if there were no
 * such places; in the database there are none for them.
 */
#ifndef POOL_SCOREBOARD_H
#define POOL_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/api.h"
#include "base/error.h"
#include "db/db.h"

enum worker_state {
    WORKER_NONE,
    WORKER_STARTING,
    WORKER_IDLE,
    WORKER_KEPT, /* idle too, on a connection that the web server keeps */
    WORKER_BUSY,
    WORKER_DRAINING
};

struct worker_record {
    _Atomic int32_t pid;
    _Atomic int32_t state;
    _Atomic int64_t started_us; /* monotonic */
    _Atomic int64_t since_us;   /* when it entered its state */
    _Atomic uint64_t requests;
    /* Place i of a kind stands in record i: number of the worker that owns it, from 1; 0: free. */
    _Atomic int32_t owners[2]; /* by enum api_use; a long use has a place of each */
    _Atomic int32_t keeper;    /* the same for kept connections */
};

/* What the workers of a pool find out together. */
struct scoreboard_shared {
    int32_t kept_max; /* written once */
    struct db_breaker breaker;
    struct api_readiness readiness;
    struct api_figures figures;
    /* By enum api_use: somebody waited for a place in vain, and none was given back since. */
    _Atomic int32_t is_stuck[2];
};

struct scoreboard {
    struct scoreboard_shared *shared; /* in shared memory, the records behind it */
    struct worker_record *workers;
    int count;
    int index; /* of the worker that joined */
    int kept;  /* the place for a kept connection that it had last */
    int fd;
};

/* Of `count` workers as many as `kept_max` may be idle on a kept connection. */
int scoreboard_create(int count, int kept_max, struct scoreboard *ret_board, struct error *reterr);

/* Takes `fd` over. Errors: ERR_INTERNAL when it has no record number `index`. */
int scoreboard_join(int fd, int index, struct scoreboard *ret_board, struct error *reterr);
void scoreboard_close(struct scoreboard *b); /* NULL is fine */

/* How many places there are for a use of the database. */
int scoreboard_places(const struct scoreboard *b, enum api_use use);

/*
 * Take a place for the worker that joined; it may have it already. With `may_wait`, one is waited
 * for, half a second at most, and not at all where somebody has just waited in vain: while the
 * database answers, places are soon free.
 */
bool scoreboard_enter(struct scoreboard *b, enum api_use use, bool may_wait);

/* Give all places of the worker back. */
void scoreboard_leave(struct scoreboard *b);

/* Take a place for an idle worker on a kept connection; false when there is none. Give it back. */
bool scoreboard_keep(struct scoreboard *b);
void scoreboard_unkeep(struct scoreboard *b);

/* Does another worker wait for new connections? Says no too often rather than look at all. */
bool scoreboard_has_listener(const struct scoreboard *b);

/* The one door for state changes. */
void worker_enter(struct worker_record *w, enum worker_state state);

/* "idle" … a static string. */
const char *worker_state_name(enum worker_state state);

#endif
