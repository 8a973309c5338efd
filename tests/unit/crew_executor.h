/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew_executor.h - executors of a runner that do not behave, for test_crew.c
 */
#ifndef TESTS_CREW_EXECUTOR_H
#define TESTS_CREW_EXECUTOR_H

/* Be one, with the manners that --modules names. Started with an executor's arguments. */
int crew_executor(int argc, char **argv);

#endif
