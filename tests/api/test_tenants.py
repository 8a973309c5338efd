# SPDX-License-Identifier: BSD-2-Clause
"""What belongs to one tenant does not exist for another."""

import pytest
import requests
from keys import SUM, Caller, add_keys
from pictures import png
from stack import field_errors_of, problem_of, wait_until

import stack as stack_module

LATER = {"Gangsaw-Job": "delay=3600"}
PICTURE = b"\x89PNG\r\n\x1a\n no picture"


@pytest.fixture(scope="module")
def tenants():
    """A server, and two callers: ours and theirs."""
    with stack_module.Stack(compute_slots=1) as running:
        ours, theirs = add_keys(running, Caller(running, "ours"), Caller(running, "theirs"))
        yield running, ours, theirs


@pytest.fixture(scope="module")
def done(tenants):
    """A job of ours that has ended."""
    _, ours, _ = tenants
    return ours.wait_for_job(ours.submit(SUM, {"n": 3})["id"])["id"]


GETS = ["", "?wait=1", "/result", "/outputs/out", "/events"]


@pytest.mark.parametrize("rest", GETS)
def test_a_job_of_another_tenant_is_none(tenants, done, rest):
    stack, ours, theirs = tenants
    answer = theirs.get(f"/v1/jobs/{done}{rest}")
    unknown = theirs.get(f"/v1/jobs/0123456789{done[10:]}{rest}")
    problem = problem_of(answer, "not-found", 404)
    assert problem["detail"] == problem_of(unknown, "not-found", 404)["detail"]
    assert ours.get(f"/v1/jobs/{done}").status_code == 200


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_nobody_changes_a_job_of_another_tenant(tenants, done, action):
    stack, ours, theirs = tenants
    waiting = ours.submit(SUM, {"n": 1}, headers=LATER)["id"]
    for id in (done, waiting):
        problem_of(theirs.post(f"/v1/jobs/{id}/{action}"), "not-found", 404)
    assert ours.get(f"/v1/jobs/{done}").json()["state"] == "succeeded"
    assert ours.get(f"/v1/jobs/{waiting}").json()["state"] == "scheduled"
    assert ours.post(f"/v1/jobs/{waiting}/cancel").json()["state"] == "canceled"


def test_what_was_removed_is_gone_for_its_tenant_and_was_never_there_for_another(tenants):
    stack, ours, theirs = tenants
    id = ours.wait_for_job(ours.submit(SUM, {"n": 1})["id"])["id"]
    blob = ours.upload(b"bytes")
    stack.sql(f"DELETE FROM gangsaw.job_done WHERE id = gangsaw.key_of('job', '{id}', 'ours');"
              f"UPDATE gangsaw.blob SET expires_at = now() WHERE id = gangsaw.key_of('blob', '{blob}', 'ours')")  # fmt: skip
    for path in (f"/v1/jobs/{id}", f"/v1/jobs/{id}/result", f"/v1/blobs/{blob}"):
        problem_of(ours.get(path), "gone", 410)
        problem_of(theirs.get(path), "not-found", 404)


def test_a_row_says_whose_it_is_even_to_who_has_the_right_id(tenants, done):
    """The id is one proof, the row the other."""
    stack, ours, theirs = tenants
    id = stack.sql(f"SELECT gangsaw.public_id('job', gangsaw.key_of('job', '{done}', 'ours'), 'theirs')")[0][0]
    assert theirs.get(f"/v1/jobs/{id}").status_code == 410
    assert theirs.post(f"/v1/jobs/{id}/retry").status_code == 410
    assert theirs.post(f"/v1/jobs/{id}/cancel").status_code == 410
    blob = ours.upload(b"bytes")
    id = stack.sql(f"SELECT gangsaw.public_id('blob', gangsaw.key_of('blob', '{blob}', 'ours'), 'theirs')")[0][0]
    assert theirs.get(f"/v1/blobs/{id}").status_code == 410


def ids_of(answer):
    assert answer.status_code == 200, answer.text
    return {job["id"] for job in answer.json()["jobs"]}


def test_lists_have_the_tenants_own_jobs_alone(tenants):
    stack, ours, theirs = tenants
    headers = {"Gangsaw-Job": 'delay=3600, tags=("shared")'}
    our_ids = {ours.submit(SUM, {"n": 1}, headers=headers)["id"] for _ in range(3)}
    their_ids = {theirs.submit(SUM, {"n": 1}, headers=headers)["id"] for _ in range(2)}
    for query in ("", "?state=scheduled", "?tag=shared", f"?task={SUM}&tag=shared", f"?task={SUM}&state=scheduled"):
        our_list, their_list = ids_of(ours.get(f"/v1/jobs{query}")), ids_of(theirs.get(f"/v1/jobs{query}"))
        assert our_ids <= our_list and not our_list & their_list and their_ids <= their_list, query
    cursor = ours.get("/v1/jobs?tag=shared&limit=1").json()["next_cursor"]
    assert len(ids_of(ours.get(f"/v1/jobs?tag=shared&cursor={cursor}"))) == 2
    assert theirs.get(f"/v1/jobs?tag=shared&cursor={cursor}").status_code == 400


