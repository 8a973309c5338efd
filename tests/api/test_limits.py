# SPDX-License-Identifier: BSD-2-Clause
"""What a key may use up: requests a minute, runs at a time, jobs in the queue, bytes of a body."""

import os
import re
import signal

import pytest
from keys import SUM, Caller, add_keys
from stack import problem_of, wait_until

import stack as stack_module

HANG = "/v1/tasks/faults.hang"
LONG = "[task faults.hang]\nseconds = 600\n[task faults.cooperative]\nseconds = 600\n"
LATER = {"Gangsaw-Job": "delay=3600"}


@pytest.fixture(scope="module")
def limited():
    with stack_module.Stack(faults=True, config=LONG, compute_slots=3, compute_queue_seconds=60) as running:
        add_keys(running)
        yield running


def rate_of(answer):
    """(quota, remaining, seconds until all of it is there again), which every answer has."""
    policy = re.fullmatch(r'"requests";q=(\d+);w=60', answer.headers["RateLimit-Policy"])
    rate = re.fullmatch(r'"requests";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    return int(policy[1]), int(rate[1]), int(rate[2])


def test_requests_of_a_minute_are_counted_in_both_pools(limited):
    caller, other = add_keys(limited, Caller(limited, requests_per_minute=6), Caller(limited, requests_per_minute=6))
    answers = [caller.get("/v1/tasks") if i % 2 else caller.post(f"/v1/tasks/{SUM}", json={"n": 1}) for i in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 6
    rates = [rate_of(answer) for answer in answers]
    assert {quota for quota, _, _ in rates} == {6}
    remaining = [each for _, each, _ in rates]
    assert remaining[0] == 5 and all(b in (a, a - 1) for a, b in zip(remaining, remaining[1:]))
    assert all(0 < reset <= 60 for _, _, reset in rates)
    refused = wait_for_refusal(caller)
    problem = problem_of(refused, "rate-limited", 429)
    assert "6 requests a minute" in problem["detail"]
    assert rate_of(refused)[1] == 0
    assert 1 <= int(refused.headers["Retry-After"]) <= 10
    assert other.get("/v1/tasks").status_code == 200
    # Errors have the figures as well, and count.
    assert rate_of(other.get("/v1/nothing"))[1] < rate_of(other.get("/v1/tasks"))[1] + 2


def wait_for_refusal(caller):
    """Each ten seconds a place comes back: it may be one more that passes."""
    found = []

    def refused():
        found[:] = [caller.get("/v1/tasks")]
        return found[0].status_code == 429

    wait_until(refused, 20, "refused")
    return found[0]


def test_a_place_comes_back_with_time(limited):
    caller, = add_keys(limited, Caller(limited, requests_per_minute=60))  # fmt: skip
    statuses = set()
    while 429 not in statuses:
        answer = caller.get("/v1/tasks")
        statuses.add(answer.status_code)
    wait_until(lambda: caller.get("/v1/tasks").status_code == 200, 20, "a place")


def test_what_nginx_passes_on_is_one_request(limited):
    """From compute to api, to the hub and back."""
    caller, = add_keys(limited, Caller(limited, requests_per_minute=1000))  # fmt: skip
    _, before, _ = rate_of(caller.get("/v1/tasks"))
    job = caller.submit(SUM, {"n": 1})
    waited = caller.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers={"Prefer": "respond-async, wait=30"})
    shown = caller.get(f"/v1/jobs/{job['id']}?wait=30")
    assert waited.status_code == shown.status_code == 200
    # Some places may have come back meanwhile, sixteen in a second.
    assert rate_of(waited)[1] >= before - 2
    assert rate_of(shown)[1] >= before - 3


def test_a_key_without_a_limit_is_told_of_none(limited):
    caller, = add_keys(limited, Caller(limited))  # fmt: skip
    assert not [name for name in caller.get("/v1/tasks").headers if name.lower().startswith("ratelimit")]


def test_runs_at_a_time_are_counted_while_they_compute_or_wait(limited):
    caller, other = add_keys(limited, Caller(limited, concurrent_runs=2), Caller(limited, "theirs"))
    leavers = [hanging(limited, caller) for _ in range(2)]
    limited.wait_for_load(busy=2)
    refused = caller.post(f"/v1/tasks/{SUM}", json={"n": 1})
    problem = problem_of(refused, "rate-limited", 429)
    assert "2 runs at a time" in problem["detail"] and int(refused.headers["Retry-After"]) >= 1
    assert caller.get("/v1/tasks").status_code == 200
    assert other.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200
    leavers.pop().close()
    wait_until(lambda: caller.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200, 20, "a run again")
    leavers.pop().close()
    limited.wait_for_load(busy=0)


def hanging(stack, caller):
    """A run that goes on until the socket is closed."""
    body = b'{"busy": false}'
    s = stack.connect()
    s.sendall(f"POST /v1/tasks/faults.cooperative HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {caller.text}\r\n"
              f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)  # fmt: skip
    return s


def test_a_killed_worker_leaks_no_run(limited):
    caller, = add_keys(limited, Caller(limited, concurrent_runs=1))  # fmt: skip
    leaver = hanging(limited, caller)
    limited.wait_for_load(busy=1)
    problem = problem_of(caller.post(f"/v1/tasks/{SUM}", json={"n": 1}), "rate-limited", 429)
    assert problem["detail"] == "The limit of this key is 1 run at a time, and one is under way."
    worker = [each for each in limited.pool()["workers"] if each.get("task") == "faults.cooperative"]
    os.kill(worker[0]["pid"], signal.SIGKILL)
    wait_until(lambda: caller.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200, 30, "a run again")
    leaver.close()


def test_jobs_in_the_queue_are_limited_one_by_one_and_in_batches(limited):
    caller, same, other = add_keys(limited, Caller(limited, "few", queued_jobs=3), Caller(limited, "few"),
                                   Caller(limited, "many", queued_jobs=3))  # fmt: skip
    batch = {"jobs": [{"task": SUM, "params": {"n": 1}, "delay_seconds": 3600}] * 2}
    assert caller.post("/v1/jobs", json=batch).status_code == 202
    problem = problem_of(caller.post("/v1/jobs", json=batch), "rate-limited", 429)
    assert "3 jobs in the queue" in problem["detail"] and "its tenant has 2 there" in problem["detail"]
    assert len(caller.get("/v1/jobs").json()["jobs"]) == 2, "a batch that does not fit is refused as a whole"
    repeated = {"Idempotency-Key": "again", **LATER}
    last = caller.submit(SUM, {"n": 1}, headers=repeated)
    refused = caller.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers={"Prefer": "respond-async"})
    problem_of(refused, "rate-limited", 429)
    assert int(refused.headers["Retry-After"]) >= 1
    assert caller.submit(SUM, {"n": 1}, headers=repeated)["id"] == last["id"], "a repetition stores nothing"
    # The limit is the key's, the jobs are the tenant's.
    assert same.submit(SUM, {"n": 1})["id"]
    assert other.post("/v1/jobs", json=batch).status_code == 202


