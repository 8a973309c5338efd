# SPDX-License-Identifier: BSD-2-Clause
"""What an attacker sends by hand: nothing is smuggled behind another request, nothing internal is
reached, and nothing of what was sent comes back as a header field."""

import json
import re
import socket

import pytest
import stack as stack_module

HOST = b"Host: localhost\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def statuses(answer):
    """Of all answers on a connection. Our bodies have no status line in them."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\nServer: ", answer)]


def post(fields, body=b"", path=b"/v1/tasks/no.such.task"):
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def get(path, fields=b""):
    if isinstance(path, str):
        path = path.encode("latin-1")
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + fields + b"Connection: close\r\n\r\n"


def fields_of(answer):
    """Names and values as they came, of the first answer."""
    head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
    return [tuple(line.split(": ", 1)) for line in head.split("\r\n")[1:]]


# ---- where a request ends

CHUNKED = b"Transfer-Encoding: chunked\r\n"
EMPTY = b"0\r\n\r\n"

# The connection ends with the one answer: whoever stands in front of nginx and read it in another
# way has put no second request into it.
UNCLEAR = {
    "length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, EMPTY),
    "chunks and length": post(CHUNKED + b"Content-Length: 5\r\n", EMPTY),
    "chunks twice": post(CHUNKED * 2, EMPTY),
    "a list of chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", EMPTY),
    "identity, chunked": post(b"Transfer-Encoding: identity, chunked\r\n", EMPTY),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", EMPTY),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", EMPTY),
    "chunked in quotes": post(b'Transfer-Encoding: "chunked"\r\n', EMPTY),
    "a tab before chunked": post(b"Transfer-Encoding:\tchunked\r\n", EMPTY),
    "a control before chunked": post(b"Transfer-Encoding: \x0bchunked\r\n", EMPTY),
    "no coding": post(b"Transfer-Encoding:\r\nContent-Length: 5\r\n", EMPTY),
    "a space before the colon": post(b"Transfer-Encoding : chunked\r\n", EMPTY),
    "a space before the length's colon": post(b"Content-Length : 5\r\n", EMPTY),
    "a folded line": post(b"X-A: b\r\n c: d\r\n", EMPTY),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", EMPTY),
    "a bare carriage return": post(b"X-A: b\rContent-Length: 5\r\n", EMPTY),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n" + HOST + CHUNKED + b"\r\n" + EMPTY,
    "the same length twice": post(b"Content-Length: 5\r\n" * 2, EMPTY),
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 50\r\n", EMPTY),
    "a list of lengths": post(b"Content-Length: 5, 5\r\n", EMPTY),
    "two words": post(b"Content-Length: 5 5\r\n", EMPTY),
    "a plus": post(b"Content-Length: +5\r\n", EMPTY),
    "a minus": post(b"Content-Length: -5\r\n", EMPTY),
    "a hexadecimal length": post(b"Content-Length: 0x5\r\n", EMPTY),
    "a fraction": post(b"Content-Length: 5.0\r\n", EMPTY),
    "no length": post(b"Content-Length:\r\n", EMPTY),
    "2^64 + 5": post(b"Content-Length: 18446744073709551621\r\n", EMPTY),
    "thirty digits": post(b"Content-Length: " + b"9" * 30 + b"\r\n", EMPTY),
    "a negative chunk": post(CHUNKED, b"-1\r\na\r\n" + EMPTY),
    "a chunk with a plus": post(CHUNKED, b"+1\r\na\r\n" + EMPTY),
    "a chunk with 0x": post(CHUNKED, b"0x1\r\na\r\n" + EMPTY),
    "a chunk of 2^63": post(CHUNKED, b"8000000000000000\r\na\r\n" + EMPTY),
    "a chunk of 2^64 + 1": post(CHUNKED, b"10000000000000001\r\na\r\n" + EMPTY),
    "a chunk longer than it says": post(CHUNKED, b"1\r\nab\r\n" + EMPTY),
    "a carriage return in an extension": post(CHUNKED, b"1;a\rb\r\na\r\n" + EMPTY),
    "no chunk size": post(CHUNKED, b"\r\n\r\n" + EMPTY),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a NUL in a field": post(b"X-A: b\0c\r\n"),
    "a field without a name": post(b": b\r\n"),
    "tabs in the request line": b"GET\t/livez\tHTTP/1.1\r\n" + HOST + b"\r\n",
    "a space in the path": b"GET /li vez HTTP/1.1\r\n" + HOST + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_an_unclear_request_ends_its_connection(stack, name):
    answer = stack.raw(UNCLEAR[name] + SMUGGLED + LAST)
    assert statuses(answer) == [400]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/invalid-request"


# What is behind the body is the next request, whatever becomes of the first.
BODY = SMUGGLED * 3
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
AS_CHUNKS = b"%x\r\n%s\r\n" % (len(BODY), BODY) + EMPTY
CLEAR = {
    "a body that a pool refuses": (post(LENGTH, BODY), 404),
    "chunks that a pool refuses": (post(CHUNKED, AS_CHUNKS), 404),
    "Chunked": (post(b"Transfer-Encoding: Chunked\r\n", AS_CHUNKS), 404),
    "spaces around": (post(b"Transfer-Encoding:  chunked  \r\n", AS_CHUNKS), 404),
    "a length with zeros": (post(b"Content-Length: " + b"0" * 20 + b"%d \r\n" % len(BODY), BODY), 404),
    "an extension": (post(CHUNKED, b'1;a="b"\r\n' + b"a\r\n" + EMPTY), 404),
    "a trailer": (post(CHUNKED, b"0\r\nContent-Length: 500\r\nHost: b\r\n\r\n"), 404),
    "a body to a page": (post(LENGTH, BODY, b"/"), 405),
    "chunks to a page": (post(CHUNKED, AS_CHUNKS, b"/style.css"), 405),
    "a body to nothing": (post(LENGTH, BODY, b"/internal/x"), 404),
    "a body to a job": (post(LENGTH, BODY, b"/v1/jobs/x"), 405),
    "a body to a check": (b"GET /livez HTTP/1.1\r\n" + HOST + LENGTH + b"\r\n" + BODY, 200),
    "a body to GET of a page": (b"GET / HTTP/1.1\r\n" + HOST + LENGTH + b"\r\n" + BODY, 200),
    "a field that is no length": (post(b"Content_Length: 500\r\nContent-Length-: 500\r\n"), 404),
    "a field that is no coding": (post(b"Transfer_Encoding: chunked\r\n"), 404),
    "another expectation": (post(b"Expect: 200-maybe\r\n" + LENGTH, BODY), 404),
    "an upgrade": (b"GET /livez HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + HOST + b"\r\n", 200),
    "hop-by-hop fields": (b"GET /livez HTTP/1.1\r\nConnection: Host, X-A\r\n" + HOST + b"\r\n", 200),
}


@pytest.mark.parametrize("name", CLEAR)
def test_no_byte_of_a_body_becomes_a_request(stack, name):
    sent, status = CLEAR[name]
    assert statuses(stack.raw(sent + LAST)) == [status, 200]


def test_a_body_that_may_be_sent_is_asked_for_once(stack):
    answer = stack.raw(post(b"Expect: 100-continue\r\n" + LENGTH, BODY) + LAST)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404")
    assert statuses(answer) == [404, 200]


def test_a_thousand_requests_at_once_are_answered_in_order(stack):
    paths = [f"/p{i}" for i in range(997)]
    with socket.create_connection(("127.0.0.1", stack.port), timeout=60) as s:
        later = stack_module.Later(
            lambda: s.sendall(b"".join(b"GET %s HTTP/1.1\r\n" % p.encode() + HOST + b"\r\n" for p in paths) + LAST)
        )
        answer = b""
        while chunk := s.recv(1 << 20):
            answer += chunk
        later.result()
    assert re.findall(rb"There is nothing at (/p\d+)\"", answer) == [path.encode() for path in paths]
    assert statuses(answer) == [404] * 997 + [200]


def test_old_and_bare_requests_do_no_harm(stack):
    """HTTP/0.9 has no header, HTTP/1.0 needs no Host."""
    assert b'"status":"ok"' in stack.raw(b"GET /livez\r\n")
    assert statuses(stack.raw(b"GET /livez HTTP/1.0\r\n\r\n")) == [200]
    assert b"/problems/" in stack.raw(b"POST /v1/tasks/demo.sum_squares\r\n")


# ---- paths

BEYOND = [
    "/internal/runs/1", "/internal/wait?job=1&seconds=1&then=/v1/jobs/1", "/internal/events?job=1",
    "/internal%2fruns%2f1", "/%2finternal/runs/1", "//internal//runs//1", "/./internal/runs/1",
    "/v1/../internal/runs/1", "/v1/%2e%2e/internal/runs/1", "/v1/jobs/../../internal/events?job=1",
    "/v1%2f..%2finternal%2fwait", "/problems/../internal/wait?job=1", "/problems/%2e%2e/_problem/internal",
    "/internal/runs/1%0a", "/INTERNAL/runs/1", "/internal;x/runs/1", "/internal%20/runs/1", "/internal/runs/1/replayed",
    "/%69nternal/runs/1", "/internal/runs/%31?x=/internal/", "/_problem/internal", "/%5fproblem/internal",
    "/_problem/../_problem/too-large", "/@gangsaw_api", "/%40gangsaw_api", "/internal/../internal/wait",
]  # fmt: skip


@pytest.mark.parametrize("path", BEYOND)
def test_nothing_internal_is_reached(stack, path):
    answer = stack.raw(get(path))
    assert statuses(answer) == [404]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/not-found"


@pytest.mark.parametrize("field", ["X-Accel-Redirect", "X-Accel-Buffering", "X-Original-URL", "X-Rewrite-URL"])
def test_a_client_cannot_redirect_nginx(stack, field):
    answer = stack.raw(get("/livez", field.encode() + b": /internal/runs/1\r\n"))
    assert statuses(answer) == [200] and b'"status":"ok"' in answer


PLACES = {
    "/..%2f..%2fetc/passwd": 400, "/problems/..%2f..%2fetc/passwd": 400, "/problems/%2e%2e/%2e%2e/etc/passwd": 400,
    "/problems/....//....//etc/passwd": 404, "/problems/..\\..\\etc\\passwd": 404, "/problems/..%5c..%5cetc%5cpasswd": 404,
    "/problems/%252e%252e/x": 404, "/problems/%252e%252e%252fx": 404, "/problems/%c0%ae%c0%ae/x": 404,
    "/problems/.": 200, "/problems/x/../not-found": 200, "/style.css/": 404, "/style.css%20": 404, "/style.css%00.html": 400,
    "/problems/../nginx.conf": 404, "/../gangsaw-server.conf": 400, "/problems/%2e%2e/gangsaw-server.conf": 404,
    "/%c0%af": 400, "/%e0%80%af": 400, "/%ed%a0%80": 400, "/%ff": 400, "/\xff": 400, "/%f4%90%80%80": 400,
    "/livez%00": 400, "/livez%0a": 400, "/livez%0d%0aX-A:b": 400, "/livez%7f": 400, "/%": 400, "/%4": 400, "/%zz": 400, "/%u002e": 400,
    "//livez": 200, "/%2flivez": 200, "/./livez": 200, "/x/../livez": 200, "/livez/": 404, "/livez;x": 404, "/livez%3fx": 404,
    "/v1/tasks/..%2fjobs%2fx%0a": 400, "/v1/tasks/a%2fb": 404, "/v1/tasks/%2e%2e%2f%2e%2e%2finternal%2fruns%2f1": 404,
}  # fmt: skip


@pytest.mark.parametrize("path", PLACES)
def test_odd_paths_lead_nowhere_else(stack, path):
    answer = stack.raw(get(path))
    assert statuses(answer) == [PLACES[path]]
    assert b"root:" not in answer and b"fastcgi_param" not in answer


# ---- Host

NO_HOSTS = {
    "none": b"", "empty": b"Host:\r\n", "two": HOST * 2, "two that differ": b"Host: a\r\n" + HOST, "a slash": b"Host: a/b\r\n",
    "two dots": b"Host: a..b\r\n", "a space": b"Host: a b\r\n", "NUL": b"Host: a\0b\r\n",
    "folded": b"Host:\r\n localhost\r\n", "a space before the colon": b"Host : localhost\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_HOSTS)
def test_a_request_needs_one_host(stack, name):
    answer = stack.raw(b"GET /livez HTTP/1.1\r\n" + NO_HOSTS[name] + b"\r\n" + LAST)
    assert statuses(answer) == [400]


def test_a_target_with_a_user_is_refused(stack):
    assert statuses(stack.raw(b"GET http://a@localhost/livez HTTP/1.1\r\n" + HOST + b"\r\n")) == [400]


# ---- what comes back

EVIL = "%0d%0aX-Evil:%201%0d%0a%0d%0a<script>"
ECHOED = [
    f"/{EVIL}", f"/v1/tasks/{EVIL}", f"/v1/jobs/{EVIL}", f"/v1/jobs/{EVIL}/result", f"/v1/jobs/x/outputs/{EVIL}", f"/v1/jobs/{EVIL}/events",
    f"/v1/blobs/{EVIL}", f"/v1/jobs?tag={EVIL}", f"/v1/jobs?cursor={EVIL}", f"/v1/jobs?task={EVIL}", f"/v1/jobs?state={EVIL}", f"/v1/jobs?{EVIL}=1",
    f"/v1/jobs/x?wait={EVIL}", f"/v1/jobs/x?wait=5&then={EVIL}", f"/v1/tasks/demo.sum_squares?{EVIL}", f"/problems/{EVIL}", f"/livez?then={EVIL}",
    f"/internal/wait?then={EVIL}",
]  # fmt: skip


@pytest.mark.parametrize("path", ECHOED)
def test_nothing_of_the_target_becomes_a_field(stack, path):
    answer = stack.raw(get(path))
    assert "X-Evil" not in dict(fields_of(answer))
    assert answer.count(b"\r\n\r\n") == 1 and len(statuses(answer)) == 1


@pytest.mark.parametrize(
    "name",
    ["Accept", "Content-Type", "Content-Disposition", "Content-Encoding", "Prefer", "Gangsaw-Job", "Gangsaw-Timeout",
     "Idempotency-Key", "Range", "If-Range", "If-None-Match", "X-Request-Id", "Request-Id", "Traceparent", "Tracestate",
     "Authorization", "Last-Event-ID", "Host", "Cookie", "Origin", "Referer"],
)  # fmt: skip
def test_nothing_of_a_header_becomes_a_field(stack, name):
    """A bare line feed ends a line for nginx: the second half is a field of the request, not of the answer."""
    for value in (b"a\tb\x01\xff\x7f", b'"\\r\\nX-Evil: 1', b"a%0d%0aX-Evil: 1", b"x" * 12000, b"<script>", b",;=\"'"):
        fields = name.encode() + b": " + value + b"\r\n"
        host = b"" if name == "Host" else HOST
        sent = b"POST /v1/tasks/demo.sum_squares?n=1 HTTP/1.1\r\n" + host + fields + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        answer = stack.raw(sent)
        got = fields_of(answer)
        assert "X-Evil" not in dict(got) and len(statuses(answer)) == 1
        assert statuses(answer)[0] < 500
        assert not any(value.strip() in given.encode("latin-1") for _, given in got), got


def test_a_file_name_cannot_leave_its_field(stack):
    names = ['a"; filename="b', "a%0d%0aX-Evil: 1", "..\\..\\x", "../../x", "a;b", "\u202egpj.exe", "%00", "ü" * 60]
    for name in names:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        sent = f'attachment; filename="{quoted}"'.encode()
        answer = stack.post("/v1/blobs", data=b"x", headers={"Content-Disposition": sent, "Content-Type": "text/html"})
        assert answer.status_code == 201, answer.text
        back = stack.get(answer.headers["Location"])
        field = back.headers["Content-Disposition"]
        assert re.fullmatch(r"attachment; filename=\"[^\"\\%/\x00-\x1f\x7f-\uffff]*\"(; filename\*=UTF-8''[\w.~!$&+^`|#%-]*)?", field), field
        assert "X-Evil" not in back.headers


def test_a_tag_comes_back_escaped_in_the_link(stack):
    tag = 'a"b>;rel=x'
    body = {"jobs": [{"task": "demo.sum_squares", "params": {"n": 1}, "tags": [tag]}] * 2}
    stored = stack.post("/v1/jobs", json=body)
    assert stored.status_code == 202
    link = stack.get("/v1/jobs", params={"tag": tag, "limit": 1}).headers["Link"]
    assert re.fullmatch(r'</v1/jobs\?tag=a%22b%3E%3Brel%3Dx&limit=1&cursor=[\w-]+>; rel="next"', link)


# ---- fields as variables

def test_a_field_has_one_name_only(stack):
    """Accept_ would become the same CGI variable as Accept-: nginx drops it."""
    run = {"json": {"n": 1}}
    answer = stack.post("/v1/tasks/demo.sum_squares", **run, headers={"Idempotency_Key": "x", "Gangsaw_Timeout": "x", "Gangsaw_Job": "x"})
    assert answer.status_code == 200
    assert stack.post("/v1/tasks/demo.sum_squares", **run, headers={"Gangsaw-Timeout": "x"}).status_code == 400


@pytest.mark.parametrize(
    "name", ["Proxy", "Request-Method", "Script-Name", "Path-Info", "Remote-Addr", "Server-Addr", "Https", "Content-Length-", "Request-Id"]
)
def test_a_field_cannot_pose_as_a_variable_of_nginx(stack, name):
    answer = stack.get("/livez", headers={name: "/internal/runs/1"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    line = stack.log_line("api", answer)
    assert (line["method"], line["path"]) == ("GET", "/livez")


def test_the_first_of_two_content_types_counts(stack):
    def send(*types):
        fields = b"".join(b"Content-Type: " + each + b"\r\n" for each in types)
        sent = post(fields + b"Content-Length: 7\r\nConnection: close\r\n", b'{"n":1}', b"/v1/tasks/demo.sum_squares")
        return statuses(stack.raw(sent))

    assert send(b"application/json", b"image/png") == [200]
    assert send(b"image/png", b"application/json") == [415]


def test_packed_bodies_are_refused_unread(stack):
    """Nothing of ours unpacks what a client packed: there is no bomb."""
    for coding in ("gzip", "deflate", "br", "gzip, gzip", "x-gzip"):
        answer = stack.post("/v1/tasks/demo.sum_squares", data=b"\x1f\x8b" * 500, headers={"Content-Encoding": coding, "Content-Type": "application/json"})
        stack_module.problem_of(answer, "unsupported-media-type", 415)


def test_many_fields_are_refused_with_their_limit(stack):
    few = b"".join(b"X-%d: 1\r\n" % i for i in range(250))
    many = b"".join(b"X-%d: 1\r\n" % i for i in range(8000))
    for fields in (few, many):
        answer = stack.raw(get("/livez", fields))
        assert statuses(answer) == [431]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/headers-too-large"


CONDITIONS = {
    "Range": ["bytes=0-0", "bytes=" + "0-," * 500 + "0-", "bytes=9-1", "bytes=-0", "bytes=99999999999999999999-", "x=1"],
    "If-Range": ['"x"', "x"], "If-Match": ['"x"'], "If-None-Match": ["*", '"x"' * 200], "If-Modified-Since": ["x"],
    "If-Unmodified-Since": ["Thu, 01 Jan 1970 00:00:00 GMT", "x"], "TE": ["trailers"], "Keep-Alive": ["timeout=99999"],
}  # fmt: skip


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_fail_nothing(stack, name):
    for value in CONDITIONS[name]:
        for path in ("/", "/style.css", "/problems/", "/livez", "/v1/tasks", "/openapi.json", "/v1/jobs", "/nowhere"):
            answer = stack.get(path, headers={name: value})
            assert answer.status_code < 500, (name, value, path)
            assert len(answer.content) < 1 << 20


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_connection_serves_the_next_request_or_says_that_it_closes(stack, name):
    for value in CONDITIONS[name]:
        for path in ("/", "/problems/", "/livez", "/v1/jobs", "/nowhere"):
            request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n\r\n".encode()
            answer = stack.raw(request + LAST)
            says_so = ("Connection", "close") in fields_of(answer)
            assert len(statuses(answer)) == (1 if says_so else 2), (value, path)


# ---- browsers

def test_every_answer_is_guarded_against_other_sites(stack):
    """It is taken for what it says it is, is not embedded by other sites, and kept by nobody unless it says so."""
    run = "/v1/tasks/demo.sum_squares"
    job = stack.submit("demo.sum_squares", {"n": 1})["id"]
    stack.wait_for_job(job)
    answers = [stack.get(p) for p in ("/livez", "/readyz", "/openapi.json", "/v1/tasks", run, "/v1/jobs", f"/v1/jobs/{job}", f"/v1/jobs/{job}/result")]
    answers += [stack.post(run, json={"n": 1}), stack.post(run, json={}), stack.post(run, json={"n": 1}, headers={"Prefer": "respond-async, wait=20"})]
    answers += [stack.get(f"/v1/jobs/{job}?wait=1"), stack.get("/nowhere"), stack.request("OPTIONS", run)]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff", answer.url
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-site"
        assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache"), answer.url
        assert not any(name.startswith("Access-Control-") for name in answer.headers)
    for path in ("/internal/x", "/problems/none"):
        assert stack.get(path).headers["X-Content-Type-Options"] == "nosniff"
        assert stack.get(path).headers["Cache-Control"] == "no-store"
    with stack.get(f"/v1/jobs/{job}/events", stream=True) as events:
        assert events.headers["X-Content-Type-Options"] == "nosniff"
        assert events.headers["Cross-Origin-Resource-Policy"] == "same-site"
    for path in ("/", "/problems/", "/problems/not-found"):
        page = stack.get(path).headers
        assert "frame-ancestors 'none'" in page["Content-Security-Policy"]
        assert (page["Cross-Origin-Resource-Policy"], page["Referrer-Policy"]) == ("same-origin", "same-origin")


def test_no_page_of_another_site_is_told_that_it_may_ask(stack):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "prefer"}
    answer = stack.request("OPTIONS", "/v1/tasks/demo.sum_squares", headers=asked)
    assert not any(name.lower().startswith("access-control-") for name in answer.headers)
