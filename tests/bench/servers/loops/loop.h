/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.h - one process of a measurement: the same work over and over, for a given time
 *
 *     PROGRAM CASE [WORD …]
 *
 * It works once to be warm, says "ready", and waits for lines on its standard input: a number of
 * seconds, for which it then works; a run that has begun is finished, and counted. It answers each
 * with a line of JSON: runs, the exact seconds they took, CPU seconds, its peak memory in KiB, and
 * the milliseconds of the first runs.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stddef.h>

struct loop_file {
    unsigned char *bytes;
    size_t size;
};

struct loop_case {
    const char *name;
    void (*run)(char *const *words); /* ends the process when something fails */
};

/* The program's, the last without a name; and what it does before the first run. */
extern const struct loop_case loop_cases[];
void loop_init(char *const *words);

/* A whole file, read once and kept: words of the command line name the same files in every run. */
const struct loop_file *loop_file(const char *path);

/* The peak of children in KiB, for programs that start some; it takes the place of the own one. */
extern long loop_child_peak_kb;

void loop_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
