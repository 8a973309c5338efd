/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_command.c - see key_command.h
 *
 * The key is all that goes to stdout, so that `KEY=$(gangsaw key create …)` holds it. What was
 * given in place of an id is never shown: it may be a key.
 */
#include "hub/key_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/snapshot.h"
#include "base/clock.h"
#include "base/options.h"
#include "base/utf8.h"
#include "hub/hub.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78
#define BUDGET_MS 10000
#define KNOWN_US 5000000 /* longest wait for the hub */
#define KNOWN_LOOK_NS 20000000
#define STATUS_MS 1000
#define LABEL_MAX 100
#define DEFAULT_SCOPES "run jobs:read jobs:write"

static const char usage[] =
    "usage: gangsaw key create --tenant NAME [--scopes run,jobs:read,jobs:write,admin]\n"
    "           [--requests-per-minute N] [--concurrent-runs N] [--queued-jobs N]\n"
    "           [--body-bytes N] [--label TEXT] [--expires DAYS] [--json]\n"
    "       gangsaw key list [--json]\n"
    "       gangsaw key revoke ID\n";

/* ---- words of `create` */

struct creation {
    struct key_row key;
    struct strbuf scopes;
    double requests_per_minute, concurrent_runs, queued_jobs, body_bytes, days;
    bool as_json;
};

static bool take_tenant(struct creation *c, const char *text)
{
    c->key.tenant = text;
    return key_tenant_is_valid(text);
}

/* Names with commas between; each counts once. */
static bool take_scopes(struct creation *c, const char *text)
{
    uint32_t scopes = 0;
    while (true) {
        char name[32];
        size_t size = strcspn(text, ",");
        (void)snprintf(name, sizeof(name), "%.*s", (int)(size < sizeof(name) ? size : 0), text);
        uint32_t scope = key_scope_parse(name);
        scopes |= scope;
        if (scope == 0)
            return false;
        if (text[size] == '\0')
            break;
        text += size + 1;
    }
    strbuf_reset(&c->scopes);
    key_scopes_print(scopes, &c->scopes);
    return true;
}

/* One line of a table: no control characters. */
static bool take_label(struct creation *c, const char *text)
{
    size_t size = strlen(text);
    c->key.label = text;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    }
    return size <= LABEL_MAX && utf8_is_valid(text, size);
}

static const struct text_option {
    const char *name, *allowed;
    bool (*take)(struct creation *c, const char *text);
} text_options[] = {
    {"--tenant", "1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'", take_tenant},
    {"--scopes", "run, jobs:read, jobs:write and admin, with commas between", take_scopes},
    {"--label", "up to 100 bytes of UTF-8 without control characters", take_label},
};
#define TEXT_OPTION_COUNT (sizeof(text_options) / sizeof(text_options[0]))

static const struct number_option {
    const char *name, *allowed;
    size_t offset;
    double max;
    bool has_unit;
} number_options[] = {
    {"--requests-per-minute", "1 to 1000000", offsetof(struct creation, requests_per_minute), 1e6,
     false},
    {"--concurrent-runs", "1 to 10000", offsetof(struct creation, concurrent_runs), 1e4, false},
    {"--queued-jobs", "1 to 1000000000", offsetof(struct creation, queued_jobs), 1e9, false},
    {"--body-bytes", "1 to 64G; K, M and G may stand behind it",
     offsetof(struct creation, body_bytes), 64.0 * 1024 * 1024 * 1024, true},
    {"--expires", "1 to 36500 days", offsetof(struct creation, days), 36500, false},
};
#define NUMBER_OPTION_COUNT (sizeof(number_options) / sizeof(number_options[0]))

static bool take_number(const struct number_option *o, struct creation *c, const char *text)
{
    double value;
    if (strchr(text, '.') || (!o->has_unit && text[strspn(text, "0123456789")] != '\0') ||
        !option_parse_number(text, &value) || value < 1 || value > o->max)
        return false;
    *(double *)((char *)c + o->offset) = value;
    return true;
}

