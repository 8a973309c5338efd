/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.c - see verdict.h
 */
#include "exec/verdict.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int verdict_crashed(int status, struct error *reterr)
{
    if (!WIFSIGNALED(status))
        return error_set(reterr, ERR_EXECUTOR_CRASHED,
                         "The executor exited with status %d in the middle of this run.",
                         WEXITSTATUS(status));
    const char *name = sigabbrev_np(WTERMSIG(status));
    return error_set(reterr, ERR_EXECUTOR_CRASHED,
                     "The executor was ended by signal SIG%s in the middle of this run.",
                     name ? name : "?");
}

int verdict_over_memory(size_t limit_bytes, struct error *reterr)
{
    return error_set(reterr, ERR_EXECUTOR_CRASHED,
                     "The run used more memory than its limit memory_mb = %zu and was ended.",
                     limit_bytes / (1024 * 1024));
}

int verdict_over_threads(struct error *reterr)
{
    return error_set(reterr, ERR_EXECUTOR_CRASHED,
                     "The run started more than %d threads and was ended.", VERDICT_THREADS_MAX);
}

long verdict_threads(pid_t pid)
{
    char text[512], path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0)
        (void)close(fd);
    text[size > 0 ? size : 0] = '\0';
    char *at = strrchr(text, ')'); /* of the name, the second field; threads are the twentieth */
    for (int field = 2; at && field < 20; field++)
        at = strchr(at + 1, ' ');
    return at ? strtol(at, NULL, 10) : 0;
}

int verdict_timed_out(const char *limit, double seconds, struct error *reterr)
{
    return error_set(reterr, ERR_TIMED_OUT,
                     "The run took longer than its limit %s = %g s and was stopped.", limit,
                     seconds);
}

size_t verdict_resident_bytes(pid_t pid, int *statm_fd)
{
    char text[128], path[64];
    if (*statm_fd < 0) {
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        *statm_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t size = pread(*statm_fd, text, sizeof(text) - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    char *second = strchr(text, ' '); /* "size resident shared …", in pages */
    return second ? strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
