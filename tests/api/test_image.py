# SPDX-License-Identifier: BSD-2-Clause
"""Pictures end to end: photographs, and files that only claim to be pictures."""

import base64
import io
import json
import zipfile

import pictures
import pytest
import stack as stack_module
from pictures import BLUE, RED, WHITE
from stack import problem_of

TRANSFORM = "/v1/tasks/image.transform"
INSPECT = "/v1/tasks/image.inspect"
PHOTO = "2569067123_aca715a2ee_o.jpg"
TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}


@pytest.fixture(scope="module")
def stack():
    """Executors that stay, however much memory they keep: with sanitizers that is a lot."""
    with stack_module.Stack(executor_idle_mb=8192) as running:
        yield running


@pytest.fixture(scope="module")
def photo(shared_data):
    """A function: name of a photograph to its bytes and media type."""
    if not (shared_data / "images").is_dir():
        pytest.skip(f"no photographs in {shared_data / 'images'}")

    def read(name):
        return (shared_data / "images" / name).read_bytes(), TYPES[name.rsplit(".")[-1]]

    return read


def transform(stack, picture, media_type="image/png", **params):
    return stack.post(TRANSFORM, params=params, data=picture, headers={"Content-Type": media_type})


def inspect(stack, picture, media_type="image/png"):
    answer = stack.post(INSPECT, data=picture, headers={"Content-Type": media_type})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def pixels_of(answer):
    assert answer.status_code == 200, answer.text
    return pictures.read_png(answer.content)


def jpeg_of(stack, picture, **params):
    answer = transform(stack, picture, format="jpeg", **params)
    assert answer.status_code == 200, answer.text
    return answer.content


def halves(x, y):
    """Red above blue, 40 x 60."""
    return RED if y < 30 else BLUE


# ---- photographs


def test_a_photograph_becomes_a_webp_200_pixels_wide(stack, photo):
    answer = transform(stack, *photo(PHOTO), width=200, format="webp")
    assert answer.headers["Content-Type"] == "image/webp"
    assert pictures.look(answer.content) == ("webp", 200, 163)
    assert json.loads(answer.headers["Gangsaw-Result"]) == {"format": "webp", "width": 200, "height": 163}


def test_a_photograph_gives_the_same_thumbnail_by_all_kinds_of_body(stack, photo):
    picture, media_type = photo(PHOTO)
    form = stack.post(TRANSFORM, files={"image": (PHOTO, picture, media_type), "width": (None, "200"), "format": (None, "webp")})
    text = base64.b64encode(picture).decode()
    body = stack.post(TRANSFORM, json={"image": {"base64": text}, "width": 200, "format": "webp"})
    raw = transform(stack, picture, media_type, width=200, format="webp")
    assert form.content == raw.content == body.content


def test_a_photograph_is_inspected(stack, photo):
    seen = inspect(stack, *photo(PHOTO))
    assert {**seen, "sha256": ""} == {
        "format": "jpeg", "width": 2725, "height": 2225, "pages": 1, "alpha": False, "orientation": 1, "sha256": "",
        "colour_space": "rgb", "channels": 3, "bits_per_sample": 8, "is_progressive": False, "metadata_omitted": 0,
    }  # fmt: skip


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_photograph_is_turned_upright_by_its_exif_orientation(stack, photo, orientation):
    picture, media_type = photo(f"Landscape_{orientation}.jpg")
    assert inspect(stack, picture, media_type)["orientation"] == orientation
    upright = pixels_of(transform(stack, *photo("Landscape_1.jpg"), width=24, format="png"))
    turned = pixels_of(transform(stack, picture, media_type, width=24, format="png"))
    left = pixels_of(transform(stack, picture, media_type, width=24, height=18, fit="fill", format="png", autorotate="false"))
    assert pictures.difference(upright, turned) < 12
    assert pictures.difference(upright, left) > 24


def test_cmyk_becomes_rgb(stack, photo):
    picture, media_type = photo("Channel_digital_image_CMYK_color_no_profile.jpg")
    answer = transform(stack, picture, media_type, width=30, format="png")
    rows = pixels_of(answer)
    assert {len(pixel) for row in rows for pixel in row} == {3}
    assert pictures.look(transform(stack, picture, media_type, width=30).content)[0] == "jpeg"


