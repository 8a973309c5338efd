/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration: what is wrong is named with its file and line, and nothing is passed over.
 */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cores.h"
#include "base/log.h"
#include "scratch.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct context {
    struct scratch scratch;
    struct arena *arena;
    const char *path;
};

/* No variable of ours is left, whatever the tests are run with. */
static void clear_environment(struct arena *a)
{
    for (char **entry = environ; *entry;) {
        if (strncmp(*entry, "GANGSAW_", 8) == 0) {
            (void)unsetenv(arena_strndup(a, *entry, strcspn(*entry, "=")));
            entry = environ;
        } else {
            entry++;
        }
    }
}

static int setup(void **state)
{
    static struct context c;
    scratch_open(&c.scratch);
    c.arena = arena_new();
    c.path = arena_printf(c.arena, "%s/gangsaw.conf", c.scratch.path);
    clear_environment(c.arena);
    *state = &c;
    return 0;
}

static int teardown(void **state)
{
    struct context *c = *state;
    clear_environment(c->arena);
    arena_free(c->arena);
    scratch_close(&c->scratch);
    return 0;
}

static struct config *load_bytes(struct context *c, const char *bytes, size_t size)
{
    struct config *cfg = NULL;
    struct error err;
    scratch_write(&c->scratch, "gangsaw.conf", bytes, size);
    if (config_load(c->arena, c->path, &cfg, &err) != 0)
        fail_msg("%s", err.detail);
    return cfg;
}

static struct config *load(struct context *c, const char *text)
{
    return load_bytes(c, text, strlen(text));
}

/* Loading fails with a detail that has `wanted` in it, and writes no result. */
static void assert_refused(struct context *c, const char *bytes, size_t size, const char *wanted)
{
    struct config *cfg = NULL;
    struct error err = {.code = ERR_NONE};
    scratch_write(&c->scratch, "gangsaw.conf", bytes, size);
    int result = config_load(c->arena, c->path, &cfg, &err);
    if (result == 0)
        fail_msg("accepted: %s", bytes);
    assert_null(cfg);
    assert_int_equal(err.code, ERR_INTERNAL);
    if (!strstr(err.detail, wanted))
        fail_msg("\"%s\" is not in \"%s\"", wanted, err.detail);
}

static void test_no_option_is_needed(void **state)
{
    struct context *c = *state;
    const struct config *cfg = load(c, "");
    assert_string_equal(cfg->server_user, "gangsaw");
    assert_string_equal(cfg->server_run_dir, GANGSAW_RUNDIR);
    assert_string_equal(cfg->server_tasks_dir, GANGSAW_DATADIR "/tasks");
    assert_string_equal(cfg->server_modules_dir, GANGSAW_LIBDIR);
    assert_string_equal(cfg->server_libexec_dir, GANGSAW_LIBEXECDIR);
    assert_int_equal(cfg->server_log_level, LOG_INFO);
    assert_int_equal(cfg->http_max_body_bytes, 128 * 1024 * 1024);
    assert_int_equal(cfg->http_max_json_bytes, 16 * 1024 * 1024);
    assert_int_equal(cfg->http_max_base64_bytes, 8 * 1024 * 1024);
    assert_int_equal(cfg->http_max_params, 200);
    assert_int_equal(cfg->http_max_params_bytes, 64 * 1024);
    assert_true(cfg->http_io_timeout_seconds == 15);
    assert_int_equal(cfg->compute_net_slots, 32);
    assert_true(cfg->compute_queue_seconds == 5);
    assert_true(cfg->compute_drain_seconds == 30);
    assert_string_equal(cfg->compute_preload, "");
    assert_int_equal(cfg->executor_max_runs, 100000);
    assert_int_equal(cfg->executor_idle_mb, 256);
    assert_true(cfg->executor_grace_seconds == 0.25);
    assert_true(cfg->executor_start_seconds == 30);
    assert_int_equal(cfg->task_limit_count, 0);
    assert_string_equal(cfg->path, c->path);
}

