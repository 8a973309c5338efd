/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_db_loop.c - db_send() and notifications against a real PostgreSQL, whose connections break
 */
#include "db_fixture.h"
#include "db_loop.h"

struct loop {
    struct context *context;
    struct db *db;
    int answers, failures, connected, lost, notified;
    int64_t last;
    int chain; /* statements to send from callbacks */
    bool is_in_order;
};

static const struct db_statement number = {.name = "number", .sql = "SELECT $1::bigint"};

static void answered(void *context, const struct db_rows *rows, const struct error *error);

static void send_number(struct loop *l, int64_t n)
{
    const struct db_value value = db_int(l->context->arena, n);
    db_send(l->db, &number, &value, 1, answered, l);
}

static void answered(void *context, const struct db_rows *rows, const struct error *error)
{
    struct loop *l = context;
    assert_true((rows == NULL) != (error == NULL));
    if (!rows) {
        assert_int_equal(error->code, ERR_UNAVAILABLE);
        l->failures++;
        return;
    }
    l->is_in_order = l->is_in_order && db_get_int(rows, 0, 0) == l->last + 1;
    l->last = db_get_int(rows, 0, 0);
    l->answers++;
    if (l->chain > 0) {
        l->chain--;
        send_number(l, l->last + 1);
    }
}

static void on_connected(void *context)
{
    ((struct loop *)context)->connected++;
}

static void on_lost(void *context, const struct error *error)
{
    assert_int_equal(error->code, ERR_UNAVAILABLE);
    ((struct loop *)context)->lost++;
}

static void on_notified(void *context, const char *channel, const char *payload)
{
    struct loop *l = context;
    assert_string_equal(channel, "db_test \"odd\"");
    l->is_in_order = l->is_in_order && strtoll(payload, NULL, 10) == l->notified + 1;
    l->notified++;
}

static const char *const channels[] = {"db_test_quiet", "db_test \"odd\"", NULL};

static struct loop loop_open(struct context *c)
{
    return (struct loop){.context = c, .db = c->db, .is_in_order = true};
}

static void keep(struct loop *l)
{
    const struct db_events events = {
        .connected = on_connected, .lost = on_lost, .notified = on_notified, .context = l};
    db_keep(l->db, &events, channels);
}

static void test_statements_are_answered_in_the_order_of_sending(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    for (int i = 1; i <= 500; i++)
        send_number(&l, i);
    assert_int_equal(db_pending(c->db), 500);
    db_loop_until(l.db, &l.answers, 500);
    assert_true(l.is_in_order);
    assert_int_equal(db_pending(c->db), 0);
}

static void test_callbacks_may_send(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    l.chain = 300;
    send_number(&l, 1);
    db_loop_until(l.db, &l.answers, 301);
    assert_true(l.is_in_order);
}

static void waiting(void *context, const struct db_rows *rows, const struct error *error)
{
    struct loop *l = context;
    struct error inner = {.code = ERR_NONE};
    (void)rows;
    (void)error;
    assert_int_equal(db_query(l->db, l->context->arena, &number, NULL, 0, NULL, &inner), -1);
    assert_int_equal(inner.code, ERR_INTERNAL);
    l->answers++;
}

static void test_nobody_waits_inside_a_callback(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    const struct db_value value = db_int(c->arena, 1);
    db_send(c->db, &number, &value, 1, waiting, &l);
    db_loop_until(l.db, &l.answers, 1);
    (void)ask(c, c->db, "SELECT 1");
}

static void test_queries_wait_behind_what_was_sent(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    for (int i = 1; i <= 10; i++)
        send_number(&l, i);
    (void)ask(c, c->db, "SELECT 1");
    assert_int_equal(l.answers, 10);
}

static void notify(struct context *c, int first, int last)
{
    (void)ask(
        c, c->other,
        arena_printf(c->arena,
                     "SELECT pg_notify('db_test \"odd\"', i::text) FROM generate_series(%d, %d) i",
                     first, last));
}

static void test_a_flood_of_notifications_arrives_whole_and_statements_go_on(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    keep(&l);
    db_loop_until(l.db, &l.connected, 1);
    for (int i = 0; i < 4; i++) {
        notify(c, i * 5000 + 1, (i + 1) * 5000);
        send_number(&l, i + 1);
    }
    db_loop_until(l.db, &l.notified, 20000);
    db_loop_until(l.db, &l.answers, 4);
    assert_true(l.is_in_order);
    assert_int_equal(l.lost, 0);
}

