# SPDX-License-Identifier: BSD-2-Clause
"""POST /v1/jobs: many jobs in one request, stored as a whole or not at all."""

import base64
import datetime
import json
import uuid

import pictures
import pytest
from stack import field_errors_of, problem_of

SUM = "demo.sum_squares"
PICTURE = pictures.png(30, 20, pictures.gradient)


def item(n=1, **options):
    return {"task": SUM, "params": {"n": n}, **options}


def moment(**delta):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)).isoformat()


def post(stack, *items, **kwargs):
    return stack.post("/v1/jobs", json={"jobs": list(items)}, **kwargs)


def stored(stack, tag):
    """How many jobs have the tag."""
    tables = "(SELECT tags FROM gangsaw.job UNION ALL SELECT tags FROM gangsaw.job_done) j"
    return int(stack.sql(f"SELECT count(*) FROM {tables} WHERE tags @> ARRAY['{tag}']")[0][0])


@pytest.fixture
def tag():
    return uuid.uuid4().hex


def test_a_batch_is_answered_in_its_order(stack, tag):
    answer = post(stack, *[item(n, priority=n, tags=[tag], delay_seconds=3600) for n in range(50)])
    assert answer.status_code == 202, answer.text
    jobs = answer.json()["jobs"]
    assert [job["priority"] for job in jobs] == list(range(50))
    assert len({job["id"] for job in jobs}) == 50
    rows = stack.sql(
        "SELECT gangsaw.public_id('job', id), params ->> 'n' FROM gangsaw.job "
        f"WHERE tags @> ARRAY['{tag}'] ORDER BY id"
    )
    assert rows == [[job["id"], str(n)] for n, job in enumerate(jobs)]
    assert jobs[7] == stack.job(jobs[7]["id"])


def test_jobs_of_a_batch_are_computed(stack):
    jobs = post(stack, *[item(n) for n in (0, 3, 10)]).json()["jobs"]
    sums = []
    for job in jobs:
        done = stack.wait_for_job(job["id"])
        sums.append(stack.get(done["links"]["result"]).json()["result"]["sum"])
    assert sums == ["0", "5", "285"]


def test_every_option_reaches_its_row(stack, tag):
    when = moment(hours=2)
    answer = post(stack, item(run_at=when, max_attempts=2, timeout_seconds=1.5, unique_key=tag, tags=[tag, "ü"]), item())
    job = answer.json()["jobs"][0]
    columns = "priority, max_attempts, timeout_seconds, unique_key, array_to_string(tags, '|'), state"
    row = stack.sql(f"SELECT {columns} FROM gangsaw.job WHERE id = gangsaw.key_of('job', '{job['id']}')")[0]
    assert row == ["0", "2", "1.5", tag, f"{tag}|ü", "scheduled"]
    assert datetime.datetime.fromisoformat(job["run_at"].replace("Z", "+00:00")) == datetime.datetime.fromisoformat(when)


def test_params_may_be_left_out_where_the_task_needs_none(stack):
    assert list(field_errors_of(post(stack, {"task": SUM}))) == ["/jobs/0/params/n"]


def test_inputs_come_as_base64_and_as_files(stack, tag):
    blob = stack.post("/v1/blobs", data=PICTURE, headers={"Content-Type": "image/png"}).json()["id"]
    images = [{"blob": blob}, {"base64": base64.b64encode(PICTURE).decode()}, {"blob": blob}]
    items = [{"task": "image.inspect", "params": {"image": each}, "tags": [tag]} for each in images]
    jobs = post(stack, *items).json()["jobs"]
    results = [stack.get(stack.wait_for_job(job["id"])["links"]["result"]).json()["result"] for job in jobs]
    assert results[0] == results[1] == results[2]
    assert (results[0]["width"], results[0]["height"]) == (30, 20)