static void test_auto_is_computed_from_the_cores(void **state)
{
    const struct config *cfg = load(*state, "[compute]\nslots = auto\n");
    int cores = cores_available();
    assert_int_equal(cfg->cores, cores);
    assert_int_equal(cfg->compute_slots, cores);
    assert_int_equal(cfg->compute_queue_length, 8 * cores);
    assert_int_equal(cfg->api_workers, cores > 4 ? 2 * cores : 8);
}

static void test_file_wins_over_the_default(void **state)
{
    const struct config *cfg = load(*state, "# a comment\n"
                                            "; another\n"
                                            "\n"
                                            "[compute] ; the pool\n"
                                            "slots = 7\n"
                                            "  queue_length=0\t\n"
                                            "\tqueue_seconds: 0.125 ; a remark\n"
                                            "preload = image demo\n"
                                            "[server]\n"
                                            "log_level = debug\n"
                                            "run_dir = /tmp/run dir\n"
                                            "[http]\n"
                                            "max_body_bytes = 2G\n"
                                            "max_json_bytes = 5m\n"
                                            "max_params_bytes = 5000\n"
                                            "[compute]\n"
                                            "net_slots = 4096");
    assert_int_equal(cfg->compute_slots, 7);
    assert_int_equal(cfg->compute_queue_length, 0);
    assert_true(cfg->compute_queue_seconds == 0.125);
    assert_string_equal(cfg->compute_preload, "image demo");
    assert_int_equal(cfg->server_log_level, LOG_DEBUG);
    assert_string_equal(cfg->server_run_dir, "/tmp/run dir");
    assert_true(cfg->http_max_body_bytes == INT64_C(2) << 30);
    assert_int_equal(cfg->http_max_json_bytes, 5 * 1024 * 1024);
    assert_int_equal(cfg->http_max_params_bytes, 5000);
    assert_int_equal(cfg->compute_net_slots, 4096);
}

static void test_carriage_returns_and_a_byte_order_mark_change_nothing(void **state)
{
    const struct config *cfg =
        load(*state, "\xef\xbb\xbf[compute]\r\nslots = 3\r\n\r\npreload = demo\r\n");
    assert_int_equal(cfg->compute_slots, 3);
    assert_string_equal(cfg->compute_preload, "demo");
}

