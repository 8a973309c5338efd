/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gang.h - executors, and the places in front of them
 *
 * One shared mapping per generation of a pool. Its creator (the master) starts the executors
 * and reaps them; workers join it, take a place for each admitted request and compute
 * through it (exec/compute.h). A place is owned by the worker whose pid stands in it, taken
 * with one compare-and-swap and given back by the master when that worker died: none can leak.
 * A class has slots + queue_length places, so the waiting room is bounded exactly. Which place has
 * which executor is settled by exec/turn.h.
 *
 * Each executor listens on a socket of its own, so that one which was taken over by its input can
 * reach the run that it was given and no other.
 */
#ifndef EXEC_GANG_H
#define EXEC_GANG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "exec/catalog.h"
#include "exec/control.h"
#include "exec/links.h"

#define GANG_TEXT_SIZE 72
#define GANG_SEATS 8 /* runs that an executor may have: one it computes, and short ones ahead */

enum place_state { PLACE_WAITING = 1, PLACE_RUNNING, PLACE_STOPPING };

struct gang_shape {
    int slots[TASK_CLASS_COUNT]; /* executors of each class; 0: none */
    int queue_length;            /* of each class that has slots */
    bool has_one_run_each;       /* no executor takes a second run: none is sent ahead */
};

struct gang_place {
    _Atomic int32_t owner; /* pid of the worker; 0: free */
    int32_t class;
    _Atomic uint64_t turn;     /* in the line for an executor, or which one it has: exec/turn.h */
    _Atomic int32_t state;     /* enum place_state */
    _Atomic int32_t executor;  /* its number while running, else -1 */
    _Atomic bool wants_idle;   /* it does not go ahead: to an idle executor or none */
    _Atomic uint64_t run;      /* the number under which it is with an executor; 0: none */
    _Atomic int64_t since_us;  /* when it entered its state */
    char task[GANG_TEXT_SIZE]; /* for the status; written by the owner alone */
    char request_id[GANG_TEXT_SIZE];
};

struct gang_executor {
    _Atomic int32_t pid; /* 0: none at the moment */
    int32_t class;
    _Atomic int64_t started_us;
    _Atomic int32_t taking;            /* the pid, while that process takes runs; else 0 */
    _Atomic int32_t seats[GANG_SEATS]; /* of each the pid of who handed it out or gives it back;
                                          0: nobody has it */
    _Atomic int64_t moved_us;          /* when it last was handed out idle, or given back */
};

struct gang;

/*
 * Create the mapping, a listening socket for each executor and a bell for each place. The sockets
 * have no name left in the file system: who joins connects through the descriptors.
 */
int gang_create(const struct gang_shape *shape, struct gang **ret_gang, struct error *reterr);

/*
 * Join one: its descriptors, inherited, stand at `first_fd` and the numbers behind it. Takes them
 * over on success. Errors: ERR_INTERNAL when the mapping is another build's.
 */
int gang_join(int first_fd, struct gang **ret_gang, struct error *reterr);
void gang_close(struct gang *g); /* NULL is fine */

/* Does the creator live, which starts and reaps the executors? Asked by itself or its children. */
bool gang_is_alive(const struct gang *g);

/* What a worker has to inherit, in this order. */
int gang_descriptor_count(const struct gang *g);
int gang_descriptor(const struct gang *g, int i);

int gang_memory_fd(const struct gang *g);
int gang_listen_fd(const struct gang *g, int executor);  /* the creator's, for the executor */
int gang_address_fd(const struct gang *g, int executor); /* O_PATH, to connect to */
int gang_bell_fd(const struct gang *g, const struct gang_place *p); /* an eventfd, non-blocking */
int gang_ready_fd(const struct gang *g);  /* the creator's eventfd: an executor has become ready */
struct links *gang_links(struct gang *g); /* of this process alone */
void gang_look_at_links(
    struct gang *g); /* when they are readable: an executor that spoke between runs is killed */
const struct gang_shape *gang_shape(const struct gang *g);

int gang_executor_count(const struct gang *g);
struct gang_executor *gang_executor(const struct gang *g, int i);
struct control *gang_control(const struct gang *g, int i);
off_t gang_control_offset(const struct gang *g,
                          int i); /* within the memory, for the executor to map */

int gang_place_count(const struct gang *g); /* of all classes */
struct gang_place *gang_place(const struct gang *g, int i);

/* The places of a class: the first of *ret_count. */
struct gang_place *gang_class_places(const struct gang *g, enum task_class class, int *ret_count);

/* How many places of `class` are taken, and how many of those are computing. */
void gang_load(const struct gang *g, enum task_class class, int *ret_taken, int *ret_busy);

/* Take a place for the calling process; NULL when all are taken. */
struct gang_place *gang_place_take(struct gang *g, enum task_class class, const char *task,
                                   const char *request_id);
void gang_place_free(struct gang_place *p); /* after turn_end(); NULL is fine */
void gang_place_enter(struct gang_place *p, enum place_state state, uint64_t run, int executor);

/* Seconds after which a place should be free, from the pool's own figures: 1 to 60. */
int gang_retry_after(const struct gang *g, enum task_class class);

/* Count a run of `run_us` into those figures, of which the executor computed for `computed_us`. */
void gang_observe_run(struct gang *g, enum task_class class, int64_t run_us, int64_t computed_us);

/* A run number that is unique within the gang, never 0: of a run in `seat` of its executor, so that
 * each of those has a claim of its own (exec/control.h). */
uint64_t gang_new_run(struct gang *g, int seat);

/* Do executors compute the class's runs within `us`, by the pool's own figures? */
bool gang_runs_are_shorter(const struct gang *g, enum task_class class, int64_t us);

/* A number for the next one in the line of a class. */
uint64_t gang_new_ticket(struct gang *g, enum task_class class);

/* The creator's notes: executor `i` lives as `pid`; it ended with a wait status. */
void gang_executor_started(struct gang *g, int i, pid_t pid);
void gang_executor_ended(struct gang *g, int i, int status);

/* Executor `i` is to be handed to nobody any more while it is process `pid`: it leaves, or broke
 * the protocol. Whoever lives on after that is killed by the creator. */
void gang_executor_retire(struct gang *g, int i, pid_t pid);

/* SIGKILL to executor `i` if it still is process `pid`, which is retired. */
void gang_executor_kill(struct gang *g, int i, pid_t pid);

/* How executor `pid` ended. Waits up to `timeout_ms` for its parent to know; false after that. */
bool gang_exit_status(const struct gang *g, pid_t pid, int timeout_ms, int *ret_status);

#endif
