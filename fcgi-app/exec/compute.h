/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compute.h - the waiting side: have a gang compute one run
 *
 * Waits for its turn with an executor, for the run's end, and meanwhile for the
 * client to leave and for the deadlines. Whatever ends the wait, the executor is free, leaving
 * or dead afterwards: told to stop by its control page, killed when it does not obey within the
 * grace.
 */
#ifndef EXEC_COMPUTE_H
#define EXEC_COMPUTE_H

#include "base/arena.h"
#include "exec/gang.h"
#include "exec/order.h"

/* Another descriptor to watch meanwhile; `on_ready` is called once, when it is readable or closed.
 */
struct compute_watch {
    int fd; /* -1: none */
    void (*on_ready)(void *context);
    void *context;
};

struct compute_request {
    const struct task_desc *task;
    struct payload *body; /* bytes of all inputs; the order is appended, a memfd sealed */
    const char *params;   /* JSON text, validated */
    size_t params_size;
    const struct order_input *inputs;
    int input_count;
    double seconds;            /* the run's deadline; at most the task's own limit */
    const char *seconds_limit; /* what set it, for the error: "seconds" or "Gangsaw-Timeout" */
    const char *request_id;
    int64_t arrived_us; /* monotonic: queue time counts from here */
    double queue_seconds;
    double grace_seconds;
    size_t warm_bytes; /* of memory that an executor may have kept from earlier runs, at most */
    int peer_fd;       /* hang-up there stops the run; -1: none */
    struct compute_watch watch;
};

struct compute_output {
    const char *name; /* "image", or "image.2" for the second of a "many" */
    const char *media_type;
    const unsigned char *bytes;
    size_t size;
    int fd; /* a file that begins with them, and that nobody can change; -1: none */
};

struct compute_outcome {
    cJSON *result; /* NULL when the task set none */
    struct compute_output *outputs;
    int output_count;
    int64_t queue_us, run_us, cpu_us; /* waiting, computing, CPU time of the executor */
    int64_t peak_bytes;               /* of the executor's resident memory, meanwhile; 0: unknown */
    bool was_started;
    int retry_after_s; /* with ERR_OVERLOADED and ERR_UNAVAILABLE */
};

/*
 * Compute one run.
 * Ownership: what *ret_outcome points to belongs to `a`. It is filled in on failure too (times).
 * Errors: the task's own; ERR_OVERLOADED no place, or none in time; ERR_TIMED_OUT;
 * ERR_STOPPED the client left; ERR_EXECUTOR_CRASHED with the signal's name, or over memory_mb;
 * ERR_TOO_LARGE over output_bytes; ERR_UNAVAILABLE no executor; ERR_INTERNAL.
 */
int compute_run(struct gang *g, struct arena *a, const struct compute_request *request,
                struct compute_outcome *ret_outcome, struct error *reterr);

#endif
