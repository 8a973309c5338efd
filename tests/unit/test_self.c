/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One's own pid: kept, but never a parent's.
 */
#include "base/self.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int exit_status(pid_t pid)
{
    int status;
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_it_is_the_kernels(void **state)
{
    (void)state;
    assert_int_equal(self_pid(), getpid());
    assert_int_equal(self_pid(), getpid());
}

static void test_a_child_has_its_own(void **state)
{
    (void)state;
    (void)self_pid();
    pid_t pid = fork();
    if (pid == 0)
        _exit(self_pid() == getpid() && self_pid() != getppid() ? 0 : 1);
    assert_int_equal(exit_status(pid), 0);
}

static void test_a_child_of_a_clone_has_its_own_once_it_forgets(void **state)
{
    (void)state;
    (void)self_pid();
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, 0UL, 0UL, 0UL, 0UL);
    if (pid == 0) {
        self_forget();
        _exit(self_pid() == getpid() ? 0 : 1);
    }
    assert_int_equal(exit_status(pid), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_the_kernels),
        cmocka_unit_test(test_a_child_has_its_own),
        cmocka_unit_test(test_a_child_of_a_clone_has_its_own_once_it_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
