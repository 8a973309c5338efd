/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.c - see status.h
 */
#include "pool/status.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/run_socket.h"
#include "exec/sandbox.h"
#include "pool/backlog.h"

static double seconds_since(int64_t then_us)
{
    return then_us > 0 ? (double)(clock_us() - then_us) / 1e6 : 0;
}

static void add_text(struct strbuf *out, const char *name, const char *value)
{
    strbuf_addf(out, ",\"%s\":", name);
    strbuf_add_json(out, value, strlen(value));
}

/* The place that stands for executor `i`, or for worker `pid`; NULL when there is none. */
static const struct gang_place *find_place(const struct gang *g, int executor, pid_t pid)
{
    for (int i = 0; g && i < gang_place_count(g); i++) {
        const struct gang_place *p = gang_place(g, i);
        int32_t owner = atomic_load(&p->owner);
        if (owner != 0 && (pid > 0 ? owner == pid : atomic_load(&p->executor) == executor))
            return p;
    }
    return NULL;
}

static void add_place(struct strbuf *out, const struct gang_place *p)
{
    static const char *const names[] = {"none", "waiting", "running", "stopping"};
    char task[GANG_TEXT_SIZE], id[GANG_TEXT_SIZE];
    int32_t state = atomic_load(&p->state);
    /* Copies: another process may be writing them. */
    memcpy(task, p->task, sizeof(task));
    memcpy(id, p->request_id, sizeof(id));
    task[sizeof(task) - 1] = id[sizeof(id) - 1] = '\0';
    add_text(out, "run", names[state >= 0 && state <= PLACE_STOPPING ? state : 0]);
    add_text(out, "task", task);
    add_text(out, "request_id", id);
    strbuf_addf(out, ",\"run_s\":%.3f", seconds_since(atomic_load(&p->since_us)));
}

static void add_workers(struct strbuf *out, const struct generation *g)
{
    for (int i = 0; i < g->worker_count; i++) {
        const struct worker_record *w = &g->board.workers[i];
        pid_t pid = atomic_load(&w->pid);
        const struct gang_place *p = pid > 0 ? find_place(g->gang, -1, pid) : NULL;
        strbuf_addf(out, "%s{\"pid\":%d,\"generation\":%d,\"state\":\"%s\"",
                    out->text[out->size - 1] == '[' ? "" : ",", (int)pid, g->number,
                    worker_state_name((enum worker_state)atomic_load(&w->state)));
        if (atomic_load(&w->state) == WORKER_KEPT)
            strbuf_addstr(out, ",\"kept\":true");
        strbuf_addf(out, ",\"age_s\":%.3f,\"state_s\":%.3f,\"requests\":%llu",
                    pid > 0 ? seconds_since(atomic_load(&w->started_us)) : 0,
                    seconds_since(atomic_load(&w->since_us)),
                    (unsigned long long)atomic_load(&w->requests));
        if (p)
            add_place(out, p);
        strbuf_addch(out, '}');
    }
}

static const char *executor_state(const struct gang *g, int i, const struct gang_place *p)
{
    if (atomic_load(&gang_executor(g, i)->pid) == 0)
        return "none";
    if (atomic_load(&gang_control(g, i)->ready) == 0)
        return "starting";
    if (p)
        return atomic_load(&p->state) == PLACE_STOPPING ? "stopping" : "busy";
    return atomic_load(&gang_executor(g, i)->taking) == 0 ? "stopping" : "idle";
}

static void add_executors(struct strbuf *out, const struct generation *g)
{
    for (int i = 0; g->gang && i < gang_executor_count(g->gang); i++) {
        const struct gang_executor *e = gang_executor(g->gang, i);
        const struct control *c = gang_control(g->gang, i);
        const struct gang_place *p = find_place(g->gang, i, 0);
        pid_t pid = atomic_load(&e->pid);
        strbuf_addf(out, "%s{\"pid\":%d,\"generation\":%d,\"class\":\"%s\",\"state\":\"%s\"",
                    out->text[out->size - 1] == '[' ? "" : ",", (int)pid, g->number,
                    task_class_name((enum task_class)e->class), executor_state(g->gang, i, p));
        strbuf_addf(out, ",\"age_s\":%.3f,\"runs\":%llu",
                    pid > 0 ? seconds_since(atomic_load(&e->started_us)) : 0,
                    (unsigned long long)atomic_load(&c->runs));
        if (p) {
            char text[CONTROL_TEXT_SIZE];
            uint32_t ppm = atomic_load(&c->fraction_ppm);
            memcpy(text, c->text, sizeof(text));
            text[sizeof(text) - 1] = '\0';
            add_place(out, p);
            strbuf_addf(out, ",\"fraction\":%.3f", ppm < 1000000 ? ppm / 1e6 : 1.0);
            add_text(out, "what", text);
        }
        strbuf_addch(out, '}');
    }
}

