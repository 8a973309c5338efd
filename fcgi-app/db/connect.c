/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connect.c - making a connection without waiting; see db_internal.h
 *
 * Hosts are tried one after the other, the one that worked last first, each with a time limit.
 * What a session must be like is said at its start, so that it costs no round trip.
 */
#include "db/db_internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"

#define SERVER_VERSION_MIN 150000
#define EXTRA_MAX 16 /* parameters of ours */

/*
 * Whatever the server, the database or the role has as its default. What is acknowledged has to be
 * on the disc, so that commits are synchronous; only the url's own options can say otherwise, such
 * as remote_apply. Statements that can do without say so.
 */
static const char lasting[] = "-c synchronous_commit=on ";
static const char session[] =
    " -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres"
    " -c search_path=pg_catalog,pg_temp -c bytea_output=hex"
    " -c extra_float_digits=1 -c jit=off -c standard_conforming_strings=on"
    " -c default_transaction_isolation=read\\ committed";

/* clang-format off */
static const struct { const char *name, *value; } defaults[] = {
    {"target_session_attrs", "read-write"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "15000"}, /* ms */
    {"gssencmode", "disable"},     /* asking Kerberos may wait for the network */
};
/* clang-format on */

#define DEFAULT_COUNT (sizeof(defaults) / sizeof(defaults[0]))

/* "a,b,,c" to its parts, of which empty ones are NULL. */
static const char **split(struct arena *a, const char *list, int *ret_count)
{
    int count = 1;
    for (const char *p = list; *p; p++)
        count += *p == ',';
    const char **parts = arena_alloc(a, (size_t)count * sizeof(*parts));
    for (int i = 0; i < count; i++) {
        size_t size = strcspn(list, ",");
        parts[i] = size > 0 ? arena_strndup(a, list, size) : NULL;
        list += size + 1;
    }
    *ret_count = count;
    return parts;
}

static const char *find_option(const PQconninfoOption *options, const char *name)
{
    for (; options->keyword; options++) {
        if (strcmp(options->keyword, name) == 0)
            return options->val && options->val[0] ? options->val : NULL;
    }
    return NULL;
}

/* Of `count` hosts: one value for all of them, or one each. */
static const char **spread(struct arena *a, const char *list, int count, struct error *reterr)
{
    int given;
    const char **parts = split(a, list ? list : "", &given);
    if (given == count)
        return parts;
    if (given != 1) {
        (void)error_internal(reterr, "database.url: %d hosts, but %d addresses or ports", count,
                             given);
        return NULL;
    }
    const char **all = arena_alloc(a, (size_t)count * sizeof(*all));
    for (int i = 0; i < count; i++)
        all[i] = parts[0];
    return all;
}

static int parse_hosts(struct db_target *t, const PQconninfoOption *options, struct arena *a,
                       struct error *reterr)
{
    const char *hosts = find_option(options, "host"), *addresses = find_option(options, "hostaddr");
    (void)split(a, addresses ? addresses : hosts ? hosts : "", &t->host_count);
    t->hosts = spread(a, hosts, t->host_count, reterr);
    t->addresses = t->hosts ? spread(a, addresses, t->host_count, reterr) : NULL;
    t->ports = t->addresses ? spread(a, find_option(options, "port"), t->host_count, reterr) : NULL;
    return t->ports ? 0 : -1;
}

static const char **add_parameter(struct db_target *t, int *count, const char *name,
                                  const char *value)
{
    t->keywords[*count] = name;
    t->values[*count] = value;
    return &t->values[(*count)++];
}

static const char *session_options(const struct db_settings *s, const char *given, struct arena *a)
{
    struct strbuf text = STRBUF_INIT;
    int budget_ms = s->budget_ms > 0 ? s->budget_ms : 0;
    strbuf_addstr(&text, lasting);
    strbuf_addstr(&text, given ? given : "");
    strbuf_addstr(&text, session);
    /* The server gives up a little before the client does, which then can keep its connection. */
    strbuf_addf(&text, " -c statement_timeout=%d", budget_ms - budget_ms / 10);
    if (s->options)
        strbuf_addf(&text, " %s", s->options);
    const char *copy = arena_strndup(a, text.text, text.size);
    strbuf_release(&text);
    return copy;
}

