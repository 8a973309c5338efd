# SPDX-License-Identifier: BSD-2-Clause
"""What a runner holds, and what it does while the database refuses."""

import time

import pytest
from jobs import SUM, enqueue, job, wait_for, wait_for_all, wait_for_tenants
from stack import cpu_seconds, wait_until

SHORT = 1_000


def burst(stack, count=SHORT):
    """So many short jobs, after which the runner expects more of them."""
    stack.sql(f"SELECT count(gangsaw.enqueue('{SUM}', params => '{{\"n\": 1}}')) FROM generate_series(1, {count})")
    wait_for_all(stack)


def running(stack):
    return int(stack.sql("SELECT count(*) FROM gangsaw.job WHERE state = 'running'")[0][0])


def logged(stack, message):
    return any(message in line for line in stack.log("runner"))


def test_long_jobs_after_short_ones_do_not_delay_what_is_urgent(start_jobs):
    stack = start_jobs(jobs_slots=2, compute_slots=1)
    burst(stack)
    params = '{"seconds": 0.4, "busy": false}'  # longer than what is claimed ahead, and ends come all the time
    stack.sql(f"SELECT count(gangsaw.enqueue('faults.cooperative', params => '{params}')) FROM generate_series(1, 600)")
    wait_until(lambda: running(stack) > 0, 10)
    urgent = stack.sql(f"SELECT gangsaw.enqueue('{SUM}', params => '{{\"n\": 1}}', priority => 100)")[0][0]
    assert wait_for(stack, urgent, seconds=10)["state"] == "succeeded"
    for _ in range(30):
        assert running(stack) <= 8, "jobs that others could compute are held"
        time.sleep(0.05)
    other = stack.sql("SELECT gangsaw.enqueue('faults.cooperative', params => '{\"seconds\": 0}', tenant => 'other')")
    wait_for_tenants(stack, "other", other[0][0], seconds=10)
    rows = stack.sql("SELECT count(*), max(attempt), max(crashes) FROM gangsaw.job WHERE state = 'queued'")[0]
    assert int(rows[0]) > 100
    assert rows[1:] == ["0", "0"], "given back untried"


def test_a_recovery_that_fails_costs_no_cpu_time(start_jobs):
    stack = start_jobs(jobs_slots=1, compute_slots=1)
    runner = stack.pid("runner")
    wait_until(lambda: stack.runner()["state"] == "idle", 20)
    stack.sql("ALTER TABLE gangsaw.job RENAME TO job_away")
    try:
        wait_until(lambda: logged(stack, "taking lost claims back failed"), 20)
        before = cpu_seconds(runner)
        time.sleep(3)
        assert cpu_seconds(runner) - before < 1
    finally:
        stack.sql("ALTER TABLE gangsaw.job_away RENAME TO job")
    id = enqueue(stack, SUM, {"n": 1})[0]
    assert wait_for(stack, id)["state"] == "succeeded"


def break_results(stack, body):
    """Storing the result of n = 77 ends in this."""
    stack.sql(
        f"CREATE FUNCTION public.break() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {body}; RETURN NEW; END'; "
        f"CREATE TRIGGER break BEFORE INSERT ON gangsaw.job_done FOR EACH ROW WHEN (NEW.task = '{SUM}' "
        "AND NEW.result IS NOT NULL AND NEW.params::text LIKE '%77%') EXECUTE FUNCTION public.break()"
    )


def test_a_result_that_the_database_refuses_holds_up_no_other(start_jobs):
    stack = start_jobs(jobs_slots=1, compute_slots=1)
    break_results(stack, "RAISE EXCEPTION ''refused''")
    bad = enqueue(stack, SUM, {"n": 77})[0]
    wait_until(lambda: logged(stack, "recording ends failed"), 30)
    for id in enqueue(stack, SUM, {"n": 1}, 20):
        assert wait_for(stack, id)["state"] == "succeeded"
    assert job(stack, bad)["state"] == "running"
    stack.sql("DROP TRIGGER break ON gangsaw.job_done")
    done = wait_for(stack, bad)
    assert (done["state"], done["attempt"]) == ("succeeded", 1)


@pytest.mark.full  # eight tries, each with a lease's time and a growing wait after it
def test_a_result_that_always_takes_too_long_to_store_fails_alone(start_jobs):
    stack = start_jobs(jobs_slots=1, compute_slots=1, jobs_lease_seconds=2)
    break_results(stack, "PERFORM pg_sleep(30)")
    bad = enqueue(stack, SUM, {"n": 77})[0]
    wait_until(lambda: logged(stack, "recording ends failed"), 30)
    others = enqueue(stack, SUM, {"n": 1}, 20)
    for id in others:
        assert wait_for(stack, id, seconds=60)["state"] == "succeeded"
    done = wait_for(stack, bad, seconds=90)
    assert (done["state"], done["error"]["type"], done["attempt"]) == ("failed", "/problems/internal", 1)
    assert stack.runner()["counts"]["fenced"] == 0


def test_what_jobs_left_behind_is_vacuumed_when_the_queue_is_empty(start_jobs):
    stack = start_jobs(jobs_slots=2, compute_slots=1)

    def vacuums():
        return int(stack.sql("SELECT pg_stat_get_vacuum_count('gangsaw.job'::regclass)")[0][0])

    burst(stack)
    assert vacuums() == 0, "for so few"
    burst(stack, 6 * SHORT)
    wait_until(lambda: vacuums() == 1, 30)
    assert wait_for(stack, enqueue(stack, SUM, {"n": 1})[0])["state"] == "succeeded"
    assert vacuums() == 1, "for one more"
    assert not logged(stack, "vacuuming the table of jobs failed")
