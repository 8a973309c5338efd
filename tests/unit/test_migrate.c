/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_migrate.c - the migrations of sql/ on a real PostgreSQL
 */
#include "db_fixture.h"

#include <sys/wait.h>

#include "db/migrate.h"
#include "scratch.h"

static void drop_schema(struct context *c)
{
    (void)ask(c, c->other, "DROP SCHEMA IF EXISTS gangsaw CASCADE");
}

static int reports;

static void report(const char *file)
{
    assert_non_null(strstr(file, ".sql"));
    reports++;
}

static const char *sql_directory(struct arena *a)
{
    const char *source = getenv("srcdir");
    return arena_printf(a, "%s/sql", source ? source : ".");
}

static int migrate(struct context *c, const char *directory, struct error *reterr)
{
    struct db *db = open_with(NULL, 0);
    (void)c;
    reports = 0;
    int status = db_migrate(db, directory, report, reterr);
    db_close(db);
    return status;
}

static void migrate_well(struct context *c)
{
    struct error error;
    if (migrate(c, sql_directory(c->arena), &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
}

static void test_migrations_are_applied_once(void **state)
{
    struct context *c = begin_test(state);
    struct error error;
    int version = -1;
    drop_schema(c);
    assert_int_equal(db_schema_version(c->db, &version, &error), 0);
    assert_int_equal(version, 0);
    migrate_well(c);
    assert_int_equal(reports, DB_SCHEMA_VERSION);
    assert_int_equal(db_schema_version(c->db, &version, &error), 0);
    assert_int_equal(version, DB_SCHEMA_VERSION);
    migrate_well(c);
    assert_int_equal(reports, 0);
}

static void test_edited_missing_and_newer_migrations_are_refused(void **state)
{
    struct context *c = begin_test(state);
    struct scratch scratch;
    struct error error;
    drop_schema(c);
    migrate_well(c);
    scratch_open(&scratch);
    assert_int_equal(migrate(c, scratch.path, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "no migrations"));
    scratch_write_text(&scratch, "0002_b.sql", "SELECT 1");
    assert_int_equal(migrate(c, scratch.path, &error), -1);
    assert_non_null(strstr(error.detail, "0001 is missing"));
    scratch_write_text(&scratch, "0001_a.sql", "SELECT 1");
    scratch_write_text(&scratch, "0001_b.sql", "SELECT 1");
    assert_int_equal(migrate(c, scratch.path, &error), -1);
    assert_non_null(strstr(error.detail, "one number"));
    scratch_close(&scratch);

    (void)ask(c, c->other, "INSERT INTO gangsaw.schema_migration VALUES (9000, '9000_x.sql', 'x')");
    assert_int_equal(migrate(c, sql_directory(c->arena), &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "newer than this program"));
    (void)ask(c, c->other,
              "DELETE FROM gangsaw.schema_migration WHERE number = 9000;"
              "UPDATE gangsaw.schema_migration SET sha256 = 'x' WHERE number = 1");
    assert_int_equal(migrate(c, sql_directory(c->arena), &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "0001_jobs.sql was changed"));
}

static void test_public_ids_are_those_of_the_database(void **state)
{
    struct context *c = begin_test(state);
    static const struct {
        enum db_id_kind kind;
        const char *name;
        int64_t key;
    } cases[] = {
        {DB_ID_JOB, "job", 1},
        {DB_ID_BLOB, "blob", 4711},
        {DB_ID_CURSOR, "cursor", 999999999999999999},
    };
    const struct db_secret *secret;
    struct error error;
    drop_schema(c);
    migrate_well(c);
    assert_int_equal(db_read_secret(c->db, &secret, &error), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        char id[DB_ID_SIZE];
        const char *sql = arena_printf(c->arena, "SELECT gangsaw.public_id('%s', %lld)",
                                       cases[i].name, (long long)cases[i].key);
        db_id_format(secret, cases[i].kind, "", cases[i].key, id);
        assert_string_equal(db_get_text(ask(c, c->db, sql), 0, 0), id);
    }
}

/* The lock of one that is under way; the other waits for it, and finds nothing left to do. */
static void test_two_at_once_apply_each_file_once(void **state)
{
    struct context *c = begin_test(state);
    struct error error;
    int pipes[2], status = -1;
    char done;
    drop_schema(c);
    (void)ask(c, c->other, "SELECT pg_advisory_lock(hashtextextended('gangsaw migrate', 0))");
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        close(pipes[0]);
        bool is_good = migrate(c, sql_directory(c->arena), &error) == 0;
        (void)!write(pipes[1], is_good ? "y" : "n", 1);
        _exit(0);
    }
    close(pipes[1]);
    int64_t end = clock_us() + LIMIT_US;
    while (status < 1 && clock_us() < end)
        status = (int)db_get_int(ask(c, c->db,
                                     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                     " AND NOT granted AND database = (SELECT oid FROM pg_database"
                                     " WHERE datname = current_database())"),
                                 0, 0);
    assert_int_equal(status, 1);
    (void)ask(c, c->other, "SELECT pg_advisory_unlock(hashtextextended('gangsaw migrate', 0))");
    migrate_well(c);
    assert_int_equal(read(pipes[0], &done, 1), 1);
    assert_int_equal(done, 'y');
    close(pipes[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    const struct db_rows *rows = ask(c, c->db, "SELECT count(*) FROM gangsaw.schema_migration");
    assert_int_equal(db_get_int(rows, 0, 0), DB_SCHEMA_VERSION);
}

static void test_a_file_that_fails_leaves_nothing_and_is_named(void **state)
{
    struct context *c = begin_test(state);
    struct scratch scratch;
    struct error error;
    int version = -1;
    drop_schema(c);
    scratch_open(&scratch);
    for (int i = 1; i <= DB_SCHEMA_VERSION; i++) {
        const char *file = arena_printf(c->arena, "%04d_x.sql", i);
        scratch_write_text(&scratch, file, "CREATE TABLE gangsaw.x (); CREATE TABEL gangsaw.y ();");
    }
    assert_int_equal(migrate(c, scratch.path, &error), -1);
    assert_int_equal(error.code, ERR_INTERNAL);
    assert_non_null(strstr(error.detail, "0001_x.sql"));
    assert_non_null(strstr(error.detail, "TABEL"));
    scratch_close(&scratch);
    assert_int_equal(db_schema_version(c->db, &version, &error), 0);
    assert_int_equal(version, 0);
    const struct db_rows *rows = ask(c, c->db, "SELECT to_regclass('gangsaw.x')");
    assert_true(db_is_null(rows, 0, 0));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_migrations_are_applied_once),
        TEST(test_edited_missing_and_newer_migrations_are_refused),
        TEST(test_public_ids_are_those_of_the_database),
        TEST(test_two_at_once_apply_each_file_once),
        TEST(test_a_file_that_fails_leaves_nothing_and_is_named),
    };
    return fixture_run(tests);
}
