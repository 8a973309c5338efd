# SPDX-License-Identifier: BSD-2-Clause
"""Documents end to end: what pdf.inspect and pdf.text say of them is what was written into them, and
what Poppler's own commands say; and documents that were made to do harm."""

import difflib
import html
import json
import random
import re
import subprocess
import zlib

import documents
import pytest
import stack as stack_module
from stack import SANITIZED, problem_of

INSPECT = "/v1/tasks/pdf.inspect"
TEXT = "/v1/tasks/pdf.text"
PDF = {"Content-Type": "application/pdf"}
JSON = {**PDF, "Accept": "application/json"}
EVERYTHING = json.dumps(["metadata", "xmp", "sizes", "labels", "outline", "fonts", "attachments", "fields"])


@pytest.fixture(scope="module")
def stack():
    with stack_module.Stack(executor_idle_mb=8192, compute_slots=2) as running:
        yield running


@pytest.fixture(scope="module")
def bounded():
    """A run has a second."""
    with stack_module.Stack(compute_slots=1, config="[task pdf.text]\nseconds = 1\n") as running:
        yield running


@pytest.fixture(scope="module")
def shared(shared_data):
    """Name to bytes of the documents written by others."""
    found = {path.name: path.read_bytes() for path in sorted((shared_data / "pdf").glob("*.pdf"))}
    if not found:
        pytest.skip(f"no documents in {shared_data / 'pdf'}")
    return found


def inspect(stack, data, *include, **params):
    if include:
        params["include"] = json.dumps(include)
    answer = stack.post(INSPECT, params=params, data=data, headers=PDF)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def post_text(stack, data, headers=PDF, **params):
    return stack.post(TEXT, params=params, data=data, headers=headers)


