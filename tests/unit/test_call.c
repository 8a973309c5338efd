/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A call: nothing that an executor sends is believed beyond what the descriptor allows. The test is
 * the executor, at the other end of the connection.
 */
#include "exec/call.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "descriptors.h"
#include "exec/verdict.h"
#include "exec/wire.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define RUN 42
#define OUTPUT_BYTES 200000

static const char *text_types[] = {"text/plain", "text/html", NULL};
static const char *any_types[] = {"application/octet-stream", NULL};
static const struct task_slot outputs[] = {
    {.name = "text", .media_types = text_types, .max_count = 1},
    {.name = "file", .media_types = any_types, .max_count = 3},
};
static const struct task_desc task = {.name = "demo.x",
                                      .module = "demo",
                                      .outputs = outputs,
                                      .output_count = COUNT(outputs),
                                      .output_bytes = OUTPUT_BYTES};

struct context {
    struct arena *arena;
    struct call call;
    int executor; /* its end of the connection */
    int descriptors;
};

static int setup(void **state)
{
    static struct context c;
    int fds[2], on = 1;
    c.descriptors = count_descriptors();
    c.arena = arena_new();
    call_init(&c.call, c.arena, &task, RUN);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0 ||
        setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
        return -1;
    c.call.fd = fds[0];
    c.executor = fds[1];
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    call_release(&c->call);
    arena_free(c->arena);
    if (c->executor >= 0)
        (void)close(c->executor);
    return count_descriptors() == c->descriptors ? 0 : -1;
}

/* Begin anew within one test. */
static void renew(struct context *c)
{
    void *state;
    assert_int_equal(teardown((void **)&c), 0);
    assert_int_equal(setup(&state), 0);
}

/* Send a message whose record is what was put into `record`. */
static void send_message(const struct context *c, enum wire_kind kind, uint64_t run,
                         const void *body, size_t body_size, const struct payload *record)
{
    struct payload p = PAYLOAD_INIT;
    struct error err;
    assert_int_equal(payload_append(&p, body, body_size, &err), 0);
    if (record)
        assert_int_equal(payload_append(&p, record->bytes, record->size, &err), 0);
    assert_int_equal(wire_send(c->executor, kind, run, &p, body_size, &err), 0);
    payload_release(&p);
}

static void send_output(const struct context *c, const char *name, const char *media_type,
                        size_t size)
{
    struct payload record = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &record, .error = &err};
    unsigned char *bytes = calloc(size + 1, 1);
    wire_put_text(&w, name);
    wire_put_text(&w, media_type);
    send_message(c, WIRE_OUTPUT, RUN, bytes, size, &record);
    payload_release(&record);
    free(bytes);
}

static void send_result(const struct context *c, const char *json, size_t size)
{
    struct payload record = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &record, .error = &err};
    wire_put_u64(&w, 1234);
    wire_put_u64(&w, 5678);
    wire_put_u64(&w, 0);
    send_message(c, WIRE_RESULT, RUN, json, size, &record);
    payload_release(&record);
}

static void send_error(const struct context *c, uint64_t code, const char *detail)
{
    struct payload record = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &record, .error = &err};
    wire_put_u64(&w, code);
    wire_put_text(&w, detail);
    wire_put_text(&w, "the cause");
    wire_put_u64(&w, 1234);
    wire_put_u64(&w, 5678);
    wire_put_u64(&w, 0);
    send_message(c, WIRE_ERROR, RUN, "", 0, &record);
    payload_release(&record);
}

static void receive(struct context *c)
{
    struct error err;
    if (call_receive(&c->call, &err) != 0)
        fail_msg("%s: %s", err.detail, err.cause);
}

static void assert_refused(struct context *c, enum err_code code)
{
    struct error err = {.code = ERR_NONE};
    assert_int_equal(call_receive(&c->call, &err), -1);
    assert_int_equal(err.code, code);
    assert_true(c->call.state != CALL_ENDED);
}

static void start(struct context *c)
{
    call_begin(&c->call, clock_us());
    assert_int_equal(c->call.state, CALL_STARTED);
}

