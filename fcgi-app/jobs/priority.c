/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * priority.c - see priority.h and sched(7), "The autogroup feature"
 */
#include "jobs/priority.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TRIES 5 /* without privileges the kernel takes one such change in 0.1 s, from all users */

static int write_nice(int fd)
{
    char text[16];
    int size = snprintf(text, sizeof(text), "%d", PRIORITY_NICE);
    for (int tries = 1;; tries++) {
        if (write(fd, text, (size_t)size) == size)
            return 0;
        if (errno != EAGAIN || tries == TRIES)
            return -1;
        (void)nanosleep(&(struct timespec){.tv_nsec = 110000000}, NULL);
    }
}

const char *priority_yield(void)
{
    if (setsid() < 0 && getsid(0) != getpid())
        return "shared";
    int fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? "absent" : "refused";
    const char *outcome = write_nice(fd) == 0 ? "set" : "refused";
    (void)close(fd);
    return outcome;
}
