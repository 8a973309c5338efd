/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scoreboard.h - what each worker of a generation is doing, in shared memory
 *
 * The master makes it and reads it; each worker writes its own record, and all of them what they
 * share. What waits for an executor
 * or computes stands in the gang's places (exec/gang.h); the status joins the two by pid.
 */
#ifndef POOL_SCOREBOARD_H
#define POOL_SCOREBOARD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/api.h"
#include "base/error.h"
#include "db/db.h"

enum worker_state { WORKER_NONE, WORKER_STARTING, WORKER_IDLE, WORKER_BUSY, WORKER_DRAINING };

struct worker_record {
    _Atomic int32_t pid;
    _Atomic int32_t state;
    _Atomic int64_t started_us; /* monotonic */
    _Atomic int64_t since_us;   /* when it entered its state */
    _Atomic uint64_t requests;
};

/* What the workers of a pool find out together. */
struct scoreboard_shared {
    struct db_breaker breaker;
    struct api_readiness readiness;
};

struct scoreboard {
    struct scoreboard_shared *shared; /* in shared memory, the records behind it */
    struct worker_record *workers;
    int count;
    int fd;
};

int scoreboard_create(int count, struct scoreboard *ret_board, struct error *reterr);

/* Takes `fd` over. Errors: ERR_INTERNAL when it has no record number `index`. */
int scoreboard_join(int fd, int index, struct scoreboard *ret_board, struct error *reterr);
void scoreboard_close(struct scoreboard *b); /* NULL is fine */

/* The one door for state changes. */
void worker_enter(struct worker_record *w, enum worker_state state);

/* "idle" … a static string. */
const char *worker_state_name(enum worker_state state);

#endif
