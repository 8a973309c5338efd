/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the `gangsaw` command: a table of subcommands
 *
 * To add one: a function here and a row in `commands`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "db/migrate.h"
#include "exec/catalog.h"
#include "http/problem.h"
#include "hub/hub.h"
#include "hub/key_command.h"
#include "jobs/jobs.h"
#include "pool/cgi.h"
#include "pool/pool.h"
#include "pool/status_table.h"

#define EXIT_USAGE 64
#define EXIT_CONFIG 78

struct invocation {
    struct arena *arena;
    struct config *config; /* NULL for commands that need none */
    int argc;              /* words after the subcommand */
    char **argv;
};

struct command {
    const char *name, *arguments, *summary;
    int word_max; /* of arguments */
    bool needs_config;
    bool is_internal; /* not shown by help */
    int (*run)(const struct invocation *in);
    const char *process; /* its name in log lines */
};

static int run_pool(const struct invocation *in)
{
    int kind = in->argc == 1 ? pool_kind_parse(in->argv[0]) : -1;
    if (kind < 0) {
        (void)fputs("gangsaw pool: name a pool, `api` or `compute`\n", stderr);
        return EXIT_USAGE;
    }
    return master_main((enum pool_kind)kind, in->arena, in->config);
}

static int run_worker(const struct invocation *in)
{
    int kind = in->argc == 1 ? pool_kind_parse(in->argv[0]) : -1;
    if (kind < 0) {
        (void)fputs("gangsaw worker: started by `gangsaw pool`, not by hand\n", stderr);
        return EXIT_USAGE;
    }
    return worker_main((enum pool_kind)kind, in->config);
}

static int run_cgi(const struct invocation *in)
{
    return cgi_main(in->config);
}

static int run_runner(const struct invocation *in)
{
    return runner_main(in->config);
}

static int run_hub(const struct invocation *in)
{
    return hub_main(in->config);
}

static int run_key(const struct invocation *in)
{
    return key_command(in->config, in->argc, in->argv);
}

static int run_migrate(const struct invocation *in)
{
    return migrate_command(in->config);
}

/* `--json` or nothing. */
static int take_json_option(const struct invocation *in, const char *name, bool *ret_json)
{
    *ret_json = in->argc == 1 && strcmp(in->argv[0], "--json") == 0;
    if (in->argc == 0 || *ret_json)
        return 0;
    (void)fprintf(stderr, "usage: gangsaw %s [--json]\n", name);
    return -1;
}

static int run_jobs(const struct invocation *in)
{
    bool as_json;
    if (take_json_option(in, "jobs", &as_json) != 0)
        return EXIT_USAGE;
    return jobs_command(in->config, as_json);
}

static int run_status(const struct invocation *in)
{
    static const struct status_source others[] = {
        {"runner", runner_status_fetch},
        {"hub", hub_status_fetch},
        {NULL, NULL},
    };
    bool as_json;
    if (take_json_option(in, "status", &as_json) != 0)
        return EXIT_USAGE;
    return status_command(in->config, others, as_json);
}

/* The descriptors too: [task NAME] sections mean nothing without them. */
static int run_check_config(const struct invocation *in)
{
    struct strbuf out = STRBUF_INIT;
    struct catalog *catalog;
    struct error error;
    if (catalog_open(in->config, &catalog, &error) != 0) {
        (void)fprintf(stderr, "gangsaw: %s\n", error.detail);
        return EXIT_CONFIG;
    }
    catalog_close(catalog);
    config_print(in->config, &out);
    (void)fputs(out.text, stdout);
    strbuf_release(&out);
    return 0;
}

static int run_config_reference(const struct invocation *in)
{
    struct strbuf out = STRBUF_INIT;
    (void)in;
    config_print_reference(&out);
    (void)fputs(out.text, stdout);
    strbuf_release(&out);
    return 0;
}

static int run_metrics_reference(const struct invocation *in)
{
    struct strbuf out = STRBUF_INIT;
    (void)in;
    metrics_print_reference(&out);
    api_metrics_print_reference(&out);
    (void)fputs(out.text, stdout);
    strbuf_release(&out);
    return 0;
}

