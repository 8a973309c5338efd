/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_db.c - values, public ids, and what happens while there is no database
 *
 * What needs a server is in test_db_server.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "arena_fixture.h"
#include "base/clock.h"
#include "db/db.h"
#include "db_loop.h"

#define LIMIT_US 10000000 /* of every wait here */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct db_statement ping = {.name = "ping", .sql = "SELECT 1"};

/* ---- values */

static void test_arrays_hold_any_text(void **state)
{
    static const struct {
        const char *texts[3];
        int count;
        const char *literal;
    } cases[] = {
        {{NULL}, 0, "{}"},
        {{""}, 1, "{\"\"}"},
        {{"a", "b c", "d,e"}, 3, "{\"a\",\"b c\",\"d,e\"}"},
        {{"NULL", NULL, "null"}, 3, "{\"NULL\",NULL,\"null\"}"},
        {{"\"", "\\", "\\\""}, 3, "{\"\\\"\",\"\\\\\",\"\\\\\\\"\"}"},
        {{"{}", "},{", "\n\t"}, 3, "{\"{}\",\"},{\",\"\n\t\"}"},
        {{"é", "🪚", "'"}, 3, "{\"é\",\"🪚\",\"'\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct db_value v = db_texts(*state, cases[i].texts, cases[i].count);
        assert_string_equal(v.bytes, cases[i].literal);
        assert_false(v.is_binary);
    }
}

static void test_arrays_hold_any_integer(void **state)
{
    static const int64_t values[] = {0, -1, INT64_MAX, INT64_MIN, 7};
    assert_string_equal(db_ints(*state, values, 0).bytes, "{}");
    assert_string_equal(db_ints(*state, values, 1).bytes, "{0}");
    assert_string_equal(db_ints(*state, values, 5).bytes,
                        "{0,-1,9223372036854775807,-9223372036854775808,7}");
    enum { MANY = 10000 };
    int64_t *many = arena_alloc(*state, MANY * sizeof(*many));
    for (int i = 0; i < MANY; i++)
        many[i] = INT64_MIN;
    assert_int_equal(strlen(db_ints(*state, many, MANY).bytes), MANY * 21 + 1);
}

static void test_single_values_are_what_the_server_reads(void **state)
{
    assert_null(db_text(NULL).bytes);
    assert_null(db_real(*state, NAN).bytes);
    assert_null(DB_NULL.bytes);
    assert_string_equal(db_int(*state, INT64_MIN).bytes, "-9223372036854775808");
    assert_string_equal(db_real(*state, INFINITY).bytes, "Infinity");
    assert_string_equal(db_real(*state, -INFINITY).bytes, "-Infinity");
    assert_true(strtod(db_real(*state, 0.1).bytes, NULL) == 0.1);
    assert_string_equal(db_bool(true).bytes, "true");
    assert_string_equal(db_bool(false).bytes, "false");
}

static void test_no_bytes_are_empty_and_not_null(void **state)
{
    (void)state;
    assert_non_null(db_bytes(NULL, 0).bytes);
    assert_int_equal(db_bytes(NULL, 0).size, 0);
    assert_true(db_bytes("", 0).is_binary);
}

/* ---- public ids */

static struct db_secret counting_secret(void)
{
    struct db_secret secret;
    for (unsigned char i = 0; i < sizeof(secret.bytes); i++)
        secret.bytes[i] = i;
    return secret;
}

static void test_public_ids_are_those_of_the_definition(void **state)
{
    static const struct {
        enum db_id_kind kind;
        int64_t key;
        const char *id;
    } cases[] = {
        {DB_ID_JOB, 1, "988fa68f1d1"},
        {DB_ID_BLOB, 1, "821fdab39b1"},
        {DB_ID_JOB, 42, "edbcf3726942"},
        {DB_ID_CURSOR, 999999999999999999, "adcf938b97999999999999999999"},
    };
    struct db_secret secret = counting_secret();
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char id[DB_ID_SIZE];
        int64_t key = 0;
        db_id_format(&secret, cases[i].kind, "", cases[i].key, id);
        assert_string_equal(id, cases[i].id);
        assert_true(db_id_parse(&secret, cases[i].kind, "", id, &key));
        assert_int_equal(key, cases[i].key);
    }
}

static void test_every_change_to_an_id_is_noticed(void **state)
{
    struct db_secret secret = counting_secret();
    char id[DB_ID_SIZE];
    int64_t key = -7;
    (void)state;
    db_id_format(&secret, DB_ID_JOB, "", 12345, id);
    for (size_t i = 0; id[i]; i++) {
        for (int c = 1; c < 256; c++) {
            char changed[DB_ID_SIZE];
            memcpy(changed, id, sizeof(changed));
            changed[i] = (char)c;
            if (changed[i] != id[i])
                assert_false(db_id_parse(&secret, DB_ID_JOB, "", changed, &key));
        }
    }
    assert_false(db_id_parse(&secret, DB_ID_BLOB, "", id, &key));
    secret.bytes[31] ^= 1;
    assert_false(db_id_parse(&secret, DB_ID_JOB, "", id, &key));
    assert_int_equal(key, -7);
}

