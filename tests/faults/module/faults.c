/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module `faults`: what goes wrong in modules, on request. It shows that a run that
 * crashes, hangs, leaks or floods costs that run alone. For tests only; never installed.
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIB ((size_t)1 << 20)
#define DESCRIPTORS_MAX 65536

/* The descriptors give every parameter a default. */
static double number(const struct run *run, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(run), name)->valuedouble;
}

static bool flag(const struct run *run, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(run_params(run), name));
}

static const char *word(const struct run *run, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(run_params(run), name)->valuestring;
}

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static int stopped(struct error *reterr)
{
    return error_set(reterr, ERR_STOPPED, "The run was stopped.");
}

/* Dies of a signal, with an output begun if asked for. */
static int crash(struct run *run, struct error *reterr)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {
        {"SEGV", SIGSEGV}, {"ABRT", SIGABRT}, {"BUS", SIGBUS}, {"FPE", SIGFPE}, {"KILL", SIGKILL}};

    if (flag(run, "output_first") &&
        run_write(run_output(run, "file", "text/plain"), "half", 4, reterr) != 0)
        return -1;
    for (size_t i = 0; i < COUNT(signals); i++) {
        if (strcmp(signals[i].name, word(run, "signal")) == 0) {
            signal(signals[i].number, SIG_DFL);
            kill(getpid(), signals[i].number);
        }
    }
    return error_set(reterr, ERR_INTERNAL, "It lives.");
}

static int leave(struct run *run, struct error *reterr)
{
    (void)reterr;
    _exit((int)number(run, "code"));
}

