/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cores.h - how many CPUs this process may keep busy
 */
#ifndef BASE_CORES_H
#define BASE_CORES_H

/*
 * CPUs this process may use: the lesser of its affinity and its cgroup's CPU quota (v1 or v2,
 * every level above it too), the quota rounded down; at least 1.
 */
int cores_available(void);

/*
 * What the CPU quota leaves, at least 1; INT_MAX when there is none. `root` stands before /proc and
 * before the mount points that it names: "" is the system's, anything else is for tests.
 */
int cores_in_quota(const char *root);

#endif
