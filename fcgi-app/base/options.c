/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - see options.h
 *
 * The table below says all there is to say about an option; reading, checking, printing and the
 * documentation go by it.
 */
#include "base/options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"

#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define DIGITS_MAX 15  /* a double holds them exactly */
#define DECIMALS_MAX 6 /* microseconds */

static const char *const kind_names[] = {
    [KIND_INT] = "integer", [KIND_BYTES] = "bytes (K, M, G)", [KIND_SECONDS] = "seconds",
    [KIND_TEXT] = "text",   [KIND_NAMES] = "names",           [KIND_PATH] = "path",
    [KIND_WORD] = "word",   [KIND_ADDRESSES] = "addresses",
};

const struct option_section option_sections[] = {
    {"server", "Where things are, and as whom the processes run."},
    {"http", "Limits on what a client may send and how an answer may look."},
    {"api", "The pool that answers everything but the tasks themselves."},
    {"compute", "The pool that computes."},
    {"executor", "The processes in which the tasks run."},
    {"database", "PostgreSQL, which keeps jobs and files."},
    {"jobs", "The runner, and what clients may ask of jobs."},
    {"hub", "The process that holds waiting clients."},
    {"auth", "Keys, which the hub reads from the database for all processes of its host."},
    {"metrics", "The page for Prometheus."},
    {NULL, NULL},
};

static int64_t auto_slots(const struct config *cfg)
{
    return cfg->cores;
}

static int64_t auto_queue_length(const struct config *cfg)
{
    return 8 * cfg->cores;
}

static int64_t auto_kept_connections(const struct config *cfg)
{
    return cfg->cores < 4 ? 8 * cfg->cores : 32; /* of pool api each may open one to the database */
}

static int64_t auto_api_workers(const struct config *cfg)
{
    return cfg->cores > 4 ? 2 * cfg->cores : 8;
}

static int64_t auto_memory(const struct config *cfg)
{
    return cfg->memory;
}

static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};
static const char *const sandbox_modes[] = {"off", "on", "strict", NULL};

#define OPTION(s, n) .section = #s, .name = #n, .offset = offsetof(struct config, s##_##n)

/*
 * To add one: a row here, a member in config.h. A name, " = " and the longest value fit into the
 * line of 198 bytes that libinih takes.
 */
