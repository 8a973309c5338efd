/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory: the lesser of the physical memory and of what the cgroup allows, from made-up trees.
 */
#include "base/memory_limit.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                         \
    "32 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" \
    "33 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define MEMINFO "MemTotal:        8388608 kB\nMemFree:          100000 kB\n"
#define GIB (INT64_C(1) << 30)

static const struct {
    const char *what;
    int64_t wanted;
    const char *files[6][2]; /* name, content */
} cases[] = {
    {"nothing at all", INT64_MAX, {{"unrelated", ""}}},
    {"physical memory alone", 8 * GIB, {{"proc/meminfo", MEMINFO}}},
    {"v2 with a limit",
     2 * GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/memory.max", "2147483648\n"}}},
    {"v2 without a limit",
     8 * GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/memory.max", "max\n"}}},
    {"v2, a level above is tighter",
     GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "0::/slice/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/slice/app/memory.max", "4294967296\n"},
      {"sys/fs/cgroup/slice/memory.max", "1073741824\n"}}},
    {"more than there is",
     8 * GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/memory.max", "1099511627776\n"}}},
    {"v1 with a limit above",
     3 * GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "3:cpu,cpuacct:/other\n4:memory:/a/b\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n"},
      {"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3221225472\n"}}},
    {"v1 without a limit",
     8 * GIB,
     {{"proc/meminfo", MEMINFO},
      {"proc/self/cgroup", "4:memory:/a\n"},
      {"proc/self/mountinfo", V1_MOUNTS},
      {"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"}}},
    {"a container that sees its own cgroup as the mount's root",
     GIB,
     {{"proc/self/cgroup", "4:memory:/docker/abc\n"},
      {"proc/self/mountinfo", "32 31 0:30 /docker/abc /cg/memory ro - cgroup cgroup rw,memory\n"},
      {"cg/memory/memory.limit_in_bytes", "1073741824\n"}}},
    {"files that make no sense",
     INT64_MAX,
     {{"proc/meminfo", "MemTotal: lots\n"},
      {"proc/self/cgroup", "nonsense\n0::/app\n"},
      {"proc/self/mountinfo", V2_MOUNT},
      {"sys/fs/cgroup/app/memory.max", "-5\n"},
      {"sys/fs/cgroup/memory.max", "lots\n"}}},
};

static void test_memory_is_the_least_of_all_levels_and_of_what_there_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scratch s;
        scratch_open(&s);
        for (size_t j = 0; j < 6 && cases[i].files[j][0]; j++)
            scratch_write_text(&s, cases[i].files[j][0], cases[i].files[j][1]);
        int64_t bytes = memory_limit(s.path);
        scratch_close(&s);
        if (bytes != cases[i].wanted)
            fail_msg("%s: %" PRId64 " rather than %" PRId64, cases[i].what, bytes, cases[i].wanted);
    }
}

static void test_this_machine_has_memory(void **state)
{
    (void)state;
    assert_true(memory_limit("") > 1 << 20);
    assert_true(memory_limit("") < INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_the_least_of_all_levels_and_of_what_there_is),
        cmocka_unit_test(test_this_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