def test_a_request_that_adds_no_job_is_answered_at_the_limit(limited):
    caller, less = add_keys(limited, Caller(limited, "full", queued_jobs=2), Caller(limited, "full", queued_jobs=1))
    names = {name: {"Gangsaw-Job": f'delay=3600, unique="{name}"'} for name in ("a", "b", "c")}
    held = {name: caller.submit(SUM, {"n": 1}, headers=names[name])["id"] for name in ("a", "b")}
    for each in (caller, less):
        assert each.submit(SUM, {"n": 1}, headers=names["a"])["id"] == held["a"]
    headers = {"Prefer": "respond-async", **names["c"]}
    problem_of(caller.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=headers), "rate-limited", 429)
    items = {name: {"task": SUM, "params": {"n": 1}, "delay_seconds": 3600, "unique_key": name} for name in "abc"}
    answer = caller.post("/v1/jobs", json={"jobs": [items["b"], items["a"], items["b"]]})
    assert answer.status_code == 202
    assert [job["id"] for job in answer.json()["jobs"]] == [held["b"], held["a"], held["b"]]
    refused = caller.post("/v1/jobs", json={"jobs": [items["a"], items["c"], items["b"]]})
    problem_of(refused, "rate-limited", 429)
    # What comes twice in a batch is one job.
    assert caller.post(f"/v1/jobs/{held['b']}/cancel").status_code == 200
    assert caller.post("/v1/jobs", json={"jobs": [items["c"], items["a"], items["c"]]}).status_code == 202


def test_a_retry_counts_at_the_limit_unless_the_job_is_live(limited):
    caller, other = add_keys(limited, Caller(limited, "retries", queued_jobs=1), Caller(limited, "nobody"))
    ended = caller.submit(SUM, {"n": 1})["id"]
    assert caller.wait_for_job(ended)["attempt"] == 1
    live = caller.submit(SUM, {"n": 1}, headers=LATER)["id"]
    problem = problem_of(caller.post(f"/v1/jobs/{ended}/retry"), "rate-limited", 429)
    assert "1 job in the queue" in problem["detail"]
    assert caller.get(f"/v1/jobs/{ended}").json()["state"] == "succeeded"
    answer = caller.post(f"/v1/jobs/{live}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    problem_of(caller.post(f"/v1/jobs/{other.submit(SUM, {'n': 1})['id']}/retry"), "not-found", 404)
    assert caller.post(f"/v1/jobs/{live}/cancel").status_code == 200
    assert caller.post(f"/v1/jobs/{ended}/retry").status_code == 200


def test_a_body_over_the_keys_limit_is_refused(limited):
    caller, = add_keys(limited, Caller(limited, body_bytes=100))  # fmt: skip
    for path in (f"/v1/tasks/{SUM}", "/v1/jobs", "/v1/blobs"):
        problem = problem_of(caller.post(path, data=b"x" * 101), "too-large", 413)
        assert "100 bytes" in problem["detail"] and "key" in problem["detail"]
    assert caller.post("/v1/blobs", data=b"x" * 100).status_code == 201
    assert caller.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200


def test_a_limit_of_one_reads_as_one(limited):
    few = {"requests_per_minute": 1, "body_bytes": 1}
    asking, storing = add_keys(limited, Caller(limited, **few), Caller(limited, "single", queued_jobs=1))

    def detail(answer, name):
        return problem_of(answer, name, 413 if name == "too-large" else 429)["detail"]

    body = detail(asking.post("/v1/blobs", data=b"xx"), "too-large")
    assert body == "The body has 2 bytes; the limit of this key is 1 byte."
    rate = detail(asking.get("/v1/tasks"), "rate-limited")
    assert re.fullmatch(r"The limit of this key is 1 request a minute; the next one passes in \d+ s\.", rate)
    jobs = [{"task": SUM, "params": {"n": 1}, "delay_seconds": 3600}]
    limit = "The limit of this key is 1 job in the queue"
    several = storing.post("/v1/jobs", json={"jobs": jobs * 2})
    assert detail(several, "rate-limited") == f"{limit}; the request alone would add 2."
    assert storing.post("/v1/jobs", json={"jobs": jobs}).status_code == 202
    full = storing.post("/v1/jobs", json={"jobs": jobs})
    assert detail(full, "rate-limited") == f"{limit}, and its tenant has as many there."
