/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jobs as workers see them, on a real PostgreSQL: stored whole or not at all, read, listed,
 * cancelled and tried again.
 */
#include "job_fixture.h"

#include <math.h>

static struct error fail_to_store(struct jobs *j, const struct job_new *jobs, int count,
                                  const struct job_idempotency *key)
{
    struct error error;
    bool is_replayed;
    struct job_stored *stored = arena_alloc(j->arena, (size_t)count * sizeof(*stored));
    assert_int_equal(job_store(j->api, j->arena,
                               &(struct job_batch){"", jobs, count, key, 0, false}, stored,
                               &is_replayed, &error),
                     -1);
    return error;
}

static const char *params_of(struct jobs *j, int64_t id)
{
    const char *sql = arena_printf(
        j->arena, "SELECT params::text FROM gangsaw.any_job WHERE id = %lld", (long long)id);
    return db_get_text(ask(j->context, j->context->other, sql), 0, 0);
}

static void test_what_is_stored_is_read_back(void **state)
{
    struct jobs *j = jobs_begin(state);
    const char *tags[] = {"a \"quoted\\ tag", "NULL", "{}", "äß€"};
    struct job_new job = new_job("{ \"n\" : 1.50e2,\n \"text\": \"\\u00e4\" }");
    job.priority = -7;
    job.max_attempts = 3;
    job.timeout_seconds = 0.1;
    job.unique_key = "key 'of' \"mine\"";
    job.tags = tags;
    job.tag_count = COUNT(tags);
    job.request_id = "req-1";
    struct job_row row = get(j, store(j, job));
    assert_int_equal(row.state, JOB_QUEUED);
    assert_null(row.params); /* nobody who asks for a job needs megabytes of them */
    assert_string_equal(params_of(j, row.id), job.params); /* as it was written */
    assert_string_equal(row.task, "demo.echo");
    assert_string_equal(row.lane, "cpu/demo");
    assert_string_equal(row.tenant, "");
    assert_string_equal(row.unique_key, job.unique_key);
    assert_string_equal(row.request_id, "req-1");
    for (size_t i = 0; i < COUNT(tags); i++)
        assert_string_equal(row.tags[i], tags[i]);
    assert_null(row.tags[COUNT(tags)]);
    assert_int_equal(row.priority, -7);
    assert_int_equal(row.max_attempts, 3);
    assert_int_equal(row.attempt, 0);
    assert_true(row.timeout_seconds == 0.1);
    assert_true(isnan(row.fraction) && isnan(row.run_ms));
    assert_true(llabs(row.created_us - clock_real_us()) < LIMIT_US);
    assert_int_equal(row.created_us, row.ready_us);
    assert_int_equal(row.started_us, 0);
    assert_null(row.error);
    assert_null(row.result);
    row = get(j, store(j, new_job("{}")));
    assert_null(row.tags);
    assert_null(row.unique_key);
    assert_true(isnan(row.timeout_seconds));
    jobs_end(j);
}

static void test_a_later_job_is_scheduled(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new job = new_job("{}");
    job.delay_seconds = 3600.25;
    struct job_row row = get(j, store(j, job));
    assert_int_equal(row.state, JOB_SCHEDULED);
    assert_int_equal(row.ready_us - row.created_us, 3600250000);
    job.delay_seconds = 0;
    job.run_at_us = clock_real_us() + 86400000000;
    row = get(j, store(j, job));
    assert_int_equal(row.state, JOB_SCHEDULED);
    assert_int_equal(row.ready_us, job.run_at_us);
    job.run_at_us = clock_real_us() - 3600000000;
    row = get(j, store(j, job));
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.ready_us, row.created_us);
    jobs_end(j);
}