/* clang-format off */
const struct option options[] = {
    {OPTION(server, user), KIND_TEXT, .fallback = "gangsaw", .min = 1, .max = 32,
     .help = "The user that a program started as root becomes."},
    {OPTION(server, run_dir), KIND_PATH, .fallback = GANGSAW_RUNDIR, .min = 1, .max = 85,
     .help = "Directory of the sockets; short, because a socket's whole path ends at 107 bytes.",
     .documented_default = "/run/gangsaw"},
    {OPTION(server, tasks_dir), KIND_PATH, .fallback = GANGSAW_DATADIR "/tasks", .min = 1, .max = 180,
     .help = "Directory of the task descriptors.", .documented_default = "$datadir/gangsaw/tasks"},
    {OPTION(server, modules_dir), KIND_PATH, .fallback = GANGSAW_LIBDIR, .min = 1, .max = 180,
     .help = "Directory of the modules.", .documented_default = "$libdir/gangsaw"},
    {OPTION(server, libexec_dir), KIND_PATH, .fallback = GANGSAW_LIBEXECDIR, .min = 1, .max = 180,
     .help = "Directory of gangsaw-executor.", .documented_default = "$libexecdir/gangsaw"},
    {OPTION(server, migrations_dir), KIND_PATH, .fallback = GANGSAW_DATADIR "/sql", .min = 1, .max = 180,
     .help = "Directory of the migrations that `gangsaw migrate` applies.",
     .documented_default = "$datadir/gangsaw/sql"},
    {OPTION(server, log_level), KIND_WORD, .words = log_levels, .fallback = "info",
     .help = "Least severity of the lines that are logged."},
    {OPTION(server, memory), KIND_BYTES, .fallback = "auto", .min = 64 * MIB, .max = 65536 * GIB,
     .help = "Memory that slots go by: there are as many as fit into 75 % of it with the largest memory_mb; auto is the cgroup's limit or the physical memory.",
     .auto_value = auto_memory},

    {OPTION(http, max_body_bytes), KIND_BYTES, .fallback = "128M", .min = KIB, .max = 64 * GIB,
     .help = "Longest request body; nginx's client_max_body_size must allow as much."},
    {OPTION(http, max_json_bytes), KIND_BYTES, .fallback = "16M", .min = KIB, .max = GIB,
     .help = "Longest JSON body; larger inputs are sent raw or as multipart."},
    {OPTION(http, max_base64_bytes), KIND_BYTES, .fallback = "8M", .min = KIB, .max = GIB,
     .help = "Most output bytes that a JSON answer carries as base64."},
    {OPTION(http, max_params), KIND_INT, .fallback = "200", .min = 50, .max = 10000,
     .help = "Most CGI variables of a request; each header field is one."},
    {OPTION(http, max_params_bytes), KIND_BYTES, .fallback = "64K", .min = 4 * KIB, .max = MIB,
     .help = "Most bytes of all CGI variables of a request."},
    {OPTION(http, io_timeout_seconds), KIND_SECONDS, .fallback = "15", .min = 0.1, .max = 600,
     .help = "How long a peer may be silent in the middle of a request or an answer."},
    {OPTION(http, kept_connections), KIND_INT, .fallback = "auto", .min = 0, .max = 4096,
     .help = "Connections of nginx's that idle workers of a pool may keep, which has as many workers more; auto is 8 a core, at most 32.",
     .auto_value = auto_kept_connections},

    {OPTION(api, workers), KIND_INT, .fallback = "auto", .min = 1, .max = 1024,
     .help = "Worker processes; auto is two a core, at least 8.", .auto_value = auto_api_workers},

    {OPTION(compute, slots), KIND_INT, .fallback = "auto", .min = 1, .max = 1024,
     .help = "Runs of class cpu at a time; auto is one a core.", .auto_value = auto_slots},
    {OPTION(compute, net_slots), KIND_INT, .fallback = "32", .min = 1, .max = 4096,
     .help = "Runs of class net at a time."},
    {OPTION(compute, queue_length), KIND_INT, .fallback = "auto", .min = 0, .max = 4096,
     .help = "Requests that may wait for a slot; auto is 8 a core.",
     .auto_value = auto_queue_length},
    {OPTION(compute, queue_seconds), KIND_SECONDS, .fallback = "5", .min = 0.1, .max = 600,
     .help = "Longest wait for a slot; then the request is answered with 503."},
    {OPTION(compute, drain_seconds), KIND_SECONDS, .fallback = "30", .min = 0, .max = 3600,
     .help = "How long running requests may go on after TERM or HUP."},
    {OPTION(compute, preload), KIND_NAMES, .fallback = "", .min = 0, .max = 180,
     .help = "Modules that an executor loads at its start rather than on first use."},

    {OPTION(executor, max_runs), KIND_INT, .fallback = "100000", .min = 1, .max = 1000000000,
     .help = "An executor is replaced after about as many runs; they differ by up to 20 %."},
    {OPTION(executor, idle_mb), KIND_INT, .fallback = "256", .min = 16, .max = 1048576,
     .help = "Resident memory in MiB above which an executor is trimmed between runs, then replaced."},
    {OPTION(executor, grace_seconds), KIND_SECONDS, .fallback = "0.25", .min = 0.01, .max = 10,
     .help = "From telling a run to stop until its executor is killed."},
    {OPTION(executor, sandbox), KIND_WORD, .words = sandbox_modes, .fallback = "on",
     .help = "What confines executors; strict kills for a system call that is not on the list; off is for a kernel that cannot."},
    {OPTION(executor, start_seconds), KIND_SECONDS, .fallback = "30", .min = 1, .max = 600,
     .help = "A new executor or worker is ready by then, or counts as failed."},
    {OPTION(executor, slow_seconds), KIND_SECONDS, .fallback = "5", .min = 0.001, .max = 86400,
     .help = "A longer run is logged as a warning, with \"slow\": true."},

    {OPTION(database, url), KIND_TEXT, .fallback = "", .min = 0, .max = 180,
     .help = "postgresql://user@host/name, or key=value words of libpq; empty: no jobs, no blobs."},
    {OPTION(database, budget_seconds), KIND_SECONDS, .fallback = "2", .min = 0.1, .max = 60,
     .help = "Longest wait of a request for one statement, connecting included; then it is answered with 503."},

    {OPTION(jobs, slots), KIND_INT, .fallback = "auto", .min = 0, .max = 1024,
     .help = "Jobs of class cpu that the runner computes at a time; auto is one a core.",
     .auto_value = auto_slots},
    {OPTION(jobs, net_slots), KIND_INT, .fallback = "32", .min = 0, .max = 4096,
     .help = "Jobs of class net that the runner computes at a time."},
    {OPTION(jobs, lease_seconds), KIND_SECONDS, .fallback = "15", .min = 1, .max = 600,
     .help = "A runner silent for as long is given up, and its jobs go back to the queue."},
    {OPTION(jobs, drain_seconds), KIND_SECONDS, .fallback = "30", .min = 0, .max = 3600,
     .help = "How long running jobs may go on after TERM; then they go back to the queue."},
    {OPTION(jobs, retry_seconds), KIND_SECONDS, .fallback = "2", .min = 0.01, .max = 3600,
     .help = "Wait before the second attempt; each further one waits four times as long, up to an hour."},
    {OPTION(jobs, max_timeout_seconds), KIND_SECONDS, .fallback = "3600", .min = 1, .max = 86400,
     .help = "Most that a job may ask for as its timeout; without one the task's own limit holds."},
    {OPTION(jobs, retention_days), KIND_INT, .fallback = "7", .min = 1, .max = 3650,
     .help = "Finished jobs and their files are kept for as many days."},

    {OPTION(hub, max_clients), KIND_INT, .fallback = "10000", .min = 1, .max = 1000000,
     .help = "Clients that may wait or follow events at a time."},

    {OPTION(auth, stale_seconds), KIND_SECONDS, .fallback = "300", .min = 5, .max = 86400,
     .help = "How long the keys that are known hold while the database is away; then requests are answered with 503."},

    {OPTION(metrics, allow), KIND_ADDRESSES, .fallback = "", .min = 0, .max = 180,
     .help = "Who may read /metrics without a key, besides this host itself."},

    {.name = NULL},
};
/* clang-format on */

