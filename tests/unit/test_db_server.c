/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_db_server.c - db_query() and transactions against a real PostgreSQL, whose connections break
 */
#include "db_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <sys/socket.h>

static void expect_error(struct context *c, const char *sql, enum err_code code, const char *detail,
                         const char *cause)
{
    const struct db_statement s = {.name = "expected", .sql = sql, .is_unprepared = true};
    const struct db_rows *rows = NULL;
    struct error error = {.code = ERR_NONE};
    assert_int_equal(db_query(c->db, c->arena, &s, NULL, 0, &rows, &error), -1);
    assert_int_equal(error.code, code);
    assert_non_null(strstr(error.detail, detail));
    assert_non_null(strstr(error.cause, cause));
    assert_null(rows);
}

#define UNAVAILABLE ERR_UNAVAILABLE, "The database"

/* An empty db_test.t (n integer PRIMARY KEY). */
static struct context *begin_with_table(void **state)
{
    struct context *c = begin_test(state);
    (void)ask(c, c->other,
              "DROP SCHEMA IF EXISTS db_test CASCADE; CREATE SCHEMA db_test;"
              "CREATE TABLE db_test.t (n integer PRIMARY KEY)");
    return c;
}

/* ---- values and rows */

static const struct db_statement echo = {
    .name = "echo",
    .sql = "SELECT $1::text, $2::bigint, $3::float8, $4::boolean, $5::bigint[], $6::text[],"
           " (SELECT string_agg(coalesce(u, '<null>'), '|' ORDER BY i)"
           "  FROM unnest($6::text[]) WITH ORDINALITY AS x (u, i)), NULL::text, $7::bytea",
};

static void test_every_value_arrives_as_it_was_given(void **state)
{
    struct context *c = begin_test(state);
    static const char *const texts[] = {"a\"b\\,{}", NULL, "NULL", "", " '; DROP TABLE x; -- 🪚"};
    static const int64_t ints[] = {INT64_MIN, 0, INT64_MAX};
    const struct db_value values[] = {
        db_text("'\"\\\n$1"),  db_int(c->arena, INT64_MIN), db_real(c->arena, -0.1),
        db_bool(true),         db_ints(c->arena, ints, 3),  db_texts(c->arena, texts, 5),
        db_bytes("\0\xff", 2),
    };
    for (int i = 0; i < 3; i++) { /* first prepared, then as prepared */
        const struct db_rows *rows = ask_values(c, c->db, &echo, values, COUNT(values));
        assert_int_equal(db_count(rows), 1);
        assert_string_equal(db_get_text(rows, 0, 0), "'\"\\\n$1");
        assert_true(db_get_int(rows, 0, 1) == INT64_MIN);
        assert_true(db_get_real(rows, 0, 2) == -0.1);
        assert_true(db_get_bool(rows, 0, 3));
        assert_string_equal(db_get_text(rows, 0, 4),
                            "{-9223372036854775808,0,9223372036854775807}");
        assert_string_equal(db_get_text(rows, 0, 6),
                            "a\"b\\,{}|<null>|NULL|| '; DROP TABLE x; -- 🪚");
        assert_true(db_is_null(rows, 0, 7));
        assert_null(db_get_text(rows, 0, 7));
        assert_true(isnan(db_get_real(rows, 0, 7)));
        assert_string_equal(db_get_text(rows, 0, 8), "\\x00ff");
        assert_null(db_get_text(rows, 1, 0)); /* there is none */
        assert_null(db_get_text(rows, 0, 99));
    }
}

static void test_binary_columns_read_the_same(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement s = {
        .name = "binary",
        .sql = "SELECT $1::bytea, (-2)::smallint, (-3)::integer, (-4)::bigint, 2.5::float8,"
               " 1.5::float4, true, 'x'::text, ''::bytea",
        .gives_binary = true,
    };
    unsigned char bytes[256];
    size_t size;
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    const struct db_value value = db_bytes(bytes, sizeof(bytes));
    const struct db_rows *rows = ask_values(c, c->db, &s, &value, 1);
    assert_memory_equal(db_get_bytes(rows, 0, 0, &size), bytes, sizeof(bytes));
    assert_int_equal(size, sizeof(bytes));
    assert_int_equal(db_get_int(rows, 0, 1), -2);
    assert_int_equal(db_get_int(rows, 0, 2), -3);
    assert_int_equal(db_get_int(rows, 0, 3), -4);
    assert_true(db_get_real(rows, 0, 4) == 2.5);
    assert_true(db_get_real(rows, 0, 5) == 1.5);
    assert_true(db_get_real(rows, 0, 3) == -4);
    assert_true(db_get_bool(rows, 0, 6));
    assert_string_equal(db_get_text(rows, 0, 7), "x");
    assert_non_null(db_get_bytes(rows, 0, 8, &size));
    assert_int_equal(size, 0);
}