static const struct {
    const char *text, *wanted;
} refusals[] = {
    /* names */
    {"[compute]\nslot = 4\n",
     "gangsaw.conf:2: [compute] has no option slot; the nearest is [compute] slots"},
    {"[compute]\nSlots = 4\n", "the nearest is [compute] slots"},
    {"[api]\nslots = 4\n",
     "gangsaw.conf:2: [api] has no option slots; the nearest is [compute] slots"},
    {"\n\n[computer]\nslots = 4\n",
     "gangsaw.conf:4: there is no section [computer]; the nearest is [compute]"},
    {"[archive]\nx = 4\n", "gangsaw.conf:2: there is no section [archive]; there are server, http"},
    {"[task]\nx = 4\n", "there is no section [task]"},
    {"[compute]\n = 4\n", "gangsaw.conf:2: [compute] has no option"},
    /* integers */
    {"[compute]\nslots = 0\n",
     "gangsaw.conf:2: [compute] slots is \"0\"; allowed: 1 to 1024, or auto"},
    {"[compute]\nslots = 1025\n", "allowed: 1 to 1024, or auto"},
    {"[compute]\nslots = -1\n", "\"-1\"; allowed: 1 to 1024"},
    {"[compute]\nslots = +1\n", "\"+1\""},
    {"[compute]\nslots = 1.5\n", "\"1.5\""},
    {"[compute]\nslots = 4 # cores\n", "\"4 # cores\""},
    {"[compute]\nslots = 0x10\n", "\"0x10\""},
    {"[compute]\nslots = \n", "\"\""},
    {"[compute]\nslots = AUTO\n", "\"AUTO\""},
    {"[compute]\nslots = 99999999999999999999\n", "allowed: 1 to 1024"},
    {"[compute]\nnet_slots = auto\n", "allowed: 1 to 4096"},
    /* bytes */
    {"[http]\nmax_body_bytes = 65G\n", "allowed: 1K to 64G"},
    {"[http]\nmax_body_bytes = 99999999999999999999G\n", "allowed: 1K to 64G"},
    {"[http]\nmax_body_bytes = 1.5G\n", "allowed: 1K to 64G"},
    {"[http]\nmax_body_bytes = 1T\n", "\"1T\""},
    {"[http]\nmax_body_bytes = 1 G\n", "\"1 G\""},
    {"[http]\nmax_body_bytes = G\n", "\"G\""},
    {"[http]\nmax_body_bytes = 1KB\n", "\"1KB\""},
    /* seconds */
    {"[executor]\ngrace_seconds = 0.001\n", "allowed: 0.01 to 10"},
    {"[executor]\ngrace_seconds = 10.1\n", "allowed: 0.01 to 10"},
    {"[executor]\ngrace_seconds = nan\n", "allowed: 0.01 to 10"},
    {"[executor]\ngrace_seconds = inf\n", "allowed: 0.01 to 10"},
    {"[executor]\ngrace_seconds = 1e0\n", "\"1e0\""},
    {"[executor]\ngrace_seconds = 1.\n", "\"1.\""},
    {"[executor]\ngrace_seconds = .5\n", "\".5\""},
    {"[executor]\ngrace_seconds = 0,25\n", "\"0,25\""},
    {"[executor]\ngrace_seconds = 0.1234567\n", "allowed: 0.01 to 10"},
    /* texts */
    {"[server]\nuser =\n", "allowed: 1 to 32 bytes"},
    {"[server]\nrun_dir = run\n", "allowed: an absolute path of up to 85 bytes"},
    {"[server]\nlog_level = loud\n", "allowed: debug, info, warning or error"},
    {"[compute]\npreload = image,demo\n", "allowed: names of a-z, 0-9 and _ with spaces between"},
    {"[compute]\npreload = ../evil\n", "allowed: names"},
    {"[compute]\npreload = image 9demo\n", "allowed: names"},
    /* given twice */
    {"[compute]\nslots = 1\nslots = 1\n", "gangsaw.conf:3: [compute] slots is given twice"},
    {"[compute]\nslots = 1\n[api]\n[compute]\nslots = 2\n",
     "gangsaw.conf:5: [compute] slots is given twice"},
    {"[task a.b]\nx = 1\n[task a.c]\nx = 1\n[task a.b]\nx = 2\n",
     "gangsaw.conf:6: [task a.b] x is given twice"},
    /* form */
    {"slots = 4\n", "gangsaw.conf:1: an option before the first [section]"},
    {"[compute]\nslots\n", "gangsaw.conf:2: neither [section] nor key = value"},
    {"[compute]\nslots = 1\nnonsense\nnet_slots = 2\n", "gangsaw.conf:3: neither"},
    {"[compute\nslots = 4\n", "gangsaw.conf:1: a section without its ]"},
    {"[compute] slots = 4\n", "gangsaw.conf:1: something after the ] of a section"},
    {"[compute]\nslots = 4\x01\n", "gangsaw.conf:2: a control character"},
    {"[compute]\nslots = 4\rnet_slots = 5\n", "gangsaw.conf:2: a control character"},
    {"[task image.transform_with_a_name_beyond_all_measure_]\nx = 1\n",
     "over 49 bytes in the name of a section"},
    /* limits of tasks */
    {"[task image.transform]\nmax_megapixels = many\n",
     "gangsaw.conf:2: max_megapixels is \"many\"; allowed: a number"},
    {"[task image.transform]\nmax_megapixels = -1\n", "\"-1\"; allowed: a number"},
    {"[task image.transform]\nx = 9999999999G\n", "allowed: a number"},
};

static void test_what_is_wrong_is_named_with_line_and_what_is_allowed(void **state)
{
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(*state, refusals[i].text, strlen(refusals[i].text), refusals[i].wanted);
}

