# SPDX-License-Identifier: BSD-2-Clause
"""Bytes on their way in: raw, as multipart, as base64 in JSON; and everything that can be wrong
with them."""

import base64
import hashlib
import http.client
import json

import pictures
import pytest
from stack import field_errors_of, problem_of

TRANSFORM = "/v1/tasks/image.transform"
INSPECT = "/v1/tasks/image.inspect"
SUM = "/v1/tasks/demo.sum_squares"
PICTURE = pictures.png(64, 48, pictures.gradient)
MIB = 1 << 20


def encoded(data):
    return base64.b64encode(data).decode()


def send_raw(stack, path=TRANSFORM, data=PICTURE, media_type="image/png", **kwargs):
    headers = {"Content-Type": media_type} if media_type is not None else {}
    return stack.post(path, data=data, headers=headers, **kwargs)


def send_form(stack, body, boundary="edge", path=TRANSFORM):
    """A multipart body as it is, which may be a broken one."""
    media_type = "multipart/form-data" + (f"; boundary={boundary}" if boundary is not None else "")
    return send_raw(stack, path, body, media_type)


def part(disposition, content=b"1", *more, edge=b"edge"):
    lines = [b"--" + edge, *([b"Content-Disposition: " + disposition] if disposition else []), *more]
    return b"\r\n".join([*lines, b"", content]) + b"\r\n"


END = b"--edge--\r\n"


# ---- three kinds of body


