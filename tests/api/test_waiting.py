# SPDX-License-Identifier: BSD-2-Clause
"""Clients that wait for jobs: held by the hub, answered as soon as the job ends, or their time is over."""

import resource
import select
import signal
import socket
import time

import pytest
import requests
from stack import Later, problem_of, wait_until

SUM = "demo.sum_squares"
MANY = 5000
BURST = 100
WAIT = {"Prefer": "respond-async, wait=30"}


def stored(stack, delay=3600, **kwargs):
    """The id of a job that nobody claims before its time."""
    headers = {"Gangsaw-Job": f"delay={delay}"}
    return stack.submit(SUM, {"n": 1}, headers=headers, **kwargs)["id"]


def stored_many(stack, count):
    job = {"task": SUM, "params": {"n": 1}, "delay_seconds": 3600}
    answer = stack.post("/v1/jobs", json={"jobs": [job] * count})
    assert answer.status_code == 202, answer.text[:2000]
    return [each["id"] for each in answer.json()["jobs"]]


def cancel(stack, id):
    answer = stack.post(f"/v1/jobs/{id}/cancel")
    assert answer.status_code == 200, answer.text[:2000]


def cancel_all(stack):
    """As the API does it, in one transaction; the hub is told of those that it watches."""
    stack.sql(
        "WITH gone AS (DELETE FROM gangsaw.job RETURNING *), stored AS ("
        "  INSERT INTO gangsaw.job_done (id, lease, created_at, ready_at, state, priority, attempt,"
        "    crashes, max_attempts, lane, task, tenant, params)"
        "  SELECT id, lease + 1, created_at, ready_at, 'canceled', priority, attempt,"
        "    crashes, max_attempts, lane, task, tenant, params FROM gone) "
        "SELECT pg_notify('gangsaw_changed', string_agg(id::text, ','))"
        " FROM (SELECT id, row_number() OVER () / 500 AS part FROM gone WHERE is_watched) w GROUP BY part"
    )


def waiting(stack, id, seconds=60, **kwargs):
    """A GET that waits, on a connection of its own."""
    kwargs.setdefault("timeout", 90)
    url = f"{stack.url}/v1/jobs/{id}?wait={seconds}"
    return Later(lambda: requests.get(url, **kwargs))


def held(stack):
    return stack.status()["hub"]["clients"]["waiting"]


def wait_until_held(stack, count, seconds=30):
    wait_until(lambda: held(stack) == count, seconds, f"{count} clients wait")


def connected_waiter(stack, id, seconds=60):
    """The same as a bare socket."""
    s = socket.create_connection(("127.0.0.1", stack.port), timeout=90)
    s.sendall(f"GET /v1/jobs/{id}?wait={seconds} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return s


def connected_waiters(stack, ids, count):
    """So many of them, in bursts: the backlog of the pool `api` is not for more."""
    sockets = []
    while len(sockets) < count:
        begun = len(sockets)
        sockets += [connected_waiter(stack, ids[i % len(ids)]) for i in range(begun, min(begun + BURST, count))]
        wait_until_held(stack, len(sockets))
    return sockets


def whole_answer(s):
    answer = b""
    while chunk := s.recv(65536):
        answer += chunk
    s.close()
    return answer


def test_a_waiting_client_is_answered_when_the_job_ends(stack):
    id = stored(stack)
    client = waiting(stack, id)
    wait_until_held(stack, 1)
    cancel(stack, id)
    answer = client.result(10)
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")
    assert held(stack) == 0


def test_a_job_that_is_computed_meanwhile_is_answered_with_its_end(stack):
    answer = waiting(stack, stored(stack, delay=1)).result(30)
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")


def test_after_its_seconds_a_client_has_the_unfinished_job(stack):
    id = stored(stack)
    begun = time.monotonic()
    answer = waiting(stack, id, 1).result(30)
    assert time.monotonic() - begun >= 1
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")


def test_a_finished_job_is_not_waited_for(stack):
    id = stored(stack)
    cancel(stack, id)
    assert waiting(stack, id).result(10).json()["state"] == "canceled"


def test_prefer_wait_gives_the_synchronous_answer_with_its_place(stack):
    headers = {"Prefer": "respond-async, wait=30"}
    later = stack.post(f"/v1/tasks/{SUM}", json={"n": 7}, headers=headers)
    now = stack.post(f"/v1/tasks/{SUM}", json={"n": 7})
    assert (later.status_code, later.json()) == (200, now.json())
    assert stack.get(later.headers["Location"]).json()["state"] == "succeeded"


def test_prefer_wait_gives_the_job_when_it_takes_longer(stack):
    headers = {"Prefer": "respond-async, wait=1", "Gangsaw-Job": "delay=3600"}
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 7}, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "scheduled")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"


