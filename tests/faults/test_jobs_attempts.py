# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of a job that fails, crashes, is cancelled, or whose runner goes."""

import pytest
from jobs import SUM, assert_each_ended_once, enqueue, executors, job, live, wait_for, wait_for_all, wait_for_tenants
from stack import alive, problem_of, wait_until


@pytest.fixture(scope="module")
def server():
    import stack as stack_module
    from pool import LONG_LIMITS

    with stack_module.Stack(faults=True, config=LONG_LIMITS, jobs_slots=2, jobs_net_slots=4,
                            jobs_retry_seconds=0.1, compute_slots=1) as running:  # fmt: skip
        yield running


def test_a_poisonous_job_fails_after_two_crashes_and_delays_nobody(server):
    poison = enqueue(server, "faults.crash", {"signal": "SEGV"})[0]
    others = enqueue(server, SUM, {"n": 1000}, 100)
    done = wait_for(server, poison)
    assert done["state"] == "failed"
    assert done["error"]["type"] == "/problems/executor-crashed"
    assert "SIGSEGV" in done["error"]["detail"]
    assert [each["error"]["type"] for each in done["attempts"]] == ["/problems/executor-crashed"] * 2
    for id in others:
        assert wait_for(server, id)["state"] == "succeeded"
        assert len(job(server, id)["attempts"]) == 1  # nobody else's attempt was spent
    problem_of(server.get(f"/v1/jobs/{poison}/result"), "executor-crashed", 500)


def test_bad_input_is_never_tried_again(server):
    id = enqueue(server, "faults.error", {"code": "invalid-input"})[0]
    done = wait_for(server, id)
    assert (done["state"], done["attempt"]) == ("failed", 1)
    assert done["error"]["type"] == "/problems/invalid-input"


def test_what_may_pass_is_tried_again_and_fails_in_the_end(server):
    id = enqueue(server, "faults.error", {"code": "unavailable"}, max_attempts=3)[0]
    done = wait_for(server, id)
    assert (done["state"], done["attempt"], len(done["attempts"])) == ("failed", 3, 3)
    assert all(each["error"]["type"] == "/problems/unavailable" for each in done["attempts"])
    waits = server.sql("SELECT attempts FROM gangsaw.job_done ORDER BY id DESC LIMIT 1")
    assert waits[0][0].count('"attempt"') >= 2
    assert "secret" not in server.get(f"/v1/jobs/{id}").text


def test_a_job_over_its_timeout_is_stopped(server):
    id = enqueue(server, "faults.cooperative", {"busy": False}, timeout_seconds=0.3)[0]
    done = wait_for(server, id)
    assert (done["state"], done["error"]["type"]) == ("failed", "/problems/timed-out")


