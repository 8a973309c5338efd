# SPDX-License-Identifier: BSD-2-Clause
"""Pages as pictures, beside those that the commands pdftocairo and pdftoppm draw."""

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
from stack import SANITIZED, problem_of

pytestmark = pytest.mark.heavy

RENDER = "/v1/tasks/pdf.render"
JSON = {"Accept": "application/json"}
RED, WHITE = b"\xff\0\0", b"\xff\xff\xff"

DRAWING = b"1 0 0 rg 20 20 40 60 re f 0 0.5 0 RG 3 w 80 20 m 180 130 l S 0.2 0.2 0.9 rg 120 40 30 30 re f\n"


def drawing(*entries, size=(200, 150)):
    """A page for each of the entries: shapes and text, none of which is symmetrical."""
    writer = documents.Writer()
    contents = [DRAWING + documents.shown([(30, 120, f"Page {n}")], 18) for n in range(1, len(entries) + 1)]
    tree, _ = documents.pages_of(writer, contents, list(entries), size)
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def render(stack, document, **params):
    """Result and outputs."""
    body = {"document": {"base64": base64.b64encode(document).decode()}, **params}
    answer = stack.post(RENDER, json=body, headers=JSON, timeout=60)
    assert answer.status_code == 200, answer.text[:1000]
    answer = answer.json()
    return answer["result"], [base64.b64decode(each["base64"]) for each in answer["outputs"]]


def refused(stack, document, **params):
    body = {"document": {"base64": base64.b64encode(document).decode()}, **params}
    return stack.post(RENDER, json=body, headers=JSON, timeout=60)


def ppm(data):
    """Width, height and pixels of a picture in the format PPM."""
    kind, width, height, top = re.sub(rb"#.*", b"", data[:200]).split(maxsplit=4)[:4]
    assert kind == b"P6" and top == b"255"
    size = int(width) * int(height) * 3
    return int(width), int(height), data[-size:]


def decoded(tmp_path, data):
    """The same of any picture, by the command vips."""
    (tmp_path / "in").write_bytes(data)
    subprocess.run(["vips", "colourspace", tmp_path / "in", tmp_path / "out.ppm", "srgb"], check=True, timeout=60)
    return ppm((tmp_path / "out.ppm").read_bytes())


def by_pdftocairo(tmp_path, document, page, dpi):
    (tmp_path / "in.pdf").write_bytes(document)
    words = ["-png", "-cropbox", "-singlefile", "-r", str(dpi), "-f", str(page), "-l", str(page)]
    subprocess.run(["pdftocairo", *words, tmp_path / "in.pdf", tmp_path / "cairo"], check=True, timeout=60)
    return decoded(tmp_path, (tmp_path / "cairo.png").read_bytes())


def by_pdftoppm(document, page, dpi):
    words = ["pdftoppm", "-cropbox", "-r", str(dpi), "-f", str(page), "-l", str(page), "-"]
    return ppm(subprocess.run(words, input=document, stdout=subprocess.PIPE, check=True, timeout=60).stdout)


def difference(one, other):
    assert one[:2] == other[:2]
    return sum(abs(a - b) for a, b in zip(one[2], other[2], strict=True)) / len(one[2])


def pixel(picture, x, y):
    at = (y * picture[0] + x) * 3
    return picture[2][at : at + 3]


# ---- what is drawn

PAGES = [b"", b"/Rotate 90", b"/Rotate 180", b"/Rotate 270", b"/CropBox [10 20 110 140]", b"/CropBox [10 20 110 140] /Rotate 90"]


@pytest.mark.parametrize("dpi", [72, 100])
def test_pages_look_as_pdftocairo_and_pdftoppm_draw_them(stack, tmp_path, dpi):
    document = drawing(*PAGES)
    result, outputs = render(stack, document, dpi=dpi)
    assert result["pages"] == len(outputs) == len(PAGES)
    for page, output in enumerate(outputs, 1):
        mine = decoded(tmp_path, output)
        assert difference(mine, by_pdftocairo(tmp_path, document, page, dpi)) < 0.1, page
        assert difference(mine, by_pdftoppm(document, page, dpi)) < 4, page


