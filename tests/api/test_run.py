# SPDX-License-Identifier: BSD-2-Clause
"""A task computed now: parameters, answers, errors, and the catalogue that says what there is."""

import json
import re
import socket

import pytest
import stack as stack_module
from stack import field_errors_of, problem_of

SUM = "/v1/tasks/demo.sum_squares"
TRANSFORM = "/v1/tasks/image.transform"
JSON = {"Content-Type": "application/json"}
FOREVER = 10**13  # terms: hours


def sum_squares(n):
    return str((n - 1) * n * (2 * n - 1) // 6)


def post_json(stack, text, path=SUM):
    return stack.post(path, data=text, headers=JSON)


# ---- the answer


def test_a_million_squares_are_summed_exactly(stack):
    answer = post_json(stack, '{"n":1000000}')
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"task": "demo.sum_squares", "result": {"sum": "333332833333500000"}}


@pytest.mark.parametrize("n", [0, 1, 2, 3, 300000, 3000000, 30000000])
def test_sums_are_exact_beyond_2_to_the_53(stack, n):
    assert stack.post(SUM, json={"n": n}).json()["result"] == {"sum": sum_squares(n)}


def test_parameters_mean_the_same_wherever_they_stand(stack):
    answers = [
        stack.post(SUM, json={"n": 12345}),
        post_json(stack, b' { "n" : 1.2345e4 } '),
        stack.post(SUM, data=b'{"n":12345}', headers={"Content-Type": "Application/JSON; charset=utf-8"}),
        stack.post(SUM + "?n=12345"),
        stack.post(SUM + "?n=%31%32345&"),
        stack.post(SUM + "?n=12345", json={}),
        stack.post(SUM, files={"n": (None, "12345")}),
        stack.post(SUM, files={"params": (None, '{"n": 12345}', "application/json")}),
    ]
    assert [answer.text for answer in answers] == [answers[0].text] * len(answers)
    assert answers[0].json()["result"] == {"sum": sum_squares(12345)}


def test_a_form_of_a_browser_without_multipart_is_told_what_to_send(stack):
    problem = problem_of(stack.post(SUM, data={"n": 5}), "unsupported-media-type", 415)
    assert "application/json" in problem["detail"] and "multipart/form-data" in problem["detail"]


def test_a_body_may_come_in_chunks(stack):
    answer = stack.post(SUM, data=iter([b'{"n"', b":", b"1000}"]), headers=JSON)
    assert "Content-Length" not in answer.request.headers
    assert answer.json()["result"] == {"sum": sum_squares(1000)}


def test_every_answer_tells_how_long_it_waited_and_ran(stack):
    slow = stack.post(SUM, json={"n": FOREVER}, headers={"Gangsaw-Timeout": "0.1"})
    for answer in (stack.post(SUM, json={"n": 1}), slow, stack.get("/livez"), stack.get("/nothing"), stack.post(SUM)):
        assert re.fullmatch(r"queue;dur=\d+\.\d+, run;dur=\d+\.\d+", answer.headers["Server-Timing"])


def test_every_answer_has_its_request_id(stack):
    answers = [
        stack.get("/livez"),
        stack.get("/v1/tasks"),
        stack.post(SUM, json={"n": 1}),
        stack.post(SUM, json={}),
        post_json(stack, "{"),
        stack.post("/v1/tasks/no.such.task"),
        stack.get("/nowhere"),
        stack.request("PUT", SUM),
        stack.request("OPTIONS", SUM),
        stack.request("HEAD", "/livez"),
    ]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    for answer in answers:
        if answer.headers.get("Content-Type") == "application/problem+json":
            assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_problems_are_not_kept_by_caches(stack):
    assert stack.post(SUM, json={}).headers["Cache-Control"] == "no-store"


# ---- Gangsaw-Timeout


def test_timeout_of_the_client_ends_a_run(stack):
    answer = stack.post(SUM, json={"n": FOREVER}, headers={"Gangsaw-Timeout": "0.2"})
    problem = problem_of(answer, "timed-out", 504)
    assert "Gangsaw-Timeout = 0.2 s" in problem["detail"]
    assert stack.post(SUM, json={"n": 10}).status_code == 200


@pytest.mark.parametrize("seconds", ["10", "2.5", "0.75", "600", "00010"])
def test_timeout_of_the_client_leaves_quick_runs_alone(stack, seconds):
    assert stack.post(SUM, json={"n": 10}, headers={"Gangsaw-Timeout": seconds}).status_code == 200


