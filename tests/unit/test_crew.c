/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The crew, with real executors, the demo module and the one that misbehaves: what goes wrong costs
 * the run that it happens in, and nothing else. Executors that break the protocol are this very
 * program, started under an executor's name.
 */
#include "crew_fixture.h"

#include <sys/resource.h>

#include "base/utf8.h"
#include "crew_executor.h"
#include "exec/control.h"
#include "jobs/priority.h"

#if defined(__SANITIZE_ADDRESS__)
#define MANY_RUNS 5000
#else
#define MANY_RUNS 100000
#endif

static void test_a_run_is_computed_behind_the_pools(void **state)
{
    struct context *c = *state;
    struct probe p;
    open_crew(c, 1);
    submit(c, &p, TRIVIAL);
    wait_for_ended(c, 1);
    assert_true(p.run.started_us > 0);
    assert_result(&p);
    assert_int_equal(getpriority(PRIO_PROCESS, (id_t)pid_of(c, 0)), PRIORITY_NICE);
}

static void test_inputs_of_any_size_come_and_go(void **state)
{
    static const size_t sizes[] = {0, 1000, 60000, 70000, 5000000};
    struct context *c = *state;
    struct probe p[2 * COUNT(sizes)];
    struct order_input in[COUNT(p)];
    open_crew(c, 1);
    for (size_t i = 0; i < COUNT(p); i++) {
        size_t size = sizes[i % COUNT(sizes)];
        struct error err;
        prepare(c, &p[i], "faults.echo", "{}");
        assert_int_equal(payload_reserve(&p[i].body, size, &err), 0);
        if (size > 0)
            memset(p[i].body.bytes, (int)i, size);
        p[i].body.size = size;
        in[i] = (struct order_input){"file", "text/plain", "", 0, size};
        p[i].run.inputs = &in[i];
        p[i].run.input_count = 1;
        crew_submit(c->crew, &p[i].run);
    }
    wait_for_ended(c, COUNT(p));
    for (size_t i = 0; i < COUNT(p); i++) {
        size_t size = sizes[i % COUNT(sizes)];
        assert_int_equal(p[i].run.output_count, 1);
        assert_int_equal(p[i].run.outputs[0].size, size);
        assert_true(size == 0 || p[i].run.outputs[0].bytes[size - 1] == i);
        assert_result(&p[i]);
    }
}

static void test_an_error_is_the_tasks_own(void **state)
{
    struct context *c = *state;
    struct probe p;
    open_crew(c, 1);
    submit(c, &p, "faults.error",
           "{\"code\":\"invalid-input\",\"detail\":\"No.\",\"cause\":\"why\"}");
    wait_for_ended(c, 1);
    assert_string_equal(p.run.error.detail, "No.");
    assert_end(&p, CREW_ERROR, ERR_INVALID_INPUT);
}

static void test_many_small_runs_are_sent_ahead(void **state)
{
    struct context *c = *state;
    struct probe *p = calloc(MANY_RUNS, sizeof(*p));
    int sent = 0, behind = 1000; /* as many as a runner claims ahead */
    open_crew(c, 2);
    wait_for_ready(c, 2);
    int64_t since_us = clock_us();
    while (c->ended < MANY_RUNS) {
        for (; sent < MANY_RUNS && sent < c->ended + behind; sent++)
            submit(c, &p[sent], TRIVIAL);
        turn(c);
        assert_in_time(since_us);
    }
    double seconds = (double)(clock_us() - since_us) / 1e6;
    print_message("%d trivial runs on 2 executors: %.2f s, %.0f/s\n", MANY_RUNS, seconds,
                  MANY_RUNS / seconds);
    for (int i = 0; i < MANY_RUNS; i++)
        assert_result(&p[i]);
    free(p);
}

static void test_a_crash_costs_the_run_that_had_begun(void **state)
{
    struct context *c = *state;
    struct probe p[40];
    open_crew(c, 1);
    wait_for_ready(c, 1);
    for (size_t i = 0; i < COUNT(p); i++) {
        if (i % 7 == 3)
            submit(c, &p[i], CRASH);
        else
            submit(c, &p[i], TRIVIAL);
    }
    wait_for_ended(c, COUNT(p));
    for (size_t i = 0; i < COUNT(p); i++) {
        if (i % 7 != 3) {
            assert_result(&p[i]);
            continue;
        }
        assert_non_null(strstr(p[i].run.error.detail, "SIGSEGV"));
        assert_end(&p[i], CREW_CRASHED, ERR_EXECUTOR_CRASHED);
    }
}

