/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * descriptors.h - how many descriptors the test has open: what is refused must not leave one behind
 */
#ifndef TESTS_DESCRIPTORS_H
#define TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <stdlib.h>

static inline int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    if (!directory)
        abort();
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

#endif