static void test_a_run_as_it_should_be(void **state)
{
    struct context *c = *state;
    static const char json[] = "{\"sum\":\"14\"}";
    start(c);
    assert_int_equal(c->call.executor, 0);
    send_output(c, "text", "text/html", 5);
    send_output(c, "file", "application/octet-stream", 0);
    send_output(c, "file", "application/octet-stream", 100000);
    send_result(c, json, strlen(json));
    for (int i = 0; i < 4; i++)
        receive(c);
    assert_int_equal(c->call.executor, getpid());
    assert_int_equal(c->call.state, CALL_ENDED);
    assert_false(c->call.failed);
    assert_int_equal(c->call.output_count, 3);
    assert_string_equal(c->call.outputs[0].name, "text");
    assert_string_equal(c->call.outputs[0].media_type, "text/html");
    assert_int_equal(c->call.outputs[0].size, 5);
    assert_string_equal(c->call.outputs[1].name, "file");
    assert_string_equal(c->call.outputs[2].name, "file.2");
    assert_int_equal(c->call.outputs[2].size, 100000);
    assert_string_equal(cJSON_GetStringValue(json_member(c->call.result, "sum")), "14");
    assert_int_equal(c->call.cpu_us, 1234);
    assert_int_equal(c->call.peak_bytes, 5678);
    assert_true(c->call.ended_us >= c->call.started_us);
}

static void test_a_result_is_not_needed(void **state)
{
    struct context *c = *state;
    start(c);
    send_result(c, "", 0);
    receive(c);
    assert_int_equal(c->call.state, CALL_ENDED);
    assert_null(c->call.result);
}

/* As a result or as an error, which say the same of themselves. */
static void send_usage(const struct context *c, enum wire_kind kind, uint64_t value)
{
    struct payload record = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &record, .error = &err};
    if (kind == WIRE_ERROR) {
        wire_put_u64(&w, ERR_INVALID_INPUT);
        wire_put_text(&w, "It is broken.");
        wire_put_text(&w, "");
    }
    wire_put_u64(&w, value);
    wire_put_u64(&w, value);
    wire_put_u64(&w, value);
    send_message(c, kind, RUN, "", 0, &record);
    payload_release(&record);
}

static void test_no_run_takes_more_than_there_is(void **state)
{
    static const enum wire_kind kinds[] = {WIRE_RESULT, WIRE_ERROR};
    static const uint64_t lies[] = {UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, 1ULL << 60};
    struct context *c = *state;
    int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < COUNT(lies) * COUNT(kinds); i++) {
        start(c);
        send_usage(c, kinds[i % 2], lies[i / 2]);
        receive(c);
        assert_int_equal(c->call.state, CALL_ENDED);
        int64_t wall_us = c->call.ended_us - c->call.started_us;
        assert_in_range(c->call.cpu_us, 1, (wall_us + 10000) * VERDICT_THREADS_MAX);
        assert_int_equal(c->call.peak_bytes, memory);
        renew(c);
    }
}

static void test_nothing_comes_before_its_turn(void **state)
{
    struct context *c = *state;
    send_output(c, "text", "text/plain", 1);
    assert_refused(c, ERR_INTERNAL);
    send_result(c, "{}", 2);
    assert_refused(c, ERR_INTERNAL);
    send_error(c, ERR_INVALID_INPUT, "It is broken.");
    assert_refused(c, ERR_INTERNAL);
    assert_int_equal(c->call.output_count, 0);
}

static void test_messages_of_another_run_and_of_another_kind_are_refused(void **state)
{
    struct context *c = *state;
    start(c);
    send_message(c, WIRE_OUTPUT, RUN + 1, "", 0, NULL);
    assert_refused(c, ERR_INTERNAL);
    send_message(c, WIRE_RUN, RUN, "", 0, NULL);
    assert_refused(c, ERR_INTERNAL);
    send_message(c, WIRE_IDLE, RUN, "", 0, NULL); /* before its end */
    assert_refused(c, ERR_INTERNAL);
}

static void test_outputs_that_the_descriptor_lacks_are_refused(void **state)
{
    static const struct {
        const char *name, *media_type;
    } cases[] = {{"other", "text/plain"},
                 {"text", "image/png"},
                 {"text", ""},
                 {"", "text/plain"},
                 {"text.2", "text/plain"},
                 {"file.1", "application/octet-stream"},
                 {"tex", "text/plain"},
                 {"text", "text/plain; charset=utf-8"}};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(c);
        send_output(c, cases[i].name, cases[i].media_type, 1);
        assert_refused(c, ERR_INTERNAL);
        assert_int_equal(c->call.output_count, 0);
        renew(c);
    }
}

