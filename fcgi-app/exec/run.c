/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - see run.h and tasks/task.h
 */
#include "exec/run.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "exec/sandbox.h"

struct run_output {
    struct run *run;
    const char *name, *media_type;
    struct payload *payload;
    struct run_output *next;
};

struct run {
    struct arena *arena;
    const struct wire_message *message;
    struct order order;
    uint64_t number;
    struct control *control;
    cJSON *params, *result;
    struct run_input *inputs; /* in the order of the order's */
    struct run_output *first, *last;
    size_t output_max, output_used;
    struct error overflow; /* set by the write that went over output_max: the run fails with it */
};

int run_new(struct arena *a, const struct wire_message *m, const struct order *order,
            struct control *control, struct run **ret_run, struct error *reterr)
{
    struct run *run = arena_alloc(a, sizeof(*run));
    *run = (struct run){
        .arena = a, .message = m, .order = *order, .number = m->run, .control = control};
    if (json_parse(a, order->params, order->params_size, &run->params, reterr) != 0)
        return error_internal(reterr, "run: the parameters did not arrive as JSON");
    run->inputs = arena_alloc(a, (size_t)order->input_count * sizeof(*run->inputs));
    for (int i = 0; i < order->input_count; i++) {
        const struct order_input *in = &order->inputs[i];
        run->inputs[i] = (struct run_input){.name = in->name,
                                            .media_type = in->media_type,
                                            .file_name = in->file_name,
                                            .bytes = in->size > 0 ? m->payload.bytes + in->offset
                                                                  : (const unsigned char *)"",
                                            .size = in->size};
    }
    double output_bytes = run_limit(run, "output_bytes");
    run->output_max = output_bytes > 0 ? (size_t)output_bytes : 0;
    *ret_run = run;
    return 0;
}

const struct cJSON *run_params(const struct run *run)
{
    return run->params;
}

int run_input_count(const struct run *run, const char *name)
{
    int count = 0;
    for (int i = 0; i < run->order.input_count; i++)
        count += strcmp(run->inputs[i].name, name) == 0;
    return count;
}

const struct run_input *run_input(struct run *run, const char *name, int i)
{
    for (int k = 0; k < run->order.input_count && i >= 0; k++) {
        if (strcmp(run->inputs[k].name, name) == 0 && i-- == 0)
            return &run->inputs[k];
    }
    return NULL;
}

struct run_output *run_output(struct run *run, const char *name, const char *media_type)
{
    struct run_output *out = arena_alloc(run->arena, sizeof(*out));
    out->run = run;
    out->name = arena_strdup(run->arena, name);
    out->media_type = arena_strdup(run->arena, media_type);
    out->payload = payload_new(run->arena);
    if (run->last)
        run->last->next = out;
    else
        run->first = out;
    run->last = out;
    return out;
}

int run_write(struct run_output *out, const void *bytes, size_t size, struct error *reterr)
{
    struct run *run = out->run;
    if (size > run->output_max - run->output_used) {
        (void)error_set(&run->overflow, ERR_TOO_LARGE,
                        "The output is larger than the limit output_bytes = %zu.", run->output_max);
        *reterr = run->overflow;
        return -1;
    }
    if (payload_append(out->payload, bytes, size, reterr) != 0)
        return -1;
    run->output_used += size;
    return 0;
}

void run_result(struct run *run, struct cJSON *result)
{
    cJSON_Delete(run->result);
    run->result = result;
}

double run_limit(const struct run *run, const char *name)
{
    for (int i = 0; i < run->order.limit_count; i++) {
        if (strcmp(run->order.limits[i].name, name) == 0)
            return run->order.limits[i].value;
    }
    return NAN;
}

bool run_progress(struct run *run, double fraction, const char *what)
{
    struct control *c = run->control;
    if (fraction >= 0 && fraction <= 1)
        atomic_store_explicit(&c->fraction_ppm, (uint32_t)(fraction * 1e6), memory_order_relaxed);
    if (what && strncmp(what, c->text, CONTROL_TEXT_SIZE - 1) != 0)
        (void)strncpy(c->text, what, CONTROL_TEXT_SIZE - 1);
    return atomic_load_explicit(&c->stop_run, memory_order_relaxed) != run->number;
}

static int64_t cpu_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#define TINY_US 500        /* of CPU: such a run is not worth another system call */
#define BRIEF_US 100       /* nor is one that took no longer worth one at all */
#define PEAK_SLACK 1048576 /* a mark so little above what is held now is as good as a new one */

/* Up to here CPU time and memory have been counted: one look at that clock for each run, which is a
 * system call. A brief run is taken to have computed all the time it took. Where that was
 * wrong the next one pays or gains, unless run_skip_usage() comes before it. */
static struct {
    int64_t cpu_us;
    int64_t peak_bytes; /* the high-water mark when it was last looked at */
    int clear_fd;       /* resets the mark; -1: this kernel cannot, and peaks are unknown */
} counted = {.clear_fd = -1};

