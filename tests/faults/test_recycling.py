# SPDX-License-Identifier: BSD-2-Clause
"""Executors are replaced before they grow old or fat, and no request notices."""

import pathlib

from pool import RUN, find, members, pids
from stack import Later, wait_until

ECHO = RUN + "echo"


def maps(pid):
    return pathlib.Path(f"/proc/{pid}/maps").read_text()


def exits(stack):
    return stack.pool()["exits"]["executors"]


def test_recycling_under_load_loses_nothing(start_faults):
    stack = start_faults(compute_slots=2, executor_max_runs=5, compute_queue_length=16)

    def ask():
        return [stack.later(ECHO, json={}).result() for _ in range(50)]

    for answers in [each.result(120) for each in [Later(ask) for _ in range(4)]]:
        assert [answer.text for answer in answers if answer.status_code != 200] == []
    wait_until(lambda: exits(stack)["finished"] >= 200 / 6 - 2)  # five runs each, give or take one
    assert set(exits(stack)) == {"finished", "failed"} and exits(stack)["failed"] == 0
    wait_until(lambda: len(pids(stack, state="idle")) == 2)


def test_an_executor_is_as_old_as_its_runs(start_faults):
    stack = start_faults(compute_slots=1, executor_max_runs=3)
    for _ in range(9):
        find(stack, "executors", state="idle")
        assert stack.post(ECHO, json={}).status_code == 200
    assert all(each["runs"] <= 3 for each in members(stack, "executors"))
    wait_until(lambda: exits(stack)["finished"] >= 3)


def test_an_idle_executor_above_its_mark_is_replaced(start_faults):
    stack = start_faults(compute_slots=1, executor_idle_mb=200)
    before = pids(stack)
    assert stack.post(RUN + "leak", json={"mb": 300}).status_code == 200
    wait_until(lambda: pids(stack, state="idle") and not pids(stack) & before, 20)
    assert exits(stack) == {"finished": 1, "failed": 0}


def test_an_idle_executor_within_its_mark_stays(start_faults):
    stack = start_faults(compute_slots=2, executor_idle_mb=400)
    before = pids(stack)
    assert stack.post(RUN + "leak", json={"mb": 20}).status_code == 200
    assert stack.post(RUN + "sleep", json={"seconds": 4}).status_code == 200  # long enough to be looked at
    assert pids(stack) == before


def test_preloaded_modules_are_there_before_the_first_run(start_faults):
    stack = start_faults(compute_slots=2, compute_preload="faults demo")
    assert all("/faults.so" in maps(pid) and "/demo.so" in maps(pid) for pid in pids(stack))
    assert len(pids(stack)) == 2


def test_other_modules_are_loaded_on_first_use(start_faults):
    stack = start_faults(compute_slots=1)
    (executor,) = pids(stack)
    assert "/faults.so" not in maps(executor)
    assert stack.post(ECHO, json={}).status_code == 200
    assert "/faults.so" in maps(executor)


def test_a_module_that_cannot_be_preloaded_stops_nobody(start_faults):
    stack = start_faults(compute_slots=1, compute_preload="nowhere faults")
    assert stack.post(ECHO, json={}).status_code == 200
    wait_until(lambda: any("nowhere" in line for line in stack.log("compute")))
