/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Log lines: what a client sends can neither forge nor break one. A datagram socket stands in
 * for stderr, because it keeps writes apart: one datagram is one write(2).
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"

#define LINE_MAX_BYTES 4096
#define FIELD_COUNT(a) (sizeof(a) / sizeof((a)[0]))

#ifdef __SANITIZE_ADDRESS__
#define IS_COUNTING 0
#else
#define IS_COUNTING 1
#endif

#if IS_COUNTING
/* Interposed to count allocations; the sanitizer has its own in this place. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
static int allocation_count;

void *malloc(size_t size)
{
    allocation_count++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocation_count++;
    return __libc_calloc(count, size);
}
#endif

struct capture {
    int reader;
    int stderr_fd;
};

static void capture_begin(struct capture *c)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    c->reader = pair[0];
    c->stderr_fd = dup(STDERR_FILENO);
    assert_true(c->stderr_fd >= 0);
    assert_true(dup2(pair[1], STDERR_FILENO) >= 0);
    (void)close(pair[1]);
}

/* Gives stderr back, so that a failing assertion is seen. */
static void capture_pause(struct capture *c)
{
    (void)dup2(c->stderr_fd, STDERR_FILENO);
    (void)close(c->stderr_fd);
}

/* The next write, as a string; false when there is none. */
static bool capture_next(struct capture *c, char *line, size_t capacity)
{
    ssize_t size = recv(c->reader, line, capacity - 1, MSG_DONTWAIT);
    line[size > 0 ? size : 0] = '\0';
    return size > 0;
}

/* One call, which must give one write of one line of JSON; the tree belongs to `a`. */
static cJSON *log_once(struct arena *a, enum log_level level, const char *message,
                       const struct log_field *fields, size_t *ret_size)
{
    struct capture c;
    char line[4 * LINE_MAX_BYTES], more[64];
    capture_begin(&c);
    log_fields(level, message, fields);
    capture_pause(&c);
    bool is_written = capture_next(&c, line, sizeof(line));
    bool is_more = capture_next(&c, more, sizeof(more));
    (void)close(c.reader);
    assert_true(is_written);
    assert_false(is_more);

    size_t size = strlen(line);
    assert_true(size <= LINE_MAX_BYTES);
    assert_int_equal(line[size - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + size - 1);
    cJSON *value;
    struct error err;
    if (json_parse(a, line, size, &value, &err) != 0)
        fail_msg("%s: %s", err.detail, line);
    if (ret_size)
        *ret_size = size;
    return value;
}

#define log_line(a, message, ...)      \
    log_once((a), LOG_INFO, (message), \
             (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_KIND_END}}, NULL)

static const char *string_member(const cJSON *object, const char *name)
{
    const cJSON *value = json_member(object, name);
    assert_true(cJSON_IsString(value));
    return value->valuestring;
}

static int setup(void **state)
{
    *state = arena_new();
    log_init("tester", LOG_INFO);
    return 0;
}

static int teardown(void **state)
{
    arena_free(*state);
    return 0;
}

static void test_line_has_time_level_process_pid_message_and_fields(void **state)
{
    const cJSON *line = log_line(*state, "executor died", LOG_INT("executor", 7),
                                 LOG_STR("signal", "SIGSEGV"), LOG_NUM("age_seconds", 1.5));
    static const char *const names[] = {"time",    "level",    "process", "pid",
                                        "message", "executor", "signal",  "age_seconds"};
    const cJSON *member = line->child;
    for (size_t i = 0; i < FIELD_COUNT(names); i++, member = member->next) {
        assert_non_null(member);
        assert_string_equal(member->string, names[i]);
    }
    assert_null(member);
    assert_string_equal(string_member(line, "level"), "info");
    assert_string_equal(string_member(line, "process"), "tester");
    assert_int_equal(json_member(line, "pid")->valueint, getpid());
    assert_string_equal(string_member(line, "message"), "executor died");
    assert_int_equal(json_member(line, "executor")->valueint, 7);
    assert_string_equal(string_member(line, "signal"), "SIGSEGV");
}

static void test_time_is_now_in_utc(void **state)
{
    time_t before = time(NULL);
    const char *text = string_member(log_line(*state, "now"), "time");
    time_t after = time(NULL);
    struct tm tm = {.tm_year = 0};
    assert_int_equal(strlen(text), strlen("2026-01-31T12:00:00.123456Z"));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_int_equal(rest[0], '.');
    assert_int_equal(rest[7], 'Z');
    time_t logged = timegm(&tm);
    assert_true(logged >= before && logged <= after);
}

