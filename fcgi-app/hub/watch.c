/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.c - see watch.h
 *
 * Answers name jobs by their keys, never by a pointer: an entry may have gone, and another of the
 * same key have come, while a statement was under way. Only what was in that very statement
 * (is_asked) is told its answer.
 */
#include "hub/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/key.h"

#define POLL_US_MIN 1000000
#define POLL_US_MAX 5000000
#define RETRY_US 1000000 /* after a statement failed */
#define BUCKETS_MIN 1024
#define HEARD_COUNT 16384 /* notified ids to remember: of whose clients are on their way here */

TAILQ_HEAD(watched_queue, watched);

/* Of a job that nobody here waited for when it was notified. Ids are dense: one of the last few
 * thousand is found in its place, by the remainder. */
struct heard {
    int64_t key; /* 0: none */
    bool is_ended;
};

struct watch {
    struct db *db;
    struct watch_events events;
    struct arena *scratch; /* of one answer */
    struct db_secret secret;
    bool has_secret, wants_secret, is_secret_asked;
    struct watched **buckets;
    size_t bucket_count, count;
    struct watched_queue queues[WATCH_ASK_COUNT]; /* by what there is to ask */
    struct heard *heard;
    /* Of jobs with larger ids we have heard all there was, and know the end of each by `heard`: we
     * listened before they were stored, and have not forgotten them since. */
    int64_t sure_above;
    bool is_sure;               /* that this is known */
    int64_t asked[WATCH_BATCH]; /* keys in the statement under way */
    int asked_count;            /* 0: none is */
    bool was_state;             /* the last one: marks and states take turns */
    int64_t retry_us, poll_us, interval_us;
    int changes_notified, changes_polled; /* how changes came to be known since the last poll */
    uint64_t notifications, statements;
};

/* ---- the table */

static _Noreturn void out_of_memory(size_t size)
{
    log_write(LOG_ERROR, "out of memory", LOG_INT("size_bytes", (int64_t)size));
    _Exit(70);
}

static struct watched **bucket(const struct watch *w, int64_t key)
{
    uint64_t hash = (uint64_t)key * UINT64_C(0x9e3779b97f4a7c15); /* golden ratio: keys are dense */
    return &w->buckets[(hash >> 32) & (w->bucket_count - 1)];
}

static struct watched *find(const struct watch *w, int64_t key)
{
    struct watched *job = *bucket(w, key);
    while (job && job->key != key)
        job = job->next;
    return job;
}

static void grow(struct watch *w)
{
    size_t old_count = w->bucket_count;
    struct watched **old = w->buckets, **buckets = calloc(old_count * 2, sizeof(struct watched *));
    if (!buckets)
        return; /* longer chains will do */
    w->buckets = buckets;
    w->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct watched *job = old[i], *next; job; job = next) {
            struct watched **place = bucket(w, job->key);
            next = job->next;
            job->next = *place;
            *place = job;
        }
    }
    free(old);
}

/* The one door between queues. */
static void move(struct watch *w, struct watched *job, enum watch_ask ask)
{
    TAILQ_REMOVE(&w->queues[job->ask], job, link);
    job->ask = ask;
    TAILQ_INSERT_TAIL(&w->queues[ask], job, link);
}

static void move_all(struct watch *w, enum watch_ask from, enum watch_ask to)
{
    struct watched *job;
    while ((job = TAILQ_FIRST(&w->queues[from])))
        move(w, job, to);
}

static struct watched *add(struct watch *w, int64_t key, enum watch_ask ask)
{
    struct watched *job;
    if (w->count >= w->bucket_count)
        grow(w);
    job = calloc(1, sizeof(*job));
    if (!job)
        out_of_memory(sizeof(*job));
    struct watched **place = bucket(w, key);
    job->key = key;
    job->next = *place;
    *place = job;
    w->count++;
    LIST_INIT(&job->clients);
    job->ask = ask;
    TAILQ_INSERT_TAIL(&w->queues[ask], job, link);
    return job;
}

struct watched *watch_job(struct watch *w, int64_t key)
{
    struct watched *job = find(w, key);
    if (!job)
        return add(w, key, WATCH_ASK_MARK);
    if (!job->is_marked && job->ask != WATCH_ASK_MARK)
        move(w, job, WATCH_ASK_MARK);
    return job;
}

