# SPDX-License-Identifier: BSD-2-Clause
"""gangsaw.enqueue(), as an application calls it in transactions of its own."""

import os
import re

import pytest


def enqueue(database, arguments="'demo.echo'"):
    return database.sql(f"SELECT gangsaw.enqueue({arguments})")


def job(database, columns):
    return database.sql(f"SELECT {columns} FROM gangsaw.job")


def test_everything_but_the_task_has_a_default(database):
    public_id = enqueue(database)
    assert re.fullmatch(r"[0-9a-f]{10}[1-9][0-9]*", public_id)
    assert job(database, "gangsaw.public_id('job', id)") == public_id
    assert job(database, "gangsaw.key_of('job', gangsaw.public_id('job', id)) = id") == "t"
    assert job(database, "task, lane, state, params, priority, max_attempts, timeout_seconds, "
                         "unique_key, tags, tenant, attempt, ready_at = created_at") == \
        "demo.echo|unknown|queued|{}|0|5||||" + "|0|t"


def test_arguments_have_names(database):
    database.sql("INSERT INTO gangsaw.task VALUES ('demo.echo', 'cpu/demo')")
    enqueue(database, """'demo.echo', params => '{"n": 1.50}', priority => -100, max_attempts => 100,
            run_at => now() + interval '365 days', timeout_seconds => 0.1, unique_key => 'k',
            tags => ARRAY['b', 'a'], tenant => 'acme'""")
    assert job(database, "lane, state, params, priority, max_attempts, timeout_seconds, unique_key, "
                         "tags, tenant, ready_at - created_at") == \
        'cpu/demo|scheduled|{"n": 1.50}|-100|100|0.1|k|{b,a}|acme|365 days'
    assert database.sql("SELECT string_agg(tag, ',') FROM gangsaw.job_tag") == "a,b"


def test_a_time_in_the_near_past_is_now(database):
    enqueue(database, "'demo.echo', run_at => now() - interval '1 hour'")
    assert job(database, "state, ready_at = created_at") == "queued|t"


def test_a_rollback_leaves_nothing(database):
    database.sql("BEGIN; SELECT gangsaw.enqueue('demo.echo', tags => '{a}'); ROLLBACK")
    assert job(database, "count(*)") == "0"
    assert database.sql("SELECT count(*) FROM gangsaw.job_tag") == "0"


def test_a_unique_key_gives_the_live_job(database):
    first = enqueue(database, "'demo.echo', unique_key => 'k'")
    assert enqueue(database, "'demo.echo', unique_key => 'k', params => '{\"n\": 2}'") == first
    others = {enqueue(database, "'demo.other', unique_key => 'k'"),
              enqueue(database, "'demo.echo', unique_key => 'k', tenant => 'acme'"),
              enqueue(database, "'demo.echo', unique_key => 'K'"), enqueue(database), first}
    assert len(others) == 5
    database.sql("DELETE FROM gangsaw.job WHERE unique_key = 'k'")
    assert enqueue(database, "'demo.echo', unique_key => 'k'") not in others


@pytest.mark.parametrize("arguments, words", [
    ("NULL", "task must"),
    ("''", "task must"),
    ("'echo'", "task must"),
    ("'Demo.echo'", "task must"),
    ("'demo.echo' || chr(10)", "task must"),
    ("'demo.' || repeat('e', 60)", "task must"),
    ("'demo.echo', params => NULL", "params must"),
    ("'demo.echo', params => '[]'", "params must"),
    ("'demo.echo', params => '1'", "params must"),
    ("'demo.echo', params => jsonb_build_object('n', repeat('n', 16777216 - 8))", "16 MiB"),
    ("'demo.echo', priority => 101", "priority must"),
    ("'demo.echo', priority => -101", "priority must"),
    ("'demo.echo', priority => NULL", "priority must"),
    ("'demo.echo', run_at => now() + interval '400 days'", "run_at must"),
    ("'demo.echo', run_at => 'infinity'", "run_at must"),
    ("'demo.echo', run_at => '-infinity'", "run_at must"),
    ("'demo.echo', run_at => '1970-01-01'", "run_at must"),
    ("'demo.echo', max_attempts => 0", "max_attempts must"),
    ("'demo.echo', max_attempts => 101", "max_attempts must"),
    ("'demo.echo', max_attempts => NULL", "max_attempts must"),
    ("'demo.echo', timeout_seconds => 0", "timeout_seconds must"),
    ("'demo.echo', timeout_seconds => -1", "timeout_seconds must"),
    ("'demo.echo', timeout_seconds => 'NaN'", "timeout_seconds must"),
    ("'demo.echo', timeout_seconds => 'Infinity'", "timeout_seconds must"),
    ("'demo.echo', timeout_seconds => 86401", "timeout_seconds must"),
    ("'demo.echo', unique_key => ''", "unique_key must"),
    ("'demo.echo', unique_key => repeat('k', 256)", "unique_key must"),
    ("'demo.echo', tenant => NULL", "tenant must"),
    ("'demo.echo', tenant => repeat('t', 65)", "tenant must"),
    ("'demo.echo', tags => ARRAY['']", "tags must"),
    ("'demo.echo', tags => ARRAY[NULL::text]", "tags must"),
    ("'demo.echo', tags => ARRAY[repeat('t', 65)]", "tags must"),
    ("'demo.echo', tags => array_fill('t'::text, '{21}')", "tags must"),
    ("'demo.echo', colour => 'red'", "does not exist"),
])
def test_a_bad_argument_is_named(database, arguments, words):
    assert words in database.error(f"SELECT gangsaw.enqueue({arguments})")
    assert job(database, "count(*)") == "0"


