/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key gets what its limits say, whoever of the workers counts, and whoever of them dies.
 */
#include "auth/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "auth_fixture.h"
#include "base/clock.h"

#define MINUTE_US INT64_C(60000000)
#define NOW_US (10 * MINUTE_US)

static struct usage *open_usage(const struct auth_fixture *f)
{
    struct usage *u = NULL;
    struct error err = {.code = ERR_NONE};
    if (usage_open(&f->cfg, &u, &err) != 0)
        fail_msg("%s %s", err.detail, err.cause);
    return u;
}

static struct key_record key_of(const char *id)
{
    struct key_record key = {.tenant = "shop"};
    (void)snprintf(key.id, sizeof(key.id), "%s", id);
    return key;
}

/* ---- rates */

static void test_a_minutes_quota_passes_at_once_and_not_one_more(void **state)
{
    static const int32_t limits[] = {1, 2, 7, 60, 600, 999999};
    struct usage *u = open_usage(*state);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct key_record key = key_of("aaaaaaaaaaaa");
        struct usage_rate rate;
        key.id[0] = (char)('b' + i);
        key.limits.requests_per_minute = limits[i];
        for (int32_t n = 1; n <= limits[i]; n++) {
            assert_true(usage_request(u, &key, NOW_US, &rate));
            assert_int_equal(rate.limit, limits[i]);
            assert_int_equal(rate.remaining, limits[i] - n);
            assert_int_equal(rate.retry_s, 0);
        }
        assert_int_equal(rate.reset_s, 60);
        assert_false(usage_request(u, &key, NOW_US, &rate));
        assert_int_equal(rate.limit, limits[i]);
        assert_int_equal(rate.remaining, 0);
        assert_int_equal(rate.reset_s, 60);
        assert_int_equal(rate.retry_s, limits[i] >= 60 ? 1 : (60 + limits[i] - 1) / limits[i]);
    }
    usage_close(u);
}

static void test_what_was_used_comes_back_evenly(void **state)
{
    struct usage *u = open_usage(*state);
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    key.limits.requests_per_minute = 6; /* one each ten seconds */
    for (int i = 0; i < 6; i++)
        assert_true(usage_request(u, &key, NOW_US, &rate));
    assert_false(usage_request(u, &key, NOW_US + 9 * 1000000, &rate));
    assert_int_equal(rate.retry_s, 1);
    assert_false(usage_request(u, &key, NOW_US + 9 * 1000000, &rate)); /* was not counted */
    assert_true(usage_request(u, &key, NOW_US + 10 * 1000000, &rate));
    assert_int_equal(rate.remaining, 0);
    assert_true(usage_request(u, &key, NOW_US + 45 * 1000000, &rate));
    assert_int_equal(rate.remaining, 2);
    assert_int_equal(rate.reset_s, 35);
    for (int i = 0; i < 6; i++)
        assert_true(usage_request(u, &key, NOW_US + 10 * MINUTE_US, &rate));
    assert_int_equal(rate.remaining, 0);
    usage_close(u);
}

static void test_without_a_limit_everything_passes(void **state)
{
    struct usage *u = open_usage(*state);
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    int running;
    for (int i = 0; i < 1000; i++)
        assert_true(usage_request(u, &key, NOW_US, &rate));
    assert_int_equal(rate.limit, 0);
    assert_true(usage_run_begin(u, &key, &running));
    assert_int_equal(running, 1);
    usage_close(u);
}

static void test_a_rate_is_one_for_all_workers(void **state)
{
    struct usage *a = open_usage(*state), *b = open_usage(*state);
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    key.limits.requests_per_minute = 2;
    assert_true(usage_request(a, &key, NOW_US, &rate));
    assert_true(usage_request(b, &key, NOW_US, &rate));
    assert_false(usage_request(a, &key, NOW_US, &rate));
    usage_close(a);
    assert_false(usage_request(b, &key, NOW_US, &rate));
    a = open_usage(*state); /* nor does it end with those who counted */
    usage_close(b);
    assert_false(usage_request(a, &key, NOW_US, &rate));
    usage_close(a);
}