@pytest.mark.parametrize(
    "wrong, places",
    [
        ({"params": {"n": 1}}, ["/task"]),
        ({"task": 5}, ["/task"]),
        ({"task": "no.such_task"}, ["/task"]),
        ({"task": SUM, "params": 5}, ["/params"]),
        ({"task": SUM, "params": []}, ["/params"]),
        ({"task": SUM, "params": None}, ["/params"]),
        (item("x"), ["/params/n"]),
        ({"task": SUM, "params": {"n": 1, "m": 2}}, ["/params/m"]),
        (item(colour="red"), ["/colour"]),
        (item(**{"a/b~c": 1}), ["/a~1b~0c"]),
        (item(tenant="x"), ["/tenant"]),
        (item(priority=101), ["/priority"]),
        (item(priority=-101), ["/priority"]),
        (item(priority=1.5), ["/priority"]),
        (item(priority="5"), ["/priority"]),
        (item(priority=None), ["/priority"]),
        (item(run_at="2001-01-01T00:00:00Z"), ["/run_at"]),
        (item(run_at="2999-01-01T00:00:00Z"), ["/run_at"]),
        (item(run_at=1700000000), ["/run_at"]),
        (item(run_at="tomorrow"), ["/run_at"]),
        (item(delay_seconds=-1), ["/delay_seconds"]),
        (item(delay_seconds=31622401), ["/delay_seconds"]),
        (item(max_attempts=0), ["/max_attempts"]),
        (item(max_attempts=101), ["/max_attempts"]),
        (item(timeout_seconds=0), ["/timeout_seconds"]),
        (item(timeout_seconds=1e-60), ["/timeout_seconds"]),
        (item(timeout_seconds=3601), ["/timeout_seconds"]),
        (item(unique_key=""), ["/unique_key"]),
        (item(unique_key="x" * 256), ["/unique_key"]),
        (item(unique_key=7), ["/unique_key"]),
        (item(tags="a"), ["/tags"]),
        (item(tags=[1]), ["/tags"]),
        (item(tags=[""]), ["/tags"]),
        (item(tags=["x" * 65]), ["/tags"]),
        (item(tags=["x"] * 21), ["/tags"]),
        ({"task": "image.inspect", "params": {}}, ["/params/image"]),
        ({"task": "image.inspect", "params": {"image": {"blob": "1"}}}, ["/params/image/blob"]),
        ({"task": "image.inspect", "params": {"image": {"base64": "?"}}}, ["/params/image/base64"]),
        ("x", [""]),
        (None, [""]),
        ([], [""]),
    ],
)
def test_one_wrong_job_is_named_and_none_is_stored(stack, tag, wrong, places):
    answer = post(stack, item(tags=[tag]), wrong, item(tags=[tag]))
    assert list(field_errors_of(answer)) == [f"/jobs/1{place}" for place in places]
    assert stored(stack, tag) == 0


def test_a_time_and_a_delay_exclude_each_other(stack, tag):
    answer = post(stack, item(tags=[tag], run_at=moment(hours=1), delay_seconds=5))
    assert list(field_errors_of(answer)) == ["/jobs/0/delay_seconds"]
    assert stored(stack, tag) == 0


def test_all_mistakes_are_said_at_once(stack, tag):
    wrong = {"task": SUM, "params": {"n": "x", "m": 1}, "priority": 1000, "other": 1}
    answer = post(stack, wrong, item(tags=[tag]), {"task": "no.such_task"}, item(tags=5))
    assert set(field_errors_of(answer)) == {
        "/jobs/0/params/n", "/jobs/0/params/m", "/jobs/0/priority", "/jobs/0/other",
        "/jobs/2/task", "/jobs/3/tags",
    }  # fmt: skip
    assert stored(stack, tag) == 0


def test_the_list_of_mistakes_has_an_end(stack):
    answer = post(stack, *[item("x")] * 1000)
    assert len(field_errors_of(answer)) == 100


@pytest.mark.parametrize(
    "body, places",
    [
        ([], [""]),
        (5, [""]),
        (None, [""]),
        ({}, ["/jobs"]),
        ({"jobs": []}, ["/jobs"]),
        ({"jobs": {}}, ["/jobs"]),
        ({"jobs": None}, ["/jobs"]),
        ({"jobs": [item()], "other": 1}, ["/other"]),
        ({"job": [item()]}, ["/jobs", "/job"]),
    ],
)
def test_the_body_is_one_object_of_jobs(stack, body, places):
    answer = stack.post("/v1/jobs", data=json.dumps(body), headers={"Content-Type": "application/json"})
    assert list(field_errors_of(answer)) == places


def test_what_is_no_json_is_refused(stack):
    headers = {"Content-Type": "application/json"}
    problem_of(stack.post("/v1/jobs", data=b'{"jobs": [', headers=headers), "invalid-request", 400)
    problem_of(stack.post("/v1/jobs", data=b"", headers=headers), "invalid-request", 400)
    body = b'{"jobs": [{"task": "demo.sum_squares", "task": "demo.sum_squares"}]}'
    problem_of(stack.post("/v1/jobs", data=body, headers=headers), "invalid-request", 400)
    for media_type in ("text/plain", "multipart/form-data; boundary=x", ""):
        answer = stack.post("/v1/jobs", data=b"{}", headers={"Content-Type": media_type})
        problem_of(answer, "unsupported-media-type", 415)
    answer = post(stack, item(), params={"priority": 5})
    assert list(field_errors_of(answer)) == ["/priority"]


