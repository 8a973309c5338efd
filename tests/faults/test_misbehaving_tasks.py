# SPDX-License-Identifier: BSD-2-Clause
"""A task that crashes, hangs, or takes more than it may costs its own request, and nothing else."""

import json
import os
import signal

import pytest
from pool import PATIENT, RUN, find, pids, wait_until_whole
from stack import KEPT_CONNECTIONS, Later, alive, problem_of, wait_until

MIB = 1 << 20


@pytest.fixture(autouse=True)
def whole(faults):
    """After each test all executors and workers are there and idle."""
    yield
    wait_until_whole(faults, executors=2, workers=(2 + 8) + (1 + 8) + 4 + KEPT_CONNECTIONS)


def crashes(faults, name):
    return faults.pool()["exits"]["executors"].get(name, 0)


def answers(faults):
    """Every slot computes: as many runs at once as there are."""
    runs = [faults.later(RUN + "echo", json={"text": "x"}) for _ in range(4)]
    return all(run.result().status_code == 200 for run in runs)


@pytest.mark.parametrize("name", ["SEGV", "ABRT", "BUS", "FPE", "KILL"])
def test_a_crash_costs_its_request_and_names_the_signal(faults, name):
    before, workers, count = pids(faults), pids(faults, "workers"), crashes(faults, f"SIG{name}")
    problem = problem_of(faults.post(RUN + "crash", json={"signal": name}), "executor-crashed", 500)
    assert f"SIG{name} " in problem["detail"]
    assert answers(faults)
    wait_until(lambda: len(pids(faults)) == 2)
    assert len(before & pids(faults)) == 1  # one was replaced
    assert pids(faults, "workers") == workers
    assert crashes(faults, f"SIG{name}") == count + 1


def test_a_crash_with_half_an_output_is_a_crash(faults):
    problem_of(faults.post(RUN + "crash", json={"output_first": True}), "executor-crashed", 500)
    assert answers(faults)


@pytest.mark.parametrize("code", [0, 1, 255])
def test_an_exit_in_the_middle_of_a_run_is_a_crash(faults, code):
    problem = problem_of(faults.post(RUN + "exit", json={"code": code}), "executor-crashed", 500)
    assert f"status {code} " in problem["detail"]
    assert answers(faults)


def test_crash_after_crash_slows_nobody_down(faults):
    """Executors that die young are started again with a delay, but not those that a run has killed."""

    def crash():
        return [faults.post(RUN + "crash", json={}).status_code for _ in range(40)]

    assert Later(crash).result(30) == [500] * 40
    assert answers(faults)


def test_crashes_among_short_runs_cost_their_own_requests_alone(faults):
    """Short runs are sent ahead, behind each other: those behind the one that crashes are computed elsewhere."""

    def client():
        echoes = [faults.post(RUN + "echo", json={"text": "x"}).status_code for _ in range(60)]
        crash = faults.post(RUN + "crash", json={}).status_code
        echoes += [faults.post(RUN + "echo", json={"text": "x"}).status_code for _ in range(60)]
        return set(echoes), crash

    clients = [Later(client) for _ in range(8)]
    assert [each.result(30) for each in clients] == [({200}, 500)] * 8


@pytest.mark.parametrize("name", ["SEGV", "ABRT", "KILL"])
def test_an_executor_that_is_killed_costs_its_run_alone(faults, name):
    run = faults.later(RUN + "cooperative", json={})
    victim = find(faults, "executors", state="busy")
    other = faults.later(RUN + "cooperative", json={"seconds": 2})
    faults.wait_for_load(busy=2)
    os.kill(victim["pid"], getattr(signal, f"SIG{name}"))
    problem = problem_of(run.result(), "executor-crashed", 500)
    assert f"SIG{name} " in problem["detail"]
    assert problem["request_id"] == victim["request_id"]
    assert other.result().status_code == 200
    wait_until(lambda: not alive(victim["pid"]))


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "PIPE"])
def test_an_executor_heeds_no_signal_that_is_meant_for_its_master(faults, name):
    run = faults.later(RUN + "cooperative", json={"seconds": 1})
    os.kill(find(faults, "executors", state="busy")["pid"], getattr(signal, f"SIG{name}"))
    assert run.result().status_code == 200


def test_a_run_that_does_not_stop_is_killed_at_its_limit(faults):
    before, killed = pids(faults), crashes(faults, "SIGKILL")
    answer = faults.post(RUN + "hang", json={}, headers={"Gangsaw-Timeout": "0.5"})
    assert "Gangsaw-Timeout = 0.5 s" in problem_of(answer, "timed-out", 504)["detail"]
    assert answers(faults)
    wait_until(lambda: len(pids(faults)) == 2)
    assert len(before & pids(faults)) == 1
    assert crashes(faults, "SIGKILL") == killed + 1


