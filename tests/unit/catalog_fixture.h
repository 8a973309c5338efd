/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * catalog_fixture.h - a catalogue of a test's own descriptors
 */
#ifndef TESTS_CATALOG_FIXTURE_H
#define TESTS_CATALOG_FIXTURE_H

#include "base/config.h"
#include "exec/catalog.h"
#include "scratch.h"

/* The parts of a descriptor that a test says nothing of. */
#define LIMITS "\"limits\": {\"seconds\": 1, \"memory_mb\": 64, \"output_bytes\": 1000}"
#define HEAD(name)       \
    "{\"name\": \"" name \
    "\", \"version\": 1, \"module\": \"t\", \"class\": \"cpu\", \"summary\": \"Test\", "

struct context {
    struct scratch scratch;
    struct catalog *catalog;
    struct arena *arena;
    struct config cfg;
    const char *printed; /* the test's own */
};

/* `descriptors`: names of tasks and JSON in turn, to NULL. */
static inline struct context *context_open(const struct config *cfg,
                                           const char *const descriptors[])
{
    static struct context c;
    struct error err;
    char name[64];
    c = (struct context){.cfg = *cfg};
    scratch_open(&c.scratch);
    c.cfg.server_tasks_dir = c.scratch.path;
    for (int i = 0; descriptors[i]; i += 2) {
        (void)snprintf(name, sizeof(name), "%s.json", descriptors[i]);
        scratch_write_text(&c.scratch, name, descriptors[i + 1]);
    }
    if (catalog_open(&c.cfg, &c.catalog, &err) != 0)
        scratch_fail(err.detail);
    c.arena = arena_new();
    return &c;
}

static inline int context_close(void **state)
{
    struct context *c = *state;
    catalog_close(c->catalog);
    arena_free(c->arena);
    scratch_close(&c->scratch);
    return 0;
}

#endif
