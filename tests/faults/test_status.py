# SPDX-License-Identifier: BSD-2-Clause
"""`gangsaw status` tells the truth, while it is one."""

import signal
import subprocess

import pytest
from pool import LONG_LIMITS, PATIENT, RUN, find, members, pids
from stack import BUILD, KEPT_CONNECTIONS, Stack, wait_until

TASK = "faults.cooperative"
OPTIONS = {"compute_slots": 1, "compute_net_slots": 1, "compute_queue_length": 2}


@pytest.fixture(scope="module")
def shared():
    with Stack(faults=True, config=LONG_LIMITS, database_url="", **OPTIONS) as running:
        yield running


@pytest.fixture
def one_slot(shared):
    """A pool that has nothing to do."""
    shared.settle()
    return shared


@pytest.fixture
def busy(one_slot):
    """One run computes, one request waits."""
    clients = [one_slot.leaver(RUN + "cooperative", PATIENT)]
    one_slot.wait_for_load(busy=1)
    clients.append(one_slot.leaver(RUN + "echo", {}))
    one_slot.wait_for_load(busy=1, waiting=1)
    yield one_slot
    for client in clients:
        client.close()


def table(stack):
    done = subprocess.run(
        [BUILD / "gangsaw", "status"], env=environment(stack), stdout=subprocess.PIPE, text=True, timeout=30
    )
    return done.returncode, done.stdout


def environment(stack):
    return {
        **stack.env,
        "GANGSAW_SERVER_RUN_DIR": str(stack.var / "run"),
        "GANGSAW_CONFIG": str(stack.var / "gangsaw.conf"),
    }


def test_of_the_pool(busy):
    pool = busy.pool()
    assert (pool["version"], pool["pool"], pool["pid"]) == (1, "compute", busy.pid("compute"))
    assert pool["ready"] is True and pool["draining"] is False and pool["generation"] == 1
    assert pool["uptime_s"] > 0
    cpu = pool["classes"]["cpu"]
    assert (cpu["slots"], cpu["busy"], cpu["waiting"], cpu["queue_limit"]) == (1, 1, 1, 2)
    assert 1 <= cpu["retry_after_s"] <= 60
    net = pool["classes"]["net"]
    assert (net["slots"], net["busy"], net["waiting"]) == (1, 0, 0)
    if "backlog" in pool:  # where the kernel tells
        assert pool["backlog"]["queued"] == 0 and pool["backlog"]["limit"] >= 64


def test_of_the_executor_that_computes(busy):
    executor = find(busy, "executors", state="busy")
    assert (executor["task"], executor["run"], executor["generation"]) == (TASK, "running", 1)
    assert executor["pid"] in pids(busy)
    assert executor["age_s"] >= executor["run_s"] >= 0
    assert len(executor["request_id"]) == 32
    assert 0 <= executor["fraction"] <= 1
    find(busy, "executors", what="waiting to be stopped")


def test_of_the_workers(busy):
    running = find(busy, "workers", run="running")
    waiting = find(busy, "workers", run="waiting")
    assert (running["state"], running["task"]) == ("busy", TASK)
    assert (waiting["state"], waiting["task"]) == ("busy", "faults.echo")
    assert running["request_id"] == find(busy, "executors", state="busy")["request_id"]
    assert waiting["request_id"] != running["request_id"]
    idle = members(busy, "workers", state="idle")
    assert len(idle) == (1 + 2) + (1 + 2) + 4 + KEPT_CONNECTIONS - 2
    assert all("task" not in worker for worker in idle)
    assert all(worker["age_s"] >= worker["state_s"] >= 0 for worker in members(busy, "workers"))


def test_requests_and_runs_are_counted(one_slot):
    def counts():
        return (
            sum(worker["requests"] for worker in members(one_slot, "workers")),
            sum(executor["runs"] for executor in members(one_slot, "executors")),
        )

    wait_until(lambda: pids(one_slot, state="idle"))
    requests, runs = counts()
    for _ in range(5):
        assert one_slot.post(RUN + "echo", json={}).status_code == 200
        assert one_slot.post(RUN + "echo", json={"small": 0}).status_code == 422
    wait_until(lambda: counts() == (requests + 10, runs + 5))


def test_exits_are_counted_by_reason_and_a_pool_that_is_killed_does_not_run(start_faults):
    one_slot = start_faults(**OPTIONS)
    assert one_slot.pool()["exits"] == {
        "workers": {"finished": 0, "failed": 0},
        "executors": {"finished": 0, "failed": 0},
    }
    for task, parameters in (("crash", {}), ("crash", {"signal": "BUS"}), ("exit", {"code": 3}), ("crash", {})):
        assert one_slot.post(RUN + task, json=parameters).status_code == 500
    wait_until(lambda: one_slot.pool()["exits"]["executors"].get("SIGSEGV") == 2)
    assert one_slot.pool()["exits"] == {
        "workers": {"finished": 0, "failed": 0},
        "executors": {"finished": 0, "failed": 1, "SIGSEGV": 2, "SIGBUS": 1},
    }
    one_slot.signal("compute", signal.SIGKILL)
    wait_until(lambda: table(one_slot)[0] == 3)
    code, text = table(one_slot)
    assert "pool api: ready" in text
    assert "Pool compute does not run" in text
    assert one_slot.dev("status", check=False).returncode != 0


def test_as_a_table(busy):
    code, text = table(busy)
    assert code == 0
    assert "pool api: ready" in text and "pool compute: ready" in text
    assert "1 of 1 slots busy, 1 of 2 waiting" in text
    assert [line for line in text.splitlines() if TASK in line and " running " in line]
    assert find(busy, "workers", run="waiting")["request_id"] in text
    assert "1 of 1 slots busy" in busy.dev("status").stdout


def test_many_who_ask_are_all_answered(busy):
    """The master answers one after the other, and goes on with its work."""
    asking = [
        subprocess.Popen([BUILD / "gangsaw", "status", "--json"], env=environment(busy), stdout=subprocess.DEVNULL)
        for _ in range(20)
    ]
    assert [each.wait(60) for each in asking] == [0] * 20
