# SPDX-License-Identifier: BSD-2-Clause
"""Jobs over HTTP: a request that is stored, shown, listed, cancelled, tried again."""

import base64
import json
import os
import re
import signal
import subprocess
import time
import uuid

import pictures
import pytest
import requests
import stack as stack_module
from stack import field_errors_of, problem_of, wait_until

SUM = "demo.sum_squares"
TRANSFORM = "/v1/tasks/image.transform"
INSPECT = "image.inspect"
PICTURE = pictures.png(60, 50, pictures.gradient)
ASYNC = {"Prefer": "respond-async"}
LATER = {**ASYNC, "Gangsaw-Job": "delay=3600"}  # nobody claims it meanwhile
UNKNOWN_IDS = ["0123456789" + "1", "1", "x", "0" * 200, "ffffffffff99999999999999999", "%00", "ä"]


def row_of(stack, job, columns):
    """Columns of a job's row, live or finished."""
    key = f"gangsaw.key_of('job', '{job['id']}')"
    live = stack.sql(f"SELECT {columns} FROM gangsaw.job WHERE id = {key}")
    return (live or stack.sql(f"SELECT {columns} FROM gangsaw.job_done WHERE id = {key}"))[0]


def params_of(stack, job):
    return json.loads(row_of(stack, job, "params")[0])


def later(stack, n=1, options="", **kwargs):
    """A job that waits for its time."""
    return stack.submit(SUM, {"n": n}, headers={"Gangsaw-Job": f"delay=3600{options}"}, **kwargs)


def upload(stack, content=PICTURE, media_type="image/png"):
    answer = stack.post("/v1/blobs", data=content, headers={"Content-Type": media_type})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


# ---- storing