def text_of(stack, data, **params):
    answer = post_text(stack, data, **params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return answer.content.decode()


def result_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def words_of(stack, data, **params):
    return result_of(post_text(stack, data, JSON, formats='["words"]', **params))["extracted"]


def encrypted(data, bits="256", user="user", owner="owner", *more):
    return documents.qpdf(data, *(["--allow-weak-crypto"] if bits != "256" else []), "--encrypt", user, owner, bits, *more, "--")


# ---- what a document is


def test_a_document_is_described_as_it_was_written(stack):
    seen = inspect(stack, documents.rich(), *json.loads(EVERYTHING))
    assert {name: seen[name] for name in ("pages", "version", "encrypted", "linearized", "tagged", "language", "javascript", "damaged")} == {
        "pages": 3, "version": "1.6", "encrypted": False, "linearized": False, "tagged": True, "language": "de-DE", "javascript": True,
        "damaged": False}  # fmt: skip
    assert set(seen["permissions"].values()) == {True} and len(seen["permissions"]) == 8
    assert seen["metadata"] == {
        "title": "Größe — 大きさ", "author": "A. Author", "subject": "Tests", "keywords": "one, two", "creator": "by hand",
        "producer": "tests", "created": "2024-02-29T12:00:00+01:00", "modified": "2024-03-01T00:00:00Z"}  # fmt: skip
    assert seen["xmp"] == '<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
    letter = [0, 0, 612, 792]
    assert seen["sizes"] == [
        {"first": 1, "last": 1, "width": 612, "height": 792, "crop_box": letter, "media_box": letter, "rotation": 0},
        {"first": 2, "last": 2, "width": 792, "height": 612, "crop_box": letter, "media_box": letter, "rotation": 90},
        {"first": 3, "last": 3, "width": 300, "height": 400, "crop_box": [10, 20, 310, 420], "media_box": letter, "rotation": 0},
    ]
    assert seen["labels"] == ["i", "1", "2"]
    assert seen["outline"] == [{"title": "One", "page": 1, "children": [{"title": "Zwei", "page": 2}]},
                               {"title": "Web", "uri": "https://example.org/"}]  # fmt: skip
    assert seen["attachments"] == [{"name": "table.csv", "description": "Figures", "size": 8, "modified": "2024-03-01T00:00:00Z"}]
    assert seen["fields"] == [
        {"name": "name", "label": "Your name", "type": "text", "page": 1, "read_only": False, "value": "Ada", "max_length": 40},
        {"name": "agree", "type": "checkbox", "page": 1, "read_only": False, "checked": True},
        {"name": "colour", "type": "choice", "page": 1, "read_only": True, "choices": ["red", "green"], "selected": ["red"]},
    ]
    assert [(font["name"], font["type"], font["embedded"]) for font in seen["fonts"]] == [("Helvetica", "Type 1", False)]
    assert seen["truncated"] == seen["unreadable"] == []


def test_only_what_is_included_is_looked_for(stack):
    always = set(inspect(stack, documents.rich(), "metadata")) - {"metadata"}
    assert set(inspect(stack, documents.rich())) == always | {"metadata", "sizes", "unreadable", "outline", "attachments"}
    assert set(inspect(stack, documents.rich(), "fonts")) == always | {"fonts"}


def test_a_thousand_equal_pages_are_one_size(stack):
    seen = inspect(stack, documents.document(*["x"] * 1000, size=(595.276, 841.89)), "sizes")
    assert [(each["first"], each["last"], each["width"], each["height"]) for each in seen["sizes"]] == [(1, 1000, 595.28, 841.89)]


def test_texts_of_pdf_2_are_utf_8(stack):
    info = b"<< /Title <EFBBBF%s> >>" % "Ünïcödé 𝔘 ŸŽ".encode().hex().encode()
    data = documents.document("x", version="2.0", info=info)
    seen = inspect(stack, data)
    assert seen["version"] == "2.0"
    assert seen["metadata"]["title"] == "Ünïcödé 𝔘 ŸŽ"


def test_a_long_text_is_cut_and_says_so(stack):
    title = inspect(stack, documents.document("x", info=b"<< /Title (%s) >>" % (b"a" * 9000)))["metadata"]["title"]
    assert title == "a" * 4096 + "…"


def test_documents_of_others_are_inspected_as_pdfinfo_does(stack, shared):
    for name, data in shared.items():
        seen = inspect(stack, data)
        done = subprocess.run(["pdfinfo", "-"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True)
        told = dict(re.findall(r"^(.*?): +(.*)$", done.stdout.decode(), re.MULTILINE))
        assert (seen["pages"], seen["version"]) == (int(told["Pages"]), told["PDF version"]), name
        assert f"{seen['sizes'][0]['width']:g} x {seen['sizes'][0]['height']:g} pts" in told["Page size"], name
        assert seen["linearized"] == (told["Optimized"] == "yes"), name


@pytest.mark.parametrize(("bits", "expected"), [("40", (1, 2, 40)), ("128", (2, 3, 128)), ("256", (5, 6, 256))])
def test_protection_is_told_even_where_no_password_is_needed(stack, bits, expected):
    data = encrypted(documents.document("secret"), bits, "", "owner", "--print=none" if bits != "40" else "--print=n")
    for password, may_print in (({}, False), ({"password": "owner"}, True)):
        seen = inspect(stack, data, **password)
        assert seen["encrypted"] is True
        assert tuple(seen["encryption"][name] for name in ("version", "revision", "key_bits")) == expected
        assert seen["permissions"]["print"] is may_print
        assert seen["permissions"]["copy"] is True


def test_linearized_documents_say_so(stack):
    assert inspect(stack, documents.qpdf(documents.document("x"), "--linearize"))["linearized"] is True


# ---- passwords


@pytest.mark.parametrize("bits", ["40", "128", "256"])
@pytest.mark.parametrize("word", ["user", "owner"])
def test_either_password_opens_a_document(stack, bits, word):
    data = encrypted(documents.document("for your eyes"), bits)
    assert text_of(stack, data, password=word) == "for your eyes\n\f"
    assert inspect(stack, data, password=word)["encrypted"] is True


def test_a_password_need_not_be_ascii(stack):
    data = encrypted(documents.document("offen"), "256", "Größe 大")
    assert text_of(stack, data, password="Größe 大") == "offen\n\f"
    assert inspect(stack, data, password="Größe 大")["tagged"] is False


@pytest.mark.parametrize("task", [INSPECT, TEXT])
def test_a_missing_and_a_wrong_password_are_told_apart(stack, task):
    data = encrypted(documents.document("secret"))
    problem = problem_of(stack.post(task, data=data, headers=PDF), "invalid-input", 422)
    assert problem["detail"] == "The input document is encrypted: it needs a password."
    problem = problem_of(stack.post(task, params={"password": "wrong"}, data=data, headers=PDF), "invalid-input", 422)
    assert problem["detail"] == "The password does not open the input document."


def test_a_document_for_certificates_needs_no_password(stack):
    writer = documents.Writer()
    tree, _ = documents.pages_of(writer, [b""])
    handler = writer.add(b"<< /Filter /Adobe.PubSec /V 4 /R 4 >>")
    data = writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree), b"/Encrypt %d 0 R /ID [(a) (a)]" % handler)
    assert "encrypted in a way that has no password" in problem_of(post_text(stack, data), "invalid-input", 422)["detail"]