static void test_an_exit_in_the_middle_is_a_crash_too(void **state)
{
    struct context *c = *state;
    struct probe p[3];
    open_crew(c, 1);
    submit(c, &p[0], "faults.exit", "{\"code\":0}");
    submit(c, &p[1], "faults.exit", "{\"code\":3}");
    submit(c, &p[2], TRIVIAL);
    wait_for_ended(c, COUNT(p));
    assert_non_null(strstr(p[1].run.error.detail, "status 3"));
    assert_end(&p[0], CREW_CRASHED, ERR_EXECUTOR_CRASHED);
    assert_end(&p[1], CREW_CRASHED, ERR_EXECUTOR_CRASHED);
    assert_result(&p[2]);
}

static void test_runs_behind_a_long_one_move_to_an_idle_executor(void **state)
{
    struct context *c = *state;
    struct error why = canceled();
    struct probe longs[2], p[20];
    open_crew(c, 2);
    wait_for_ready(c, 2);
    submit(c, &longs[0], COOPERATIVE);
    submit(c, &longs[1], "faults.cooperative", "{\"seconds\":0.2,\"busy\":false}");
    for (size_t i = 0; i < COUNT(p); i++)
        submit(c, &p[i], TRIVIAL);
    assert_true(crew_member(c->crew, 0).ahead > 0 && crew_member(c->crew, 1).ahead > 0);
    wait_for_ended(c, COUNT(p) + 1);
    assert_int_equal(longs[0].ended, 0);
    crew_stop(c->crew, &longs[0].run, &why);
    wait_for_ended(c, COUNT(p) + 2);
    assert_end(&longs[0], CREW_STOPPED, ERR_STOPPED);
    assert_result(&longs[1]);
    for (size_t i = 0; i < COUNT(p); i++)
        assert_result(&p[i]);
}

static void test_executors_that_are_recycled_under_load_lose_nothing(void **state)
{
    static const int max_runs[] = {1, 5};
    struct context *c = *state;
    struct probe p[200];
    for (size_t k = 0; k < COUNT(max_runs); k++) {
        c->cfg.executor_max_runs = max_runs[k];
        c->ended = 0;
        open_crew(c, 2);
        int descriptors = count_descriptors();
        for (size_t i = 0; i < COUNT(p); i++)
            submit(c, &p[i], TRIVIAL);
        wait_for_ended(c, COUNT(p));
        for (size_t i = 0; i < COUNT(p); i++)
            assert_result(&p[i]);
        wait_for_ready(c, 2);
        assert_int_equal(count_descriptors(), descriptors);
        crew_close(c->crew);
        c->crew = NULL;
    }
}

static void test_progress_is_told_when_it_is_new_and_is_text(void **state)
{
    struct context *c = *state;
    struct probe p;
    double fraction = -1;
    int told = 0;
    open_crew(c, 1);
    submit(c, &p, "faults.progress", "{\"steps\":40,\"pause_ms\":5}");
    for (int64_t since_us = clock_us(); p.ended == 0; assert_in_time(since_us)) {
        char text[CONTROL_TEXT_SIZE];
        while (crew_progress(c->crew, &p.run, &fraction, text, sizeof(text))) {
            assert_true(utf8_is_valid(text, strlen(text)));
            assert_true(fraction >= 0 && fraction <= 1);
            told++;
        }
        turn(c);
    }
    assert_true(told > 0);
    assert_result(&p);
}

/* Chance decides what runs, what is stopped, and when all are killed: every run ends once. */
static void test_whatever_happens_every_run_ends_once(void **state)
{
    static const char *const tasks[][2] = {
        {TRIVIAL},
        {TRIVIAL},
        {TRIVIAL},
        {TRIVIAL},
        {CRASH},
        {"faults.hang", "{\"seconds\":0.003}"},
        {"faults.cooperative", "{\"seconds\":0.02,\"busy\":true}"}};
    struct context *c = *state;
    struct error why = canceled();
    static struct probe p[1500];
    bool is_stopped[COUNT(p)] = {false};
    unsigned seed = 4711;
    c->cfg.executor_max_runs = 50;
    open_crew(c, 3);
    for (size_t i = 0; i < COUNT(p); i++) {
        const char *const *t = tasks[(size_t)rand_r(&seed) % COUNT(tasks)];
        submit(c, &p[i], t[0], t[1]);
        size_t k = i - (size_t)rand_r(&seed) % 40;
        if (rand_r(&seed) % 4 == 0 && k <= i && p[k].ended == 0) {
            crew_stop(c->crew, &p[k].run, &why);
            is_stopped[k] = true;
        }
        if (rand_r(&seed) % 10 == 0)
            turn(c);
        if (i == COUNT(p) / 2)
            crew_kill_all(c->crew);
    }
    wait_for_ended(c, COUNT(p));
    for (size_t i = 0; i < COUNT(p); i++) {
        bool may_crash = strcmp(p[i].run.task->name, "faults.crash") == 0;
        assert_true(p[i].run.end != CREW_CRASHED || may_crash);
        assert_true(p[i].run.end != CREW_STOPPED || is_stopped[i] || i <= COUNT(p) / 2);
        assert_end(&p[i], p[i].run.end, p[i].run.error.code);
    }
}