struct watched *watch_awaited(struct watch *w, int64_t key)
{
    const struct heard *heard = &w->heard[key % HEARD_COUNT];
    if (heard->key == key && heard->is_ended)
        return NULL;
    struct watched *job = find(w, key);
    if (job)
        return job;
    if (!w->is_sure || key <= w->sure_above)
        return add(w, key, WATCH_ASK_MARK);
    return add(w, key, heard->key == key ? WATCH_ASK_STATE : WATCH_ASK_NOTHING);
}

void watch_ask(struct watch *w, struct watched *job)
{
    if (job->ask == WATCH_ASK_NOTHING)
        move(w, job, WATCH_ASK_STATE);
}

void watch_drop(struct watch *w, struct watched *job)
{
    struct watched **place = bucket(w, job->key);
    while (*place != job)
        place = &(*place)->next;
    *place = job->next;
    TAILQ_REMOVE(&w->queues[job->ask], job, link);
    w->count--;
    free(job);
}

/* ---- answers */

/* How has the change come to be known? The poll's interval depends on it. */
static void count_change(struct watch *w, struct watched *job, const struct job_row *row)
{
    double fraction = row->fraction == row->fraction ? row->fraction : 0; /* not NaN */
    bool is_other = job->is_known && (job->state != row->state || job->lease != row->lease ||
                                      job->fraction < fraction || job->fraction > fraction);
    /* Of a job that is not marked nothing but the end is notified. */
    bool is_change = job->is_marked ? is_other : job_state_is_final(row->state);
    if (is_change && job->is_notified)
        w->changes_notified++;
    else if (is_change)
        w->changes_polled++;
    job->is_notified = false;
    job->is_known = true;
    job->state = row->state;
    job->lease = row->lease;
    job->fraction = fraction;
}

static void tell_missing(struct watch *w, const struct job_row *rows, int count)
{
    for (int i = 0; i < count; i++) {
        struct watched *job = find(w, rows[i].id);
        if (job)
            job->is_found = true;
    }
    for (int i = 0; i < w->asked_count; i++) {
        struct watched *job = find(w, w->asked[i]);
        if (job && job->is_asked && !job->is_found) {
            job->is_asked = false;
            w->events.found(w->events.context, job, NULL, w->scratch);
        }
    }
}

static void take_answer(void *context, const struct db_rows *rows, const struct error *error)
{
    struct watch *w = context;
    struct job_row *found = NULL;
    if (!rows) { /* nothing is known of these: once more, all of it */
        for (int i = 0; i < w->asked_count; i++) {
            struct watched *job = find(w, w->asked[i]);
            if (job && job->is_asked) {
                job->is_asked = false;
                move(w, job, WATCH_ASK_MARK);
            }
        }
        w->asked_count = 0;
        w->retry_us = clock_us() + RETRY_US;
        if (db_is_connected(w->db)) /* else `lost` tells of it */
            w->events.refused(w->events.context, error);
        return;
    }
    int count = job_rows_read(rows, w->scratch, &found);
    tell_missing(w, found, count);
    w->asked_count = 0;
    for (int i = 0; i < count; i++) {
        struct watched *job = find(w, found[i].id);
        if (!job || !job->is_asked)
            continue;
        job->is_asked = job->is_found = false;
        count_change(w, job, &found[i]);
        w->events.found(w->events.context, job, &found[i], w->scratch);
    }
    arena_reset(w->scratch);
}

static void take_secret(void *context, const struct db_rows *rows, const struct error *error)
{
    struct watch *w = context;
    static const struct error none = {ERR_INTERNAL, "The database has no secret.", ""};
    w->is_secret_asked = false;
    if (rows && db_secret_read(rows, &w->secret)) {
        w->has_secret = true;
        w->wants_secret = false;
        w->events.secret_known(w->events.context);
        return;
    }
    w->retry_us = clock_us() + RETRY_US;
    if (db_is_connected(w->db))
        w->events.refused(w->events.context, rows ? &none : error);
}

/* ---- the connection */