def test_the_three_kinds_of_body_give_the_same_bytes(stack):
    params = {"width": 20, "format": "webp", "quality": 90}
    fields = {name: (None, str(value)) for name, value in params.items()}
    image = ("photo.png", PICTURE, "image/png")
    answers = [
        send_raw(stack, params=params),
        stack.post(TRANSFORM, files={**fields, "image": image}),
        stack.post(TRANSFORM, files={"image": image, **fields}),
        stack.post(TRANSFORM, params=params, files={"image": image}),
        stack.post(TRANSFORM, files={"params": (None, json.dumps(params)), "image": image}),
        stack.post(TRANSFORM, json={**params, "image": {"base64": encoded(PICTURE)}}),
        stack.post(TRANSFORM, params=params, json={"image": {"base64": encoded(PICTURE), "media_type": "image/png"}}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert {answer.headers["Content-Type"] for answer in answers} == {"image/webp"}
    assert len({answer.content for answer in answers}) == 1
    assert pictures.look(answers[0].content) == ("webp", 20, 15)


def test_parameters_in_the_query_have_the_types_of_the_schema(stack):
    query = {"strip": "false", "crop": '{"left":8,"top":4,"width":16,"height":12}', "format": "png", "background": "#00ff00"}
    answer = send_raw(stack, params=query)
    assert pictures.look(answer.content) == ("png", 16, 12)
    assert pictures.read_png(answer.content)[0][0] == pictures.gradient(8, 4)


@pytest.mark.parametrize("media_type", ["image/png", "IMAGE/PNG", "image/png; q=1", "application/octet-stream", None])
def test_bytes_come_under_their_media_type_or_none(stack, media_type):
    answer = send_raw(stack, INSPECT, media_type=media_type)
    assert answer.json()["result"]["format"] == "png"


def test_a_raw_body_may_come_in_chunks(stack):
    pieces = [PICTURE[at : at + 100] for at in range(0, len(PICTURE), 100)]
    assert send_raw(stack, INSPECT, iter(pieces)).json() == send_raw(stack, INSPECT).json()


def test_a_part_without_file_name_is_an_input_too(stack):
    answer = stack.post(INSPECT, files={"image": (None, PICTURE)})
    assert answer.json()["result"]["width"] == 64


def test_a_task_that_needs_no_body_gets_none(stack):
    assert stack.post(SUM + "?n=3").json()["result"] == {"sum": "5"}


@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, 300000, 5 * MIB])
def test_an_input_arrives_whole_whatever_its_size(stack, size):
    """Small ones travel in a message, larger ones in shared memory."""
    padded = PICTURE + bytes(i * 31 & 255 for i in range(256)) * (size // 256 + 1)
    padded = padded[: len(PICTURE) + size]
    seen = [
        send_raw(stack, INSPECT, padded),
        stack.post(INSPECT, files={"image": ("a.png", padded, "image/png")}),
        stack.post(INSPECT, json={"image": {"base64": encoded(padded)}}),
    ]
    wanted = hashlib.sha256(padded).hexdigest()
    assert [answer.json()["result"]["sha256"] for answer in seen] == [wanted] * 3


# ---- missing, twice, empty, of a wrong type


def test_a_missing_input_is_named(stack):
    answers = [
        stack.post(TRANSFORM),
        stack.post(TRANSFORM, json={}),
        stack.post(TRANSFORM, files={"width": (None, "20")}),
        send_form(stack, END),
    ]
    for answer in answers:
        assert field_errors_of(answer) == {"/image": "is required"}


def test_two_inputs_where_one_is_taken_are_refused(stack):
    image = {"base64": encoded(PICTURE)}
    twice = stack.post(TRANSFORM, files=[("image", ("a.png", PICTURE)), ("image", ("b.png", PICTURE))])
    assert list(field_errors_of(twice)) == ["/image"]
    assert list(field_errors_of(stack.post(TRANSFORM, json={"image": [image, image]}))) == ["/image"]


def test_an_input_in_the_query_is_refused(stack):
    assert list(field_errors_of(send_raw(stack, params={"image": "x"}))) == ["/image"]


@pytest.mark.parametrize("media_type", ["image/png", "application/octet-stream"])
def test_an_empty_body_is_no_picture(stack, media_type):
    assert "empty" in problem_of(send_raw(stack, data=b"", media_type=media_type), "invalid-input", 422)["detail"]


def test_an_empty_input_is_no_picture(stack):
    for answer in (
        stack.post(TRANSFORM, files={"image": ("a.png", b"", "image/png")}),
        stack.post(TRANSFORM, json={"image": {"base64": ""}}),
    ):
        assert "empty" in problem_of(answer, "invalid-input", 422)["detail"]


@pytest.mark.parametrize("media_type", ["text/plain", "image/svg+xml", "image/jxl", "application/pdf", "image/jpg"])
def test_a_media_type_that_the_task_lacks_is_refused_with_those_it_takes(stack, media_type):
    answers = [
        send_raw(stack, media_type=media_type),
        stack.post(TRANSFORM, files={"image": ("a", PICTURE, media_type)}),
        stack.post(TRANSFORM, json={"image": {"base64": encoded(PICTURE), "media_type": media_type}}),
    ]
    for answer in answers:
        detail = problem_of(answer, "unsupported-media-type", 415)["detail"]
        assert media_type in detail and "image/jpeg" in detail


def test_what_curl_says_by_default_is_answered_with_what_to_say(stack):
    answer = send_raw(stack, media_type="application/x-www-form-urlencoded")
    detail = problem_of(answer, "unsupported-media-type", 415)["detail"]
    assert "curl" in detail and "-H 'Content-Type: image/jpeg'" in detail


def test_bytes_for_a_task_without_input_are_refused(stack):
    for media_type in ("image/png", "text/plain", "application/octet-stream"):
        problem_of(send_raw(stack, SUM, media_type=media_type), "unsupported-media-type", 415)


# ---- base64 in JSON


@pytest.mark.parametrize("text", ["*", "AAA", "AA=A", "AAAA====", "AAAB=", "AA==AA==", "AA\n==", "AAAA AAAA", "-_-_", "AB==", "é"])
def test_what_is_not_base64_is_named(stack, text):
    answer = stack.post(TRANSFORM, json={"image": {"base64": text}, "width": 0})
    assert set(field_errors_of(answer)) == {"/image/base64", "/width"}


@pytest.mark.parametrize(
    "value",
    [None, 1, "AAAA", [], {}, {"base64": 1}, {"base64": None}, {"blob": 17}, {"blob": "17", "base64": "AAAA"}, {"base64": "AAAA", "size": "3"}, {"base64": "AAAA", "media_type": 1}],
    ids=str,
)
def test_an_input_in_json_says_where_its_bytes_are(stack, value):
    details = field_errors_of(stack.post(TRANSFORM, json={"image": value}))
    assert "base64" in details["/image"]


# ---- limits


def test_an_input_over_its_limit_is_too_large(stack):
    for answer in (
        send_raw(stack, data=b"x" * (50 * MIB + 1)),
        stack.post(TRANSFORM, files={"image": ("a.png", b"x" * (50 * MIB + 1), "image/png")}),
    ):
        detail = problem_of(answer, "too-large", 413)["detail"]
        assert "max_bytes" in detail and str(50 * MIB) in detail and str(50 * MIB + 1) in detail


def test_an_input_at_its_limit_is_taken(stack):
    padded = PICTURE + b"\0" * (50 * MIB - len(PICTURE))
    assert send_raw(stack, INSPECT, padded).json()["result"]["width"] == 64


def test_json_over_its_limit_is_too_large(stack):
    answer = send_raw(stack, SUM, b'{"n":1' + b" " * (16 * MIB) + b"}", "application/json")
    detail = problem_of(answer, "too-large", 413)["detail"]
    assert "max_json_bytes" in detail and str(16 * MIB) in detail


def test_json_at_its_limit_is_taken(stack):
    text = b'{"n":3' + b" " * (16 * MIB - 7) + b"}"
    assert send_raw(stack, SUM, text, "application/json").json()["result"] == {"sum": "5"}


def test_a_body_over_the_limit_of_nginx_is_too_large(stack):
    client = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    client.request("POST", TRANSFORM, headers={"Content-Type": "image/png", "Content-Length": str(128 * MIB + 1)})
    answer = client.getresponse()
    problem = json.load(answer)
    client.close()
    assert answer.status == 413 and problem["type"] == "/problems/too-large"
    assert f"client_max_body_size of {128 * MIB} bytes" in problem["detail"]


def test_limits_of_the_configuration_are_named_with_their_values(start_stack):
    own = start_stack(http_max_body_bytes=20000, http_max_json_bytes=2000)
    form = own.post(TRANSFORM, files={"image": ("a.png", b"x" * 20000, "image/png")})
    assert "http.max_body_bytes is 20000" in problem_of(form, "too-large", 413)["detail"]
    text = own.post(SUM, json={"n": 1, "x": "y" * 2000})
    assert "http.max_json_bytes is 2000" in problem_of(text, "too-large", 413)["detail"]
    field = own.post(SUM, files={"n": (None, "1" * 2001)})
    assert "http.max_json_bytes" in field_errors_of(field)["/n"]


# ---- multipart

NAMED = b'form-data; name="width"'
BROKEN = {
    "no boundary": (None, part(NAMED) + END, "boundary"),
    "an empty boundary": ("", part(NAMED) + END, "boundary"),
    "a boundary that RFC 2046 forbids": ('"a<b"', b"--a<b--", "boundary"),
    "a boundary of over 70 characters": ("x" * 71, b"--" + b"x" * 71 + b"--", "boundary"),
    "nothing": ("edge", b"", "boundary"),
    "another boundary": ("other", part(NAMED) + END, "boundary"),
    "cut before its end": ("edge", part(NAMED), "Part 1"),
    "cut in a header": ("edge", part(NAMED)[:20], "Part 1"),
    "cut in the second part": ("edge", part(NAMED) + part(b'form-data; name="height"')[:-2], "Part 2"),
    "bare line feeds": ("edge", (part(NAMED) + END).replace(b"\r\n", b"\n"), "boundary"),
    "no disposition": ("edge", part(None, b"1", b"Content-Type: text/plain") + END, "Part 1"),
    "no name": ("edge", part(b"form-data") + END, "Part 1"),
    "an empty name": ("edge", part(b'form-data; name=""') + END, "Part 1"),
    "two names": ("edge", part(NAMED + b'; name="height"') + END, "two names"),
    "two dispositions": ("edge", part(NAMED, b"1", b"Content-Disposition: " + NAMED) + END, "two Content-Disposition"),
    "an attachment": ("edge", part(b'attachment; name="width"') + END, "form-data"),
    "an open quote": ("edge", part(b'form-data; name="width') + END, "Part 1"),
    "a name that is not UTF-8": ("edge", part(b'form-data; name="\xff"') + END, "UTF-8"),
    "a control character": ("edge", part(b'form-data; name="a\x01"') + END, "Part 1"),
    "a line without a name": ("edge", part(NAMED, b"1", b"no colon") + END, "header line"),
    "a transfer encoding": ("edge", part(NAMED, b"1", b"Content-Transfer-Encoding: base64") + END, "Transfer-Encoding"),
    "a bad media type": ("edge", part(NAMED, b"1", b"Content-Type: png") + END, "Content-Type"),
    "long headers": ("edge", part(NAMED, b"1", b"X-Long: " + b"x" * 8192) + END, "8192"),
    "many parts": ("edge", part(NAMED) * 1001 + END, "1000"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_multipart_that_is_not_well_formed_is_refused_with_its_place(stack, name):
    boundary, body, words = BROKEN[name]
    detail = problem_of(send_form(stack, body, boundary), "invalid-request", 400)["detail"]
    assert words in detail


def test_multipart_as_the_standard_allows_it_is_taken(stack):
    body = (
        b"a preamble\r\n"
        + part(b"FORM-DATA; Name=width", b"20", b"X-Other: 1", b"content-transfer-encoding: Binary")
        + part(b'form-data; name="image"; filename="a\\"b.png"; filename*=UTF-8\'\'na%C3%AFve.png', PICTURE, b"Content-Type: image/png; x=y")
        + b"--edge--  \r\nan epilogue"
    )
    answer = send_form(stack, body, '"edge"')
    assert pictures.look(answer.content) == ("png", 20, 15)


def test_near_misses_of_the_boundary_are_content(stack):
    """A body full of them takes no longer than another either."""
    tail = b"\r\n--edg\r\n--edgy\r\n--edge-\r\n-edge" * 100000
    answer = send_form(stack, part(b'form-data; name="image"', PICTURE + tail) + END, path=INSPECT)
    assert answer.json()["result"]["width"] == 64


def test_a_params_part_that_is_not_json_is_refused(stack):
    files = {"image": ("a.png", PICTURE), "params": (None, '{"width":')}
    problem_of(stack.post(TRANSFORM, files=files), "invalid-request", 400)


def test_a_params_part_that_is_no_object_is_refused(stack):
    files = {"image": ("a.png", PICTURE), "params": (None, "[1]")}
    assert field_errors_of(stack.post(TRANSFORM, files=files)) == {"/params": "must be a JSON object"}


def test_a_params_part_is_checked_like_any_parameters(stack):
    files = {"image": ("a.png", PICTURE), "params": (None, '{"width": "20", "image": {"base64": "AAAA"}}')}
    details = field_errors_of(stack.post(TRANSFORM, files=files))
    assert set(details) == {"/width", "/image"}


def test_a_file_in_place_of_a_text_field_is_refused(stack):
    files = {"image": ("a.png", PICTURE), "width": ("width.txt", b"20", "text/plain")}
    assert field_errors_of(stack.post(TRANSFORM, files=files)) == {"/width": "is not an input of this task"}
    files = {"picture": ("a.png", PICTURE), "image": ("a.png", PICTURE)}
    assert list(field_errors_of(stack.post(TRANSFORM, files=files))) == ["/picture"]


@pytest.mark.parametrize("text", [b"\xff", b"1\x00", b"\xed\xa0\x80"])
def test_a_text_field_that_is_no_text_is_refused(stack, text):
    files = {"image": ("a.png", PICTURE), "background": (None, text)}
    assert "UTF-8" in field_errors_of(stack.post(TRANSFORM, files=files))["/background"]
