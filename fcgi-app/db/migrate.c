/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrate.c - see migrate.h
 *
 * Everything is compared before anything is applied: the directory with this program, then the
 * database with the directory.
 */
#include "db/migrate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/file.h"

#define EXIT_CONFIG 78

#define DIGITS 4
#define SUFFIX ".sql"
#define FILE_BYTES_MAX ((size_t)16 << 20)

struct migration {
    const char *file; /* "0001_jobs.sql" */
    const char *sql;
    char sha256[2 * SHA256_DIGEST_LENGTH + 1];
};

/* list[i] has number i + 1 */
struct migrations {
    const char *directory;
    struct migration list[DB_SCHEMA_VERSION];
    int count;
};

/* ---- statements */

static const struct db_statement lock = {
    .name = "migrate_lock",
    .sql = "SELECT pg_advisory_lock(hashtextextended('gangsaw migrate', 0))",
    .is_unprepared = true,
};

static const struct db_statement unlock = {
    .name = "migrate_unlock",
    .sql = "SELECT pg_advisory_unlock(hashtextextended('gangsaw migrate', 0))",
    .is_unprepared = true,
};

/* By the catalogue, since who may not use the schema may still ask whether it is there. */
static const struct db_statement find_schema = {
    .name = "migrate_find_schema",
    .sql = "SELECT n.oid IS NOT NULL,"
           "       EXISTS (SELECT FROM pg_class c"
           "               WHERE c.relnamespace = n.oid AND c.relname = 'schema_migration')"
           " FROM (VALUES (1)) one (row)"
           " LEFT JOIN pg_namespace n ON n.nspname = 'gangsaw'",
};

static const struct db_statement create_schema = {
    .name = "migrate_create_schema",
    .sql = "CREATE SCHEMA gangsaw",
    .is_unprepared = true,
};

static const struct db_statement create_table = {
    .name = "migrate_create_table",
    .sql = "CREATE TABLE gangsaw.schema_migration ("
           "    number integer PRIMARY KEY,"
           "    file text NOT NULL,"
           "    sha256 text NOT NULL,"
           "    applied_at timestamptz NOT NULL DEFAULT now());"
           "COMMENT ON TABLE gangsaw.schema_migration IS"
           "    'The files of sql/ that `gangsaw migrate` has applied, with the SHA-256 of each.'",
    .is_unprepared = true,
};

static const struct db_statement read_applied = {
    .name = "migrate_read_applied",
    .sql = "SELECT m.number, m.file, m.sha256 FROM gangsaw.schema_migration m ORDER BY m.number",
};

static const struct db_statement record = {
    .name = "migrate_record",
    .sql = "INSERT INTO gangsaw.schema_migration (number, file, sha256)"
           " VALUES ($1::integer, $2::text, $3::text)",
};

static const struct db_statement read_version = {
    .name = "migrate_read_version",
    .sql = "SELECT coalesce(max(m.number), 0) FROM gangsaw.schema_migration m",
};

/* ---- the directory */

/* 0 for anything that is not called like a migration. */
static int number_of(const char *file)
{
    size_t size = strlen(file), suffix = strlen(SUFFIX);
    int number = 0;
    if (size <= DIGITS + 1 + suffix || strcmp(file + size - suffix, SUFFIX) != 0)
        return 0;
    for (int i = 0; i < DIGITS; i++) {
        if (!isdigit((unsigned char)file[i]))
            return 0;
        number = number * 10 + (file[i] - '0');
    }
    return file[DIGITS] == '_' ? number : 0;
}

static int is_migration(const struct dirent *entry)
{
    return number_of(entry->d_name) > 0;
}

static void hash(const char *bytes, size_t size, char ret_hex[2 * SHA256_DIGEST_LENGTH + 1])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    (void)SHA256((const unsigned char *)bytes, size, digest);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        (void)snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static int read_migration(const struct migrations *ms, struct arena *a, const char *file,
                          struct migration *ret_migration, struct error *reterr)
{
    struct error error;
    size_t size;
    char *sql;
    if (file_read(a, arena_printf(a, "%s/%s", ms->directory, file), FILE_BYTES_MAX, &sql, &size,
                  &error) != 0)
        return error_set(reterr, ERR_CONFLICT, "%s", error.detail);
    if (strlen(sql) != size)
        return error_set(reterr, ERR_CONFLICT, "%s holds a NUL byte.", file);
    ret_migration->file = arena_strdup(a, file);
    ret_migration->sql = sql;
    hash(sql, size, ret_migration->sha256);
    return 0;
}