static void test_one_output_more_than_the_descriptor_has_is_refused(void **state)
{
    struct context *c = *state;
    start(c);
    send_output(c, "text", "text/plain", 1);
    receive(c);
    send_output(c, "text", "text/plain", 1);
    assert_refused(c, ERR_INTERNAL);
    for (int i = 0; i < 3; i++) {
        send_output(c, "file", "application/octet-stream", 1);
        receive(c);
    }
    send_output(c, "file", "application/octet-stream", 1);
    assert_refused(c, ERR_INTERNAL);
    assert_int_equal(c->call.output_count, 4);
    assert_string_equal(c->call.outputs[3].name, "file.3");
}

static void test_output_bytes_bounds_the_sum_of_all_outputs(void **state)
{
    static const size_t sizes[][3] = {{OUTPUT_BYTES + 1, 0, 0},
                                      {OUTPUT_BYTES, 1, 0},
                                      {OUTPUT_BYTES - 10, 10, 1},
                                      {1, 1, OUTPUT_BYTES}};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct error err = {.code = ERR_NONE};
        int result = 0;
        start(c);
        for (size_t k = 0; k < 3 && result == 0; k++) {
            send_output(c, "file", "application/octet-stream", sizes[i][k]);
            result = call_receive(&c->call, &err);
        }
        assert_int_equal(result, -1);
        assert_int_equal(err.code, ERR_TOO_LARGE);
        assert_non_null(strstr(err.detail, "output_bytes = 200000"));
        renew(c);
    }
    start(c);
    send_output(c, "file", "application/octet-stream", OUTPUT_BYTES);
    receive(c);
    assert_int_equal(c->call.outputs[0].size, OUTPUT_BYTES);
}

static void test_a_result_that_is_not_strict_json_is_refused(void **state)
{
    static const char *const texts[] = {
        "{",  "{}x",   "{\"a\":1,\"a\":2}", "\"\xff\"", "nan", "[1,]",
        "01", "{} {}", "\"\\ud800\"",       " "};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        start(c);
        send_result(c, texts[i], strlen(texts[i]));
        assert_refused(c, ERR_INTERNAL);
        renew(c);
    }
    start(c);
    send_result(c, "{}\0", 3);
    assert_refused(c, ERR_INTERNAL);
}

static void test_a_malformed_record_is_refused(void **state)
{
    static const enum wire_kind kinds[] = {WIRE_OUTPUT, WIRE_RESULT, WIRE_ERROR};
    struct context *c = *state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        for (size_t size = 0; size < 30; size++) {
            struct payload record = PAYLOAD_INIT;
            struct error err;
            unsigned char zeros[30] = {0};
            if (kinds[i] == WIRE_RESULT && size == 3 * sizeof(uint64_t))
                continue; /* that is one */
            start(c);
            assert_int_equal(payload_append(&record, zeros, size, &err), 0);
            send_message(c, kinds[i], RUN, "", 0, &record);
            payload_release(&record);
            assert_refused(c, ERR_INTERNAL);
            renew(c);
        }
    }
}

static void test_a_task_may_end_with_errors_that_are_its_own_only(void **state)
{
    struct context *c = *state;
    for (int code = 0; code <= ERR_CODE_COUNT + 1; code++) {
        bool is_for_tasks = code == ERR_INVALID_INPUT || code == ERR_INVALID_PARAMS ||
                            code == ERR_TOO_LARGE || code == ERR_UNAVAILABLE ||
                            code == ERR_INTERNAL;
        start(c);
        send_error(c, (uint64_t)code, "The picture is broken.");
        receive(c);
        assert_int_equal(c->call.state, CALL_ENDED);
        assert_true(c->call.failed);
        assert_int_equal(c->call.error.code, is_for_tasks ? code : ERR_INTERNAL);
        assert_int_equal(strcmp(c->call.error.detail, "The picture is broken.") == 0, is_for_tasks);
        assert_int_equal(c->call.cpu_us, 1234);
        assert_int_equal(c->call.peak_bytes, 5678);
        renew(c);
    }
    start(c);
    send_error(c, UINT64_MAX, "x");
    receive(c);
    assert_int_equal(c->call.error.code, ERR_INTERNAL);
}

