/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db_fixture.h - a database of a test program's own, and statements on it
 *
 * $GANGSAW_TEST_DATABASE is the url of any database on a server where it may make others; without
 * it every test is skipped. Each program makes one, so that several may run at a time.
 */
#ifndef TESTS_DB_FIXTURE_H
#define TESTS_DB_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "db/db.h"

#define LIMIT_US 20000000 /* of every wait here */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct context {
    struct arena *arena;
    struct db *db;
    struct db *other; /* who breaks the connection of the first */
};

static char fixture_url[1024]; /* of the program's own database; empty: there is no server */

static inline struct db *open_with(const char *options, int budget_ms)
{
    return db_open(&(struct db_settings){
        .url = fixture_url, .application = "test", .options = options, .budget_ms = budget_ms});
}

static inline const struct db_rows *ask_values(struct context *c, struct db *db,
                                               const struct db_statement *s,
                                               const struct db_value *values, int count)
{
    const struct db_rows *rows = NULL;
    struct error error = {.code = ERR_NONE};
    if (db_query(db, c->arena, s, values, count, &rows, &error) != 0)
        fail_msg("%s: %s %s", s->sql, error.detail, error.cause);
    return rows;
}

static inline const struct db_rows *ask(struct context *c, struct db *db, const char *sql)
{
    const struct db_statement s = {.name = "ask", .sql = sql, .is_unprepared = true};
    return ask_values(c, db, &s, NULL, 0);
}

static inline int64_t backend(struct context *c, struct db *db)
{
    return db_get_int(ask(c, db, "SELECT pg_backend_pid()"), 0, 0);
}

/* Gone when this returns. */
static inline void break_backend(struct context *c, int64_t pid)
{
    const char *sql = "SELECT pg_terminate_backend($1::integer, 10000)";
    const struct db_statement s = {.name = "break", .sql = sql, .is_unprepared = true};
    struct db_value value = db_int(c->arena, pid);
    assert_true(db_get_bool(ask_values(c, c->other, &s, &value, 1), 0, 0));
}

/* A command that the name of the program's own database completes. */
static inline int fixture_change(const char *url, const char *format)
{
    struct db *db =
        db_open(&(struct db_settings){.url = url, .application = "test", .budget_ms = 0});
    char sql[128];
    struct error error;
    (void)snprintf(sql, sizeof(sql), "%s gangsaw_test_%d", format, (int)getpid());
    const struct db_statement s = {.name = "change", .sql = sql, .is_unprepared = true};
    int status = db_query(db, NULL, &s, NULL, 0, NULL, &error);
    if (status != 0)
        (void)fprintf(stderr, "%s: %s %s\n", sql, error.detail, error.cause);
    db_close(db);
    return status;
}

static inline int fixture_group_setup(void **state)
{
    const char *url = getenv("GANGSAW_TEST_DATABASE");
    (void)state;
    if (!url)
        return 0;
    /* The last dbname counts, in both kinds of url. */
    const char *joint = strncmp(url, "postgres", 8) != 0 ? " " : strchr(url, '?') ? "&" : "?";
    (void)snprintf(fixture_url, sizeof(fixture_url), "%s%sdbname=gangsaw_test_%d", url, joint,
                   (int)getpid());
    return fixture_change(url, "CREATE DATABASE");
}

static inline int fixture_group_teardown(void **state)
{
    (void)state;
    return fixture_url[0] ? fixture_change(getenv("GANGSAW_TEST_DATABASE"), "DROP DATABASE") : 0;
}

static inline int fixture_setup(void **state)
{
    struct context *c = calloc(1, sizeof(*c));
    *state = c;
    if (!c || !fixture_url[0])
        return c ? 0 : -1;
    c->arena = arena_new();
    c->db = open_with(NULL, 10000);
    c->other = open_with(NULL, 10000);
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct context *c = *state;
    db_close(c->db);
    db_close(c->other);
    arena_free(c->arena);
    free(c);
    return 0;
}

static inline struct context *begin_test(void **state)
{
    if (!fixture_url[0]) {
        print_message("skipped: GANGSAW_TEST_DATABASE names no server (./dev check starts one)\n");
        skip();
    }
    return *state;
}

/* `tests` is an array. */
#define fixture_run(tests) \
    cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown)

#endif