static void test_hostile_strings_cannot_forge_a_line(void **state)
{
    static const struct {
        const char *text, *parsed, *forbidden;
    } cases[] = {
        {"a\n{\"level\":\"error\"}", "a\n{\"level\":\"error\"}", NULL},
        {"a\r\nb", "a\r\nb", "\r"},
        {"\",\"level\":\"error", "\",\"level\":\"error", NULL},
        {"back\\", "back\\", NULL},
        {"\x1b[2J\x07", "\x1b[2J\x07", "\x1b"},
        {"\x7f", "\x7f", "\x7f"},
        {"\xc2\x85\xc2\x9b", "\xc2\x85\xc2\x9b", "\x9b"},
        {"\u2028\u2029", "\u2028\u2029", "\u2028"},
        {"\u202e turned", "\u202e turned", "\u202e"},
        {"\u200f\u061c\u2066", "\u200f\u061c\u2066", "\u061c"},
        {"no\u200b\u2060\ufeffwidth", "no\u200b\u2060\ufeffwidth", "\ufeff"},
        {"\u2013 \u2026 \u2071 \u0620", "\u2013 \u2026 \u2071 \u0620", NULL},
        {"caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600", NULL},
        {"bad \xff\xfe", "bad \ufffd\ufffd", "\xff"},
        {"overlong \xc0\xaf", "overlong \ufffd\ufffd", "\xc0"},
        {"surrogate \xed\xa0\x80", "surrogate \ufffd\ufffd\ufffd", "\xed"},
        {"cut short \xe2\x82", "cut short \ufffd\ufffd", "\x82"},
        {"", "", NULL},
    };
    for (size_t i = 0; i < FIELD_COUNT(cases); i++) {
        struct capture c;
        char text[LINE_MAX_BYTES + 1];
        const cJSON *line = log_line(*state, cases[i].text, LOG_STR("name", cases[i].text));
        assert_string_equal(string_member(line, "message"), cases[i].parsed);
        assert_string_equal(string_member(line, "name"), cases[i].parsed);
        assert_string_equal(string_member(line, "level"), "info");
        capture_begin(&c);
        log_write(LOG_INFO, cases[i].text);
        capture_pause(&c);
        (void)capture_next(&c, text, sizeof(text));
        (void)close(c.reader);
        if (cases[i].forbidden)
            assert_null(strstr(text, cases[i].forbidden));
    }
}

/* `count` copies of `unit`. */
static char *repeat(struct arena *a, const char *unit, size_t count)
{
    size_t size = strlen(unit);
    char *text = arena_alloc(a, size * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, unit, size);
    return text;
}

static void test_long_strings_are_cut_and_the_line_stays_valid_json(void **state)
{
    static const char *const units[] = {"x", "\n", "\"", "\u00e9", "\u20ac", "\U0001f600", "\xff"};
    for (size_t i = 0; i < FIELD_COUNT(units); i++) {
        size_t size;
        char *text = repeat(*state, units[i], 100000);
        struct log_field fields[] = {LOG_STR("long", text),
                                     LOG_STR("short", "all of it"),
                                     LOG_INT("last", 7),
                                     {.kind = LOG_KIND_END}};
        const cJSON *line = log_once(*state, LOG_ERROR, "a long one", fields, &size);
        const char *logged = string_member(line, "long");
        assert_true(strlen(logged) > 500);
        assert_string_equal(logged + strlen(logged) - 3, "\u2026");
        assert_string_equal(string_member(line, "short"), "all of it");
        assert_string_equal(string_member(line, "message"), "a long one");
        assert_int_equal(json_member(line, "last")->valueint, 7);
        assert_true(size > LINE_MAX_BYTES - 16); /* no more is lost than has to be */
    }
}

static void test_every_length_around_the_limit_fits(void **state)
{
    for (size_t count = LINE_MAX_BYTES - 300; count < LINE_MAX_BYTES + 100; count++) {
        struct arena *a = arena_new();
        const cJSON *line = log_line(a, "m", LOG_STR("s", repeat(a, "x", count)), LOG_INT("n", 1));
        assert_int_equal(json_member(line, "n")->valueint, 1);
        arena_free(a);
    }
    (void)state;
}