def test_a_password_that_nobody_asked_for_does_no_harm(stack):
    assert text_of(stack, documents.document("open"), password="what for") == "open\n\f"


# ---- text


def test_each_page_ends_with_a_form_feed(stack):
    data = documents.document("one\ntwo", "", "drei: Größe, 5 €")
    assert text_of(stack, data) == "one\ntwo\n\f\fdrei: Größe, 5 €\n\f"
    assert text_of(stack, data, select="last,1") == "drei: Größe, 5 €\n\fone\ntwo\n\f"


def test_a_job_gives_the_same_text(stack):
    data = documents.document("one\nzwölf", "three")
    answer = stack.post(TEXT, data=data, headers={**PDF, "Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    assert stack.wait_for_job(answer.json()["id"])["state"] == "succeeded"
    later = stack.get(answer.json()["links"]["result"])
    now = post_text(stack, data)
    output = stack.get(answer.json()["links"]["self"] + "/outputs/text")
    for each in (later, output, now):
        assert each.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert each.text == "one\nzwölf\n\fthree\n\f"
        assert each.headers["Content-Disposition"] == 'inline; filename="text.txt"'
    assert now.headers["Gangsaw-Result"] == later.headers["Gangsaw-Result"]


def newspaper():
    """Two columns, a table below, and a line at the foot."""
    rng = random.Random(5)
    letters = "abcdefghijklmnop"

    def line():
        return " ".join("".join(rng.choices(letters, k=rng.randint(2, 8))) for _ in range(6))

    lines = [(x, 740 - 14 * i, line()[:38].strip()) for x in (60, 330) for i in range(20)]
    for row, cells in enumerate([("item", "count", "price"), ("apples", "3", "1.50"), ("pomegranates", "11", "20.00"), ("figs", "240", "0.75")]):
        lines += [(60 + 180 * column, 400 - 18 * row, cell) for column, cell in enumerate(cells)]
    return [*lines, (60, 60, "page one of one")]


def paper():
    writer = documents.Writer()
    tree, _ = documents.pages_of(writer, [documents.shown(newspaper(), 11)])
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def test_reading_order_is_pdftotexts(stack):
    data = paper()
    ours, theirs = text_of(stack, data).split(), documents.pdftotext(data).split()
    assert sorted(ours) == sorted(theirs)
    assert ours == theirs
    left = [word for x, _, text in newspaper()[:20] for word in text.split()]
    assert ours[: len(left)] == left, "the left column first"


def test_physical_layout_is_pdftotexts_line_for_line(stack):
    data = paper()
    ours, theirs = text_of(stack, data, layout="physical"), documents.pdftotext(data, "-layout")

    def lines(text):
        return [line.split() for line in text.replace("\f", "").splitlines() if line.strip()]

    assert lines(ours) == lines(theirs)


def test_what_begins_at_one_place_begins_in_one_column(stack):
    rows = [line for line in text_of(stack, paper(), layout="physical").splitlines() if line.split() and line.split()[0] in ("item", "apples", "pomegranates", "figs")]
    assert len(rows) == 4
    for column in (1, 2):
        assert len({row.index(row.split()[column], 12 if column == 1 else 24) for row in rows}) == 1, rows


def test_documents_of_others_have_the_words_that_pdftotext_finds(stack, shared):
    for name, data in shared.items():
        for mode, words in (("reading", []), ("physical", ["-layout"])):
            ours, theirs = text_of(stack, data, layout=mode), documents.pdftotext(data, *words)
            assert ours.count("\f") == theirs.count("\f"), name
            assert difflib.SequenceMatcher(None, ours.split(), theirs.split()).ratio() > 0.99, (name, mode)


def test_boxes_are_those_of_pdftotext(stack):
    for data in (paper(), documents.rich()):
        told = re.findall(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>', documents.pdftotext(data, "-bbox"))
        theirs = sorted((html.unescape(text), *(round(float(side)) for side in sides)) for *sides, text in told)
        ours = [word for page in words_of(stack, data) for word in page["words"]]
        ours = sorted((word["text"], *(round(each) for each in (word["left"], word["top"], word["left"] + word["width"], word["top"] + word["height"]))) for word in ours)
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine[0] == other[0] and all(abs(a - b) <= 1 for a, b in zip(mine[1:], other[1:], strict=True)), (mine, other)


def test_words_know_page_and_line(stack):
    pages = words_of(stack, documents.document("one two\nthree", "four"), select="2,1")
    assert [(page["page"], page["width"], page["height"]) for page in pages] == [(2, 612, 792), (1, 612, 792)]
    assert [[(word["text"], word["line"]) for word in page["words"]] for page in pages] == [[("four", 1)], [("one", 1), ("two", 1), ("three", 2)]]


def test_words_without_text_are_an_answer_in_json(stack):
    answer = post_text(stack, documents.document("one"), formats='["words"]')
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["outputs"] == []
    assert answer.json()["result"]["words"] == 1


def to_unicode(mapping):
    """A font whose letters mean something else."""
    lines = b"\n".join(b"<%02x> <%s>" % (ord(letter), code) for letter, code in mapping.items())
    return (b"/CIDInit /ProcSet findresource begin begincmap /CMapName /X def 1 begincodespacerange <00> <ff> endcodespacerange\n"
            b"%d beginbfchar\n%s\nendbfchar endcmap end" % (len(mapping), lines))  # fmt: skip


@pytest.mark.parametrize("codes", [b"0000", b"D800", b"D835DD18", b"00660066", b"202A", b"000C", b"FFFF", b"0001", b"00A0"])
def test_whatever_letters_mean_the_text_is_utf_8_and_boxes_stay_with_their_words(stack, codes):
    writer = documents.Writer()
    cmap = writer.stream(to_unicode({"X": codes}))
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding /ToUnicode %d 0 R >>" % cmap
    tree, _ = documents.pages_of(writer, [documents.shown([(72, 700, "aXb before"), (72, 600, "after aXX"), (72, 500, "last")])], font=font)
    data = writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))
    text = text_of(stack, data)  # decodes it
    assert text.count("\f") == 1 and text.split()[-1] == "last"
    tops = {word["text"]: word["top"] for word in words_of(stack, data)[0]["words"]}
    assert tops["before"] < tops["after"] < tops["last"]
    assert tops["last"] - tops["after"] == pytest.approx(100, abs=0.1)


# ---- selections


@pytest.mark.parametrize(("select", "words"), [("4", "names page 4; the document has pages 1 to 3"), ("0", "names page 0"),
                                               ("1-9", "names page 9"), ("9-", "names page 9")])  # fmt: skip
def test_pages_that_are_not_there_are_refused(stack, select, words):
    problem = problem_of(post_text(stack, documents.document("a", "b", "c"), select=select), "invalid-params", 422)
    assert words in problem["detail"]


@pytest.mark.parametrize("select", ["", "x", "1;2", "-1", "1-2-3", "1,,2", "12345678"])
def test_what_is_no_list_of_pages_is_refused(stack, select):
    errors = stack_module.field_errors_of(post_text(stack, documents.document("a"), select=select))
    assert errors["/select"].startswith('must look like "')


# ---- documents that are broken in part


def three_pages(of_second):
    """The object of the second of three pages replaced."""
    writer = documents.Writer()
    tree, pages = documents.pages_of(writer, [documents.shown([(72, 700, f"page {n}")]) for n in (1, 2, 3)])
    writer.add(of_second, pages[1])
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


@pytest.mark.parametrize("of_second", [b"null", b"42", b"(no page)", b"<< /Type /Catalog >>"])
def test_pages_that_can_be_read_are_given_and_the_others_named(stack, of_second):
    data = three_pages(of_second)
    seen = inspect(stack, data)
    answer = post_text(stack, data, JSON)
    read = result_of(answer)
    named = [each["page"] for each in read["unreadable"]]
    assert [each["page"] for each in seen["unreadable"]] == named
    text = text_of(stack, data)
    assert "page 1" in text
    assert text.count("\f") == read["pages"]
    assert named or "page 3" in text  # nothing is lost in silence


def test_a_document_that_claims_more_pages_than_it_has_names_them(stack):
    writer = documents.Writer()
    tree, _ = documents.pages_of(writer, [documents.shown([(72, 700, "only")])])
    writer.objects[tree - 1] = writer.objects[tree - 1].replace(b"/Count 1", b"/Count 5")
    for _ in range(5):
        writer.add(b"null")
    data = writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))
    assert text_of(stack, data) == "only\n" + "\f" * 5
    assert [each["page"] for each in inspect(stack, data)["unreadable"]] == [2, 3, 4, 5]
    problem = problem_of(post_text(stack, data, select="2-3"), "invalid-input", 422)
    assert problem["detail"] == "No selected page of the input document can be read."


