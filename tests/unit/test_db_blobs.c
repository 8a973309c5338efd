/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Blobs in pieces, by workers and by event loops, and what retention leaves of jobs and blobs.
 */
#include "job_fixture.h"

#include "base/payload.h"

#define MIB BLOB_CHUNK_SIZE

static const size_t sizes[] = {0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 3 * MIB + 4711};

static unsigned char *random_bytes(struct jobs *j, size_t size)
{
    unsigned char *bytes = arena_alloc(j->arena, size);
    uint32_t x = 2463534242U;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        bytes[i] = (unsigned char)x;
    }
    return bytes;
}

struct moved {
    bool is_done;
    struct error error;
    struct blob_info info;
};

static void transfer_done(void *context, const struct blob_info *info, const struct error *error)
{
    struct moved *m = context;
    m->is_done = true;
    m->error = error ? *error : (struct error){.code = ERR_NONE};
    if (info) {
        m->info = *info;
        m->info.media_type = m->info.file_name = NULL; /* the transfer's own */
    }
}

static void finish(struct jobs *j, struct moved *m)
{
    int64_t end = clock_us() + LIMIT_US;
    while (!m->is_done && clock_us() < end)
        step(j->queue, end);
    assert_true(m->is_done);
}

static struct error load(struct jobs *j, int64_t key, size_t max_bytes,
                         struct payload **ret_payload)
{
    struct moved m = {0};
    *ret_payload = payload_new(j->arena);
    assert_non_null(blob_load_send(j->queue, key, max_bytes, *ret_payload, transfer_done, &m));
    finish(j, &m);
    return m.error;
}

static void expect_blob(struct jobs *j, const struct blob_info *info, const unsigned char *bytes,
                        size_t size)
{
    struct blob_info found;
    struct payload *payload;
    struct error error;
    size_t offset = 0, piece_size;
    const void *piece;

    assert_int_equal(blob_get(j->api, j->arena, "", info->key, &found, &error), 0);
    assert_int_equal(found.size, size);
    assert_string_equal(found.sha256, info->sha256);
    assert_string_equal(found.media_type, "image/png");
    assert_string_equal(found.file_name, "a \"b\".png");
    assert_true(found.expires_us - found.created_us == 3600000000);
    assert_int_equal(
        number(j,
               arena_printf(j->arena,
                            "SELECT (encode(sha256(coalesce(string_agg(c.bytes, '' ORDER BY c.n), "
                            "'')), 'hex') = '%s')::integer FROM gangsaw.blob_chunk c "
                            "WHERE c.blob = %lld",
                            info->sha256, (long long)info->key)),
        1);
    for (int n = 0; offset < size; n++) {
        assert_int_equal(
            blob_read_chunk(j->api, j->arena, info->key, n, &piece, &piece_size, &error), 0);
        assert_true(piece_size == MIB || offset + piece_size == size);
        assert_memory_equal(piece, bytes + offset, piece_size);
        offset += piece_size;
    }
    assert_int_equal(blob_read_chunk(j->api, j->arena, info->key, 4, &piece, &piece_size, &error),
                     -1);
    assert_int_equal(error.code, ERR_GONE);
    assert_int_equal(load(j, info->key, size, &payload).code, ERR_NONE);
    assert_int_equal(payload->size, size);
    assert_memory_equal(payload->bytes ? payload->bytes : (const unsigned char *)"", bytes, size);
}

static void test_a_worker_writes_and_reads_any_size(void **state)
{
    struct jobs *j = jobs_begin(state);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned char *bytes = random_bytes(j, sizes[i]);
        struct blob_writer *w;
        struct blob_info info;
        struct error error;
        assert_int_equal(
            blob_write_begin(j->api, j->arena, "", "image/png", "a \"b\".png", &w, &error), 0);
        for (size_t at = 0; at < sizes[i];) { /* in parts that fit nothing */
            size_t part = sizes[i] - at < 300007 ? sizes[i] - at : 300007;
            assert_int_equal(blob_write(w, bytes + at, part, &error), 0);
            at += part;
        }
        assert_int_equal(blob_write_end(w, &info, &error), 0);
        assert_int_equal(blob_write_end(w, &info, &error), -1);
        expect_blob(j, &info, bytes, sizes[i]);
    }
    jobs_end(j);
}

