# SPDX-License-Identifier: BSD-2-Clause
"""A client that has gone is not computed for, and its place is free."""

import json
import time

import pytest
from pool import LONG_LIMITS, PATIENT, RUN, find, pids, wait_until_gone
from stack import Stack, alive, cpu_seconds, wait_until


@pytest.fixture(scope="module")
def shared():
    with Stack(faults=True, config=LONG_LIMITS, compute_slots=1, compute_net_slots=1, compute_queue_length=2,
               database_url="") as running:  # fmt: skip
        yield running


@pytest.fixture
def one_slot(shared):
    """A pool that has nothing to do, and no request of former tests that is not logged."""
    shared.settle()
    return shared


def computes_nothing(pid):
    """Over a while, that is: a run that goes on would use most of it."""
    before = cpu_seconds(pid)
    time.sleep(1)
    return cpu_seconds(pid) - before < 0.3


def left(stack):
    """Log lines of requests whose client did not wait for the answer."""
    lines = [json.loads(line) for line in stack.log("compute", "request")]
    return [line for line in lines if line.get("status") == 499]


def test_closed_browser_frees_the_cpu(one_slot):
    browser = one_slot.leaver(RUN + "cooperative", {"busy": True})
    executor = find(one_slot, "executors", state="busy")["pid"]
    browser.close()
    one_slot.wait_for_load(busy=0, seconds=5)
    assert alive(executor)  # it stays, with its engines warm
    assert computes_nothing(executor)
    assert one_slot.post(RUN + "echo", json={}).status_code == 200
    assert pids(one_slot) == {executor}


def test_closed_browser_frees_the_cpu_of_a_run_that_does_not_listen(one_slot):
    browser = one_slot.leaver(RUN + "hang", {})
    executor = find(one_slot, "executors", state="busy")["pid"]
    browser.close()
    wait_until_gone({executor}, seconds=5)
    assert one_slot.post(RUN + "echo", json={}).status_code == 200


def test_a_request_whose_client_left_is_one_line_in_the_log(one_slot):
    before = len(left(one_slot))
    browser = one_slot.leaver(RUN + "cooperative", PATIENT)
    one_slot.wait_for_load(busy=1)
    browser.close()
    lines = wait_until(lambda: left(one_slot)[before:])
    assert len(lines) == 1
    assert lines[0]["task"] == "faults.cooperative"


def test_a_client_that_leaves_while_waiting_frees_its_place(one_slot):
    running = one_slot.leaver(RUN + "cooperative", PATIENT)
    one_slot.wait_for_load(busy=1)
    waiting = [one_slot.leaver(RUN + "echo", {}) for _ in range(2)]
    one_slot.wait_for_load(busy=1, waiting=2)
    waiting[0].close()
    one_slot.wait_for_load(busy=1, waiting=1)
    last = one_slot.later(RUN + "echo", json={"text": "mine"})
    one_slot.wait_for_load(busy=1, waiting=2)
    running.close()
    assert last.result().json()["result"]["params"]["text"] == "mine"
    waiting[1].close()


def test_clients_that_queue_and_leave_cause_no_503(one_slot):
    """Far more of them than there are places, and large bodies among them."""
    before = len(left(one_slot))
    running = one_slot.leaver(RUN + "cooperative", PATIENT)
    runs = find(one_slot, "executors", state="busy")["runs"]
    for number in range(24):
        text = "x" * (number % 3 * 100000)
        leaver = one_slot.leaver(RUN + "echo", {"text": text})
        one_slot.wait_for_load(busy=1, waiting=1)
        leaver.close()
        one_slot.wait_for_load(busy=1, waiting=0)
    stays = one_slot.later(RUN + "echo", json={"text": "stays"})
    one_slot.wait_for_load(busy=1, waiting=1)
    assert not stays.done
    running.close()
    assert stays.result().status_code == 200
    assert len(left(one_slot)) == before + 25
    assert find(one_slot, "executors", state="idle")["runs"] < runs + 9  # none of theirs was computed


def test_a_client_that_left_before_its_turn_is_not_computed_for(one_slot):
    running = one_slot.leaver(RUN + "cooperative", PATIENT)
    one_slot.wait_for_load(busy=1)
    runs = find(one_slot, "executors", state="busy")["runs"]
    gone = one_slot.leaver(RUN + "crash", {})  # it would show
    one_slot.wait_for_load(busy=1, waiting=1)
    gone.close()
    one_slot.wait_for_load(busy=1, waiting=0)
    running.close()
    one_slot.wait_for_load(busy=0)
    assert one_slot.post(RUN + "echo", json={}).status_code == 200
    assert find(one_slot, "executors", state="idle")["runs"] == runs + 2
