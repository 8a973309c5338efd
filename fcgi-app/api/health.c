/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health.c - liveness answers as long as workers do, whatever else is busy or away; readiness says
 * whether runs and jobs can be computed
 *
 * Readiness asks others, who may be slow to answer. So what was found is kept for a while, and of
 * a pool's workers one at a time asks: a database that hangs never holds more than that one.
 */
#include "api/api.h"
#include "api/handlers.h"
#include "auth/snapshot.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "db/migrate.h"
#include "db/runner.h"

#define KNOWN_US 500000
#define ASKER_US 10000000 /* one that died is not waited for longer */

enum missing {
    MISSING_COMPUTE = 1 << 0,
    MISSING_DATABASE = 1 << 1,
    MISSING_SCHEMA = 1 << 2,
    MISSING_RUNNER = 1 << 3,
    MISSING_KEYS = 1 << 4,
};

static const struct {
    int32_t bit;
    const char *text;
} missing_texts[] = {
    {MISSING_COMPUTE, "The compute pool is not there, starting or draining."},
    {MISSING_DATABASE, "The database does not answer."},
    {MISSING_SCHEMA, "The database's schema is not of this version: see gangsaw migrate."},
    {MISSING_RUNNER, "No runner is alive."},
    {MISSING_KEYS, "Which API keys are valid is not known: the hub or the database is away."},
};

HANDLER(health_live)
{
    static const char body[] = "{\"status\":\"ok\"}\n";
    (void)context;
    (void)req;
    (void)match;
    (void)errors;
    (void)reterr;
    http_response_field(res, "Cache-Control", "no-store");
    http_response_body(res, 200, "application/json", body, sizeof(body) - 1);
    return 0;
}

static int32_t known_of_database(const struct api_readiness *known)
{
    if (!known || atomic_load(&known->asked_us) == 0)
        return MISSING_DATABASE;
    return atomic_load(&known->missing) & ~(MISSING_COMPUTE | MISSING_KEYS);
}

/* It waits for no place: where all are taken, what was known last stands. */
static int32_t ask_database(const struct api *api)
{
    struct db *db = api->db;
    struct error ignored;
    int version;
    bool is_alive;
    if (!db)
        return 0;
    if (api->gate.enter && !api->gate.enter(api->gate.context, API_USE_SHORT, false))
        return known_of_database(api->readiness);
    if (db_schema_version(db, &version, &ignored) != 0)
        return MISSING_DATABASE;
    if (version != DB_SCHEMA_VERSION)
        return MISSING_SCHEMA;
    if (runner_any_alive(db, &is_alive, &ignored) != 0)
        return MISSING_DATABASE;
    return is_alive ? 0 : MISSING_RUNNER;
}

static int32_t ask(const struct api *api)
{
    int32_t missing = 0;
    if (api->is_computing && !api->is_computing(api->config))
        missing = MISSING_COMPUTE;
    if (api->keys && snapshot_refresh(api->keys) != SNAPSHOT_FRESH)
        missing |= MISSING_KEYS; /* what needs a caller is answered 503 */
    return missing | ask_database(api);
}

/* What is missing, from what is known or by asking. */
static int32_t find_missing(const struct api *api)
{
    struct api_readiness *known = api->readiness;
    if (!known)
        return ask(api);
    int64_t now_us = clock_us(), asked_us = atomic_load(&known->asked_us);
    if (asked_us != 0 && now_us - asked_us < KNOWN_US)
        return atomic_load(&known->missing);
    int64_t asker_us = atomic_load(&known->asker_us);
    bool is_asker = asker_us < now_us &&
                    atomic_compare_exchange_strong(&known->asker_us, &asker_us, now_us + ASKER_US);
    if (!is_asker && asked_us != 0)
        return atomic_load(&known->missing);
    int32_t missing = ask(api);
    atomic_store(&known->missing, missing);
    atomic_store(&known->asked_us, clock_us());
    if (is_asker)
        atomic_store(&known->asker_us, 0);
    return missing;
}

HANDLER(health_ready)
{
    static const char body[] = "{\"status\":\"ready\"}\n";
    (void)match;
    (void)errors;
    int32_t missing = find_missing(context);
    http_response_field(res, "Cache-Control", "no-store");
    if (missing == 0) {
        http_response_body(res, 200, "application/json", body, sizeof(body) - 1);
        return 0;
    }
    const char *detail = "";
    for (size_t i = 0; i < sizeof(missing_texts) / sizeof(missing_texts[0]); i++) {
        if (missing & missing_texts[i].bit)
            detail = arena_printf(req->arena, "%s%s%s", detail, *detail ? " " : "",
                                  missing_texts[i].text);
    }
    return error_set(reterr, ERR_UNAVAILABLE, "%s", detail);
}