static void test_a_batch_keeps_its_order(void **state)
{
    enum { MANY = 10000 };
    struct jobs *j = jobs_begin(state);
    struct job_new *jobs = arena_alloc(j->arena, MANY * sizeof(*jobs));
    struct job_stored *stored = arena_alloc(j->arena, MANY * sizeof(*stored));
    for (int i = 0; i < MANY; i++) {
        jobs[i] = new_job(arena_printf(j->arena, "{\"n\":%d}", i));
        jobs[i].priority = i % 2;
    }
    store_many(j, jobs, MANY, stored);
    for (int i = 1; i < MANY; i++)
        assert_true(stored[i].is_new && stored[i].id > stored[i - 1].id);
    assert_string_equal(params_of(j, stored[1234].id), "{\"n\":1234}");
    assert_int_equal(number(j, "SELECT count(DISTINCT (priority, vtime)) FROM gangsaw.job"), MANY);
    struct job_stored next;
    store_many(j, &jobs[0], 1, &next);
    assert_int_equal(number(j, "SELECT count(DISTINCT (priority, vtime)) FROM gangsaw.job"),
                     MANY + 1);
    jobs_end(j);
}

static void test_a_bad_row_stores_nothing(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new jobs[] = {new_job("{}"), new_job("{}")};
    jobs[1].priority = 101;
    struct error error = fail_to_store(j, jobs, 2, NULL);
    assert_int_equal(error.code, ERR_INTERNAL);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 0);
    jobs_end(j);
}

static void test_a_unique_key_gives_the_live_job(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new jobs[] = {new_job("{\"n\":1}"), new_job("{\"n\":2}"), new_job("{\"n\":3}"),
                             new_job("{\"n\":4}")};
    struct job_stored first[4], again[4];
    jobs[0].unique_key = jobs[2].unique_key = "one"; /* twice in one batch */
    jobs[3].unique_key = "one";
    jobs[3].task = "demo.other"; /* its own */
    store_many(j, jobs, 4, first);
    assert_true(first[0].is_new && first[1].is_new && !first[2].is_new && first[3].is_new);
    assert_int_equal(first[2].id, first[0].id);
    store_many(j, jobs, 4, again);
    assert_true(!again[0].is_new && again[1].is_new && !again[2].is_new && !again[3].is_new);
    assert_int_equal(again[0].id, first[0].id);
    assert_int_equal(again[3].id, first[3].id);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 4);
    struct error error;
    assert_int_equal(job_cancel(j->api, j->arena, "", first[0].id, DAYS, &error), 0);
    store_many(j, jobs, 1, again);
    assert_true(again[0].is_new);
    jobs_end(j);
}

static void test_a_unique_key_under_way_is_not_waited_for_long(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new job = new_job("{}");
    job.unique_key = "k";
    change(j, "BEGIN");
    change(
        j,
        "INSERT INTO gangsaw.job (lane, task, unique_key) VALUES ('cpu/demo', 'demo.echo', 'k')");
    assert_int_equal(fail_to_store(j, &job, 1, NULL).code, ERR_UNAVAILABLE);
    change(j, "ROLLBACK");
    (void)store(j, job);
    jobs_end(j);
}

static const unsigned char sha_a[32] = {1}, sha_b[32] = {2};

static void test_an_idempotency_key_stores_once(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new jobs[] = {new_job("{}"), new_job("{}")};
    struct job_stored first[2], again[2], *found;
    struct job_idempotency key = {.route = "/v1/jobs", .key = "k 'é'", .request_sha256 = sha_a};
    struct error error;
    bool is_replayed;
    int count;
    assert_int_equal(job_find_stored(j->api, j->arena, "", &key, &found, &count, &error), 0);
    assert_int_equal(count, 0);
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", jobs, 2, &key, 0, false},
                               first, &is_replayed, &error),
                     0);
    assert_false(is_replayed);
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", jobs, 2, &key, 0, false},
                               again, &is_replayed, &error),
                     0);
    assert_true(is_replayed);
    assert_int_equal(again[0].id, first[0].id);
    assert_int_equal(again[1].id, first[1].id);
    assert_int_equal(job_find_stored(j->api, j->arena, "", &key, &found, &count, &error), 0);
    assert_int_equal(count, 2);
    assert_int_equal(found[1].id, first[1].id);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 2);

    key.request_sha256 = sha_b;
    assert_int_equal(fail_to_store(j, jobs, 2, &key).code, ERR_INVALID_PARAMS);
    key.route = "/v1/tasks/demo.echo"; /* another scope */
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", jobs, 2, &key, 0, false},
                               again, &is_replayed, &error),
                     0);
    assert_false(is_replayed);

    change(j, "UPDATE gangsaw.idempotency SET created_at = now() - interval '24 hours 1 second'");
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", jobs, 2, &key, 0, false},
                               first, &is_replayed, &error),
                     0);
    assert_false(is_replayed);
    assert_true(first[0].id > again[0].id);
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", jobs, 2, &key, 0, false},
                               again, &is_replayed, &error),
                     0);
    assert_true(is_replayed);
    jobs_end(j);
}

