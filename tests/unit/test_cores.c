/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cores: the lesser of affinity and CPU quota, read from made-up cgroup trees.
 */
#include "base/cores.h"

#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#define V2_MOUNT                            \
    "25 1 0:22 / /proc rw - proc proc rw\n" \
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                       \
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"        \
    "33 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" \
    "32 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"

static const struct {
    const char *what;
    int wanted;
    const char *files[8][2]; /* name, content */
} cases[] = {
    {"nothing at all", INT_MAX, {{"unrelated", ""}}},
    {"v2 without a limit",
     INT_MAX,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "max 100000\n"}}},
    {"v2 with a limit",
     3,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "300000 100000\n"}}},
    {"v2, rounded down",
     2,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "299999 100000\n"}}},
    {"v2, less than one is one",
     1,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "10000 100000\n"}}},
    {"v2, a level above is tighter",
     2,
     {{"proc/self/cgroup", "0::/slice/unit/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/slice/unit/app/cpu.max", "800000 100000\n"},
      {"sys/fs/cgroup/slice/unit/cpu.max", "max 100000\n"},
      {"sys/fs/cgroup/slice/cpu.max", "100000 50000\n"}}},
    {"v2, the root of a container's namespace has the limit",
     4,
     {{"proc/self/cgroup", "0::/\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "400000 100000\n"}}},
    {"v2, outside the namespace's root",
     4,
     {{"proc/self/cgroup", "0::/../../other\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/cpu.max", "400000 100000\n"}}},
    {"v2, mounted elsewhere, with a blank in the path",
     5,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", "30 23 0:26 / /mnt/my\\040groups rw - cgroup2 none rw\n"},
      {"mnt/my groups/app/cpu.max", "500000 100000\n"}}},
    {"v1 with a limit",
     2,
     {{"proc/self/cgroup", "5:cpuset:/\n3:cpu,cpuacct:/app\n1:name=systemd:/\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"}}},
    {"v1 without a limit",
     INT_MAX,
     {{"proc/self/cgroup", "3:cpu,cpuacct:/app\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"}}},
    {"v1, a level above is tighter",
     1,
     {{"proc/self/cgroup", "3:cpuacct,cpu:/a/b\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}}},
    {"v1, a container that sees its own cgroup as the mount's root",
     3,
     {{"proc/self/cgroup", "3:cpu:/docker/abc\n"},
      {"proc/self/mountinfo", "32 31 0:30 /docker/abc /cg/cpu ro - cgroup cgroup rw,cpu\n"},
      {"cg/cpu/cpu.cfs_quota_us", "300000\n"},
      {"cg/cpu/cpu.cfs_period_us", "100000\n"}}},
    {"v1, a group below the mount's root",
     2,
     {{"proc/self/cgroup", "3:cpu:/docker/abc/sub\n"},
      {"proc/self/mountinfo", "32 31 0:30 /docker/abc /cg/cpu ro - cgroup cgroup rw,cpu\n"},
      {"cg/cpu/sub/cpu.cfs_quota_us", "200000\n"},
      {"cg/cpu/sub/cpu.cfs_period_us", "100000\n"}}},
    {"both at once: the lesser",
     2,
     {{"proc/self/cgroup", "3:cpu:/app\n0::/app\n"},
      {"proc/self/mountinfo",
       V1_MOUNTS "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "600000\n"},
      {"sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"},
      {"sys/fs/cgroup/unified/app/cpu.max", "200000 100000\n"}}},
    {"cpuset is not cpu",
     INT_MAX,
     {{"proc/self/cgroup", "5:cpuset:/app\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/cpuset/app/cpu.cfs_quota_us", "100000\n"},
      {"sys/fs/cgroup/cpuset/app/cpu.cfs_period_us", "100000\n"}}},
    {"files that make no sense",
     INT_MAX,
     {{"proc/self/cgroup", "\n:\n0:\nnonsense\n0::/app\n"},
      {"proc/self/mountinfo", "\n - \n1 2 3 - cgroup2\n - cgroup2 x y\n" V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "100000\n"},
      {"sys/fs/cgroup/cpu.max", "lots of it\n"}}},
    {"a period of 0",
     INT_MAX,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "100000 0\n"}}},
    {"a quota beyond all numbers",
     INT_MAX,
     {{"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/cpu.max", "99999999999999999999999 1\n"}}},
};

static void test_quota_is_the_least_of_all_levels_rounded_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scratch s;
        scratch_open(&s);
        for (size_t j = 0; j < 8 && cases[i].files[j][0]; j++)
            scratch_write_text(&s, cases[i].files[j][0], cases[i].files[j][1]);
        int cores = cores_in_quota(s.path);
        scratch_close(&s);
        if (cores != cases[i].wanted)
            fail_msg("%s: %d rather than %d", cases[i].what, cores, cases[i].wanted);
    }
}

static void test_path_that_is_too_long_is_no_limit(void **state)
{
    struct scratch s;
    char line[3 * PATH_MAX];
    (void)state;
    scratch_open(&s);
    memset(line, 'x', sizeof(line));
    memcpy(line, "0::/", 4);
    line[sizeof(line) - 1] = '\0';
    scratch_write_text(&s, "proc/self/cgroup", line);
    scratch_write_text(&s, "proc/self/mountinfo", V2_MOUNT);
    scratch_write_text(&s, "sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_int_equal(cores_in_quota(s.path), INT_MAX);
    scratch_close(&s);
}

static void test_affinity_bounds_the_cores(void **state)
{
    cpu_set_t before, one;
    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_in_range(cores_available(), 1, (unsigned)CPU_COUNT(&before));
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &before))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
        assert_int_equal(cores_available(), 1);
        break;
    }
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quota_is_the_least_of_all_levels_rounded_down),
        cmocka_unit_test(test_path_that_is_too_long_is_no_limit),
        cmocka_unit_test(test_affinity_bounds_the_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