def test_a_queued_job_is_cancelled(server):
    blockers = enqueue(server, "faults.cooperative", {"busy": False}, 2)
    for id in blockers:
        wait_for(server, id, "running")
    id = enqueue(server, "faults.cooperative", {"busy": False})[0]
    assert job(server, id)["state"] == "queued"
    for _ in range(2):  # repeatable
        answer = server.post(f"/v1/jobs/{id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    problem_of(server.get(f"/v1/jobs/{id}/result"), "conflict", 409)
    for id in blockers:
        assert server.post(f"/v1/jobs/{id}/cancel").json()["state"] == "canceled"


@pytest.mark.parametrize("task", ["cooperative", "hang"])
def test_cancelling_a_running_job_frees_its_slot(server, task):
    ids = enqueue(server, f"faults.{task}", {}, 2)
    for id in ids:
        wait_for(server, id, "running")
    for id in ids:
        assert server.post(f"/v1/jobs/{id}/cancel").json()["state"] == "canceled"
    after = enqueue(server, SUM, {"n": 1})[0]
    assert wait_for(server, after)["state"] == "succeeded"
    assert [job(server, id)["state"] for id in ids] == ["canceled"] * 2
    assert live(server) == 0


def test_cancelling_a_finished_job_changes_nothing(server):
    id = enqueue(server, SUM, {"n": 2})[0]
    wait_for(server, id)
    answer = server.post(f"/v1/jobs/{id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert server.get(f"/v1/jobs/{id}/result").json()["result"] == {"sum": "1"}


def test_a_retried_job_keeps_its_id(server):
    id = enqueue(server, "faults.error", {"code": "invalid-input"})[0]
    wait_for(server, id)
    answer = server.post(f"/v1/jobs/{id}/retry")
    assert (answer.status_code, answer.json()["id"]) == (200, id)
    done = wait_for(server, id)
    assert (done["state"], done["attempt"], len(done["attempts"])) == ("failed", 1, 2)
    assert_each_ended_once(server, [id], "failed")


def test_sql_jobs_are_validated_by_the_runner(server):
    sql = server.sql(
        "SELECT gangsaw.enqueue('demo.sum_squares', params => '{\"n\": \"three\"}'), "
        "gangsaw.enqueue('demo.sum_squares', params => '{\"n\": 3}'), "
        "gangsaw.enqueue('image.inspect', params => '{\"image\": {\"blob\": \"0123456789012\"}}')"
    )[0]
    wrong, right, absent = [wait_for(server, id) for id in sql]
    assert (wrong["state"], wrong["error"]["type"], wrong["attempt"]) == ("failed", "/problems/invalid-params", 1)
    assert "/n" in wrong["error"]["detail"]
    assert right["state"] == "succeeded"
    assert (absent["state"], absent["error"]["type"]) == ("failed", "/problems/invalid-params")


def test_a_rolled_back_enqueue_leaves_nothing(server):
    before = server.sql("SELECT count(*) FROM gangsaw.job_done")
    server.sql("BEGIN; SELECT gangsaw.enqueue('demo.sum_squares', params => '{\"n\": 3}'); ROLLBACK")
    after = enqueue(server, SUM, {"n": 1})[0]
    wait_for(server, after)
    assert int(server.sql("SELECT count(*) FROM gangsaw.job_done")[0][0]) == int(before[0][0]) + 1


def test_a_tenant_with_a_thousand_jobs_does_not_delay_anothers_one(server):
    many = server.sql(
        "SELECT count(gangsaw.enqueue('faults.sleep', params => '{\"seconds\": 0.05}', "
        "tenant => 'large')) FROM generate_series(1, 400)"
    )
    assert many == [["400"]]
    one = server.sql("SELECT gangsaw.enqueue('faults.sleep', params => '{\"seconds\": 0.05}', tenant => 'small')")
    wait_for_tenants(server, "small", one[0][0])
    left = int(server.sql("SELECT count(*) FROM gangsaw.job WHERE tenant = 'large'")[0][0])
    assert left > 300, "it waited for the other tenant's jobs"
    server.sql("DELETE FROM gangsaw.job WHERE tenant = 'large' AND state = 'queued'")
    wait_for_all(server)


def test_jobs_of_a_module_that_no_runner_has_delay_nobody(server):
    server.sql(
        "INSERT INTO gangsaw.job (lane, task, params, priority) "
        "SELECT 'cpu/absent', 'absent.task', '{}', 100 FROM generate_series(1, 100000)"
    )
    try:
        ids = enqueue(server, SUM, {"n": 1}, 500)
        for id in (ids[0], ids[-1]):
            assert wait_for(server, id, seconds=15)["state"] == "succeeded"
        listed = server.command("jobs").stdout
        line = [each for each in listed.splitlines() if "cpu/absent" in each]
        assert len(line) == 1 and "100000" in line[0] and "no live runner" in line[0], listed
    finally:
        server.sql("DELETE FROM gangsaw.job WHERE lane = 'cpu/absent'")


def test_a_draining_runner_gives_back_what_it_has_not_begun(start_jobs):
    stack = start_jobs(jobs_slots=1, jobs_drain_seconds=1, compute_slots=1)
    ids = enqueue(stack, "faults.cooperative", {"busy": False}, 3)
    wait_until(lambda: any(job(stack, id)["state"] == "running" for id in ids), 20)
    crew = executors(stack)
    stack.signal("runner")
    wait_until(lambda: not alive(stack.pid("runner")), 20, "the runner has gone")
    assert not any(alive(pid) for pid in crew)
    rows = stack.sql("SELECT state, attempt, crashes FROM gangsaw.job")
    assert rows == [["queued", "0", "0"]] * 3  # no attempt was lost
    assert stack.sql("SELECT count(*) FROM gangsaw.runner") == [["0"]]


def test_a_draining_runner_finishes_what_runs(start_jobs):
    stack = start_jobs(jobs_slots=1, jobs_drain_seconds=20, compute_slots=1)
    id = enqueue(stack, "faults.cooperative", {"seconds": 1, "busy": False})[0]
    wait_for(stack, id, "running")
    stack.signal("runner")
    wait_until(lambda: not alive(stack.pid("runner")), 20, "the runner has gone")
    assert job(stack, id)["state"] == "succeeded"