/* False: no option of that name. *ret_allowed: NULL, or what its value should have been. */
static bool take_option(struct creation *c, const char *name, const char *value,
                        const char **ret_allowed)
{
    *ret_allowed = NULL;
    for (size_t i = 0; i < TEXT_OPTION_COUNT; i++) {
        if (strcmp(text_options[i].name, name) != 0)
            continue;
        if (!value || !text_options[i].take(c, value))
            *ret_allowed = text_options[i].allowed;
        return true;
    }
    for (size_t i = 0; i < NUMBER_OPTION_COUNT; i++) {
        if (strcmp(number_options[i].name, name) != 0)
            continue;
        if (!value || !take_number(&number_options[i], c, value))
            *ret_allowed = number_options[i].allowed;
        return true;
    }
    return false;
}

static int parse_creation(struct creation *c, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        const char *allowed;
        if (strcmp(argv[i], "--json") == 0) {
            c->as_json = true;
            continue;
        }
        if (!take_option(c, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &allowed)) {
            (void)fprintf(stderr, "gangsaw key: create has no option %.40s\n%s", argv[i], usage);
            return -1;
        }
        if (allowed) {
            (void)fprintf(stderr, "gangsaw key: %s takes %s\n", argv[i], allowed);
            return -1;
        }
        i++;
    }
    if (c->key.tenant)
        return 0;
    (void)fprintf(stderr, "gangsaw key: name the tenant that the key is for: --tenant NAME\n%s",
                  usage);
    return -1;
}

/* ---- the database */

static int fail(const struct error *e)
{
    if (e->code == ERR_NOT_FOUND)
        (void)fprintf(stderr, "gangsaw key: %s\n", e->detail);
    else /* the operator's own terminal: the server's words help */
        (void)fprintf(stderr, "gangsaw key: %s%s%s\n",
                      e->code == ERR_UNAVAILABLE
                          ? "the database is away"
                          : "the database cannot be used (`gangsaw migrate` makes its schema)",
                      e->cause[0] ? ": " : "", e->cause);
    return EXIT_FAILURE;
}

/* ---- the workers of this host */

static bool is_known(struct snapshot *s, const char *id, bool is_valid)
{
    return snapshot_refresh(s) != SNAPSHOT_UNKNOWN && snapshot_has_id(s, id) == is_valid;
}

/* Until they know that the key is valid, or that it is not any more. */
static void wait_for_workers(const struct config *cfg, const char *id, bool is_valid)
{
    struct strbuf status = STRBUF_INIT;
    bool has_hub = hub_status_fetch(cfg, STATUS_MS, &status, NULL) == 0;
    strbuf_release(&status);
    if (!has_hub) {
        (void)fputs(
            "gangsaw key: no hub answers on this host: its workers learn of this from one\n",
            stderr);
        return;
    }
    struct snapshot *s = snapshot_open(cfg);
    int64_t end_us = clock_us() + KNOWN_US;
    bool is_done;
    while (!(is_done = is_known(s, id, is_valid)) && clock_us() < end_us)
        (void)nanosleep(&(struct timespec){.tv_nsec = KNOWN_LOOK_NS}, NULL);
    snapshot_close(s);
    if (!is_done)
        (void)fprintf(
            stderr,
            "gangsaw key: within %d s nothing shows that the workers of this host know it "
            "(%s/keys)\n",
            KNOWN_US / 1000000, cfg->server_run_dir);
}

/* ---- subcommands */

