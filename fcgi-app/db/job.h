/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job.h - tables job and job_done
 *
 * The runner's side is asynchronous (X_send(), and X_read() in the callback), the API's waits.
 * A job ends once: whoever ends an attempt names its id, lease and runner; whatever else happens to
 * a running job raises its lease.
 */
#ifndef DB_JOB_H
#define DB_JOB_H

#include "db/db.h"

/*
 * Sessions that run statements of this header and of runner.h. Plans are made once and kept, often
 * while a table is still empty: what would be quick then, and ruinous with a million rows, is ruled
 * out. DB_QUEUE_OPTIONS: a runner's and a hub's; DB_WORK_OPTIONS: a worker's, which waits for
 * nobody long.
 */
#define DB_QUEUE_OPTIONS                                                         \
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off "     \
    "-c enable_mergejoin=off -c enable_sort=off -c enable_incremental_sort=off " \
    "-c plan_cache_mode=force_generic_plan"
#define DB_WORK_OPTIONS                                                  \
    "-c enable_seqscan=off -c enable_bitmapscan=off -c enable_sort=off " \
    "-c enable_incremental_sort=off -c lock_timeout=1s"

enum job_state {
    JOB_QUEUED,
    JOB_SCHEDULED, /* waits for its time, or for the next attempt */
    JOB_RUNNING,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELED,
    JOB_STATE_COUNT
};

const char *job_state_name(enum job_state state); /* "queued" … */
int job_state_parse(const char *name);            /* -1 when there is none of that name */
bool job_state_is_final(enum job_state state);

#define JOB_PRIORITY_MAX 100
#define JOB_ATTEMPTS_DEFAULT 5
#define JOB_ATTEMPTS_MAX 100
#define JOB_UNIQUE_MAX 255 /* characters */
#define JOB_TAGS_MAX 20
#define JOB_TAG_MAX 64 /* characters */
#define JOB_BATCH_MAX 10000
#define JOB_STORE_SLICE 1000 /* more are stored by several statements in one transaction */
#define JOB_AHEAD_DAYS 366   /* run_at */

/* ---- storing (waits) */

struct job_new {
    const char *task, *lane; /* lane: class and module, "cpu/image" */
    const char *params;      /* JSON text: a synchronous JSON body, validated */
    int priority;
    int64_t run_at_us;    /* real time; 0: now */
    double delay_seconds; /* from the database's now; 0: none */
    int max_attempts;
    double timeout_seconds; /* 0: the task's own limit */
    const char *unique_key; /* NULL: none */
    const char *const *tags;
    int tag_count;
    const int64_t *blobs; /* keys of blobs that the params refer to; checked to exist */
    int blob_count;
    const char *request_id, *traceparent; /* NULL: none */
};

/* An Idempotency-Key; NULL key: none. */
struct job_idempotency {
    const char *route, *key;
    const unsigned char *request_sha256; /* 32 bytes */
};

/* What is stored at once: all of one tenant's. */
struct job_batch {
    const char *tenant;
    const struct job_new *jobs;
    int count;
    const struct job_idempotency *idempotency; /* NULL: none */
    int64_t queued_limit; /* of the tenant's live jobs that have not begun; 0: none */
    bool is_awaited;      /* their end will be notified */
};

struct job_stored {
    int64_t id;
    bool is_new; /* false: the live job that holds the unique key, or was stored before */
    int64_t created_us, ready_us; /* of a new one: real time */
};

/*
 * Store jobs: all or none, in one transaction, whose commit is synchronous; wake an idle runner.
 * ret_stored has as many entries in the same order. With an Idempotency-Key that was used before
 * with the same request, its jobs are given and *ret_replayed is true.
 * Errors: ERR_INVALID_PARAMS the key was used with another request (the detail says so);
 * ERR_CONFLICT a request with this key is under way; ERR_NOT_FOUND a blob has just expired;
 * ERR_RATE_LIMITED as job_check_queue(), jobs that get a live one's id not counted;
 * ERR_UNAVAILABLE, also where somebody else's transaction
 * holds a unique key for long.
 */