/* Computes for so long, whatever anybody says. */
static int hang(struct run *run, struct error *reterr)
{
    double end = now_seconds() + number(run, "seconds");
    (void)reterr;
    while (now_seconds() < end)
        ;
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* The same, but it stops when told. */
static int cooperative(struct run *run, struct error *reterr)
{
    double start = now_seconds(), seconds = number(run, "seconds"), passed = 0;
    bool is_busy = flag(run, "busy");

    while ((passed = now_seconds() - start) < seconds) {
        if (!run_progress(run, passed / seconds, "waiting to be stopped"))
            return stopped(reterr);
        if (!is_busy)
            sleep_ms(5);
    }
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* Sleeps in one piece, as a call to a slow server does. */
static int sleep_through(struct run *run, struct error *reterr)
{
    (void)reterr;
    sleep_ms((long)(number(run, "seconds") * 1000));
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* The compiler must not see that nobody reads it. */
static void *take_memory(size_t size)
{
    unsigned char *memory = malloc(size);
    if (memory != NULL)
        memset(memory, 0xa5, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
    return memory;
}

static int allocate(struct run *run, struct error *reterr)
{
    size_t step = (size_t)number(run, "mb_per_step") * MIB;
    long pause_ms = (long)number(run, "pause_ms");
    size_t taken = 0;

    while (take_memory(step) != NULL) {
        taken += step;
        sleep_ms(pause_ms);
    }
    return error_set(reterr, ERR_INTERNAL, "There was no memory left after %zu MiB.", taken / MIB);
}

static int leak(struct run *run, struct error *reterr)
{
    if (take_memory((size_t)number(run, "mb") * MIB) == NULL)
        return error_set(reterr, ERR_INTERNAL, "There was no memory left.");
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* Writes far more than it may; with ignore_errors it calls that a success. */
static int write_on(struct run *run, struct error *reterr)
{
    static const char zeros[65536];
    struct run_output *out = run_output(run, "file", "application/octet-stream");
    size_t size = (size_t)number(run, "mb") * MIB;

    for (size_t written = 0; written < size; written += sizeof(zeros))
        if (run_write(out, zeros, sizeof(zeros), reterr) != 0 && !flag(run, "ignore_errors"))
            return -1;
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* Talks on both streams; 0 lines are no end of lines. With a text, that alone. */
static int print(struct run *run, struct error *reterr)
{
    long lines = (long)number(run, "lines");
    const char *text = word(run, "text");
    (void)reterr;
    if (*text) {
        fprintf(stderr, "%s\n", text);
        lines = -1;
    }
    for (long i = 1; lines == 0 || i <= lines; i++) {
        fprintf(stdout, "stdout line %ld\n", i);
        fprintf(stderr, "stderr line %ld \x01\xff{\"level\":\"forged\"}\n", i);
    }
    fflush(stdout);
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* Outputs have to be of a media type that the descriptor lists. */
static const char *echo_media_type(const char *media_type)
{
    static const char *const listed[] = {"text/plain", "text/html", "application/json",
                                         "image/jpeg", "image/png", "image/webp"};
    for (size_t i = 0; i < COUNT(listed); i++)
        if (strcmp(listed[i], media_type) == 0)
            return listed[i];
    return "application/octet-stream";
}

/* Gives back what it was given: parameters in the result, inputs as outputs. */
static int echo(struct run *run, struct error *reterr)
{
    cJSON *result = cJSON_CreateObject();
    cJSON_AddItemToObject(result, "params", cJSON_Duplicate(run_params(run), true));
    cJSON *inputs = cJSON_AddArrayToObject(result, "inputs");

    run_result(run, result);
    for (int i = 0; i < run_input_count(run, "file"); i++) {
        const struct run_input *in = run_input(run, "file", i);
        cJSON *input = cJSON_CreateObject();
        cJSON_AddStringToObject(input, "media_type", in->media_type);
        cJSON_AddStringToObject(input, "file_name", in->file_name);
        cJSON_AddNumberToObject(input, "size", (double)in->size);
        cJSON_AddItemToArray(inputs, input);
        if (run_write(run_output(run, "file", echo_media_type(in->media_type)), in->bytes, in->size,
                      reterr) != 0)
            return -1;
    }
    return 0;
}

/* The document over and over, until it is as large as asked for. */
static int write_page(struct run *run, const char *media_type, struct error *reterr)
{
    const struct run_input *in = run_input(run, "document", 0);
    struct run_output *out = run_output(run, "page", media_type);
    size_t rest = (size_t)number(run, "bytes");
    while (rest > 0) {
        size_t more = in->size < rest ? in->size : rest;
        if (run_write(out, in->bytes, more, reterr) != 0)
            return -1;
        rest -= more;
    }
    return 0;
}

/* As many outputs as asked for, of two names and three media types. */
static int several(struct run *run, struct error *reterr)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(run_params(run), "format");
    bool is_webp = cJSON_IsString(format) && strcmp(format->valuestring, "webp") == 0;
    int pages = (int)number(run, "pages");
    const struct run_input *seal = run_input(run, "seal", 0);

    if (flag(run, "note") &&
        run_write(run_output(run, "note", "text/plain"), "noted", 5, reterr) != 0)
        return -1;
    for (int i = 0; i < pages; i++)
        if (write_page(run, is_webp ? "image/webp" : "image/png", reterr) != 0)
            return -1;
    if (flag(run, "silent"))
        return 0;
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "pages", pages);
    cJSON_AddNumberToObject(result, "seal", seal ? (double)seal->size : 0);
    run_result(run, result);
    return 0;
}

/* Progress out of range, backwards, and in texts that are no text. */
static int progress(struct run *run, struct error *reterr)
{
    static const char *const texts[] = {
        "decoding", "caf\xc3\xa9", "\xff\xfe\xc3", "a\nb\x01\"\\",
        ("a text that goes on and on and on and on, far beyond what "
         "anybody would want to read next to a progress bar")};
    static const double fractions[] = {0.5, -1, 2, 0.1, 1e308 * 10};
    long steps = (long)number(run, "steps"), pause_ms = (long)number(run, "pause_ms");

    for (long i = 0; i < steps; i++) {
        size_t k = (size_t)i % COUNT(texts);
        if (!run_progress(run, fractions[k], texts[k]))
            return stopped(reterr);
        sleep_ms(pause_ms);
    }
    run_result(run, cJSON_CreateObject());
    return 0;
}

/* Opens descriptors and forgets them. */
static int open_descriptors(struct run *run, struct error *reterr)
{
    int count = 0;
    (void)reterr;
    while (count < (int)number(run, "count") && open("/dev/null", O_RDONLY) >= 0)
        count++;
    cJSON *result = cJSON_CreateObject();
    cJSON_AddNumberToObject(result, "opened", count);
    run_result(run, result);
    return 0;
}

static int fail(struct run *run, struct error *reterr)
{
    const char *name = word(run, "code");
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        if (strcmp(error_name((enum err_code)code), name) != 0)
            continue;
        error_set(reterr, (enum err_code)code, "%s", word(run, "detail"));
        return error_cause(reterr, "%s", word(run, "cause"));
    }
    return error_set(reterr, ERR_INVALID_PARAMS, "There is no error code of that name.");
}

/* What the task can see of the world. */

/* Their numbers; what they are stands in /proc, which cannot be read from here. */
static void add_descriptors(cJSON *result)
{
    cJSON *list = cJSON_AddArrayToObject(result, "descriptors");
    for (int fd = 0; fd <= DESCRIPTORS_MAX; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            cJSON_AddItemToArray(list, cJSON_CreateNumber(fd));
}

static double limit_number(rlim_t limit)
{
    return limit == RLIM_INFINITY ? -1 : (double)limit;
}

static void add_limits(cJSON *result)
{
    static const struct {
        const char *name;
        __rlimit_resource_t resource;
    } limits[] = {{"AS", RLIMIT_AS},         {"CORE", RLIMIT_CORE}, {"FSIZE", RLIMIT_FSIZE},
                  {"NOFILE", RLIMIT_NOFILE}, {"DATA", RLIMIT_DATA}, {"NPROC", RLIMIT_NPROC}};
    cJSON *object = cJSON_AddObjectToObject(result, "limits");

    for (size_t i = 0; i < COUNT(limits); i++) {
        struct rlimit l;
        if (getrlimit(limits[i].resource, &l) != 0)
            continue;
        cJSON *item = cJSON_AddObjectToObject(object, limits[i].name);
        cJSON_AddNumberToObject(item, "soft", limit_number(l.rlim_cur));
        cJSON_AddNumberToObject(item, "hard", limit_number(l.rlim_max));
    }
}

static int environment(struct run *run, struct error *reterr)
{
    cJSON *result = cJSON_CreateObject();
    cJSON *variables = cJSON_AddArrayToObject(result, "environment");
    char directory[256];
    (void)reterr;

    for (char **e = environ; e != NULL && *e != NULL; e++)
        cJSON_AddItemToArray(variables, cJSON_CreateString(*e));
    add_descriptors(result);
    add_limits(result);
    cJSON_AddNumberToObject(result, "pid", getpid());
    cJSON_AddNumberToObject(result, "parent_pid", getppid());
    cJSON_AddNumberToObject(result, "user_id", getuid());
    cJSON_AddStringToObject(result, "directory",
                            getcwd(directory, sizeof(directory)) != NULL ? directory : "");
    run_result(run, result);
    return 0;
}

static const struct task tasks[] = {
    {"faults.allocate", allocate},
    {"faults.cooperative", cooperative},
    {"faults.crash", crash},
    {"faults.echo", echo},
    {"faults.environment", environment},
    {"faults.error", fail},
    {"faults.exit", leave},
    {"faults.fd", open_descriptors},
    {"faults.hang", hang},
    {"faults.hostile", hostile},
    {"faults.hostile_net", hostile},
    {"faults.leak", leak},
    {"faults.print", print},
    {"faults.progress", progress},
    {"faults.several", several},
    {"faults.sleep", sleep_through},
    {"faults.write", write_on},
    {NULL, NULL},
};

const struct gangsaw_module gangsaw_module = {.abi = GANGSAW_MODULE_ABI, .tasks = tasks};
