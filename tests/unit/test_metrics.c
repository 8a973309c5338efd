/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics in shared memory: processes count together, whoever is killed takes nothing with it, and
 * the page is what Prometheus reads.
 */
#include "base/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "scratch.h"

struct fixture {
    struct scratch scratch;
    struct config config;
    struct strbuf page;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_open(&f->scratch);
    f->config.server_run_dir = f->scratch.path;
    f->config.server_user = "nobody";
    f->page = (struct strbuf)STRBUF_INIT;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    metrics_close();
    strbuf_release(&f->page);
    scratch_close(&f->scratch);
    free(f);
    return 0;
}

static void open_metrics(const struct fixture *f)
{
    struct error error = {0};
    if (metrics_open(&f->config, &error) != 0)
        fail_msg("%s", error.detail);
}

static const char *page_of(struct fixture *f)
{
    strbuf_reset(&f->page);
    metrics_print(&f->page);
    return f->page.text;
}

/* The value of the one line that begins with `series`; -1: there is none. */
static double value_of(struct fixture *f, const char *series)
{
    const char *page = page_of(f), *found = NULL;
    size_t size = strlen(series);
    for (const char *line = page; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, series, size) == 0 && line[size] == ' ') {
            assert_null(found);
            found = line + size + 1;
        }
    }
    return found ? strtod(found, NULL) : -1;
}

/* cmocka compares floats alone. */
static void assert_number(double value, double expected)
{
    if (fabs(value - expected) > 1e-6)
        fail_msg("%.9g is not %.9g", value, expected);
}

static void test_without_a_file_nothing_is_counted_and_nothing_fails(void **state)
{
    struct fixture *f = *state;
    metrics_add(METRIC_JOBS_CLAIMED, 1);
    metrics_observe(METRIC_DB_LATENCY, 0.1);
    assert_string_equal(page_of(f), "");
    f->config.server_run_dir = "/nowhere";
    struct error error;
    assert_int_equal(metrics_open(&f->config, &error), -1);
    assert_non_null(strstr(error.detail, "/nowhere/metrics"));
    metrics_add(METRIC_JOBS_CLAIMED, 1);
}

static void test_families_without_labels_begin_with_zero(void **state)
{
    struct fixture *f = *state;
    open_metrics(f);
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 0);
    assert_number(value_of(f, "gangsaw_database_statement_duration_seconds_count"), 0);
    assert_number(value_of(f, "gangsaw_metrics_dropped_total"), 0);
}

static void test_counters_add_up_by_labels(void **state)
{
    struct fixture *f = *state;
    open_metrics(f);
    for (int i = 0; i < 3; i++)
        metrics_add(METRIC_RUNS, 1, "demo.a", "ok");
    metrics_add(METRIC_RUNS, 1, "demo.a", "timed-out");
    metrics_add(METRIC_RUNS, 5, "demo.b", "ok");
    metrics_add(METRIC_RUN_CPU, 0.25, "demo.a");
    metrics_add(METRIC_RUN_CPU, 0.000001, "demo.a");
    assert_number(value_of(f, "gangsaw_runs_total{task=\"demo.a\",outcome=\"ok\"}"), 3);
    assert_number(value_of(f, "gangsaw_runs_total{task=\"demo.a\",outcome=\"timed-out\"}"), 1);
    assert_number(value_of(f, "gangsaw_runs_total{task=\"demo.b\",outcome=\"ok\"}"), 5);
    assert_number(value_of(f, "gangsaw_run_cpu_seconds_total{task=\"demo.a\"}"), 0.250001);
}

static void test_what_is_no_amount_is_not_counted(void **state)
{
    struct fixture *f = *state;
    open_metrics(f);
    metrics_add(METRIC_JOBS_CLAIMED, -1);
    metrics_add(METRIC_JOBS_CLAIMED, strtod("nan", NULL));
    metrics_add(METRIC_JOBS_CLAIMED, strtod("inf", NULL));
    metrics_add(METRIC_JOBS_CLAIMED, 1e13); /* more than a scaled one could be */
    metrics_observe(METRIC_DB_LATENCY, -0.1);
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 0);
    assert_number(value_of(f, "gangsaw_database_statement_duration_seconds_count"), 0);
}