int job_store(struct db *db, struct arena *a, const struct job_batch *batch,
              struct job_stored *ret_stored, bool *ret_replayed, struct error *reterr);

/*
 * May a tenant have `adding` more jobs that are queued or scheduled? Looks at no more than `limit`
 * of them (0: no limit). Requests that ask at the same time do not see each other's jobs, so the
 * limit can be passed by what is being stored at that moment, by each worker one request.
 * Errors: ERR_RATE_LIMITED with the limit and how many there are; ERR_UNAVAILABLE.
 */
int job_check_queue(struct db *db, struct arena *a, const char *tenant, int64_t limit, int adding,
                    struct error *reterr);

/*
 * What an Idempotency-Key was used for before: *ret_count jobs (0: it was not used), in their
 * order. Takes no lock. Errors: ERR_INVALID_PARAMS it was used with another request;
 * ERR_UNAVAILABLE.
 */
int job_find_stored(struct db *db, struct arena *a, const char *tenant,
                    const struct job_idempotency *idempotency, struct job_stored **ret_stored,
                    int *ret_count, struct error *reterr);

/* ---- reading (waits) */

struct job_output {
    const char *name, *media_type, *sha256; /* hexadecimal */
    int64_t size, blob;
};

/* A row of job or job_done; texts belong to the arena, NULL where there is none. Times are real
 * time in µs, 0 when there is none. */
struct job_row {
    int64_t id, lease;
    enum job_state state;
    const char *task, *lane, *tenant, *params, *unique_key, *request_id, *traceparent;
    const char **tags; /* ends with NULL; NULL: none */
    int priority, attempt, crashes, max_attempts;
    double timeout_seconds; /* NaN: the task's own */
    double fraction;        /* of progress, 0 to 1; NaN: none */
    const char *what;
    int64_t created_us, ready_us, started_us, finished_us;
    double run_ms, cpu_ms; /* NaN until it finished */
    const char *attempts;  /* JSON: earlier attempts, see the table; NULL: none */
    const char *error;     /* JSON {"code", "detail"}; NULL: none */
    const char *result;    /* JSON; NULL if it was not asked for */
    struct job_output *outputs;
    int output_count;
};

/* The row of a job as it was stored: for who has just stored it and need not read it again. */
struct job_row job_new_row(const char *tenant, const struct job_new *job,
                           const struct job_stored *stored, struct arena *a);

/* A job of another tenant is none. ERR_GONE when there is none: ids are checked before
 * (db_id_parse), and are of one tenant, so it has been pruned. Without
 * params, which may be large and are for runners; with_result: with the result, which may be too.
 */
int job_get(struct db *db, struct arena *a, const char *tenant, int64_t id, bool with_result,
            struct job_row *ret_row, struct error *reterr);

/* job_get() with the result, for who expects that it has ended a moment ago: then it is quicker. */
int job_get_ended(struct db *db, struct arena *a, const char *tenant, int64_t id,
                  struct job_row *ret_row, struct error *reterr);

/* Compares keys, and whatever begins with one, as rows do; for qsort() and bsearch(). */
int job_compare_ids(const void *one, const void *two);

/* Many at once, those that exist, in any order; without params and result. */
int job_get_many(struct db *db, struct arena *a, const char *tenant, const int64_t *ids, int count,
                 struct job_row **ret_rows, int *ret_count, struct error *reterr);

struct job_filter {
    const char *tenant;
    int state;        /* enum job_state, or -1: any */
    const char *task; /* NULL: any */
    const char *tag;  /* NULL: any */
    int64_t before;   /* ids below this one; 0: from the newest */
    int limit;
};

/* Newest first, without params and result. */
int job_list(struct db *db, struct arena *a, const struct job_filter *filter,
             struct job_row **ret_rows, int *ret_count, struct error *reterr);