@pytest.mark.parametrize(
    "seconds", ["0", "0.0", "-1", "+1", "", "soon", "1e3", "inf", "nan", "0x10", "1.2.3", ".", "1s", "1 2", "1, 2"]
)
def test_a_timeout_that_is_no_number_of_seconds_is_refused(stack, seconds):
    answer = stack.post(SUM, json={"n": 10}, headers={"Gangsaw-Timeout": seconds})
    assert "Gangsaw-Timeout" in problem_of(answer, "invalid-request", 400)["detail"]


def test_timeout_of_the_client_cannot_stretch_the_limit_of_the_task(start_stack):
    own = start_stack(config="[task demo.sum_squares]\nseconds = 0.5\n")
    answer = own.post(SUM, json={"n": FOREVER}, headers={"Gangsaw-Timeout": "1000"})
    assert "seconds = 0.5 s" in problem_of(answer, "timed-out", 504)["detail"]


# ---- errors in parameters


def test_all_errors_come_at_once_with_their_places(stack):
    body = {
        "width": "wide",
        "heigth": 3,
        "quality": 101,
        "fit": "outside",
        "rotate": 45,
        "strip": 1,
        "crop": {"left": -1, "top": 0, "width": 10, "depth": 1},
        "background": "red",
        "a/b~c": 1,
    }
    details = field_errors_of(stack.post(TRANSFORM, json=body))
    assert set(details) == {
        "/width", "/heigth", "/quality", "/fit", "/rotate", "/strip", "/crop/left", "/crop/height",
        "/crop/depth", "/background", "/a~1b~0c", "/image",
    }  # fmt: skip
    assert 'did you mean "height"' in details["/heigth"]
    assert details["/image"] == "is required"


def test_errors_have_the_same_places_in_json_query_and_multipart(stack):
    crop = {"left": -1, "top": 0, "width": 10, "height": 10}
    wrong = {"width": "wide", "colour": "red", "crop": json.dumps(crop)}
    answers = [
        stack.post(TRANSFORM, json={**wrong, "crop": crop}),
        stack.post(TRANSFORM, params=wrong),
        stack.post(TRANSFORM, files={name: (None, text) for name, text in wrong.items()}),
    ]
    places = [set(field_errors_of(answer)) for answer in answers]
    assert places == [{"/width", "/colour", "/crop/left", "/image"}] * 3


WRONG_N = {
    "missing": "{}",
    "null": '{"n":null}',
    "a text": '{"n":"1000"}',
    "a boolean": '{"n":true}',
    "a fraction": '{"n":1.5}',
    "an array": '{"n":[1]}',
    "too small": '{"n":-1}',
    "too large": '{"n":10000000000001}',
    "far too large": '{"n":1e300}',
}


@pytest.mark.parametrize("name", WRONG_N)
def test_a_wrong_parameter_is_named(stack, name):
    assert list(field_errors_of(post_json(stack, WRONG_N[name]))) == ["/n"]


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e99", "true", "-1", "9007199254740993", "0x10", "1%202"])
def test_a_wrong_parameter_of_the_query_is_named(stack, text):
    assert list(field_errors_of(stack.post(f"{SUM}?n={text}"))) == ["/n"]


def test_an_unknown_parameter_is_named_with_the_one_that_was_meant(stack):
    details = field_errors_of(stack.post(SUM, json={"n": 1, "N": 2, "colour": 3}))
    assert details == {
        "/N": 'is not a known parameter; did you mean "n"?',
        "/colour": "is not a known parameter",
    }


def test_one_error_is_the_detail_of_the_problem_too(stack):
    answer = stack.post(SUM, json={"n": -1})
    assert field_errors_of(answer)["/n"] in answer.json()["detail"]


@pytest.mark.parametrize("text", ["[]", "null", "1", '"n"', "[[1]]"])
def test_a_body_that_is_no_object_is_one_error_of_the_whole(stack, text):
    assert list(field_errors_of(post_json(stack, text))) == [""]