def test_16_bits_and_transparency_stay_a_png(stack, photo):
    picture, media_type = photo("16-bit-grey-alpha.png")
    assert inspect(stack, picture, media_type)["alpha"] is True
    answer = transform(stack, picture, media_type, width=30)
    assert pictures.look(answer.content)[:2] == ("png", 30)


def test_an_animation_stays_one_where_the_format_can(stack, photo):
    picture, media_type = photo("animated-loop-3.gif")
    seen = inspect(stack, picture, media_type)
    for output in ("gif", "webp"):
        answer = transform(stack, picture, media_type, width=100, format=output)
        assert json.loads(answer.headers["Gangsaw-Result"]) == {"format": output, "width": 100, "height": 77, "pages": 10}
        again = inspect(stack, answer.content, f"image/{output}")
        assert (again["pages"], again["height"]) == (seen["pages"], 77)
    still = transform(stack, picture, media_type, format="png")
    assert pictures.look(still.content) == ("png", seen["width"], seen["height"])


def test_one_frame_of_an_animation_can_be_taken(stack, photo):
    picture, media_type = photo("animated-loop-3.gif")
    first, third = (pixels_of(transform(stack, picture, media_type, format="png", page=page, width=60)) for page in (1, 3))
    assert first == pixels_of(transform(stack, picture, media_type, format="png", width=60))
    assert pictures.difference(first, third) > 1
    detail = problem_of(transform(stack, picture, media_type, page=11), "invalid-params", 422)["detail"]
    assert "no page 11" in detail and "has 10" in detail


def test_all_frames_count_for_the_limits(start_stack, stack, photo):
    picture, media_type = photo("animated-loop-3.gif")
    seen = inspect(stack, picture, media_type)
    megapixels = seen["width"] * seen["height"] / 1e6
    own = start_stack(config=f"[task image.transform]\nmax_megapixels = {megapixels * 1.5:.6f}\nmax_frames = 10\n")
    detail = problem_of(transform(own, picture, media_type), "invalid-input", 422)["detail"]
    assert "max_megapixels" in detail and f"frames: {seen['pages']}" in detail
    assert transform(own, picture, media_type, format="png").status_code == 200
    own = start_stack(config="[task image.transform]\nmax_frames = 9\n")
    detail = problem_of(transform(own, picture, media_type), "invalid-input", 422)["detail"]
    assert "max_frames is 9" in detail


def test_every_photograph_comes_out_in_every_format(stack, photo):
    for name in ("320x240.jpg", "4.webp", "blackbug.png", "concert.jpg"):
        picture, media_type = photo(name)
        for output in ("jpeg", "png", "webp"):
            answer = transform(stack, picture, media_type, width=40, format=output)
            assert pictures.look(answer.content)[:2] == (output, 40)
        assert pictures.look(transform(stack, picture, media_type, width=40).content)[0] == media_type[6:]


# ---- made pictures


def test_a_picture_keeps_its_pixels_when_nothing_is_asked(stack):
    picture = pictures.png(64, 48, pictures.gradient)
    assert pixels_of(transform(stack, picture)) == pictures.read_png(picture)


# Of the file below, upright: where its red half is then.
TURNED = {1: "above", 3: "below", 6: "right", 8: "left"}
OPPOSITE = {"above": "below", "below": "above", "left": "right", "right": "left"}


