# SPDX-License-Identifier: BSD-2-Clause
"""The header field Gangsaw-Job, and that options reach the job's row."""

import datetime
import uuid

import pictures
import pytest
from stack import problem_of, wait_until

SUM = "demo.sum_squares"
URL = f"/v1/tasks/{SUM}"


def post(stack, options, **headers):
    return stack.post(URL, json={"n": 1}, headers={"Prefer": "respond-async", "Gangsaw-Job": options, **headers})


def row_of(stack, id, columns):
    return stack.sql(f"SELECT {columns} FROM gangsaw.job WHERE id = gangsaw.key_of('job', '{id}')")[0]


def moment(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)).isoformat()


def test_every_option_reaches_the_row(stack):
    key = uuid.uuid4().hex
    options = f'priority=5, delay=60, unique="{key}", max-attempts=3, timeout=600, tags=("a" "b c")'
    answer = post(stack, options)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    columns = "priority, max_attempts, timeout_seconds, unique_key, array_to_string(tags, '|'), state"
    row = row_of(stack, job["id"], columns)
    assert row == ["5", "3", "600", key, "a|b c", "scheduled"]
    assert (job["priority"], job["max_attempts"], job["tags"]) == (5, 3, ["a", "b c"])
    waits = row_of(stack, job["id"], "extract(epoch FROM ready_at - created_at)")
    assert abs(float(waits[0]) - 60) < 1


def test_nothing_said_means_the_defaults(stack):
    job = post(stack, "delay=3600").json()
    columns = "priority, max_attempts, timeout_seconds, unique_key, tags"
    assert row_of(stack, job["id"], columns) == ["0", "5", None, None, None]


def test_a_time_is_kept_to_the_microsecond(stack):
    when = moment(hours=5)
    job = post(stack, f'run-at="{when}"').json()
    assert job["state"] == "scheduled"
    assert datetime.datetime.fromisoformat(job["run_at"].replace("Z", "+00:00")) == datetime.datetime.fromisoformat(when)


def test_a_time_that_has_just_passed_is_now(stack):
    job = post(stack, f'run-at="{moment(seconds=-30)}"').json()
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"


def test_a_time_that_comes_soon_is_waited_for(stack):
    job = post(stack, "delay=0.7").json()
    assert job["state"] == "scheduled"
    done = stack.wait_for_job(job["id"])
    assert done["started_at"] >= job["run_at"]


@pytest.mark.parametrize(
    "options, words",
    [
        ("priority=101", ["priority", "-100 to 100"]),
        ("priority=-101", ["priority", "-100 to 100"]),
        ("priority=1.5", ["priority"]),
        ('priority="5"', ["priority"]),
        ("max-attempts=0", ["max-attempts", "1 to 100"]),
        ("max-attempts=101", ["max-attempts", "1 to 100"]),
        ("delay=-1", ["delay", "0 to 31622400"]),
        ("delay=31622401", ["delay", "0 to 31622400"]),
        ("timeout=0", ["timeout", "0.001"]),
        ("timeout=3601", ["timeout", "jobs.max_timeout_seconds = 3600"]),
        ('unique=""', ["unique", "1 to 255"]),
        (f'unique="{"x" * 256}"', ["unique", "1 to 255"]),
        ("unique=x", ["unique"]),
        ('tags="a"', ["tags"]),
        (f'tags=("{"x" * 65}")', ["tags", "64"]),
        (f"tags=({' '.join(['a'] * 21)})", ["tags", "20"]),
        ('run-at="2001-01-01T00:00:00Z"', ["run-at", "past"]),
        ('run-at="2999-01-01T00:00:00Z"', ["run-at", "366 days"]),
        ('run-at="2030-02-30T00:00:00Z"', ["run-at", "RFC 3339"]),
        ("colour=red", ["colour", "max-attempts"]),
        ("max_attempts=3", ["max_attempts", "max-attempts"]),
        ("priority=5,", ["Gangsaw-Job"]),
        ("priority=", ["Gangsaw-Job"]),
        ("PRIORITY=5", ["Gangsaw-Job"]),
        ("tags=(", ["Gangsaw-Job"]),
    ],
)
def test_what_is_wrong_is_named_with_its_range(stack, options, words):
    problem = problem_of(post(stack, options), "invalid-request", 400)
    for word in words:
        assert word in problem["detail"]


def test_a_time_and_a_delay_exclude_each_other(stack):
    problem = problem_of(post(stack, f'delay=5, run-at="{moment(hours=1)}"'), "invalid-request", 400)
    assert "run-at" in problem["detail"] and "delay" in problem["detail"]


def test_options_are_checked_before_the_body_and_ignored_by_a_run_now(stack):
    headers = {"Prefer": "respond-async", "Gangsaw-Job": "priority=101"}
    problem_of(stack.post(URL, json={"n": "x"}, headers=headers), "invalid-request", 400)
    answer = stack.post(URL, json={"n": 1}, headers={"Gangsaw-Job": "priority=101"})
    assert answer.status_code == 200


def test_a_unique_key_gives_the_live_job_that_has_it(stack):
    key = uuid.uuid4().hex
    first = post(stack, f'delay=3600, unique="{key}"').json()
    second = post(stack, f'delay=60, unique="{key}", priority=7').json()
    assert second == first
    count = f"SELECT count(*) FROM gangsaw.job WHERE unique_key = '{key}'"
    assert stack.sql(count) == [["1"]]
    assert stack.post(f"/v1/jobs/{first['id']}/cancel").status_code == 200
    third = post(stack, f'delay=3600, unique="{key}"').json()
    assert third["id"] != first["id"]
    assert stack.sql(count) == [["1"]]


def test_a_unique_key_belongs_to_one_task(stack):
    key = uuid.uuid4().hex
    first = post(stack, f'delay=3600, unique="{key}"').json()
    headers = {"Prefer": "respond-async", "Gangsaw-Job": f'delay=3600, unique="{key}"', "Content-Type": "image/png"}
    other = stack.post("/v1/tasks/image.inspect", data=pictures.png(3, 3), headers=headers).json()
    assert other["id"] != first["id"]


def test_higher_priorities_come_first(start_stack):
    """One slot, held by a long run; behind it the urgent job passes the others."""
    stack = start_stack(jobs_slots=1)
    long = stack.submit(SUM, {"n": 10_000_000_000_000})
    begun = datetime.datetime.fromisoformat(stack.wait_for_job(long["id"], "running")["started_at"])
    known_to_be_long = begun + datetime.timedelta(seconds=0.2)  # nothing is sent ahead behind such runs
    wait_until(lambda: datetime.datetime.now(datetime.timezone.utc) > known_to_be_long)
    options = ["priority=-5", "", "priority=5", "priority=100"]
    ids = [post(stack, each).json()["id"] for each in options]
    assert stack.post(f"/v1/jobs/{long['id']}/cancel").status_code == 200
    done = [stack.wait_for_job(id) for id in ids]
    started = [job["started_at"] for job in done]
    assert started == sorted(started, reverse=True)
