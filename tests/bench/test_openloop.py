# SPDX-License-Identifier: BSD-2-Clause
"""The open-loop generator, against a server that stalls, cuts off, refuses, and answers in every form."""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.contender import Request  # noqa: E402
from harness.load import build_openloop, open_loop  # noqa: E402
from stack import free_port  # noqa: E402

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """A thread for each connection. `answer(path)` gives the pieces of an answer; None closes the
    connection, and so does an answer after which it says so."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = self.connections = 0
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port = self.listening.getsockname()[1]
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listening.accept()[0]
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as file:
            while line := file.readline():
                length = 0
                while (field := file.readline()) != b"\r\n":
                    name, _, value = field.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                file.read(length)
                with self.lock:
                    self.requests += 1
                pieces = self.answer(line.split()[1].decode())
                for piece in pieces or []:
                    connection.sendall(piece)
                    time.sleep(0.002 if len(pieces) > 1 else 0)  # so that it is read in pieces too
                if not pieces or b"close" in pieces[0] or pieces[0].startswith(b"HTTP/1.0"):
                    return

    def __enter__(self):
        return self

    def stall(self, seconds=60):
        """Until the test is over."""
        self.is_over.wait(seconds)

    def __exit__(self, *_):
        # Closed under an accept that waits, it would go on to listen, and the number would soon be another's.
        self.is_over.set()
        self.listening.shutdown(socket.SHUT_RDWR)
        self.accepting.join()
        self.listening.close()


def load(server, path="/", rate=200, seconds=0.25, patience=10, **options):
    return open_loop({"a": (Request("GET", path), server.port, rate)}, seconds, patience, **options)["a"]


def test_every_planned_request_is_sent_at_its_rate():
    with Server(lambda path: [EMPTY]) as server:
        got = open_loop({"a": (Request("GET", "/a"), server.port, 300), "b": (Request("GET", "/b"), server.port, 37)},
                        1.0, 10, trace=True)  # fmt: skip
    assert (got["a"]["offered"], got["b"]["offered"]) == (300, 37)
    assert (got["a"]["good"], got["b"]["good"]) == (300, 37) and server.requests == 337
    planned = [each[0] for each in got["a"]["trace"]]
    gaps = [b - a for a, b in zip(planned, planned[1:])]
    assert max(gaps) - min(gaps) < 1e-5 and abs(sum(gaps) / len(gaps) - 1 / 300) < 1e-5


def test_a_stall_is_counted_for_all_who_would_have_waited():
    """A closed loop would have seen one slow answer for each of its clients."""
    stalled = threading.Event()
    begin = time.monotonic()

    def answer(_):
        if 0.5 < time.monotonic() - begin < 0.8 or stalled.is_set():
            stalled.set()
            time.sleep(max(0.0, begin + 0.8 - time.monotonic()))
        return [EMPTY]

    with Server(answer) as server:
        begin = time.monotonic()
        got = load(server, rate=200, seconds=1.2, trace=True)
    slow = [ms for _, ms, _ in got["trace"] if ms >= 100]
    assert got["good"] == 240
    assert len(slow) >= 30  # of the 300 ms those of the first 200, 40 requests, waited 100 ms and more
    assert got["p95"] >= 100 and got["p999"] >= 200


def test_percentiles_are_in_order_and_count_who_was_given_up():
    def answer(path):
        server.stall(0.001 if server.requests % 10 else 30)  # every tenth
        return [EMPTY]

    with Server(answer) as server:
        got = load(server, rate=100, seconds=1, patience=0.4)
    assert got["given_up"] >= 10 and got["good"] + got["given_up"] == 100
    assert got["p50"] <= got["p95"] <= got["p99"] <= got["p999"]
    assert got["p99"] >= 400


def test_what_was_planned_in_the_warm_part_is_not_counted():
    with Server(lambda path: [EMPTY]) as server:
        got = load(server, rate=100, seconds=1, warm=0.5)
    assert got["offered"] == 50 and server.requests == 100


LONG = b"x" * 300_000
FORMS = {
    "length": [EMPTY],
    "no body": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "in pieces": [b"HTTP/1.", b"1 200 OK\r\nConte", b"nt-Length: 4\r", b"\n\r", b"\nab", b"cd"],
    "long": [b"HTTP/1.1 200 OK\r\ncontent-length:300000\r\n\r\n" + LONG],
    "chunked": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab", b"cd\r", b"\nA;x=y\r\n0123456789\r\n0\r",
                b"\nTrailer: 1\r\n", b"\r\n"],
    "continue": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", b"x"],
    "long field": [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000 + b"\r\nContent-Length: 1\r\n\r\nx"],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_ends_where_it_says(form):
    with Server(lambda path: FORMS[form]) as server:
        got = load(server, rate=200)
    assert (got["good"], got["errors"]) == (50, 0)
    assert server.requests == 50
    assert server.connections < 50  # they are kept


CLOSING = {
    "until the end": [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"],
    "with a length": [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"],
    "HTTP/1.0": [b"HTTP/1.0 200 OK\r\n\r\nabc"],
}


@pytest.mark.parametrize("form", CLOSING)
def test_a_closed_connection_is_followed_by_a_new_one(form):
    with Server(lambda path: CLOSING[form]) as server:
        got = load(server, rate=200)
    assert (got["good"], got["errors"]) == (50, 0)
    assert server.connections >= 50


BROKEN = {
    "closed": None,
    "cut off": [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 30\r\n\r\nabc"],
    "not HTTP": [b"SSH-2.0-close\r\n"],
    "no chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
}


@pytest.mark.parametrize("form", BROKEN)
def test_what_is_no_answer_is_an_error(form):
    with Server(lambda path: BROKEN[form]) as server:
        got = load(server, rate=200, patience=1)
    assert (got["good"], got["errors"]) == (0, 50)
    assert got["p99"] is None


def test_statuses_are_counted():
    count = iter(range(10**6))

    def answer(_):
        with server.lock:
            return [[EMPTY], [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"]][next(count) % 2]

    with Server(answer) as server:
        got = load(server, rate=200)
    assert got["statuses"] == {"200": 25, "503": 25} and got["good"] == 25
    assert set(got["by_status"]) == {"200", "503"} and got["by_status"]["503"]["p50"] > 0


def test_a_large_request_arrives_whole():
    with Server(lambda path: [EMPTY]) as server:
        got = open_loop({"a": (Request("POST", "/", {}, LONG * 4), server.port, 20)}, 0.5, 10)["a"]
    assert got["good"] == 10 and server.requests == 10


def test_a_server_that_is_not_there_is_an_error_and_no_hang():
    got = open_loop({"a": (Request("GET", "/"), free_port(), 100)}, 0.5, 5)["a"]
    assert (got["offered"], got["errors"], got["good"]) == (50, 50, 0)


def test_a_server_that_never_answers_is_given_up():
    with Server(lambda path: server.stall()) as server:
        got = load(server, rate=100, seconds=0.3, patience=0.3)
    assert (got["given_up"], got["good"]) == (30, 0)


def test_a_generator_without_descriptors_says_so(tmp_path):
    (tmp_path / "request").write_bytes(Request("GET", "/").whole())
    with Server(lambda path: server.stall()) as server:
        done = subprocess.run(["prlimit", "--nofile=40:40", build_openloop(), "0.3", "0.5"], text=True, timeout=30,
                              input=f"a 300 {server.port} {tmp_path}/request\n", capture_output=True)  # fmt: skip
    got = json.loads(done.stdout)["a"]
    assert "no descriptors" in done.stderr
    assert got["errors"] > 0 and got["given_up"] > 0 and got["errors"] + got["given_up"] == 90
