# SPDX-License-Identifier: BSD-2-Clause
"""Files that are uploaded once: what was sent comes back, whole or in part, and only that."""

import hashlib
import pathlib
import random
import re
import socket
import struct
import urllib.parse

import pytest
import requests
from stack import FROM_HERE, SANITIZED, children, field_errors_of, problem_of, wait_until

BLOBS = "/v1/blobs"
MIB = 1 << 20
SIZES = [1, 1000, MIB - 1, MIB, MIB + 1, 3 * MIB + 7]


def some_bytes(size, seed=1):
    return random.Random(seed).randbytes(size)


def upload(stack, data, media_type="application/octet-stream", **headers):
    headers = {"Content-Type": media_type, **{k.replace("_", "-"): v for k, v in headers.items()}}
    answer = stack.post(BLOBS, data=data, headers=headers)
    assert answer.status_code == 201, answer.text[:2000]
    return answer.json()


def path_of(blob):
    return f"{BLOBS}/{blob['id']}"


@pytest.fixture(scope="module")
def data():
    return some_bytes(2 * MIB + 12345)


@pytest.fixture(scope="module")
def blob(stack, data):
    return upload(stack, data, "image/webp", Content_Disposition='attachment; filename="a picture.webp"')


# ---- uploads


def test_an_upload_is_described(stack):
    data = some_bytes(5000)
    answer = stack.post(BLOBS, data=data, headers={
        "Content-Type": "Image/JPEG; q=x", "Content-Disposition": "attachment; filename=in.jpg"})  # fmt: skip
    assert answer.status_code == 201
    blob = answer.json()
    assert set(blob) == {"id", "size", "sha256", "media_type", "file_name", "created_at", "expires_at"}
    assert answer.headers["Location"] == path_of(blob)
    assert (blob["size"], blob["sha256"]) == (5000, hashlib.sha256(data).hexdigest())
    assert (blob["media_type"], blob["file_name"]) == ("image/jpeg", "in.jpg")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", blob["created_at"])
    assert blob["created_at"] < blob["expires_at"]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sent_comes_back(stack, size):
    data = some_bytes(size, size)
    blob = upload(stack, data)
    answer = stack.get(path_of(blob))
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(size)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.content == data


def test_an_upload_without_media_type_is_just_bytes(stack):
    answer = stack.post(BLOBS, data=b"x")
    assert answer.json()["media_type"] == "application/octet-stream"
    assert answer.json()["file_name"] == ""
    name = f'attachment; filename="{answer.json()["id"]}.bin"'
    assert stack.get(path_of(answer.json())).headers["Content-Disposition"] == name


def test_the_same_bytes_twice_are_two_blobs(stack):
    one, two = upload(stack, b"same"), upload(stack, b"same")
    assert one["id"] != two["id"] and one["sha256"] == two["sha256"]


def test_an_empty_upload_is_refused(stack):
    answer = stack.post(BLOBS, data=b"", headers={"Content-Type": "image/png"})
    problem_of(answer, "invalid-input", 422)


def test_multipart_is_refused_with_what_to_do_instead(stack):
    answer = stack.post(BLOBS, files={"file": ("a.txt", b"x")})
    detail = problem_of(answer, "unsupported-media-type", 415)["detail"]
    assert "Content-Disposition" in detail


@pytest.mark.parametrize("media_type", ["x", "image/", "/png", "image png", "a/" + "b" * 300])
def test_a_media_type_that_is_none_is_refused(stack, media_type):
    answer = stack.post(BLOBS, data=b"x", headers={"Content-Type": media_type})
    assert "Content-Type" in problem_of(answer, "invalid-request", 400)["detail"]


def test_an_upload_over_the_limit_is_refused_and_one_at_it_is_not(start_stack):
    own = start_stack(http_max_body_bytes=100000)
    detail = problem_of(own.post(BLOBS, data=b"x" * 100001), "too-large", 413)["detail"]
    assert "http.max_body_bytes" in detail and "100000" in detail
    assert upload(own, b"x" * 100000)["size"] == 100000


def test_a_body_is_taken_as_it_is(stack):
    """A blob that came compressed would be bytes that no task knows."""
    for path, media_type in ((BLOBS, "text/plain"), ("/v1/jobs", "application/json"),
                             ("/v1/tasks/demo.sum_squares", "application/json")):  # fmt: skip
        body = b'{"jobs":[{"task":"demo.sum_squares","params":{"n":1}}]}' if path == "/v1/jobs" else b'{"n":1}'
        headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
        answer = stack.post(path, data=body, headers=headers)
        assert "Content-Encoding" in problem_of(answer, "unsupported-media-type", 415)["detail"]
        headers["Content-Encoding"] = "Identity"
        assert stack.post(path, data=body, headers=headers).status_code in (200, 201, 202)


