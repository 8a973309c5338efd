/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * generation.c - configuration, tasks and executors, and how HUP renews them
 *
 * As in a pool, the new ones come up beside the old ones, or not at all. Jobs that have not begun
 * by then are given back untried, to be claimed again for what can be computed now; those that run
 * end in the executors that they have, and count against the new slots until then.
 */
#include "jobs/runner.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/sandbox.h"

/* ---- what can be computed here */

static bool has_module(const struct config *cfg, const struct task_desc *task)
{
    char path[512];
    int size = snprintf(path, sizeof(path), "%s/%s.so", cfg->server_modules_dir, task->module);
    return size > 0 && (size_t)size < sizeof(path) && access(path, R_OK) == 0;
}

static const char *add_lane(struct runner_generation *g, const struct task_desc *task)
{
    struct runner_class *c = &g->classes[task->class];
    const char *lane = arena_printf(g->arena, "%s/%s", task_class_name(task->class), task->module);
    for (int i = 0; i < g->lane_count; i++) {
        if (strcmp(g->lanes[i], lane) == 0)
            return g->lanes[i];
    }
    g->lanes[g->lane_count++] = lane;
    c->lanes[c->lane_count++] = lane;
    return lane;
}

/* Lanes of what can be computed here, and nothing else: a descriptor alone is not enough. */
static void find_tasks(struct runner_generation *g)
{
    const int *slots = g->slots.slots[SLOTS_JOBS];
    const struct task_desc *task;
    size_t count = 0;
    while (catalog_at(g->catalog, (int)count))
        count++;
    g->tasks = arena_alloc(g->arena, count * sizeof(*g->tasks));
    g->lanes = arena_alloc(g->arena, count * sizeof(*g->lanes));
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        g->classes[c].lanes = arena_alloc(g->arena, count * sizeof(*g->lanes));
    for (int i = 0; (task = catalog_at(g->catalog, i)); i++) {
        if (slots[task->class] == 0)
            continue;
        if (!has_module(g->config, task)) {
            log_write(LOG_WARNING, "a task without its module is left to other runners",
                      LOG_STR("task", task->name), LOG_STR("module", task->module));
            continue;
        }
        g->classes[task->class].slots = slots[task->class];
        g->tasks[g->task_count++] =
            (struct runner_task){.name = task->name, .lane = add_lane(g, task)};
    }
}

/* ---- one of them */

static int open_crew(struct runner *r, struct runner_generation *g, struct error *reterr)
{
    int slots[TASK_CLASS_COUNT];
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        slots[c] = g->classes[c].slots;
    struct crew_events events = attempt_crew_events(r);
    if (crew_open(g->config, g->catalog, slots, &events, &g->crew, reterr) != 0)
        return -1;
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(r->crews_fd, EPOLL_CTL_ADD, crew_fd(g->crew), &event) != 0)
        return error_errno(reterr, "runner: epoll_ctl");
    return 0;
}

static void generation_free(struct runner_generation *g)
{
    if (!g)
        return;
    crew_close(g->crew);
    catalog_close(g->catalog);
    arena_free(g->arena); /* with g itself */
    (void)malloc_trim(0);
}

/* Takes the arena over, which has the configuration. */
static int generation_open(struct runner *r, struct arena *a, const struct config *cfg,
                           struct runner_generation **ret_generation, struct error *reterr)
{
    struct runner_generation *g = arena_alloc(a, sizeof(*g));
    g->arena = a;
    g->config = cfg;
    g->number = r->generation_number + 1;
    g->deadline_us = clock_us() + (int64_t)(cfg->executor_start_seconds * 1e6);
    if (sandbox_check((enum sandbox_mode)cfg->executor_sandbox, reterr) != 0 ||
        catalog_open(cfg, &g->catalog, reterr) != 0) {
        generation_free(g);
        return -1;
    }
    slots_plan(cfg, g->catalog, &g->slots);
    slots_log(&g->slots, SLOTS_JOBS);
    if (cfg->executor_sandbox == SANDBOX_OFF)
        log_write(LOG_WARNING, "executors are not confined: executor.sandbox is off");
    find_tasks(g);
    if (open_crew(r, g, reterr) != 0) {
        generation_free(g);
        return -1;
    }
    (void)malloc_trim(0); /* files and their trees */
    r->generation_number++;
    *ret_generation = g;
    return 0;
}

