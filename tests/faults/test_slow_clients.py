# SPDX-License-Identifier: BSD-2-Clause
"""Thousands of clients that send or read slowly cost a bounded amount of memory, and nobody else waits."""

import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import time

import pytest
from stack import SANITIZED, descendants, wait_until

CLIENTS = 2000
KIB = 1 << 10
MIB = 1 << 20

RUN = "/v1/tasks/demo.sum_squares"
SERVER = {"compute_slots": 1, "compute_queue_length": 2, "compute_net_slots": 1}

# What one client may cost, in nginx alone: the buffers of its body and of its header, or of its answer
# and the head of that, and what nginx keeps of a request and a connection.
UPLOAD_COST = 32 * KIB + 16 * KIB + 8 * KIB
READER_COST = 80 * KIB + 16 * KIB
# So many bodies at once, and no more, may stay in memory up to this size.
UNCROWDED, WHOLE_BODY = 100, 1280 * KIB
# What else the processes come to use, and what malloc keeps for the next time.
SLACK = 12 * MIB


@pytest.fixture(scope="module", autouse=True)
def many_files():
    """Before the servers start: they inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert hard >= 2 * CLIENTS
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def server(start_stack):
    running = start_stack(faults=True, config=f"[task faults.write]\noutput_bytes = {64 * MIB}\n", **SERVER)
    for _ in range(20):
        assert_answers(running)
    return running


def assert_answers(stack):
    """As to anybody: a check, a run, a job, a page."""
    assert stack.get("/livez").status_code == 200
    assert stack.post(RUN, json={"n": 1000}).json()["result"] == {"sum": "332833500"}
    assert stack.get("/v1/jobs?limit=1").status_code == 200
    assert stack.get("/").status_code == 200


def our_processes(stack):
    """nginx, the pools, the runner and the hub with all their processes; not the database's, nor any that
    a sanitizer has part in, which keeps what was freed."""
    roots = [stack.pid(name) for name in ("nginx", *(() if SANITIZED else ("api", "compute", "runner", "hub")))]
    return roots + [pid for root in roots for pid in descendants(root)]


def memory_of(pid):
    """Its share of the pages that it has in memory; of another user's process, all of its own."""
    try:
        text, names = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss"
    except PermissionError:
        text, names = pathlib.Path(f"/proc/{pid}/status").read_text(), "RssAnon|RssShmem"
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(size) * KIB for size in re.findall(rf"^(?:{names}):\s+(\d+) kB", text, re.MULTILINE))


def memory(stack):
    return sum(memory_of(pid) for pid in our_processes(stack))


def open_by(pid):
    """What the descriptors of a process are."""
    targets = []
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            targets.append(os.readlink(fd))
        except FileNotFoundError:
            pass
    return targets


def open_by_nginx(stack):
    return [each for pid in descendants(stack.pid("nginx")) for each in open_by(pid)]


def connections(stack):
    return sum(each.startswith("socket:") for each in open_by_nginx(stack))


def waiting_files(stack):
    """Bodies and answers on disk; nginx removes their names at once."""
    return [each for each in open_by_nginx(stack) if "/nginx/tmp/" in each]


class NginxWorkers:
    """What each worker of nginx may hold: malloc keeps what the most clients at once took, for the next
    that come to it, and the kernel does not share them out evenly."""

    def __init__(self, stack):
        self.stack = stack
        self.memory = {pid: memory_of(pid) for pid in descendants(stack.pid("nginx"))}
        self.clients = dict.fromkeys(self.memory, 0)
        self.others = memory(stack) - sum(self.memory.values())

    def assert_bounded(self):
        for pid in self.memory:
            self.clients[pid] = max(self.clients[pid], sum(each.startswith("socket:") for each in open_by(pid)))
        now = {pid: memory_of(pid) for pid in self.memory}
        print({pid: (self.clients[pid], size >> 20) for pid, size in now.items()}, memory(self.stack) >> 20)
        for pid, size in now.items():
            bound = self.memory[pid] + self.clients[pid] * UPLOAD_COST + UNCROWDED * BODY + SLACK
            assert size <= bound, (pid, self.clients, now)
        assert memory(self.stack) - sum(now.values()) <= self.others + SLACK


def assert_all_given_back(stack, idle):
    wait_until(lambda: connections(stack) <= idle + 4, 60, "nginx closes the connections")
    wait_until(lambda: waiting_files(stack) == [], 60, "nginx closes the files")
    assert [each for each in (stack.var / "nginx/tmp").rglob("*") if each.is_file()] == []
    stack.settle()
    assert_answers(stack)


class Clients:
    """Connections to the server, closed at the end however it came."""

    def __init__(self, stack, count):
        self.sockets = []
        self.stack = stack
        self.count = count

    def __enter__(self):
        for _ in range(self.count):
            self.sockets.append(self.stack.connect())
        return self.sockets

    def __exit__(self, *_):
        for each in self.sockets:
            each.close()


HEADERS = [
    b"POST /v1/blobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n",
    b"POST /v1/tasks/faults.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n",
    b"POST /v1/tasks/demo.sum_squares HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Size: %d\r\n",
    b"GET /v1/jobs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n",
]
BODY = 100 * KIB


def begin_upload(client, kind, size, body=BODY):
    """All of the header and `size` bytes of a body of `body` bytes."""
    head = HEADERS[kind] % body + b"X-Padding: " + b"x" * 3000 + b"\r\n\r\n"
    if b"chunked" in head:
        head += b"%x\r\n" % body
    client.sendall(head + b"x" * size)