static void test_an_idempotency_key_under_way_is_a_conflict(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct job_new job = new_job("{}");
    struct job_idempotency key = {.route = "/v1/jobs", .key = "k", .request_sha256 = sha_a};
    change(j, "BEGIN");
    change(j, "SELECT pg_advisory_xact_lock(hashtextextended("
              "concat_ws(E'\\n', 'gangsaw idempotency', '', '/v1/jobs', 'k'), 0))");
    assert_int_equal(fail_to_store(j, &job, 1, &key).code, ERR_CONFLICT);
    change(j, "COMMIT");
    struct job_stored stored;
    struct error error;
    bool is_replayed;
    assert_int_equal(job_store(j->api, j->arena, &(struct job_batch){"", &job, 1, &key, 0, false},
                               &stored, &is_replayed, &error),
                     0);
    assert_false(is_replayed);
    jobs_end(j);
}

static void test_blobs_of_a_job_are_checked_and_held(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t keys[] = {save_blob(j, "one", 3), save_blob(j, "two", 3), 0};
    keys[2] = keys[0];
    struct job_new job = new_job("{}");
    job.blobs = keys;
    job.blob_count = 3; /* one of them twice */
    (void)store(j, job);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_blob"), 2);
    change(j, "UPDATE gangsaw.blob SET expires_at = now()");
    (void)store(j, job); /* in use, so not gone */
    change(j, "DELETE FROM gangsaw.job_blob");
    assert_int_equal(fail_to_store(j, &job, 1, NULL).code, ERR_NOT_FOUND);
    keys[0] = INT64_MAX;
    job.blob_count = 1;
    assert_int_equal(fail_to_store(j, &job, 1, NULL).code, ERR_NOT_FOUND);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job"), 2);
    jobs_end(j);
}

static void test_only_an_idle_runner_is_woken(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct answer w = {.jobs = j};
    int64_t runner = register_runner(j, LEASE_SECONDS);
    struct job_new job = new_job("{}");
    (void)store(j, job);
    assert_string_equal(jobs_heard(j), "");
    runner_mark_send(j->queue, runner, true, false, answer_nothing, &w);
    (void)await(&w);
    (void)store(j, job);
    assert_string_equal(jobs_heard(j), "gangsaw_job=\n");
    job.delay_seconds = 60;
    (void)store(j, job);
    assert_string_equal(jobs_heard(j), "");
    jobs_end(j);
}

static void test_many_are_read_at_once(void **state)
{
    struct jobs *j = jobs_begin(state);
    int64_t ids[] = {store(j, new_job("{}")), store(j, new_job("{}")), INT64_MAX, -1, 0};
    struct job_row *rows, row;
    struct error error;
    int count;
    assert_int_equal(job_get_many(j->api, j->arena, "", ids, COUNT(ids), &rows, &count, &error), 0);
    assert_int_equal(count, 2);
    assert_null(rows[0].params);
    assert_int_equal(job_get_many(j->api, j->arena, "", ids, 0, &rows, &count, &error), 0);
    assert_int_equal(count, 0);
    assert_int_equal(job_get(j->api, j->arena, "", INT64_MAX, false, &row, &error), -1);
    assert_int_equal(error.code, ERR_GONE);
    jobs_end(j);
}

