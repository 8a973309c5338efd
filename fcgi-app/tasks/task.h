/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * task.h - the module ABI: all that a module ever sees of Gangsaw
 *
 * A module is a shared object (`image.so`) that exports one symbol, `gangsaw_module`.
 * Its tasks run in a sandboxed executor process, one run at a time, on one thread;
 * parameters arrive validated with their defaults filled in. A crash, a hang or a leak
 * costs the run it happens in and nothing else.
 *
 * To add a task: one C file with a `run` function and one descriptor `MODULE.TASK.json` in
 * the module's folder, one row in the module's `tasks` table. demo/sum_squares.c is the model.
 */
#ifndef TASKS_TASK_H
#define TASKS_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define GANGSAW_MODULE_ABI 1

struct cJSON;
struct run;
struct run_output;

/* Bytes of one input. They are valid, and read-only, until the run ends. */
struct run_input {
    const char *name;       /* as the descriptor has it, without ".2" */
    const char *media_type; /* one the descriptor lists; "" when the client named none */
    const char *file_name;  /* as the client named it, no path; "" when it did not */
    const unsigned char *bytes;
    size_t size;
};

struct task {
    const char *name; /* "image.transform" */

    /*
     * Compute one run. Returns 0, or -1 with *reterr: ERR_INVALID_INPUT for what the input's
     * content is to blame for (the detail is shown to the client: say what was wrong with which
     * input and name the limit), ERR_INVALID_PARAMS for parameters that do not go together,
     * ERR_STOPPED after run_progress() said stop, ERR_INTERNAL for the rest.
     */
    int (*run)(struct run *run, struct error *reterr);
};

/* What a module consists of. */
struct gangsaw_module {
    int abi;                           /* GANGSAW_MODULE_ABI */
    int (*init)(struct error *reterr); /* once, when loaded, inside the sandbox; may be NULL */
    void (*trim)(void);                /* idle: give caches back; may be NULL */
    const struct task *tasks;          /* ends with a row whose name is NULL */
};

/* The one symbol a module exports: modules are built with -fvisibility=hidden. */
extern const struct gangsaw_module gangsaw_module __attribute__((visibility("default")));

/* The parameters, an object; they belong to the run. */
const struct cJSON *run_params(const struct run *run);

/* How many inputs `name` has, and the i-th of them (0 is the first); NULL beyond the last. */
int run_input_count(const struct run *run, const char *name);
const struct run_input *run_input(struct run *run, const char *name, int i);

/*
 * Begin an output of the descriptor. Outputs of one name under "many" become name, name.2, …
 * It belongs to the run. A name or media type that the descriptor's `outputs` lacks fails the run
 * where it is received.
 */
struct run_output *run_output(struct run *run, const char *name, const char *media_type);

/*
 * Append bytes to an output.
 * Errors: ERR_TOO_LARGE beyond the run's `output_bytes`; ERR_INTERNAL when memory ran out.
 */
int run_write(struct run_output *out, const void *bytes, size_t size, struct error *reterr);

/* Set the JSON result, an object. Takes ownership; a second call replaces the first. */
void run_result(struct run *run, struct cJSON *result);

/* A limit of the descriptor (`max_megapixels`), as configured; NAN when it has none of that name.
 */
double run_limit(const struct run *run, const char *name);

/*
 * Say how far the run is (0 to 1; `what` may be NULL). False: stop now, and return ERR_STOPPED.
 * It costs nanoseconds; call it at least every 50 ms.
 */
bool run_progress(struct run *run, double fraction, const char *what);

#endif
