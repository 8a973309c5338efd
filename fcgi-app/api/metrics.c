/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.c - GET /metrics: one page for all processes of the host
 *
 * What is counted lies in shared memory; what is so at this moment is asked of masters, runner, hub
 * and database, all of which may be away or hang: what is not known in time is left out.
 * To add a gauge: a row in `gauges` with a function that prints its lines.
 */
#include "api/metrics_internal.h"

#include <string.h>

#include "api/handlers.h"
#include "api/loopback.h"
#include "base/address.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/run_socket.h"
#include "http/stream.h"

#define ASK_MS 400 /* for all processes */

enum source { SOURCE_API, SOURCE_COMPUTE, SOURCE_RUNNER, SOURCE_HUB, SOURCE_COUNT };

static const char *const source_names[SOURCE_COUNT] = {"api", "compute", "runner", "hub"};

struct page {
    const struct api *api;
    struct strbuf *out;
    const char *name;            /* of the gauge that is printed */
    cJSON *status[SOURCE_COUNT]; /* NULL: it did not answer */
    struct api_figures figures;
};

#define LINE(page, value, ...)                              \
    metrics_print_gauge((page)->out, (page)->name, (value), \
                        (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* `value` as a line if it is a number. */
#define NUMBER_LINE(page, value, ...)                      \
    do {                                                   \
        if (cJSON_IsNumber(value))                         \
            LINE(page, (value)->valuedouble, __VA_ARGS__); \
    } while (0)

static bool has_database(const struct page *p)
{
    return p->api->config->database_url[0] != '\0';
}

/* Which processes there are: without a database neither runner nor hub. */
static bool is_expected(const struct page *p, int source)
{
    return source == SOURCE_API || source == SOURCE_COMPUTE || has_database(p);
}

static bool has_text(const cJSON *object, const char *name, const char *text)
{
    const char *value = cJSON_GetStringValue(json_member(object, name));
    return value && strcmp(value, text) == 0;
}

/* Members of an array with this state, and this class unless it is NULL. */
static int count_members(const cJSON *array, const char *class, const char *state)
{
    const cJSON *member;
    int count = 0;
    cJSON_ArrayForEach(member, array) count +=
        has_text(member, "state", state) && (!class || has_text(member, "class", class));
    return count;
}

static void print_build_info(struct page *p)
{
    LINE(p, 1, "version", GANGSAW_VERSION);
}

static void print_processes(struct page *p)
{
    for (int i = 0; i < SOURCE_COUNT; i++) {
        if (is_expected(p, i))
            LINE(p, p->status[i] ? 1 : 0, "process", source_names[i]);
    }
}

static void print_workers(struct page *p)
{
    static const char *const states[] = {"none", "starting", "idle", "busy", "draining", NULL};
    for (int i = SOURCE_API; i <= SOURCE_COMPUTE; i++) {
        const cJSON *workers = json_member(p->status[i], "workers");
        for (int s = 0; workers && states[s]; s++)
            LINE(p, count_members(workers, NULL, states[s]), "pool", source_names[i], "state",
                 states[s]);
    }
}

static void print_kept_connections(struct page *p)
{
    for (int i = SOURCE_API; i <= SOURCE_COMPUTE; i++) {
        const cJSON *workers = json_member(p->status[i], "workers"), *worker;
        int count = 0;
        cJSON_ArrayForEach(worker, workers) count += cJSON_IsTrue(json_member(worker, "kept"));
        if (workers)
            LINE(p, count, "pool", source_names[i]);
    }
}

static void print_executors(struct page *p)
{
    static const char *const states[SOURCE_COUNT][7] = {
        [SOURCE_COMPUTE] = {"none", "starting", "idle", "busy", "stopping"},
        [SOURCE_RUNNER] = {"starting", "idle", "busy", "restarting"}};
    for (int i = SOURCE_COMPUTE; i <= SOURCE_RUNNER; i++) {
        const cJSON *executors = json_member(p->status[i], "executors"), *class;
        cJSON_ArrayForEach(class, json_member(p->status[i], "classes"))
        {
            for (int s = 0; states[i][s]; s++)
                LINE(p, count_members(executors, class->string, states[i][s]), "owner",
                     source_names[i], "class", class->string, "state", states[i][s]);
        }
    }
}

/* One number of each class of an owner. */
static void print_classes(struct page *p, int source, const char *member)
{
    const cJSON *class;
    cJSON_ArrayForEach(class, json_member(p->status[source], "classes"))
    {
        const cJSON *value = json_member(class, member);
        NUMBER_LINE(p, value, "owner", source_names[source], "class", class->string);
    }
}

static void print_slots(struct page *p)
{
    print_classes(p, SOURCE_COMPUTE, "slots");
    print_classes(p, SOURCE_RUNNER, "slots");
}

static void print_waiting(struct page *p)
{
    print_classes(p, SOURCE_COMPUTE, "waiting");
    print_classes(p, SOURCE_RUNNER, "buffered");
}

static void print_waiting_limit(struct page *p)
{
    print_classes(p, SOURCE_COMPUTE, "queue_limit");
}

static void print_backlog_member(struct page *p, const char *member)
{
    for (int i = SOURCE_API; i <= SOURCE_COMPUTE; i++) {
        const cJSON *value = json_member(json_member(p->status[i], "backlog"), member);
        NUMBER_LINE(p, value, "pool", source_names[i]);
    }
}

static void print_backlog(struct page *p)
{
    print_backlog_member(p, "queued");
}

static void print_backlog_limit(struct page *p)
{
    print_backlog_member(p, "limit");
}

static void print_runner_jobs(struct page *p)
{
    const cJSON *jobs = json_member(p->status[SOURCE_RUNNER], "jobs"), *value;
    cJSON_ArrayForEach(value, jobs)
    {
        if (strcmp(value->string, "held") != 0) /* the sum, and what is buffered */
            NUMBER_LINE(p, value, "state", value->string);
    }
}

static void print_heartbeat(struct page *p)
{
    const cJSON *database = json_member(p->status[SOURCE_RUNNER], "database");
    const cJSON *age = json_member(database, "heartbeat_age_s");
    NUMBER_LINE(p, age);
}

static void print_hub_clients(struct page *p)
{
    const cJSON *value;
    cJSON_ArrayForEach(value, json_member(p->status[SOURCE_HUB], "clients"))
    {
        if (strcmp(value->string, "limit") != 0)
            NUMBER_LINE(p, value, "state", value->string);
    }
}

static void print_hub_limit(struct page *p)
{
    const cJSON *limit = json_member(json_member(p->status[SOURCE_HUB], "clients"), "limit");
    NUMBER_LINE(p, limit);
}

static void print_database(struct page *p)
{
    if (has_database(p))
        LINE(p, atomic_load(&p->figures.is_up) ? 1 : 0);
}

static void print_queue(struct page *p, bool wants_age)
{
    if (!atomic_load(&p->figures.is_up) || !atomic_load(&p->figures.is_counted))
        return;
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        for (int i = 0; i < API_QUEUE_STATES; i++) {
            double depth = (double)atomic_load(&p->figures.depths[class][i]);
            double oldest = (double)atomic_load(&p->figures.oldest_ms[class][i]) / 1000;
            LINE(p, wants_age ? oldest : depth, "class", task_class_name((enum task_class) class),
                 "state", metrics_queue_state(i));
        }
    }
}

static void print_queue_depth(struct page *p)
{
    print_queue(p, false);
}

static void print_queue_oldest(struct page *p)
{
    print_queue(p, true);
}

/* clang-format off */
static const struct {
    const char *name, *labels, *help;
    void (*print)(struct page *p);
} gauges[] = {
    {"gangsaw_build_info", "version", "1, and the version of the worker that made this page.",
     print_build_info},
    {"gangsaw_process_up", "process",
     "Does it answer: the masters of pools api and compute, runner, hub; the last two where there is a database.url.",
     print_processes},
    {"gangsaw_workers", "pool state", "Workers of a pool.", print_workers},
    {"gangsaw_kept_connections", "pool", "Idle workers that wait for the next request of a kept connection.",
     print_kept_connections},
    {"gangsaw_executors", "owner class state", "Executors of pool compute and of the runner.", print_executors},
    {"gangsaw_slots", "owner class", "Runs that can be computed at a time.", print_slots},
    {"gangsaw_waiting_runs", "owner class",
     "Requests that wait for a slot (compute); jobs that were claimed and wait in the runner.", print_waiting},
    {"gangsaw_waiting_runs_limit", "owner class", "How many requests may wait for a slot.", print_waiting_limit},
    {"gangsaw_backlog_connections", "pool", "Connections that wait in the kernel for a worker.", print_backlog},
    {"gangsaw_backlog_connections_limit", "pool", "How many may wait there.", print_backlog_limit},
    {"gangsaw_runner_jobs", "state", "Jobs that the runner holds, by what is done with them.", print_runner_jobs},
    {"gangsaw_runner_heartbeat_age_seconds", "", "Since the runner's lease was last confirmed.", print_heartbeat},
    {"gangsaw_hub_clients", "state", "Clients that the hub holds.", print_hub_clients},
    {"gangsaw_hub_clients_limit", "", "How many it takes.", print_hub_limit},
    {"gangsaw_database_up", "", "Did the database answer, less than a second ago or now.", print_database},
    {"gangsaw_queue_depth", "class state",
     "Live jobs of all hosts; above 100,000 of a class and state an estimate.", print_queue_depth},
    {"gangsaw_queue_oldest_seconds", "class state",
     "How long the oldest has been queued since it was ready, scheduled since it was stored, or running.",
     print_queue_oldest},
};
/* clang-format on */

#define GAUGE_COUNT (sizeof(gauges) / sizeof(gauges[0]))

void api_metrics_print_reference(struct strbuf *out)
{
    for (size_t i = 0; i < GAUGE_COUNT; i++)
        strbuf_addf(out, "%s\tgauge\t%s\t%s\n", gauges[i].name, gauges[i].labels, gauges[i].help);
}

static void ask_processes(struct page *p, struct arena *a)
{
    struct run_socket_question questions[SOURCE_COUNT];
    struct error ignored;
    for (int i = 0; i < SOURCE_COUNT; i++)
        questions[i] = (struct run_socket_question){
            .name = arena_printf(a, "%s.status", source_names[i]), .text = STRBUF_INIT};
    run_socket_fetch_all(p->api->config, questions, SOURCE_COUNT, ASK_MS);
    for (int i = 0; i < SOURCE_COUNT; i++) {
        const struct strbuf *text = &questions[i].text;
        if (text->size > 0 && json_parse(a, text->text, text->size, &p->status[i], &ignored) != 0)
            p->status[i] = NULL;
        strbuf_release(&questions[i].text);
    }
}

bool api_metrics_are_open(const struct api *api, const struct http_request *req)
{
    return loopback_is_request(req) ||
           address_is_in(http_variable(req, "REMOTE_ADDR"), api->config->metrics_allow);
}

HANDLER(metrics_show)
{
    struct strbuf out = STRBUF_INIT;
    struct page p = {.api = context, .out = &out};
    (void)match;
    (void)errors;
    (void)reterr;
    ask_processes(&p, req->arena);
    if (has_database(&p))
        metrics_database_look(p.api, &p.figures);
    metrics_print(&out);
    for (size_t i = 0; i < GAUGE_COUNT; i++) {
        p.name = gauges[i].name;
        metrics_print_gauge_head(&out, gauges[i].name, gauges[i].help);
        gauges[i].print(&p);
    }
    const char *body = arena_memdup(req->arena, out.text, out.size);
    http_response_header(res, "Cache-Control", "no-store");
    http_response_body(res, 200, "text/plain; version=0.0.4", body, out.size);
    strbuf_release(&out);
    return 0;
}
