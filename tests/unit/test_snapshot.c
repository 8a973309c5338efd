/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Workers know the keys that the hub has written, and trust no other file.
 */
#include "auth/snapshot.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "auth_fixture.h"
#include "base/clock.h"

#define COMPARED_AT 8 /* where the file has the time: behind its magic */

static struct snapshot_writer *open_writer(const struct auth_fixture *f)
{
    struct snapshot_writer *w = NULL;
    struct error err;
    assert_int_equal(snapshot_writer_open(&f->cfg, &w, &err), 0);
    return w;
}

static void put(struct snapshot_writer *w, const struct key_record *keys, int count)
{
    struct error err = {.code = ERR_NONE};
    if (snapshot_write(w, keys, count, count > 0, &err) != 0)
        fail_msg("%s %s", err.detail, err.cause);
}

static void test_without_a_file_nothing_is_known(void **state)
{
    struct auth_fixture *f = *state;
    char text[KEY_TEXT_LENGTH + 1];
    struct key_record key = auth_key(text);
    struct snapshot *s = snapshot_open(&f->cfg);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_UNKNOWN);
    assert_false(snapshot_has_keys(s));
    assert_null(snapshot_find(s, text));
    assert_false(snapshot_has_id(s, key.id));
    assert_true(isinf(snapshot_age(s)));
    snapshot_close(s);
}