static void test_what_is_no_id_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "9",
        "988fa68f1d",
        "988fa68f1",
        "988fa68f1d01",
        "988fa68f1d1 ",
        "988fa68f1d1x",
        " 988fa68f1d1",
        "988FA68F1D1",
        "988fa68f1d-1",
        "988fa68f1d+1",
        "988fa68f1d0",
        "988fa68f1d1111111111111111111",
        "988fa68f1d99999999999999999999999999999999999999999999999999999999",
        "../../../../etc/passwd",
    };
    struct db_secret secret = counting_secret();
    int64_t key;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_false(db_id_parse(&secret, DB_ID_JOB, "", cases[i], &key));
}

/* ---- without a server */

/* A port that nobody listens on, or one where somebody accepts and says nothing. */
struct port {
    int fd, number;
};

static struct port port_open(bool is_silent)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    struct port p = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(p.fd >= 0);
    assert_int_equal(bind(p.fd, (struct sockaddr *)&address, size), 0);
    if (is_silent)
        assert_int_equal(listen(p.fd, 16), 0);
    assert_int_equal(getsockname(p.fd, (struct sockaddr *)&address, &size), 0);
    p.number = ntohs(address.sin_port);
    return p;
}

static struct db *open_url(const char *url, int budget_ms, struct db_breaker *breaker)
{
    return db_open(&(struct db_settings){
        .url = url, .application = "test", .budget_ms = budget_ms, .breaker = breaker});
}

static const char *url_of(struct arena *a, const struct port *p)
{
    return arena_printf(a, "postgresql://nobody@127.0.0.1:%d/none?sslmode=disable", p->number);
}

static void test_a_closed_port_is_unavailable_and_says_so_in_the_cause_alone(void **state)
{
    struct port p = port_open(false);
    struct db *db = open_url(url_of(*state, &p), 5000, NULL);
    struct error error = {.code = ERR_NONE};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(db_query(db, *state, &ping, NULL, 0, NULL, &error), -1);
        assert_int_equal(error.code, ERR_UNAVAILABLE);
        assert_string_equal(error.detail, "The database is not reachable at the moment.");
        assert_non_null(strstr(error.cause, "refused"));
    }
    assert_false(db_is_connected(db));
    assert_int_equal(db_pending(db), 0);
    db_close(db);
    close(p.fd);
}

static void test_the_budget_holds_when_the_server_is_silent(void **state)
{
    struct port p = port_open(true);
    struct db *db = open_url(url_of(*state, &p), 200, NULL);
    struct error error = {.code = ERR_NONE};
    int64_t start = clock_us();
    assert_int_equal(db_query(db, *state, &ping, NULL, 0, NULL, &error), -1);
    assert_true(clock_us() - start < LIMIT_US);
    assert_int_equal(error.code, ERR_UNAVAILABLE);
    db_close(db);
    close(p.fd);
}

static void test_every_host_is_tried_and_named(void **state)
{
    struct port silent = port_open(true), closed = port_open(false);
    const char *url = arena_printf(*state, "host=127.0.0.1,127.0.0.2 port=%d,%d sslmode=disable",
                                   silent.number, closed.number);
    struct db *db = open_url(url, 400, NULL);
    struct error error = {.code = ERR_NONE};
    assert_int_equal(db_query(db, *state, &ping, NULL, 0, NULL, &error), -1);
    assert_non_null(strstr(error.cause, "127.0.0.1"));
    assert_non_null(strstr(error.cause, "127.0.0.2"));
    db_close(db);
    close(silent.fd);
    close(closed.fd);
}

static void test_a_wrong_url_is_told_and_never_connects(void **state)
{
    static const char *const urls[] = {
        "postgresql://[::1",   "host",
        "colour=red",          "postgresql://h/d?colour=red",
        "host=a,b,c port=1,2", "host=a,b hostaddr=127.0.0.1,127.0.0.2,127.0.0.3",
    };
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct db *db = open_url(urls[i], 1000, NULL);
        struct error error = {.code = ERR_NONE};
        assert_int_equal(db_query(db, *state, &ping, NULL, 0, NULL, &error), -1);
        assert_non_null(strstr(error.cause, "database.url"));
        db_close(db);
    }
}

