# SPDX-License-Identifier: BSD-2-Clause
"""Whatever is killed in the middle of 2,000 jobs: each acknowledged one ends, none has two results."""

import os
import signal
import threading

import pytest
from jobs import SUM, assert_each_ended_once, enqueue, executors, finished, kill, results, wait_for_all, whole
from stack import SANITIZED, Later, problem_of, wait_until

pytestmark = pytest.mark.heavy
JOBS = 2_000
KILLS = 10
TERMS = 100_000 if SANITIZED else 750_000  # some milliseconds each
LEASE = {"jobs_lease_seconds": 3, "jobs_slots": 2}


@pytest.fixture
def busy(start_jobs):
    """A server in the middle of its jobs, and their ids."""
    stack = start_jobs(**LEASE)
    ids = enqueue(stack, SUM, {"n": TERMS}, JOBS)
    wait_until(lambda: finished(stack) > 20, 30, "jobs under way")
    return stack, ids


def test_killed_executors_cost_no_job(busy):
    """A job that lost two executors may be failed for that."""
    stack, ids = busy
    for _ in range(KILLS):
        victims = wait_until(lambda: executors(stack), 20)
        kill(victims[:1])
        before = finished(stack)
        wait_until(lambda: finished(stack) > before or not _live(stack), 30, "jobs go on")
    wait_for_all(stack)
    count, distinct, states = results(stack, ids)
    assert (count, distinct) == (len(ids), len(ids))
    crashed = stack.sql("SELECT count(*) FROM gangsaw.job_done WHERE state = 'failed' AND crashes = 2 "
                        "AND error->>'code' = 'executor-crashed'")  # fmt: skip
    failed = stack.sql("SELECT count(*) FROM gangsaw.job_done WHERE state <> 'succeeded'")
    assert crashed == failed and int(failed[0][0]) <= KILLS / 2, (states, failed)


def _live(stack):
    return stack.sql("SELECT EXISTS (SELECT FROM gangsaw.job)")[0][0] == "t"


def test_a_killed_runner_loses_no_job(busy):
    stack, ids = busy
    kill([stack.pid("runner")])
    stack.start()
    wait_for_all(stack)
    assert_each_ended_once(stack, ids)


def test_a_killed_database_loses_no_job(busy):
    stack, ids = busy
    kill(whole(stack, "postgres"))
    stack.start()
    wait_for_all(stack)
    assert_each_ended_once(stack, ids)


def test_everything_killed_at_once_loses_no_job(busy):
    stack, ids = busy
    kill(whole(stack, "runner", "postgres", "api", "compute", "hub", "nginx"))
    stack.start()
    wait_for_all(stack)
    assert_each_ended_once(stack, ids)


def test_what_was_acknowledged_before_the_database_was_killed_is_there(start_jobs):
    """Clients enqueue while the server under them dies: every 202 they got is kept."""
    stack = start_jobs(**LEASE)
    acknowledged, stop = [], threading.Event()

    def client():
        while not stop.is_set():
            try:
                acknowledged.extend(enqueue(stack, SUM, {"n": 1}, 5))
            except Exception:  # refused, or cut off: not acknowledged
                stop.wait(0.01)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for each in clients:
        each.start()
    try:
        for _ in range(2):
            before = len(acknowledged)
            wait_until(lambda: len(acknowledged) >= before + 50, 60, "clients are served")
            kill(whole(stack, "postgres"))
            stack.start()
    finally:
        stop.set()
        for each in clients:
            each.join()
    wait_for_all(stack)
    listed = ",".join(f"('{id}')" for id in acknowledged)
    missing = stack.sql(
        f"SELECT count(*) FROM (VALUES {listed}) AS a (id) WHERE NOT EXISTS (SELECT FROM "
        "gangsaw.job_done j WHERE gangsaw.public_id('job', j.id) = a.id)"
    )
    assert len(acknowledged) >= 100
    assert missing[0][0] == "0"
    twice = "SELECT count(*) FROM (SELECT id FROM gangsaw.job_done GROUP BY id HAVING count(*) > 1) d"
    assert stack.sql(twice)[0][0] == "0"


def test_a_restarted_database_is_found_again(start_jobs):
    """Every process heals by itself: none of them is restarted."""
    stack = start_jobs(**LEASE)
    before = {name: stack.pid(name) for name in ("api", "compute", "runner", "hub")}
    kill(whole(stack, "postgres"))
    wait_until(lambda: stack.get("/readyz").status_code == 503, 20, "not ready without a database")
    assert stack.get("/livez").status_code == 200
    run = stack.post(f"/v1/tasks/{SUM}", json={"n": 3})
    assert (run.status_code, run.json()["result"]["sum"]) == (200, "5")  # runs need no database
    stack.start()
    assert {name: stack.pid(name) for name in before} == before
    ids = enqueue(stack, SUM, {"n": 1}, 10)
    wait_for_all(stack)
    assert_each_ended_once(stack, ids)


def test_requests_are_answered_while_the_database_hangs(start_jobs):
    """Stopped, not dead: statements have a budget, and the breaker spares the workers the wait."""
    stack = start_jobs(database_budget_seconds=1, **LEASE)
    enqueue(stack, SUM, {"n": 1})
    wait_for_all(stack)
    victims = whole(stack, "postgres")
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    try:
        asked = [Later(lambda: stack.get("/v1/jobs")) for _ in range(12)]
        for each in asked:  # those for whom no worker is left for the database are told so
            name = each.result().json()["type"].rsplit("/", 1)[-1]
            problem_of(each.result(), "overloaded" if name == "overloaded" else "unavailable", 503)
        assert stack.get("/livez").status_code == 200
        assert stack.post(f"/v1/tasks/{SUM}", json={"n": 3}).status_code == 200
    finally:
        for pid in victims:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stack.get("/v1/jobs").status_code == 200, 30, "the database is back")