static void test_buckets_are_cumulative_and_end_with_the_count(void **state)
{
    struct fixture *f = *state;
    const double seconds[] = {0.0005, 0.001, 0.0011, 0.7, 59, 61, 4000};
    open_metrics(f);
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
        metrics_observe(METRIC_RUN_DURATION, seconds[i], "demo.a");
    const struct {
        const char *series;
        double value;
    } expected[] = {
        {"_bucket{task=\"demo.a\",le=\"0.001\"}", 2},
        {"_bucket{task=\"demo.a\",le=\"0.0025\"}", 3},
        {"_bucket{task=\"demo.a\",le=\"0.5\"}", 3},
        {"_bucket{task=\"demo.a\",le=\"1\"}", 4},
        {"_bucket{task=\"demo.a\",le=\"60\"}", 5},
        {"_bucket{task=\"demo.a\",le=\"+Inf\"}", 7},
        {"_count{task=\"demo.a\"}", 7},
        {"_sum{task=\"demo.a\"}", 4120.7026},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        char series[128];
        (void)snprintf(series, sizeof(series), "gangsaw_run_duration_seconds%s",
                       expected[i].series);
        assert_number(value_of(f, series), expected[i].value);
    }
}

static void test_labels_are_escaped_and_cut(void **state)
{
    struct fixture *f = *state;
    char longest[200], expected[256];
    open_metrics(f);
    metrics_add(METRIC_REJECTED, 1, "a\"b\\c\nd");
    assert_number(value_of(f, "gangsaw_rejected_total{reason=\"a\\\"b\\\\c\\nd\"}"), 1);
    memset(longest, 'x', sizeof(longest));
    (void)snprintf(longest + METRICS_LABEL_SIZE - 2, 8, "\xc3\xa4...");
    metrics_add(METRIC_REJECTED, 1, longest);
    (void)snprintf(expected, sizeof(expected), "gangsaw_rejected_total{reason=\"%.*s\"}",
                   METRICS_LABEL_SIZE - 2, longest);
    assert_number(value_of(f, expected), 1);
}

static void test_a_full_table_counts_what_it_drops(void **state)
{
    struct fixture *f = *state;
    char task[32];
    double kept = 0;
    open_metrics(f);
    for (int i = 0; i < 6000; i++) {
        (void)snprintf(task, sizeof(task), "demo.%d", i);
        metrics_add(METRIC_RUNS, 1, task, "ok");
    }
    const char *page = page_of(f);
    for (const char *at = page; (at = strstr(at, "\ngangsaw_runs_total{")); at++)
        kept++;
    double dropped = value_of(f, "gangsaw_metrics_dropped_total");
    assert_true(kept > 3000 && dropped > 0);
    assert_number(kept + dropped, 6000);
    /* What was there before counts on. */
    metrics_add(METRIC_RUNS, 1, "demo.0", "ok");
    assert_number(value_of(f, "gangsaw_runs_total{task=\"demo.0\",outcome=\"ok\"}"), 2);
}

/* A process that has the file mapped and does nothing, until it is killed. */
static pid_t fork_keeper(const struct fixture *f)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error error;
        if (metrics_open(&f->config, &error) != 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static void end_keeper(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_counts_outlive_whom_another_process_outlives(void **state)
{
    struct fixture *f = *state;
    open_metrics(f);
    metrics_add(METRIC_JOBS_CLAIMED, 7);
    pid_t pid = fork_keeper(f);
    metrics_close();
    assert_string_equal(page_of(f), "");
    open_metrics(f);
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 7);
    end_keeper(pid);
    open_metrics(f); /* once more, by the only one there is */
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 7);
}

/* What they counted of tasks that are gone is gone with them. */
static void test_the_first_process_begins_anew(void **state)
{
    struct fixture *f = *state;
    pid_t pid = fork_keeper(f);
    open_metrics(f);
    metrics_add(METRIC_JOBS_CLAIMED, 7);
    metrics_add(METRIC_RUNS, 1, "demo.gone", "ok");
    metrics_close();
    end_keeper(pid);
    open_metrics(f);
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 0);
    assert_null(strstr(page_of(f), "demo.gone"));
}

