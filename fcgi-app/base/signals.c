/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signals.c - see signals.h
 */
#include "base/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

int signals_open(const int *handled, int *ret_fd, struct error *reterr)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (; *handled; handled++)
        (void)sigaddset(&set, *handled);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return error_errno(reterr, "signals: sigprocmask");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(reterr, "signals: signalfd");
    *ret_fd = fd;
    return 0;
}
