# SPDX-License-Identifier: BSD-2-Clause
"""Several times what the executors can do: they compute without a pause, and the rest is refused."""

import collections
import threading
import time

import requests
from pool import PATIENT, RUN
from stack import Later, problem_of, wait_until

SLOTS, QUEUE = 2, 4
# Sleeps through its time, so that what others do on this machine does not count.
TASK = RUN + "cooperative"
RUN_SECONDS = 0.3
CLIENTS = 5 * (SLOTS + QUEUE)  # each asks again as soon as it is answered, and heeds no Retry-After
SECONDS = 6


def start(start_faults, **options):
    return start_faults(compute_slots=SLOTS, compute_queue_length=QUEUE, **options)


class Storm:
    """Clients that ask without a pause until stop()."""

    def __init__(self, stack):
        self.url, self.is_over = stack.url + TASK, threading.Event()
        self.clients = [Later(self.client) for _ in range(CLIENTS)]

    def client(self):
        answers = []
        with requests.Session() as session:
            while not self.is_over.is_set():
                answer = session.post(self.url, json={**PATIENT, "seconds": RUN_SECONDS}, timeout=60)
                answers.append(answer)
                self.is_over.wait(0.05 if answer.status_code == 503 else 0)
        return answers

    def stop(self):
        self.is_over.set()
        return [answer for each in self.clients for answer in each.result(120)]


def look(stack, seconds):
    """What the pool says of its class, again and again."""
    found, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        found.append(stack.pool()["classes"]["cpu"])
    return found


def executors_runs(stack):
    return sum(each["runs"] for each in stack.pool()["executors"])


def test_in_a_storm_executors_are_never_idle_and_the_queue_keeps_its_bound(start_faults):
    stack = start(start_faults)
    before = executors_runs(stack)
    storm = Storm(stack)
    stack.wait_for_load(busy=SLOTS, waiting=QUEUE)
    seen = look(stack, SECONDS)
    answers = storm.stop()
    # Between two runs an executor is idle for a moment, which a sample may meet.
    busy = sum(each["busy"] for each in seen) / (len(seen) * SLOTS)
    assert busy >= 0.9, f"{busy:.0%} of the executors were busy in {len(seen)} looks"
    # Who was given an executor counts as waiting until that has begun: the places are what is bounded.
    assert max(each["busy"] + each["waiting"] for each in seen) <= SLOTS + QUEUE
    statuses = collections.Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}, statuses
    assert statuses[503] > statuses[200]
    stack.wait_for_load(busy=0)
    assert executors_runs(stack) - before == statuses[200]  # nothing was computed for nobody
    assert stack.post(TASK, json={"seconds": 0}).status_code == 200


def test_each_refusal_is_a_problem_with_a_time_to_come_back(start_faults):
    stack = start(start_faults)
    storm = Storm(stack)
    stack.wait_for_load(busy=SLOTS, waiting=QUEUE)
    time.sleep(1)
    refused = [answer for answer in storm.stop() if answer.status_code != 200]
    assert refused
    for answer in refused:
        problem_of(answer, "overloaded", 503)
        # Six places of 0.3 s, two at a time: a second, and not much more however the machine is loaded.
        assert 1 <= int(answer.headers["Retry-After"]) <= 10


def test_retry_after_grows_with_what_stands_before_who_comes_back(start_faults):
    """Runs that take longer than those before them are reckoned with as long as they have taken."""
    stack = start_faults(compute_slots=1, compute_queue_length=2)
    clients = [stack.leaver(TASK, PATIENT) for _ in range(3)]
    stack.wait_for_load(busy=1, waiting=2)

    def told():
        answer = stack.post(TASK, json={})
        problem_of(answer, "overloaded", 503)
        return int(answer.headers["Retry-After"])

    wait_until(lambda: told() >= 6, 30)  # two seconds later: three such runs come first
    assert told() <= stack.pool()["classes"]["cpu"]["retry_after_s"]
    for client in clients:
        client.close()


def test_clients_that_leave_in_a_storm_free_their_places(start_faults):
    stack = start(start_faults)
    before = executors_runs(stack)
    for _ in range(5):
        clients = [stack.leaver(TASK, PATIENT) for _ in range(SLOTS + QUEUE)]
        stack.wait_for_load(busy=SLOTS, waiting=QUEUE)
        problem_of(stack.post(TASK, json={}), "overloaded", 503)
        for client in clients:
            client.close()
        stack.wait_for_load(busy=0)
    runs = executors_runs(stack) - before
    assert runs <= 5 * SLOTS + 5 * QUEUE
    assert [stack.post(TASK, json={"seconds": 0}).status_code for _ in range(SLOTS + QUEUE)] == [200] * (SLOTS + QUEUE)
    wait_until(lambda: stack.pool()["classes"]["cpu"]["waiting"] == 0)