/* Asked for as soon as we listen: whatever is stored later is notified to us. Without an answer
 * nothing is sure, until the next connection. */
static void take_last_id(void *context, const struct db_rows *rows, const struct error *error)
{
    struct watch *w = context;
    (void)error;
    if (!rows || db_count(rows) != 1)
        return;
    int64_t last_id = job_last_id_read(rows);
    w->is_sure = true;
    if (w->sure_above < last_id)
        w->sure_above = last_id;
}

static void connected(void *context)
{
    struct watch *w = context;
    w->retry_us = 0;
    w->interval_us = POLL_US_MIN;
    w->poll_us = clock_us() + w->interval_us;
    move_all(w, WATCH_ASK_STATE, WATCH_ASK_MARK);
    move_all(w, WATCH_ASK_NOTHING, WATCH_ASK_MARK);
    memset(w->heard, 0, HEARD_COUNT * sizeof(*w->heard));
    w->sure_above = 0;
    job_last_id_send(w->db, take_last_id, w);
    w->wants_secret = true; /* it may be another database by now */
    w->events.connected(w->events.context);
}

static void lost(void *context, const struct error *error)
{
    struct watch *w = context;
    w->is_sure = false;
    w->events.lost(w->events.context, error);
}

/* Somebody may be about to ask for it. Of two jobs of one place the older is forgotten. */
static void remember(struct watch *w, int64_t key, bool is_ended)
{
    struct heard *place = &w->heard[key % HEARD_COUNT];
    int64_t forgotten = place->key < key ? place->key : key;
    if (place->key == key) {
        place->is_ended = place->is_ended || is_ended;
        return;
    }
    if (place->key < key)
        *place = (struct heard){.key = key, .is_ended = is_ended};
    if (forgotten > w->sure_above)
        w->sure_above = forgotten;
}

static void hear(struct watch *w, int64_t key, bool is_ended)
{
    struct watched *job = find(w, key);
    if (!job || is_ended)
        remember(w, key, is_ended);
    if (!job)
        return;
    w->notifications++;
    if (is_ended) {
        w->changes_notified++;
        w->events.ended(w->events.context, job);
        job = find(w, key);
    }
    if (job) { /* somebody wants to know more of it */
        job->is_notified = true;
        watch_ask(w, job);
    }
}

/* "17,18.": what is no number is passed over. */
static void notified(void *context, const char *channel, const char *payload)
{
    struct watch *w = context;
    if (strcmp(channel, KEY_CHANNEL) == 0)
        w->events.keys_changed(w->events.context);
    if (strcmp(channel, JOB_CHANNEL_CHANGED) != 0)
        return;
    for (const char *at = payload; *at;) {
        size_t digits = strspn(at, "0123456789");
        if (digits > 0 && digits < 19)
            hear(w, strtoll(at, NULL, 10), at[digits] == JOB_MARK_ENDED[0]);
        at += digits;
        at += strcspn(at, ",");
        at += *at == ',';
    }
}

/* Ask for all. Seldom where notifications tell of the changes, each second where they do not. */
static void poll_all(struct watch *w)
{
    if (w->changes_polled > w->changes_notified)
        w->interval_us = POLL_US_MIN;
    else if (w->changes_notified > 0 && w->changes_polled <= w->changes_notified / 10)
        w->interval_us = w->interval_us * 2 < POLL_US_MAX ? w->interval_us * 2 : POLL_US_MAX;
    w->changes_polled = w->changes_notified = 0;
    w->poll_us = clock_us() + w->interval_us;
    move_all(w, WATCH_ASK_NOTHING, WATCH_ASK_STATE);
}

/* Send the next statement: the two kinds take turns, so that neither waits for long. */
static void send_next(struct watch *w)
{
    enum watch_ask kind = w->was_state ? WATCH_ASK_MARK : WATCH_ASK_STATE;
    if (TAILQ_EMPTY(&w->queues[kind]))
        kind = kind == WATCH_ASK_MARK ? WATCH_ASK_STATE : WATCH_ASK_MARK;
    struct watched *job;
    int count = 0;
    while (count < WATCH_BATCH && (job = TAILQ_FIRST(&w->queues[kind]))) {
        w->asked[count++] = job->key;
        job->is_asked = true;
        job->is_found = false;
        job->is_marked = job->is_marked || kind == WATCH_ASK_MARK;
        move(w, job, WATCH_ASK_NOTHING);
    }
    if (count == 0)
        return;
    w->asked_count = count;
    w->was_state = kind == WATCH_ASK_STATE;
    w->statements++;
    if (kind == WATCH_ASK_MARK)
        job_watch_send(w->db, w->asked, count, take_answer, w);
    else
        job_states_send(w->db, w->asked, count, take_answer, w);
}

