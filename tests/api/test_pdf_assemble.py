# SPDX-License-Identifier: BSD-2-Clause
"""Documents put together and taken apart; the commands qpdf, pdftotext and pdfinfo say what came out."""

import base64
import io
import os
import re
import subprocess
import zipfile
import zlib

import documents
import pytest
from stack import problem_of

ASSEMBLE = "/v1/tasks/pdf.assemble"
JSON = {"Accept": "application/json"}


def numbered(name, count, **of_document):
    """A document whose pages say where they come from."""
    return documents.document(*[f"{name} {n}" for n in range(1, count + 1)], **of_document)


ONE, TWO = numbered("one", 3), numbered("two", 2)


def body_of(given, params):
    return {"document": [{"base64": base64.b64encode(each).decode()} for each in given], **params}


def assemble(stack, *given, **params):
    """Result and outputs."""
    answer = stack.post(ASSEMBLE, json=body_of(given, params), headers=JSON, timeout=60)
    assert answer.status_code == 200, answer.text[:1000]
    answer = answer.json()
    return answer["result"], [base64.b64decode(each["base64"]) for each in answer["outputs"]]


def one(stack, *given, **params):
    outputs = assemble(stack, *given, **params)[1]
    assert len(outputs) == 1
    return outputs[0]


def refused(stack, *given, **params):
    return stack.post(ASSEMBLE, json=body_of(given, params), headers=JSON, timeout=60)


