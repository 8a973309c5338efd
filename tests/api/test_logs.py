# SPDX-License-Identifier: BSD-2-Clause
"""The logs: one line a request and one a run, with what they took; nothing that is sent forges one."""

import json
import os
import re

import pytest
import requests
from stack import Stack, wait_until

RUN = "/v1/tasks/faults."
SUM = "demo.sum_squares"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OURS = ("api", "compute", "runner", "hub")  # the daemons whose lines are ours
LEVELS = ("debug", "info", "warning", "error")
PROCESSES = ("master", "worker", "executor", "runner", "hub")
# What ends a line, hides one or turns its text for somebody: C0, DEL, C1, Unicode's separators and marks.
NOT_PRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@pytest.fixture(scope="module")
def stack():
    """One slot and no queue, so that a second run is refused."""
    with Stack(
        faults=True,
        config="[task faults.cooperative]\nseconds = 600\n",
        compute_slots=1,
        compute_queue_length=0,
        jobs_slots=1,
        jobs_retry_seconds=0.05,
        executor_slow_seconds=0.5,
    ) as running:
        yield running


def unique(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"twice: {names}"
    return dict(pairs)


def lines_of(stack, name, offset=0):
    """All lines of a daemon of ours as objects: each has to be one, and what every line has."""
    data = (stack.var / "log" / f"{name}.log").read_bytes()[offset:]
    assert data == b"" or data.endswith(b"\n")
    found = []
    for raw in data.split(b"\n")[:-1]:
        text = raw.decode()  # strict: no byte of a client's gets here as it is
        assert not NOT_PRINTED.search(text), text
        assert len(raw) < 4096
        line = json.loads(text, object_pairs_hook=unique)
        assert list(line)[:5] == ["time", "level", "process", "pid", "message"], text
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"])
        assert line["level"] in LEVELS and line["process"] in PROCESSES, text
        assert isinstance(line["pid"], int)
        found.append(line)
    return found


def sizes(stack):
    return {name: (stack.var / "log" / f"{name}.log").stat().st_size for name in OURS}


def new_lines(stack, before):
    return [line for name in OURS for line in lines_of(stack, name, before[name])]


def of(lines, message, **wanted):
    chosen = [line for line in lines if line["message"] == message]
    return [line for line in chosen if all(line.get(name) == value for name, value in wanted.items())]


def run_line(stack, daemon, **wanted):
    """The one line of a run with these fields; waits for it."""
    found = wait_until(lambda: of(lines_of(stack, daemon), "run", **wanted), what=f"a run with {wanted}")
    assert len(found) == 1, found
    return found[0]


# ---- what clients send

FORGED = '{"time":"2026-01-01T00:00:00.000000Z","level":"error","process":"master","pid":1,"message":"forged"}'
PIECES = {
    "a newline": f"x\n{FORGED}\n",
    "a carriage return": f"x\r{FORGED}\r\n",
    "an escape sequence": "\x1b[2J\x1b[1;31mforged\x07\x08\x7f",
    "C1 controls": "\u0085\u009b31m",
    "separators of Unicode": f"x\u2028{FORGED}\u2029",
    "direction marks": "\u202eforged\u2066\u200f\u061c",
    "what has no width": "for\u200bged\u2060\ufeff",
    "the end of a field": 'x","level":"error","message":"forged","y":"',
    "backslashes": 'x\\","message":"forged\\u000a\\',
    "a line": FORGED,
    "a long text": "forged" * 1500,
    "a long text to be escaped": '"\\\x7f' * 2000,
}
BYTES = {name: text.encode() for name, text in PIECES.items()} | {
    "a zero": b"x\0forged",
    "bytes that are no UTF-8": b"\xff\xfe\xc3(\xed\xa0\x80\xf8\x88\x80\x80\x80",
    "half a character": b"x\xe2\x80",
}
FIELDS = ("X-Request-Id", "Request-Id", "traceparent", "tracestate", "User-Agent", "Referer", "Prefer", "Host", "Accept",
          "Content-Type", "Content-Encoding", "Idempotency-Key", "Gangsaw-Job", "Gangsaw-Timeout", "X-Forwarded-For",
          "Range", "If-None-Match", "Cookie")  # fmt: skip


def encoded(piece):
    return "".join(f"%{byte:02X}" for byte in piece)


def raw_request(method, target, fields, body=b"", headers=b""):
    head = f"{method} {target} HTTP/1.1\r\n".encode("latin-1")
    sent = {"Host": b"localhost", "Content-Length": str(len(body)).encode(), "Connection": b"close"} | fields
    return head + b"".join(name.encode() + b": " + value + b"\r\n" for name, value in sent.items()) + headers + b"\r\n" + body


def multipart(*parts):
    body = b"".join(b"--edge\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    return {"Content-Type": b"multipart/form-data; boundary=edge"}, body + b"--edge--\r\n"


def requests_with(piece):
    """Requests that carry the piece in every place that a client may fill."""
    json_type = {"Content-Type": b"application/json"}
    text = piece.decode(errors="replace")
    yield raw_request("GET", "/v1/" + encoded(piece[:1000]), {})
    yield raw_request("POST", "/v1/tasks/" + encoded(piece[:1000]), json_type, b"{}")
    yield raw_request("GET", "/v1/jobs/" + encoded(piece[:1000]), {})
    yield raw_request("GET", "/v1/jobs?state=" + encoded(piece[:3000]), {})
    yield raw_request("GET", "/v1/jobs?" + encoded(piece[:3000]) + "=1", {})
    yield raw_request("POST", RUN + "echo?text=" + encoded(piece[:3000]), {})
    yield raw_request("POST", RUN + "echo", json_type, json.dumps({"text": text}).encode())
    yield raw_request("POST", RUN + "echo", json_type, json.dumps({text: 1}).encode())
    yield raw_request("POST", RUN + "echo", json_type, b'{"text": "' + piece + b'"}')
    yield raw_request("POST", RUN + "error", json_type, json.dumps({"code": text, "detail": text, "cause": text}).encode())
    yield raw_request("POST", RUN + "print", json_type, json.dumps({"text": text}).encode())
    yield raw_request("POST", RUN + "echo", *multipart((b'Content-Disposition: form-data; name="' + piece + b'"', b"x")))
    yield raw_request("POST", RUN + "echo", *multipart(
        (b'Content-Disposition: form-data; name="file"; filename="' + piece + b'"\r\nContent-Type: text/' + piece, b"x")))
    yield raw_request("POST", "/v1/jobs", json_type, json.dumps({"jobs": [{"task": text, "params": {}, "tags": [text]}]}).encode())
    yield raw_request("POST", RUN + "error", json_type | {"Prefer": b"respond-async"},
                      json.dumps({"code": "invalid-input", "detail": text, "cause": text}).encode())  # fmt: skip
    yield raw_request("POST", "/v1/blobs", {"Content-Type": b"text/plain", "Content-Disposition": b'attachment; filename="' + piece + b'"'}, b"x")
    for field in FIELDS:
        yield raw_request("POST", RUN + "echo", json_type | {field: piece}, b"{}")
        yield raw_request("GET", "/v1/jobs", {field: piece.replace(b"\n", b"").replace(b"\r", b"")})


def exchange(stack, data):
    """Send bytes as they are. Status and id of the answer; None when there is none."""
    try:
        answer = stack.raw(data)
    except ConnectionError:
        return None
    head = re.match(rb"HTTP/1\.\d (\d{3})", answer)
    id = re.search(rb"^X-Request-Id: (\S+)\r$", answer, re.MULTILINE)
    return (int(head[1]), id[1].decode()) if head and id else None


@pytest.mark.parametrize("name", BYTES)
def test_nothing_that_a_client_sends_forges_a_line(stack, name):
    stack.settle()
    before = sizes(stack)
    answers = [answer for data in requests_with(BYTES[name]) if (answer := exchange(stack, data))]
    assert len(answers) > 10
    stack.settle()
    wait_until(lambda: stack.sql("SELECT count(*) FROM gangsaw.job") == [["0"]], 60, "the end of the jobs")
    lines = new_lines(stack, before)
    allowed = {"request", "run", "executor output", "executor output dropped", "lines about jobs were left out"}
    assert {line["message"] for line in lines} <= allowed
    assert not [line for line in lines if line["pid"] == 1 or line["process"] not in ("worker", "master", "runner")]
    ids = {id for _, id in answers}
    logged = [line["request_id"] for line in of(lines, "request")]
    assert len(set(logged)) == len(logged) and set(logged) <= ids
    # What has none was answered by nginx itself.
    assert {status for status, id in answers if id not in logged} <= {400, 401, 403, 404, 405, 414, 431}
    assert all(line["request_id"] in ids for line in of(lines, "run"))
    assert not [line for line in lines if "traceparent" in line]


def test_the_log_of_nginx_is_a_file_of_its_own(stack):
    for path in (stack.var / "log").glob("*.log"):
        text = path.read_text(errors="replace")
        if path.stem not in OURS:
            assert not [line for line in text.splitlines() if line.startswith("{")], path
    targets = {os.readlink(f"/proc/{stack.pid(name)}/fd/2") for name in (*OURS, "nginx")}
    assert len(targets) == len(OURS) + 1


def test_a_credential_is_in_no_log(stack):
    secret = "gs_" + "Zq9" * 14
    for value in (f"Bearer {secret}", secret, f"Basic {secret}", f"bearer  {secret}\x1b"):
        exchange(stack, raw_request("GET", "/v1/jobs", {"Authorization": value.encode()}))
        exchange(stack, raw_request("POST", RUN + "echo", {"Authorization": value.encode()}, b"{}"))
    stack.settle()
    assert not [path.name for path in (stack.var / "log").glob("*.log") if secret.encode() in path.read_bytes()]


def test_what_a_module_prints_is_a_field(stack):
    stack.settle()
    before = sizes(stack)
    text = f"first\r{FORGED}\n{FORGED}\n\x1b[2J\u2028\u0085end"
    answer = stack.post(RUN + "print", json={"text": text})
    assert answer.status_code == 200

    def said():
        return of(new_lines(stack, before), "executor output")

    wait_until(lambda: len(said()) == 3)
    assert [line["text"] for line in said()] == text.split("\n")
    assert {(line["level"], line["process"]) for line in said()} == {("warning", "master")}
    assert of(new_lines(stack, before), "forged") == []


# ---- a line a request, a line a run


def counted(stack, before, id):
    """How many lines a request has, and how many its run."""
    lines = new_lines(stack, before)
    return len(of(lines, "request", request_id=id)), len(of(lines, "run", request_id=id))


@pytest.mark.parametrize(
    "task, params, status, outcome, level",
    [
        ("echo", {}, 200, "ok", "info"),
        ("error", {"code": "invalid-input"}, 422, "invalid-input", "info"),
        ("error", {"code": "internal"}, 500, "internal", "error"),
        ("crash", {}, 500, "executor-crashed", "error"),
    ],
)
def test_a_run_is_one_line(stack, task, params, status, outcome, level):
    before = sizes(stack)
    answer = stack.post(RUN + task, json=params)
    assert answer.status_code == status
    line = stack.log_line("compute", answer, "run")
    assert (line["task"], line["outcome"], line["level"]) == (f"faults.{task}", outcome, level)
    assert line["wait_ms"] >= 0 and line["run_ms"] > 0 and line["cpu_ms"] >= 0
    assert not {"job", "attempt", "job_state", "traceparent", "slow"} & set(line)
    request = stack.log_line("compute", answer)
    assert (request["level"], request["status"], request["run_ms"]) == (level, status, line["run_ms"])
    assert request.get("problem") == (None if outcome == "ok" else outcome)
    stack.settle()
    assert counted(stack, before, line["request_id"]) == (1, 1)


def test_a_run_says_what_memory_its_executor_took(stack):
    line = stack.log_line("compute", stack.post(RUN + "leak", json={"mb": 100}), "run")
    assert 100 << 20 <= line["peak_bytes"] < 1 << 30


def test_what_is_refused_before_a_run_has_none(stack):
    before = sizes(stack)
    for path, body, status in ((RUN + "echo", {"small": 99}, 422), ("/v1/tasks/no.such", {}, 404)):
        answer = stack.post(path, json=body)
        assert answer.status_code == status
        assert stack.log_line("compute", answer)["level"] == "info"
        stack.settle()
        assert counted(stack, before, answer.headers["X-Request-Id"]) == (1, 0)


def test_a_run_over_its_limit_is_one_line(stack):
    before = sizes(stack)
    answer = stack.post(RUN + "cooperative", json={"busy": False}, headers={"Gangsaw-Timeout": "0.2"})
    assert answer.status_code == 504
    line = stack.log_line("compute", answer, "run")
    assert (line["outcome"], line["level"]) == ("timed-out", "info") and line["run_ms"] >= 200
    assert "Gangsaw-Timeout" in line["detail"]
    stack.settle()
    assert counted(stack, before, line["request_id"]) == (1, 1)


def test_a_slow_run_is_a_warning(stack):
    line = stack.log_line("compute", stack.post(RUN + "sleep", json={"seconds": 0.6}), "run")
    assert (line["level"], line["slow"], line["outcome"]) == ("warning", True, "ok")


def test_a_refused_run_is_one_line(stack):
    before = sizes(stack)
    leaver = stack.leaver(RUN + "cooperative", {"busy": False})
    stack.wait_for_load(busy=1)
    answer = stack.post(RUN + "echo", json={})
    assert answer.status_code == 503
    line = stack.log_line("compute", answer, "run")
    assert (line["outcome"], line["level"], line["run_ms"]) == ("overloaded", "info", 0)
    leaver.close()
    stack.settle()
    assert counted(stack, before, line["request_id"]) == (1, 1)
    left = of(new_lines(stack, before), "run", outcome="stopped")  # of the client that left
    assert [each["task"] for each in left] == ["faults.cooperative"]
    assert counted(stack, before, left[0]["request_id"]) == (1, 1)


# ---- jobs


def attempts(stack, id):
    """Lines of the attempts of a job."""
    return of(lines_of(stack, "runner"), "run", job=id)


def test_a_job_is_one_line(stack):
    job = stack.submit(SUM, {"n": 10})
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"
    line = run_line(stack, "runner", job=job["id"])
    assert (line["task"], line["outcome"], line["job_state"], line["level"]) == (SUM, "ok", "succeeded", "info")
    assert line["attempt"] == 1 and line["run_ms"] > 0 and line["wait_ms"] >= 0 and line["peak_bytes"] > 0
    asked = of(lines_of(stack, "api"), "request", request_id=line["request_id"])
    assert [each["job"] for each in asked] == [job["id"]]


@pytest.mark.parametrize(
    "task, params, ends",
    [
        ("error", {"code": "invalid-input"}, [("invalid-input", "failed", "info")]),
        ("error", {"code": "internal"}, [("internal", "scheduled", "error"), ("internal", "failed", "error")]),
        ("crash", {}, [("executor-crashed", "queued", "error"), ("executor-crashed", "failed", "error")]),
    ],
)
def test_every_attempt_is_one_line_with_what_becomes_of_the_job(stack, task, params, ends):
    job = stack.submit(f"faults.{task}", params, headers={"Gangsaw-Job": "max-attempts=2"})
    assert stack.wait_for_job(job["id"])["state"] == "failed"
    wait_until(lambda: len(attempts(stack, job["id"])) >= len(ends))
    lines = attempts(stack, job["id"])
    assert [(line["outcome"], line["job_state"], line["level"]) for line in lines] == ends
    assert [line["attempt"] for line in lines] == list(range(1, len(ends) + 1))
    assert len({line["request_id"] for line in lines}) == 1


def test_a_canceled_job_that_ran_is_one_line(stack):
    job = stack.submit("faults.cooperative", {"busy": False})
    stack.wait_for_job(job["id"], "running")
    assert stack.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    line = run_line(stack, "runner", job=job["id"])
    assert line["outcome"] == "stopped" and "job_state" not in line
    assert line["detail"] == "The job was canceled."


def test_a_job_that_never_began_has_no_line(stack):
    first = stack.submit("faults.cooperative", {"busy": False})
    stack.wait_for_job(first["id"], "running")
    job = stack.submit(SUM, {"n": 10})
    assert stack.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200
    assert stack.post(f"/v1/jobs/{first['id']}/cancel").status_code == 200
    run_line(stack, "runner", job=first["id"])
    assert attempts(stack, job["id"]) == []


def test_thousands_of_jobs_are_logged_or_counted(stack):
    """A line costs more than the smallest job may; what is left out is said."""
    before = sizes(stack)
    count = 4000
    jobs = [{"task": SUM, "params": {"n": 1}}] * count
    assert requests.post(f"{stack.url}/v1/jobs", json={"jobs": jobs}, timeout=60).status_code == 202
    wait_until(lambda: stack.sql("SELECT count(*) FROM gangsaw.job") == [["0"]], 120, "the end of the jobs")

    def accounted():
        stack.wait_for_job(stack.submit(SUM, {"n": 1})["id"])  # a line after the second that they ended in
        lines = new_lines(stack, before)
        left_out = sum(line["count"] for line in of(lines, "lines about jobs were left out"))
        return len(of(lines, "run", task=SUM, process="runner")) + left_out >= count

    wait_until(accounted, 20)


# ---- traces


def test_a_trace_goes_with_the_request_and_its_run(stack):
    answer = stack.post(RUN + "echo", json={}, headers={"traceparent": TRACEPARENT})
    assert stack.log_line("compute", answer)["traceparent"] == TRACEPARENT
    assert stack.log_line("compute", answer, "run")["traceparent"] == TRACEPARENT
    other = stack.get("/v1/tasks", headers={"traceparent": TRACEPARENT})
    assert stack.log_line("api", other)["traceparent"] == TRACEPARENT


@pytest.mark.parametrize(
    "value",
    ["", "00", TRACEPARENT.upper(), TRACEPARENT + "0", TRACEPARENT + "-x", "ff" + TRACEPARENT[2:],
     "00-" + "0" * 32 + "-00f067aa0ba902b7-01", TRACEPARENT + ", " + TRACEPARENT],
)  # fmt: skip
def test_a_trace_that_is_not_valid_is_none(stack, value):
    answer = stack.post(RUN + "echo", json={}, headers={"traceparent": value})
    assert answer.status_code == 200
    assert "traceparent" not in stack.log_line("compute", answer)
    assert "traceparent" not in stack.log_line("compute", answer, "run")


def test_two_traces_are_none(stack):
    field = f"traceparent: {TRACEPARENT}\r\n".encode()
    _, id = exchange(stack, raw_request("GET", "/v1/tasks", {}, headers=field + field))
    line = wait_until(lambda: of(lines_of(stack, "api"), "request", request_id=id))[0]
    assert "traceparent" not in line


def test_a_job_keeps_its_trace_to_the_end(stack):
    job = stack.submit("faults.error", {"code": "invalid-input"}, headers={"traceparent": TRACEPARENT})
    assert job["traceparent"] == TRACEPARENT
    ended = stack.wait_for_job(job["id"])
    assert (ended["state"], ended["traceparent"]) == ("failed", TRACEPARENT)
    other = {"traceparent": TRACEPARENT[:-1] + "0"}  # who asks for it later has a trace of his own
    assert stack.post(f"/v1/jobs/{job['id']}/retry", headers=other).json()["traceparent"] == TRACEPARENT
    stack.wait_for_job(job["id"])
    wait_until(lambda: len(attempts(stack, job["id"])) == 2)
    assert {line["traceparent"] for line in attempts(stack, job["id"])} == {TRACEPARENT}


def test_a_job_without_a_trace_has_none(stack):
    job = stack.submit(SUM, {"n": 1})
    assert job["traceparent"] is None
    assert stack.wait_for_job(job["id"])["traceparent"] is None
    assert "traceparent" not in run_line(stack, "runner", job=job["id"])


def test_all_jobs_of_a_batch_have_its_trace(stack):
    body = {"jobs": [{"task": SUM, "params": {"n": n}} for n in (1, 2)]}
    answer = stack.post("/v1/jobs", json=body, headers={"traceparent": TRACEPARENT})
    assert [job["traceparent"] for job in answer.json()["jobs"]] == [TRACEPARENT] * 2
    for job in answer.json()["jobs"]:
        assert stack.wait_for_job(job["id"])["traceparent"] == TRACEPARENT


def test_a_canceled_job_and_one_of_a_dead_runner_keep_their_trace(start_stack):
    own = start_stack(faults=True, jobs_slots=1, jobs_lease_seconds=1)
    ids = [own.submit("faults.cooperative", {"busy": False, "seconds": 600}, headers={"traceparent": TRACEPARENT})["id"]
           for _ in range(2)]  # fmt: skip
    own.wait_for_job(ids[0], "running")
    own.post(f"/v1/jobs/{ids[1]}/cancel")
    own.kill("runner")
    own.wait_for_job(ids[1], "canceled")
    own.start()  # a runner that finds the first one's lease run out
    wait_until(lambda: own.job(ids[0])["attempt"] == 2, 60, "the second attempt")
    assert [own.job(id)["traceparent"] for id in ids] == [TRACEPARENT] * 2
    own.post(f"/v1/jobs/{ids[0]}/cancel")