@pytest.mark.full
def test_two_thousand_slow_uploads_cost_a_bounded_memory_and_nobody_waits(server):
    """The worst that a trickle can do: each has filled its buffer but for a few bytes."""
    idle, workers = connections(server), NginxWorkers(server)
    for _ in range(2):
        with Clients(server, CLIENTS) as clients:
            for i, client in enumerate(clients):
                begin_upload(client, i % len(HEADERS), 32 * KIB - 200)
            wait_until(lambda: connections(server) >= CLIENTS, 60, "nginx has all")
            for client in clients:
                client.sendall(b"x")
            for _ in range(5):
                assert_answers(server)
            workers.assert_bounded()
            assert len(waiting_files(server)) < CLIENTS
            finished = clients[0 : 40 * len(HEADERS) : len(HEADERS)]  # of the first kind
            for client in finished:
                client.sendall(b"x" * (BODY - 32 * KIB + 199))
            for client in finished:
                assert client.recv(12) == b"HTTP/1.1 201"
        assert_all_given_back(server, idle)
        workers.assert_bounded()


def test_uploads_that_stop_on_disk_leave_no_file(server):
    idle = connections(server)
    with Clients(server, 200) as clients:
        for client in clients:
            begin_upload(client, 0, 2 * WHOLE_BODY - 1, 2 * WHOLE_BODY)
        wait_until(lambda: len(waiting_files(server)) == 200, 60, "all are on disk")
        assert_answers(server)
    assert_all_given_back(server, idle)


@pytest.mark.parametrize("kind", range(len(HEADERS)))
def test_of_many_uploads_a_hundred_stay_in_memory_and_one_alone_does(server, kind):
    idle, before = connections(server), memory(server)
    with Clients(server, 2 * UNCROWDED) as clients:
        begin_upload(clients[0], kind, BODY - 1)
        wait_until(lambda: connections(server) >= 2 * UNCROWDED, 60, "nginx has all")
        assert_answers(server)
        assert waiting_files(server) == []
        for client in clients[1:]:
            begin_upload(client, kind, BODY - 1)
        wait_until(lambda: len(waiting_files(server)) > UNCROWDED, 60, "the others are on disk")
        assert_answers(server)
        assert memory(server) <= before + UNCROWDED * BODY + 2 * UNCROWDED * UPLOAD_COST + SLACK
        for client in clients:
            client.sendall(b"x\r\n0\r\n\r\n" if b"chunked" in HEADERS[kind] else b"x")
        for client in clients:
            assert re.match(rb"HTTP/1.1 (201|200|4\d\d|503) ", client.recv(KIB))
        wait_until(lambda: waiting_files(server) == [], 60, "the files go with the requests")
        begin_upload(clients[0], kind, BODY - 1)  # connections alone crowd nobody
        assert_answers(server)
        assert waiting_files(server) == []
    assert_all_given_back(server, idle)


def test_slow_readers_of_large_answers_hold_no_worker(server):
    """More of them than workers and slots; each reads a kilobyte now and then of its 64 MiB, less a bit."""
    readers = len(server.pool()["workers"]) + 2
    before, idle = memory(server), connections(server)
    body = b'{"mb": 63}'
    with Clients(server, readers) as clients:
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(
                b"POST /v1/tasks/faults.write HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            # The next waits until the run of this has ended: there are not so many places.
            assert client.recv(KIB).startswith(b"HTTP/1.1 200")
            server.settle()
        assert len(waiting_files(server)) == readers
        for client in clients:
            assert client.recv(KIB)
            assert_answers(server)
        server.settle()  # nobody is busy with any of them
        assert memory(server) <= before + readers * READER_COST + SLACK
    assert_all_given_back(server, idle)


ATTACKS = {
    "slow headers": ["-H", "-i", "3", "-x", "24"],
    "slow body": ["-B", "-i", "3", "-s", "8192", "-x", "10"],
    "slow read": ["-X", "-t", "GET", "-n", "3", "-w", "10", "-y", "20", "-z", "32", "-k", "3"],
}


@pytest.mark.full
@pytest.mark.parametrize("name", ATTACKS)
def test_under_the_attacks_of_slowhttptest_everybody_else_is_answered(server, name):
    tool = shutil.which("slowhttptest")
    assert tool, "slowhttptest is missing: ./dev check installs it"
    before, idle, most = memory(server), connections(server), 0
    path = "/openapi.json" if name == "slow read" else RUN
    attack = subprocess.Popen(
        [tool, *ATTACKS[name], "-c", "1500", "-r", "500", "-l", "15", "-p", "5", "-u", server.url + path],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=server.var,
    )  # fmt: skip
    try:
        while attack.poll() is None:
            assert_answers(server)
            most = max(most, connections(server) - idle)
            time.sleep(0.1)  # not a wait for anything: ordinary clients are not a flood
    finally:
        attack.kill()
        said = attack.communicate()[0]
    print(f"{name}: {most} connections; {before >> 20} MiB before, {memory(server) >> 20} after")
    assert most >= 1000, said[-3000:]
    assert not re.search(r"service available:\S*\s+\S*NO", said), said[-3000:]
    assert_all_given_back(server, idle)
    cost = READER_COST if name == "slow read" else UPLOAD_COST
    assert memory(server) <= before + most * cost + SLACK  # malloc keeps what they had, at the most


@pytest.mark.full
def test_who_stops_is_let_go(server):
    """In the header, in the body and in reading: by the time-outs of nginx's configuration."""
    idle = connections(server)
    with Clients(server, 3) as (header, body, reader):
        header.sendall(b"GET /livez HTTP/1.1\r\nHost: local")
        begin_upload(body, 0, 1000)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        wait_until(lambda: connections(server) >= idle + 3)
        wait_until(lambda: connections(server) <= idle, 90, "nginx lets go of all")
    assert_answers(server)