def test_two_values_for_one_parameter_are_refused(stack):
    answers = [
        stack.post(SUM + "?n=1&n=2"),
        stack.post(SUM + "?n=1&n=1"),
        stack.post(SUM + "?n=1", json={"n": 1}),
        stack.post(SUM + "?n=1", files={"n": (None, "1")}),
        stack.post(SUM, files=[("n", (None, "1")), ("n", (None, "2"))]),
        stack.post(SUM, files=[("n", (None, "1")), ("params", (None, '{"n":1}'))]),
        stack.post(SUM, files=[("params", (None, '{"n":1}')), ("params", (None, '{"n":1}'))]),
    ]
    for answer in answers:
        assert field_errors_of(answer) == {"/n": "is given more than once"}


# ---- what is not well-formed

NOT_JSON = {
    "nothing": b"",
    "cut short": b'{"n":1',
    "a comma too many": b'{"n":1,}',
    "two values": b'{"n":1}{"n":1}',
    "bytes behind": b'{"n":1}\0',
    "a comment": b'{"n":1 /* one */}',
    "single quotes": b"{'n':1}",
    "a leading zero": b'{"n":01}',
    "a plus": b'{"n":+1}',
    "a bare point": b'{"n":1.}',
    "hexadecimal": b'{"n":0x10}',
    "NaN": b'{"n":NaN}',
    "Infinity": b'{"n":Infinity}',
    "a byte-order mark": b'\xef\xbb\xbf{"n":1}',
    "UTF-16": '{"n":1}'.encode("utf-16"),
    "bytes that are not UTF-8": b'{"n":1,"\xff":2}',
    "an overlong sequence": b'{"n":1,"\xc0\xae":2}',
    "a surrogate in UTF-8": b'{"n":1,"\xed\xa0\x80":2}',
    "a lone surrogate": rb'{"n":1,"\ud800":2}',
    "U+0000": rb'{"n":1,"\u0000":2}',
    "a control character": b'{"n":1,"a\nb":2}',
    "a repeated name": b'{"n":1,"n":1}',
    "a repeated name, escaped": rb'{"n":1,"\u006e":2}',
    "an integer beyond 2^53": b'{"n":9007199254740993}',
    "an integer beyond -2^53": b'{"n":-9007199254740993}',
    "a number beyond all": b'{"n":1e400}',
    "too deep": b'{"n":' + b"[" * 100 + b"]" * 100 + b"}",
    "very deep": b'{"n":' + b"[" * 1000000,
}


@pytest.mark.parametrize("name", NOT_JSON)
def test_json_that_is_not_strict_is_refused_with_its_place(stack, name):
    problem = problem_of(post_json(stack, NOT_JSON[name]), "invalid-request", 400)
    assert re.search(r"line \d+, column \d+", problem["detail"])
    assert "errors" not in problem


def test_json_that_is_deep_but_allowed_is_only_a_wrong_type(stack):
    assert list(field_errors_of(post_json(stack, b'{"n":' + b"[" * 60 + b"]" * 60 + b"}"))) == ["/n"]


NOT_A_QUERY = ["n=%", "n=%1", "n=%zz", "n=%00", "%ff=1", "n=%c0%ae", "n=%ed%a0%80", "&".join(["n=1"] * 1001)]


@pytest.mark.parametrize("query", NOT_A_QUERY, ids=lambda query: query[:20])
def test_a_query_that_is_not_well_formed_is_refused(stack, query):
    answer = stack.raw(f"POST {SUM}?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/invalid-request"


@pytest.mark.parametrize("media_type", ["json", "application/", "/json", "application json", "application/json,text/plain"])
def test_a_content_type_that_is_not_well_formed_is_refused(stack, media_type):
    answer = stack.post(SUM, data=b'{"n":1}', headers={"Content-Type": media_type})
    assert "Content-Type" in problem_of(answer, "invalid-request", 400)["detail"]


def test_a_client_that_is_cut_off_amid_its_body_harms_nobody(stack):
    stack.settle()
    before = len(stack.log("compute", "request"))
    head = f"POST {SUM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    for how in (socket.SHUT_WR, socket.SHUT_RDWR):
        with stack.connect() as s:
            s.sendall(head.encode() + b'{"n":1')
            s.shutdown(how)
            rest = s.recv(65536)
        assert b" 200 " not in rest
    answer = stack.post(SUM, json={"n": 1})
    assert answer.status_code == 200
    stack.settle()
    assert len(stack.log("compute", "request")) == before + 1  # half a request never reached the pool


def test_many_header_fields_are_refused_by_name(stack):
    answer = stack.post(SUM, json={"n": 1}, headers={f"X-Field-{i}": "x" for i in range(250)})
    assert "max_params" in problem_of(answer, "headers-too-large", 431)["detail"]


# ---- methods and addresses


@pytest.mark.parametrize("path", ["/livez", "/v1/tasks", SUM])
def test_head_has_the_header_of_get_and_no_body(stack, path):
    get, head = stack.get(path), stack.request("HEAD", path)
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == get.headers[name]
    assert int(get.headers["Content-Length"]) == len(get.content)


ALLOWED = {"/livez": "GET, HEAD, OPTIONS", "/v1/tasks": "GET, HEAD, OPTIONS", SUM: "GET, HEAD, POST, OPTIONS"}


@pytest.mark.parametrize("path", ALLOWED)
def test_options_says_what_an_address_allows(stack, path):
    answer = stack.request("OPTIONS", path)
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, ALLOWED[path], b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/livez"), ("POST", "/v1/tasks"), ("PUT", SUM), ("PATCH", SUM), ("DELETE", SUM), ("BREW", SUM)],
)
def test_another_method_is_refused_with_those_allowed(stack, method, path):
    answer = stack.request(method, path, data=b"{}")
    problem = problem_of(answer, "method-not-allowed", 405)
    assert answer.headers["Allow"] == ALLOWED[path]
    assert ALLOWED[path] in problem["detail"]


