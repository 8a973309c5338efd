/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_limit.c - see memory_limit.h
 *
 * A container sees all of its host's memory in /proc/meminfo; what kills its processes is the
 * cgroup's limit. The kernel's cgroup-v2.rst and cgroup-v1/memory.rst describe the files.
 */
#include "base/memory_limit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cgroup.h"

/* v1 has a very large number where v2 says "max". */
static int64_t limit_of(const char *directory, bool is_v2)
{
    char text[64], *end;
    if (!cgroup_read(directory, is_v2 ? "memory.max" : "memory.limit_in_bytes", text, sizeof(text)))
        return INT64_MAX;
    long long bytes = strtoll(text, &end, 10);
    return end == text || bytes <= 0 ? INT64_MAX : bytes;
}

static int64_t physical(const char *root)
{
    char path[PATH_MAX], line[256];
    long long kib = 0;
    (void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    FILE *file = fopen(path, "re");
    while (file && kib == 0 && fgets(line, (int)sizeof(line), file)) {
        if (sscanf(line, "MemTotal: %lld kB", &kib) != 1)
            kib = 0;
    }
    if (file)
        (void)fclose(file);
    return kib > 0 && kib < INT64_MAX / 1024 ? kib * 1024 : INT64_MAX;
}

int64_t memory_limit(const char *root)
{
    int64_t group = cgroup_least(root, "memory", limit_of), all = physical(root);
    return group < all ? group : all;
}
