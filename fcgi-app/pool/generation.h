/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generation.h - the workers and executors that a master started together
 *
 * HUP makes a new generation beside the old one: with its own gang, scoreboard and configuration,
 * on the same listening socket. The old one drains once the new one is ready. Dead children are
 * replaced, at once when they had worked, with a growing delay when they die young; a slot is never
 * given up.
 */
#ifndef POOL_GENERATION_H
#define POOL_GENERATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "exec/child_log.h"
#include "exec/gang.h"
#include "exec/slots.h"
#include "pool/pool.h"
#include "pool/scoreboard.h"

#define SIGNAL_COUNT 65

enum child_kind { CHILD_WORKER, CHILD_EXECUTOR, CHILD_FORK_SERVER, CHILD_KIND_COUNT };

/* How children ended, over the master's life. */
struct exit_counts {
    uint64_t finished; /* status 0: recycled, or drained */
    uint64_t failed;   /* another status */
    uint64_t signals[SIGNAL_COUNT];
};

struct child {
    enum child_kind kind;
    int index;       /* of its scoreboard record or executor number */
    pid_t pid;       /* 0: not running */
    int lifeline_fd; /* our end; closing it ends the child. -1: closed, and for workers */
    int64_t started_us;
    int64_t restart_us;   /* not running: when to start it again */
    int delay_ms;         /* grows while it dies young */
    struct child_log log; /* executors: their stdout and stderr */
    bool is_announced;    /* executors: noted as taking runs; fork server: as ready */
    int64_t retired_us;   /* executors: when it was first seen to be retired; 0: it is not */
    uint64_t turn;        /* executors: whose turn it was at the last look that saw it change … */
    int64_t turn_us;      /* … or compute, and when that was */
};

enum generation_state { GENERATION_STARTING, GENERATION_SERVING, GENERATION_DRAINING };

struct generation {
    int number;
    enum generation_state state;
    enum pool_kind kind;
    struct arena *arena; /* owns config and children */
    const struct config *config;
    const char *program; /* path of gangsaw, for the fork server */
    int config_fd;       /* a memfd with the configuration as text, for workers started later */
    int listen_fd, epoll_fd;
    int worker_lifeline[2]; /* closing the write end, [1], ends all workers */
    int *worker_fds;        /* what a worker inherits */
    int worker_fd_count;
    struct gang *gang; /* NULL in pool api */
    struct slots_plan slots;
    struct class_limits limits[TASK_CLASS_COUNT];
    struct scoreboard board;
    struct child *children; /* workers first, the fork server last */
    int child_count, worker_count;
    int64_t deadline_us;       /* STARTING: to be ready by; DRAINING: killed then */
    struct exit_counts *exits; /* the master's, by child kind */
    struct generation *next;
};

/*
 * Start all its processes.
 * Ownership: takes `arena` over (config lives in it) on success. Executors' output is added to
 * `epoll_fd` with their child_log as data.
 */
int generation_start(const struct generation *seed, struct generation **ret_generation,
                     struct error *reterr);

/* Is every process of it ready for its first request? */
bool generation_is_ready(const struct generation *g);

/* Workers finish what they have and go, then the executors; what is left at the deadline is killed.
 */
void generation_drain(struct generation *g);
void generation_kill(struct generation *g);

/* A child of the master ended: true when it was one of this generation's. */
bool generation_reap(struct generation *g, pid_t pid, int status);

/* Do what is due: restarts, executors that are ready or retired, the deadline. Returns when it
 * wants to be called again.
 */
int64_t generation_tick(struct generation *g);

/* Draining, and no process left. */
bool generation_is_gone(const struct generation *g);
void generation_free(struct generation *g);

#endif