static void id_of(uint64_t number, char ret_id[KEY_ID_LENGTH + 1])
{
    for (int i = KEY_ID_LENGTH - 1; i >= 0; i--, number /= 36)
        ret_id[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[number % 36];
    ret_id[KEY_ID_LENGTH] = '\0';
}

static void test_ten_thousand_keys_are_told_apart(void **state)
{
    enum { COUNT = 10000 };
    struct usage *u = open_usage(*state);
    struct key_record key = key_of("");
    struct usage_rate rate;
    key.limits.requests_per_minute = 1;
    for (int turn = 0; turn < 3; turn++) { /* later on their places are others' */
        int64_t now_us = NOW_US + turn * 3 * MINUTE_US;
        uint64_t first = (uint64_t)turn * COUNT / 2;
        for (uint64_t i = first; i < first + COUNT; i++) {
            id_of(i, key.id);
            assert_true(usage_request(u, &key, now_us, &rate));
        }
        for (uint64_t i = first; i < first + COUNT; i++) {
            id_of(i, key.id);
            assert_false(usage_request(u, &key, now_us, &rate));
        }
    }
    usage_close(u);
}

/* More than there are places: some are forgotten, none is refused what is its. */
static void test_more_keys_than_places_cost_nobody_his_quota(void **state)
{
    struct usage *u = open_usage(*state);
    struct key_record key = key_of("");
    struct usage_rate rate;
    key.limits.requests_per_minute = 1;
    for (uint64_t i = 0; i < 200000; i++) {
        id_of(i * 7919, key.id);
        assert_true(usage_request(u, &key, NOW_US, &rate));
    }
    usage_close(u);
}

/* Times of another boot, or garbage, block nobody. */
static void test_a_time_that_cannot_be_says_nothing(void **state)
{
    struct usage *u = open_usage(*state);
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    key.limits.requests_per_minute = 1;
    assert_true(usage_request(u, &key, 1000 * MINUTE_US, &rate));
    assert_true(usage_request(u, &key, NOW_US, &rate));
    assert_false(usage_request(u, &key, NOW_US, &rate));
    usage_close(u);
}

/* What workers do at the same moment: each turn is minutes later, so that every place is idle and
 * may change hands, and in each all of them count for the same keys, which have one request each.
 */
struct meeting {
    _Atomic int arrived, passed;
};

enum { MEETING_WORKERS = 2, MEETING_TURNS = 10000, MEETING_KEYS = 64, MEETING_KEYS_A_TURN = 8 };

static void meet(const struct auth_fixture *f, char ids[][KEY_ID_LENGTH + 1], struct meeting *m)
{
    struct usage *u;
    struct error err;
    if (usage_open(&f->cfg, &u, &err) != 0)
        _exit(1);
    for (int turn = 0; turn < MEETING_TURNS; turn++) {
        (void)atomic_fetch_add(&m->arrived, 1);
        while (atomic_load(&m->arrived) < (turn + 1) * MEETING_WORKERS)
            (void)sched_yield();
        for (int i = 0; i < MEETING_KEYS_A_TURN; i++) {
            struct key_record key = key_of(ids[(turn * MEETING_KEYS_A_TURN + i) % MEETING_KEYS]);
            struct usage_rate rate;
            key.limits.requests_per_minute = 1;
            if (usage_request(u, &key, NOW_US + turn * 4 * MINUTE_US, &rate))
                (void)atomic_fetch_add(&m->passed, 1);
        }
    }
    usage_close(u);
    _exit(0);
}

/* Keys that look for a place in the same few: more of them than places. */
static void find_neighbours(char ids[][KEY_ID_LENGTH + 1], int count)
{
    for (uint64_t number = 0; count > 0; number++) {
        uint64_t place = ((number + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 40) & 65535;
        if (place < 1000 || place >= 1008)
            continue;
        id_of(number, ids[--count]);
    }
}

static void test_no_count_is_lost_when_a_place_changes_hands(void **state)
{
    struct auth_fixture *f = *state;
    static char ids[MEETING_KEYS][KEY_ID_LENGTH + 1];
    pid_t pids[MEETING_WORKERS];
    struct meeting *m =
        mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(m != MAP_FAILED);
    find_neighbours(ids, MEETING_KEYS);
    for (int i = 0; i < MEETING_WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            meet(f, ids, m);
    }
    for (int i = 0; i < MEETING_WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(atomic_load(&m->passed), MEETING_TURNS * MEETING_KEYS_A_TURN);
    (void)munmap(m, sizeof(*m));
}

/* ---- runs */

static void test_no_more_runs_than_the_limit(void **state)
{
    enum { LIMIT = 3 };
    struct usage *workers[LIMIT + 1];
    struct key_record key = key_of("aaaaaaaaaaaa"), other = key_of("aaaaaaaaaaab");
    int running;
    key.limits.concurrent_runs = LIMIT;
    other.limits.concurrent_runs = 1;
    for (int i = 0; i <= LIMIT; i++)
        workers[i] = open_usage(*state);
    for (int i = 0; i < LIMIT; i++) {
        assert_true(usage_run_begin(workers[i], &key, &running));
        assert_int_equal(running, i + 1);
    }
    assert_false(usage_run_begin(workers[LIMIT], &key, &running));
    assert_true(usage_run_begin(workers[LIMIT], &other, &running));
    usage_run_end(workers[LIMIT]);
    usage_run_end(workers[LIMIT]); /* without a run: fine */
    usage_run_end(workers[0]);
    assert_true(usage_run_begin(workers[LIMIT], &key, &running));
    assert_int_equal(running, LIMIT);
    assert_false(usage_run_begin(workers[0], &key, &running));
    for (int i = 0; i <= LIMIT; i++)
        usage_close(workers[i]);
}

static pid_t fork_runner(const struct auth_fixture *f, const struct key_record *key)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct usage *u;
        struct error err;
        int running;
        if (usage_open(&f->cfg, &u, &err) != 0 || !usage_run_begin(u, key, &running) ||
            write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    return pid;
}

static bool begins_soon(struct usage *u, const struct key_record *key, int *ret_running)
{
    for (int64_t end_us = clock_us() + 10000000; clock_us() < end_us;) {
        if (usage_run_begin(u, key, ret_running))
            return true;
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}

static void test_a_killed_worker_leaks_no_run(void **state)
{
    enum { LIMIT = 4 };
    struct auth_fixture *f = *state;
    struct usage *u = open_usage(f);
    struct key_record key = key_of("aaaaaaaaaaaa");
    pid_t pids[LIMIT];
    int running;
    key.limits.concurrent_runs = LIMIT;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < LIMIT; i++)
            pids[i] = fork_runner(f, &key);
        assert_false(usage_run_begin(u, &key, &running));
        for (int i = 0; i < LIMIT; i++) {
            assert_int_equal(kill(pids[i], SIGKILL), 0);
            assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        }
        assert_true(begins_soon(u, &key, &running));
        assert_int_equal(running, 1);
        usage_run_end(u);
    }
    usage_close(u);
}

/* Its record is as good as new for who comes after it. */
static void test_a_successor_takes_the_record_of_the_dead_over(void **state)
{
    struct auth_fixture *f = *state;
    struct key_record key = key_of("aaaaaaaaaaaa"), other = key_of("aaaaaaaaaaab");
    int running;
    pid_t pid = fork_runner(f, &key);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    struct usage *u = open_usage(f), *v = open_usage(f);
    key.limits.concurrent_runs = 1;
    assert_true(usage_run_begin(u, &other, &running));
    assert_true(usage_run_begin(v, &key, &running));
    assert_int_equal(running, 1);
    usage_close(u);
    usage_close(v);
}

struct contest {
    _Atomic int running, most, begun, is_over;
};

static void contend(const struct auth_fixture *f, const struct key_record *key, struct contest *c)
{
    struct usage *u;
    struct error err;
    if (usage_open(&f->cfg, &u, &err) != 0)
        _exit(1);
    while (atomic_load(&c->is_over) == 0) {
        int running;
        if (!usage_run_begin(u, key, &running))
            continue;
        int now = atomic_fetch_add(&c->running, 1) + 1, most = atomic_load(&c->most);
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now))
            ;
        (void)sched_yield();
        (void)atomic_fetch_add(&c->begun, 1);
        (void)atomic_fetch_sub(&c->running, 1);
        usage_run_end(u);
    }
    usage_close(u);
    _exit(0);
}

