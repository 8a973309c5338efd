/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - every option, from one table
 *
 * `key = value` lines in sections (libinih). GANGSAW_SECTION_KEY in the environment wins over the
 * file, the file over the default; no option is needed to start. To add one: a member
 * here and a row of the table in config.c; docs/configuration.md is generated from the table.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/strbuf.h"

/* Options by section; names in the file are the same without the prefix: [compute] slots. */
struct config {
    /* [server] */
    const char *server_user;        /* what a program started as root drops to; default "gangsaw" */
    const char *server_run_dir;     /* sockets: /run/gangsaw */
    const char *server_tasks_dir;   /* descriptors: $datadir/gangsaw/tasks */
    const char *server_modules_dir; /* modules: $libdir/gangsaw */
    const char *server_libexec_dir; /* gangsaw-executor: $libexecdir/gangsaw */
    const char *server_migrations_dir; /* $datadir/gangsaw/sql */
    int server_log_level;  /* enum log_level; debug, info, warning, error; default info */
    int64_t server_memory; /* of the host, for slots: auto: physical memory, or the cgroup's */
    /* [http] */
    int64_t http_max_body_bytes;    /* default 128 MiB; nginx's client_max_body_size agrees */
    int64_t http_max_json_bytes;    /* default 16 MiB */
    int64_t http_max_base64_bytes;  /* base64 answers: default 8 MiB */
    int http_max_params;            /* CGI variables of a request: default 200 */
    int64_t http_max_params_bytes;  /* default 64 KiB */
    double http_io_timeout_seconds; /* a silent peer on the FastCGI connection: default 15 */
    int http_kept_connections;      /* by idle workers of a pool; auto: 8 a core, at most 32 */
    /* [api] */
    int api_workers; /* auto: 2 a core, at least 8 */
    /* [compute] */
    int compute_slots;            /* class cpu; auto: the cores */
    int compute_net_slots;        /* class net: default 32 */
    int compute_queue_length;     /* waiting room; auto: 8 a core */
    double compute_queue_seconds; /* longest wait there: default 5 */
    double compute_drain_seconds; /* TERM and HUP: longest wait for running requests: default 30 */
    const char *compute_preload;  /* modules to load at start, separated by spaces; default "" */
    /* [executor] */
    int executor_max_runs; /* recycled after about as many runs: default 100000, jitter 20 % */
    int executor_idle_mb;  /* above it between runs: trimmed, then recycled: default 256 */
    double executor_grace_seconds; /* from the stop flag to SIGKILL: default 0.25, 0.01 to 10 */
    int executor_sandbox;          /* enum sandbox_mode: off, on, strict; default on */
    double executor_start_seconds; /* a new executor or worker is ready by then: default 30 */
    double executor_slow_seconds; /* longer runs are logged as warnings: default 5, which is half of
                                     what most tasks may take: before they time out */
    /* [database] */
    const char *database_url; /* "": no jobs, no blobs */
    double database_budget_seconds;
    /* [jobs] */
    int jobs_slots, jobs_net_slots;
    double jobs_lease_seconds, jobs_drain_seconds, jobs_retry_seconds, jobs_max_timeout_seconds;
    int jobs_retention_days;
    /* [hub] */
    int hub_max_clients;
    /* [auth] */
    double auth_stale_seconds;
    /* [metrics] */
    const char *metrics_allow; /* addresses that need no key for /metrics; default "" */

    struct config_task_limit *task_limits; /* [task NAME] sections, in order */
    int task_limit_count;
    int cores;        /* what `auto` was computed from: see base/cores.h */
    int64_t memory;   /* and base/memory_limit.h */
    const char *path; /* the file that was read, or "" */
};

/*
 * [task image.transform] max_megapixels = 100. Whether the task has it is for the catalogue to
 * check. From GANGSAW_TASK_IMAGE_TRANSFORM_MAX_MEGAPIXELS: task is NULL and name what follows
 * GANGSAW_TASK_, since only the catalogue knows where the task's name ends. Those stand after the
 * file's and win.
 */
struct config_task_limit {
    const char *task, *name;
    double value;      /* not negative */
    const char *place; /* "gangsaw.conf:12", or the environment variable's name */
};

/*
 * Read `path`; NULL: $GANGSAW_CONFIG, else the installed gangsaw.conf, which may be missing.
 * Ownership: *ret_config and all in it belong to `a`.
 * Errors: ERR_INTERNAL; the detail names file and line (or the variable), and the allowed values.
 */
int config_load(struct arena *a, const char *path, struct config **ret_config,
                struct error *reterr);

/* The effective configuration as a file would have it, every option with its value. */
void config_print(const struct config *cfg, struct strbuf *out);

/* docs/configuration.md's tables: every option with kind, default, range and help, as Markdown. */
void config_print_reference(struct strbuf *out);

#endif