_Static_assert(sizeof(options) / sizeof(options[0]) <= OPTION_COUNT_MAX, "config.c counts on it");

/* Digits, and up to DECIMALS_MAX of a fraction: no sign, exponent or locale. */
static bool parse_decimal(const char *text, double *ret_value)
{
    static const double powers[DECIMALS_MAX + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double digits = 0;
    int count = 0, decimals = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text); text++, count++)
        digits = digits * 10 + (*text - '0');
    if (*text == '.') {
        for (text++; isdigit((unsigned char)*text); text++, count++, decimals++)
            digits = digits * 10 + (*text - '0');
        if (decimals == 0 || decimals > DECIMALS_MAX)
            return false;
    }
    if (*text || count > DIGITS_MAX)
        return false;
    *ret_value = digits / powers[decimals];
    return true;
}

static bool parse_whole(const char *text, double *ret_value)
{
    return !strchr(text, '.') && parse_decimal(text, ret_value);
}

static bool parse_bytes(const char *text, double *ret_value)
{
    char digits[DIGITS_MAX + 1];
    size_t size = strlen(text);
    double unit = 1;

    if (size > 0 && strchr("KkMmGg", text[size - 1])) {
        int suffix = toupper((unsigned char)text[--size]);
        unit = suffix == 'K' ? KIB : suffix == 'M' ? MIB : GIB;
    }
    if (size >= sizeof(digits))
        return false;
    memcpy(digits, text, size);
    digits[size] = '\0';
    if (!parse_whole(digits, ret_value))
        return false;
    *ret_value *= unit;
    return true;
}

