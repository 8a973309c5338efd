/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.h - the page an executor shares with whoever waits for it
 *
 * Progress and stop go through memory: no message, no flood, no blocking. The waiting side writes
 * `stop_run` alone, the executor all the rest; what the executor writes is never trusted
 * for more than showing it. The page is the executor's only view of shared memory.
 */
#ifndef EXEC_CONTROL_H
#define EXEC_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_PAGE_SIZE 4096
#define CONTROL_TEXT_SIZE 64

struct control {
    _Atomic uint64_t stop_run; /* the run that has to stop */
    _Atomic uint32_t ready;    /* 1 once the executor waits for its first run */
    _Atomic uint64_t run;      /* the run being computed; 0: idle */
    _Atomic uint64_t runs;     /* computed so far */
    _Atomic uint32_t fraction_ppm;
    char text[CONTROL_TEXT_SIZE]; /* readers copy it, may see two texts mixed, and trust nothing */
};

_Static_assert(sizeof(struct control) <= CONTROL_PAGE_SIZE, "one page each");

#endif