static void test_a_wrong_url_is_told_without_its_password(void **state)
{
    static const struct {
        const char *url, *told;
    } cases[] = {
        {"postgresql://u:s3cret@[::1/x", "matching \"]\" in IPv6 host address in URI: ..."},
        {"postgresql://u:s3cret%zz@h/x", "invalid percent-encoded token: ..."},
        {"postgresql://u:\"s3cret\"@[::1/x", "in URI: ..."},
        {"password=my s3cret", "missing \"=\" after ..."},
        {"host=h password='s3cret", "unterminated quoted string in connection info string"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct db *db = open_url(cases[i].url, 1000, NULL);
        struct error error = {.code = ERR_NONE};
        assert_int_equal(db_query(db, *state, &ping, NULL, 0, NULL, &error), -1);
        assert_non_null(strstr(error.cause, cases[i].told));
        assert_null(strstr(error.cause, "s3cret"));
        db_close(db);
    }
}

static void test_one_failure_answers_for_all_who_share_the_breaker(void **state)
{
    struct port p = port_open(false);
    struct db_breaker breaker = {.open_until_us = 0};
    struct db *first = open_url(url_of(*state, &p), 1000, &breaker);
    struct db *second = open_url(url_of(*state, &p), 1000, &breaker);
    struct error error = {.code = ERR_NONE};

    assert_int_equal(db_query(first, *state, &ping, NULL, 0, NULL, &error), -1);
    assert_true(breaker.open_until_us > clock_us() - LIMIT_US);
    breaker.open_until_us = clock_us() + LIMIT_US;
    assert_int_equal(db_query(second, *state, &ping, NULL, 0, NULL, &error), -1);
    assert_int_equal(error.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(error.cause, "a moment ago"));

    breaker.open_until_us = 1; /* the time is over: one tries, and fails again */
    assert_int_equal(db_query(second, *state, &ping, NULL, 0, NULL, &error), -1);
    assert_non_null(strstr(error.cause, "refused"));
    assert_true(breaker.open_until_us > 1);
    db_close(first);
    db_close(second);
    close(p.fd);
}

/* ---- an event loop without a server */

struct loop {
    struct db *db;
    int answers, failures, lost;
    bool sends_again;
};

static void answered(void *context, const struct db_rows *rows, const struct error *error)
{
    struct loop *l = context;
    assert_null(rows);
    assert_int_equal(error->code, ERR_UNAVAILABLE);
    l->failures++;
    if (l->sends_again)
        db_send(l->db, &ping, NULL, 0, answered, l);
}

static void lost(void *context, const struct error *error)
{
    struct loop *l = context;
    assert_int_equal(error->code, ERR_UNAVAILABLE);
    l->lost++;
}

static void test_what_was_sent_is_called_back_once_when_no_connection_can_be_made(void **state)
{
    struct port p = port_open(false);
    struct loop l = {.db = open_url(url_of(*state, &p), 0, NULL)};
    db_send(l.db, &ping, NULL, 0, answered, &l);
    db_send(l.db, &ping, NULL, 0, NULL, NULL);
    db_send(l.db, &ping, NULL, 0, answered, &l);
    assert_int_equal(l.failures, 0); /* only from db_step() */
    assert_int_equal(db_pending(l.db), 3);
    db_loop_until(l.db, &l.failures, 2);
    assert_int_equal(db_pending(l.db), 0);
    struct pollfd nothing;
    assert_true(db_poll(l.db, &nothing) == INT64_MAX);
    assert_int_equal(nothing.fd, -1);
    db_close(l.db);
    close(p.fd);
}

static void test_the_loss_is_told_once_over_many_attempts(void **state)
{
    struct port p = port_open(false);
    struct loop l = {.db = open_url(url_of(*state, &p), 0, NULL), .sends_again = true};
    db_keep(l.db, &(struct db_events){.lost = lost, .context = &l}, NULL);
    db_send(l.db, &ping, NULL, 0, answered, &l);
    db_loop_until(l.db, &l.failures, 3);
    assert_int_equal(l.lost, 1);
    db_close(l.db); /* with one queued */
    assert_int_equal(l.failures, 3);
    close(p.fd);
}

static void closing(void *context, const struct db_rows *rows, const struct error *error)
{
    struct loop *l = context;
    (void)rows;
    (void)error;
    db_close(l->db);
    l->answers++;
}

static void test_a_callback_may_close(void **state)
{
    struct port p = port_open(false);
    struct loop l = {.db = open_url(url_of(*state, &p), 0, NULL)};
    db_send(l.db, &ping, NULL, 0, closing, &l);
    db_send(l.db, &ping, NULL, 0, answered, &l);
    int64_t end = clock_us() + LIMIT_US;
    while (l.answers == 0 && clock_us() < end)
        db_step(l.db);
    assert_int_equal(l.answers, 1);
    assert_int_equal(l.failures, 0);
    close(p.fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_arrays_hold_any_text),
        WITH_ARENA(test_arrays_hold_any_integer),
        WITH_ARENA(test_single_values_are_what_the_server_reads),
        WITH_ARENA(test_no_bytes_are_empty_and_not_null),
        WITH_ARENA(test_public_ids_are_those_of_the_definition),
        WITH_ARENA(test_every_change_to_an_id_is_noticed),
        WITH_ARENA(test_what_is_no_id_is_refused),
        WITH_ARENA(test_a_closed_port_is_unavailable_and_says_so_in_the_cause_alone),
        WITH_ARENA(test_the_budget_holds_when_the_server_is_silent),
        WITH_ARENA(test_every_host_is_tried_and_named),
        WITH_ARENA(test_a_wrong_url_is_told_and_never_connects),
        WITH_ARENA(test_a_wrong_url_is_told_without_its_password),
        WITH_ARENA(test_one_failure_answers_for_all_who_share_the_breaker),
        WITH_ARENA(test_what_was_sent_is_called_back_once_when_no_connection_can_be_made),
        WITH_ARENA(test_the_loss_is_told_once_over_many_attempts),
        WITH_ARENA(test_a_callback_may_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
