# SPDX-License-Identifier: BSD-2-Clause
"""A thousand requests, good and bad, eight at a time, leave nothing behind."""

import base64
import collections
import concurrent.futures
import os
import pathlib

import pictures
import pytest
import requests
import stack as stack_module
from stack import children, wait_until

SUM = "/v1/tasks/demo.sum_squares"
TRANSFORM = "/v1/tasks/image.transform"
MIB = 1 << 20
AT_A_TIME = 8
pytestmark = pytest.mark.heavy
# What a process may have grown by: a few KiB a request that are lost show, an allocator that settles
# late does not. ASan keeps what is freed for a while, and finds leaks by itself.
GROWTH_MAX = {"master": MIB, "fork server": MIB, "worker": 6 * MIB, "executor": 6 * MIB, "nginx": 4 * MIB}
if stack_module.SANITIZED:
    GROWTH_MAX = {kind: 400 * MIB for kind in GROWTH_MAX}

SMALL = pictures.png(64, 48, pictures.gradient)
LARGE = SMALL + bytes(300000)  # goes through shared memory
PNG, JSON = {"Content-Type": "image/png"}, {"Content-Type": "application/json"}

# Method, path, arguments of requests', and the status that it has to have.
MIXED = [
    ("POST", SUM, {"json": {"n": 1000}}, 200),
    ("POST", SUM + "?n=5", {}, 200),
    ("POST", SUM, {"json": {"n": -1, "m": [1, 2], "x" * 1000: {}}}, 422),
    ("POST", SUM, {"data": b"{" * 1000, "headers": JSON}, 400),
    ("POST", SUM, {"json": {"n": 10**13}, "headers": {"Gangsaw-Timeout": "0.02"}}, 504),
    ("POST", SUM, {"json": {"n": 1}, "headers": {"Accept": "text/html"}}, 406),
    ("POST", TRANSFORM + "?width=20", {"data": SMALL, "headers": PNG}, 200),
    ("POST", TRANSFORM + "?width=20&format=webp", {"data": LARGE, "headers": PNG}, 200),
    ("POST", TRANSFORM + "?width=200&enlarge=true&format=png", {"data": SMALL, "headers": PNG}, 200),
    ("POST", TRANSFORM, {"files": {"image": ("a.png", LARGE, "image/png"), "width": (None, "20")}}, 200),
    ("POST", TRANSFORM, {"json": {"image": {"base64": base64.b64encode(SMALL).decode()}, "format": "jpeg"}}, 200),
    ("POST", TRANSFORM, {"data": SMALL, "headers": {**PNG, "Accept": "application/json"}}, 200),
    ("POST", TRANSFORM, {"data": LARGE[:2000], "headers": PNG}, 422),
    ("POST", TRANSFORM, {"data": b"no picture" * 20000, "headers": PNG}, 422),
    ("POST", TRANSFORM, {"data": pictures.png(1, 1, claim=(60000, 60000)), "headers": PNG}, 422),
    ("POST", TRANSFORM, {"files": [("image", LARGE), ("image", LARGE)]}, 422),
    ("POST", TRANSFORM, {"data": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400),
    ("POST", TRANSFORM, {"data": LARGE, "headers": {"Content-Type": "text/plain"}}, 415),
    ("POST", "/v1/tasks/no.such.task", {"data": LARGE, "headers": PNG}, 404),
    ("GET", "/v1/tasks", {}, 200),
    ("GET", "/livez", {}, 200),
    ("GET", "/nowhere", {}, 404),
    ("PUT", SUM, {"data": LARGE}, 405),
    ("LEAVE", SUM, {"json": {"n": 10**13}}, None),
]  # fmt: skip


def kept_at_most(processes_by_pid, what):
    """Connections that a process of that kind keeps: a worker's to nginx and to each executor."""
    kinds = collections.Counter(processes_by_pid.values())
    return {"worker": 1 + kinds["executor"], "executor": kinds["worker"]}.get(what, 0)


@pytest.fixture
def own(start_stack):
    """Executors stay, and nobody is sent away: every request comes to its end."""
    stack_module.skip_without_module("image.transform")
    return start_stack(executor_idle_mb=8192, executor_max_runs=1000000, compute_queue_seconds=60)


def request(own, session, number):
    method, path, arguments, status = MIXED[number % len(MIXED)]
    if method == "LEAVE":
        with pytest.raises(requests.Timeout):
            session.post(own.url + path, **arguments, timeout=0.05)
        return
    answer = session.request(method, own.url + path, **arguments, timeout=60)
    assert answer.status_code == status, (method, path, answer.text)


def request_many(own, count):
    def share(first):
        with requests.Session() as session:
            for number in range(first, count, AT_A_TIME):
                request(own, session, number)

    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as threads:
        list(threads.map(share, range(AT_A_TIME)))


def processes(own):
    """Every process of the stack, by pid: what it is."""
    found = {}
    for pool in ("api", "compute"):
        master = own.pid(pool)
        status = own.status()["pools"][pool]
        found[master] = "master"
        found.update({each["pid"]: "worker" for each in status["workers"]})
        found.update({each["pid"]: "executor" for each in status["executors"]})
        found.update({each["pid"]: "fork server" for each in status["fork_servers"]})
        kinds = ("workers", "executors", "fork_servers")
        assert sorted(children(master)) == sorted(each["pid"] for kind in kinds for each in status[kind])
    nginx = own.pid("nginx")
    found.update({pid: "nginx" for pid in (nginx, *children(nginx))})
    return found


def descriptors(pid):
    """How many descriptors a process has, by what they lead to."""
    count = collections.Counter()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            count[os.readlink(entry).split(":[")[0]] += 1
        except FileNotFoundError:
            pass
    return count


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def zombies(parents):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state == "Z" and int(parent) in parents:
            found.append(stat.parent.name)
    return found


def files(own):
    """What the stack has on disk, but for logs and the database's own files."""
    paths = [path.relative_to(own.var) for path in own.var.rglob("*")]
    return sorted(str(path) for path in paths if path.parts[0] not in ("log", "postgres"))


def settled(own):
    """Wait until nothing is being done; then all that can leak."""
    own.settle()
    what = processes(own)
    return {
        "what": what,
        "descriptors": {pid: descriptors(pid) for pid in what},
        "resident": {pid: resident_bytes(pid) for pid in what},
        "files": files(own),
    }


def test_a_thousand_mixed_requests_leave_nothing_behind(own):
    for number in range(len(MIXED)):
        request(own, own.session, number)
    request_many(own, 20 * len(MIXED))
    own.session.close()
    before = settled(own)
    request_many(own, 1000)
    after = settled(own)

    assert after["what"] == before["what"], "other processes than before"
    assert zombies(after["what"]) == []
    assert after["files"] == before["files"]
    for pid, what in before["what"].items():
        if what == "nginx":  # its connections to clients that have gone close in their own time
            wait_until(lambda pid=pid: sum(descriptors(pid).values()) <= sum(before["descriptors"][pid].values()), 30)
        else:
            kept = kept_at_most(before["what"], what)
            earlier, later = before["descriptors"][pid], after["descriptors"][pid]
            assert later["socket"] <= earlier["socket"] + kept, what
            assert later - collections.Counter(socket=later["socket"]) == earlier - collections.Counter(socket=earlier["socket"]), what
        growth = after["resident"][pid] - before["resident"][pid]
        assert growth < GROWTH_MAX[what], f"{what} {pid} grew by {growth >> 10} KiB"


def test_every_kind_of_request_is_one_line_of_a_log(own):
    def count_lines():
        return sum(len(own.log(pool, "request")) for pool in ("api", "compute"))

    own.settle()  # what ./dev start asked is logged
    before = count_lines()
    for number in range(len(MIXED)):
        request(own, own.session, number)
    own.settle()
    assert count_lines() == before + len(MIXED)
