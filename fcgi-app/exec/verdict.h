/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.h - runs that do not end by themselves: what they are judged by, and in which words
 *
 * The same in a pool and under a runner. Each fills *reterr and returns -1.
 */
#ifndef EXEC_VERDICT_H
#define EXEC_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* ERR_EXECUTOR_CRASHED: the executor ended with a wait status in the middle of the run. */
int verdict_crashed(int status, struct error *reterr);

/* ERR_EXECUTOR_CRASHED: the run has started more threads than any engine needs. */
#define VERDICT_THREADS_MAX 64
int verdict_over_threads(struct error *reterr);

/* Threads of process `pid` at the moment; 0 when unknown. */
long verdict_threads(pid_t pid);

/* ERR_EXECUTOR_CRASHED: the run was over memory_mb. */
int verdict_over_memory(size_t limit_bytes, struct error *reterr);

/* ERR_TIMED_OUT: the run was over `limit`, "seconds" or what else has set its deadline. */
int verdict_timed_out(const char *limit, double seconds, struct error *reterr);

/* What a run may hold, in bytes. */
struct verdict_memory {
    size_t limit;  /* memory_mb */
    size_t before; /* what the executor held before the run, by its own words */
    size_t warm;   /* at most so much of that is believed */
    size_t passed; /* what its inputs and outputs may take, which lie in memfds */
};

/*
 * Does process `pid` hold more at the moment? Memory in memfds counts, mapped or not. *statm_fd is
 * -1 at first and kept open for the next time; the caller closes it. *peak_bytes is raised to what
 * is resident.
 */
bool verdict_is_over_memory(const struct verdict_memory *allowed, pid_t pid, int *statm_fd,
                            int64_t *peak_bytes);

#endif