static void test_only_the_longest_strings_are_cut(void **state)
{
    const char *middle = repeat(*state, "m", 1000);
    const cJSON *line = log_line(*state, repeat(*state, "a", 20000), LOG_STR("middle", middle),
                                 LOG_STR("long", repeat(*state, "b", 30000)));
    assert_string_equal(string_member(line, "middle"), middle);
    assert_int_equal(strlen(string_member(line, "message")), strlen(string_member(line, "long")));
}

static void test_fields_beyond_the_limit_are_left_out_whole(void **state)
{
    struct log_field fields[2001];
    for (size_t i = 0; i < 2000; i++) {
        const char *name = arena_printf(*state, "field%zu", i);
        fields[i] = (struct log_field){
            .kind = LOG_KIND_INT, .name = name, .name_size = strlen(name), .integer = 123456};
    }
    fields[2000] = (struct log_field){.kind = LOG_KIND_END};
    const cJSON *line = log_once(*state, LOG_INFO, "many", fields, NULL);
    assert_true(cJSON_GetArraySize(line) > 150);
    for (const cJSON *member = json_member(line, "field0"); member; member = member->next)
        assert_int_equal(member->valueint, 123456);
}

static void test_numbers_are_json_in_three_decimals(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0, "0.000"},
        {1.5, "1.500"},
        {-2.0625, "-2.063"},
        {0.0004, "0.000"},
        {-0.0004, "0.000"},
        {999.9996, "1000.000"},
        {123456789012.345, "123456789012.345"},
        {1e300, "null"},
        {(double)NAN, "null"},
        {-(double)INFINITY, "null"},
    };
    for (size_t i = 0; i < FIELD_COUNT(cases); i++) {
        struct capture c;
        char line[LINE_MAX_BYTES + 1], *wanted = arena_printf(*state, "\"n\":%s}\n", cases[i].text);
        capture_begin(&c);
        log_write(LOG_INFO, "number", LOG_NUM("n", cases[i].number));
        capture_pause(&c);
        (void)capture_next(&c, line, sizeof(line));
        (void)close(c.reader);
        if (!strstr(line, wanted))
            fail_msg("%s is not in %s", wanted, line);
    }
}

static void test_integers_keep_all_digits(void **state)
{
    struct capture c;
    char line[LINE_MAX_BYTES + 1];
    (void)state;
    capture_begin(&c);
    log_write(LOG_INFO, "integer", LOG_INT("least", INT64_MIN), LOG_INT("most", INT64_MAX));
    capture_pause(&c);
    (void)capture_next(&c, line, sizeof(line));
    (void)close(c.reader);
    assert_non_null(strstr(line, "\"least\":-9223372036854775808,\"most\":9223372036854775807}"));
}

static void test_field_without_a_string_is_left_out(void **state)
{
    const cJSON *line = log_line(*state, "m", LOG_STR("absent", NULL), LOG_STR("there", "x"));
    assert_null(json_member(line, "absent"));
    assert_string_equal(string_member(line, "there"), "x");
}

static void test_one_write_per_line_and_none_below_the_level(void **state)
{
    static const struct {
        enum log_level level;
        int lines;
    } cases[] = {{LOG_DEBUG, 4}, {LOG_INFO, 3}, {LOG_WARNING, 2}, {LOG_ERROR, 1}};
    (void)state;
    for (size_t i = 0; i < FIELD_COUNT(cases); i++) {
        struct capture c;
        char line[LINE_MAX_BYTES + 1];
        int count = 0;
        log_init("tester", cases[i].level);
        capture_begin(&c);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
            log_write((enum log_level)level, "one");
        capture_pause(&c);
        while (capture_next(&c, line, sizeof(line)))
            count++;
        (void)close(c.reader);
        assert_int_equal(count, cases[i].lines);
    }
}

static void test_errno_is_kept(void **state)
{
    (void)state;
    int saved = dup(STDERR_FILENO);
    (void)close(STDERR_FILENO); /* so that the write fails */
    errno = ERANGE;
    log_write(LOG_ERROR, "nobody hears it");
    int after = errno;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    assert_int_equal(after, ERANGE);
}

static void test_full_pipe_loses_the_line_rather_than_hanging_the_writer(void **state)
{
    int fds[2];
    char block[4096] = "";
    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    while (write(fds[1], block, sizeof(block)) > 0) {
    }
    int saved = dup(STDERR_FILENO);
    (void)dup2(fds[1], STDERR_FILENO);
    (void)alarm(30); /* the process dies if the call does not return */
    log_write(LOG_ERROR, "no room for it");
    (void)alarm(0);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);

    size_t total = 0;
    ssize_t n;
    char last = '\0';
    while ((n = read(fds[0], block, sizeof(block))) > 0) {
        total += (size_t)n;
        last = block[n - 1];
    }
    assert_true(total > 0);
    assert_int_equal(last, '\0');
    (void)close(fds[0]);
    (void)close(fds[1]);
}

