/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of jobs: the header field and the members of a batch's item mean the same; what is wrong
 * with one is said with its name and its range. Options are shown as those that were given.
 */
#include "api/job_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "base/clock.h"
#include "base/timestamp.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct config cfg = {.jobs_max_timeout_seconds = 3600};

static const char *show(struct arena *a, const struct job_options *o)
{
    const char *shown = "";
    if (o->priority != 0)
        shown = arena_printf(a, "%s priority=%d", shown, o->priority);
    if (o->run_at_us != 0)
        shown = arena_printf(a, "%s later", shown);
    if (o->delay_seconds > 0)
        shown = arena_printf(a, "%s delay=%g", shown, o->delay_seconds);
    if (o->max_attempts != JOB_ATTEMPTS_DEFAULT)
        shown = arena_printf(a, "%s attempts=%d", shown, o->max_attempts);
    if (o->timeout_seconds > 0)
        shown = arena_printf(a, "%s timeout=%g", shown, o->timeout_seconds);
    if (o->unique_key)
        shown = arena_printf(a, "%s unique=%s", shown, o->unique_key);
    for (int i = 0; i < o->tag_count; i++)
        shown = arena_printf(a, "%s tag=%s", shown, o->tags[i]);
    return *shown ? shown + 1 : "";
}

static const char *read_field(struct arena *a, const char *field)
{
    struct job_options o;
    struct error err = {.code = ERR_NONE};
    if (job_options_read_field(a, &cfg, field, &o, &err) == 0)
        return show(a, &o);
    assert_int_equal(err.code, ERR_INVALID_REQUEST);
    assert_non_null(strstr(err.detail, JOB_OPTIONS_HEADER));
    return arena_strdup(a, err.detail);
}

static const char *read_item(struct arena *a, const char *text)
{
    struct job_options o;
    struct error err;
    struct field_errors errors = {.arena = a};
    cJSON *item;
    assert_int_equal(json_parse(a, text, strlen(text), &item, &err), 0);
    job_options_read_item(a, &cfg, item, "/jobs/7", &o, &errors);
    if (errors.count == 0)
        return show(a, &o);
    const char *shown = "wrong:";
    for (const struct field_error *e = errors.first; e; e = e->next)
        shown = arena_printf(a, "%s %s", shown, e->pointer);
    return shown;
}

static void test_the_field_means_what_it_says(void **state)
{
    static const char *const examples[][2] = {
        {NULL, ""},
        {"", ""},
        {"priority=5, delay=60, unique=\"x\", max-attempts=3, timeout=600, tags=(\"a\" \"b\")",
         "priority=5 delay=60 attempts=3 timeout=600 unique=x tag=a tag=b"},
        {"priority=-100", "priority=-100"},
        {"priority=100", "priority=100"},
        {"max-attempts=1", "attempts=1"},
        {"max-attempts=100", "attempts=100"},
        {"delay=0", ""},
        {"delay=0.5", "delay=0.5"},
        {"delay=31622400", "delay=3.16224e+07"},
        {"timeout=0.001", "timeout=0.001"},
        {"timeout=3600", "timeout=3600"},
        {"tags=()", ""},
        {"unique=\"a \\\"b\\\"\"", "unique=a \"b\""},
        {"priority=1, priority=2", "priority=2"},
        {"priority=1;note=x", "priority=1"},
    };
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_string_equal(read_field(*state, examples[i][0]), examples[i][1]);
}

static void test_what_is_wrong_with_the_field_is_named(void **state)
{
    static const char *const examples[][3] = {
        /* field, member, range */
        {"priority=101", "'priority'", "-100 to 100"},
        {"priority=-101", "'priority'", "-100 to 100"},
        {"priority=1.5", "'priority'", "an integer"},
        {"priority=\"1\"", "'priority'", "an integer"},
        {"priority", "'priority'", "an integer"},
        {"priority=(1)", "'priority'", "an integer"},
        {"max-attempts=0", "'max-attempts'", "1 to 100"},
        {"max-attempts=101", "'max-attempts'", "1 to 100"},
        {"delay=-1", "'delay'", "0 to 31622400"},
        {"delay=31622401", "'delay'", "0 to 31622400"},
        {"delay=\"5\"", "'delay'", "a number"},
        {"timeout=0", "'timeout'", "0.001"},
        {"timeout=3600.5", "'timeout'", "jobs.max_timeout_seconds = 3600"},
        {"unique=\"\"", "'unique'", "1 to 255"},
        {"unique=x", "'unique'", "a string"},
        {"tags=\"a\"", "'tags'", "a list"},
        {"tags=(a)", "'tags'", "strings"},
        {"tags=(\"\")", "'tags'", "1 to 64"},
        {"run-at=\"tomorrow\"", "'run-at'", "RFC 3339"},
        {"run-at=5", "'run-at'", "RFC 3339"},
        {"run-at=\"2001-01-01T00:00:00Z\"", "'run-at'", "past"},
        {"run-at=\"9999-01-01T00:00:00Z\"", "'run-at'", "366 days"},
        {"delay=5, run-at=\"2999-01-01T00:00:00Z\"", "'run-at'", "366 days"},
        {"unknown=1", "'unknown'", "max-attempts"},
        {"run_at=1", "'run_at'", "run-at"},
        {"priority=", JOB_OPTIONS_HEADER, ""},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        const char *shown = read_field(*state, examples[i][0]);
        if (!strstr(shown, examples[i][1]) || !strstr(shown, examples[i][2]))
            fail_msg("%s\nis   %s\nwithout %s, %s", examples[i][0], shown, examples[i][1],
                     examples[i][2]);
    }
}