def test_ten_thousand_jobs_are_taken_and_one_more_is_not(stack, tag):
    many = [item(delay_seconds=3600, tags=[tag])] * 10_000
    problem = problem_of(post(stack, *many, many[0]), "too-large", 413)
    assert "10001" in problem["detail"] and "10000" in problem["detail"]
    assert stored(stack, tag) == 0
    answer = post(stack, *many)
    assert answer.status_code == 202, answer.text[:1000]
    assert len({job["id"] for job in answer.json()["jobs"]}) == 10_000
    assert stored(stack, tag) == 10_000
    stack.sql(f"DELETE FROM gangsaw.job WHERE tags @> ARRAY['{tag}']")


def test_the_heaviest_batches_are_stored_two_at_once(start_stack):
    """As many jobs as there may be, each with as many tags, on a host with little time for each."""
    own = start_stack()
    tags = [f"{n:02d}".ljust(64, "x") for n in range(20)]
    body = json.dumps({"jobs": [item(delay_seconds=3600, tags=tags)] * 10_000})
    headers = {"Content-Type": "application/json"}
    answers = [each.result(120) for each in [own.later("/v1/jobs", data=body, headers=headers) for _ in range(2)]]
    assert [each.status_code for each in answers] == [202, 202], [each.text[:500] for each in answers]
    assert own.sql("SELECT count(*) FROM gangsaw.job") == [["20000"]]
    assert own.sql("SELECT count(*) FROM gangsaw.job_tag") == [["400000"]]


def test_a_large_batch_that_fails_late_leaves_nothing(start_stack):
    """It is stored in slices, but as a whole or not at all."""
    own = start_stack()
    own.sql("ALTER TABLE gangsaw.job ADD CONSTRAINT test CHECK (priority <> 77)")
    items = [item(delay_seconds=3600)] * 4999
    answer = post(own, *items, item(delay_seconds=3600, priority=77))
    problem_of(answer, "internal", 500)
    assert own.sql("SELECT count(*) FROM gangsaw.job") == [["0"]]
    answer = post(own, *items)
    assert answer.status_code == 202
    assert len({job["id"] for job in answer.json()["jobs"]}) == 4999


def test_a_large_batch_of_unique_keys_keeps_their_order(stack, tag):
    keys = [f"{tag} {n * 7919 % 2500} \u00e4" for n in range(2500)]
    items = [item(delay_seconds=3600, tags=[tag], unique_key=key, priority=n % 3) for n, key in enumerate(keys)]
    first = post(stack, *items, *items[:10])
    assert first.status_code == 202, first.text[:1000]
    jobs = first.json()["jobs"]
    assert [job["priority"] for job in jobs] == [each["priority"] for each in items + items[:10]]
    assert [job["id"] for job in jobs[2500:]] == [job["id"] for job in jobs[:10]]
    assert stored(stack, tag) == 2500
    again = post(stack, *reversed(items))
    assert [job["id"] for job in again.json()["jobs"]] == [job["id"] for job in reversed(jobs[:2500])]
    assert stored(stack, tag) == 2500
    stack.sql(f"DELETE FROM gangsaw.job WHERE tags @> ARRAY['{tag}']")


def test_a_body_over_the_limit_is_too_large(stack):
    problem = problem_of(post(stack, {"task": "x" * (17 << 20)}), "too-large", 413)
    assert "http.max_json_bytes" in problem["detail"]


def test_what_does_not_suit_an_input_names_its_job(stack, tag):
    blob = stack.post("/v1/blobs", data=b"words", headers={"Content-Type": "text/plain"}).json()["id"]
    wrong = {"task": "image.inspect", "params": {"image": {"blob": blob}}}
    problem = problem_of(post(stack, item(tags=[tag]), wrong), "unsupported-media-type", 415)
    assert "/jobs/1" in problem["detail"]
    wrong["params"]["image"] = {"base64": "AAAA", "media_type": "text/plain"}
    problem = problem_of(post(stack, item(tags=[tag]), wrong), "unsupported-media-type", 415)
    assert "/jobs/1" in problem["detail"]
    assert stored(stack, tag) == 0


def test_a_unique_key_within_a_batch_is_one_job(stack, tag):
    items = [item(unique_key=tag, delay_seconds=3600, tags=[tag])] * 3 + [item(delay_seconds=3600, tags=[tag])]
    jobs = post(stack, *items).json()["jobs"]
    assert jobs[0]["id"] == jobs[1]["id"] == jobs[2]["id"] != jobs[3]["id"]
    assert stored(stack, tag) == 2
    again = post(stack, item(unique_key=tag)).json()["jobs"]
    assert again[0]["id"] == jobs[0]["id"]
