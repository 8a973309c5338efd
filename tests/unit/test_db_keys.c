/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys, on a real PostgreSQL: what is made, listed, revoked, and what a hub reads of them.
 */
#include "job_fixture.h"

#include "db/key.h"

static const unsigned char hash[KEY_ROW_HASH_SIZE] = {1, 2, 3, 0, 255};

static struct context *begin_keys(void **state)
{
    struct context *c = begin_test(state);
    (void)ask(c, c->other, "TRUNCATE gangsaw.key");
    return c;
}

static struct key_row new_key(const char *id)
{
    return (struct key_row){
        .id = id, .tenant = "shop", .sha256 = hash, .scopes = "run jobs:read", .label = ""};
}

static int64_t insert(struct context *c, struct key_row key, int days)
{
    struct error error = {.code = ERR_NONE};
    int64_t expires_us = -1;
    if (key_row_insert(c->db, &key, days, &expires_us, &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
    return expires_us;
}

struct read_answer {
    struct context *context;
    int64_t known_change;
    struct key_rows keys;
    bool is_done, is_good;
};

static void take(void *context, const struct db_rows *rows, const struct error *error)
{
    struct read_answer *r = context;
    r->is_done = true;
    if (error)
        fail_msg("%s %s", error->detail, error->cause);
    r->is_good = key_rows_read(rows, r->known_change, r->context->arena, &r->keys);
    for (int i = 0; i < r->keys.count; i++) { /* `rows` end with this call */
        struct key_row *k = &r->keys.keys[i];
        k->id = arena_strdup(r->context->arena, k->id);
        k->tenant = arena_strdup(r->context->arena, k->tenant);
        k->scopes = arena_strdup(r->context->arena, k->scopes);
        k->sha256 = arena_memdup(r->context->arena, k->sha256, KEY_ROW_HASH_SIZE);
    }
}

static struct key_rows read_keys(struct context *c, int64_t known_change)
{
    struct read_answer r = {.context = c, .known_change = known_change};
    int64_t end = clock_us() + LIMIT_US;
    key_rows_send(c->db, known_change, take, &r);
    while (!r.is_done && clock_us() < end)
        step(c->db, end);
    assert_true(r.is_done);
    assert_true(r.is_good);
    return r.keys;
}

static void test_a_key_is_read_as_it_was_made(void **state)
{
    struct context *c = begin_keys(state);
    struct key_row key = new_key("abcdefghij09");
    key.requests_per_minute = 600;
    key.concurrent_runs = 4;
    key.queued_jobs = INT64_C(10000000000);
    key.body_bytes = INT64_C(20000000000);
    key.label = "it's \"mine\", \\ 100 %";
    assert_int_equal(insert(c, key, 0), 0);
    int64_t expires_us = insert(c, new_key("bbbbbbbbbbbb"), 30);
    assert_true(expires_us > clock_real_us() + INT64_C(29) * 86400 * 1000000);
    assert_true(expires_us < clock_real_us() + INT64_C(31) * 86400 * 1000000);

    struct key_rows k = read_keys(c, -1);
    assert_true(k.has_keys);
    assert_false(k.is_same);
    assert_int_equal(k.count, 2);
    const struct key_row *first = &k.keys[strcmp(k.keys[0].id, "abcdefghij09") != 0];
    const struct key_row *second = &k.keys[first == &k.keys[0]];
    assert_string_equal(first->id, "abcdefghij09");
    assert_string_equal(first->tenant, "shop");
    assert_string_equal(first->scopes, "run jobs:read");
    assert_memory_equal(first->sha256, hash, sizeof(hash));
    assert_int_equal(first->requests_per_minute, 600);
    assert_int_equal(first->concurrent_runs, 4);
    assert_int_equal(first->queued_jobs, INT64_C(10000000000));
    assert_int_equal(first->body_bytes, INT64_C(20000000000));
    assert_int_equal(first->expires_us, 0);
    assert_int_equal(second->expires_us, expires_us);
    assert_int_equal(second->requests_per_minute, 0);
    assert_int_equal(second->body_bytes, 0);

    struct key_row *list;
    struct error error;
    int count;
    assert_int_equal(key_row_list(c->db, c->arena, &list, &count, &error), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].id, "abcdefghij09");
    assert_string_equal(list[0].label, "it's \"mine\", \\ 100 %");
    assert_null(list[0].sha256);
    assert_int_equal(list[0].queued_jobs, INT64_C(10000000000));
    assert_true(list[0].created_us > clock_real_us() - INT64_C(3600000000));
    assert_int_equal(list[0].revoked_us, 0);
    assert_int_equal(list[1].expires_us, expires_us);
}

static void test_only_valid_keys_are_read_and_the_last_one_leaves_a_trace(void **state)
{
    struct context *c = begin_keys(state);
    struct error error;
    assert_false(read_keys(c, -1).has_keys);
    (void)insert(c, new_key("aaaaaaaaaaaa"), 0);
    (void)insert(c, new_key("bbbbbbbbbbbb"), 1);
    assert_int_equal(read_keys(c, -1).count, 2);
    assert_int_equal(key_row_revoke(c->db, "aaaaaaaaaaaa", &error), 0);
    struct key_rows k = read_keys(c, -1);
    assert_int_equal(k.count, 1);
    assert_string_equal(k.keys[0].id, "bbbbbbbbbbbb");
    (void)ask(c, c->other,
              "UPDATE gangsaw.key SET expires_at = now() - interval '1 second' "
              "WHERE expires_at IS NOT NULL");
    k = read_keys(c, -1);
    assert_int_equal(k.count, 0);
    assert_true(k.has_keys);
}

static void test_what_is_known_is_not_read_again(void **state)
{
    struct context *c = begin_keys(state);
    struct error error;
    (void)insert(c, new_key("aaaaaaaaaaaa"), 0);
    struct key_rows k = read_keys(c, -1);
    int64_t change = k.change;
    for (int i = 0; i < 3; i++) {
        k = read_keys(c, change);
        assert_true(k.is_same);
        assert_true(k.has_keys);
        assert_int_equal(k.count, 0);
        assert_int_equal(k.change, change);
    }
    (void)insert(c, new_key("bbbbbbbbbbbb"), 0);
    k = read_keys(c, change);
    assert_false(k.is_same);
    assert_int_equal(k.count, 2);
    assert_true(k.change > change);
    change = k.change;
    assert_int_equal(key_row_revoke(c->db, "bbbbbbbbbbbb", &error), 0);
    assert_int_equal(read_keys(c, change).count, 1);
    change = read_keys(c, -1).change;
    (void)ask(c, c->other, "TRUNCATE gangsaw.key");
    k = read_keys(c, change);
    assert_false(k.is_same);
    assert_int_equal(k.count, 0);
}

/* Nothing of the table is touched as long as it is what it was. */
static void test_an_unchanged_table_costs_the_same_whatever_its_size(void **state)
{
    struct context *c = begin_keys(state);
    (void)ask(c, c->other,
              "INSERT INTO gangsaw.key (id, tenant, sha256, scopes) "
              "SELECT lpad(i::text, 12, 'k'), 'shop', sha256(i::text::bytea), '{run}' "
              "FROM generate_series(1, 10000) i");
    struct key_rows k = read_keys(c, -1);
    assert_int_equal(k.count, 10000);
    (void)ask(c, c->db, "SELECT pg_stat_force_next_flush()");
    (void)ask(c, c->other, "SELECT pg_stat_reset()");
    for (int i = 0; i < 20; i++)
        assert_true(read_keys(c, k.change).is_same);
    (void)ask(c, c->db, "SELECT pg_stat_force_next_flush()");
    const struct db_rows *rows =
        ask(c, c->other,
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables "
            "WHERE relid = 'gangsaw.key'::regclass");
    assert_true(db_get_int(rows, 0, 0) <= 20); /* one row each: is there any? */
}

static void test_revoking_is_repeatable_and_of_known_ids_alone(void **state)
{
    struct context *c = begin_keys(state);
    struct error error;
    struct key_row *list;
    int count;
    (void)insert(c, new_key("aaaaaaaaaaaa"), 0);
    assert_int_equal(key_row_revoke(c->db, "bbbbbbbbbbbb", &error), -1);
    assert_int_equal(error.code, ERR_NOT_FOUND);
    assert_int_equal(key_row_revoke(c->db, "aaaaaaaaaaaa", &error), 0);
    assert_int_equal(key_row_list(c->db, c->arena, &list, &count, &error), 0);
    int64_t revoked_us = list[0].revoked_us;
    assert_true(revoked_us > 0);
    assert_int_equal(key_row_revoke(c->db, "aaaaaaaaaaaa", &error), 0);
    assert_int_equal(key_row_list(c->db, c->arena, &list, &count, &error), 0);
    assert_int_equal(list[0].revoked_us, revoked_us);
    struct key_row again = new_key("aaaaaaaaaaaa");
    int64_t expires_us;
    assert_int_equal(key_row_insert(c->db, &again, 0, &expires_us, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
}

static void count_notified(void *context, const char *channel, const char *payload)
{
    (void)payload;
    *(int *)context += strcmp(channel, KEY_CHANNEL) == 0;
}

static void test_each_change_is_notified(void **state)
{
    static const char *const channels[] = {KEY_CHANNEL, NULL};
    struct context *c = begin_keys(state);
    struct error error;
    int count = 0;
    const struct db_events events = {.notified = count_notified, .context = &count};
    struct db *listener = open_with(NULL, 10000);
    int64_t end = clock_us() + LIMIT_US;
    db_keep(listener, &events, channels);
    while (!db_is_connected(listener) && clock_us() < end)
        step(listener, end);
    (void)insert(c, new_key("aaaaaaaaaaaa"), 0);
    while (count < 1 && clock_us() < end)
        step(listener, end);
    assert_int_equal(key_row_revoke(c->db, "aaaaaaaaaaaa", &error), 0);
    while (count < 2 && clock_us() < end)
        step(listener, end);
    (void)ask(c, c->other, "DELETE FROM gangsaw.key");
    while (count < 3 && clock_us() < end)
        step(listener, end);
    assert_int_equal(count, 3);
    db_close(listener);
}

static void test_the_public_may_not_read_keys(void **state)
{
    struct context *c = begin_keys(state);
    const struct db_rows *rows =
        ask(c, c->db,
            "SELECT count(*) FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) p "
            "WHERE c.oid IN ('gangsaw.key'::regclass, 'gangsaw.key_change'::regclass) "
            "  AND p.grantee = 0");
    assert_int_equal(db_get_int(rows, 0, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_is_read_as_it_was_made),
        TEST(test_only_valid_keys_are_read_and_the_last_one_leaves_a_trace),
        TEST(test_what_is_known_is_not_read_again),
        TEST(test_an_unchanged_table_costs_the_same_whatever_its_size),
        TEST(test_revoking_is_repeatable_and_of_known_ids_alone),
        TEST(test_each_change_is_notified),
        TEST(test_the_public_may_not_read_keys),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