static struct run_usage count_usage(uint64_t took_us)
{
    int64_t before_us = counted.cpu_us;
    counted.cpu_us = took_us < BRIEF_US ? before_us + (int64_t)took_us : cpu_us();
    int64_t since_us = counted.cpu_us - before_us;
    struct run_usage used = {.cpu_us = since_us > 0 ? since_us : 0};
    struct rusage r;
    if (used.cpu_us >= TINY_US && counted.clear_fd >= 0 && getrusage(RUSAGE_SELF, &r) == 0)
        counted.peak_bytes = (int64_t)r.ru_maxrss * 1024;
    used.peak_bytes = counted.peak_bytes;
    return used;
}

void run_watch_memory(void)
{
    counted.clear_fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    counted.peak_bytes = INT64_MAX; /* what was before main() counts for nobody */
}

void run_skip_usage(size_t resident_bytes)
{
    int64_t resident = (int64_t)resident_bytes;
    counted.cpu_us = cpu_us();
    if (counted.peak_bytes <= resident + PEAK_SLACK)
        return;
    /* "5" resets the high-water mark: proc_pid_clear_refs(5) */
    bool is_reset = counted.clear_fd >= 0 && pwrite(counted.clear_fd, "5", 1, 0) == 1;
    counted.peak_bytes = is_reset ? resident : 0;
}

static void put_usage(struct wire_writer *w, const struct run_usage *used)
{
    wire_put_u64(w, (uint64_t)used->cpu_us);
    wire_put_u64(w, (uint64_t)used->peak_bytes);
    wire_put_u64(w, used->lingers);
}

static void release(struct run *run)
{
    if (run)
        cJSON_Delete(run->result);
    if (run)
        run->result = NULL;
}

int run_send_error(struct run *run, int fd, uint64_t number, const struct error *error,
                   const struct run_usage *used)
{
    struct error why;
    struct payload payload = PAYLOAD_INIT;
    struct wire_writer w = {.payload = &payload, .error = &why};
    wire_put_u64(&w, (uint64_t)error->code);
    wire_put_text(&w, error->detail);
    wire_put_text(&w, error->cause);
    put_usage(&w, used);
    int result = w.failed ? -1 : wire_send(fd, WIRE_ERROR, number, &payload, 0, &why);
    payload_release(&payload);
    release(run);
    return result;
}

static int send_output(const struct run_output *out, int fd, struct error *reterr)
{
    size_t body_size = out->payload->size;
    struct wire_writer w = {.payload = out->payload, .error = reterr};
    wire_put_text(&w, out->name);
    wire_put_text(&w, out->media_type);
    if (w.failed)
        return -1;
    int result = wire_send(fd, WIRE_OUTPUT, out->run->number, out->payload, body_size, reterr);
    payload_release(out->payload); /* the receiver has it now */
    return result;
}

int run_send_result(struct run *run, int fd, const struct run_usage *used)
{
    struct error why;
    struct payload payload = PAYLOAD_INIT;
    size_t size = 0;
    const char *text = run->result ? json_print(run->arena, run->result, &size) : "";
    int result = payload_reserve(&payload, size + 3 * sizeof(uint64_t), &why);
    if (result == 0)
        result = payload_append(&payload, text, size, &why);
    struct wire_writer w = {.payload = &payload, .error = &why, .failed = result != 0};
    put_usage(&w, used);
    result = w.failed ? -1 : wire_send(fd, WIRE_RESULT, run->number, &payload, size, &why);
    payload_release(&payload);
    if (result != 0)
        return run_send_error(run, fd, run->number, &why, used);
    release(run);
    return 0;
}

static void lower_limit(__rlimit_resource_t resource, size_t value, size_t *current)
{
    struct rlimit limit;
    if (*current == value || getrlimit(resource, &limit) != 0)
        return;
    *current = value;
    limit.rlim_cur = (rlim_t)value < limit.rlim_max ? (rlim_t)value : limit.rlim_max;
    (void)setrlimit(resource, &limit);
}

/* A second line behind the waiting side's samples of memory, which come every 100 ms. */
static void set_limits(const struct run *run)
{
    static size_t file_limit, space_limit; /* as set by the last run, mostly of the same task */
    double memory_mb = run_limit(run, "memory_mb");
    lower_limit(RLIMIT_FSIZE, SANDBOX_FILE_BYTES(run->output_max), &file_limit);
    if (SANDBOX_LIMITS_SPACE && memory_mb > 0)
        lower_limit(RLIMIT_AS,
                    SANDBOX_SPACE_BYTES((size_t)(memory_mb * 1048576), run->message->payload.size,
                                        run->output_max),
                    &space_limit);
}

int run_compute(struct run *run, const struct task *task, int fd, struct run_usage *ret_usage,
                struct error *reterr)
{
    struct control *c = run->control;
    set_limits(run);

    int result = task->run(run, reterr);
    if (result == 0 && run->overflow.code != ERR_NONE) {
        *reterr = run->overflow;
        result = -1;
    }
    for (struct run_output *out = run->first; out && result == 0; out = out->next)
        result = send_output(out, fd, reterr);
    *ret_usage = count_usage(control_computing_us(c, run->number));
    control_end(c, run->number);
    return result;
}
