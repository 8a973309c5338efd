# SPDX-License-Identifier: BSD-2-Clause
"""A peer that sends slowly, straight to the pool's socket, holds a worker in a read; nothing else."""

import signal
import socket
import struct

from pool import RUN, wait_until_gone
from stack import descendants, wait_until

ECHO = RUN + "echo"


def record(kind, content):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    return struct.pack("!BB", len(name), len(value)) + name.encode() + value.encode()


def begin_body(stack):
    """A POST of a thousand bytes of which one has been sent; the connection."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(stack.var / "run" / "compute.sock"))
    params = {"REQUEST_METHOD": "POST", "DOCUMENT_URI": ECHO, "QUERY_STRING": "",
              "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "1000"}  # fmt: skip
    peer.sendall(record(1, struct.pack("!HB5x", 1, 0)))
    peer.sendall(record(4, b"".join(pair(*each) for each in params.items())) + record(4, b""))
    peer.sendall(record(5, b"{"))
    wait_until(lambda: [w for w in stack.pool()["workers"] if w["state"] == "busy"], 10, "a worker that reads")
    return peer


def test_a_worker_in_a_slow_read_does_not_outlive_its_master(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=2, compute_drain_seconds=1)
    master = stack.pid("compute")
    pool = {master, *descendants(master)}
    with begin_body(stack) as peer:
        stack.signal("compute", signal.SIGKILL)
        stack.start()  # the socket is free at once
        assert stack.post(ECHO, json={}).status_code == 200
        peer.setblocking(False)

        def is_hung_up():
            """Another byte, as long as somebody reads them: the read never times out."""
            try:
                peer.send(record(5, b" "))
            except BlockingIOError:
                return False
            except OSError:
                return True

        wait_until(is_hung_up, 20, "the worker of the dead master to go")
    wait_until_gone(pool)


def test_a_worker_in_a_slow_read_holds_nobody_up(start_faults):
    stack = start_faults(compute_slots=1, compute_queue_length=2)
    with begin_body(stack):
        assert stack.post(ECHO, json={}).status_code == 200
    stack.settle()