static void test_an_event_loop_writes_and_reads_any_size(void **state)
{
    struct jobs *j = jobs_begin(state);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        unsigned char *bytes = random_bytes(j, sizes[i]);
        struct moved m = {0};
        assert_non_null(blob_save_send(j->queue, "", bytes, sizes[i], "image/png", "a \"b\".png",
                                       transfer_done, &m));
        finish(j, &m);
        assert_int_equal(m.error.code, ERR_NONE);
        expect_blob(j, &m.info, bytes, sizes[i]);
    }
    jobs_end(j);
}

static void test_an_aborted_upload_leaves_nothing(void **state)
{
    struct jobs *j = jobs_begin(state);
    unsigned char *bytes = random_bytes(j, 3 * MIB);
    struct blob_writer *w;
    struct error error;
    assert_int_equal(blob_write_begin(j->api, j->arena, "", "image/png", NULL, &w, &error), 0);
    assert_int_equal(blob_write(w, bytes, 3 * MIB, &error), 0);
    blob_write_abort(w);
    blob_write_abort(w);
    blob_write_abort(NULL);
    assert_int_equal(blob_write(w, bytes, 1, &error), -1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob_chunk"), 0);
    (void)store(j, new_job("{}")); /* the connection is free again */
    jobs_end(j);
}

static void test_a_cancelled_transfer_is_not_called_back(void **state)
{
    struct jobs *j = jobs_begin(state);
    unsigned char *bytes = random_bytes(j, 3 * MIB);
    struct moved m = {0}, other = {0};
    struct blob_transfer *t =
        blob_save_send(j->queue, "", bytes, 3 * MIB, "image/png", NULL, transfer_done, &m);
    step(j->queue, clock_us() + 1000);
    blob_transfer_cancel(t);
    blob_transfer_cancel(NULL);
    assert_non_null(blob_save_send(j->queue, "", "x", 1, "image/png", NULL, transfer_done, &other));
    finish(j, &other);
    assert_false(m.is_done);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob"), 1);
    jobs_end(j);
}

/* A leak when there is one. */
static void test_a_cancelled_transfer_is_gone_before_its_connection(void **state)
{
    struct jobs *j = jobs_begin(state);
    unsigned char *bytes = random_bytes(j, 3 * MIB);
    struct moved m = {0}, other = {0};
    int64_t key = save_blob(j, "12345", 5);
    struct blob_transfer *save =
        blob_save_send(j->queue, "", bytes, 3 * MIB, "image/png", NULL, transfer_done, &m);
    struct blob_transfer *load =
        blob_load_send(j->queue, key, 5, payload_new(j->arena), transfer_done, &m);
    step(j->queue, clock_us() + 1000);
    blob_transfer_cancel(load);
    blob_transfer_cancel(save);
    db_close(j->queue);
    j->queue = open_with(DB_QUEUE_OPTIONS, 10000);
    (void)blob_save_send(j->queue, "", "x", 1, "image/png", NULL, transfer_done, &other);
    finish(j, &other);
    assert_false(m.is_done);
    jobs_end(j);
}

/* What the commit of each row waited for, seen when it came. */
#define WATCH_COMMITS                                                                            \
    "CREATE TABLE public.commits (what text, mode text);"                                        \
    "CREATE FUNCTION public.note_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "         \
    "    INSERT INTO public.commits VALUES (tg_argv[0], current_setting('synchronous_commit'));" \
    "    RETURN NULL; END $$;"                                                                   \
    "CREATE CONSTRAINT TRIGGER note AFTER INSERT ON gangsaw.blob "                               \
    "    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note_commit('blob')"
#define WATCH_COMMITS_NO_MORE                    \
    "DROP FUNCTION public.note_commit CASCADE; " \
    "DROP TABLE public.commits"

/* Even where the database's default is another: a completion that is on the disc must not name a
 * blob that is not. */
static void test_a_blob_is_on_the_disc_before_it_is_told_of(void **state)
{
    struct jobs *j = jobs_begin(state);
    unsigned char *bytes = random_bytes(j, 3 * MIB);
    const char *on = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', "
                     "current_database()); END $$";
    const char *off = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET synchronous_commit', "
                      "current_database()); END $$";
    change(j, on);
    change(j, WATCH_COMMITS);
    db_close(j->queue);
    db_close(j->api);
    j->queue = open_with(DB_QUEUE_OPTIONS, 10000);
    j->api = open_with(DB_WORK_OPTIONS, 10000);
    for (size_t size = 1; size <= 3 * MIB; size += 3 * MIB - 1) {
        struct moved m = {0};
        (void)blob_save_send(j->queue, "", bytes, size, "image/png", NULL, transfer_done, &m);
        finish(j, &m);
        assert_int_equal(m.error.code, ERR_NONE);
        (void)save_blob(j, bytes, size);
    }
    assert_int_equal(number(j, "SELECT count(*) FROM public.commits WHERE mode = 'on'"), 4);
    assert_int_equal(number(j, "SELECT count(*) FROM public.commits"), 4);
    change(j, WATCH_COMMITS_NO_MORE);
    change(j, off);
    jobs_end(j);
}

static void test_a_transfer_over_its_limit_is_refused(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct payload *payload;
    int64_t key = save_blob(j, "12345", 5);
    assert_int_equal(load(j, key, 4, &payload).code, ERR_TOO_LARGE);
    assert_int_equal(payload->size, 0);
    assert_int_equal(load(j, INT64_MAX, 4, &payload).code, ERR_GONE);
    change(j, "DELETE FROM gangsaw.blob_chunk");
    assert_int_equal(load(j, key, 5, &payload).code, ERR_GONE);
    jobs_end(j);
}

static void test_an_expired_blob_is_gone_unless_a_job_uses_it(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t keys[] = {save_blob(j, "a", 1), save_blob(j, "b", 1)};
    struct blob_info info, *infos;
    struct error error;
    int count;
    struct job_new job = new_job("{}");
    job.blobs = &keys[0];
    job.blob_count = 1;
    (void)store(j, job);
    assert_int_equal(blob_get_many(j->api, j->arena, "", keys, 2, &infos, &count, &error), 0);
    assert_int_equal(count, 2);
    change(j, "UPDATE gangsaw.blob SET expires_at = now() - interval '1 second'");
    assert_int_equal(blob_get(j->api, j->arena, "", keys[0], &info, &error), 0);
    assert_int_equal(blob_get(j->api, j->arena, "", keys[1], &info, &error), -1);
    assert_int_equal(error.code, ERR_GONE);
    assert_int_equal(blob_get_many(j->api, j->arena, "", keys, 2, &infos, &count, &error), 0);
    assert_int_equal(count, 1);
    assert_int_equal(infos[0].key, keys[0]);
    jobs_end(j);
}

/* ---- retention */

static struct job_prune prune(struct jobs *j)
{
    struct answer w = {.jobs = j};
    job_prune_send(j->queue, DAYS, answer_prune, &w);
    return await(&w)->prune;
}

static void test_expired_blobs_are_pruned_in_small_steps(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t used = save_blob(j, "used", 4), kept;
    struct job_new job = new_job("{}");
    job.blobs = &used;
    job.blob_count = 1;
    (void)store(j, job);
    change(j, "INSERT INTO gangsaw.blob (id, size, sha256, media_type) "
              "SELECT 1000000 + n, 1, '', '' FROM generate_series(1, 250) n");
    change(j, "INSERT INTO gangsaw.blob_chunk (day, blob, n, bytes) "
              "SELECT day, id, 0, 'x' FROM gangsaw.blob WHERE id > 1000000");
    change(j, "UPDATE gangsaw.blob SET expires_at = now() - interval '1 second'");
    kept = save_blob(j, "kept", 4);
    struct job_prune p = prune(j);
    assert_int_equal(p.blobs, 200);
    assert_false(p.is_done);
    p = prune(j);
    assert_int_equal(p.blobs, 50);
    p = prune(j);
    assert_int_equal(p.blobs, 0);
    assert_true(p.is_done);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob"), 2);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.blob_chunk"), 2);
    assert_true(kept > 0);
    jobs_end(j);
}