def test_all_clients_of_one_job_are_answered(stack):
    id = stored(stack)
    clients = [waiting(stack, id) for _ in range(20)]
    wait_until_held(stack, 20)
    assert stack.status()["hub"]["jobs"] == 1
    cancel(stack, id)
    assert {each.result(10).json()["state"] for each in clients} == {"canceled"}


def test_waiting_clients_hold_no_worker(stack):
    ids = stored_many(stack, 200)
    sockets = connected_waiters(stack, ids, len(ids))
    stack.settle()
    assert stack.get("/livez").status_code == 200
    cancel_all(stack)
    for s in sockets:
        assert b'"state":"canceled"' in whole_answer(s)


def test_a_client_that_leaves_frees_its_place(stack):
    sockets = [connected_waiter(stack, stored(stack)) for _ in range(5)]
    wait_until_held(stack, 5)
    for s in sockets:
        s.close()
    wait_until_held(stack, 0)
    assert stack.status()["hub"]["jobs"] == 0


def test_a_change_that_nobody_tells_of_is_found(stack):
    """A notification can get lost; who waits is answered within seconds all the same."""
    id = stored(stack)
    client = waiting(stack, id)
    wait_until_held(stack, 1)
    stack.sql(f"UPDATE gangsaw.job SET is_watched = false WHERE id = gangsaw.key_of('job', '{id}')")
    cancel_all(stack)
    assert client.result(20).json()["state"] == "canceled"


@pytest.fixture(scope="module")
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("job_count", [1, MANY])
def test_five_thousand_clients_may_wait(stack, many_files, job_count):
    ids = stored_many(stack, job_count)
    sockets = connected_waiters(stack, ids, MANY)
    assert stack.status()["hub"]["jobs"] == job_count
    ready = select.poll()
    for s in sockets:
        ready.register(s, select.POLLIN)
    assert ready.poll(0) == []
    cancel_all(stack)
    answers = [whole_answer(s) for s in sockets]
    wrong = [each for each in answers if not each.startswith(b"HTTP/1.1 200 ") or b'"state":"canceled"' not in each]
    assert wrong == []


# ---- jobs that were stored by who waits for them


def after_wait(stack, key, awaited=1):
    """What the hub says to nginx behind a POST that stored the job `key` and waits for it: its whole answer."""
    id, = stack.sql(f"SELECT gangsaw.public_id('job', {key})")[0]
    query = f"job={id}&tenant=&awaited={awaited}&seconds=60&then=/internal/runs/{id}"
    fields = {"CONTENT_LENGTH": "0", "SCGI": "1", "REQUEST_METHOD": "GET", "DOCUMENT_URI": "/internal/wait",
              "QUERY_STRING": query}  # fmt: skip
    header = "".join(f"{name}\0{value}\0" for name, value in fields.items())
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(90)
    s.connect(str(stack.var / "run" / "hub.sock"))
    s.sendall(f"{len(header)}:{header},".encode())
    return Later(lambda: whole_answer(s))


def awaited(stack, delay=0, is_awaited=True):
    """The key of a job that a POST with wait= has stored, whose client has not come to the hub yet."""
    when = f"'scheduled', now() + interval '{delay} seconds'" if delay else "'queued', now()"
    [[key]] = stack.sql(
        "INSERT INTO gangsaw.job (lane, task, params, state, ready_at, is_awaited) "
        f"VALUES ('cpu/demo', '{SUM}', '{{\"n\": 1}}', {when}, {is_awaited}) RETURNING id"
    )
    return key


