/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sum of i*i for 0 <= i < n, term by term, as the usual CPU-bound example does it.
 * The model for whoever writes a task: all of the C is here, the rest of what the server knows
 * about it (parameters, result, limits, documentation) is in demo.sum_squares.json.
 */
#include "tasks/task.h"

#include <stdint.h>

#include <cjson/cJSON.h>

#define TERMS_A_STEP (UINT64_C(1) << 22) /* a few milliseconds: how soon it stops when told */

/* 10^13 terms stay below 2^128, more digits than a JSON number holds: hence a string. */
static const char *decimal(unsigned __int128 value, char text[static 40])
{
    char *p = text + 39;
    *p = '\0';
    do
        *--p = (char)('0' + (int)(value % 10));
    while ((value /= 10) > 0);
    return p;
}

static int sum_squares(struct run *run, struct error *reterr)
{
    /* Validated before it gets here: a whole number from 0 to 10^13. */
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(run_params(run), "n");
    const uint64_t end = (uint64_t)n->valuedouble;
    unsigned __int128 sum = 0;

    for (uint64_t i = 0; i < end;) {
        if (!run_progress(run, (double)i / (double)end, NULL))
            return error_set(reterr, ERR_STOPPED, "Stopped after %llu terms.",
                             (unsigned long long)i);
        const uint64_t step_end = end - i < TERMS_A_STEP ? end : i + TERMS_A_STEP;
        for (; i < step_end; i++) {
            __asm__("" : "+r"(i)); /* or the compiler puts a formula in the place of the loop */
            sum += (unsigned __int128)i * i;
        }
    }

    char text[40];
    cJSON *result = cJSON_CreateObject();
    cJSON_AddStringToObject(result, "sum", decimal(sum, text));
    run_result(run, result);
    return 0;
}

static const struct task tasks[] = {{"demo.sum_squares", sum_squares}, {NULL, NULL}};

const struct gangsaw_module gangsaw_module = {.abi = GANGSAW_MODULE_ABI, .tasks = tasks};