static int list(struct jobs *j, struct job_filter filter, struct job_row **ret_rows)
{
    struct error error;
    int count;
    if (job_list(j->api, j->arena, &filter, ret_rows, &count, &error) != 0)
        fail_msg("%s %s", error.detail, error.cause);
    for (int i = 1; i < count; i++)
        assert_true((*ret_rows)[i].id < (*ret_rows)[i - 1].id);
    return count;
}

static void test_lists_are_filtered_newest_first(void **state)
{
    struct jobs *j = jobs_begin(state);
    const char *tag = "red";
    struct job_new job = new_job("{}"), tagged = job, other = job, later = job;
    struct job_row *rows;
    struct error error;
    int64_t ids[4];
    tagged.tags = &tag;
    tagged.tag_count = 1;
    other.task = "demo.other";
    later.delay_seconds = 60;
    ids[0] = store(j, job);
    ids[1] = store(j, tagged);
    ids[2] = store(j, other);
    ids[3] = store(j, later);
    assert_int_equal(job_cancel(j->api, j->arena, "", ids[1], DAYS, &error), 0);

    struct job_filter all = {.tenant = "", .state = -1, .limit = 10}, f = all;
    assert_int_equal(list(j, all, &rows), 4);
    assert_int_equal(rows[0].id, ids[3]);
    f.limit = 2;
    assert_int_equal(list(j, f, &rows), 2);
    f.before = rows[1].id;
    assert_int_equal(list(j, f, &rows), 2);
    assert_int_equal(rows[1].id, ids[0]);
    const int states[] = {JOB_QUEUED,    JOB_SCHEDULED, JOB_RUNNING,
                          JOB_SUCCEEDED, JOB_FAILED,    JOB_CANCELED};
    const int expected[] = {2, 1, 0, 0, 0, 1};
    for (size_t i = 0; i < COUNT(states); i++) {
        f = all;
        f.state = states[i];
        assert_int_equal(list(j, f, &rows), expected[i]);
        f.task = "demo.echo";
        assert_int_equal(list(j, f, &rows), expected[i] - (states[i] == JOB_QUEUED));
        f.tag = "red";
        assert_int_equal(list(j, f, &rows), states[i] == JOB_CANCELED);
        f.task = NULL;
        assert_int_equal(list(j, f, &rows), states[i] == JOB_CANCELED);
    }
    f = all;
    f.tag = "red";
    assert_int_equal(list(j, f, &rows), 1);
    assert_string_equal(rows[0].tags[0], "red");
    f.task = "demo.other";
    assert_int_equal(list(j, f, &rows), 0);
    f.tag = NULL;
    assert_int_equal(list(j, f, &rows), 1);
    jobs_end(j);
}

static void test_cancel_ends_a_job_at_once(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, LEASE_SECONDS), queued = store(j, new_job("{}"));
    assert_int_equal(job_cancel(j->api, j->arena, "", queued, DAYS, &error), 0);
    assert_int_equal(job_cancel(j->api, j->arena, "", queued, DAYS, &error), 0);
    struct job_row row = get(j, queued);
    assert_int_equal(row.state, JOB_CANCELED);
    assert_true(row.finished_us >= row.created_us);
    assert_string_equal(jobs_heard(j), "");

    int64_t running = store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    assert_int_equal(job_cancel(j->api, j->arena, "", running, DAYS, &error), 0);
    const char *expected =
        arena_printf(j->arena, "gangsaw_cancel=%lld:%lld:%lld\n", (long long)runner,
                     (long long)running, (long long)claimed.lease);
    assert_string_equal(jobs_heard(j), expected);
    struct job_end end = {
        .id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED, .run_ms = 1};
    assert_int_equal(complete(j, runner, &end, 1), 0);
    row = get(j, running);
    assert_int_equal(row.state, JOB_CANCELED);
    assert_true(row.lease > claimed.lease);
    assert_int_equal(job_cancel(j->api, j->arena, "", INT64_MAX, DAYS, &error), -1);
    assert_int_equal(error.code, ERR_GONE);
    jobs_end(j);
}