def wait_until_ended(stack, key):
    wait_until(lambda: stack.sql(f"SELECT id FROM gangsaw.job_done WHERE id = {key}"), 30, "the job has ended")


def statements(stack):
    return stack.status()["hub"]["database"]["statements"]


def test_waiting_for_a_job_of_ones_own_costs_the_hub_no_statement(stack):
    before = statements(stack)
    for n in range(40):
        answer = stack.post(f"/v1/tasks/{SUM}", json={"n": n}, headers=WAIT)
        assert (answer.status_code, answer.json()["task"]) == (200, SUM)
    assert statements(stack) - before < 20  # now and then all that are waited for are asked for


@pytest.mark.parametrize("options", ['tags=("x")', "delay=1", 'unique="waiting"'])
def test_a_job_with_options_is_waited_for_too(stack, options):
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 7}, headers={**WAIT, "Gangsaw-Job": options})
    assert (answer.status_code, answer.json()["result"]) == (200, {"sum": "91"})


def test_who_waits_for_a_job_that_was_stored_before_is_answered_with_its_end(stack):
    """The second request gets the job that the first one stored, as nothing that is waited for."""
    options = {"Gangsaw-Job": 'delay=2, unique="stored before"'}
    assert stack.post(f"/v1/tasks/{SUM}", json={"n": 7}, headers={"Prefer": "respond-async", **options}).status_code == 202
    answer = stack.post(f"/v1/tasks/{SUM}", json={"n": 7}, headers={**WAIT, **options})
    assert (answer.status_code, answer.json()["result"]) == (200, {"sum": "91"})


def test_who_comes_after_the_end_is_answered_at_once(stack):
    """The runner was quicker than nginx: the end was notified before there was anybody to tell."""
    key = awaited(stack)
    wait_until_ended(stack, key)
    before = statements(stack)
    assert b"X-Accel-Redirect: /internal/runs/" in after_wait(stack, key).result(10)
    assert statements(stack) == before


def test_a_hub_that_was_away_at_the_end_asks_for_it(start_stack):
    shaken = start_stack()
    shaken.kill("hub")
    key = awaited(shaken)
    wait_until_ended(shaken, key)
    shaken.start()
    wait_until(lambda: shaken.status()["hub"]["database"]["connected"], 30, "the hub is back")
    assert b"X-Accel-Redirect: /internal/runs/" in after_wait(shaken, key).result(10)


def test_a_hub_whose_connection_was_away_at_the_end_asks_for_it(start_stack):
    """It has heard of other ends, of neither of which this one is."""
    shaken = start_stack()
    late, early = awaited(shaken, delay=3600), awaited(shaken)
    wait_until_ended(shaken, early)
    waits = after_wait(shaken, late)
    wait_until_held(shaken, 1)
    shaken.sql(
        "BEGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gangsaw hub'; "
        f"UPDATE gangsaw.job SET state = 'queued', ready_at = now(), is_awaited = false WHERE id = {late}; COMMIT"
    )
    for answer in (waits, after_wait(shaken, late), after_wait(shaken, early)):
        assert b"X-Accel-Redirect: /internal/runs/" in answer.result(20)


def test_the_end_of_an_awaited_job_that_nobody_tells_of_is_found(stack):
    key = awaited(stack, delay=2, is_awaited=False)
    assert b"X-Accel-Redirect: /internal/runs/" in after_wait(stack, key).result(30)


def test_who_follows_an_awaited_job_sees_it_run(stack):
    """Of such a job the end alone is notified, until somebody wants to know more."""
    key = awaited(stack, delay=3600)
    client = after_wait(stack, key)
    wait_until_held(stack, 1)
    id, = stack.sql(f"SELECT gangsaw.public_id('job', {key})")[0]
    with requests.get(f"{stack.url}/v1/jobs/{id}/events", stream=True, timeout=30) as events:
        lines = events.iter_lines()
        assert any(line == b"event: progress" for line in lines)
        assert stack.sql(f"SELECT is_watched FROM gangsaw.job WHERE id = {key}") == [["t"]]
        cancel(stack, id)
        assert any(line == b"event: done" for line in lines)
    assert b"X-Accel-Redirect: /internal/runs/" in client.result(10)