def test_blobs_take_no_query(stack, blob):
    assert list(field_errors_of(stack.post(f"{BLOBS}?name=a", data=b"x"))) == ["/name"]
    assert list(field_errors_of(stack.get(f"{path_of(blob)}?download=1"))) == ["/download"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_blobs_are_neither_changed_nor_removed(stack, blob, method):
    for path in (BLOBS, path_of(blob)):
        problem_of(stack.request(method, path), "method-not-allowed", 405)


def api_peak_mib(stack):
    peaks = [re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)
             for pid in children(stack.pid("api"))]  # fmt: skip
    return max(int(peak) for peak in peaks) / 1024


@pytest.mark.skipif(SANITIZED, reason="sanitizers keep what was freed")
def test_a_hundred_megabytes_pass_through_a_worker_in_little_memory(stack):
    before = api_peak_mib(stack)
    data = some_bytes(MIB) * 100
    blob = upload(stack, data)
    assert blob["sha256"] == hashlib.sha256(data).hexdigest()
    assert stack.get(path_of(blob)).content == data
    assert api_peak_mib(stack) - before < 32


# ---- an upload that ends early


def record(kind, content):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    return struct.pack("!BB", len(name), len(value)) + name.encode() + value.encode()


def begin_upload(stack, size, sent):
    """Straight to the pool, since nginx passes on whole bodies alone: a body of `size` bytes of
    which `sent` come."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(stack.var / "run" / "api.sock"))
    params = {"REQUEST_METHOD": "POST", "DOCUMENT_URI": BLOBS, "QUERY_STRING": "",
              "REQUEST_ID": "cut-off-upload", "CONTENT_TYPE": "image/png", "CONTENT_LENGTH": str(size),
              **FROM_HERE}  # fmt: skip
    peer.sendall(record(1, struct.pack("!HB5x", 1, 0)))
    peer.sendall(record(4, b"".join(pair(*each) for each in params.items())) + record(4, b""))
    for _ in range(0, sent, 32768):
        peer.sendall(record(5, b"x" * 32768))
    return peer


def test_an_upload_that_is_cut_off_leaves_nothing(start_stack):
    own = start_stack()
    count = "SELECT (SELECT count(*) FROM gangsaw.blob), (SELECT count(*) FROM gangsaw.blob_chunk)"
    busy = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL " \
           "AND application_name LIKE 'gangsaw api%'"  # fmt: skip
    with begin_upload(own, 5 * MIB, 3 * MIB):
        wait_until(lambda: own.sql(busy), 20, "an upload in a transaction")
    wait_until(lambda: [line for line in own.log("api") if "cut-off-upload" in line], 20, "the end of the upload")
    wait_until(lambda: not own.sql(busy), 20, "the end of the transaction")
    assert own.sql(count) == [["0", "0"]]
    assert upload(own, b"next")["size"] == 4


# ---- parts


def get_range(stack, blob, value, **headers):
    return stack.get(path_of(blob), headers={"Range": value, **headers})


@pytest.mark.parametrize(
    "first, last",
    [(0, 0), (0, 99), (1000, 1999), (MIB - 10, MIB + 9), (MIB, MIB), (0, 2 * MIB), (2 * MIB, None), (5, None)],
)
def test_a_range_gives_its_bytes(stack, blob, data, first, last):
    answer = get_range(stack, blob, f"bytes={first}-{'' if last is None else last}")
    end = len(data) if last is None else last + 1
    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(data)}"
    assert answer.headers["Content-Length"] == str(end - first)
    assert answer.content == data[first:end]


def test_a_range_may_count_from_the_end_and_go_beyond(stack, blob, data):
    assert get_range(stack, blob, "bytes=-10").content == data[-10:]
    assert get_range(stack, blob, f"bytes={len(data) - 3}-99999999999999999999").content == data[-3:]
    assert get_range(stack, blob, f"bytes=-{10 * len(data)}").content == data


def test_all_of_it_as_a_range_is_a_part_too(stack, blob, data):
    answer = get_range(stack, blob, "bytes=0-")
    assert answer.status_code == 206 and answer.content == data


@pytest.mark.parametrize("value", ["bytes=0-1,5-6", "bytes=", "bytes=5-4", "items=0-1", "bytes=a-b", "x"])
def test_other_ranges_give_the_whole(stack, blob, data, value):
    answer = get_range(stack, blob, value)
    assert answer.status_code == 200 and answer.content == data
    assert "Content-Range" not in answer.headers


def test_a_range_outside_is_a_problem_that_names_the_size(stack, blob, data):
    for value in (f"bytes={len(data)}-", "bytes=-0", "bytes=99999999999999999999-"):
        answer = get_range(stack, blob, value)
        problem_of(answer, "range-not-satisfiable", 416)
        assert answer.headers["Content-Range"] == f"bytes */{len(data)}"
        assert "ETag" not in answer.headers


def test_if_range_gives_a_part_of_the_same_bytes_alone(stack, blob, data):
    etag = f'"{blob["sha256"]}"'
    assert get_range(stack, blob, "bytes=0-9", **{"If-Range": etag}).status_code == 206
    for other in ('"x"', f"W/{etag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        answer = get_range(stack, blob, "bytes=0-9", **{"If-Range": other})
        assert answer.status_code == 200 and answer.content == data


def test_an_interrupted_download_goes_on_where_it_was(stack, blob, data):
    first = get_range(stack, blob, f"bytes=0-{MIB + 99}")
    rest = get_range(stack, blob, f"bytes={MIB + 100}-", **{"If-Range": first.headers["ETag"]})
    assert first.content + rest.content == data


# ---- what an answer says about itself


def test_an_answer_can_be_kept_and_asked_about(stack, blob, data):
    answer = stack.get(path_of(blob))
    assert answer.headers["ETag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert re.fullmatch(r"private, max-age=\d+, immutable", answer.headers["Cache-Control"])
    for etag in (answer.headers["ETag"], "W/" + answer.headers["ETag"], "*", f'"x", {answer.headers["ETag"]}'):
        for method in ("GET", "HEAD"):
            again = stack.request(method, path_of(blob), headers={"If-None-Match": etag})
            assert again.status_code == 304 and again.content == b""
            assert again.headers["ETag"] == answer.headers["ETag"]
            assert "immutable" in again.headers["Cache-Control"]
    assert stack.get(path_of(blob), headers={"If-None-Match": '"x"'}).status_code == 200


def test_head_gives_the_header_of_get(stack, blob, data):
    get, head = stack.get(path_of(blob)), stack.request("HEAD", path_of(blob))
    assert head.status_code == 200 and head.content == b""
    names = ["Content-Length", "Content-Type", "Content-Disposition", "ETag", "Accept-Ranges", "X-Content-Type-Options"]
    assert [head.headers[name] for name in names] == [get.headers[name] for name in names]
    ranged = stack.request("HEAD", path_of(blob), headers={"Range": "bytes=0-9"})
    assert (ranged.status_code, ranged.headers["Content-Length"]) == (200, str(len(data)))


def test_passive_types_are_shown_under_their_name(stack, blob):
    headers = stack.get(path_of(blob)).headers
    assert headers["Content-Disposition"] == 'inline; filename="a picture.webp"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Security-Policy" not in headers


ACTIVE = ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml", "text/javascript",
          "application/x-unheard-of", "image/x-something+xml"]  # fmt: skip


@pytest.mark.parametrize("media_type", ACTIVE)
def test_what_a_browser_might_run_is_saved_and_sandboxed(stack, media_type):
    blob = upload(stack, b"<script>alert(1)</script>", media_type, Content_Disposition='x; filename="a.html"')
    headers = stack.get(path_of(blob)).headers
    assert headers["Content-Type"] == media_type
    assert headers["Content-Disposition"] == 'attachment; filename="a.html"'
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["X-Content-Type-Options"] == "nosniff"


NAMES = ["a.jpg", "a b;c, d='e'.jpg", 'say "hi".txt', "100%41.jpg", "naïve – 写真 😀.jpg", "x" * 255, "'; filename=b", "-rf *"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_name_comes_back_as_it_was(stack, name):
    encoded = urllib.parse.quote(name, safe="")
    blob = upload(stack, b"x", Content_Disposition=f"attachment; filename*=UTF-8''{encoded}")
    assert blob["file_name"] == name
    field = stack.get(path_of(blob)).headers["Content-Disposition"]
    assert field.isascii()
    plain, _, extended = field.partition("; filename*=UTF-8''")
    assert re.fullmatch(r'attachment; filename="[^"\\%]*"', plain)
    assert urllib.parse.unquote(extended) == name if extended else plain == f'attachment; filename="{name}"'


@pytest.mark.parametrize(
    "field, name",
    [
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\folder\a.jpg"', "a.jpg"),
        (r'attachment; filename="say \"hi\".txt"', 'say "hi".txt'),
        ("attachment; filename=a.jpg; filename*=UTF-8''b.jpg", "b.jpg"),
        ("attachment; filename*=UTF-8''..%2F..%2Fc.jpg", "c.jpg"),
        ('attachment; filename=".."', ""),
        ("attachment", ""),
    ],
)
def test_a_file_name_is_a_label_and_no_place(stack, field, name):
    assert upload(stack, b"x", Content_Disposition=field)["file_name"] == name


@pytest.mark.parametrize(
    "field",
    [
        "attachment; filename=a b", 'attachment; filename="a', "attachment; filename=a; filename=b", "; filename=a",
        "attachment; filename*=UTF-8''%0D%0AX%3A%20y", "attachment; filename*=UTF-8''%00", "attachment; filename*=UTF-8''%FF",
        "attachment; filename*=latin1''a", "attachment; filename=" + "x" * 256,
    ],
)  # fmt: skip
def test_a_file_name_that_is_none_is_refused(stack, field):
    answer = stack.post(BLOBS, data=b"x", headers={"Content-Disposition": field})
    assert "Content-Disposition" in problem_of(answer, "invalid-request", 400)["detail"]


# ---- ids and time


def test_an_id_that_was_not_issued_is_not_found(stack, blob):
    id = blob["id"]
    flipped = ("0" if id[0] != "0" else "1") + id[1:]
    job = stack.submit("demo.sum_squares", {"n": 1})["id"]
    bad = [flipped, id + "0", id[:-1] + chr((ord(id[-1]) - 47) % 10 + 48), id.upper() + "x", id[10:], "1", "x", "-1",
           id[:10] + "99999999999999999999", id + "%00", "%2e", "..%2f" + id, job]  # fmt: skip
    for each in bad:
        for method in ("GET", "HEAD"):
            answer = requests.request(method, f"{stack.url}{BLOBS}/{each}", timeout=30)
            assert answer.status_code in (400, 404), each
    problem_of(stack.get(f"{BLOBS}/{flipped}"), "not-found", 404)
    problem_of(stack.get(f"{BLOBS}/{job}"), "not-found", 404)


def expire(stack, blob):
    stack.sql("UPDATE gangsaw.blob SET expires_at = now() - interval '1 second' "
              f"WHERE id = gangsaw.key_of('blob', '{blob['id']}')")  # fmt: skip


def test_an_expired_blob_is_gone(stack):
    blob = upload(stack, b"x")
    expire(stack, blob)
    answer = stack.get(path_of(blob))
    problem_of(answer, "gone", 410)
    assert answer.headers["Cache-Control"] == "no-store"
    assert stack.request("HEAD", path_of(blob)).status_code == 410


def test_an_expired_blob_is_there_as_long_as_a_live_job_needs_it(stack):
    blob = upload(stack, b"x", "image/png")
    job = stack.submit("image.transform", {"width": 1, "image": {"blob": blob["id"]}},
                       headers={"Gangsaw-Job": "delay=3600"})  # fmt: skip
    expire(stack, blob)
    assert stack.get(path_of(blob)).content == b"x"
    assert stack.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


# ---- a download that fails


def remove_piece(stack, blob, n):
    stack.sql(f"DELETE FROM gangsaw.blob_chunk WHERE blob = gangsaw.key_of('blob', '{blob['id']}') AND n = {n}")


def test_a_download_that_fails_at_once_is_a_problem(stack, data):
    blob = upload(stack, data)
    remove_piece(stack, blob, 0)
    answer = stack.get(path_of(blob))
    problem_of(answer, "gone", 410)
    assert not {"ETag", "Content-Range", "Content-Disposition", "Accept-Ranges"} & set(answer.headers)


def test_a_download_that_fails_on_the_way_is_never_taken_for_complete(stack, data):
    blob = upload(stack, data)
    remove_piece(stack, blob, 2)
    answer = stack.raw(f"GET {path_of(blob)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    # The connection ended, although the client would have kept it, and not all has come.
    assert len(body) < len(data) and data.startswith(body)
    if head:
        assert f"Content-Length: {len(data)}".encode() in head
    part = get_range(stack, blob, f"bytes=0-{2 * MIB - 1}")
    assert part.status_code == 206 and part.content == data[: 2 * MIB]