static bool is_ours(const char *name)
{
    static const char *const names[] = {"host",
                                        "hostaddr",
                                        "port",
                                        "options",
                                        "client_encoding",
                                        "application_name",
                                        "fallback_application_name"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void set_parameters(struct db_target *t, const struct db_settings *s,
                           const PQconninfoOption *options, struct arena *a)
{
    int given = 0, count = 0;
    for (const PQconninfoOption *o = options; o->keyword; o++)
        given++;
    size_t size = ((size_t)given + EXTRA_MAX + 1) * sizeof(*t->keywords);
    t->keywords = arena_alloc(a, size);
    t->values = arena_alloc(a, size);
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (o->val && !is_ours(o->keyword))
            (void)add_parameter(t, &count, arena_strdup(a, o->keyword), arena_strdup(a, o->val));
    }
    for (size_t i = 0; i < DEFAULT_COUNT; i++) {
        if (!find_option(options, defaults[i].name))
            (void)add_parameter(t, &count, defaults[i].name, defaults[i].value);
    }
    (void)add_parameter(t, &count, "client_encoding", "UTF8");
    (void)add_parameter(t, &count, "application_name", arena_strdup(a, s->application));
    (void)add_parameter(t, &count, "options",
                        session_options(s, find_option(options, "options"), a));
    t->host_value = add_parameter(t, &count, "host", NULL);
    t->address_value = add_parameter(t, &count, "hostaddr", NULL);
    t->port_value = add_parameter(t, &count, "port", NULL);
}

/* libpq quotes what it could not read, where a password may stand: the url as a whole, a word of
 * it. Single characters tell what was expected. */
static int fail_url(struct error *reterr, const char *words)
{
    const char *end = words;
    while (*end && *end != '\n' && (*end != '"' || (end[1] && end[2] == '"')))
        end += *end == '"' ? 3 : 1;
    return error_internal(reterr, "database.url: %.*s%s", (int)(end - words), words,
                          *end == '"' ? "..." : "");
}

int db_target_parse(const struct db_settings *settings, struct arena *a,
                    struct db_target *ret_target, struct error *reterr)
{
    struct db_target t = {.host_count = 1};
    char *words = NULL;
    PQconninfoOption *options = PQconninfoParse(settings->url, &words);
    if (!options) {
        (void)fail_url(reterr, words ? words : "out of memory");
        PQfreemem(words);
        return -1;
    }
    int status = parse_hosts(&t, options, a, reterr);
    if (status == 0)
        set_parameters(&t, settings, options, a);
    PQconninfoFree(options);
    if (status == 0)
        *ret_target = t;
    return status;
}

/* Within the budget of a waiting db_query() each host that is left gets an equal part. */
static int64_t host_deadline(const struct db *db)
{
    int64_t now = clock_us(), limit = DB_CONNECT_LIMIT_US;
    if (db->query_deadline_us != DB_NEVER) {
        int64_t part = (db->query_deadline_us - now) / db->hosts_left;
        limit = part < limit ? part : limit;
    }
    return now + limit;
}

static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context;
    (void)notice;
}

/* False when even the first step failed. */
static bool try_host(struct db *db)
{
    struct db_target *t = &db->target;
    *t->host_value = t->hosts[t->host];
    *t->address_value = t->addresses[t->host];
    *t->port_value = t->ports[t->host];
    db->state = DB_CONNECTING;
    db->deadline_us = host_deadline(db);
    db->polling = PGRES_POLLING_WRITING;
    db->conn = PQconnectStartParams(t->keywords, t->values, 0);
    if (!db->conn)
        return false;
    (void)PQsetNoticeReceiver(db->conn, ignore_notice, NULL);
    return PQstatus(db->conn) != CONNECTION_BAD;
}

/* Keep what every host said: the first one's words explain as much as the last one's. */
static void note_failure(struct db *db, const char *words)
{
    struct strbuf what = STRBUF_INIT;
    if (db->connect_error.cause[0])
        strbuf_addf(&what, "%s; ", db->connect_error.cause);
    strbuf_addstr(&what, "connect");
    (void)db_fail_unavailable(&db->connect_error, what.text, words);
    strbuf_release(&what);
}

/* The host that was tried has failed: go on to the next, or give up for a while. */
static void next_host(struct db *db, const char *words)
{
    for (;;) {
        note_failure(db, words);
        PQfinish(db->conn);
        db->conn = NULL;
        if (--db->hosts_left == 0) {
            struct error error = db->connect_error;
            db_lose(db, &error);
            return;
        }
        db->target.host = (db->target.host + 1) % db->target.host_count;
        if (try_host(db))
            return;
        words = PQerrorMessage(db->conn);
    }
}

void db_connect_start(struct db *db)
{
    db->connect_error = (struct error){.code = ERR_NONE};
    db->hosts_left = db->target.host_count;
    if (!try_host(db))
        next_host(db, PQerrorMessage(db->conn));
}

bool db_is_socket_ready(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

static short wanted_events(const struct db *db)
{
    return db->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
}

static void finish(struct db *db)
{
    if (PQserverVersion(db->conn) < SERVER_VERSION_MIN)
        next_host(db, "PostgreSQL 15 or later is needed");
    else if (PQsetnonblocking(db->conn, 1) != 0)
        next_host(db, PQerrorMessage(db->conn));
    else
        db_opened(db);
}

void db_connect_go(struct db *db)
{
    while (db->state == DB_CONNECTING &&
           db_is_socket_ready(PQsocket(db->conn), wanted_events(db))) {
        db->polling = PQconnectPoll(db->conn);
        if (db->polling == PGRES_POLLING_OK)
            finish(db);
        else if (db->polling == PGRES_POLLING_FAILED)
            next_host(db, PQerrorMessage(db->conn));
    }
    if (db->state == DB_CONNECTING && clock_us() >= db->deadline_us) {
        char words[160];
        (void)snprintf(words, sizeof(words), "%s:%s does not answer", PQhost(db->conn),
                       PQport(db->conn));
        next_host(db, words);
    }
}