# ---- what goes wrong


def test_over_the_limit_nobody_waits_and_all_are_answered(start_stack):
    """With the job as it is: an error would hide one that was stored a moment ago."""
    small = start_stack(hub_max_clients=2)
    ids = [stored(small) for _ in range(2)]
    clients = [waiting(small, id) for id in ids]
    wait_until_held(small, 2)
    answer = small.get(f"/v1/jobs/{ids[0]}?wait=30")
    assert (answer.status_code, answer.json()["state"]) == (200, "scheduled")
    answer = small.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers={**WAIT, "Gangsaw-Job": "delay=3600"})
    assert (answer.status_code, answer.json()["state"]) == (202, "scheduled")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    refused = small.get(f"/v1/jobs/{ids[0]}/events")
    assert "hub.max_clients = 2" in problem_of(refused, "overloaded", 503)["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert small.status()["hub"]["totals"]["refused"] == 3
    for id in ids:
        cancel(small, id)
    assert {each.result(10).status_code for each in clients} == {200}


def test_a_wait_outlives_a_crash_of_the_database(start_stack):
    shaken = start_stack()
    id = stored(shaken)
    client = waiting(shaken, id)
    wait_until_held(shaken, 1)
    shaken.kill_database()
    wait_until(lambda: not shaken.status()["hub"]["database"]["connected"], what="the hub has noticed")
    shaken.start()
    wait_until(lambda: shaken.status()["hub"]["database"]["connected"], 30, "the hub is back")
    assert not client.done
    cancel(shaken, id)
    assert client.result(20).json()["state"] == "canceled"


def test_while_the_database_is_away_a_wait_ends_in_time(start_stack):
    """With `unavailable`: the hub sends the client on, and who reads the job cannot."""
    shaken = start_stack()
    client = waiting(shaken, stored(shaken), 10)
    wait_until_held(shaken, 1)
    shaken.kill_database()
    problem_of(client.result(30), "unavailable", 503)


def test_while_the_database_is_away_a_client_learns_where_its_job_is(start_stack):
    shaken = start_stack()
    headers = {"Prefer": "respond-async, wait=10", "Gangsaw-Job": "delay=3600"}
    client = shaken.later(f"/v1/tasks/{SUM}", json={"n": 1}, headers=headers)
    wait_until_held(shaken, 1)
    shaken.kill_database()
    answer = client.result(30)
    assert answer.status_code == 202
    path = answer.headers["Location"]
    assert answer.headers["Operation-Location"] == path
    assert answer.json() == {
        "id": path.removeprefix("/v1/jobs/"),
        "links": {"self": path, "result": f"{path}/result", "events": f"{path}/events"},
    }
    shaken.start()
    wait_until(lambda: shaken.get(path).status_code == 200, 30, "the job")


def test_without_the_hub_who_would_wait_gets_the_job(start_stack):
    alone = start_stack()
    alone.kill("hub")
    answer = alone.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers={**WAIT, "Gangsaw-Job": "delay=3600"})
    assert (answer.status_code, answer.json()["state"]) == (202, "scheduled")
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"


def test_a_hub_that_ends_answers_whoever_waits(start_stack):
    shaken = start_stack()
    id = stored(shaken)
    clients = [waiting(shaken, id) for _ in range(3)]
    wait_until_held(shaken, 3)
    shaken.signal("hub", signal.SIGHUP)  # is ignored
    shaken.signal("hub", signal.SIGTERM)
    assert {each.result(10).json()["state"] for each in clients} == {"scheduled"}
    wait_until(lambda: shaken.status()["hub"] is None, what="the hub has ended")
    assert shaken.get(f"/v1/jobs/{id}?wait=30").json()["state"] == "scheduled"  # nobody to wait with
    shaken.start()
    client = waiting(shaken, id)
    wait_until_held(shaken, 1)
    cancel(shaken, id)
    assert client.result(10).json()["state"] == "canceled"
