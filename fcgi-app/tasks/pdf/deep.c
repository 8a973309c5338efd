/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A stack of the size that is wanted can only be had with a thread: that of the process has its
 * size from whoever started it.
 */
#include "tasks/pdf/deep.h"

#include <pthread.h>
#include <string.h>

#define STACK_BYTES ((size_t)1 << 30)
#define USED_MAX (STACK_BYTES / 32) /* of it, before the file ends; no honest chain comes near */

struct call {
    int (*work)(void *argument, struct error *reterr);
    void *argument;
    struct error *reterr;
    int result;
};

/* How far this thread's stack may grow; it grows downwards. NULL: nobody looks. */
static _Thread_local const char *lowest;

static void *call_there(void *call)
{
    struct call *c = call;
    lowest = (const char *)__builtin_frame_address(0) - USED_MAX;
    c->result = c->work(c->argument, c->reterr);
    return NULL;
}

int deep_call(int (*work)(void *argument, struct error *reterr), void *argument,
              struct error *reterr)
{
    struct call c = {.work = work, .argument = argument, .reterr = reterr, .result = -1};
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int failed = pthread_create(&thread, &attributes, call_there, &c);
    pthread_attr_destroy(&attributes);
    if (failed != 0)
        return error_internal(reterr, "no thread with a deep stack: %s", strerror(failed));
    pthread_join(thread, NULL);
    return c.result;
}

struct task_call {
    int (*task)(struct run *run, struct error *reterr);
    struct run *run;
};

static int call_task(void *argument, struct error *reterr)
{
    const struct task_call *c = argument;
    return c->task(c->run, reterr);
}

int deep_run(int (*task)(struct run *run, struct error *reterr), struct run *run,
             struct error *reterr)
{
    struct task_call call = {task, run};
    return deep_call(call_task, &call, reterr);
}

bool deep_has_room(void)
{
    return lowest == NULL || (const char *)__builtin_frame_address(0) > lowest;
}
