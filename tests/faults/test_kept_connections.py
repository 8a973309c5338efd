# SPDX-License-Identifier: BSD-2-Clause
"""Connections between nginx and the workers are kept, and nobody ever waits for one or is lost on one."""

import os
import select
import signal
import socket
import struct

import pytest
import requests
from pool import LONG_LIMITS, RUN, members, pids, wait_until_gone, wait_until_whole
from stack import FROM_HERE, Later, Stack, children, wait_until

ECHO = RUN + "echo"
BEGIN, END, PARAMS, STDIN, STDERR = 1, 3, 4, 5, 7
KEEP = 1  # the flag of a begin record
KEPT = 3  # connections


def record(kind, content=b""):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    return struct.pack("!BI", len(name), len(value) | 1 << 31) + name.encode() + value.encode()


class Peer:
    """A web server that keeps its connection to a worker, if the worker does."""

    def __init__(self, stack, pool="compute"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(stack.var / "run" / f"{pool}.sock"))

    def send(self, path="/livez"):
        params = {"REQUEST_METHOD": "GET", "DOCUMENT_URI": path, "QUERY_STRING": "", **FROM_HERE}
        content = b"".join(pair(*each) for each in params.items())
        self.socket.sendall(
            record(BEGIN, struct.pack("!HB5x", 1, KEEP)) + record(PARAMS, content) + record(PARAMS) + record(STDIN)
        )

    def read_record(self):
        """Kind and content; None when the worker closed the connection."""
        try:
            head = self.socket.recv(8, socket.MSG_WAITALL)
        except ConnectionResetError:  # with something unread
            return None
        if not head:
            return None
        _, kind, _, size, padding, _ = struct.unpack("!BBHHBB", head)
        content = self.socket.recv(size, socket.MSG_WAITALL) if size else b""
        if padding:
            self.socket.recv(padding, socket.MSG_WAITALL)
        return kind, content

    def read_answer(self):
        """True when the worker keeps the connection: then nothing comes behind the end."""
        kinds = []
        while END not in kinds:
            kinds.append(self.read_record()[0])
        return not select.select([self.socket], [], [], 0)[0]

    def ask(self, path="/livez"):
        self.send(path)
        return self.read_answer()

    def close(self):
        self.socket.close()


def kept(stack):
    return pids(stack, "workers", kept=True)


@pytest.fixture(scope="module")
def shared():
    options = {"compute_slots": 1, "compute_net_slots": 1, "compute_queue_length": 0}
    options |= {"http_kept_connections": KEPT, "http_io_timeout_seconds": 1}
    with Stack(faults=True, config=LONG_LIMITS, database_url="", **options) as running:
        yield running


@pytest.fixture
def quiet(shared):
    """A whole pool, to which nginx has no connection."""
    wait_until(lambda: kept(shared) == set())
    wait_until_whole(shared, executors=1, workers=1 + 1 + 4 + KEPT)
    return shared


def served(stack):
    return {each["pid"]: each["requests"] for each in members(stack, "workers")}


def test_requests_of_a_client_come_over_one_connection(quiet):
    def all_of_one_worker():
        before = served(quiet)
        for _ in range(20):
            assert quiet.post(ECHO, json={}).status_code == 200
        after = wait_until(lambda: (now := served(quiet)) and sum(now.values()) == sum(before.values()) + 20 and now)
        return 20 in [after[pid] - before.get(pid, 0) for pid in after]

    wait_until(all_of_one_worker, 60)  # a pause of a second ends a connection


def test_an_idle_connection_is_given_up(quiet):
    assert quiet.post(ECHO, json={}).status_code == 200
    wait_until(lambda: kept(quiet) == set(), 20, "no kept connection")
    quiet.settle()


@pytest.mark.full
def test_without_keepalive_in_nginx_all_works_as_well(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=2)
    path = stack.var / "nginx/gangsaw-http.conf"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "keepalive" not in line))
    before = set(children(stack.pid("nginx")))
    stack.signal("nginx", signal.SIGHUP)
    wait_until(lambda: not before & set(children(stack.pid("nginx"))), 20, "new workers of nginx")
    for _ in range(50):
        assert stack.post(ECHO, json={}, headers={"Connection": "close"}).status_code == 200
        assert stack.get("/livez", headers={"Connection": "close"}).status_code == 200
    wait_until(lambda: kept(stack) == set(), 20, "no kept connection")