/* And whoever begins at the same moment does not keep everybody out. */
static void test_a_rush_never_exceeds_the_limit_and_always_gets_through(void **state)
{
    enum { WORKERS = 8, LIMIT = 2, RUNS = 2000 };
    struct auth_fixture *f = *state;
    struct key_record key = key_of("aaaaaaaaaaaa");
    pid_t pids[WORKERS];
    struct contest *c =
        mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(c != MAP_FAILED);
    key.limits.concurrent_runs = LIMIT;
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            contend(f, &key, c);
    }
    for (int64_t end_us = clock_us() + 30000000;
         clock_us() < end_us && atomic_load(&c->begun) < RUNS;)
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    atomic_store(&c->is_over, 1);
    for (int i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_true(atomic_load(&c->begun) >= RUNS);
    assert_true(atomic_load(&c->most) <= LIMIT);
    (void)munmap(c, sizeof(*c));
}

/* ---- the file */

static void test_a_foreign_file_is_replaced(void **state)
{
    struct auth_fixture *f = *state;
    static char bytes[4 << 20];
    static const size_t sizes[] = {1, 100, sizeof(bytes)};
    struct key_record key = key_of("aaaaaaaaaaaa");
    int running;
    memset(bytes, 0xff, sizeof(bytes));
    key.limits.concurrent_runs = 1;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        scratch_write(&f->scratch, "usage", bytes, sizes[i]);
        struct usage *u = open_usage(f);
        assert_true(usage_run_begin(u, &key, &running));
        usage_close(u);
    }
}

