/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * db_loop.h - the event loop's side of a connection, until something was called back
 */
#ifndef TESTS_DB_LOOP_H
#define TESTS_DB_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/db.h"

#define LOOP_LIMIT_US 20000000

/* Until a callback has raised *counter to `wanted`. */
static inline void db_loop_until(struct db *db, const int *counter, int wanted)
{
    int64_t end = clock_us() + LOOP_LIMIT_US;
    while (*counter < wanted && clock_us() < end) {
        struct pollfd p;
        int64_t at = db_poll(db, &p);
        (void)poll(&p, 1, clock_poll_ms(at < end ? at : end));
        db_step(db);
    }
    assert_true(*counter >= wanted);
}

#endif