static void test_nul_byte_is_refused_and_ends_nothing(void **state)
{
    static const char text[] = "[compute]\nslots = 4\0\nnonsense = 1\n";
    static const char at_end[] = "[compute]\nslots = 4\n\0";
    assert_refused(*state, text, sizeof(text) - 1, "gangsaw.conf:2: a control character");
    assert_refused(*state, at_end, sizeof(at_end) - 1, "gangsaw.conf:3: a control character");
}

static void test_line_too_long_is_refused_rather_than_cut(void **state)
{
    struct context *c = *state;
    for (size_t size = 150; size < 1000; size++) {
        char text[1100] = "[compute]\nslots = 4 ; ";
        size_t start = strlen(text);
        memset(text + start, 'x', size);
        memcpy(text + start + size, "\nnet_slots = 5\n", 16);
        if (size + strlen("slots = 4 ; ") <= 198) {
            assert_int_equal(load(c, text)->compute_net_slots, 5);
            continue;
        }
        assert_refused(c, text, strlen(text), "gangsaw.conf:2: over 198 bytes in one line");
    }
}

static void test_longest_values_fit_into_a_line(void **state)
{
    struct context *c = *state;
    char path[181] = "/", text[300];
    memset(path + 1, 'x', 179);
    (void)snprintf(text, sizeof(text), "[server]\nmodules_dir = %s\n", path);
    assert_string_equal(load(c, text)->server_modules_dir, path);
    memset(path, 'x', 180);
    (void)snprintf(text, sizeof(text), "[compute]\npreload = %s\n", path);
    assert_string_equal(load(c, text)->compute_preload, path);
}

static void test_task_limits_come_in_order_with_their_places(void **state)
{
    static const struct {
        const char *task, *name;
        double value;
        int line;
    } wanted[] = {
        {"image.transform", "max_megapixels", 100, 3},
        {"image.transform", "seconds", 2.5, 4},
        {"demo.sum_squares", "output_bytes", 65536, 6},
    };
    struct context *c = *state;
    (void)setenv("GANGSAW_TASK_IMAGE_TRANSFORM_SECONDS", "3", 1);
    const struct config *cfg =
        load(c, "\n[task image.transform]\nmax_megapixels = 100\n"
                "seconds = 2.5\n[task demo.sum_squares]\noutput_bytes = 64K\n");
    assert_int_equal(cfg->task_limit_count, 4);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const struct config_task_limit *t = &cfg->task_limits[i];
        assert_string_equal(t->task, wanted[i].task);
        assert_string_equal(t->name, wanted[i].name);
        assert_true(t->value == wanted[i].value);
        assert_string_equal(t->place, arena_printf(c->arena, "%s:%d", c->path, wanted[i].line));
    }
    const struct config_task_limit *last = &cfg->task_limits[3];
    assert_null(last->task);
    assert_string_equal(last->name, "IMAGE_TRANSFORM_SECONDS");
    assert_true(last->value == 3);
    assert_string_equal(last->place, "GANGSAW_TASK_IMAGE_TRANSFORM_SECONDS");
}

static void test_environment_wins_over_the_file(void **state)
{
    (void)setenv("GANGSAW_COMPUTE_SLOTS", "9", 1);
    (void)setenv("GANGSAW_SERVER_RUN_DIR", "/somewhere", 1);
    (void)setenv("GANGSAW_EXECUTOR_GRACE_SECONDS", "0.5", 1);
    const struct config *cfg = load(*state, "[compute]\nslots = 4\nnet_slots = 5\n");
    assert_int_equal(cfg->compute_slots, 9);
    assert_int_equal(cfg->compute_net_slots, 5);
    assert_string_equal(cfg->server_run_dir, "/somewhere");
    assert_true(cfg->executor_grace_seconds == 0.5);
}