def test_a_job_is_acknowledged_with_its_address(stack):
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 10}, headers=ASYNC)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == answer.headers["Operation-Location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Idempotent-Replayed" not in answer.headers
    assert job["task"] == SUM
    assert job["state"] in ("queued", "running", "succeeded")
    columns = "task, tenant, lane, params, request_id, max_attempts"
    row = row_of(stack, job, columns)
    assert row == [SUM, "", "cpu/demo", '{"n":10}', answer.headers["X-Request-Id"], "5"]


def test_a_job_shows_all_that_is_known_of_it(stack):
    job = stack.wait_for_job(stack.submit(SUM, {"n": 1000})["id"])
    assert job["state"] == "succeeded"
    assert (job["attempt"], job["max_attempts"], job["priority"], job["error"]) == (1, 5, 0, None)
    assert job["tags"] == []
    assert "run_at" not in job
    moments = [job[each] for each in ("created_at", "started_at", "finished_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", each) for each in moments)
    assert moments == sorted(moments)
    assert job["wait_ms"] >= 0 and job["run_ms"] >= 0
    assert [(each["attempt"], each["error"]) for each in job["attempts"]] == [(1, None)]
    path = f"/v1/jobs/{job['id']}"
    assert job["links"] == {"self": path, "result": f"{path}/result", "events": f"{path}/events", "retry": f"{path}/retry"}


def test_a_scheduled_job_tells_its_time(stack):
    job = later(stack)
    assert job["state"] == "scheduled"
    assert (job["attempt"], job["started_at"], job["finished_at"]) == (0, None, None)
    assert (job["progress"], job["wait_ms"], job["run_ms"], job["attempts"]) == (None, None, None, [])
    assert job["run_at"] > job["created_at"]
    assert job["links"]["cancel"] == f"/v1/jobs/{job['id']}/cancel"
    assert "retry" not in job["links"]


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async", "handling=lenient, respond-async", "respond-async;x=y"])
def test_the_preference_is_read_as_the_rfc_writes_it(stack, prefer):
    assert stack.submit(SUM, {"n": 1}, prefer=prefer)["task"] == SUM


@pytest.mark.parametrize("prefer", ["", "wait=10", "respond-async=5", "return=minimal", "respond-asynchronously"])
def test_without_the_preference_the_task_runs_now(stack, prefer):
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert answer.json()["result"] == {"sum": "0"}


def test_bad_parameters_are_told_at_once_and_nothing_is_stored(stack):
    before = stack.sql("SELECT last_value FROM gangsaw.job_id")
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": "x", "m": 1}, headers=ASYNC)
    assert set(field_errors_of(answer)) == {"/n", "/m"}
    problem_of(stack.post("/v1/tasks/no.such_task", json={}, headers=ASYNC), "not-found", 404)
    problem_of(stack.post(f"/v1/tasks/{SUM}", data=b"{", headers={**ASYNC, "Content-Type": "application/json"}),
               "invalid-request", 400)  # fmt: skip
    problem_of(stack.post(TRANSFORM, data=b"x", headers={**ASYNC, "Content-Type": "text/plain"}),
               "unsupported-media-type", 415)  # fmt: skip
    problem_of(stack.post(TRANSFORM, data=PICTURE, headers={**ASYNC, "Content-Type": "image/png", "Accept": "text/css"}),
               "not-acceptable", 406)  # fmt: skip
    assert stack.sql("SELECT last_value FROM gangsaw.job_id") == before


def test_the_bytes_of_a_body_become_a_file_of_the_job(stack):
    headers = {**LATER, "Content-Type": "image/png"}
    job = stack.post(TRANSFORM + "?width=20", data=PICTURE, headers=headers).json()
    params = params_of(stack, job)
    assert set(params["image"]) == {"blob", "media_type"}
    assert (params["width"], params["image"]["media_type"]) == (20, "image/png")
    assert stack.get(f"/v1/blobs/{params['image']['blob']}").content == PICTURE
    held = stack.sql(f"SELECT count(*) FROM gangsaw.job_blob WHERE job = gangsaw.key_of('job', '{job['id']}')")
    assert held == [["1"]]


def test_the_parts_of_a_form_become_files_of_the_job(stack):
    files = {"width": (None, "20"), "image": ("cat 1.png", PICTURE, "image/png")}
    job = stack.post(TRANSFORM, files=files, headers=LATER).json()
    image = params_of(stack, job)["image"]
    assert (image["media_type"], image["file_name"]) == ("image/png", "cat 1.png")
    assert stack.get(f"/v1/blobs/{image['blob']}").content == PICTURE


def test_accept_settles_the_format_before_the_job_is_stored(stack):
    headers = {**LATER, "Content-Type": "image/png", "Accept": "image/webp"}
    job = stack.post(TRANSFORM, data=PICTURE, headers=headers).json()
    assert params_of(stack, job)["format"] == "webp"
    headers["Accept"] = "text/css"
    problem_of(stack.post(TRANSFORM, data=PICTURE, headers=headers), "not-acceptable", 406)


@pytest.mark.parametrize("kind", ["raw", "form", "base64", "blob"])
def test_a_job_gives_what_the_run_would_have_given(stack, kind):
    image = {"base64": {"base64": base64.b64encode(PICTURE).decode()}, "blob": {"blob": upload(stack)}}
    request = {
        "raw": {"params": {"width": 20}, "data": PICTURE, "headers": {"Content-Type": "image/png"}},
        "form": {"files": {"width": (None, "20"), "image": ("a.png", PICTURE, "image/png")}, "headers": {}},
    }.get(kind) or {"json": {"width": 20, "image": image[kind]}, "headers": {}}
    now = stack.post(TRANSFORM, **request)
    assert now.status_code == 200, now.text
    request["headers"] = {**request["headers"], **ASYNC}
    job = stack.wait_for_job(stack.post(TRANSFORM, **request).json()["id"])
    assert job["state"] == "succeeded", job["error"]
    result = stack.get(job["links"]["result"])
    assert (result.content, result.headers["Content-Type"]) == (now.content, now.headers["Content-Type"])
    assert stack.get(job["links"]["outputs"]["image"]).content == now.content


def test_gangsaw_timeout_is_the_timeout_of_the_job(stack):
    headers = {"Gangsaw-Timeout": "2.5", **LATER}
    job = stack.submit(SUM, {"n": 1}, headers=headers)
    assert float(row_of(stack, job, "timeout_seconds")[0]) == 2.5
    headers["Gangsaw-Job"] = "delay=3600, timeout=7"
    job = stack.submit(SUM, {"n": 1}, headers=headers)
    assert float(row_of(stack, job, "timeout_seconds")[0]) == 7
    headers["Gangsaw-Timeout"] = "x"
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=headers)
    problem_of(answer, "invalid-request", 400)


