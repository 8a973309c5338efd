# SPDX-License-Identifier: BSD-2-Clause
"""TERM ends a pool after the requests that it has; HUP renews it without anybody noticing."""

import os
import pathlib
import shutil
import signal
import tempfile

import pytest
import requests
from pool import LONG_LIMITS, PATIENT, RUN, find, members, pids, wait_until_gone
from stack import BUILD, Later, alive, descendants, problem_of, wait_until

ECHO = RUN + "echo"


@pytest.fixture
def one_slot(start_faults):
    """Its number of slots stands in the file, where a reload finds another one."""
    return start_faults("[compute]\nslots = 1\nqueue_length = 3\n")


def processes(stack):
    master = stack.pid("compute")
    return {master, *descendants(master)}


def run_for(stack, seconds):
    return stack.later(RUN + "cooperative", json={**PATIENT, "seconds": seconds})


def configure(stack, text):
    (stack.var / "gangsaw.conf").write_text(LONG_LIMITS + text)


def reload(stack):
    """HUP, and wait for the new processes to serve and the old ones to be gone."""
    before = stack.pool()["generation"]
    stack.signal("compute", signal.SIGHUP)
    wait_for_generation(stack, before + 1)


def wait_for_generation(stack, number):
    def there():
        pool = stack.pool()
        generations = {each["generation"] for each in pool["workers"] + pool["executors"]}
        return pool["ready"] and generations == {number}

    wait_until(there, 30, f"generation {number} alone")


def says(stack, words):
    wait_until(lambda: any(words in line for line in stack.log("compute")), 30, f"{words!r} in the log")


# ---- TERM


def test_term_lets_requests_finish_those_that_wait_too(one_slot):
    runs = [run_for(one_slot, 1.5) for _ in range(3)]
    one_slot.wait_for_load(busy=1, waiting=2)
    pool = processes(one_slot)
    one_slot.signal("compute")
    assert [run.result().status_code for run in runs] == [200] * 3
    wait_until_gone(pool)


def test_a_pool_that_drains_takes_no_more_requests(one_slot):
    run = run_for(one_slot, 4)
    one_slot.wait_for_load(busy=1)
    one_slot.signal("compute")
    # What came in that moment is served: ask when the worker that has the run is the last.
    wait_until(lambda: len(pids(one_slot, "workers")) == 1 and one_slot.pool()["draining"])
    assert not run.done
    problem_of(one_slot.post(ECHO, json={}), "unavailable", 503)
    assert run.result().status_code == 200


def test_a_pool_can_start_while_the_one_before_still_drains(one_slot):
    run = run_for(one_slot, 8)
    one_slot.wait_for_load(busy=1)
    old = one_slot.pid("compute")
    one_slot.signal("compute")
    (one_slot.var / "pid" / "compute").unlink()
    one_slot.start()
    assert one_slot.post(ECHO, json={}).status_code == 200
    assert not run.done and alive(old)
    assert run.result().status_code == 200
    wait_until_gone({old})


@pytest.mark.parametrize("task", ["hang", "cooperative"])
def test_draining_ends_at_its_limit(start_faults, task):
    stack = start_faults(compute_slots=1, compute_drain_seconds=1)
    runs = [stack.later(RUN + task, json={}) for _ in range(2)]
    stack.wait_for_load(busy=1, waiting=1)
    pool = processes(stack)
    stack.signal("compute")
    wait_until_gone(pool, 10)
    for run in runs:
        assert run.result().status_code in (500, 503)


def test_a_second_term_does_not_wait(one_slot):
    run = one_slot.later(RUN + "hang", json={})
    one_slot.wait_for_load(busy=1)
    pool = processes(one_slot)
    one_slot.signal("compute")
    wait_until(lambda: one_slot.pool()["draining"])
    assert alive(one_slot.pid("compute"))
    one_slot.signal("compute")
    wait_until_gone(pool, 10)
    assert run.result().status_code in (500, 503)


# ---- HUP


def test_hup_renews_workers_and_executors_behind_the_same_master(one_slot):
    master, before = one_slot.pid("compute"), pids(one_slot) | pids(one_slot, "workers")
    reload(one_slot)
    assert alive(master)
    assert not before & (pids(one_slot) | pids(one_slot, "workers"))
    wait_until_gone(before)
    assert one_slot.post(ECHO, json={}).status_code == 200


def test_requests_that_run_and_wait_outlive_a_reload(one_slot):
    """The new processes serve meanwhile, with a slot of their own."""
    running = run_for(one_slot, 8)
    one_slot.wait_for_load(busy=1)
    waiting = run_for(one_slot, 0.1)
    one_slot.wait_for_load(busy=1, waiting=1)
    one_slot.signal("compute", signal.SIGHUP)

    def has_taken_over():
        return {each["generation"] for each in members(one_slot, "workers", state="idle")} == {2}

    wait_until(has_taken_over, 30)
    assert one_slot.post(ECHO, json={}).status_code == 200
    assert not running.done
    assert {each["generation"] for each in members(one_slot, "executors")} == {1, 2}
    assert running.result().status_code == 200
    assert waiting.result().status_code == 200
    wait_for_generation(one_slot, 2)


