/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * executor_sanitizer_options.c - linked into the executor when it is built with sanitizers
 *
 * An executor starts with a cleared environment, so its options cannot come from there. Leaks are
 * not looked for: engines keep what they have warmed up, and most executors end by SIGKILL. Tests
 * kill by SIGSEGV and SIGABRT, and expect these signals' names.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:"
           "allocator_may_return_null=1";
}
