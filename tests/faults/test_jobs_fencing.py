# SPDX-License-Identifier: BSD-2-Clause
"""Who may finish a job: only the runner whose attempt it is, however late another comes back."""

import os
import signal
import time

import pytest
from jobs import SUM, assert_each_ended_once, enqueue, executors, job, kill, wait_for, wait_for_all, whole
from stack import alive, wait_until

LEASE = 2


@pytest.fixture
def two(start_jobs):
    """Two stacks, so two runners, on one database."""
    first = start_jobs(jobs_lease_seconds=LEASE, jobs_slots=1)
    second = start_jobs(jobs_lease_seconds=LEASE, jobs_slots=1, database_url=first.database_url)
    return first, second


def runners(stack):
    return int(stack.sql("SELECT count(*) FROM gangsaw.runner WHERE NOT is_fenced")[0][0])


def wait_until_ready(stack):
    """Registered is not ready: who has no executors yet claims nothing."""
    wait_until(lambda: all(each["state"] == "idle" for each in stack.runner()["executors"]), 60, "idle executors")
    wait_until(lambda: stack.runner()["id"] > 0, 20, "registered")


def succeeded(stack):
    return stack.runner()["counts"]["succeeded"]


def test_two_runners_share_the_work(two):
    first, second = two
    for stack in two:
        wait_until_ready(stack)
    ids = []

    def both_have_worked():
        ids.extend(enqueue(first, "faults.cooperative", {"seconds": 0.01, "busy": False}, 50))
        return min(succeeded(stack) for stack in two) > 20

    wait_until(both_have_worked, 60, "work for both")
    wait_for_all(first)
    assert_each_ended_once(first, ids)
    # After short ones: whoever comes first claims both of these, and must not keep what it cannot begin.
    long = enqueue(first, "faults.cooperative", {"busy": False}, 2)
    wait_until(lambda: all(any_busy(stack) for stack in two), 20, "both compute")
    assert [job(first, id)["attempt"] for id in long] == [1, 1]
    for id in long:
        assert first.post(f"/v1/jobs/{id}/cancel").status_code == 200


def test_a_stopped_runner_is_fenced_and_its_late_results_are_refused(two):
    first, second = two
    id = enqueue(first, "faults.cooperative", {"busy": False})[0]
    owner, _ = who_computes(two)
    next_attempts_take_no_time(first)
    runner, crew = owner.pid("runner"), executors(owner)
    os.kill(runner, signal.SIGSTOP)
    try:
        # The other one takes it, after the lease.
        wait_until(lambda: job(first, id)["attempt"] == 2, 25, "a second attempt")
    finally:
        os.kill(runner, signal.SIGCONT)
    wait_until(lambda: not any(alive(pid) for pid in crew), 20, "its executors are killed")
    done = wait_for(first, id, seconds=40)
    assert (done["state"], done["attempt"]) == ("succeeded", 2)
    assert_each_ended_once(first, [id])
    wait_until(lambda: runners(first) == 2, 20, "it registers anew")
    assert owner.pid("runner") == runner and alive(runner)
    assert owner.runner()["counts"]["fenced"] == 1


def next_attempts_take_no_time(stack):
    """Those that run have read their parameters."""
    stack.sql("UPDATE gangsaw.job SET params = '{\"seconds\": 0}'")


def any_busy(stack):
    return any(each["state"] == "busy" for each in stack.runner()["executors"])


def who_computes(two):
    """The stack whose runner computes the only job, and the other one."""
    [owner] = wait_until(lambda: [stack for stack in two if any_busy(stack)], 30, "a runner computes")
    return owner, two[1] if owner is two[0] else two[0]


def test_a_finished_run_of_a_fenced_runner_is_not_recorded(two):
    """Stopped while its executor computes to the end: the completion comes late and is stale."""
    first, second = two
    id = enqueue(first, "faults.sleep", {"seconds": 2})[0]
    owner, other = who_computes(two)
    next_attempts_take_no_time(first)
    os.kill(owner.pid("runner"), signal.SIGSTOP)
    try:
        wait_until(lambda: job(first, id)["attempt"] == 2, 25, "a second attempt")
    finally:
        os.kill(owner.pid("runner"), signal.SIGCONT)
    done = wait_for(first, id)
    assert (done["state"], done["attempt"]) == ("succeeded", 2)
    assert_each_ended_once(first, [id])
    assert other.runner()["counts"]["succeeded"] == 1
    assert owner.runner()["counts"]["succeeded"] == 0


