/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_run.h - the module ABI without an executor, to drive a task's function directly
 *
 * Parameters are taken as they are, with the defaults of the descriptor's top level filled in;
 * limits are the descriptor's. Linked together with the module's own files.
 */
#ifndef TESTS_FAKE_RUN_H
#define TESTS_FAKE_RUN_H

#include <stddef.h>

#include <cjson/cJSON.h>

#include "tasks/task.h"

struct run_output {
    char name[64], media_type[64];
    unsigned char *bytes;
    size_t size;
    struct run *run;
};

/* `descriptor` is a path below the source folder; params is JSON text. Aborts when either is wrong.
 */
struct run *fake_run_new(const char *descriptor, const char *params);
void fake_run_free(struct run *run);

/* Forget what came out: it can be computed again, with the same parameters and inputs. */
void fake_run_reset(struct run *run);

/* The bytes are the caller's and stay until the run is freed. */
void fake_run_input(struct run *run, const char *name, const char *media_type, const void *bytes,
                    size_t size);

void fake_run_set_limit(struct run *run, const char *name, double value);

/* run_progress() says stop from this fraction, or from this call, on; never unless one is called.
 */
void fake_run_stop_at(struct run *run, double fraction);
void fake_run_stop_at_call(struct run *run, int call);

/* What came out; the result is NULL and an output NULL when there is none. */
const cJSON *fake_run_result(const struct run *run);
const struct run_output *fake_run_output(const struct run *run, int i);
int fake_run_progress_calls(const struct run *run);

/* A whole file, with malloc; NULL when there is none. */
unsigned char *fake_run_read_file(const char *path, size_t *ret_size);

/* A file of the shared test data, "images/4.webp", likewise; where it is missing, that is said. */
unsigned char *fake_run_shared_file(const char *name, size_t *ret_size);

/* Flip four bits, others with each call, the same in every test run. `size` is 1 or more. */
void fake_run_damage(unsigned char *bytes, size_t size, unsigned *seed);

/* The source folder: $srcdir, or the current one. */
const char *fake_run_source_dir(void);

#endif