static void test_each_key_is_found_by_its_text_alone(void **state)
{
    enum { COUNT = 500 };
    struct auth_fixture *f = *state;
    static struct key_record keys[COUNT];
    static char texts[COUNT][KEY_TEXT_LENGTH + 1];
    for (int i = 0; i < COUNT; i++) {
        keys[i] = auth_key(texts[i]);
        keys[i].limits.body_bytes = i;
    }
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    put(w, keys, COUNT);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_true(snapshot_has_keys(s));
    for (int i = 0; i < COUNT; i++) {
        const struct key_record *found = snapshot_find(s, texts[i]);
        assert_non_null(found);
        assert_string_equal(found->id, keys[i].id);
        assert_string_equal(found->tenant, "shop");
        assert_int_equal(found->limits.body_bytes, i);
        assert_true(snapshot_has_id(s, keys[i].id));
        texts[i][20] = texts[i][20] == 'A' ? 'B' : 'A'; /* another secret */
        assert_null(snapshot_find(s, texts[i]));
    }
    assert_null(snapshot_find(s, ""));
    assert_null(snapshot_find(s, "gs_"));
    assert_false(snapshot_has_id(s, "no id"));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void test_a_change_is_seen_at_the_next_look(void **state)
{
    struct auth_fixture *f = *state;
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    struct error err;
    put(w, keys, 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_false(snapshot_has_keys(s));
    put(w, keys, 2);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_non_null(snapshot_find(s, texts[0]));
    put(w, keys + 1, 1);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_null(snapshot_find(s, texts[0]));
    assert_non_null(snapshot_find(s, texts[1]));
    /* The last one is revoked: the server does not open. */
    assert_int_equal(snapshot_write(w, NULL, 0, true, &err), 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_true(snapshot_has_keys(s));
    assert_null(snapshot_find(s, texts[1]));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void test_the_file_outlives_the_hub_and_the_next_one_takes_it_over(void **state)
{
    struct auth_fixture *f = *state;
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    struct stat before, after;
    put(w, keys, 1);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    snapshot_writer_close(w);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_non_null(snapshot_find(s, texts[0]));
    assert_int_equal(stat(auth_path(f, "keys"), &before), 0);
    w = open_writer(f);
    put(w, keys, 1); /* the same: the same file */
    assert_int_equal(stat(auth_path(f, "keys"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    put(w, keys, 2);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_non_null(snapshot_find(s, texts[1]));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void test_only_owner_and_group_may_read_it(void **state)
{
    struct auth_fixture *f = *state;
    struct stat st;
    struct snapshot_writer *w = open_writer(f);
    mode_t mask = umask(0);
    put(w, NULL, 0);
    (void)umask(mask);
    assert_int_equal(stat(auth_path(f, "keys"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_not_equal(stat(auth_path(f, "keys.new"), &st), 0);
    snapshot_writer_close(w);
}

static void test_an_expired_key_is_not_valid(void **state)
{
    struct auth_fixture *f = *state;
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    keys[0].expires_us = clock_real_us() - 1;
    keys[1].expires_us = clock_real_us() + INT64_C(3600000000);
    put(w, keys, 2);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_null(snapshot_find(s, texts[0]));
    assert_non_null(snapshot_find(s, texts[1]));
    assert_false(snapshot_is_valid(s, keys[0].id));
    assert_true(snapshot_is_valid(s, keys[1].id));
    assert_false(snapshot_is_valid(s, "000000000000"));
    assert_false(snapshot_is_valid(s, ""));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void set_compared(const struct auth_fixture *f, int64_t value)
{
    int fd = open(auth_path(f, "keys"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &value, sizeof(value), COMPARED_AT), sizeof(value));
    (void)close(fd);
}

static int64_t boot_us(void)
{
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &ts), 0);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void test_an_old_snapshot_is_stale_until_the_hub_confirms_it(void **state)
{
    struct auth_fixture *f = *state;
    char text[KEY_TEXT_LENGTH + 1];
    struct key_record key = auth_key(text);
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    struct error err;
    f->cfg.auth_stale_seconds = 20;
    put(w, &key, 1);
    set_compared(f, boot_us() - 19 * 1000000);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    set_compared(f, boot_us() - 21 * 1000000);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_STALE);
    assert_true(snapshot_age(s) > 20);
    assert_int_equal(snapshot_confirm(w, &err), 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_non_null(snapshot_find(s, text));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void test_a_time_in_the_future_or_none_is_stale(void **state)
{
    struct auth_fixture *f = *state;
    const int64_t times[] = {0, -1, INT64_MIN, INT64_MAX, boot_us() + INT64_C(3600000000)};
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    put(w, NULL, 0);
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        set_compared(f, times[i]);
        assert_int_equal(snapshot_refresh(s), SNAPSHOT_STALE);
        assert_true(isinf(snapshot_age(s)));
    }
    snapshot_writer_close(w);
    snapshot_close(s);
}

static void test_the_hub_writes_again_what_was_removed_or_cut_short(void **state)
{
    struct auth_fixture *f = *state;
    char text[KEY_TEXT_LENGTH + 1];
    struct key_record key = auth_key(text);
    struct snapshot_writer *w = open_writer(f);
    struct error err;
    assert_int_equal(snapshot_confirm(w, &err), -1); /* none were written yet */
    put(w, &key, 1);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            assert_int_equal(unlink(auth_path(f, "keys")), 0);
        else if (i == 1)
            assert_int_equal(truncate(auth_path(f, "keys"), 0), 0);
        else
            scratch_write_text(&f->scratch, "keys", "something else");
        assert_int_equal(snapshot_confirm(w, &err), 0);
        struct snapshot *s = snapshot_open(&f->cfg);
        assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
        assert_non_null(snapshot_find(s, text));
        snapshot_close(s);
    }
    snapshot_writer_close(w);
}

/* A hub that died between its rename and the mark: the other file is found all the same. */
static void test_a_file_without_a_hub_is_compared_with_its_name(void **state)
{
    struct auth_fixture *f = *state;
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    put(w, keys, 1);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    set_compared(f, boot_us() - 10 * 1000000);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH); /* still of that name */
    assert_int_equal(unlink(auth_path(f, "keys")), 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH); /* none is not a newer one */
    assert_non_null(snapshot_find(s, texts[0]));
    snapshot_writer_close(w);
    w = open_writer(f); /* knows nothing of the file that is mapped */
    put(w, keys + 1, 1);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    assert_null(snapshot_find(s, texts[0]));
    assert_non_null(snapshot_find(s, texts[1]));
    snapshot_writer_close(w);
    snapshot_close(s);
}

static enum snapshot_state state_of_file(const struct auth_fixture *f, const void *bytes,
                                         size_t size)
{
    (void)unlink(auth_path(f, "keys"));
    scratch_write(&f->scratch, "keys", bytes, size);
    struct snapshot *s = snapshot_open(&f->cfg);
    enum snapshot_state result = snapshot_refresh(s);
    assert_true(result == SNAPSHOT_UNKNOWN ? !snapshot_has_keys(s) : snapshot_has_keys(s));
    snapshot_close(s);
    return result;
}

static void test_a_torn_or_changed_file_is_not_trusted(void **state)
{
    struct auth_fixture *f = *state;
    static unsigned char bytes[4096], copy[4096];
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    struct snapshot_writer *w = open_writer(f);
    put(w, keys, 2);
    snapshot_writer_close(w);
    int fd = open(auth_path(f, "keys"), O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    assert_true(size > 0 && size < (ssize_t)sizeof(bytes));
    assert_int_equal(state_of_file(f, bytes, (size_t)size), SNAPSHOT_FRESH);
    for (ssize_t i = 0; i < size; i++) /* torn at any place */
        assert_int_equal(state_of_file(f, bytes, (size_t)i), SNAPSHOT_UNKNOWN);
    assert_int_equal(state_of_file(f, bytes, (size_t)size + 1), SNAPSHOT_UNKNOWN);
    for (ssize_t i = 0; i < size; i++) {
        bool is_shared = i >= COMPARED_AT && i < COMPARED_AT + 16; /* time and mark: not sealed */
        memcpy(copy, bytes, sizeof(copy));
        copy[i] ^= 1;
        if (!is_shared)
            assert_int_equal(state_of_file(f, copy, (size_t)size), SNAPSHOT_UNKNOWN);
    }
}

static void test_somebody_elses_file_is_not_trusted(void **state)
{
    struct auth_fixture *f = *state;
    struct snapshot_writer *w = open_writer(f);
    struct snapshot *s = snapshot_open(&f->cfg);
    put(w, NULL, 0);
    snapshot_writer_close(w);
    assert_int_equal(chmod(auth_path(f, "keys"), 0660), 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_UNKNOWN);
    assert_int_equal(chmod(auth_path(f, "keys"), 0640), 0);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_FRESH);
    snapshot_close(s);
    if (geteuid() == 0) { /* nobody else can give files away */
        s = snapshot_open(&f->cfg);
        assert_int_equal(chown(auth_path(f, "keys"), 54321, 54321), 0);
        assert_int_equal(snapshot_refresh(s), SNAPSHOT_UNKNOWN);
        snapshot_close(s);
    }
    char target[PATH_MAX];
    (void)snprintf(target, sizeof(target), "%s", auth_path(f, "elsewhere"));
    assert_int_equal(rename(auth_path(f, "keys"), target), 0);
    assert_int_equal(chown(target, geteuid(), getegid()), 0);
    assert_int_equal(symlink(target, auth_path(f, "keys")), 0);
    s = snapshot_open(&f->cfg);
    assert_int_equal(snapshot_refresh(s), SNAPSHOT_UNKNOWN);
    snapshot_close(s);
}

/* ---- replacing and reading at the same time */

enum { TURNS = 3000 };

static void read_on(const struct auth_fixture *f, const char (*texts)[KEY_TEXT_LENGTH + 1],
                    const _Atomic int *is_over)
{
    struct snapshot *s = snapshot_open(&f->cfg);
    int64_t last = 0;
    while (atomic_load(is_over) == 0) {
        if (snapshot_refresh(s) != SNAPSHOT_FRESH)
            _exit(1);
        const struct key_record *always = snapshot_find(s, texts[0]);
        const struct key_record *second = snapshot_find(s, texts[1]);
        if (!always || always->limits.body_bytes < last)
            _exit(2);
        last = always->limits.body_bytes;
        if ((last % 2 == 1) != (second != NULL) || (second && second->limits.body_bytes != last))
            _exit(3);
    }
    snapshot_close(s);
    _exit(0);
}

static void test_readers_see_one_whole_snapshot_after_the_other(void **state)
{
    enum { READERS = 3 };
    struct auth_fixture *f = *state;
    char texts[2][KEY_TEXT_LENGTH + 1];
    struct key_record keys[2] = {auth_key(texts[0]), auth_key(texts[1])};
    pid_t pids[READERS];
    _Atomic int *is_over =
        mmap(NULL, sizeof(*is_over), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct snapshot_writer *w = open_writer(f);
    put(w, keys, 1);
    for (int i = 0; i < READERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            read_on(f, (const char(*)[KEY_TEXT_LENGTH + 1]) texts, is_over);
    }
    for (int i = 1; i <= TURNS; i++) {
        keys[0].limits.body_bytes = keys[1].limits.body_bytes = i;
        put(w, keys, 1 + i % 2);
    }
    atomic_store(is_over, 1);
    for (int i = 0; i < READERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    snapshot_writer_close(w);
    (void)munmap((void *)(uintptr_t)is_over, sizeof(*is_over));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUTH_TEST(test_without_a_file_nothing_is_known),
        AUTH_TEST(test_each_key_is_found_by_its_text_alone),
        AUTH_TEST(test_a_change_is_seen_at_the_next_look),
        AUTH_TEST(test_the_file_outlives_the_hub_and_the_next_one_takes_it_over),
        AUTH_TEST(test_only_owner_and_group_may_read_it),
        AUTH_TEST(test_an_expired_key_is_not_valid),
        AUTH_TEST(test_an_old_snapshot_is_stale_until_the_hub_confirms_it),
        AUTH_TEST(test_a_time_in_the_future_or_none_is_stale),
        AUTH_TEST(test_the_hub_writes_again_what_was_removed_or_cut_short),
        AUTH_TEST(test_a_file_without_a_hub_is_compared_with_its_name),
        AUTH_TEST(test_a_torn_or_changed_file_is_not_trusted),
        AUTH_TEST(test_somebody_elses_file_is_not_trusted),
        AUTH_TEST(test_readers_see_one_whole_snapshot_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