def test_documents_of_others_look_as_pdftocairo_draws_them(stack, shared_data, tmp_path):
    files = sorted((shared_data / "pdf").glob("*.pdf"))
    if not files:
        pytest.skip(f"no documents in {shared_data / 'pdf'}")
    for path in files:
        document = path.read_bytes()
        result, outputs = render(stack, document, dpi=40)
        assert result["unreadable"] == [] and len(outputs) == result["pages"]
        for page, output in enumerate(outputs, 1):
            assert difference(decoded(tmp_path, output), by_pdftocairo(tmp_path, document, page, 40)) < 0.1, path.name


SIZES = [
    ({}, (417, 313)),  # 150 dpi
    ({"dpi": 72}, (200, 150)),
    ({"dpi": 144}, (400, 300)),
    ({"dpi": 1}, (3, 3)),
    ({"width": 400}, (400, 300)),
    ({"width": 37}, (37, 28)),
    ({"height": 75}, (100, 75)),
    ({"width": 50, "height": 400}, (50, 38)),
    ({"width": 400, "height": 75}, (100, 75)),
    ({"width": 100, "dpi": 600}, (100, 75)),
]


@pytest.mark.parametrize(("params", "size"), SIZES)
def test_the_size_follows_from_dpi_or_box(stack, params, size):
    result, outputs = render(stack, drawing(b""), **params)
    assert pictures.look(outputs[0]) == ("png", *size)
    assert result["rendered"] == [{"page": 1, "width": size[0], "height": size[1]}]


def test_a_box_holds_for_each_page_as_it_is_shown(stack):
    result, _ = render(stack, drawing(b"", b"/Rotate 90"), width=60)
    assert [(each["width"], each["height"]) for each in result["rendered"]] == [(60, 45), (60, 80)]


def test_every_format_shows_the_same(stack, tmp_path):
    document = drawing(b"")
    png = decoded(tmp_path, render(stack, document, dpi=72)[1][0])
    assert pixel(png, 30, 90) == RED and pixel(png, 100, 5) == WHITE
    for name in ("jpeg", "webp"):
        output = render(stack, document, dpi=72, format=name, quality=95)[1][0]
        assert pictures.look(output) == (name, 200, 150)
        assert difference(png, decoded(tmp_path, output)) < 3


def test_a_higher_quality_takes_more_bytes(stack):
    for name in ("jpeg", "webp"):
        sizes = [len(render(stack, drawing(b""), format=name, quality=quality)[1][0]) for quality in (5, 50, 100)]
        assert sizes == sorted(set(sizes))


def test_a_picture_says_its_resolution(stack):
    output = render(stack, drawing(b""), dpi=254)[1][0]
    at = output.index(b"pHYs") + 4
    assert struct.unpack_from(">IIB", output, at) == (10000, 10000, 1)


def test_grayscale_gives_the_luma_of_each_pixel(stack):
    colours = pictures.read_png(render(stack, drawing(b""), dpi=40)[1][0])
    greys = pictures.read_png(render(stack, drawing(b""), dpi=40, grayscale=True)[1][0])
    for row, grey_row in zip(colours, greys, strict=True):
        for (red, green, blue), (grey,) in zip(row, grey_row, strict=True):
            assert abs(0.299 * red + 0.587 * green + 0.114 * blue - grey) <= 0.51


@pytest.mark.parametrize("grayscale", [False, True])
def test_transparent_paper_shows_what_lies_under_it(stack, grayscale):
    """Over white it looks as the page on white does."""
    document = drawing(b"")
    opaque = pictures.read_png(render(stack, document, dpi=40, grayscale=grayscale)[1][0])
    clear = pictures.read_png(render(stack, document, dpi=40, grayscale=grayscale, transparent=True)[1][0])
    assert clear[0][0][-1] == 0 and clear[50][20][-1] == 255
    for row, other in zip(opaque, clear, strict=True):
        for white, (*colour, alpha) in zip(row, other, strict=True):
            shown = [value * alpha / 255 + 255 - alpha for value in colour]
            assert all(abs(a - b) <= 3 for a, b in zip(white, shown, strict=True))