@pytest.mark.parametrize("orientation", TURNED)
def test_a_picture_is_turned_as_its_exif_says(stack, orientation):
    jpeg = pictures.with_orientation(jpeg_of(stack, pictures.png(40, 60, halves)), orientation)
    assert inspect(stack, jpeg, "image/jpeg")["orientation"] == orientation
    rows = pixels_of(transform(stack, jpeg, "image/jpeg", format="png"))
    sides = {
        "above": rows[5][len(rows[0]) // 2],
        "below": rows[-6][len(rows[0]) // 2],
        "left": rows[len(rows) // 2][5],
        "right": rows[len(rows) // 2][-6],
    }
    red = sides[TURNED[orientation]]
    blue = sides[OPPOSITE[TURNED[orientation]]]
    assert red[0] > 200 and red[2] < 60 and blue[0] < 60 and blue[2] > 200
    assert (len(rows[0]), len(rows)) == ((40, 60) if orientation in (1, 3) else (60, 40))


def test_the_orientation_is_left_alone_without_autorotate(stack):
    jpeg = pictures.with_orientation(jpeg_of(stack, pictures.png(40, 60, halves)), 6)
    answer = transform(stack, jpeg, "image/jpeg", autorotate="false")
    assert pictures.look(answer.content) == ("jpeg", 40, 60)


FITS = {
    "inside": ({"fit": "inside"}, (13, 20)),
    "the default": ({}, (13, 20)),
    "cover": ({"fit": "cover"}, (20, 20)),
    "contain": ({"fit": "contain"}, (20, 20)),
    "fill": ({"fit": "fill"}, (20, 20)),
}


@pytest.mark.parametrize("name", FITS)
def test_fit_decides_what_becomes_of_the_proportions(stack, name):
    params, size = FITS[name]
    rows = pixels_of(transform(stack, pictures.png(40, 60, halves), width=20, height=20, **params))
    assert (len(rows[0]), len(rows)) == size
    assert (rows[10][0] == WHITE) == (name == "contain")


def test_a_picture_grows_only_when_asked_to(stack):
    picture = pictures.png(40, 60, halves)
    assert pictures.look(transform(stack, picture, width=80).content)[1:] == (40, 60)
    assert pictures.look(transform(stack, picture, width=80, enlarge="true").content)[1:] == (80, 120)


def test_steps_come_in_their_order(stack):
    """Crop, then rotate, then flip, then resize: the red above the blue ends on the left."""
    crop = json.dumps({"left": 0, "top": 20, "width": 40, "height": 20})
    params = {"crop": crop, "rotate": 90, "flip": "horizontal", "width": 10}
    rows = pixels_of(transform(stack, pictures.png(40, 60, halves), **params))
    assert (len(rows[0]), len(rows)) == (10, 20)
    assert rows[10][1] == RED and rows[10][8] == BLUE


def test_transparency_stays_in_png_and_gets_the_background_in_jpeg(stack):
    clear = pictures.png(16, 16, lambda x, y: (255, 0, 0, 0), colour_type=6)
    assert pixels_of(transform(stack, clear))[8][8][3] == 0
    jpeg = jpeg_of(stack, clear, background="#0000ff")
    red, green, blue = pixels_of(transform(stack, jpeg, "image/jpeg", format="png"))[8][8]
    assert red < 10 and green < 10 and blue > 245


def test_a_crop_beyond_the_picture_is_refused(stack):
    crop = json.dumps({"left": 30, "top": 0, "width": 20, "height": 20})
    detail = problem_of(transform(stack, pictures.png(40, 60), crop=crop), "invalid-params", 422)["detail"]
    assert "40x60" in detail


def test_a_higher_quality_takes_more_bytes(stack):
    picture = pictures.png(100, 100, pictures.gradient)
    sizes = [len(jpeg_of(stack, picture, quality=quality)) for quality in (10, 80, 100)]
    assert sizes == sorted(set(sizes))


# ---- several results, and marks over them

VARIANTS = json.dumps([{"width": 30}, {"width": 20, "format": "jpeg"}, {"width": 10, "format": "png"}])


def entries_of(answer):
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {each: archive.read(each) for each in archive.namelist()}


def test_variants_come_as_json_and_as_a_zip(stack):
    picture = pictures.png(60, 40, pictures.gradient)
    answer = transform(stack, picture, variants=VARIANTS).json()
    assert [each["media_type"] for each in answer["outputs"]] == ["image/png", "image/jpeg", "image/png"]
    sizes = [(each["format"], each["width"], each["height"]) for each in answer["result"]["variants"]]
    assert sizes == [("png", 30, 20), ("jpeg", 20, 13), ("png", 10, 7)]
    contents = [base64.b64decode(each["base64"]) for each in answer["outputs"]]
    assert [pictures.look(each) for each in contents] == sizes
    assert [len(each) for each in contents] == [each["bytes"] for each in answer["result"]["variants"]]
    headers = {"Content-Type": "image/png", "Accept": "application/zip"}
    entries = entries_of(stack.post(TRANSFORM, params={"variants": VARIANTS}, data=picture, headers=headers))
    assert [entries["image.png"], entries["image.2.jpg"], entries["image.3.png"]] == contents
    assert json.loads(entries["result.json"]) == answer["result"]


def test_variants_of_a_job_are_its_outputs(stack):
    picture = pictures.png(60, 40, pictures.gradient)
    headers = {"Content-Type": "image/png", "Prefer": "respond-async"}
    job = stack.post(TRANSFORM, params={"variants": VARIANTS}, data=picture, headers=headers).json()
    assert stack.wait_for_job(job["id"])["state"] == "succeeded"
    entries = entries_of(stack.get(f"/v1/jobs/{job['id']}/result", headers={"Accept": "application/zip"}))
    assert pictures.look(entries["image.2.jpg"]) == ("jpeg", 20, 13)


@pytest.mark.parametrize("as_job", [False, True], ids=["now", "job"])
def test_a_watermark_is_a_second_part_of_the_form(stack, as_job):
    mark = pictures.png(4, 4)
    options = json.dumps({"gravity": "southeast", "x": 2, "y": 1, "opacity": 0.5})
    files = {
        "image": ("a.png", pictures.png(20, 10, lambda x, y: BLUE), "image/png"),
        "watermark": ("b.png", mark, "image/png"),
        "watermark_options": (None, options),
    }
    headers = {"Prefer": "respond-async, wait=30"} if as_job else {}
    rows = pixels_of(stack.post(TRANSFORM, files=files, headers=headers))
    assert rows[0][0] == BLUE and rows[9][19] == BLUE and rows[4][14] == BLUE
    for x, y in ((14, 5), (17, 8)):
        assert abs(rows[y][x][0] - 128) < 3 and abs(rows[y][x][2] - 128) < 3


def test_max_bytes_are_kept_or_refused(stack):
    picture = pictures.png(100, 100, pictures.gradient)
    answer = transform(stack, picture, format="jpeg", max_bytes=2000)
    assert len(answer.content) <= 2000 and json.loads(answer.headers["Gangsaw-Result"])["quality"] < 80
    detail = problem_of(transform(stack, picture, format="jpeg", max_bytes=10), "invalid-params", 422)["detail"]
    assert "of the lowest quality" in detail and "max_bytes is 10" in detail


# ---- what is no picture

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="10" height="10"/></svg>'
SMALL = pictures.png(64, 48, pictures.gradient)
BAD = {
    "a text called image/jpeg": (b"This is a text. " * 100, "image/jpeg"),
    "a text called nothing": (b"This is a text. " * 100, "application/octet-stream"),
    "an SVG called image/png": (SVG, "image/png"),
    "an SVG called nothing": (SVG, "application/octet-stream"),
    "an XML declaration": (b'<?xml version="1.0"?>' + SVG, "application/octet-stream"),
    "a PDF": (b"%PDF-1.7\n" + b"x" * 1000, "application/octet-stream"),
    "zeros": (bytes(10000), "image/webp"),
    "one byte": (b"\xff", "image/jpeg"),
    "a PNG called image/jpeg": (SMALL, "image/jpeg"),
    "a signature of a PNG alone": (SMALL[:8], "image/png"),
    "a PNG cut in its header": (SMALL[:20], "image/png"),
    "a PNG cut in its pixels": (SMALL[:-200], "image/png"),
    "a PNG with a wrong checksum": (SMALL[:30] + b"\xff" + SMALL[31:], "image/png"),
    "a PNG of no pixels": (pictures.png(1, 1, claim=(0, 0)), "image/png"),
    "a PNG claiming 60000 x 60000": (pictures.png(1, 1, claim=(60000, 60000)), "image/png"),
    "a PNG claiming more than can be counted": (pictures.png(1, 1, claim=(2**31 - 1, 2**31 - 1)), "image/png"),
    "a PNG with fewer rows than it claims": (pictures.png(20, 20, claim=(20, 200)), "image/png"),
    "a GIF of a header": (b"GIF89a\x10\0\x10\0\0\0\0", "image/gif"),
    "a TIFF of a header": (b"II*\0\xff\xff\xff\xff", "image/tiff"),
    "a TIFF that points to itself": (b"MM\0*\0\0\0\x08\xff\xff" + b"\0" * 100, "image/tiff"),
    "a WebP of a header": (b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0", "image/webp"),
    "a JPEG of a header": (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", "image/jpeg"),
}


@pytest.fixture
def unharmed(stack):
    """A function that checks what a bad input left behind: two lines of the log, and every process."""
    stack.settle()
    compute = stack.status()["pools"]["compute"]
    pids = {kind: sorted(each["pid"] for each in compute[kind]) for kind in ("workers", "executors")}
    lines = len(stack.log("compute"))

    def check(answer):
        stack.settle()
        line = stack.log_line("compute", answer)
        assert (line["level"], line["status"], line["problem"]) == ("info", 422, "invalid-input")
        run = stack.log_line("compute", answer, "run")
        assert (run["level"], run["outcome"]) == ("info", "invalid-input")
        assert len(stack.log("compute")) == lines + 2
        now = stack.status()["pools"]["compute"]
        assert {kind: sorted(each["pid"] for each in now[kind]) for kind in pids} == pids
        assert pixels_of(transform(stack, SMALL)) == pictures.read_png(SMALL)

    return check


@pytest.mark.parametrize("name", BAD)
def test_bad_input_costs_two_lines_of_the_log(stack, unharmed, name):
    picture, media_type = BAD[name]
    answer = transform(stack, picture, media_type, width=10)
    problem = problem_of(answer, "invalid-input", 422)
    assert "libvips" not in answer.text and "Vips" not in problem["detail"]
    unharmed(answer)


def test_a_picture_that_claims_too_many_pixels_is_told_the_limit(stack):
    picture, media_type = BAD["a PNG claiming 60000 x 60000"]
    detail = problem_of(transform(stack, picture, media_type), "invalid-input", 422)["detail"]
    assert "3600.0 megapixels (60000x60000" in detail and "max_megapixels is 71" in detail


def test_a_webp_of_too_many_frames_is_told_the_limit(stack, unharmed):
    answer = transform(stack, pictures.webp_of_frames(20_000), "image/webp", width=10)
    assert "has 20000 pages or frames; the limit max_pages is 10000" in problem_of(answer, "invalid-input", 422)["detail"]
    unharmed(answer)


def test_a_jpeg_cut_short_is_refused_wherever_it_was_cut(stack):
    jpeg = jpeg_of(stack, pictures.png(120, 120, pictures.gradient))
    stack.settle()
    lines = len(stack.log("compute", "request"))
    answers = [transform(stack, jpeg[: len(jpeg) * part // 10], "image/jpeg") for part in range(1, 10)]
    for answer in answers:
        problem_of(answer, "invalid-input", 422)
    stack.settle()
    assert len(stack.log("compute", "request")) == lines + len(answers)


def test_a_photograph_with_a_corrupt_header_is_refused(stack, photo, unharmed):
    answer = transform(stack, *photo("corrupt-header.jpg"))
    problem_of(answer, "invalid-input", 422)
    unharmed(answer)


def test_a_photograph_cut_short_is_refused(stack, photo, unharmed):
    picture, media_type = photo(PHOTO)
    answer = transform(stack, picture[: len(picture) // 2], media_type, width=200)
    problem_of(answer, "invalid-input", 422)
    unharmed(answer)


def test_an_svg_is_no_type_of_this_task(stack):
    problem_of(transform(stack, SVG, "image/svg+xml"), "unsupported-media-type", 415)


def test_the_limit_of_pixels_can_be_configured(start_stack):
    stack_module.skip_without_module("image.transform")
    own = start_stack(config="[task image.transform]\nmax_megapixels = 0.01\n")
    assert transform(own, pictures.png(100, 100)).status_code == 200
    detail = problem_of(transform(own, pictures.png(101, 100)), "invalid-input", 422)["detail"]
    assert "max_megapixels is 0.01" in detail
    grown = transform(own, pictures.png(50, 50), width=101, enlarge="true")
    assert "max_megapixels" in problem_of(grown, "invalid-params", 422)["detail"]


def test_a_damaged_picture_is_an_answer_whatever_byte_is_wrong(stack):
    """Each byte of a small picture inverted: refused or computed, never a crash."""
    before = sorted(each["pid"] for each in stack.status()["pools"]["compute"]["executors"])
    originals = [(pictures.png(8, 8, pictures.gradient), "image/png"), (jpeg_of(stack, pictures.png(8, 8)), "image/jpeg")]
    for picture, media_type in originals:
        for at in range(0, len(picture), 5):
            damaged = picture[:at] + bytes([picture[at] ^ 255]) + picture[at + 1 :]
            answer = transform(stack, damaged, media_type, width=4)
            assert answer.status_code in (200, 422), answer.text
    assert sorted(each["pid"] for each in stack.status()["pools"]["compute"]["executors"]) == before