/* The names came in order: each number once, and none left out. */
static int check_numbers(const char *directory, struct dirent *const *entries, int count,
                         struct error *reterr)
{
    for (int i = 0; i < count; i++) {
        const char *file = entries[i]->d_name;
        int number = number_of(file);
        if (i > 0 && number == number_of(entries[i - 1]->d_name))
            return error_set(reterr, ERR_CONFLICT,
                             "Two migrations have one number: %.50s and %.50s.",
                             entries[i - 1]->d_name, file);
        if (number != i + 1)
            return error_set(reterr, ERR_CONFLICT, "Migration %04d is missing: there is %.80s.",
                             i + 1, file);
    }
    if (count == 0)
        return error_set(reterr, ERR_CONFLICT, "%.120s holds no migrations.", directory);
    if (count != DB_SCHEMA_VERSION)
        return error_set(reterr, ERR_CONFLICT,
                         "This program needs the migrations 0001 to %04d, but those in its "
                         "directory end with %04d.",
                         DB_SCHEMA_VERSION, count);
    return 0;
}

static int read_entries(struct migrations *ms, struct arena *a, struct dirent *const *entries,
                        int count, struct error *reterr)
{
    if (check_numbers(ms->directory, entries, count, reterr) != 0)
        return -1;
    for (; ms->count < count; ms->count++) {
        if (read_migration(ms, a, entries[ms->count]->d_name, &ms->list[ms->count], reterr) != 0)
            return -1;
    }
    return 0;
}

static int read_directory(struct migrations *ms, struct arena *a, struct error *reterr)
{
    struct dirent **entries;
    int count = scandir(ms->directory, &entries, is_migration, alphasort);
    if (count < 0)
        return error_set(reterr, ERR_CONFLICT, "%.100s: %s", ms->directory, strerror(errno));
    int status = read_entries(ms, a, entries, count, reterr);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return status;
}

/* ---- the database */

static int query_schema(struct db *db, struct arena *a, bool *ret_has_schema, bool *ret_has_table,
                        struct error *reterr)
{
    const struct db_rows *rows;
    if (db_query(db, a, &find_schema, NULL, 0, &rows, reterr) != 0)
        return -1;
    *ret_has_schema = db_get_bool(rows, 0, 0);
    *ret_has_table = db_get_bool(rows, 0, 1);
    return 0;
}

static int prepare_schema(struct db *db, struct arena *a, struct error *reterr)
{
    bool has_schema, has_table;
    if (query_schema(db, a, &has_schema, &has_table, reterr) != 0)
        return -1;
    if (!has_schema && db_query(db, a, &create_schema, NULL, 0, NULL, reterr) != 0)
        return -1;
    return has_table ? 0 : db_query(db, a, &create_table, NULL, 0, NULL, reterr);
}

/* What was applied must be what the directory has. */
static int check_applied(const struct migrations *ms, const struct db_rows *rows,
                         struct error *reterr)
{
    int count = db_count(rows);
    if (count > 0 && db_get_int(rows, count - 1, 0) > ms->count)
        return error_set(reterr, ERR_CONFLICT,
                         "The database is newer than this program: it has migration %s, this "
                         "program ends with %04d.",
                         db_get_text(rows, count - 1, 0), ms->count);
    for (int i = 0; i < count; i++) {
        if (db_get_int(rows, i, 0) != i + 1)
            return error_set(reterr, ERR_CONFLICT,
                             "The database has migration %s, but not %04d before it.",
                             db_get_text(rows, i, 0), i + 1);
        const char *sha256 = db_get_text(rows, i, 2);
        if (!sha256 || strcmp(sha256, ms->list[i].sha256) != 0)
            return error_set(reterr, ERR_CONFLICT,
                             "%.80s was changed after it was applied: write the next one instead.",
                             ms->list[i].file);
    }
    return 0;
}