def test_no_request_of_a_stream_fails_during_five_reloads(one_slot):
    is_over = []

    def stream():
        statuses = []
        with requests.Session() as session:
            while not is_over:
                statuses.append(session.post(one_slot.url + ECHO, json={}, timeout=60).status_code)
        return statuses

    streams = [Later(stream) for _ in range(2)]
    for _ in range(5):
        reload(one_slot)
    is_over.append(True)
    for statuses in [each.result() for each in streams]:
        assert len(statuses) > 5 and set(statuses) == {200}


def test_a_reload_takes_the_new_configuration(one_slot):
    configure(one_slot, "[compute]\nslots = 3\nqueue_length = 1\n[task faults.print]\nseconds = 0.5\n")
    reload(one_slot)
    assert "seconds = 0.5" in problem_of(one_slot.post(RUN + "print", json={}), "timed-out", 504)["detail"]
    pool = one_slot.pool()
    assert pool["classes"]["cpu"]["slots"] == 3
    assert pool["classes"]["cpu"]["queue_limit"] == 1
    assert len(pids(one_slot)) == 3


BROKEN = ("[compute]\nslots = many\n", "[compute]\nslot = 1\n", "[task no.such]\nseconds = 1\n")


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_configuration_changes_nothing_but_the_log(one_slot, text):
    before = pids(one_slot) | pids(one_slot, "workers")
    configure(one_slot, text)
    one_slot.signal("compute", signal.SIGHUP)
    says(one_slot, "reload failed")
    assert one_slot.post(ECHO, json={}).status_code == 200
    configure(one_slot, "[compute]\nslots = 2\n")
    assert one_slot.pool()["generation"] == 1
    assert pids(one_slot) | pids(one_slot, "workers") == before
    reload(one_slot)  # mended, it is taken
    assert len(pids(one_slot)) == 2


def waits_for_connections(pid):
    """A worker that has come as far as its epoll: behind its configuration and its descriptors."""
    try:
        return "anon_inode:[eventpoll]" in [os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False


def test_a_worker_replaced_after_an_edit_is_like_its_siblings(one_slot):
    """What the file says by then is for the next reload."""
    before = processes(one_slot)
    victim = sorted(pids(one_slot, "workers", state="idle"))[0]
    configure(one_slot, "[compute]\nslots = many\n")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: [pid for pid in processes(one_slot) - before if waits_for_connections(pid)], 20)
    configure(one_slot, "")
    assert [line for line in one_slot.log("compute") if "cannot start" in line] == []


def test_a_broken_descriptor_changes_nothing_but_the_log(one_slot):
    before = pids(one_slot) | pids(one_slot, "workers")
    (one_slot.var / "test-tasks" / "broken.json").write_text("{")
    one_slot.signal("compute", signal.SIGHUP)
    says(one_slot, "reload failed")
    assert one_slot.post(ECHO, json={}).status_code == 200
    assert pids(one_slot) | pids(one_slot, "workers") == before


@pytest.fixture
def libexec():
    """A folder with the executor's program, for a test to exchange it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="gangsaw-"))
    folder.chmod(0o755)
    (folder / "gangsaw-executor").symlink_to(BUILD / "gangsaw-executor")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec sleep 600\n", "no program"])
def test_processes_that_do_not_get_ready_replace_nobody(start_faults, libexec, program):
    stack = start_faults(compute_slots=1, compute_queue_length=1, server_libexec_dir=libexec)
    before = pids(stack) | pids(stack, "workers")
    executor = libexec / "gangsaw-executor"
    executor.unlink()
    executor.write_text(program)
    executor.chmod(0o755)
    configure(stack, "[executor]\nstart_seconds = 2\n")
    stack.signal("compute", signal.SIGHUP)
    says(stack, "did not get ready")
    wait_for_generation(stack, 1)
    assert stack.post(ECHO, json={}).status_code == 200
    assert pids(stack) | pids(stack, "workers") == before
    executor.unlink()
    executor.symlink_to(BUILD / "gangsaw-executor")
    configure(stack, "")
    stack.signal("compute", signal.SIGHUP)
    wait_for_generation(stack, 3)
    assert stack.post(ECHO, json={}).status_code == 200


def test_a_hup_during_a_reload_is_not_lost(one_slot):
    """However many they are, the last configuration is the one that counts."""
    for slots in (2, 3, 2, 3, 4):
        configure(one_slot, f"[compute]\nslots = {slots}\n")
        one_slot.signal("compute", signal.SIGHUP)
    wait_until(lambda: one_slot.pool()["generation"] > 1)

    def settled():
        pool = one_slot.pool()
        return pool["ready"] and len(members(one_slot, "executors")) == pool["classes"]["cpu"]["slots"] == 4

    wait_until(settled, 60)
    assert one_slot.post(ECHO, json={}).status_code == 200


def test_hup_does_not_wait_for_a_hanging_run_for_ever(start_faults):
    stack = start_faults("[compute]\nslots = 1\ndrain_seconds = 1\n")
    run = stack.later(RUN + "hang", json={})
    old = find(stack, "executors", state="busy")["pid"]
    reload(stack)
    wait_until_gone({old})
    assert run.result().status_code in (500, 503)
    assert stack.post(ECHO, json={}).status_code == 200