static void test_wrong_variable_is_named(void **state)
{
    static const struct {
        const char *name, *value, *wanted;
    } cases[] = {
        {"GANGSAW_COMPUTE_SLOT", "4",
         "GANGSAW_COMPUTE_SLOT: [compute] has no option SLOT; the nearest is [compute] slots"},
        {"GANGSAW_COMPUTE_slots", "4", "GANGSAW_COMPUTE_slots: [compute] has no option slots"},
        {"GANGSAW_COMPUTE_", "4", "GANGSAW_COMPUTE_: [compute] has no option"},
        {"GANGSAW_COMPUTE_SLOTS", "0",
         "GANGSAW_COMPUTE_SLOTS: [compute] slots is \"0\"; allowed: 1 to 1024, or auto"},
        {"GANGSAW_COMPUTE_SLOTS", "", "is \"\"; allowed: 1 to 1024"},
        {"GANGSAW_COMPUTE_SLOTS", "4\n", "allowed: 1 to 1024"},
        {"GANGSAW_SERVER_RUN_DIR", "/run\nuser = root", "allowed: an absolute path"},
        {"GANGSAW_SERVER_RUN_DIR", "/run ; x", "allowed: an absolute path"},
        {"GANGSAW_SERVER_USER", "root ", "allowed: 1 to 32 bytes"},
        {"GANGSAW_TASK_IMAGE_TRANSFORM_SECONDS", "x", "GANGSAW_TASK_IMAGE_TRANSFORM_SECONDS: "},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)setenv(cases[i].name, cases[i].value, 1);
        assert_refused(*state, "", 0, cases[i].wanted);
        (void)unsetenv(cases[i].name);
    }
}

static void test_variables_of_no_section_are_ignored(void **state)
{
    static const char *const names[] = {
        "GANGSAW_PORT",          "GANGSAW_SHARED_DATA",    "GANGSAW_",
        "GANGSAW_COMPUTE",       "GANGSAW_COMPUTER_SLOTS", "GANGSAW_TASKS_X",
        "XGANGSAW_COMPUTE_SLOTS"};
    for (size_t i = 0; i < COUNT(names); i++)
        (void)setenv(names[i], "nonsense", 1);
    assert_int_equal(load(*state, "[compute]\nslots = 4\n")->compute_slots, 4);
    (void)unsetenv("XGANGSAW_COMPUTE_SLOTS");
}

static void test_gangsaw_config_names_the_file_unless_one_is_given(void **state)
{
    struct context *c = *state;
    struct config *cfg;
    struct error err;
    scratch_write_text(&c->scratch, "other.conf", "[compute]\nslots = 11\n");
    (void)setenv("GANGSAW_CONFIG", arena_printf(c->arena, "%s/other.conf", c->scratch.path), 1);
    assert_int_equal(config_load(c->arena, NULL, &cfg, &err), 0);
    assert_int_equal(cfg->compute_slots, 11);
    assert_int_equal(load(c, "[compute]\nslots = 12\n")->compute_slots, 12);
}

static void test_file_that_was_asked_for_must_be_there(void **state)
{
    struct context *c = *state;
    struct config *cfg = NULL;
    struct error err;
    const char *absent = arena_printf(c->arena, "%s/absent.conf", c->scratch.path);
    assert_int_equal(config_load(c->arena, absent, &cfg, &err), -1);
    assert_non_null(strstr(err.detail, absent));
    (void)setenv("GANGSAW_CONFIG", absent, 1);
    assert_int_equal(config_load(c->arena, NULL, &cfg, &err), -1);
    assert_non_null(strstr(err.detail, absent));
    assert_int_equal(config_load(c->arena, c->scratch.path, &cfg, &err), -1);
    assert_non_null(strstr(err.detail, "not a regular file"));
    assert_null(cfg);
}

static void test_installed_file_may_be_missing(void **state)
{
    static const char installed[] = GANGSAW_SYSCONFDIR "/gangsaw.conf";
    struct context *c = *state;
    struct config *cfg;
    struct error err;
    if (access(installed, F_OK) == 0) /* what it says is not for a test to know */
        return;
    (void)setenv("GANGSAW_CONFIG", "", 1);
    assert_int_equal(config_load(c->arena, NULL, &cfg, &err), 0);
    assert_string_equal(cfg->path, "");
    assert_int_equal(cfg->compute_net_slots, 32);
}

