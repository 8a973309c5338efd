# SPDX-License-Identifier: BSD-2-Clause
"""What a job gave: the same answer as if it had been computed on the spot, for as long as it is kept."""

import base64
import hashlib
import json

import pictures
import pytest
from stack import field_errors_of, problem_of

TRANSFORM = "/v1/tasks/image.transform"
SUM = "/v1/tasks/demo.sum_squares"
PICTURE = pictures.png(64, 48, pictures.gradient)
GARBAGE = b"\x89PNG\r\n\x1a\nnothing of the kind"
LATER = {"Gangsaw-Job": "delay=3600"}
# What a synchronous answer and a job's may differ in.
OWN = {"Date", "X-Request-Id", "Server-Timing", "Connection", "Location", "Server", "Cache-Control", "Vary", "ETag", "Accept-Ranges"}


def transform(stack, data=PICTURE, accept=None, prefer=None, headers=None, **params):
    headers = {"Content-Type": "image/png", "Accept": accept, "Prefer": prefer, **(headers or {})}
    return stack.post(TRANSFORM, params={"width": 20, **params}, data=data, headers=headers)


def submit(stack, **kwargs):
    answer = transform(stack, prefer="respond-async", **kwargs)
    assert answer.status_code == 202, answer.text[:2000]
    return answer.json()["id"]


def result_path(id):
    return f"/v1/jobs/{id}/result"


def output_path(id, name="image"):
    return f"/v1/jobs/{id}/outputs/{name}"


@pytest.fixture(scope="module")
def job(stack):
    """A picture's job that has succeeded."""
    id = submit(stack, format="webp")
    assert stack.wait_for_job(id)["state"] == "succeeded"
    return id


@pytest.fixture(scope="module")
def scheduled(stack):
    """One that does not run for an hour."""
    id = submit(stack, headers=LATER)
    yield id
    assert stack.post(f"/v1/jobs/{id}/cancel").status_code == 200


def own_fields(answer):
    return {name: value for name, value in answer.headers.items() if name not in OWN}


# ---- as the synchronous answer


@pytest.mark.parametrize("accept", [None, "*/*", "image/webp", "application/json", "image/*;q=0.1, application/json;q=0.5"])
def test_a_result_is_the_synchronous_answer(stack, job, accept):
    now = transform(stack, accept=accept, format="webp")
    later = stack.get(result_path(job), headers={"Accept": accept})
    assert (now.status_code, later.status_code) == (200, 200)
    assert later.content == now.content
    assert own_fields(later) == own_fields(now)


@pytest.mark.parametrize("accept", [None, "application/json"])
def test_a_result_without_outputs_is_json(stack, accept):
    job = stack.submit("demo.sum_squares", {"n": 3})
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"
    answer = stack.get(result_path(job["id"]), headers={"Accept": accept})
    assert answer.json() == {"task": "demo.sum_squares", "result": {"sum": "5"}}
    assert answer.content == stack.post(SUM, json={"n": 3}).content
    problem_of(stack.get(output_path(job["id"])), "not-found", 404)
    problem_of(stack.get(result_path(job["id"]), headers={"Accept": "image/png"}), "not-acceptable", 406)


def test_a_result_in_json_carries_its_outputs(stack, job):
    answer = stack.get(result_path(job), headers={"Accept": "application/json"}).json()
    (output,) = answer["outputs"]
    data = base64.b64decode(output["base64"], validate=True)
    assert data == stack.get(output_path(job)).content
    assert output["sha256"] == hashlib.sha256(data).hexdigest()
    assert (output["name"], output["media_type"], output["size"]) == ("image", "image/webp", len(data))


@pytest.mark.parametrize("accept", ["image/png", "text/html", "image/webp;q=0, image/*", "*/*;q=0"])
def test_what_is_not_acceptable_is_refused_with_what_there_is(stack, job, accept):
    answer = stack.get(result_path(job), headers={"Accept": accept})
    detail = problem_of(answer, "not-acceptable", 406)["detail"]
    assert "image/webp" in detail and "application/json" in detail
    problem_of(stack.get(result_path(job), headers={"Accept": "image"}), "invalid-request", 400)


def test_a_failed_job_gives_the_problem_of_the_synchronous_answer(stack):
    id = submit(stack, data=GARBAGE)
    assert stack.wait_for_job(id)["state"] == "failed"
    now = problem_of(transform(stack, data=GARBAGE), "invalid-input", 422)
    for path in (result_path(id), output_path(id)):
        later = problem_of(stack.get(path), "invalid-input", 422)
        assert {**later, "request_id": 0} == {**now, "request_id": 0}