def run(document, *words):
    """A command on a document, which is its last word."""
    done = subprocess.run([*words, "/dev/stdin"], stdin=file_of(document), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace")


def file_of(data):
    file = io.FileIO(os.memfd_create("document"), "r+")
    file.write(data)
    file.seek(0)
    return file


def check(document, *words):
    """Nothing is wrong with it."""
    code, said = run(document, "qpdf", "--check", *words)
    assert code == 0 and "No syntax or stream encoding errors" in said, said
    return said


def texts(document, password=None):
    """What stands on each page."""
    words = ["-upw", password] if password else []
    return [page.strip() for page in documents.pdftotext(document, *words).split("\f")[:-1]]


def rotations(document):
    return [int(each) for each in re.findall(r"^Page +\d+ rot: +(\d+)$", run(document, "pdfinfo", "-f", "1", "-l", "999")[1], re.MULTILINE)]


def pages_of(document):
    return int(run(document, "qpdf", "--show-npages")[1])


# ---- merge, select, split


def test_documents_are_merged_in_their_order(stack):
    result, (merged,) = assemble(stack, ONE, TWO, ONE)
    check(merged)
    assert texts(merged) == ["one 1", "one 2", "one 3", "two 1", "two 2", "one 1", "one 2", "one 3"]
    whole = {"encrypted": False, "repaired": False, "warnings": 0}
    assert result == {"pages": 8, "outputs": [{"pages": 8}], "documents": [{"pages": n, **whole} for n in (3, 2, 3)], "unreadable": []}


def test_a_hundred_documents_are_merged(stack):
    given = [numbered(f"document {n}", 1) for n in range(100)]
    assert texts(one(stack, *given)) == [f"document {n} 1" for n in range(100)]
    problem_of(refused(stack, *given, ONE), "invalid-params", 422)


SELECTIONS = [
    ({"select": "2"}, ["one 2", "two 2"]),
    ({"select": "last,1"}, ["one 3", "one 1", "two 2", "two 1"]),
    ({"select": "2-1"}, ["one 2", "one 1", "two 2", "two 1"]),
    ({"select": "1,1"}, ["one 1", "one 1", "two 1", "two 1"]),
    ({"parts": [{}]}, ["one 1", "one 2", "one 3"]),
    ({"parts": [{"document": 2}, {"document": 1, "select": "2-"}]}, ["two 1", "two 2", "one 2", "one 3"]),
    ({"parts": [{"document": 1, "select": "1"}, {"document": 2, "select": "1"}, {"document": 1, "select": "1-2"}]}, ["one 1", "two 1", "one 1", "one 2"]),
    ({"parts": [{"document": 2, "select": "2"}]}, ["two 2"]),
]


@pytest.mark.parametrize(("params", "expected"), SELECTIONS)
def test_pages_come_as_they_are_selected(stack, params, expected):
    result, (made,) = assemble(stack, ONE, TWO, **params)
    check(made)
    assert texts(made) == expected and result["pages"] == pages_of(made) == len(expected)


def test_what_was_split_and_merged_again_says_the_same(stack):
    document = numbered("page", 11)
    for size in (1, 4, 11, 12):
        result, parts = assemble(stack, document, split=size)
        assert [pages_of(part) for part in parts] == [each["pages"] for each in result["outputs"]]
        assert [each["pages"] for each in result["outputs"]] == [size] * (11 // size) + ([11 % size] if 11 % size else [])
        for part in parts:
            check(part)
        assert texts(one(stack, *parts)) == texts(document)


def test_a_split_goes_through_all_documents(stack):
    _, parts = assemble(stack, ONE, TWO, split=2)
    assert [texts(part) for part in parts] == [["one 1", "one 2"], ["one 3", "two 1"], ["two 2"]]


def test_pages_that_are_not_selected_are_gone(stack):
    """Not only out of sight: an outline pointed to them."""
    made = one(stack, documents.rich(), select="1")
    readable = documents.qpdf(made, "--qdf", "--object-streams=disable")
    assert b"(Page 1)" in readable and b"(Page 2)" not in readable and b"(Page 3)" not in readable
    for part in assemble(stack, documents.rich(), split=1)[1]:
        assert documents.qpdf(part, "--qdf", "--object-streams=disable").count(b"(Page ") == 1


def test_values_of_a_form_go_with_their_pages(stack):
    """Of a document with object streams; qpdf says what is in the results, and that they are sound."""
    given = documents.qpdf(documents.rich(), "--object-streams=generate")
    outputs = [one(stack, given, select="2-3"), one(stack, given, select="1"), *assemble(stack, given, split=1)[1]]
    for made, has_form, has_value in zip(outputs, (False, True, False, False, False), (False, True, True, False, False), strict=True):
        check(made)
        readable = documents.qpdf(made, "--qdf", "--object-streams=disable")
        assert (b"/AcroForm" in readable, b"(Ada)" in readable) == (has_form, has_value)


def picture(w, rgb):
    return w.stream(rgb, b"/Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceRGB")


def form(w, content, resources=None):
    own = b"/Resources << %s >>" % resources if resources is not None else b""
    return w.stream(content, b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] " + own)


def sharing(make):
    """Two pages with one dictionary of four pictures. `make` writes content, and adds names to the dictionary."""
    w = documents.Writer()
    tree = w.reserve()
    names = {name: picture(w, rgb) for name, rgb in zip("ABCD", (b"\xff00", b"0\xff0", b"00\xff", b"\xff\xff0"))}
    fonts = {}
    contents = make(w, names, fonts), w.stream(b"20 0 0 20 5 5 cm /D Do")
    listed = [b" ".join(b"/%s %d 0 R" % (name.encode(), number) for name, number in each.items()) for each in (names, fonts)]
    resources = w.add(b"<< /XObject << %s >> /Font << %s >> >>" % tuple(listed))
    pages = [w.add(b"<< /Type /Page /Parent %d 0 R /Contents %s >>" % (tree, b"%d 0 R" % each if isinstance(each, int) else each)) for each in contents]
    w.add(b"<< /Type /Pages /Kids [%d 0 R %d 0 R] /Count 2 /MediaBox [0 0 60 30] /Resources %d 0 R >>" % (*pages, resources), tree)
    return w.file(w.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def with_form(w, names, inner, resources=None):
    names["F"] = form(w, inner, resources)
    return w.stream(b"20 0 0 20 5 5 cm /F Do")


def with_form_in_form(w, names, resources=None):
    names["G"] = form(w, b"/F Do", b"/XObject << /F %d 0 R >>" % form(w, b"/A Do", resources))
    return w.stream(b"20 0 0 20 5 5 cm /G Do")


def with_drawn_font(w, fonts):
    glyph = w.stream(b"20 0 0 20 0 0 cm /A Do")
    fonts["T"] = w.add(b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 20 20] /FontMatrix [1 0 0 1 0 0] /FirstChar 97 /LastChar 97 /Widths [20]"
                       b" /CharProcs << /a %d 0 R >> /Encoding << /Type /Encoding /Differences [97 /a] >> >>" % glyph)  # fmt: skip
    return w.stream(b"BT /T 1 Tf 5 5 Td 5 0 Td 0 g (a) Tj ET")


TWICE = zlib.compress(zlib.compress(b"20 0 0 20 5 5 cm /A Do"))
ASCII = base64.a85encode(zlib.compress(b"20 0 0 20 5 5 cm /A Do")) + b"~>"
SHARES = {
    "one": (lambda w, names, fonts: w.stream(b"20 0 0 20 5 5 cm /A Do"), 1),
    "two in two streams": (lambda w, names, fonts: b"[%d 0 R %d 0 R]" % (w.stream(b"20 0 0 20 5 5 cm /A Do"), w.stream(b"1 0 0 1 1 0 cm/B Do")), 2),
    "ASCII": (lambda w, names, fonts: w.stream(ASCII, b"/Filter [/ASCII85Decode /FlateDecode]"), 1),
    "a form with its own": (lambda w, names, fonts: with_form(w, names, b"/X Do", b"/XObject << /X %d 0 R >>" % names["A"]), 1),
    "a form that lacks its own": (lambda w, names, fonts: with_form(w, names, b"/A Do", b""), 1),
    "a form with the page's": (lambda w, names, fonts: with_form(w, names, b"/A Do"), 4),
    "a form in a form": (lambda w, names, fonts: with_form_in_form(w, names, b""), 1),
    "a form with the page's in a form": (lambda w, names, fonts: with_form_in_form(w, names), 4),
    "a font that is drawn": (lambda w, names, fonts: with_drawn_font(w, fonts), 4),
    "a name in codes": (lambda w, names, fonts: w.stream(b"20 0 0 20 5 5 cm /#41 Do"), 4),
    "packed twice": (lambda w, names, fonts: w.stream(TWICE, b"/Filter [/FlateDecode /FlateDecode]"), 4),
    "packed otherwise": (lambda w, names, fonts: w.stream(b"\x1520 0 0 20 5 5 cm /A Do\x80", b"/Filter /RunLengthDecode"), 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARES)
def test_a_page_takes_its_own_pictures_along_and_looks_the_same(stack, name):
    """In doubt it takes all of them."""
    make, expected = SHARES[name]
    document = sharing(make)
    first, second = assemble(stack, document, split=1)[1]
    assert one(stack, document, select="1").count(b"/Image") == first.count(b"/Image") == expected
    assert second.count(b"/Image") == 1
    for made, page in ((first, "1"), (second, "2")):
        check(made)
        assert drawn(made, "1") == drawn(document, page)
    assert one(stack, document).count(b"/Image") == 4


def drawn(document, page):
    code, pixels = run(document, "pdftoppm", "-r", "72", "-f", page, "-l", page)
    assert code == 0 and len(set(pixels[-5000:])) > 1
    return pixels


# ---- turn


def test_pages_are_turned_on_top_of_what_they_have(stack):
    document = documents.document("a", "b", "c", entries=[b"", b"/Rotate 90", b"/Rotate 270"])
    for angle in (0, 90, 180, 270):
        assert rotations(one(stack, document, rotate=angle)) == [angle, (90 + angle) % 360, (270 + angle) % 360]


def test_the_same_page_is_turned_differently_each_time(stack):
    parts = [{"document": n, "select": "1", "rotate": angle} for n in (2, 1) for angle in (90, 0, 180, 0)]
    for split in ({}, {"split": 5}):
        _, outputs = assemble(stack, ONE, TWO, parts=parts, rotate=90, **split)
        assert [each for output in outputs for each in rotations(output)] == [180, 90, 270, 90] * 2
        for output in outputs:
            check(output)


def inheriting():
    """Size, rotation and fonts stand in the tree, two levels up."""
    w = documents.Writer()
    top, middle, page = (w.reserve() for _ in range(3))
    content = w.stream(documents.shown([(20, 20, "inherited")]))
    w.add(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 /MediaBox [0 0 300 100] /Rotate 90 /Resources << /Font << /F1 %d 0 R >> >> >>"
          % (middle, w.add(documents.HELVETICA)), top)  # fmt: skip
    w.add(b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (top, page), middle)
    w.add(b"<< /Type /Page /Parent %d 0 R /Contents %d 0 R >>" % (middle, content), page)
    return w.file(w.add(b"<< /Type /Catalog /Pages %d 0 R >>" % top))


@pytest.mark.parametrize("params", [{}, {"select": "1,1"}, {"parts": [{"document": 2}, {"document": 1}]}])
def test_a_page_keeps_what_it_inherits(stack, params):
    made = one(stack, inheriting(), ONE, **params)
    at = texts(made).index("inherited")
    assert rotations(made)[at] == 90
    said = run(made, "pdfinfo", "-f", str(at + 1), "-l", str(at + 1))[1]
    assert re.search(r"size: +300 x 100 pts", said), said


# ---- what documents have beside pages


def inspect(stack, document):
    include = ["metadata", "xmp", "labels", "outline", "attachments", "fields"]
    answer = stack.post("/v1/tasks/pdf.inspect", json={"document": {"base64": base64.b64encode(document).decode()}, "include": include})
    assert answer.status_code == 200, answer.text[:500]
    return answer.json()["result"]


@pytest.mark.parametrize("others", [[], [ONE, TWO]])
def test_the_document_of_the_first_page_keeps_all_it_has(stack, others):
    rich = documents.rich()
    before, after = inspect(stack, rich), inspect(stack, one(stack, rich, *others))
    for what in ("metadata", "xmp", "outline", "attachments", "fields", "language", "tagged"):
        assert before[what] and before[what] == after[what], what
    assert before["labels"] == after["labels"][:3] == ["i", "1", "2"]


def test_pages_do_not_get_the_labels_of_others(stack):
    for params, labels in (({"select": "3"}, ["1"]), ({"select": "3,1"}, ["1", "2"]), ({"split": 2}, ["1", "2"])):
        assert inspect(stack, assemble(stack, documents.rich(), **params)[1][0])["labels"] == labels


def test_the_others_and_those_of_a_split_are_plain(stack):
    for made in (one(stack, ONE, documents.rich()), assemble(stack, documents.rich(), split=2)[1][0]):
        check(made)
        assert not inspect(stack, made).get("outline") and not inspect(stack, made).get("attachments")
    assert inspect(stack, one(stack, ONE, documents.rich(), parts=[{"document": 2}]))["outline"]


# ---- encryption


def test_a_document_is_encrypted_with_aes_256(stack):
    made = one(stack, ONE, encrypt={"user_password": "Grüße", "owner_password": "owner", "permissions": ["print", "copy"]})
    code, said = run(made, "qpdf", "--show-encryption", "--password=Grüße")
    assert code == 0 and "R = 6" in said and "AESv3" in said and "user password" in said
    allowed = dict(re.findall(r"^([\w ]+): (allowed|not allowed)$", said, re.MULTILINE))
    assert allowed["print low resolution"] == allowed["extract for any purpose"] == "allowed"
    assert allowed["print high resolution"] == allowed["modify anything"] == allowed["modify annotations"] == "not allowed"
    assert "owner password" in run(made, "qpdf", "--show-encryption", "--password=owner")[1]
    assert texts(made, "Grüße") == texts(ONE)
    assert run(made, "qpdf", "--check")[0] == 2
    check(made, "--password=owner")


PERMISSIONS = {
    "print": "print low resolution",
    "print_high_resolution": "print high resolution",
    "copy": "extract for any purpose",
    "modify": "modify other",
    "annotate": "modify annotations",
    "fill_forms": "modify forms",
    "assemble": "modify document assembly",
}


def test_every_permission_allows_what_it_says(stack):
    for name, says in PERMISSIONS.items():
        given = [name] + (["print"] if name == "print_high_resolution" else [])
        made = one(stack, TWO, encrypt={"owner_password": "owner", "permissions": given})
        said = run(made, "qpdf", "--show-encryption")[1]
        assert f"{says}: allowed" in said, name
        others = {each for key, each in PERMISSIONS.items() if key not in given} - ({"modify forms"} if name == "annotate" else set())
        assert all(f"{each}: not allowed" in said for each in others), (name, said)
    said = run(one(stack, TWO, encrypt={"owner_password": "owner"}), "qpdf", "--show-encryption")[1]
    assert "not allowed" not in said


def test_with_a_user_password_alone_nobody_opens_it_without(stack):
    made = one(stack, TWO, encrypt={"user_password": "only"})
    problem_of(refused(stack, made), "invalid-input", 422)
    assert run(made, "qpdf", "--check", "--password=")[0] == 2
    assert texts(one(stack, made, password="only")) == texts(TWO)


def test_encrypt_without_a_password_is_refused(stack):
    for encrypt in ({}, {"user_password": "", "owner_password": ""}, {"permissions": []}):
        assert "owner_password" in problem_of(refused(stack, ONE, encrypt=encrypt), "invalid-params", 422)["detail"]
    assert "127 bytes" in problem_of(refused(stack, ONE, encrypt={"user_password": "ü" * 100}), "invalid-params", 422)["detail"]


LOCKS = [["40"], ["128", "--use-aes=n"], ["128", "--use-aes=y"], ["256"]]


@pytest.mark.parametrize("lock", LOCKS, ids=" ".join)
def test_an_encrypted_document_comes_out_decrypted(stack, lock):
    locked = documents.qpdf(ONE, "--allow-weak-crypto", "--encrypt", "user", "owner", *lock, "--")
    for word in ("user", "owner"):
        result, (made,) = assemble(stack, locked, password=word)
        assert result["documents"][0]["encrypted"] is True and result["documents"][0]["repaired"] is False
        assert "File is not encrypted" in check(made) and texts(made) == texts(ONE)


@pytest.mark.parametrize("lock", LOCKS, ids=" ".join)
def test_a_password_need_not_be_ascii(stack, lock):
    locked = documents.qpdf(ONE, "--password-mode=unicode", "--allow-weak-crypto", "--encrypt", "Größe", "Ärger", *lock, "--")
    for word in ("Größe", "Ärger"):
        assert texts(one(stack, locked, password=word)) == texts(ONE)
    for word in ("Grösse", "大"):
        detail = problem_of(refused(stack, locked, password=word), "invalid-input", 422)["detail"]
        assert detail == "The password does not open the input document."


def test_encrypted_and_plain_documents_are_merged(stack):
    first, last = (documents.qpdf(each, "--encrypt", word, word, "256", "--") for each, word in ((ONE, "a"), (TWO, "b")))
    made = one(stack, first, TWO, last, passwords=["a", "", "b"])
    assert texts(made) == texts(ONE) + texts(TWO) * 2
    assert "File is not encrypted" in check(made)
    assert texts(one(stack, first, last, password="a", passwords=["", "b"])) == texts(ONE) + texts(TWO)


def test_the_document_whose_password_is_missing_or_wrong_is_named(stack):
    locked = documents.qpdf(TWO, "--encrypt", "user", "owner", "256", "--")
    detail = problem_of(refused(stack, ONE, locked), "invalid-input", 422)["detail"]
    assert detail == "The input document.2 is encrypted: it needs a password."
    detail = problem_of(refused(stack, locked, password="wrong"), "invalid-input", 422)["detail"]
    assert detail == "The password does not open the input document."


# ---- how it is written


def test_a_linearised_document_has_no_errors_of_linearisation(stack):
    for params in ({}, {"split": 2}, {"encrypt": {"owner_password": "owner"}}, {"object_streams": "generate"}):
        for made in assemble(stack, ONE, TWO, linearize=True, **params)[1]:
            code, said = run(made, "qpdf", "--check-linearization")
            assert code == 0 and "no linearization errors" in said, said
    assert "File is not linearized" in check(one(stack, one(stack, ONE, linearize=True)))


def test_streams_are_compressed_and_objects_packed_as_asked(stack):
    document = documents.document(*["word " * 300] * 10)
    plain, packed = (one(stack, document, compress=value) for value in (False, True))
    assert len(packed) < len(plain) / 3 and texts(plain) == texts(packed) == texts(document)
    streams = one(stack, document, object_streams="generate")
    assert b"/ObjStm" in streams and b"/ObjStm" not in packed and len(streams) < len(packed)
    assert b"/ObjStm" in one(stack, streams) and b"/ObjStm" not in one(stack, streams, object_streams="disable")
    check(streams)


def test_the_version_is_the_highest_of_all(stack):
    made = one(stack, documents.document("old", version="1.3"), documents.document("new", version="2.0"))
    assert "PDF Version: 2.0" in check(made)


def test_the_same_bytes_come_by_every_way(stack):
    """And as a job; from a form with files too."""
    result, (made,) = assemble(stack, ONE, TWO, rotate=90)
    files = [("document", ("a.pdf", ONE, "application/pdf")), ("document", ("b.pdf", TWO, "application/pdf")), ("rotate", (None, "90"))]
    answer = stack.post(ASSEMBLE, files=files)
    assert answer.headers["Content-Type"] == "application/pdf" and answer.content == made
    job = stack.submit("pdf.assemble", body_of([ONE, TWO], {"rotate": 90}))
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"
    later = stack.get(job["links"]["result"], headers=JSON).json()
    assert later["result"] == result and base64.b64decode(later["outputs"][0]["base64"]) == made
    alone = stack.post(ASSEMBLE, params={"select": "2"}, data=ONE, headers={"Content-Type": "application/pdf"})
    assert texts(alone.content) == ["one 2"]


def test_a_split_comes_as_a_zip(stack):
    answer = stack.post(ASSEMBLE, params={"split": 1}, data=ONE, headers={"Content-Type": "application/pdf", "Accept": "application/zip"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert [texts(archive.read(name)) for name in ("document.pdf", "document.2.pdf", "document.3.pdf")] == [["one 1"], ["one 2"], ["one 3"]]


# ---- what is damaged


def test_a_damaged_table_of_objects_is_repaired(stack):
    at = ONE.index(b"xref\n")
    for damaged in (ONE.replace(b"startxref\n", b"startxref\n9"), ONE[:at] + b"yref" + ONE[at + 4 :], ONE.replace(b"0000000015", b"0000000016"),
                    b"\n" * 100 + ONE, ONE[: ONE.index(b"startxref")]):  # fmt: skip
        result, (made,) = assemble(stack, damaged)
        assert texts(made) == texts(ONE)
        check(made)
    assert result["documents"][0]["repaired"] is True and result["documents"][0]["warnings"] > 0


def test_pages_that_are_nothing_are_left_out_and_listed(stack):
    at = ONE.index(b"/Kids [") + 7
    damaged = ONE[:at] + b"99 0 R null " + ONE[at:]
    result, (made,) = assemble(stack, damaged)
    check(made)
    assert texts(made) == texts(ONE) and pages_of(made) == 3
    assert [(each["document"], each["page"]) for each in result["unreadable"]] == [(1, 1), (1, 2)]
    assert result["documents"][0] == {"pages": 3, "encrypted": False, "repaired": True, "warnings": result["documents"][0]["warnings"]}
    assert texts(one(stack, TWO, damaged, select="last")) == ["two 2", "one 3"]
    nothing = ONE[:at] + b"99 0 R ]" + ONE[ONE.index(b"]", at) + 1 :]
    assert "no pages" in problem_of(refused(stack, nothing), "invalid-input", 422)["detail"]


@pytest.mark.parametrize("count", [b"1", b"0", b"-5", b"9999999999999", b"2000000000", b"/Three"])
def test_a_wrong_count_of_pages_is_put_right(stack, count):
    result, (made,) = assemble(stack, ONE.replace(b"/Count 3", b"/Count " + count))
    assert result["documents"][0]["repaired"] is True and pages_of(made) == 3 and texts(made) == texts(ONE)


def test_damage_anywhere_is_repaired_or_a_problem(stack):
    """Twenty bytes at a time of a document and of a packed one, and the executor lives on."""
    before = stack.pool()["exits"]["executors"]
    for document in (ONE, documents.qpdf(documents.rich(), "--object-streams=generate")):
        for at in range(0, len(document), len(document) // 40):
            damaged = document[:at] + b"\x9c" * 20 + document[at + 20 :]
            answer = refused(stack, TWO, damaged, linearize=True)
            assert answer.status_code == 200 or problem_of(answer, "invalid-input", 422), answer.text
    assert stack.pool()["exits"]["executors"]["failed"] == before["failed"]


# ---- bombs


def tree_of(*objects):
    w = documents.Writer()
    for each in objects:
        w.add(each)
    return w.file(1)


PAGE = b"<< /Type /Page /MediaBox [0 0 9 9] %s >>"
CHAIN = 50000
ZEROS = documents.flate_bomb(size=8 << 20)
BOMBS = {
    "a tree that comes back to itself": tree_of(b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R 2 0 R] /Count 2 >>", PAGE % b""),
    "a tree of many levels": tree_of(b"<< /Pages 2 0 R >>", *[b"<< /Kids [%d 0 R] /Count 1 >>" % n for n in range(3, 5000)], PAGE % b""),
    "a tree whose nodes are shared": tree_of(b"<< /Pages 2 0 R >>", *[b"<< /Kids [%d 0 R %d 0 R] >>" % (n, n) for n in range(3, 60)], PAGE % b""),
    "a page that is there ten thousand times": tree_of(b"<< /Pages 2 0 R >>", b"<< /Kids [%s] >>" % (b"3 0 R " * 10001), PAGE % b""),
    "nested arrays": tree_of(b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R] /Count 1 >>", PAGE % (b"/X " + b"[" * 100000 + b"]" * 100000)),
    "nested dictionaries": tree_of(b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R] /Count 1 >>", PAGE % (b"/X " + b"<< /A " * 50000 + b"1" + b">>" * 50000)),
    "a page that is its own font": tree_of(b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R] /Count 1 >>", PAGE % b"/Resources 3 0 R /Annots [3 0 R] /Parent 3 0 R"),
    "a catalogue that is its own tree": tree_of(b"<< /Pages 1 0 R /Kids [1 0 R] >>"),
    "no tree": tree_of(b"<< /Type /Catalog >>"),
    "a stream that unpacks a thousandfold, twice": tree_of(
        b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R] /Count 1 >>", PAGE % b"/Contents 4 0 R",
        b"<< /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%s\nendstream" % (len(ZEROS), ZEROS)),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_computed_or_refused(stack, name):
    failed = stack.pool()["exits"]["executors"]["failed"]
    for params in ({}, {"linearize": True}, {"split": 1}):
        answer = refused(stack, BOMBS[name], **params)
        assert answer.status_code == 200 or problem_of(answer, "invalid-input", 422), answer.text
        assert "qpdf" not in answer.text
    assert texts(one(stack, ONE)) == texts(ONE)
    assert stack.pool()["exits"]["executors"]["failed"] == failed


def test_a_chain_of_objects_is_followed_to_its_end(stack):
    """qpdf calls itself for each of them."""
    failed = stack.pool()["exits"]["executors"]["failed"]
    chain = [b"<< /N %d 0 R >>" % (n + 5) for n in range(CHAIN)]
    w = documents.Writer()
    for each in (b"<< /Pages 2 0 R >>", b"<< /Kids [3 0 R] /Count 1 >>", PAGE % b"/X 4 0 R", *chain, b"(end)"):
        w.add(each)
    document = file_in_pieces(w)
    for params in ({"linearize": True}, {"parts": [{"document": 2}, {"document": 1}]}):
        made = one(stack, document, ONE, **params)
        assert made.count(b"<< /N ") == CHAIN
    assert stack.pool()["exits"]["executors"]["failed"] == failed


def file_in_pieces(writer):
    """The same as its file(1), for very many objects."""
    pieces, offsets, at = [b"%PDF-1.7\n"], [], 9
    for i, body in enumerate(writer.objects, 1):
        offsets.append(at)
        pieces.append(b"%d 0 obj\n%s\nendobj\n" % (i, body))
        at += len(pieces[-1])
    pieces.append(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
    pieces.extend(b"%010d 00000 n \n" % offset for offset in offsets)
    pieces.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, at))
    return b"".join(pieces)


# ---- parameters and limits


def test_parameters_that_do_not_go_together_are_refused(stack):
    assert "select" in problem_of(refused(stack, ONE, select="1", parts=[{}]), "invalid-params", 422)["detail"]
    assert "document 3" in problem_of(refused(stack, ONE, TWO, parts=[{"document": 3}]), "invalid-params", 422)["detail"]
    assert "page 3" in problem_of(refused(stack, ONE, TWO, select="3"), "invalid-params", 422)["detail"]
    assert "2 of them for 1 documents" in problem_of(refused(stack, ONE, passwords=["a", "b"]), "invalid-params", 422)["detail"]
    problem_of(refused(stack, ONE, parts=[]), "invalid-params", 422)
    problem_of(refused(stack, ONE, rotate=45), "invalid-params", 422)


def test_there_are_as_many_outputs_as_the_descriptor_says(stack):
    assert len(assemble(stack, ONE, select=",".join(["1"] * 500), split=1)[1]) == 500
    assert "at most 500" in problem_of(refused(stack, ONE, select=",".join(["1"] * 501), split=1), "invalid-params", 422)["detail"]


def test_the_limit_of_pages_holds_for_all_documents_and_for_the_result(start_stack):
    own = start_stack(config="[task pdf.assemble]\nmax_pages = 4\n")
    assert "max_pages" in problem_of(refused(own, ONE, TWO), "invalid-input", 422)["detail"]
    assert pages_of(one(own, ONE, select="1,1,1,1")) == 4
    problem_of(refused(own, ONE, select="1,1,1,1,1"), "invalid-params", 422)