/* ---- changing (waits) */

/* Make a live job `canceled`, tell its runner; a finished one stays as it is. Commit is
 * synchronous. ERR_GONE as job_get(). */
int job_cancel(struct db *db, struct arena *a, const char *tenant, int64_t id,
               double retention_days, struct error *reterr);

/* Put a finished job back into the queue under its id, with max_attempts further attempts; a live
 * one stays as it is. ERR_CONFLICT: another live job has its unique key. ERR_GONE: pruned, or an
 * input has expired (the detail says which). */
int job_retry(struct db *db, struct arena *a, const char *tenant, int64_t id, struct error *reterr);

/* ---- for `gangsaw jobs` (waits) */

struct job_lane_counts {
    const char *lane;
    int64_t queued, scheduled, running;
    double oldest_seconds; /* how long the oldest queued one has been ready; NaN: none */
    int runners;           /* live ones that serve it */
};

/* Lanes with live jobs or live runners, by name; finished jobs that are still kept, by state.
 * Everything is counted, so it takes the longer the more jobs there are. */
int job_counts(struct db *db, struct arena *a, struct job_lane_counts **ret_lanes,
               int *ret_lane_count, int64_t ret_finished[JOB_STATE_COUNT], struct error *reterr);

/* ---- for /metrics (waits) */

struct job_figure {
    const char *class;
    enum job_state state; /* queued, scheduled or running */
    int64_t count;
    double oldest_seconds; /* since it was ready, was stored, was begun; NaN: there is none */
};

/* Live jobs by class and state; combinations without jobs may be missing. At most `count_max` rows
 * of each are looked at: beyond that the count is the server's estimate, and the oldest is that of
 * those that are next. */
int job_figures(struct db *db, struct arena *a, const char *const *classes, int class_count,
                int64_t count_max, struct job_figure **ret_figures, int *ret_count,
                struct error *reterr);

/* ---- the runner's (event loop) */

struct job_claimed {
    int64_t id, lease;
    int attempt, crashes, max_attempts;
    double timeout_seconds; /* NaN: the task's own */
    const char *task, *params, *tenant, *request_id, *traceparent;
    bool is_watched, has_blobs; /* has_blobs: as inputs */
    int64_t wait_us;            /* since it was ready */
};

/*
 * Claim up to `limit` ready jobs of these lanes (all of one class), lanes in the given order, jobs
 * in the order of the ready index. Each gets a new lease, and its attempt is counted. A fenced
 * runner gets none. Asynchronous commit. Watched ones are notified as running.
 */
void job_claim_send(struct db *db, int64_t runner, const char *const *lanes, int lane_count,
                    int limit, db_done *done, void *context);
int job_claim_read(const struct db_rows *rows, struct arena *a, struct job_claimed **ret_jobs);

/* Scheduled jobs whose time has come become ready, at most `limit`; how many, and how long (ms)
 * until the next one is due (-1: none is scheduled). */
void job_promote_send(struct db *db, int limit, db_done *done, void *context);
void job_promote_read(const struct db_rows *rows, int *ret_count, int64_t *ret_next_ms);

struct job_end {
    int64_t id, lease;
    enum job_state state; /* JOB_SUCCEEDED or JOB_FAILED */
    double run_ms, cpu_ms;
    int64_t ended_us;    /* monotonic: when, so that waiting for this batch does not count */
    const char *result;  /* JSON text; NULL: none */
    const char *outputs; /* JSON as the table has it; NULL: none */
    const int64_t *blobs;
    int blob_count;    /* keys of the outputs' blobs */
    const char *error; /* JSON {"code", "detail"}; NULL: none */
    bool crashed;      /* the executor's death was the end: counted among the job's crashes */
    bool is_plain;     /* the job has no blobs as inputs; false: it may have some */
};

