/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run made of fixed arrays: enough for the tests of modules, and nothing an executor does.
 */
#include "fake_run.h"

#include <assert.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS_MAX 8
#define OUTPUTS_MAX 16

/* Under sanitizers: what Fontconfig keeps until the process ends is no leak of a module's, nor what
 * libvips 8.14 leaves of an animated WebP that was stopped. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libfontconfig\nleak:WebPAnimEncoderNewInternal\nleak:libx265\n";
}

struct run {
    cJSON *descriptor, *params, *result;
    struct run_input inputs[INPUTS_MAX];
    struct run_output outputs[OUTPUTS_MAX];
    int input_count, output_count, progress_calls, stop_at_call;
    double stop_at;
};

const char *fake_run_source_dir(void)
{
    const char *dir = getenv("srcdir");
    return dir != NULL ? dir : ".";
}

unsigned char *fake_run_read_file(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    unsigned char *bytes = malloc((size_t)size + 1);
    if (bytes == NULL || fread(bytes, 1, (size_t)size, f) != (size_t)size)
        abort();
    bytes[size] = '\0';
    fclose(f);
    *ret_size = (size_t)size;
    return bytes;
}

unsigned char *fake_run_shared_file(const char *name, size_t *ret_size)
{
    char path[512];
    const char *dir = getenv("GANGSAW_SHARED_DATA");
    if (dir != NULL)
        snprintf(path, sizeof(path), "%s/%s", dir, name);
    else
        snprintf(path, sizeof(path), "%s/../shared/data/%s", fake_run_source_dir(), name);
    unsigned char *bytes = fake_run_read_file(path, ret_size);
    if (bytes == NULL)
        printf("skipped: %s is missing\n", path);
    return bytes;
}

void fake_run_damage(unsigned char *bytes, size_t size, unsigned *seed)
{
    for (int k = 0; k < 4; k++) {
        *seed = *seed * 1103515245 + 12345;
        bytes[(*seed >> 8) % size] ^= (unsigned char)(1 << (*seed >> 4 & 7));
    }
}

static void fill_defaults(cJSON *params, const cJSON *schema)
{
    const cJSON *property;
    cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
    {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(property, "default");
        if (value != NULL && !cJSON_HasObjectItem(params, property->string))
            cJSON_AddItemToObject(params, property->string, cJSON_Duplicate(value, true));
    }
}

struct run *fake_run_new(const char *descriptor, const char *params)
{
    char path[512];
    size_t size;
    struct run *run = calloc(1, sizeof(*run));

    assert(run != NULL);
    snprintf(path, sizeof(path), "%s/%s", fake_run_source_dir(), descriptor);
    char *text = (char *)fake_run_read_file(path, &size);
    run->descriptor = cJSON_Parse(text);
    run->params = cJSON_Parse(params);
    if (run->descriptor == NULL || run->params == NULL) {
        fprintf(stderr, "%s or %s is not JSON\n", path, params);
        abort();
    }
    free(text);
    fill_defaults(run->params, cJSON_GetObjectItemCaseSensitive(run->descriptor, "params"));
    run->stop_at = NAN;
    run->stop_at_call = INT_MAX;
    return run;
}

void fake_run_reset(struct run *run)
{
    for (int i = 0; i < run->output_count; i++)
        free(run->outputs[i].bytes);
    memset(run->outputs, 0, sizeof(run->outputs));
    run->output_count = run->progress_calls = 0;
    run_result(run, NULL);
}

void fake_run_free(struct run *run)
{
    fake_run_reset(run);
    cJSON_Delete(run->descriptor);
    cJSON_Delete(run->params);
    free(run);
}

void fake_run_input(struct run *run, const char *name, const char *media_type, const void *bytes,
                    size_t size)
{
    assert(run->input_count < INPUTS_MAX);
    run->inputs[run->input_count++] = (struct run_input){name, media_type, "", bytes, size};
}

void fake_run_set_limit(struct run *run, const char *name, double value)
{
    cJSON *limits = cJSON_GetObjectItemCaseSensitive(run->descriptor, "limits");
    cJSON_DeleteItemFromObjectCaseSensitive(limits, name);
    cJSON_AddNumberToObject(limits, name, value);
}

void fake_run_stop_at(struct run *run, double fraction)
{
    run->stop_at = fraction;
}

void fake_run_stop_at_call(struct run *run, int call)
{
    run->stop_at_call = call;
}

const cJSON *fake_run_result(const struct run *run)
{
    return run->result;
}

const struct run_output *fake_run_output(const struct run *run, int i)
{
    return i < run->output_count ? &run->outputs[i] : NULL;
}

int fake_run_progress_calls(const struct run *run)
{
    return run->progress_calls;
}

/* The ABI. */

const cJSON *run_params(const struct run *run)
{
    return run->params;
}

int run_input_count(const struct run *run, const char *name)
{
    int count = 0;
    for (int i = 0; i < run->input_count; i++)
        count += strcmp(run->inputs[i].name, name) == 0;
    return count;
}

const struct run_input *run_input(struct run *run, const char *name, int i)
{
    for (int k = 0; k < run->input_count; k++)
        if (strcmp(run->inputs[k].name, name) == 0 && i-- == 0)
            return &run->inputs[k];
    return NULL;
}

struct run_output *run_output(struct run *run, const char *name, const char *media_type)
{
    assert(run->output_count < OUTPUTS_MAX);
    struct run_output *out = &run->outputs[run->output_count++];
    snprintf(out->name, sizeof(out->name), "%s", name);
    snprintf(out->media_type, sizeof(out->media_type), "%s", media_type);
    out->run = run;
    return out;
}

int run_write(struct run_output *out, const void *bytes, size_t size, struct error *reterr)
{
    double limit = run_limit(out->run, "output_bytes");

    if ((double)(out->size + size) > limit)
        return error_set(reterr, ERR_TOO_LARGE, "the limit output_bytes is %g", limit);
    out->bytes = realloc(out->bytes, out->size + size + 1);
    assert(out->bytes != NULL);
    memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
    return 0;
}

void run_result(struct run *run, cJSON *result)
{
    cJSON_Delete(run->result);
    run->result = result;
}

double run_limit(const struct run *run, const char *name)
{
    const cJSON *limits = cJSON_GetObjectItemCaseSensitive(run->descriptor, "limits");
    const cJSON *limit = cJSON_GetObjectItemCaseSensitive(limits, name);
    return cJSON_IsNumber(limit) ? limit->valuedouble : NAN;
}

bool run_progress(struct run *run, double fraction, const char *what)
{
    (void)what;
    return ++run->progress_calls < run->stop_at_call && !(fraction >= run->stop_at);
}