def test_a_dead_runners_jobs_return_and_count_an_attempt(two):
    first, second = two
    ids = enqueue(first, "faults.cooperative", {"busy": False}, 2)
    wait_until(lambda: any_busy(first) and any_busy(second), 30, "a job for each")
    next_attempts_take_no_time(first)
    begin = time.monotonic()
    kill(whole(second, "runner"))
    [lost] = wait_until(lambda: [id for id in ids if job(first, id)["state"] == "queued"], 20, "the rescue")
    assert time.monotonic() - begin >= LEASE / 2  # not before its lease could end
    [other] = set(ids) - {lost}
    assert first.post(f"/v1/jobs/{other}/cancel").status_code == 200  # that the lost one has a slot
    done = wait_for(first, lost)
    assert (done["state"], done["attempt"], len(done["attempts"])) == ("succeeded", 2, 2)
    assert_each_ended_once(first, [lost])


def lose_claim(stack):
    """Claims are committed asynchronously: a crash right after one makes the server forget it. The
    runner is stopped meanwhile, so that what the server has forgotten can be seen."""
    stack.sql("CHECKPOINT")
    time.sleep(1)  # what was written before reaches the disk with the next round of the writer
    id = enqueue(stack, "faults.cooperative", {"seconds": 2, "busy": False})[0]
    wait_for(stack, id, "running")
    runner = stack.pid("runner")
    os.kill(runner, signal.SIGSTOP)
    try:
        kill(whole(stack, "postgres"))
        stack.dev("start", check=False)
        rows = stack.sql("SELECT state, lease, runner FROM gangsaw.job")
    finally:
        os.kill(runner, signal.SIGCONT)
    return id, rows == [["queued", "0", None]]


def test_a_claim_lost_in_a_server_crash_cannot_be_finished_twice(start_jobs):
    stack = start_jobs(jobs_lease_seconds=20, jobs_slots=1)  # it must not run out before the server is back
    stack.sql("ALTER SYSTEM SET wal_writer_delay = '10s'")
    stack.sql("SELECT pg_reload_conf()")
    runner = stack.pid("runner")
    for _ in range(8):  # the claim is on disk if it happened to fill a page of the log
        id, is_lost = lose_claim(stack)
        done = wait_for(stack, id, seconds=60)
        assert (done["state"], done["attempt"]) == ("succeeded", 1)
        assert_each_ended_once(stack, [id])
        assert stack.pid("runner") == runner
        if is_lost:
            break
    assert is_lost, "the claim was always on disk: nothing was tested"


def test_the_lease_that_comes_again_after_a_crash_is_not_the_first_runners(two):
    """The claim is undone as a crash would, another runner gets the same lease number."""
    first, second = two
    id = enqueue(first, "faults.cooperative", {"seconds": 4, "busy": False})[0]
    owner, other = who_computes(two)
    os.kill(owner.pid("runner"), signal.SIGSTOP)
    try:
        # What the server forgets when it crashes with the claim's commit not yet on disk.
        first.sql("UPDATE gangsaw.job SET state = 'queued', runner = NULL, lease = lease - 1, "
                  "attempt = attempt - 1, started_at = NULL")  # fmt: skip
        wait_until(lambda: any_busy(other), 20, "the other runner claims it")
        assert first.sql("SELECT lease FROM gangsaw.job") == [["1"]]
    finally:
        os.kill(owner.pid("runner"), signal.SIGCONT)
    done = wait_for(first, id, seconds=40)
    assert done["state"] == "succeeded"
    assert_each_ended_once(first, [id])
    assert owner.runner()["counts"]["succeeded"] == 0
    assert other.runner()["counts"]["succeeded"] == 1
