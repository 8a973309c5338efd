# SPDX-License-Identifier: BSD-2-Clause
"""`gangsaw cgi`: one plain CGI request (RFC 3875) from environment, stdin and stdout."""

import email
import json
import os
import shutil
import signal
import subprocess

import pictures
import pytest
import stack as stack_module
from stack import alive, children, wait_until

SUM = "/v1/tasks/demo.sum_squares"
JSON = "application/json"


class Answer:
    """A CGI answer, taken apart."""

    def __init__(self, output):
        head, _, self.content = output.partition(b"\r\n\r\n")
        self.headers = email.message_from_bytes(head)
        self.status = int(self.headers["Status"].split()[0])
        assert len(self.content) == int(self.headers["Content-Length"])

    def json(self):
        return json.loads(self.content)


@pytest.fixture
def start_cgi(tmp_path):
    """A function that starts `gangsaw cgi` with a request, in a session of its own; none of whose
    processes may be left at the end."""
    (tmp_path / "tasks").mkdir()
    for path in stack_module.ROOT.glob("fcgi-app/tasks/*/*.json"):
        shutil.copy(path, tmp_path / "tasks")
    (tmp_path / "empty.conf").write_text("")
    log = (tmp_path / "log").open("w+b")
    environment = {
        "PATH": os.environ["PATH"],
        "GANGSAW_CONFIG": str(tmp_path / "empty.conf"),
        "GANGSAW_SERVER_TASKS_DIR": str(tmp_path / "tasks"),
        "GANGSAW_SERVER_MODULES_DIR": str(stack_module.BUILD / "modules" / ".libs"),
        "GANGSAW_SERVER_LIBEXEC_DIR": str(stack_module.BUILD),
        "GANGSAW_SERVER_USER": "nobody",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
    }
    started = []

    def start(method, path, body=b"", media_type=None, **variables):
        stack_module.skip_without_modules(path, {})
        own = {"REQUEST_METHOD": method, "PATH_INFO": path}
        if media_type is not None:
            own.update(CONTENT_TYPE=media_type, CONTENT_LENGTH=str(len(body)))
        process = subprocess.Popen(
            [stack_module.BUILD / "gangsaw", "cgi"], env={**environment, **own, **variables}, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    wait_until(lambda: not any(of_session(process.pid) for process in started))
    log.close()
    text = (tmp_path / "log").read_text(errors="replace")
    assert not stack_module.SANITIZER_REPORT.search(text), text


@pytest.fixture
def cgi(start_cgi):
    """A function that answers one request by `gangsaw cgi`."""

    def answer(method, path, body=b"", *rest, **variables):
        process = start_cgi(method, path, body, *rest, **variables)
        output, _ = process.communicate(body, timeout=60)
        assert process.returncode == 0
        assert of_session(process.pid) == []
        return Answer(output)

    return answer


def of_session(session):
    """Living processes of a session."""
    found = []
    for name in os.listdir("/proc"):
        fields = stack_module.process_state(name) if name.isdigit() else None
        if fields and int(fields[3]) == session:
            found.append(int(name))
    return found


def test_livez_is_answered(cgi):
    answer = cgi("GET", "/livez")
    assert (answer.status, answer.headers["Content-Type"], answer.json()) == (200, JSON, {"status": "ok"})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_the_catalogue_is_answered(cgi):
    names = {task["name"] for task in cgi("GET", "/v1/tasks").json()["tasks"]}
    assert "demo.sum_squares" in names


def test_a_run_is_answered(cgi):
    answer = cgi("POST", SUM, b'{"n":1000000}', JSON)
    assert answer.status == 200
    assert answer.json() == {"task": "demo.sum_squares", "result": {"sum": "333332833333500000"}}
    assert answer.headers["Server-Timing"].startswith("queue;dur=")


def test_parameters_of_the_query_are_taken(cgi):
    assert cgi("POST", SUM, QUERY_STRING="n=3").json()["result"] == {"sum": "5"}


def test_a_picture_is_answered_with_bytes(cgi):
    picture = pictures.png(64, 48, pictures.gradient)
    answer = cgi("POST", "/v1/tasks/image.transform", picture, "image/png", QUERY_STRING="width=20", HTTP_ACCEPT="image/webp")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/webp")
    assert pictures.look(answer.content) == ("webp", 20, 15)
    assert json.loads(answer.headers["Gangsaw-Result"])["width"] == 20


def test_a_large_input_arrives_whole(cgi):
    picture = pictures.png(64, 48) + bytes(3 << 20)
    answer = cgi("POST", "/v1/tasks/image.inspect", picture, "image/png")
    assert answer.json()["result"]["width"] == 64


def test_head_has_no_body_but_its_length(start_cgi):
    process = start_cgi("HEAD", "/livez")
    output, _ = process.communicate(timeout=60)
    assert b"\r\nContent-Length: 16\r\n" in output and output.endswith(b"\r\n\r\n")


PROBLEMS = {
    "an unknown address": (("GET", "/nowhere"), 404, "not-found"),
    "an unknown task": (("POST", "/v1/tasks/no.such.task"), 404, "not-found"),
    "another method": (("DELETE", SUM), 405, "method-not-allowed"),
    "a missing parameter": (("POST", SUM, b"{}", JSON), 422, "invalid-params"),
    "broken JSON": (("POST", SUM, b"{", JSON), 400, "invalid-request"),
    "no picture": (("POST", "/v1/tasks/image.transform", b"text", "image/png"), 422, "invalid-input"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_wrong_is_answered_as_a_problem(cgi, name):
    request, status, problem = PROBLEMS[name]
    answer = cgi(*request)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (answer.json()["type"], answer.json()["status"]) == (f"/problems/{problem}", status)
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_an_executor_that_is_not_needed_is_gone_however_early(cgi):
    """The answer may be there before the executor has started."""
    for _ in range(30):
        assert cgi("POST", SUM, b"{", JSON).status == 400


def test_a_body_shorter_than_its_length_is_refused(cgi):
    answer = cgi("POST", SUM, b'{"n":1}', JSON, CONTENT_LENGTH="1000")
    assert (answer.status, answer.json()["type"]) == (400, "/problems/invalid-request")


def test_a_time_out_of_the_client_ends_the_run(cgi):
    answer = cgi("POST", SUM, b'{"n":10000000000000}', JSON, HTTP_GANGSAW_TIMEOUT="0.2")
    assert (answer.status, answer.json()["type"]) == (504, "/problems/timed-out")


def start_long_run(start_cgi):
    """A request that computes for hours, and the pid of its executor."""
    process = start_cgi("POST", SUM, b'{"n":10000000000000}', JSON)
    process.stdin.write(b'{"n":10000000000000}')
    process.stdin.close()
    process.stdin = None
    (executor,) = wait_until(lambda: children(process.pid))
    wait_until(lambda: stack_module.cpu_seconds(executor) > 0.1)
    return process, executor


def test_a_crash_of_the_executor_is_answered_with_its_signal(start_cgi):
    process, executor = start_long_run(start_cgi)
    os.kill(executor, signal.SIGSEGV)
    output, _ = process.communicate(timeout=60)
    answer = Answer(output)
    assert (answer.status, answer.json()["type"]) == (500, "/problems/executor-crashed")
    assert "SIGSEGV" in answer.json()["detail"]
    assert process.returncode == 0 and of_session(process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_executor_never_outlives_a_cgi_that_is_killed(start_cgi, number):
    process, executor = start_long_run(start_cgi)
    process.send_signal(number)
    process.wait(timeout=60)
    wait_until(lambda: not alive(executor))