#if IS_COUNTING
static void test_nothing_is_ever_allocated(void **state)
{
    const char *text = repeat(*state, "\u20ac", 10000);
    struct capture c;
    capture_begin(&c);
    int before = allocation_count;
    log_write(LOG_ERROR, "out of memory", LOG_STR("text", text), LOG_INT("n", 1),
              LOG_NUM("seconds", 1e14 / 3));
    int after = allocation_count;
    capture_pause(&c);
    (void)close(c.reader);
    assert_int_equal(after, before);
    arena_free(arena_new());
    assert_true(allocation_count > after); /* they are counted at all */
}
#endif

static void test_held_lines_leave_in_one_write(void **state)
{
    struct capture c;
    char lines[4 * LINE_MAX_BYTES], more[64];
    (void)state;
    capture_begin(&c);
    log_hold();
    log_write(LOG_INFO, "first");
    log_write(LOG_INFO, "second");
    bool is_early = capture_next(&c, more, sizeof(more));
    log_release();
    log_write(LOG_INFO, "third");
    capture_pause(&c);
    bool is_written = capture_next(&c, lines, sizeof(lines));
    bool is_third = capture_next(&c, more, sizeof(more));
    (void)close(c.reader);
    assert_false(is_early);
    assert_true(is_written && is_third);
    const char *second = strchr(lines, '\n') + 1;
    assert_non_null(strstr(lines, "\"message\":\"first\"}\n{"));
    assert_non_null(strstr(second, "\"message\":\"second\"}\n"));
    assert_null(strstr(second, "third"));
}

/* Whoever says one may be about to end. */
static void test_an_error_does_not_wait_with_the_held_lines(void **state)
{
    struct capture c;
    char held[LINE_MAX_BYTES], error[LINE_MAX_BYTES];
    (void)state;
    capture_begin(&c);
    log_hold();
    log_write(LOG_INFO, "a run");
    log_write(LOG_ERROR, "out of memory");
    bool is_held_written = capture_next(&c, held, sizeof(held));
    bool is_error_written = capture_next(&c, error, sizeof(error));
    log_release();
    capture_pause(&c);
    (void)close(c.reader);
    assert_true(is_held_written && is_error_written);
    assert_non_null(strstr(held, "\"message\":\"a run\""));
    assert_non_null(strstr(error, "\"message\":\"out of memory\""));
}

static void test_held_lines_that_are_many_leave_as_whole_lines(void **state)
{
    struct capture c;
    char lines[4 * LINE_MAX_BYTES], text[1000];
    int count = 0;
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    capture_begin(&c);
    log_hold();
    for (int i = 0; i < 10; i++)
        log_write(LOG_INFO, "long", LOG_STR("text", text));
    log_release();
    capture_pause(&c);
    bool is_whole = true;
    while (capture_next(&c, lines, sizeof(lines))) {
        size_t size = strlen(lines);
        is_whole = is_whole && size <= LINE_MAX_BYTES && lines[0] == '{' && lines[size - 1] == '\n';
        for (const char *p = lines; (p = strchr(p, '\n')) != NULL; p++)
            count++;
    }
    (void)close(c.reader);
    assert_true(is_whole);
    assert_int_equal(count, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_line_has_time_level_process_pid_message_and_fields),
        TEST(test_time_is_now_in_utc),
        TEST(test_hostile_strings_cannot_forge_a_line),
        TEST(test_long_strings_are_cut_and_the_line_stays_valid_json),
        TEST(test_every_length_around_the_limit_fits),
        TEST(test_only_the_longest_strings_are_cut),
        TEST(test_fields_beyond_the_limit_are_left_out_whole),
        TEST(test_numbers_are_json_in_three_decimals),
        TEST(test_integers_keep_all_digits),
        TEST(test_field_without_a_string_is_left_out),
        TEST(test_one_write_per_line_and_none_below_the_level),
        TEST(test_errno_is_kept),
        TEST(test_full_pipe_loses_the_line_rather_than_hanging_the_writer),
#if IS_COUNTING
        TEST(test_nothing_is_ever_allocated),
#endif
        TEST(test_held_lines_leave_in_one_write),
        TEST(test_an_error_does_not_wait_with_the_held_lines),
        TEST(test_held_lines_that_are_many_leave_as_whole_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