/*
 * Record the end of attempts; synchronous commit. Rows whose id, lease and runner do not match stay
 * as they are. Blobs of outputs and inputs are kept for retention_days from then. Watched ones are
 * notified, with one NOTIFY.
 */
void job_complete_send(struct db *db, int64_t runner, const struct job_end *ends, int count,
                       double retention_days, db_done *done, void *context);
/* The ids that were recorded; the others were stale. */
int job_complete_read(const struct db_rows *rows, struct arena *a, int64_t **ret_ids);

enum job_return_kind {
    JOB_RETURN_RETRY,   /* a transient error: scheduled after delay_seconds */
    JOB_RETURN_CRASH,   /* the executor died: queued at once, crash counted */
    JOB_RETURN_UNTRIED, /* drained, or never begun: queued at once, the attempt not counted */
};

struct job_return {
    int64_t id, lease;
    enum job_return_kind kind;
    double delay_seconds;
    double run_ms;
    const char *error; /* JSON {"code", "detail"}, added to `attempts`; NULL with UNTRIED */
};

/* Give attempts back; the same fencing, asynchronous commit. job_complete_read() gives the ids. */
void job_return_send(struct db *db, int64_t runner, const struct job_return *returns, int count,
                     db_done *done, void *context);

struct job_progress {
    int64_t id, lease;
    double fraction;
    const char *what;
};

/* Asynchronous commit; watched ones are notified. */
void job_progress_send(struct db *db, int64_t runner, const struct job_progress *progress,
                       int count, db_done *done, void *context);

/* ---- the hub's (event loop) */

/* Mark jobs as watched and give their state; finished ones too. Read with job_rows_read(). */
void job_watch_send(struct db *db, const int64_t *ids, int count, db_done *done, void *context);

/* State of jobs, live or finished, without params and result. */
void job_states_send(struct db *db, const int64_t *ids, int count, db_done *done, void *context);
int job_rows_read(const struct db_rows *rows, struct arena *a, struct job_row **ret_rows);

/* No job that has been stored so far, or is being stored, has a larger id than this. */
void job_last_id_send(struct db *db, db_done *done, void *context);
int64_t job_last_id_read(const struct db_rows *rows);

/*
 * Notifications. JOB_CHANNEL_NEW wakes idle runners (no payload). JOB_CHANNEL_CANCEL:
 * "runner:id:lease", the lease as it was claimed: a later attempt of the job is not meant.
 * JOB_CHANNEL_CHANGED: ids of watched jobs that changed, separated by commas; JOB_MARK_ENDED behind
 * one says that this was its end, which is committed then.
 */
#define JOB_CHANNEL_NEW "gangsaw_job"
#define JOB_CHANNEL_CANCEL "gangsaw_cancel"
#define JOB_CHANNEL_CHANGED "gangsaw_changed"
#define JOB_MARK_ENDED "."

/* ---- retention (event loop) */

struct job_prune {
    int64_t partitions, blobs, keys; /* dropped */
    bool is_done;                    /* false: there is more, call again */
};

/*
 * One small step of pruning: partitions for the days ahead; partitions of job_done older than
 * retention_days and of blob_chunk without a living blob dropped; up to 200 expired blobs that no
 * live job uses; idempotency keys over 24 h. A step that made or dropped partitions, whose locks
 * everybody waits for, does nothing else. One runner at a time (advisory try-lock).
 */
void job_prune_send(struct db *db, double retention_days, db_done *done, void *context);
struct job_prune job_prune_read(const struct db_rows *rows);

/*
 * Vacuum the table of live jobs. Each job leaves two dead rows in it, and entries in front of each
 * end of the ready index; whoever looks for a job, or for the turn of a new one, walks over these
 * until they are gone: 40,000 of them cost a single job a millisecond. Nobody waits for it, and it
 * waits for nobody: a table that is being vacuumed is left alone.
 */
void job_tidy_send(struct db *db, db_done *done, void *context);

#endif