static void test_large_blobs_are_pruned_a_few_at_a_time(void **state)
{
    struct jobs *j = jobs_begin(state);
    change(j, "INSERT INTO gangsaw.blob (size, sha256, media_type, expires_at) "
              "SELECT 200000000, '', '', now() FROM generate_series(1, 5)");
    assert_int_equal(prune(j).blobs, 2);
    assert_int_equal(prune(j).blobs, 2);
    assert_int_equal(prune(j).blobs, 1);
    assert_true(prune(j).is_done);
    jobs_end(j);
}

static void test_partitions_are_made_ahead_and_dropped_after(void **state)
{
    struct jobs *j = jobs_begin(state);
    const char *parts = "SELECT count(*) FROM pg_inherits "
                        "WHERE inhparent = 'gangsaw.job_done'::regclass";
    (void)prune(j);
    int64_t usual = number(j, parts);
    assert_int_equal(usual, 5); /* today, three days ahead, and the default one */
    /* The days before, each with a job; 7 days after its end the first is past its time. */
    change(j, "SELECT gangsaw.ensure_partition('job_done', 'finished_at', "
              "(now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(1, 9) n");
    change(j,
           "INSERT INTO gangsaw.job_done (id, lease, created_at, ready_at, finished_at, state, "
           "priority, attempt, crashes, max_attempts, lane, task, tenant, params) "
           "SELECT n, 0, now(), now(), date_trunc('day', now(), 'UTC') - n * interval '24 hours', "
           "'succeeded', 0, 1, 0, 5, '', '', '', '{}' FROM generate_series(1, 12) n");
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_done_other"), 3);
    change(j, "UPDATE gangsaw.job_done SET tags = '{a,b,a}' WHERE id <> 9");
    change(j, "INSERT INTO gangsaw.job_tag (tag, job) "
              "SELECT t, id FROM gangsaw.job_done, unnest('{a,b}'::text[]) t WHERE id <> 9");
    struct job_prune p = {0};
    int64_t partitions = 0;
    int steps;
    for (steps = 0; steps < 20 && !p.is_done; steps++) {
        p = prune(j);
        assert_true(p.partitions <= 1);
        partitions += p.partitions;
    }
    assert_int_equal(partitions, 2);
    assert_int_equal(steps, 4); /* the tags of one of them took a step */
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_tag"), 2 * 7);
    assert_int_equal(number(j, "SELECT max(id) FROM gangsaw.job_done"), 7);
    assert_int_equal(number(j, parts), usual + 7);
    jobs_end(j);
}

