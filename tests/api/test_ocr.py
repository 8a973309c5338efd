# SPDX-License-Identifier: BSD-2-Clause
"""Text out of pictures, end to end, beside what the command tesseract makes of the same scan."""

import base64
import io
import json
import re
import struct
import subprocess
import zipfile
import zlib

import documents
import pictures
import pytest
from stack import problem_of

pytestmark = pytest.mark.heavy

RECOGNIZE = "/v1/tasks/ocr.recognize"
JSON = {"Accept": "application/json"}
SCAN = "phototest.tif"


@pytest.fixture(scope="module")
def scan(shared_data):
    """A function: name of a scan or of its gold text to the bytes."""
    if not (shared_data / "ocr").is_dir():
        pytest.skip(f"no scans in {shared_data / 'ocr'}")
    return lambda name: (shared_data / "ocr" / name).read_bytes()


def recognize(stack, document, media_type, headers=None, **params):
    return stack.post(RECOGNIZE, params=params, data=document, headers={"Content-Type": media_type, **(headers or {})}, timeout=120)


def read(stack, document, media_type, **params):
    """Result and outputs by name."""
    answer = recognize(stack, document, media_type, JSON, **params)
    assert answer.status_code == 200, answer.text[:1000]
    answer = answer.json()
    return answer["result"], {each["name"]: base64.b64decode(each["base64"]) for each in answer["outputs"]}


def by_tesseract(tmp_path, picture, name, *words):
    (tmp_path / name).write_bytes(picture)
    command = ["tesseract", tmp_path / name, "-", *words]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, timeout=120).stdout.decode()


def squeezed(text):
    return " ".join(text.split())


# ---- content