static int64_t fail_job(struct jobs *j, int64_t runner, struct job_new job)
{
    (void)store(j, job);
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {.id = claimed.id,
                          .lease = claimed.lease,
                          .state = JOB_FAILED,
                          .run_ms = 5,
                          .error = "{\"code\":\"internal\",\"detail\":\"Äh.\"}"};
    assert_int_equal(complete(j, runner, &end, 1), 1);
    return claimed.id;
}

static void test_a_retried_job_begins_anew_under_its_id(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, LEASE_SECONDS), blob = save_blob(j, "in", 2);
    struct job_new job = new_job("{\"n\":1}");
    job.blobs = &blob;
    job.blob_count = 1;
    job.priority = 3;
    int64_t id = fail_job(j, runner, job);
    struct job_row failed = get(j, id);
    assert_int_equal(failed.state, JOB_FAILED);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_blob"), 0);

    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), 0);
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), 0); /* live: stays as it is */
    struct job_row row = get(j, id);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.attempt, 0);
    assert_int_equal(row.max_attempts, 5);
    assert_int_equal(row.priority, 3);
    assert_int_equal(row.created_us, failed.created_us);
    assert_string_equal(params_of(j, id), "{\"n\":1}");
    assert_non_null(strstr(row.attempts, "Äh."));
    assert_non_null(strstr(row.attempts, "Z\""));
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_blob"), 1);
    assert_int_equal(number(j, "SELECT count(*) FROM gangsaw.job_done"), 0);
    struct job_claimed claimed = claim_one(j, runner);
    assert_int_equal(claimed.id, id);
    assert_int_equal(claimed.attempt, 1);
    assert_true(claimed.lease > failed.lease + 1);
    jobs_end(j);
}

static void test_a_retry_needs_its_inputs_and_its_unique_key(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, LEASE_SECONDS), blob = save_blob(j, "in", 2);
    struct job_new job = new_job("{}");
    job.unique_key = "k";
    int64_t id = fail_job(j, runner, job), holder = store(j, job);
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), -1);
    assert_int_equal(error.code, ERR_CONFLICT);
    assert_non_null(strstr(error.detail, "unique key"));
    assert_int_equal(get(j, id).state, JOB_FAILED);
    assert_int_equal(job_cancel(j->api, j->arena, "", holder, DAYS, &error), 0);
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), 0);
    assert_int_equal(job_cancel(j->api, j->arena, "", id, DAYS, &error), 0);

    job.unique_key = NULL;
    job.blobs = &blob;
    job.blob_count = 1;
    id = fail_job(j, runner, job);
    change(j, "UPDATE gangsaw.blob SET expires_at = now()");
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), -1);
    assert_int_equal(error.code, ERR_GONE);
    const struct db_secret *secret;
    char name[DB_ID_SIZE];
    assert_int_equal(db_read_secret(j->api, &secret, &error), 0);
    db_id_format(secret, DB_ID_BLOB, "", blob, name);
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), -1);
    assert_non_null(strstr(error.detail, name));
    assert_int_equal(get(j, id).state, JOB_FAILED);
    assert_int_equal(job_retry(j->api, j->arena, "", INT64_MAX, &error), -1);
    assert_int_equal(error.code, ERR_GONE);
    jobs_end(j);
}

static void test_a_retry_that_has_to_wait_does_not_speak_of_unique_keys(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, LEASE_SECONDS), id = fail_job(j, runner, new_job("{}"));
    change(j, "BEGIN");
    change(j, "SELECT FROM gangsaw.job_done FOR UPDATE");
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), -1);
    assert_int_equal(error.code, ERR_UNAVAILABLE);
    assert_null(strstr(error.detail, "unique key"));
    change(j, "COMMIT");
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), 0);
    jobs_end(j);
}