def test_damaged_content_is_told(stack):
    data = documents.document("first", "second", "third")
    spoilt = data.replace(b"BT /F1 12 Tf\n1 0 0 1 72 720 Tm (second", b"B( /F1 12 Tf\n1 0 0 1 72 720 Tm (second")
    assert spoilt != data
    read = result_of(post_text(stack, spoilt, JSON))
    assert read["unreadable"] == [{"page": 2, "detail": "The content is damaged, and no text can be read."}]
    assert text_of(stack, spoilt) == "first\n\f\fthird\n\f"


def test_a_broken_cross_reference_table_is_repaired_and_told(stack):
    data = documents.document("first", "second").replace(b"startxref\n", b"startxref\n9")
    assert text_of(stack, data) == "first\n\fsecond\n\f"
    assert inspect(stack, data)["pages"] == 2


# ---- documents that were made to do harm


def catalogue(writer, tree, entries=b"", trailer=b""):
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R %s >>" % (tree, entries)), trailer)


def simple():
    writer = documents.Writer()
    tree, pages = documents.pages_of(writer, [documents.shown([(72, 700, "harmless")])])
    return writer, tree, pages[0]


def chain(writer, body, count):
    """Objects of which each names the next one; the number of the first."""
    first = len(writer.objects) + 1
    for i in range(count):
        writer.add(body % (first + i + 1))
    writer.add(b"<< >>")
    return first