static int store(const struct config *cfg, struct db *db, struct creation *c)
{
    char text[KEY_TEXT_LENGTH + 1], id[KEY_ID_LENGTH + 1];
    unsigned char hash[KEY_HASH_SIZE];
    struct error error = {0};
    if (key_generate(text, id, hash, &error) != 0) {
        (void)fprintf(stderr, "gangsaw key: no random bytes: %s\n", error.cause);
        return EXIT_FAILURE;
    }
    c->key.id = id;
    c->key.sha256 = hash;
    c->key.scopes = c->scopes.text;
    c->key.requests_per_minute = (int32_t)c->requests_per_minute;
    c->key.concurrent_runs = (int32_t)c->concurrent_runs;
    c->key.queued_jobs = (int64_t)c->queued_jobs;
    c->key.body_bytes = (int64_t)c->body_bytes;
    c->key.created_us = clock_real_us();
    if (key_row_insert(db, &c->key, (int)c->days, &c->key.expires_us, &error) != 0)
        return fail(&error);
    if (c->as_json)
        key_print_new_json(&c->key, text);
    else
        (void)puts(text);
    if (fflush(stdout) != 0) {
        (void)fprintf(stderr, "gangsaw key: the key cannot be printed; revoke it: %s\n", id);
        return EXIT_FAILURE;
    }
    (void)fprintf(stderr, "gangsaw key: made %s for tenant %s; it is shown this once\n", id,
                  c->key.tenant);
    wait_for_workers(cfg, id, true);
    return 0;
}

static int create(const struct config *cfg, struct db *db, int argc, char *const *argv)
{
    struct creation c = {.key = {.label = ""}, .scopes = STRBUF_INIT};
    strbuf_addstr(&c.scopes, DEFAULT_SCOPES);
    int status = parse_creation(&c, argc, argv) == 0 ? store(cfg, db, &c) : EXIT_USAGE;
    strbuf_release(&c.scopes);
    return status;
}

static int list(const struct config *cfg, struct db *db, int argc, char *const *argv)
{
    struct key_row *keys = NULL;
    struct error error = {0};
    int count = 0;
    (void)cfg;
    bool as_json = argc == 1 && strcmp(argv[0], "--json") == 0;
    if (argc > 0 && !as_json) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct arena *a = arena_new();
    int status = key_row_list(db, a, &keys, &count, &error);
    if (status != 0)
        status = fail(&error);
    else if (as_json)
        key_print_json(keys, count);
    else
        key_print_table(keys, count);
    arena_free(a);
    return status;
}

static int revoke(const struct config *cfg, struct db *db, int argc, char *const *argv)
{
    struct error error = {0};
    if (argc != 1) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (!key_id_is_valid(argv[0])) {
        (void)fputs(
            "gangsaw key: that is no id: it has 12 characters of a-z and 0-9, those between the "
            "underscores of the key; `gangsaw key list` shows it\n",
            stderr);
        return EXIT_USAGE;
    }
    if (key_row_revoke(db, argv[0], &error) != 0)
        return fail(&error);
    (void)fprintf(stderr, "gangsaw key: %s is revoked\n", argv[0]);
    wait_for_workers(cfg, argv[0], false);
    return 0;
}

static const struct subcommand {
    const char *name;
    int (*run)(const struct config *cfg, struct db *db, int argc, char *const *argv);
} subcommands[] = {{"create", create}, {"list", list}, {"revoke", revoke}};
#define SUBCOMMAND_COUNT (sizeof(subcommands) / sizeof(subcommands[0]))

int key_command(const struct config *cfg, int argc, char *const *argv)
{
    const struct subcommand *found = NULL;
    for (size_t i = 0; i < SUBCOMMAND_COUNT && argc > 0; i++) {
        if (strcmp(subcommands[i].name, argv[0]) == 0)
            found = &subcommands[i];
    }
    if (!found) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    if (!cfg->database_url[0]) {
        (void)fputs("gangsaw key: database.url is empty: keys are kept in a database\n", stderr);
        return EXIT_CONFIG;
    }
    struct db *db = db_open(&(struct db_settings){
        .url = cfg->database_url, .application = "gangsaw key", .budget_ms = BUDGET_MS});
    int status = found->run(cfg, db, argc - 1, argv + 1);
    db_close(db);
    return status;
}
