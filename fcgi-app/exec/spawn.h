/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spawn.h - start a process of the installed program by fork and exec
 *
 * A child gets exactly the descriptors that it is given, at fixed numbers, and ends with its
 * parent: an executor by SIGKILL at once (PR_SET_PDEATHSIG, and SIGKILL as the signal of its
 * lifeline, a pipe of its own), a worker notices the end of its lifeline by itself and drains.
 */
#ifndef EXEC_SPAWN_H
#define EXEC_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"
#include "exec/catalog.h"

struct spawn {
    const char *const *argv; /* argv[0] is the program's path */
    const char *const *envp;
    const int *fds; /* the child's 0, 1, 2 …; -1: /dev/null */
    int fd_count;
    int nice; /* the child's; 0: as its parent's */
};

/* Errors: ERR_INTERNAL when the process cannot be made; a failing exec shows as exit status 127. */
int spawn(const struct spawn *s, pid_t *ret_pid, struct error *reterr);

#define EXECUTOR_RECYCLED 0 /* exit status: it has done its share, another takes over */

/* The executor's descriptors after 0, 1 and 2. */
enum executor_fd {
    EXECUTOR_FD_SOCKET = 3,
    EXECUTOR_FD_LIFELINE,
    EXECUTOR_FD_MEMORY,
    EXECUTOR_FD_READY,
    EXECUTOR_FD_COUNT
};

struct executor_launch {
    const struct config *config;
    int socket_fd; /* listening in a pool, connected under a runner or in plain CGI */
    bool is_listening;
    enum task_class class;
    struct class_limits limits; /* of its class */
    int lifeline_fd;      /* read end of a pipe of its own, whose write end only the parent has */
    int memory_fd;        /* of the gang */
    int ready_fd;         /* an eventfd that it adds 1 to when it is ready; -1: none */
    off_t control_offset; /* of its page in there */
    int stderr_fd;        /* for its stdout and stderr */
    int nice;             /* behind the others: jobs yield to requests */
};

int executor_spawn(const struct executor_launch *launch, pid_t *ret_pid, struct error *reterr);

/* Count an executor's end among the metrics; `is_expected`: it was killed since it is not needed
 * any more. */
void executor_count_exit(int status, bool is_expected);

#endif
