/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.c - the runner's answer on its status socket
 *
 * The socket is runner.status in server.run_dir. Whoever connects gets one JSON object and the end
 * of the connection; docs/operations.md describes it.
 */
#include "jobs/runner.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/sandbox.h"
#include "jobs/priority.h"

#define STATUS_SOCKET "runner.status"
#define STATUS_SIZE_MAX (4 * 1024 * 1024)

int status_open(struct runner *r, struct error *reterr)
{
    return run_socket_open(r->config, STATUS_SOCKET, SOCK_STREAM, 16, true, &r->status, reterr);
}

/* ---- what it says */

static void add_text(struct strbuf *out, const char *name, const char *value)
{
    strbuf_addf(out, ",\"%s\":", name);
    strbuf_add_json(out, value, strlen(value));
}

static const char *state_name(const struct runner *r)
{
    if (r->is_draining)
        return "draining";
    if (!r->keeper.is_connected || !r->is_queue_connected)
        return "disconnected";
    if (r->id == 0)
        return "registering";
    return attempts_count(r) > 0 ? "running" : "idle";
}

static double seconds_since(int64_t then_us)
{
    return (double)(clock_us() - then_us) / 1e6;
}

static void add_lanes(struct strbuf *out, const struct runner *r)
{
    const struct runner_generation *g = r->generation;
    strbuf_addstr(out, ",\"lanes\":[");
    for (int i = 0; i < g->lane_count; i++) {
        if (i > 0)
            strbuf_addch(out, ',');
        strbuf_add_json(out, g->lanes[i], strlen(g->lanes[i]));
    }
    strbuf_addch(out, ']');
}

static void add_classes(struct strbuf *out, const struct runner *r)
{
    const char *comma = "";
    strbuf_addstr(out, ",\"classes\":{");
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        const struct claim_class *c = &r->classes[i];
        if (c->can.slots == 0)
            continue;
        struct crew_load load = crew_load(r->generation->crew, (enum task_class)i);
        strbuf_addf(out,
                    "%s\"%s\":{\"slots\":%d,\"wanted\":%d,\"ready\":%d,\"busy\":%d,\"buffered\":%d,"
                    "\"mean_ms\":%.3f}",
                    comma, task_class_name((enum task_class)i), c->can.slots,
                    r->generation->slots.wanted[SLOTS_JOBS][i], load.ready, load.busy,
                    c->held - load.busy > 0 ? c->held - load.busy : 0, c->mean_us / 1000);
        comma = ",";
    }
    strbuf_addch(out, '}');
}

static void add_executor(struct strbuf *out, const struct crew_member *m, int generation)
{
    strbuf_addf(out, "{\"pid\":%d,\"generation\":%d,\"class\":\"%s\",\"state\":\"%s\"", (int)m->pid,
                generation, task_class_name(m->class), m->state);
    strbuf_addf(out, ",\"age_s\":%.3f,\"state_s\":%.3f,\"ahead\":%d", m->age_s, m->state_s,
                m->ahead);
    if (m->task)
        add_text(out, "task", m->task);
    if (m->label)
        add_text(out, "job", m->label);
    strbuf_addch(out, '}');
}

/* Of generations that go, those that still compute. */
static void add_executors(struct strbuf *out, const struct runner *r)
{
    const char *comma = "";
    strbuf_addstr(out, ",\"executors\":[");
    for (const struct runner_generation *g = r->generation; g; g = g->next) {
        for (int i = 0; i < crew_count(g->crew); i++) {
            struct crew_member m = crew_member(g->crew, i);
            if (g != r->generation && m.pid == 0)
                continue;
            strbuf_addstr(out, comma);
            add_executor(out, &m, g->number);
            comma = ",";
        }
    }
    strbuf_addch(out, ']');
}

static void add_counts(struct strbuf *out, const struct runner *r)
{
    const struct runner_counts *c = &r->counts;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"claimed", c->claimed}, {"succeeded", c->succeeded}, {"failed", c->failed},
        {"retried", c->retried}, {"crashed", c->crashed},     {"returned", c->returned},
        {"stale", c->stale},     {"canceled", c->canceled},   {"fenced", c->fenced},
    };
    strbuf_addstr(out, ",\"counts\":{");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        strbuf_addf(out, "%s\"%s\":%llu", i > 0 ? "," : "", rows[i].name,
                    (unsigned long long)rows[i].value);
    strbuf_addch(out, '}');
}

static void add_jobs(struct strbuf *out, const struct runner *r)
{
    const struct attempt_list *p = r->places;
    strbuf_addf(out,
                ",\"jobs\":{\"held\":%d,\"loading\":%d,\"computing\":%d,\"saving\":%d,"
                "\"reporting\":%d}",
                attempts_count(r), p[AT_LOAD_QUEUE].count + p[AT_LOADING].count, p[AT_CREW].count,
                p[AT_SAVE_QUEUE].count + p[AT_SAVING].count,
                p[AT_ENDED].count + p[AT_REPORTING].count);
}

static void print(const struct runner *r, struct strbuf *out)
{
    const struct keeper *k = &r->keeper;
    strbuf_addf(out, "{\"version\":%d,\"pid\":%d,\"build\":\"%s\",\"uptime_s\":%.3f",
                RUNNER_STATUS_VERSION, (int)getpid(), GANGSAW_VERSION,
                seconds_since(r->started_us));
    strbuf_addf(out, ",\"id\":%lld,\"state\":\"%s\",\"generation\":%d,\"idle_marked\":%s",
                (long long)r->id, state_name(r), r->generation->number,
                r->mark == MARK_IDLE ? "true" : "false");
    strbuf_addf(out, ",\"priority\":{\"nice\":%d,\"autogroup\":\"%s\"}", PRIORITY_NICE,
                r->autogroup);
    strbuf_addf(out, ",\"database\":{\"connected\":%s,\"listening\":%s,\"heartbeat_age_s\":",
                k->is_connected && r->is_queue_connected ? "true" : "false",
                k->is_listening ? "true" : "false");
    if (r->id > 0)
        strbuf_addf(out, "%.3f}", seconds_since(k->confirmed_us));
    else
        strbuf_addstr(out, "null}");
    add_text(out, "sandbox", sandbox_mode_name((enum sandbox_mode)r->config->executor_sandbox));
    add_lanes(out, r);
    add_classes(out, r);
    add_jobs(out, r);
    add_counts(out, r);
    add_executors(out, r);
    strbuf_addstr(out, "}\n");
}

/* In one go, without waiting: who does not take it has to ask again. */
void status_answer(const struct runner *r)
{
    int fd = accept4(r->status.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int size = STATUS_SIZE_MAX;
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    struct strbuf out = STRBUF_INIT;
    print(r, &out);
    (void)send(fd, out.text, out.size, MSG_NOSIGNAL);
    strbuf_release(&out);
    (void)close(fd);
}

/* ---- asking */

int runner_status_fetch(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                        struct error *reterr)
{
    return run_socket_fetch(cfg, STATUS_SOCKET, "The runner", timeout_ms, ret_json, reterr);
}