NOWHERE = ["/nowhere", "/v1", "/v1/", "/v1/tasks/", "/V1/tasks", f"{SUM}/", f"{SUM}/x", "/livez/", "/v1/tasks/é"]


@pytest.mark.parametrize("path", NOWHERE)
def test_an_unknown_address_is_not_found(stack, path):
    problem_of(stack.get(path), "not-found", 404)


UNKNOWN = ["no.such.task", "demo", "demo.sum_squares2", "DEMO.SUM_SQUARES", "*", "x" * 3000]


@pytest.mark.parametrize("name", UNKNOWN, ids=lambda name: name[:20])
def test_an_unknown_task_is_not_found_whatever_its_body(stack, name):
    for data in (b"", b"{", b"\0" * 100000):
        answer = post_json(stack, data, path=f"/v1/tasks/{name}")
        problem_of(answer, "not-found", 404)


def test_livez_says_ok(stack):
    answer = stack.get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


# ---- the catalogue


def catalogue(stack):
    answer = stack.get("/v1/tasks")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    return {task["name"]: task for task in answer.json()["tasks"]}


def test_the_catalogue_has_every_task_and_what_it_takes(stack):
    tasks = catalogue(stack)
    assert "demo.sum_squares" in tasks
    for task in tasks.values():
        assert task["summary"] and task["params"]["type"] == "object"
        assert task["limits"]["seconds"] > 0 and task["limits"]["memory_mb"] > 0


def test_a_task_is_shown_as_in_the_catalogue(stack):
    for name, task in catalogue(stack).items():
        answer = stack.get(f"/v1/tasks/{name}")
        assert (answer.status_code, answer.json()) == (200, task)


def test_descriptors_are_served_as_they_are_written(stack):
    tasks = catalogue(stack)
    for path in stack_module.ROOT.glob("fcgi-app/tasks/*/*.json"):
        written = json.loads(path.read_text())
        if written["name"] not in tasks:
            continue  # of a module that is not built; tests/api/test_catalogue.py says which are to be there
        assert {key: tasks[written["name"]][key] for key in written} == written


def test_the_examples_of_a_task_run(stack):
    task = catalogue(stack)["demo.sum_squares"]
    quick = [each["params"] for each in task["examples"] if each["params"]["n"] <= 10**7]
    assert quick
    for params in quick:
        assert stack.post(SUM, json=params).json()["result"] == {"sum": sum_squares(params["n"])}


def test_one_request_is_one_line_of_the_log(stack):
    answer = stack.post(SUM, json={"n": 5})
    line = stack.log_line("compute", answer)
    assert (line["method"], line["path"], line["status"], line["task"]) == ("POST", SUM, 200, "demo.sum_squares")
    refused = stack.log_line("compute", stack.post(SUM, json={"n": -5}))
    assert (refused["status"], refused["problem"], refused["run_ms"]) == (422, "invalid-params", 0)


def test_workers_are_idle_again_after_all_this(stack):
    stack.settle()
    assert stack.status()["pools"]["compute"]["classes"]["cpu"]["busy"] == 0
