/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.h - table runner: who computes jobs, and who no longer does
 *
 * Each operation is sent with db_send(); its answer is read in the callback by the function of the
 * same name with _read.
 */
#ifndef DB_RUNNER_H
#define DB_RUNNER_H

#include "db/db.h"

struct runner_task {
    const char *name, *lane;
};

struct runner_registration {
    const char *host, *version;
    int pid;
    double lease_seconds;
    const char *const *lanes;
    int lane_count;
    const struct runner_task *tasks;
    int task_count;
};

/* A new row, with synchronous commit; and the runner's tasks, those that are new or changed lane,
 * with the jobs that SQL enqueued before their lane was known. */
void runner_register_send(struct db *db, const struct runner_registration *r, db_done *done,
                          void *context);
int64_t runner_register_read(const struct db_rows *rows);

/* The runner has other lanes and tasks now; host, version and lease are not looked at. */
void runner_renew_send(struct db *db, int64_t runner, const struct runner_registration *r,
                       db_done *done, void *context);

/* What a runner holds: (id, lease) of each job that it has claimed and not yet finished. */
struct runner_held {
    int64_t id, lease;
};

struct runner_beat {
    bool is_fenced; /* no row was touched: kill the executors, register anew */
    /* Of what was held when the heartbeat was sent: what is no longer this runner's, since it was
     * cancelled, or claimed again; or just completed by itself, on its other connection: ignore
     * what is not held with that lease any more. */
    struct runner_held *gone;
    int gone_count;
};

/* Move the expiry on by lease_seconds; asynchronous commit. */
void runner_beat_send(struct db *db, int64_t runner, double lease_seconds,
                      const struct runner_held *held, int held_count, db_done *done, void *context);
struct runner_beat runner_beat_read(const struct db_rows *rows, struct arena *a);

/* Idle: enqueue notifies from now on. Draining: it claims no more. Asynchronous commit. */
void runner_mark_send(struct db *db, int64_t runner, bool is_idle, bool is_draining, db_done *done,
                      void *context);

/* The last thing a runner does: its row goes, when no job names it any more. */
void runner_leave_send(struct db *db, int64_t runner, db_done *done, void *context);

/* Jobs that the table says are this runner's and that are not in `held`, since the answer to their
 * claim was lost: back into the queue, untried. Sent on the connection that claims, while no claim
 * is under way. */
void runner_recover_send(struct db *db, int64_t runner, const struct runner_held *held,
                         int held_count, db_done *done, void *context);
int64_t runner_recover_read(const struct db_rows *rows); /* how many */

struct runner_rescue {
    int64_t fenced;   /* runners given up */
    int64_t returned; /* jobs back in the queue */
    int64_t failed;   /* jobs out of attempts */
};

/*
 * Fence runners past their expiry and take their jobs back, in one locked statement: into the
 * queue, or to `failed` (executor-crashed' sibling: code "unavailable", detail naming the lost
 * host) when max_attempts is reached. Does nothing while the server has been up for less than
 * lease_seconds. Rows of fenced runners go once no job names them.
 */
void runner_rescue_send(struct db *db, double lease_seconds, double retention_days, db_done *done,
                        void *context);
struct runner_rescue runner_rescue_read(const struct db_rows *rows);

/* Is there a runner whose lease has not run out, and that does not drain? For /readyz. */
int runner_any_alive(struct db *db, bool *ret_alive, struct error *reterr);

#endif
