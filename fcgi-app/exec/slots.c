/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slots.c - see slots.h
 */
#include "exec/slots.h"

#include <stdbool.h>
#include <string.h>

#include "base/log.h"

#define SHARE_PERCENT 75 /* the rest is for workers, runner, hub, nginx, PostgreSQL, page cache */
#define MIB ((double)(1 << 20))

static const char *const option_names[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT] = {
    {"compute.slots", "compute.net_slots"}, {"jobs.slots", "jobs.net_slots"}};

static double taken(const struct slots_plan *plan)
{
    double bytes = 0;
    for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
        for (int c = 0; c < TASK_CLASS_COUNT; c++)
            bytes += (double)plan->slots[o][c] * (double)plan->memory_bytes[c];
    }
    return bytes;
}

/*
 * Each gets the same part of what it wants. Those that come to less than one slot get one, and the
 * others share what that leaves.
 */
static void divide(struct slots_plan *plan)
{
    bool is_settled[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT] = {{false}}, has_changed = true;
    while (has_changed) {
        double wanted = 0, left = (double)plan->budget_bytes;
        has_changed = false;
        for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
            for (int c = 0; c < TASK_CLASS_COUNT; c++) {
                double one = (double)plan->memory_bytes[c];
                wanted += is_settled[o][c] ? 0 : plan->wanted[o][c] * one;
                left -= is_settled[o][c] ? one : 0;
            }
        }
        for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
            for (int c = 0; c < TASK_CLASS_COUNT; c++) {
                if (is_settled[o][c] || plan->wanted[o][c] == 0)
                    continue;
                double slots = left > 0 ? plan->wanted[o][c] * (left / wanted) : 0;
                is_settled[o][c] = slots < 1;
                has_changed = has_changed || slots < 1;
                plan->slots[o][c] = slots < 1 ? 1 : (int)slots;
            }
        }
    }
}

/* Rounding down leaves room for some more: interactive runs first. */
static void fill_up(struct slots_plan *plan)
{
    for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
        for (int c = 0; c < TASK_CLASS_COUNT; c++) {
            double one = (double)plan->memory_bytes[c];
            if (plan->slots[o][c] < plan->wanted[o][c] &&
                taken(plan) + one <= (double)plan->budget_bytes)
                plan->slots[o][c]++;
        }
    }
}

void slots_plan(const struct config *cfg, const struct catalog *catalog,
                struct slots_plan *ret_plan)
{
    const int configured[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT] = {
        [SLOTS_COMPUTE] = {cfg->compute_slots, cfg->compute_net_slots},
        [SLOTS_JOBS] = {cfg->jobs_slots, cfg->jobs_net_slots}};
    struct slots_plan plan = {.budget_bytes = (size_t)(cfg->server_memory / 100 * SHARE_PERCENT)};
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (catalog_class_count(catalog, (enum task_class)c) == 0)
            continue;
        plan.memory_bytes[c] = catalog_class_limits(catalog, (enum task_class)c).memory_bytes;
        plan.wanted[SLOTS_COMPUTE][c] = configured[SLOTS_COMPUTE][c];
        if (cfg->database_url[0]) /* else there is no runner */
            plan.wanted[SLOTS_JOBS][c] = configured[SLOTS_JOBS][c];
    }
    memcpy(plan.slots, plan.wanted, sizeof(plan.slots));
    if (taken(&plan) > (double)plan.budget_bytes) {
        divide(&plan);
        fill_up(&plan);
    }
    plan.is_reduced = memcmp(plan.slots, plan.wanted, sizeof(plan.slots)) != 0;
    *ret_plan = plan;
}

void slots_log(const struct slots_plan *plan, enum slots_owner owner)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        if (plan->slots[owner][c] >= plan->wanted[owner][c])
            continue;
        log_write(LOG_WARNING, "fewer slots than configured: the memory would not do for them",
                  LOG_STR("option", option_names[owner][c]),
                  LOG_INT("wanted", plan->wanted[owner][c]),
                  LOG_INT("slots", plan->slots[owner][c]),
                  LOG_NUM("memory_mb", (double)plan->memory_bytes[c] / MIB),
                  LOG_NUM("budget_mb", (double)plan->budget_bytes / MIB));
    }
}