LONG = "faults.sleep"


@pytest.fixture(scope="module")
def job_only_stack():
    """Its task faults.sleep takes too long for a request."""
    new = stack_module.Stack(faults=True)
    path = new.var / "test-tasks" / f"{LONG}.json"
    descriptor = {**json.loads(path.read_text()), "mode": "job"}
    path.unlink()
    path.write_text(json.dumps(descriptor))
    with new as running:
        yield running


def test_a_task_of_mode_job_becomes_a_job_by_itself(job_only_stack):
    answer = job_only_stack.post(f"/v1/tasks/{LONG}", json={"seconds": 0})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    assert "Preference-Applied" not in answer.headers
    assert job_only_stack.wait_for_job(answer.json()["id"])["state"] == "succeeded"
    query = job_only_stack.post(f"/v1/tasks/{LONG}?seconds=0.25", headers={"Gangsaw-Job": "delay=3600"})
    assert query.status_code == 202, query.text
    assert params_of(job_only_stack, query.json()) == {"seconds": 0.25}
    assert set(field_errors_of(job_only_stack.post(f"/v1/tasks/{LONG}", json={"seconds": "x"}))) == {"/seconds"}


def test_a_task_of_mode_job_can_be_waited_for(job_only_stack):
    headers = {"Prefer": "wait=60"}
    answer = job_only_stack.post(f"/v1/tasks/{LONG}", json={"seconds": 0}, headers=headers, timeout=90)
    assert answer.status_code == 200, answer.text
    assert answer.json()["task"] == LONG
    assert answer.headers["Location"].startswith("/v1/jobs/")


# ---- files that requests name


@pytest.mark.parametrize("headers", [{}, ASYNC])
@pytest.mark.parametrize("id", ["", "1", "0123456789" + "1", "x" * 300, "../1"])
def test_a_file_that_does_not_exist_is_named(stack, headers, id):
    answer = stack.post(TRANSFORM, json={"image": {"blob": id}}, headers=headers)
    assert list(field_errors_of(answer)) == ["/image/blob"]


@pytest.mark.parametrize("headers", [{}, ASYNC])
def test_a_file_that_has_expired_is_named(stack, headers):
    id = upload(stack)
    stack.sql(f"UPDATE gangsaw.blob SET expires_at = now() - interval '1 s' WHERE id = gangsaw.key_of('blob', '{id}')")
    answer = stack.post(TRANSFORM, json={"image": {"blob": id}}, headers=headers)
    assert list(field_errors_of(answer)) == ["/image/blob"]


@pytest.mark.parametrize("headers", [{}, ASYNC])
def test_a_file_has_to_suit_the_input(stack, headers):
    text = upload(stack, b"words", "text/plain")
    answer = stack.post(TRANSFORM, json={"image": {"blob": text}}, headers=headers)
    problem_of(answer, "unsupported-media-type", 415)
    named = {"image": {"blob": text, "media_type": "image/png"}}
    answer = stack.post(TRANSFORM, json=named, headers=headers)
    assert answer.status_code == 202 if headers else problem_of(answer, "invalid-input", 422)


