# SPDX-License-Identifier: BSD-2-Clause
"""A job's server-sent events, as a browser's EventSource reads them."""

import json
import os
import signal
import time

import pytest
import requests
import stack as stack_module
from stack import Later, problem_of, wait_until

SUM = "demo.sum_squares"


class Events:
    """One stream. Iterating gives events as dicts with `id`, `event` and `data` (parsed); comments and
    the time to come back after are collected beside them."""

    def __init__(self, stack, id, last_event_id=None):
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self.answer = requests.get(f"{stack.url}/v1/jobs/{id}/events", headers=headers, stream=True, timeout=60)
        self.comments = 0
        self.retry_ms = None
        self._lines = self.answer.iter_lines(chunk_size=1, decode_unicode=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()

    def __iter__(self):
        fields = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif name == "retry":
                self.retry_ms = int(value)
            elif line:
                fields[name] = json.loads(value) if name == "data" else value
            elif fields:
                yield fields
                fields = {}

    def next(self):
        return next(iter(self))


def stored(stack, delay=3600):
    return stack.submit(SUM, {"n": 1}, headers={"Gangsaw-Job": f"delay={delay}"})["id"]


def streams(stack):
    return stack.status()["hub"]["clients"]["streaming"]


def test_a_stream_begins_with_the_job_as_it_is(stack):
    id = stored(stack)
    with Events(stack, id) as events:
        assert events.answer.status_code == 200
        assert events.answer.headers["Content-Type"] == "text/event-stream"
        assert events.answer.headers["Cache-Control"] == "no-store"
        assert events.answer.headers["X-Request-Id"]
        first = events.next()
        assert first["event"] == "progress"
        assert first["data"] == stack.job(id)
        assert events.retry_ms == 2000


def test_a_stream_ends_with_the_job(stack):
    with Events(stack, stored(stack, delay=1)) as events:
        found = list(events)
    assert [each["event"] for each in found] == ["progress"] * (len(found) - 1) + ["done"]
    assert len({each["id"] for each in found}) == len(found)
    assert found[0]["data"]["state"] == "scheduled"
    last = found[-1]["data"]
    assert (last["state"], last["attempt"]) == ("succeeded", 1)
    assert last == stack.job(last["id"])


def test_a_canceled_job_is_done(stack):
    id = stored(stack)
    with Events(stack, id) as events:
        events.next()
        stack.post(f"/v1/jobs/{id}/cancel")
        assert [(each["event"], each["data"]["state"]) for each in events] == [("done", "canceled")]


def test_a_finished_job_has_one_event(stack):
    id = stack.submit(SUM, {"n": 1})["id"]
    stack.wait_for_job(id)
    with Events(stack, id) as events:
        assert [each["event"] for each in events] == ["done"]


def test_a_browser_that_has_the_last_event_stays_away(stack):
    """204 is what keeps an EventSource from coming back."""
    id = stack.submit(SUM, {"n": 1})["id"]
    stack.wait_for_job(id)
    with Events(stack, id) as events:
        (done,) = events
    with Events(stack, id, done["id"]) as events:
        assert events.answer.status_code == 204
        assert list(events) == []


def test_a_browser_that_comes_back_is_told_what_it_missed_and_no_more(stack):
    id = stored(stack)
    with Events(stack, id) as events:
        first = events.next()
    with Events(stack, id, first["id"]) as events:
        assert events.answer.status_code == 200
        wait_until(lambda: streams(stack) == 1)
        stack.post(f"/v1/jobs/{id}/cancel")
        assert [each["event"] for each in events] == ["done"]
    with Events(stack, id, first["id"]) as events:
        assert [each["event"] for each in events] == ["done"]


@pytest.mark.parametrize("last_event_id", ["x", "1-running-0-0", "\"quoted\" and spaced", "9" * 200])
def test_an_id_of_nobody_is_as_good_as_none(stack, last_event_id):
    id = stored(stack)
    with Events(stack, id, last_event_id) as events:
        assert events.next()["data"]["id"] == id


def test_a_job_that_does_not_exist_has_no_stream(stack):
    problem_of(stack.get("/v1/jobs/0123456789" + "1/events"), "not-found", 404)


def test_a_closed_browser_frees_its_place(stack):
    id = stored(stack)
    with Events(stack, id) as events:
        events.next()
        wait_until(lambda: streams(stack) == 1)
    wait_until(lambda: streams(stack) == 0)
    assert stack.status()["hub"]["jobs"] == 0


def test_head_shows_the_header_alone(stack):
    answer = stack.request("HEAD", f"/v1/jobs/{stored(stack)}/events")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


def test_a_silent_stream_is_kept_open_by_comments(stack):
    with Events(stack, stored(stack)) as events:
        events.next()
        rest = Later(lambda: next(line for line in events._lines if line.startswith(":")))
        assert rest.result(40) == ":"


# ---- with tasks that report


@pytest.fixture(scope="module")
def faults():
    with stack_module.Stack(faults=True, jobs_slots=1) as running:
        yield running


def test_progress_is_told_while_the_job_runs(faults):
    id = faults.submit("faults.progress", {"steps": 60, "pause_ms": 60})["id"]
    with Events(faults, id) as events:
        found = list(events)
    running = [each["data"]["progress"] for each in found if each["data"]["state"] == "running"]
    reports = [each for each in running if each]
    assert reports, found
    assert all(0 <= each["fraction"] <= 1 and isinstance(each["what"], str) for each in reports)
    assert found[-1]["event"] == "done"
    assert len({each["id"] for each in found}) == len(found)


def test_all_who_follow_a_job_see_the_same(faults):
    id = faults.submit("faults.cooperative", {"seconds": 3, "busy": False})["id"]

    def follow():
        with Events(faults, id) as events:
            return [(each["id"], each["event"]) for each in events]

    followers = [Later(follow) for _ in range(10)]
    seen = [each.result(60) for each in followers]
    assert {each[-1] for each in seen} == {seen[0][-1]}
    assert seen[0][-1][1] == "done"


def test_a_failed_job_tells_why(faults):
    id = faults.submit("faults.error", {"code": "invalid-input"})["id"]
    with Events(faults, id) as events:
        done = list(events)[-1]
    assert done["event"] == "done"
    assert done["data"]["error"]["type"] == "/problems/invalid-input"


# ---- what goes wrong


def test_a_stream_outlives_a_crash_of_the_database(start_stack):
    shaken = start_stack()
    id = stored(shaken)
    with Events(shaken, id) as events:
        events.next()
        shaken.kill_database()
        wait_until(lambda: not shaken.status()["hub"]["database"]["connected"], what="the hub has noticed")
        shaken.start()
        wait_until(lambda: shaken.status()["hub"]["database"]["connected"], 30, "the hub is back")
        shaken.post(f"/v1/jobs/{id}/cancel")
        assert [each["event"] for each in events] == ["done"]


def test_a_hub_that_ends_ends_its_streams(start_stack):
    """Whole, so that the browser comes back by itself."""
    shaken = start_stack()
    id = stored(shaken)
    with Events(shaken, id) as events:
        first = events.next()
        shaken.signal("hub", signal.SIGTERM)
        begun = time.monotonic()
        assert list(events) == []
        assert time.monotonic() - begun < 10
    wait_until(lambda: shaken.status()["hub"] is None, what="the hub has ended")
    problem_of(shaken.get(f"/v1/jobs/{id}/events"), "unavailable", 503)
    shaken.start()
    wait_until(lambda: shaken.status()["hub"], what="the hub is back")  # ./dev waits for the pools alone
    with Events(shaken, id, first["id"]) as events:
        assert events.answer.status_code == 200


def test_problems_of_the_hub_carry_the_id_of_their_request(start_stack):
    """problem_of() looks at it. Whoever is one too many, and whose job is pruned on the way."""
    small = start_stack(hub_max_clients=1)
    id = stored(small)
    with Events(small, id) as events:
        events.next()
        problem_of(small.get(f"/v1/jobs/{id}/events"), "overloaded", 503)
    wait_until(lambda: streams(small) == 0, what="the stream has ended")
    hub = small.pid("hub")
    asked = len(lines_of_events(small))
    os.kill(hub, signal.SIGSTOP)
    try:
        late = Later(lambda: requests.get(f"{small.url}/v1/jobs/{id}/events", timeout=60))
        wait_until(lambda: len(lines_of_events(small)) > asked, what="api has sent it to the hub")
        small.sql(f"DELETE FROM gangsaw.job WHERE id = gangsaw.key_of('job', '{id}')")
    finally:
        os.kill(hub, signal.SIGCONT)
    problem_of(late.result(), "gone", 410)


def lines_of_events(stack):
    return [line for line in stack.log("api") if "/v1/jobs/{job}/events" in line]
