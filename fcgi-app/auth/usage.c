/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage.c - see usage.h
 *
 * A worker is alive as long as it holds the lock of its record: an open file description lock on
 * one byte of the file, which the kernel takes back however the worker ends. So there are no pids
 * to compare, and none that another process could have by now. Asking costs a system call, so it is
 * asked only when a key is at its limit, for all records, by one worker, CHECK_US apart.
 *
 * Whoever wants to run announces it first and counts then, so that of any two that begin at the
 * same time one at least sees the other: a key is never above its limit. When more announced than
 * there are places, the one with the lowest record keeps its announcement and looks again, and the
 * others wait for it without one. That takes microseconds; who has looked CONTEND_TRIES times in
 * vain is refused, so that one that was stopped in the middle holds nobody up.
 *
 * A key finds its rate in one of a few places, where another's stood before. Whose it is and what
 * was used change together, by one compare-and-swap of both: no count goes to another key or is
 * lost. Nor does a key get two places: workers agree on the oldest, since a place never gets older.
 *
 * The file's content is never an index or a size: at worst it makes a wrong number.
 */
#include "auth/usage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/shared_file.h"

#define RATE_COUNT 65536        /* keys that can be told apart at a time; a power of two */
#define RATE_PROBES 16          /* a key is in one of so many places */
#define RECORD_COUNT 16384      /* workers of the host, those that drain included */
#define IS_RUNNING (1ULL << 63) /* beside an id: it runs; without: it is announced */

#define MINUTE_NS INT64_C(60000000000)
#define SECOND_NS INT64_C(1000000000)
#define CHECK_US 100000
#define CONTEND_TRIES 20
#define CONTEND_NS 50000

/* The theoretical arrival time of a key's next request. One that has passed says as much as none.
 */
struct rate {
    uint64_t id; /* 0: free */
    int64_t arrival_ns;
};

/* Where a rate stands. It is read and changed as a whole. */
union place {
    struct rate rate;
    unsigned __int128 whole;
};

struct shared {
    _Atomic int64_t checked_us;  /* when dead records were last looked for */
    _Atomic uint32_t record_end; /* behind the last record that was ever taken */
    union place places[RATE_COUNT];
    _Atomic uint64_t records[RECORD_COUNT]; /* the key that runs or is announced; 0: none */
};

struct usage {
    struct shared *shared;
    int fd;
    int record; /* -1: none yet */
};

/* It lasts: who has used its minute up has, also in plain CGI, where no process stays. */
int usage_open(const struct config *cfg, struct usage **ret_usage, struct error *reterr)
{
    char form[SHARED_FILE_FORM_SIZE];
    const struct shared_file file = {
        .name = "usage", .form = form, .size = sizeof(struct shared), .is_lasting = true};
    void *memory;
    int fd;
    (void)snprintf(form, sizeof(form), "gangsaw usage 1 %d %d", RATE_COUNT, RECORD_COUNT);
    if (shared_file_open(cfg, &file, &memory, &fd, reterr) != 0)
        return -1;
    struct usage *u = calloc(1, sizeof(*u));
    if (!u) {
        shared_file_close(memory, sizeof(struct shared));
        (void)close(fd);
        return error_errno(reterr, "usage: memory");
    }
    *u = (struct usage){.shared = memory, .fd = fd, .record = -1};
    *ret_usage = u;
    return 0;
}

void usage_close(struct usage *u)
{
    if (!u)
        return;
    usage_run_end(u);
    shared_file_close(u->shared, sizeof(*u->shared));
    (void)close(u->fd);
    free(u);
}

/* 36^12 is below 2^63. Never 0. */
static uint64_t number_of(const char *id)
{
    uint64_t number = 0;
    for (int i = 0; i < KEY_ID_LENGTH && id[i]; i++)
        number = number * 36 + (uint64_t)(id[i] >= 'a' ? id[i] - 'a' : id[i] - '0' + 26);
    return (number + 1) & ~IS_RUNNING;
}

/* ---- the rate */