static void test_endless_retries_do_not_grow_a_job(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    int64_t runner = register_runner(j, LEASE_SECONDS), id = fail_job(j, runner, new_job("{}"));
    change(j,
           "UPDATE gangsaw.job_done SET attempts = "
           "(SELECT jsonb_agg(jsonb_build_object('attempt', n)) FROM generate_series(1, 100) n)");
    assert_int_equal(job_retry(j->api, j->arena, "", id, &error), 0);
    assert_int_equal(number(j, "SELECT jsonb_array_length(attempts) FROM gangsaw.job"), 100);
    assert_int_equal(number(j, "SELECT attempts->0->'attempt' FROM gangsaw.job"), 2);
    jobs_end(j);
}

static void test_counts_name_lanes_that_nobody_serves(void **state)
{
    struct jobs *j = jobs_begin(state);
    struct error error;
    struct job_lane_counts *lanes;
    int64_t finished[JOB_STATE_COUNT];
    int count;
    int64_t runner = register_runner(j, LEASE_SECONDS);
    (void)fail_job(j, runner, new_job("{}"));
    (void)store(j, new_job("{}"));
    struct job_claimed claimed = claim_one(j, runner);
    struct job_end end = {.id = claimed.id, .lease = claimed.lease, .state = JOB_SUCCEEDED};
    assert_int_equal(complete(j, runner, &end, 1), 1);
    struct job_new job = new_job("{}");
    (void)store(j, job);
    job.lane = "cpu/zebra";
    (void)store(j, job);
    job.delay_seconds = 60;
    (void)store(j, job);
    assert_int_equal(job_counts(j->api, j->arena, &lanes, &count, finished, &error), 0);
    assert_int_equal(count, 3);
    assert_string_equal(lanes[0].lane, "cpu/demo");
    assert_int_equal(lanes[0].queued, 1);
    assert_int_equal(lanes[0].runners, 1);
    assert_true(lanes[0].oldest_seconds >= 0);
    assert_string_equal(lanes[1].lane, "cpu/image");
    assert_true(isnan(lanes[1].oldest_seconds));
    assert_string_equal(lanes[2].lane, "cpu/zebra");
    assert_int_equal(lanes[2].queued, 1);
    assert_int_equal(lanes[2].scheduled, 1);
    assert_int_equal(lanes[2].runners, 0);
    assert_int_equal(finished[JOB_SUCCEEDED], 1);
    assert_int_equal(finished[JOB_FAILED], 1);
    assert_int_equal(finished[JOB_CANCELED], 0);
    jobs_end(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(test_what_is_stored_is_read_back),
        TEST(test_a_later_job_is_scheduled),
        TEST(test_a_batch_keeps_its_order),
        TEST(test_a_bad_row_stores_nothing),
        TEST(test_a_unique_key_gives_the_live_job),
        TEST(test_a_unique_key_under_way_is_not_waited_for_long),
        TEST(test_an_idempotency_key_stores_once),
        TEST(test_an_idempotency_key_under_way_is_a_conflict),
        TEST(test_blobs_of_a_job_are_checked_and_held),
        TEST(test_only_an_idle_runner_is_woken),
        TEST(test_many_are_read_at_once),
        TEST(test_lists_are_filtered_newest_first),
        TEST(test_cancel_ends_a_job_at_once),
        TEST(test_a_retried_job_begins_anew_under_its_id),
        TEST(test_a_retry_needs_its_inputs_and_its_unique_key),
        TEST(test_a_retry_that_has_to_wait_does_not_speak_of_unique_keys),
        TEST(test_endless_retries_do_not_grow_a_job),
        TEST(test_counts_name_lanes_that_nobody_serves),
    };
    return cmocka_run_group_tests(tests, migrate_group_setup, fixture_group_teardown);
}
