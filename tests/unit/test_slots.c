/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots: as many as configured, or as the memory does for.
 */
#include "exec/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scratch.h"

#define MIB (INT64_C(1) << 20)

struct context {
    struct scratch scratch;
    struct config cfg;
    struct catalog *catalog;
};

static void write_task(const struct scratch *s, const char *name, const char *class, int memory_mb)
{
    char file[64], text[512];
    (void)snprintf(file, sizeof(file), "%s.json", name);
    (void)snprintf(text, sizeof(text),
                   "{\"name\":\"%s\",\"version\":1,\"module\":\"m\",\"class\":\"%s\","
                   "\"summary\":\"s\",\"params\":{\"type\":\"object\"},\"limits\":"
                   "{\"seconds\":1,\"memory_mb\":%d,\"output_bytes\":1}}",
                   name, class, memory_mb);
    scratch_write_text(s, file, text);
}

/* cpu_mb, net_mb: the largest task of the class; 0: none. */
static void open_catalog(struct context *c, int cpu_mb, int net_mb)
{
    struct error err;
    scratch_open(&c->scratch);
    if (cpu_mb > 0) {
        write_task(&c->scratch, "m.cpu", "cpu", cpu_mb);
        write_task(&c->scratch, "m.small", "cpu", 1);
    }
    if (net_mb > 0)
        write_task(&c->scratch, "m.net", "net", net_mb);
    c->cfg.server_tasks_dir = c->scratch.path;
    assert_int_equal(catalog_open(&c->cfg, &c->catalog, &err), 0);
}

static void close_catalog(struct context *c)
{
    catalog_close(c->catalog);
    scratch_close(&c->scratch);
}

static const struct {
    const char *what;
    int memory_mb, cpu_mb, net_mb;
    bool has_database;
    int wanted[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT];
    int slots[SLOTS_OWNER_COUNT][TASK_CLASS_COUNT];
} cases[] = {
    {"enough", 8000, 100, 0, true, {{4, 32}, {4, 32}}, {{4, 0}, {4, 0}}},
    {"exactly enough", 800, 100, 0, true, {{3, 0}, {3, 0}}, {{3, 0}, {3, 0}}},
    {"half of it", 400, 100, 0, true, {{4, 0}, {4, 0}}, {{2, 0}, {1, 0}}},
    {"no runner without a database", 800, 100, 0, false, {{6, 0}, {6, 0}}, {{6, 0}, {0, 0}}},
    {"in proportion", 4000, 100, 50, true, {{10, 20}, {10, 20}}, {{8, 15}, {7, 15}}},
    {"never below one", 64, 1024, 1024, true, {{4, 32}, {4, 32}}, {{1, 1}, {1, 1}}},
    {"none where none is wanted", 64, 1024, 1024, true, {{4, 0}, {0, 32}}, {{1, 0}, {0, 1}}},
    {"one that is large leaves the rest to the others",
     4000,
     2000,
     10,
     false,
     {{1, 200}, {0, 0}},
     {{1, 100}, {0, 0}}},
    {"a class without tasks takes nothing", 400, 0, 100, true, {{8, 2}, {8, 1}}, {{0, 2}, {0, 1}}},
};

static void plan_case(size_t i, struct slots_plan *ret_plan)
{
    struct context c = {.cfg = {.database_url = cases[i].has_database ? "host=x" : "",
                                .server_memory = cases[i].memory_mb * MIB,
                                .compute_slots = cases[i].wanted[SLOTS_COMPUTE][TASK_CPU],
                                .compute_net_slots = cases[i].wanted[SLOTS_COMPUTE][TASK_NET],
                                .jobs_slots = cases[i].wanted[SLOTS_JOBS][TASK_CPU],
                                .jobs_net_slots = cases[i].wanted[SLOTS_JOBS][TASK_NET]}};
    open_catalog(&c, cases[i].cpu_mb, cases[i].net_mb);
    slots_plan(&c.cfg, c.catalog, ret_plan);
    close_catalog(&c);
}

static void test_slots_are_as_many_as_the_memory_does_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slots_plan plan;
        plan_case(i, &plan);
        for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
            for (int k = 0; k < TASK_CLASS_COUNT; k++) {
                if (plan.slots[o][k] != cases[i].slots[o][k])
                    fail_msg("%s: owner %d, class %d: %d rather than %d", cases[i].what, o, k,
                             plan.slots[o][k], cases[i].slots[o][k]);
            }
        }
    }
}

static void test_slots_stay_within_three_quarters_or_at_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slots_plan plan;
        size_t taken = 0, most = 0;
        plan_case(i, &plan);
        for (int o = 0; o < SLOTS_OWNER_COUNT; o++) {
            for (int k = 0; k < TASK_CLASS_COUNT; k++) {
                taken += (size_t)plan.slots[o][k] * plan.memory_bytes[k];
                most = (size_t)plan.slots[o][k] > most ? (size_t)plan.slots[o][k] : most;
                assert_int_equal(plan.slots[o][k] == 0, plan.wanted[o][k] == 0);
                assert_true(plan.slots[o][k] <= plan.wanted[o][k]);
            }
        }
        assert_int_equal(plan.budget_bytes, cases[i].memory_mb * MIB / 100 * 75);
        assert_true(taken <= plan.budget_bytes || most == 1);
        assert_int_equal(plan.is_reduced, memcmp(plan.slots, plan.wanted, sizeof(plan.slots)) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_are_as_many_as_the_memory_does_for),
        cmocka_unit_test(test_slots_stay_within_three_quarters_or_at_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