static struct rate look(union place *place)
{
    return (union place){.whole = __sync_val_compare_and_swap(&place->whole, 0, 0)}.rate;
}

static bool exchange(union place *place, struct rate before, struct rate after)
{
    return __sync_bool_compare_and_swap(&place->whole, (union place){.rate = before}.whole,
                                        (union place){.rate = after}.whole);
}

static int seconds_up(int64_t ns)
{
    return ns <= 0 ? 0 : (int)((ns + SECOND_NS - 1) / SECOND_NS);
}

/* Of no time that can be: left from before the host was started. */
static bool is_sane(const struct rate *rate, int64_t now_ns)
{
    return rate->arrival_ns >= 0 && rate->arrival_ns <= now_ns + 2 * MINUTE_NS;
}

/* How far ahead of `now_ns` the arrival time of `id` is, of which another's rate says nothing. */
static int64_t debt_of(const struct rate *rate, uint64_t id, int64_t now_ns)
{
    if (rate->id != id || !is_sane(rate, now_ns) || rate->arrival_ns <= now_ns)
        return 0;
    return rate->arrival_ns - now_ns;
}

/* The place of `id`, or the one that it is to have: a free one, else that of the key that counted
 * longest ago. When all are busy, that one loses what is known of it. */
static union place *find_place(struct usage *u, uint64_t id, int64_t now_ns, struct rate *ret_seen)
{
    uint64_t hash = id * UINT64_C(0x9e3779b97f4a7c15) >> 40;
    union place *oldest = NULL;
    int64_t oldest_ns = INT64_MAX;
    for (uint64_t i = 0; i < RATE_PROBES; i++) {
        union place *place = &u->shared->places[(hash + i) & (RATE_COUNT - 1)];
        struct rate seen = look(place);
        int64_t arrival_ns = is_sane(&seen, now_ns) ? seen.arrival_ns : 0;
        if (seen.id != id && arrival_ns >= oldest_ns)
            continue;
        *ret_seen = seen;
        if (seen.id == id)
            return place;
        oldest = place;
        oldest_ns = arrival_ns;
    }
    return oldest;
}

bool usage_request(struct usage *u, const struct key_record *key, int64_t now_us,
                   struct usage_rate *ret_rate)
{
    int64_t limit = key->limits.requests_per_minute, now_ns = now_us * 1000;
    *ret_rate = (struct usage_rate){0};
    if (limit <= 0)
        return true;
    int64_t step_ns = MINUTE_NS / limit, window_ns = step_ns * limit;
    uint64_t id = number_of(key->id);
    union place *place;
    struct rate seen;
    int64_t debt_ns;
    do {
        place = find_place(u, id, now_ns, &seen);
        debt_ns = debt_of(&seen, id, now_ns);
        if (debt_ns + step_ns > window_ns) {
            int wait_s = seconds_up(debt_ns + step_ns - window_ns);
            *ret_rate = (struct usage_rate){
                .limit = limit, .reset_s = seconds_up(debt_ns), .retry_s = wait_s};
            return false;
        }
        debt_ns += step_ns;
    } while (!exchange(place, seen, (struct rate){.id = id, .arrival_ns = now_ns + debt_ns}));
    *ret_rate = (struct usage_rate){.limit = limit,
                                    .remaining = (window_ns - debt_ns) / step_ns,
                                    .reset_s = seconds_up(debt_ns)};
    return true;
}

void usage_look(struct usage *u, const struct key_record *key, int64_t now_us,
                struct usage_rate *ret_rate)
{
    int64_t limit = key->limits.requests_per_minute, now_ns = now_us * 1000;
    *ret_rate = (struct usage_rate){0};
    if (limit <= 0)
        return;
    int64_t step_ns = MINUTE_NS / limit, window_ns = step_ns * limit;
    uint64_t id = number_of(key->id);
    struct rate seen;
    (void)find_place(u, id, now_ns, &seen);
    int64_t debt_ns = debt_of(&seen, id, now_ns);
    ret_rate->limit = limit;
    ret_rate->remaining = debt_ns < window_ns ? (window_ns - debt_ns) / step_ns : 0;
    ret_rate->reset_s = seconds_up(debt_ns);
}

