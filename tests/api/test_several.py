# SPDX-License-Identifier: BSD-2-Clause
"""Tasks that may give several outputs: one comes as its bytes, several as JSON or as a zip, at once
and from a job alike. The task faults.several gives as many as it is asked for."""

import base64
import hashlib
import io
import json
import subprocess
import zipfile

import pytest
import stack as stack_module
from stack import problem_of

RUN = "/v1/tasks/faults.several"
TEXT = b"0123456789"
MIB = 1 << 20
ZIP = {"Accept": "application/zip"}


@pytest.fixture(scope="module")
def stack():
    with stack_module.Stack(faults=True, compute_slots=2, jobs_slots=1, http_max_base64_bytes=4 * MIB) as running:
        yield running


def page(size):
    return (TEXT * (size // len(TEXT) + 1))[:size]


def run_now(stack, accept, params):
    return stack.post(RUN, params=params, data=TEXT, headers={"Content-Type": "text/plain", "Accept": accept})


def run_as_job(stack, accept, params):
    answer = stack.post(RUN, params=params, data=TEXT, headers={"Content-Type": "text/plain", "Accept": accept, "Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    assert stack.wait_for_job(answer.json()["id"])["state"] == "succeeded"
    return stack.get(answer.json()["links"]["result"], headers={"Accept": accept})


def wait_for_answer(stack, accept, params):
    headers = {"Content-Type": "text/plain", "Accept": accept, "Prefer": "respond-async, wait=30"}
    return stack.post(RUN, params=params, data=TEXT, headers=headers)


@pytest.fixture(params=[run_now, run_as_job, wait_for_answer], ids=["now", "job", "waiting"])
def run(stack, request):
    return lambda accept=None, **params: request.param(stack, accept, params)


def entries(answer):
    """Names and contents of a zip, once its structure and every checksum were checked."""
    assert answer.status_code == 200, answer.text[:2000]
    assert answer.headers["Content-Type"] == "application/zip"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {each.compress_type for each in archive.infolist()} <= {zipfile.ZIP_STORED}
        return {each.filename: archive.read(each) for each in archive.infolist()}


# ---- one output


@pytest.mark.parametrize("accept", [None, "*/*", "image/*", "image/png", "image/png, application/json, application/zip"])
def test_a_single_output_comes_as_its_bytes(run, accept):
    answer = run(accept, bytes=25, format="png")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.content == page(25)
    assert answer.headers["Content-Disposition"] == 'inline; filename="page.png"'
    assert json.loads(answer.headers["Gangsaw-Result"]) == {"pages": 1, "seal": 0}


def test_a_single_output_of_another_name_is_one_too(run):
    answer = run(pages=0, note="true")
    assert (answer.headers["Content-Type"], answer.content) == ("text/plain; charset=utf-8", b"noted")
    assert answer.headers["Content-Disposition"] == 'inline; filename="note.txt"'


@pytest.mark.parametrize("accept", ["application/json", "application/json, image/*;q=0.9", "application/*"])
def test_a_single_output_comes_in_json_where_that_is_preferred(run, accept):
    answer = run(accept, bytes=25, format="png")
    (output,) = answer.json()["outputs"]
    assert output["name"] == "page" and base64.b64decode(output["base64"]) == page(25)


@pytest.mark.parametrize("accept", ["application/zip", "application/zip, */*;q=0.9", "text/html, application/zip;q=0.1"])
def test_a_single_output_comes_in_a_zip_where_that_is_preferred(run, accept):
    found = entries(run(accept, bytes=25, format="png"))
    assert found.pop("page.png") == page(25)
    assert json.loads(found.pop("result.json")) == {"pages": 1, "seal": 0} and not found


def test_a_single_output_of_a_job_has_an_etag_and_ranges(stack):
    job = stack.post(RUN, params={"bytes": 25}, data=TEXT, headers={"Content-Type": "text/plain", "Prefer": "respond-async"}).json()
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"
    path = job["links"]["result"]
    whole = stack.get(path)
    assert whole.headers["ETag"] == f'"{hashlib.sha256(page(25)).hexdigest()}"'
    part = stack.get(path, headers={"Range": "bytes=10-14"})
    assert (part.status_code, part.content) == (206, page(25)[10:15])
    assert stack.get(path, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304


# ---- several


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/*", "application/json, application/zip", "image/webp, */*;q=0.1"])
def test_several_outputs_come_in_json(run, accept):
    answer = run(accept, pages=3, bytes=25, note="true", format="webp")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Gangsaw-Result" not in answer.headers
    outputs = answer.json()["outputs"]
    assert [each["name"] for each in outputs] == ["note", "page", "page.2", "page.3"]
    assert [each["media_type"] for each in outputs] == ["text/plain"] + ["image/webp"] * 3
    assert base64.b64decode(outputs[3]["base64"]) == page(25)
    assert answer.json()["result"] == {"pages": 3, "seal": 0}


@pytest.mark.parametrize("accept", ["application/zip", "application/zip, application/json;q=0.9", "application/zip, */*;q=0.5", "image/webp, application/zip;q=0.1"])
def test_several_outputs_come_as_a_zip_of_named_files(run, accept):
    answer = run(accept, pages=3, bytes=25, note="true", format="webp")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="faults.several.zip"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    found = entries(answer)
    assert list(found) == ["note.txt", "page.webp", "page.2.webp", "page.3.webp", "result.json"]
    assert found["note.txt"] == b"noted" and found["page.2.webp"] == page(25)
    assert json.loads(found["result.json"]) == {"pages": 3, "seal": 0}


def test_the_same_outputs_give_the_same_zip(stack):
    params = {"pages": 3, "bytes": 25}
    answers = [run(stack, "application/zip", params) for run in (run_now, run_now, run_as_job, wait_for_answer)]
    assert len({answer.content for answer in answers}) == 1


def test_empty_outputs_are_entries_too(run):
    found = entries(run("application/zip", pages=3, bytes=0))
    assert [found[name] for name in ("page.png", "page.2.png", "page.3.png")] == [b""] * 3


def test_many_outputs_are_all_there(run):
    found = entries(run("application/zip", pages=500, bytes=100))
    assert len(found) == 501
    assert list(found)[:2] == ["page.png", "page.2.png"] and list(found)[499] == "page.500.png"
    assert all(found.pop(name) == page(100) for name in list(found) if name != "result.json")


@pytest.mark.parametrize("size", [65536, MIB - 1, MIB, MIB + 1, 5 * MIB + 17])
def test_large_outputs_arrive_whole(run, size):
    """In shared memory, and from the database in pieces of a MiB."""
    found = entries(run("application/zip", pages=2, bytes=size, note="true"))
    assert [hashlib.sha256(found[name]).digest() for name in ("page.png", "page.2.png")] == [hashlib.sha256(page(size)).digest()] * 2


def test_many_outputs_of_which_each_is_in_shared_memory_are_all_there(stack):
    found = entries(run_now(stack, "application/zip", {"pages": 500, "bytes": 70000}))
    assert len(found) == 501 and {found[name] for name in found if name != "result.json"} == {page(70000)}


def test_no_result_is_no_entry(run):
    assert list(entries(run("application/zip", pages=2, silent="true"))) == ["page.png", "page.2.png"]


def test_a_zip_is_taken_by_others_too(stack, tmp_path):
    """By a reader of streams, which knows nothing of what is at the end."""
    answer = run_now(stack, "application/zip", {"pages": 3, "bytes": 1000})
    reader = "import sys, zlib, struct\ndata = sys.stdin.buffer\nwhile (head := data.read(30))[:4] == b'PK\\3\\4':\n" \
        "    crc, packed, size, name, extra = struct.unpack('<14xIIIHH', head)\n    name = data.read(name + extra)\n" \
        "    assert packed == size and zlib.crc32(data.read(size)) == crc\n    print(name.decode())\n"
    done = subprocess.run(["/usr/bin/python3", "-c", reader], input=answer.content, stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [b"page.png", b"page.2.png", b"page.3.png", b"result.json"]


def test_several_outputs_over_the_limit_of_base64_are_refused_with_what_to_do(stack):
    params = {"pages": 5, "bytes": MIB}
    detail = problem_of(run_now(stack, None, params), "too-large", 413)["detail"]
    assert "http.max_base64_bytes" in detail and "application/zip" in detail
    detail = problem_of(run_as_job(stack, None, params), "too-large", 413)["detail"]
    assert "http.max_base64_bytes" in detail and "address of its own" in detail
    assert len(entries(run_as_job(stack, "application/zip", params))) == 6


# ---- what cannot be


@pytest.mark.parametrize("accept", ["image/webp", "image/*", "image/*, text/plain"])
def test_several_outputs_for_who_takes_their_own_types_alone_are_refused(run, accept):
    answer = run(accept, pages=3, format="webp")
    detail = problem_of(answer, "not-acceptable", 406)["detail"]
    assert all(words in detail for words in ("3 outputs", "application/json", "application/zip"))


@pytest.mark.parametrize("accept", ["image/gif", "text/html, image/jpeg", "*/*;q=0"])
def test_what_cannot_be_accepted_however_many_come_is_refused_before_anything_is_computed(stack, accept):
    answer = run_now(stack, accept, {"pages": 3})
    detail = problem_of(answer, "not-acceptable", 406)["detail"]
    assert all(each in detail for each in ("application/json", "application/zip", "image/png", "image/webp", "text/plain"))
    assert stack.log_line("compute", answer)["run_ms"] == 0


def test_no_output_at_all_is_json_or_an_empty_zip(run):
    assert run(pages=0).json()["outputs"] == []
    assert list(entries(run("application/zip", pages=0))) == ["result.json"]
    assert entries(run("application/zip", pages=0, silent="true")) == {}
    assert "no output" in problem_of(run("image/png", pages=0), "not-acceptable", 406)["detail"]


def test_head_of_a_result_has_the_fields_of_the_zip(stack):
    answer = run_as_job(stack, "application/zip", {"pages": 2, "bytes": 5 * MIB})
    path = "/" + answer.url.split("/", 3)[3]
    head = stack.request("HEAD", path, headers=ZIP)
    assert head.headers["Content-Length"] == str(len(answer.content)) and head.content == b""
    assert head.headers["Content-Disposition"] == answer.headers["Content-Disposition"]
    assert head.headers["Vary"] == "Accept"


def test_a_zip_of_outputs_that_are_gone_is_a_problem(stack):
    answer = run_as_job(stack, "application/zip", {"pages": 2, "bytes": 2 * MIB})
    path = "/" + answer.url.split("/", 3)[3]
    stack.sql("DELETE FROM gangsaw.blob_chunk")
    problem_of(stack.get(path, headers=ZIP), "gone", 410)


# ---- the format, and the input


@pytest.mark.parametrize("accept, media_type", [("image/webp", "image/webp"), ("image/png", "image/png"), ("image/webp, application/zip;q=0.5", "image/webp")])
def test_accept_chooses_the_format_of_outputs_that_may_be_several(run, accept, media_type):
    assert run(accept, bytes=10).headers["Content-Type"] == media_type


def test_accept_chooses_the_format_inside_a_zip_too(run):
    assert "page.2.webp" in entries(run("application/zip, image/webp;q=0.5", pages=2))


def test_a_raw_body_is_the_input_that_has_to_be_there(stack):
    answer = run_now(stack, None, {"bytes": 10})
    assert answer.content == TEXT
    form = {"document": ("a.txt", TEXT, "text/plain"), "seal": ("seal", b"sealed")}
    assert json.loads(stack.post(RUN, files=form).headers["Gangsaw-Result"]) == {"pages": 1, "seal": 6}
    both = {"document": {"base64": base64.b64encode(TEXT).decode()}, "seal": {"base64": "AAAA"}}
    assert json.loads(stack.post(RUN, json=both).headers["Gangsaw-Result"]) == {"pages": 1, "seal": 3}