def test_a_file_of_another_tenant_is_none(tenants):
    stack, ours, theirs = tenants
    blob = ours.upload(PICTURE)
    assert ours.get(f"/v1/blobs/{blob}").content == PICTURE
    problem_of(theirs.get(f"/v1/blobs/{blob}"), "not-found", 404)
    params = {"image": {"blob": blob}}
    unknown = {"image": {"blob": "0123456789" + blob[10:]}}
    for prefer in ({}, {"Prefer": "respond-async"}):
        refused = theirs.post("/v1/tasks/image.inspect", json=params, headers=prefer)
        assert field_errors_of(refused) == field_errors_of(
            theirs.post("/v1/tasks/image.inspect", json=unknown, headers=prefer)
        )
    answer = theirs.post("/v1/jobs", json={"jobs": [{"task": "image.inspect", "params": params}]})
    assert list(field_errors_of(answer)) == ["/jobs/0/params/image/blob"]


def test_outputs_of_a_job_belong_to_its_tenant(tenants):
    stack, ours, theirs = tenants
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
    answer = ours.post("/v1/tasks/image.transform?width=20", data=png(40, 40), headers=headers)
    assert answer.status_code == 202, answer.text
    job = ours.wait_for_job(answer.json()["id"])
    path = next(iter(job["links"]["outputs"].values()))
    assert ours.get(path).status_code == 200
    problem_of(theirs.get(path), "not-found", 404)
    rows = stack.sql("SELECT DISTINCT tenant FROM gangsaw.blob WHERE media_type = 'image/png'")
    assert rows == [["ours"]]


def test_unique_keys_and_idempotency_keys_of_two_tenants_do_not_meet(tenants):
    stack, ours, theirs = tenants
    unique = {"Gangsaw-Job": 'delay=3600, unique="one"'}
    our_job, their_job = (each.submit(SUM, {"n": 1}, headers=unique)["id"] for each in (ours, theirs))
    assert our_job != their_job
    assert ours.submit(SUM, {"n": 1}, headers=unique)["id"] == our_job
    assert theirs.submit(SUM, {"n": 1}, headers=unique)["id"] == their_job
    same = {"Idempotency-Key": "k1", **LATER}
    our_job = ours.submit(SUM, {"n": 1}, headers=same)["id"]
    their_job = theirs.submit(SUM, {"n": 2}, headers=same)["id"]
    assert our_job != their_job
    assert ours.submit(SUM, {"n": 1}, headers=same)["id"] == our_job


def test_a_job_enqueued_by_sql_belongs_to_the_tenant_that_was_named(tenants):
    stack, ours, theirs = tenants
    id = stack.sql(f"SELECT gangsaw.enqueue('{SUM}', '{{\"n\": 2}}', tenant => 'ours')")[0][0]
    assert ours.wait_for_job(id)["id"] == id
    problem_of(theirs.get(f"/v1/jobs/{id}"), "not-found", 404)
    # A file of theirs is no input of ours, whoever asks.
    stack_module.skip_without_module("image.inspect")
    blob = theirs.upload(PICTURE)
    params = f'{{"image": {{"blob": "{blob}"}}}}'
    id = stack.sql(f"SELECT gangsaw.enqueue('image.inspect', '{params}', tenant => 'ours')")[0][0]
    assert ours.wait_for_job(id, "failed")["error"]["type"] == "/problems/invalid-params"


def test_who_waits_or_listens_sees_the_tenants_own_job(tenants):
    stack, ours, theirs = tenants
    id = ours.submit(SUM, {"n": 1}, headers=LATER)["id"]
    waiting = stack_module.Later(
        lambda: requests.get(f"{stack.url}/v1/jobs/{id}?wait=60", headers=ours.authorization, timeout=90)
    )
    wait_until(lambda: stack.status()["hub"]["clients"]["waiting"] == 1, what="our client waits")
    problem_of(theirs.get(f"/v1/jobs/{id}?wait=60"), "not-found", 404)
    assert ours.post(f"/v1/jobs/{id}/cancel").status_code == 200
    answer = waiting.result()
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (200, id, "canceled")
    events = ours.get(f"/v1/jobs/{id}/events")
    assert f'"id":"{id}"' in events.text.replace(" ", "")
