# SPDX-License-Identifier: BSD-2-Clause
"""What nginx answers by itself, and where it sends the rest."""

import html
import json
import re
import signal

import pytest
import stack as stack_module

CONF = stack_module.ROOT / "nginx"


def parse(answer):
    """Status, header fields and body of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines)
    return int(status_line.split()[1]), fields, body


def is_problem(status, fields, body, name):
    problem = json.loads(body)
    assert fields["content-type"] == "application/problem+json"
    assert problem["type"] == f"/problems/{name}"
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    assert re.fullmatch("[0-9a-f]{32}", problem["request_id"])
    assert fields["x-request-id"] == problem["request_id"]
    return problem


LONG = b"x" * 20000
BROKEN = {
    "no request line": (b"\r\x01\r\n\r\n", 400, "invalid-request"),
    "no version": (b"GET / HTTP/x\r\n\r\n", 400, "invalid-request"),
    "unknown version": (b"GET / HTTP/3.7\r\nHost: a\r\n\r\n", 400, "invalid-request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "invalid-request"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "invalid-request"),
    "bad header field": (b"GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: b\r\n\r\n", 400, "invalid-request"),
    "bad length": (b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "invalid-request"),
    "two lengths": (
        b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        400,
        "invalid-request",
    ),
    "length and chunks": (
        b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid-request",
    ),
    "broken chunks": (
        b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        400,
        "invalid-request",
    ),
    "unknown transfer encoding": (
        b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        400,
        "invalid-request",
    ),
    "NUL in the path": (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid-request"),
    "above the root": (b"GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400, "invalid-request"),
    "long request line": (b"GET /" + LONG + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "uri-too-long"),
    "long header field": (
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + LONG + b"\r\n\r\n",
        431,
        "headers-too-large",
    ),
    "many header fields": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 8000) for i in range(12)) + b"\r\n",
        431,
        "headers-too-large",
    ),
    "TRACE": (b"TRACE /v1/tasks/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405, "method-not-allowed"),
    "declared body over the limit": (
        b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nContent-Length: 134217729\r\nConnection: close\r\n\r\n",
        413,
        "too-large",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_nginx_refuses_is_answered_as_a_problem(stack, name):
    sent, status, problem = BROKEN[name]
    answer = parse(stack.raw(sent))
    assert answer[0] == status
    is_problem(*answer, problem)


def test_too_large_names_the_limit_and_its_value(stack):
    _, _, body = parse(stack.raw(BROKEN["declared body over the limit"][0]))
    assert "client_max_body_size of 134217728 bytes" in json.loads(body)["detail"]


def test_a_chunked_body_over_the_limit_is_too_large(stack):
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with stack.connect() as s:
        s.sendall(b"POST /v1/tasks/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(129):
            s.sendall(piece)
        answer = s.recv(65536)
    assert parse(answer)[0] == 413
    is_problem(*parse(answer), "too-large")


def test_pages_take_no_post_and_say_so(stack):
    answer = stack.post("/", data=b"x")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    is_problem(405, {k.lower(): v for k, v in answer.headers.items()}, answer.content, "method-not-allowed")


def test_allow_of_a_method_that_nginx_never_passes_on(stack):
    _, fields, _ = parse(stack.raw(BROKEN["TRACE"][0]))
    assert fields["allow"] == "get, head, post, options"


@pytest.mark.parametrize(
    "path",
    [
        "/problems/no-such-problem",
        "/problems/../style.css/x",
        "/_problem/internal",
        "/.git/config",
        "/internal/",
        "/internal/wait?job=1&seconds=1&then=/livez",
        "/internal/events?job=1",
        "/internal/runs/1",
        "/%69nternal/runs/1",
        "//internal//runs/1",
    ],
)
def test_unknown_addresses_are_not_found(stack, path):
    answer = stack.get(path)
    assert answer.status_code == 404
    is_problem(404, {k.lower(): v for k, v in answer.headers.items()}, answer.content, "not-found")


def test_head_of_an_error_has_its_header_and_no_body(stack):
    answer = stack.request("HEAD", "/problems/no-such-problem")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.content == b""


def test_the_server_does_not_tell_its_version(stack):
    assert stack.get("/").headers["Server"] == "nginx"
    assert b"nginx/" not in stack.raw(b"GET / HTTP/x\r\n\r\n")


def test_every_answer_has_an_id_of_its_own(stack):
    ids = [stack.get(path).headers["X-Request-Id"] for path in ("/", "/livez", "/livez", "/nowhere", "/v1/tasks")]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)


def test_a_client_cannot_choose_the_request_id(stack):
    answer = stack.get("/livez", headers={"X-Request-Id": "mine", "Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] != "mine"


def test_the_id_in_a_problem_is_the_one_in_the_log(stack):
    answer = stack.post("/v1/tasks/no.such.task", json={})
    assert answer.status_code == 404
    wanted = answer.json()["request_id"]
    assert answer.headers["X-Request-Id"] == wanted
    stack_module.wait_until(lambda: any(wanted in line for line in stack.log("compute")))


def test_runs_go_to_compute_and_all_else_to_api(stack):
    def pool_of(answer):
        wanted = answer.headers["X-Request-Id"]
        pools = ("api", "compute")
        return stack_module.wait_until(
            lambda: [name for name in pools if any(wanted in line for line in stack.log(name))]
        )

    sum_squares = "/v1/tasks/demo.sum_squares"
    assert pool_of(stack.post(sum_squares, json={"n": 1})) == ["compute"]
    assert pool_of(stack.post("/v1/tasks/no.such.task", json={})) == ["compute"]
    assert pool_of(stack.get(sum_squares)) == ["api"]
    assert pool_of(stack.request("PUT", sum_squares, data=b"{}")) == ["api"]
    assert pool_of(stack.post("/v1/tasks", json={})) == ["api"]
    assert pool_of(stack.post("/v1/tasks/a/b", json={})) == ["api"]


@pytest.mark.parametrize(
    "prefer, pool",
    [
        ("respond-async", "api"),
        ("Respond-ASYNC", "api"),
        ("wait=5, respond-async", "api"),
        ('note="a, \\"b", respond-async; x=1, wait=5', "api"),
        ("respond-asynchronously", "compute"),
        ("wait=respond-async", "compute"),
        ('note="a, respond-async, b"', "compute"),
        ('note="a\\", respond-async, b"', "compute"),
        ('note="respond-async', "compute"),
    ],
)
def test_what_is_to_become_a_job_goes_to_api(stack, prefer, pool):
    answer = stack.post("/v1/tasks/no.such.task", json={}, headers={"Prefer": prefer})
    assert answer.status_code == 404
    assert stack.log_line(pool, answer)["status"] == 404


@pytest.mark.parametrize("piece", ['"', "a,", 'a"b"', "respond-async", "x "])
def test_a_long_prefer_is_matched_in_no_time(stack, piece):
    """Without possessive quantifiers one of these would keep nginx busy for hours."""
    prefer = piece * (15000 // len(piece)) + "x"
    assert stack.post("/v1/tasks/no.such.task", json={}, headers={"Prefer": prefer}, timeout=10).status_code == 404


def test_static_pages_say_what_they_are(stack):
    page = stack.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    style = stack.get("/style.css")
    assert style.headers["Content-Type"].startswith("text/css")
    assert "<script" not in page.text and "style=" not in page.text


def problem_pages(stack):
    """Name, status and title of each problem, from the pages."""
    index = stack.get("/problems/")
    assert index.status_code == 200
    rows = re.findall(r'<td>(\d+)</td><td><a href="/problems/([\w-]+)">[\w-]+</a></td><td>([^<]*)', index.text)
    assert len(rows) >= 20
    return {name: (int(status), html.unescape(title)) for status, name, title in rows}


def test_each_problem_type_leads_to_its_page(stack):
    for name, (status, title) in problem_pages(stack).items():
        page = stack.get(f"/problems/{name}")
        assert page.status_code == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert f"<h1>{title}</h1>" in page.text and f"status {status}" in page.text


def test_nginx_has_the_problems_of_the_table(stack):
    pages = problem_pages(stack)
    found = re.findall(r"return (\d+) '(\{.*\})';", (CONF / "gangsaw-errors.conf").read_text())
    assert len(found) >= 15
    for code, text in found:
        problem = json.loads(text)
        name = problem["type"].removeprefix("/problems/")
        assert (problem["status"], problem["title"]) == pages[name]
        assert int(code) == problem["status"]


def test_nginx_tells_the_limits_it_has():
    server = (CONF / "gangsaw-server.conf.in").read_text()
    assert "client_max_body_size 128m;" in server and 128 << 20 == 134217728
    assert "large_client_header_buffers 4 16k;" in server and 16 << 10 == 16384


def until_status(request, status):
    """Repeat `request()` until it is answered with `status`; that answer."""
    answers = []

    def answered():
        answers.append(request())
        return answers[-1].status_code == status

    stack_module.wait_until(answered, 60)
    return answers[-1]


def test_without_compute_a_run_is_unavailable_and_api_lives_on(start_stack):
    own = start_stack()
    own.signal("compute", signal.SIGKILL)

    def run():
        return own.post("/v1/tasks/demo.sum_squares", json={"n": 1})

    answer = until_status(run, 503)
    assert answer.json()["type"] == "/problems/unavailable"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert own.get("/livez").status_code == 200
    assert own.get("/v1/tasks").status_code == 200
    own.start()
    assert run().status_code == 200


def test_without_the_hub_nobody_waits_and_nothing_is_lost(start_stack):
    own = start_stack()
    own.kill("hub")
    own.kill("runner")  # nothing ends
    answer = own.post("/v1/tasks/demo.sum_squares", json={"n": 1}, headers={"Prefer": "respond-async, wait=50"}, timeout=20)
    assert answer.status_code == 202
    id = answer.json()["id"]
    waited = own.get(f"/v1/jobs/{id}?wait=50", timeout=20)
    assert (waited.status_code, waited.json()["id"]) == (200, id)
    assert waited.headers["X-Request-Id"]
    stack_module.problem_of(own.get(f"/v1/jobs/{id}/events", timeout=20), "unavailable", 503)
    own.start()
    assert own.wait_for_job(id)["state"] == "succeeded"


def test_without_any_pool_nginx_answers_unavailable(start_stack):
    own = start_stack()
    for pool in ("api", "compute"):
        own.signal(pool, signal.SIGKILL)
    got = until_status(lambda: own.get("/livez"), 503)
    problem = is_problem(503, {k.lower(): v for k, v in got.headers.items()}, got.content, "unavailable")
    assert problem["title"] == "Unavailable"
    assert got.headers["Retry-After"].isdigit()
    assert own.get("/").status_code == 200