bool option_parse_number(const char *text, double *ret_value)
{
    return (parse_decimal(text, ret_value) || parse_bytes(text, ret_value)) && *ret_value < 1e15;
}

/* A text that a file can have as it is: what config_print() writes has to be read back the same. */
static bool is_plain_text(const char *text)
{
    size_t size = strlen(text);
    if (size > 0 && (text[0] == ' ' || text[size - 1] == ' '))
        return false;
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == ';')
            return false;
    }
    return true;
}

static bool is_names(const char *text)
{
    bool is_start = true;
    for (const char *p = text; *p; p++) {
        bool is_letter = *p >= 'a' && *p <= 'z';
        if (*p != ' ' && !is_letter && (is_start || (*p != '_' && !isdigit((unsigned char)*p))))
            return false;
        is_start = *p == ' ';
    }
    return is_plain_text(text);
}

static void *member(struct config *cfg, const struct option *o)
{
    return (char *)cfg + o->offset;
}

static bool set_text(const struct option *o, struct arena *a, struct config *cfg, const char *text)
{
    size_t size = strlen(text);
    if ((double)size < o->min || (double)size > o->max || !is_plain_text(text) ||
        (o->kind == KIND_PATH && text[0] != '/') || (o->kind == KIND_NAMES && !is_names(text)) ||
        (o->kind == KIND_ADDRESSES && !address_list_is_valid(text)))
        return false;
    *(const char **)member(cfg, o) = arena_strdup(a, text);
    return true;
}

static bool set_number(const struct option *o, struct config *cfg, const char *text)
{
    double value;
    bool is_number = o->kind == KIND_SECONDS ? parse_decimal(text, &value)
                     : o->kind == KIND_BYTES ? parse_bytes(text, &value)
                                             : parse_whole(text, &value);
    if (!is_number || value < o->min || value > o->max)
        return false;
    if (o->kind == KIND_SECONDS)
        *(double *)member(cfg, o) = value;
    else if (o->kind == KIND_BYTES)
        *(int64_t *)member(cfg, o) = (int64_t)value;
    else
        *(int *)member(cfg, o) = (int)value;
    return true;
}

static bool set_word(const struct option *o, struct config *cfg, const char *text)
{
    for (int i = 0; o->words[i]; i++) {
        if (strcmp(text, o->words[i]) == 0) {
            *(int *)member(cfg, o) = i;
            return true;
        }
    }
    return false;
}

bool option_set(const struct option *o, struct arena *a, struct config *cfg, const char *text)
{
    if (o->kind == KIND_WORD)
        return set_word(o, cfg, text);
    if (o->auto_value && strcmp(text, "auto") == 0) {
        int64_t value = o->auto_value(cfg);
        value = value > (int64_t)o->max ? (int64_t)o->max : value;
        if (o->kind == KIND_BYTES)
            *(int64_t *)member(cfg, o) = value;
        else
            *(int *)member(cfg, o) = (int)value;
        return true;
    }
    if (o->kind == KIND_TEXT || o->kind == KIND_NAMES || o->kind == KIND_PATH ||
        o->kind == KIND_ADDRESSES)
        return set_text(o, a, cfg, text);
    return set_number(o, cfg, text);
}