static void test_megabytes_go_both_ways(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement s = {
        .name = "large", .sql = "SELECT $1::bytea || $1::bytea", .gives_binary = true};
    size_t size = (size_t)8 << 20, got;
    unsigned char *bytes = arena_alloc(c->arena, size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    const struct db_value value = db_bytes(bytes, size);
    const struct db_rows *rows = ask_values(c, c->db, &s, &value, 1);
    const unsigned char *back = db_get_bytes(rows, 0, 0, &got);
    assert_int_equal(got, 2 * size);
    assert_memory_equal(back, bytes, size);
    assert_memory_equal(back + size, bytes, size);
}

/* ---- sessions */

static void test_sessions_do_not_depend_on_defaults_elsewhere(void **state)
{
    struct context *c = begin_test(state);
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"application_name", "test"},
        {"client_encoding", "UTF8"},
        {"TimeZone", "UTC"},
        {"DateStyle", "ISO, MDY"},
        {"statement_timeout", "9s"},
        {"standard_conforming_strings", "on"},
        {"lock_timeout", "7s"},
        {"search_path", "pg_catalog, pg_temp"},
        {"transaction_isolation", "read committed"},
        {"synchronous_commit", "on"},
    };
    (void)ask(c, c->other,
              "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I "
              "SET synchronous_commit = off', current_database()); END $$");
    struct db *db = open_with("-c lock_timeout=7s", 10000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *sql = arena_printf(c->arena, "SHOW %s", cases[i].name);
        const char *value = db_get_text(ask(c, db, sql), 0, 0);
        /* as it is shown, but for spaces after commas, which were not asked for */
        if (strcmp(cases[i].name, "search_path") == 0)
            assert_string_equal(value, "pg_catalog,pg_temp");
        else
            assert_string_equal(value, cases[i].value);
    }
    db_close(db);
}

