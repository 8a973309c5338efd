# SPDX-License-Identifier: BSD-2-Clause
"""The clients that count slow requests to the last: whole answers, however their end is marked, and no other."""

import pathlib
import socketserver
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.closed import Load  # noqa: E402
from harness.contender import Request  # noqa: E402

BODY = bytes(range(256)) * 300  # more than one packet
CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:1], BODY[1:70000], BODY[70000:])) + b"0\r\n\r\n"

ANSWERS = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "nothing in it": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
}
WRONG = {
    "an error": b"HTTP/1.1 500 Error\r\nContent-Length: 0\r\n\r\n",
    "no end": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "half of it": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY[:100]),
    "half of the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS[:100],
}


class Server(socketserver.ThreadingTCPServer):
    """Answers every request with the same bytes; after a wrong one the connection ends."""

    daemon_threads = True

    def __init__(self, answer, is_last):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.is_last, self.answered = answer, is_last, 0
        self.lock = threading.Lock()
        self.port = self.server_address[1]
        self.socket.settimeout(1)  # a client may be gone before it is accepted

    def roots(self):
        return []


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            self.wfile.write(self.server.answer)
            with self.server.lock:
                self.server.answered += 1
            if self.server.is_last:
                return


@pytest.fixture
def serve():
    servers = []

    def started(answer, is_last=False):
        servers.append(Server(answer, is_last))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        return servers[-1]

    yield started
    for each in servers:
        each.shutdown()
        each.server_close()


def load(server):
    return Load("a", "A", server, Request("GET", "/"), 3, is_slow=True)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_every_answer_is_counted(serve, answer):
    server = serve(answer)
    got = load(server).measure(0.05)
    assert got["answers"] == server.answered >= 6
    assert got["rate"] > 0 and 0 < got["p50"] <= got["p999"]


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_no_figure(serve, answer):
    with pytest.raises(RuntimeError, match="does not work"):
        load(serve(answer, is_last=True)).measure(0.05)