def test_webp_can_be_transparent_and_jpeg_cannot(stack):
    webp = render(stack, drawing(b""), format="webp", transparent=True)[1][0]
    assert webp[12:16] == b"VP8X" and webp[20] & 0x10
    problem = problem_of(refused(stack, drawing(b""), format="jpeg", transparent=True), "invalid-params", 422)
    assert "png or webp" in problem["detail"]


# ---- which pages, and how they come


def test_pages_come_as_they_are_selected(stack, tmp_path):
    document = drawing(b"", b"", b"/Rotate 90", b"")
    result, outputs = render(stack, document, select="last,3,1,1", dpi=72)
    assert [each["page"] for each in result["rendered"]] == [4, 3, 1, 1] and result["pages"] == 4
    for page, output in zip([4, 3, 1, 1], outputs, strict=True):
        assert difference(decoded(tmp_path, output), by_pdftocairo(tmp_path, document, page, 72)) < 0.1


def test_one_page_comes_as_its_bytes_and_several_as_a_zip(stack):
    document = drawing(b"", b"")
    one = stack.post(RENDER, params={"select": "2", "format": "webp"}, data=document, headers={"Content-Type": "application/pdf"})
    assert one.headers["Content-Type"] == "image/webp"
    assert pictures.look(one.content) == ("webp", 417, 313)
    assert json.loads(one.headers["Gangsaw-Result"])["rendered"] == [{"page": 2, "width": 417, "height": 313}]
    several = stack.post(RENDER, data=document, headers={"Content-Type": "application/pdf", "Accept": "application/zip"})
    archive = zipfile.ZipFile(io.BytesIO(several.content))
    assert {"page.png", "page.2.png"} < set(archive.namelist())
    assert [archive.read(name) for name in ("page.png", "page.2.png")] == render(stack, document)[1]


def test_a_job_gives_the_same_pages(stack):
    document = drawing(*PAGES)
    result, outputs = render(stack, document, format="jpeg")
    job = stack.submit("pdf.render", {"document": {"base64": base64.b64encode(document).decode()}, "format": "jpeg"})
    ended = stack.wait_for_job(job["id"])
    assert ended["state"] == "succeeded" and len(outputs) == len(PAGES)
    answer = stack.get(job["links"]["result"], headers=JSON).json()
    assert answer["result"] == result
    assert [base64.b64decode(each["base64"]) for each in answer["outputs"]] == outputs


def test_accept_chooses_the_format(stack):
    headers = {"Content-Type": "application/pdf", "Accept": "image/jpeg"}
    answer = stack.post(RENDER, params={"select": "1"}, data=drawing(b""), headers=headers)
    assert answer.headers["Content-Type"] == "image/jpeg"


def test_a_password_opens_a_document(stack):
    plain = documents.document("Secret")
    locked = documents.qpdf(plain, "--encrypt", "user", "owner", "256", "--")
    outputs = [render(stack, locked, password=word, dpi=40)[1] for word in ("user", "owner")]
    assert outputs == [render(stack, plain, dpi=40)[1]] * 2
    for params in ({}, {"password": "wrong"}):
        assert "password" in problem_of(refused(stack, locked, **params), "invalid-input", 422)["detail"]


# ---- limits


def test_a_page_with_too_many_pixels_is_told_the_limit(stack):
    problem = problem_of(refused(stack, drawing(b"", b"/MediaBox [0 0 14400 14400]")), "invalid-input", 422)
    assert "Page 2 would be 30000x30000 pixels at 150 dpi" in problem["detail"] and "max_megapixels is 50" in problem["detail"]
    assert len(render(stack, drawing(b"/MediaBox [0 0 14400 14400]"), width=100)[1]) == 1


@pytest.mark.parametrize("box", [b"[0 0 1e30 1e30]", b"[0 0 100000 1]", b"[0 0 3e9 3e9]", b"[0 0 32 2147483647]"])
def test_a_page_of_any_size_is_an_answer(stack, box):
    answer = refused(stack, drawing(b"/MediaBox " + box), dpi=72)
    assert answer.status_code in (200, 422), answer.text


