# SPDX-License-Identifier: BSD-2-Clause
"""What the workers of a generation have in common is in memory once, however many there are."""

import collections
import os
import pathlib
import re
import signal

import pytest
from pool import pids, wait_until_gone
from stack import SANITIZED, wait_until

KIB = 1024
POOLS = ("api", "compute")

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers write beside all that is read")


@pytest.fixture(scope="module")
def idle(faults):
    """Nothing was asked of its workers yet."""
    return faults


def memory(pid):
    """Bytes by the kernel's words: of all of a process, and of its heap."""
    whole, heap, sizes = collections.Counter(), collections.Counter(), None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            sizes = heap if line.endswith("[heap]") else collections.Counter()
        elif size := re.match(r"(\w+): +(\d+) kB", line):
            sizes[size[1]] += int(size[2]) * KIB
            whole[size[1]] += int(size[2]) * KIB
    return whole, heap


def workers(stack, pool):
    return {each["pid"] for each in stack.status()["pools"][pool]["workers"]}


def assert_shared(processes):
    for pid in processes:
        whole, heap = memory(pid)
        assert whole["Private_Dirty"] < 400 * KIB, (pid, whole)
        assert heap["Private_Dirty"] < heap["Shared_Dirty"] / 4, (pid, heap)


@pytest.mark.parametrize("pool", POOLS)
def test_a_master_keeps_nothing_of_the_catalogue(idle, pool):
    _, heap = memory(idle.pid(pool))
    assert heap["Rss"] < 1200 * KIB, heap


@pytest.mark.parametrize("pool", POOLS)
def test_a_worker_at_rest_has_little_of_its_own(idle, pool):
    found = workers(idle, pool)
    assert len(found) > 4
    assert_shared(found)


def test_workers_of_a_reload_share_the_new_catalogue_and_the_old_one_is_gone(idle):
    old = pids(idle, "workers") | pids(idle, "fork_servers")
    idle.signal("compute", signal.SIGHUP)
    wait_until_gone(old)
    new = wait_until(lambda: len(idle.pool()["fork_servers"]) == 1 and workers(idle, "compute"), 20, "one generation")
    assert not old & new
    assert_shared(new)


def test_a_worker_that_is_replaced_shares_what_the_others_do(idle):
    (server,) = pids(idle, "fork_servers")
    victim, *others = sorted(workers(idle, "compute"))
    whole = len(others) + 1
    os.kill(victim, signal.SIGKILL)
    wait_until_gone({victim})
    wait_until(lambda: len(pids(idle, "workers", state="idle")) == whole)
    (replacement,) = pids(idle, "workers") - set(others)
    assert pids(idle, "fork_servers") == {server}
    assert_shared({replacement})
