/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * links.h - a worker's connections to executors, kept from run to run
 *
 * Connecting costs both sides more than the rest of a small run's way does. A connection is kept
 * when its run has ended as it should, for the process that computed it and no successor.
 *
 * Nothing may come on it before the next order. What an executor that was taken over sends
 * nevertheless would lie in a queue beyond its death, with descriptors that count against the
 * executors' user and memory that they hold. So a worker watches what it keeps whenever it waits,
 * closes what becomes readable, and has the executor killed that spoke.
 */
#ifndef EXEC_LINKS_H
#define EXEC_LINKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define LINKS_MAX 64 /* beyond that, a connection for each run */

struct link {
    int executor;
    pid_t pid; /* which process that was */
    int fd;
};

struct links {
    struct link kept[LINKS_MAX];
    int count;
    int epoll_fd; /* readable when one of them may be; -1: none is kept */
};

/* From now on they are kept; by the process that waits on `epoll_fd`, whenever it waits. */
int links_open(struct links *l, struct error *reterr);

/* The connection to that process, which is the caller's now; -1: none is kept. One to a predecessor
 * is closed. */
int links_take(struct links *l, int executor, pid_t pid);

/* Keep `fd`, or close it. `was_kept`: it came from links_take(). */
void links_keep(struct links *l, int executor, pid_t pid, int fd, bool was_kept);

/* Close the next one on which something has come or which was hung up: false when there is none.
 * Whose it was, and whether that one has sent anything. */
bool links_next_end(struct links *l, struct link *ret_link, bool *ret_has_spoken);

void links_release(struct links *l);

#endif
