/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.h - one run inside the executor: what stands behind tasks/task.h
 */
#ifndef EXEC_RUN_H
#define EXEC_RUN_H

#include "base/arena.h"
#include "exec/control.h"
#include "exec/order.h"
#include "tasks/task.h"

/*
 * Make a run of a RUN message.
 * Ownership: the run belongs to `a` and keeps pointers into the message. Errors: ERR_INTERNAL.
 */
int run_new(struct arena *a, const struct wire_message *m, const struct order *order,
            struct control *control, struct run **ret_run, struct error *reterr);

struct run_usage {
    int64_t cpu_us;
    int64_t peak_bytes; /* resident memory at most, the engines' included; 0: unknown */
    bool lingers;       /* the executor takes no other run at once: see exec/wire.h */
};

/* Compute it and send its outputs. Errors: the task's own, and when the other end is gone. */
int run_compute(struct run *run, const struct task *task, int fd, struct run_usage *ret_usage,
                struct error *reterr);

/* Send RESULT as the end of a run. -1 when the other end is gone. */
int run_send_result(struct run *run, int fd, const struct run_usage *used);

/* Send ERROR as the end of a run, or of one that could not be computed; `run` may be NULL then. -1
 * when the other end is gone. */
int run_send_error(struct run *run, int fd, uint64_t number, const struct error *error,
                   const struct run_usage *used);

/*
 * Usage is counted from the end of the run before. What was used up to now is not the next one's;
 * `resident_bytes` is what is held now. Watching begins with run_watch_memory(), before the sandbox
 * closes the way there. Very short runs share the peak of the last one that was not, and their CPU
 * time is the time they took.
 */
void run_watch_memory(void);
void run_skip_usage(size_t resident_bytes);

#endif