/* For the operator: what the server said about the file. */
static int name_file(struct error *e, const char *file)
{
    const struct error before = *e;
    return error_set(e, before.code == ERR_UNAVAILABLE ? ERR_UNAVAILABLE : ERR_INTERNAL,
                     "%.60s was not applied: %.80s", file, before.cause);
}

static int apply_in_transaction(struct db *db, struct arena *a, const struct migration *m,
                                int number, struct error *reterr)
{
    const struct db_statement file = {.name = "sql", .sql = m->sql, .is_unprepared = true};
    const struct db_value values[] = {db_int(a, number), db_text(m->file), db_text(m->sha256)};
    if (db_query(db, a, &file, NULL, 0, NULL, reterr) != 0 ||
        db_query(db, a, &record, values, 3, NULL, reterr) != 0)
        return -1;
    return db_commit(db, reterr);
}

static int apply(struct db *db, struct arena *a, const struct migration *m, int number,
                 struct error *reterr)
{
    if (db_begin(db, reterr) != 0)
        return -1;
    int status = apply_in_transaction(db, a, m, number, reterr);
    db_rollback(db);
    return status;
}

static int apply_missing(struct db *db, struct arena *a, const struct migrations *ms,
                         void (*report)(const char *file), struct error *reterr)
{
    const struct db_rows *rows;
    if (prepare_schema(db, a, reterr) != 0 ||
        db_query(db, a, &read_applied, NULL, 0, &rows, reterr) != 0 ||
        check_applied(ms, rows, reterr) != 0)
        return -1;
    for (int i = db_count(rows); i < ms->count; i++) {
        struct error error;
        if (apply(db, a, &ms->list[i], i + 1, &error) != 0) {
            (void)name_file(&error, ms->list[i].file);
            if (reterr)
                *reterr = error;
            return -1;
        }
        if (report)
            report(ms->list[i].file);
    }
    return 0;
}

int db_migrate(struct db *db, const char *directory, void (*report)(const char *file),
               struct error *reterr)
{
    struct arena *a = arena_new();
    struct migrations ms = {.directory = directory, .count = 0};
    struct error ignored;
    int status = -1;

    if (read_directory(&ms, a, reterr) == 0 && db_query(db, a, &lock, NULL, 0, NULL, reterr) == 0) {
        status = apply_missing(db, a, &ms, report, reterr);
        (void)db_query(db, a, &unlock, NULL, 0, NULL,
                       &ignored); /* or it ends with the connection */
    }
    arena_free(a);
    return status;
}

int db_schema_version(struct db *db, int *ret_version, struct error *reterr)
{
    struct arena *a = arena_new();
    const struct db_rows *rows;
    bool has_schema, has_table;
    int status = query_schema(db, a, &has_schema, &has_table, reterr);
    if (status == 0 && !has_table)
        *ret_version = 0;
    else if (status == 0)
        status = db_query(db, a, &read_version, NULL, 0, &rows, reterr);
    if (status == 0 && has_table)
        *ret_version = (int)db_get_int(rows, 0, 0);
    arena_free(a);
    return status;
}

/* ---- the command */

static void print_applied(const char *file)
{
    (void)printf("applied %s\n", file);
    (void)fflush(stdout);
}

static int fail(const struct error *e)
{
    if (e->code == ERR_INTERNAL && e->cause[0]) /* its detail is for clients */
        (void)fprintf(stderr, "gangsaw migrate: %s\n", e->cause);
    else
        (void)fprintf(stderr, "gangsaw migrate: %s%s%s\n", e->detail, e->cause[0] ? " " : "",
                      e->cause);
    return e->code == ERR_CONFLICT && !e->cause[0] ? EXIT_CONFIG : EXIT_FAILURE;
}

int migrate_command(const struct config *cfg)
{
    struct error error;
    int version;

    if (!cfg->database_url[0]) {
        (void)fputs("gangsaw migrate: database.url is empty: say which database to use\n", stderr);
        return EXIT_CONFIG;
    }
    struct db *db = db_open(&(struct db_settings){
        .url = cfg->database_url, .application = "gangsaw migrate", .budget_ms = 0});
    int status = db_migrate(db, cfg->server_migrations_dir, print_applied, &error);
    if (status == 0)
        status = db_schema_version(db, &version, &error);
    if (status != 0)
        status = fail(&error);
    else
        (void)printf("the schema has version %d\n", version);
    db_close(db);
    return status;
}
