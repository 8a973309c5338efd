# SPDX-License-Identifier: BSD-2-Clause
"""Idempotency-Key: a request whose answer was lost can be sent again, and stores nothing twice."""

import uuid

import pictures
import pytest
import requests
from stack import Later, field_errors_of, problem_of, wait_until

SUM = "demo.sum_squares"
URL = f"/v1/tasks/{SUM}"
TRANSFORM = "/v1/tasks/image.transform"
PICTURE = pictures.png(60, 50, pictures.gradient)
DELAY = {"Gangsaw-Job": "delay=3600"}


@pytest.fixture
def key():
    return uuid.uuid4().hex


def post(stack, key, path=URL, body=None, headers=DELAY, **kwargs):
    if not kwargs:
        kwargs = {"json": body or {"n": 1}}
    return stack.post(path, headers={"Prefer": "respond-async", "Idempotency-Key": key, **headers}, **kwargs)


def count(stack, table):
    return int(stack.sql(f"SELECT count(*) FROM gangsaw.{table}")[0][0])


def last_job(stack):
    return stack.sql("SELECT max(id) FROM gangsaw.job")


def test_the_same_request_gives_the_same_job(stack, key):
    first = post(stack, key)
    assert first.status_code == 202
    assert "Idempotent-Replayed" not in first.headers
    before = last_job(stack)
    for _ in range(3):
        again = post(stack, key)
        assert again.status_code == 202
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.headers["Location"] == first.headers["Location"]
        assert again.json() == first.json()
    assert last_job(stack) == before


def test_the_job_is_shown_as_it_is_now(stack, key):
    first = post(stack, key, headers={})
    stack.wait_for_job(first.json()["id"])
    again = post(stack, key, headers={})
    assert (again.status_code, again.json()["state"]) == (202, "succeeded")


@pytest.mark.parametrize(
    "change",
    [
        {"body": {"n": 2}},
        {"headers": {"Gangsaw-Job": "delay=3601"}},
        {"headers": {}},
        {"data": '{"n": 1} ', "headers": {**DELAY, "Content-Type": "application/json"}},
        {"data": '{"n": 1}', "headers": {**DELAY, "Content-Type": "application/json; charset=utf-8"}},
        {"path": URL + "?n=1", "data": b""},
    ],
)
def test_another_request_with_the_key_is_refused(stack, key, change):
    assert post(stack, key).status_code == 202
    before = last_job(stack)
    problem = problem_of(post(stack, key, **change), "invalid-params", 422)
    assert "Idempotency-Key" in problem["detail"]
    assert last_job(stack) == before


@pytest.mark.parametrize("seconds", ["5", "7.5"])
def test_another_timeout_is_another_request(stack, key, seconds):
    headers = {**DELAY, "Gangsaw-Timeout": "5"}
    first = post(stack, key, headers=headers)
    again = post(stack, key, headers={**DELAY, "Gangsaw-Timeout": seconds})
    if seconds == "5":
        assert again.json()["id"] == first.json()["id"]
    else:
        problem_of(again, "invalid-params", 422)


def test_another_format_by_accept_is_another_request(stack, key):
    def send(accept):
        headers = {**DELAY, "Content-Type": "image/png", "Accept": accept}
        return post(stack, key, path=TRANSFORM, data=PICTURE, headers=headers)

    first = send("image/webp").json()["id"]
    assert send("image/webp;q=0.9, text/html;q=0.1").json()["id"] == first
    problem_of(send("image/jpeg"), "invalid-params", 422)


def form(boundary, width="20", name="a.png", content=PICTURE, media_type="image/png"):
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="width"\r\n\r\n{width}\r\n'
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
    head += f"Content-Type: {media_type}\r\n\r\n"
    return {"data": head.encode() + content + f"\r\n--{boundary}--\r\n".encode(),
            "headers": {**DELAY, "Content-Type": f"multipart/form-data; boundary={boundary}"}}  # fmt: skip


def test_a_form_sent_again_may_have_another_boundary(stack, key):
    first = post(stack, key, path=TRANSFORM, **form("one"))
    assert first.status_code == 202, first.text
    again = post(stack, key, path=TRANSFORM, **form("another"))
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    for change in ({"width": "21"}, {"name": "b.png"}, {"content": PICTURE + b"x"}, {"media_type": "image/jpeg"}):
        answer = post(stack, key, path=TRANSFORM, **form("another", **change))
        assert "Idempotency-Key" in problem_of(answer, "invalid-params", 422)["detail"]