static void test_a_detail_that_is_no_text_is_not_shown(void **state)
{
    struct context *c = *state;
    start(c);
    send_error(c, ERR_INVALID_INPUT, "caf\xe9");
    receive(c);
    assert_int_equal(c->call.error.code, ERR_INTERNAL);
    assert_null(strchr(c->call.error.detail, '\xe9'));
}

static void test_the_end_of_the_connection_is_a_lost_call(void **state)
{
    struct context *c = *state;
    (void)close(c->executor);
    c->executor = -1;
    receive(c);
    assert_int_equal(c->call.state, CALL_LOST);
    renew(c);
    start(c);
    send_output(c, "text", "text/plain", 3);
    (void)close(c->executor);
    c->executor = -1;
    receive(c); /* what was sent before still comes */
    assert_int_equal(c->call.output_count, 1);
    receive(c);
    assert_int_equal(c->call.state, CALL_LOST);
}

static void send_lingering_result(const struct context *c)
{
    struct payload record = PAYLOAD_INIT;
    struct error err;
    struct wire_writer w = {.payload = &record, .error = &err};
    wire_put_u64(&w, 1);
    wire_put_u64(&w, 1);
    wire_put_u64(&w, 1);
    send_message(c, WIRE_RESULT, RUN, "", 0, &record);
    payload_release(&record);
}

static void test_an_executor_that_lingers_says_when_it_is_idle(void **state)
{
    struct context *c = *state;
    start(c);
    send_result(c, "", 0);
    receive(c);
    assert_false(c->call.lingers);
    renew(c);

    static const struct {
        enum wire_kind kind; /* 0: it leaves */
        uint64_t run;
        bool is_idle;
    } cases[] = {{WIRE_IDLE, RUN, true},
                 {WIRE_IDLE, RUN + 1, false},
                 {WIRE_OUTPUT, RUN, false},
                 {0, 0, false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        start(c);
        send_lingering_result(c);
        receive(c);
        assert_int_equal(c->call.state, CALL_ENDED);
        assert_true(c->call.lingers);
        assert_false(call_wait_idle(&c->call, 1)); /* not yet */
        if (cases[i].kind != 0)
            send_message(c, cases[i].kind, cases[i].run, "", 0, NULL);
        (void)close(c->executor);
        c->executor = -1;
        assert_int_equal(call_wait_idle(&c->call, 60000), cases[i].is_idle);
        renew(c);
    }
}

static void test_noise_is_refused_and_leaves_nothing_behind(void **state)
{
    static unsigned char noise[3000];
    struct context *c = *state;
    uint32_t random = 7;
    for (int round = 0; round < 500; round++) {
        struct payload record = PAYLOAD_INIT;
        struct error err;
        size_t size = (size_t)round * 5;
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            noise[i] = (unsigned char)(random >> (i % 3 == 0 ? 24 : 31)); /* many zeros */
        }
        start(c);
        assert_int_equal(payload_append(&record, noise + size / 2, size - size / 2, &err), 0);
        send_message(c, (enum wire_kind)(WIRE_OUTPUT + round % 3), RUN, noise, size / 2, &record);
        payload_release(&record);
        assert_int_equal(call_receive(&c->call, &err), -1);
        renew(c); /* it counts the descriptors */
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_run_as_it_should_be),
        TEST(test_a_result_is_not_needed),
        TEST(test_no_run_takes_more_than_there_is),
        TEST(test_an_executor_that_lingers_says_when_it_is_idle),
        TEST(test_nothing_comes_before_its_turn),
        TEST(test_messages_of_another_run_and_of_another_kind_are_refused),
        TEST(test_outputs_that_the_descriptor_lacks_are_refused),
        TEST(test_one_output_more_than_the_descriptor_has_is_refused),
        TEST(test_output_bytes_bounds_the_sum_of_all_outputs),
        TEST(test_a_result_that_is_not_strict_json_is_refused),
        TEST(test_a_malformed_record_is_refused),
        TEST(test_a_task_may_end_with_errors_that_are_its_own_only),
        TEST(test_a_detail_that_is_no_text_is_not_shown),
        TEST(test_the_end_of_the_connection_is_a_lost_call),
        TEST(test_noise_is_refused_and_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