def test_the_id_of_a_job_is_no_file(stack):
    job = later(stack)
    answer = stack.post(TRANSFORM, json={"image": {"blob": job["id"]}}, headers=ASYNC)
    assert list(field_errors_of(answer)) == ["/image/blob"]


# ---- showing


@pytest.mark.parametrize("id", UNKNOWN_IDS)
@pytest.mark.parametrize("method, below", [("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")])  # fmt: skip
def test_what_is_no_id_is_not_found(stack, id, method, below):
    if "%00" in id:
        assert stack.request(method, f"/v1/jobs/{id}{below}").status_code in (400, 404)
    else:
        problem_of(stack.request(method, f"/v1/jobs/{id}{below}"), "not-found", 404)


def test_an_id_cannot_be_guessed_from_another(stack):
    id = later(stack)["id"]
    for other in (id[:10] + str(int(id[10:]) + 1), id[:-1], id + "0", id.upper() + "x", "0" + id):
        problem_of(stack.get(f"/v1/jobs/{other}"), "not-found", 404)


@pytest.mark.parametrize("method, below", [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")])
def test_a_job_that_was_pruned_is_gone(stack, method, below):
    job = stack.wait_for_job(stack.submit(SUM, {"n": 1})["id"])
    stack.sql(f"DELETE FROM gangsaw.job_done WHERE id = gangsaw.key_of('job', '{job['id']}')")
    problem_of(stack.request(method, f"/v1/jobs/{job['id']}{below}"), "gone", 410)


def test_an_answer_about_a_job_is_not_kept_by_caches(stack):
    job = later(stack)
    assert stack.get(f"/v1/jobs/{job['id']}").headers["Cache-Control"] == "no-store"
    assert stack.get("/v1/jobs").headers["Cache-Control"] == "no-store"


def test_the_log_names_the_job(stack):
    job = later(stack)
    answer = stack.get(f"/v1/jobs/{job['id']}")
    line = stack.log_line("api", answer)
    assert (line["job"], line["task"], line["route"]) == (job["id"], SUM, "/v1/jobs/{job}")


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=", "wait=x", "wait=1.5", "wait=99999999999999999999", "wait=1&wait=1"])
def test_a_wait_is_of_0_to_60_seconds(stack, query):
    job = later(stack)
    assert list(field_errors_of(stack.get(f"/v1/jobs/{job['id']}?{query}"))) == ["/wait"]


@pytest.mark.parametrize("method, below", [("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")])
def test_queries_that_a_path_does_not_know_are_refused(stack, method, below):
    job = later(stack)
    answer = stack.request(method, f"/v1/jobs/{job['id']}{below}?other=1")
    assert list(field_errors_of(answer)) == ["/other"]
    assert stack.job(job["id"])["state"] == "scheduled"


def test_a_wait_ends_with_the_job(stack):
    job = stack.submit(SUM, {"n": 50_000_000})
    answer = stack.get(f"/v1/jobs/{job['id']}?wait=60", timeout=90)
    assert answer.status_code == 200
    assert answer.json()["state"] == "succeeded"


def test_a_wait_that_is_over_gives_the_job_as_it_is(stack):
    job = later(stack)
    for wait in (0, 1):
        answer = stack.get(f"/v1/jobs/{job['id']}?wait={wait}")
        assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")


def test_waiting_for_a_job_answers_as_if_it_had_run_now(stack):
    now = stack.post(TRANSFORM + "?width=20", data=PICTURE, headers={"Content-Type": "image/png"})
    headers = {"Prefer": "respond-async, wait=60", "Content-Type": "image/png"}
    answer = stack.post(TRANSFORM + "?width=20", data=PICTURE, headers=headers, timeout=90)
    assert answer.status_code == 200, answer.text
    assert answer.content == now.content
    assert answer.headers["Content-Type"] == now.headers["Content-Type"]
    job = stack.get(answer.headers["Location"]).json()
    assert job["state"] == "succeeded"


def test_who_waited_in_vain_gets_the_job(stack):
    headers = {"Prefer": "respond-async, wait=1", "Gangsaw-Job": "delay=3600"}
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=headers)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"


def test_events_are_a_stream_behind_the_job(stack):
    job = later(stack)
    with stack.get(f"/v1/jobs/{job['id']}/events", stream=True) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["/internal/runs/1", "/internal/wait?job=1", "/internal/events?job=1"])