/* Counts as fast as it can, each time what no other process counts too, until it is killed. */
static void count_until_killed(const struct fixture *f, int number, int pipe_fd)
{
    char task[32];
    struct error error;
    if (metrics_open(&f->config, &error) != 0)
        _exit(1);
    for (int i = 0;; i++) {
        (void)snprintf(task, sizeof(task), "demo.%d", i % 3000);
        metrics_add(METRIC_RUNS, 1, task, "ok");
        metrics_add(METRIC_JOBS_CLAIMED, 1);
        if (i == 100 + number && write(pipe_fd, "", 1) != 1)
            _exit(1);
    }
}

static void test_killed_processes_block_and_spoil_nothing(void **state)
{
    struct fixture *f = *state;
    int ready[2];
    char byte;
    for (int round = 0; round < 30; round++) {
        pid_t pids[3];
        if (round % 10 == 0) { /* series are inserted by several at a time */
            char path[128];
            metrics_close();
            (void)snprintf(path, sizeof(path), "%s/metrics", f->scratch.path);
            (void)unlink(path);
            open_metrics(f);
        }
        assert_int_equal(pipe(ready), 0);
        for (int i = 0; i < 3; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0)
                count_until_killed(f, i * 50 + round, ready[1]);
        }
        for (int i = 0; i < 3; i++)
            assert_int_equal(read(ready[0], &byte, 1), 1);
        for (int i = 0; i < 3; i++) {
            int status;
            assert_int_equal(kill(pids[i], SIGKILL), 0);
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_true(WIFSIGNALED(status));
        }
        (void)close(ready[0]);
        (void)close(ready[1]);
    }
    /* A process counts a run and then a claim: at most one of each process is without the other. */
    double claimed = value_of(f, "gangsaw_jobs_claimed_total"), runs = 0;
    const char *page = page_of(f);
    for (const char *at = page; (at = strstr(at, "\ngangsaw_runs_total{")); at++) {
        double value = strtod(strstr(at, "} ") + 2, NULL);
        assert_true(value >= 1);
        runs += value;
    }
    assert_true(claimed > 3000);
    assert_true(runs >= claimed && runs <= claimed + 30);
    for (int i = 0; i < 3000; i++) { /* each name at most once, and still to be counted */
        char task[32], series[96];
        (void)snprintf(task, sizeof(task), "demo.%d", i);
        (void)snprintf(series, sizeof(series), "gangsaw_runs_total{task=\"%s\",outcome=\"ok\"}",
                       task);
        if (i % 100 != 0)
            continue;
        double before = value_of(f, series);
        metrics_add(METRIC_RUNS, 1, task, "ok");
        assert_number(value_of(f, series), (before < 0 ? 0 : before) + 1);
    }
}

static void test_processes_count_together(void **state)
{
    struct fixture *f = *state;
    pid_t pids[4];
    int ready[2];
    char byte;
    struct error error;
    assert_int_equal(pipe(ready), 0);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        if (metrics_open(&f->config, &error) != 0) /* all four make it at the same time */
            _exit(1);
        for (int j = 0; j < 20000; j++) {
            metrics_add(METRIC_JOBS_CLAIMED, 1);
            metrics_observe(METRIC_DB_LATENCY, 0.001);
        }
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    open_metrics(f);
    for (int i = 0; i < 4; i++)
        end_keeper(pids[i]);
    assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 80000);
    assert_number(value_of(f, "gangsaw_database_statement_duration_seconds_count"), 80000);
    assert_number(value_of(f, "gangsaw_database_statement_duration_seconds_sum"), 80);
}

static void test_a_file_of_another_form_is_replaced(void **state)
{
    struct fixture *f = *state;
    static const char *const foreign[] = {"", "gangsaw metrics 0000000000000000",
                                          "something else entirely"};
    char path[128], text[4096];
    (void)snprintf(path, sizeof(path), "%s/metrics", f->scratch.path);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        memset(text, 0xff, sizeof(text)); /* no count and no state that would make sense */
        memcpy(text, foreign[i], strlen(foreign[i]));
        scratch_write(&f->scratch, "metrics", text, sizeof(text));
        open_metrics(f);
        metrics_add(METRIC_JOBS_CLAIMED, 1);
        assert_number(value_of(f, "gangsaw_jobs_claimed_total"), 1);
        assert_non_null(strstr(page_of(f), "# TYPE gangsaw_runs_total counter\n"));
    }
}

