# SPDX-License-Identifier: BSD-2-Clause
"""While there is no key the server serves its own host alone; and when nobody knows the keys, nobody."""

import json
import re
import socket
import subprocess

import pytest
import requests
from keys import SUM, Caller, add_keys
from stack import free_port, problem_of, wait_until

import stack as stack_module

LOCAL = ["localhost", "LOCALHOST", "localhost:8080", "app.localhost", "127.0.0.1", "127.0.0.1:1", "127.9.8.7", "[::1]",
         "[::1]:8080"]  # fmt: skip
FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "127.0.0.1.evil:80", "evillocalhost",
           "192.0.2.1", "[2001:db8::1]", "0.0.0.0", "127.1", "2130706433", "localhost.localdomain"]  # fmt: skip


def status_of(answer):
    return int(answer.split()[1])


def ask(stack, host, version="1.1"):
    field = b"" if host is None else b"Host: " + host.encode() + b"\r\n"
    return stack.raw(b"GET /v1/tasks HTTP/" + version.encode() + b"\r\nConnection: close\r\n" + field + b"\r\n")


@pytest.mark.parametrize("host", LOCAL)
def test_this_host_is_served_under_names_of_its_own(stack, host):
    assert status_of(ask(stack, host)) == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_a_web_page_could_have_is_refused(stack, host):
    answer = ask(stack, host)
    assert status_of(answer) == 401, answer
    assert b"gangsaw key create" in answer and b"WWW-Authenticate: Bearer" in answer


def test_a_key_that_is_not_known_is_refused_and_not_taken_for_nobody(stack):
    key = f"gs_{'a' * 12}_{'b' * 43}"
    answer = stack.get("/v1/tasks", headers={"Authorization": f"Bearer {key}"})
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    problem_of(answer, "unauthorized", 401)


def test_without_a_host_nobody_is_served(stack):
    assert status_of(ask(stack, None, "1.0")) == 401
    assert status_of(ask(stack, None)) == 400
    assert status_of(ask(stack, "", "1.0")) in (400, 401)


@pytest.mark.parametrize("fields", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://localhost.evil.example"},
])  # fmt: skip
def test_a_page_of_another_site_sends_no_forms(stack, fields):
    problem_of(stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=fields), "forbidden", 403)
    own = {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}
    assert stack.post(f"/v1/tasks/{SUM}", json={"n": 1}, headers=own).status_code == 200


@pytest.mark.parametrize("field", ["Forwarded", "Via", "X-Forwarded-For", "X-Real-IP"])
def test_whoever_comes_by_a_proxy_of_this_host_is_not_local(stack, field):
    for path in ("/v1/tasks", "/metrics"):
        problem_of(stack.get(path, headers={field: "127.0.0.1"}), "unauthorized", 401)


def test_a_web_page_reads_no_figures(stack):
    problem_of(stack.get("/metrics", headers={"Host": "evil.example"}), "unauthorized", 401)
    assert stack.get("/metrics").status_code == 200


def other_address():
    """An address of this machine that is no loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.77", 9))
            return s.getsockname()[0]
        except OSError:
            return None


def test_a_server_of_another_address_asks_for_a_key(start_stack):
    address = other_address()
    if address is None or address.startswith("127."):
        pytest.skip("this machine has no address but loopback ones")
    stack = start_stack()
    port = free_port()
    found = [path for path in stack.var.rglob("*.conf") if "daemon off" in path.read_text()]
    text = re.sub(r"listen 127\.0\.0\.1:\d+", f"listen {address}:{port}", found[0].read_text())
    text = re.sub(r"(?m)^pid .*;", f"pid {stack.var}/other.pid;", text)
    (stack.var / "other.conf").write_text(text)
    nginx = subprocess.Popen(["nginx", "-c", str(stack.var / "other.conf"), "-e", str(stack.var / "other.log")])
    try:
        url = f"http://{address}:{port}/v1/tasks"
        wait_until(lambda: not socket.socket().connect_ex((address, port)), 20, "nginx")
        for headers in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1", "Host": "127.0.0.1"}):
            answer = requests.get(url, headers=headers, timeout=60)
            assert "gangsaw key create" in problem_of(answer, "unauthorized", 401)["detail"]
        caller, = add_keys(stack, Caller(stack))  # fmt: skip
        assert requests.get(url, headers=caller.authorization, timeout=60).status_code == 200
    finally:
        nginx.terminate()
        nginx.wait(30)


@pytest.mark.full
def test_nobody_is_served_when_the_keys_are_not_known_any_more(start_stack):
    stack = start_stack(auth_stale_seconds=5)
    caller, = add_keys(stack, Caller(stack))  # fmt: skip
    stack.kill_database()
    assert caller.post(f"/v1/tasks/{SUM}", json={"n": 1}).status_code == 200
    wait_until(lambda: caller.get("/v1/tasks").status_code == 503, 30, "stale")
    for answer in (caller.post(f"/v1/tasks/{SUM}", json={"n": 1}), stack.get("/v1/tasks")):
        problem = problem_of(answer, "unavailable", 503)
        assert "auth.stale_seconds" in problem["detail"] and answer.headers["Retry-After"]
    assert stack.get("/livez").status_code == 200
    assert "keys" in problem_of(stack.get("/readyz"), "unavailable", 503)["detail"]
    stack.start()
    wait_until(lambda: caller.get("/v1/tasks").status_code == 200, 30, "known again")


def test_without_a_database_there_are_no_keys(start_stack):
    stack = start_stack(database_url="")
    assert stack.get("/v1/tasks").status_code == 200
    answer = stack.get("/v1/tasks", headers={"Host": "evil.example"})
    assert "database.url" in problem_of(answer, "unauthorized", 401)["detail"]
    assert json.loads(stack.get("/readyz").text)["status"] == "ready"
