/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * auth_fixture.h - a run directory of its own, and keys
 */
#ifndef TESTS_AUTH_FIXTURE_H
#define TESTS_AUTH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "auth/key.h"
#include "base/config.h"
#include "scratch.h"

struct auth_fixture {
    struct scratch scratch;
    struct config cfg;
};

static inline int auth_setup(void **state)
{
    static struct auth_fixture f;
    memset(&f, 0, sizeof(f));
    scratch_open(&f.scratch);
    f.cfg.server_user = "nobody";
    f.cfg.server_run_dir = f.scratch.path;
    f.cfg.auth_stale_seconds = 300;
    *state = &f;
    return 0;
}

static inline int auth_teardown(void **state)
{
    struct auth_fixture *f = *state;
    scratch_close(&f->scratch);
    return 0;
}

static inline const char *auth_path(const struct auth_fixture *f, const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", f->scratch.path, name);
    return path;
}

/* A new key of tenant "shop" that may all. */
static inline struct key_record auth_key(char ret_text[KEY_TEXT_LENGTH + 1])
{
    struct key_record key = {.tenant = "shop", .scopes = SCOPE_ALL};
    struct error err;
    assert_int_equal(key_generate(ret_text, key.id, key.hash, &err), 0);
    return key;
}

#define AUTH_TEST(name) cmocka_unit_test_setup_teardown(name, auth_setup, auth_teardown)

#endif
