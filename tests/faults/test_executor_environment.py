# SPDX-License-Identifier: BSD-2-Clause
"""What a task can see and reach: nothing of its server but what its run needs."""

import os
import pathlib
import pwd
import re

import pytest
from pool import RUN
from stack import SANITIZED, Stack, wait_until

MIB = 1 << 20
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "VIPS_CONCURRENCY": "1",
}


@pytest.fixture(scope="module")
def seen():
    """The stack, and what faults.environment reports in it."""
    with Stack(faults=True, compute_slots=1) as stack:
        answer = stack.post(RUN + "environment", json={})
        assert answer.status_code == 200, answer.text
        yield stack, answer.json()["result"]


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_the_environment_is_cleared_and_engines_have_one_thread(seen):
    variables = dict(each.split("=", 1) for each in seen[1]["environment"])
    assert ONE_THREAD.items() <= variables.items()
    others = set(variables) - set(ONE_THREAD) - {"LANG", "HOME", "TMPDIR"}
    assert all(name.endswith("SAN_OPTIONS") for name in others), others
    assert status(seen[1]["pid"])["Threads"] == "1"


def descriptors(pid):
    return {int(fd.name): os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()}


def test_no_descriptor_but_its_own(seen):
    stack, result = seen
    wait_until(lambda: stack.status()["pools"]["compute"]["classes"]["cpu"]["busy"] == 0)
    targets = descriptors(result["pid"])
    assert targets[0] == "/dev/null"
    assert targets[1].startswith("pipe:") and targets[2] == targets[1]  # the log
    assert targets[4].startswith("pipe:")  # lifeline
    runs = max(targets)
    assert targets[runs].startswith("socket:")  # where runs come from
    kept = {fd for fd, target in targets.items() if target.startswith("socket:") and fd != runs}  # by workers that had a run here
    assert len(kept) <= len(stack.status()["pools"]["compute"]["workers"])
    rest = {target for fd, target in targets.items() if fd not in (0, 1, 2, 4, runs, *kept)}
    assert rest == {f"/proc/{result['pid']}/statm", f"/proc/{result['pid']}/clear_refs", "anon_inode:[eventpoll]"}
    assert set(result["descriptors"]) - set(targets) == set()  # a run brings a connection, and that is kept
    master = pathlib.Path(f"/proc/{stack.pid('compute')}/fd")
    listening = os.readlink(master / "0")
    assert listening.startswith("socket:") and listening not in targets.values()


def test_one_page_is_all_it_shares(seen):
    stack, result = seen
    shared = [line for line in pathlib.Path(f"/proc/{result['pid']}/maps").read_text().splitlines() if "rw-s" in line]
    assert len(shared) == 1 and "gangsaw-gang" in shared[0]
    start, end = (int(address, 16) for address in shared[0].split()[0].split("-"))
    assert end - start == 4096


def test_limits_are_set_before_it_reads_anything(seen):
    limits = seen[1]["limits"]
    assert limits["NOFILE"]["soft"] == limits["NOFILE"]["hard"] <= 4096
    assert limits["CORE"] == {"soft": 0, "hard": 0}
    assert 100 * MIB <= limits["FSIZE"]["soft"] <= 201 * MIB  # memfds double as they grow
    if not SANITIZED:  # whose shadow memory takes terabytes of addresses
        assert 512 * MIB < limits["AS"]["soft"] < 8192 * MIB


def test_a_root_server_computes_as_somebody_else(seen):
    stack, result = seen
    if os.getuid() == 0:
        assert result["user_id"] != 0
        for name in ("CapEff", "CapPrm"):
            assert int(status(result["pid"])[name], 16) == 0
    else:
        assert result["user_id"] == os.getuid()
    assert status(result["pid"])["NoNewPrivs"] == "1"
    owner = pwd.getpwuid(result["user_id"]).pw_name
    workers = {worker["pid"] for worker in stack.pool()["workers"]}
    assert {pwd.getpwuid(int(status(pid)["Uid"].split()[0])).pw_name for pid in workers} == {owner}


def test_its_parent_is_the_master(seen):
    assert seen[1]["parent_pid"] == seen[0].pid("compute")


def may_write(fd):
    flags = re.search(r"^flags:\s+(\d+)", (fd.parent.parent / "fdinfo" / fd.name).read_text(), re.MULTILINE)[1]
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def test_workers_hold_no_descriptor_of_an_executor(seen):
    """A lifeline that leaks into somebody else keeps a process alive whose master is gone. Workers share
    the end of theirs at which they listen."""
    stack, _ = seen
    pipes = {}
    for kind in ("workers", "executors"):
        for process in stack.pool()[kind]:
            for fd in pathlib.Path(f"/proc/{process['pid']}/fd").iterdir():
                target = os.readlink(fd)
                if re.match("pipe:", target):
                    pipes.setdefault(target, set()).add((kind, process["pid"], may_write(fd)))
    pipes.pop(os.readlink(f"/proc/{stack.pid('compute')}/fd/2"), None)  # the log
    shared = [holders for holders in pipes.values() if len({pid for _, pid, _ in holders}) > 1]
    assert pipes and {each[0::2] for holders in shared for each in holders} <= {("workers", False)}


def test_a_run_leaves_its_executor_as_it_found_it(seen):
    stack, before = seen
    for _ in range(3):
        again = stack.post(RUN + "environment", json={}).json()["result"]
        assert again["pid"] == before["pid"]
        assert len(again["descriptors"]) == len(before["descriptors"])
        assert again["limits"] == before["limits"]