void option_add_number(struct strbuf *out, double value)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "%.*f", DECIMALS_MAX, value);
    while (size > 0 && text[size - 1] == '0')
        size--;
    if (size > 0 && text[size - 1] == '.')
        size--;
    strbuf_add(out, text, (size_t)size);
}

static void add_bytes(struct strbuf *out, int64_t value)
{
    static const char suffixes[] = "KMG";
    int64_t unit = 1;
    int i = -1;
    while (i < 2 && value > 0 && value % (unit * 1024) == 0) {
        unit *= 1024;
        i++;
    }
    strbuf_addf(out, "%" PRId64, value / unit);
    if (i >= 0)
        strbuf_addch(out, suffixes[i]);
}

void option_add_allowed(const struct option *o, struct strbuf *out)
{
    switch (o->kind) {
    case KIND_BYTES:
        add_bytes(out, (int64_t)o->min);
        strbuf_addstr(out, " to ");
        add_bytes(out, (int64_t)o->max);
        break;
    case KIND_INT:
    case KIND_SECONDS:
        option_add_number(out, o->min);
        strbuf_addstr(out, " to ");
        option_add_number(out, o->max);
        break;
    case KIND_TEXT:
        strbuf_addf(out, "%.0f to %.0f bytes", o->min, o->max);
        break;
    case KIND_NAMES:
        strbuf_addf(out, "names of a-z, 0-9 and _ with spaces between, up to %.0f bytes", o->max);
        break;
    case KIND_PATH:
        strbuf_addf(out, "an absolute path of up to %.0f bytes", o->max);
        break;
    case KIND_ADDRESSES:
        strbuf_addf(out,
                    "addresses and networks (10.0.0.7, 10.0.0.0/8, 2001:db8::/32) with spaces "
                    "between, up to %.0f bytes",
                    o->max);
        break;
    case KIND_WORD:
        for (int i = 0; o->words[i]; i++)
            strbuf_addf(out, "%s%s", i == 0 ? "" : o->words[i + 1] ? ", " : " or ", o->words[i]);
        break;
    }
    if (o->auto_value)
        strbuf_addstr(out, ", or auto");
}

void option_add_value(const struct option *o, const struct config *cfg, struct strbuf *out)
{
    const void *value = (const char *)cfg + o->offset;
    switch (o->kind) {
    case KIND_INT:
        strbuf_addf(out, "%d", *(const int *)value);
        break;
    case KIND_BYTES:
        add_bytes(out, *(const int64_t *)value);
        break;
    case KIND_SECONDS:
        option_add_number(out, *(const double *)value);
        break;
    case KIND_WORD:
        strbuf_addstr(out, o->words[*(const int *)value]);
        break;
    case KIND_TEXT:
    case KIND_NAMES:
    case KIND_PATH:
    case KIND_ADDRESSES:
        strbuf_addstr(out, *(const char *const *)value);
        break;
    }
}

static const char *section_help(const char *name)
{
    for (size_t i = 0; option_sections[i].name; i++) {
        if (strcmp(option_sections[i].name, name) == 0)
            return option_sections[i].help;
    }
    return "";
}

void config_print_reference(struct strbuf *out)
{
    for (size_t i = 0; options[i].name; i++) {
        const struct option *o = &options[i];
        if (i == 0 || strcmp(o->section, options[i - 1].section) != 0)
            strbuf_addf(out,
                        "%s## [%s]\n\n%s\n\n| option | kind | default | allowed | what |\n"
                        "|---|---|---|---|---|\n",
                        i == 0 ? "" : "\n", o->section, section_help(o->section));
        const char *fallback = o->documented_default ? o->documented_default : o->fallback;
        strbuf_addf(out, "| `%s` | %s | %s%s%s | ", o->name, kind_names[o->kind],
                    *fallback ? "`" : "", *fallback ? fallback : "empty", *fallback ? "`" : "");
        option_add_allowed(o, out);
        strbuf_addf(out, " | %s |\n", o->help);
    }
}
