# SPDX-License-Identifier: BSD-2-Clause
"""Nothing outlives its master, and what was killed starts again at once."""

import contextlib
import os
import signal

import pytest
from pool import RUN, wait_until_gone
from stack import alive, descendants, problem_of, wait_until

ECHO = RUN + "echo"
POOLS = ("api", "compute")


@pytest.fixture
def one_slot(start_faults):
    return start_faults(compute_slots=1, compute_queue_length=2)


def processes(stack, name):
    master = stack.pid(name)
    return {master, *descendants(master)}


def kill(stack, name):
    stack.signal(name, signal.SIGKILL)


def works(stack):
    stack.start()
    return stack.post(ECHO, json={}).status_code == 200 and stack.get("/livez").status_code == 200


@pytest.mark.parametrize("name", POOLS)
def test_nothing_is_left_of_an_idle_pool_whose_master_is_killed(one_slot, name):
    pool = processes(one_slot, name)
    others = [one_slot.pid(other) for other in ("nginx", "api", "compute") if other != name]
    assert len(pool) > 3
    kill(one_slot, name)
    wait_until_gone(pool)
    assert works(one_slot)
    assert all(alive(pid) for pid in others)  # nobody else was touched


@pytest.mark.parametrize("task", ["cooperative", "hang"])
def test_nothing_is_left_of_a_busy_pool_whose_master_is_killed(one_slot, task):
    """Those that run and those that wait are answered, too."""
    requests = [one_slot.later(RUN + task, json={}) for _ in range(3)]
    one_slot.wait_for_load(busy=1, waiting=2)
    pool = processes(one_slot, "compute")
    kill(one_slot, "compute")
    wait_until_gone(pool)
    for request in requests:
        problem_of(request.result(), "unavailable", 503)
    assert works(one_slot)


def test_a_killed_pool_starts_again_at_once(one_slot):
    """While the processes of the one before are still leaving."""
    for _ in range(3):
        for name in POOLS:
            kill(one_slot, name)
        assert works(one_slot)


def test_everything_killed_starts_again(one_slot):
    everything = set().union(*(processes(one_slot, name) for name in ("nginx", *POOLS)))
    for pid in everything:
        with contextlib.suppress(ProcessLookupError):  # who ends with its master may be gone
            os.kill(pid, signal.SIGKILL)
    assert works(one_slot)
    wait_until_gone(everything)


def test_a_killed_nginx_starts_again(one_slot):
    """Its workers outlive it and hold the port."""
    before = processes(one_slot, "nginx")
    kill(one_slot, "nginx")
    assert works(one_slot)
    wait_until_gone(before)


def test_a_stopped_stack_leaves_nothing(one_slot):
    everything = set().union(*(processes(one_slot, name) for name in ("nginx", *POOLS)))
    one_slot.stop()
    assert not any(alive(pid) for pid in everything)
    assert not list((one_slot.var / "run").glob("*.status"))
    one_slot.stop()  # twice does no harm
    assert works(one_slot)


def test_a_pid_of_somebody_else_is_left_alone(one_slot):
    """After a reboot the numbers in var/pid may be anybody's."""
    one_slot.stop()
    for name in ("nginx", *POOLS):
        (one_slot.var / "pid" / name).write_text(f"{os.getpid()} another-boot/1 x\n")
    assert works(one_slot)
    one_slot.stop()
    assert alive(os.getpid())


def test_without_compute_its_tasks_are_unavailable_until_it_is_back(one_slot):
    kill(one_slot, "compute")
    wait_until(lambda: one_slot.post(ECHO, json={}).status_code == 503)
    answer = one_slot.post(ECHO, json={})
    problem_of(answer, "unavailable", 503)
    assert answer.headers["Retry-After"].isdigit()
    assert one_slot.get("/livez").status_code == 200
    wait_until(lambda: one_slot.get("/readyz").status_code == 503)
    assert works(one_slot)
    wait_until(lambda: one_slot.get("/readyz").status_code == 200)