def tree_that_holds_itself():
    writer = documents.Writer()
    tree = writer.reserve()
    writer.add(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % tree, tree)
    return catalogue(writer, tree)


def tree_of_ten_thousand_levels():
    writer = documents.Writer()
    return catalogue(writer, chain(writer, b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>", 10000))


def two_thousand_million_pages():
    writer, tree, _ = simple()
    writer.objects[tree - 1] = writer.objects[tree - 1].replace(b"/Count 1", b"/Count 2000000000")
    return catalogue(writer, tree)


def arrays_in_arrays():
    writer, tree, _ = simple()
    levels = 10000 if SANITIZED else 100000  # a sanitizer's heap takes several times as much
    return catalogue(writer, tree, b"/Deep " + b"[" * levels + b"]" * levels)


def outline_that_leads_into_itself():
    writer, tree, _ = simple()
    item = writer.reserve()
    writer.add(b"<< /Title (again) /Next %d 0 R /First %d 0 R /Last %d 0 R >>" % (item, item, item), item)
    return catalogue(writer, tree, b"/Outlines << /First %d 0 R /Last %d 0 R >>" % (item, item))


def outline_of_ten_thousand_levels():
    writer, tree, _ = simple()
    first = chain(writer, b"<< /Title (deeper) /First %d 0 R >>", 10000)
    return catalogue(writer, tree, b"/Outlines << /First %d 0 R >>" % first)


def names_of_many_levels():
    writer, tree, _ = simple()
    first = chain(writer, b"<< /Kids [%d 0 R] /Limits [(a) (z)] >>", 40000)
    return catalogue(writer, tree, b"/Names << /EmbeddedFiles %d 0 R >>" % first)


def labels_of_many_levels():
    writer, tree, _ = simple()
    return catalogue(writer, tree, b"/PageLabels %d 0 R" % chain(writer, b"<< /Kids [%d 0 R] >>", 40000))


def fields_of_many_levels():
    writer, tree, _ = simple()
    return catalogue(writer, tree, b"/AcroForm << /Fields [%d 0 R] >>" % chain(writer, b"<< /T (a) /Parent 1 0 R /Kids [%d 0 R] >>", 40000))


def form_of_four_thousand_fields():
    writer, tree, page = simple()
    first = len(writer.objects) + 1
    for i in range(4000):
        writer.add(b"<< /T (f%d) /FT /Tx /V (x) /Type /Annot /Subtype /Widget /Rect [0 0 9 9] /P %d 0 R >>" % (i, page))
    names = b" ".join(b"%d 0 R" % i for i in range(first, first + 4000))
    writer.objects[page - 1] = writer.objects[page - 1].replace(b"/Type /Page ", b"/Type /Page /Annots [%s] " % names)
    return catalogue(writer, tree, b"/AcroForm << /Fields [%s] >>" % names)


def table_that_leads_back():
    writer, tree, _ = simple()
    data = catalogue(writer, tree, b"", b"/Prev 0000000")
    return data.replace(b"/Prev 0000000", b"/Prev %07d" % (data.rindex(b"\nxref\n") + 1))


def picture_within_itself():
    writer, tree, page = simple()
    form = writer.reserve()
    resources = b"/Resources << /XObject << /X %d 0 R >>" % form
    writer.stream(b"/X Do /X Do", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] %s >>" % resources, form)
    content = writer.stream(b"/X Do")
    writer.objects[page - 1] = re.sub(rb"/Contents \d+ 0 R /Resources <<", b"/Contents %d 0 R %s" % (content, resources), writer.objects[page - 1])
    return catalogue(writer, tree)


def with_content(data):
    writer, tree, page = simple()
    content = writer.stream(zlib.compress(data, 9), b"/Filter /FlateDecode")
    writer.objects[page - 1] = re.sub(rb"/Contents \d+", b"/Contents %d" % content, writer.objects[page - 1])
    return catalogue(writer, tree)


def scattered():
    """What has to be put in order."""
    return b"BT /F1 1 Tf " + b"".join(b"1 0 0 1 %d %d Tm (a) Tj " % (i * 7 % 600, i * 13 % 780) for i in range(200000)) + b"ET"


def million_words():
    return with_content(b"BT /F1 12 Tf 72 700 Td " + b"(word) Tj 40 0 Td " * 300000 + b"ET")


def huge_page():
    writer, tree, page = simple()
    writer.objects[page - 1] = writer.objects[page - 1].replace(b"[0 0 612 792]", b"[-1e30 -1e30 1e30 1e30]")
    return catalogue(writer, tree)


def strange_protection():
    writer, tree, _ = simple()
    handler = writer.add(b"<< /Filter /Standard /V 5 /R 9 /O (x) /U (x) /P -4 /Length 99999999 >>")
    return catalogue(writer, tree, b"", b"/Encrypt %d 0 R /ID [(a) (a)]" % handler)


def random_bytes():
    return b"%PDF-1.7\n" + random.Random(3).randbytes(100000)


def nothing_but_objects():
    return b"%PDF-1.7\n" + b"1 0 obj\n" * 50000


HARMFUL = [tree_that_holds_itself, tree_of_ten_thousand_levels, two_thousand_million_pages, arrays_in_arrays,
           outline_that_leads_into_itself, outline_of_ten_thousand_levels, names_of_many_levels, labels_of_many_levels,
           fields_of_many_levels, form_of_four_thousand_fields, table_that_leads_back, picture_within_itself,
           million_words, huge_page, strange_protection, random_bytes, nothing_but_objects]  # fmt: skip


@pytest.mark.parametrize("make", HARMFUL, ids=lambda make: make.__name__)
def test_what_is_made_to_do_harm_is_an_answer_and_the_next_run_is_served(stack, make):
    data = make()
    executors = sorted(each["pid"] for each in stack.status()["pools"]["compute"]["executors"])
    answers = [stack.post(INSPECT, params={"include": EVERYTHING}, data=data, headers=PDF),
               post_text(stack, data, JSON, formats='["text","words"]', layout="physical")]  # fmt: skip
    for answer in answers:
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 422:
            detail = problem_of(answer, "invalid-input", 422)["detail"]
            assert "poppler" not in detail.lower() and "qpdf" not in detail.lower()
    assert text_of(stack, documents.document("next")) == "next\n\f"
    assert sorted(each["pid"] for each in stack.status()["pools"]["compute"]["executors"]) == executors, "a crash"


@pytest.mark.parametrize("content", [pytest.param(lambda: bytes(1 << 28), id="zeros", marks=pytest.mark.full), pytest.param(scattered, id="scattered words")])
def test_a_bomb_ends_at_the_runs_limits(bounded, content):
    answer = post_text(bounded, with_content(content()))
    assert answer.status_code in (200, 422, 500, 504), answer.text
    assert text_of(bounded, documents.document("next")) == "next\n\f"


def test_words_end_at_their_limit(stack):
    """The result of one run is one JSON text, whose values are counted."""
    line = " ".join(["ab"] * 20)
    page = "\n".join([line] * 50)
    assert result_of(post_text(stack, documents.document(*[page] * 99), JSON, formats='["words"]'))["words"] == 99000
    problem = problem_of(post_text(stack, documents.document(*[page] * 101), JSON, formats='["words"]'), "invalid-input", 422)
    assert "the limit max_words, 100000" in problem["detail"]


def test_a_list_that_is_too_long_is_cut_and_named(stack):
    seen = inspect(stack, form_of_four_thousand_fields(), "fields")
    assert len(seen["fields"]) == 2000 and seen["truncated"] == ["fields"]
    seen = inspect(stack, outline_of_ten_thousand_levels())
    assert seen["truncated"] == ["outline"]
