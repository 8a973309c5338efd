# SPDX-License-Identifier: BSD-2-Clause
"""Everything is reloaded under load, again and again, and no client and no job notices."""

import json
import os
import signal
import threading
import time

import pytest
import requests
from jobs import SUM
from pool import PATIENT, RUN
from stack import Later, children, wait_until

ROUNDS = 10
JOBS = 5
SHORT = {**PATIENT, "seconds": 0.2}


class Load:
    """Clients of every kind, each on a new connection for each request: a kept one may be closed by a
    reload of nginx in the moment in which it is used again, as at any time."""

    def __init__(self, stack):
        self.stack, self.is_over = stack, threading.Event()
        self.jobs, self.requests, self.failures = [], 0, []
        kinds = [self.run, self.run, self.upload, self.wait, self.wait_for_job, self.follow, self.enqueue]
        self.clients = [Later(lambda kind=kind: self.repeat(kind)) for kind in kinds]

    def repeat(self, kind):
        while not self.is_over.is_set():
            try:
                kind()
            except (requests.RequestException, AssertionError, KeyError, ValueError) as error:
                self.failures.append(f"{kind.__name__}: {error!r}"[:1000])

    def ask(self, method, path, status, **kwargs):
        headers = {"Connection": "close", **kwargs.pop("headers", {})}
        answer = requests.request(method, self.stack.url + path, headers=headers, timeout=60, **kwargs)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        self.requests += 1
        return answer

    def submit(self, task, params):
        answer = self.ask("POST", f"/v1/tasks/{task}", 202, json=params, headers={"Prefer": "respond-async"})
        self.jobs.append(answer.json()["id"])
        return self.jobs[-1]

    def run(self):
        assert self.ask("POST", f"/v1/tasks/{SUM}", 200, json={"n": 1000}).json()["result"]

    def upload(self):
        data = os.urandom(300_000)
        headers = {"Content-Type": "application/octet-stream"}
        id = self.ask("POST", "/v1/blobs", 201, data=data, headers=headers).json()["id"]
        assert self.ask("GET", f"/v1/blobs/{id}", 200).content == data

    def wait(self):
        """Handed from api to the hub, and back with the answer."""
        headers = {"Prefer": "respond-async, wait=50"}
        answer = self.ask("POST", RUN + "cooperative", 200, json=SHORT, headers=headers)
        self.jobs.append(answer.headers["Location"].rpartition("/")[2])

    def wait_for_job(self):
        id = self.submit("faults.cooperative", {**PATIENT, "seconds": 1})
        job = self.ask("GET", f"/v1/jobs/{id}?wait=50", 200).json()
        assert job["state"] == "succeeded", job

    def follow(self):
        id = self.submit("faults.cooperative", {**PATIENT, "seconds": 1})
        answer = self.ask("GET", f"/v1/jobs/{id}/events", 200, stream=True)
        lines = [line for line in answer.iter_lines(decode_unicode=True) if line.startswith("data: ")]
        assert json.loads(lines[-1].removeprefix("data: "))["state"] == "succeeded", lines

    def enqueue(self):
        for _ in range(5):
            self.submit(SUM, {"n": 1000})
        self.is_over.wait(0.2)

    def stop(self):
        self.is_over.set()
        for each in self.clients:
            each.result(120)


def generation(stack, name):
    def answer():  # none in time where the machine is very busy
        status = stack.status()
        return status["runner"] if name == "runner" else status["pools"][name]

    return wait_until(answer, 30, f"status of {name}")["generation"]


def reload(stack, name):
    before = generation(stack, name)
    stack.signal(name, signal.SIGHUP)
    wait_until(lambda: generation(stack, name) > before, 60, f"a new generation of {name}")


def reload_nginx(stack):
    before = set(children(stack.pid("nginx")))
    stack.signal("nginx", signal.SIGHUP)
    wait_until(lambda: set(children(stack.pid("nginx"))) - before, 60, "new workers of nginx")


def wait_for_progress(load):
    """Some requests of everybody's, and JOBS jobs, between two reloads."""
    wanted, jobs = load.requests + 2 * len(load.clients), len(load.jobs) + JOBS
    wait_until(lambda: (load.requests >= wanted and len(load.jobs) >= jobs) or load.failures, 60)


@pytest.mark.full
def test_ten_reloads_of_everything_cost_no_request_and_no_attempt(start_jobs):
    stack = start_jobs(compute_slots=2, jobs_slots=2)
    masters = {name: stack.pid(name) for name in ("api", "compute", "runner", "hub", "nginx")}
    load = Load(stack)
    for _ in range(ROUNDS):
        for name in ("compute", "api", "runner"):
            reload(stack, name)
            wait_for_progress(load)
        stack.signal("hub", signal.SIGHUP)
        reload_nginx(stack)
        wait_for_progress(load)
    load.stop()
    assert load.failures == []
    assert {name: stack.pid(name) for name in masters} == masters
    for name in ("api", "compute", "runner"):
        assert generation(stack, name) == ROUNDS + 1
    wait_until(lambda: stack.sql("SELECT count(*) FROM gangsaw.job")[0][0] == "0", 60, "all jobs finished")
    rows = stack.sql("SELECT state, attempt, crashes, count(*) FROM gangsaw.job_done GROUP BY 1, 2, 3")
    assert rows == [["succeeded", "1", "0", str(len(load.jobs))]]
    assert len(set(load.jobs)) == len(load.jobs) >= 4 * JOBS * ROUNDS


def test_clients_of_the_hub_stay_when_it_gets_a_hup(start_jobs):
    stack = start_jobs(compute_slots=1, jobs_slots=1)
    id = stack.submit("faults.cooperative", {**PATIENT, "seconds": 3})["id"]
    waiting = Later(lambda: stack.get(f"/v1/jobs/{id}?wait=50"))
    wait_until(lambda: stack.status()["hub"]["clients"]["waiting"] == 1, 20)
    before = stack.status()["hub"]["pid"]
    stack.signal("hub", signal.SIGHUP)
    time.sleep(0.2)  # for a hub that would end
    after = stack.status()["hub"]
    assert (after["pid"], after["clients"]["waiting"]) == (before, 1)
    assert waiting.result().json()["state"] == "succeeded"
