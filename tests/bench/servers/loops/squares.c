/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The C function in a loop without a server around it: the very object that ctypes and FFI call,
 * since how fast so short a loop is depends on where the compiler and the linker put it.
 *
 *     squares run sum_squares.so N
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#include "loop.h"

static double (*sum_squares)(uint64_t end);

static void run(char *const *words)
{
    if (sum_squares(strtoull(words[1], NULL, 10)) < 0)
        loop_fail("a sum of squares is negative");
}

void loop_init(char *const *words)
{
    void *object = dlopen(words[0], RTLD_NOW);
    *(void **)&sum_squares = object ? dlsym(object, "sum_squares") : NULL;
    if (!sum_squares)
        loop_fail("%s", dlerror());
}

const struct loop_case loop_cases[] = {{"run", run}, {NULL, NULL}};