static void test_rows_that_found_no_partition_move_into_theirs(void **state)
{
    struct jobs *j = jobs_begin(state);
    (void)prune(j);
    change(j, "DO $$ BEGIN EXECUTE format('DROP TABLE gangsaw.job_done_%s', "
              "to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYYMMDD')); END $$");
    change(j, "INSERT INTO gangsaw.job_done (id, lease, created_at, ready_at, finished_at, state, "
              "priority, attempt, crashes, max_attempts, lane, task, tenant, params) "
              "VALUES (1, 0, now(), now(), now() + interval '24 hours', "
              "'succeeded', 0, 1, 0, 5, '', '', '', '{}')");
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_done_other"), 1);
    (void)prune(j);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_done_other"), 0);
    assert_int_equal(get(j, 1).state, JOB_SUCCEEDED);
    jobs_end(j);
}

static void test_pieces_without_a_blob_go_with_their_partition(void **state)
{
    struct jobs *j = jobs_begin(state);
    change(j, "SELECT gangsaw.ensure_partition('blob_chunk', 'day', "
              "(now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(1, 4) n");
    change(j,
           "INSERT INTO gangsaw.blob_chunk (day, blob, n, bytes) "
           "SELECT (now() AT TIME ZONE 'UTC')::date - n, n, 0, 'x' FROM generate_series(0, 5) n");
    change(j, "INSERT INTO gangsaw.blob (id, day, size, sha256, media_type) "
              "VALUES (3, (now() AT TIME ZONE 'UTC')::date - 3, 1, '', '')");
    int64_t partitions = 0;
    struct job_prune p = {0};
    for (int i = 0; i < 10 && !p.is_done; i++) {
        p = prune(j);
        partitions += p.partitions;
    }
    assert_true(p.is_done);
    assert_int_equal(partitions,
                     2); /* of the days 2 and 4; 5 had none, 1 may still be written to */
    assert_int_equal(number(j, "SELECT sum(blob) FROM gangsaw.blob_chunk"), 0 + 1 + 3);
    jobs_end(j);
}