/* ---- what runs */

struct tally {
    int running, announced;
    int lower; /* of those announced: in records before ours */
};

static bool set_lock(const struct usage *u, int record, short type)
{
    struct flock lock = {.l_type = type,
                         .l_whence = SEEK_SET,
                         .l_start = SHARED_FILE_FORM_SIZE + record,
                         .l_len = 1};
    return fcntl(u->fd, F_OFD_SETLK, &lock) == 0;
}

static int record_end(const struct usage *u)
{
    uint32_t end = atomic_load(&u->shared->record_end);
    return end < RECORD_COUNT ? (int)end : RECORD_COUNT;
}

/* The first that is nobody's, or a dead worker's. */
static bool take_record(struct usage *u)
{
    for (int i = 0; i < RECORD_COUNT && u->record < 0; i++) {
        if (set_lock(u, i, F_WRLCK))
            u->record = i;
    }
    if (u->record < 0)
        return false;
    atomic_store(&u->shared->records[u->record], 0);
    uint32_t end = atomic_load(&u->shared->record_end), wanted = (uint32_t)u->record + 1;
    while (end < wanted && !atomic_compare_exchange_weak(&u->shared->record_end, &end, wanted))
        ;
    return true;
}

static struct tally count(const struct usage *u, uint64_t id)
{
    struct tally t = {0};
    int end = record_end(u);
    for (int i = 0; i < end; i++) {
        uint64_t value = atomic_load(&u->shared->records[i]);
        if ((value & ~IS_RUNNING) != id)
            continue;
        t.running += value != id;
        t.announced += value == id;
        t.lower += value == id && i < u->record;
    }
    return t;
}

/* Free the records of dead workers; false: there was none, or somebody has just looked. */
static bool free_dead(struct usage *u)
{
    int64_t now_us = clock_us(), last_us = atomic_load(&u->shared->checked_us);
    bool is_due = last_us > now_us || last_us <= now_us - CHECK_US;
    if (!is_due || !atomic_compare_exchange_strong(&u->shared->checked_us, &last_us, now_us))
        return false;
    bool is_any = false;
    int end = record_end(u);
    for (int i = 0; i < end; i++) {
        _Atomic uint64_t *record = &u->shared->records[i];
        if (i == u->record || atomic_load(record) == 0 || !set_lock(u, i, F_WRLCK))
            continue;
        is_any = atomic_exchange(record, 0) != 0 || is_any; /* with its lock: nobody takes it */
        (void)set_lock(u, i, F_UNLCK);
    }
    return is_any;
}

static bool enter(struct usage *u, uint64_t id, int limit, int *ret_running)
{
    _Atomic uint64_t *mine = &u->shared->records[u->record];
    bool is_announced = true;
    for (int tries = 0; tries < CONTEND_TRIES; tries++) {
        atomic_store(mine, is_announced ? id : 0);
        struct tally t = count(u, id);
        *ret_running = t.running + is_announced;
        if (is_announced && t.running + t.announced <= limit) {
            atomic_store(mine, id | IS_RUNNING);
            return true;
        }
        if (t.running >= limit)
            break;
        is_announced = t.lower == 0;
        if (!is_announced)
            atomic_store(mine, 0);
        (void)nanosleep(&(struct timespec){.tv_nsec = CONTEND_NS}, NULL);
    }
    atomic_store(mine, 0);
    return false;
}

bool usage_run_begin(struct usage *u, const struct key_record *key, int *ret_running)
{
    uint64_t id = number_of(key->id);
    int limit = key->limits.concurrent_runs > 0 ? key->limits.concurrent_runs : INT_MAX;
    *ret_running = 0;
    if (u->record < 0 && !take_record(u))
        return limit == INT_MAX; /* more workers than there can be */
    return enter(u, id, limit, ret_running) || (free_dead(u) && enter(u, id, limit, ret_running));
}

void usage_run_end(struct usage *u)
{
    if (u->record >= 0)
        atomic_store(&u->shared->records[u->record], 0);
}
