/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program started for each run, as a shell's loop would. A small process starts it: the peak of a
 * child begins with that of its parent.
 *
 *     command run PROGRAM [WORD …]
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"

static void run(char *const *words)
{
    struct rusage used;
    int status, nowhere;
    pid_t pid = fork();

    if (pid == 0) {
        nowhere = open("/dev/null", O_RDWR);
        dup2(nowhere, 0);
        dup2(nowhere, 1);
        dup2(nowhere, 2);
        execvp(words[0], words);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &used) != pid || status != 0)
        loop_fail("%s failed", words[0]);
    if (used.ru_maxrss > loop_child_peak_kb)
        loop_child_peak_kb = used.ru_maxrss;
}

void loop_init(char *const *words)
{
    (void)words;
}

const struct loop_case loop_cases[] = {{"run", run}, {NULL, NULL}};