static void test_a_lost_connection_is_told_and_made_again_with_its_listens(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    keep(&l);
    db_loop_until(l.db, &l.connected, 1);
    send_number(&l, 1);
    db_loop_until(l.db, &l.answers, 1);
    int64_t pid = backend(c, c->db);
    for (int i = 0; i < 3; i++) {
        break_backend(c, pid);
        send_number(&l, 2); /* they meet a dead connection */
        send_number(&l, 3);
        db_loop_until(l.db, &l.failures, 2 * (i + 1));
        assert_int_equal(l.lost, i + 1);
        db_loop_until(l.db, &l.connected, i + 2);
        assert_int_equal(l.answers, 1); /* nothing was sent twice */
        pid = backend(c, c->db);
    }
    notify(c, 1, 3);
    db_loop_until(l.db, &l.notified, 3);
}

static void test_a_connection_that_was_in_use_is_kept_from_then_on(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    int64_t pid = backend(c, c->db);
    keep(&l);
    db_loop_until(l.db, &l.connected, 1);
    assert_true(backend(c, c->db) == pid);
    notify(c, 1, 1);
    db_loop_until(l.db, &l.notified, 1);
}

static void test_a_slow_statement_of_a_loop_ends_too(void **state)
{
    struct context *c = begin_test(state);
    static const struct db_statement slow = {.name = "slow", .sql = "SELECT pg_sleep(5)"};
    db_close(c->db);
    c->db = open_with("-c statement_timeout=0", 1000);
    struct loop l = loop_open(c);
    db_send(c->db, &slow, NULL, 0, answered, &l);
    send_number(&l, 1);
    db_loop_until(l.db, &l.failures, 2);
    send_number(&l, 1);
    db_loop_until(l.db, &l.answers, 1);
}

/* ---- db_forget() */

static void answered_no_more(void *context, const struct db_rows *rows, const struct error *error)
{
    (void)rows;
    (void)error;
    fail_msg("%s was forgotten", (const char *)context);
}

static char forgotten[] = "a statement that";

static void forgetting(void *context, const struct db_rows *rows, const struct error *error)
{
    struct loop *l = context;
    (void)rows;
    (void)error;
    db_forget(l->db, forgotten);
    l->answers++;
}

static void send_between(struct loop *l, db_done *first)
{
    const struct db_value value = db_int(l->context->arena, l->last + 1);
    db_send(l->db, &number, &value, 1, first, l);
    db_send(l->db, &number, &value, 1, answered_no_more, forgotten);
    db_send(l->db, &number, &value, 1, answered, l);
}

static void test_what_was_forgotten_is_answered_to_nobody(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    send_between(&l, answered);
    db_forget(c->db, forgotten);
    db_loop_until(l.db, &l.answers, 2);
    send_between(&l, forgetting);
    db_loop_until(l.db, &l.answers, 4);
    assert_int_equal(db_pending(c->db), 0);
    db_forget(c->db, forgotten);
}

/* Whoever is told first takes the others back, which are about to be told. */
static void test_what_was_forgotten_is_not_told_of_a_lost_connection(void **state)
{
    struct context *c = begin_test(state);
    struct loop l = loop_open(c);
    int64_t pid = backend(c, c->db);
    break_backend(c, pid);
    send_between(&l, forgetting);
    db_loop_until(l.db, &l.failures, 1);
    assert_int_equal(l.answers, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_statements_are_answered_in_the_order_of_sending),
        TEST(test_callbacks_may_send),
        TEST(test_nobody_waits_inside_a_callback),
        TEST(test_queries_wait_behind_what_was_sent),
        TEST(test_a_flood_of_notifications_arrives_whole_and_statements_go_on),
        TEST(test_a_lost_connection_is_told_and_made_again_with_its_listens),
        TEST(test_a_connection_that_was_in_use_is_kept_from_then_on),
        TEST(test_a_slow_statement_of_a_loop_ends_too),
        TEST(test_what_was_forgotten_is_answered_to_nobody),
        TEST(test_what_was_forgotten_is_not_told_of_a_lost_connection),
    };
    return fixture_run(tests);
}
