# SPDX-License-Identifier: BSD-2-Clause
"""Which form an answer takes: Accept, `format`, and what an answer says about itself."""

import base64
import hashlib
import json

import pictures
import pytest
from stack import problem_of

TRANSFORM = "/v1/tasks/image.transform"
SUM = "/v1/tasks/demo.sum_squares"
PICTURE = pictures.png(64, 48, pictures.gradient)
NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NAVIGATION_WITH_PICTURES = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)
ELEMENT = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def transform(stack, accept=None, **params):
    headers = {"Content-Type": "image/png", "Accept": accept}
    return stack.post(TRANSFORM, params={"width": 20, **params}, data=PICTURE, headers=headers)


def output_of(answer):
    """The one output of an answer in JSON: its description and its bytes."""
    assert answer.status_code == 200, answer.text[:2000]
    assert answer.headers["Content-Type"] == "application/json"
    (output,) = answer.json()["outputs"]
    return output, base64.b64decode(output["base64"], validate=True)


PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
BYTES = {
    None: PNG,
    "*/*": PNG,
    "image/*": PNG,
    "image/*;q=0.5": PNG,
    "image/png": PNG,
    "image/webp": WEBP,
    "IMAGE/WEBP": WEBP,
    "image/webp;level=1": WEBP,
    "image/jpeg": JPEG,
    "image/jpeg;q=0.5, image/webp;q=0.9": WEBP,
    "image/jpeg;q=0.9 , image/webp;q=0.5": JPEG,
    "image/webp, image/png": PNG,
    "image/webp, image/*;q=0.1": WEBP,
    "image/png;q=0, image/webp;q=0.001": WEBP,
    "image/bmp, image/webp;q=0.1": WEBP,
    "application/json;q=0.5, image/*": PNG,
    "application/json;q=0.5, image/jpeg": JPEG,
    "application/json, image/webp": WEBP,
    "text/html, image/webp": WEBP,
    ",, image/webp ,": WEBP,
    "image/webp;q=1.000, */*;q=0": WEBP,
    NAVIGATION: PNG,
    NAVIGATION_WITH_PICTURES: WEBP,
    ELEMENT: PNG,
}


@pytest.mark.parametrize("accept", BYTES)
def test_accept_chooses_the_format_of_the_bytes(stack, accept):
    answer = transform(stack, accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == BYTES[accept]
    assert pictures.look(answer.content) == (BYTES[accept].removeprefix("image/"), 20, 15)


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "application/json;q=0.5",
        "application/json;q=0.001",
        "application/*",
        "application/json;charset=utf-8",
        "application/json, */*;q=0.8",
        "*/*;q=0.8, application/json",
        "application/json;q=0.5, image/*;q=0.4",
        "image/*;q=0, */*",
        "image/bmp, application/json;q=0.1",
    ],
)
def test_accept_that_ranks_json_first_gets_json(stack, accept):
    output, data = output_of(transform(stack, accept))
    assert output["media_type"] in (PNG, JPEG, WEBP)
    assert pictures.look(data) == (output["media_type"].removeprefix("image/"), 20, 15)


def test_accept_chooses_the_format_inside_json_too(stack):
    for accept, media_type in (
        ("application/json, image/webp;q=0.5", WEBP),
        ("application/json, image/jpeg;q=0.5, image/webp;q=0.4", JPEG),
        ("application/json", PNG),
    ):
        assert output_of(transform(stack, accept))[0]["media_type"] == media_type


REFUSED = ["text/html", "image/bmp", "image/jxl, image/svg+xml", "*/*;q=0", "image/*;q=0", "application/problem+json", "application/xml"]


@pytest.mark.parametrize("accept", REFUSED)
def test_what_cannot_be_accepted_is_refused_before_anything_is_computed(stack, accept):
    answer = transform(stack, accept)
    detail = problem_of(answer, "not-acceptable", 406)["detail"]
    assert all(each in detail for each in ("application/json", PNG, JPEG, WEBP))
    assert answer.headers["Server-Timing"].endswith("run;dur=0.000")
    assert stack.log_line("compute", answer)["run_ms"] == 0


@pytest.mark.parametrize("accept", ["text/html", "image/png", "application/json;q=0", "application/xml"])
def test_a_result_alone_is_json_or_nothing(stack, accept):
    problem_of(stack.post(SUM, json={"n": 10**13}, headers={"Accept": accept}), "not-acceptable", 406)


