/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spawn.c - see spawn.h
 */
#include "exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metrics.h"
#include "exec/sandbox.h"

/* Move what goes to the child out of the way of its numbers, then onto them; close all else. */
static void arrange_fds(const struct spawn *s)
{
    int free_fd = s->fd_count, null = open("/dev/null", O_RDWR);
    for (int i = 0; i < s->fd_count; i++)
        free_fd = s->fds[i] >= free_fd ? s->fds[i] + 1 : free_fd;
    free_fd = null >= free_fd ? null + 1 : free_fd;
    for (int i = 0; i < s->fd_count; i++) {
        if (dup2(s->fds[i] >= 0 ? s->fds[i] : null, free_fd + i) < 0)
            _exit(127);
    }
    for (int i = 0; i < s->fd_count; i++) {
        if (dup2(free_fd + i, i) < 0)
            _exit(127);
    }
    (void)close_range((unsigned)s->fd_count, ~0U, 0);
}

static void reset_signals(void)
{
    sigset_t none;
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        (void)signal(signal_number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int spawn(const struct spawn *s, pid_t *ret_pid, struct error *reterr)
{
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(reterr, "spawn: fork");
    if (pid == 0) {
        reset_signals();
        arrange_fds(s);
        if (s->nice != 0)
            (void)setpriority(PRIO_PROCESS, 0, s->nice);
        (void)execve(s->argv[0], (char *const *)(uintptr_t)s->argv,
                     (char *const *)(uintptr_t)s->envp);
        _exit(127);
    }
    *ret_pid = pid;
    return 0;
}

/*
 * Engines compute on one thread; cores are shared out by processes. What the operator's
 * environment holds is nobody's business in there.
 */
static const char *const fixed_environment[] = {
    "LANG=C.UTF-8",       "HOME=/nonexistent",      "TMPDIR=/tmp",        "OMP_NUM_THREADS=1",
    "OMP_THREAD_LIMIT=1", "OPENBLAS_NUM_THREADS=1", "VIPS_CONCURRENCY=1",
};

static const char *const sanitizer_environment[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS",
                                                    "LSAN_OPTIONS"};

#define FIXED_COUNT (sizeof(fixed_environment) / sizeof(fixed_environment[0]))
#define SANITIZER_COUNT (sizeof(sanitizer_environment) / sizeof(sanitizer_environment[0]))

static void fill_environment(char space[SANITIZER_COUNT][512], const char *envp[])
{
    size_t n = 0;
    for (size_t i = 0; i < FIXED_COUNT; i++)
        envp[n++] = fixed_environment[i];
    for (size_t i = 0; i < SANITIZER_COUNT; i++) {
        const char *value = getenv(sanitizer_environment[i]);
        if (!value)
            continue;
        (void)snprintf(space[i], sizeof(space[i]), "%s=%s", sanitizer_environment[i], value);
        envp[n++] = space[i];
    }
    envp[n] = NULL;
}

#define INPUT_BYTES_MAX ((size_t)64 << 30) /* more addresses are not set aside for inputs */

/* The hard limits: each run's own soft ones stay below. 0: none. */
static size_t space_bytes(const struct class_limits *l)
{
    size_t input = l->input_bytes < INPUT_BYTES_MAX ? l->input_bytes : INPUT_BYTES_MAX;
    return SANDBOX_LIMITS_SPACE ? SANDBOX_SPACE_BYTES(l->memory_bytes, input, l->output_bytes) : 0;
}

int executor_spawn(const struct executor_launch *launch, pid_t *ret_pid, struct error *reterr)
{
    const struct config *cfg = launch->config;
    char program[4096], parent[32], offset[32], runs[32], idle[32], space[32], file[32];
    char sanitizer[SANITIZER_COUNT][512];
    const char *envp[FIXED_COUNT + SANITIZER_COUNT + 1];
    (void)snprintf(program, sizeof(program), "%s/gangsaw-executor", cfg->server_libexec_dir);
    (void)snprintf(parent, sizeof(parent), "%d", (int)getpid());
    (void)snprintf(offset, sizeof(offset), "%lld", (long long)launch->control_offset);
    (void)snprintf(runs, sizeof(runs), "%d", cfg->executor_max_runs);
    (void)snprintf(idle, sizeof(idle), "%d", cfg->executor_idle_mb);
    (void)snprintf(space, sizeof(space), "%zu", space_bytes(&launch->limits));
    (void)snprintf(file, sizeof(file), "%zu", SANDBOX_FILE_BYTES(launch->limits.output_bytes));
    const char *argv[] = {program,
                          "--modules",
                          cfg->server_modules_dir,
                          "--preload",
                          cfg->compute_preload,
                          "--parent",
                          parent,
                          "--control",
                          offset,
                          "--max-runs",
                          runs,
                          "--idle-mb",
                          idle,
                          "--sandbox",
                          sandbox_mode_name((enum sandbox_mode)cfg->executor_sandbox),
                          "--class",
                          task_class_name(launch->class),
                          "--space",
                          space,
                          "--file",
                          file,
                          launch->is_listening ? "--listen" : "--connected",
                          NULL};
    fill_environment(sanitizer, envp);
    const int fds[EXECUTOR_FD_COUNT] = {-1,
                                        launch->stderr_fd,
                                        launch->stderr_fd,
                                        launch->socket_fd,
                                        launch->lifeline_fd,
                                        launch->memory_fd,
                                        launch->ready_fd};
    struct spawn s = {.argv = argv,
                      .envp = envp,
                      .fds = fds,
                      .fd_count = EXECUTOR_FD_COUNT,
                      .nice = launch->nice};
    return spawn(&s, ret_pid, reterr);
}

void executor_count_exit(int status, bool is_expected)
{
    char reason[32] = "failed";
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        (void)snprintf(reason, sizeof(reason), "recycled");
    else if (is_expected && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        (void)snprintf(reason, sizeof(reason), "drained");
    else if (WIFSIGNALED(status) && name)
        (void)snprintf(reason, sizeof(reason), "SIG%s", name);
    else if (WIFSIGNALED(status))
        (void)snprintf(reason, sizeof(reason), "SIG%d", WTERMSIG(status));
    metrics_add(METRIC_EXECUTOR_EXITS, 1, reason);
}
