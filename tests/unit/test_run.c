/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A run inside the executor: what a task asks for it gets, what it writes is bounded whether it
 * heeds errors or not, and each run ends with exactly one message that says so.
 */
#include "exec/run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "exec/call.h"

#define RUN 42
#define OUTPUT_BYTES 1048576
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct task_limit limits[] = {
    {"seconds", 10}, {"memory_mb", 4096}, {"output_bytes", OUTPUT_BYTES}, {"max_megapixels", 71}};

static const char *any_types[] = {"application/octet-stream", NULL};
static const struct task_slot outputs[] = {
    {.name = "file", .media_types = any_types, .max_count = 10}};
static const struct task_desc desc = {.name = "demo.x",
                                      .module = "demo",
                                      .outputs = outputs,
                                      .output_count = COUNT(outputs),
                                      .output_bytes = OUTPUT_BYTES};

struct context {
    struct arena *arena;
    struct wire_message message;
    struct control control;
    struct run *run;
    struct call call; /* what the waiting side makes of it */
    int fd;           /* the executor's end */
};

static const char body[] = "abcdefghij";

/* An order for three inputs and one parameter, as a worker sends it. */
static void order_run(struct context *c, const char *params)
{
    static const struct order_input inputs[] = {
        {"file", "image/png", "a.png", 0, 3}, {"mask", "", "", 3, 0}, {"file", "", "", 3, 7}};
    struct order order = {.module = "demo",
                          .task = "demo.x",
                          .params = params,
                          .params_size = strlen(params),
                          .limits = limits,
                          .limit_count = COUNT(limits),
                          .inputs = inputs,
                          .input_count = COUNT(inputs)};
    struct error err;
    payload_release(&c->message.payload);
    c->message = (struct wire_message){.kind = WIRE_RUN, .run = RUN, .payload = PAYLOAD_INIT};
    assert_int_equal(payload_append(&c->message.payload, body, strlen(body), &err), 0);
    c->message.body_size = strlen(body);
    assert_int_equal(order_encode(&order, &c->message.payload, &err), 0);
}

static int make_run(struct context *c, struct error *reterr)
{
    struct order order;
    assert_int_equal(order_decode(&c->message, c->arena, &order, reterr), 0);
    return run_new(c->arena, &c->message, &order, &c->control, &c->run, reterr);
}

