# SPDX-License-Identifier: BSD-2-Clause
"""HUP renews a runner's configuration, tasks and executors; no job notices."""

import contextlib
import ctypes
import os
import pathlib
import signal
import tempfile

import jobs
import pytest
from pool import LONG_LIMITS, PATIENT, wait_until_gone
from stack import BUILD, children, wait_until

PTRACE_SEIZE = 0x4206
COOPERATIVE = "faults.cooperative"


@pytest.fixture
def one_slot(start_jobs):
    """Its number of slots stands in the file, where a reload finds another one."""
    return start_jobs("[jobs]\nslots = 1\n")


def configure(stack, text):
    (stack.var / "gangsaw.conf").write_text(LONG_LIMITS + text)


def status(stack):
    return stack.runner()


def executors(stack, generation=None):
    """Pids of those of class cpu."""
    found = [each for each in status(stack)["executors"] if each["class"] == "cpu" and each["pid"] > 0]
    return {each["pid"] for each in found if generation in (None, each["generation"])}


def wait_for_generation(stack, number):
    wait_until(lambda: status(stack)["generation"] == number, 60, f"generation {number}")


def reload(stack):
    """HUP, and wait for the new executors to take jobs."""
    before = status(stack)["generation"]
    stack.signal("runner", signal.SIGHUP)
    wait_for_generation(stack, before + 1)


def says(stack, words):
    wait_until(lambda: any(words in line for line in stack.log("runner")), 30, f"{words!r} in the log")


def run_one(stack):
    [id] = jobs.enqueue(stack, jobs.SUM, {"n": 1})
    assert jobs.wait_for(stack, id)["state"] == "succeeded"


def test_hup_renews_executors_behind_the_same_runner(one_slot):
    before, old = status(one_slot), children(one_slot.pid("runner"))
    reload(one_slot)
    wait_until_gone(old)
    after = status(one_slot)
    assert (after["pid"], after["id"]) == (before["pid"], before["id"])
    assert one_slot.get("/readyz").status_code == 200
    run_one(one_slot)


def test_a_reload_takes_the_new_configuration(one_slot):
    configure(one_slot, "[jobs]\nslots = 3\n[task faults.print]\nseconds = 0.5\n")
    reload(one_slot)
    wait_until(lambda: len(executors(one_slot)) == 3, 60)
    assert status(one_slot)["classes"]["cpu"]["slots"] == 3
    [id] = jobs.enqueue(one_slot, "faults.print", {}, max_attempts=1)
    assert "seconds = 0.5" in jobs.wait_for(one_slot, id)["error"]["detail"]


def test_a_job_that_runs_ends_where_it_runs(one_slot):
    """Those behind it are given back, and lose no attempt by that."""
    ids = jobs.enqueue(one_slot, COOPERATIVE, {**PATIENT, "seconds": 4})
    jobs.wait_for(one_slot, ids[0], "running")
    [old] = executors(one_slot)
    ids += jobs.enqueue(one_slot, jobs.SUM, {"n": 1}, 20)
    reload(one_slot)
    assert executors(one_slot, 1) == {old}
    assert jobs.job(one_slot, ids[0])["state"] == "running"
    jobs.wait_for_all(one_slot)
    jobs.assert_each_ended_once(one_slot, ids)
    assert {jobs.job(one_slot, id)["attempt"] for id in ids} == {1}
    wait_until_gone({old})
    assert len(executors(one_slot)) == 1


def test_a_job_of_an_older_generation_can_be_canceled(one_slot):
    [id] = jobs.enqueue(one_slot, COOPERATIVE, PATIENT)
    jobs.wait_for(one_slot, id, "running")
    [old] = executors(one_slot)
    reload(one_slot)
    reload(one_slot)
    assert one_slot.post(f"/v1/jobs/{id}/cancel").status_code == 200
    wait_until_gone({old})
    assert jobs.job(one_slot, id)["state"] == "canceled"
    run_one(one_slot)


def test_a_reload_finds_new_tasks(one_slot):
    folder = one_slot.var / "test-tasks"
    hidden = [path.rename(path.with_suffix(".hidden")) for path in folder.glob("faults.*.json")]
    (one_slot.var / "gangsaw.conf").write_text("")  # no limits of tasks that are not there
    reload(one_slot)
    wait_until(lambda: "cpu/faults" not in one_slot.sql("SELECT lanes FROM gangsaw.runner")[0][0])
    assert "cpu/faults" not in status(one_slot)["lanes"]
    [id] = jobs.enqueue(one_slot, COOPERATIVE, {"seconds": 0})  # api has not been told
    for path in hidden:
        path.rename(path.with_suffix(".json"))
    reload(one_slot)
    assert jobs.wait_for(one_slot, id)["attempt"] == 1
    assert "cpu/faults" in status(one_slot)["lanes"]
    wait_until(lambda: "cpu/faults" in one_slot.sql("SELECT lanes FROM gangsaw.runner")[0][0])


