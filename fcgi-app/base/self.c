/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.c - see self.h
 */
#include "base/self.h"

#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

static struct {
    pid_t pid; /* 0: not known */
    bool is_watching_forks;
} self;

pid_t self_pid(void)
{
    if (self.pid == 0) {
        if (!self.is_watching_forks && pthread_atfork(NULL, NULL, self_forget) != 0)
            return getpid();
        self.is_watching_forks = true;
        self.pid = getpid();
    }
    return self.pid;
}

void self_forget(void)
{
    self.pid = 0;
}