def test_tags_are_flat(database):
    enqueue(database, "'demo.echo', tags => '{{a,b},{c,a}}'")
    assert job(database, "tags") == "{a,b,c,a}"
    database.sql("DELETE FROM gangsaw.job")
    enqueue(database, "'demo.echo', tags => '{}'")
    assert job(database, "tags IS NULL") == "t"


def test_blobs_that_params_name_are_held(database):
    database.sql("INSERT INTO gangsaw.blob (id, size, sha256, media_type, tenant, expires_at) VALUES "
                 "(1, 1, '', '', '', now() + interval '1 hour'), (2, 1, '', '', '', now()), "
                 "(3, 1, '', '', 'acme', now() + interval '1 hour'), "
                 "(4, 1, '', '', '', now() + interval '1 hour')")
    enqueue(database, """'demo.echo', jsonb_build_object(
        'a', jsonb_build_object('blob', gangsaw.public_id('blob', 1)),
        'again', jsonb_build_object('blob', gangsaw.public_id('blob', 1)),
        'expired', jsonb_build_object('blob', gangsaw.public_id('blob', 2)),
        'others', jsonb_build_object('blob', gangsaw.public_id('blob', 3)),
        'many', jsonb_build_array(1, jsonb_build_object('blob', gangsaw.public_id('blob', 4))),
        'guessed', jsonb_build_object('blob', '00000000001'), 'odd', jsonb_build_object('blob', 7))""")
    assert database.sql("SELECT string_agg(blob::text, ',' ORDER BY blob) FROM gangsaw.job_blob") == "1,4"
    assert job(database, "cardinality(blobs)") == "2"


def test_params_of_16_mib_are_taken(database):
    database.sql("SELECT gangsaw.enqueue('demo.echo', jsonb_build_object('n', repeat('n', 16777216 - 9)))")
    assert job(database, "octet_length(params::text)") == "16777216"


BLOB_1 = "jsonb_build_object('in', jsonb_build_object('blob', gangsaw.public_id('blob', 1)))"


def test_an_expired_blob_that_a_live_job_uses_is_held(database):
    database.sql("INSERT INTO gangsaw.blob (id, size, sha256, media_type) VALUES (1, 1, '', '')")
    enqueue(database, f"'demo.echo', {BLOB_1}")
    database.sql("UPDATE gangsaw.blob SET expires_at = now() - interval '1 second'")
    enqueue(database, f"'demo.echo', {BLOB_1}")
    assert database.sql("SELECT count(*) FROM gangsaw.job_blob") == "2"


def test_a_blob_is_not_pruned_while_a_job_is_enqueued(database):
    database.sql("INSERT INTO gangsaw.blob (id, size, sha256, media_type) VALUES (1, 1, '', '')")
    holder, application = database.session(), database.session()
    holder.sql("BEGIN")
    holder.sql("SELECT gangsaw.enqueue('demo.echo', unique_key => 'k')")
    application.send(f"SELECT gangsaw.enqueue('demo.echo', {BLOB_1}, unique_key => 'k')")
    database.wait_for("SELECT count(*) FROM pg_stat_activity "
                      "WHERE datname = current_database() AND wait_event_type = 'Lock'", "1")
    database.sql("UPDATE gangsaw.blob SET expires_at = now() - interval '1 second'")
    database.sql("SELECT gangsaw.prune(7)")
    holder.sql("ROLLBACK")
    assert re.fullmatch(r"[0-9a-f]{10}[1-9][0-9]*", application.wait())
    assert database.sql("SELECT blob FROM gangsaw.job_blob") == "1"


