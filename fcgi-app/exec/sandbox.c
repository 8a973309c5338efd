/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox.c - see sandbox.h
 *
 * The order matters: files are restricted by Landlock while the calls for it are still there, and
 * system calls come last.
 */
#include "exec/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/sandbox_internal.h"

#define CAPABILITIES_MAX 64 /* bits that capset() has */
#define TASKS_MAX 1024      /* threads, more than the whole host has at an executor's start */

static const char *const mode_names[] = {
    [SANDBOX_OFF] = "off", [SANDBOX_ON] = "on", [SANDBOX_STRICT] = "strict"};

#define MODE_COUNT ((int)(sizeof(mode_names) / sizeof(mode_names[0])))

const char *sandbox_mode_name(enum sandbox_mode mode)
{
    return mode_names[mode];
}

int sandbox_mode_parse(const char *name)
{
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (strcmp(name, mode_names[mode]) == 0)
            return mode;
    }
    return -1;
}

int sandbox_check(enum sandbox_mode mode, struct error *reterr)
{
    static const uint32_t actions[] = {SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS};
    if (mode == SANDBOX_OFF)
        return 0;
    if (sandbox_files_version() < 1)
        return error_set(
            reterr, ERR_INTERNAL,
            errno == EOPNOTSUPP
                ? "This kernel boots without Landlock: add it to lsm= of its command "
                  "line, or set executor.sandbox = off."
                : "This kernel has no Landlock (Linux 5.13 has, where it is built in): "
                  "use another, or set executor.sandbox = off.");
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]) != 0)
            return error_set(reterr, ERR_INTERNAL,
                             "This kernel has no seccomp filters: use another, or set "
                             "executor.sandbox = off.");
    }
    return 0;
}

static int drop_capabilities(struct error *reterr)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* A user without capabilities may not do this; without exec the set means nothing to it. */
    for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) != 0)
        return error_errno(reterr, "sandbox: capset");
    return 0;
}

static int cap_limit(__rlimit_resource_t resource, size_t value)
{
    struct rlimit limit;
    if (value == 0)
        return 0;
    if (getrlimit(resource, &limit) != 0)
        return -1;
    if (limit.rlim_max > (rlim_t)value)
        limit.rlim_max = (rlim_t)value;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    return setrlimit(resource, &limit);
}

/*
 * RLIMIT_NPROC counts all threads of the user, so it can only be a bound on what one executor adds.
 * Its parent looks at its threads beside its memory and is much stricter.
 */
static size_t threads_allowed(void)
{
    unsigned long total = 0;
    FILE *file = fopen("/proc/loadavg", "re"); /* "0.1 0.2 0.3 running/total last" */
    if (!file || fscanf(file, "%*s %*s %*s %*u/%lu", &total) != 1)
        total = TASKS_MAX;
    if (file)
        (void)fclose(file);
    return (size_t)total + TASKS_MAX;
}

static int limit_resources(const struct sandbox *s, struct error *reterr)
{
    if (cap_limit(RLIMIT_AS, s->space_bytes) != 0 || cap_limit(RLIMIT_FSIZE, s->file_bytes) != 0 ||
        cap_limit(RLIMIT_NPROC, threads_allowed()) != 0 ||
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) != 0 ||
        setrlimit(RLIMIT_MSGQUEUE, &(struct rlimit){0, 0}) != 0)
        return error_errno(reterr, "sandbox: setrlimit");
    return 0;
}

int sandbox_enter(const struct sandbox *s, struct error *reterr)
{
    if (limit_resources(s, reterr) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(reterr, "sandbox: no_new_privs");
    if (s->mode == SANDBOX_OFF)
        return 0;
    if (sandbox_check(s->mode, reterr) != 0 || drop_capabilities(reterr) != 0 ||
        sandbox_restrict_files(s, reterr) != 0)
        return -1;
    return sandbox_restrict_calls(s, reterr);
}