def test_no_more_are_kept_than_configured_and_others_find_workers(quiet):
    peers = [Peer(quiet) for _ in range(KEPT)]
    assert [each.ask() for each in peers] == [True] * KEPT
    wait_until(lambda: len(kept(quiet)) == KEPT)
    for _ in range(5):
        assert Peer(quiet).ask() is False  # and is closed by the worker
    assert quiet.post(ECHO, json={}).status_code == 200
    assert [each.ask() for each in peers] == [True] * KEPT  # they were not forgotten
    peers.pop().close()
    wait_until(lambda: len(kept(quiet)) == KEPT - 1)
    assert Peer(quiet).ask() is True
    for each in peers:
        each.close()
    wait_until(lambda: kept(quiet) == set())


def test_places_of_workers_that_died_are_free_again(quiet):
    for _ in range(2):
        peers = [Peer(quiet) for _ in range(KEPT)]
        assert [each.ask() for each in peers] == [True] * KEPT
        victims = wait_until(lambda: len(kept(quiet)) == KEPT and kept(quiet))
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        assert [each.read_record() for each in peers] == [None] * KEPT
        wait_until_gone(victims)
        wait_until_whole(quiet, executors=1, workers=1 + 1 + 4 + KEPT)


def test_a_killed_worker_with_a_kept_connection_costs_no_later_request(quiet):
    for _ in range(5):
        assert quiet.post(ECHO, json={}).status_code == 200
        victims = kept(quiet)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(victims)
        assert quiet.post(ECHO, json={}).status_code == 200


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\1", b"\1\1\0\1", b"\1\4\0\1\0\10\0\0"])
def test_garbage_on_a_kept_connection_costs_its_peer_alone(quiet, garbage):
    quiet = quiet
    peer = Peer(quiet)
    assert peer.ask() is True
    peer.socket.sendall(garbage)
    while peer.read_record():
        pass
    last = Peer(quiet)
    assert last.ask() is True
    last.close()


@pytest.mark.full
def test_a_connection_that_nobody_uses_is_recalled_and_then_closed(quiet):
    """By a record that means nothing: a request that crosses it is answered, and is the last."""
    late, silent = Peer(quiet), Peer(quiet)
    assert late.ask() is True and silent.ask() is True
    assert late.read_record() == silent.read_record() == (STDERR, b"")
    assert late.ask() is False
    assert silent.read_record() is None
    assert kept(quiet) == set()


def test_draining_workers_serve_what_crosses_their_recall(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=0)
    wait_until(lambda: kept(stack) == set())
    late, gone = Peer(stack), Peer(stack)
    assert late.ask() is True and gone.ask() is True
    old = wait_until(lambda: len(kept(stack)) == 2 and kept(stack))
    stack.signal("compute")
    assert late.read_record() == gone.read_record() == (STDERR, b"")
    assert late.ask() is False
    gone.close()
    wait_until_gone(old, 10)


def test_no_request_is_lost_while_pools_are_reloaded_all_the_time(start_faults):
    """Under as many clients as connections are kept, of which each sends what must not be sent twice."""
    stack = start_faults(compute_slots=2, http_kept_connections=6)
    is_over = []

    def stream():
        statuses = []
        with requests.Session() as session:
            while not is_over:
                statuses.append(session.post(stack.url + ECHO, json={}, timeout=60).status_code)
                statuses.append(session.get(stack.url + "/livez", timeout=60).status_code)
        return statuses

    streams = [Later(stream) for _ in range(4)]
    for _ in range(4):
        for name in ("compute", "api"):
            before = stack.status()["pools"][name]["generation"]
            stack.signal(name, signal.SIGHUP)
            wait_until(lambda: stack.status()["pools"][name]["generation"] > before, 60)
    is_over.append(True)
    statuses = [status for each in streams for status in each.result()]
    assert len(statuses) > 50 and set(statuses) == {200}
