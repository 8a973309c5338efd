# SPDX-License-Identifier: BSD-2-Clause
"""Who has no valid key is let in nowhere; a key allows what its scopes say; and no log ever has one."""

import json

import pytest
from keys import SCOPES, SUM, WORKER, Caller, add_keys, routes
from stack import problem_of, wait_until

import stack as stack_module

OPEN = [("/livez", "GET"), ("/readyz", "GET")]
ANY = set(SCOPES)
READ, WRITE, RUN = {"jobs:read", "admin"}, {"jobs:write", "admin"}, {"run", "admin"}
# Which scopes are enough, for every route; metrics are open to this host besides.
ALLOWED = {
    ("/openapi.json", "GET"): ANY,
    ("/metrics", "GET"): ANY,
    ("/v1/tasks", "GET"): ANY,
    ("/v1/tasks/{task}", "GET"): ANY,
    ("/v1/tasks/{task}", "POST"): RUN,
    ("/v1/jobs", "POST"): WRITE,
    ("/v1/jobs", "GET"): READ,
    ("/v1/jobs/{job}", "GET"): READ,
    ("/v1/jobs/{job}/result", "GET"): READ,
    ("/v1/jobs/{job}/outputs/{name}", "GET"): READ,
    ("/v1/jobs/{job}/events", "GET"): READ,
    ("/v1/jobs/{job}/cancel", "POST"): WRITE,
    ("/v1/jobs/{job}/retry", "POST"): WRITE,
    ("/v1/blobs", "POST"): RUN | WRITE,
    ("/v1/blobs/{blob}", "GET"): RUN | READ,
}


@pytest.fixture(scope="module")
def locked():
    """A server with keys, and a caller for each scope."""
    with stack_module.Stack(compute_slots=1) as running:
        running.callers = {scope: Caller(running, scopes=(scope,)) for scope in SCOPES}
        running.worker = Caller(running, scopes=WORKER)
        add_keys(running, *running.callers.values(), running.worker)
        yield running


def path_of(pattern):
    for name, value in (("{task}", SUM), ("{job}", "0123456789" + "1"), ("{name}", "out"), ("{blob}", "01234567891")):
        pattern = pattern.replace(name, value)
    return pattern


def closed_routes():
    return [route for route in routes() if route not in OPEN and route[0] != "/metrics"]


def refused(answer, error=None):
    problem_of(answer, "unauthorized", 401)
    field = answer.headers["WWW-Authenticate"]
    assert field == 'Bearer realm="gangsaw"' + (f', error="{error}"' if error else "")


def test_every_route_says_who_may_call_it():
    assert {route for route in routes() if route not in OPEN} <= set(ALLOWED)


@pytest.mark.parametrize("path,method", closed_routes())
def test_without_a_key_nothing_is_answered(locked, path, method):
    refused(locked.request(method, path_of(path)))
    refused(locked.request("OPTIONS", path_of(path)))
    head = locked.request("HEAD", path_of(path))
    assert (head.status_code, head.text) == (401, "")


def test_without_a_key_nobody_learns_what_there_is(locked):
    for path in ("/v1/nothing", "/v1", "/v1/tasks/no.such", "/v2/tasks"):
        refused(locked.get(path))
    refused(locked.request("DELETE", "/v1/tasks"))
    problem_of(locked.worker.get("/v1/nothing"), "not-found", 404)
    problem_of(locked.worker.request("DELETE", "/v1/tasks"), "method-not-allowed", 405)


@pytest.mark.parametrize("path,method", OPEN)
def test_health_is_open_to_all(locked, path, method):
    for headers in ({}, {"Authorization": "Bearer gs_wrong"}):
        assert locked.request(method, path, headers=headers).status_code == 200


@pytest.mark.parametrize("path,method", closed_routes())
def test_a_key_allows_what_its_scopes_say(locked, path, method):
    for scope, caller in locked.callers.items():
        answer = caller.request(method, path_of(path))
        if scope in ALLOWED[path, method]:
            assert answer.status_code not in (401, 403), f"{scope}: {answer.text}"
        else:
            problem_of(answer, "forbidden", 403)
            field = answer.headers["WWW-Authenticate"]
            assert field.startswith('Bearer realm="gangsaw", error="insufficient_scope", scope="'), field