static void test_a_statement_is_prepared_once(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement s = {.name = "once", .sql = "SELECT $1::integer"};
    for (int i = 0; i < 5; i++) {
        const struct db_value value = db_int(c->arena, i);
        assert_int_equal(db_get_int(ask_values(c, c->db, &s, &value, 1), 0, 0), i);
    }
    const struct db_rows *rows =
        ask(c, c->db, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'once'");
    assert_int_equal(db_get_int(rows, 0, 0), 1);
}

static void test_notices_are_not_printed(void **state)
{
    struct context *c = begin_test(state);
    char said[64];
    int kept = dup(STDERR_FILENO), pipes[2];
    assert_int_equal(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
    (void)dup2(pipes[1], STDERR_FILENO);
    (void)ask(c, c->db, "DO $$ BEGIN RAISE WARNING 'shout'; RAISE NOTICE 'whisper'; END $$");
    (void)dup2(kept, STDERR_FILENO);
    close(kept);
    assert_int_equal(read(pipes[0], said, sizeof(said)), -1);
    close(pipes[0]);
    close(pipes[1]);
}

/* ---- errors */

static void test_errors_are_mapped_and_keep_the_servers_words_from_clients(void **state)
{
    struct context *c = begin_with_table(state);
    static const char raise[] = "DO $$ BEGIN RAISE EXCEPTION 'w' USING ERRCODE = '%s'; END $$";
    static const struct {
        const char *state;
        enum err_code code;
        const char *detail;
    } cases[] = {
        {"55P03", ERR_UNAVAILABLE, "did not answer"}, {"40001", ERR_CONFLICT, "Another request"},
        {"40P01", ERR_CONFLICT, "Another request"},   {"23505", ERR_CONFLICT, "Another request"},
        {"57014", UNAVAILABLE " did not answer"},     {"53300", UNAVAILABLE " is not reachable"},
        {"53100", UNAVAILABLE " is not reachable"},   {"57P01", UNAVAILABLE " is not reachable"},
        {"08006", UNAVAILABLE " is not reachable"},   {"25006", UNAVAILABLE " is not reachable"},
        {"42P01", UNAVAILABLE " has no schema"},      {"3F000", UNAVAILABLE " has no schema"},
        {"42883", UNAVAILABLE " has no schema"},      {"23503", ERR_INTERNAL, "could not do"},
        {"22P02", ERR_INTERNAL, "could not do"},      {"XX000", ERR_INTERNAL, "could not do"},
        {"P0001", ERR_INTERNAL, "could not do"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char sql[128];
        (void)snprintf(sql, sizeof(sql), raise, cases[i].state);
        expect_error(c, sql, cases[i].code, cases[i].detail, cases[i].state);
        (void)ask(c, c->db, "SELECT 1");
    }
    expect_error(c, "SELECT * FROM gangsaw_missing.x", UNAVAILABLE " has no schema", "42P01");
    expect_error(c, "COPY (SELECT 1) TO STDOUT", ERR_INTERNAL, "could not do", "COPY");
    expect_error(c, "COPY db_test.t FROM STDIN", ERR_INTERNAL, "could not do", "COPY");
    expect_error(c, "SELECT 1; SELECT 1/0", ERR_INTERNAL, "could not do", "22012");
    assert_int_equal(db_get_int(ask(c, c->db, "SELECT 1; SELECT 2"), 0, 0), 2);
}

static void test_too_many_values_fail_alone(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement s = {.name = "many", .sql = "SELECT 1"};
    struct db_value values[DB_VALUES_MAX + 1] = {DB_NULL};
    struct error error = {.code = ERR_NONE};
    assert_int_equal(db_query(c->db, c->arena, &s, values, COUNT(values), NULL, &error), -1);
    assert_int_equal(error.code, ERR_INTERNAL);
    (void)ask(c, c->db, "SELECT 1");
}

/* ---- time */

static void test_a_slow_statement_ends_at_the_server_and_keeps_its_connection(void **state)
{
    struct context *c = begin_test(state);
    db_close(c->db);
    c->db = open_with("-c statement_timeout=100", 10000);
    int64_t pid = backend(c, c->db);
    expect_error(c, "SELECT pg_sleep(60)", UNAVAILABLE, "57014");
    assert_true(backend(c, c->db) == pid);
}

static void test_the_budget_holds_where_the_server_does_not_help(void **state)
{
    struct context *c = begin_test(state);
    db_close(c->db);
    c->db = open_with("-c statement_timeout=0", 1500);
    int64_t pid = backend(c, c->db), start = clock_us();
    expect_error(c, "SELECT pg_sleep(60)", UNAVAILABLE, "1500 ms");
    assert_true(clock_us() - start < LIMIT_US);
    assert_false(db_is_connected(c->db));
    assert_true(backend(c, c->db) != pid);
    break_backend(c, pid);
}

static void test_an_idle_connection_is_closed(void **state)
{
    struct context *c = begin_test(state);
    (void)ask(c, c->db, "SELECT 1");
    db_close_idle(c->db, 1000000);
    assert_true(db_is_connected(c->db));
    db_close_idle(c->db, 0);
    assert_false(db_is_connected(c->db));
    (void)ask(c, c->db, "SELECT 1");
}

/* A host that accepts and says nothing comes before the real one. */
static void test_a_silent_host_does_not_hide_the_next(void **state)
{
    struct context *c = begin_test(state);
    const struct db_rows *rows =
        ask(c, c->db,
            "SELECT current_setting('port'), current_database(), current_user,"
            " split_part(current_setting('unix_socket_directories'), ',', 1)");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    const char *url =
        arena_printf(c->arena, "host=127.0.0.1,%s port=%d,%s dbname=%s user=%s",
                     db_get_text(rows, 0, 3), ntohs(address.sin_port), db_get_text(rows, 0, 0),
                     db_get_text(rows, 0, 1), db_get_text(rows, 0, 2));
    struct db *db =
        db_open(&(struct db_settings){.url = url, .application = "test", .budget_ms = 3000});
    (void)ask(c, db, "SELECT 1");
    db_close_idle(db, 0);
    (void)ask(c, db, "SELECT 1"); /* begins with the one that worked */
    db_close(db);
    close(fd);
}

/* ---- lost connections */

static void test_a_connection_lost_while_idle_heals_unnoticed(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement s = {.name = "heal", .sql = "SELECT 7"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(db_get_int(ask_values(c, c->db, &s, NULL, 0), 0, 0), 7);
        break_backend(c, backend(c, c->db));
    }
    assert_int_equal(db_get_int(ask_values(c, c->db, &s, NULL, 0), 0, 0), 7);
}

static void test_a_connection_lost_in_a_statement_is_unavailable_and_heals(void **state)
{
    struct context *c = begin_test(state);
    expect_error(c, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)", UNAVAILABLE,
                 "expected");
    (void)ask(c, c->db, "SELECT 1");
}

static void test_what_the_server_forgot_is_prepared_again(void **state)
{
    struct context *c = begin_with_table(state);
    static const struct db_statement s = {.name = "forgotten", .sql = "SELECT * FROM db_test.t"};
    static const char *const changes[] = {"DEALLOCATE ALL",
                                          "ALTER TABLE db_test.t ADD COLUMN m integer"};
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct error error;
        (void)ask_values(c, c->db, &s, NULL, 0);
        (void)ask(c, c->db, changes[i]);
        assert_int_equal(db_query(c->db, c->arena, &s, NULL, 0, NULL, &error), -1);
        assert_int_equal(error.code, ERR_UNAVAILABLE);
        (void)ask_values(c, c->db, &s, NULL, 0);
    }
}

/* ---- transactions */

static const struct db_statement insert = {.name = "insert",
                                           .sql = "INSERT INTO db_test.t (n) VALUES ($1::integer)"};

static int try_insert(struct context *c, int n, struct error *reterr)
{
    const struct db_value value = db_int(c->arena, n);
    return db_query(c->db, c->arena, &insert, &value, 1, NULL, reterr);
}

static int64_t count_rows(struct context *c)
{
    return db_get_int(ask(c, c->other, "SELECT count(*) FROM db_test.t"), 0, 0);
}

static void test_a_transaction_is_stored_as_a_whole_or_not_at_all(void **state)
{
    struct context *c = begin_with_table(state);
    struct error error;
    assert_int_equal(db_begin(c->db, &error), 0);
    assert_int_equal(db_begin(c->db, &error), -1);
    assert_int_equal(try_insert(c, 1, &error), 0);
    assert_int_equal(try_insert(c, 2, &error), 0);
    assert_int_equal(count_rows(c), 0);
    assert_int_equal(db_commit(c->db, &error), 0);
    assert_int_equal(db_commit(c->db, &error), -1);
    assert_int_equal(count_rows(c), 2);

    assert_int_equal(db_begin(c->db, &error), 0);
    assert_int_equal(try_insert(c, 3, &error), 0);
    db_rollback(c->db);
    db_rollback(c->db);
    assert_int_equal(count_rows(c), 2);
    assert_int_equal(try_insert(c, 4, &error), 0);
    assert_int_equal(count_rows(c), 3);
}

static void test_after_an_error_a_transaction_can_only_be_rolled_back(void **state)
{
    struct context *c = begin_with_table(state);
    struct error error;
    assert_int_equal(db_begin(c->db, &error), 0);
    assert_int_equal(try_insert(c, 1, &error), 0);
    assert_int_equal(try_insert(c, 1, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_int_equal(try_insert(c, 2, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_int_equal(db_commit(c->db, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_int_equal(count_rows(c), 0);
    assert_int_equal(try_insert(c, 3, &error), 0); /* it has ended */
    assert_int_equal(count_rows(c), 1);
}

static void test_a_lost_transaction_never_goes_on_elsewhere(void **state)
{
    struct context *c = begin_with_table(state);
    struct error error;
    assert_int_equal(db_begin(c->db, &error), 0);
    assert_int_equal(try_insert(c, 1, &error), 0);
    break_backend(c, backend(c, c->db));
    for (int i = 2; i < 5; i++) {
        assert_int_equal(try_insert(c, i, &error), -1);
        assert_int_equal(error.code, ERR_UNAVAILABLE);
    }
    assert_int_equal(db_commit(c->db, &error), -1);
    assert_int_equal(error.code, ERR_UNAVAILABLE);
    assert_int_equal(count_rows(c), 0);
    assert_int_equal(db_begin(c->db, &error), 0);
    assert_int_equal(try_insert(c, 6, &error), 0);
    assert_int_equal(db_commit(c->db, &error), 0);
    assert_int_equal(count_rows(c), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_value_arrives_as_it_was_given),
        TEST(test_binary_columns_read_the_same),
        TEST(test_megabytes_go_both_ways),
        TEST(test_sessions_do_not_depend_on_defaults_elsewhere),
        TEST(test_a_statement_is_prepared_once),
        TEST(test_notices_are_not_printed),
        TEST(test_errors_are_mapped_and_keep_the_servers_words_from_clients),
        TEST(test_too_many_values_fail_alone),
        TEST(test_a_slow_statement_ends_at_the_server_and_keeps_its_connection),
        TEST(test_the_budget_holds_where_the_server_does_not_help),
        TEST(test_an_idle_connection_is_closed),
        TEST(test_a_silent_host_does_not_hide_the_next),
        TEST(test_a_connection_lost_while_idle_heals_unnoticed),
        TEST(test_a_connection_lost_in_a_statement_is_unavailable_and_heals),
        TEST(test_what_the_server_forgot_is_prepared_again),
        TEST(test_a_transaction_is_stored_as_a_whole_or_not_at_all),
        TEST(test_after_an_error_a_transaction_can_only_be_rolled_back),
        TEST(test_a_lost_transaction_never_goes_on_elsewhere),
    };
    return fixture_run(tests);
}
