/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.c - see verdict.h
 */
#include "exec/verdict.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* Pages in all, resident, and resident of files and memfds; zeroes when unknown. */
static void read_statm(pid_t pid, int *statm_fd, size_t pages[3])
{
    char text[128], path[64];
    if (*statm_fd < 0) {
        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        *statm_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t size = pread(*statm_fd, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    char *at = text;
    for (int i = 0; i < 3; i++)
        pages[i] = strtoul(at, &at, 10);
}

/*
 * Bytes in files without a name that the process has open, which are memfds; 0 when unknown. One
 * that is open twice counts twice: no engine has a use for that.
 */
static size_t memfd_bytes(pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    size_t bytes = 0;
    /* Its limit on descriptors bounds the loop. */
    while (directory && (entry = readdir(directory)) != NULL) {
        struct stat st;
        if (fstatat(dirfd(directory), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
            st.st_nlink == 0)
            bytes += (size_t)st.st_blocks * 512;
    }
    if (directory)
        (void)closedir(directory);
    return bytes;
}

bool verdict_is_over_memory(const struct verdict_memory *allowed, pid_t pid, int *statm_fd,
                            int64_t *peak_bytes)
{
    size_t pages[3], page_size = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = allowed->before < allowed->warm ? allowed->before : allowed->warm;
    size_t most = allowed->limit + before;
    read_statm(pid, statm_fd, pages);
    size_t resident = pages[1] * page_size;
    size_t own = pages[1] > pages[2] ? (pages[1] - pages[2]) * page_size : 0;
    if ((int64_t)resident > *peak_bytes)
        *peak_bytes = (int64_t)resident;
    /* What is mapped of memfds is resident too, and is not to count twice. */
    return resident > most || own + memfd_bytes(pid) > most + allowed->passed;
}