def test_a_format_that_ends_earlier_says_so(stack):
    document = drawing(b"/MediaBox [0 0 20000 72]")
    assert "at most 16383" in problem_of(refused(stack, document, dpi=72, format="webp"), "invalid-input", 422)["detail"]
    assert pictures.look(render(stack, document, dpi=72)[1][0]) == ("png", 20000, 72)


def test_a_format_that_takes_more_memory_has_a_limit_of_its_own(stack):
    document = drawing(b"/MediaBox [0 0 6000 5000]")
    detail = problem_of(refused(stack, document, dpi=72, format="webp"), "invalid-input", 422)["detail"]
    assert "Page 1 would be 6000x5000 pixels as webp" in detail and "max_webp_megapixels is 25" in detail
    assert pictures.look(render(stack, document, dpi=72, format="jpeg")[1][0]) == ("jpeg", 6000, 5000)


def with_large_picture():
    """Two pages; the second one shows 30000x30000 pixels of nothing, in a hundred kilobytes."""
    writer = documents.Writer()
    pack = zlib.compressobj(9)
    rows = b"".join(pack.compress(bytes(3750)) for _ in range(30000)) + pack.flush()
    picture = writer.stream(rows, b"/Type /XObject /Subtype /Image /Width 30000 /Height 30000 /BitsPerComponent 1 /ColorSpace /DeviceGray /Filter /FlateDecode")
    tree, pages = documents.pages_of(writer, [DRAWING, b"200 0 0 150 0 0 cm /X Do"], size=(200, 150))
    writer.objects[pages[1] - 1] = re.sub(rb"/Resources <<", b"/Resources << /XObject << /X %d 0 R >>" % picture, writer.objects[pages[1] - 1])
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def with_states_without_end():
    """Each `q` keeps all of the state before it."""
    writer = documents.Writer()
    tree, pages = documents.pages_of(writer, [DRAWING], size=(200, 150))
    content = writer.stream(zlib.compress(b"q " * 1000000, 9), b"/Filter /FlateDecode")
    writer.objects[pages[0] - 1] = re.sub(rb"/Contents \d+", b"/Contents %d" % content, writer.objects[pages[0] - 1])
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def test_a_picture_of_gigabytes_is_refused_and_the_next_run_is_served(stack):
    failed = stack.pool()["exits"]["executors"]["failed"]
    large = with_large_picture()
    detail = "Page 2 has a picture of 30000x30000 pixels; the limit max_image_megapixels is 150."
    assert problem_of(refused(stack, large, select="2", dpi=72), "invalid-input", 422)["detail"] == detail
    result, outputs = render(stack, large, dpi=72)
    assert len(outputs) == 1 and result["unreadable"] == [{"page": 2, "detail": detail}]
    assert stack.pool()["exits"]["executors"]["failed"] == failed


@pytest.mark.skipif(SANITIZED, reason="the heap that is looked at is glibc's, not the sanitizer's")
def test_states_without_end_are_refused_and_the_next_run_is_served(stack):
    failed = stack.pool()["exits"]["executors"]["failed"]
    problem = problem_of(refused(stack, with_states_without_end(), dpi=72), "invalid-input", 422)
    assert "limit memory_mb, 1024" in problem["detail"]
    assert len(render(stack, drawing(b""), dpi=72)[1]) == 1
    assert stack.pool()["exits"]["executors"]["failed"] == failed


def test_there_are_as_many_outputs_as_the_descriptor_says(stack):
    document = drawing(b"", size=(2, 2))
    result, outputs = render(stack, document, select=",".join(["1"] * 500), dpi=10)
    assert len(outputs) == len(result["rendered"]) == 500
    problem = problem_of(refused(stack, document, select=",".join(["1"] * 501), dpi=10), "invalid-params", 422)
    assert "500" in problem["detail"]


def test_limits_can_be_configured(start_stack):
    own = start_stack(config="[task pdf.render]\nmax_megapixels = 0.02\nmax_pages = 2\n")
    assert render(own, drawing(b""), dpi=50)[1]
    assert "max_megapixels is 0.02" in problem_of(refused(own, drawing(b"")), "invalid-input", 422)["detail"]
    assert "max_pages is 2" in problem_of(refused(own, drawing(b"", b"", b""), dpi=10), "invalid-input", 422)["detail"]