static void add_fork_server(struct strbuf *out, const struct generation *g)
{
    const struct child *c = &g->children[g->child_count - 1];
    strbuf_addf(out, "%s{\"pid\":%d,\"generation\":%d,\"state\":\"%s\",\"age_s\":%.3f}",
                out->text[out->size - 1] == '[' ? "" : ",", (int)c->pid, g->number,
                c->pid == 0       ? "none"
                : c->is_announced ? "ready"
                                  : "starting",
                c->pid > 0 ? seconds_since(c->started_us) : 0);
}

static void add_exits(struct strbuf *out, const char *name, const struct exit_counts *counts)
{
    strbuf_addf(out, "\"%s\":{\"finished\":%llu,\"failed\":%llu", name,
                (unsigned long long)counts->finished, (unsigned long long)counts->failed);
    for (int i = 1; i < SIGNAL_COUNT; i++) {
        const char *signal_name = sigabbrev_np(i);
        if (counts->signals[i] == 0)
            continue;
        if (signal_name)
            strbuf_addf(out, ",\"SIG%s\":", signal_name);
        else
            strbuf_addf(out, ",\"SIG%d\":", i);
        strbuf_addf(out, "%llu", (unsigned long long)counts->signals[i]);
    }
    strbuf_addch(out, '}');
}

static void add_classes(struct strbuf *out, const struct generation *g)
{
    if (!g->gang)
        return;
    const struct gang_shape *shape = gang_shape(g->gang);
    const char *comma = "";
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        int taken, busy;
        if (shape->slots[c] == 0)
            continue;
        gang_load(g->gang, (enum task_class)c, &taken, &busy);
        strbuf_addf(
            out,
            "%s\"%s\":{\"slots\":%d,\"wanted\":%d,\"busy\":%d,\"waiting\":%d,\"queue_limit\":%d,"
            "\"retry_after_s\":%d}",
            comma, task_class_name((enum task_class)c), shape->slots[c],
            g->slots.wanted[SLOTS_COMPUTE][c], busy, taken - busy, shape->queue_length,
            gang_retry_after(g->gang, (enum task_class)c));
        comma = ",";
    }
}

void status_print(const struct pool_status *s, struct strbuf *out)
{
    int queued, limit;
    const struct generation *newest = s->generations, *serving = newest;
    while (serving && serving->state != GENERATION_SERVING)
        serving = serving->next;
    strbuf_addf(out, "{\"version\":%d,\"pool\":\"%s\",\"pid\":%d,\"build\":\"%s\"",
                POOL_STATUS_VERSION, pool_name(s->kind), (int)getpid(), GANGSAW_VERSION);
    strbuf_addf(out, ",\"uptime_s\":%.3f,\"draining\":%s,\"generation\":%d",
                seconds_since(s->started_us), s->is_draining ? "true" : "false",
                newest ? newest->number : 0);
    strbuf_addf(out, ",\"ready\":%s", serving ? "true" : "false");
    if (s->listen_fd >= 0 && backlog_read(s->listen_fd, &queued, &limit))
        strbuf_addf(out, ",\"backlog\":{\"queued\":%d,\"limit\":%d}", queued, limit);
    const struct generation *shown = serving ? serving : newest;
    if (shown && shown->gang)
        strbuf_addf(out, ",\"sandbox\":\"%s\"",
                    sandbox_mode_name((enum sandbox_mode)shown->config->executor_sandbox));
    strbuf_addstr(out, ",\"classes\":{");
    if (shown)
        add_classes(out, shown);
    strbuf_addstr(out, "},\"workers\":[");
    for (const struct generation *g = s->generations; g; g = g->next)
        add_workers(out, g);
    strbuf_addstr(out, "],\"executors\":[");
    for (const struct generation *g = s->generations; g; g = g->next)
        add_executors(out, g);
    strbuf_addstr(out, "],\"fork_servers\":[");
    for (const struct generation *g = s->generations; g; g = g->next)
        add_fork_server(out, g);
    strbuf_addstr(out, "],\"exits\":{");
    add_exits(out, "workers", &s->exits[CHILD_WORKER]);
    strbuf_addch(out, ',');
    add_exits(out, "executors", &s->exits[CHILD_EXECUTOR]);
    strbuf_addstr(out, "}}\n");
}

void status_socket_name(enum pool_kind kind, char name[STATUS_NAME_SIZE])
{
    (void)snprintf(name, STATUS_NAME_SIZE, "%s.status", pool_name(kind));
}

int pool_status_fetch(const struct config *cfg, enum pool_kind kind, int timeout_ms,
                      struct strbuf *ret_json, struct error *reterr)
{
    char name[STATUS_NAME_SIZE], who[STATUS_NAME_SIZE];
    status_socket_name(kind, name);
    (void)snprintf(who, sizeof(who), "Pool %s", pool_name(kind));
    return run_socket_fetch(cfg, name, who, timeout_ms, ret_json, reterr);
}
