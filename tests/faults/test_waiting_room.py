# SPDX-License-Identifier: BSD-2-Clause
"""So many may wait, for so long; and nothing that needs no run waits for one."""

import time

import pytest
from pool import PATIENT, RUN, find
from stack import Later, problem_of

ECHO = RUN + "echo"


@pytest.fixture
def full(start_faults):
    """One run goes on and two wait, for longer than any test. What is answered did not wait for it:
    the run with which the test began still goes on when it ends."""
    stack = start_faults(compute_slots=1, compute_queue_length=2)
    clients = [stack.leaver(RUN + "cooperative", PATIENT)]
    first = find(stack, "executors", state="busy")["request_id"]
    clients += [stack.leaver(RUN + "cooperative", PATIENT) for _ in range(2)]
    stack.wait_for_load(busy=1, waiting=2)
    yield stack
    assert find(stack, "executors", state="busy")["request_id"] == first
    assert stack.pool()["classes"]["cpu"]["waiting"] == 2
    for client in reversed(clients):
        client.close()


def test_with_a_full_waiting_room_the_answer_is_503_at_once(full):
    for _ in range(8):
        answer = full.post(ECHO, json={})
        problem = problem_of(answer, "overloaded", 503)
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert "queue_length = 2" in problem["detail"]


def test_health_and_catalogue_are_answered_while_every_slot_computes(full):
    for path in ("/livez", "/readyz", "/v1/tasks", "/v1/tasks/faults.echo"):
        assert full.get(path).status_code == 200


def test_mistakes_are_answered_while_every_slot_computes(full):
    problem_of(full.post("/v1/tasks/no.such", json={}), "not-found", 404)
    problem_of(full.post(ECHO, json={"small": 11, "other": 1}), "invalid-params", 422)
    problem_of(full.post(ECHO, data="{", headers={"Content-Type": "application/json"}), "invalid-request", 400)
    problem_of(full.request("GET", "/nowhere"), "not-found", 404)
    problem_of(full.post(ECHO, json={}, headers={"Accept": "text/*;q=2"}), "invalid-request", 400)


def test_who_waited_queue_seconds_is_answered_503(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=3, compute_queue_seconds=1)
    client = stack.leaver(RUN + "cooperative", PATIENT)
    first = find(stack, "executors", state="busy")["request_id"]

    def ask():
        start = time.monotonic()
        return stack.post(ECHO, json={}), time.monotonic() - start

    for answer, seconds in [waiting.result() for waiting in [Later(ask) for _ in range(3)]]:
        problem = problem_of(answer, "overloaded", 503)
        assert "queue_seconds = 1" in problem["detail"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert seconds >= 1
    assert find(stack, "executors", state="busy")["request_id"] == first
    client.close()
    stack.wait_for_load(busy=0)
    assert stack.post(ECHO, json={}).status_code == 200


def test_without_a_waiting_room_a_busy_slot_is_503(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=0)
    client = stack.leaver(RUN + "cooperative", PATIENT)
    stack.wait_for_load(busy=1)
    problem_of(stack.post(ECHO, json={}), "overloaded", 503)
    client.close()
    stack.wait_for_load(busy=0)
    assert stack.post(ECHO, json={}).status_code == 200


def test_who_waits_is_computed_when_the_slot_is_free(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=8)
    client = stack.leaver(RUN + "cooperative", PATIENT)
    stack.wait_for_load(busy=1)
    waiting = [stack.later(ECHO, json={"integer": number}) for number in range(8)]
    stack.wait_for_load(busy=1, waiting=8)
    client.close()
    answers = [each.result() for each in waiting]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert [answer.json()["result"]["params"]["integer"] for answer in answers] == list(range(8))


def test_waiting_for_others_takes_no_core(start_faults):
    """Class `net` has slots of its own, many, whatever the cores do."""
    stack = start_faults(compute_slots=1, compute_net_slots=12, compute_queue_length=2)
    client = stack.leaver(RUN + "cooperative", {"busy": True})
    stack.wait_for_load(busy=1)
    slow = [stack.leaver(RUN + "sleep", {"seconds": 600}) for _ in range(11)]
    stack.wait_for_load(busy=11, kind="net")
    assert stack.post(RUN + "sleep", json={"seconds": 0.1}).status_code == 200
    slow.append(stack.leaver(RUN + "sleep", {"seconds": 600}))
    stack.wait_for_load(busy=12, kind="net")
    waiting = stack.later(RUN + "sleep", json={"seconds": 0})
    stack.wait_for_load(busy=12, waiting=1, kind="net")
    assert not waiting.done
    slow[0].close()
    assert waiting.result().status_code == 200
    stack.wait_for_load(busy=1)  # nobody touched that one
    for each in [*slow, client]:
        each.close()