# ---- what is damaged


def holes(kids):
    """Three pages; the tree has what is given between the first and the others."""
    document = drawing(b"", b"", b"")
    at = document.index(b"/Kids [") + 7
    end = document.index(b" ", document.index(b"R", at))
    return document[:end] + kids + document[end:]


def test_pages_that_cannot_be_read_are_listed_and_the_others_drawn(stack):
    document = holes(b" 99 0 R").replace(b"/Count 3", b"/Count 4")
    result, outputs = render(stack, document, dpi=20)
    assert result["pages"] == 4 and len(outputs) == len(result["rendered"])
    assert len(result["rendered"]) + len(result["unreadable"]) == 4
    assert [each["page"] for each in result["unreadable"]] == [4]  # Poppler passes over what is not there
    assert result["unreadable"][0]["detail"].endswith(".")


def test_a_document_without_any_page_that_can_be_read_is_refused(stack):
    document = drawing(b"").replace(b"/Type /Page ", b"/Type /Nono ")
    answer = refused(stack, document)
    if answer.status_code != 200:  # Poppler may draw it all the same
        problem_of(answer, "invalid-input", 422)
    kids = drawing(b"", b"")
    at, end = kids.index(b"/Kids [") + 7, kids.index(b"]", kids.index(b"/Kids ["))
    problem_of(refused(stack, kids[:at] + b"88 0 R 99 0 R"[: end - at].ljust(end - at) + kids[end:]), "invalid-input", 422)


def nested_forms(depth, width):
    """A form that draws another some times, which draws another …: width to the power of depth rectangles."""
    writer = documents.Writer()
    form = writer.stream(b"0 0 1 1 re f", b"/Type /XObject /Subtype /Form /BBox [0 0 200 150]")
    for _ in range(depth):
        form = writer.stream(b"/F Do " * width, b"/Type /XObject /Subtype /Form /BBox [0 0 200 150]"
                             b" /Resources << /XObject << /F %d 0 R >> >>" % form)  # fmt: skip
    page = writer.reserve()
    tree = writer.add(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page)
    content = writer.stream(b"/F Do")
    writer.add(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 200 150] /Contents %d 0 R /Resources << /XObject << /F %d 0 R >> >> >>"
               % (tree, content, form), page)  # fmt: skip
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))


def test_a_page_that_draws_for_ever_ends_at_its_deadline(stack):
    document = nested_forms(10, 10)
    headers = {"Content-Type": "application/pdf", "Gangsaw-Timeout": "1"}
    problem_of(stack.post(RENDER, data=document, headers=headers), "timed-out", 504)
    assert render(stack, drawing(b""), dpi=72)[1]


def test_what_refers_to_itself_is_an_answer(stack):
    form = nested_forms(1, 1)
    number = form.index(b"/XObject << /F ")
    loop = form[:number] + form[number:].replace(b"/F 1 0 R", b"/F 2 0 R", 1)
    answer = refused(stack, loop, dpi=20)
    assert answer.status_code in (200, 422), answer.text
    tree = drawing(b"").replace(b"/Kids [", b"/Kids [1 0 R ")
    assert refused(stack, tree, dpi=20).status_code in (200, 422)


def test_a_stream_that_unpacks_to_gigabytes_costs_its_run_only(stack):
    writer = documents.Writer()
    content = writer.stream(documents.flate_bomb(), b"/Filter [/FlateDecode /FlateDecode]")
    tree = writer.reserve()
    page = writer.add(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 200 150] /Contents %d 0 R >>" % (tree, content))
    writer.add(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page, tree)
    document = writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R >>" % tree))
    answer = stack.post(RENDER, data=document, params={"dpi": 20}, headers={"Content-Type": "application/pdf", "Gangsaw-Timeout": "5"})
    assert answer.status_code in (200, 422, 504), answer.text[:500]
    assert render(stack, drawing(b""), dpi=72)[1]
