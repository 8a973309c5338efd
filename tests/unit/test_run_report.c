/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line of a run that has ended: its fields, its level, and when there is none. A datagram
 * socket stands in for stderr: one datagram is one line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exec/run_report.h"
#include "scratch.h"

#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static const struct config config = {.executor_slow_seconds = 2};

/* Report it; *ret_size is what was logged, without its newline: 0 for nothing. */
static void log_of(const struct run_report *report, char *ret_line, size_t size, size_t *ret_size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    run_report(&config, report);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    ssize_t got = recv(ends[0], ret_line, size, MSG_DONTWAIT);
    if (got > 0) {
        assert_int_equal(ret_line[got - 1], '\n');
        assert_int_equal(recv(ends[0], ret_line + got, size - (size_t)got, MSG_DONTWAIT), -1);
    }
    *ret_size = got > 0 ? (size_t)got - 1 : 0;
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static const cJSON *line_of(struct arena *a, const struct run_report *report)
{
    char line[8192];
    size_t size;
    cJSON *json;
    struct error error;
    log_of(report, line, sizeof(line), &size);
    assert_true(size > 0);
    assert_int_equal(json_parse(a, line, size, &json, &error), 0);
    assert_string_equal(cJSON_GetStringValue(json_member(json, "message")), "run");
    return json;
}

static void assert_text(const cJSON *line, const char *name, const char *expected)
{
    const cJSON *member = json_member(line, name);
    if (!expected) {
        assert_null(member);
        return;
    }
    assert_non_null(member);
    assert_string_equal(cJSON_GetStringValue(member), expected);
}

static void assert_number(const cJSON *line, const char *name, double expected)
{
    const cJSON *member = json_member(line, name);
    assert_true(cJSON_IsNumber(member));
    assert_true(member->valuedouble == expected);
}

static void test_a_line_says_what_a_run_took(void **state)
{
    struct arena *a = arena_new();
    const cJSON *line = line_of(a, &(struct run_report){.task = "demo.sum_squares",
                                                        .request_id = "1234",
                                                        .traceparent = TRACEPARENT,
                                                        .tenant = "shop",
                                                        .job = "438de711b81",
                                                        .attempt = 2,
                                                        .job_state = "succeeded",
                                                        .wait_us = 1500,
                                                        .run_us = 2000000,
                                                        .cpu_us = 1250,
                                                        .peak_bytes = 1 << 20,
                                                        .was_started = true});
    (void)state;
    assert_text(line, "level", "info");
    assert_text(line, "task", "demo.sum_squares");
    assert_text(line, "request_id", "1234");
    assert_text(line, "traceparent", TRACEPARENT);
    assert_text(line, "tenant", "shop");
    assert_text(line, "job", "438de711b81");
    assert_text(line, "outcome", "ok");
    assert_text(line, "job_state", "succeeded");
    assert_number(line, "attempt", 2);
    assert_number(line, "wait_ms", 1.5);
    assert_number(line, "run_ms", 2000);
    assert_number(line, "cpu_ms", 1.25);
    assert_number(line, "peak_bytes", 1 << 20);
    assert_text(line, "slow", NULL);
    assert_text(line, "detail", NULL);
    arena_free(a);
}

static void test_what_there_is_not_is_left_out(void **state)
{
    static const char *const absent[] = {"traceparent", "tenant", "job",    "attempt", "job_state",
                                         "peak_bytes",  "slow",   "detail", "cause"};
    struct arena *a = arena_new();
    const cJSON *line =
        line_of(a, &(struct run_report){.task = "a.b", .request_id = "1", .tenant = ""});
    (void)state;
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_null(json_member(line, absent[i]));
    arena_free(a);
}

static void test_the_level_is_by_who_has_to_answer_for_it(void **state)
{
    static const struct {
        enum err_code code;
        const char *cause;
        int64_t run_us;
        const char *outcome, *level;
    } cases[] = {
        {ERR_NONE, "", 2000000, "ok", "info"},
        {ERR_NONE, "", 2000001, "ok", "warning"},
        {ERR_INVALID_INPUT, "", 1, "invalid-input", "info"},
        {ERR_INVALID_INPUT, "in libpaper", 1, "invalid-input", "info"},
        {ERR_TIMED_OUT, "", 1, "timed-out", "info"},
        {ERR_TIMED_OUT, "", 3000000, "timed-out", "warning"},
        {ERR_OVERLOADED, "", 0, "overloaded", "info"},
        {ERR_STOPPED, "", 5, "stopped", "info"},
        {ERR_UNAVAILABLE, "", 5, "unavailable", "info"},
        {ERR_UNAVAILABLE, "ECONNREFUSED", 5, "unavailable", "error"},
        {ERR_INTERNAL, "open: No such file", 5, "internal", "error"},
        {ERR_EXECUTOR_CRASHED, "", 5, "executor-crashed", "error"},
        {ERR_EXECUTOR_CRASHED, "", 5000000, "executor-crashed", "error"},
    };
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error;
        (void)error_set(&error, cases[i].code, "It %s.", "failed");
        (void)error_cause(&error, "%s", cases[i].cause);
        const cJSON *line =
            line_of(a, &(struct run_report){.task = "a.b",
                                            .run_us = cases[i].run_us,
                                            .error = cases[i].code != ERR_NONE ? &error : NULL});
        assert_text(line, "outcome", cases[i].outcome);
        assert_text(line, "level", cases[i].level);
        assert_text(line, "detail", cases[i].code != ERR_NONE ? "It failed." : NULL);
        assert_text(line, "cause", cases[i].cause[0] ? cases[i].cause : NULL);
        assert_int_equal(cJSON_IsTrue(json_member(line, "slow")), cases[i].run_us > 2000000);
        arena_reset(a);
    }
    arena_free(a);
}