def test_a_run_that_becomes_a_job_needs_the_scope_of_jobs(locked):
    later = {"Prefer": "respond-async"}
    path = f"/v1/tasks/{SUM}"
    answer = locked.callers["run"].post(path, json={"n": 1}, headers=later)
    problem_of(answer, "forbidden", 403)
    assert 'scope="jobs:write"' in answer.headers["WWW-Authenticate"]
    assert locked.callers["jobs:write"].post(path, json={"n": 1}, headers=later).status_code == 202
    problem_of(locked.callers["jobs:write"].post(path, json={"n": 1}), "forbidden", 403)
    assert locked.callers["run"].post(path, json={"n": 1}).json()["result"]
    assert locked.callers["admin"].post(path, json={"n": 1}, headers=later).status_code == 202


def test_a_key_goes_with_the_request_wherever_nginx_passes_it(locked):
    """From compute to api (the second line of Prefer counts there), to the hub, and back."""
    caller = locked.worker
    body = b'{"n": 2}'
    answer = locked.raw(
        f"POST /v1/tasks/{SUM} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {caller.text}\r\n"
        f"Prefer: handling=lenient\r\nPrefer: respond-async\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    )
    assert answer.startswith(b"HTTP/1.1 202"), answer
    id = json.loads(answer[answer.index(b"\r\n\r\n") + 4 :])["id"]
    caller.wait_for_job(id)
    waited = caller.post(f"/v1/tasks/{SUM}", json={"n": 3}, headers={"Prefer": "respond-async, wait=30"})
    assert waited.status_code == 200 and waited.json()["result"], waited.text
    with locked.session.get(locked.url + f"/v1/jobs/{id}/events", headers=caller.authorization, timeout=30) as events:
        assert events.status_code == 200 and "event: done" in events.text
    later = caller.submit(SUM, {"n": 4}, headers={"Gangsaw-Job": "delay=1"})
    assert caller.get(f"/v1/jobs/{later['id']}?wait=30").json()["state"] == "succeeded"


@pytest.mark.parametrize("change", [
    lambda text: text[:-1],
    lambda text: text + "A",
    lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
    lambda text: text.upper(),
    lambda text: text.replace("gs_", "sk_"),
    lambda text: text[:15] + "-" + text[16:],
    lambda text: text[:-1] + "=",
    lambda text: text[:3] + "a" * 12 + text[15:],
    lambda text: f"{text}, Bearer {text}",
    lambda text: f'"{text}"',
    lambda text: text + "%",
    lambda text: "x" * 8000,
    lambda text: "",
])  # fmt: skip
def test_what_is_not_exactly_a_key_is_none(locked, change):
    answer = locked.get("/v1/tasks", headers={"Authorization": "Bearer " + change(locked.worker.text)})
    assert answer.status_code == 401, answer.text
    assert locked.worker.text not in answer.text


@pytest.mark.parametrize("field", ["Basic Z3M6", "Digest x", "gs_", "Bearer", "BearerX gs_", "Negotiate"])
def test_other_schemes_are_no_key(locked, field):
    refused(locked.get("/v1/tasks", headers={"Authorization": field}))
    refused(locked.get("/v1/tasks", headers={"Authorization": locked.worker.text}))


def test_two_fields_are_no_key(locked):
    field = f"Authorization: Bearer {locked.worker.text}\r\n"
    answer = locked.raw(f"GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{field * 2}\r\n".encode())
    assert answer.split()[1] in (b"400", b"401"), answer


def test_the_scheme_is_read_in_any_case(locked):
    for scheme in ("bearer", "BEARER", "Bearer "):
        answer = locked.get("/v1/tasks", headers={"Authorization": f"{scheme} {locked.worker.text}"})
        assert answer.status_code == 200, answer.text


def runs(caller):
    return caller.post(f"/v1/tasks/{SUM}", json={"n": 1})


def test_a_revoked_key_stops_in_both_pools_within_5_seconds(locked):
    caller, other = add_keys(locked, Caller(locked), Caller(locked))
    assert runs(caller).status_code == caller.get("/v1/jobs").status_code == 200
    caller.revoke()
    wait_until(lambda: caller.get("/v1/jobs").status_code == 401, 5, "refused by api")
    # One file for all: who has seen the one has seen the other.
    refused(runs(caller), "invalid_token")
    refused(caller.get("/v1/jobs"), "invalid_token")
    assert other.get("/v1/jobs").status_code == 200


def test_who_listens_is_told_no_more_when_its_key_is_revoked(locked):
    caller, other = add_keys(locked, Caller(locked), Caller(locked))
    job = caller.submit(SUM, {"n": 1}, headers={"Gangsaw-Job": "delay=3600"})["id"]
    path = f"/v1/jobs/{job}/events"
    with caller.get(path, stream=True) as revoked, other.get(path, stream=True) as valid:
        streams = [stream.iter_lines(decode_unicode=True) for stream in (revoked, valid)]
        for lines in streams:
            next(line for line in lines if line.startswith("data:"))
        caller.revoke()
        wait_until(lambda: caller.get("/v1/jobs").status_code == 401, 5, "refused by api")
        other.post(f"/v1/jobs/{job}/cancel")
        assert not [line for line in streams[0] if line.startswith("data:")]
        assert '"canceled"' in next(line for line in streams[1] if line.startswith("data:"))


def test_an_expired_key_is_none(locked):
    caller, soon = add_keys(locked, Caller(locked, expires="now() - interval '1 s'"),
                            Caller(locked, expires="now() + interval '1 day'"))  # fmt: skip
    refused(caller.get("/v1/tasks"), "invalid_token")
    assert soon.get("/v1/tasks").status_code == 200


def test_no_log_ever_has_a_key(locked):
    """Wherever a client puts it; an error tells of it no more than a log does."""
    key, path = locked.worker.text, f"/v1/tasks/{SUM}"
    secret = key[16:]
    wrong = [
        locked.get("/v1/tasks", headers={"Authorization": "Bearer " + key[:-1] + "A"}),
        locked.get("/v1/tasks", headers={"Cookie": f"key={key}", "X-Api-Key": key}),
        locked.worker.get(f"/v1/{key}"),
        locked.worker.get("/v1/" + "x" * 60 + key),
        locked.worker.get(f"/v1/tasks/{key}"),
        locked.worker.get(f"/v1/jobs/{key}"),
        locked.worker.get(f"/v1/jobs?task={key}&{key}={key}&cursor={key}"),
        locked.worker.get(f"/v1/blobs/{key}"),
        locked.worker.post(path + f"?api_key={key}", json={"n": 1}),
        locked.worker.post(path, json={"n": key, key: 1}),
        locked.worker.post("/v1/jobs", json={"jobs": [{"task": key, "params": {key: key}}]}),
        locked.worker.post(path, data=key, headers={"Content-Type": key}),
        locked.worker.post(path, json={"n": 1}, headers={"Prefer": "respond-async", "Gangsaw-Job": f'{key}="{key}"'}),
        locked.worker.post(path, json={"n": 1}, headers={"Gangsaw-Timeout": key, "Accept": key, "Range": key}),
        locked.worker.post("/v1/blobs", data=b"x", headers={"Content-Disposition": f'attachment; filename="{key}"; {key}'}),
        locked.worker.request("DELETE", f"/v1/tasks/{key}"),
        locked.get("/v1/tasks", headers={"X-Request-Id": key, "traceparent": key}),
    ]  # fmt: skip
    locked.settle()
    for log in sorted((locked.var / "log").glob("*.log")):
        text = log.read_text(errors="replace")
        assert secret not in text and secret[:30] not in text, log.name
    assert [answer.request.url for answer in wrong if answer.status_code >= 400 and secret[:20] in answer.text] == []


def test_the_log_line_names_key_and_tenant(locked):
    line = locked.log_line("api", locked.worker.get("/v1/tasks"))
    assert (line["key"], line["tenant"]) == (locked.worker.id, "acme")
    line = locked.log_line("api", locked.get("/v1/tasks"))
    assert "key" not in line and "tenant" not in line