/* Whatever stands behind a header that is ours: it never leads anywhere else. */
static void test_garbage_in_the_file_does_no_harm(void **state)
{
    struct auth_fixture *f = *state;
    struct stat st;
    static unsigned char bytes[4 << 20];
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    int running;
    key.limits.requests_per_minute = 1;
    struct usage *u = open_usage(f);
    int fd = open(auth_path(f, "usage"), O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size < (off_t)sizeof(bytes));
    for (int fill = 0; fill < 3; fill++) {
        for (off_t i = 0; i < st.st_size; i++)
            bytes[i] = fill == 0 ? 0xff : fill == 1 ? 0x7f : (unsigned char)(i * 2654435761u >> 24);
        assert_int_equal(pwrite(fd, bytes + 64, (size_t)st.st_size - 64, 64), st.st_size - 64);
        for (uint64_t i = 0; i < 1000; i++) {
            id_of(i * 104729, key.id);
            (void)usage_request(u, &key, NOW_US, &rate);
        }
        struct usage *v = open_usage(f);
        assert_true(usage_run_begin(v, &key, &running));
        usage_close(v);
    }
    (void)close(fd);
    usage_close(u);
}

static void test_a_link_is_replaced_and_a_folder_is_none(void **state)
{
    struct auth_fixture *f = *state;
    struct usage *u = NULL;
    struct error err = {.code = ERR_NONE};
    struct stat st;
    scratch_write(&f->scratch, "elsewhere", "", 0);
    char target[PATH_MAX];
    (void)snprintf(target, sizeof(target), "%s", auth_path(f, "elsewhere"));
    assert_int_equal(symlink(target, auth_path(f, "usage")), 0);
    usage_close(open_usage(f));
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(unlink(auth_path(f, "usage")), 0);
    assert_int_equal(mkdir(auth_path(f, "usage"), 0700), 0);
    assert_int_equal(usage_open(&f->cfg, &u, &err), -1);
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_null(u);
}

/* Plain CGI: each request is a process. */
static void test_a_minute_is_used_up_for_who_comes_after_all_others(void **state)
{
    struct key_record key = key_of("aaaaaaaaaaaa");
    struct usage_rate rate;
    key.limits.requests_per_minute = 2;
    for (int i = 0; i < 3; i++) {
        struct usage *u = open_usage(*state);
        assert_int_equal(usage_request(u, &key, NOW_US, &rate), i < 2);
        usage_close(u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUTH_TEST(test_a_minutes_quota_passes_at_once_and_not_one_more),
        AUTH_TEST(test_what_was_used_comes_back_evenly),
        AUTH_TEST(test_without_a_limit_everything_passes),
        AUTH_TEST(test_a_rate_is_one_for_all_workers),
        AUTH_TEST(test_ten_thousand_keys_are_told_apart),
        AUTH_TEST(test_more_keys_than_places_cost_nobody_his_quota),
        AUTH_TEST(test_a_time_that_cannot_be_says_nothing),
        AUTH_TEST(test_no_count_is_lost_when_a_place_changes_hands),
        AUTH_TEST(test_no_more_runs_than_the_limit),
        AUTH_TEST(test_a_killed_worker_leaks_no_run),
        AUTH_TEST(test_a_successor_takes_the_record_of_the_dead_over),
        AUTH_TEST(test_a_rush_never_exceeds_the_limit_and_always_gets_through),
        AUTH_TEST(test_a_foreign_file_is_replaced),
        AUTH_TEST(test_garbage_in_the_file_does_no_harm),
        AUTH_TEST(test_a_link_is_replaced_and_a_folder_is_none),
        AUTH_TEST(test_a_minute_is_used_up_for_who_comes_after_all_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
