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
        (void)printf("  %-4s %g of %g slots busy, %g of %g waiting", class->string,
                     number_of(class, "busy"), number_of(class, "slots"),
                     number_of(class, "waiting"), number_of(class, "queue_limit"));
        if (number_of(class, "slots") < number_of(class, "wanted"))
            (void)printf("; %g slots configured, memory for %g", number_of(class, "wanted"),
                         number_of(class, "slots"));
        (void)puts("");
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
    int idle = 0, kept = 0;
    cJSON_ArrayForEach(process, json_member(pool, kind))
    {
        const char *state = text_of(process, "state");
        const char *run = text_of(process, "run");
        bool is_idle = strcmp(state, "idle") == 0;
        idle += is_idle;
        kept += cJSON_IsTrue(json_member(process, "kept"));
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
    (void)printf("  %s idle: %d", kind, idle);
    if (kept > 0)
        (void)printf(", %d of them on a kept connection", kept);
    (void)puts("");
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
    const char *sandbox = text_of(pool, "sandbox");
    if (*sandbox)
        (void)printf("  sandbox %s\n", sandbox);
    print_classes(pool);
    if (cJSON_GetArraySize(json_member(pool, "executors")) > 0)
        print_processes(pool, "executors", "runs");
    print_processes(pool, "workers", "requests");
    print_exits(pool);
}

static bool is_simple(const cJSON *value)
{
    return !cJSON_IsObject(value) && !cJSON_IsArray(value);
}

static void print_value(const cJSON *value)
{
    if (cJSON_IsNumber(value))
        (void)printf("%.10g", value->valuedouble);
    else
        (void)fputs(cJSON_IsString(value) ? value->valuestring
                    : cJSON_IsNull(value) ? "-"
                    : cJSON_IsTrue(value) ? "yes"
                                          : "no",
                    stdout);
}

/* "  name value, name value" of what is no list or object; true when there was any. */
static bool print_members(const cJSON *object)
{
    const cJSON *member;
    bool has_any = false;
    cJSON_ArrayForEach(member, object)
    {
        if (!is_simple(member))
            continue;
        (void)fputs(has_any ? ", " : " ", stdout);
        if (member->string)
            (void)printf("%s ", member->string);
        print_value(member);
        has_any = true;
    }
    return has_any;
}

/* A line for the object's own members, and one for each object in it, two levels deep. */
static void print_source(const char *name, const cJSON *status)
{
    const cJSON *part, *row;
    (void)printf("%s:", name);
    (void)print_members(status);
    (void)puts("");
    cJSON_ArrayForEach(part, status)
    {
        if (is_simple(part))
            continue;
        (void)printf("  %s:", part->string);
        if (!print_members(part) && cJSON_GetArraySize(part) == 0)
            (void)fputs(" none", stdout);
        (void)puts("");
        cJSON_ArrayForEach(row, part)
        {
            if (is_simple(row))
                continue;
            (void)printf("    %s%s", row->string ? row->string : "", row->string ? ":" : "");
            (void)print_members(row);
            (void)puts("");
        }
    }
}

static int fetch_pool(const struct config *cfg, int kind, struct arena *a, cJSON **ret_pool,
                      struct error *reterr)
{
    struct strbuf json = STRBUF_INIT;
    int failed =
        pool_status_fetch(cfg, (enum pool_kind)kind, ANSWER_TIMEOUT_MS, &json, reterr) != 0 ||
        json_parse(a, json.text, json.size, ret_pool, reterr) != 0;
    strbuf_release(&json);
    return failed ? -1 : 0;
}

static int fetch_source(const struct config *cfg, const struct status_source *source,
                        struct arena *a, cJSON **ret_status, struct error *reterr)
{
    struct strbuf json = STRBUF_INIT;
    int failed = source->fetch(cfg, ANSWER_TIMEOUT_MS, &json, reterr) != 0 ||
                 json_parse(a, json.text, json.size, ret_status, reterr) != 0;
    strbuf_release(&json);
    return failed ? -1 : 0;
}

static int missing(const struct config *cfg, bool is_pool)
{
    return is_pool || cfg->database_url[0] ? EXIT_NOT_RUNNING : 0;
}

static int print_tables(const struct config *cfg, const struct status_source *others)
{
    int status = 0;
    struct arena *a = arena_new();
    struct error error;
    cJSON *answer;
    for (int kind = 0; kind < POOL_KIND_COUNT; kind++) {
        if (fetch_pool(cfg, kind, a, &answer, &error) == 0) {
            print_pool(answer);
        } else {
            (void)puts(error.detail);
            status = missing(cfg, true);
        }
    }
    for (const struct status_source *source = others; source->name; source++) {
        if (fetch_source(cfg, source, a, &answer, &error) == 0) {
            print_source(source->name, answer);
        } else {
            (void)puts(error.detail);
            status |= missing(cfg, false);
        }
    }
    arena_free(a);
    return status;
}

/* The text as its process wrote it; null when it did not. */
static void add_answer(struct strbuf *out, const char *name, const struct strbuf *json)
{
    strbuf_addf(out, "%s\"%s\":", out->text[out->size - 1] == '{' ? "" : ",", name);
    if (json)
        strbuf_add(out, json->text, json->size);
    else
        strbuf_addstr(out, "null");
}

static int print_json(const struct config *cfg, const struct status_source *others)
{
    int status = 0;
    struct error error;
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"pools\":{");
    for (int kind = 0; kind < POOL_KIND_COUNT; kind++) {
        struct strbuf json = STRBUF_INIT;
        bool runs =
            pool_status_fetch(cfg, (enum pool_kind)kind, ANSWER_TIMEOUT_MS, &json, &error) == 0;
        add_answer(&out, pool_name((enum pool_kind)kind), runs ? &json : NULL);
        status |= runs ? 0 : missing(cfg, true);
        strbuf_release(&json);
    }
    strbuf_addch(&out, '}');
    for (const struct status_source *source = others; source->name; source++) {
        struct strbuf json = STRBUF_INIT;
        bool runs = source->fetch(cfg, ANSWER_TIMEOUT_MS, &json, &error) == 0;
        add_answer(&out, source->name, runs ? &json : NULL);
        status |= runs ? 0 : missing(cfg, false);
        strbuf_release(&json);
    }
    strbuf_addstr(&out, "}\n");
    (void)fputs(out.text, stdout);
    strbuf_release(&out);
    return status;
}

int status_command(const struct config *cfg, const struct status_source *others, bool as_json)
{
    return as_json ? print_json(cfg, others) : print_tables(cfg, others);
}
