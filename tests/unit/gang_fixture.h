/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gang_fixture.h - a gang without processes
 */
#ifndef TESTS_UNIT_GANG_FIXTURE_H
#define TESTS_UNIT_GANG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exec/gang.h"

static inline struct gang *gang_of(int cpu, int net, int queue_length)
{
    struct gang_shape shape = {.slots = {[TASK_CPU] = cpu, [TASK_NET] = net},
                               .queue_length = queue_length};
    struct gang *g = NULL;
    struct error err;
    if (gang_create(&shape, &g, &err) != 0)
        fail_msg("%s: %s", err.detail, err.cause);
    return g;
}

#endif
