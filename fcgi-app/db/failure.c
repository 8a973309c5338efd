/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * failure.c - see db_internal.h
 *
 * The one place that knows SQLSTATEs. A client reads one of four sentences; the log has the code
 * and the server's words.
 */
#include "db/db_internal.h"

#include <string.h>

#define TEXT_MAX 200

static const char away[] = "The database is not reachable at the moment.";
static const char slow[] = "The database did not answer in time.";
static const char busy[] = "Another request is changing the same thing at the moment.";
static const char no_schema[] = "The database has no schema of this version; the operator runs "
                                "`gangsaw migrate`.";

/* Several lines of libpq's as one. */
static void flatten(char *text, size_t size, const char *words)
{
    size_t used = 0;
    for (const char *p = words ? words : ""; *p && used + 1 < size; p++) {
        bool is_space = *p == '\n' || *p == '\t' || *p == ' ';
        if (!is_space)
            text[used++] = *p;
        else if (used > 0 && text[used - 1] != ' ')
            text[used++] = ' ';
    }
    while (used > 0 && text[used - 1] == ' ')
        used--;
    text[used] = '\0';
}

int db_fail_unavailable(struct error *e, const char *what, const char *words)
{
    char text[TEXT_MAX];
    flatten(text, sizeof(text), words);
    (void)error_set(e, ERR_UNAVAILABLE, "%s", away);
    return error_cause(e, "%s%s%s", what, text[0] ? ": " : "", text);
}

int db_fail_slow(struct error *e, const char *what, int limit_ms)
{
    (void)error_set(e, ERR_UNAVAILABLE, "%s", slow);
    return error_cause(e, "%s: no answer within %d ms", what, limit_ms);
}

static bool is_any(const char *state, const char *const *list)
{
    for (; *list; list++) {
        if (strncmp(state, *list, strlen(*list)) == 0)
            return true;
    }
    return false;
}

/* `state` is not empty. */
static void set_by_state(struct db_failure *f, const char *state)
{
    static const char *const unreachable[] = {"08", "57P0", "25006", "25P03", NULL};
    static const char *const conflict[] = {"40001", "40P01", "23505", NULL};
    static const char *const late[] = {"57014", "55P03", NULL}; /* lock_timeout: as any wait */
    static const char *const missing[] = {"42P01", "3F000", "42883", NULL};

    if (is_any(state, unreachable)) {
        (void)error_set(&f->error, ERR_UNAVAILABLE, "%s", away);
        f->trouble = DB_AWAY;
        f->is_spoilt = true;
    } else if (strncmp(state, "53", 2) == 0) { /* out of memory, disc or connections */
        (void)error_set(&f->error, ERR_UNAVAILABLE, "%s", away);
    } else if (is_any(state, late)) {
        (void)error_set(&f->error, ERR_UNAVAILABLE, "%s", slow);
        f->trouble = DB_SLOW;
    } else if (is_any(state, missing)) {
        (void)error_set(&f->error, ERR_UNAVAILABLE, "%s", no_schema);
    } else if (is_any(state, conflict)) {
        (void)error_set(&f->error, ERR_CONFLICT, "%s", busy);
    } else {
        (void)error_internal(&f->error, "%s", "");
    }
}

/* A prepared statement that the server lost, or that a migration made useless: a new connection
 * prepares it again. */
static bool is_plan_outdated(const PGresult *result, const char *state)
{
    const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);
    return strcmp(state, "26000") == 0 || (strcmp(state, "0A000") == 0 && function &&
                                           strcmp(function, "RevalidateCachedQuery") == 0);
}

void db_fail_result(struct db_failure *f, const struct db_statement *s, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    char text[TEXT_MAX];

    *f = (struct db_failure){.trouble = DB_NO_TROUBLE};
    if (!state || !state[0]) { /* libpq's own: the connection broke, or memory ran out */
        (void)db_fail_unavailable(&f->error, s->name, PQresultErrorMessage(result));
        f->trouble = DB_AWAY;
        f->is_spoilt = true;
        return;
    }
    if (is_plan_outdated(result, state)) {
        (void)error_set(&f->error, ERR_UNAVAILABLE, "%s", away);
        f->is_spoilt = true;
    } else {
        set_by_state(f, state);
    }
    flatten(text, sizeof(text), PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    (void)error_cause(&f->error, "%s: %s %s", s->name, state, text);
}
