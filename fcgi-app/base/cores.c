/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cores.c - see cores.h
 *
 * A quota is rounded down: one executor more than the quota pays for makes the kernel throttle
 * all of them, in the middle of a run. Neither the C library nor OpenMP looks at quotas. The
 * kernel's sched-bwc.rst describes them.
 */
#include "base/cores.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"

#define CPUS_MAX 65536

static int affinity(void)
{
    for (int cpus = 1024; cpus <= CPUS_MAX; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        if (!set)
            break;
        int result = sched_getaffinity(0, size, set);
        int count = result == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (result == 0)
            return count;
        if (errno != EINVAL) /* the kernel's mask is larger */
            break;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 && online <= CPUS_MAX ? (int)online : 1;
}

/* Quota of one directory in whole CPUs, 0 for less than one; INT64_MAX when it sets none. */
static int64_t quota_of(const char *directory, bool is_v2)
{
    char text[64], period_text[64];
    char *end;

    if (!cgroup_read(directory, is_v2 ? "cpu.max" : "cpu.cfs_quota_us", text, sizeof(text)))
        return INT64_MAX;
    long long quota = strtoll(text, &end, 10); /* "max 100000" in v2, "-1" in v1: no limit */
    if (end == text || quota <= 0)
        return INT64_MAX;
    if (!is_v2) {
        if (!cgroup_read(directory, "cpu.cfs_period_us", period_text, sizeof(period_text)))
            return INT64_MAX;
        end = period_text;
    }
    long long period = strtoll(end, NULL, 10);
    if (period <= 0 || quota / period >= INT_MAX)
        return INT64_MAX;
    return quota / period;
}

int cores_in_quota(const char *root)
{
    int64_t least = cgroup_least(root, "cpu", quota_of);
    return least < 1 ? 1 : least < INT_MAX ? (int)least : INT_MAX;
}

int cores_available(void)
{
    int cpus = affinity();
    int quota = cores_in_quota("");
    int cores = cpus < quota ? cpus : quota;
    return cores > 1 ? cores : 1;
}
