/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all the loops have in common: see loop.h.
 */
#include "loop.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define FILES_MAX 16
#define TIMES_MAX 4096

long loop_child_peak_kb;

void loop_fail(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

const struct loop_file *loop_file(const char *path)
{
    static struct {
        const char *path;
        struct loop_file file;
    } known[FILES_MAX];
    int i = 0;

    for (; i < FILES_MAX && known[i].path != NULL; i++)
        if (strcmp(known[i].path, path) == 0)
            return &known[i].file;
    FILE *f = i < FILES_MAX ? fopen(path, "rb") : NULL;
    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        loop_fail("cannot read %s", path);
    known[i].file.size = (size_t)ftell(f);
    known[i].file.bytes = malloc(known[i].file.size + 1);
    rewind(f);
    if (known[i].file.bytes == NULL ||
        fread(known[i].file.bytes, 1, known[i].file.size, f) != known[i].file.size)
        loop_fail("cannot read %s", path);
    fclose(f);
    known[i].path = path;
    return &known[i].file;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* With the children that have ended. */
static double cpu(void)
{
    double sum = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage used;
        getrusage(who, &used);
        sum += (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6 +
               (double)used.ru_stime.tv_sec + (double)used.ru_stime.tv_usec / 1e6;
    }
    return sum;
}

/* Of this program alone: ru_maxrss begins with that of whoever started it. */
static long peak_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f != NULL)
        fclose(f);
    return kb;
}

static void work(const struct loop_case *c, char *const *words, double seconds)
{
    static double times[TIMES_MAX];
    double begin = now(), used = cpu(), end = begin;
    long runs = 0;

    do {
        double before = end;
        c->run(words);
        end = now();
        if (runs < TIMES_MAX)
            times[runs] = end - before;
        runs++;
    } while (end < begin + seconds);
    printf("{\"runs\": %ld, \"seconds\": %.6f, \"cpu\": %.6f, \"peak_kb\": %ld, \"ms\": [", runs,
           end - begin, cpu() - used, loop_child_peak_kb > 0 ? loop_child_peak_kb : peak_kb());
    for (long i = 0; i < runs && i < TIMES_MAX; i++)
        printf("%s%.3f", i > 0 ? ", " : "", times[i] * 1e3);
    puts("]}");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[64];
    const struct loop_case *c = loop_cases;

    while (argc > 1 && c->name != NULL && strcmp(c->name, argv[1]) != 0)
        c++;
    if (argc < 2 || c->name == NULL)
        loop_fail("which of the cases?");
    /* As executors have it, or page faults would be measured: see exec/executor_main.c. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    loop_init(argv + 2);
    c->run(argv + 2);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL)
        work(c, argv + 2, strtod(line, NULL));
    return 0;
}
