/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory_limit.h - how much memory the processes of this host may take together
 */
#ifndef BASE_MEMORY_LIMIT_H
#define BASE_MEMORY_LIMIT_H

#include <stdint.h>

/*
 * Bytes: the lesser of the physical memory and of what the cgroup allows (v1 or v2, every level
 * above it too). `root` stands before /proc and before the mount points that it names: "" is the
 * system's, anything else is for tests. INT64_MAX when nothing is known.
 */
int64_t memory_limit(const char *root);

#endif