def test_internal_paths_are_for_nginx_alone(stack, path):
    problem_of(stack.get(path), "not-found", 404)


# ---- the list


@pytest.fixture
def tag():
    """One that no other test uses."""
    return uuid.uuid4().hex


def ids_of(answer):
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_the_list_is_newest_first_and_comes_in_pages(stack, tag):
    stored = [later(stack, options=f', tags=("{tag}")')["id"] for _ in range(5)]
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}")) == stored[::-1]
    seen, path = [], f"/v1/jobs?tag={tag}&limit=2"
    pages = 0
    while path:
        answer = stack.get(path)
        seen += ids_of(answer)
        pages += 1
        following = answer.links.get("next", {}).get("url")
        assert (following is None) == (answer.json()["next_cursor"] is None)
        assert following is None or following.endswith(f"cursor={answer.json()['next_cursor']}")
        path = following
    assert (seen, pages) == (stored[::-1], 3)


def test_the_last_full_page_has_no_successor(stack, tag):
    for _ in range(2):
        later(stack, options=f', tags=("{tag}")')
    answer = stack.get(f"/v1/jobs?tag={tag}&limit=2")
    assert len(ids_of(answer)) == 2
    assert answer.json()["next_cursor"] is None
    assert "Link" not in answer.headers


def test_the_list_can_be_filtered(stack, tag):
    waiting = later(stack, options=f', tags=("{tag}" "b")')
    canceled = later(stack, options=f', tags=("a" "{tag}")')
    assert stack.post(f"/v1/jobs/{canceled['id']}/cancel").status_code == 200
    options = {"Gangsaw-Job": f'delay=3600, tags=("{tag}")'}
    image = {"image": {"blob": upload(stack)}}
    inspect = stack.submit(INSPECT, image, headers=options)
    everything = [inspect["id"], canceled["id"], waiting["id"]]
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}")) == everything
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}&state=canceled")) == [canceled["id"]]
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}&state=scheduled")) == [inspect["id"], waiting["id"]]
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}&state=running")) == []
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}&task={INSPECT}")) == [inspect["id"]]
    assert ids_of(stack.get(f"/v1/jobs?tag={tag}&task=no.such_task")) == []


def test_a_filter_survives_in_the_link_to_the_next_page(stack):
    name = "a&b=c ä " + uuid.uuid4().hex
    item = {"task": SUM, "params": {"n": 1}, "delay_seconds": 3600, "tags": [name]}
    assert stack.post("/v1/jobs", json={"jobs": [item] * 2}).status_code == 202
    first = stack.get("/v1/jobs", params={"tag": name, "limit": 1, "state": "scheduled", "task": SUM})
    second = stack.get(first.links["next"]["url"])
    assert len(set(ids_of(first) + ids_of(second))) == 2
    assert "next" not in second.links