static void test_an_item_means_what_it_says(void **state)
{
    static const char *const examples[][2] = {
        {"{}", ""},
        {"{\"task\":\"t\",\"params\":{\"priority\":5},\"other\":1}", ""},
        {"{\"priority\":5,\"delay_seconds\":60,\"max_attempts\":3,\"timeout_seconds\":600,"
         "\"unique_key\":\"x\",\"tags\":[\"a\",\"b\"]}",
         "priority=5 delay=60 attempts=3 timeout=600 unique=x tag=a tag=b"},
        {"{\"tags\":[]}", ""},
        {"{\"priority\":1.0}", "priority=1"},
        {"{\"priority\":101}", "wrong: /jobs/7/priority"},
        {"{\"priority\":1e300}", "wrong: /jobs/7/priority"},
        {"{\"priority\":null}", "wrong: /jobs/7/priority"},
        {"{\"priority\":true}", "wrong: /jobs/7/priority"},
        {"{\"priority\":\"1\"}", "wrong: /jobs/7/priority"},
        {"{\"max_attempts\":0}", "wrong: /jobs/7/max_attempts"},
        {"{\"delay_seconds\":-0.1}", "wrong: /jobs/7/delay_seconds"},
        {"{\"delay_seconds\":31622401}", "wrong: /jobs/7/delay_seconds"},
        {"{\"timeout_seconds\":1e-50}", "wrong: /jobs/7/timeout_seconds"},
        {"{\"timeout_seconds\":3601}", "wrong: /jobs/7/timeout_seconds"},
        {"{\"unique_key\":\"\"}", "wrong: /jobs/7/unique_key"},
        {"{\"unique_key\":5}", "wrong: /jobs/7/unique_key"},
        {"{\"tags\":\"a\"}", "wrong: /jobs/7/tags"},
        {"{\"tags\":[1]}", "wrong: /jobs/7/tags"},
        {"{\"tags\":[\"a\",\"\"]}", "wrong: /jobs/7/tags"},
        {"{\"run_at\":\"2001-01-01T00:00:00Z\"}", "wrong: /jobs/7/run_at"},
        {"{\"run_at\":5}", "wrong: /jobs/7/run_at"},
        {"{\"priority\":\"x\",\"tags\":5,\"run_at\":null}",
         "wrong: /jobs/7/priority /jobs/7/tags /jobs/7/run_at"},
    };
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_string_equal(read_item(*state, examples[i][0]), examples[i][1]);
}

static char *repeat(struct arena *a, const char *text, int count)
{
    size_t size = strlen(text);
    char *all = arena_alloc(a, size * (size_t)count + 1);
    for (int i = 0; i < count; i++)
        memcpy(all + size * (size_t)i, text, size);
    return all;
}

static void test_lengths_are_counted_in_characters(void **state)
{
    struct arena *a = *state;
    const char *key = repeat(a, "ä", JOB_UNIQUE_MAX), *tag = repeat(a, "€", JOB_TAG_MAX);
    const char *tags = repeat(a, "\"t\",", JOB_TAGS_MAX);
    assert_string_equal(read_item(a, arena_printf(a, "{\"unique_key\":\"%s\"}", key)),
                        arena_printf(a, "unique=%s", key));
    assert_string_equal(read_item(a, arena_printf(a, "{\"unique_key\":\"%sa\"}", key)),
                        "wrong: /jobs/7/unique_key");
    assert_string_equal(read_item(a, arena_printf(a, "{\"tags\":[\"%s\"]}", tag)),
                        arena_printf(a, "tag=%s", tag));
    assert_string_equal(read_item(a, arena_printf(a, "{\"tags\":[\"%sa\"]}", tag)),
                        "wrong: /jobs/7/tags");
    assert_string_equal(read_item(a, arena_printf(a, "{\"tags\":[%s\"t\"]}", tags)),
                        "wrong: /jobs/7/tags");
}