/* Executors of the test's own, with these manners. */
static void open_strange_crew(struct context *c, int slots, const char *manners)
{
    static char directory[PATH_MAX];
    char link[PATH_MAX];
    (void)snprintf(link, sizeof(link), "%s/gangsaw-executor", c->scratch.path);
    (void)unlink(link);
    (void)snprintf(directory, sizeof(directory), "%s", c->scratch.path);
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(size > 0);
    self[size] = '\0';
    assert_int_equal(symlink(self, link), 0);
    c->cfg.server_libexec_dir = directory;
    c->cfg.server_modules_dir = manners;
    open_crew(c, slots);
}

static void test_an_executor_that_breaks_the_protocol_costs_the_run_that_had_begun(void **state)
{
    static const struct {
        const char *manners;
        enum crew_end end;
        enum err_code code;
    } cases[] = {
        {"nonsense", CREW_ERROR, ERR_INTERNAL},
        {"other-run", CREW_ERROR, ERR_INTERNAL},
        {"unknown-output", CREW_ERROR, ERR_INTERNAL},
        {"started-again", CREW_ERROR, ERR_INTERNAL},
        {"hang-up", CREW_CRASHED, ERR_EXECUTOR_CRASHED},
        {"empty-message", CREW_ERROR, ERR_INTERNAL},
        {"liar", CREW_CRASHED, ERR_EXECUTOR_CRASHED}, /* it has begun, and says it has not */
        {"twice", CREW_RESULT, ERR_NONE},
        {"chatty", CREW_RESULT, ERR_NONE},
    };
    struct context *c = *state;
    for (size_t k = 0; k < COUNT(cases); k++) {
        struct probe p[5];
        print_message("  %s\n", cases[k].manners);
        c->ended = 0;
        open_strange_crew(c, 1, cases[k].manners);
        for (size_t i = 0; i < COUNT(p); i++)
            submit(c, &p[i], TRIVIAL);
        wait_for_ended(c, COUNT(p));
        for (size_t i = 0; i < COUNT(p); i++)
            assert_end(&p[i], cases[k].end, cases[k].code);
        crew_close(c->crew);
        c->crew = NULL;
    }
}

static void test_executors_that_die_young_are_replaced_ever_more_slowly(void **state)
{
    struct context *c = *state;
    struct probe p;
    pid_t last = 0;
    int64_t since_us = clock_us();
    open_strange_crew(c, 1, "stillborn");
    submit(c, &p, TRIVIAL);
    for (int seen = 0; seen < 5; assert_in_time(since_us)) {
        pid_t pid = pid_of(c, 0);
        seen += pid != 0 && pid != last;
        last = pid != 0 ? pid : last;
        turn(c);
    }
    assert_true(clock_us() - since_us >= (50 + 100 + 200 + 400) * 1000);
    assert_int_equal(p.ended, 0);
    crew_close(c->crew);
    c->crew = NULL;
    assert_end(&p, CREW_UNTRIED, ERR_STOPPED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_run_is_computed_behind_the_pools),
        TEST(test_inputs_of_any_size_come_and_go),
        TEST(test_an_error_is_the_tasks_own),
        TEST(test_many_small_runs_are_sent_ahead),
        TEST(test_a_crash_costs_the_run_that_had_begun),
        TEST(test_an_exit_in_the_middle_is_a_crash_too),
        TEST(test_runs_behind_a_long_one_move_to_an_idle_executor),
        TEST(test_executors_that_are_recycled_under_load_lose_nothing),
        TEST(test_progress_is_told_when_it_is_new_and_is_text),
        TEST(test_whatever_happens_every_run_ends_once),
        TEST(test_an_executor_that_breaks_the_protocol_costs_the_run_that_had_begun),
        TEST(test_executors_that_die_young_are_replaced_ever_more_slowly),
    };
    if (argc > 2 && strcmp(argv[1], "--modules") == 0)
        return crew_executor(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