static void test_a_link_is_not_followed(void **state)
{
    struct fixture *f = *state;
    char path[128], target[128];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/metrics", f->scratch.path);
    (void)snprintf(target, sizeof(target), "%s/victim", f->scratch.path);
    scratch_write_text(&f->scratch, "victim", "kept");
    assert_int_equal(symlink(target, path), 0);
    open_metrics(f);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode) && (st.st_mode & 077) == 0);
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_size, 4);
}

static void test_garbage_in_the_file_is_shown_as_no_more_than_numbers(void **state)
{
    struct fixture *f = *state;
    char path[128], bytes[512];
    open_metrics(f);
    metrics_add(METRIC_RUNS, 1, "demo.a", "ok");
    (void)snprintf(path, sizeof(path), "%s/metrics", f->scratch.path);
    for (int round = 0; round < 3; round++) {
        FILE *file = fopen(path, "r+e");
        assert_non_null(file);
        assert_int_equal(fseek(file, 64, SEEK_SET), 0);
        for (int i = 0; i < 4096; i++) { /* families, label texts without an end, huge counts */
            memset(bytes, 0xff, sizeof(bytes));
            for (size_t j = 0; j < sizeof(bytes); j += 8)
                bytes[j] = (char)(round == 0 ? rand() : round);
            for (size_t j = 1; round > 0 && j < sizeof(bytes); j++)
                bytes[j] = j % 8 == 0 ? (char)round : j < 32 ? 0 : 'A';
            assert_int_equal(fwrite(bytes, sizeof(bytes), 1, file), 1);
        }
        assert_int_equal(fclose(file), 0);
        assert_true(strlen(page_of(f)) > 0);
        metrics_add(METRIC_RUNS, 1, "demo.a", "ok");
    }
}

static void test_gauges_have_the_same_form(void **state)
{
    struct fixture *f = *state;
    metrics_print_gauge_head(&f->page, "gangsaw_up", "Help.");
    metrics_print_gauge(&f->page, "gangsaw_up", 1, (const char *const[]){NULL});
    metrics_print_gauge_head(&f->page, "gangsaw_depth", "Other.");
    metrics_print_gauge(&f->page, "gangsaw_depth", 2.5,
                        (const char *const[]){"class", "cpu", "state", "a\"b", NULL});
    metrics_print_gauge(&f->page, "gangsaw_depth", 1234567890123,
                        (const char *const[]){"class", "net", NULL});
    assert_string_equal(f->page.text, "# HELP gangsaw_up Help.\n# TYPE gangsaw_up gauge\n"
                                      "gangsaw_up 1\n"
                                      "# HELP gangsaw_depth Other.\n# TYPE gangsaw_depth gauge\n"
                                      "gangsaw_depth{class=\"cpu\",state=\"a\\\"b\"} 2.5\n"
                                      "gangsaw_depth{class=\"net\"} 1234567890123\n");
}

/* What an increment costs is printed, not asserted. */
static void count_for_time(int rounds)
{
    for (int i = 0; i < rounds; i++)
        metrics_add(METRIC_RUNS, 1, "image.transform", "ok");
}

static void test_the_cost_of_an_increment_is_printed(void **state)
{
    struct fixture *f = *state;
    enum { ROUNDS = 2000000 };
    open_metrics(f);
    int64_t begin_us = clock_us();
    count_for_time(ROUNDS);
    print_message("alone: %.0f ns\n", (double)(clock_us() - begin_us) * 1000 / ROUNDS);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        count_for_time(ROUNDS);
        _exit(0);
    }
    begin_us = clock_us();
    count_for_time(ROUNDS);
    print_message("beside another process: %.0f ns\n",
                  (double)(clock_us() - begin_us) * 1000 / ROUNDS);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_number(value_of(f, "gangsaw_runs_total{task=\"image.transform\",outcome=\"ok\"}"),
                  3.0 * ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_a_file_nothing_is_counted_and_nothing_fails,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_families_without_labels_begin_with_zero, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_counters_add_up_by_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_amount_is_not_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_buckets_are_cumulative_and_end_with_the_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_labels_are_escaped_and_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_full_table_counts_what_it_drops, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_counts_outlive_whom_another_process_outlives, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_first_process_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed_processes_block_and_spoil_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_processes_count_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_of_another_form_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_is_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_garbage_in_the_file_is_shown_as_no_more_than_numbers,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gauges_have_the_same_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_cost_of_an_increment_is_printed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