static const char *moment(struct arena *a, int64_t seconds)
{
    char text[TIMESTAMP_SIZE];
    timestamp_format(clock_real_us() + seconds * 1000000, text);
    return arena_strdup(a, text);
}

static void test_run_at_lies_within_a_year_and_what_has_just_passed_is_now(void **state)
{
    static const struct {
        int64_t seconds; /* from now */
        const char *shown;
    } examples[] = {
        {3600, "later"},        {-60, ""},
        {-86000, ""},           {-86800, "wrong: /jobs/7/run_at"},
        {365 * 86400, "later"}, {366 * 86400 + 600, "wrong: /jobs/7/run_at"},
    };
    struct arena *a = *state;
    for (size_t i = 0; i < COUNT(examples); i++) {
        const char *time = moment(a, examples[i].seconds);
        assert_string_equal(read_item(a, arena_printf(a, "{\"run_at\":\"%s\"}", time)),
                            examples[i].shown);
        const char *field = arena_printf(a, "run-at=\"%s\"", time);
        if (strncmp(examples[i].shown, "wrong", 5) != 0)
            assert_string_equal(read_field(a, field), examples[i].shown);
        else
            assert_non_null(strstr(read_field(a, field), "'run-at'"));
    }
}

static void test_a_time_and_a_delay_exclude_each_other(void **state)
{
    struct arena *a = *state;
    const char *time = moment(a, 3600);
    assert_string_equal(
        read_item(a, arena_printf(a, "{\"run_at\":\"%s\",\"delay_seconds\":5}", time)),
        "wrong: /jobs/7/delay_seconds");
    assert_string_equal(
        read_item(a, arena_printf(a, "{\"delay_seconds\":0,\"run_at\":\"%s\"}", time)),
        "wrong: /jobs/7/run_at");
    assert_non_null(
        strstr(read_field(a, arena_printf(a, "delay=0, run-at=\"%s\"", time)), "exclude"));
}

static void test_times_are_rfc_3339(void **state)
{
    static const struct {
        const char *text, *shown; /* NULL: it is none */
    } examples[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"2024-02-29T23:59:59.123456789Z", "2024-02-29T23:59:59.123456Z"},
        {"2024-02-29t12:00:00.5z", "2024-02-29T12:00:00.500000Z"},
        {"2030-01-31T12:00:00+02:00", "2030-01-31T10:00:00.000000Z"},
        {"2030-12-31T23:30:00-01:45", "2031-01-01T01:15:00.000000Z"},
        {"1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900000Z"},
        {"1900-03-01T00:00:00Z", "1900-03-01T00:00:00.000000Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"},
        {"2026-07-09 10:11:12.5+00:00", "2026-07-09T10:11:12.500000Z"},
        {"2023-02-29T00:00:00Z", NULL},
        {"1900-02-29T00:00:00Z", NULL},
        {"2023-13-01T00:00:00Z", NULL},
        {"2023-00-01T00:00:00Z", NULL},
        {"2023-04-31T00:00:00Z", NULL},
        {"2023-01-01T24:00:00Z", NULL},
        {"2023-01-01T00:60:00Z", NULL},
        {"2023-01-01T00:00:61Z", NULL},
        {"2023-01-01T00:00:00.Z", NULL},
        {"2023-01-01T00:00:00", NULL},
        {"2023-01-01T00:00Z", NULL},
        {"2023-01-01", NULL},
        {"2023-01-01T00:00:00+2:00", NULL},
        {"2023-01-01T00:00:00+24:00", NULL},
        {"2023-01-01T00:00:00Zx", NULL},
        {"23-01-01T00:00:00Z", NULL},
        {"+2023-01-01T00:00:00Z", NULL},
        {"0000-01-01T00:00:00Z", NULL},
        {"now", NULL},
        {"", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(examples); i++) {
        char text[TIMESTAMP_SIZE];
        int64_t us;
        bool is_time = timestamp_parse(examples[i].text, &us);
        if (is_time != (examples[i].shown != NULL))
            fail_msg("%s", examples[i].text);
        if (!is_time)
            continue;
        timestamp_format(us, text);
        assert_string_equal(text, examples[i].shown);
    }
}

static void test_any_moment_can_be_shown(void **state)
{
    char text[TIMESTAMP_SIZE];
    (void)state;
    timestamp_format(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00.000000Z");
    timestamp_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.000000Z");
    timestamp_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_the_field_means_what_it_says),
        WITH_ARENA(test_what_is_wrong_with_the_field_is_named),
        WITH_ARENA(test_an_item_means_what_it_says),
        WITH_ARENA(test_lengths_are_counted_in_characters),
        WITH_ARENA(test_run_at_lies_within_a_year_and_what_has_just_passed_is_now),
        WITH_ARENA(test_a_time_and_a_delay_exclude_each_other),
        WITH_ARENA(test_times_are_rfc_3339),
        WITH_ARENA(test_any_moment_can_be_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
