/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage.h - how much of its limits each key uses on this host, in shared memory
 *
 * One file in server.run_dir, mapped by all workers of both pools. The rate is one number per key
 * (GCRA: the theoretical arrival time), changed with one compare-and-swap, its key included. What
 * runs is never a counter: each worker has a record in which the key of its run stands, and runs
 * are counted by looking at the records; so a worker that was killed leaks nothing: the kernel
 * unlocks its record.
 *
 * Bounds: never more runs of a key than its limit. A dead worker's run counts for up to 0.1 s more
 * when it is in the way. When more than one begins at the same moment and there is not room for
 * all, one may be refused a millisecond before a place is free. A rate is exact for ten thousand
 * keys at a time; of very many more, those that asked longest ago are forgotten early.
 *
 * GCRA: ITU-T I.371; the bucket holds a minute's worth, so that a minute's burst passes at once.
 */
#ifndef AUTH_USAGE_H
#define AUTH_USAGE_H

#include "auth/key.h"
#include "base/config.h"

struct usage;

/* Errors: ERR_INTERNAL. The worker's record is taken at its first run. */
int usage_open(const struct config *cfg, struct usage **ret_usage, struct error *reterr);
void usage_close(struct usage *u); /* NULL is fine */

struct usage_rate {
    int64_t limit;     /* requests a minute; 0: none */
    int64_t remaining; /* that would pass at this moment */
    int reset_s;       /* until the whole of the minute's quota is there again, rounded up */
    int retry_s;       /* refused: until one would pass, at least 1; else 0 */
};

/* Count one request of a key. False: it is over the limit, and not counted. */
bool usage_request(struct usage *u, const struct key_record *key, int64_t now_us,
                   struct usage_rate *ret_rate);

/* The same without counting one. */
void usage_look(struct usage *u, const struct key_record *key, int64_t now_us,
                struct usage_rate *ret_rate);

/* A run of the calling process begins; false: concurrent_runs are under way. Given back by
 * usage_run_end(), which is also fine without one. *ret_running: of this key, this one included. */
bool usage_run_begin(struct usage *u, const struct key_record *key, int *ret_running);
void usage_run_end(struct usage *u);

#endif