def test_a_replay_that_waits_says_that_it_is_one(stack, key):
    wait = {"Prefer": "respond-async, wait=30"}
    first = post(stack, key, headers=wait)
    again = post(stack, key, headers=wait)
    assert (first.status_code, again.status_code) == (200, 200)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.headers["Location"], again.content) == (first.headers["Location"], first.content)
    wait = {"Prefer": "respond-async, wait=1", **DELAY}
    answers = [post(stack, key + "2", headers=wait) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert [each.headers.get("Idempotent-Replayed") for each in answers] == [None, "true"]


def test_a_request_that_failed_leaves_the_key_free(stack, key):
    assert list(field_errors_of(post(stack, key, body={"n": "x"}))) == ["/n"]
    answer = post(stack, key)
    assert answer.status_code == 202
    assert "Idempotent-Replayed" not in answer.headers


def test_a_key_holds_for_its_route_alone(stack, key):
    first = post(stack, key).json()
    batch = {"jobs": [{"task": SUM, "params": {"n": 1}, "delay_seconds": 3600}]}
    other = post(stack, key, path="/v1/jobs", body=batch)
    assert other.status_code == 202
    assert other.json()["jobs"][0]["id"] != first["id"]


def test_a_batch_is_given_again_as_a_whole(stack, key):
    items = [{"task": SUM, "params": {"n": n}, "delay_seconds": 3600} for n in range(20)]
    first = post(stack, key, path="/v1/jobs", body={"jobs": items})
    before = last_job(stack)
    again = post(stack, key, path="/v1/jobs", body={"jobs": items})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert last_job(stack) == before
    problem_of(post(stack, key, path="/v1/jobs", body={"jobs": items[:19]}), "invalid-params", 422)


def test_a_replayed_body_leaves_no_file_behind(stack, key):
    kind = {"data": PICTURE, "headers": {**DELAY, "Content-Type": "image/png"}}
    first = post(stack, key, path=TRANSFORM + "?width=20", **kind)
    assert first.status_code == 202, first.text
    before = count(stack, "blob")
    again = post(stack, key, path=TRANSFORM + "?width=20", **kind)
    assert again.json()["id"] == first.json()["id"]
    assert count(stack, "blob") == before
    kind["data"] = PICTURE + b"x"
    problem_of(post(stack, key, path=TRANSFORM + "?width=20", **kind), "invalid-params", 422)
    assert count(stack, "blob") == before


def test_a_replay_outlives_the_file_that_it_named(stack, key):
    blob = stack.post("/v1/blobs", data=PICTURE, headers={"Content-Type": "image/png"}).json()["id"]
    body = {"image": {"blob": blob}}
    first = post(stack, key, path=TRANSFORM, body=body)
    stack.sql(f"UPDATE gangsaw.blob SET expires_at = now() WHERE id = gangsaw.key_of('blob', '{blob}')")
    assert post(stack, key, path=TRANSFORM, body=body).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("wrong", ["", "x" * 256, "x" * 300, "a b", "tab\tbed", "\u00e4"])
def test_a_key_is_of_1_to_255_visible_characters(stack, wrong):
    headers = {"Prefer": "respond-async", "Idempotency-Key": wrong.encode()}
    answer = stack.post(URL, json={"n": 1}, headers=headers)
    if wrong == "":  # nginx passes no field on that is empty
        assert answer.status_code in (202, 400)
        return
    problem = problem_of(answer, "invalid-request", 400)
    assert "255" in problem["detail"]


def test_the_longest_key_is_taken(stack):
    key = (uuid.uuid4().hex + '"~!').ljust(255, "x")
    assert post(stack, key).status_code == 202
    assert post(stack, key).headers["Idempotent-Replayed"] == "true"


def test_a_run_now_ignores_the_key(stack, key):
    for n in (1, 2):
        answer = stack.post(URL, json={"n": n}, headers={"Idempotency-Key": key})
        assert answer.status_code == 200


def test_of_many_at_once_one_is_stored(stack, key):
    before = int(last_job(stack)[0][0] or 0)
    headers = {"Prefer": "respond-async", "Idempotency-Key": key, **DELAY}
    requested = [Later(lambda: requests.post(stack.url + URL, json={"n": 7}, headers=headers, timeout=60)) for _ in range(20)]
    answers = [each.result() for each in requested]
    stored = [each for each in answers if each.status_code == 202]
    assert stored
    assert len({each.json()["id"] for each in stored}) == 1
    assert sum("Idempotent-Replayed" not in each.headers for each in stored) == 1
    for each in answers:
        if each.status_code != 202:
            problem_of(each, "conflict", 409)
    found = stack.sql(
        f"SELECT count(*) FROM gangsaw.job WHERE id > {before} AND params::text = '{{\"n\":7}}' AND state = 'scheduled'"
    )
    assert found == [["1"]]


def test_while_one_is_under_way_another_is_told(stack, key):
    """The lock that a request holds in the middle of its transaction is taken by hand."""
    name = f"concat_ws(E'\\n', 'gangsaw idempotency', '', 'POST {URL}', '{key}')"
    lock = f"SELECT pg_advisory_lock(hashtextextended({name}, 0)); SELECT pg_sleep(3)"
    taken = (
        f"SELECT count(*) FROM pg_locks l, hashtextextended({name}, 0) AS h WHERE l.locktype = 'advisory' "
        "AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = h"
    )
    holder = Later(lambda: stack.sql(lock))
    wait_until(lambda: stack.sql(taken) == [["1"]], what="the lock")
    problem_of(post(stack, key), "conflict", 409)
    holder.result()
    assert post(stack, key).status_code == 202
