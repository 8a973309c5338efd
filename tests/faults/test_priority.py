# SPDX-License-Identifier: BSD-2-Clause
"""Jobs yield to runs that somebody waits for, and have the cores to themselves when nobody does."""

import os
import pathlib

import jobs
import pytest
from pool import RUN, pids
from stack import children, cpu_seconds, process_state, wait_until

COMPUTE = {"busy": True}
CORES = len(os.sched_getaffinity(0))
NICE = 10


@pytest.fixture
def stack(start_jobs):
    """As many slots as cores, for both."""
    return start_jobs(compute_slots=CORES, jobs_slots=CORES, jobs_drain_seconds=0.1)


def niceness(pid):
    return int(process_state(pid)[16])


def busy_executors(stack):
    return {each["pid"] for each in stack.runner()["executors"] if each["state"] == "busy"}


def start_jobs_on_every_core(stack):
    jobs.enqueue(stack, "faults.cooperative", COMPUTE, CORES)
    return wait_until(lambda: len(found := busy_executors(stack)) == CORES and found, 30, "a job on every core")


def share_cores(*groups):
    """One of each group on every core: where the kernel puts them while others compute too is not the point."""
    for group in groups:
        for pid, core in zip(sorted(group), sorted(os.sched_getaffinity(0)), strict=True):
            os.sched_setaffinity(pid, {core})


def consumed(processes):
    return sum(cpu_seconds(pid) for pid in processes)


def test_beside_runs_jobs_get_the_smaller_part_of_the_cores(stack):
    executors = start_jobs_on_every_core(stack)
    clients = [stack.leaver(RUN + "cooperative", COMPUTE) for _ in range(CORES)]
    stack.wait_for_load(busy=CORES)
    runs = pids(stack, state="busy")
    share_cores(executors, runs)
    before = consumed(executors), consumed(runs)
    wait_until(lambda: consumed(runs) - before[1] >= CORES, 120, "a second of computing for every run")
    of_jobs, of_runs = consumed(executors) - before[0], consumed(runs) - before[1]
    assert of_runs >= 3 * of_jobs
    assert busy_executors(stack) == executors and pids(stack, state="busy") == runs
    for client in clients:
        client.close()


def test_jobs_compute_when_nobody_waits(stack):
    executors = start_jobs_on_every_core(stack)
    # Beside other tests on the same cores they are the nicer ones, too.
    wait_until(lambda: all(cpu_seconds(pid) >= 1 for pid in executors), 180, "a second of computing for every job")


def test_executors_of_jobs_are_nicer_and_their_session_too(stack):
    runner = stack.pid("runner")
    assert {niceness(pid) for pid in children(runner)} == {NICE}
    assert {niceness(pid) for pid in [runner, *pids(stack)]} == {0}
    group = pathlib.Path(f"/proc/{runner}/autogroup")
    priority = {"nice": NICE, "autogroup": "set" if group.exists() else "absent"}
    assert stack.runner()["priority"] == priority
    if group.exists():
        assert group.read_text().split()[-1] == str(NICE)
        of_runs = [pathlib.Path(f"/proc/{pid}/autogroup").read_text() for pid in pids(stack)]
        assert group.read_text() not in of_runs
        assert {text.split()[-1] for text in of_runs} == {"0"}


def test_workers_do_not_share_a_session_with_executors(stack):
    pool = stack.pool()
    workers = {os.getsid(each["pid"]) for each in pool["workers"]}
    executors = {os.getsid(each["pid"]) for each in pool["executors"]}
    assert workers and executors and not workers & executors