def test_nobody_waits_for_an_open_transaction(database):
    database.sql("INSERT INTO gangsaw.blob (id, size, sha256, media_type) VALUES (1, 1, '', '')")
    arguments = ("'demo.echo', jsonb_build_object('in', jsonb_build_object('blob', "
                 "gangsaw.public_id('blob', 1))), tenant => ''")
    application = database.session()
    application.sql("BEGIN")
    application.sql(f"SELECT gangsaw.enqueue({arguments}, unique_key => 'a')")
    database.sql(f"SET lock_timeout = '5s'; SELECT gangsaw.enqueue({arguments}, unique_key => 'b')")
    assert job(database, "count(*)") == "1"
    application.sql("COMMIT")
    assert job(database, "count(*)") == "2"


def test_the_second_with_a_unique_key_waits_for_the_first(database):
    first, second = database.session(), database.session()
    first.sql("BEGIN")
    public_id = first.sql("SELECT gangsaw.enqueue('demo.echo', unique_key => 'k')")
    second.send("SELECT gangsaw.enqueue('demo.echo', unique_key => 'k')")
    first.sql("COMMIT")
    assert second.wait() == public_id


def test_only_an_idle_runner_is_notified(database):
    listener = database.session()
    listener.sql("LISTEN gangsaw_job")
    runner = ("INSERT INTO gangsaw.runner (host, pid, version, lanes, expires_at, is_idle, is_fenced) "
              "VALUES ('h', 1, '1', '{}', now() + interval '1 hour', %s)")
    enqueue(database)
    database.sql(runner % "false, false")
    database.sql(runner % "true, true")
    enqueue(database)
    assert listener.sql("SELECT 1") == "1"
    database.sql(runner % "true, false")
    enqueue(database, "'demo.echo', run_at => now() + interval '1 hour'")
    assert listener.sql("SELECT 1") == "1"
    enqueue(database)
    assert 'notification "gangsaw_job"' in listener.sql("SELECT 1")


CLAIM_ORDER = ("SELECT coalesce(string_agg(tenant, ',' ORDER BY priority DESC, vtime, id), '') "
               "FROM (SELECT * FROM gangsaw.job WHERE state = 'queued' "
               "      ORDER BY lane, priority DESC, vtime, id LIMIT 20) j")


def test_a_tenants_backlog_delays_others_by_a_round(database):
    database.sql("SELECT gangsaw.enqueue('demo.echo', tenant => 'big') FROM generate_series(1, 1000)")
    enqueue(database, "'demo.echo', tenant => 'small'")
    assert database.sql(CLAIM_ORDER).split(",").index("small") <= 1
    # In the middle of the backlog too, and as often as tenants alternate.
    database.sql("DELETE FROM gangsaw.job WHERE tenant = 'small' OR vtime < 500")
    for tenant in ("b", "c", "b", "c"):
        enqueue(database, f"'demo.echo', tenant => '{tenant}'")
    order = database.sql(CLAIM_ORDER).split(",")
    assert sorted(order[:3]) == ["b", "big", "c"]
    assert sorted(order[3:6]) == ["b", "big", "c"]
    assert set(order[6:]) == {"big"}
    # Whoever waits longer is not overtaken by those who come later.
    enqueue(database, "'demo.echo', tenant => 'b'")
    assert database.sql(CLAIM_ORDER).split(",")[:6] == order[:6]


def test_a_higher_priority_comes_first(database):
    database.sql("SELECT gangsaw.enqueue('demo.echo', tenant => 'low') FROM generate_series(1, 10)")
    enqueue(database, "'demo.echo', priority => 1, tenant => 'high'")
    assert database.sql(CLAIM_ORDER).split(",")[0] == "high"


def test_an_application_needs_no_more_than_two_grants(database):
    role = f"gangsaw_pytest_{os.getpid()}"
    as_application = f"SET ROLE {role}; "
    database.sql(f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA gangsaw TO {role}")
    try:
        assert "permission denied" in database.error(as_application + "SELECT gangsaw.enqueue('a.b')")
        database.sql(f"GRANT EXECUTE ON FUNCTION gangsaw.enqueue TO {role}")
        database.sql(as_application + "SELECT gangsaw.enqueue('a.b')")
        for statement in ("SELECT * FROM gangsaw.job", "SELECT gangsaw.public_id('job', 1)",
                          "SELECT gangsaw.prune(0)", "DELETE FROM gangsaw.job"):
            assert "permission denied" in database.error(as_application + statement)
    finally:
        database.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")