static int setup(void **state)
{
    static struct context c;
    struct error err;
    int fds[2];
    c = (struct context){.arena = arena_new(), .message.payload = PAYLOAD_INIT};
    order_run(&c, "{\"n\":7}");
    if (make_run(&c, &err) != 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    call_init(&c.call, c.arena, &desc, RUN);
    c.call.fd = fds[0];
    c.call.state = CALL_STARTED;
    c.fd = fds[1];
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    call_release(&c->call);
    payload_release(&c->message.payload);
    arena_free(c->arena);
    (void)close(c->fd);
    return 0;
}

/* As the executor does. */
static int compute_and_tell(const struct context *c, const struct task *task)
{
    struct run_usage used;
    struct error err;
    if (run_compute(c->run, task, c->fd, &used, &err) == 0)
        return run_send_result(c->run, c->fd, &used);
    return run_send_error(c->run, c->fd, c->message.run, &err, &used);
}

/* In a process of its own, since a run lowers its limits. Then take what it sent. */
static void compute(struct context *c, int (*run)(struct run *run, struct error *reterr))
{
    const struct task task = {"demo.x", run};
    struct error err;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(compute_and_tell(c, &task) == 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    while (c->call.state == CALL_STARTED) {
        if (call_receive(&c->call, &err) != 0)
            fail_msg("%s: %s", err.detail, err.cause);
    }
    assert_int_equal(c->call.state, CALL_ENDED);
}

static void test_a_task_sees_its_parameters_inputs_and_limits(void **state)
{
    struct context *c = *state;
    assert_true(json_is_integer(json_member(run_params(c->run), "n")));
    assert_int_equal(run_input_count(c->run, "file"), 2);
    assert_int_equal(run_input_count(c->run, "mask"), 1);
    assert_int_equal(run_input_count(c->run, "other"), 0);

    const struct run_input *in = run_input(c->run, "file", 0);
    assert_string_equal(in->media_type, "image/png");
    assert_string_equal(in->file_name, "a.png");
    assert_int_equal(in->size, 3);
    assert_memory_equal(in->bytes, "abc", 3);
    in = run_input(c->run, "file", 1);
    assert_int_equal(in->size, 7);
    assert_memory_equal(in->bytes, "defghij", 7);
    assert_int_equal(run_input(c->run, "mask", 0)->size, 0);
    assert_non_null(run_input(c->run, "mask", 0)->bytes);
    assert_null(run_input(c->run, "file", 2));
    assert_null(run_input(c->run, "file", -1));
    assert_null(run_input(c->run, "other", 0));

    assert_true(run_limit(c->run, "max_megapixels") >= 71);
    assert_true(isnan(run_limit(c->run, "no_such")));
}

static void test_parameters_that_are_no_json_are_refused(void **state)
{
    static const char *const texts[] = {"", "{", "{\"a\":1,\"a\":1}", "\xff"};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct error err;
        order_run(c, texts[i]);
        assert_int_equal(make_run(c, &err), -1);
        assert_int_equal(err.code, ERR_INTERNAL);
    }
}

static int answer(struct run *run, struct error *reterr)
{
    struct run_output *first = run_output(run, "file", "application/octet-stream");
    struct run_output *second = run_output(run, "file", "application/octet-stream");
    run_result(run, cJSON_CreateObject()); /* replaced below */
    cJSON *result = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(result, "sum", "14");
    run_result(run, result);
    for (int i = 0; i < 3; i++) {
        if (run_write(second, "xy", 2, reterr) != 0 || run_write(first, "z", 1, reterr) != 0)
            return -1;
    }
    return run_write(first, "", 0, reterr);
}

static void test_outputs_and_result_arrive_in_the_order_they_were_begun(void **state)
{
    struct context *c = *state;
    compute(c, answer);
    assert_false(c->call.failed);
    assert_int_equal(c->call.output_count, 2);
    assert_int_equal(c->call.outputs[0].size, 3);
    assert_memory_equal(c->call.outputs[0].bytes, "zzz", 3);
    assert_string_equal(c->call.outputs[1].name, "file.2");
    assert_memory_equal(c->call.outputs[1].bytes, "xyxyxy", 6);
    assert_string_equal(cJSON_GetStringValue(json_member(c->call.result, "sum")), "14");
}

static int say_nothing(struct run *run, struct error *reterr)
{
    (void)run;
    (void)reterr;
    return 0;
}

static void test_a_task_that_gives_nothing_has_succeeded(void **state)
{
    struct context *c = *state;
    compute(c, say_nothing);
    assert_false(c->call.failed);
    assert_int_equal(c->call.output_count, 0);
    assert_null(c->call.result);
}

static int fail_politely(struct run *run, struct error *reterr)
{
    if (run_write(run_output(run, "file", "application/octet-stream"), "half", 4, reterr) != 0)
        return -1;
    run_result(run, cJSON_CreateObject());
    (void)error_set(reterr, ERR_INVALID_INPUT, "The picture is torn.");
    return error_cause(reterr, "libpaper: at the edge");
}

static void test_a_task_that_failed_sends_its_error_and_nothing_else(void **state)
{
    struct context *c = *state;
    compute(c, fail_politely);
    assert_true(c->call.failed);
    assert_int_equal(c->call.error.code, ERR_INVALID_INPUT);
    assert_string_equal(c->call.error.detail, "The picture is torn.");
    assert_string_equal(c->call.error.cause, "libpaper: at the edge");
    assert_int_equal(c->call.output_count, 0);
    assert_null(c->call.result);
}

static int write_all(struct run *run, size_t total, size_t step, struct error *reterr)
{
    static const char zeros[70000];
    struct run_output *out = run_output(run, "file", "application/octet-stream");
    for (size_t written = 0; written < total; written += step) {
        size_t size = total - written < step ? total - written : step;
        if (run_write(out, zeros, size, reterr) != 0)
            return -1;
    }
    return 0;
}

static int fill_exactly(struct run *run, struct error *reterr)
{
    return write_all(run, OUTPUT_BYTES, 1000, reterr);
}

/* Its memory doubles up to just the limit; the record then needs a little more. */
static int fill_in_powers_of_two(struct run *run, struct error *reterr)
{
    return write_all(run, OUTPUT_BYTES, 65536, reterr);
}

static int fill_and_one_more(struct run *run, struct error *reterr)
{
    return write_all(run, OUTPUT_BYTES + 1, 1000, reterr);
}

static int overflow_together(struct run *run, struct error *reterr)
{
    return write_all(run, OUTPUT_BYTES - 10, 1000, reterr) == 0 ? write_all(run, 11, 11, reterr)
                                                                : -1;
}

static int overflow_at_once(struct run *run, struct error *reterr)
{
    char byte = 0;
    return run_write(run_output(run, "file", "application/octet-stream"), &byte, SIZE_MAX, reterr);
}

/* Calls it a success, and goes on with what still fits. */
static int overflow_and_ignore_it(struct run *run, struct error *reterr)
{
    struct run_output *out = run_output(run, "file", "application/octet-stream");
    (void)fill_and_one_more(run, reterr);
    (void)run_write(out, "x", 1, reterr);
    run_result(run, cJSON_CreateObject());
    return 0;
}

static int overflow_and_blame_another(struct run *run, struct error *reterr)
{
    (void)fill_and_one_more(run, reterr);
    return error_set(reterr, ERR_INTERNAL, "Something else.");
}

static void test_outputs_up_to_their_limit_are_sent(void **state)
{
    static int (*const tasks[])(struct run *, struct error *) = {fill_exactly,
                                                                 fill_in_powers_of_two};
    for (size_t i = 0; i < COUNT(tasks); i++) {
        struct context *c = *state;
        compute(c, tasks[i]);
        if (c->call.failed)
            fail_msg("%s (%s)", c->call.error.detail, c->call.error.cause);
        assert_int_equal(c->call.outputs[0].size, OUTPUT_BYTES);
        (void)teardown(state);
        assert_int_equal(setup(state), 0);
    }
}

static void test_outputs_over_their_limit_fail_the_run_whatever_it_says(void **state)
{
    static int (*const tasks[])(struct run *, struct error *) = {
        fill_and_one_more, overflow_together, overflow_at_once, overflow_and_ignore_it};
    for (size_t i = 0; i < COUNT(tasks); i++) {
        struct context *c = *state;
        compute(c, tasks[i]);
        assert_true(c->call.failed);
        assert_int_equal(c->call.error.code, ERR_TOO_LARGE);
        assert_non_null(strstr(c->call.error.detail, "output_bytes = 1048576"));
        assert_int_equal(c->call.output_count, 0);
        (void)teardown(state);
        assert_int_equal(setup(state), 0);
    }
}

static void test_an_error_of_its_own_is_not_hidden_by_an_overflow(void **state)
{
    struct context *c = *state;
    compute(c, overflow_and_blame_another);
    assert_true(c->call.failed);
    assert_int_equal(c->call.error.code, ERR_INTERNAL);
}

static void test_stop_is_for_this_run_alone(void **state)
{
    struct context *c = *state;
    assert_true(run_progress(c->run, 0, NULL));
    atomic_store(&c->control.stop_run, RUN - 1);
    assert_true(run_progress(c->run, 0, NULL));
    atomic_store(&c->control.stop_run, RUN);
    assert_false(run_progress(c->run, 0, NULL));
    assert_false(run_progress(c->run, 1, "still going"));
}

static void test_progress_stays_within_its_bounds(void **state)
{
    static const struct {
        double fraction;
        uint32_t ppm;
    } cases[] = {{0.25, 250000}, {-1, 250000}, {1.5, 250000}, {1, 1000000},
                 {0, 0},         {NAN, 0},     {INFINITY, 0}, {1e-6, 1}};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)run_progress(c->run, cases[i].fraction, NULL);
        assert_int_equal(c->control.fraction_ppm, cases[i].ppm);
    }
}