/* Whoever waits for a table is not held up by the deletion of files as well. */
static void test_a_step_that_changes_partitions_does_nothing_else(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_prune p;
    while (!prune(j).is_done)
        continue;
    (void)save_blob(j, "x", 1);
    change(j, "UPDATE gangsaw.blob SET expires_at = now()");
    change(j, "SELECT gangsaw.ensure_partition('job_done', 'finished_at', "
              "(now() AT TIME ZONE 'UTC')::date - 20)");
    change(j, "SELECT gangsaw.ensure_partition('blob_chunk', 'day', "
              "(now() AT TIME ZONE 'UTC')::date - 20)");
    change(j, "DO $$ BEGIN EXECUTE format('DROP TABLE gangsaw.job_done_%s', "
              "to_char((now() AT TIME ZONE 'UTC')::date + 3, 'YYYYMMDD')); END $$");
    p = prune(j); /* makes one, and then drops two */
    assert_true(p.partitions == 0 && p.blobs == 0 && !p.is_done);
    for (int i = 0; i < 2; i++) {
        p = prune(j);
        assert_true(p.partitions == 1 && p.blobs == 0 && !p.is_done);
    }
    p = prune(j);
    assert_true(p.partitions == 0 && p.blobs == 1);
    jobs_end(j);
}

static void test_pruning_waits_for_nobody(void **state)
{
    struct jobs *j = jobs_begin(state);
    while (!prune(j).is_done)
        continue;
    change(j, "SELECT gangsaw.ensure_partition('job_done', 'finished_at', "
              "(now() AT TIME ZONE 'UTC')::date - 20)");
    (void)save_blob(j, "x", 1);
    change(j, "UPDATE gangsaw.blob SET expires_at = now()");
    change(j, "INSERT INTO gangsaw.idempotency VALUES ('', '', 'old', '', '{}', now() - interval "
              "'25 hours'), ('', '', 'new', '', '{}', now())");
    change(j, "BEGIN");
    change(j, "SELECT 1 FROM gangsaw.job_done"); /* holds a lock on all of its partitions */
    struct job_prune p = prune(j);
    assert_int_equal(p.partitions, 0);
    assert_int_equal(p.blobs, 1);
    assert_int_equal(p.keys, 1);
    change(j, "COMMIT");
    assert_int_equal(prune(j).partitions, 1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.idempotency"), 1);
    change(j, "BEGIN");
    change(j, "SELECT pg_advisory_xact_lock(hashtextextended('gangsaw prune', 0))");
    p = prune(j); /* somebody else does it */
    assert_true(p.is_done);
    change(j, "COMMIT");
    jobs_end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_a_worker_writes_and_reads_any_size),
        TEST(test_an_event_loop_writes_and_reads_any_size),
        TEST(test_an_aborted_upload_leaves_nothing),
        TEST(test_a_cancelled_transfer_is_not_called_back),
        TEST(test_a_cancelled_transfer_is_gone_before_its_connection),
        TEST(test_a_blob_is_on_the_disc_before_it_is_told_of),
        TEST(test_a_transfer_over_its_limit_is_refused),
        TEST(test_an_expired_blob_is_gone_unless_a_job_uses_it),
        TEST(test_expired_blobs_are_pruned_in_small_steps),
        TEST(test_large_blobs_are_pruned_a_few_at_a_time),
        TEST(test_partitions_are_made_ahead_and_dropped_after),
        TEST(test_rows_that_found_no_partition_move_into_theirs),
        TEST(test_pieces_without_a_blob_go_with_their_partition),
        TEST(test_a_step_that_changes_partitions_does_nothing_else),
        TEST(test_pruning_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