static bool wants_secret(const struct watch *w)
{
    return w->wants_secret && !w->is_secret_asked && db_is_connected(w->db);
}

static bool has_work(const struct watch *w)
{
    return w->asked_count == 0 && db_is_connected(w->db) &&
           (!TAILQ_EMPTY(&w->queues[WATCH_ASK_MARK]) || !TAILQ_EMPTY(&w->queues[WATCH_ASK_STATE]));
}

int64_t watch_poll(const struct watch *w, struct pollfd *ret_poll)
{
    int64_t due_us = db_poll(w->db, ret_poll);
    if ((wants_secret(w) || has_work(w)) && w->retry_us < due_us)
        due_us = w->retry_us;
    if (db_is_connected(w->db) && w->count > 0 && w->poll_us < due_us)
        due_us = w->poll_us;
    return due_us;
}

void watch_step(struct watch *w)
{
    db_step(w->db);
    int64_t now_us = clock_us();
    if (db_is_connected(w->db) && now_us >= w->poll_us)
        poll_all(w);
    if (now_us < w->retry_us)
        return;
    if (wants_secret(w)) {
        w->is_secret_asked = true;
        db_secret_send(w->db, take_secret, w);
    }
    if (has_work(w))
        send_next(w);
}

/* ---- life */

int watch_open(const struct config *cfg, const struct watch_events *events,
               struct watch **ret_watch, struct error *reterr)
{
    static const char *const channels[] = {JOB_CHANNEL_CHANGED, KEY_CHANNEL, NULL};
    struct watch *w = calloc(1, sizeof(*w));
    if (w)
        w->buckets = calloc(BUCKETS_MIN, sizeof(struct watched *));
    if (w)
        w->heard = calloc(HEARD_COUNT, sizeof(*w->heard));
    if (!w || !w->buckets || !w->heard) {
        if (w) {
            free(w->buckets);
            free(w->heard);
        }
        free(w);
        return error_errno(reterr, "hub: watch");
    }
    w->bucket_count = BUCKETS_MIN;
    w->events = *events;
    w->scratch = arena_new();
    w->interval_us = POLL_US_MIN;
    for (int i = 0; i < WATCH_ASK_COUNT; i++)
        TAILQ_INIT(&w->queues[i]);
    struct db_settings settings = {.url = cfg->database_url,
                                   .application = "gangsaw hub",
                                   .options = DB_QUEUE_OPTIONS,
                                   .budget_ms = (int)(cfg->database_budget_seconds * 1000)};
    const struct db_events db_events = {
        .connected = connected, .lost = lost, .notified = notified, .context = w};
    w->db = db_open(&settings);
    db_keep(w->db, &db_events, channels);
    *ret_watch = w;
    return 0;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    db_close(w->db);
    for (int i = 0; i < WATCH_ASK_COUNT; i++) {
        struct watched *job;
        while ((job = TAILQ_FIRST(&w->queues[i]))) {
            TAILQ_REMOVE(&w->queues[i], job, link);
            free(job);
        }
    }
    free(w->buckets);
    free(w->heard);
    arena_free(w->scratch);
    free(w);
}

struct db *watch_db(const struct watch *w)
{
    return w->db;
}

const struct db_secret *watch_secret(const struct watch *w)
{
    return w->has_secret ? &w->secret : NULL;
}

struct watch_status watch_status(const struct watch *w)
{
    return (struct watch_status){.is_connected = db_is_connected(w->db),
                                 .jobs = (int)w->count,
                                 .poll_seconds = (double)w->interval_us / 1e6,
                                 .notifications = w->notifications,
                                 .statements = w->statements};
}