static void test_what_is_printed_reads_back_the_same(void **state)
{
    struct context *c = *state;
    struct strbuf first = STRBUF_INIT, second = STRBUF_INIT;
    (void)setenv("GANGSAW_TASK_DEMO_SUM_SQUARES_SECONDS", "5", 1);
    const struct config *cfg =
        load(c, "[compute]\nslots = 3\npreload = image demo\nqueue_seconds = 0.100001\n"
                "[http]\nmax_body_bytes = 1234567\nmax_json_bytes = 3M\n"
                "[server]\nrun_dir = /tmp/a b#c\nlog_level = error\n"
                "[task image.transform]\nmax_megapixels = 71.25\noutput_bytes = 3G\n"
                "[task demo.sum_squares]\nseconds = 123456789.123456\n");
    config_print(cfg, &first);
    assert_non_null(strstr(first.text, "\n[compute]\nslots = 3\n"));
    assert_non_null(strstr(first.text, "\nqueue_seconds = 0.100001\n"));
    assert_non_null(strstr(first.text, "\nmax_json_bytes = 3M\n"));
    assert_non_null(strstr(first.text, "\nlog_level = error\n"));
    assert_non_null(strstr(first.text, "\n[task image.transform]\nmax_megapixels = 71.25\n"));
    assert_non_null(strstr(first.text, "\nseconds = 123456789.123456\n"));
    assert_non_null(strstr(first.text, "\n; GANGSAW_TASK_DEMO_SUM_SQUARES_SECONDS = 5\n"));
    config_print(load(c, first.text), &second);
    assert_string_equal(first.text, second.text);
    strbuf_release(&first);
    strbuf_release(&second);
}

static void test_reference_has_every_option_and_nothing_of_this_build(void **state)
{
    struct context *c = *state;
    struct strbuf config = STRBUF_INIT, reference = STRBUF_INIT;
    int options = 0, rows = 0;
    config_print(load(c, ""), &config);
    config_print_reference(&reference);
    char *save = NULL;
    for (char *line = strtok_r(config.text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        const char *wanted =
            *line == '[' ? arena_printf(c->arena, "## %s\n", line)
                         : arena_printf(c->arena, "| `%.*s` |", (int)strcspn(line, " "), line);
        if (!strstr(reference.text, wanted))
            fail_msg("%s is not in the reference", wanted);
        options += *line != '[';
    }
    for (const char *p = reference.text; (p = strstr(p, "\n| `")) != NULL; p++)
        rows++;
    assert_int_equal(rows, options);
    assert_true(options > 20);
    assert_null(strstr(reference.text, GANGSAW_DATADIR));
    assert_null(strstr(reference.text, GANGSAW_LIBDIR));
    strbuf_release(&config);
    strbuf_release(&reference);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_no_option_is_needed),
        TEST(test_auto_is_computed_from_the_cores),
        TEST(test_file_wins_over_the_default),
        TEST(test_carriage_returns_and_a_byte_order_mark_change_nothing),
        TEST(test_what_is_wrong_is_named_with_line_and_what_is_allowed),
        TEST(test_nul_byte_is_refused_and_ends_nothing),
        TEST(test_line_too_long_is_refused_rather_than_cut),
        TEST(test_longest_values_fit_into_a_line),
        TEST(test_task_limits_come_in_order_with_their_places),
        TEST(test_environment_wins_over_the_file),
        TEST(test_wrong_variable_is_named),
        TEST(test_variables_of_no_section_are_ignored),
        TEST(test_gangsaw_config_names_the_file_unless_one_is_given),
        TEST(test_file_that_was_asked_for_must_be_there),
        TEST(test_installed_file_may_be_missing),
        TEST(test_what_is_printed_reads_back_the_same),
        TEST(test_reference_has_every_option_and_nothing_of_this_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