def test_base64_has_a_limit_and_the_bytes_have_none(start_stack):
    own = start_stack(http_max_base64_bytes=1024)
    noise = pictures.png(64, 64, lambda x, y: hashlib.sha256(bytes((x, y))).digest()[:3])
    id = submit(own, data=noise, width=64)
    assert own.wait_for_job(id)["state"] == "succeeded"
    answer = own.get(result_path(id), headers={"Accept": "application/json"})
    assert "http.max_base64_bytes = 1024" in problem_of(answer, "too-large", 413)["detail"]
    assert len(own.get(result_path(id)).content) > 1024
    assert own.request("HEAD", result_path(id), headers={"Accept": "application/json"}).status_code == 413


# ---- waiting for the answer


def test_who_waits_gets_exactly_the_synchronous_answer(stack):
    for accept in (None, "application/json"):
        now = transform(stack, accept=accept, format="webp")
        later = transform(stack, accept=accept, format="webp", prefer="respond-async, wait=30",
                          headers={"Range": "bytes=0-3", "If-None-Match": "*"})  # fmt: skip
        assert later.status_code == 200 and later.content == now.content
        assert own_fields(later) == own_fields(now)
        id = later.headers["Location"].removeprefix("/v1/jobs/")
        assert stack.job(id)["state"] == "succeeded"
        assert "run;dur=0.000" not in later.headers["Server-Timing"]


def test_who_waits_for_a_failure_gets_its_problem(stack):
    answer = transform(stack, data=GARBAGE, prefer="respond-async, wait=30")
    problem_of(answer, "invalid-input", 422)
    assert stack.get(answer.headers["Location"]).json()["state"] == "failed"


def test_who_waits_too_short_gets_the_job(stack):
    answer = transform(stack, prefer="respond-async, wait=1", headers=LATER)
    assert answer.status_code == 202
    job = answer.json()
    assert job["state"] == "scheduled"
    assert answer.headers["Location"] == answer.headers["Operation-Location"] == f"/v1/jobs/{job['id']}"
    assert stack.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_what_nginx_asks_itself_nobody_else_can_ask(stack, job):
    problem_of(stack.get(f"/internal/runs/{job}"), "not-found", 404)


# ---- not there


def test_an_unfinished_job_is_a_conflict_that_names_its_state(stack, scheduled):
    for path in (result_path(scheduled), output_path(scheduled)):
        assert "scheduled" in problem_of(stack.get(path), "conflict", 409)["detail"]
        assert stack.request("HEAD", path).status_code == 409


def test_a_canceled_job_is_a_conflict_too(stack):
    id = submit(stack, headers=LATER)
    assert stack.post(f"/v1/jobs/{id}/cancel").status_code == 200
    for path in (result_path(id), output_path(id)):
        assert "canceled" in problem_of(stack.get(path), "conflict", 409)["detail"]


@pytest.mark.parametrize("name", ["x", "image.2", "IMAGE", "image%20", "imag", "..%2fimage", "image%00"])
def test_an_output_that_does_not_exist_is_not_found_and_those_there_are_listed(stack, job, name):
    answer = stack.get(output_path(job, name))
    assert answer.status_code in (400, 404)
    if name in ("x", "image.2", "IMAGE", "imag"):
        assert "it has image." in problem_of(answer, "not-found", 404)["detail"]


def test_an_id_that_was_not_issued_is_not_found(stack, job):
    flipped = ("0" if job[0] != "0" else "1") + job[1:]
    blob = stack.post("/v1/blobs", data=b"x").json()["id"]
    for id in (flipped, job + "0", "1", "x", blob):
        problem_of(stack.get(result_path(id)), "not-found", 404)
        problem_of(stack.get(output_path(id)), "not-found", 404)


def test_results_and_outputs_take_no_query(stack, job):
    for path in (result_path(job), output_path(job)):
        assert list(field_errors_of(stack.get(f"{path}?wait=5"))) == ["/wait"]