@pytest.mark.parametrize("accept", [None, "*/*", "application/*;q=0.1", "application/json", NAVIGATION])
def test_a_result_alone_is_json_for_whoever_takes_it(stack, accept):
    answer = stack.post(SUM, json={"n": 3}, headers={"Accept": accept})
    assert answer.json() == {"task": "demo.sum_squares", "result": {"sum": "5"}}


def test_a_format_that_is_given_is_kept(stack):
    for accept in (None, "*/*", "image/*", "image/jpeg;q=0.1, image/png;q=0", NAVIGATION):
        assert transform(stack, accept, format="jpeg").headers["Content-Type"] == JPEG


def test_a_given_format_that_is_not_acceptable_is_refused(stack):
    for accept in ("image/webp", "image/jpeg;q=0, image/*", "text/html"):
        problem_of(transform(stack, accept, format="jpeg"), "not-acceptable", 406)


def test_a_given_format_that_is_not_acceptable_comes_in_json_where_that_is(stack):
    output, data = output_of(transform(stack, "image/webp, application/json;q=0.1", format="jpeg"))
    assert output["media_type"] == JPEG and pictures.look(data)[0] == "jpeg"


BAD = [
    "image", "image/", "/png", "*/png", "image/webp;q=2", "image/webp;q=-1", "image/webp;q=0.1234", "image/webp;q=",
    "image/webp;q", 'image/webp;q="1"', "image/webp image/png", "image/webp;=x", "image/webp;a b", "image/w(ebp",
    ", ".join(["image/webp"] * 101),
]  # fmt: skip


@pytest.mark.parametrize("accept", BAD, ids=lambda accept: accept[:20])
def test_an_accept_that_is_not_well_formed_is_refused(stack, accept):
    assert "Accept" in problem_of(transform(stack, accept), "invalid-request", 400)["detail"]


def test_several_lines_of_accept_are_one_list(stack):
    head = (
        f"POST {TRANSFORM}?width=20 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(PICTURE)}\r\n"
        "Accept: image/bmp\r\nAccept: image/webp;q=0.5\r\nConnection: close\r\n\r\n"
    )
    fields, _, body = stack.raw(head.encode() + PICTURE).partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: image/webp\r\n" in fields
    assert pictures.look(body) == ("webp", 20, 15)


# ---- what an answer says about itself


def test_json_describes_the_output_and_carries_it(stack):
    raw = transform(stack)
    answer = transform(stack, "application/json")
    output, data = output_of(answer)
    assert set(answer.json()) == {"task", "result", "outputs"}
    assert answer.json()["task"] == "image.transform"
    assert answer.json()["result"] == {"format": "png", "width": 20, "height": 15}
    assert set(output) == {"name", "media_type", "size", "sha256", "base64"}
    assert (output["name"], output["media_type"], output["size"]) == ("image", PNG, len(data))
    assert output["sha256"] == hashlib.sha256(data).hexdigest()
    assert data == raw.content


def test_bytes_carry_the_result_in_a_header_field_of_ascii(stack):
    answer = transform(stack, format="webp")
    text = answer.headers["Gangsaw-Result"]
    assert text.isascii() and text.isprintable()
    assert json.loads(text) == {"format": "webp", "width": 20, "height": 15}


def test_bytes_have_a_file_name_and_are_what_they_say(stack):
    for name, ending in (("png", "png"), ("jpeg", "jpg"), ("webp", "webp")):
        answer = transform(stack, format=name)
        assert answer.headers["Content-Disposition"] == f'inline; filename="image.{ending}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_json_over_the_limit_of_base64_is_refused_and_the_bytes_are_not(start_stack):
    own = start_stack(http_max_base64_bytes=1024)
    noise = pictures.png(64, 64, lambda x, y: hashlib.sha256(bytes((x, y))).digest()[:3])
    headers = {"Content-Type": "image/png"}
    answer = own.post(TRANSFORM, data=noise, headers={**headers, "Accept": "application/json"})
    detail = problem_of(answer, "too-large", 413)["detail"]
    assert "http.max_base64_bytes = 1024" in detail
    assert len(own.post(TRANSFORM, data=noise, headers=headers).content) > 1024