@pytest.mark.parametrize(
    "query, places",
    [
        ("state=done", ["/state"]),
        ("state=", ["/state"]),
        ("limit=0", ["/limit"]),
        ("limit=1001", ["/limit"]),
        ("limit=x", ["/limit"]),
        ("limit=", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=99999999999999999999", ["/limit"]),
        ("limit=0&state=x", ["/state", "/limit"]),
        ("other=1&limit=5", ["/other"]),
        ("tag=a&tag=b", ["/tag"]),
        ("State=queued", ["/State"]),
    ],
)
def test_what_a_list_cannot_be_asked_for_is_named(stack, query, places):
    assert list(field_errors_of(stack.get(f"/v1/jobs?{query}"))) == places


def test_a_limit_may_be_a_thousand(stack):
    assert stack.get("/v1/jobs?limit=1000").status_code == 200


def test_a_cursor_that_was_tampered_with_is_refused(stack, tag):
    ids = [later(stack, options=f', tags=("{tag}")')["id"] for _ in range(2)]
    cursor = stack.get(f"/v1/jobs?tag={tag}&limit=1").json()["next_cursor"]
    assert stack.get(f"/v1/jobs?tag={tag}&cursor={cursor}").status_code == 200
    flipped = ("1" if cursor[0] == "0" else "0") + cursor[1:]
    for wrong in (flipped, cursor + "0", cursor[:-1], "", "x", "9" * 100, *ids):
        problem_of(stack.get(f"/v1/jobs?tag={tag}&cursor={wrong}"), "invalid-request", 400)


def test_a_query_that_is_not_well_formed_is_refused(stack):
    problem_of(stack.get("/v1/jobs?tag=%ff"), "invalid-request", 400)
    answer = stack.raw(b"GET /v1/jobs?tag=%zz HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert b" 400 " in answer.splitlines()[0]


# ---- changing


def test_a_job_can_be_cancelled_and_cancelled_again(stack):
    job = later(stack)
    for _ in range(2):
        answer = stack.post(f"/v1/jobs/{job['id']}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    canceled = stack.job(job["id"])
    assert canceled["finished_at"] and canceled["started_at"] is None
    assert canceled["links"]["retry"]
    problem_of(stack.get(canceled["links"]["result"]), "conflict", 409)


def test_a_running_job_can_be_cancelled(stack):
    job = stack.submit(SUM, {"n": 10_000_000_000_000})
    stack.wait_for_job(job["id"], "running")
    answer = stack.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert stack.job(job["id"])["state"] == "canceled"


def test_a_finished_job_stays_as_it_is_when_it_is_cancelled(stack):
    job = stack.wait_for_job(stack.submit(SUM, {"n": 10})["id"])
    answer = stack.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json()) == (200, job)


def test_a_finished_job_can_be_tried_again_under_its_id(stack):
    job = stack.wait_for_job(stack.submit(SUM, {"n": 10})["id"])
    answer = stack.post(f"/v1/jobs/{job['id']}/retry")
    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["created_at"]) == (job["id"], job["created_at"])
    again = stack.wait_for_job(job["id"])
    assert again["state"] == "succeeded"
    assert again["started_at"] > job["finished_at"]


def test_a_live_job_stays_as_it_is_when_it_is_retried(stack):
    job = later(stack)
    answer = stack.post(f"/v1/jobs/{job['id']}/retry")
    assert (answer.status_code, answer.json()) == (200, job)


def test_a_canceled_job_can_be_put_back(stack):
    job = later(stack)
    stack.post(f"/v1/jobs/{job['id']}/cancel")
    assert stack.post(f"/v1/jobs/{job['id']}/retry").json()["state"] in ("queued", "running", "succeeded")
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"


def test_a_retry_gives_way_to_the_live_job_of_its_unique_key(stack, tag):
    first = later(stack, options=f', unique="{tag}"')
    stack.post(f"/v1/jobs/{first['id']}/cancel")
    later(stack, options=f', unique="{tag}"')
    problem_of(stack.post(f"/v1/jobs/{first['id']}/retry"), "conflict", 409)
    assert stack.job(first["id"])["state"] == "canceled"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(stack, method):
    job = later(stack)
    for path in (f"/v1/jobs/{job['id']}", "/v1/jobs", f"/v1/jobs/{job['id']}/cancel"):
        answer = stack.request(method, path)
        problem_of(answer, "method-not-allowed", 405)
        assert answer.headers["Allow"]


# ---- where a part is missing


def cgi(path, tmp_path, method="GET", body=b"", **variables):
    """One request of plain CGI, on a server without a database."""
    (tmp_path / "empty.conf").write_text("")
    env = {k: v for k, v in os.environ.items() if not k.startswith("GANGSAW_")}
    env.update(GANGSAW_CONFIG=str(tmp_path / "empty.conf"), GANGSAW_SERVER_USER="nobody", REQUEST_METHOD=method,
               GANGSAW_SERVER_TASKS_DIR=str(stack_module.ROOT / "fcgi-app" / "tasks" / "demo"),
               GANGSAW_SERVER_LIBEXEC_DIR=str(stack_module.BUILD),
               GANGSAW_SERVER_MODULES_DIR=str(stack_module.BUILD / "modules" / ".libs"),
               PATH_INFO=path, CONTENT_LENGTH=str(len(body)), **variables)  # fmt: skip
    done = subprocess.run([stack_module.BUILD / "gangsaw", "cgi"], env=env, check=True, timeout=30,
                          input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    return head.decode(), json.loads(content)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs/1"),
        ("POST", "/v1/jobs/1/cancel"),
        ("POST", f"/v1/tasks/{SUM}"),
    ],
)
def test_a_server_without_a_database_says_that_it_keeps_no_jobs(tmp_path, method, path):
    head, problem = cgi(path, tmp_path, method, b'{"n":1}' if method == "POST" else b"",
                        CONTENT_TYPE="application/json", HTTP_PREFER="respond-async")  # fmt: skip
    assert head.startswith("Status: 503")
    assert problem["type"] == "/problems/unavailable"
    assert "keeps no jobs" in problem["detail"]


