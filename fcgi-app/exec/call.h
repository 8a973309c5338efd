/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - one run on one connection to an executor, as the waiting side sees it
 *
 * A state machine without waits of its own: whoever drives it polls `fd` and calls call_receive(),
 * and looks at the clock. Everything that comes from the executor is checked here against the
 * descriptor.
 */
#ifndef EXEC_CALL_H
#define EXEC_CALL_H

#include "exec/compute.h"
#include "exec/wire.h"

enum call_state {
    CALL_SENT,    /* not its turn yet */
    CALL_STARTED, /* the executor computes it, or is about to */
    CALL_ENDED,   /* result or error has come: `failed` says which, `lingers` what follows */
    CALL_LOST,    /* the connection ended without an end message */
};

struct call {
    struct arena *arena;
    const struct task_desc *task;
    int fd; /* the connection; -1: none */
    uint64_t run;
    enum call_state state;
    pid_t executor; /* who answered, by the kernel's word; 0 before */
    int statm_fd;   /* its memory figures; -1 until sampled */
    size_t output_left;
    bool failed;  /* ended by an error, in `error` */
    bool lingers; /* the executor takes no run before it has said WIRE_IDLE, or leaves */
    struct error error;
    struct compute_output *outputs;
    int output_count, output_capacity;
    cJSON *result;
    int64_t started_us, ended_us, cpu_us;
    int64_t peak_bytes; /* the most sampled, or by its own words at the end; 0: unknown */
};

/* `run` is unique among the executor's: of gang_new_run(), or a runner's own count. */
void call_init(struct call *c, struct arena *a, const struct task_desc *task, uint64_t run);

/* Close what it holds; outputs stay with the arena. */
void call_release(struct call *c);

/* Send the order on `fd`, which is the call's from now on, and begin. Errors: of wire_send(). */
int call_send(struct call *c, int fd, struct payload *order, size_t body_size,
              struct error *reterr);

/*
 * Connect to the executor that listens at `address_fd`, send the order and begin the call. Errors:
 * ERR_UNAVAILABLE when it does not take it; others are ours.
 */
int call_connect(struct call *c, int address_fd, struct payload *order, size_t body_size,
                 struct error *reterr);

/* Take one message; `fd` is readable. Errors: ERR_INTERNAL, ERR_TOO_LARGE: the executor is not to
 * be trusted on, kill it. */
int call_receive(struct call *c, struct error *reterr);

/*
 * For a connection that many runs share, one after the other: whoever receives there begins the
 * call when it is the run's turn, and hands over its messages, which are released. Errors: as
 * call_receive().
 */
void call_begin(struct call *c, int64_t started_us);
int call_take(struct call *c, struct wire_message *m, struct error *reterr);
size_t call_message_max(const struct call *c); /* bytes that the next message may have */

/*
 * After the end of a call that lingers: wait until the executor takes the next run. False when it
 * has left, or `timeout_ms` are over.
 */
bool call_wait_idle(const struct call *c, int timeout_ms);

#endif