static bool is_ready(const struct runner_generation *g)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        struct crew_load load = crew_load(g->crew, (enum task_class)c);
        if (load.ready < load.slots)
            return false;
    }
    return true;
}

/* ---- taking over */

static void use(struct runner *r, struct runner_generation *g)
{
    g->next = r->generation;
    r->generation = g;
    r->config = g->config;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        r->classes[c].can = g->classes[c];
        r->classes[c].rotation = 0;
    }
}

static void take_over(struct runner *r)
{
    struct runner_generation *g = r->coming;
    r->coming = NULL;
    attempts_return(r);
    attempts_stop(r, false);
    crew_retire(r->generation->crew);
    use(r, g);
    claim_restart(r);
    keeper_renew(r);
    log_init("runner", (enum log_level)g->config->server_log_level);
    log_write(LOG_INFO, "ready", LOG_INT("generation", g->number));
}

/* It will not serve: its executors end beside those of older ones. */
static void give_up_coming(struct runner *r)
{
    struct runner_generation *g = r->coming;
    r->coming = NULL;
    crew_retire(g->crew);
    g->next = r->generation->next;
    r->generation->next = g;
}

static void free_older(struct runner *r)
{
    for (struct runner_generation **at = &r->generation->next; *at;) {
        struct runner_generation *g = *at;
        if (g->attempts == 0 && crew_has_ended(g->crew)) {
            *at = g->next;
            generation_free(g);
        } else {
            at = &g->next;
        }
    }
}

/* ---- for runner.c */

int generations_open(struct runner *r, const struct config *cfg, struct error *reterr)
{
    struct runner_generation *g;
    r->crews_fd = epoll_create1(EPOLL_CLOEXEC);
    if (r->crews_fd < 0)
        return error_errno(reterr, "runner: epoll_create1");
    if (generation_open(r, arena_new(), cfg, &g, reterr) != 0)
        return -1;
    use(r, g);
    return 0;
}

void generations_close_crews(struct runner *r)
{
    generation_free(r->coming);
    r->coming = NULL;
    for (struct runner_generation *g = r->generation; g; g = g->next) {
        crew_close(g->crew); /* it ends the attempts, which need the rest */
        g->crew = NULL;
    }
}

void generations_close(struct runner *r)
{
    for (struct runner_generation *g; (g = r->generation) != NULL;) {
        r->generation = g->next;
        generation_free(g);
    }
    if (r->crews_fd >= 0)
        (void)close(r->crews_fd);
}

void generations_reload(struct runner *r)
{
    struct error why;
    struct config *cfg;
    if (r->is_draining)
        return;
    if (r->coming) {
        r->wants_reload = true; /* when this one is there, or late */
        return;
    }
    r->wants_reload = false;
    struct arena *a = arena_new();
    const char *path = r->config->path[0] ? r->config->path : NULL;
    if (config_load(a, path, &cfg, &why) != 0) {
        arena_free(a);
    } else if (generation_open(r, a, cfg, &r->coming, &why) == 0) {
        log_write(LOG_INFO, "reloading", LOG_INT("generation", r->coming->number));
        return;
    }
    log_write(LOG_ERROR, "reload failed, the runner goes on as it was", LOG_ERR(why));
}

int64_t generations_step(struct runner *r, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    free_older(r);
    if (r->coming && r->is_draining) {
        give_up_coming(r);
    } else if (r->coming && is_ready(r->coming)) {
        take_over(r);
    } else if (r->coming && now_us >= r->coming->deadline_us) {
        log_write(LOG_ERROR, "the new executors did not get ready; the runner goes on as it was");
        give_up_coming(r);
    }
    if (r->wants_reload && !r->coming)
        generations_reload(r);
    if (r->coming)
        next_us = r->coming->deadline_us;
    return next_us;
}

int64_t crews_step(struct runner *r)
{
    int64_t next_us = r->coming ? crew_step(r->coming->crew) : INT64_MAX;
    for (struct runner_generation *g = r->generation; g; g = g->next) {
        int64_t crew_us = crew_step(g->crew);
        next_us = crew_us < next_us ? crew_us : next_us;
    }
    return next_us;
}

void crews_reap(struct runner *r)
{
    if (r->coming)
        crew_reap(r->coming->crew);
    for (struct runner_generation *g = r->generation; g; g = g->next)
        crew_reap(g->crew);
}