static void test_a_quiet_run_is_logged_only_if_it_was_slow(void **state)
{
    char line[8192];
    size_t size;
    (void)state;
    log_of(&(struct run_report){.task = "a.b", .run_us = 1, .is_quiet = true}, line, sizeof(line),
           &size);
    assert_int_equal(size, 0);
    log_of(&(struct run_report){.task = "a.b", .run_us = 2000001, .is_quiet = true}, line,
           sizeof(line), &size);
    assert_true(size > 0);
}

static void test_every_run_is_counted_also_the_quiet_one(void **state)
{
    static const char *const expected[] = {
        "gangsaw_runs_total{task=\"a.b\",outcome=\"ok\"} 2\n",
        "gangsaw_runs_total{task=\"a.b\",outcome=\"overloaded\"} 1\n",
        "gangsaw_runs_total{task=\"unknown\",outcome=\"overloaded\"} 1\n",
        "gangsaw_run_wait_seconds_count{task=\"a.b\"} 3\n",
        "gangsaw_run_duration_seconds_count{task=\"a.b\"} 2\n",
        "gangsaw_run_cpu_seconds_total{task=\"a.b\"} 0.5\n",
    };
    struct scratch scratch;
    struct error error = {0};
    struct strbuf page = STRBUF_INIT;
    struct run_report good = {
        .task = "a.b", .run_us = 1, .cpu_us = 250000, .was_started = true, .is_quiet = true};
    struct run_report refused = {.task = "a.b", .error = &error, .is_quiet = true};
    (void)state;
    scratch_open(&scratch);
    const struct config with_metrics = {
        .server_run_dir = scratch.path, .server_user = "nobody", .executor_slow_seconds = 2};
    assert_int_equal(metrics_open(&with_metrics, &error), 0);
    (void)error_set(&error, ERR_OVERLOADED, "All places are taken.");
    run_report(&with_metrics, &good);
    run_report(&with_metrics, &good);
    run_report(&with_metrics, &refused);
    refused.task = "made.up";
    refused.is_unknown = true;
    run_report(&with_metrics, &refused);
    metrics_print(&page);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        if (!strstr(page.text, expected[i]))
            fail_msg("no %s in %s", expected[i], page.text);
    }
    assert_null(strstr(page.text, "made.up"));
    assert_null(strstr(page.text, "gangsaw_run_duration_seconds_count{task=\"unknown\"}"));
    metrics_close();
    strbuf_release(&page);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_says_what_a_run_took),
        cmocka_unit_test(test_what_there_is_not_is_left_out),
        cmocka_unit_test(test_the_level_is_by_who_has_to_answer_for_it),
        cmocka_unit_test(test_a_quiet_run_is_logged_only_if_it_was_slow),
        cmocka_unit_test(test_every_run_is_counted_also_the_quiet_one),
    };
    log_init("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