static void test_a_text_is_cut_to_its_room(void **state)
{
    struct context *c = *state;
    char text[3 * CONTROL_TEXT_SIZE];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)run_progress(c->run, 0, "decoding");
    assert_string_equal(c->control.text, "decoding");
    (void)run_progress(c->run, 0, text);
    assert_int_equal(strlen(c->control.text), CONTROL_TEXT_SIZE - 1);
    (void)run_progress(c->run, 0, "ab");
    assert_string_equal(c->control.text, "ab");
}

static int look_at_limits(struct run *run, struct error *reterr)
{
    struct rlimit files;
    (void)reterr;
    (void)getrlimit(RLIMIT_FSIZE, &files);
    cJSON *result = cJSON_CreateObject();
    (void)cJSON_AddNumberToObject(result, "FSIZE", (double)files.rlim_cur);
    run_result(run, result);
    return 0;
}

static void test_files_are_bounded_by_the_outputs(void **state)
{
    struct context *c = *state;
    compute(c, look_at_limits);
    double size = cJSON_GetNumberValue(json_member(c->call.result, "FSIZE"));
    assert_true(size >= OUTPUT_BYTES && size <= 4.0 * OUTPUT_BYTES);
}

static void test_a_peer_that_went_is_reported_and_no_signal(void **state)
{
    struct context *c = *state;
    const struct task task = {"demo.x", answer};
    int status;
    call_release(&c->call);
    pid_t pid = fork();
    if (pid == 0)
        _exit(compute_and_tell(c, &task) == -1 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int do_nothing(struct run *run, struct error *reterr)
{
    (void)run;
    (void)reterr;
    return 0;
}

static int64_t cpu_us(void)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#define BURNT_US 20000

static int burn(struct run *run, struct error *reterr)
{
    (void)run;
    (void)reterr;
    for (int64_t end_us = cpu_us() + BURNT_US; cpu_us() < end_us;)
        ;
    return 0;
}

static int64_t cpu_of(struct context *c, int (*run)(struct run *run, struct error *reterr))
{
    const struct task task = {"demo.x", run};
    struct run_usage used;
    struct error err;
    control_offer(&c->control, RUN);
    assert_true(control_begin(&c->control, RUN));
    assert_int_equal(run_compute(c->run, &task, c->fd, &used, &err), 0);
    return used.cpu_us;
}

/* Brief ones are billed what they took, and that is off the next one's bill. */
static void test_runs_are_billed_their_cpu_time_and_none_is_negative(void **state)
{
    struct context *c = *state;
    const int brief = 100;
    int64_t before_us = cpu_us(), brief_us = 0;
    run_skip_usage(0);
    for (int i = 0; i < brief; i++) {
        int64_t us = cpu_of(c, do_nothing);
        assert_true(us >= 0);
        brief_us += us;
    }
    assert_true(brief_us > 0);
    int64_t long_us = cpu_of(c, burn), all_us = cpu_us() - before_us;
    assert_true(long_us >= 0 && long_us <= all_us);
    assert_true(brief_us + long_us >= BURNT_US);
    run_skip_usage(0);
    int64_t again_us = cpu_of(c, burn);
    assert_true(again_us >= BURNT_US && again_us <= cpu_us() - before_us - BURNT_US);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_task_sees_its_parameters_inputs_and_limits),
        TEST(test_parameters_that_are_no_json_are_refused),
        TEST(test_outputs_and_result_arrive_in_the_order_they_were_begun),
        TEST(test_a_task_that_gives_nothing_has_succeeded),
        TEST(test_a_task_that_failed_sends_its_error_and_nothing_else),
        TEST(test_outputs_up_to_their_limit_are_sent),
        TEST(test_outputs_over_their_limit_fail_the_run_whatever_it_says),
        TEST(test_an_error_of_its_own_is_not_hidden_by_an_overflow),
        TEST(test_stop_is_for_this_run_alone),
        TEST(test_progress_stays_within_its_bounds),
        TEST(test_a_text_is_cut_to_its_room),
        TEST(test_files_are_bounded_by_the_outputs),
        TEST(test_a_peer_that_went_is_reported_and_no_signal),
        TEST(test_runs_are_billed_their_cpu_time_and_none_is_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