@pytest.mark.parametrize("text", ["[jobs]\nslots = many\n", "[task no.such]\nseconds = 1\n"])
def test_a_broken_configuration_changes_nothing_but_the_log(one_slot, text):
    before = executors(one_slot)
    configure(one_slot, text)
    one_slot.signal("runner", signal.SIGHUP)
    says(one_slot, "reload failed")
    run_one(one_slot)
    configure(one_slot, "[jobs]\nslots = 2\n")
    assert executors(one_slot) == before
    reload(one_slot)  # mended, it is taken
    wait_until(lambda: len(executors(one_slot)) == 2, 60)


@contextlib.contextmanager
def swappable_executor():
    """The path of an executor that a test may replace."""
    with tempfile.TemporaryDirectory(prefix="gangsaw-") as folder:
        executor = pathlib.Path(folder) / "gangsaw-executor"
        executor.parent.chmod(0o755)
        executor.symlink_to(BUILD / "gangsaw-executor")
        yield executor


def replace(executor, script):
    executor.unlink()
    executor.write_text(script)
    executor.chmod(0o755)


def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_void_p(0)
    assert libc.ptrace(PTRACE_SEIZE, pid, zero, zero) == 0, os.strerror(ctypes.get_errno())


def is_zombie(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return stat[stat.rindex(")") + 2] == "Z"


def test_executors_that_do_not_get_ready_replace_nobody(start_jobs):
    with swappable_executor() as executor:
        stack = start_jobs(jobs_slots=1, server_libexec_dir=executor.parent)
        before = executors(stack)
        replace(executor, "#!/bin/sh\nexit 1\n")
        configure(stack, "[executor]\nstart_seconds = 2\n")
        stack.signal("runner", signal.SIGHUP)
        says(stack, "did not get ready")
        run_one(stack)
        assert executors(stack) == before
        executor.unlink()
        executor.symlink_to(BUILD / "gangsaw-executor")
        configure(stack, "")
        stack.signal("runner", signal.SIGHUP)
        wait_for_generation(stack, 3)
        run_one(stack)


def test_new_executors_that_do_not_die_hold_up_no_job(start_jobs):
    """Whoever traces a process sees it dead first, and can have its parent wait for that."""
    with swappable_executor() as executor:
        stack = start_jobs(jobs_slots=1, server_libexec_dir=executor.parent)
        runner = stack.pid("runner")
        before = set(children(runner))
        replace(executor, "#!/bin/sh\nexec sleep 600\n")
        configure(stack, "[executor]\nstart_seconds = 5\n")
        stack.signal("runner", signal.SIGHUP)
        new = wait_until(lambda: len(found := set(children(runner)) - before) == len(before) and found, 20)
        for pid in new:
            trace(pid)
        says(stack, "did not get ready")
        run_one(stack)
        assert [pid for pid in new if is_zombie(pid)], "they are still to be reaped"
        for pid in new:
            os.waitpid(pid, 0)
        wait_until_gone(new)
        run_one(stack)


def test_a_hup_during_a_reload_is_not_lost(one_slot):
    """However many they are, the last configuration is the one that counts."""
    for slots in (2, 3, 2, 3, 4):
        configure(one_slot, f"[jobs]\nslots = {slots}\n")
        one_slot.signal("runner", signal.SIGHUP)
    wait_until(lambda: len(executors(one_slot)) == status(one_slot)["classes"]["cpu"]["slots"] == 4, 60)
    run_one(one_slot)


def test_a_drain_during_a_reload_ends_all_executors(one_slot):
    [id] = jobs.enqueue(one_slot, COOPERATIVE, {**PATIENT, "seconds": 2})
    jobs.wait_for(one_slot, id, "running")
    reload(one_slot)
    old = {one_slot.pid("runner"), *children(one_slot.pid("runner"))}
    one_slot.signal("runner", signal.SIGHUP)
    one_slot.signal("runner")
    wait_until_gone(old)
    done = jobs.job(one_slot, id)
    assert (done["state"], done["attempt"]) == ("succeeded", 1)
