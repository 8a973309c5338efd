# SPDX-License-Identifier: BSD-2-Clause
"""A worker that dies costs the request it has, and nothing else."""

import os
import signal

import pytest
import requests
import stack as stack_module
from pool import LONG_LIMITS, PATIENT, RUN, find, pids, wait_until_gone, wait_until_whole
from stack import KEPT_CONNECTIONS, alive, wait_until

ECHO = RUN + "echo"
WORKERS = (1 + 3) + (1 + 3) + 4 + KEPT_CONNECTIONS


@pytest.fixture(scope="module")
def pools():
    options = {"compute_slots": 1, "compute_net_slots": 1, "compute_queue_length": 3, "compute_queue_seconds": 60}
    with stack_module.Stack(faults=True, config=LONG_LIMITS, database_url="", **options) as stack:
        yield stack


@pytest.fixture
def one_slot(pools):
    """The same pool for all: whatever died, it is whole again."""
    wait_until_whole(pools, executors=1, workers=WORKERS)
    yield pools
    wait_until_whole(pools, executors=1, workers=WORKERS)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    wait_until_gone({pid})


def killed_workers(stack):
    return stack.pool()["exits"]["workers"].get("SIGKILL", 0)


def is_unavailable(later):
    """What is left to the client of a worker that died: nginx's own answer."""
    answer = later.result()
    assert answer.status_code == 503, answer.text
    assert answer.json()["type"] == "/problems/unavailable"
    return True


def test_an_idle_worker_is_replaced(one_slot):
    before = pids(one_slot, "workers")
    killed = killed_workers(one_slot)
    victim = min(before)
    kill(victim)
    wait_until(lambda: len(pids(one_slot, "workers")) == WORKERS)
    assert before - pids(one_slot, "workers") == {victim}
    assert killed_workers(one_slot) == killed + 1


def test_workers_that_all_die_are_all_replaced(one_slot):
    before = pids(one_slot, "workers")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(before)
    assert one_slot.post(ECHO, json={}).status_code == 200
    wait_until(lambda: len(pids(one_slot, "workers")) == WORKERS)
    assert not before & pids(one_slot, "workers")


def test_workers_outlive_their_fork_server_and_another_makes_new_ones(one_slot):
    before = pids(one_slot, "workers")
    (server,) = pids(one_slot, "fork_servers")
    kill(server)
    assert one_slot.post(ECHO, json={}).status_code == 200
    (another,) = wait_until(lambda: pids(one_slot, "fork_servers", state="ready"))
    assert another != server
    assert pids(one_slot, "workers") == before
    kill(min(before))
    wait_until(lambda: len(pids(one_slot, "workers", state="idle")) == WORKERS)
    assert pids(one_slot, "fork_servers") == {another}


@pytest.mark.full
def test_a_fork_server_that_stands_still_is_replaced(one_slot):
    (server,) = pids(one_slot, "fork_servers")
    os.kill(server, signal.SIGSTOP)
    kill(min(pids(one_slot, "workers")))
    assert one_slot.post(ECHO, json={}).status_code == 200
    wait_until_gone({server})
    wait_until(lambda: len(pids(one_slot, "workers", state="idle")) == WORKERS, 20, "the worker's replacement")


def test_a_worker_that_dies_waiting_frees_its_place_and_others_notice_nothing(one_slot):
    running = one_slot.later(RUN + "cooperative", json={**PATIENT, "seconds": 5})
    one_slot.wait_for_load(busy=1)
    lost = one_slot.later(ECHO, json={})
    victim = find(one_slot, "workers", run="waiting")["pid"]
    other = one_slot.later(ECHO, json={})
    one_slot.wait_for_load(busy=1, waiting=2)
    kill(victim)
    assert is_unavailable(lost)
    assert running.result().status_code == 200
    assert other.result().status_code == 200
    one_slot.wait_for_load(busy=0)


@pytest.mark.parametrize("task", ["cooperative", "hang"])
def test_the_run_of_a_worker_that_dies_is_stopped(one_slot, task):
    """Nobody waits for it any more: it must not keep its slot."""
    run = one_slot.later(RUN + task, json={})
    executor = find(one_slot, "executors", state="busy")["pid"]
    kill(find(one_slot, "workers", run="running")["pid"])
    assert is_unavailable(run)
    wait_until(lambda: not alive(executor), 10, "the end of its executor")
    find(one_slot, "executors", state="idle")
    assert one_slot.post(ECHO, json={}).status_code == 200
    one_slot.wait_for_load(busy=0)


def test_the_next_in_the_queue_gets_the_slot_of_a_worker_that_died(one_slot):
    run = one_slot.later(RUN + "hang", json={})
    victim = find(one_slot, "workers", run="running")["pid"]
    waiting = one_slot.later(ECHO, json={})
    one_slot.wait_for_load(busy=1, waiting=1)
    kill(victim)
    assert waiting.result().status_code == 200
    assert is_unavailable(run)


def test_a_run_of_a_living_worker_is_left_alone(one_slot):
    """The search for executors that have to go comes by several times in such a run."""
    before = pids(one_slot)
    assert one_slot.post(RUN + "hang", json={"seconds": 4}).status_code == 200
    assert pids(one_slot) == before


@pytest.mark.parametrize("count", [1, WORKERS - 2])
def test_workers_that_stand_still_stop_nobody_else(one_slot, count):
    # Not the one that nginx keeps a connection to, and sends the next request.
    stopped = sorted(pids(one_slot, "workers", state="idle", kept=None))[:count]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with requests.Session() as session:
            for _ in range(50):
                assert session.post(one_slot.url + ECHO, json={}, timeout=60).status_code == 200
        both = [one_slot.later(ECHO, json={}) for _ in range(2)]
        assert [each.result().status_code for each in both] == [200, 200]
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_a_worker_that_stood_still_in_a_run_answers_all_the_same(one_slot):
    run = one_slot.later(RUN + "cooperative", json={**PATIENT, "seconds": 1})
    worker = find(one_slot, "workers", run="running")["pid"]
    runs = find(one_slot, "executors", task="faults.cooperative")["runs"]
    os.kill(worker, signal.SIGSTOP)
    find(one_slot, "executors", runs=runs + 1)  # it has ended, unnoticed
    os.kill(worker, signal.SIGCONT)
    assert run.result().status_code == 200
    assert worker in pids(one_slot, "workers")


@pytest.mark.full
def test_a_worker_that_stands_still_with_an_executor_is_replaced(one_slot):
    """While its run is computed it is waited for; then others want the executor."""
    run = one_slot.later(RUN + "cooperative", json={**PATIENT, "seconds": 1})
    worker = find(one_slot, "workers", run="running")["pid"]
    os.kill(worker, signal.SIGSTOP)
    waiting = one_slot.later(ECHO, json={})
    wait_until_gone({worker})
    assert waiting.result().status_code == 200
    assert is_unavailable(run)


def test_an_executor_that_stands_still_costs_no_run(one_slot):
    executor = find(one_slot, "executors", state="idle")["pid"]
    os.kill(executor, signal.SIGSTOP)
    assert one_slot.post(ECHO, json={}).status_code == 200
    assert not alive(executor)


def test_a_worker_of_pool_api_is_replaced(one_slot):
    def workers():
        return {each["pid"] for each in one_slot.status()["pools"]["api"]["workers"] if each["state"] == "idle"}

    before = workers()
    kill(min(before))
    wait_until(lambda: len(workers()) == len(before))
    assert one_slot.get("/livez").status_code == 200