def test_a_scan_comes_as_the_text_that_people_read(stack, scan):
    answer = recognize(stack, scan(SCAN), "image/tiff", {"Accept": "text/plain"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    gold = scan("phototest.gold.txt").decode()
    assert answer.text == gold
    page = json.loads(answer.headers["Gangsaw-Result"])["recognized"][0]
    assert (page["page"], page["width"], page["height"], page["dpi"]) == (1, 640, 480, 200) and page["confidence"] > 90


def test_formats_are_those_of_the_command(stack, scan, tmp_path):
    def without_names(text):
        text = re.sub(r'image "[^"]*"|<fileName>[^<]*', "", text)
        return re.sub(r"<title>.*?</title>", "", text, flags=re.DOTALL)

    _, outputs = read(stack, scan(SCAN), "image/tiff", formats="text,tsv,hocr,alto")
    for name, words in {"text": [], "tsv": ["tsv"], "hocr": ["hocr"], "alto": ["alto"]}.items():
        expected = by_tesseract(tmp_path, scan(SCAN), SCAN, *words)
        assert without_names(outputs[name].decode()) == without_names(expected), name


def test_a_page_upside_down_is_read_with_boxes_on_the_page_as_it_came(stack, scan):
    upright, _ = read(stack, scan(SCAN), "image/tiff", formats="words")
    turned, _ = read(stack, scan("phototest-rotated-180.png"), "image/png", formats="words", orient="true")
    assert turned["recognized"][0]["turned"] == 180
    words, others = upright["recognized"][0]["words"], turned["recognized"][0]["words"]
    assert [word["text"] for word in words] == [word["text"] for word in others] and len(words) > 50
    for word, other in zip(words, others, strict=True):
        assert abs(640 - word["left"] - word["width"] - other["left"]) <= 2
        assert abs(480 - word["top"] - word["height"] - other["top"]) <= 2


def test_a_searchable_pdf_shows_the_page_and_has_its_text(stack, scan, tmp_path):
    _, outputs = read(stack, scan(SCAN), "image/tiff", formats='["pdf"]')
    assert squeezed(documents.pdftotext(outputs["pdf"])) == squeezed(scan("phototest.gold.txt").decode())
    (tmp_path / "out.pdf").write_bytes(outputs["pdf"])
    fonts = subprocess.run(["pdffonts", tmp_path / "out.pdf"], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert b"GlyphLessFont" in fonts
    images = subprocess.run(["pdfimages", "-list", tmp_path / "out.pdf"], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert images.decode().split("\n")[2].split()[2:5] == ["image", "640", "480"]


TEXTS = ("The first page is short.", "The second page follows it.", "The third page is the last.")


def test_pages_of_a_pdf_are_read_now_and_as_a_job(stack):
    pdf = documents.document(*TEXTS)
    result, outputs = read(stack, pdf, "application/pdf", dpi=150)
    assert outputs["text"].decode() == "\n\f".join(TEXTS) + "\n"
    assert result["pages"] == 3 and [each["page"] for each in result["recognized"]] == [1, 2, 3]
    assert (result["recognized"][0]["width"], result["recognized"][0]["height"]) == (1275, 1650)

    params = {"document": {"base64": base64.b64encode(pdf).decode()}, "select": "last,1", "dpi": 150}
    job = stack.submit("ocr.recognize", params)
    ended = stack.wait_for_job(job["id"], seconds=120)
    assert ended["state"] == "succeeded", ended
    answer = stack.get(job["links"]["result"], headers={"Accept": "text/plain"})
    assert answer.text == f"{TEXTS[2]}\n\f{TEXTS[0]}\n"


def test_several_outputs_come_as_an_archive(stack):
    answer = recognize(stack, documents.document(TEXTS[0]), "application/pdf", {"Accept": "application/zip"}, formats=["text", "pdf", "words"], dpi=150)
    assert answer.status_code == 200, answer.text[:500]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert sorted(archive.namelist()) == ["pdf.pdf", "result.json", "text.txt"]
    assert archive.read("text.txt").decode() == TEXTS[0] + "\n"
    assert squeezed(documents.pdftotext(archive.read("pdf.pdf"))) == TEXTS[0]
    words = json.loads(archive.read("result.json"))["recognized"][0]["words"]
    assert [word["text"] for word in words] == TEXTS[0].split()


def test_a_job_tells_at_which_page_it_is(stack):
    pdf = documents.document(*[f"{text}\n" * 30 for text in TEXTS * 4])
    job = stack.submit("ocr.recognize", {"document": {"base64": base64.b64encode(pdf).decode()}, "dpi": 150})
    seen = set()
    while stack.job(job["id"])["state"] not in ("succeeded", "failed"):
        progress = stack.job(job["id"]).get("progress") or {}
        if text := progress.get("text") or progress.get("what") or progress.get("message"):
            seen.add(text)
        if len(seen) > 1:
            break
    assert all(re.fullmatch(r"page \d+ of 12", text) for text in seen) and len(seen) > 1, seen
    stack.post(f"/v1/jobs/{job['id']}/cancel")
    assert stack.wait_for_job(job["id"])["state"] == "canceled"


# ---- documents that are damaged, locked, or none


def test_pages_that_cannot_be_read_do_not_cost_the_others(stack):
    pdf = documents.document(*TEXTS)
    end = pdf.index(b" ", pdf.index(b"R", pdf.index(b"/Kids [")))
    damaged = (pdf[:end] + b" 99 0 R" + pdf[end:]).replace(b"/Count 3", b"/Count 4")  # Poppler passes over what is not there
    result, outputs = read(stack, damaged, "application/pdf", dpi=150)
    assert outputs["text"].decode() == "\n\f".join(TEXTS) + "\n" and result["pages"] == 4
    assert result["unreadable"] == [{"page": 4, "detail": "Page 4 of the input document cannot be read."}]
    detail = problem_of(recognize(stack, damaged, "application/pdf", select="4"), "invalid-input", 422)["detail"]
    assert "Page 4" in detail


def test_a_locked_pdf_needs_its_password(stack):
    pdf = documents.qpdf(documents.document(TEXTS[0]), "--encrypt", "key", "owner", "256", "--")
    assert "needs a password" in problem_of(recognize(stack, pdf, "application/pdf"), "invalid-input", 422)["detail"]
    assert "does not open" in problem_of(recognize(stack, pdf, "application/pdf", password="no"), "invalid-input", 422)["detail"]
    assert read(stack, pdf, "application/pdf", password="key", dpi=150)[1]["text"].decode() == TEXTS[0] + "\n"


def tiff_of(width, height):
    """A TIFF with a page that claims this size, and has a byte of it."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, height), (279, 4, 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 10) + b"\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


BOMBS = {
    "a PNG": (pictures.png(1, 1, claim=(60000, 60000)), "image/png", {}, "3600.0 megapixels (60000x60000)"),
    "a TIFF": (tiff_of(30000, 30000), "image/tiff", {}, "900.0 megapixels (30000x30000)"),
    "a PDF": (documents.document("x", size=(14400, 14400)), "application/pdf", {}, "60000x60000 pixels at 300 dpi"),
    "a high resolution": (documents.document("x"), "application/pdf", {"dpi": 2400}, "20400x26400 pixels at 2400 dpi"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_too_large_is_told_the_limit(stack, name):
    document, media_type, params, words = BOMBS[name]
    detail = problem_of(recognize(stack, document, media_type, **params), "invalid-input", 422)["detail"]
    assert words in detail and "max_megapixels is 50" in detail


def test_pages_beyond_the_limit_are_told_so(start_stack):
    own = start_stack(config="[task ocr.recognize]\nmax_pages = 2\n")
    assert "max_pages is 2" in problem_of(recognize(own, documents.document(*TEXTS), "application/pdf"), "invalid-input", 422)["detail"]


def nested_form():
    """Poppler takes seconds for a form of 2000 levels, and all memory for 50,000."""
    writer = documents.Writer()
    tree, _ = documents.pages_of(writer, [b""], b"/Annots []")
    first = len(writer.objects) + 1
    for i in range(first, first + 2000):
        writer.add(b"<< /T (a) /FT /Tx /Parent %d 0 R /Kids [%d 0 R] >>" % (i - 1, i + 1))
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R /AcroForm << /Fields [%d 0 R] >> >>" % (tree, first)))


BAD = {
    "a form of many levels": (nested_form(), "application/pdf", "the limit max_form_depth, 32"),
    "a text": (b"This is a text. " * 100, "application/octet-stream", "is a text; what can be read is PNG, JPEG, WebP, TIFF and PDF"),
    "a GIF": (b"GIF89a\x10\0\x10\0\0\0\0;", "application/octet-stream", "is a GIF; what can be read is PNG"),
    "a PNG called TIFF": (pictures.png(9, 9), "image/tiff", "declared image/tiff, but the content is image/png"),
    "a PNG cut in its pixels": (pictures.png(90, 90, pictures.gradient)[:-200], "image/png", "not a complete, valid PNG"),
    "a TIFF of a header": (b"II*\0\xff\xff\xff\xff", "image/tiff", "not a complete, valid TIFF"),
    "a dot": (pictures.png(1, 1), "image/png", "nothing that can be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_costs_two_lines_of_the_log(stack, name):
    document, media_type, words = BAD[name]
    stack.settle()
    lines = len(stack.log("compute"))
    answer = recognize(stack, document, media_type)
    assert words in problem_of(answer, "invalid-input", 422)["detail"]
    stack.settle()
    assert stack.log_line("compute", answer)["level"] == "info"
    assert len(stack.log("compute")) == lines + 2


def test_a_language_that_is_not_there_is_answered_with_those_that_are(stack):
    detail = problem_of(recognize(stack, pictures.png(90, 90), "image/png", languages="eng+tlh"), "invalid-params", 422)["detail"]
    assert "tlh is not installed here; installed are " in detail and "eng" in detail
    problem_of(recognize(stack, pictures.png(90, 90), "image/png", languages="../eng"), "invalid-params", 422)
    problem_of(recognize(stack, pictures.png(90, 90), "image/png", formats="text,doc"), "invalid-params", 422)


def test_noise_is_an_answer(stack):
    """Not a crash, whatever is seen in it; and the next run has none of it."""
    noise = pictures.png(200, 120, lambda x, y: (zlib.crc32(b"%d,%d" % (x, y)) & 255,) * 3)
    assert recognize(stack, noise, "image/png", deskew="true", orient="true", binarise="sauvola", despeckle="true", scale="true").status_code == 200
    text = read(stack, documents.document(TEXTS[0]), "application/pdf", dpi=150)[1]["text"].decode()
    assert text == TEXTS[0] + "\n"
