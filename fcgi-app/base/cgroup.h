/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - the tightest limit of this process's cgroup and of all above it, v1 or v2
 */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the cgroup in `directory` allows; INT64_MAX when it sets no limit. */
typedef int64_t cgroup_limit(const char *directory, bool is_v2);

/*
 * The least of it, from this process's cgroup up to the mount point; INT64_MAX when there is none.
 * `controller` is v1's name of the hierarchy. `root` stands before /proc and before the mount
 * points that it names: "" is the system's, anything else is for tests.
 */
int64_t cgroup_least(const char *root, const char *controller, cgroup_limit *limit);

/* The first line of a file in there; false when there is none. */
bool cgroup_read(const char *directory, const char *name, char *ret, size_t size);

#endif