def test_readiness_names_what_is_missing_and_liveness_never_fails(start_stack):
    stack = start_stack()
    assert stack.get("/readyz").status_code == 200
    os.kill(stack.pid("runner"), signal.SIGSTOP)
    stack.sql("UPDATE gangsaw.runner SET expires_at = now()")
    assert "runner" in wait_until(lambda: not_ready(stack), what="not ready without a runner")
    os.kill(stack.pid("runner"), signal.SIGCONT)
    stack.kill_database()
    wait_until(lambda: "database" in (not_ready(stack) or ""), what="not ready without a database")
    for _ in range(20):
        assert stack.get("/livez").status_code == 200
    assert stack.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=ASYNC)
    problem = problem_of(answer, "unavailable", 503)
    assert answer.headers["Retry-After"] == "1"
    assert "sql" not in problem["detail"].lower() and "/" not in problem["detail"]
    stack.start()
    wait_until(lambda: stack.get("/readyz").status_code == 200, 30, "ready again")
    assert stack.wait_for_job(stack.submit(SUM, {"n": 1})["id"])["state"] == "succeeded"


def not_ready(stack):
    answer = stack.get("/readyz")
    return problem_of(answer, "unavailable", 503)["detail"] if answer.status_code != 200 else None


def test_a_database_that_hangs_never_holds_up_liveness(start_stack):
    stack = start_stack()
    assert stack.get("/readyz").status_code == 200
    master = stack.pid("postgres")
    everyone = [master, *stack_module.descendants(master)]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    try:
        probes = [stack_module.Later(lambda: requests.get(stack.url + "/readyz", timeout=60)) for _ in range(8)]
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert requests.get(stack.url + "/livez", timeout=1).status_code == 200
        assert {each.result().status_code for each in probes} <= {200, 503}
    finally:
        for pid in everyone:
            os.kill(pid, signal.SIGCONT)


def test_a_compute_worker_lets_an_idle_connection_go(start_stack):
    stack = start_stack()
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gangsaw compute'"
    assert stack.sql(open_ones) == [["0"]]
    answer = stack.post(TRANSFORM, json={"image": {"blob": upload(stack)}})
    assert answer.status_code == 200, answer.text
    assert stack.sql(open_ones) == [["1"]]
    wait_until(lambda: stack.sql(open_ones) == [["0"]], 40, "the idle connection is closed")
