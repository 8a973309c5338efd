/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status_table.c - see status_table.h
 */
#include "pool/status_table.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "pool/pool.h"

#define EXIT_NOT_RUNNING 3 /* as service managers have it */
#define ANSWER_TIMEOUT_MS 2000

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(json_member(object, name));
    return text ? text : "";
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *member = json_member(object, name);
    return cJSON_IsNumber(member) ? member->valuedouble : 0;
}

static void print_classes(const cJSON *pool)
{
    const cJSON *class;
    cJSON_ArrayForEach(class, json_member(pool, "classes"))
    {
        (void)printf("  %-4s %g of %g slots busy, %g of %g waiting\n", class->string,
                     number_of(class, "busy"), number_of(class, "slots"),
                     number_of(class, "waiting"), number_of(class, "queue_limit"));
    }
}

static void print_exits(const cJSON *pool)
{
    const cJSON *kind, *reason;
    cJSON_ArrayForEach(kind, json_member(pool, "exits"))
    {
        (void)printf("  %s ended:", kind->string);
        cJSON_ArrayForEach(reason, kind)
        {
            (void)printf(" %s %g", reason->string, reason->valuedouble);
        }
        (void)puts("");
    }
}

/* A row a process; idle workers, of which there are many, only in sum. */
static void print_processes(const cJSON *pool, const char *kind, const char *count_name)
{
    const cJSON *process;
    int idle = 0;
    cJSON_ArrayForEach(process, json_member(pool, kind))
    {
        const char *state = text_of(process, "state");
        const char *run = text_of(process, "run");
        bool is_idle = strcmp(state, "idle") == 0;
        idle += is_idle;
        if (is_idle && strcmp(kind, "workers") == 0)
            continue;
        (void)printf("  %-9s %7g  %-8s %8.1f s old  %8g %s", kind, number_of(process, "pid"),
                     *run ? run : state, number_of(process, "age_s"),
                     number_of(process, count_name), count_name);
        if (*run)
            (void)printf("  %s %s for %.1f s", text_of(process, "task"),
                         text_of(process, "request_id"), number_of(process, "run_s"));
        (void)puts("");
    }
    (void)printf("  %s idle: %d\n", kind, idle);
}

static void print_pool(const cJSON *pool)
{
    (void)printf("pool %s: %s, generation %g, up %.0f s, build %s, master %g\n",
                 text_of(pool, "pool"),
                 cJSON_IsTrue(json_member(pool, "draining")) ? "draining"
                 : cJSON_IsTrue(json_member(pool, "ready"))  ? "ready"
                                                             : "starting",
                 number_of(pool, "generation"), number_of(pool, "uptime_s"), text_of(pool, "build"),
                 number_of(pool, "pid"));
    const cJSON *backlog = json_member(pool, "backlog");
    if (backlog)
        (void)printf("  backlog %g of %g\n", number_of(backlog, "queued"),
                     number_of(backlog, "limit"));
    print_classes(pool);
    if (cJSON_GetArraySize(json_member(pool, "executors")) > 0)
        print_processes(pool, "executors", "runs");
    print_processes(pool, "workers", "requests");
    print_exits(pool);
}

static int print_tables(const struct config *cfg)
{
    int status = 0;
    struct arena *a = arena_new();
    for (int kind = 0; kind < POOL_KIND_COUNT; kind++) {
        struct strbuf json = STRBUF_INIT;
        struct error error;
        cJSON *pool;
        if (pool_status_fetch(cfg, (enum pool_kind)kind, ANSWER_TIMEOUT_MS, &json, &error) == 0 &&
            json_parse(a, json.text, json.size, &pool, &error) == 0) {
            print_pool(pool);
        } else {
            (void)printf("%s\n", error.detail);
            status = EXIT_NOT_RUNNING;
        }
        strbuf_release(&json);
    }
    arena_free(a);
    return status;
}

static int print_json(const struct config *cfg)
{
    int status = 0;
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"pools\":{");
    for (int kind = 0; kind < POOL_KIND_COUNT; kind++) {
        struct strbuf json = STRBUF_INIT;
        struct error error;
        strbuf_addf(&out, "%s\"%s\":", kind > 0 ? "," : "", pool_name((enum pool_kind)kind));
        if (pool_status_fetch(cfg, (enum pool_kind)kind, ANSWER_TIMEOUT_MS, &json, &error) == 0) {
            strbuf_addstr(&out, json.text);
        } else {
            strbuf_addstr(&out, "null");
            status = EXIT_NOT_RUNNING;
        }
        strbuf_release(&json);
    }
    strbuf_addstr(&out, "}}\n");
    (void)fputs(out.text, stdout);
    strbuf_release(&out);
    return status;
}

int status_command(const struct config *cfg, bool as_json)
{
    return as_json ? print_json(cfg) : print_tables(cfg);
}