def test_a_run_that_stops_when_told_keeps_its_executor(faults):
    before = pids(faults)
    for parameters in ({}, PATIENT):
        answer = faults.post(RUN + "cooperative", json=parameters, headers={"Gangsaw-Timeout": "0.5"})
        problem_of(answer, "timed-out", 504)
    assert answers(faults)
    assert pids(faults) == before  # engines stay warm


def test_the_tasks_own_limit_is_named(faults):
    problem = problem_of(faults.post(RUN + "print", json={}), "timed-out", 504)
    assert "limit seconds = 2 s" in problem["detail"]


def test_memory_without_end_is_ended_by_its_limit(faults):
    before = pids(faults)
    problem = problem_of(faults.post(RUN + "allocate", json={}), "executor-crashed", 500)
    assert "memory_mb = 128" in problem["detail"]
    assert answers(faults)
    wait_until(lambda: len(before & pids(faults)) == 1)


@pytest.mark.parametrize("ignore_errors", [False, True])
def test_output_without_end_is_too_large(faults, ignore_errors):
    before = pids(faults)
    answer = faults.post(RUN + "write", json={"mb": 100, "ignore_errors": ignore_errors})
    assert "output_bytes = 1048576" in problem_of(answer, "too-large", 413)["detail"]
    assert pids(faults) == before


def test_output_up_to_its_limit_is_answered(faults):
    answer = faults.post(RUN + "write", json={"mb": 1})
    assert answer.status_code == 200
    assert answer.content == bytes(MIB)


def test_words_without_end_fill_no_log(faults):
    log = faults.var / "log" / "compute.log"
    size = log.stat().st_size
    run = faults.later(RUN + "print", json={})
    faults.wait_for_load(busy=1)
    assert faults.post(RUN + "echo", json={"text": "x"}).status_code == 200  # meanwhile
    problem_of(run.result(), "timed-out", 504)
    assert answers(faults)
    new = log.read_bytes()[size:]
    assert len(new) < MIB // 4
    lines = [json.loads(line) for line in new.decode().splitlines()]  # none is broken or forged
    said = [line for line in lines if line["message"] == "executor output"]
    assert said and all(line["level"] == "warning" for line in said)
    assert any("stderr line" in line["text"] for line in said)
    ids = {line.get("request_id") for line in said if line.get("request_id")}
    assert ids == {run.result().json()["request_id"]}
    assert sum(line["lines"] for line in lines if line["message"] == "executor output dropped") > 1000


def test_a_few_words_are_all_in_the_log(faults):
    answer = faults.post(RUN + "print", json={"lines": 3})
    assert answer.status_code == 200

    def said():
        texts = [json.loads(line).get("text", "") for line in faults.log("compute")[-50:]]
        return [text for text in texts if text in [f"stdout line {i}" for i in (1, 2, 3)]]

    wait_until(lambda: len(said()) >= 3)


def test_descriptors_are_limited_and_the_next_run_lacks_none(faults):
    opened = []
    for _ in range(6):  # three on each executor, if it stayed
        answer = faults.post(RUN + "fd", json={"count": 100000})
        assert answer.status_code == 200
        opened.append(answer.json()["result"]["opened"])
    assert 30 < min(opened) and max(opened) < 10000
    # What one forgot is not missing for another; a connection that a worker keeps is.
    assert max(opened) - min(opened) < 10 + len(pids(faults, "workers"))
    assert answers(faults)


def test_a_task_cannot_speak_for_the_server(faults):
    for code in ("unauthorized", "not-found", "overloaded", "timed-out", "executor-crashed"):
        answer = faults.post(RUN + "error", json={"code": code, "detail": "made up"})
        assert "made up" not in problem_of(answer, "internal", 500)["detail"]


def test_the_cause_of_an_error_is_for_the_log_alone(faults):
    answer = faults.post(RUN + "error", json={"code": "invalid-input", "detail": "Torn.", "cause": "in libpaper"})
    assert problem_of(answer, "invalid-input", 422)["detail"] == "Torn."
    assert "libpaper" not in answer.text
    assert faults.log_line("compute", answer)["cause"] == "in libpaper"


def test_progress_that_makes_no_sense_harms_nobody(faults):
    run = faults.later(RUN + "progress", json={"steps": 100})
    seen = []
    while not run.done:
        seen += [each for each in faults.pool()["executors"] if each.get("what")]
    assert run.result().status_code == 200
    assert seen and all(0 <= each["fraction"] <= 1 for each in seen)