def test_a_job_from_sql_names_every_mistake_in_its_parameters(stack):
    """They are found by the runner, and told as a synchronous answer tells them."""
    body = {"n": "x", "m": 1}
    now = field_errors_of(stack.post(SUM, json=body))
    assert set(now) == {"/n", "/m"}
    id = stack.sql(f"SELECT gangsaw.enqueue('demo.sum_squares', params => '{json.dumps(body)}')")[0][0]
    job = stack.wait_for_job(id)
    assert job["state"] == "failed"
    for error in (job["error"], job["attempts"][-1]["error"]):
        assert {each["pointer"]: each["detail"] for each in error["errors"]} == now
    assert field_errors_of(stack.get(result_path(id))) == now


def test_a_pruned_job_is_gone(stack):
    id = submit(stack)
    assert stack.wait_for_job(id)["state"] == "succeeded"
    stack.sql(f"DELETE FROM gangsaw.job_done WHERE id = gangsaw.key_of('job', '{id}')")
    problem_of(stack.get(result_path(id)), "gone", 410)
    problem_of(stack.get(output_path(id)), "gone", 410)


def test_an_output_whose_time_is_over_is_gone(stack):
    id = submit(stack)
    assert stack.wait_for_job(id)["state"] == "succeeded"
    stack.sql("UPDATE gangsaw.blob b SET expires_at = now() - interval '1 second' FROM gangsaw.job_done d "
              f"WHERE d.id = gangsaw.key_of('job', '{id}') AND b.id = (d.outputs -> 0 ->> 'blob')::bigint")  # fmt: skip
    for path in (result_path(id), output_path(id)):
        problem_of(stack.get(path), "gone", 410)
        assert stack.request("HEAD", path).status_code == 410


# ---- parts, and what an answer says about itself


def test_results_and_outputs_come_in_parts(stack, job):
    for path in (result_path(job), output_path(job)):
        whole = stack.get(path)
        size = len(whole.content)
        part = stack.get(path, headers={"Range": "bytes=4-9"})
        assert (part.status_code, part.content) == (206, whole.content[4:10])
        assert part.headers["Content-Range"] == f"bytes 4-9/{size}"
        assert part.headers["ETag"] == whole.headers["ETag"] == f'"{hashlib.sha256(whole.content).hexdigest()}"'
        assert stack.get(path, headers={"Range": "bytes=-3"}).content == whole.content[-3:]
        outside = stack.get(path, headers={"Range": f"bytes={size}-"})
        problem_of(outside, "range-not-satisfiable", 416)
        assert outside.headers["Content-Range"] == f"bytes */{size}"
        for tag, status in ((whole.headers["ETag"], 206), ('"x"', 200)):
            answer = stack.get(path, headers={"Range": "bytes=0-0", "If-Range": tag})
            assert answer.status_code == status


def test_a_copy_has_to_be_asked_about_because_a_retry_may_change_it(stack, job):
    for path in (result_path(job), output_path(job)):
        answer = stack.get(path)
        assert answer.headers["Cache-Control"] == "private, no-cache"
        again = stack.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert stack.get(result_path(job)).headers["Vary"] == "Accept"


def test_head_gives_the_header_of_get(stack, job):
    for path, accept in ((result_path(job), None), (result_path(job), "application/json"), (output_path(job), None)):
        get = stack.get(path, headers={"Accept": accept})
        head = stack.request("HEAD", path, headers={"Accept": accept})
        assert (head.status_code, head.content) == (200, b"")
        assert own_fields(head) == own_fields(get)
        assert head.headers["Content-Length"] == str(len(get.content))


def test_an_output_has_a_file_name_and_is_what_it_says(stack, job):
    answer = stack.get(output_path(job), headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Content-Disposition"] == 'inline; filename="image.webp"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert pictures.look(answer.content) == ("webp", 20, 15)


def test_bytes_carry_the_result_in_a_header_field(stack, job):
    result = json.loads(stack.get(result_path(job)).headers["Gangsaw-Result"])
    assert result == {"format": "webp", "width": 20, "height": 15}


def test_a_blob_serves_many_jobs(stack):
    blob = stack.post("/v1/blobs", data=PICTURE, headers={"Content-Type": "image/png"}).json()["id"]
    jobs = [stack.submit("image.transform", {"width": width, "format": "png", "image": {"blob": blob}})["id"] for width in (8, 16)]
    for id, size in zip(jobs, ((8, 6), (16, 12))):
        assert stack.wait_for_job(id)["state"] == "succeeded"
        assert pictures.look(stack.get(result_path(id)).content) == ("png", *size)