static int run_problems(const struct invocation *in)
{
    (void)in;
    for (const struct problem *p = problem_table(); p->code != ERR_NONE; p++)
        (void)printf("%s\t%d\t%s\t%s\n", error_name(p->code), p->status, p->title, p->description);
    return 0;
}

static int run_version(const struct invocation *in)
{
    (void)in;
    (void)puts("gangsaw " GANGSAW_VERSION);
    return 0;
}

static int run_help(const struct invocation *in);

/* clang-format off */
static const struct command commands[] = {
    {"pool", "NAME", "run pool `api` or `compute` on the socket that is descriptor 0", 1, true, false, run_pool, "master"},
    {"worker", "NAME", "the workers of a pool", 1, true, true, run_worker, "worker"},
    {"cgi", "", "answer one plain CGI request", 0, true, false, run_cgi, "cgi"},
    {"runner", "", "compute jobs", 0, true, false, run_runner, "runner"},
    {"hub", "", "hold clients that wait for jobs", 0, true, false, run_hub, "hub"},
    {"migrate", "", "bring the database's schema up to this version", 0, true, false, run_migrate, "migrate"},
    {"key", "ACTION", "create, list or revoke keys of callers", 20, true, false, run_key, "key"},
    {"jobs", "[--json]", "how many jobs there are, and what waits", 1, true, false, run_jobs, "jobs"},
    {"status", "[--json]", "what the processes of this host are doing", 1, true, false, run_status, "status"},
    {"check-config", "", "print the effective configuration, or what is wrong with it", 0, true, false, run_check_config, "gangsaw"},
    {"config-reference", "", "print every option as Markdown", 0, false, false, run_config_reference, "gangsaw"},
    {"metrics-reference", "", "print every metric: name, kind, labels, help, tab-separated", 0, false, false, run_metrics_reference, "gangsaw"},
    {"problems", "", "print the problem types: name, status, title, description, tab-separated", 0, false, false, run_problems, "gangsaw"},
    {"version", "", "print the version", 0, false, false, run_version, "gangsaw"},
    {"help", "", "print this", 0, false, false, run_help, "gangsaw"},
};
/* clang-format on */

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static int run_help(const struct invocation *in)
{
    (void)in;
    (void)puts("usage: gangsaw COMMAND [--config FILE] [ARGUMENTS]\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *c = &commands[i];
        char usage[64];
        (void)snprintf(usage, sizeof(usage), "%s %s", c->name, c->arguments);
        if (!c->is_internal)
            (void)printf("  %-20s %s\n", usage, c->summary);
    }
    return 0;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Take `--config FILE` out of the words. -1 when the file is missing. */
static int take_config_option(int *argc, char **argv, const char **ret_path)
{
    int kept = 0;
    *ret_path = NULL;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--config") != 0)
            argv[kept++] = argv[i];
        else if (i + 1 < *argc)
            *ret_path = argv[++i];
        else
            return -1;
    }
    *argc = kept;
    return 0;
}

int main(int argc, char **argv)
{
    const struct command *command = argc > 1 ? find_command(argv[1]) : NULL;
    if (!command && argc > 1 && strcmp(argv[1], "--help") == 0)
        command = find_command("help");
    if (!command) {
        (void)fprintf(stderr, "gangsaw: %s; `gangsaw help` lists the commands\n",
                      argc > 1 ? "no such command" : "name a command");
        return EXIT_USAGE;
    }
    int word_count = argc - 2 > 0 ? argc - 2 : 0;
    const char *path;
    if (take_config_option(&word_count, argv + 2, &path) != 0 || word_count > command->word_max) {
        (void)fprintf(stderr, "usage: gangsaw %s [--config FILE] %s\n", command->name,
                      command->arguments);
        return EXIT_USAGE;
    }
    struct invocation in = {.arena = arena_new(), .argc = word_count, .argv = argv + 2};
    struct error error;
    log_init(command->process, LOG_INFO);
    if (command->needs_config) {
        if (config_load(in.arena, path, &in.config, &error) != 0) {
            (void)fprintf(stderr, "gangsaw: %s\n", error.detail);
            arena_free(in.arena);
            return EXIT_CONFIG;
        }
        log_init(command->process, (enum log_level)in.config->server_log_level);
    }
    int status = command->run(&in);
    if (command->run != run_pool) /* its configuration went to the first generation */
        arena_free(in.arena);
    return status;
}
