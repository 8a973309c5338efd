# SPDX-License-Identifier: BSD-2-Clause
"""Whatever takes the database long, a worker of the pool `api` is left for who asks whether it lives."""

import os
import signal
import socket
import struct

import pytest
import requests
import stack as stack_module
from stack import FROM_HERE, KEPT_CONNECTIONS, Later, children, problem_of, wait_until

BLOBS = "/v1/blobs"
MIB = 1 << 20
WORKERS = 4  # two of them for what takes long


def record(kind, content):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    return struct.pack("!BB", len(name), len(value)) + name.encode() + value.encode()


class SlowUpload:
    """Straight to the pool, since nginx passes on whole bodies alone: it stops in the middle."""

    SIZE, SENT = 5 * MIB, 3 * MIB

    def __init__(self, stack, id):
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.settimeout(60)
        self.peer.connect(str(stack.var / "run" / "api.sock"))
        params = {"REQUEST_METHOD": "POST", "DOCUMENT_URI": BLOBS, "QUERY_STRING": "", "REQUEST_ID": id, **FROM_HERE,
                  "CONTENT_TYPE": "image/png", "CONTENT_LENGTH": str(self.SIZE)}  # fmt: skip
        self.peer.sendall(record(1, struct.pack("!HB5x", 1, 0)))
        self.peer.sendall(record(4, b"".join(pair(*each) for each in params.items())) + record(4, b""))
        self.send(self.SENT)

    def send(self, size):
        for _ in range(0, size, 32768):
            self.peer.sendall(record(5, b"x" * 32768))

    def finish(self):
        """The rest; the answer's text."""
        self.send(self.SIZE - self.SENT)
        self.peer.sendall(record(5, b""))
        answer = b""
        while chunk := self.peer.recv(65536):
            answer += chunk
        self.peer.close()
        return answer.decode(errors="replace")


TRANSACTIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gangsaw api' AND xact_start IS NOT NULL"
)


def slow_uploads(stack, count):
    """So many, each in its transaction."""
    uploads = [SlowUpload(stack, f"slow-upload-{n}") for n in range(count)]
    wait_until(lambda: stack.sql(TRANSACTIONS) == [[str(count)]], 20, f"{count} uploads under way")
    return uploads


def upload(stack, size=2 * MIB):
    return stack.post(BLOBS, data=b"x" * size, headers={"Content-Type": "image/png"})


@pytest.fixture(scope="module")
def own():
    with stack_module.Stack(api_workers=WORKERS, database_budget_seconds=20) as running:
        yield running


def test_uploads_leave_workers_for_all_else(own):
    small = upload(own, 1000).json()["id"]
    large = upload(own).json()["id"]
    uploads = slow_uploads(own, WORKERS - 2)
    answer = upload(own)
    detail = problem_of(answer, "overloaded", 503)["detail"]
    assert f"api.workers = {WORKERS}" in detail
    assert answer.headers["Retry-After"] == "1"
    problem_of(own.get(f"{BLOBS}/{large}"), "overloaded", 503)
    batch = {"jobs": [{"task": "demo.sum_squares", "params": {"n": 1}, "delay_seconds": 3600}] * 1001}
    problem_of(own.post("/v1/jobs", json=batch), "overloaded", 503)
    for _ in range(20):
        assert own.get("/livez").status_code == 200
        assert own.get("/readyz").status_code == 200
        assert own.get("/v1/tasks").status_code == 200
        assert own.get(f"{BLOBS}/{small}").status_code == 200
        assert own.request("HEAD", f"{BLOBS}/{large}").status_code == 200
        assert own.get(f"{BLOBS}/{large}", headers={"Range": "bytes=1000000-1000009"}).status_code == 206
    for each in uploads:
        assert "Status: 201" in each.finish()
    assert upload(own).status_code == 201
    assert own.get(f"{BLOBS}/{large}").content == b"x" * 2 * MIB
    assert own.post("/v1/jobs", json=batch).status_code == 202


def test_a_worker_that_dies_gives_its_places_back(own):
    workers = {each["pid"] for each in own.status()["pools"]["api"]["workers"]}
    cut_off = slow_uploads(own, WORKERS - 2)
    problem_of(upload(own), "overloaded", 503)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)

    def replaced():
        states = [each["state"] for each in own.status()["pools"]["api"]["workers"]]
        return not workers & set(children(own.pid("api"))) and states == ["idle"] * (WORKERS + KEPT_CONNECTIONS)

    wait_until(replaced, 30, "new workers")
    for each in cut_off:
        each.peer.close()
    uploads = slow_uploads(own, WORKERS - 2)
    assert own.get("/v1/jobs").status_code == 200
    for each in uploads:
        assert "Status: 201" in each.finish()


def test_sixteen_uploads_at_once_are_taken_or_told_to_come_back(own):
    data = b"x" * (16 * MIB)
    headers = {"Content-Type": "image/png"}
    uploads = [own.later(BLOBS, data=data, headers=headers) for _ in range(16)]
    while not all(each.done for each in uploads):
        assert requests.get(own.url + "/livez", timeout=60).status_code == 200
    statuses = {each.result().status_code for each in uploads}
    assert 201 in statuses and statuses <= {201, 503}
    for each in uploads:
        if each.result().status_code == 503:
            problem_of(each.result(), "overloaded", 503)


def test_a_burst_of_short_requests_is_not_refused(own):
    job = own.submit("demo.sum_squares", {"n": 1})
    clients = [Later(lambda: [requests.get(f"{own.url}/v1/jobs/{job['id']}", timeout=60).status_code for _ in range(20)])
               for _ in range(32)]  # fmt: skip
    assert {status for each in clients for status in each.result()} == {200}


def test_a_database_that_hangs_leaves_a_worker(start_stack):
    own = start_stack(api_workers=WORKERS, database_budget_seconds=20)
    assert own.get("/v1/jobs").status_code == 200
    assert own.get("/readyz").status_code == 200
    master = own.pid("postgres")
    everyone = [master, *stack_module.descendants(master)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        readers = [Later(lambda: requests.get(own.url + "/v1/jobs", timeout=120)) for _ in range(16)]
        wait_until(lambda: sum(each.done for each in readers) == 16 - (WORKERS - 1), 30, "all but those in the database")
        for _ in range(20):
            assert own.get("/livez").status_code == 200
            assert own.get("/v1/tasks").status_code == 200
            assert own.get("/readyz").status_code in (200, 503)
        assert sum(not each.done for each in readers) == WORKERS - 1
        for each in readers:
            if each.done:
                assert "api.workers" in problem_of(each.result(), "overloaded", 503)["detail"]
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)
    for each in readers:
        each.result()
    wait_until(lambda: own.get("/v1/jobs").status_code == 200, 30, "jobs again")
